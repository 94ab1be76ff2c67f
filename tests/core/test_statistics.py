from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from janus_eval.seams import Metric
from janus_eval.statistics import category_mean, grouped_mean, proportion, scaled, wilson
from janus_eval.types import Estimate, Sample, Score, Scored


def item(value: float | None, group: str = "g", category: str = "c", name: str = "s", failed: bool = False) -> Scored:
    return Scored(Sample(name, {}, {}, group, category), 0, Score(value), failed)


def table(rows: list[tuple[int, int, float]]) -> list[Scored]:
    """(category, group, value) -> scored items."""
    return [item(value, f"g{c}.{g}", f"c{c}", f"s{k}") for k, (c, g, value) in enumerate(rows)]


SCORES = st.integers(0, 64).map(lambda k: k / 64)
ROWS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5), SCORES), min_size=1, max_size=40)
METRICS = pytest.mark.parametrize("metric", [proportion, grouped_mean, category_mean])


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_against_published_values(successes: int, n: int, low: float, high: float) -> None:
    """Newcombe 1998, table I, method 3."""
    assert wilson(successes, n) == pytest.approx((low, high), abs=5e-5)


def test_means() -> None:
    rows = table([(0, 0, 1.0), (0, 0, 0.0), (0, 1, 1.0), (1, 0, 0.0)])
    assert grouped_mean(rows).value == pytest.approx(0.5)
    assert category_mean(rows).value == pytest.approx((2 / 3 + 0) / 2)


@METRICS
def test_nothing_scored_is_no_number(metric: Metric) -> None:
    assert metric([]) == Estimate(None, None, None, "fraction", 0, 0)
    assert metric([item(None, failed=True), item(None)]) == Estimate(None, None, None, "fraction", 0, 2)


@METRICS
def test_failures_are_counted_and_leave_the_mean_alone(metric: Metric) -> None:
    estimate = metric([item(1.0, "a"), item(0.0, "b"), item(None, "c", failed=True)])
    assert (estimate.value, estimate.n, estimate.failed) == (0.5, 2, 1)


@METRICS
@pytest.mark.parametrize("value", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("groups", [1, 2, 30])
def test_equal_scores_still_have_an_interval(metric: Metric, value: float, groups: int) -> None:
    estimate = metric([item(value, f"g{g}", f"c{g % 3}") for g in range(groups) for _ in range(4)])
    assert estimate.low is not None and estimate.high is not None
    assert estimate.high - estimate.low > 0.01


def test_equal_scores_count_groups_not_items() -> None:
    """Ten prompts of four pictures are ten trials, however many pictures."""
    estimate = grouped_mean([item(1.0, f"g{g}") for g in range(10) for _ in range(4)])
    assert (estimate.low, estimate.high) == pytest.approx(wilson(10, 10))


def test_categories_that_agree_within_but_not_between_have_an_interval() -> None:
    estimate = category_mean([item(float(c), f"g{c}.{g}", f"c{c}") for c in (0, 1) for g in range(10)])
    assert (estimate.low, estimate.high) == pytest.approx(wilson(10, 20))


def test_few_groups_that_differ_do_not_leave_the_whole_scale_open() -> None:
    """Student's quantile at one degree of freedom would stretch over it; no spread is greater than a yes-or-no's."""
    rows = [
        item(float(c == 0 and g == 0), f"g{c}.{g}", f"c{c}")
        for c, groups in ((0, 2), (1, 2), (2, 2))
        for g in range(groups)
    ]
    for metric in (grouped_mean, category_mean):
        estimate = metric([row for row in rows for _ in range(4)])
        assert (estimate.low, estimate.high) == pytest.approx(wilson(1, 6)), metric.__name__
    beyond = [item(float(4 * g), f"g{g}") for g in range(2)]  # an error rate is no share: nothing bounds its spread
    assert width(grouped_mean(beyond)) > 4


def test_one_sure_category_adds_its_doubt() -> None:
    """A category that is always right resamples to itself; its doubt must still widen the whole."""
    unsure = [item(float(g % 2), f"g{g}", "unsure") for g in range(40)]
    few = [item(1.0, f"h{g}", "sure") for g in range(3)]
    many = [item(1.0, f"h{g}", "sure") for g in range(300)]
    assert width(category_mean(unsure + few)) > 1.2 * width(category_mean(unsure + many))


def width(estimate: Estimate) -> float:
    assert estimate.low is not None and estimate.high is not None
    return estimate.high - estimate.low


@settings(max_examples=60, deadline=None)
@given(rows=ROWS, seed=st.integers(0, 100))
def test_interval_holds_the_value_and_order_does_not_matter(rows: list[tuple[int, int, float]], seed: int) -> None:
    items = table(rows)
    shuffled = items[:]
    random.Random(seed).shuffle(shuffled)
    for metric in (proportion, grouped_mean, category_mean):
        estimate = metric(items)
        assert estimate == metric(shuffled)
        assert estimate.value is not None and estimate.low is not None and estimate.high is not None
        assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1
        assert estimate.high > estimate.low
        assert all(type(number) is float for number in (estimate.value, estimate.low, estimate.high))


@settings(max_examples=25, deadline=None)
@given(rows=ROWS)
def test_percent_is_a_hundred_times_the_fraction(rows: list[tuple[int, int, float]]) -> None:
    items = table(rows)
    hundredfold = table([(c, g, 100 * value) for c, g, value in rows])
    for metric in (proportion, grouped_mean, category_mean):
        ours, theirs = scaled(metric(items), 100, "percent"), metric(hundredfold, "percent")
        for name in ("value", "low", "high"):
            assert getattr(ours, name) == pytest.approx(getattr(theirs, name), abs=1e-6)


@pytest.mark.parametrize(
    ("metric", "categories", "groups", "items"),
    [(category_mean, 6, 8, 4), (grouped_mean, 1, 30, 4), (proportion, 1, 60, 1)],
)
def test_coverage(metric: Metric, categories: int, groups: int, items: int) -> None:
    """About 95 of 100 intervals must hold the truth, with images that depend on each other within a prompt."""
    generator = np.random.default_rng(7)
    truths = [0.97, 0.8, 0.5, 0.9, 0.65, 0.55][:categories] if categories > 1 else [0.7]
    hits, trials = 0, 150
    for _ in range(trials):
        scored = []
        for c, truth in enumerate(truths):
            for g in range(groups):
                chance = generator.beta(2 * truth, 2 * (1 - truth)) if items > 1 else truth
                scored += [item(float(generator.random() < chance), f"{c}.{g}", f"c{c}") for _ in range(items)]
        estimate = metric(scored)
        assert estimate.low is not None and estimate.high is not None
        hits += estimate.low <= math.fsum(truths) / len(truths) <= estimate.high
    assert 0.89 <= hits / trials <= 0.995
