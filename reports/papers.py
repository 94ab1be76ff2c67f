"""The papers' own tables: their rows and columns are declared in ``published/tables.json``, their figures come from the
ledger alone, so that no number is typed twice."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Annotated, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from janus_eval import plugins
from janus_eval.errors import UserError
from janus_eval.reports.ledger import Figure, Ledger

Text = Annotated[str, Field(min_length=1)]


class _Declared(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class PaperColumn(_Declared):
    """``head`` as printed; ``benchmark`` and ``metric`` as the ledger names them; ``decimals``: so many are printed."""

    head: Text
    benchmark: Text
    metric: Text
    decimals: int


class PaperRow(_Declared):
    """``name`` as printed; the other three are the ledger's. ``system`` is the name where nothing else is said.

    ``external``: marked as drawing with another, pretrained model. ``rule``: a dashed line stands above it.
    """

    name: Text
    system: Text | None = None
    variant: Text | None = None
    params: Text | None = None
    external: bool = False
    rule: bool = False

    @property
    def identity(self) -> tuple[str, str | None]:
        """Whose row it is, in whatever table and with whatever size that one prints."""
        return self.system or self.name, self.variant

    @property
    def printed(self) -> str:
        return f"{self.name}†" if self.external else self.name

    @property
    def aliases(self) -> frozenset[str]:
        """What a user may call the row."""
        names = {self.name, self.name.removesuffix(" (Ours)")}
        return frozenset(names | {f"{name} {self.params}" for name in names if self.params})


class PaperGroup(_Declared):
    """Rows that the paper puts together; ``name`` as printed, empty for none."""

    name: str
    rows: tuple[PaperRow, ...]


class PaperTable(_Declared):
    """``table`` as the ledger's sources name it; ``params_head`` is None where the paper prints no sizes."""

    table: Text
    title: Text
    row_head: Text
    params_head: Text | None
    columns: tuple[PaperColumn, ...]
    groups: tuple[PaperGroup, ...]

    @property
    def rows(self) -> tuple[PaperRow, ...]:
        return tuple(row for group in self.groups for row in group.rows)


class Paper(_Declared):
    """``name`` is what ``--paper`` takes."""

    name: Text
    title: Text
    arxiv: Text
    tables: tuple[PaperTable, ...]


Printed: TypeAlias = Mapping[tuple[PaperRow, PaperColumn], Figure]
"""The figures of a table by row and column; a cell that is missing is a dash in the paper."""


@cache
def papers() -> tuple[Paper, ...]:
    """All declared papers."""
    text = (files("janus_eval.reports") / "published" / "tables.json").read_text("utf-8")
    return TypeAdapter(tuple[Paper, ...]).validate_json(json.dumps(json.loads(text)))


def paper(name: str) -> Paper:
    """Raises UserError for a name that none has."""
    known = {one.name: one for one in papers()}
    if name not in known:
        raise UserError(
            f"--paper {name!r} is none{plugins.near(name, list(known))} (one of {', '.join(known)}, claims)"
        )
    return known[name]


def printed(whole: Paper, table: PaperTable, ledger: Ledger) -> Printed:
    """The table's figures, each found in the ledger by its source."""
    by_key: dict[tuple[object, ...], Figure] = {
        (*_key(figure), figure.benchmark, figure.metric): figure
        for figure in ledger.figures
        if figure.source.arxiv == whole.arxiv and figure.source.table == table.table
    }
    found = {
        (row, column): by_key.get((*row.identity, row.params, column.benchmark, column.metric))
        for row in table.rows
        for column in table.columns
    }
    return {place: figure for place, figure in found.items() if figure is not None}


def _key(figure: Figure) -> tuple[str, str | None, str | None]:
    return figure.system, figure.variant, figure.params


def added(table: PaperTable, extra: Sequence[Figure]) -> list[tuple[PaperRow, dict[PaperColumn, Figure]]]:
    """Rows for figures of ``extra`` (a user's own file) that belong under a column of the table, by system."""
    columns = {(column.benchmark, column.metric): column for column in table.columns}
    rows: dict[tuple[object, ...], tuple[PaperRow, dict[PaperColumn, Figure]]] = {}
    for figure in extra:
        column = columns.get((figure.benchmark, figure.metric))
        if column is None:
            continue
        row = PaperRow(name=figure.name, system=figure.system, variant=figure.variant, params=figure.params)
        rows.setdefault((*_key(figure), figure.source), (row, {}))[1][column] = figure
    return list(rows.values())
