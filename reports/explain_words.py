"""An explanation in words: headings, sentences, tables and commands, the same wherever they are shown."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from janus_eval.explaining.records import Counted, Difference, Effect, Explanation, Figure, Gap, Part, Rest, Step
from janus_eval.reports.wording import count, interval, line, listed, number
from janus_eval.types import Estimate

MINUS = "\N{MINUS SIGN}"
BASES = {
    "stated": "stated",
    "reproduced": "others got the figure so",
    "read in code": "read in code",
    "inferred": "inferred",
    "family default": "the family's own",
}
NAME = 120  # characters of a name or value
NOTHING = 0.005  # points; less is shown as none


@dataclass(frozen=True)
class Heading:
    text: str
    level: int = 2


@dataclass(frozen=True)
class Sentence:
    text: str
    strong: bool = False


@dataclass(frozen=True)
class Command:
    text: str


class Line(NamedTuple):
    """A row: its name, a cell for each further column, and what is said of it in small."""

    name: str
    cells: Sequence[str]
    note: str = ""


@dataclass(frozen=True)
class Table:
    """``columns`` are those of the names and of the numbers; the last ``totals`` rows close a sum."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Line]
    totals: int = 0


Block = Heading | Sentence | Command | Table


def blocks(explanation: Explanation) -> Iterator[Block]:
    """The whole of it: the answer first, then what it rests on, then what each knob does."""
    e = explanation
    yield Heading(f"{line(e.task, NAME)}/{line(e.protocol, NAME)}: {_estimate(e.recorded)}")
    yield Sentence(f"{line(e.model, NAME)}, {line(e.run, 200)}")
    if e.rejudged is not None:
        yield Sentence(
            f"This version judges the same answers to {exact(e.rejudged, e.unit)}; knobs are turned from there."
        )
    if e.gap is not None:
        yield from _gap(e, e.gap)
    yield from _steps(e)
    yield from _effects(e)
    yield from _protocols(e)
    yield from _figures(e)


def verdict(gap: Gap) -> str:
    """The answer in two or three sentences."""
    rest, shown = gap.rest, adding([*(part.by for part in gap.parts), gap.rest.by], gap.by)
    large = sorted((pair for pair in zip(shown, gap.parts, strict=False) if pair[0]), key=lambda pair: -abs(pair[0]))
    shares = [f"{line(part.knob, NAME)} {points(by)}" for by, part in large[:3]]
    if len(large) > 3:
        shares.append(f"{count(len(large) - 3, 'other knob')} {points(math.fsum(by for by, _ in large[3:]))}")
    doubt = ", if the figure was made as is inferred" if any(part.basis == "inferred" for _, part in large) else ""
    said = [f"Explained{doubt}: {listed(shares)}."] if shares else []
    if rest.kind == "unexplained":
        said.append(f"Unexplained: {points(shown[-1])}{_between(rest)}; {_weight(rest)}.")
        if rest.differences:
            said.append(f"Known to have been otherwise: {_named(rest.differences)}.")
    elif shares and max(abs(rest.by), abs(rest.alike)) < NOTHING:
        said.append("The answers themselves make no difference.")
    else:
        made = f", made with another {_named(rest.differences)}" if rest.differences else ""
        paired = f", paired over {count(rest.paired, 'group')}" if rest.paired else ""
        said.append(f"By the answers themselves{made}: {points(shown[-1])}.")
        said.append(f"Judged alike, they differ by {points(rest.alike)}{_between(rest)}{paired}; {_weight(rest)}.")
    return " ".join(said)


def adding(values: Sequence[float], total: float) -> list[float]:
    """Values to a hundredth that add up to the total to a hundredth.

    The last gives way, which is the rest and known least; where it is nothing, those that were rounded furthest do.
    """
    cents = [round(100 * value) for value in values]
    lacking = round(100 * total) - sum(cents)
    if cents and cents[-1]:
        cents[-1] += lacking
        return [cent / 100 for cent in cents]
    step = 1 if lacking > 0 else -1
    furthest = sorted(range(len(values)), key=lambda n: -step * (100 * values[n] - cents[n]))
    for n in furthest[: abs(lacking)]:
        cents[n] += step
    return [cent / 100 for cent in cents]


