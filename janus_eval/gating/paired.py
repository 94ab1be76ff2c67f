"""How sure a paired difference is: exact tests, and intervals by resampling whole groups within their categories.

Two checkpoints that are alike differ on a sample in one direction as often as in the other. So the chance of a fall is
had by giving every group's difference each sign, which is McNemar's exact test where groups are right or wrong (McNemar
1947; Fisher 1935 for measured differences). It needs no distribution and holds for any number of groups.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats
from scipy.special import gammaincinv, stdtrit

from janus_eval.gating.records import LEVEL, Change
from janus_eval.statistics import RESAMPLES, SEED, wilson

Floats = npt.NDArray[np.float64]
POWER = 0.8
FLIPS = 9999
"""Sign patterns that are drawn where there are too many to go through."""
EPSILON = 1e-9
MILLION = 1_000_000


@dataclass(frozen=True)
class Pairs:
    """Groups measured on both sides, in points, all arrays ``[groups]``. ``weights``: what a point of a group adds to
    the metric; they sum to 1. ``top``: the end of the scale, in points. ``names``: the groups', where somebody asks."""

    before: Floats
    after: Floats
    weights: Floats
    strata: Sequence[str]
    top: float
    names: Sequence[str] = ()

    @property
    def moved(self) -> Floats:
        """What each group adds to the metric's difference."""
        difference = self.after - self.before
        return np.where(np.abs(difference) > EPSILON * self.top, difference, 0.0) * self.weights

    @property
    def plain(self) -> bool:
        """Whether groups are right or wrong and weigh alike: then the counts of those that changed tell all."""
        values = np.concatenate([self.before, self.after])
        right_or_wrong = np.isclose(values, 0.0) | np.isclose(values, self.top)
        return bool(right_or_wrong.all() and np.ptp(self.weights) <= EPSILON)

    @property
    def reach(self) -> tuple[float, float]:
        """The furthest that the metric could have fallen and risen; without end where it leaves its scale."""
        values = np.concatenate([self.before, self.after])
        if values.min() < 0 or values.max() > self.top:
            return -math.inf, math.inf
        start = float(self.weights @ self.before)
        return -start, self.top - start

    def only(self, stratum: str) -> Pairs:
        """One stratum's groups as a whole of their own."""
        chosen = np.array([name == stratum for name in self.strata])
        weights = self.weights[chosen]
        return Pairs(
            self.before[chosen], self.after[chosen], weights / weights.sum(), [stratum] * int(chosen.sum()), self.top
        )


def change(pairs: Pairs, level: float = LEVEL) -> Change:
    """The difference, the chance of such a fall, and an interval each end of which errs with a chance of ``level``.
    Raises nothing; needs one group."""
    moved = pairs.moved
    fell, rose, groups = int((moved < 0).sum()), int((moved > 0).sum()), len(moved)
    by = math.fsum(moved.tolist())
    if pairs.plain:
        p = float(stats.binomtest(fell, fell + rose, 0.5, alternative="greater").pvalue) if fell + rose else 1.0
        low, high = newcombe(pairs, level)
        return Change(by, min(low, by), max(high, by), p, groups, fell, rose, "McNemar")
    # With fewer groups moved than could ever be significant, resampling them says little about those that might have.
    least = unseen(groups, pairs.top, level) if fell + rose < fewest(level) else 0.0
    interval = resampled(moved, pairs.strata, least, level)
    if interval is None:
        return Change(by, None, None, signs(moved), groups, fell, rose, "sign flips")
    bottom, top = pairs.reach
    low, high = max(by + interval[0], bottom), min(by + interval[1], top)
    return Change(by, min(low, by), max(high, by), signs(moved), groups, fell, rose, "sign flips")


