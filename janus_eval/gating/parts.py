"""A metric taken apart: what every group adds to it.

A task's metric is a closed function. Most are a mean over groups, plain or of the categories' means, of something that
a group's own scores decide. So each group is measured alone, and the metric is taken for such a mean only where its
parts give back the whole, to the last digits. What is none (an FID, a rate over all characters) cannot be gated.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from janus_eval.gating.paired import Pairs
from janus_eval.gating.records import POINTS
from janus_eval.seams import Metric
from janus_eval.statistics import TOP
from janus_eval.types import Estimate, Scored, Unit

WHOLE = "a distance is of all pictures together: no sample has a part of its own in it"


class NoMeanError(ValueError):
    """The metric is no mean over groups."""


@dataclass(frozen=True)
class Groups:
    """What each (category, group) gives alone, and how many items it counts for."""

    values: dict[tuple[str, str], float]
    counts: dict[tuple[str, str], int]


def by_group(scored: Sequence[Scored]) -> dict[tuple[str, str], list[Scored]]:
    found: dict[tuple[str, str], list[Scored]] = defaultdict(list)
    for item in scored:
        found[item.sample.category, item.sample.group].append(item)
    return dict(sorted(found.items()))


def apart(metric: Metric, scored: Sequence[Scored]) -> Groups:
    """Every group's own estimate; those that the metric does not look at are left out."""
    alone = {key: metric(items) for key, items in by_group(scored).items()}
    there = {key: found for key, found in alone.items() if found.value is not None}
    return Groups(
        {key: found.value for key, found in there.items() if found.value is not None},
        {key: found.n for key, found in there.items()},
    )


def pairs(metric: Metric, other: Metric, before: Sequence[Scored], after: Sequence[Scored]) -> tuple[Pairs, Unit]:
    """The metric's groups on both sides, for scores of the same items. ``metric`` measures before, ``other`` after.

    Raises NoMeanError, with the reason in words, where the metric is no mean over groups.
    """
    wholes = metric(before), other(after)
    unit = wholes[0].unit
    if unit == "fid":
        raise NoMeanError(WHOLE)
    sides = apart(metric, before), apart(other, after)
    keys = sorted(sides[0].values)
    if keys != sorted(sides[1].values) or sides[0].counts != sides[1].counts:
        raise NoMeanError("it looks at other samples on each side")
    if not keys:
        raise NoMeanError("it has nothing to look at")
    counts = np.array([float(sides[0].counts[key]) for key in keys])
    for weights in (counts / counts.sum(), _by_category(keys, counts)):
        if all(_gives(side, keys, weights, whole) for side, whole in zip(sides, wholes, strict=True)):
            values = [np.array([side.values[key] for key in keys]) * POINTS[unit] for side in sides]
            strata = [category for category, _ in keys]
            top = TOP[unit] * POINTS[unit]
            return Pairs(values[0], values[1], weights, strata, top, [group for _, group in keys]), unit
    raise NoMeanError("it is no mean over groups of samples")


def _by_category(keys: Sequence[tuple[str, str]], counts: np.ndarray) -> np.ndarray:
    """Weights under which every category counts alike."""
    totals: dict[str, float] = defaultdict(float)
    for (category, _), count in zip(keys, counts.tolist(), strict=True):
        totals[category] += count
    return np.array([c / totals[key[0]] / len(totals) for key, c in zip(keys, counts.tolist(), strict=True)])


def _gives(side: Groups, keys: Sequence[tuple[str, str]], weights: np.ndarray, whole: Estimate) -> bool:
    if whole.value is None:
        return False
    total = math.fsum(weight * side.values[key] for weight, key in zip(weights.tolist(), keys, strict=True))
    return math.isclose(total, whole.value, rel_tol=1e-9, abs_tol=1e-9)
