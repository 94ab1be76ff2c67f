"""What each knob, and each of the task's protocols, does to one run's headline: nothing is asked but the scorers."""

from __future__ import annotations

from collections.abc import Iterator

from janus_eval.explaining.knobs import ABSENT, Knob, Point, Value, alternatives, flat, told
from janus_eval.explaining.records import Counted, Effect, scale
from janus_eval.explaining.reruns import run_command, score_command
from janus_eval.explaining.side import FAILURES, ROWS, WRONG, Side
from janus_eval.types import Estimate, Protocol


def effects(side: Side) -> list[Effect]:
    """One a knob and value that stored answers can be judged by, each alone turned from where the run had it."""
    turns = [
        (knob, value)
        for knob in [*alternatives(side.task, side.protocol), *_instruments(side), *_failures(side)]
        for named in knob.values
        if (value := side.resolved(knob.name, named)) is not None and value != side.start.get(knob.name)
    ]
    turns = [turn for place, turn in enumerate(turns) if turn not in turns[:place]]
    side.judge([side.start, *(side.at({knob.name: value}) for knob, value in turns)])
    return [found for knob, value in turns if (found := _effect(side, knob, value)) is not None]


def _instruments(side: Side) -> Iterator[Knob]:
    """Other instruments, or other versions of them, that have looked at the same answers."""
    for name in side.start:
        part, _, role = name.partition(".")
        if part == "observe":
            yield Knob(name, tuple(side.seen_by(role)))


def _failures(side: Side) -> Iterator[Knob]:
    if any(item.score.value is None for item in side.scored(side.start) or ()):
        yield Knob(FAILURES, (WRONG,), "failed requests, and answers without a score")


def _effect(side: Side, knob: Knob, value: Value) -> Effect | None:
    start, point = side.start, side.at({knob.name: value})
    before, after = side.estimate(start), side.estimate(point)
    if before is None or after is None or before.value is None or after.value is None:
        return None
    old, new = ({(s.sample.id, s.index): s.score.value for s in side.scored(p) or ()} for p in (start, point))
    changed = sum(new[key] != score for key, score in old.items() if key in new)
    here, there = told(side.task, knob.name, start.get(knob.name, ABSENT), value)
    by = scale(after.unit) * (after.value - before.value)
    return Effect(knob.name, here, there, after, by, changed, knob.note, _beside(side, knob, point))


def _beside(side: Side, knob: Knob, point: Point) -> str:
    """``entity 62.0 to 74.1``, of the metric that a knob moves besides the headline."""
    if not knob.beside:
        return ""
    values = [found.value for at in (side.start, point) if (found := side.estimate(at, knob.beside)) is not None]
    return f"{knob.beside} {' to '.join('no number' if v is None else f'{v:.4g}' for v in values)}"


def protocols(side: Side) -> list[Counted]:
    """The headline under each of the task's protocols, the run's own as it was recorded."""
    points = {name: _point(side, protocol) for name, protocol in side.task.protocols.items()}
    side.judge([side.start, *points.values()])
    own = side.estimate(side.start)
    return [_counted(side, protocol, points[name], own) for name, protocol in side.task.protocols.items()]


def _point(side: Side, protocol: Protocol) -> dict[str, Value]:
    """Where a protocol stands, with the instruments of its that have looked."""
    kept = {name: side.start[name] for name in (ROWS, FAILURES)}
    stands: dict[str, Value] = {**flat(protocol), **kept}
    for name, value in stands.items():
        if name.startswith("observe."):
            resolved = side.resolved(name, value)
            stands[name] = [value, ""] if resolved is None else resolved  # type: ignore[list-item]
    return stands


def _counted(side: Side, protocol: Protocol, point: Point, own: Estimate | None) -> Counted:
    found = side.estimate(point)
    spec, name = f"{side.task.name}/{protocol.name}", protocol.name
    if found is None:
        if side.asked(point) is None:
            return Counted(name, protocol.note, None, None, "the model", run_command(side.folder, spec, {}))
        return Counted(name, protocol.note, None, None, "an instrument", score_command(side.folder.path, spec, {}))
    if found.value is None or own is None or own.value is None:
        return Counted(name, protocol.note, found, None)
    return Counted(name, protocol.note, found, scale(found.unit) * (found.value - own.value))
