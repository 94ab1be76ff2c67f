"""What a report is made of: pages, written once and shown in two forms, as a folder of linked files or as one file.

A section of the report is a function from a ``Report`` to its pages. Those of this package and of plugins stand in one
table, kind ``report_sections``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, TypeAlias

import jinja2
from markupsafe import Markup

from janus_eval import plugins
from janus_eval.reports import templating
from janus_eval.reports.cards import answer_html, asked_html, tile_html
from janus_eval.reports.figures import dot, whisker
from janus_eval.reports.wording import UNITS, interval, line, number

if TYPE_CHECKING:
    from janus_eval.reports.board import Board
    from janus_eval.reports.digests import Digest
    from janus_eval.reports.ledger import Ledger
    from janus_eval.reports.sidebyside import SideBySide
    from janus_eval.reports.standings import Standings

FRONT, PUBLISHED = "index.html", "published.html"
# The order of the built-in sections; those of plugins follow.
ORDER = ("leaderboard", "sweeps", "benchmarks", "runs", "published", "papers")


@dataclass(frozen=True)
class Links:
    """Where things are, seen from the page at ``path``: other files, or with ``single`` places in the one file."""

    path: str
    single: bool = False

    def to(self, path: str, fragment: str = "") -> str:
        """The address of a page, or of a place on it."""
        if self.single:
            return f"#{anchor(path, fragment)}"
        if path == self.path:
            return f"#{fragment}"
        return f"{self.up}{path}{'#' if fragment else ''}{fragment}"

    def id(self, fragment: str) -> str:
        """The name of a place on this page, which ``to`` leads to."""
        return anchor(self.path, fragment) if self.single else fragment

    def file(self, source: str) -> str:
        """The address of a file of the report's, such as a picture; embedded ones are their own address."""
        return source if source.startswith("data:") else f"{self.up}{source}"

    @property
    def up(self) -> str:
        return "../" * self.path.count("/")


def anchor(path: str, fragment: str = "") -> str:
    """A place in the one file: ``benchmarks/geneval.html`` is ``benchmarks-geneval``. No slug has an underscore."""
    name = re.sub(r"[^a-z0-9.]+", "-", path.removesuffix(".html").lower()).strip("-")
    return f"{name}_{fragment}" if fragment else name


@dataclass(frozen=True)
class Page:
    """``path`` is relative to the report's folder, with slashes. ``menu`` is its name in the navigation, if any, under
    the heading ``group``. ``body`` makes the HTML between the title and the footer."""

    path: str
    title: str
    body: Callable[[Links], Markup]
    menu: str = ""
    group: str = ""


@dataclass(frozen=True)
class Report:
    """All that sections read. ``digests`` stand in the order of the board's rows, ``beside`` in that of its columns;
    ``single`` tells that there will be one file, so no page that only some readers want."""

    board: Board
    standings: Standings
    ledger: Ledger
    digests: Sequence[Digest]
    beside: Sequence[SideBySide | None]
    unread: Sequence[str] = ()
    single: bool = False
    given: str = ""
    """What it was made from, for the footer."""

    @property
    def classes(self) -> list[str]:
        """The colours of the board's rows."""
        return [row.series for row in self.standings.rows if row.place is not None]


Section: TypeAlias = Callable[[Report], Iterable[Page]]


def sections() -> list[Section]:
    """All sections, in the order in which their pages stand."""
    names = plugins.names("report_sections")
    ordered = [name for name in ORDER if name in names] + [name for name in names if name not in ORDER]
    return [plugins.load("report_sections", name) for name in ordered]


def benchmark_path(report: Report, column: int) -> str:
    """The page of the task of a column of the board."""
    return f"benchmarks/{slugs([c.task for c in report.board.columns])[report.board.columns[column].task]}.html"


def run_path(report: Report, place: int) -> str:
    """The page of a row of the board."""
    return f"runs/{report.digests[place].slug}.html"


def slugs(names: Iterable[str]) -> dict[str, str]:
    """Plain names for files, a different one for each."""
    found: dict[str, str] = {}
    for name in names:
        if name not in found:
            found[name] = slug(name, found.values())
    return found


def slug(name: str, taken: Iterable[str] = ()) -> str:
    """``name`` as a file's name: at most 60 letters, digits, dashes and dots."""
    plain = re.sub(r"[^a-z0-9.]+", "-", name.lower())[:60].strip("-.") or "unnamed"
    others = set(taken)
    return plain if plain not in others else next(s for n in range(2, 10**6) if (s := f"{plain}-{n}") not in others)


def render(template: str, links: Links, values: Mapping[str, object]) -> Markup:
    """A template of this package with the page's links as ``at``. Everything in ``values`` is escaped but Markup."""
    return Markup(environment().get_template(template).render(at=links, **values))


@cache
def environment() -> jinja2.Environment:
    """What pages of the site and of the gate are made with."""
    found = templating.environment()
    found.globals.update(UNITS=UNITS, number=number, interval=interval, line=line, version=version("janus-eval"))
    found.globals.update({made.__name__: made for made in (whisker, dot, tile_html, asked_html, answer_html)})
    found.filters["thousands"] = lambda n: f"{n:,}"
    return found
