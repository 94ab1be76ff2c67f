"""Single answers as they are shown: a drawn picture or a text, its verdict, and why."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from janus_eval.reports.pictures import Pictures
from janus_eval.reports.records import ResponseRecord, SampleRecord, ScoreRecord, WholeRun
from janus_eval.reports.wording import clip, line, plain

TURNS = 8  # samples of a group: MMBench has up to four rotations
IMAGES = 4  # of a prompt
BOXES = 16


class Verdict(NamedTuple):
    """A word and a class for its colour; the word never stands for a number it isn't."""

    word: str
    kind: str


class Box(NamedTuple):
    """A box that a detector saw and the thresholds let through, in pixels of the picture."""

    x: float
    y: float
    width: float
    height: float
    label: str


class Tile(NamedTuple):
    """A drawn picture, or what stands in its place."""

    source: str
    absent: str
    size: tuple[int, int]
    verdict: Verdict = Verdict("", "")
    reason: str = ""
    boxes: Sequence[Box] = ()
    rewritten: str = ""
    """The prompt as a server wrote it anew before it drew."""


class Answer(NamedTuple):
    """What a model said to one question, as read by the scorer."""

    text: str
    extracted: str
    verdict: Verdict
    reason: str


NONE = Verdict("not run", "none")
Replies = Mapping[tuple[str, int], ResponseRecord]
Scores = Mapping[tuple[str, int], ScoreRecord]


def replies(
    run: WholeRun, task: str, members: Sequence[SampleRecord], scores: Scores
) -> dict[tuple[str, int], ResponseRecord]:
    """The responses of some samples, up to four of each, by sample and index."""
    keys = [(sample.id, index) for sample in members for index in range(IMAGES)]
    keys = [key for key in keys if key in scores] or keys  # nothing was judged yet
    found = {key: run.response(task, *key, scores.get(key)) for key in keys}
    return {key: response for key, response in found.items() if response is not None}


def draws(rows: Replies) -> bool:
    """Whether these responses are pictures rather than answers."""
    return any(r.image is not None for r in rows.values())


def verdict(score: ScoreRecord | None, response: ResponseRecord | None = None) -> Verdict:
    """``right``, ``wrong``, a share in between, ``counted``, ``unscored`` or ``failed``."""
    if response is not None and response.failure is not None:
        return Verdict("failed", "failed")
    if score is None:
        return Verdict("unscored", "none")
    if score.value is None:
        return Verdict("failed", "failed") if score.failed else Verdict("unscored", "none")
    if score.only_counts:
        return Verdict("counted", "counted")
    if score.value >= 1.0:
        return Verdict("right", "right")
    return Verdict("wrong", "wrong") if score.value <= 0.0 else Verdict(f"{score.value:.2f}", "part")


def together(verdicts: Iterable[Verdict]) -> Verdict:
    """One verdict for several: theirs where they agree, ``failed`` where one failed, else ``mixed``."""
    kinds = dict.fromkeys(v.kind for v in verdicts)
    if len(kinds) == 1:
        kind = next(iter(kinds))
        return Verdict({"none": "unscored", "part": "mixed"}.get(kind, kind), kind)
    for kind, word in (("failed", "failed"), ("none", "unscored")):
        if kind in kinds:
            return Verdict(word, kind)
    return Verdict("mixed", "part")


def answer(response: ResponseRecord | None, score: ScoreRecord | None) -> Answer | None:
    if response is None:
        return None
    extracted = "" if score is None or score.extracted is None else plain(score.extracted, 80)
    return Answer(clip(said(response)), extracted, verdict(score, response), line(score.reason if score else "", 160))


def said(response: ResponseRecord) -> str:
    """The words of an answer; of a ranking, what is likeliest, and by how much."""
    if response.failure is not None:
        return response.failure
    if not response.likelihoods:
        return response.text or ""
    names = [*response.continuations, *(f"answer {n + 1}" for n in range(len(response.likelihoods)))]
    ranked = sorted(zip(response.likelihoods, names, strict=False), key=lambda pair: -pair[0])
    return ", ".join(f"{name} {value:.2f}" for value, name in ranked) + " (log-likelihood)"


def picture(run: WholeRun, path: str, pictures: Pictures) -> Tile:
    """A picture that was asked about."""
    shown = pictures.show(run, path)
    return Tile(shown.source, shown.absent, shown.size)


def tile(
    run: WholeRun,
    response: ResponseRecord,
    score: ScoreRecord | None,
    pictures: Pictures,
    members: Sequence[SampleRecord],
) -> Tile:
    """A picture that was drawn."""
    reason = response.failure if response.failure is not None else _why(score, members)
    shown = pictures.show(run, response.image) if response.image is not None else None
    return Tile(
        shown.source if shown else "",
        shown.absent if shown else "no picture",
        shown.size if shown else (0, 0),
        verdict(score, response),
        line(reason, 160),
        boxes(score.extracted) if score else (),
        clip(str(response.details.get("revised_prompt") or ""), 600),
    )


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


def boxes(extracted: Any) -> list[Box]:
    """The boxes that a detector-based scorer kept ({class: [[x0, y0, x1, y1, score]]}); none for anything else."""
    if not isinstance(extracted, Mapping):
        return []
    found = []
    for name, rows in extracted.items():
        for row in rows if isinstance(rows, list) else []:
            if isinstance(row, list) and len(row) >= 4 and all(_is_finite(v) for v in row[:5]):
                x0, y0, x1, y1 = (float(v) for v in row[:4])
                sure = f" {row[4]:.2f}" if len(row) > 4 else ""
                found.append(Box(x0, y0, max(x1 - x0, 0.0), max(y1 - y0, 0.0), f"{line(name, 30)}{sure}"))
    return found[:BOXES]


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def expected(sample: SampleRecord) -> str:
    """What a right answer would have been."""
    for name in ("answer", "letter", "text", "label"):
        if name in sample.target:
            return plain(sample.target[name], 80)
    return plain(dict(sample.target), 80) if sample.target else ""


def seen(sample: SampleRecord) -> str:
    """Whether the sample's kind was in the model's training data, where that is known."""
    known = sample.metadata.get("seen")
    return {True: "seen in training", False: "unseen in training"}[known] if isinstance(known, bool) else ""


def prompt(sample: SampleRecord, rows: Iterable[ResponseRecord]) -> str:
    """What was asked, as it was asked; else what the sample says of it."""
    asked = next((r.prompt for r in rows if r.prompt), "")
    return clip(asked or str(sample.inputs.get("prompt") or sample.inputs.get("question") or sample.id), 600)


def grouped(run: WholeRun, task: str, protocol: str) -> dict[str, dict[str, list[SampleRecord]]]:
    """category -> group -> samples, of those that this protocol judged, else (none judged yet) that were answered."""
    judged = {score.sample for score in run.scores.get((task, protocol), ())}
    known = judged or {key.sample for key in run.responses if key.task == task}
    found: dict[str, dict[str, list[SampleRecord]]] = {}
    for sample in run.samples.get(task, {}).values():
        if sample.id in known:
            found.setdefault(sample.category, {}).setdefault(sample.group or sample.id, []).append(sample)
    return found


def scores_of(run: WholeRun, task: str, protocol: str) -> dict[tuple[str, int], ScoreRecord]:
    """The scores by sample and index. Pictures that have one distance together are not right: they only count."""
    scores = run.scores.get((task, protocol), ())
    result = run.results.get(task, {}).get(protocol)
    if result and result.headline and result.headline.unit == "fid":
        scores = [score.model_copy(update={"only_counts": True}) for score in scores]
    return {(s.sample, s.index): s for s in scores}
