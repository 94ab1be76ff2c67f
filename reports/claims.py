"""The claims of the announcement: what each says, where it was printed, what is to be said against it, and what was
measured here. Numbers come from the ledger and from runs alone."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

from janus_eval.errors import UserError
from janus_eval.reports.ledger import Claim, Comparison, Ledger
from janus_eval.reports.papers import PaperColumn, papers
from janus_eval.reports.papers_data import SCHEMA, rounded
from janus_eval.reports.papers_grid import (
    DASH,
    HOW,
    SAME,
    Grid,
    GridCell,
    GridRow,
    Notes,
    Sheaf,
    figured,
    interval,
    measured_cell,
    signed,
)
from janus_eval.reports.papers_verdict import Number
from janus_eval.reports.papers_view import Held, Line, RowView, TableView, Told, folder_of, told_of, view
from janus_eval.reports.records import Run
from janus_eval.reports.wording import count, listed
from janus_eval.reports.wording import interval as ends_of
from janus_eval.reports.wording import number as number_of

TITLE = "The claims of the announcement of Janus-Pro and JanusFlow"
Outcome: TypeAlias = Literal["holds", "fails", "open"]
CSV_HEAD = (
    *("claim", "status", "benchmark", "metric", "table", "system", "rival", "printed", "rival_printed", "lead"),
    *("holds_as_printed", "run", "task", "protocol", "measured", "low", "high", "verdict", "measured_lead"),
    *("lead_low", "lead_high", "holds_as_measured", "reason"),
)


class Lead(NamedTuple):
    """How far the claimant's number lies above a rival's printed one."""

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def outcome(self) -> Outcome:
        """Of a printed lead: its sign; no lead does not hold. Of a measured one: open where its interval reaches 0."""
        low = self.value if self.low is None else self.low
        high = self.value if self.high is None else self.high
        if low > 0:
            return "holds"
        return "fails" if high < 0 or (self.low is None and high <= 0) else "open"


@dataclass(frozen=True)
class Compared:
    """A claim that one printed table can answer: the claimant's row and its rivals', in the column that is compared."""

    table: TableView
    place: int
    claimant: RowView
    rivals: Sequence[RowView]

    @property
    def column(self) -> PaperColumn:
        return self.table.table.columns[self.place]

    def printed(self, row: RowView) -> float:
        figure = row.figures[self.place]
        assert figure is not None, row.row.name
        return figure.value

    def lead(self, rival: RowView) -> Lead:
        """As printed. The last digits of binary fractions are not to decide."""
        return Lead(round(self.printed(self.claimant) - self.printed(rival), self.column.decimals))

    def measured_lead(self, line_of: Line, rival: RowView) -> Lead | None:
        """A run of the claimant's against what is printed of a rival; None unless the two may be compared."""
        held = line_of.cells[self.place][0]
        number = held.number
        if held.verdict is None or held.verdict.word not in {"agrees", "differs"} or number is None:
            return None
        if number.value is None or number.low is None or number.high is None:
            return None
        printed = self.printed(rival)
        return Lead(number.value - printed, number.low - printed, number.high - printed)

    @property
    def beaten_by(self) -> list[str]:
        """Rivals whose printed figure is not below the claimant's: with them the claim does not hold as printed."""
        return [
            f"{rival.row.name} {figured(self.printed(rival), self.column)}"
            for rival in self.rivals
            if self.lead(rival).outcome != "holds"
        ]


@dataclass(frozen=True)
class ClaimView:
    """``measured``: in words, what runs have of the tasks that can test a claim which no table answers."""

    claim: Claim
    compared: Compared | None
    measured: Sequence[str]


def views(ledger: Ledger, runs: Sequence[Run], told: Sequence[Told] = ()) -> list[ClaimView]:
    """All claims, in the order of ``claims.json``. Raises UserError for a name in ``told`` that is no row's."""
    tables: dict[tuple[str, str], TableView] = {}
    known = papers()
    for one in told:
        if not any(told_of(paper, one.name) for paper in known):
            raise UserError(f"--as {one.name}: no row of any paper's tables has this name")
    for paper in known:
        own = [one for one in told if told_of(paper, one.name)]
        for table in view(paper, runs, ledger, own).tables:
            tables[paper.arxiv, table.table.table] = table
    return [
        ClaimView(
            claim,
            _compared(claim.compares, tables[claim.compares.arxiv, claim.compares.table]) if claim.compares else None,
            [] if claim.compares else list(_tested(claim, runs)),
        )
        for claim in ledger.claims
    ]


