"""The page of published figures, with what may be compared with them."""

from __future__ import annotations

from collections.abc import Iterator

from markupsafe import Markup

from janus_eval.reports.board import Board
from janus_eval.reports.figure_one import published_panels
from janus_eval.reports.pages import PUBLISHED, Links, Page, Report, render, slug
from janus_eval.reports.quoted import MAIN, printed, tables
from janus_eval.reports.standings import scale
from janus_eval.reports.wording import listed


def pages(report: Report) -> Iterator[Page]:
    """Every published figure that the leaderboard knows, benchmark by benchmark, with all its sources."""
    yield Page(PUBLISHED, "Published figures", lambda links: _body(report, links), menu="Published figures")


def _body(report: Report, links: Links) -> Markup:
    found = tables(report.ledger)
    values = [row.figure.value for table in found for row in table.rows]
    scales = {t.benchmark.name: scale(t.unit, [row.figure.value for row in t.rows]) for t in found}
    return render(
        "published.html",
        links,
        {
            "tables": found,
            "scales": scales,
            "count": len(values),
            "printed": printed,
            "slug": slug,
            # One file is about the runs; a figure of printed numbers alone belongs to the site.
            "panels": published_panels(report) if real(report.board) or not report.single else [],
            "comparable": comparable(report.board),
        },
    )


def real(board: Board) -> list[str]:
    """The columns that run a published benchmark on its own data."""
    tasks = {benchmark.task for benchmark in MAIN}
    return [column.name for column in board.columns if column.task in tasks]


def comparable(board: Board) -> str:
    """Whether the published figures may be held against the measured ones, in plain words."""
    measured = real(board)
    other = list(dict.fromkeys(c.task for c in board.columns if c.name not in measured))
    text = "These values were printed elsewhere, on the benchmarks' own data, by the sources named in each row."
    if other:
        text += (
            " The shapes tasks ask other prompts and questions of another world: "
            "their numbers are not comparable with these, however alike the scale looks."
            if all(t.startswith("shapes-") for t in other)
            else f" They are not comparable with the numbers of {listed(other)}, which run on other data."
        )
    if measured:
        text += f" {listed(measured)} runs on a benchmark of this list; read the caveats before comparing."
    return text
