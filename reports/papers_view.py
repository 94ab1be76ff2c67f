"""A paper's tables, measured beside printed: which run belongs to which row, and every verdict."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from janus_eval import plugins
from janus_eval.errors import UserError
from janus_eval.reports.ledger import Figure, Ledger
from janus_eval.reports.papers import Paper, PaperColumn, PaperRow, PaperTable, added, printed
from janus_eval.reports.papers_known import BRIDGE, CHECKPOINTS, DEFAULTS, KNOWN, knobs_of
from janus_eval.reports.papers_verdict import Number, Verdict, converted, differing, judged, several
from janus_eval.reports.records import MetricRecord, ResultRecord, Run
from janus_eval.reports.wording import line


@dataclass(frozen=True)
class Held:
    """A number that was measured here, in the printed one's unit, and the verdict; without a number, why not.

    ``metric`` is the result's own. ``printed`` is None where the paper has a dash or lacks the row: then nothing is
    judged, and ``remark`` says in what the number is not one of its column's.
    """

    verdict: Verdict | None
    task: str = ""
    protocol: str = ""
    metric: str = ""
    number: Number | None = None
    printed: float | None = None
    remark: str = ""

    @property
    def why(self) -> str:
        """The reason of the verdict, or what is to be said without one."""
        return self.verdict.reason if self.verdict else self.remark

    @property
    def shift(self) -> tuple[float, float | None, float | None] | None:
        """Measured minus printed, with the interval's ends."""
        if self.number is None or self.number.value is None or self.printed is None:
            return None
        low, high = self.number.low, self.number.high
        p = self.printed
        return self.number.value - p, None if low is None else low - p, None if high is None else high - p


@dataclass(frozen=True)
class Line:
    """What one run says about a row: for each column first the number to compare, then those of other protocols.

    ``how``: why the run stands here, where that is not its checkpoint's name.
    """

    run: Run
    how: str
    cells: Sequence[Sequence[Held]]


@dataclass(frozen=True)
class RowView:
    """``figures``: one a column, None for a dash. ``origin``: "paper", "added" (a user's file) or "run"."""

    row: PaperRow
    figures: Sequence[Figure | None]
    lines: Sequence[Line]
    origin: str = "paper"


@dataclass(frozen=True)
class TableView:
    """``groups`` are the paper's, then one for what it lacks. ``idle`` are runs that have nothing of this table."""

    table: PaperTable
    groups: Sequence[tuple[str, Sequence[RowView]]]
    idle: Sequence[str]

    @property
    def rows(self) -> list[RowView]:
        return [row for _, rows in self.groups for row in rows]

    def verdicts(self, line_of: Line) -> Iterator[Verdict]:
        """The leading verdict of each printed cell that a run stands beside."""
        yield from (cell[0].verdict for cell in line_of.cells if cell and cell[0].verdict is not None)


@dataclass(frozen=True)
class PaperView:
    paper: Paper
    tables: Sequence[TableView]


class Told(NamedTuple):
    """``--as NAME=RUN``."""

    name: str
    path: Path


@dataclass(frozen=True)
class Places:
    """Which runs stand in which row; ``told`` what the user said of them, by the run's resolved path."""

    runs: Sequence[Run]
    told: Mapping[Path, str] = field(default_factory=dict)

    def of(self, row: PaperRow) -> list[tuple[Run, str]]:
        found = []
        for run in self.runs:
            name = self.told.get(run.path.resolve())
            if name is not None:
                if name in row.aliases:
                    found.append((run, "as told by --as"))
            elif (how := belongs(run, row)) is not None:
                found.append((run, how))
        return found


def belongs(run: Run, row: PaperRow) -> str | None:
    """Why a run is one of the row's system, "" where that needs no word; None where it is not.

    By model and checkpoint: the published one (whatever revision), or one that has its name, as a folder on this disk
    does. What a folder's configuration says is not looked at: a report reads what a run wrote, and every checkpoint
    that was trained on has the published one's size.
    """
    model, checkpoint = CHECKPOINTS.get(row.identity, ("", ""))
    if not model or run.name != model:
        return None
    used = str(run.model.get("checkpoint") or DEFAULTS[model]).partition("@")[0]
    if used == checkpoint:
        return ""
    name = checkpoint.rpartition("/")[2]
    parts = used.replace("\\", "/").rstrip("/").split("/")
    if parts[-1] == name or f"models--{checkpoint.replace('/', '--')}" in parts:
        return f"by the name of its checkpoint, {line(used, 60)}"
    return None


def told_of(paper: Paper, name: str) -> bool:
    """Whether a paper's tables have a row of this name."""
    return any(name in row.aliases for table in paper.tables for row in table.rows)


def told_places(paper: Paper, told: Sequence[Told]) -> dict[Path, str]:
    """``--as`` checked. Raises UserError for a name that is no row's, or two rows' of one table."""
    aliases = sorted({alias for table in paper.tables for row in table.rows for alias in row.aliases})
    for name, _ in told:
        if not told_of(paper, name):
            near = plugins.near(name, aliases)
            raise UserError(f"--as {name}: no row of {paper.name}'s tables has this name{near}")
        for table in paper.tables:
            rows = [row for row in table.rows if name in row.aliases]
            if len(rows) > 1:
                sizes = " or ".join(f"{name} {row.params}" for row in rows)
                raise UserError(f"--as {name}: {table.table} has it in {len(rows)} sizes; write {sizes}")
    return {path.resolve(): name for name, path in told}


def view(paper: Paper, runs: Sequence[Run], ledger: Ledger, told: Sequence[Told] = ()) -> PaperView:
    """All tables of a paper with the runs beside them. Raises UserError for a name in ``told`` that is no row's."""
    places = Places(runs, told_places(paper, told))
    return PaperView(paper, [_table(paper, table, places, ledger) for table in paper.tables])


