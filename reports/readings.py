"""What a sweep says of one task: its cells, which of them is the best, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from janus_eval.reports.board import Board, Cell, Column, Row
from janus_eval.reports.comparing import knobs_that_differ
from janus_eval.reports.records import MetricRecord, ResultRecord
from janus_eval.reports.sweeps import Place, Sweep
from janus_eval.reports.wording import count, interval, number

TOP = "*"
LEGEND = f"{TOP} the best of its sweep; bold where its interval is clear of all others of it."
NOTHING = Cell(word="not run")


@dataclass(frozen=True)
class Reading:
    """The leaderboard's cells of a sweep in column ``index``, with the best ones marked, and a sentence about them.

    ``rivals`` are the numbers among them that may be compared: those that were measured as the first of them was.
    """

    column: Column
    index: int
    cells: Mapping[Place, Cell]
    rivals: Mapping[Place, MetricRecord]
    verdict: str
    unswept: Sequence[Row]
    """Models to hold the cells against: those with a number that may be compared."""

    def at(self, place: Place) -> Cell:
        return self.cells.get(place, NOTHING)


def readings(board: Board, sweep: Sweep) -> list[Reading]:
    """One for each task that the sweep's model has results of."""
    found = [_reading(board, sweep, index) for index in range(len(board.columns))]
    return [reading for reading in found if any(cell.metric for cell in reading.cells.values())]


def unswept(board: Board) -> list[Row]:
    """The rows that are no cell of a sweep: what a sweep's cells can be held against."""
    members = frozenset[int]().union(*(sweep.members for sweep in board.sweeps))
    return [row for number, row in enumerate(board.rows) if number not in members]


def _reading(board: Board, sweep: Sweep, index: int) -> Reading:
    column = board.columns[index]
    rows = {place: _first([board.rows[n] for n in numbers], index) for place, numbers in sweep.runs.items()}
    cells = {place: replace(row.cells[index], best=False) for place, row in rows.items()}
    measured = {place: row for place, row in rows.items() if _number(row, index)}
    ground = next((_result(row, column) for row in measured.values()), None)
    rivals = {p: m for p, row in measured.items() if _comparable(row, column, ground) and (m := _number(row, index))}
    values = {place: metric.value for place, metric in rivals.items() if metric.value is not None}
    best = max if column.upward else min
    tops = [place for place, value in values.items() if value == best(values.values())]
    if len(tops) == len(rivals):  # all are equal, or there is but one
        tops = []
    rest = [metric for place, metric in rivals.items() if tops and place not in tops]
    overlapping = [metric for metric in rest if not _clear(rivals[tops[0]], metric, column)]
    for place in tops:
        cells[place] = replace(cells[place], top=True, best=len(tops) == 1 and not overlapping)
    verdict = _verdict(sweep, rivals, tops, len(overlapping), column)
    if len(measured) > len(rivals):
        left_out = count(len(measured) - len(rivals), "cell")
        verdict = f"{verdict} Left out: {left_out} measured on other ground (see the notes).".strip()
    others = [row for row in unswept(board) if _number(row, index) and _comparable(row, column, ground)]
    return Reading(column, index, cells, rivals, verdict, others)


def _first(rows: Sequence[Row], index: int) -> Row:
    """Of several runs with equal settings the first that has a number."""
    return next((row for row in rows if _number(row, index)), rows[0])


def _number(row: Row, index: int) -> MetricRecord | None:
    metric = row.cells[index].metric
    return metric if metric and metric.value is not None else None


def _result(row: Row, column: Column) -> ResultRecord | None:
    return row.run.results.get(column.task, {}).get(column.protocol)


def _comparable(row: Row, column: Column, ground: ResultRecord | None) -> bool:
    result = _result(row, column)
    return result is not None and not knobs_that_differ(result, ground)


def _clear(metric: MetricRecord, other: MetricRecord, column: Column) -> bool:
    upper, lower = (metric, other) if column.upward else (other, metric)
    return upper.low is not None and lower.high is not None and upper.low > lower.high


def _verdict(
    sweep: Sweep, rivals: Mapping[Place, MetricRecord], tops: Sequence[Place], overlapping: int, column: Column
) -> str:
    if len(rivals) < 2:
        return ""
    best = rivals[tops[0]] if tops else next(iter(rivals.values()))
    bounds = interval(best.low, best.high, column.unit)
    value = number(best.value, column.unit) + (f" ({bounds})" if bounds else "")
    if not tops:
        return f"every cell has {value}."
    extreme, beyond = ("highest", "above") if column.upward else ("lowest (best)", "below")
    if len(tops) > 1:
        return f"{len(tops)} cells are {extreme} with {value}."
    others = len(rivals) - 1
    doubt = f"an interval that overlaps with those of {overlapping} of {others} other cells"
    if overlapping == others:
        doubt = "an interval that overlaps with every other cell's"
    if overlapping == 0:
        doubt = f"{beyond} every other cell's interval"
    return f"{sweep.label(tops[0])} is {extreme} with {value}, {doubt}."
