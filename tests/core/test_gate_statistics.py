"""The gate's tests and intervals against counting by hand, exact enumeration and simulated checkpoints."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from janus_eval.gating import paired
from janus_eval.gating.gate import Asked
from janus_eval.gating.paired import Pairs
from janus_eval.gating.parts import NoMeanError, pairs
from janus_eval.gating.records import Change
from janus_eval.statistics import category_mean, grouped_mean, proportion
from janus_eval.types import Estimate, Sample, Score, Scored


def made(before: list[float], after: list[float], weights: list[float] | None = None, strata: str = "") -> Pairs:
    shares = np.array(weights or [1.0] * len(before))
    return Pairs(
        np.array(before) * 100.0,
        np.array(after) * 100.0,
        shares / shares.sum(),
        list(strata or "a" * len(before)),
        100.0,
    )


def table(both: int, lost: int, gained: int, neither: int) -> Pairs:
    before = [1.0] * both + [1.0] * lost + [0.0] * gained + [0.0] * neither
    after = [1.0] * both + [0.0] * lost + [1.0] * gained + [0.0] * neither
    return made(before, after)


def test_mcnemar_counts_what_changed() -> None:
    found = paired.change(table(40, 9, 2, 10))
    assert (found.method, found.fell, found.rose, found.groups) == ("McNemar", 9, 2, 61)
    assert found.p == pytest.approx(sum(math.comb(11, k) for k in (9, 10, 11)) / 2**11)
    assert found.by == pytest.approx(-700 / 61)
    assert paired.change(table(40, 2, 9, 10)).p > 0.99
    assert paired.change(table(40, 0, 0, 10)).p == 1


def test_sign_flips_are_mcnemar_where_groups_weigh_alike() -> None:
    plain = table(10, 7, 1, 3)
    # Another stratum's weight makes it no plain table; the groups that changed weigh alike, so the test is the same.
    other = made([*plain.before / 100, 1.0], [*plain.after / 100, 1.0], [1.0] * 21 + [2.0])
    assert not other.plain
    assert paired.change(other).p == pytest.approx(paired.change(plain).p)


def test_sign_flips_go_through_every_pattern() -> None:
    moved = np.array([-0.5, 0.25, -0.75, -0.1, 0.0, 0.3, -0.2])
    left = moved[moved != 0]
    sums = [
        sum(a * b for a, b in zip(signs, np.abs(left), strict=True)) for signs in itertools.product((-1, 1), repeat=6)
    ]
    assert paired.signs(moved) == pytest.approx(sum(total <= moved.sum() + 1e-12 for total in sums) / 64)
    assert (paired.signs(np.zeros(4)), paired.signs(np.array([-1.0])), paired.signs(np.array([1.0]))) == (1, 0.5, 1)


@pytest.mark.parametrize("cells", [(0.6, 0.1, 0.1, 0.2), (0.85, 0.05, 0.02, 0.08), (0.3, 0.25, 0.1, 0.35)])
def test_newcombes_interval_covers(cells: tuple[float, float, float, float]) -> None:
    """By going through all tables of 24 pairs, weighted by their chance."""
    pairs_, truth, covered = 24, (cells[2] - cells[1]) * 100, 0.0
    for lost, gained, neither in itertools.product(range(pairs_ + 1), repeat=3):
        both = pairs_ - lost - gained - neither
        if both >= 0:
            chance = stats.multinomial.pmf([both, lost, gained, neither], pairs_, cells)
            if chance > 1e-7:
                low, high = paired.newcombe(table(both, lost, gained, neither))
                covered += chance * (low <= truth <= high)
    # Where hardly any pair changes it is wider than it need be.
    assert 0.88 <= covered <= 0.99, covered


def drawn(generator: np.random.Generator, drop: float, sizes: tuple[int, ...] = (20, 25, 20, 24, 25, 25)) -> Pairs:
    """Four pictures a prompt, six categories that count alike; prompts are easy or hard for both checkpoints."""
    before, after, weights, strata = [], [], [], []
    for category, size in enumerate(sizes):
        easy = generator.beta(1.5, 1.0, size)
        before.append(generator.binomial(4, easy) / 4)
        after.append(generator.binomial(4, np.clip(easy - drop, 0, 1)) / 4)
        weights += [1 / len(sizes) / size] * size
        strata += [str(category)] * size
    return Pairs(np.concatenate(before) * 100, np.concatenate(after) * 100, np.array(weights), strata, 100.0)


def test_false_alarms_keep_to_their_level_and_drops_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paired, "FLIPS", 999)
    generator = np.random.default_rng(7)
    runs = 300
    null = [paired.change(drawn(generator, 0.0)) for _ in range(runs)]
    # 5% of 300 are 15; 26 or more would come by chance in less than 1 of 100 repetitions.
    assert sum(found.p <= 0.05 for found in null) < 26
    outside = sum(not found.low <= 0 <= found.high for found in null)  # type: ignore[operator]
    assert 12 <= outside <= 48, f"{outside} of {runs} intervals of 90% miss"
    assert sum(paired.change(drawn(generator, 0.1)).p <= 0.05 for _ in range(40)) >= 32


def test_the_fall_that_would_be_seen_is_seen_four_times_in_five(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paired, "FLIPS", 999)
    generator = np.random.default_rng(11)
    promised = [paired.seen(drawn(generator, 0.0), 1) for _ in range(20)]
    drop = float(np.mean([fall for fall in promised if fall is not None])) / 100
    # Clipping at 0 takes a little from the drop, which is made up for.
    falls = [paired.change(drawn(generator, drop * 1.08)) for _ in range(200)]
    assert np.mean([found.by for found in falls]) == pytest.approx(-100 * drop, rel=0.15)
    assert 0.68 <= np.mean([found.p <= 0.05 for found in falls]) <= 0.92


def test_holm() -> None:
    assert paired.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert paired.holm([0.9, 0.8]) == [1.0, 1.0] and paired.holm([]) == []


def test_a_single_group_and_single_group_categories() -> None:
    one = paired.change(made([0.5], [0.25]))
    assert (one.low, one.high, one.p) == (None, None, 0.5) and paired.seen(made([0.5], [0.25]), 1) is None
    found = paired.change(made([0.5, 0.75, 0.25], [0.25, 0.5, 0.25], strata="abc"))
    assert found.low is not None and found.low < found.by == pytest.approx(-50 / 3)


def test_intervals_stay_on_the_scale() -> None:
    found = paired.change(made([0.25, 0.75] * 6, [0.0] * 12))
    assert found.low == pytest.approx(-50) and found.high is not None and -50 < found.high < 0


def test_how_many_more_groups_would_decide() -> None:
    found = Change(0.0, -2.0, 2.0, 0.5, 100, 10, 10, "sign flips")
    assert paired.more(found, 1.0) == 300, "half the width takes four times as many"
    assert paired.more(replace(found, by=-1.0, low=-3.0), 1.0) is None
    assert paired.more(replace(found, by=-0.9999999, low=-3.0), 1.0) is None
    assert paired.more(replace(found, low=None), 1.0) is None


def test_names_of_metrics_whose_task_has_a_colon() -> None:
    one, part = Asked("lmms:mmmu", "plain", "overall"), Asked("lmms:mmmu", "plain", "art")
    assert [str(one), str(part)] == ["lmms:mmmu/plain", "lmms:mmmu/plain:art"]
    for name in ("lmms:mmmu", "lmms:mmmu/plain", "lmms:mmmu/plain:overall", "lmms:mmmu:overall"):
        assert one.matches(name) and not part.matches(name)
    assert part.matches("lmms:mmmu:art") and not part.matches("lmms") and not part.matches("lmms:art")


# Taking metrics apart


def scored(values: list[tuple[str, str, float]]) -> list[Scored]:
    samples = [Sample(str(n), {}, {}, group, category) for n, (category, group, _) in enumerate(values)]
    return [Scored(sample, 0, Score(value)) for sample, (_, _, value) in zip(samples, values, strict=True)]


ITEMS = [("a", "1", 1.0), ("a", "1", 0.0), ("a", "2", 1.0), ("b", "3", 0.0), ("b", "4", 0.5)]


@pytest.mark.parametrize(
    ("metric", "weights"),
    [(grouped_mean, [0.4, 0.2, 0.2, 0.2]), (category_mean, [1 / 3, 1 / 6, 0.25, 0.25])],
)
def test_means_come_apart_by_group(metric: object, weights: list[float]) -> None:
    before, after = scored(ITEMS), scored([(*head, 1.0 - value) for *head, value in ITEMS])  # type: ignore[misc]
    found, unit = pairs(metric, metric, before, after)  # type: ignore[arg-type]
    assert unit == "fraction" and found.weights.tolist() == pytest.approx(weights)
    assert found.before.tolist() == pytest.approx([50, 100, 0, 50]) and list(found.strata) == ["a", "a", "b", "b"]


def test_a_fold_over_groups_comes_apart() -> None:
    def all_right(items: list[Scored]) -> Estimate:
        groups: dict[str, float] = {}
        for item in items:
            assert item.score.value is not None
            groups[item.sample.group] = min(groups.get(item.sample.group, 1.0), item.score.value)
        return proportion(scored([("a", group, value) for group, value in groups.items()]))

    found, _ = pairs(all_right, all_right, scored(ITEMS), scored(ITEMS))  # type: ignore[arg-type]
    assert found.before.tolist() == pytest.approx([0, 100, 0, 50]) and found.weights.tolist() == pytest.approx(
        [0.25] * 4
    )


def test_what_is_no_mean_over_groups_is_refused() -> None:
    def spread(items: list[Scored]) -> Estimate:
        return Estimate(float(np.std([item.score.value or 0 for item in items])), None, None, "fraction", len(items))

    def distance(items: list[Scored]) -> Estimate:
        return Estimate(3.0, 2.0, 4.0, "fid", len(items))

    with pytest.raises(NoMeanError, match="no mean over groups"):
        pairs(spread, spread, scored(ITEMS), scored(ITEMS))  # type: ignore[arg-type]
    with pytest.raises(NoMeanError, match="all pictures together"):
        pairs(distance, distance, scored(ITEMS), scored(ITEMS))  # type: ignore[arg-type]
