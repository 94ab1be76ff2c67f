"""A paper's table as text cells, ready for any format: the printed rows, each with a line for every run beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from janus_eval.reports.papers import PaperColumn
from janus_eval.reports.papers_verdict import Number, summary
from janus_eval.reports.papers_view import Held, PaperView, RowView, TableView, folder_of, runs_in
from janus_eval.reports.wording import listed

DASH = "–"
MINUS = "−"
HOW = (
    "A printed value agrees where it lies in the 95% interval of the measured one, widened by half a unit of the "
    "printed value's last digit. Differences are measured minus printed."
)
SAME = "same run, "
EXTERNAL = "† Draws with another, pretrained model."


@dataclass(frozen=True)
class GridCell:
    """``text`` is the value. Of a measured one: its interval, its difference from the printed value, the verdict's
    word, and the number of the note that says why; ``plot`` has printed value, value, low and high for a picture."""

    text: str = ""
    interval: str = ""
    shift: str = ""
    word: str = ""
    note: int = 0
    plot: tuple[float, float, float, float] | None = None


@dataclass(frozen=True)
class GridRow:
    """``kind``: "printed", "measured" (a run's line under a printed row) or "added" (a user's own figures)."""

    name: str
    size: str
    cells: Sequence[GridCell]
    kind: str = "printed"
    rule: bool = False


@dataclass(frozen=True)
class Grid:
    """``heads`` are those of the columns after the first two; ``size_head`` is empty where there are no sizes."""

    title: str
    row_head: str
    size_head: str
    heads: Sequence[str]
    sections: Sequence[tuple[str, Sequence[GridRow]]]
    lead: Sequence[str] = ()
    """Sentences before the table."""
    after: Sequence[str] = ()
    """Sentences behind it, before the notes."""
    notes: Sequence[str] = ()

    @property
    def rows(self) -> list[GridRow]:
        return [row for _, rows in self.sections for row in rows]


@dataclass(frozen=True)
class Sheaf:
    """Grids under one title: what every format renders."""

    title: str
    lead: Sequence[str]
    grids: Sequence[Grid]
    rest: Sequence[str] = ()
    """A list behind the grids, under ``rest_title``."""
    rest_title: str = ""


@dataclass
class Notes:
    """Reasons, numbered as they come; equal ones share a number."""

    texts: list[str] = field(default_factory=list)

    def number(self, text: str) -> int:
        if not text:
            return 0
        if text not in self.texts:
            self.texts.append(text)
        return self.texts.index(text) + 1


def sheaf(view: PaperView) -> Sheaf:
    """All tables of a paper."""
    runs = runs_in(view.tables)
    measured = [f"Measured here: {listed([folder_of(run) for run in runs])}."] if runs else []
    nothing = [] if runs else ["Nothing was measured here: the figures are the paper's alone."]
    source = f"As printed in arXiv {view.paper.arxiv}."
    return Sheaf(
        view.paper.title,
        [" ".join([source, *measured, *nothing]), *([HOW] if runs else [])],
        list(map(grid, view.tables)),
    )


def grid(view: TableView) -> Grid:
    """One table."""
    table, notes = view.table, Notes()
    sections = []
    for name, rows in view.groups:
        found = [drawn for row in rows for drawn in _rows(row, view, notes)]
        sections.append((name, found))
    after = [EXTERNAL] if any(row.external for row in table.rows) else []
    for row in view.rows:
        for line_of in row.lines:
            if told := summary(view.verdicts(line_of)) if row.origin != "run" else "":
                how = f" ({line_of.how})" if line_of.how else ""
                after.append(f"{row.row.name} beside {folder_of(line_of.run)}{how}: {told}.")
    if view.idle:
        after.append(f"Nothing of this table was run by {listed(view.idle)}.")
    return Grid(
        f"{table.table}: {table.title}",
        table.row_head,
        table.params_head or "",
        [column.head for column in table.columns],
        sections,
        after=after,
        notes=notes.texts,
    )


def _rows(row: RowView, view: TableView, notes: Notes) -> Iterator[GridRow]:
    columns = view.table.columns
    size = (row.row.params or "") if view.table.params_head else ""
    if row.origin != "run":
        cells = [
            GridCell(figured(figure.value, column) if figure else DASH)
            for figure, column in zip(row.figures, columns, strict=True)
        ]
        yield GridRow(row.row.printed, size, cells, row.origin.replace("paper", "printed"), row.row.rule)
    for line_of in row.lines:
        # What other protocols say of the same answers stands in lines of its own below the one to compare.
        for depth in range(max(map(len, line_of.cells))):
            layer = [cell[depth] if depth < len(cell) else None for cell in line_of.cells]
            cells = [
                measured_cell(held, column, notes) if held else GridCell()
                for held, column in zip(layer, columns, strict=True)
            ]
            others = listed(list(dict.fromkeys(_where(held) for held in layer if held)))
            yield GridRow(f"{SAME}{others}" if depth else folder_of(line_of.run), "", cells, "measured")


def measured_cell(held: Held, column: PaperColumn, notes: Notes) -> GridCell:
    word = held.verdict.word if held.verdict else ""
    if held.number is None:
        return GridCell(DASH, word=word, note=notes.number(held.why))
    return GridCell(
        figured(held.number.value, column),
        interval(held.number, column),
        shifted(held, column),
        word,
        notes.number(f"{_where(held)}: {held.why}" if held.why else ""),
        plotted(held),
    )


def plotted(held: Held) -> tuple[float, float, float, float] | None:
    """Printed value, measured value and its interval, where all four are there and may be held against each other."""
    number = held.number
    if held.verdict is None or held.verdict.word not in {"agrees", "differs"}:
        return None
    if held.printed is None or number is None or number.value is None or number.low is None or number.high is None:
        return None
    return held.printed, number.value, number.low, number.high


def _where(held: Held) -> str:
    return f"{held.task}/{held.protocol}"


def figured(value: float | None, column: PaperColumn) -> str:
    """A value with the decimals that the column prints."""
    return DASH if value is None else _signed(value, column.decimals)


def interval(number: Number, column: PaperColumn) -> str:
    if number.value is None or number.low is None or number.high is None:
        return ""
    return f"{_signed(number.low, column.decimals)}–{_signed(number.high, column.decimals)}"


def shifted(held: Held, column: PaperColumn) -> str:
    return "" if held.shift is None else signed(held.shift[0], column)


def signed(value: float, column: PaperColumn) -> str:
    """A difference with its sign, always: ``+0.3``, ``−0.3``, ``±0.0``."""
    text = _signed(value, column.decimals)
    if not text.strip("0."):
        return f"±{text}"
    return text if text.startswith(MINUS) else f"+{text}"


def _signed(value: float, decimals: int) -> str:
    text = f"{value:.{decimals}f}"
    if not text.strip("-0."):
        text = text.lstrip("-")  # no negative zero
    return text.replace("-", MINUS)
