"""The sequential gate on simulated checkpoints: false alarms, what it finds, and how much of the benchmark it spends.

``python -m benchmarks.gate_sequential``: three metrics are gated together. GenEval's shape: 553 prompts in six
categories that count alike, four pictures each. MMBench's: 1,164 questions that are right if all their four rotations
are. DPG's: 1,065 prompts, four pictures, of each the share of twelve questions that it answers. A prompt is easy or
hard for both checkpoints, and half of what chance decides, they share. A drop takes so many points from every prompt
that has them.

Decisions are those of ``janus_eval.gating.tracks``, for many runs at once; a test compares the two.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import stats

from benchmarks.gate import SIZES
from janus_eval.gating import betting, paired
from janus_eval.gating.betting import Floats
from janus_eval.gating.records import LEVEL
from janus_eval.gating.sequential import next_look
from janus_eval.gating.tracks import EARLY, END, MISSED
from janus_eval.statistics import wilson

Bools: TypeAlias = npt.NDArray[np.bool_]
Ints: TypeAlias = npt.NDArray[np.intp]
DROPS = (0.0, 1.0, 2.0, 5.0, 10.0)
SHARED = 0.5
"""Of pictures, answers and questions: how many come out by the same stroke of chance on both sides."""
BATCH = 100
FLIPS = 999
"""Sign patterns of the last test, the same for the runs of a batch; the gate draws ten times as many."""


class Sides(NamedTuple):
    """A metric of many simulated runs, groups in random order. ``before``, ``after``: ``[runs, groups]`` in 0..1;
    ``weights``: ``[runs, groups]``, each row summing to 1."""

    before: Floats
    after: Floats
    weights: Floats

    @property
    def plain(self) -> bool:
        """Whether groups are right or wrong and weigh alike: then the last test is McNemar's."""
        return bool(np.isin(self.before, (0, 1)).all() and np.ptp(self.weights) < 1e-9)

    @property
    def values(self) -> Floats:
        return np.asarray(self.weights.shape[1] * self.weights * (self.after - self.before))

    @property
    def bound(self) -> float:
        return float(self.weights.shape[1] * self.weights.max())


def chances(generator: np.random.Generator, shape: tuple[int, ...]) -> tuple[Floats, Floats]:
    """What decides on each side, partly the same."""
    ours, theirs = generator.random(shape), generator.random(shape)
    return ours, np.where(generator.random(shape) < SHARED, ours, theirs)


def geneval(generator: np.random.Generator, runs: int, drop: Floats, room: float = 0.0) -> Sides:
    """``drop``: by category; ``room``: no prompt is nearer to always or never right."""
    before, after, weights = [], [], []
    for size, fall in zip(SIZES.values(), drop.tolist(), strict=True):
        easy = room + (1 - 2 * room) * generator.beta(1.5, 1.0, (runs, size, 1))
        ours, theirs = chances(generator, (runs, size, 4))
        before.append((ours < easy).mean(-1))
        after.append((theirs < np.clip(easy - fall, 0, 1)).mean(-1))
        weights.append(np.full((runs, size), 1 / len(SIZES) / size))
    sides = [np.concatenate(parts, axis=1) for parts in (before, after, weights)]
    turn = generator.permuted(np.tile(np.arange(sides[0].shape[1]), (runs, 1)), axis=1)
    return Sides(*(np.take_along_axis(side, turn, axis=1) for side in sides))


def mmbench(generator: np.random.Generator, runs: int, drop: float) -> Sides:
    size = 1164
    right = generator.beta(1.6, 0.6, (runs, size, 1))
    ours, theirs = chances(generator, (runs, size, 4))
    before = (ours < right**0.25).all(-1).astype(float)
    after = (theirs < np.clip(right - drop, 0, 1) ** 0.25).all(-1).astype(float)
    return Sides(before, after, np.full((runs, size), 1 / size))


def dpg(generator: np.random.Generator, runs: int, drop: float) -> Sides:
    size = 1065
    share = generator.beta(4.0, 1.0, (runs, size, 1))
    # Pictures of a prompt differ by 20 points or so.
    ours, theirs = (stats.norm.ppf(side) * 0.2 for side in chances(generator, (runs, size, 4)))
    before, after = (np.clip(mean, 0, 1) for mean in (share + ours, share - drop + theirs))
    return Sides(
        np.round(before * 12).mean(-1) / 12, np.round(after * 12).mean(-1) / 12, np.full((runs, size), 1 / size)
    )


Maker: TypeAlias = Callable[[np.random.Generator, int, float], list[Sides]]
"""Generator, runs and drop in points -> the gated metrics."""


def together(generator: np.random.Generator, runs: int, drop: float) -> list[Sides]:
    fall = drop / 100
    return [
        geneval(generator, runs, np.full(6, fall)),
        mmbench(generator, runs, fall),
        dpg(generator, runs, fall),
    ]


def one_of_three(generator: np.random.Generator, runs: int, drop: float) -> list[Sides]:
    return [alone(generator, runs, drop)[0], *together(generator, runs, 0.0)[1:]]


def alone(generator: np.random.Generator, runs: int, drop: float) -> list[Sides]:
    return [geneval(generator, runs, np.full(6, drop / 100))]


