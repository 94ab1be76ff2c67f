"""Run folders as the harness writes them, made up with a fixed seed: three models on five tasks, or on real ones."""

from __future__ import annotations

import json
import math
import random
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from janus_eval.reports import page as pages

COLOURS = {"red": "#d62728", "green": "#2ca02c", "blue": "#1f77b4", "yellow": "#e6c700", "purple": "#8e44ad"}
SHAPES = ("circle", "square", "triangle")
CATEGORIES = ("single_object", "two_object", "counting", "colors", "position", "color_attr")
OUT_OF_MEMORY = "out of memory on a batch of one"
TITLES = {
    "shapes-mmbench": "Shapes MMBench: multiple choice, circular",
    "shapes-geneval": "Shapes GenEval: objects, counts, colours, positions",
    "shapes-dpg": "Shapes DPG-Bench: dense prompts, dependent questions",
    "shapes-ocr-read": "Shapes reading: digits and words in pictures",
    "shapes-ocr-write": "Shapes writing: digits and words drawn to order",
}
OBSERVED = {
    "geneval": {"detector": "mask2former", "colour_classifier": "clip-colours"},
    "dpg": {"visual_qa": "mplug"},
    "shapes-geneval": {"detector": "shapes-detector"},
}
Row = dict[str, Any]


