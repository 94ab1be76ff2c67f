"""A paper's tables in the terminal. A table that is too wide is cut between its columns, its first one repeated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from janus_eval.reports.papers_grid import Grid, GridCell, GridRow, Sheaf
from janus_eval.reports.wording import line, mark

GAP = 2
STEP = GAP + 1  # the line between two columns is a blank
NAME_LIMIT = 30
SHORT = {"not comparable": "not comp."}  # the column would be as wide as the word
STYLES = {
    **{"agrees": "green", "differs": "red", "not comparable": "yellow", "not run": "dim"},
    **{"holds": "green", "fails": "red", "open": "yellow"},
}


def render(sheaf: Sheaf, width: int) -> RenderableType:
    """Everything that fits ``width`` columns; on the narrowest terminal a table has one column at a time."""
    parts: list[RenderableType] = [Text(sheaf.title, "bold"), *map(Text, sheaf.lead)]
    for grid in sheaf.grids:
        parts += [Text(), Text(grid.title, "bold"), *map(Text, grid.lead), *_pieces(grid, width)]
        parts += [Text(text) for text in grid.after]
        parts += [Text(f"{mark(n)} {text}", "dim") for n, text in enumerate(grid.notes, 1)]
    if sheaf.rest:
        parts += [Text(), Text(sheaf.rest_title, "bold"), *(Text(f"- {text}") for text in sheaf.rest)]
    return Group(*parts)


def _pieces(grid: Grid, width: int) -> Iterator[Table]:
    sized = bool(grid.size_head) and any(row.size for row in grid.rows)
    first = max(
        [len(grid.row_head), *(len(_name(row)) for row in grid.rows), *(len(name) for name, _ in grid.sections)]
    )
    room = width - first - (max(len(grid.size_head), *(len(row.size) for row in grid.rows)) + STEP if sized else 0)
    widths = [
        max([len(head), *(len(part) for row in grid.rows for part in _stacked(row.cells[place]).plain.split("\n"))])
        for place, head in enumerate(grid.heads)
    ]
    for chosen in _cut(widths, room):
        yield _table(grid, chosen, sized=sized)


def _cut(widths: Sequence[int], room: int) -> Iterator[list[int]]:
    """Columns in as few pieces as fit, at least one column in each."""
    piece: list[int] = []
    for place, width in enumerate(widths):
        if piece and sum(STEP + widths[p] for p in piece) + STEP + width > room:
            yield piece
            piece = []
        piece.append(place)
    yield piece


def _table(grid: Grid, chosen: Sequence[int], *, sized: bool) -> Table:
    table = Table(box=box.HORIZONTALS, show_edge=False, padding=(0, GAP, 0, 0), pad_edge=False, header_style="")
    table.add_column(Text(grid.row_head), no_wrap=True, vertical="top")
    if sized:
        table.add_column(Text(grid.size_head), no_wrap=True, vertical="top")
    for place in chosen:
        table.add_column(Text(grid.heads[place]), no_wrap=True, justify="right", vertical="top")
    for name, rows in grid.sections:
        table.add_section()
        if name:
            table.add_row(Text(name, "italic"))
        for row in rows:
            if row.rule:
                table.add_section()
            size = [Text(row.size)] if sized else []
            table.add_row(Text(_name(row), _style(row)), *size, *(_stacked(row.cells[place]) for place in chosen))
    return table


def _name(row: GridRow) -> str:
    return f"> {line(row.name, NAME_LIMIT - 2)}" if row.kind == "measured" else line(row.name, NAME_LIMIT)


def _style(row: GridRow) -> str:
    return "cyan" if row.kind == "measured" else ""


def _stacked(cell: GridCell) -> Text:
    """Value, interval, difference and verdict, one below the other."""
    text = Text(cell.text)
    for part in (cell.interval, cell.shift):
        if part:
            text.append(f"\n{part}", "dim")
    note = mark(cell.note) if cell.note else ""
    if cell.word:
        text.append("\n")
        text.append(SHORT.get(cell.word, cell.word), STYLES[cell.word])
        text.append(note, "yellow")
    elif note:
        text.append(note, "yellow")
    return text
