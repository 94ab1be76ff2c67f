"""``python -m benchmarks.sites [--runs 50] [--samples 10000] [--folder DIR]``: seconds and memory of building a site.

Makes run folders as `janus-eval run` would have left them, of the three real benchmarks with made-up answers, then
builds the site of all in a process of its own and prints what it took. Equal pictures are hard links of a few: what is
measured is the report, not the disk.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from janus_eval.statistics import wilson

Row = dict[str, Any]
MODELS = ("Janus-Pro-7B", "Janus-Pro-1B", "JanusFlow-1.3B", "Janus-1.3B", "mine")
TAGS = ("single_object", "two_object", "counting", "colors", "position", "color_attr")
ABILITIES = {"CP": "coarse_perception", "LR": "logic_reasoning", "AR": "attribute_reasoning"}
BROAD = ("entity", "attribute", "relation", "global", "other")
THINGS = ("bench", "cow", "bicycle", "clock", "carrot")
SHARES = {"mmbench": 0.45, "geneval": 0.22, "dpg": 0.33}  # of the samples, about as of the real ones
PICTURES = 64


class Maker:
    """One run folder. ``skill`` is the chance that an answer is right."""

    def __init__(self, folder: Path, model: str, skill: float, samples: int) -> None:
        self.folder, self.model, self.skill = folder, model, skill
        self.samples = samples
        self.random = random.Random(f"{folder.name} {model}")
        self.rows: dict[str, list[Row]] = {"responses": [], "scores": [], "observations": []}
        self.asked: dict[str, list[Row]] = {}
        self.results: Row = {}

    def write(self, pictures: Sequence[Path]) -> Path:
        """Make up the answers and write everything."""
        (self.folder / "samples").mkdir(parents=True)
        self._mmbench(pictures)
        self._drawn("geneval", pictures)
        self._drawn("dpg", pictures)
        for name, rows in self.rows.items():
            _lines(self.folder / f"{name}.jsonl", rows)
        for task, rows in self.asked.items():
            _lines(self.folder / "samples" / f"{task}.jsonl", rows)
        timings = [
            {"stage": "respond", "task": task, "n": 16, "seconds": 4.2, "output_tokens": 9216} for task in SHARES
        ]
        _lines(self.folder / "timings.jsonl", timings * 40)
        settings = {"user_role": "<|User|>", "guidance": 5.0, "temperature": 1.0}
        model = {
            "name": self.model,
            "checkpoint": f"deepseek-ai/{self.model}",
            "dtype": "bfloat16",
            "settings": settings,
            "weights": self.folder.name,
            "capabilities": ["answer", "draw", "score"],
        }
        asked = {
            "schema": 1,
            "started": "2026-11-22T14:03:11",
            "model": model,
            "seed": 0,
            "limit": None,
            "skipped": {},
            "versions": {"janus-eval": "0.1.0", "torch": "2.14.1"},
            "machine": {"cpu": "x86_64", "cores": 16},
            "tasks": {task: {name: {} for name in found} for task, found in self.results.items()},
        }
        (self.folder / "run.json").write_text(json.dumps(asked))
        (self.folder / "results.json").write_text(json.dumps({"schema": 1, "model": model, "tasks": self.results}))
        return self.folder

    def _mmbench(self, pictures: Sequence[Path]) -> None:
        right: dict[str, list[bool]] = {short: [] for short in ABILITIES}
        for k in range(int(self.samples * SHARES["mmbench"] / 4)):
            short = list(ABILITIES)[k % len(ABILITIES)]
            image = self._link(pictures[k % PICTURES], f"images/inputs/{k % PICTURES:064x}.png")
            options = ["a bench", "a cow", "a bicycle", "a clock"]
            for turn in range(4):
                letters = dict(zip("ABCD", options[turn:] + options[:turn], strict=True))
                answer = "ABCD"[(4 - turn) % 4]
                good = self.random.random() < self.skill
                said = answer if good else self.random.choice("ABCD".replace(answer, ""))
                name = f"{k + 1000000 * turn}"
                self._sample(
                    "mmbench",
                    name,
                    f"{k}",
                    ABILITIES[short],
                    images=[image],
                    target={"answer": answer},
                    inputs={"question": f"What stands at the left of picture {k}?", "options": letters},
                    metadata={"rotation": turn, "rotations": 4},
                )
                self._respond("mmbench", name, 0, "What stands at the left?", text=f"{said}. {letters[said]}")
                for protocol in ("paper", "circular"):
                    self._score("mmbench", protocol, name, 0, float(good), ABILITIES[short], extracted=said)
                right[short].append(good)
        whole = {short: [all(found[n : n + 4]) for n in range(0, len(found), 4)] for short, found in right.items()}
        for protocol, table in (("paper", right), ("circular", whole)):
            metrics = {"overall": [v for found in table.values() for v in found], **table}
            self._result("mmbench", protocol, metrics, {})

    def _drawn(self, task: str, pictures: Sequence[Path]) -> None:
        names = TAGS if task == "geneval" else BROAD
        right: dict[str, list[float]] = {name: [] for name in names}
        for k in range(int(self.samples * SHARES[task] / 4)):
            name, thing = names[k % len(names)], THINGS[k % len(THINGS)]
            prompt = (
                f"a photo of a {thing}" if task == "geneval" else f"A {thing} stands before a red wall, in rain. " * 6
            )
            target: Row = {"include": [{"class": thing, "count": 1}]}
            if task == "dpg":
                target = {"questions": [{"id": n, "question": f"Is there a {t}?"} for n, t in enumerate(THINGS, 1)]}
            self._sample(
                task,
                f"{k:05d}",
                f"{k:05d}",
                name if task == "geneval" else "dense",
                inputs={"prompt": prompt},
                target=target,
            )
            for index in range(4):
                image = self._link(pictures[(k + index) % PICTURES], f"images/{task}/{k:05d}/{index}.png")
                self._respond(task, f"{k:05d}", index, prompt, image=image)
                good = self.random.random() < self.skill
                boxes = {thing: [[40.0, 60.0, 250.0, 300.0, 0.97]]} if good else {}
                value = float(good) if task == "geneval" else (1.0 if good else 0.6)
                seen = {"extracted": boxes, "reason": "" if good else f"0 x {thing}, at least 1 expected"}
                extra = seen if task == "geneval" else {"extracted": {"no": [] if good else [2, 4]}}
                self._score(task, "official", f"{k:05d}", index, value, name, **extra)
                if task == "geneval":
                    data = {"size": [384, 384], "boxes": boxes, "masks": {thing: [[1000, 12] * 60] if good else []}}
                    self.rows["observations"].append(
                        {
                            "task": task,
                            "sample": f"{k:05d}",
                            "index": index,
                            "role": "detector",
                            "instrument": "mask2former",
                            "data": data,
                        }
                    )
                right[name].append(value)
        table = {"overall": [v for found in right.values() for v in found], **right}
        roles = (
            {"detector": "mask2former", "colour_classifier": "clip-colours"}
            if task == "geneval"
            else {"visual_qa": "mplug"}
        )
        self._result(task, "official", table, roles)

    def _sample(self, task: str, name: str, group: str, category: str, **more: Any) -> None:
        row = {"task": task, "id": name, "group": group, "category": category, "metadata": {}, "images": []}
        self.asked.setdefault(task, []).append({**row, **more})

    def _respond(self, task: str, sample: str, index: int, prompt: str, **came: Any) -> None:
        row = {
            "task": task,
            "sample": sample,
            "index": index,
            "id": f"{len(self.rows['responses']):016x}",
            "prompt": prompt,
        }
        self.rows["responses"].append(
            {**row, "seed": 1, "input_tokens": 20, "output_tokens": 576, "finish": "stop", **came}
        )

    def _score(
        self, task: str, protocol: str, sample: str, index: int, value: float, category: str, **more: Any
    ) -> None:
        row = {
            "task": task,
            "protocol": protocol,
            "sample": sample,
            "index": index,
            "value": value,
            "category": category,
            "id": self.rows["responses"][-1]["id"],
            "reason": "",
            "parts": {},
            "failed": False,
        }
        self.rows["scores"].append({**row, **more})

    def _link(self, picture: Path, place: str) -> str:
        target = self.folder / place
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(picture, target)
        return place

    def _result(
        self, task: str, protocol: str, table: Mapping[str, Sequence[float]], observe: Mapping[str, str]
    ) -> None:
        unit, top = ("percent", 100.0) if task == "dpg" else ("fraction", 1.0)
        metrics = {}
        for name, values in table.items():
            if values:
                low, high = wilson(sum(values), len(values))
                mean = sum(values) / len(values) * top
                metrics[name] = {
                    "value": mean,
                    "low": low * top,
                    "high": high * top,
                    "unit": unit,
                    "n": len(values),
                    "failed": 0,
                }
        ask = {"images_per_prompt": 4} if observe else {"file": "MMBench_DEV_EN.tsv", "prompt": "janus"}
        parts = {part: f"{task} {part}" for part in ("data", "ask", "observe")}
        self.results.setdefault(task, {})[protocol] = {
            "fingerprint": {**parts, "judge": f"{task} {protocol}", "settings": "s", "weights": self.folder.name},
            "metrics": metrics,
            "protocol": {
                "title": task,
                "ask": ask,
                "observe": dict(observe),
                "judge": {"rule": protocol},
                "note": "made up",
            },
        }


def _lines(path: Path, rows: Sequence[Row]) -> None:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def paint(folder: Path) -> list[Path]:
    """A few pictures of a usual size and a usual weight."""
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for n in range(PICTURES):
        image = Image.effect_noise((48, 48), 60).convert("RGB").resize((384, 384))
        ImageDraw.Draw(image).ellipse((40, 60, 250, 300), fill=(n * 3 % 255, 90, 160))
        found.append(folder / f"{n}.png")
        image.save(found[-1])
    return found


def make_runs(folder: Path, runs: int, samples: int) -> Iterator[Path]:
    """Run folders under ``folder``; equal arguments give equal folders."""
    pictures = paint(folder / "pictures")
    for n in range(runs):
        skill = 0.5 + 0.4 * random.Random(n).random()
        model = MODELS[n % len(MODELS)] + (f"-{n // len(MODELS)}" if n >= len(MODELS) else "")
        yield Maker(folder / "runs" / f"{model}-{n}", model, skill, samples).write(pictures)


def build(folder: Path) -> Row:
    """Build the site of the runs in a process of its own: seconds, CPU seconds, greatest memory in MiB, sizes."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "janus_eval", "report", str(folder / "runs"), "--out", str(folder / "site")]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    site = folder / "site"
    pages = [path for path in site.rglob("*") if path.suffix in {".html", ".js", ".css"}]
    return {
        "seconds": round(time.perf_counter() - start, 1),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
        "peak_mib": used.ru_maxrss // 1024,
        "front_page_kb": (site / "index.html").stat().st_size // 1000,
        "pages_and_scripts": len(pages),
        "pages_and_scripts_mb": sum(path.stat().st_size for path in pages) // 10**6,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sites", description="The cost of building a site.")
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--samples", type=int, default=10_000, help="answers and pictures of each run")
    parser.add_argument("--folder", type=Path, help="where to leave runs and site; a temporary one by default")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        made = sum(1 for _ in make_runs(folder, options.runs, options.samples))
        print(json.dumps({"runs": made, "samples": options.samples, **build(folder)}, indent=1))


if __name__ == "__main__":
    main()