def _named(differences: Sequence[Difference], most: int = 4) -> str:
    named = [line(difference.knob, NAME) for difference in differences[:most]]
    return listed([*named, *([f"{len(differences) - most} more"] if len(differences) > most else [])])


def _weight(rest: Rest) -> str:
    if rest.low is None or rest.high is None:
        return "how sure that is can't be said"
    if rest.low <= 0 <= rest.high:
        return "the interval holds zero, so chance alone may have made it"
    whose = "chance" if rest.kind == "answers" else "chance in this run"
    return f"the interval does not hold zero, so {whose} alone has not made it"


def _between(rest: Rest) -> str:
    return "" if rest.low is None or rest.high is None else f" ({points(rest.low)} to {points(rest.high)})"


def _gap(e: Explanation, gap: Gap) -> Iterator[Block]:
    yield Sentence(f"{line(gap.name, NAME)} has {exact(gap.there, e.unit)}: {points(gap.by)} points.", strong=True)
    yield Sentence(verdict(gap))
    shown = adding([*(part.by for part in gap.parts), gap.rest.by], gap.by)
    parts = [
        Line(_turned(part.knob, part.here, part.there), [_share(by, part.error)], _known(part))
        for by, part in zip(shown, gap.parts, strict=False)
    ]
    rest = "unexplained" if gap.rest.kind == "unexplained" else "the answers themselves"
    made = "; ".join(_turned(d.knob, d.here, d.there) for d in gap.rest.differences)
    rows = [*parts, Line(rest, [points(shown[-1])], made), Line("the whole gap", [points(gap.by)])]
    yield Table("Where the gap comes from", ("", "points"), rows, totals=1)
    if len(gap.parts) > (gap.rest.kind == "unexplained"):
        orders = f"{gap.orders} sampled orders" if gap.orders else "all orders"
        yield Sentence(f"A share is the mean over {orders} in which the knobs can be turned{_error(gap)}.")
    if gap.agreeing:
        yield Sentence(f"Known to agree: {listed([line(name, NAME) for name in dict.fromkeys(gap.agreeing)])}.")
    if gap.foreign:
        yield Sentence(f"No knob of this run: {listed([line(name, NAME) for name in gap.foreign])}.")
    for note in gap.notes:
        yield Sentence(f"Known of the printed figure: {line(note, 1000)}")
    if gap.metrics:
        rows = [
            Line(line(m.metric, NAME), [exact(m.here, e.unit), exact(m.there, e.unit), points(m.by)])
            for m in gap.metrics
        ]
        yield Table("Other metrics, this run judged as the figure was", ("metric", "here", "there", "points"), rows)


def _known(part: Part) -> str:
    basis = ": ".join(filter(None, (BASES.get(part.basis, part.basis), line(part.source, 300))))
    return "; ".join(filter(None, (line(part.note, NAME), basis)))


def _error(gap: Gap) -> str:
    return ", ± its standard error" if gap.orders else ""


def _steps(e: Explanation) -> Iterator[Block]:
    if e.steps:
        yield Heading("What only a new run can tell", 3)
    for step in e.steps:
        yield Sentence(f"{_step_title(step)}.{_cost(step)}")
        if step.command:
            yield Command(line(step.command, 2000))


def _step_title(step: Step) -> str:
    if step.together:
        return "All of these together"
    told = "; ".join(_turned(d.knob, d.here, d.there) for d in step.differences)
    known = dict.fromkeys((d.basis, d.source) for d in step.differences if d.basis)
    basis = "; ".join(": ".join(filter(None, (BASES.get(b, b), line(s, 300)))) for b, s in known)
    return f"{told}{f' ({basis})' if basis else ''}{f': {step.note}' if step.note else ''}"


def _cost(step: Step) -> str:
    if step.requests is None:
        return ""
    pace = "" if step.seconds is None else f", about {duration(step.seconds)} at this run's pace"
    return f" {count(step.requests, 'request')}{pace}:"


