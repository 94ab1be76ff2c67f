"""Knobs: named places in a protocol's tables (``judge.letters``), their values, and a protocol with some turned.

A task may declare some as ``knobs``, a sequence of ``Knob``, where its protocols don't differ in them anyway:
thresholds, habits of published tools, a smaller asking that is part of what is stored. All others are found by
comparing protocols.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import Enum
from typing import Any, NamedTuple, TypeAlias, cast

from janus_eval.fingerprint import digest
from janus_eval.types import JSON, Protocol

TABLES = ("ask", "observe", "judge")


class Absent(Enum):
    """Where a table has no such key: the task's own default."""

    ABSENT = "not given"


ABSENT = Absent.ABSENT
Value: TypeAlias = JSON | Absent
Point: TypeAlias = Mapping[str, Value]
"""What every knob stands at. An instrument's value is ``[name, version]``."""


class Knob(NamedTuple):
    """Values that a knob may be turned to, ABSENT for none, and why one would.

    Without ``values`` it only says something of a knob in which protocols differ.
    """

    name: str
    values: tuple[Value, ...] = ()
    note: str = ""
    usual: str = ""
    """What ABSENT comes to, in words."""
    beside: str = ""
    """A metric that it moves, where it can't move the headline."""


def knobs_of(task: Any) -> Sequence[Knob]:
    """What a task declares."""
    declared: Sequence[Knob] = getattr(task, "knobs", ())
    return declared


def flat(protocol: Protocol) -> dict[str, JSON]:
    """Every knob of a protocol by its dotted name."""
    tables = {"ask": protocol.ask, "observe": protocol.observe, "judge": protocol.judge}
    return {f"{part}.{key}": value for part, table in tables.items() for key, value in table.items()}


def turned(protocol: Protocol, point: Point) -> Protocol:
    """The protocol whose tables stand at ``point``; its names that are in no table are left out."""
    tables: dict[str, dict[str, JSON]] = {part: {} for part in TABLES}
    for name, value in point.items():
        part, _, key = name.partition(".")
        if part in tables and not isinstance(value, Absent):
            tables[part][key] = value
    # Their order is that in which instruments look, one at what the other saw.
    observe = {role: str(cast(Sequence[str], named)[0]) for role, named in tables["observe"].items()}
    return replace(protocol, ask=tables["ask"], observe=observe, judge=tables["judge"])


def differing(here: Mapping[str, Any], there: Mapping[str, Any]) -> list[str]:
    """Names of the knobs that stand otherwise, in the order of both."""
    return [name for name in {**here, **there} if here.get(name, ABSENT) != there.get(name, ABSENT)]


def alternatives(task: Any, protocol: Protocol) -> list[Knob]:
    """What can be turned without asking the model anything else: all in which the task's protocols of the same asking
    differ from this one, key by key, then what the task declares."""
    here = flat(protocol)
    found: dict[str, list[Value]] = {}
    declared = {knob.name: knob for knob in knobs_of(task)}
    for other in task.protocols.values():
        if digest(other.ask) == digest(protocol.ask):
            there = flat(other)
            for name in differing(here, there):
                found.setdefault(name, []).append(there.get(name, ABSENT))
    for name, knob in declared.items():
        if knob.values:
            found.setdefault(name, []).extend(knob.values)
    return [
        declared.get(name, Knob(name))._replace(
            values=tuple(v for v in _each_once(values) if v != here.get(name, ABSENT))
        )
        for name, values in found.items()
    ]


def _each_once(values: Sequence[Value]) -> list[Value]:
    return [value for place, value in enumerate(values) if value not in values[:place]]


def key_of(point: Point) -> str:
    """Equal for equal points."""
    return digest({name: value for name, value in point.items() if not isinstance(value, Absent)})


def words(value: Any) -> str:
    """A value as a reader wants it."""
    if isinstance(value, Absent):
        return str(value.value)
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, str):
        return value if value else '""'
    if isinstance(value, Sequence):
        return ", ".join(map(words, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def told(task: Any, name: str, here: Any, there: Any) -> tuple[str, str]:
    """Both values of a knob in words; an instrument's version only where its name does not tell the two apart."""
    if not name.startswith("observe."):
        usual = next((knob.usual for knob in knobs_of(task) if knob.name == name and knob.usual), ABSENT.value)
        one, other = (usual if isinstance(value, Absent) else words(value) for value in (here, there))
        return one, other
    named = [_instrument(value) for value in (here, there)]
    if named[0][0] == named[1][0]:
        return tuple(f"{instrument} ({version})" for instrument, version in named)  # type: ignore[return-value]
    return named[0][0], named[1][0]


def _instrument(value: Any) -> tuple[str, str]:
    return (
        (str(value[0]), str(value[1]))
        if isinstance(value, Sequence) and not isinstance(value, str)
        else (words(value), "")
    )
