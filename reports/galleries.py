"""What is shown of the single answers: pictures beside their prompts and verdicts, questions beside their answers.

A page shows a few groups of every category, evenly spaced through the benchmark's own order, right or wrong, so that
what is seen was chosen by nobody; how many there are in all stands beside it.
"""

from __future__ import annotations

import base64
import io
import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from PIL import Image

from janus_eval.pictures import Picture, PictureError
from janus_eval.reports.records import ResponseRecord, Run, SampleRecord, ScoreRecord
from janus_eval.reports.wording import clip, count, line, plain

_T = TypeVar("_T")

GROUPS = 4  # of a category
ALONE = 8  # of a task's only category
TURNS = 8  # samples of a group: MMBench has up to four rotations
IMAGES = 4  # of a prompt
CATEGORIES = 30
LARGEST = 40_000_000  # pixels: a picture beyond this is named, not decoded
SIDE = 256  # larger pictures are embedded as thumbnails of this side


@dataclass
class Budget:
    """Bytes of pictures that a page may still embed; equal pictures are told apart by nobody and count each time."""

    left: int = 24_000_000


class Verdict(NamedTuple):
    """A word and a class for its colour; the word never stands for a number it isn't."""

    word: str
    kind: str


class Tile(NamedTuple):
    """A drawn picture, or what stands in its place."""

    uri: str
    absent: str
    verdict: Verdict
    reason: str
    boxes: Sequence[tuple[float, float, float, float]]
    size: tuple[int, int]


class Answer(NamedTuple):
    """What a model said to one question, as read by the scorer."""

    text: str
    extracted: str
    verdict: Verdict
    reason: str


@dataclass
class Card:
    """A group: its prompt, its pictures, and what every model did with it."""

    sample: str
    prompt: str
    seen: str = ""
    images: list[Tile] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)
    drawn: list[list[Tile]] = field(default_factory=list)
    answers: list[list[Answer | None]] = field(default_factory=list)


@dataclass
class Shelf:
    """A category: the cards shown, how many groups it has, and its verdicts by model."""

    name: str
    cards: list[Card]
    groups: int
    tallies: list[str]


NONE = Verdict("not run", "none")


