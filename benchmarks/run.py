"""``python -m benchmarks.run [--threads N] [--quick] [--only NAME] [--out FILE.json]``, from the repository root.

Prints tables in Markdown, and writes what it has found so far to FILE.json after every scene: a run that is killed
leaves what it finished. docs/performance.md says what is measured and how.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import children
from benchmarks.measure import Comparison, Figure, Report, machine, quiet_threads

if TYPE_CHECKING:
    from benchmarks.asking import Pair
    from benchmarks.drawing import Setting
    from benchmarks.flowing import FlowSetting


@dataclass(frozen=True)
class Scale:
    """How much of everything is done."""

    codes: int = 576
    flow_steps: int = 6
    drawing_rounds: int = 3
    short_rounds: int = 7
    child_rounds: int = 3
    detector_batches: Sequence[int] = (1, 4)
    coloured_pictures: int = 16
    read_pictures: int = 8


INSTRUMENTS = ("judging", "reader", "colours", "detector")
FULL = Scale()
QUICK = Scale(32, 1, drawing_rounds=1, short_rounds=2, child_rounds=1, detector_batches=(1,), coloured_pictures=1)


class Bench:
    """The scenes at one scale. Models are made when a scene first needs them."""

    def __init__(self, scale: Scale) -> None:
        self.scale = scale

    @cached_property
    def drawing(self) -> Setting:
        from benchmarks.drawing import Setting, our_draw
        from benchmarks.midsize import mid_config, prompt_ids, random_model
        from benchmarks.peers import script_draw, transformers_draw, transformers_janus

        model = random_model(mid_config())
        theirs = transformers_janus(model)
        prompts = prompt_ids(2)  # what is done once, on first use, is not measured
        our_draw(model, prompts, 2), transformers_draw(theirs, prompts, 2), script_draw(theirs, prompts[0], 2)
        return Setting(model, theirs, self.scale.codes, self.scale.drawing_rounds)

    @cached_property
    def asking(self) -> Pair:
        from benchmarks.asking import load_pair, shared_image
        from benchmarks.midsize import mid_config, random_model

        pair = load_pair(random_model(mid_config()))
        shared_image(pair, 1, 4, 1)
        return pair

    def ask(self, count: int, tokens: int) -> list[Comparison | Figure]:
        from benchmarks.asking import shared_image

        return [shared_image(self.asking, count, tokens, self.scale.short_rounds)]

    def draw(self, scene: str) -> list[Comparison | Figure]:
        from benchmarks import drawing

        if scene == "products":
            brisk = self.drawing._replace(rounds=self.scale.short_rounds)
            return [drawing.products(brisk, 8), drawing.products(brisk, 32)]
        made: Comparison | Figure = getattr(drawing, scene)(self.drawing)
        return [made]

    @cached_property
    def flowing(self) -> FlowSetting:
        from benchmarks.flowing import demo_flow, flow_setting, our_flow
        from benchmarks.midsize import prompt_ids

        setting = flow_setting(self.scale.flow_steps, self.scale.drawing_rounds)
        once = setting._replace(steps=1)
        our_flow(once, prompt_ids(1)), demo_flow(once, prompt_ids(1))
        return setting

    def flow(self) -> list[Comparison | Figure]:
        from benchmarks.flowing import flow_scene

        return [flow_scene(self.flowing, tokens, images) for images in (1, 4) for tokens in (20, 200)]

    def instruments(self, scene: str) -> Sequence[Comparison | Figure]:
        from benchmarks import instruments

        rounds = self.scale.drawing_rounds
        if scene == "detector":
            detector = instruments.random_detector()
            more = (16,) if detector._device.type == "cuda" else ()
            return instruments.detector_pace(detector, (*self.scale.detector_batches, *more), rounds)
        if scene == "colours":
            return instruments.colours_pace(instruments.random_colours(), self.scale.coloured_pictures, rounds)
        if scene == "reader":
            return instruments.reading_pace(self.scale.read_pictures, rounds)
        return instruments.judging(instruments.Scale(), rounds)

    def scenes(self) -> dict[str, Callable[[], Sequence[Comparison | Figure]]]:
        """By name, in the order in which they run: short ones first."""
        rounds, codes = self.scale.child_rounds, self.scale.codes
        return {
            "startup": lambda: children.figures_of_starting(self.scale.short_rounds),
            "asking-4": lambda: self.ask(4, 60),
            "asking-13": lambda: self.ask(13, 20),
            "products": lambda: self.draw("products"),
            "pixels": lambda: self.draw("pixels_of_one"),
            "drawing-4": lambda: self.draw("four_images"),
            "drawing-16": lambda: self.draw("sixteen_images"),
            "drawing-prompts": lambda: self.draw("sixteen_prompts"),
            "flow": self.flow,
            "load": lambda: children.figures_of_loading(rounds),
            "memory": lambda: children.figures_of_memory(16, codes, 1),
            "flow-memory": lambda: children.figures_of_flow_memory(4, 200),
            **{f"instruments-{name}": partial(self.instruments, name) for name in INSTRUMENTS},
        }


def run(only: Sequence[str], *, threads: int, quick: bool, out: Path | None) -> Report:
    """Run the scenes named, or all; the report so far is written after each."""
    quiet_threads(threads)
    scenes = Bench(QUICK if quick else FULL).scenes()
    report, where = Report(), machine(threads)
    for name in only or scenes:
        print(f"{name}:", file=sys.stderr, flush=True)
        for found in scenes[name]():
            if isinstance(found, Comparison):
                report.comparisons.append(found)
            else:
                report.figures.append(found)
        if out is not None:
            after = {"load_average_after": os.getloadavg(), "quick": quick}
            content = {"machine": where | after, **report.as_json()}
            out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return report


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description="Speed and memory beside others'.")
    parser.add_argument("--threads", type=int, default=1, help="of every contender (default: 1)")
    parser.add_argument("--quick", action="store_true", help="a few minutes; figures mean little")
    parser.add_argument("--only", action="append", default=[], choices=list(Bench(FULL).scenes()), metavar="NAME")
    parser.add_argument("--out", type=Path, help="JSON with every round")
    options = parser.parse_args(arguments)
    print(run(options.only, threads=options.threads, quick=options.quick, out=options.out).table())


if __name__ == "__main__":
    main()
