"""What a gate says: plain records, for whoever puts them into words. Differences are in points: hundredths of a
fraction, percentage points, or points as they are; a fall is negative."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from janus_eval.types import Unit

SCHEMA = 1
LEVEL = 0.05
"""Chance of a false alarm over all gated metrics; and each end of an interval is passed by chance so often."""
POINTS: Mapping[Unit, float] = {"fraction": 100.0, "percent": 1.0, "points": 1.0, "dB": 1.0, "fid": 1.0}
State: TypeAlias = Literal["holds", "regression", "inconclusive", "not comparable"]
CODES: Mapping[State, int] = {"holds": 0, "regression": 1, "inconclusive": 3, "not comparable": 3}


@dataclass(frozen=True)
class Change:
    """A paired difference over ``groups``, of which some fell and some rose.

    ``low`` and ``high`` bound its 90% interval; None where a single group tells no spread. ``p``: the chance of such a
    fall if both were alike.
    """

    by: float
    low: float | None
    high: float | None
    p: float
    groups: int
    fell: int
    rose: int
    method: str


@dataclass(frozen=True)
class Part:
    """What one category did: its own change, and how many points of the whole's change are its."""

    category: str
    change: Change
    share: float


@dataclass(frozen=True)
class Beside:
    """Another metric of the same task, which explains and is not gated; values in its unit."""

    name: str
    unit: Unit
    before: float | None
    after: float | None


@dataclass(frozen=True)
class Spent:
    """Groups that a sequential gate looked at, of those there are."""

    groups: int
    of: int


@dataclass(frozen=True)
class Row:
    """One gated metric. ``before`` and ``after`` are in ``unit``.

    ``seen``: the smallest fall, in points, that this comparison would have called a regression four times in five; None
    where it could not have seen any. ``p`` is Holm's, over all gated metrics. ``more``: groups that would have to be
    added for an answer, if the difference stays what it is; None where no number would.
    """

    task: str
    protocol: str
    metric: str
    unit: Unit
    before: float | None
    after: float | None
    state: State
    reason: str
    change: Change | None = None
    p: float | None = None
    seen: float | None = None
    margin: float | None = None
    more: int | None = None
    parts: Sequence[Part] = ()
    beside: Sequence[Beside] = ()
    spent: Spent | None = None

    @property
    def name(self) -> str:
        whole = f"{self.task}/{self.protocol}"
        return whole if self.metric == "overall" else f"{whole}:{self.metric}"


@dataclass(frozen=True)
class Refusal:
    """Why a task under a protocol is not compared: the part that differs, what of it, whether ``--allow`` takes it."""

    where: str
    part: str
    text: str
    allowable: bool = True


@dataclass(frozen=True)
class Fallen:
    """A sample that must hold and did not; scores are the means over its requests."""

    task: str
    protocol: str
    sample: str
    before: float
    after: float | None


@dataclass(frozen=True)
class Flip:
    """A response that is judged otherwise than the baseline's."""

    task: str
    protocol: str
    category: str
    sample: str
    index: int
    before: float
    after: float


@dataclass(frozen=True)
class Course:
    """How a sequential gate went: the order's number, the requests it needed and all there are; ``replayed`` where the
    candidate had been asked all of them before."""

    order: int
    asked: int
    of: int
    replayed: bool


@dataclass(frozen=True)
class Verdict:
    """All that a gate found. ``accepted`` are the differences that ``--allow`` took knowingly."""

    candidate: str
    baseline: str
    rows: Sequence[Row]
    refusals: Sequence[Refusal] = ()
    accepted: Sequence[Refusal] = ()
    fallen: Sequence[Fallen] = ()
    held: int = 0
    """Samples that must hold and did."""
    notes: Sequence[str] = ()
    flips: Sequence[Flip] = ()
    accept: str = ""
    """The command that makes the candidate the new baseline."""
    course: Course | None = None
    """Of a sequential gate."""
    schema: int = field(default=SCHEMA)

    @property
    def state(self) -> State:
        """A regression weighs more than a comparison that could not be made."""
        if self.fallen or any(row.state == "regression" for row in self.rows):
            return "regression"
        if self.refusals or not self.rows or any(row.state == "not comparable" for row in self.rows):
            return "not comparable"
        return "inconclusive" if any(row.state == "inconclusive" for row in self.rows) else "holds"

    @property
    def code(self) -> int:
        return CODES[self.state]
