"""What a gate says, in words and figures that the terminal, Markdown, JUnit and the page share."""

from __future__ import annotations

from collections.abc import Sequence

from janus_eval.gating.records import LEVEL, Change, Course, Fallen, Part, Refusal, Row, State, Verdict
from janus_eval.reports.wording import count, line, listed, number

WORDS: dict[State, str] = {
    "holds": "holds",
    "regression": "REGRESSION",
    "inconclusive": "inconclusive",
    "not comparable": "not comparable",
}
MARKS: dict[State, str] = {"holds": "ok", "regression": "FELL", "inconclusive": "?", "not comparable": "-"}
NAMED = 3
"""Categories that a metric's explanation names."""


def headline(verdict: Verdict) -> str:
    """One sentence, the answer first."""
    rows = verdict.rows
    fell = sum(row.state == "regression" for row in rows)
    if verdict.state == "regression":
        parts = [f"{fell} of {count(len(rows), 'metric')} fell"] if fell else []
        parts += [f"{count(len(verdict.fallen), 'must-hold sample')} fell"] if verdict.fallen else []
        return f"Regression: {' and '.join(parts)}."
    if verdict.state == "not comparable":
        return "Not comparable: no answer can be given."
    if verdict.state == "inconclusive":
        unsure = sum(row.state == "inconclusive" for row in rows)
        return f"Inconclusive: {unsure} of {count(len(rows), 'metric')} could not be decided."
    return f"Passed: {count(len(rows), 'metric')} held."


def method(verdict: Verdict) -> str:
    """How it was decided, in one or two sentences."""
    intervals = "90% intervals of the difference in points, both sides on the same samples."
    if verdict.course is not None:
        intervals = f"{spent(verdict.course)} {intervals}"
    if any(row.margin is not None for row in verdict.rows):
        return f"{intervals} Each metric must be shown to be no worse than its margin."
    return f"{intervals} p is Holm's, {LEVEL:.0%} over all metrics. Seen: the smallest fall found four times in five."


def spent(course: Course) -> str:
    counts = f"{course.asked:,} of {course.of:,} requests"
    if course.replayed:
        return f"Replayed in random order {course.order}: {counts} would have been enough."
    return f"Asked in random order {course.order} until the answer was clear: {counts}."


def points(value: float | None) -> str:
    """``-4.6``, ``+0.8``; a dash where there is none."""
    return "–" if value is None else f"{value:+.1f}" if round(value, 1) else "0.0"


def interval(change: Change | None) -> str:
    if change is None or change.low is None or change.high is None:
        return "–"
    return f"{points(change.low)}…{points(change.high)}"


def chance(row: Row) -> str:
    if row.margin is not None:
        return f"{row.margin:g}"
    return "–" if row.p is None else "<0.001" if row.p < 0.001 else f"{row.p:.3f}"


def cells(row: Row) -> list[str]:
    """Before, after, change, interval, p (or the margin), the smallest fall seen; of a sequential gate the groups."""
    values = [number(row.before, row.unit), number(row.after, row.unit)]
    seen = "none" if row.change is not None and row.seen is None else "–" if row.seen is None else f"{row.seen:.1f}"
    found = [*values, points(row.change.by if row.change else None), interval(row.change), chance(row), seen]
    return found if row.spent is None else [*found, f"{row.spent.groups:,}/{row.spent.of:,}"]


def columns(verdict: Verdict) -> list[str]:
    last = "margin" if any(row.margin is not None for row in verdict.rows) else "p"
    found = ["before", "after", "change", "90% interval", last, "seen"]
    return found if verdict.course is None else [*found, "groups"]


def part_of(part: Part) -> str:
    return f"{line(part.category, 40)} {points(part.change.by)} ({interval(part.change)})"


def explained(row: Row) -> str:
    """Which categories fell, the costliest first; "" where none did."""
    fell = [part for part in row.parts if part.share < 0]
    if not fell or row.change is None:
        return ""
    named = ", ".join(map(part_of, fell[:NAMED]))
    return f"fell in {named}" + (f" and {len(fell) - NAMED} more" if len(fell) > NAMED else "")


def counted(row: Row) -> str:
    """``of 60 groups 7 fell and 2 rose``."""
    change = row.change
    return "" if change is None else f"of {count(change.groups, 'group')} {change.fell:,} fell and {change.rose:,} rose"


def merged(refusals: Sequence[Refusal]) -> list[str]:
    """Refusals in words; one that stands for several tasks is told once."""
    places: dict[tuple[str, str], list[str]] = {}
    for one in refusals:
        places.setdefault((one.part, one.text), []).append(line(one.where, 60))
    every = len({one.where for one in refusals})
    return [
        f"{listed(found) if len(found) < every or every == 1 else f'all {every}'}: {part}: {line(text, 300)}"
        for (part, text), found in places.items()
    ]


def cure(refusals: Sequence[Refusal]) -> str:
    """How to go on nevertheless; "" where nothing can be allowed."""
    parts = list(dict.fromkeys(one.part for one in refusals if one.allowable))
    return f"To compare knowingly: {' '.join(f'--allow {part}' for part in parts)}" if parts else ""


def fall(one: Fallen) -> str:
    after = "no score" if one.after is None else f"{one.after:.2f}"
    return f"{one.task}/{one.protocol} {line(one.sample, 60)}: {one.before:.2f} to {after}"


def acceptance(verdict: Verdict) -> str:
    """What to do where the change is meant."""
    if verdict.state == "holds":
        return ""
    return f"If this change is meant: {verdict.accept}" if verdict.accept else ""
