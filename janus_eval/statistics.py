"""Estimates: a mean with its 95% interval, for items that are independent or come in groups.

Score values are numbers in the unit of the estimate: a fraction lies in 0..1, percent and points in 0..100. Unscored
items (value None, so every failed request) never enter a mean; they are counted in ``failed``, which stands wherever
the number stands (docs/decisions/failed-requests.md).

Nothing here depends on the order of the items: they are sorted first, sums are exactly rounded, and the bootstrap's
seed is fixed, so equal scores give equal bytes in results.json.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from janus_eval.types import Estimate, Scored, Unit

Z95 = 1.959963984540054
RESAMPLES = 2000
SEED = 20250128
# The end of each scale; for dB that of the PSNR of 8-bit pictures, which differ by no less than rounding does.
TOP: dict[Unit, float] = {"fraction": 1.0, "percent": 100.0, "points": 100.0, "dB": 10 * math.log10(12 * 255**2)}

Floats = npt.NDArray[np.float64]


class Stratum(NamedTuple):
    """The groups of one category: sum of the values and number of items, each ``[groups]``."""

    sums: Floats
    counts: Floats

    @property
    def all_equal(self) -> bool:
        means = self.sums / self.counts
        return bool(np.ptp(means) <= 1e-12 * max(1.0, float(np.abs(means).max())))


def wilson(successes: float, n: float, z: float = Z95) -> tuple[float, float]:
    """Wilson's score interval for ``successes`` out of ``n`` > 0 (Wilson 1927, eq. for p-hat = successes / n).

    ``n`` may be fractional: an effective sample size.
    """
    p = min(max(successes / n, 0.0), 1.0)
    centre = p + z * z / (2 * n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)


def proportion(scored: Sequence[Scored], unit: Unit = "fraction") -> Estimate:
    """Mean of independent items with Wilson's interval.

    For values that are not all 0 or 1 the interval is conservative: no variable within 0..1 varies more than a
    yes-or-no with the same mean.
    """
    values = sorted(item.score.value for item in scored if item.score.value is not None)
    failed = len(scored) - len(values)
    if not values:
        return nothing(unit, failed)
    value = math.fsum(values) / len(values)
    return _wilson_estimate(value, len(values), unit, len(values), failed)


def grouped_mean(scored: Sequence[Scored], unit: Unit = "fraction") -> Estimate:
    """Mean over items; interval by resampling whole groups within each category."""
    return _bootstrap(scored, unit, "items")


def category_mean(scored: Sequence[Scored], unit: Unit = "fraction") -> Estimate:
    """Unweighted mean of the categories' means; interval by resampling whole groups within each category."""
    return _bootstrap(scored, unit, "categories")


def scaled(estimate: Estimate, factor: float, unit: Unit) -> Estimate:
    """The same estimate in another unit, e.g. ``scaled(estimate, 100, "percent")``; ``factor`` > 0."""
    assert factor > 0, factor

    def times(number: float | None) -> float | None:
        return None if number is None else number * factor

    return Estimate(times(estimate.value), times(estimate.low), times(estimate.high), unit, estimate.n, estimate.failed)


def nothing(unit: Unit, failed: int) -> Estimate:
    """The estimate of a metric over nothing: no number."""
    return Estimate(None, None, None, unit, 0, failed)


def _bootstrap(scored: Sequence[Scored], unit: Unit, weigh: Literal["items", "categories"]) -> Estimate:
    strata = _strata(scored)
    n = int(sum(stratum.counts.sum() for stratum in strata))
    failed = len(scored) - n
    if not strata:
        return nothing(unit, failed)
    totals = np.array([[math.fsum(stratum.sums), stratum.counts.sum()] for stratum in strata])
    value = float(_mean(totals[:, 0], totals[:, 1], weigh))
    if all(stratum.all_equal for stratum in strata):
        # Every resample would give the same mean: an interval of width zero that no one should believe.
        return _wilson_estimate(value, _effective_groups(strata, weigh), unit, n, failed)
    generator = np.random.default_rng(SEED)
    draws = [_resampled(stratum, TOP[unit], generator) for stratum in strata]
    sums, counts = (np.stack(part, axis=-1) for part in zip(*draws, strict=True))
    stretch = _small_sample_stretch(strata, weigh)
    low, high = value + stretch * (np.quantile(_mean(sums, counts, weigh), [0.025, 0.975]) - value)
    # Stretched deviations may step over the ends of the scale; only a metric that itself leaves it may.
    means = np.concatenate([stratum.sums / stratum.counts for stratum in strata])
    bottom = 0.0 if means.min() >= 0 else -math.inf
    top = TOP[unit] if means.max() <= TOP[unit] else math.inf
    found = Estimate(value, max(min(float(low), value), bottom), min(max(float(high), value), top), unit, n, failed)
    if math.isinf(top) or math.isinf(bottom):
        return found
    # Two groups say next to nothing of their spread, and Student's quantile may stretch over the whole scale. But no
    # variable within it spreads more than a yes-or-no with the same mean: that interval is the widest there can be.
    widest = _wilson_estimate(value, _effective_groups(strata, weigh), unit, n, failed)
    return min(found, widest, key=_width)