def shelves(runs: Sequence[Run], task: str, protocol: str, budget: Budget) -> list[Shelf]:
    """The categories of a task with their first groups, for all runs side by side."""
    scores = [{(s.sample, s.index): s for s in run.scores.get((task, protocol), ())} for run in runs]
    samples: dict[str, SampleRecord] = {}
    owner: dict[str, Run] = {}
    for run in runs:
        for sample in run.samples.get(task, {}).values():
            samples.setdefault(sample.id, sample)
            owner.setdefault(sample.id, run)
    by_category: dict[str, dict[str, list[SampleRecord]]] = {}
    asked = _asked(runs, task, scores)
    for sample in samples.values():
        if sample.id in asked:
            by_category.setdefault(sample.category, {}).setdefault(sample.group or sample.id, []).append(sample)
    found = []
    for category, groups in list(by_category.items())[:CATEGORIES]:
        cards = [
            _card(runs, task, members[:TURNS], scores, owner=owner[members[0].id], budget=budget)
            for members in spaced(list(groups.values()), max(GROUPS, ALONE // len(by_category)))
        ]
        ids = {sample.id for members in groups.values() for sample in members}
        noun = "picture" if any(card.drawn for card in cards) else "answer"
        tallies = [_tally((s for (sample, _), s in table.items() if sample in ids), noun) for table in scores]
        found.append(Shelf(line(category or "all", 60), cards, len(groups), tallies))
    return found


def spaced(items: Sequence[_T], number: int) -> list[_T]:
    """At most ``number`` of the items, evenly spaced, the first among them."""
    if len(items) <= number:
        return list(items)
    return [items[k * len(items) // number] for k in range(number)]


def _asked(runs: Sequence[Run], task: str, scores: Sequence[Mapping[tuple[str, int], ScoreRecord]]) -> set[str]:
    """Samples that this protocol judged, else (nothing judged yet) those that were answered."""
    judged = {sample for table in scores for sample, _ in table}
    return judged or {key.sample for run in runs for key in run.responses if key.task == task}


def _tally(scores: Iterable[ScoreRecord], noun: str) -> str:
    rows = list(scores)
    whole = [s for s in rows if s.value is not None]
    if not rows:
        return "not run"
    if not whole:
        return f"none of {len(rows):,} scored"
    if all(s.value in (0.0, 1.0) for s in whole):
        return f"{sum(s.value == 1.0 for s in whole):,} of {count(len(rows), noun)} right"
    return f"mean {sum(s.value or 0.0 for s in whole) / len(whole):.2f} over {count(len(whole), noun)}"


def _card(
    runs: Sequence[Run],
    task: str,
    members: Sequence[SampleRecord],
    scores: Sequence[Mapping[tuple[str, int], ScoreRecord]],
    *,
    owner: Run,
    budget: Budget,
) -> Card:
    first = members[0]
    replies = [_replies(run, task, members, table) for run, table in zip(runs, scores, strict=True)]
    prompt = next((r.prompt for rows in replies for r in rows.values() if r.prompt), "")
    prompt = prompt or str(first.inputs.get("prompt") or first.inputs.get("question") or first.id)
    card = Card(line(first.id, 60), clip(prompt, 600))
    seen = first.metadata.get("seen")
    card.seen = {True: "seen in training", False: "unseen in training"}.get(seen, "") if isinstance(seen, bool) else ""
    card.images = [_tile(owner, path, None, None, budget=budget) for path in list(first.images)[:IMAGES]]
    draws = any(r.image is not None for rows in replies for r in rows.values())
    if not draws:
        card.expected = [_expected(sample) for sample in members]
    for run, rows, table in zip(runs, replies, scores, strict=True):
        if draws:
            drawn = sorted(rows.items())[:IMAGES]
            card.drawn.append(
                [_tile(run, r.image, r, table.get(key), budget=budget, members=members) for key, r in drawn]
            )
        else:
            card.answers.append([_answer(rows.get((s.id, 0)), table.get((s.id, 0))) for s in members])
    return card


def _replies(
    run: Run, task: str, members: Sequence[SampleRecord], scores: Mapping[tuple[str, int], ScoreRecord]
) -> dict[tuple[str, int], ResponseRecord]:
    keys = [(sample.id, index) for sample in members for index in range(IMAGES)]
    found = {key: run.response(task, *key, scores.get(key)) for key in keys}
    return {key: response for key, response in found.items() if response is not None}


def _expected(sample: SampleRecord) -> str:
    for name in ("answer", "letter", "text", "label"):
        if name in sample.target:
            return plain(sample.target[name], 80)
    return plain(dict(sample.target), 80) if sample.target else ""


def verdict(score: ScoreRecord | None, response: ResponseRecord | None = None) -> Verdict:
    """``right``, ``wrong``, a share in between, ``unscored`` or ``failed``."""
    if response is not None and response.failure is not None:
        return Verdict("failed", "failed")
    if score is None:
        return Verdict("unscored", "none")
    if score.value is None:
        return Verdict("failed", "failed") if score.failed else Verdict("unscored", "none")
    if score.value >= 1.0:
        return Verdict("right", "right")
    return Verdict("wrong", "wrong") if score.value <= 0.0 else Verdict(f"{score.value:.2f}", "part")


def _answer(response: ResponseRecord | None, score: ScoreRecord | None) -> Answer | None:
    if response is None:
        return None
    said = response.failure if response.failure is not None else response.text or ""
    extracted = "" if score is None or score.extracted is None else plain(score.extracted, 80)
    return Answer(clip(said), extracted, verdict(score, response), line(score.reason if score else "", 160))


def _tile(
    run: Run,
    path: str | None,
    response: ResponseRecord | None,
    score: ScoreRecord | None,
    *,
    budget: Budget,
    members: Sequence[SampleRecord] = (),
) -> Tile:
    reason = response.failure if response and response.failure is not None else _why(score, members)
    judged = verdict(score, response) if response else NONE
    uri, absent, size = "", "", (0, 0)
    if path is None:
        absent = "no picture"
    else:
        data = run.picture(path)
        if data is None:
            absent = "picture missing from the run folder"
        elif budget.left <= 0:
            absent = "not embedded, to keep the page small"
        else:
            uri, absent, size = _embed(data)
            budget.left -= len(uri)
    return Tile(uri, absent, judged, line(reason, 160), boxes(score.extracted) if score else (), size)


def _why(score: ScoreRecord | None, members: Sequence[SampleRecord]) -> str:
    """The scorer's reason, else the questions about the picture that were answered no."""
    if score is None or score.reason:
        return score.reason if score else ""
    refused = score.extracted.get("no") if isinstance(score.extracted, Mapping) else None
    target = next((m.target for m in members if m.id == score.sample), {})
    questions = target.get("questions")
    if not isinstance(refused, list) or not isinstance(questions, list):
        return ""
    wording = {q.get("id"): str(q.get("question")) for q in questions if isinstance(q, Mapping)}
    asked = [wording[i] for i in refused if isinstance(i, int | str) and i in wording]
    return f"no: {' '.join(asked)}" if asked else ""


def _embed(data: bytes) -> tuple[str, str, tuple[int, int]]:
    """A data URI (a small PNG as it is, anything else as a thumbnail), or why not, and the picture's size."""
    if _pixels(data) > LARGEST:
        return "", f"too large to show: {_pixels(data):,} pixels", (0, 0)
    try:
        image = Picture(data).load()
    except PictureError as error:
        return "", line(f"unreadable: {error}", 80), (0, 0)
    size = image.size
    small = max(size) <= SIDE and data.startswith(b"\x89PNG") and len(data) <= 64_000
    kind = "png"
    if not small:
        image.thumbnail((SIDE, SIDE))
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=85)
        data, kind = buffer.getvalue(), "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}", "", size


def _pixels(data: bytes) -> int:
    """What the header says, before anything is decoded; 0 where there is no header."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            width, height = Image.open(io.BytesIO(data)).size
    except Image.DecompressionBombError:
        return LARGEST + 1
    except Exception:  # noqa: BLE001 - Pillow's readers raise whatever they like; decoding will say what is wrong
        return 0
    return width * height


def boxes(extracted: Any) -> list[tuple[float, float, float, float]]:
    """The boxes that a detector-based scorer kept ({class: [[x0, y0, x1, y1, score]]}); none for anything else."""
    if not isinstance(extracted, Mapping):
        return []
    found = []
    for rows in extracted.values():
        for row in rows if isinstance(rows, list) else []:
            if isinstance(row, list) and len(row) >= 4 and all(_is_finite(v) for v in row[:4]):
                found.append((float(row[0]), float(row[1]), float(row[2]), float(row[3])))
    return found[:16]


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
