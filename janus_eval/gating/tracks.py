"""A gated metric while its samples come in, in random order, and what can be said of it so far.

docs/decisions/gate-sequential.md says what is decided and why.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np

from janus_eval.gating import betting, paired
from janus_eval.gating.betting import Floats
from janus_eval.gating.gate import Asked, unsure
from janus_eval.gating.paired import EPSILON, Pairs
from janus_eval.gating.records import LEVEL, Change, Spent, State

EARLY = LEVEL / 5
"""What of the level is for looking early."""
END = LEVEL - EARLY
"""What is left for the ordinary test, once, when all is seen."""
MISSED = 0.1
"""Chance that stopping early overlooks a fall that the whole benchmark would have shown."""


class Ruling(NamedTuple):
    """What is known of a metric; ``state`` is None while it is open. ``low`` and ``high`` in points."""

    state: State | None
    reason: str
    low: float
    high: float
    p: float
    seen: float | None
    more: int | None = None


@dataclass
class Track:
    """``base``: the baseline's side of all groups, in turn (its ``after`` means nothing); ``after``: the candidate's,
    in points, as far as it is known; ``margin`` in points; ``points``: one of the metric's unit."""

    asked: Asked
    base: Pairs
    margin: float | None = None
    points: float = 100.0
    after: list[float] = field(default_factory=list)
    _ended: dict[float, Change] = field(default_factory=dict)

    @cached_property
    def turns(self) -> list[str]:
        """Groups in turn; one that belongs to two categories is one group."""
        return list(dict.fromkeys(self.base.names))

    @property
    def spent(self) -> Spent:
        return Spent(len(set(self.base.names[: len(self.after)])), len(self.turns))

    @property
    def whole(self) -> bool:
        return len(self.after) == len(self.base.names)

    @cached_property
    def bound(self) -> float:
        """The furthest that a group's value can lie from 0: 1 where all groups weigh alike."""
        return float(self._by_group(self.base.weights).max())

    @property
    def moved(self) -> Floats:
        """Differences so far, as parts of the scale, before they are weighed."""
        difference = (np.array(self.after) - self.base.before[: len(self.after)]) / self.base.top
        return np.where(np.abs(difference) > EPSILON, difference, 0.0)

    @property
    def values(self) -> Floats:
        """What each group so far says of the metric's difference; over all groups their mean is the difference."""
        return self._by_group(self.moved * self.base.weights[: len(self.after)])

    def _by_group(self, weighed: Floats) -> Floats:
        found: dict[str, float] = {}
        for name, one in zip(self.base.names, weighed.tolist(), strict=False):
            found[name] = found.get(name, 0.0) + one
        return len(self.turns) * np.array(list(found.values()))

    def worse(self) -> float:
        """A p for a fall, or for one beyond the margin, that may be looked at at any time and again at the end."""
        reached = (self.margin or 0.0) / self.base.top
        found = betting.chance(-self.values, reached, self.bound) * LEVEL / EARLY
        if self.whole and self.margin is None:
            found = min(found, self.ended(END).p * LEVEL / END)
        return min(1.0, found)

    def ended(self, level: float) -> Change:
        """What the ordinary comparison says of all groups."""
        if level not in self._ended:
            base = self.base
            whole = Pairs(base.before, np.array(self.after), base.weights, base.strata, base.top, base.names)
            self._ended[level] = paired.change(whole, level)
        return self._ended[level]

    def seen(self, tests: int) -> float | None:
        """The smallest fall, in points, that the whole benchmark would show four times in five, by the spread so far;
        None where it has too few groups for any."""
        level, moved, values = END / tests, np.abs(self.moved), self.values
        if len(self.turns) < paired.fewest(level) or len(values) < 2:
            return None
        step = float(moved[moved > 0].mean()) if moved.any() else 1.0
        least = paired.least_seen(self.base.weights, level) * step
        error = float(values.std(ddof=1)) / math.sqrt(len(self.turns))
        return max(paired.errors_to_see(level) * error, least) * self.base.top


def rulings(tracks: Sequence[Track]) -> list[Ruling]:
    """Of all gated metrics together: Holm's correction spans them."""
    chances = paired.holm([track.worse() for track in tracks])
    return [_ruling(track, p, len(tracks)) for track, p in zip(tracks, chances, strict=True)]


def _ruling(track: Track, p: float, tests: int) -> Ruling:
    low, high = (end * track.base.top for end in betting.limits(track.values, track.bound, EARLY))
    if track.whole:
        end = track.ended(END)
        low = low if end.low is None else max(low, end.low)
        high = high if end.high is None else min(high, end.high)
    seen = track.seen(tests)
    state, reason, more = _by_margin(track, p, low, tests) if track.margin is not None else _by_test(track, p, seen)
    return Ruling(state, reason, low, high, p, seen, more)


def _by_test(track: Track, p: float, seen: float | None) -> tuple[State | None, str, int | None]:
    if p <= LEVEL:
        return "regression", f"worse, and by more than noise (p = {p:.2g})", None
    if track.whole:
        few = "so few groups that no fall could have been told from noise"
        return ("inconclusive", few, None) if seen is None else ("holds", "", None)
    enough = math.log(1 / MISSED)
    if seen is not None and betting.most(track.values, -seen / track.base.top, track.bound) >= enough:
        return "holds", f"a fall of {seen:.1f} points, the least that all would have shown, is unlikely", None
    return None, "", None


def _by_margin(track: Track, p: float, low: float, tests: int) -> tuple[State | None, str, int | None]:
    margin = track.margin
    assert margin is not None
    beyond = False
    if track.whole:
        # At the end the interval speaks too; its share of the level is divided, since one metric is enough to fail.
        high = track.ended(END / tests).high
        beyond = high is not None and high < -margin
    if p <= LEVEL or beyond:
        return "regression", f"worse by more than {margin:g} points", None
    if low > -margin:
        return "holds", f"not worse by {margin:g} points or more", None
    return unsure(track.ended(END), margin) if track.whole else (None, "", None)
