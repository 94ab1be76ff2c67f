"""Shapley values of games whose answer is known, and the jackknife of differences whose spread is known."""

from __future__ import annotations

import math
import random
import statistics
from itertools import combinations

import pytest
from scipy.special import stdtrit

from janus_eval.explaining.paired import blocks, jackknife
from janus_eval.explaining.shares import MOST_EXACT, coalitions, orders, shares
from janus_eval.types import Sample, Score, Scored


def test_changes_that_do_not_meet_have_what_each_does_alone() -> None:
    worth = [3.0, -1.5, 0.0]
    found = shares(orders([None] * 3), lambda made: 10 + sum(worth[n] for n in made))
    assert [share.value for share in found] == pytest.approx(worth)
    assert all(share.error == 0 for share in found)


def test_what_two_changes_do_only_together_is_halved() -> None:
    found = shares(orders([None] * 2), lambda made: 8.0 if len(made) == 2 else 1.0 if 0 in made else 0.0)
    # Alone the first adds 1; last it adds 8. The second adds 0, or 7.
    assert [share.value for share in found] == [4.5, 3.5]


def test_the_glove_game() -> None:
    """Shapley's own example: one left glove, two right ones; a pair is worth 1."""
    found = shares(orders([None] * 3), lambda made: float(0 in made and len(made) > 1))
    assert [share.value for share in found] == pytest.approx([2 / 3, 1 / 6, 1 / 6])


def test_against_the_formula_over_coalitions() -> None:
    stream, players = random.Random(0), range(4)
    sets = [frozenset(s) for size in range(5) for s in combinations(players, size)]
    value = {made: stream.random() for made in sets}
    found = shares(orders([None] * 4), value.__getitem__)
    for n in players:
        expected = sum(
            math.factorial(len(s)) * math.factorial(3 - len(s)) / math.factorial(4) * (value[s | {n}] - value[s])
            for s in sets
            if n not in s
        )
        assert found[n].value == pytest.approx(expected)


def test_a_change_that_must_come_first_does() -> None:
    # 0 before 1 before 2, and 3 at any time.
    found = orders([0, 1, 2, None])
    assert sorted(found) == [(0, 1, 2, 3), (0, 1, 3, 2), (0, 3, 1, 2), (3, 0, 1, 2)]
    assert len(orders([0, 0, 1])) == 2 and len(orders([None, 0, 0])) == 6
    for order in orders([2, 1, 0, *[None] * MOST_EXACT]):
        assert order.index(2) < order.index(1) < order.index(0) and len(set(order)) == MOST_EXACT + 3


@pytest.mark.parametrize("changes", [0, 1, 4, MOST_EXACT, MOST_EXACT + 2])
def test_shares_add_up(changes: int) -> None:
    stream = random.Random(changes)
    taken = orders([None] * changes)
    value = {made: stream.random() for made in sorted(coalitions(taken), key=sorted)}
    whole = value[frozenset(range(changes))] - value[frozenset()]
    assert math.fsum(share.value for share in shares(taken, value.__getitem__)) == pytest.approx(whole, abs=1e-12)


def test_sampled_orders_know_how_far_off_they_may_be() -> None:
    changes = MOST_EXACT + 2
    # What a change adds depends on how many are made before it: 0, 1, ..., 7, the same for all.
    found = shares(orders([None] * changes), lambda made: len(made) * (len(made) - 1) / 2)
    assert all(share.error < 1e-9 for share in found)  # an order and its reverse cancel here
    assert [share.value for share in found] == pytest.approx([(changes - 1) / 2] * changes)
    uneven = shares(orders([None] * changes), lambda made: float({0, 1} <= made))
    assert uneven[2].value == 0 and uneven[0].value == pytest.approx(0.5, abs=3 * max(uneven[0].error, 0.01))
    assert len(coalitions(orders([None] * changes))) < 2**changes


def scored(values: list[float], categories: int = 1) -> list[Scored]:
    return [
        Scored(Sample(str(n), {}, {}, f"g{n}", f"c{n % categories}"), 0, Score(value)) for n, value in enumerate(values)
    ]


def test_the_jackknife_of_a_mean_is_its_standard_error() -> None:
    stream = random.Random(1)
    values = [stream.gauss(0, 2) for _ in range(12)]
    items = scored(values)
    parts = blocks(items, most=12)
    mean = statistics.fmean(values)

    def measure(keep: object) -> float:
        return statistics.fmean(item.score.value or 0.0 for item in items if keep(item))  # type: ignore[operator]

    found = jackknife(mean, parts, measure)
    half = float(stdtrit(11, 0.975)) * statistics.stdev(values) / math.sqrt(12)
    assert found is not None and found.high - mean == pytest.approx(half) and mean - found.low == pytest.approx(half)


def test_blocks_leave_every_category_something() -> None:
    items = scored([1.0] * 10, categories=3)
    parts = blocks([*items, *scored([1.0])[:0]], most=4)
    assert len(parts) == 4 and len(frozenset().union(*parts)) == 10
    for part in parts:
        assert {c for c, _ in part} and {f"c{n}" for n in range(3)} == {
            item.sample.category for item in items if (item.sample.category, item.sample.group) not in part
        }
    lone = [*items, Scored(Sample("x", {}, {}, "x", "lone"), 0, Score(1.0))]
    assert all(("lone", "x") not in part for part in blocks(lone))


def test_too_little_has_no_interval() -> None:
    assert jackknife(0.0, blocks(scored([1.0])), lambda keep: 0.0) is None
    assert jackknife(0.0, blocks(scored([1.0, 0.0])), lambda keep: None) is None
