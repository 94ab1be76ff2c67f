"""The site's leaderboard: measured runs and published figures as rows of one table, in groups that can be compared."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from janus_eval.reports import comparing, quoted
from janus_eval.reports.board import SCALES, Board
from janus_eval.reports.comparing import Ground
from janus_eval.reports.ledger import Figure, Ledger
from janus_eval.reports.quoted import BENCHMARKS, MAIN, Benchmark, Quoted
from janus_eval.reports.records import MetricRecord
from janus_eval.reports.systems import System, colours, of_run, own_colour
from janus_eval.reports.wording import interval, line, listed, number

MEASURED, PUBLISHED, ASIDE = "measured", "published", "aside"
NO_NUMBER = "No number in the column that the table is sorted by"
REFERENCES = "Reference models: how far the instruments and rules can be trusted"
AT_ONCE = 8  # columns that are shown before a reader chooses
TICKS = 4  # steps that a scale has at least


class Mark(NamedTuple):
    """A sign beside a number that leads to a footnote: its list and place there."""

    sign: str
    list: str
    place: int


@dataclass(frozen=True)
class Column:
    """A task under a protocol, or a benchmark that only has published figures; both where ``benchmark`` is measured.

    ``low`` to ``high`` is the scale of its cells. ``index`` is its number on the board, None where nothing of it was
    measured. ``apart`` says for each group of its numbers but the first why it may not be held against the first.
    """

    key: str
    name: str
    detail: str
    unit: str
    low: float = 0.0
    high: float = 1.0
    upward: bool = True
    index: int | None = None
    benchmark: Benchmark | None = None
    apart: Sequence[str] = ("",)
    shown: bool = True
    marks: Sequence[Mark] = ()


@dataclass(frozen=True)
class Cell:
    """``group`` numbers the numbers that can be compared: -1 where there is none. ``low`` is None where unknown."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    text: str = ""
    interval: str = ""
    word: str = ""
    marks: Sequence[Mark] = ()
    group: int = -1
    best: bool = False


@dataclass(frozen=True)
class Row:
    """A system. ``place`` is its number on the board, None for published ones; ``source`` is one of the three words."""

    name: str
    source: str
    tag: str
    system: System
    role: str
    series: str
    cells: Sequence[Cell]
    place: int | None = None
    shown: bool = True


class Block(NamedTuple):
    """Rows that may be ranked together; ``heading`` tells what parts them from those above, empty for the first."""

    heading: str
    rows: Sequence[Row]


@dataclass
class Footnotes:
    """What marks lead to: ``measured`` ones by number, the sources and the caveats of published figures."""

    measured: list[str]
    sources: list[Figure] = field(default_factory=list)
    caveats: list[str] = field(default_factory=list)
    _places: dict[object, int] = field(default_factory=dict)

    def source(self, figure: Figure) -> Mark:
        key = (figure.source.short, figure.source.url)
        if key not in self._places:
            self.sources.append(figure)
            self._places[key] = len(self.sources)
        return Mark("†", "source", self._places[key])

    def caveat(self, text: str) -> Mark:
        if text not in self.caveats:
            self.caveats.append(text)
        return Mark("‡", "caveat", self.caveats.index(text) + 1)


@dataclass(frozen=True)
class Standings:
    columns: Sequence[Column]
    rows: Sequence[Row]
    notes: Footnotes

    @property
    def has_best(self) -> bool:
        return any(cell.best for row in self.rows for cell in row.cells)

    def first_column(self) -> int:
        """The column that the table is sorted by before a reader chooses."""
        return next((n for n, column in enumerate(self.columns) if column.shown), 0)

    def _first_number(self, row: Row) -> tuple[int, float]:
        """Where a row stands among those without a number in the column that counts: by the first that it has."""
        for n, (column, cell) in enumerate(zip(self.columns, row.cells, strict=True)):
            if column.shown and cell.value is not None:
                return n, -cell.value if column.upward else cell.value
        return len(self.columns), 0.0

    def blocks(self, number: int) -> list[Block]:
        """The rows sorted by a column, best first, in groups; reference models below all."""
        column = self.columns[number]
        sign = -1 if column.upward else 1
        groups: dict[int, list[Row]] = {}
        for row in self.rows:
            if not row.role:
                groups.setdefault(row.cells[number].group, []).append(row)
        found: list[Block] = []
        for group in sorted(groups, key=lambda group: group if group >= 0 else math.inf):
            rows = groups[group]
            if group >= 0:
                rows = sorted(rows, key=lambda row: sign * (row.cells[number].value or 0.0))
            else:
                rows = sorted(rows, key=self._first_number)
            heading = column.apart[group] if group >= 0 else NO_NUMBER
            found.append(Block(heading if found else "", rows))
        references = [row for row in self.rows if row.role]
        return [*found, Block(REFERENCES if found else "", references)] if references else found


