"""What the page says of each task, and the tables of knobs, fingerprints and failures: plain data for the templates."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from markupsafe import Markup

from janus_eval.reports.board import HEADLINE, SCALES, Board, Column, scale_top
from janus_eval.reports.figures import Line, curves, whisker
from janus_eval.reports.galleries import Budget, Shelf, shelves
from janus_eval.reports.records import MetricRecord, ResultRecord
from janus_eval.reports.wording import interval, line, listed, number, plain

# Words for metrics whose names are short; any other name speaks for itself.
GLOSSES = {
    "cer": "character error rate, lower is better",
    "prompts_any": "prompts with at least one right picture",
}
FAILURES = 60  # rows of the table; the rest is counted
KNOBS = 400
KNOB_TABLES = ("ask", "observe", "judge")
SPLITS = ("seen", "unseen")
SERIES = 6
# Metrics whose names differ only in a number ("height/8", "12 px") are one curve over it.
SIZED = re.compile(r"(?P<head>\D*?)(?P<size>\d+(?:\.\d+)?)(?P<tail>\D*)")


class Measured(NamedTuple):
    """A model's cell in a table of metrics."""

    value: str
    interval: str
    plot: Markup
    n: str


class MetricRow(NamedTuple):
    """A metric with a cell for every model; ``rule`` draws a line above it, ``inner`` sets it below its family's."""

    name: str
    gloss: str
    cells: Sequence[Measured | None]
    rule: bool
    inner: bool


class Curve(NamedTuple):
    title: str
    plot: Markup
    caption: str


@dataclass(frozen=True)
class TaskView:
    """A task under a protocol, as its section shows it."""

    anchor: str
    column: Column
    title: str
    note: str
    metrics: Sequence[MetricRow]
    plotted: Sequence[MetricRow]
    curves: Sequence[Curve]
    shelves: Sequence[Shelf]
    protocol: Sequence[Comparison]
    fingerprint: Sequence[Comparison]


class Comparison(NamedTuple):
    """A knob with its value in every run; ``same`` where all agree."""

    name: str
    values: Sequence[str]
    same: bool


class FailureRow(NamedTuple):
    model: str
    task: str
    request: str
    stage: str
    reason: str


def series(board: Board) -> list[str]:
    """The style class of every row: contestants have colours, reference models are grey."""
    classes, used = [], 0
    for row in board.rows:
        classes.append("sr" if row.role else f"s{used % SERIES}")
        used += not row.role
    return classes


def anchor(index: int) -> str:
    """Where on the page column ``index`` of the leaderboard is told in full."""
    return f"task-{index + 1}"


def task_view(board: Board, index: int, budget: Budget) -> TaskView:
    """Everything about column ``index`` of the leaderboard."""
    column = board.columns[index]
    runs = [row.run for row in board.rows]
    results = [run.results.get(column.task, {}).get(column.protocol) for run in runs]
    classes = series(board)
    families = _families(results)
    names = list(dict.fromkeys(name for result in results if result for name in result.metrics))
    sized = [name for family in families.values() for name in family]
    return TaskView(
        anchor=anchor(index),
        column=column,
        title=_protocol(results, "title"),
        note=_protocol(results, "note"),
        metrics=_metric_rows(results, classes, column, [name for name in names if name not in sized]),
        plotted=_metric_rows(results, classes, column, sized),
        curves=[_curve(board, results, classes, column, words=words, sizes=sizes) for words, sizes in families.items()],
        shelves=shelves(runs, column.task, column.protocol, budget),
        protocol=compare(
            [{k: v for k, v in result.protocol.items() if k in KNOB_TABLES} if result else {} for result in results]
        ),
        fingerprint=compare([result.fingerprint if result else {} for result in results]),
    )


def _metric_rows(
    results: Sequence[ResultRecord | None], classes: Sequence[str], column: Column, names: Sequence[str]
) -> list[MetricRow]:
    # overall, then the categories in the task's order, then seen and unseen
    names = sorted(names, key=lambda name: (name != HEADLINE, name in SPLITS))
    kinds = [(name != HEADLINE, name in SPLITS) for name in names]
    rows: list[MetricRow] = []
    for i, name in enumerate(names):
        metrics = [result.metrics.get(name) if result else None for result in results]
        cells = [_measured(m, column, c) if m else None for m, c in zip(metrics, classes, strict=True)]
        family, slash, rest = name.partition("/")
        inner = bool(slash) and family in names
        shown = line(rest if inner else name, 60)
        rows.append(MetricRow(shown, GLOSSES.get(name, ""), cells, i > 0 and kinds[i] != kinds[i - 1], inner))
    return rows


