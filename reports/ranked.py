"""A table of standings as a page shows it: what its numbers, names and marks lead to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from janus_eval.reports.pages import Links, Report, run_path
from janus_eval.reports.standings import ASIDE, MEASURED, PUBLISHED, Block, Column, Mark, Row, Standings
from janus_eval.reports.systems import KINDS, SIZES, UNKNOWN_SIZE

SOURCES = {MEASURED: "Measured", PUBLISHED: "Published", ASIDE: "Re-runs"}


class Option(NamedTuple):
    """One of a filter's values, and how many rows have it."""

    value: str
    word: str
    rows: int


@dataclass(frozen=True)
class Ranked:
    """``name`` tells this table's footnotes from another's on the page. ``to_cell`` and ``to_column`` give addresses,
    empty ones where nothing is to be seen."""

    report: Report
    standings: Standings
    links: Links
    name: str
    caption: str
    to_cell: Callable[[Row, int], str] = lambda row, n: ""
    to_column: Callable[[Column], str] = lambda column: ""

    @property
    def columns(self) -> Sequence[Column]:
        return self.standings.columns

    @property
    def sorted_by(self) -> int:
        return self.standings.first_column()

    @property
    def blocks(self) -> list[Block]:
        return self.standings.blocks(self.sorted_by) if self.columns else []

    def to_row(self, row: Row) -> str:
        """A measured system's own page."""
        return "" if row.place is None else self.links.to(run_path(self.report, row.place))

    def place(self, mark: Mark) -> str:
        """The name of the footnote that a mark leads to."""
        return self.links.id(f"{self.name}{mark.list}-{mark.place}")

    def options(self, of: Callable[[Row], str], order: Sequence[str] = ()) -> list[Option]:
        """The values of a filter, in an order, else by name."""
        counts = Counter(of(row) for row in self.standings.rows)
        known = [name for name in order if name in counts]
        rest = sorted((name for name in counts if name not in known), key=str.casefold)
        return [Option(name, name, counts[name]) for name in [*known, *rest]]

    @property
    def families(self) -> list[Option]:
        return self.options(lambda row: row.system.family)

    @property
    def sizes(self) -> list[Option]:
        return self.options(lambda row: row.system.bracket, [name for name, _ in SIZES] + [UNKNOWN_SIZE])

    @property
    def kinds(self) -> list[Option]:
        return self.options(lambda row: row.system.kind, KINDS)

    @property
    def sources(self) -> list[Option]:
        counts = Counter(row.source for row in self.standings.rows)
        return [Option(source, word, counts[source]) for source, word in SOURCES.items() if counts[source]]
