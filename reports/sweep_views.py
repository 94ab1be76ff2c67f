"""The page of sweeps: a figure and a table for each task."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from markupsafe import Markup

from janus_eval.reports.board import Board, Cell, Column
from janus_eval.reports.drawing import Series
from janus_eval.reports.pages import Links, Page, Report, benchmark_path, render
from janus_eval.reports.plots import Curve, Level, curves
from janus_eval.reports.readings import LEGEND, TOP, Reading, readings, unswept
from janus_eval.reports.records import MetricRecord
from janus_eval.reports.sweeps import Place, Sweep
from janus_eval.reports.systems import SERIES
from janus_eval.reports.wording import line

CHANCE = "The best of many owes something to chance: before reporting it, measure it anew with another seed."


class SweptRow(NamedTuple):
    """A value of the first setting with a cell for each of the second; or, below a rule, a model that was not swept."""

    name: str
    role: str
    cells: Sequence[Cell]
    rule: bool = False


@dataclass(frozen=True)
class Figure:
    """A task, and where more than two settings vary, one combination of the rest: ``facet``."""

    index: int
    column: Column
    facet: str
    plot: Markup
    verdict: str
    down: str
    across: str
    headings: Sequence[str]
    rows: Sequence[SweptRow]


@dataclass(frozen=True)
class SweepView:
    anchor: str
    title: str
    reading: str
    figures: Sequence[Figure]


def pages(report: Report) -> Iterator[Page]:
    """One page with every sweep, where there is any."""
    views = sweep_views(report.board)

    def body(links: Links) -> Markup:
        to = {n: links.to(benchmark_path(report, n), f"protocol-{n + 1}") for n in range(len(report.board.columns))}
        return render("sweeps.html", links, {"sweeps": views, "to": to, "top": TOP})

    if views:
        yield Page("sweeps.html", "Sweeps over settings", body, menu="Sweeps")


def sweep_views(board: Board) -> list[SweepView]:
    """One for each sweep that has any number yet."""
    views = []
    for n, sweep in enumerate(board.sweeps, 1):
        figures = [_figure(sweep, reading, facet) for reading in readings(board, sweep) for facet in sweep.facets]
        if figures:
            views.append(SweepView(f"sweep-{n}", line(sweep.title, 120), _reading(board, sweep), figures))
    return views


def _reading(board: Board, sweep: Sweep) -> str:
    """How to read the plots and tables."""
    text = f"Value and 95% interval over {sweep.axes[0].name}"
    text += f", a colour for each {sweep.axes[1].name}" if len(sweep.axes) > 1 else ""
    text += "; dotted, with bands: models that were not swept." if unswept(board) else "."
    return f"{text} {LEGEND} {CHANCE}"


def _figure(sweep: Sweep, reading: Reading, facet: Place) -> Figure:
    first, second = sweep.axes[0], sweep.axes[1] if len(sweep.axes) > 1 else None
    rows = [
        SweptRow(first.values[down], "", [reading.at(place) for place in places]) for down, places in sweep.table(facet)
    ]
    for n, row in enumerate(reading.unswept):
        rows.append(SweptRow(line(row.name, 40), row.role.split(":")[0], [row.cells[reading.index]], rule=n == 0))
    return Figure(
        reading.index,
        reading.column,
        sweep.label(facet, 2),
        _plot(sweep, reading, facet),
        reading.verdict,
        first.name,
        second.name if second else "",
        list(second.values.values()) if second else ["value"],
        rows,
    )


def _plot(sweep: Sweep, reading: Reading, facet: Place) -> Markup:
    first, second = sweep.axes[0], sweep.axes[1] if len(sweep.axes) > 1 else None
    words = [] if first.numeric else list(first.values)
    points: list[list[tuple[float, MetricRecord]]] = [[] for _ in second.values] if second else [[]]
    for down, places in sweep.table(facet):
        for place, line_of in zip(places, points, strict=True):
            if place in reading.rivals:
                line_of.append((float(words.index(down) if words else json.loads(down)), reading.rivals[place]))
    names = list(second.values.values()) if second else [""]
    classes = [f"s{n % SERIES}{' dashed' if n // SERIES % 2 else ''}" for n in range(len(names))]
    lines = [
        Curve(Series(name, style), known) for name, style, known in zip(names, classes, points, strict=True) if known
    ]
    if not lines:
        return Markup("")
    return curves(
        lines,
        (reading.column.low, reading.column.high),
        first.name,
        reading.column.name,
        ticks=[] if words else [float(json.loads(value)) for value in first.values],
        words=[first.values[word] for word in words],
        levels=[Level(Series(row.name, "sr"), m) for row in reading.unswept if (m := row.cells[reading.index].metric)],
        heading=second.name if second else "",
    )