def _width(estimate: Estimate) -> float:
    assert estimate.low is not None and estimate.high is not None
    return estimate.high - estimate.low


def _strata(scored: Sequence[Scored]) -> list[Stratum]:
    """Scored items by category and group, both in sorted order; unscored ones left out."""
    values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for item in scored:
        if item.score.value is not None:
            values[item.sample.category][item.sample.group].append(item.score.value)
    return [
        Stratum(
            np.array([math.fsum(groups[name]) for name in sorted(groups)]),
            np.array([float(len(groups[name])) for name in sorted(groups)]),
        )
        for _, groups in sorted(values.items())
    ]


def _mean(sums: Floats, counts: Floats, weigh: Literal["items", "categories"]) -> Floats:
    """Means from the categories' sums and counts, both ``[..., categories]``."""
    if weigh == "items":
        return np.asarray(sums.sum(-1) / counts.sum(-1))
    return np.asarray((sums / counts).mean(-1))


def _resampled(stratum: Stratum, top: float, generator: np.random.Generator) -> tuple[Floats, Floats]:
    """Sums and counts of one category in each resample, both ``[resamples]``."""
    groups, count = len(stratum.counts), stratum.counts.sum()
    if stratum.all_equal:
        # This category would resample to itself and hide its doubt, though others vary. Its mean is drawn from the
        # posterior of a proportion under Jeffreys' prior, Beta(successes + 1/2, failures + 1/2), groups as trials.
        p = min(max(float(stratum.sums.sum() / count) / top, 0.0), 1.0)
        means = generator.beta(groups * p + 0.5, groups * (1 - p) + 0.5, RESAMPLES) * top
        return means * count, np.full(RESAMPLES, count)
    times = generator.multinomial(groups, np.full(groups, 1 / groups), RESAMPLES)
    # Resampling m of m groups gives a variance that is (m - 1) / m too small, which shows where a category has few
    # groups; stretching the deviations makes it unbiased (Rao and Wu 1988).
    stretch = math.sqrt(groups / (groups - 1))
    sums, counts = stratum.sums.sum(), stratum.counts.sum()
    return sums + stretch * (times @ stratum.sums - sums), counts + stretch * (times @ stratum.counts - counts)


def _small_sample_stretch(strata: Sequence[Stratum], weigh: Literal["items", "categories"]) -> float:
    """Student's 97.5% quantile over the normal one, at Satterthwaite's (1946) degrees of freedom.

    Few groups don't know their own spread well, so percentiles of resamples lie too close to the value. Categories
    whose groups agree have no spread to be wrong about.
    """
    variances, freedoms = [], []
    for weight, stratum in zip(_weights(strata, weigh), strata, strict=True):
        if not stratum.all_equal:
            groups = len(stratum.counts)
            residuals = (stratum.sums - stratum.counts * stratum.sums.sum() / stratum.counts.sum()) * groups
            variances.append(weight**2 * float(np.var(residuals / stratum.counts.sum(), ddof=1)) / groups)
            freedoms.append(groups - 1)
    freedom = math.fsum(variances) ** 2 / math.fsum(v * v / f for v, f in zip(variances, freedoms, strict=True))
    return float(stdtrit(freedom, 0.975)) / Z95


def _effective_groups(strata: Sequence[Stratum], weigh: Literal["items", "categories"]) -> float:
    """Number of independent groups whose plain mean would vary as much as the weighted mean of the categories does."""
    groups = np.array([len(stratum.counts) for stratum in strata])
    return float(1 / np.sum(_weights(strata, weigh) ** 2 / groups))


def _weights(strata: Sequence[Stratum], weigh: Literal["items", "categories"]) -> Floats:
    """What each category's mean counts in the whole."""
    counts = np.array([stratum.counts.sum() for stratum in strata])
    return counts / counts.sum() if weigh == "items" else np.full(len(strata), 1 / len(strata))


def _wilson_estimate(value: float, trials: float, unit: Unit, n: int, failed: int) -> Estimate:
    low, high = (bound * TOP[unit] for bound in wilson(value / TOP[unit] * trials, trials))
    return Estimate(value, min(low, value), max(high, value), unit, n, failed)
