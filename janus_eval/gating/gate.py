"""``gate``: two sides in, a verdict out. docs/gate.md says what it decides and why."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple, TypeAlias

from janus_eval.errors import UserError
from janus_eval.gating import comparable, holding, paired
from janus_eval.gating.baseline import MAGIC, read_baseline
from janus_eval.gating.holding import Held
from janus_eval.gating.paired import Pairs
from janus_eval.gating.parts import WHOLE, NoMeanError, pairs
from janus_eval.gating.records import LEVEL, Beside, Change, Flip, Part, Refusal, Row, State, Verdict
from janus_eval.gating.sides import Evaluation, Side, read_run
from janus_eval.plugins import near
from janus_eval.types import Scored, Unit

HEADLINE = "overall"
EVERY = "all"
VANISHED = "the candidate has no such metric: it has vanished"


@dataclass(frozen=True)
class Terms:
    """What the gate asks for. ``metrics``: TASK[/PROTOCOL][:METRIC], else the headline of every task; ``margins``: by
    such a name or "all", in points; ``allow``: parts of the fingerprint that may differ."""

    metrics: Sequence[str] = ()
    margins: Mapping[str, float] = field(default_factory=dict)
    allow: frozenset[str] = frozenset()
    held: Sequence[Held] = ()


class Measured(NamedTuple):
    """A gated metric before the verdict, which all of them decide together; without ``pairs`` it is one already."""

    row: Row
    pairs: Pairs | None = None


Judge: TypeAlias = Callable[[Sequence[Measured]], list[Row]]


class Asked(NamedTuple):
    task: str
    protocol: str
    metric: str

    @property
    def place(self) -> str:
        return f"{self.task}/{self.protocol}"

    def __str__(self) -> str:
        return self.place + (f":{self.metric}" if self.metric != HEADLINE else "")

    def matches(self, name: str) -> bool:
        """Whether TASK[/PROTOCOL][:METRIC] means this one."""
        # Whole names are compared, since a task's may have a colon in it.
        places = (self.task, f"{self.task}/{self.protocol}")
        if name in places:
            return self.metric == HEADLINE
        return name in {f"{place}:{self.metric}" for place in places}


def margins_of(texts: Sequence[str]) -> dict[str, float]:
    """``NAME=POINTS``, as the command line has them. Raises UserError for anything else."""
    found: dict[str, float] = {}
    for text in texts:
        name, equals, points = text.rpartition("=")
        try:
            value = float(points)
        except ValueError:
            value = float("nan")
        if not equals or not name or not math.isfinite(value):
            raise UserError(f"--margin {text!r}: expected NAME=POINTS, such as geneval/official=2 or all=2")
        if name in found:
            raise UserError(f"--margin {name} is given twice")
        found[name] = value
    return found


def read_side(path: Path) -> Side:
    """A run folder or a baseline file, whichever it is."""
    return read_baseline(path) if path.is_file() or not path.exists() else read_run(path)


def is_baseline(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(2) == MAGIC


def gate(candidate: Side, base: Side, terms: Terms, judge: Judge | None = None) -> Verdict:
    """Hold a candidate, which is a run, against a baseline. Raises UserError for names that mean nothing."""
    asked = asked_of(base, terms.metrics)
    margins = margins_for(asked, terms.margins)
    keys = dict.fromkeys(one[:2] for one in asked) if terms.metrics else base.evaluations
    bars = {key: bars_of(candidate, base, key) for key in keys}
    refused = [bar for found in bars.values() for bar in found if not (bar.allowable and bar.part in terms.allow)]
    accepted = [bar for found in bars.values() for bar in found if bar.allowable and bar.part in terms.allow]
    barred: dict[str, list[str]] = {}
    for bar in refused:
        barred.setdefault(bar.where, []).append(bar.part)
    measured = [_measured(one, candidate, base, margins.get(one), barred) for one in asked]
    rows = (judge or _judged)(measured)
    otherwise = {bar.where for bar in refused if bar.part not in {"missing", comparable.FAILED}}
    fallen, held = holding.check(candidate, base, terms.held, otherwise)
    return Verdict(
        str(candidate.path),
        str(base.path),
        rows,
        refused,
        accepted,
        fallen,
        held,
        _notes(candidate, base, () if terms.metrics else _ungated(base)),
        _flips(candidate, base, rows),
        acceptance(candidate, base),
    )


def acceptance(candidate: Side, base: Side) -> str:
    """The command that makes the candidate the new baseline; none where it is a part, or the old one is no file."""
    partly = any(each.part for each in candidate.evaluations.values())
    words = ["janus-eval", "baseline", str(candidate.path), "-o", str(base.path)]
    return "" if base.is_run or partly else shlex.join(words)


def asked_of(base: Side, names: Sequence[str]) -> list[Asked]:
    """What the baseline has of the metrics asked for, in its order: what it lacks cannot have fallen."""
    every = [Asked(*key, metric) for key, each in base.evaluations.items() for metric in each.metrics]
    for name in names:
        if not any(one.matches(name) for one in every):
            known = [f"{one.task}/{one.protocol}:{one.metric}" for one in every]
            raise UserError(
                f"--metric {name}: the baseline has none{near(name, known)}; expected TASK[/PROTOCOL][:METRIC]"
            )
    wanted = names or ["/".join(key) for key in base.evaluations if key not in _ungated(base)]
    found = [one for one in every if any(one.matches(name) for name in wanted)]
    if not found:
        raise UserError(f"{base.path} has no metric to gate", code=3)
    return found


def _ungated(base: Side) -> list[tuple[str, str]]:
    """Whose headline is a distance of all pictures together, which no baseline file keeps."""
    return [
        key for key, each in base.evaluations.items() if each.metrics.get(HEADLINE, {"unit": "fid"})["unit"] == "fid"
    ]


def margins_for(asked: Sequence[Asked], margins: Mapping[str, float]) -> dict[Asked, float]:
    """Every metric's own margin. With any, all must have one: a metric without would pass unseen."""
    found: dict[Asked, float] = {}
    for name, points in margins.items():
        if not points > 0:
            raise UserError(f"--margin {name}={points:g}: more than 0 points expected")
        meant = [one for one in asked if name == EVERY or one.matches(name)]
        if not meant:
            known = [f"{one.task}/{one.protocol}" for one in asked]
            raise UserError(f"--margin {name}: no gated metric{near(name, known)} ({', '.join(known)}, or {EVERY})")
        for one in meant:
            if name != EVERY or one not in found:
                found[one] = points
    lacking = [f"{one.task}/{one.protocol}" for one in asked if one not in found]
    if found and lacking:
        raise UserError(
            f"no --margin for {', '.join(lacking)}: give each gated metric one, or all of them --margin all=POINTS"
        )
    return found


