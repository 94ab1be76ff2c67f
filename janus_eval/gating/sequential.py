"""The gate while samples come in: in random order, until the answer is clear.

What has been seen so far decides alone, so a gate that was killed and goes on ends where it would have ended.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias

import numpy as np

from janus_eval import portions
from janus_eval.fingerprint import digest
from janus_eval.gating import holding
from janus_eval.gating.gate import VANISHED, Asked, Measured, Terms, asked_of, bars_of, gate, margins_for, unfit
from janus_eval.gating.paired import EPSILON, Pairs
from janus_eval.gating.parts import NoMeanError, pairs
from janus_eval.gating.records import POINTS, Course, Fallen, Row, Verdict
from janus_eval.gating.sides import Evaluation, Side
from janus_eval.gating.tracks import Ruling, Track, rulings
from janus_eval.types import Unit

FIRST, LEAST, GROWTH = 16, 8, 1.15
"""Groups at the first look, the fewest between two looks, and by how much they grow from one to the next."""
LEFT_OPEN = "still open when the gate had its answer"
UNBOUND = "its values leave the scale, and without one nothing can be said before the end"
Place: TypeAlias = tuple[str, str]
"""A task and the digest of its asking: protocols that share it are asked together."""


class Source(Protocol):
    """Where the candidate's scores come from.

    ``planned``: all that would be asked, with the fingerprints of the whole; of a model, the baseline's own scores
    stand in the place of those to come. ``replayed``: nothing is asked, since all has been. ``completing``: the command
    that asks the rest.
    """

    @property
    def planned(self) -> Side: ...

    @property
    def order(self) -> int: ...

    @property
    def replayed(self) -> bool: ...

    @property
    def completing(self) -> str: ...

    def ask(self, groups: Mapping[Place, int], first: Mapping[str, frozenset[str]]) -> Side:
        """The candidate once so many groups are asked, in turn, and those of ``first`` (by task) out of turn."""
        ...


@dataclass
class Replay:
    """A finished run, gone through in random order: how many samples would have been enough?"""

    planned: Side
    order: int
    replayed: bool = True
    completing: str = ""

    def ask(self, groups: Mapping[Place, int], first: Mapping[str, frozenset[str]]) -> Side:
        return self.planned


def next_look(groups: int, of: int) -> int:
    return min(of, max(FIRST, groups + LEAST, math.ceil(groups * GROWTH)))


def named(base: Side, terms: Terms) -> list[tuple[str, str]]:
    """The evaluations that a gate on these terms looks at: those gated, and those of samples that must hold."""
    held = [(each.task, each.protocol) for one in terms.held for each in holding.evaluations(base, one.task)]
    return list(dict.fromkeys([*(one[:2] for one in asked_of(base, terms.metrics)), *held]))


def gate_in_turn(source: Source, base: Side, terms: Terms) -> Verdict:
    """As ``gate``, of a candidate that is asked no more than the answer needs. Raises UserError likewise."""
    course = _Course(source, base, terms)
    found = course.refused() or course.run()
    left_out = ["/".join(key) for key in base.evaluations if key not in named(base, terms)]
    extra = [f"{', '.join(left_out)}: not gated, so not asked"] if left_out else []
    return replace(found, notes=[*found.notes, *extra])


class _Course:
    def __init__(self, source: Source, base: Side, terms: Terms) -> None:
        self.source, self.base, self.terms = source, base, terms
        self.asked = asked_of(base, terms.metrics)
        self.margins = margins_for(self.asked, terms.margins)
        self.planned = source.planned
        self.places: dict[tuple[str, str], Place] = {}
        self.turns: dict[Place, list[str]] = {}
        for key in named(base, terms):
            if (ours := self.planned.evaluations.get(key)) is not None:
                place = self.places[key] = ours.task, digest(ours.knobs["ask"])
                groups = {item.sample.group for item in ours.items.values()}
                self.turns[place] = portions.in_turn(groups, ours.task, source.order)
        self.tracks: list[Track] = []
        self.keys: dict[tuple[str, str], dict[tuple[str, str], list[str]]] = {}

    def refused(self) -> Verdict | None:
        """The verdict where nothing need be asked to know that there will be no answer. Sets up the tracks."""
        bars = [bar for key in dict.fromkeys(one[:2] for one in self.asked) for bar in bars_of(*self._sides, key)]
        accepted = [bar for bar in bars if bar.allowable and bar.part in self.terms.allow]
        refusals = [bar for bar in bars if bar not in accepted]
        parts = {one: list(dict.fromkeys(bar.part for bar in refusals if bar.where == one.place)) for one in self.asked}
        reasons = {one: f"not compared: {', '.join(found)}" for one, found in parts.items() if found}
        for one in self.asked:
            if one not in reasons and (reason := self._laid(one)):
                reasons[one] = reason
        if not reasons:
            return None
        rows = []
        for one in self.asked:
            kept, ours = self.base.evaluations[one[:2]].metrics[one.metric], self.planned.evaluations.get(one[:2])
            after = ours.metrics.get(one.metric, {}).get("value") if ours and self.source.replayed else None
            reason = reasons.get(one, "no need to look at it, since there can be no answer")
            rows.append(Row(*one, kept["unit"], kept["value"], after, "not comparable", reason))
        return Verdict(str(self.planned.path), str(self.base.path), rows, refusals, accepted)

    @property
    def _sides(self) -> tuple[Side, Side]:
        return self.planned, self.base

    def _laid(self, one: Asked) -> str:
        """Lay out a metric's track; why there can be none, else ""."""
        theirs, ours = self.base.evaluations[one[:2]], self.planned.evaluations[one[:2]]
        unit: Unit = theirs.metrics[one.metric]["unit"]
        if reason := unfit(one, unit):
            return reason
        if one.metric not in ours.metrics or one.metric not in ours.measures():
            return VANISHED
        keys = [key for key, line in theirs.lines.items() if line.value is not None and key in ours.items]
        was, measure = theirs.scored(ours.items, keys), theirs.measures()[one.metric]
        try:
            found, unit = pairs(measure, measure, was, was)
        except NoMeanError as error:
            return str(error)
        rank = {name: place for place, name in enumerate(self.turns[self.places[one[:2]]])}
        turn = sorted(range(len(found.names)), key=lambda place: (rank[found.names[place]], found.strata[place]))
        names, strata = ([texts[place] for place in turn] for texts in (found.names, found.strata))
        base = Pairs(found.before[turn], found.before[turn], found.weights[turn], strata, found.top, names)
        self.tracks.append(Track(one, base, self.margins.get(one), POINTS[unit]))
        groups = self.keys.setdefault(one[:2], {})
        for key in keys if not groups else ():
            sample = ours.items[key].sample
            groups.setdefault((sample.category, sample.group), []).append(key)
        return ""

    def run(self) -> Verdict:
        counts = dict.fromkeys(self.places.values(), 0)
        first = self._first()
        open_ = {self.places[track.asked[:2]] for track in self.tracks}
        fallen: list[Fallen] | None = None
        held = 0
        while True:
            for place in open_:
                counts[place] = next_look(counts[place], len(self.turns[place]))
            side = self.source.ask(counts, first)
            if fallen is None:
                fallen, held = holding.check(side, self.base, self.terms.held, set())
            taken = [self._taken(track, side, counts) for track in self.tracks]
            if fallen or not all(taken):
                break
            found = rulings(self.tracks)
            open_ = {self.places[t.asked[:2]] for t, one in zip(self.tracks, found, strict=True) if one.state is None}
            if not open_ or any(one.state == "regression" for one in found):
                break
        return replace(self._verdict(side, counts, first), fallen=fallen, held=held)

    def _first(self) -> dict[str, frozenset[str]]:
        """Groups of samples that must hold: asked at once, and counted among the others only when their turn comes,
        since they were chosen by how the baseline did."""
        found: dict[str, set[str]] = {}
        for one in self.terms.held:
            for each in holding.evaluations(self.base, one.task):
                ours = self.planned.evaluations.get((each.task, each.protocol))
                items = ours.items.values() if ours is not None else ()
                found.setdefault(each.task, set()).update(i.sample.group for i in items if i.sample.id == one.sample)
        return {task: frozenset(groups) for task, groups in found.items()}

    def _taken(self, track: Track, side: Side, counts: Mapping[Place, int]) -> bool:
        """Measure what has come in for a metric; whether it can be measured."""
        key = track.asked[:2]
        ours, groups, place = side.evaluations[key], self.keys[key], self.places[key]
        measure, there = ours.measures()[track.asked.metric], set(self.turns[place][: counts[place]])
        names, strata = track.base.names, track.base.strata
        for one in range(len(track.after), len(names)):
            if names[one] not in there:
                break
            keys = groups[strata[one], names[one]]
            whole = all(ours.lines[key].value is not None for key in keys)
            value = measure(ours.scored(ours.items, keys)).value if whole else None
            if value is None:
                return False
            track.after.append(value * track.points)
        return bool(np.abs(track.moved).max(initial=0.0) <= 1 + EPSILON)

    def _verdict(self, side: Side, counts: Mapping[Place, int], first: Mapping[str, frozenset[str]]) -> Verdict:
        """Of what has come in in turn; a sample that was asked out of turn is not in it."""
        ours, theirs = {}, {}
        for key in dict.fromkeys(one[:2] for one in self.asked):
            planned, place = self.planned.evaluations[key], self.places[key]
            there = set(self.turns[place][: counts[place]])
            keys = [name for name, item in planned.items.items() if item.sample.group in there]
            ours[key] = _only(side.evaluations[key], planned, keys, planned.fingerprint)
            theirs[key] = _only(self.base.evaluations[key], planned, keys, self.base.evaluations[key].fingerprint)
        terms = replace(self.terms, metrics=[str(one) for one in self.asked], held=())
        candidate, base = replace(side, evaluations=ours), replace(self.base, evaluations=theirs)
        found = gate(candidate, base, terms, self._judged)
        if any(each.part for each in side.evaluations.values()) and found.accept:
            # The rest has to be asked before it can be kept.
            completing = self.source.completing
            found = replace(found, accept=f"{completing} && {found.accept}" if completing else "")
        return replace(found, course=self._course(counts, first))

    def _judged(self, measured: Sequence[Measured]) -> list[Row]:
        tracks = {tuple(track.asked): track for track in self.tracks}
        found = dict(zip(tracks, rulings(self.tracks), strict=True))
        rows = []
        for one in measured:
            key = one.row.task, one.row.protocol, one.row.metric
            rows.append(_row(one.row, tracks[key], found[key]))
        return rows

    def _course(self, counts: Mapping[Place, int], first: Mapping[str, frozenset[str]]) -> Course:
        asked: set[tuple[Place, str, int]] = set()
        every: set[tuple[Place, str, int]] = set()
        for key, place in self.places.items():
            there = {*self.turns[place][: counts[place]], *first.get(place[0], ())}
            for item in self.planned.evaluations[key].items.values():
                one = place, item.sample.id, item.index
                every.add(one)
                if item.sample.group in there:
                    asked.add(one)
        return Course(self.source.order, len(asked), len(every), self.source.replayed)