def _effects(e: Explanation) -> Iterator[Block]:
    yield Heading("Each knob alone", 3)
    moving = [effect for effect in e.effects if _moves(effect)]
    if moving:
        rows = [_effect(effect) for effect in sorted(moving, key=lambda effect: -abs(effect.by))]
        yield Table("The same answers with one knob turned", ("", "score", "points", "judged otherwise"), rows)
    still = [effect for effect in e.effects if not _moves(effect)]
    if still:
        same = groupby(still, key=lambda effect: (effect.knob, effect.here))
        told = [_turned(*knob, " or ".join(effect.there for effect in effects)) for knob, effects in same]
        yield Sentence(f"Of no effect on these answers: {'; '.join(told)}.")
    if not e.effects:
        yield Sentence("No knob of this task can be turned without the model.")


def _moves(effect: Effect) -> bool:
    return abs(effect.by) >= NOTHING or effect.changed > 0 or bool(effect.beside)


def _effect(effect: Effect) -> Line:
    note = "; ".join(filter(None, (line(effect.beside, NAME), line(effect.note, NAME))))
    changed = f"{effect.changed:,}" if effect.changed else "–"
    cells = [exact(effect.estimate.value, effect.estimate.unit), points(effect.by), changed]
    return Line(_turned(effect.knob, effect.here, effect.there), cells, note)


def _protocols(e: Explanation) -> Iterator[Block]:
    if len(e.protocols) < 2:
        return
    yield Heading("Under each protocol", 3)
    had = [counted for counted in e.protocols if counted.estimate is not None]
    yield Table(
        "The same answers under the task's protocols",
        ("", "score", "95% interval", "points"),
        [_counted(counted, counted.estimate) for counted in had if counted.estimate is not None],
    )
    for counted in e.protocols:
        if counted.estimate is None:
            yield Sentence(f"{line(counted.protocol, NAME)} needs {counted.lacks}: {line(counted.note, 200)}.")
            if counted.command:
                yield Command(line(counted.command, 2000))


def _counted(counted: Counted, value: Estimate) -> Line:
    between = interval(value.low, value.high, value.unit)
    by = "" if counted.by is None else points(counted.by)
    return Line(line(counted.protocol, NAME), [exact(value.value, value.unit), between, by], line(counted.note, 200))


def _figures(e: Explanation) -> Iterator[Block]:
    if not e.figures:
        return
    yield Heading("What else was printed for this model", 3)
    rows = [Line(line(f.name, NAME), [f"{f.value:g}", points(f.by)], made_like(f)) for f in e.figures]
    yield Table("Published figures and re-runs, by how they were made", ("", "value", "points"), rows)


def made_like(figure: Figure) -> str:
    """``made otherwise: judge.aggregate: rows → circular``; or what agrees, as far as is known."""
    if figure.differences:
        return f"made otherwise: {'; '.join(_turned(d.knob, d.here, d.there) for d in figure.differences)}"
    agreeing = listed([line(name, NAME) for name in dict.fromkeys(figure.agreeing)])
    return f"made as this run, as far as is known ({agreeing})" if figure.agreeing else "nobody says how it was made"


def _turned(knob: str, here: str, there: str) -> str:
    return f"{line(knob, NAME)}: {line(here, NAME)} → {line(there, NAME)}"


def exact(value: float | None, unit: str) -> str:
    """To a hundredth of a point, as differences are given, so that a reader can add up."""
    return "–" if value is None else f"{value:.{4 if unit == 'fraction' else 2}f}"


def points(value: float) -> str:
    """``+6.97``, with a true minus; ``0.00`` has no sign."""
    text = f"{value:+.2f}"
    return "0.00" if text in {"+0.00", "-0.00"} else text.replace("-", MINUS)


def _share(value: float, error: float) -> str:
    return f"{points(value)} ± {error:.2f}" if error else points(value)


def duration(seconds: float) -> str:
    """``40 seconds``, ``12 minutes``, ``3.1 hours``."""
    if seconds < 90:
        return count(max(1, round(seconds)), "second")
    return count(round(seconds / 60), "minute") if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def _estimate(estimate: Estimate) -> str:
    unit = " percent" if estimate.unit == "percent" else ""
    between = interval(estimate.low, estimate.high, estimate.unit)
    failed = f", {estimate.failed:,} without a score" if estimate.failed else ""
    return f"{number(estimate.value, estimate.unit)}{unit}{f' ({between})' if between else ''}{failed}"
