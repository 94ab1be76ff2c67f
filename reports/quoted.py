"""Published figures for the page: one row a printed value, with all its sources and what is known of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from markupsafe import Markup

from janus_eval.reports.figures import whisker
from janus_eval.reports.ledger import Figure, Ledger, Source
from janus_eval.reports.records import MetricRecord
from janus_eval.reports.wording import number

JANUS_PRO = "2501.17811"
HEADLINES = (("MMBench", "accuracy", "mmbench"), ("GenEval", "overall", "geneval"), ("DPG-Bench", "overall", "dpg"))


class QuotedRow(NamedTuple):
    """A value somebody printed. ``notes`` are numbers into the table's list."""

    name: str
    params: str
    value: str
    plot: Markup
    sources: Sequence[Source]
    rerun: str
    notes: Sequence[int]


@dataclass(frozen=True)
class QuotedTable:
    """A benchmark's published headline values, best first: those of Janus-Pro's table and its kin, then all others."""

    benchmark: str
    unit: str
    anchor: str
    main: Sequence[QuotedRow]
    others: Sequence[QuotedRow]
    notes: Sequence[str]
    caveats: Sequence[str]


def tables(ledger: Ledger) -> list[QuotedTable]:
    """MMBench, GenEval and DPG-Bench."""
    return [_table(ledger, *names) for names in HEADLINES]


def _table(ledger: Ledger, benchmark: str, metric: str, task: str) -> QuotedTable:
    figures = ledger.published(benchmark=benchmark, metric=metric)
    merged: dict[tuple[str, float, str], list[Figure]] = {}
    for figure in figures:
        merged.setdefault((figure.name, figure.value, figure.rerun), []).append(figure)
    ordered = sorted(merged.values(), key=lambda same: (-same[0].value, same[0].name))
    notes: list[str] = []
    main: list[QuotedRow] = []
    others: list[QuotedRow] = []
    for same in ordered:
        near = any(f.source.arxiv == JANUS_PRO for f in same) or (
            same[0].system.startswith("Janus") and "ablation" not in same[0].name
        )
        (main if near else others).append(_row(same, ledger, notes))
    return QuotedTable(benchmark, figures[0].unit, f"published-{task}", main, others, notes, ledger.caveats(task))


def _row(same: Sequence[Figure], ledger: Ledger, notes: list[str]) -> QuotedRow:
    first = same[0]
    numbers = []
    for text in dict.fromkeys(note for figure in same for note in ledger.notes_on(figure)):
        if text not in notes:
            notes.append(text)
        numbers.append(notes.index(text) + 1)
    unit: Literal["fraction", "percent"] = "percent" if first.unit == "percent" else "fraction"
    metric = MetricRecord(value=first.value, unit=unit, n=0)
    low, high = (0.0, 100.0) if unit == "percent" else (0.0, 1.0)
    # As printed: MMBench has one decimal, DPG-Bench two, and re-runs sometimes four.
    value = max(number(first.value, unit), f"{first.value:g}", key=len)
    params = ", ".join(dict.fromkeys(f.params for f in same if f.params))
    return QuotedRow(
        first.name,
        params,
        value,
        whisker(metric, low, high, "sr", hollow=True),
        [f.source for f in same],
        first.rerun,
        numbers,
    )