def _table(paper: Paper, table: PaperTable, places: Places, ledger: Ledger) -> TableView:
    figures = printed(paper, table, ledger)
    placed: set[Path] = set()

    def viewed(row: PaperRow, cells: Sequence[Figure | None], origin: str) -> RowView:
        lines = []
        for run, how in places.of(row):
            placed.add(run.path)
            held = [_held(run, row, col, cell) for col, cell in zip(table.columns, cells, strict=True)]
            lines.append(Line(run, how, held))
        return RowView(row, cells, lines, origin)

    groups: list[tuple[str, Sequence[RowView]]] = [
        (
            group.name,
            [viewed(row, [figures.get((row, column)) for column in table.columns], "paper") for row in group.rows],
        )
        for group in table.groups
    ]
    extra = [
        viewed(row, [cells.get(column) for column in table.columns], "added")
        for row, cells in added(table, ledger.extra)
    ]
    if extra:
        groups.append(("Added figures", extra))
    strangers: list[RowView] = []
    idle: list[str] = []
    for run in places.runs:
        if run.path in placed:
            continue
        row = PaperRow(name=folder_of(run))
        cells = [_held(run, row, column, None) for column in table.columns]
        if any(held.number is not None for cell in cells for held in cell):
            strangers.append(RowView(row, [None] * len(table.columns), [Line(run, "", cells)], "run"))
        else:
            idle.append(folder_of(run))
    if strangers:
        groups.append(("Not in the paper", strangers))
    return TableView(table, groups, list(dict.fromkeys(idle)))


def folder_of(run: Run) -> str:
    """The run folder's name: models of one name have several."""
    return line(run.path.resolve().name, 60) or "?"


def results_of(run: Run, benchmark: str) -> Iterator[tuple[str, str, ResultRecord]]:
    """(task, protocol, result) of everything in a run that is a number of this benchmark."""
    task = KNOWN[benchmark].task
    for name, protocols in run.results.items():
        if name == task or name.startswith(f"{task}-"):
            yield from ((name, protocol, result) for protocol, result in protocols.items())


def _held(run: Run, row: PaperRow, column: PaperColumn, figure: Figure | None) -> list[Held]:
    """What a run says about a cell: comparable numbers first, in the order of the run, else one that says why none."""
    known = KNOWN.get(column.benchmark)
    value = figure.value if figure else None

    def none(reason: str) -> list[Held]:
        return [Held(Verdict("not run", reason) if figure else None, printed=value)]

    if known is None:
        return none(BRIDGE)
    metric = known.metrics.get(column.metric, column.metric)
    found = [
        _one(run, row, column, figure, task, protocol, result, metric)
        for task, protocol, result in results_of(run, column.benchmark)
        if metric in result.metrics
    ]
    if found:
        # Best to compare first; sorting is stable, so the run's order decides among equals.
        rank = {"agrees": 0, "differs": 0, "not run": 1, "not comparable": 2}
        return sorted(found, key=lambda held: rank[held.verdict.word] if held.verdict else bool(held.remark))
    if not run.finished:
        return none("the run is not finished: the same command goes on")
    return none(f"janus-eval run --task {known.task}{f'/{known.protocol}' if known.protocol else ''} ...")


def _one(
    run: Run,
    row: PaperRow,
    column: PaperColumn,
    figure: Figure | None,
    task: str,
    protocol: str,
    result: ResultRecord,
    metric: str,
) -> Held:
    record = result.metrics[metric]
    number = in_unit(record, figure.unit if figure else column_unit(column))
    limit = run.asked.get("limit")
    lacking = f"--limit {limit}: the first {limit} groups of each category" if limit is not None else ""
    if figure is None:
        differences = differing(KNOWN[column.benchmark].knobs, stated(run, result))
        remark = several([*([lacking] if lacking else []), *differences])
        return Held(None, task, protocol, metric, number, remark=remark)
    knobs = knobs_of(figure.system, column.benchmark)
    apart = ["how this figure was measured is not known"] if knobs is None else differing(knobs, stated(run, result))
    if number is None:
        apart.append(f"measured in {record.unit}, printed in {figure.unit}")
        number = Number(record.value, record.low, record.high, record.n, record.failed)
    verdict = judged(figure.value, column.decimals, number, apart, lacking)
    return Held(verdict, task, protocol, metric, number, figure.value)


def column_unit(column: PaperColumn) -> str:
    """The unit that a benchmark's figures are printed in, for numbers without a printed one."""
    return {"GenEval": "fraction", "MME": "points", "MJHQ-30K": "fid"}.get(column.benchmark, "percent")


def in_unit(record: MetricRecord, unit: str) -> Number | None:
    """A measured number in another unit; None where there is no way from one to the other."""
    found = converted(record.value, record.low, record.high, record.unit, unit)
    return None if found is None else Number(*found, record.n, record.failed)


def stated(run: Run, result: ResultRecord) -> dict[str, Any]:
    """Every knob that a run states, by dotted name: the protocol's and the model's settings."""
    tables = {**{part: result.protocol.get(part) for part in ("ask", "observe", "judge")}}
    tables["settings"] = run.model.get("settings")
    return {
        f"{part}.{name}": value
        for part, table in tables.items()
        if isinstance(table, Mapping)
        for name, value in table.items()
    }


def runs_in(tables: Iterable[TableView]) -> list[Run]:
    """Every run that stands in some table, once, in order."""
    found = {line_of.run.path: line_of.run for table in tables for row in table.rows for line_of in row.lines}
    return list(found.values())