def _compared(said: Comparison, table: TableView) -> Compared:
    place = next(
        n for n, c in enumerate(table.table.columns) if (c.benchmark, c.metric) == (said.benchmark, said.metric)
    )
    rows = [row for row in table.rows if row.origin == "paper" and row.figures[place] is not None]
    named = [(rival.system, rival.variant) for rival in said.above]
    claimant = next(row for row in rows if row.row.identity == (said.system, said.variant))

    def rival(row: RowView) -> bool:
        figure = row.figures[place]
        return row.row.identity in named or (figure is not None and figure.kind in said.above_all)

    # A system's own other sizes are no rivals of a claim about all others.
    own = [row for row in rows if row.row.identity[0] == said.system and row.row.identity not in named]
    return Compared(table, place, claimant, [row for row in rows if rival(row) and row not in own])


def _tested(claim: Claim, runs: Sequence[Run]) -> Iterator[str]:
    for task in (claim.testable_by or "").split(", "):
        for run in runs:
            for protocol, result in run.results.get(task, {}).items():
                metric = result.metrics.get("overall")
                if metric is not None and metric.value is not None:
                    ends = ends_of(metric.low, metric.high, metric.unit)
                    yield f"{folder_of(run)} has {number_of(metric.value, metric.unit)} ({ends}) on {task}/{protocol}"


def sheaf(found: Sequence[ClaimView]) -> Sheaf:
    """One grid a claim with numbers; the others follow as sentences."""
    numbers = [one for one in found if one.compared is not None]
    lead = (
        f"{count(len(found), 'claim')}, {len(numbers)} of them about scores. Those are held against the tables that "
        "they come from and against the runs of this report; a measured lead holds where its whole 95% interval lies "
        "above 0, and is open where that reaches 0."
    )
    grids = [_grid(one.claim, one.compared) for one in found if one.compared is not None]
    rest = [_sentence(one) for one in found if one.compared is None]
    return Sheaf(TITLE, [lead, HOW], grids, rest, "Claims without a number")


def _grid(claim: Claim, compared: Compared) -> Grid:
    notes, column = Notes(), compared.column
    claimant = compared.claimant
    first = GridRow(
        claimant.row.printed, "", [GridCell(figured(compared.printed(claimant), column)), *[GridCell()] * 2]
    )
    rows = [first, *_beside(claimant, compared, notes)]
    for rival in compared.rivals:
        lead = compared.lead(rival)
        cell = GridCell(signed(lead.value, column), word=lead.outcome)
        leads = [compared.measured_lead(line_of, rival) for line_of in claimant.lines]
        against = next((_led(found, column) for found in leads if found is not None), GridCell())
        printed = GridCell(figured(compared.printed(rival), column))
        rows.append(GridRow(rival.row.printed, "", [printed, cell, against]))
        rows += _beside(rival, compared, notes)
    after = [f"Source: {claim.source}; {claim.status}.", *([f"Caveat: {claim.caveat}"] if claim.caveat else [])]
    after.insert(0, _printed_outcome(compared))
    after.append(_measured_outcome(compared))
    return Grid(
        claim.claim,
        "System",
        "",
        ["Printed", f"{claimant.row.name} leads", "and as measured"],
        [("", rows)],
        after=after,
        notes=notes.texts,
    )


def _beside(row: RowView, compared: Compared, notes: Notes) -> Iterator[GridRow]:
    for line_of in row.lines:
        for depth, held in enumerate(line_of.cells[compared.place]):
            cell = measured_cell(held, compared.column, notes)
            name = f"{SAME}{held.task}/{held.protocol}" if depth else folder_of(line_of.run)
            yield GridRow(name, "", [cell, GridCell(), GridCell()], "measured")


def _led(lead: Lead, column: PaperColumn) -> GridCell:
    ends = interval(Number(lead.value, lead.low, lead.high, 0), column)
    return GridCell(signed(lead.value, column), ends, word=lead.outcome)


