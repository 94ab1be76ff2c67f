"""The papers' tables and the announcement's claims as pages of the site."""

from __future__ import annotations

from collections.abc import Iterator

from markupsafe import Markup

from janus_eval.reports import claims, papers, papers_grid, papers_view
from janus_eval.reports.pages import Links, Page, Report
from janus_eval.reports.papers_grid import Sheaf
from janus_eval.reports.papers_html import fragment

GROUP = "Papers"


def pages(report: Report) -> Iterator[Page]:
    """One page a paper and one of the claims; none in the one file, which is about the runs."""
    if report.single:
        return
    runs = [row.run for row in report.board.rows]
    for paper in papers.papers():
        sheaf = papers_grid.sheaf(papers_view.view(paper, runs, report.ledger))
        yield _page(paper.name, f"The tables of {paper.title.partition(':')[0]}", sheaf)
    yield _page("claims", "The announcement's claims", claims.sheaf(claims.views(report.ledger, runs)))


def _page(name: str, menu: str, sheaf: Sheaf) -> Page:
    def body(links: Links) -> Markup:
        return fragment(sheaf, links.id("tables"))

    return Page(f"papers/{name}.html", sheaf.title, body, menu=menu, group=GROUP)