def build(board: Board, ledger: Ledger) -> Standings:
    """Measured rows in the board's order, then the published ones; columns likewise."""
    notes = Footnotes(list(board.footnotes))
    printed = quoted.systems(ledger)
    columns: list[Column] = []
    cells_of: list[list[Cell]] = [[] for _ in [*board.rows, *printed]]
    for column in _columns(board, ledger):
        grounds = _grounds(board, column)
        groups, apart, of_printed = _groups(column, grounds)
        cells = [
            *(_measured(board, n, column, group) for n, group in enumerate(groups)),
            *(published(row, column, ledger, notes, of_printed) for row in printed),
        ]
        competing = [not row.role for row in board.rows] + [True] * len(printed)
        for row_cells, cell in zip(cells_of, with_best(cells, competing, upward=column.upward), strict=True):
            row_cells.append(cell)
        low, high = scale(column.unit, [v for c in cells for v in (c.low, c.value, c.high) if v is not None])
        caveats = ledger.caveats(column.benchmark.task) if column.benchmark and column.benchmark.task else ()
        marks = [notes.caveat(text) for text in caveats]
        columns.append(replace(column, apart=apart, low=low, high=high, marks=marks))
    return Standings(columns, rows_of(board, printed, cells_of, columns), notes)


def rows_of(
    board: Board, printed: Sequence[Quoted], cells_of: Sequence[Sequence[Cell]], columns: Sequence[Column]
) -> list[Row]:
    """The rows of a table: the board's, then published ones, of which those are shown that have something to show."""
    systems = [of_run(row.run) for row in board.rows]
    rows = [
        Row(row.name, MEASURED, "", system, row.role, style, cells_of[place], place)
        for place, (row, system, style) in enumerate(zip(board.rows, systems, colours(systems), strict=True))
    ]
    shown = {n for n, column in enumerate(columns) if column.shown}
    for quote, cells in zip(printed, cells_of[len(board.rows) :], strict=True):
        seen = not quote.aside and any(cell.value is not None for n, cell in enumerate(cells) if n in shown)
        source = ASIDE if quote.aside else PUBLISHED
        rows.append(Row(quote.name, source, quote.tag, quote.system, "", own_colour(quote.system), cells, shown=seen))
    return rows


def _columns(board: Board, ledger: Ledger) -> list[Column]:
    """What was measured in the board's order, benchmarks with published figures first; then those with figures only."""
    beside: dict[int, Benchmark] = {}
    for benchmark in BENCHMARKS:
        names = {c.protocol: n for n, c in enumerate(board.columns) if benchmark.task and c.task == benchmark.task}
        if names:
            protocols = benchmark.known.protocols if benchmark.known else ()
            beside[next((names[p] for p in protocols if p in names), min(names.values()))] = benchmark
    units = {(f.benchmark, f.metric): (f.unit, f.higher_is_better) for f in ledger.figures}
    columns: list[Column] = []
    for index, of in enumerate(board.columns):
        if index not in beside:
            columns.append(Column(_key(of.name, columns), of.task, of.protocol, of.unit, upward=of.upward, index=index))
            continue
        name, (unit, upward) = beside[index].name, units[beside[index].name, beside[index].metric]
        column = Column(_key(name, columns), name, of.name, unit, upward=upward, index=index, benchmark=beside[index])
        columns.insert(sum(c.benchmark is not None for c in columns), column)
    columns = [replace(column, shown=n < AT_ONCE) for n, column in enumerate(columns)]
    alone = not columns
    for benchmark in BENCHMARKS:
        if benchmark in beside.values() or (benchmark.name, benchmark.metric) not in units:
            continue
        unit, upward = units[benchmark.name, benchmark.metric]
        key, shown = _key(benchmark.name, columns), alone and benchmark in MAIN
        detail = "published only" if board.rows else "published"
        columns.append(Column(key, benchmark.name, detail, unit, upward=upward, benchmark=benchmark, shown=shown))
    return columns


def _key(name: str, taken: Iterable[Column]) -> str:
    """A column's name in an address."""
    key = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "column"
    again = sum(column.key.split("_")[0] == key for column in taken)
    return f"{key}_{again + 1}" if again else key


def _grounds(board: Board, column: Column) -> list[Ground | None]:
    if column.index is None:
        return [None] * len(board.rows)
    of = board.columns[column.index]
    found = []
    for row in board.rows:
        metric = row.cells[column.index].metric
        known = metric is not None and metric.value is not None
        found.append(comparing.ground(row.run, of.task, of.protocol) if known else None)
    return found


def _groups(column: Column, grounds: Sequence[Ground | None]) -> tuple[list[int], list[str], int]:
    """Each measured number's group, what parts every group from the first, and the published figures' group."""
    groups = comparing.groups(grounds)
    first = {group: one for one, group in reversed(list(zip(grounds, groups, strict=True))) if one is not None}
    apart = [
        f"Not comparable with the rows on top: {comparing.sentence(first[group], first[0])}" if group else ""
        for group in sorted(first)
    ]
    unlike = [_unlike_printed(column, first[group]) for group in sorted(first)]
    like = next((group for group, reasons in enumerate(unlike) if not reasons), None)
    if like is not None:
        return groups, apart, like
    reasons = f": {listed(unlike[0])}" if unlike else ""
    return (
        groups,
        [*apart, f"Published figures, not comparable with the rows on top{reasons}" if apart else ""],
        len(apart),
    )


