"""Understanding against generation, after the first figure of the Janus-Pro paper, with what was measured here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from janus_eval.reports import quoted
from janus_eval.reports.drawing import Series
from janus_eval.reports.pages import Report
from janus_eval.reports.plots import Bar, Spot, bars, plane
from janus_eval.reports.quoted import Benchmark
from janus_eval.reports.records import MetricRecord
from janus_eval.reports.standings import MEASURED, PUBLISHED, Cell, Column, Row, scale
from janus_eval.reports.systems import own_colour
from janus_eval.reports.wording import UNITS

# Pairs of columns to be held against each other, understanding first: of the published benchmarks and of the shapes.
PAIRS = (("MMBench", "GenEval"), ("shapes-mmbench", "shapes-geneval"))
BARS = ("GenEval", "DPG-Bench")
# The paper's left panel averages these four, with MME's perception, which goes to 2,000, divided by 20.
AVERAGED = {
    Benchmark("POPE", "score"): 1.0,
    Benchmark("MME", "perception"): 20.0,
    Benchmark("GQA", "accuracy"): 1.0,
    Benchmark("MMMU", "accuracy"): 1.0,
}
MOST = 14  # bars
_BILLIONS = re.compile(r"(\d+(?:\.\d+)?)B")


class Panel(NamedTuple):
    title: str
    plot: Markup
    caption: str


def measured_panels(report: Report) -> list[Panel]:
    """Where at least two systems have both numbers and one of them was measured."""
    return [panel for pair in PAIRS if (panel := _plane(report, pair, measured=True))]


def published_panels(report: Report) -> list[Panel]:
    """The figure as the paper has it, from published numbers, with measured ones among them where there are any."""
    panels = [_plane(report, PAIRS[0], measured=False), _averages(report), *(_bars(report, name) for name in BARS)]
    return [panel for panel in panels if panel is not None]


def _plane(report: Report, pair: tuple[str, str], *, measured: bool) -> Panel | None:
    numbers = [next((n for n, c in enumerate(report.standings.columns) if c.name == name), -1) for name in pair]
    if min(numbers) < 0:
        return None
    columns = [report.standings.columns[n] for n in numbers]
    spots = []
    for row in report.standings.rows:
        cells = [row.cells[n] for n in numbers]
        if row.source in {MEASURED, PUBLISHED} and not row.role and all(cell.group == 0 for cell in cells):
            x, y = (_metric(cell, column) for cell, column in zip(cells, columns, strict=True))
            spots.append(Spot(Series(row.name, row.series), x, y, hollow=row.source == PUBLISHED))
    if len(spots) < 2 or (measured and all(spot.hollow for spot in spots)):
        return None
    x_scale = scale(columns[0].unit, reach([spot.x for spot in spots]))
    y_scale = scale(columns[1].unit, reach([spot.y for spot in spots]))
    plot = plane(spots, (x_scale, y_scale), (_label(columns[0]), _label(columns[1])))
    caption = "Systems that do both: the farther right the better they understand, the higher the better they draw."
    return Panel(f"{pair[0]} against {pair[1]}", plot, caption + _legend(spots))


def _averages(report: Report) -> Panel | None:
    spots = []
    for system in quoted.systems(report.ledger, list(AVERAGED)):
        figures = [system.figure(benchmark) for benchmark in AVERAGED]
        size = _BILLIONS.search(system.system.size)
        if system.aside or size is None or any(figure is None for figure in figures):
            continue
        values = [f.value / share for f, share in zip(figures, AVERAGED.values(), strict=True) if f]
        series = Series(system.name, own_colour(system.system))
        x, y = _bare(float(size[1]), "points"), _bare(sum(values) / len(values), "percent")
        spots.append(Spot(series, x, y, hollow=True))
    if len(spots) < 2:
        return None
    x_scale, y_scale = (0.0, max(reach([s.x for s in spots])) + 1), scale("percent", reach([s.y for s in spots]))
    plot = plane(spots, (x_scale, y_scale), ("parameters of the language model, billions", "average, percent"))
    caption = "Published averages of POPE, MME's perception / 20, GQA and MMMU, over the size of the language model."
    return Panel("Understanding, on four benchmarks", plot, caption)


def _bars(report: Report, name: str) -> Panel | None:
    number = next((n for n, c in enumerate(report.standings.columns) if c.name == name), -1)
    if number < 0:
        return None
    column = report.standings.columns[number]
    rows = [
        row for row in report.standings.rows if row.source != "aside" and not row.role and row.cells[number].group == 0
    ]
    return bar_panel(rows, [row.cells[number] for row in rows], column)


def bar_panel(rows: Sequence[Row], cells: Sequence[Cell], column: Column) -> Panel | None:
    """The best of some systems, all measured ones among them, as bars; none where there is nothing to compare."""
    sign = -1 if column.upward else 1
    ranked = sorted(zip(rows, cells, strict=True), key=lambda pair: (bool(pair[0].role), sign * (pair[1].value or 0.0)))
    kept = [pair for n, pair in enumerate(ranked) if n < MOST or pair[0].source == MEASURED][: 2 * MOST]
    if len(kept) < 2:
        return None
    found = [
        Bar(Series(row.name, row.series), _metric(cell, column), cell.text, hollow=row.source != MEASURED)
        for row, cell in kept
    ]
    end = scale(column.unit, [0.0, *reach([bar.metric for bar in found])])
    caption = f"The best {len(found)} of {len(ranked)} systems" if len(ranked) > len(found) else "All systems"
    caption += ", 95% intervals as lines" if any(not bar.hollow for bar in found) else ""
    caption += "; hollow and †: published" if any(bar.hollow for bar in found) else ""
    unit = f" In {UNITS[column.unit]}." if column.unit in UNITS and column.unit != "fid" else ""
    caption += f".{unit}{'' if column.upward else ' Lower is better.'}"
    return Panel(column.name, bars(found, end, f"{column.name}, {len(found)} systems"), caption)


def _metric(cell: Cell, column: Column) -> MetricRecord:
    unit = "points" if column.unit == "clip_x100" else column.unit
    return MetricRecord.model_validate({"value": cell.value, "low": cell.low, "high": cell.high, "unit": unit, "n": 0})


def _bare(value: float, unit: str) -> MetricRecord:
    return MetricRecord.model_validate({"value": value, "unit": unit, "n": 0})


def reach(metrics: Sequence[MetricRecord]) -> list[float]:
    """All values and ends of intervals, for a scale that holds them."""
    return [v for m in metrics for v in (m.low, m.value, m.high) if v is not None]


def _label(column: Column) -> str:
    return f"{column.name}{f', {UNITS[column.unit]}' if column.unit in UNITS else ''}"


def _legend(spots: Sequence[Spot]) -> str:
    hollow = {spot.hollow for spot in spots}
    if hollow == {True, False}:
        return " Filled, with 95% intervals: measured; hollow: published."
    return " Hollow: published." if hollow == {True} else " 95% intervals both ways."
