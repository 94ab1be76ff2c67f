"""The front page: what was run, the leaderboard, and a first look at what was drawn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from markupsafe import Markup

from janus_eval.reports.answers import Tile
from janus_eval.reports.board import BEST, INTERVALS, Board, subjects
from janus_eval.reports.figure_one import measured_panels
from janus_eval.reports.pages import FRONT, PUBLISHED, Links, Page, Report, benchmark_path, render, run_path, slug
from janus_eval.reports.quoted import MAIN
from janus_eval.reports.ranked import Ranked
from janus_eval.reports.standings import Column, Row
from janus_eval.reports.wording import count, line, listed

SCALE = "Dot: the value; bar: its interval, on the scale in the column's head."
HOLLOW = "Hollow dot: published, † where, ‡ what is known of it."
STRIP = 8  # pictures of the strip


def pages(report: Report) -> Iterator[Page]:
    """The leaderboard."""
    yield Page(FRONT, title(report.board), lambda links: _body(report, links), menu="Leaderboard")


def title(board: Board) -> str:
    """The models that compete, by name where they are few."""
    swept = {number: sweep.model for sweep in board.sweeps for number in sweep.members}
    rows = [(swept.get(n, row.name), row.role) for n, row in enumerate(board.rows)]
    references = dict.fromkeys(name for name, role in rows if role)
    names = list(dict.fromkeys(line(name, 40) for name, role in rows if not role)) or list(references)
    if not names:
        return "janus-eval: no runs yet"
    if len(names) <= 3:
        return f"janus-eval: {listed(names)}"
    return f"janus-eval: {count(len(subjects([row.run for row in board.rows])), 'model')}"


def _body(report: Report, links: Links) -> Markup:
    board = report.board
    published = any(column.shown and column.benchmark for column in report.standings.columns)
    reading = [INTERVALS, SCALE] if board.rows else []
    reading += [HOLLOW] if published else []
    return render(
        "front.html",
        links,
        {
            "sentence": board.sentence,
            "states": [*(f"Not shown: {reason}" for reason in report.unread), *board.states],
            "table": leaderboard(report, links),
            "published": published,
            "main": [c.key for c in report.standings.columns if c.benchmark in MAIN],
            "reading": " ".join(reading) + (BEST if report.standings.has_best else ""),
            "strip": strip(report, links),
            "panels": measured_panels(report),
        },
    )


def leaderboard(report: Report, links: Links) -> Ranked:
    """The leaderboard, every number leading to the answers that it was made of."""

    def to_cell(row: Row, number: int) -> str:
        column = report.standings.columns[number]
        if row.place is None or column.index is None or row.cells[number].value is None:
            return ""
        of = report.board.columns[column.index]
        gallery = report.digests[row.place].galleries.get((of.task, of.protocol))
        return links.to(gallery.path if gallery else benchmark_path(report, column.index))

    def to_column(column: Column) -> str:
        if column.index is not None:
            return links.to(benchmark_path(report, column.index), f"protocol-{column.index + 1}")
        return links.to(PUBLISHED, slug(column.name))

    return Ranked(report, report.standings, links, "", "Leaderboard", to_cell, to_column)


class Strip(NamedTuple):
    """The first picture of the first prompt of each category: prompts across, models down."""

    benchmark: str
    link: str
    prompts: list[str]
    rows: list[StripRow]


class StripRow(NamedTuple):
    name: str
    style: str
    link: str
    tiles: list[Tile | None]


def strip(report: Report, links: Links) -> Strip | None:
    """The pictures that open the report: those of the first benchmark for which any were drawn."""
    found = next((n for n, beside in enumerate(report.beside) if beside and beside.drawn), None)
    if found is None:
        return None
    beside = report.beside[found]
    assert beside is not None
    cards = [shelf.cards[0] for shelf in beside.shelves if shelf.cards][:STRIP]
    rows = []
    for place in beside.models:
        tiles = [card.drawn[place][0] if card.drawn.get(place) else None for card in cards]
        if any(tiles):
            name = line(report.board.rows[place].name, 60)
            rows.append(StripRow(name, report.classes[place], links.to(run_path(report, place)), tiles))
    column = report.board.columns[found]
    link = links.to(benchmark_path(report, found), f"beside-{found + 1}")
    return Strip(column.name, link, [line(card.prompt, 90) for card in cards], rows)
