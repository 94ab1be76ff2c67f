"""A page for each run: its numbers, what was asked of it, what failed and how long it took; and its galleries."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple, TypeAlias

from markupsafe import Markup

from janus_eval.reports import explain_page, records
from janus_eval.reports.board import when
from janus_eval.reports.comparing import flatten
from janus_eval.reports.digests import Digest
from janus_eval.reports.gallery import Gallery
from janus_eval.reports.pages import Links, Page, Report, benchmark_path, render, run_path
from janus_eval.reports.standings import Cell, Column, Row
from janus_eval.reports.wording import count, line

KNOBS = 600


class Part(NamedTuple):
    """A part of a run's page."""

    anchor: str
    title: str
    body: Markup


# What a run's page is made of, after its numbers. A module that has more to say of a run adds a function here: it gets
# the report, the run's place on the board and the page's links, and gives a part, or None where there is nothing.
PartOf: TypeAlias = Callable[[Report, int, Links], Part | None]


class Number(NamedTuple):
    """A number of the run, with where its answers and its benchmark are."""

    column: Column
    cell: Cell
    benchmark: str
    gallery: str
    cards: int


def pages(report: Report) -> Iterator[Page]:
    """A page a run, and in a folder one a gallery."""
    for place, (row, digest) in enumerate(zip(report.board.rows, report.digests, strict=True)):
        name = line(row.name, 300)
        yield Page(run_path(report, place), name, partial(_body, report, place))
        for (task, protocol), gallery in digest.galleries.items():
            title = f"{name}: {line(f'{task}/{protocol}', 120)}"
            yield Page(gallery.path, title, partial(_gallery, report, place, gallery))


def _body(report: Report, place: int, links: Links) -> Markup:
    row, standing = report.board.rows[place], _standing(report, place)
    parts = [part for make in PARTS if (part := make(report, place, links))]
    return render(
        "run.html",
        links,
        {
            "row": row,
            "standing": standing,
            "sentence": _sentence(report.digests[place]),
            "states": [state for state in report.board.states if state.startswith(f"{row.name} ")],
            "numbers": list(_numbers(report, place, standing, links)),
            "notes": report.standings.notes.measured,
            "parts": parts,
        },
    )


def _standing(report: Report, place: int) -> Row:
    return next(row for row in report.standings.rows if row.place == place)


def _sentence(digest: Digest) -> str:
    run, tally = digest.run, digest.run.tally
    day = when([run])
    failed = count(tally.troubles, "failure") if tally.troubles else "no failures"
    samples = count(sum(tally.samples.values()), "sample")
    return f"{f'{day}: ' if day else ''}{samples}, {count(tally.responses, 'request')}, {failed}."


def _numbers(report: Report, place: int, standing: Row, links: Links) -> Iterator[Number]:
    for number, column in enumerate(report.standings.columns):
        cell = standing.cells[number]
        if column.index is None or not (cell.value is not None or cell.word):
            continue
        of = report.board.columns[column.index]
        gallery = report.digests[place].galleries.get((of.task, of.protocol))
        yield Number(
            column,
            cell,
            links.to(benchmark_path(report, column.index)),
            links.to(gallery.path) if gallery else "",
            gallery.cards if gallery else 0,
        )


def _failures(report: Report, place: int, links: Links) -> Part | None:
    tally = report.digests[place].run.tally
    body = render("failures.html", links, {"first": tally.first, "count": tally.troubles})
    return Part("failures", "Failures", body)


def _knobs(report: Report, place: int, links: Links) -> Part | None:
    """All of run.json but what each task's page shows: model, settings, seed, versions, machine; then the protocols."""
    run = report.digests[place].run
    asked = {**run.asked, "model": run.model}
    tables: dict[str, Sequence[tuple[str, str]]] = {}
    whole = {name: value for name, value in asked.items() if name not in {"tasks", "versions", "machine", "schema"}}
    tables["What was asked"] = list(flatten(whole))[:KNOBS]
    for task, protocols in run.results.items():
        for protocol, result in protocols.items():
            tables[f"{task}/{protocol}"] = list(flatten({**result.protocol, "fingerprint": result.fingerprint}))[:KNOBS]
    for name in ("versions", "machine"):
        if isinstance(value := run.asked.get(name), Mapping):
            tables[name.capitalize()] = list(flatten(value))[:KNOBS]
    tables = {name: rows for name, rows in tables.items() if rows}
    return Part("knobs", "Every knob", render("knobs.html", links, {"tables": tables})) if tables else None


def _paces(report: Report, place: int, links: Links) -> Part | None:
    paces = report.digests[place].paces
    total = sum(pace.seconds for pace in paces)
    if not paces:
        return None
    return Part("timings", "Timings", render("timings.html", links, {"paces": paces, "total": total}))


def _cost(report: Report, place: int, links: Links) -> Part | None:
    """Of answers that were paid for, as the server counted them."""
    rows = list(flatten(records.usage(report.digests[place].run.path)))[:KNOBS]
    tables = {"As the server counted": rows}
    return Part("cost", "Cost", render("knobs.html", links, {"tables": tables, "of": "what"})) if rows else None


PARTS: Sequence[PartOf] = (explain_page.part, _failures, _cost, _paces, _knobs)


def _gallery(report: Report, place: int, gallery: Gallery, links: Links) -> Markup:
    standing = _standing(report, place)
    number = next(
        n
        for n, column in enumerate(report.standings.columns)
        if column.index is not None
        and (of := report.board.columns[column.index]).task == gallery.task
        and of.protocol == gallery.protocol
    )
    column = report.standings.columns[number]
    assert column.index is not None
    return render(
        "gallery.html",
        links,
        {
            "gallery": gallery,
            "index": Markup(gallery.index.replace("<", "\\u003c")),
            "row": report.board.rows[place],
            "standing": standing,
            "column": column,
            "cell": standing.cells[number],
            "run": links.to(run_path(report, place)),
            "benchmark": links.to(benchmark_path(report, column.index), f"protocol-{column.index + 1}"),
        },
    )
