"""``janus-eval list published``: the ledger's rows, chosen by filters; its JSON Schema."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from janus_eval import plugins
from janus_eval.errors import UserError
from janus_eval.reports.ledger import Figure, Ledger
from janus_eval.reports.ledger_files import load_with, schema

Row = tuple[str, ...] | Mapping[str, object]


def listing(
    *,
    benchmark: str | None = None,
    system: str | None = None,
    metric: str | None = None,
    source: str | None = None,
    published: Path | None = None,
    schema_only: bool = False,
    full: bool = False,
) -> Sequence[Row] | str:
    """One row a figure: as a reader wants it (a dagger where notes say more), or with ``full`` every field of it.

    Raises UserError for a filter that nothing fits.
    """
    if schema_only:
        return json.dumps(schema(), indent=2, ensure_ascii=False)
    ledger = load_with(published)
    figures = chosen(ledger, benchmark=benchmark, system=system, metric=metric, source=source)
    return [record(figure, ledger) if full else _short(figure, ledger) for figure in figures]


def chosen(ledger: Ledger, **wanted: str | None) -> list[Figure]:
    """The figures that fit all filters; names in whatever case, ``source`` as part of title, arXiv number or table."""
    names: Mapping[str, Callable[[Figure], Iterable[str]]] = {
        "benchmark": lambda f: (f.benchmark,),
        "system": lambda f: (f.system, f.name),
        "metric": lambda f: (f.metric,),
    }
    figures = list(ledger.figures)
    for key, value in wanted.items():
        if value is None:
            continue
        told = value.casefold()
        if key == "source":
            left = [f for f in figures if told in _told_source(f).casefold()]
            known = sorted({f.source.paper for f in figures})
        else:
            left = [f for f in figures if told in {name.casefold() for name in names[key](f)}]
            known = sorted({name for f in figures for name in names[key](f)})
        if not left:
            before = "" if len(figures) == len(ledger.figures) else " among those that fit the other filters"
            raise UserError(f"--{key} {value!r}: no published figure has it{before}{plugins.near(value, known)}")
        figures = left
    return figures


def _told_source(figure: Figure) -> str:
    source = figure.source
    return " | ".join(filter(None, (source.paper, source.arxiv, source.short, source.as_reported_in)))


def _short(figure: Figure, ledger: Ledger) -> tuple[str, ...]:
    return (
        figure.benchmark,
        figure.metric,
        figure.name,
        f"{figure.value:g}{'†' if ledger.notes_on(figure) else ''} {figure.unit}",
        figure.source.short,
    )


def record(figure: Figure, ledger: Ledger) -> dict[str, object]:
    """Every field of a figure on one level, and what is known of it."""
    fields = figure.model_dump(mode="json")
    source = fields.pop("source")
    return {**fields, **source, "notes": " ".join(ledger.notes_on(figure))}
