"""Confidence sequences: exact chances on small cases, whatever the stopping, and simulated ones on longer."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from janus_eval.gating import betting


def ever(rows: np.ndarray, chances: np.ndarray, level: float, bound: float = 1.0) -> float:
    """The exact chance that the capital ever reaches 1/level, when each row of values has its chance."""
    reached = betting.capital(rows, 0.0, bound).max(axis=1) >= math.log(1 / level)
    return float(chances[reached].sum())


@pytest.mark.parametrize("level", [0.2, 0.05, 0.01])
@pytest.mark.parametrize(
    "outcomes",
    [{-1.0: 0.5, 1.0: 0.5}, {-1.0: 0.1, 0.0: 0.8, 1.0: 0.1}, {-1.0: 0.2, 0.25: 0.8}, {-0.25: 0.8, 1.0: 0.2}],
    ids=["coins", "mostly ties", "rare falls", "rare rises"],
)
def test_whoever_stops_at_the_best_moment_is_wrong_no_more_often_than_stated(
    outcomes: dict[float, float], level: float
) -> None:
    """Gone through are all sequences of nine values with mean 0."""
    rows = np.array(list(itertools.product(outcomes, repeat=9)))
    chances = np.array([math.prod(outcomes[value] for value in row) for row in rows.tolist()])
    assert chances.sum() == pytest.approx(1)
    for side in (rows, -rows):
        assert ever(side, chances, level) <= level
    assert ever(rows, chances, 0.2) + ever(-rows, chances, 0.2) > 0, "it can be reached at all"


@pytest.mark.parametrize("level", [0.3, 0.1])
def test_a_finite_list_in_random_order_is_no_worse(level: float) -> None:
    """All orders of a list whose mean is 0, drawn without replacement."""
    for values in ([-1.0] * 5 + [1.0] * 5, [-1.0] * 2 + [0.25] * 8, [0.5] * 2 + [0.0] * 5 + [-1.0]):
        rows = np.array(sorted(set(itertools.permutations(values)))) if len(values) < 9 else _orders(values)
        for side in (rows, -rows):
            assert ever(side, np.full(len(rows), 1 / len(rows)), level) <= level


def _orders(values: list[float]) -> np.ndarray:
    """Of a list with two kinds of values."""
    low, high = sorted(set(values))
    places = itertools.combinations(range(len(values)), values.count(low))
    return np.array([[low if place in chosen else high for place in range(len(values))] for chosen in map(set, places)])


def test_the_capital_is_what_the_bets_bring() -> None:
    values, mean, bound = [0.5, -0.25, 1.0], -0.1, 1.5
    growth = [math.prod(1 + share * (x - mean) / (mean + bound) for x in values) for share in betting.SHARES.tolist()]
    assert math.exp(betting.capital(np.array(values), mean, bound)[-1]) == pytest.approx(np.mean(growth))
    several = betting.capital(np.array([values, values]), np.array([mean, 0.2]), bound)
    assert several[0].tolist() == pytest.approx(betting.capital(np.array(values), mean, bound).tolist())
    assert several[1, -1] < several[0, -1], "a higher mean is less exceeded"


def test_limits_hold_the_mean_at_all_times_and_come_near_it() -> None:
    generator, level, missed = np.random.default_rng(5), 0.1, np.zeros(2)
    for _ in range(100):
        values = generator.choice([-1.0, 0.0, 0.0, 0.5], 150)
        low, high = betting.limits(values, 1.0, level)  # those of the best moment so far
        missed += [low > -0.125, high < -0.125]
    # 10 of 100 are allowed; that each end was wrong now and then shows that they are not idle.
    assert 0 < missed[0] <= 10 and 0 < missed[1] <= 10
    assert high - low < 0.4


def test_limits_of_little() -> None:
    assert betting.limits(np.zeros(0), 1.15, 0.05) == (-1.15, 1.15)
    one = betting.limits(np.array([-1.0]), 1.0, 0.05)
    assert one.low == -1 and 0.9 < one.high < 1, "one value says hardly anything"
    for count in (10, 100, 1000):
        low, high = betting.limits(np.zeros(count), 1.0, 0.05)
        assert low == pytest.approx(-high)
        assert math.log(20) / (count + math.log(20)) < high < 5.5 / count, "no lower than what betting all would reach"
    assert betting.chance(np.zeros(50), 0.0, 1.0) == pytest.approx(1)
    assert betting.most(np.zeros(5), -2.0, 1.0) == math.inf, "no mean lies beyond the scale"