def _printed_outcome(compared: Compared) -> str:
    if compared.beaten_by:
        return f"As printed it holds but for {listed(compared.beaten_by)}, which {_be(compared.beaten_by)} not below."
    least = min(compared.rivals, key=lambda rival: compared.lead(rival).value)
    lead = signed(compared.lead(least).value, compared.column)
    return f"As printed it holds; the smallest lead is {lead}, over {least.row.name}."


def _be(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _measured_outcome(compared: Compared) -> str:
    """One sentence for all runs of the claimant."""
    lines = compared.claimant.lines
    if not lines:
        return f"Measured here: not run. No run of {compared.claimant.row.name} in this report."
    told = []
    for line_of in lines:
        name = folder_of(line_of.run)
        leads = {rival.row.name: compared.measured_lead(line_of, rival) for rival in compared.rivals}
        outcomes = {rival: lead.outcome for rival, lead in leads.items() if lead is not None}
        if not outcomes:
            verdict = line_of.cells[compared.place][0].verdict
            told.append(f"{name}: {f'{verdict.word}: {verdict.reason}' if verdict else DASH}")
            continue
        by = {word: [rival for rival, got in outcomes.items() if got == word] for word in ("holds", "open", "fails")}
        told.append(f"{name}: " + "; ".join(f"{word} against {listed(names)}" for word, names in by.items() if names))
    return f"Measured here: {'. '.join(told)}."


def _sentence(one: ClaimView) -> str:
    claim = one.claim
    caveat = f" {claim.caveat}" if claim.caveat else ""
    tested = f" Can be tested by: {claim.testable_by}." if claim.testable_by else ""
    measured = f" Measured here: {'; '.join(one.measured)}." if one.measured else ""
    status = f"{claim.status[0].upper()}{claim.status[1:]}"
    return f"{claim.claim} ({claim.kind}). {status}; {claim.source}.{caveat}{tested}{measured}"


def record(found: Sequence[ClaimView]) -> dict[str, Any]:
    """Everything of the claims for programs."""
    return {
        "schema": SCHEMA,
        "kind": "claims",
        "title": TITLE,
        "claims": [
            {
                **one.claim.model_dump(mode="json", exclude={"compares"}),
                "compared": [dict(row) for row in _lines(one)],
                "measured": list(one.measured),
            }
            for one in found
        ],
    }


def to_csv(found: Sequence[ClaimView]) -> str:
    """One line for each pair that a claim compares and each run of the claimant; a claim without numbers has one."""
    text = io.StringIO()
    writer = csv.DictWriter(text, CSV_HEAD)
    writer.writeheader()
    for one in found:
        writer.writerows(_lines(one) or [{"claim": one.claim.id, "status": one.claim.status}])
    return text.getvalue()


def _lines(one: ClaimView) -> list[Mapping[str, Any]]:
    compared = one.compared
    if compared is None:
        return []
    head = {"claim": one.claim.id, "status": one.claim.status}
    column, claimant = compared.column, compared.claimant
    rows: list[Mapping[str, Any]] = []
    for rival in compared.rivals:
        lead = compared.lead(rival)
        pair = {
            **head,
            "benchmark": column.benchmark,
            "metric": column.metric,
            "table": f"arXiv {one.claim.compares.arxiv if one.claim.compares else ''}, {compared.table.table.table}",
            "system": claimant.row.name,
            "rival": rival.row.name,
            "printed": compared.printed(claimant),
            "rival_printed": compared.printed(rival),
            "lead": lead.value,
            "holds_as_printed": lead.outcome,
        }
        rows += [
            {**pair, **_told(held, line_of, compared.measured_lead(line_of, rival))}
            for line_of in claimant.lines
            for held in line_of.cells[compared.place][:1]
        ] or [{**pair, "verdict": "not run"}]
    return rows


def _told(held: Held, line_of: Line, lead: Lead | None) -> dict[str, Any]:
    number = held.number
    return {
        "run": str(line_of.run.path),
        "task": held.task or None,
        "protocol": held.protocol or None,
        "measured": rounded(number.value) if number else None,
        "low": rounded(number.low) if number else None,
        "high": rounded(number.high) if number else None,
        "verdict": held.verdict.word if held.verdict else None,
        "measured_lead": rounded(lead.value) if lead else None,
        "lead_low": rounded(lead.low) if lead else None,
        "lead_high": rounded(lead.high) if lead else None,
        "holds_as_measured": lead.outcome if lead else None,
        "reason": (held.verdict.reason or None) if held.verdict else None,
    }
