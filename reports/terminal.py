"""The table that ``run`` prints: the page's leaderboard in plain text, same order, marks and words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from janus_eval.reports import records
from janus_eval.reports.board import BEST, INTERVALS, Board, Cell, Column, Row, build
from janus_eval.reports.wording import interval, line, mark, number

if TYPE_CHECKING:
    from rich.console import RenderableType

GAP = 2
NAME_LIMIT = 26
VALUES = 25
"""Columns of a block's line beside its label: margins, value, interval."""


def render(runs: Sequence[Path], width: int = 80) -> RenderableType:
    """The leaderboard of some run folders, at most ``width`` columns wide (40 or more; below, lines wrap).

    One row a model and one column a task where they fit, else one block a model. Raises UserError for a folder that
    is no run.
    """
    board = build([records.read(path) for path in runs])
    if not board.rows:
        return Text(board.sentence)
    table = _grid(board) if _grid_width(board) <= width else _stacked(board, width)
    rest = Text()
    if board.columns:
        rest.append(f"\n{INTERVALS}{BEST if board.has_best else ''}\n", "dim")
    for n, note in enumerate(board.footnotes, 1):
        rest.append(f"{mark(n)} {line(note, 400)}\n")
    rest.rstrip()
    return Group(Text(line(board.sentence, 1000)), Text(), table, rest)


def _grid(board: Board) -> Table:
    table = Table(box=box.HORIZONTALS, show_edge=False, padding=(0, GAP, 0, 0), pad_edge=False, header_style="")
    table.add_column("model", vertical="top", no_wrap=True)
    for column in board.columns:
        table.add_column(Text("\n".join(_heading(column))), no_wrap=True, vertical="top")
    for n, row in enumerate(board.rows):
        if row.role and n and not board.rows[n - 1].role:
            table.add_section()
        name = Text(_name(row))
        if row.role:
            name.append(f"\n{row.role.split(':')[0]}", "dim")
        table.add_row(name, *(_stack(cell, column) for cell, column in zip(row.cells, board.columns, strict=True)))
    return table


def _stacked(board: Board, width: int) -> Group:
    label = max((len(_label(c)) for c in board.columns), default=0)
    # The value stands beside its label where it fits, else on the next line, further in.
    between = f"\n{' ' * 4}" if label + VALUES > width else ""
    blocks: list[Text] = []
    for n, row in enumerate(board.rows):
        text = Text("\n" if n else "")
        text.append(_name(row), "bold")
        if row.role:
            text.append(f"  {row.role.split(':')[0]}", "dim")
        for cell, column in zip(row.cells, board.columns, strict=True):
            text.append(f"\n  {_label(column):<{0 if between else label}}{between or '  '}")
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
    text = Text(body, style)
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
    return [*lines, line(column.protocol, 14), *(["percent"] if column.unit == "percent" else [])]


def _label(column: Column) -> str:
    return line(column.name, 32)


def _name(row: Row) -> str:
    return line(row.name, NAME_LIMIT)


def _grid_width(board: Board) -> int:
    names = [len(_name(row)) for row in board.rows] + [len(row.role.split(":")[0]) for row in board.rows]
    total = max(5, *names) + GAP
    for i, column in enumerate(board.columns):
        cells = [row.cells[i] for row in board.rows]
        lines = [*_heading(column), *(part for cell in cells for part in _stack(cell, column).plain.split("\n"))]
        total += max(len(part) for part in lines) + GAP
    return total