def bars_of(candidate: Side, base: Side, key: tuple[str, str]) -> list[Refusal]:
    name, theirs, ours = "/".join(key), base.evaluations[key], candidate.evaluations.get(key)
    if ours is None:
        return [Refusal(name, "missing", "the candidate was not asked it", False)]
    found = list(comparable.refusals(candidate, base, ours, theirs))
    for side, words in ((theirs, "the baseline"), (ours, "the candidate")):
        if moved := comparable.drift(side, {**theirs.items, **ours.items}):
            found.append(Refusal(name, "judge", f"{words}: {moved}", False))
    return found


def _measured(
    one: Asked, candidate: Side, base: Side, margin: float | None, barred: Mapping[str, Sequence[str]]
) -> Measured:
    theirs, ours = base.evaluations[one[:2]], candidate.evaluations.get(one[:2])
    before = theirs.metrics.get(one.metric, {})
    after = ours.metrics.get(one.metric, {}) if ours else {}
    unit: Unit = before.get("unit") or after.get("unit") or "fraction"
    row = Row(*one, unit, before.get("value"), after.get("value"), "not comparable", "", margin=margin)
    if ours is None or theirs.name in barred:
        return Measured(replace(row, reason=f"not compared: {', '.join(dict.fromkeys(barred[theirs.name]))}"))
    if one.metric not in ours.metrics:
        return Measured(replace(row, reason=VANISHED))
    if reason := unfit(one, unit):
        return Measured(replace(row, reason=reason))
    was, now = _common(ours, theirs)
    measures = theirs.measures(), ours.measures()
    try:
        found, unit = pairs(measures[0][one.metric], measures[1][one.metric], was, now)
    except NoMeanError as error:
        return Measured(replace(row, reason=str(error)))
    values = [measure[one.metric](side).value for measure, side in zip(measures, (was, now), strict=True)]
    change = paired.change(found)
    beside = [
        Beside(name, kept["unit"], kept["value"], ours.metrics.get(name, {}).get("value"))
        for name, kept in theirs.metrics.items()
        if name != one.metric
    ]
    row = replace(
        row, unit=unit, before=values[0], after=values[1], change=change, parts=_parts(found), beside=beside, reason=""
    )
    return Measured(row, found)


