"""Confidence sequences for a mean: limits that hold at whatever moment one looks, however often.

Somebody bets a share ``t`` of a capital on every next value being above a mean ``m``, at fair odds if ``m`` is the
mean. If it is, or is less, the capital does not grow in expectation, and the chance that it ever reaches 1/level is at
most ``level`` (Ville 1939). So an ``m`` against which the capital once reached that is excluded: Waudby-Smith and
Ramdas 2024 (Estimating means of bounded random variables by betting, J. R. Stat. Soc. B 86). The shares
need not be chosen: the capital is split evenly over ``SHARES``, all held to the end (Cover 1991).

Values lie in ``-bound..bound``. That each has the mean ``m`` given those before it is all that is supposed: no
distribution, no number of values, no limit to their spread.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
SHARES = (np.arange(20) + 0.5) / 20
"""Even over 0..1, since a share that is right for a clear difference finds it early, which is what this is for."""
STEPS = 40
"""Halvings of an interval in the search for a limit: to a billionth of the scale."""


class Limits(NamedTuple):
    low: float
    high: float


def capital(values: Floats, mean: float | Floats, bound: float) -> Floats:
    """The logarithm of what 1 has become after each value, by betting on a mean above ``mean``.

    ``values``: ``[..., t]`` within ``-bound..bound``; ``mean``: one, or ``[...]``, above ``-bound``. Returns
    ``[..., t]``. A bet on a mean below is one on the negated values above the negated mean.
    """
    start = np.asarray(mean, dtype=np.float64)[..., None]
    gains = (values - start) / (start + bound)
    paths = [np.cumsum(np.log1p(share * gains), axis=-1) for share in SHARES.tolist()]
    whole = paths[0]
    for path in paths[1:]:
        whole = np.logaddexp(whole, path)
    return np.asarray(whole - math.log(len(SHARES)))


def most(values: Floats, mean: float, bound: float) -> float:
    """The logarithm of the most that the capital has been; 0, the start, for no values."""
    if not -bound < mean:
        return math.inf if len(values) else 0.0
    return max(0.0, float(capital(values, mean, bound).max())) if len(values) else 0.0


def chance(values: Floats, mean: float, bound: float) -> float:
    """A bound on the chance of evidence as strong, at any time, for a mean above ``mean`` if it is none: a p that may
    be looked at after every value."""
    return math.exp(-most(values, mean, bound))


def limits(values: Floats, bound: float, level: float) -> Limits:
    """Limits of the mean, each of which is ever wrong with a chance of at most ``level``."""
    return Limits(_low(values, bound, level), -_low(-values, bound, level))


def _low(values: Floats, bound: float, level: float) -> float:
    """The lowest mean that is not excluded: what is won on one above ``m`` falls with ``m``."""
    low, high, enough = -bound, bound, math.log(1 / level)
    if most(values, low + 1e-9 * bound, bound) < enough:
        return low
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if most(values, middle, bound) >= enough else (low, middle)
    return low
