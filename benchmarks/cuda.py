"""``python -m benchmarks.cuda [--only NAME] [--rounds N] [--codes N] [--out FILE.json]``: the comparisons on a GPU.

The published sizes in bfloat16, with random weights made on the device. Wall seconds, since a GPU's work is done when
it is done: every contender waits for the device before the clock is read. Needs a GPU of some 40 GiB.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks import asking, drawing, flowing
from benchmarks.measure import Comparison, Contender, Figure, interleaved, machine, quiet_threads
from benchmarks.midsize import CODES, large_config, largest_config, prompt_ids, random_model
from benchmarks.peers import script_draw, transformers_draw, transformers_janus
from janus_eval.models.janus_flow.config import GenDecoderConfig, GenEncoderConfig, JanusFlowConfig
from janus_eval.models.janus_pro.config import JanusProConfig
from janus_eval.models.parts import stepping

PLAIN = "janus-eval, plain steps"
SIZES: Mapping[str, Callable[[], JanusProConfig]] = {"1b": large_config, "7b": largest_config}
FLOW_STEPS = 30


def timed(name: str, go: Callable[[], object], share: float = 1.0) -> Contender:
    def whole() -> None:
        go()
        torch.cuda.synchronize()

    return Contender(name, whole, share)


@contextmanager
def plain_steps() -> Iterator[None]:
    """Within, no step is recorded."""
    worth, stepping.WORTH = stepping.WORTH, sys.maxsize
    try:
        yield
    finally:
        stepping.WORTH = worth


def peak_gib(go: Callable[[], object]) -> tuple[float, float]:
    """The most that was allocated on the device, and how much of it was there before."""
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    go()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() / 2**30, before / 2**30


def draw(size: str, images: int, codes: int, rounds: int) -> list[Comparison | Figure]:
    """``images`` pictures at once, up to the codes: of as many prompts, and by the script of one."""
    model = random_model(SIZES[size](), torch.bfloat16, "cuda")
    theirs: Any = transformers_janus(model)
    prompts = prompt_ids(images)

    def plainly() -> None:
        with plain_steps():
            drawing.our_draw(model, prompts, codes)

    def ours() -> None:
        drawing.our_draw(model, prompts, codes)

    few = min(codes, 4)
    drawing.our_draw(model, prompts, few), transformers_draw(theirs, prompts, few), script_draw(theirs, prompts[0], few)
    contenders = (
        timed(drawing.OURS, ours),
        timed(PLAIN, plainly),
        timed(drawing.THEIRS, lambda: transformers_draw(theirs, prompts, codes)),
        timed(drawing.SCRIPT, lambda: script_draw(theirs, prompts[0], codes, images=images)),
    )
    title = f"Janus-Pro-{size.upper()}, bfloat16: {images} image{'s' * (images > 1)} at once"
    costs = interleaved(contenders, rounds)
    peaks = {
        drawing.OURS: peak_gib(ours),
        drawing.THEIRS: peak_gib(lambda: transformers_draw(theirs, prompts, codes)),
    }
    found: list[Comparison | Figure] = [Comparison(title, "images", images, drawing.OURS, costs)]
    for name, (peak, before) in peaks.items():
        found.append(Figure(f"{title}: peak of {name}", "GiB", [peak]))
        found.append(Figure(f"{title}: of these the model", "GiB", [before]))
    return found


def flow_config() -> JanusFlowConfig:
    """JanusFlow-1.3B's sizes."""
    large = large_config()
    encoder = GenEncoderConfig(latent_channels=4, stride=2, kernel_size=2, padding=0)
    return JanusFlowConfig(large.vision, encoder, GenDecoderConfig(latent_channels=4, upsamples=1), large.language)