def signs(moved: Floats) -> float:
    """The chance that differences of these sizes, each of either sign, sum to so little or less."""
    left = moved[moved != 0]
    if not len(left):
        return 1.0
    if len(left) == 1:  # too few for scipy's function: either sign is as likely
        return 0.5 if left[0] < 0 else 1.0
    found = stats.permutation_test(
        (left,),
        lambda x, axis: np.sum(x, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=FLIPS,
        batch=512,
        alternative="less",
        random_state=np.random.default_rng(SEED),
    )
    return float(found.pvalue)


def newcombe(pairs: Pairs, level: float = LEVEL) -> tuple[float, float]:
    """Newcombe's (1998) interval for a difference of paired proportions, his method 10, in points.

    Wilson's intervals of both sides, squared and added as if they were correlated as the pairs are.
    """
    groups = len(pairs.before)
    before, after = pairs.before > pairs.top / 2, pairs.after > pairs.top / 2
    both, gained, lost = (int(cell.sum()) for cell in (after & before, after & ~before, before & ~after))
    neither = groups - both - gained - lost
    z = float(stats.norm.ppf(1 - level))
    p1, p2 = (both + gained) / groups, (both + lost) / groups
    (low1, high1), (low2, high2) = (wilson(p * groups, groups, z) for p in (p1, p2))
    margins = (both + gained) * (lost + neither) * (both + lost) * (gained + neither)
    joint = float(both * neither - gained * lost)
    joint = max(joint - groups / 2, 0.0) if joint > 0 else joint
    phi = joint / math.sqrt(margins) if margins else 0.0
    low = math.sqrt(_squared(p1 - low1, high2 - p2, phi))
    high = math.sqrt(_squared(high1 - p1, p2 - low2, phi))
    return (p1 - p2 - low) * pairs.top, (p1 - p2 + high) * pairs.top


def _squared(a: float, b: float, phi: float) -> float:
    return max(a * a - 2 * phi * a * b + b * b, 0.0)


def unseen(groups: int, top: float, level: float) -> float:
    """Points that could have moved without one of so many groups showing it, but for a chance of ``level``: with none
    that moved the share of those that do is at most 1 - level^(1/groups)."""
    return top * float(1 - level ** (1 / groups))


def resampled(moved: Floats, strata: Sequence[str], least: float, level: float) -> tuple[float, float] | None:
    """The interval of a sum about itself, by resampling groups within their strata, at least ``least`` each way.

    Deviations are stretched for small strata and for few groups, as those of a run's own intervals are
    (``janus_eval.statistics``). None for one group alone.
    """
    blocks = _blocks(moved, strata)
    if len(moved) < 2:
        return None
    generator = np.random.default_rng(SEED)
    draws = np.zeros(RESAMPLES)
    for block in blocks:
        count = len(block)
        times = generator.multinomial(count, np.full(count, 1 / count), RESAMPLES)
        draws += math.sqrt(count / (count - 1)) * (times @ block - block.sum())
    low, high = np.quantile(draws, [level, 1 - level]) * _stretch(blocks, level)
    return min(float(low), -least), max(float(high), least)


def error(pairs: Pairs) -> float:
    """Standard error of the difference, in points; 0 for one group alone."""
    return 0.0 if len(pairs.before) < 2 else math.sqrt(sum(map(_variance, _blocks(pairs.moved, pairs.strata))))


def seen(pairs: Pairs, tests: int, level: float = LEVEL) -> float | None:
    """The smallest fall, in points, that would be found four times in five where ``tests`` metrics are gated.

    Not less than ``least_seen`` with groups that fall as far as they moved here (wholly, where none did); None where
    there are fewer groups than could be significant.
    """
    level, moved = level / tests, np.abs(pairs.after - pairs.before)
    if len(moved) < fewest(level):
        return None
    step = float(moved[moved > EPSILON * pairs.top].mean()) if pairs.moved.any() else pairs.top
    return max(errors_to_see(level) * error(pairs), least_seen(pairs.weights, level) * step)


def least_seen(weights: Floats, level: float) -> float:
    """Share of the metric that must be expected to fall, for the fewest groups that can be significant to do so four
    times in five: how many fall is Poisson's."""
    few = fewest(level)
    return min(1.0, float(np.sort(weights)[:few].mean() * gammaincinv(few, POWER)))


def errors_to_see(level: float) -> float:
    """Standard errors that a fall must have to be found at a level four times in five."""
    return float(stats.norm.ppf(1 - level) + stats.norm.ppf(POWER))


def fewest(level: float) -> int:
    """Groups that must fall, all of them, for the exact test to reach a level: each sign is as likely, 1 in 2^n."""
    return math.ceil(math.log2(1 / level))


def more(found: Change, margin: float) -> int | None:
    """How many groups beyond those there would bring the interval's lower end above ``-margin``, if the difference
    stays; None where the difference itself is at the margin or below, or so near it that a million would not do."""
    if found.low is None or found.by <= -margin:
        return None
    wanted = found.groups * ((found.by - found.low) / (found.by + margin)) ** 2
    return max(1, math.ceil(wanted) - found.groups) if wanted <= MILLION else None


def holm(chances: Sequence[float]) -> list[float]:
    """Holm's (1979) adjusted chances: compared with a level, they keep it over all of them together."""
    adjusted, highest = [0.0] * len(chances), 0.0
    for rank, place in enumerate(sorted(range(len(chances)), key=lambda i: chances[i])):
        highest = max(highest, min(1.0, (len(chances) - rank) * chances[place]))
        adjusted[place] = highest
    return adjusted


def _blocks(moved: Floats, strata: Sequence[str]) -> list[Floats]:
    """Differences by stratum. Strata of a single group, which tell no spread, stand together; one that is left over
    joins another."""
    found: dict[str, list[float]] = {}
    for stratum, value in zip(strata, moved.tolist(), strict=True):
        found.setdefault(stratum, []).append(value)
    whole = [values for values in found.values() if len(values) > 1]
    single = [values[0] for values in found.values() if len(values) == 1]
    if len(single) > 1 or not whole:
        whole.append(single)
    elif single:
        whole[-1] = [*whole[-1], *single]
    return [np.array(values) for values in whole if values]


def _variance(block: Floats) -> float:
    return len(block) * float(np.var(block, ddof=1))


def _stretch(blocks: Sequence[Floats], level: float) -> float:
    """Student's quantile over the normal one, at Satterthwaite's (1946) degrees of freedom."""
    spread = [(_variance(block), len(block) - 1) for block in blocks]
    total = sum(variance for variance, _ in spread)
    if not total:
        return 1.0
    freedom = total**2 / sum(variance**2 / count for variance, count in spread)
    return float(stdtrit(freedom, 1 - level) / stats.norm.ppf(1 - level))
