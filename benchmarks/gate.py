"""How often the gate cries wolf, and what it sees: simulated checkpoints on a benchmark of GenEval's shape.

``python -m benchmarks.gate --runs 1000``: 553 prompts in six categories that count alike, four pictures each. A prompt
is easy or hard for both checkpoints; a drop makes every prompt harder by so many points. Beside the paired test stands
what two separate scores would tell: whether the drop exceeds 1.645 standard errors of their difference.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from janus_eval.gating import paired
from janus_eval.gating.paired import Pairs

SIZES = {"single_object": 80, "two_object": 99, "counting": 80, "colors": 94, "position": 100, "color_attr": 100}
DROPS = (0.0, 1.0, 2.0, 5.0, 10.0)
PICTURES = 4
FLIPS = 999
"""Sign patterns a test: a tenth of the gate's, which moves a p of 0.05 by 0.007 or so and no rate here."""


def simulated(generator: np.random.Generator, drop: float) -> Pairs:
    """``drop`` in points, of every prompt that has so many to lose."""
    before, after, weights, strata = [], [], [], []
    for category, size in SIZES.items():
        easy = generator.beta(1.5, 1.0, size)
        before.append(generator.binomial(PICTURES, easy) / PICTURES)
        after.append(generator.binomial(PICTURES, np.clip(easy - drop / 100, 0, 1)) / PICTURES)
        weights += [1 / len(SIZES) / size] * size
        strata += [category] * size
    return Pairs(np.concatenate(before) * 100, np.concatenate(after) * 100, np.array(weights), strata, 100.0)


def apart(pairs: Pairs) -> float:
    """Standard error of the difference if the two scores were of different samples."""
    sides = [replace(pairs, after=np.zeros_like(side)) for side in (pairs.before, pairs.after)]
    errors = [
        paired.error(replace(side, before=values))
        for side, values in zip(sides, (pairs.before, pairs.after), strict=True)
    ]
    return math.hypot(*errors)


def row(generator: np.random.Generator, drop: float, runs: int) -> list[str]:
    alarms = separate = covered = 0
    seen, by = [], []
    for _ in range(runs):
        pairs = simulated(generator, drop)
        found = paired.change(pairs)
        alarms += found.p <= 0.05
        separate += found.by <= -1.645 * apart(pairs)
        covered += found.low is not None and found.high is not None and found.low <= -drop <= found.high
        seen.append(paired.seen(pairs, 1) or math.nan)
        by.append(found.by)
    shares = [f"{count / runs:.1%}" for count in (alarms, separate, covered)]
    return [f"{drop:g}", f"{np.mean(by):+.2f}", *shares, f"{np.mean(seen):.1f}"]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=1000)
    runs = parser.parse_args(arguments).runs
    paired.FLIPS = FLIPS
    print("| drop | mean change | called | called, unpaired | in the 90% interval | seen |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    for place, drop in enumerate(DROPS):
        print(f"| {' | '.join(row(np.random.default_rng(place), drop, runs))} |", flush=True)


if __name__ == "__main__":
    main()