def shifted(generator: np.random.Generator, runs: int, drop: float) -> list[Sides]:
    """Three categories rise by six points and three fall by as much: no fall, though hardly a prompt is as it was."""
    return [geneval(generator, runs, np.array([0.06, -0.06] * 3) + drop / 100, room=0.06)]


def last(sides: Sides, flips: Floats) -> Floats:
    """The ordinary test's p, of all groups; ``flips``: sign patterns, ``[patterns, groups]``."""
    moved = sides.values
    if sides.plain:
        fell, rose = (moved < 0).sum(1), (moved > 0).sum(1)
        return np.asarray(stats.binom.sf(fell - 1, fell + rose, 0.5))
    return np.asarray(((moved @ flips.T <= moved.sum(1, keepdims=True) + 1e-9).sum(1) + 1) / (len(flips) + 1))


class Found(NamedTuple):
    """Of many runs: whether they were called a regression, by this gate and by the ordinary one; groups looked at."""

    called: Bools
    ordinary: Bools
    looked: Floats


def gated(metrics: Sequence[Sides], flips: Sequence[Floats]) -> Found:
    """The gate on all metrics together, as it goes."""
    runs, tests = len(metrics[0].before), len(metrics)
    ends = np.array([last(sides, each) for sides, each in zip(metrics, flips, strict=True)])
    falls = [np.maximum.accumulate(betting.capital(-sides.values, 0.0, sides.bound), axis=1) for sides in metrics]
    looks = np.zeros((tests, runs), dtype=int)
    open_, chance = np.ones((tests, runs), dtype=bool), np.ones((tests, runs))
    running, called = np.ones(runs, dtype=bool), np.zeros(runs, dtype=bool)
    at = [0] * tests
    while running.any():
        for one, sides in enumerate(metrics):
            groups, asked = sides.before.shape[1], running & open_[one]
            at[one] = count = next_look(at[one], groups) if at[one] < groups else groups
            looks[one, asked] = count
            early = np.exp(-np.maximum(falls[one][:, count - 1], 0)) * LEVEL / EARLY
            chance[one, asked] = np.minimum(early, ends[one] * LEVEL / END if count == groups else 1)[asked]
        fell = running & (tests * chance.min(0) <= LEVEL)
        called |= fell
        for one, sides in enumerate(metrics):
            still = np.flatnonzero(running & open_[one] & ~fell)
            open_[one, still] = False if at[one] == sides.before.shape[1] else ~passes(sides, at[one], still, tests)
        running &= ~fell & open_.any(0)
    return Found(called, tests * ends.min(0) <= LEVEL, looks.sum(0))


def passes(sides: Sides, count: int, runs: Ints, tests: int) -> Bools:
    """Whether a fall that the whole benchmark would show is unlikely by now."""
    if not len(runs):
        return np.zeros(0, dtype=bool)
    values, level = sides.values[runs, :count], END / tests
    moved = np.abs(sides.after - sides.before)[runs, :count]
    some = (moved > 0).sum(1)
    step = np.where(some > 0, moved.sum(1) / np.maximum(some, 1), 1.0)
    least = paired.least_seen(sides.weights[0], level) * step
    error = values.std(1, ddof=1) / math.sqrt(sides.before.shape[1])
    seen = np.maximum(paired.errors_to_see(level) * error, least)
    within = np.minimum(seen, sides.bound * (1 - 1e-9))
    won = betting.capital(values, -within, sides.bound).max(1)
    return np.asarray((won >= math.log(1 / MISSED)) | (seen >= sides.bound))


def row(name: str, make: Maker, drop: float, runs: int) -> list[str]:
    """Name, drop, called a regression with its interval, by the ordinary gate, share of the benchmark spent."""
    generator = np.random.default_rng(20261126)
    found = []
    for start in range(0, runs, BATCH):
        metrics = make(generator, min(BATCH, runs - start), drop)
        flips = [generator.choice([-1.0, 1.0], (FLIPS, sides.before.shape[1])) for sides in metrics]
        found.append(gated(metrics, flips))
    groups = sum(sides.before.shape[1] for sides in metrics)
    called, ordinary, looked = (np.concatenate(parts) for parts in zip(*found, strict=True))
    low, high = wilson(float(called.sum()), runs)
    spent = looked / groups
    return [
        name,
        f"{drop:g}",
        f"{runs:,}",
        f"{called.mean():.1%} ({low:.1%} to {high:.1%})",
        f"{ordinary.mean():.1%}",
        f"{spent.mean():.0%}",
        f"{np.median(spent):.0%}",
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--null-runs", type=int, default=10_000, help="Runs without a drop.")
    parser.add_argument("--runs", type=int, default=2_000, help="Runs with one.")
    given = parser.parse_args(arguments)
    start = time.monotonic()
    print("| gated | drop | runs | called | called by the ordinary gate | spent, mean | median |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name, make in (("GenEval", alone), ("three, all fall", together), ("three, GenEval falls", one_of_three)):
        for drop in DROPS[make is one_of_three :]:
            print(f"| {' | '.join(row(name, make, drop, given.runs if drop else given.null_runs))} |", flush=True)
    print(f"| {' | '.join(row('GenEval, half up, half down', shifted, 0.0, given.null_runs))} |", flush=True)
    print(f"\n{time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
