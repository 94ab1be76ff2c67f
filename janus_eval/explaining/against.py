"""The gap between a run's number and a printed one, or another run's, taken apart."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from janus_eval.explaining import facts
from janus_eval.explaining.course import ANSWERS, Course, Keep, Move
from janus_eval.explaining.facts import Known
from janus_eval.explaining.knobs import ABSENT, Value, differing, knobs_of, told, words
from janus_eval.explaining.paired import blocks, jackknife
from janus_eval.explaining.records import Compared, Difference, Gap, Part, Printed, Rest, in_unit, scale
from janus_eval.explaining.reruns import SETTINGS
from janus_eval.explaining.shares import MOST_EXACT, Share
from janus_eval.explaining.side import ALL, FAILURES, ROWS, SHARED, Side
from janus_eval.fingerprint import differences as parts_that_differ
from janus_eval.types import Estimate, Unit

CODE = "the judging code"
"""What moves a number where this version judges the same answers otherwise than the one that wrote the results."""


def gap_to_printed(side: Side, printed: Printed, known: Sequence[Known]) -> tuple[Gap, list[Move]]:
    """Printed minus recorded; and the known differences that stored answers can't be judged by.

    Raises UserError where the units can't be held against each other.
    """
    recorded = recorded_of(side)
    there = in_unit(printed.value, printed.unit, recorded.unit)
    course = Course(side, None, list(_known_moves(side, known)))
    judged = side.estimate(course.point(side, course.all_made()))
    assert judged is not None and judged.value is not None and recorded.value is not None
    points = scale(recorded.unit)
    left = points * (there - judged.value)
    low, high = (None if end is None else points * (there - end) for end in (judged.high, judged.low))
    turned = {name for move in course.moves for name in move.there}
    told_of = {difference.knob: difference for one in known for difference in one.differences(side.task)}
    otherwise = [difference for name, difference in told_of.items() if name not in turned]
    sourced = [
        replace(part, basis=told_of[name].basis, source=told_of[name].source)
        for part, name in zip(_parts(course, recorded.unit), (next(iter(m.there)) for m in course.moves), strict=True)
    ]
    rest = Rest("unexplained", left, left, low, high, differences=otherwise)
    gap = Gap(
        name=printed.name,
        here=recorded.value,
        there=there,
        by=points * (there - recorded.value),
        parts=[*_code_part(side, 1), *sourced],
        rest=rest,
        agreeing=[name for one in known for name in one.agreeing if name != facts.TASK],
        metrics=list(_other_metrics(side, course, printed, recorded.unit)),
        notes=printed.notes,
        foreign=facts.foreign(side, printed.facts),
        orders=_sampled(course),
    )
    return gap, course.impossible


def gap_to_run(here: Side, there: Side, name: str) -> tuple[Gap, list[Difference]]:
    """The other run's number minus this one's; and in what the answers themselves were made otherwise."""
    recorded, other = recorded_of(here), recorded_of(there)
    assert recorded.value is not None and other.value is not None
    mine, theirs = here.samples(), there.samples()
    both = frozenset(key for key in mine.keys() & theirs.keys() if mine[key] == theirs[key])
    here.shared = there.shared = both
    moves = [*_judging_moves(here, there), *_row_moves(mine, theirs, both), ANSWERS]
    course = Course(here, there, moves)
    points = scale(recorded.unit)
    parts = _parts(course, recorded.unit)
    of_answers = next(n for n, move in enumerate(course.moves) if move.answers)
    made = [
        *_made_otherwise(here, there, course),
        *([] if both else [Difference("data", "its own rows", "none of them")]),
    ]
    gap = Gap(
        name=name,
        here=recorded.value,
        there=other.value,
        by=points * (other.value - recorded.value),
        parts=[*_code_part(here, 1), *parts[:of_answers], *parts[of_answers + 1 :], *_code_part(there, -1)],
        rest=_answers(course, parts[of_answers].by, both, points, made),
        agreeing=_agreeing(here, there),
        orders=_sampled(course),
    )
    return gap, made


def recorded_of(side: Side) -> Estimate:
    """The headline as results.json has it."""
    stored = side.result["metrics"]["overall"]
    return Estimate(**{field: stored[field] for field in Estimate.__slots__})


def _known_moves(side: Side, known: Sequence[Known]) -> Iterator[Move]:
    """Knobs of judging and observing one by one; those of asking together, but for a smaller asking of the same."""
    turns = {name: pair for one in known for name, pair in one.differing.items()}
    yield from _moves(side, turns)


def _judging_moves(here: Side, there: Side) -> Iterator[Move]:
    turns = {
        name: (here.start.get(name, ABSENT), there.start.get(name, ABSENT))
        for name in differing(here.start, there.start)
    }
    yield from _moves(here, turns)


def _moves(side: Side, turns: Mapping[str, tuple[Value, Value]]) -> Iterator[Move]:
    smaller = {knob.name for knob in knobs_of(side.task) if knob.name.startswith("ask.")}
    asked: dict[str, tuple[Value, Value]] = {}
    for name, (here, there) in turns.items():
        if name.startswith(("judge.", "observe.")) or name in smaller or name == FAILURES:
            resolved = side.resolved(name, there)
            # What has never looked has no version; no stored look will be found for it.
            yield Move({name: here}, {name: [there, ""] if resolved is None else resolved})  # type: ignore[list-item]
        elif name.startswith("ask."):
            asked[name] = (here, there)
    if asked:
        yield Move(
            {name: here for name, (here, _) in asked.items()}, {name: there for name, (_, there) in asked.items()}
        )


def _row_moves(mine: Mapping[str, str], theirs: Mapping[str, str], both: frozenset[str]) -> Iterator[Move]:
    if both and len(both) < len(mine):
        yield Move({ROWS: ALL}, {ROWS: SHARED}, only="here")
    if both and len(both) < len(theirs):
        yield Move({ROWS: SHARED}, {ROWS: ALL}, only="there")


def _parts(course: Course, unit: Unit) -> list[Part]:
    return [_part(course, move, share, scale(unit)) for move, share in zip(course.moves, course.shares(), strict=True)]


def _part(course: Course, move: Move, share: Share, points: float) -> Part:
    by, error = points * share.value, points * share.error
    if move.only:
        side = course.here if move.only == "here" else course.there
        assert side is not None
        lost = len(side.samples()) - len(side.shared)
        whose = "only this run has" if move.only == "here" else "only the other run has"
        names = ("in the mean", "left out") if move.only == "here" else ("not there", "in the mean")
        return Part(f"rows that {whose}", *names, by, error, f"{lost} of {len(side.samples())}")
    pairs = [(name, *told(course.here.task, name, move.here[name], move.there[name])) for name in move.there]
    here, there = ("; ".join(pair[place] for pair in pairs) for place in (1, 2))
    note = "one run's answers alone can be judged so" if not move.answers and course.one_sided(move) else ""
    return Part(", ".join(name for name, _, _ in pairs), here, there, by, error, note)


def _sampled(course: Course) -> int:
    return len(course.taken) if len(course.moves) > MOST_EXACT else 0


def _code_part(side: Side, sign: int) -> list[Part]:
    """Recorded -> judged anew on this run's way, and back on the other's."""
    stored, now = recorded_of(side), side.estimate(side.start)
    assert now is not None and now.value is not None and stored.value is not None
    by = sign * scale(stored.unit) * (now.value - stored.value)
    if abs(by) < 1e-9:
        return []
    return [
        Part(CODE, "as recorded" if sign > 0 else "this version's", "this version's" if sign > 0 else "as recorded", by)
    ]


def _other_metrics(side: Side, course: Course, printed: Printed, unit: Unit) -> Iterator[Compared]:
    point = course.point(side, course.all_made())
    for name, value in printed.metrics.items():
        if name == "overall" or name not in side.result["metrics"]:
            continue
        here, there = side.estimate(point, name), in_unit(value, printed.unit, unit)
        if here is not None and here.value is not None:
            yield Compared(name, here.value, there, scale(unit) * (there - here.value))


def _answers(course: Course, by: float, both: frozenset[str], points: float, made: Sequence[Difference]) -> Rest:
    """What the answers do, with both runs judged as the other was and over the rows that both have."""
    here, there = course.here, course.there
    assert there is not None
    before, after = course.all_made(but=ANSWERS), course.all_made()
    # All moves made on the other side means its own rows too; the difference is to be one of answers alone.
    rows = {ROWS: SHARED} if both else {}
    mine = {**course.point(here, before), **rows}
    theirs = {**course.point(there, after), **rows}
    estimates = here.estimate(mine), there.estimate(theirs)
    if any(found is None or found.value is None for found in estimates):
        return Rest("answers", by, by, None, None, differences=made)
    old, new = estimates
    assert old is not None and new is not None and old.value is not None and new.value is not None
    alike = points * (new.value - old.value)

    def measure(keep: Keep) -> float | None:
        values = here.value(mine, keep), there.value(theirs, keep)
        return None if values[0] is None or values[1] is None else points * (values[1] - values[0])

    if both:
        parts = blocks([item for item in here.scored(mine) or [] if item.score.value is not None])
        found = jackknife(alike, parts, measure)
        groups = len({(item.sample.category, item.sample.group) for item in here.scored(mine) or []})
        low, high = found or (None, None)
        return Rest("answers", by, alike, low, high, groups if found else 0, made)
    widths = [
        (e.high - e.value, e.value - e.low)
        for e in (old, new)
        if e.value is not None and e.low is not None and e.high is not None
    ]
    if len(widths) < 2:
        return Rest("answers", by, alike, None, None, differences=made)
    # The other way round for what is subtracted: newer minus older is highest where older was lowest.
    high = alike + points * math.hypot(widths[1][0], widths[0][1])
    low = alike - points * math.hypot(widths[1][1], widths[0][0])
    return Rest("answers", by, alike, low, high, differences=made)


def _made_otherwise(here: Side, there: Side, course: Course) -> list[Difference]:
    """Everything about how the answers came about that differs; where nothing does, what stood around them."""
    mine, theirs = here.folder.header, there.folder.header
    found = [
        Difference(name, *told(here.task, name, move.here[name], move.there[name]))
        for move in course.impossible
        for name in move.there
    ]
    one, other = (facts.stands(side) for side in (here, there))
    names = [name for name in differing(one, other) if name.startswith(SETTINGS) or name in facts.MADE]
    found += [
        Difference(name, *told(here.task, name, one.get(name, ABSENT), other.get(name, ABSENT))) for name in names
    ]
    weights = mine["model"]["weights"], theirs["model"]["weights"]
    if weights[0] != weights[1]:
        found.append(Difference("weights", weights[0][:12], weights[1][:12]))
    if not found and "ask" in parts_that_differ(here.result["fingerprint"], there.result["fingerprint"]):
        found.append(Difference("requests", "as here", "worded otherwise"))
    if not found:
        # Only what should not move a number is left.
        found += [
            Difference(name, words(mine.get(name)), words(theirs.get(name)))
            for name in ("device", "batch_size")
            if mine.get(name) != theirs.get(name)
        ]
        before, after = mine.get("versions", {}), theirs.get("versions", {})
        found += [
            Difference(f"version of {name}", words(before.get(name)), words(after.get(name)))
            for name in differing(before, after)
        ]
    return found


def _agreeing(here: Side, there: Side) -> list[str]:
    one, other = facts.stands(here), facts.stands(there)
    return [name for name in one if name.startswith(SETTINGS) and one[name] == other.get(name, ABSENT)]