def _measured(metric: MetricRecord, column: Column, cls: str) -> Measured:
    low, high = scale(metric, column)
    n = f"n = {metric.n:,}" + (f", {metric.failed:,} failed" if metric.failed else "")
    return Measured(
        number(metric.value, metric.unit),
        interval(metric.low, metric.high, metric.unit),
        whisker(metric, low, high, cls),
        n,
    )


def scale(metric: MetricRecord, column: Column) -> tuple[float, float]:
    """The column's scale; a metric in another unit has its own."""
    if metric.unit == column.unit:
        return column.low, column.high
    return SCALES.get(metric.unit, (0.0, scale_top(metric.high or metric.value or 0.0)))


def _families(results: Sequence[ResultRecord | None]) -> dict[str, dict[str, float]]:
    """Metrics that differ in a number alone, three or more: their common words -> {name: number}."""
    families: dict[str, dict[str, float]] = {}
    for result in results:
        for name in result.metrics if result else ():
            found = SIZED.fullmatch(name)
            if found:
                words = f"{found['head']} {found['tail']}".replace("_", " ").strip(" /:-")
                families.setdefault(words, {})[name] = float(found["size"])
    return {words: sizes for words, sizes in families.items() if len(sizes) >= 3}


def _curve(
    board: Board,
    results: Sequence[ResultRecord | None],
    classes: Sequence[str],
    column: Column,
    *,
    words: str,
    sizes: Mapping[str, float],
) -> Curve:
    # A plot has no room for long names; of one sweep the values suffice.
    [sweep] = board.sweeps if len(board.sweeps) == 1 else [None]
    short = {n: sweep.short(place) for place, numbers in sweep.runs.items() for n in numbers} if sweep else {}
    lines = [
        Line(
            short.get(n, row.name),
            cls,
            sorted(
                ((size, result.metrics[name]) for name, size in sizes.items() if name in result.metrics),
                key=lambda p: p[0],
            ),
        )
        for n, (row, result, cls) in enumerate(zip(board.rows, results, classes, strict=True))
        if result
    ]
    what, height, _ = words.partition("height")
    axis = "height of the letters in pixels" if height else words or "size"
    title = f"{what.strip() or column.task} by {axis}"
    caption = (
        f"{column.unit.capitalize()} right, with 95% intervals, from {min(sizes.values()):g} to "
        f"{max(sizes.values()):g}. Models stand a little apart where they share a size."
    )
    if sweep:
        caption += f" {sweep.model} is named by its values of {listed([axis.name for axis in sweep.axes])}."
    return Curve(title, curves(lines, column.low, column.high, axis, title), caption)


def _protocol(results: Sequence[ResultRecord | None], word: str) -> str:
    found = next((r.protocol[word] for r in results if r and r.protocol.get(word)), "")
    return line(found, 300)


def flatten(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """A nested table as (dotted name, value as text); lists of plain values stay on one line."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from flatten(inner, f"{name}.{key}" if name else str(key))
    elif name:
        yield line(name, 120), plain(value, 300)


def compare(tables: Sequence[Mapping[str, Any]]) -> list[Comparison]:
    """Every knob of some runs, one row each, in order of first appearance."""
    flat = [dict(flatten(table)) for table in tables]
    names = list(dict.fromkeys(name for table in flat for name in table))[:KNOBS]
    rows = []
    for name in names:
        values = [table.get(name, "–") for table in flat]
        rows.append(Comparison(name, values, len(set(values)) == 1))
    return rows


def failures(board: Board) -> tuple[list[FailureRow], int]:
    """The first failures of every run, and how many there are in all."""
    rows, total = [], 0
    for row in board.rows:
        total += len(row.run.troubles)
        rows += [
            FailureRow(
                row.name,
                line(t.key.task, 60),
                line(f"{t.key.sample} · {t.key.k}", 80),
                line(t.stage, 60),
                line(t.reason, 300),
            )
            for t in row.run.troubles[: max(1, FAILURES // len(board.rows))]
        ]
    return rows, total


def first_pictures(views: Sequence[TaskView]) -> TaskView | None:
    """The task whose pictures open the page: the first that draws."""
    return next((v for v in views if any(card.drawn for shelf in v.shelves for card in shelf.cards)), None)