def _unlike_printed(column: Column, ground: Ground) -> list[str]:
    """Why a measured number may not stand among the published ones, so far as its records tell."""
    known = column.benchmark.known if column.benchmark else None
    if known is None:
        return []
    limit = ground.run.asked.get("limit")
    found = [f"data (limit {limit}, not none)"] if limit is not None else []
    protocol = column.detail.rpartition("/")[2]
    if protocol not in known.protocols:
        found.append(f"protocol ({protocol}, not {known.protocol})")
    # How answers are judged is the protocol's, of which several may stand here; what is asked and who looks is not.
    for knob in known.knobs:
        part, _, name = knob.name.partition(".")
        table = ground.result.protocol.get(part) if part in {"ask", "observe"} else None
        ours = table.get(name) if isinstance(table, Mapping) else None
        if ours is not None and ours != knob.value:
            found.append(f"{knob.name} ({line(ours, 40)}, not {knob.value})")
    return found


def _measured(board: Board, place: int, column: Column, group: int) -> Cell:
    if column.index is None:
        return Cell()
    cell = board.rows[place].cells[column.index]
    marks = [Mark(str(n), "note", n) for n in cell.notes]
    if cell.metric is None or cell.metric.value is None:
        return Cell(word=cell.word, marks=marks)
    return measured(cell.metric, column.unit, group, marks)


def measured(metric: MetricRecord, unit: str, group: int, marks: Sequence[Mark] = ()) -> Cell:
    """A cell with a measured number in a column's unit."""
    metric = in_unit(metric, unit)
    return Cell(
        metric.value,
        metric.low,
        metric.high,
        number(metric.value, metric.unit),
        interval(metric.low, metric.high, metric.unit),
        marks=marks,
        group=group,
    )


def in_unit(metric: MetricRecord, unit: str) -> MetricRecord:
    """A share as the percentage that it is printed as elsewhere; any other metric as it is."""
    if (metric.unit, unit) != ("fraction", "percent"):
        return metric
    values = {name: None if (v := getattr(metric, name)) is None else 100 * v for name in ("value", "low", "high")}
    return metric.model_copy(update={**values, "unit": "percent"})


def published(row: Quoted, column: Column, ledger: Ledger, notes: Footnotes, group: int) -> Cell:
    """A cell with what was printed of a system, its source and what is known of it; empty where nothing was."""
    figure = row.figure(column.benchmark) if column.benchmark else None
    if figure is None or column.benchmark is None:
        return Cell()
    marks = [notes.source(figure), *map(notes.caveat, quoted.caveats(figure, ledger))]
    others = {quoted.printed(f): f for f in row.figures[column.benchmark] if f.value != figure.value}
    for text, other in others.items():
        marks.append(notes.caveat(f"{row.name}, {column.name}: {other.source.short} prints {text}."))
    return Cell(figure.value, text=quoted.printed(figure), marks=marks, group=group)


def with_best(cells: Sequence[Cell], competing: Sequence[bool], *, upward: bool) -> list[Cell]:
    """Mark in each group the one number whose interval clears all others' intervals, and the printed values."""
    sign = 1 if upward else -1
    found = list(cells)
    for group in {cell.group for cell in cells if cell.group >= 0}:
        rivals = [n for n, cell in enumerate(cells) if competing[n] and cell.group == group]
        top = max(rivals, key=lambda n: sign * (cells[n].value or 0.0), default=-1)
        near = cells[top].low if upward else cells[top].high
        far = [c.high if upward else c.low for c in cells]
        ends = [c.value if end is None else end for c, end in zip(cells, far, strict=True)]
        if len(rivals) > 1 and near is not None:
            clear = all(sign * near > sign * (ends[n] or 0.0) for n in rivals if n != top)
            found[top] = replace(cells[top], best=clear)
    return found


def scale(unit: str, values: Sequence[float]) -> tuple[float, float]:
    """Round ends that hold all values: the unit's whole range where they fill most of it, else a part of it.

    On the whole range the intervals of two good models would be narrower than the dots.
    """
    whole = SCALES.get(unit)
    if not values:
        return whole or (0.0, 1.0)
    low, high = min(values), max(values)
    if whole and not whole[0] <= low <= high <= whole[1]:  # error rates pass 1
        whole = None
    if whole and high - low > 0.6 * (whole[1] - whole[0]):
        return whole
    step = _round_step(max(high - low, abs(high) * 0.02, 1e-6) / TICKS)
    low, high = step * math.floor(low / step + 1e-9), step * math.ceil(high / step - 1e-9)
    if low == high:
        low, high = low - step, high + step
    return (max(low, whole[0]), min(high, whole[1])) if whole else (max(low, 0.0), high)


def _round_step(least: float) -> float:
    """The next of 1, 2 and 5 times a power of ten."""
    power: float = 10.0 ** math.floor(math.log10(least))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= least * (1 - 1e-9))