def _only(side: Evaluation, planned: Evaluation, keys: Sequence[str], fingerprint: Mapping[str, str]) -> Evaluation:
    """One side's scores of these items, with the metrics that they give."""
    lines = {key: side.lines[key] for key in keys if key in side.lines}
    items = {key: planned.items[key] for key in keys}
    scored, measures = side.scored(items, list(lines)) if lines else [], side.measures()
    metrics = {
        name: {"unit": kept["unit"], "value": measures[name](scored).value}
        for name, kept in side.metrics.items()
        if name in measures and kept["unit"] != "fid"
    }
    return replace(side, fingerprint=fingerprint, lines=lines, items=items, metrics=metrics, part=None)


def _row(row: Row, track: Track, found: Ruling) -> Row:
    """The ordinary comparison's row of the same samples, with what may be said of it at this moment."""
    row = replace(row, spent=track.spent)
    if row.change is None:
        return row
    if np.abs(track.moved).max(initial=0.0) > 1 + EPSILON:
        return replace(row, state="not comparable", reason=UNBOUND)
    low, high = min(found.low, row.change.by), max(found.high, row.change.by)
    change = replace(row.change, low=low, high=high)
    state, reason = found.state or "inconclusive", found.reason if found.state else LEFT_OPEN
    return replace(row, change=change, p=found.p, seen=found.seen, state=state, reason=reason, more=found.more)
