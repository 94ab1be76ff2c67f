"""What is measured in processes of their own: memory, loading, starting up.

``python -m benchmarks.children JOB ...`` is such a process; it prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from benchmarks.measure import Child, Figure, child, own_peak_mib

CONTENDERS = {"janus-eval": "ours", "transformers": "transformers"}


def figures_of_memory(images: int, codes: int, rounds: int) -> list[Figure]:
    """Peak of a whole process that draws, and how far drawing rises above the loaded model."""
    found: list[Figure] = []
    peaks: dict[str, list[dict[str, float]]] = {name: [] for name in CONTENDERS}
    for _ in range(rounds):
        for name, key in CONTENDERS.items():
            peaks[name].append(job("draw", key, str(images), str(codes)))
    for name, rows in peaks.items():
        found.append(Figure(f"{name}: peak of drawing {images} images", "MiB", [row["peak"] for row in rows]))
        above = [row["peak"] - row["before"] for row in rows]
        found.append(Figure(f"{name}: of these above the loaded model", "MiB", above))
    return found


def figures_of_flow_memory(images: int, tokens: int) -> list[Figure]:
    """The same of drawing by flow, beside the published demo's way."""
    found: list[Figure] = []
    for name, key in {"janus-eval": "ours", "published demo's way": "demo"}.items():
        row = job("flow", key, str(images), str(tokens))
        what = f"{images} images of a prompt of {tokens} tokens by flow"
        found.append(Figure(f"{name}: peak of drawing {what}", "MiB", [row["peak"]]))
        found.append(Figure(f"{name}: of these above the loaded model", "MiB", [row["peak"] - row["before"]]))
    return found


def figures_of_loading(rounds: int) -> list[Figure]:
    """A checkpoint of Janus-Pro-1B's sizes in bfloat16, written for the purpose and deleted."""
    with tempfile.TemporaryDirectory() as folder:
        size = job("write-large", folder)["gib"]
        rows = [job("load", folder, "bfloat16") for _ in range(rounds)]
    label = f"1B-sized checkpoint ({size:.1f} GiB)"
    return [
        Figure(f"{label}: loaded, wall", "s", [row["wall"] for row in rows]),
        Figure(f"{label}: loaded, CPU", "s", [row["cpu"] for row in rows]),
        Figure(f"{label}: peak of the process", "MiB", [row["peak"] for row in rows]),
    ]


def figures_of_starting(rounds: int) -> list[Figure]:
    """The command line's help, and an answer by a mid-size model from nothing to the printed text."""
    with tempfile.TemporaryDirectory() as folder:
        job("write-mid", folder)
        model, shown = f"janus-pro:{folder}", str(Path(folder) / "picture.png")
        cases = {
            "janus-eval --help": ["--help"],
            "janus-eval ask, first answer": ["ask", model, shown, "w1 w2 w3", "--set", "max_answer_tokens=4"],
        }
        costs: dict[str, list[Child]] = {name: [] for name in cases}
        for _ in range(rounds):
            for name, arguments in cases.items():
                costs[name].append(child([sys.executable, "-m", "janus_eval", *arguments]))
    found: list[Figure] = []
    for name, rows in costs.items():
        found.append(Figure(f"{name}, wall", "s", [row.wall for row in rows]))
        found.append(Figure(f"{name}, CPU", "s", [row.cpu for row in rows]))
    return found


def job(*arguments: str) -> dict[str, float]:
    """Run one of the jobs below in a process of its own."""
    found: dict[str, float] = json.loads(child([sys.executable, "-m", "benchmarks.children", *arguments]).output)
    return found


def draw(contender: str, images: int, codes: int) -> dict[str, float]:
    from benchmarks.drawing import our_draw
    from benchmarks.midsize import mid_config, prompt_ids, random_model
    from benchmarks.peers import transformers_draw, transformers_janus

    import_module("transformers.models.janus.modeling_janus")  # in both processes: libraries weigh the same
    model = random_model(mid_config())
    if contender == "ours":
        before = own_peak_mib()
        our_draw(model, prompt_ids(images), codes)
    else:
        theirs = transformers_janus(model)
        before = own_peak_mib()
        transformers_draw(theirs, prompt_ids(images), codes)
    return {"before": before, "peak": own_peak_mib()}


def flow(contender: str, images: int, tokens: int) -> dict[str, float]:
    from benchmarks.flowing import demo_flow, flow_setting, our_flow
    from benchmarks.midsize import prompt_ids

    setting = flow_setting(steps=2, rounds=1)
    before = own_peak_mib()
    (our_flow if contender == "ours" else demo_flow)(setting, prompt_ids(1, tokens - 2) * images)
    return {"before": before, "peak": own_peak_mib()}


def load(folder: str, dtype: str) -> dict[str, float]:
    import torch  # noqa: F401 - importing it is no part of loading

    from janus_eval.models.janus_pro.family import janus_pro

    wall, cpu = time.perf_counter(), time.process_time()
    janus_pro.load(folder, janus_pro.Settings(), dtype=dtype)
    return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "peak": own_peak_mib()}


def write(folder: str, *, large: bool) -> dict[str, float]:
    import torch

    from benchmarks.midsize import large_config, mid_config, picture, random_model, write_checkpoint

    config = large_config() if large else mid_config()
    write_checkpoint(random_model(config, torch.bfloat16 if large else torch.float32), Path(folder))
    picture().load().save(Path(folder) / "picture.png")
    return {"gib": sum(path.stat().st_size for path in Path(folder).iterdir()) / 2**30}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.children")
    jobs = parser.add_subparsers(dest="job", required=True)
    drawing = jobs.add_parser("draw")
    drawing.add_argument("contender", choices=CONTENDERS.values())
    drawing.add_argument("images", type=int)
    drawing.add_argument("codes", type=int)
    flowing = jobs.add_parser("flow")
    flowing.add_argument("contender", choices=("ours", "demo"))
    flowing.add_argument("images", type=int)
    flowing.add_argument("tokens", type=int)
    loading = jobs.add_parser("load")
    loading.add_argument("folder")
    loading.add_argument("dtype")
    for name in ("write-mid", "write-large"):
        jobs.add_parser(name).add_argument("folder")
    options = parser.parse_args(arguments)
    if options.job == "draw":
        found = draw(options.contender, options.images, options.codes)
    elif options.job == "flow":
        found = flow(options.contender, options.images, options.tokens)
    elif options.job == "load":
        found = load(options.folder, options.dtype)
    else:
        found = write(options.folder, large=options.job == "write-large")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
