"""The table that ``run`` prints: the page's leaderboard in plain text, same order, marks and words; then the sweeps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from janus_eval.reports import records
from janus_eval.reports.board import BEST, INTERVALS, Board, Cell, Column, Row, build
from janus_eval.reports.readings import LEGEND, TOP, Reading, readings, unswept
from janus_eval.reports.records import Run
from janus_eval.reports.sweeps import Place, Sweep
from janus_eval.reports.wording import UNITS, interval, line, mark, number

if TYPE_CHECKING:
    from rich.console import RenderableType

MODEL = "model"
GAP = 2
NAME_LIMIT = 26
VALUES = 25
"""Columns of a block's line beside its label: margins, value, interval."""


class Line(NamedTuple):
    """A line of a sheet: a name with a word below it, and a cell a column, with the unit it is in."""

    name: str
    role: str
    cells: Sequence[tuple[Cell, Column]]
    rule: bool = False


class Sheet(NamedTuple):
    """A table: a grid where it fits, else a block a line. ``headings`` have several lines each, ``labels`` one."""

    corner: str
    headings: Sequence[Sequence[str]]
    labels: Sequence[str]
    lines: Sequence[Line]

    def fitted(self, width: int) -> RenderableType:
        return _grid(self) if _grid_width(self) <= width else _stacked(self, width)


def render(runs: Sequence[Path], width: int = 80) -> RenderableType:
    """The leaderboard of some run folders, at most ``width`` columns wide (40 or more; below, lines wrap).

    One row a model and one column a task where they fit, else one block a model. The cells of a sweep stand in tables
    of their own below it. Raises UserError for a folder that is no run.
    """
    return table([records.read(path).counted() for path in runs], width)


def table(runs: Sequence[Run], width: int = 80) -> RenderableType:
    """The same of runs that were read before."""
    board = build(runs)
    if not board.rows:
        return Text(board.sentence)
    rows = unswept(board)
    parts: list[RenderableType] = [_leaderboard(board, rows).fitted(width)] if rows else []
    for sweep in board.sweeps:
        parts += [Text()] if parts else []
        parts += _sweep(sweep, readings(board, sweep), width)
    opening = Text(line(" ".join([board.sentence, *board.states]), 1000))
    return Group(opening, Text(), *parts, _rest(board, rows))


def _rest(board: Board, rows: Sequence[Row]) -> Text:
    rest = Text()
    if board.columns:
        best = BEST if any(cell.best for row in rows for cell in row.cells) else ""
        rest.append(f"\n{INTERVALS}{best}{f' {LEGEND}' if board.sweeps else ''}\n", "dim")
    for n, note in enumerate(board.footnotes, 1):
        rest.append(f"{mark(n)} {line(note, 400)}\n")
    rest.rstrip()
    return rest


def _leaderboard(board: Board, rows: Sequence[Row]) -> Sheet:
    lines = [
        Line(
            line(row.name, NAME_LIMIT),
            row.role.split(":")[0],
            list(zip(row.cells, board.columns, strict=True)),
            rule=bool(row.role and n and not rows[n - 1].role),
        )
        for n, row in enumerate(rows)
    ]
    return Sheet(MODEL, [_heading(column) for column in board.columns], [_label(c) for c in board.columns], lines)


def _sweep(sweep: Sweep, read: Sequence[Reading], width: int) -> Iterator[RenderableType]:
    """One table for all tasks where one setting varies, else one a task; then which cell is the best."""
    yield Text(line(sweep.title, 200), "bold")
    if not read:
        yield Text("no numbers yet", "dim")
    if len(sweep.axes) == 1 and read:
        yield Text()
        yield _by_task(sweep, read).fitted(width)
        yield Text()
        yield from (Text(f"{_label(reading.column)}: {reading.verdict}") for reading in read if reading.verdict)
        return
    for reading in read:
        for facet in sweep.facets:
            column = reading.column
            unit = f", {UNITS[column.unit]}" if column.unit in UNITS else ""
            beside = f", {rest}" if (rest := sweep.label(facet, 2)) else ""
            yield Text(f"\n{line(column.name, 60)}{unit}{beside}")
            yield _by_value(sweep, reading, facet).fitted(width)
        if reading.verdict:
            yield Text(reading.verdict)


