"""A gate's verdict as one page: metrics, their categories, and what is judged otherwise, both sides side by side."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import jinja2
from markupsafe import Markup

from janus_eval.gating.records import Flip, Row, Verdict
from janus_eval.reports import gate_words as words
from janus_eval.reports.pages import environment
from janus_eval.reports.pictures import Embedded, Shown
from janus_eval.reports.records import ResponseRecord, ScoreRecord, WholeRun, read
from janus_eval.reports.templating import TEMPLATES
from janus_eval.reports.wording import clip

SHOWN = 60
"""Responses a task that are shown with both answers, shared out among its categories; the others are listed."""
POLICY = "default-src 'none'; style-src '{style}'; img-src data:; base-uri 'none'; form-action 'none'"


@dataclass(frozen=True)
class Answer:
    """What one side gave, and how it was judged; ``absent`` says why it cannot be shown."""

    value: float
    text: str = ""
    picture: Shown | None = None
    reason: str = ""
    absent: str = ""


class Beside(NamedTuple):
    """A response on both sides, with the pictures and the words that were asked."""

    flip: Flip
    prompt: str
    images: Sequence[Shown]
    before: Answer
    after: Answer


class Board(NamedTuple):
    """A category's responses that are judged otherwise: some with both answers, the others by name."""

    category: str
    shown: Sequence[Beside]
    listed: Sequence[Flip]


class Shelf(NamedTuple):
    """A task's responses that are judged otherwise, by category, the worst first."""

    name: str
    boards: Sequence[Board]

    @property
    def total(self) -> int:
        return self.shown + sum(len(board.listed) for board in self.boards)

    @property
    def shown(self) -> int:
        return sum(len(board.shown) for board in self.boards)


def page(verdict: Verdict) -> str:
    """One file that asks for nothing: no scripts, pictures embedded. Reads both run folders; a baseline file has no
    pictures."""
    candidate = read(Path(verdict.candidate))
    base = read(Path(verdict.baseline)) if Path(verdict.baseline).is_dir() else None
    style = (TEMPLATES / "gate.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return _template().render(
        policy=POLICY.format(style=f"sha256-{digest}"),
        style=Markup(style),
        verdict=verdict,
        words=words,
        shelves=_shelves(verdict, candidate, base),
        tables=[(row, _table(row)) for row in verdict.rows if row.change is not None],
        method=words.method(verdict) if verdict.rows else "",
    )


@cache
def _template() -> jinja2.Template:
    return environment().get_template("gate.html")


def _table(row: Row) -> list[list[str]]:
    """Categories, the costliest first: name, change, interval, groups, fell, rose."""
    return [
        [
            part.category,
            words.points(part.change.by),
            words.interval(part.change),
            f"{part.change.groups:,}",
            f"{part.change.fell:,}",
            f"{part.change.rose:,}",
            words.points(part.share),
        ]
        for part in row.parts
    ]


def _shelves(verdict: Verdict, candidate: WholeRun, base: WholeRun | None) -> list[Shelf]:
    # Room is shared out, so that the first task's pictures leave some for the last one's.
    tasks = list(dict.fromkeys((flip.task, flip.protocol) for flip in verdict.flips))
    shelves = []
    for task, protocol in tasks:
        pictures = Embedded(Embedded.left // len(tasks))
        categories: dict[str, list[Flip]] = {}
        for flip in verdict.flips:
            if (flip.task, flip.protocol) == (task, protocol):
                categories.setdefault(flip.category, []).append(flip)
        boards = []
        counts = shared([len(flips) for flips in categories.values()], SHOWN)
        for (category, flips), some in zip(categories.items(), counts, strict=True):
            shown = [_beside(flip, candidate, base, pictures) for flip in flips[:some]]
            boards.append(Board(category, shown, flips[some:]))
        shelves.append(Shelf(f"{task}/{protocol}", boards))
    return shelves


def shared(counts: Sequence[int], room: int) -> list[int]:
    """How many of each are shown: as many of one as of another while there are some, the first before the last."""
    found = [0] * len(counts)
    while room and found != list(counts):
        for place, count in enumerate(counts):
            if found[place] < count and room:
                found[place] += 1
                room -= 1
    return found


def _beside(flip: Flip, candidate: WholeRun, base: WholeRun | None, pictures: Embedded) -> Beside:
    sample = candidate.samples.get(flip.task, {}).get(flip.sample)
    images = [pictures.show(candidate, path) for path in (sample.images if sample else ())]
    asked = _response(candidate, flip)
    before = Answer(flip.before, absent="the baseline is a file, which keeps scores alone")
    if base is not None:
        before = _answer(base, flip, flip.before, pictures)
    prompt = clip(asked.prompt, 600) if asked else ""
    return Beside(flip, prompt, images, before, _answer(candidate, flip, flip.after, pictures))


def _answer(run: WholeRun, flip: Flip, value: float, pictures: Embedded) -> Answer:
    judged, response = _judged(run, flip), _response(run, flip)
    reason = clip(judged.reason, 200) if judged else ""
    if response is None:
        return Answer(value, reason=reason, absent="no response in the run folder")
    if response.image is not None:
        return Answer(value, picture=pictures.show(run, response.image), reason=reason)
    return Answer(value, text=clip(response.text or _ranked(response), 300), reason=reason)


def _ranked(response: ResponseRecord) -> str:
    pairs = zip(response.continuations, response.likelihoods, strict=False)
    return ", ".join(f"{text} {likelihood:.2f}" for text, likelihood in pairs) or "(empty answer)"


def _judged(run: WholeRun, flip: Flip) -> ScoreRecord | None:
    key = flip.sample, flip.index
    scores = run.scores.get((flip.task, flip.protocol), ())
    return next((score for score in scores if (score.sample, score.index) == key), None)


def _response(run: WholeRun, flip: Flip) -> ResponseRecord | None:
    return run.response(flip.task, flip.sample, flip.index, _judged(run, flip))
