"""A page for each task: its numbers by category, their plots, and answers of several models beside each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

from markupsafe import Markup

from janus_eval.reports import quoted, standings
from janus_eval.reports.benchmark_plots import GLOSSES, SPLITS, category_panels, curve_panels, families_of
from janus_eval.reports.comparing import flatten
from janus_eval.reports.figure_one import Panel
from janus_eval.reports.pages import Links, Page, Report, benchmark_path, render, slug
from janus_eval.reports.quoted import Benchmark
from janus_eval.reports.ranked import Ranked
from janus_eval.reports.records import HEADLINE, MetricRecord, ResultRecord
from janus_eval.reports.sidebyside import SideBySide
from janus_eval.reports.standings import Cell, Column, Footnotes, Standings
from janus_eval.reports.wording import interval, line, number, upward

AT_ONCE = 7  # metrics of the first table; the rest stands below it
KNOBS = 400
PUBLISHED_AT_ONCE = 8  # rows
KNOB_TABLES = ("ask", "observe", "judge")


class Comparison(NamedTuple):
    """A knob with its value in every run; ``same`` where all agree."""

    name: str
    values: Sequence[str]
    same: bool


class Detail(NamedTuple):
    """A metric that has no place in the first table: a number for every measured system."""

    name: str
    gloss: str
    inner: bool
    cells: Sequence[tuple[str, str, str] | None]


@dataclass(frozen=True)
class View:
    """A task under a protocol."""

    number: int
    protocol: str
    note: str
    table: Ranked
    panels: Sequence[Panel]
    details: Sequence[Detail]
    beside: SideBySide | None
    knobs: Sequence[Comparison]
    fingerprint: Sequence[Comparison]


def pages(report: Report) -> Iterator[Page]:
    """One page a task, with a part for each of its protocols."""
    tasks: dict[str, list[int]] = {}
    for place, column in enumerate(report.board.columns):
        tasks.setdefault(column.task, []).append(place)
    for task, numbers in tasks.items():
        body = partial(_body, report, task, numbers)
        yield Page(benchmark_path(report, numbers[0]), line(task, 80), body, line(task, 40), "Benchmarks")


def _body(report: Report, task: str, numbers: Sequence[int], links: Links) -> Markup:
    titles = (_said(_results(report, number), "title") for number in numbers)
    views = [view(report, number, links) for number in numbers]
    return render(
        "benchmark.html",
        links,
        {
            "title": next(filter(None, titles), ""),
            "views": views,
            "rows": report.board.rows,
            "classes": report.classes,
            "names": [line(row.name, 60) for row in report.board.rows],
        },
    )


def view(report: Report, number: int, links: Links) -> View:
    """Column ``number`` of the board in full."""
    column, results = report.board.columns[number], _results(report, number)
    names = list(dict.fromkeys(name for result in results if result for name in result.metrics))
    families = families_of(names)
    sized = [name for family in families.values() for name in family]
    # The headline, then the categories in the task's order, then seen and unseen.
    plain_names = sorted((n for n in names if n not in sized), key=lambda name: (name != HEADLINE, name in SPLITS))
    scored = {name for result in results if result for name, m in result.metrics.items() if m.value is not None}
    first = [name for name in plain_names if "/" not in name and (name in scored or name == HEADLINE)][:AT_ONCE]
    table = metric_table(report, number, first)
    rest = [name for name in plain_names if name not in first] + sized
    knobs = [{k: v for k, v in r.protocol.items() if k in KNOB_TABLES} if r else {} for r in results]
    return View(
        number + 1,
        column.protocol,
        _said(results, "note"),
        Ranked(report, table, links, f"p{number + 1}-", f"{column.name} by category"),
        [*curve_panels(report, results, families, number), *category_panels(table, column.task)],
        [_detail(name, results) for name in rest],
        report.beside[number],
        compare(knobs),
        compare([r.fingerprint if r else {} for r in results]),
    )


def metric_table(report: Report, number: int, names: Sequence[str]) -> Standings:
    """Some metrics of a column of the board, a column each, with what was published of them."""
    whole = next(c for c in report.standings.columns if c.index == number)
    place = list(report.standings.columns).index(whole)
    groups = [row.cells[place].group for row in report.standings.rows if row.place is not None]
    of_printed = next(
        (r.cells[place].group for r in report.standings.rows if r.place is None and r.cells[place].text), 0
    )
    results = _results(report, number)
    notes = Footnotes([])
    known = {(f.benchmark, f.metric) for f in report.ledger.figures}
    benchmarks: dict[str, Benchmark] = {}
    if whole.benchmark:
        metrics = {name: whole.benchmark.metric if name == HEADLINE else name for name in names}
        benchmarks = {
            n: Benchmark(whole.benchmark.name, m) for n, m in metrics.items() if (whole.benchmark.name, m) in known
        }
    printed = quoted.systems(report.ledger, list(benchmarks.values())) if HEADLINE in benchmarks else []
    cells_of: list[list[Cell]] = [[] for _ in [*results, *printed]]
    columns = []
    for name in names:
        metrics_of = [result.metrics.get(name) if result else None for result in results]
        unit = whole.unit if name == HEADLINE else next((m.unit for m in metrics_of if m), whole.unit)
        unit = whole.unit if (unit, whole.unit) == ("fraction", "percent") else unit
        column = Column(
            slug(name), line(name, 40), GLOSSES.get(name, ""), unit, upward=upward(unit, name),
            index=number, benchmark=benchmarks.get(name), apart=whole.apart,
        )  # fmt: skip
        cells = [_cell(m, unit, group) for m, group in zip(metrics_of, groups, strict=True)]
        cells += [standings.published(row, column, report.ledger, notes, of_printed) for row in printed]
        competing = [not row.role for row in report.board.rows] + [True] * len(printed)
        for row_cells, cell in zip(cells_of, standings.with_best(cells, competing, upward=column.upward), strict=True):
            row_cells.append(cell)
        low, high = standings.scale(unit, [v for c in cells for v in (c.low, c.value, c.high) if v is not None])
        columns.append(replace(column, low=low, high=high))
    return _shortened(Standings(columns, standings.rows_of(report.board, printed, cells_of, columns), notes))


def _shortened(table: Standings) -> Standings:
    """The measured rows that have something to tell, the best published ones and those of this harness's own families;
    the rest of these waits unseen."""
    if not table.columns:
        return table
    ranked = [row for block in table.blocks(0) for row in block.rows if row.place is None and row.shown]
    kept = {id(row) for n, row in enumerate(ranked) if n < PUBLISHED_AT_ONCE or row.series != "sr"}
    told = [row for row in table.rows if row.place is None or any(cell.text or cell.word for cell in row.cells)]
    return replace(table, rows=[replace(row, shown=row.place is not None or id(row) in kept) for row in told])


def _cell(metric: MetricRecord | None, unit: str, group: int) -> Cell:
    if metric is None or metric.value is None:
        return Cell(word="no score" if metric else "")
    return standings.measured(metric, unit, max(group, 0))


def _results(report: Report, number: int) -> list[ResultRecord | None]:
    column = report.board.columns[number]
    return [row.run.results.get(column.task, {}).get(column.protocol) for row in report.board.rows]


def _said(results: Sequence[ResultRecord | None], word: str) -> str:
    found = next((r.protocol[word] for r in results if r and r.protocol.get(word)), "")
    return line(found, 300)


def _detail(name: str, results: Sequence[ResultRecord | None]) -> Detail:
    cells = []
    for result in results:
        metric = result.metrics.get(name) if result else None
        n = f"n = {metric.n:,}{f', {metric.failed:,} failed' if metric.failed else ''}" if metric else ""
        bounds = interval(metric.low, metric.high, metric.unit) if metric else ""
        cells.append((number(metric.value, metric.unit), bounds, n) if metric else None)
    _, slash, rest = name.partition("/")
    less = not upward(next((r.metrics[name].unit for r in results if r and name in r.metrics), ""), name)
    gloss = ", ".join(filter(None, [GLOSSES.get(name, ""), "lower is better" if less else ""]))
    return Detail(line(rest if slash else name, 60), gloss, bool(slash), cells)


def compare(tables: Sequence[Mapping[str, Any]]) -> list[Comparison]:
    """Every knob of some runs, one row each, in order of first appearance."""
    flat = [dict(flatten(table)) for table in tables]
    names = list(dict.fromkeys(name for table in flat for name in table))[:KNOBS]
    rows = []
    for name in names:
        values = [table.get(name, "–") for table in flat]
        rows.append(Comparison(name, values, len(set(values)) == 1))
    return rows
