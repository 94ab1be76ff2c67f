"""What an explanation says: plain records, for whoever puts them into words. Differences are in points: hundredths of a
fraction, percentage points, or points as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

from janus_eval.errors import UserError
from janus_eval.types import JSON, Estimate, Unit

SCHEMA = 1
Basis: TypeAlias = Literal["stated", "reproduced", "read in code", "inferred", "family default"]
"""How one knows: its authors say so; others got the figure with it; it stands in published code; nobody says so; it is
not known, but the family's own value is another."""


@dataclass(frozen=True)
class Fact:
    """How a figure was made, as far as somebody knows.

    ``knobs`` go together: ``settings.user_role``, ``judge.letters``, ``ask.images_per_prompt``, ..., ``protocol`` for
    all that a named one says, ``model`` as ``--model`` takes it, ``dtype``, ``seed``.
    """

    knobs: Mapping[str, JSON]
    source: str
    basis: Basis


@dataclass(frozen=True)
class Printed:
    """Somebody's number, with others of the same system by our names of the metrics, in the same unit."""

    name: str
    value: float
    unit: Unit
    source: str = ""
    facts: Sequence[Fact] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    notes: Sequence[str] = ()


class Difference(NamedTuple):
    """A knob that stood otherwise, and how one knows."""

    knob: str
    here: str
    there: str
    source: str = ""
    basis: str = ""


@dataclass(frozen=True)
class Effect:
    """What turning one knob does to this run's headline: ``by`` points, ``changed`` answers judged otherwise.

    ``beside`` tells what it does to another metric, where the task names one.
    """

    knob: str
    here: str
    there: str
    estimate: Estimate
    by: float
    changed: int
    note: str = ""
    beside: str = ""


@dataclass(frozen=True)
class Counted:
    """The headline under one of the task's protocols; where it can't be had from what is stored, the command that would
    get it, and whether it asks the model."""

    protocol: str
    note: str
    estimate: Estimate | None
    by: float | None
    lacks: Literal["", "an instrument", "the model"] = ""
    command: str = ""


@dataclass(frozen=True)
class Part:
    """A share of the gap. ``error``: standard error where orders were sampled, else 0.

    ``basis`` and ``source``: how one knows where the knob stood for a printed figure.
    """

    knob: str
    here: str
    there: str
    by: float
    error: float = 0.0
    note: str = ""
    basis: str = ""
    source: str = ""


@dataclass(frozen=True)
class Rest:
    """What no turned knob accounts for, with its 95% interval: against a printed figure all that is left over
    (``unexplained``), between two runs the answers themselves (``answers``).

    ``by`` completes the sum of the parts. ``alike`` is the difference with both judged as the other side was, which
    ``low`` and ``high`` bound; ``paired`` over how many groups of samples that both answered.
    """

    kind: Literal["unexplained", "answers"]
    by: float
    alike: float
    low: float | None
    high: float | None
    paired: int = 0
    differences: Sequence[Difference] = ()


@dataclass(frozen=True)
class Compared:
    """Another metric, this run judged as the other side was."""

    metric: str
    here: float
    there: float
    by: float


@dataclass(frozen=True)
class Gap:
    """``there`` minus ``here``, taken apart: the parts and the rest add up to ``by``.

    ``agreeing`` are knobs of which it is known that they stood alike, ``foreign`` those that this run doesn't have;
    ``orders`` is 0 where the shares are exact.
    """

    name: str
    here: float
    there: float
    by: float
    parts: Sequence[Part]
    rest: Rest
    agreeing: Sequence[str] = ()
    metrics: Sequence[Compared] = ()
    foreign: Sequence[str] = ()
    notes: Sequence[str] = ()
    orders: int = 0


@dataclass(frozen=True)
class Step:
    """What only a new run, or an instrument, can tell: the command, and its cost by this run's own timings."""

    differences: Sequence[Difference]
    command: str
    requests: int | None = None
    seconds: float | None = None
    note: str = ""
    together: bool = False
    """Whether it stands for all steps before it at once."""


@dataclass(frozen=True)
class Figure:
    """A figure that somebody printed for this model on this benchmark: ``by`` is it minus this run's headline.

    Its making is known to differ in ``differences`` and to agree in ``agreeing``.
    """

    name: str
    value: float
    by: float
    source: str
    differences: Sequence[Difference]
    agreeing: Sequence[str]


@dataclass(frozen=True)
class Explanation:
    """One task of one run. ``rejudged`` is the headline as this version judges it, where that is another number."""

    run: str
    model: str
    task: str
    title: str
    protocol: str
    unit: Unit
    recorded: Estimate
    rejudged: float | None
    effects: Sequence[Effect]
    protocols: Sequence[Counted]
    gap: Gap | None
    steps: Sequence[Step]
    figures: Sequence[Figure] = ()


def scale(unit: Unit) -> float:
    """Points to one of a unit."""
    return 100.0 if unit == "fraction" else 1.0


def in_unit(value: float, unit: Unit, wanted: Unit) -> float:
    """Fractions and percent into each other. Raises UserError for others, of which each benchmark has its own."""
    if unit == wanted:
        return value
    if {unit, wanted} != {"fraction", "percent"}:
        raise UserError(f"a figure in {unit} can't be held against a number in {wanted}")
    return value / 100 if unit == "percent" else value * 100
