"""Intervals of aggregations that are no means: as wide as the bootstrap's where both can be had, honest at the ends."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from janus_eval.statistics import grouped_mean
from janus_eval.tasks.lmms.measures import GroupMean, Measure
from janus_eval.types import Estimate, Sample, Score, Scored, Unit


def scores(
    values: Sequence[float | None], *, per_group: int = 1, categories: int = 2, unit: Unit = "fraction"
) -> list[Scored]:
    found = []
    for place, value in enumerate(values):
        group = place // per_group
        metadata = {"units": {"m": unit}}
        sample = Sample(str(place), {}, {"task": "t"}, f"g{group}", f"c{group % categories}", metadata=metadata)
        found.append(Scored(sample, 0, Score(value, parts={} if value is None else {"m": value}), value is None))
    return found


def measure(aggregate: Callable[[list[float]], Any], *, own: bool = False, top: float | None = None) -> Measure:
    """``own``: items have scores of their own, of which the aggregation may be the mean."""
    task = SimpleNamespace(aggregation=lambda: {"m": aggregate})
    return Measure("t", "m", lambda scored: task, lambda task, item: float(item) if own else None, top)


def mean(items: Sequence[float]) -> float:
    return sum(items) / len(items)


def width(estimate: Estimate) -> float:
    assert estimate.low is not None and estimate.high is not None
    return estimate.high - estimate.low


@pytest.mark.parametrize(("per_group", "n"), [(1, 300), (5, 300), (1, 2000)])
def test_the_jackknife_is_as_wide_as_the_bootstrap(per_group: int, n: int) -> None:
    draw = random.Random(n + per_group)
    values = [
        float(draw.random() < 0.3 + 0.4 * (draw.random() < 0.5))
        for _ in range(n // per_group)
        for _ in range(per_group)
    ]
    scored = scores(values, per_group=per_group)
    ours, reference = measure(mean)(scored), grouped_mean(scored)
    assert ours.value == reference.value and (ours.n, ours.failed) == (n, 0)
    assert width(ours) == pytest.approx(width(reference), rel=0.12)
    assert measure(mean, own=True)(scored) == reference, "a mean is known for one"


def test_a_percentage_of_a_mean_has_its_interval() -> None:
    scored = scores([0.0, 1.0, 1.0, 0.0, 1.0, 1.0], unit="percent")
    found = measure(lambda items: 100 * mean(items), own=True)(scored)
    fraction = grouped_mean(scored)
    assert fraction.low is not None
    assert (found.value, found.low, found.unit) == (
        pytest.approx(400 / 6),
        pytest.approx(100 * fraction.low),
        "percent",
    )


def test_where_nothing_moves_the_interval_is_a_proportions() -> None:
    right = measure(max)(scores([1.0] * 20))
    assert right.value == right.high == 1.0 and right.low is not None and 0.8 < right.low < 0.9
    points = scores([1.0] * 20, unit="points")
    assert measure(lambda items: 400.0)(points) == Estimate(400.0, None, None, "points", 20, 0), (
        "no end of the scale is known"
    )
    known = measure(lambda items: 400.0, top=200.0)(points)
    assert known.high == 400.0 and known.low is not None and 320 < known.low < 400


def test_failures_are_counted_and_an_aggregation_that_fails_says_so() -> None:
    scored = scores([1.0, None, 0.0, 1.0])
    found, remark = measure(mean).measured(scored)
    assert (found.value, found.n, found.failed, remark) == (pytest.approx(2 / 3), 3, 1, "")

    def fails(items: Sequence[float]) -> float:
        raise ValueError("no")

    found, remark = measure(fails).measured(scored)
    assert found == Estimate(None, None, None, "fraction", 0, 1)
    assert remark == "m: its aggregation fails: ValueError: no"
    assert measure(mean)(scores([None, None])) == Estimate(None, None, None, "fraction", 0, 2)


def test_a_groups_figure_adds_variances() -> None:
    def part(value: float, half: float, n: int) -> Callable[[Sequence[Scored]], Estimate]:
        return lambda scored: Estimate(value, value - half, value + half, "fraction", n, 1)

    found = GroupMean([part(0.2, 0.06, 100), part(0.6, 0.08, 300)], by_size=False)([])
    assert found.value == pytest.approx(0.4) and (found.n, found.failed) == (400, 2)
    assert width(found) == pytest.approx(2 * 0.05)
    assert GroupMean([part(0.2, 0.06, 100), part(0.6, 0.08, 300)], by_size=True)([]).value == pytest.approx(0.5)