def _by_task(sweep: Sweep, read: Sequence[Reading]) -> Sheet:
    columns = [reading.column for reading in read]
    lines = [
        Line(sweep.axes[0].values[down], "", [(reading.at(place), reading.column) for reading in read])
        for down, [place] in sweep.table(())
    ]
    headings = [_heading(column) for column in columns]
    return Sheet(sweep.axes[0].name, headings, [_label(column) for column in columns], lines)


def _by_value(sweep: Sweep, reading: Reading, facet: Place) -> Sheet:
    """The first setting downwards, the second across."""
    first, second = sweep.axes[:2]
    lines = [
        Line(first.values[down], "", [(reading.at(place), reading.column) for place in places])
        for down, places in sweep.table(facet)
    ]
    texts = list(second.values.values())
    headings = [[second.name, text] if n == 0 else [text] for n, text in enumerate(texts)]
    return Sheet(first.name, headings, [f"{second.name}={text}" for text in texts], lines)


def _grid(sheet: Sheet) -> Table:
    table = Table(box=box.HORIZONTALS, show_edge=False, padding=(0, GAP, 0, 0), pad_edge=False, header_style="")
    table.add_column(Text(sheet.corner), vertical="top", no_wrap=True)
    for heading in sheet.headings:
        table.add_column(Text("\n".join(heading)), no_wrap=True, vertical="top")
    for row in sheet.lines:
        if row.rule:
            table.add_section()
        name = Text(row.name)
        if row.role:
            name.append(f"\n{row.role}", "dim")
        table.add_row(name, *(_stack(cell, column) for cell, column in row.cells))
    return table


def _stacked(sheet: Sheet, width: int) -> Group:
    label = max(map(len, sheet.labels), default=0)
    # The value stands beside its label where it fits, else on the next line, further in.
    between = f"\n{' ' * 4}" if label + VALUES > width else ""
    blocks: list[Text] = []
    for n, row in enumerate(sheet.lines):
        text = Text("\n" if n else "")
        text.append(row.name if sheet.corner == MODEL else f"{sheet.corner}={row.name}", "bold")
        if row.role:
            text.append(f"  {row.role}", "dim")
        for name, (cell, column) in zip(sheet.labels, row.cells, strict=True):
            text.append(f"\n  {name:<{0 if between else label}}{between or '  '}")
            text.append_text(_value(cell, column, pad=7))
            if cell.metric and cell.metric.value is not None:
                text.append(f"  {interval(cell.metric.low, cell.metric.high, column.unit)}", "dim")
        blocks.append(text)
    return Group(*blocks)


def _stack(cell: Cell, column: Column) -> Text:
    text = _value(cell, column)
    if cell.metric and cell.metric.value is not None:
        text.append(f"\n{interval(cell.metric.low, cell.metric.high, column.unit)}", "dim")
    return text


def _value(cell: Cell, column: Column, pad: int = 0) -> Text:
    if cell.metric is None or cell.metric.value is None:
        body, style = cell.word, "dim"
    else:
        body, style = number(cell.metric.value, column.unit), "bold" if cell.best else ""
    text = Text(f"{body}{TOP if cell.top else ''}", style)
    text.append("".join(mark(n) for n in cell.notes), "yellow")
    text.append(" " * max(0, pad - len(text)))
    return text


def _heading(column: Column) -> list[str]:
    """Task and protocol in lines of about ten characters, so that five columns fit eighty."""
    lines: list[str] = []
    for part in line(column.task, 40).replace("-", "- ").split():
        if lines and len(lines[-1]) + len(part) <= 10:
            lines[-1] += part
        else:
            lines.append(part)
    unit = [UNITS[column.unit]] if column.unit in UNITS else []
    return [*lines, line(column.protocol, 14), *unit, *([] if column.upward else ["(less is", "better)"])]


def _label(column: Column) -> str:
    return line(column.name, 32)


def _grid_width(sheet: Sheet) -> int:
    names = [len(text) for row in sheet.lines for text in (row.name, row.role)]
    total = max(len(sheet.corner), *names) + GAP
    for i, heading in enumerate(sheet.headings):
        cells = [part for row in sheet.lines for part in _stack(*row.cells[i]).plain.split("\n")]
        total += max(map(len, [*heading, *cells])) + GAP
    return total