def flow(images: int, rounds: int) -> list[Comparison | Figure]:
    """Whole drawings up to the latents."""
    model = flowing.random_flow(flow_config(), torch.bfloat16, "cuda")
    setting = flowing.FlowSetting(model, flowing.transformers_decoder(model), 48, FLOW_STEPS, rounds)
    prompts = prompt_ids(1, 30) * images
    brief = setting._replace(steps=1)
    flowing.our_flow(brief, prompts), flowing.demo_flow(brief, prompts)
    contenders = (
        timed(flowing.OURS, lambda: flowing.our_flow(setting, prompts)),
        timed(flowing.DEMO, lambda: flowing.demo_flow(setting, prompts)),
    )
    title = f"JanusFlow-1.3B, bfloat16: {images} image{'s' * (images > 1)} at once, {FLOW_STEPS} steps"
    return [Comparison(title, "images", images, flowing.OURS, interleaved(contenders, rounds))]


def ask(rounds: int) -> list[Comparison | Figure]:
    """Questions that share an image, from picture and text for janus-eval."""
    pair = asking.load_pair(random_model(large_config(), torch.bfloat16, "cuda"), "cuda", "bfloat16")
    found: list[Comparison | Figure] = []
    for count, tokens in ((4, 60), (13, 20)):
        asked = asking.questions(count, tokens)
        whole = asking.whole_prompts(pair, asked)

        def ours(asked: Any = asked) -> None:
            asking.texts(pair, asked)

        def theirs(whole: Any = whole) -> None:
            asking.transformers_answer(pair.theirs, whole.prompts, whole.pixels, asking.NEW_TOKENS)

        ours(), theirs()
        costs = interleaved((timed(asking.OURS, ours), timed(asking.THEIRS, theirs)), rounds)
        found.append(
            Comparison(f"Janus-Pro-1B, bfloat16: {count} questions, one image", "questions", count, asking.OURS, costs)
        )
    return found


def table(found: Sequence[Comparison | Figure]) -> str:
    """Markdown, by wall seconds."""
    lines: list[str] = []
    for one in found:
        if isinstance(one, Figure):
            lines.append(one.row())
            continue
        lines += [
            f"\n### {one.title}\n",
            f"| | wall seconds | {one.unit} a second | times janus-eval's (range) |",
            "| --- | ---: | ---: | ---: |",
        ]
        for row in one.rows():
            wall, ratio = float(str(row["wall_seconds"])), row.get("wall_ratio")
            against = (
                f"{ratio['median']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f})" if isinstance(ratio, dict) else "1"
            )
            lines.append(f"| {row['contender']} | {wall:.3g} | {one.items / wall:.3g} | {against} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cuda", description="Speed beside others' on a GPU.")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="1b-4, 7b-16, flow-1, ask, ...")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--codes", type=int, default=CODES, help="of a picture")
    parser.add_argument("--out", type=Path, help="JSON with every round")
    options = parser.parse_args(arguments)
    quiet_threads(4)
    scenes: dict[str, Callable[[], list[Comparison | Figure]]] = {
        f"{size}-{images}": partial(draw, size, images, options.codes, options.rounds)
        for size in SIZES
        for images in (1, 4, 16, 64)
    }
    scenes |= {f"flow-{images}": partial(flow, images, options.rounds) for images in (1, 4, 16)}
    scenes["ask"] = partial(ask, options.rounds)
    unknown = set(options.only) - set(scenes)
    if unknown:
        parser.error(f"no scene {', '.join(sorted(unknown))}; there are {', '.join(scenes)}")
    if not torch.cuda.is_available():
        parser.error("needs a CUDA device; python -m benchmarks.run measures on a CPU")
    found: list[Comparison | Figure] = []
    for name in options.only or scenes:
        print(f"{name}:", file=sys.stderr, flush=True)
        found += scenes[name]()
        torch.cuda.empty_cache()
        if options.out is not None:
            where = machine(4) | {"accelerator": torch.cuda.get_device_name()}
            parts: dict[str, list[object]] = {"comparisons": [], "figures": []}
            for one in found:
                parts["comparisons" if isinstance(one, Comparison) else "figures"].append(one.as_json())
            options.out.write_text(json.dumps({"machine": where, **parts}, indent=1) + "\n", encoding="utf-8")
    print(table(found))


if __name__ == "__main__":
    main()
