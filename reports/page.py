"""The two forms of the report: a site, which is a folder of linked pages, and one file that holds them all."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from markupsafe import Markup

from janus_eval.reports.digests import Collector
from janus_eval.reports.folder import save, writing
from janus_eval.reports.ledger import Ledger, load
from janus_eval.reports.pages import FRONT, Links, Page, Report, environment, sections
from janus_eval.reports.records import WholeRun
from janus_eval.reports.templating import TEMPLATES

NAME = "report.html"
STYLES = ("style.css", "parts.css", "papers.css")
SCRIPTS = ("page.js", "copy.js", "board.js", "gallery.js")
# Nothing is asked of any other place, and nothing runs or shapes the page but what this package wrote: what a model
# answered cannot, even if it got past the escaping.
POLICY = (
    "default-src 'none'; style-src {style}; script-src {script}; img-src {image}; base-uri 'none'; form-action 'none'"
)


def write(runs: Sequence[Path], out: Path, *, each: bool = True) -> Path:
    """Write one file about all runs, ``out/report.html`` or ``out`` itself where that ends in .html.

    With ``each``, also ``RUN/report.html`` for every one of them. Returns the path of the common page. Raises UserError
    where no run can be read, or a page cannot be written.
    """
    common = Collector()
    for run in common.add_all(runs):
        own = run.path / NAME
        if each and own.resolve() != _file(out).resolve():
            save(own, render([run]))
    return write_single(common.report(), out)


def write_single(report: Report, out: Path) -> Path:
    """Write the one file; returns its path."""
    page = _file(out)
    save(page, single(report))
    return page


def _file(out: Path) -> Path:
    return out if out.suffix == ".html" else out / NAME


def write_site(runs: Sequence[Path], out: Path, published: Ledger | None = None) -> tuple[Path, Report]:
    """Write a site about all runs into a folder of its own: new, empty, or one that holds a former site.

    ``published``: the figures to show beside them, by default the shipped ledger's.

    Runs are read one at a time. Returns the path of the front page, and the report for whoever has more to say of it.
    Raises UserError where no run can be read or the folder is another's.
    """
    with writing(out) as folder:
        collector = Collector(folder, published=published or load())
        for _ in collector.add_all(runs):
            pass
        report = collector.report()
        pages = [page for section in sections() for page in section(report)]
        for page in pages:
            folder.write(page.path, _html([page], pages, Links(page.path), report))
        folder.write("assets/report.css", _together(STYLES))
        folder.write("assets/report.js", _together(SCRIPTS))
    return out / FRONT, report


def render(runs: Iterable[WholeRun]) -> str:
    """The one file about some runs as text; the same records give the same text."""
    collector = Collector()
    for run in runs:
        collector.add(run)
    return single(collector.report())


def single(report: Report) -> str:
    """All pages of a report in one file."""
    pages = [page for section in sections() for page in section(report)]
    return _html(pages, pages, Links(FRONT, single=True), report)


def _html(shown: Sequence[Page], all_pages: Sequence[Page], links: Links, report: Report) -> str:
    style, script = (_together(STYLES), _together(SCRIPTS)) if links.single else ("", "")
    policy = POLICY.format(
        style=_allowed(style) if links.single else "'self'",
        script=_allowed(script) if links.single else "'self'",
        image="data:" if links.single else "'self' data:",
    )
    groups: dict[str, list[Page]] = {}
    for page in all_pages:
        if page.menu:
            groups.setdefault(page.group, []).append(page)
    return (
        environment()
        .get_template("layout.html")
        .render(
            at=links,
            policy=policy,
            style=Markup(style),
            script=Markup(script),
            pages=[(page, Links(page.path, links.single)) for page in shown],
            groups=groups,
            front=FRONT,
            title=shown[0].title,
            report=report,
        )
    )


def _allowed(text: str) -> str:
    """What a policy says of the one inline block that may be used."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def _together(names: Sequence[str]) -> str:
    return "".join((TEMPLATES / name).read_text("utf-8") for name in names)