class Builder:
    """Writes one run folder; ``skill`` is the chance that an answer or a picture is right."""

    def __init__(self, folder: Path, name: str, skill: float, prompts: int = 5) -> None:
        self.folder, self.name, self.skill, self.prompts = folder, name, skill, prompts
        self.random = random.Random(f"run of {name}")
        self.responses: list[Row] = []
        self.scores: list[Row] = []
        self.observations: list[Row] = []
        self.samples: dict[str, list[Row]] = {}
        self.results: dict[str, dict[str, Row]] = {}

    def draw(self, path: str, objects: Iterable[tuple[str, str]], text: str = "", size: int = 20) -> str:
        image = Image.new("RGB", (64, 64), (235, 235, 235))
        pen = ImageDraw.Draw(image)
        for i, (colour, shape) in enumerate(objects):
            x, y, r = 16 + 30 * (i % 2) + self.random.randint(-3, 3), 16 + 30 * (i // 2), 9
            box = (x - r, y - r, x + r, y + r)
            if shape == "circle":
                pen.ellipse(box, fill=COLOURS[colour])
            elif shape == "square":
                pen.rectangle(box, fill=COLOURS[colour])
            else:
                pen.polygon([(x, y - r), (x - r, y + r), (x + r, y + r)], fill=COLOURS[colour])
        if text:
            pen.text((6, 20), text, fill=(20, 20, 20), font_size=size)
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        image.save(file)
        return path

    def thing(self) -> tuple[str, str]:
        return self.random.choice(list(COLOURS)), self.random.choice(SHAPES)

    def respond(self, task: str, sample: str, index: int, prompt: str, **came: Any) -> None:
        kind = "drawing" if "image" in came else "question"
        self.responses.append(
            {
                "task": task,
                "sample": sample,
                "index": index,
                "id": f"{len(self.responses):016x}",
                "kind": kind,
                "prompt": prompt,
                "input_tokens": 20,
                "output_tokens": 4,
                "finish": "stop",
                **came,
            }
        )

    def judge(self, task: str, protocol: str, sample: Row, index: int, value: float | None, **more: Any) -> None:
        self.scores.append(
            {
                "task": task,
                "protocol": protocol,
                "sample": sample["id"],
                "index": index,
                "group": sample["group"],
                "category": sample["category"],
                "id": self.responses[-1]["id"],
                "value": value,
                "extracted": None,
                "reason": "",
                "parts": {},
                "failed": value is None,
                **more,
            }
        )

    def sample(self, task: str, **row: Any) -> Row:
        whole = {"target": {}, "metadata": {}, "images": [], "inputs": {}, "group": row["id"], **row}
        self.samples.setdefault(task, []).append(whole)
        return whole

    def estimate(self, scores: list[Row], unit: str = "fraction") -> Row:
        values = [s["value"] for s in scores if s["value"] is not None]
        failed = len(scores) - len(values)
        top = 100.0 if unit == "percent" else 1.0
        if not values:
            return {"value": None, "low": None, "high": None, "unit": unit, "n": 0, "failed": failed}
        p, n = sum(values) / len(values), len(values)
        scale, centre = 1 + 3.84 / n, p + 1.92 / n
        half = 1.96 * math.sqrt(p * (1 - p) / n + 0.96 / n / n)
        return {
            "value": p * top,
            "low": max(0.0, (centre - half) / scale) * top,
            "high": min(1.0, (centre + half) / scale) * top,
            "unit": unit,
            "n": n,
            "failed": failed,
        }

    def summarise(self, task: str, protocol: str, unit: str = "fraction", by: str = "", sized: bool = False) -> None:
        scores = [s for s in self.scores if s["task"] == task]
        scores = [s for s in scores if s["protocol"] == protocol]
        seen = {s["id"]: s["metadata"].get("seen", True) for s in self.samples[task]}
        metrics = {"overall": self.estimate(scores, unit)}
        for category in dict.fromkeys(s["category"] for s in scores):
            metrics[by + category] = self.estimate([s for s in scores if s["category"] == category], unit)
        for word, flag in (("seen", True), ("unseen", False)):
            metrics[word] = self.estimate([s for s in scores if seen[s["sample"]] is flag], unit)
        heights = {s["id"]: (s["category"], s["metadata"]["height"]) for s in self.samples[task]} if sized else {}
        for category, height in dict.fromkeys(heights.values()):
            chosen = [s for s in scores if heights[s["sample"]] == (category, height)]
            metrics[f"{category}_height_{height}"] = self.estimate(chosen, unit)
        hashes = {part: f"{part}-0123456789abcdef"[:16] for part in ("data", "ask", "observe", "judge", "settings")}
        self.results.setdefault(task, {})[protocol] = {
            "fingerprint": {**hashes, "weights": f"weights of {self.name}"},
            "metrics": metrics,
            "troubles": {OUT_OF_MEMORY: failed} if (failed := metrics["overall"]["failed"]) else {},
            "protocol": {
                "title": TITLES.get(task, task),
                "ask": {"images_per_prompt": 4, "data_seed": 0},
                "observe": OBSERVED.get(task, {}),
                "judge": {"threshold": 0.3, "max_objects": 16},
                "note": "the published rules and thresholds",
            },
        }

    def write(self, finished: bool = True, limit: int | None = None, **more: Any) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        model = {"name": self.name, "checkpoint": f"models/nano/{self.name}", "dtype": "float32", **more}
        run = {
            "schema": 1,
            "started": "2026-11-22T14:03:11",
            "model": model,
            "seed": 0,
            "limit": limit,
            "versions": {"janus-eval": "0.1.0", "torch": "2.14.1"},
            "machine": {"cpu": "x86_64", "cores": 2},
            "tasks": {task: list(found) for task, found in self.results.items()},
        }
        (self.folder / "run.json").write_text(json.dumps(run))
        for name, rows in (("responses", self.responses), ("scores", self.scores), ("observations", self.observations)):
            (self.folder / f"{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
        (self.folder / "samples").mkdir(exist_ok=True)
        for task, rows in self.samples.items():
            (self.folder / "samples" / f"{task}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
        timings = [{"stage": "respond", "task": "shapes-geneval", "n": 16, "seconds": 2.5, "output_tokens": 1024}] * 3
        (self.folder / "timings.jsonl").write_text("".join(json.dumps(r) + "\n" for r in timings))
        if finished:
            body = {"schema": 1, "model": model, "tasks": self.results}
            (self.folder / "results.json").write_text(json.dumps(body))
        return self.folder

    def geneval(self, fail: int = 0, task: str = "shapes-geneval") -> Builder:
        for category in CATEGORIES:
            for k in range(self.prompts):
                colour, shape = list(COLOURS)[k % 5], SHAPES[(k + len(category)) % 3]
                prompt = f"a photo of a {colour} {shape}"
                sample = self.sample(
                    task,
                    id=f"{category}-{k:03d}",
                    category=category,
                    inputs={"prompt": prompt},
                    target={"include": [{"class": shape, "count": 1, "color": colour}]},
                    metadata={"seen": k != 1},
                )
                for index in range(4):
                    right = self.random.random() < self.skill
                    if fail > 0 and category == "counting":
                        fail -= 1
                        self.respond(task, sample["id"], index, prompt, failure=OUT_OF_MEMORY)
                        self.judge(task, "official", sample, index, None, reason=OUT_OF_MEMORY)
                        continue
                    path = f"images/{task}/{sample['id']}/{index}.png"
                    things = [] if self.skill == 0 else [(colour, shape) if right else self.thing()]
                    self.respond(task, sample["id"], index, prompt, image=self.draw(path, things))
                    boxes = {shape: [[7, 7, 25, 25, 0.98]]} if things else {}
                    self.judge(
                        task,
                        "official",
                        sample,
                        index,
                        float(right),
                        extracted=boxes,
                        reason="" if right else f"{shape}: {len(things)} found, 1 x {colour} expected",
                    )
        self.summarise(task, "official")
        return self

    def mmbench(self, task: str = "shapes-mmbench", protocol: str = "circular") -> Builder:
        for category in ("attribute recognition", "counting"):
            for k in range(self.prompts):
                things = [self.thing() for _ in range(1 + k % 4)]
                picture = self.draw(f"images/inputs/{category[:3]}{k}.png", things)
                options = ["red", "green", "blue", "yellow"]
                for turn in range(4):
                    turned = options[turn:] + options[:turn]
                    letters = dict(zip("ABCD", turned, strict=True))
                    answer = "ABCD"[turned.index("blue")]
                    sample = self.sample(
                        task,
                        id=f"{category[:3]}{k}-{turn}",
                        group=f"{category[:3]}{k}",
                        category=category,
                        images=[picture],
                        inputs={"question": "What colour is the shape?", "options": letters},
                        target={"answer": answer},
                        metadata={"seen": k != 1},
                    )
                    right = self.random.random() < self.skill
                    said = answer if right else self.random.choice("ABCD".replace(answer, ""))
                    prompt = "What colour is the shape?\n" + "\n".join(f"{a}. {b}" for a, b in letters.items())
                    self.respond(task, sample["id"], 0, prompt, text=f"{said}. {letters[said]}")
                    self.judge(task, protocol, sample, 0, float(right), extracted=said)
        self.summarise(task, protocol, by="ability/")
        return self

    def dpg(self, task: str = "shapes-dpg", protocol: str = "fixed") -> Builder:
        for k in range(self.prompts):
            prompt = "A red circle left of a large blue square, above two small green triangles. " * 2
            questions = [{"id": n, "dependency": [0], "question": f"Is the {s} blue?"} for n, s in enumerate(SHAPES, 1)]
            sample = self.sample(
                task,
                id=f"dense-{k}",
                category="dense",
                inputs={"prompt": prompt.strip()},
                target={"questions": questions},
            )
            for index in range(4):
                value = min(1.0, max(0.0, self.skill + self.random.uniform(-0.2, 0.1)))
                path = f"images/{task}/{sample['id']}/{index}.png"
                self.respond(task, sample["id"], index, prompt, image=self.draw(path, [self.thing() for _ in range(3)]))
                self.judge(task, protocol, sample, index, value, extracted={"no": [2] if value < 1 else []})
        self.summarise(task, protocol, "percent")
        return self

    def ocr(self, kind: str) -> Builder:
        task = f"shapes-ocr-{kind}"
        for category, words, heights in (
            ("digits", ("7", "42", "305"), (28, 20, 14, 10, 7)),
            ("words", ("SUN", "OAK", "LID"), (20, 14, 10, 7)),
        ):
            for height in heights:
                for k in range(self.prompts + 1):
                    word = words[k % 3]
                    prompt = f'the word "{word}" in black' if kind == "write" else "What does the picture say?"
                    right = self.random.random() < self.skill * min(1.0, height / 14)
                    said = word if right else word[::-1] + "I"
                    path = f"images/{task if kind == 'write' else 'inputs'}/{category}-{height}-{k}/0.png"
                    self.draw(path, [], said if kind == "write" else word, height)
                    sample = self.sample(
                        task,
                        id=f"{category}-{height}-{k}",
                        category=category,
                        inputs={"question": prompt},
                        target={"text": word},
                        metadata={"height": height, "seen": k != 2},
                        images=[] if kind == "write" else [path],
                    )
                    came = {"image": path} if kind == "write" else {"text": said}
                    self.respond(task, sample["id"], 0, prompt, **came)
                    self.judge(
                        task,
                        "exact",
                        sample,
                        0,
                        float(right),
                        extracted=said,
                        reason="" if right else f"read {said!r}, expected {word!r}",
                        parts={"cer": 1.0 - right},
                    )
        self.summarise(task, "exact", sized=True)
        return self

    def everything(self, fail: int = 0) -> Builder:
        return self.mmbench().geneval(fail).dpg().ocr("read").ocr("write")

    def real(self) -> Builder:
        """The three published benchmarks, as they would be run in full."""
        return self.mmbench("mmbench", "paper").geneval(task="geneval").dpg("dpg", "official")


MakeRun = Callable[..., Builder]


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """``make_run(name, skill)`` -> a Builder whose folder lies under the test's own."""

    def make(name: str = "nano-janus-pro", skill: float = 0.8, **options: Any) -> Builder:
        return Builder(tmp_path / "runs" / name, name, skill, **options)

    return make


@pytest.fixture(scope="session")
def builder() -> type[Builder]:
    """For runs that several tests look at."""
    return Builder


@pytest.fixture(scope="session")
def three_runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A trained model with three failures, the ceiling and the floor; for looking at, not for changing."""
    folder = tmp_path_factory.mktemp("three")
    return [
        Builder(folder / "nano-janus-pro", "nano-janus-pro", 0.75).everything(fail=3).write(),
        Builder(folder / "oracle", "oracle", 1.0).everything().write(),
        Builder(folder / "blank", "blank", 0.0).everything().write(),
    ]


@pytest.fixture
def own_runs(three_runs: list[Path], tmp_path: Path) -> list[Path]:
    """Copies of the three runs that a test may spoil."""
    return [Path(shutil.copytree(run, tmp_path / "own" / run.name)) for run in three_runs]


def rewrite(file: Path, change: Callable[[Mapping[str, Any]], Any]) -> None:
    """Pass every line of a JSONL file through ``change``."""
    rows = [change(json.loads(text)) for text in file.read_text().splitlines()]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def change_lines() -> Callable[[Path, Callable[[Mapping[str, Any]], Any]], None]:
    return rewrite


NASTY = "<script>pwned = 1</script><img src=x onerror='pwned = 2'>\"' \u202e data:text/html,<script>pwned=3</script>"


@pytest.fixture(scope="module")
def shapes(three_runs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site of the shapes world, and in ``one.html`` the same as one file."""
    out = tmp_path_factory.mktemp("site") / "shapes"
    pages.write_site(three_runs, out)
    pages.write(three_runs, out / "one.html", each=False)
    return out


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """A site of the real benchmarks: two models in full, one of an evil name, one on a part of the data."""
    builder = request.getfixturevalue("builder")
    folder = tmp_path_factory.mktemp("real")
    runs = [builder(folder / str(n), f"Janus-Pro-{n}B", 0.6 + n / 30).real().write() for n in (1, 7)]
    evil = builder(folder / "evil", NASTY, 0.5, prompts=2).real()
    for row in evil.responses:
        row |= {"prompt": NASTY, **({"text": NASTY} if "text" in row else {})}
    for row in evil.scores:
        row |= {"reason": NASTY}
    runs.append(evil.write())
    runs.append(builder(folder / "part", "janus-flow", 0.7, prompts=2).real().write(limit=2))
    many = builder(folder / "many", "many", 0.5, prompts=60).geneval(task="geneval")
    runs.append(many.write(capabilities=["draw"]))
    for run in runs[3:4]:
        file = run / "results.json"
        file.write_text(file.read_text().replace("data-0123456789a", "data-part-456789"))
    pages.write_site(runs, folder / "real")
    return folder / "real"


@pytest.fixture(scope="module")
def chromium(request: pytest.FixtureRequest) -> Iterator[Any]:
    module = request.module
    with module.playwright.sync_playwright() as driver:
        yield (browser := driver.chromium.launch(executable_path=module.CHROMIUM, args=module.ARGUMENTS))
        browser.close()