def unfit(one: Asked, unit: Unit) -> str:
    """Why a metric of this kind is never gated; "" for others."""
    if unit == "fid":
        return WHOLE
    return "less of it is better: gate overall instead" if one.metric.startswith("cer") else ""


def _common(ours: Evaluation, theirs: Evaluation) -> tuple[list[Scored], list[Scored]]:
    """Scores of what both sides have scored."""
    keys = [
        key
        for key, line in ours.lines.items()
        if line.value is not None and key in theirs.lines and theirs.lines[key].value is not None
    ]
    return theirs.scored(ours.items, keys), ours.scored(ours.items, keys)


def _parts(found: Pairs) -> list[Part]:
    """Categories, the one that cost most first."""
    moved = dict.fromkeys(found.strata, 0.0)
    for stratum, value in zip(found.strata, found.moved.tolist(), strict=True):
        moved[stratum] += value
    each = [Part(name, paired.change(found.only(name)), share) for name, share in moved.items()]
    return sorted(each, key=lambda part: (part.share, part.category))


def _judged(measured: Sequence[Measured]) -> list[Row]:
    """The states of all gated metrics. Holm's correction spans those that were compared."""
    tested = [one for one in measured if one.row.change is not None]
    chances = iter(paired.holm([one.row.change.p for one in tested if one.row.change is not None]))
    rows = []
    for one in measured:
        row = one.row
        if one.pairs is not None and row.change is not None:
            row = replace(row, p=next(chances), seen=paired.seen(one.pairs, len(tested)))
            state, reason, more = _by_margin(row) if row.margin is not None else _by_test(row)
            row = replace(row, state=state, reason=reason, more=more)
        rows.append(row)
    return rows


def _by_test(row: Row) -> tuple[State, str, int | None]:
    assert row.p is not None
    if row.p <= LEVEL:
        return "regression", f"worse, and by more than noise (p = {row.p:.2g})", None
    if row.seen is None:
        return "inconclusive", "so few groups that no fall could have been told from noise", None
    return "holds", "", None


def _by_margin(row: Row) -> tuple[State, str, int | None]:
    """Non-inferiority needs no correction: all must be shown, so one that passes wrongly lets nothing through alone."""
    change, margin = row.change, row.margin
    assert change is not None and margin is not None
    if change.low is None or change.high is None:
        return "inconclusive", "a single group tells no spread", None
    if change.low > -margin:
        return "holds", f"not worse by {margin:g} points or more", None
    if change.high < -margin:
        return "regression", f"worse by more than {margin:g} points", None
    return unsure(change, margin)


def unsure(change: Change, margin: float) -> tuple[State, str, int | None]:
    more = paired.more(change, margin)
    if more is None:
        said = f"the fall itself reaches {margin:g} points: more samples would not show that it is less"
        return "inconclusive", said, None
    return "inconclusive", f"may be worse by {margin:g} points; about {more:,} more groups would decide", more


def _notes(candidate: Side, base: Side, ungated: Sequence[tuple[str, str]]) -> list[str]:
    new = ["/".join(key) for key in candidate.evaluations if key not in base.evaluations]
    notes = [f"{', '.join(new)}: not in the baseline, so not compared"] if new else []
    notes += [f"{'/'.join(key)}: not gated; {WHOLE}" for key in ungated]
    names = [str(side.model.get("name")) for side in (base, candidate)]
    if names[0] != names[1]:
        notes.append(f"the baseline is of {names[0]}, the candidate of {names[1]}")
    if candidate.model.get("weights") == base.model.get("weights"):
        notes.append("both sides have the same weights")
    return notes


def _flips(candidate: Side, base: Side, rows: Sequence[Row]) -> list[Flip]:
    """Responses that are judged otherwise, by task, the worst categories and the deepest falls first."""
    found: list[Flip] = []
    for row in {(row.task, row.protocol): row for row in rows if row.change is not None}.values():
        ours, theirs = candidate.evaluations[row.task, row.protocol], base.evaluations[row.task, row.protocol]
        rank = {part.category: place for place, part in enumerate(row.parts)}
        flips = []
        for key, item in ours.items.items():
            now, was = ours.lines[key].value, theirs.lines[key].value if key in theirs.lines else None
            if now is not None and was is not None and abs(now - was) > paired.EPSILON:
                flips.append(Flip(row.task, row.protocol, item.sample.category, item.sample.id, item.index, was, now))
        found += sorted(flips, key=lambda flip: (rank.get(flip.category, len(rank)), flip.after - flip.before))
    return found
