"""GenEval: does a drawn picture hold the objects, counts, colours and positions that its prompt names?

Rules of djghosh13/geneval at af4902f: ``evaluation/evaluate_images.py`` judges, ``evaluation/summary_scores.py``
averages. A detector and a colour classifier look at the pictures; here their stored output is judged.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import NamedTuple, TypeAlias, cast

import numpy as np

from janus_eval.explaining.knobs import ABSENT, Knob
from janus_eval.seams import Metric, Seeds
from janus_eval.statistics import category_mean, grouped_mean, proportion
from janus_eval.tasks.layouts import GenEvalLayout
from janus_eval.tasks.slices import Slice, Source, folded, in_category, sliced
from janus_eval.types import (
    JSON,
    Capability,
    Drawing,
    Estimate,
    Protocol,
    Request,
    RequestKey,
    Response,
    Sample,
    Score,
    Scored,
)

TAGS = ("single_object", "two_object", "counting", "colors", "position", "color_attr")
CLAUSES = ("include", "exclude")

Box: TypeAlias = Sequence[float]
"""[x0, y0, x1, y1, score], pixels, y down."""


@dataclass(frozen=True, slots=True)
class Knobs:
    """What the official script takes as options, with its defaults."""

    threshold: float = 0.3
    counting_threshold: float = 0.9
    """In place of ``threshold`` for prompts tagged ``counting``."""
    max_objects: int = 16
    """A class keeps at most so many boxes: after the threshold, before the suppression of overlaps."""
    nms_threshold: float = 1.0
    """A box is dropped where its IoU with a better one of its class reaches this; 1 drops none, not even doubles."""
    position_threshold: float = 0.1
    """Dead zone of a relation, as a share of the two boxes' summed width (left, right) or height (above, below)."""


KNOBS = (
    Knob(
        "judge.threshold",
        (0.2, 0.4, 0.5),
        "a detector with other confidences acts like another threshold (geneval #15)",
    ),
    Knob("judge.counting_threshold", (0.3, 0.8), "0.3: no threshold of its own for counting"),
    Knob("judge.max_objects", (100,), "all that the detector tells"),
    Knob("judge.nms_threshold", (0.5,), "overlapping boxes of a class are dropped"),
    Knob("judge.position_threshold", (0.0, 0.2), "no dead zone, or a wider one"),
    Knob(
        "judge.aggregate",
        (ABSENT, "pictures", "any"),
        "pictures count alike; any: prompts with one right picture do",
        "categories",
    ),
    Knob("ask.images_per_prompt", (1,), "the first picture of each prompt alone"),
)
"""What stored boxes and colours can be judged by in other ways, beside the protocols."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A box that the thresholds let through, with the colour that the classifier saw in it (None: it did not look)."""

    box: Box
    colour: str | None = None

    @property
    def centre(self) -> tuple[float, float]:
        return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2

    @property
    def size(self) -> tuple[float, float]:
        return abs(self.box[2] - self.box[0]), abs(self.box[3] - self.box[1])


class UnseenColourError(ValueError):
    """A box whose colour decides was not looked at: neither right nor wrong can be said."""


class Verdict(NamedTuple):
    """``correct``, in words why not, and the boxes kept by class, best first; classes without any are absent."""

    correct: bool
    reason: str
    kept: dict[str, list[list[float]]]


def judge_picture(
    metadata: Mapping[str, JSON],
    detections: Mapping[str, Sequence[Box]],
    colours: Mapping[str, Sequence[str | None]],
    knobs: Knobs = Knobs(),
) -> Verdict:
    """Judge one picture.

    ``metadata`` is the prompt's in GenEval's own form; ``detections`` {class: boxes} in any order, before any
    threshold; ``colours`` {class: colour of the i-th box, None where nobody looked}, needed for the classes that have
    a colour asked for. Raises UnseenColourError where one is missing that decides.
    """
    strict = metadata["tag"] == "counting"
    least = knobs.counting_threshold if strict else knobs.threshold
    kept = {name: _keep(boxes, colours.get(name), least, knobs) for name, boxes in detections.items()}
    reasons: list[str] = []
    matched: list[list[Kept] | None] = []  # by include clause: what a later clause's position refers to
    for clause in _clauses(metadata, "include"):
        found = kept.get(str(clause["class"]), [])[: cast(int, clause["count"])]
        reason = _mismatch(clause, found, matched, knobs)
        reasons += [reason] if reason else []
        matched.append(None if reason else found)
    for clause in _clauses(metadata, "exclude"):
        name, count = str(clause["class"]), cast(int, clause["count"])
        if len(kept.get(name, [])) >= count:
            reasons.append(f"{len(kept[name])} x {name}, fewer than {count} expected")
    boxes = {name: [list(item.box) for item in items] for name, items in kept.items() if items}
    return Verdict(not reasons, "; ".join(reasons), boxes)


def _clauses(metadata: Mapping[str, JSON], kind: str) -> Sequence[Mapping[str, JSON]]:
    return cast(Sequence[Mapping[str, JSON]], metadata.get(kind, []))


def _keep(boxes: Sequence[Box], colours: Sequence[str | None] | None, least: float, knobs: Knobs) -> list[Kept]:
    """The boxes of one class that count, best first."""
    if not boxes:
        return []
    scores = np.array([box[4] for box in boxes])
    # numpy's default sort, reversed, as in the official script: it decides which of two equal scores comes first.
    order = [int(place) for place in np.argsort(scores)[::-1] if _above(boxes[place][4], least)][: knobs.max_objects]
    kept: list[int] = []
    while order:
        best = order.pop(0)
        kept.append(best)
        if knobs.nms_threshold != 1:
            order = [place for place in order if iou(boxes[best], boxes[place]) < knobs.nms_threshold]
    return [Kept(boxes[place], colours[place] if colours and place < len(colours) else None) for place in kept]


def _above(score: float, threshold: float) -> bool:
    """``score > threshold``, in the score's own precision.

    The detector's scores are float32 and numpy compares them with the threshold rounded to float32, where 0.3 is
    0.30000001: compared as float64, a score of exactly "0.3" would pass.
    """
    if float(np.float32(score)) == score:
        return bool(np.float32(score) > np.float32(threshold))
    return score > threshold


def iou(a: Box, b: Box) -> float:
    """Intersection over union with edges counted as pixels: a box from x0 to x1 is x1 - x0 + 1 wide."""

    def area(x0: float, y0: float, x1: float, y1: float) -> float:
        return max(x1 - x0 + 1, 0) * max(y1 - y0 + 1, 0)

    common = area(max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3]))
    union = area(*a[:4]) + area(*b[:4]) - common
    return common / union if union else 0.0


def relations(a: Kept, b: Kept, dead_zone: float) -> set[str]:
    """How ``a`` stands to ``b``: none, one, or two of left of, right of, above, below.

    The offset of the centres is shrunk on each axis by ``dead_zone`` times the boxes' summed size, then divided by the
    length of the offset as it was *before*: a diagonal (both over 0.5) gives two relations, a small step in a large
    pair of boxes none.
    """
    offset = [p - q for p, q in zip(a.centre, b.centre, strict=True)]
    zone = [dead_zone * (p + q) for p, q in zip(a.size, b.size, strict=True)]
    shrunk = [math.copysign(max(abs(d) - z, 0.0), d) for d, z in zip(offset, zone, strict=True)]
    if all(abs(d) < 1e-3 for d in shrunk):
        return set()
    length = math.sqrt(offset[0] ** 2 + offset[1] ** 2)
    x, y = (d / length for d in shrunk)
    named = {"left of": x < -0.5, "right of": x > 0.5, "above": y < -0.5, "below": y > 0.5}
    return {name for name, holds in named.items() if holds}


def _mismatch(
    clause: Mapping[str, JSON], found: Sequence[Kept], matched: Sequence[list[Kept] | None], knobs: Knobs
) -> str:
    """Why an include clause is not met by its ``count`` best boxes; empty if it is."""
    name, count = clause["class"], cast(int, clause["count"])
    if len(found) < count:
        return f"{len(found)} x {name}, at least {count} expected"
    if "color" in clause:
        seen = [item.colour for item in found]
        if None in seen:
            raise UnseenColourError(f"nobody looked at the colour of a {name} that the thresholds let through")
        # Only the best `count` boxes are looked at: a red car does not help when a better box is a blue one.
        if seen.count(str(clause["color"])) < count:
            return f"{name}: {', '.join(str(colour) for colour in seen)}; {count} x {clause['color']} expected"
    if "position" in clause:
        wanted, target = cast(tuple[str, int], clause["position"])
        others = matched[target]
        if others is None:
            return f"{name}: nothing to be {wanted}, as clause {target + 1} is not met"
        for item in found:
            for other in others:
                held = relations(item, other, knobs.position_threshold)
                if wanted not in held:
                    return f"{name}: {' and '.join(sorted(held)) or 'in no clear relation'}; {wanted} expected"
    return ""


def protocols(ask: Mapping[str, JSON], detector: str, colour_classifier: str) -> dict[str, Protocol]:
    """GenEval as published, over a data source (``ask``) and the instruments of these names."""
    official = Protocol(
        "official",
        ask={"images_per_prompt": 4, **ask},
        observe={"detector": detector, "colour_classifier": colour_classifier},
        judge={knob.name: getattr(Knobs(), knob.name) for knob in fields(Knobs)},
        note="the published script's rules and thresholds; overall is the unweighted mean of the categories",
    )
    return {official.name: official}


@dataclass(eq=False)
class GenEval:
    """Prompts that are drawn several times. A sample has ``inputs`` prompt, ``target`` the official metadata, and its
    tag as ``category``; samples of equal metadata share a ``group``. ``tags`` lists the categories, in order."""

    name: str
    title: str
    source: Source
    protocols: Mapping[str, Protocol]
    tags: Sequence[str] = TAGS
    slices: Mapping[str, Slice] = field(default_factory=dict)
    needs = frozenset[Capability]({"draw"})
    knobs = KNOBS
    layout = GenEvalLayout()

    def samples(self, ask: Mapping[str, JSON]) -> Sequence[Sample]:
        return self.source(ask)

    def requests(self, sample: Sample, ask: Mapping[str, JSON], seeds: Seeds) -> Sequence[Request]:
        prompt, images = str(sample.inputs["prompt"]), cast(int, ask["images_per_prompt"])
        return [
            Drawing(RequestKey(self.name, sample.id, index), prompt, seeds(sample.id, index)) for index in range(images)
        ]

    def query(self, role: str, sample: Sample, index: int) -> Mapping[str, JSON] | None:
        clauses = [clause for kind in CLAUSES for clause in _clauses(sample.target, kind)]
        if role == "colour_classifier":
            clauses = [clause for clause in clauses if "color" in clause]
        names = list(dict.fromkeys(str(clause["class"]) for clause in clauses))
        return {"classes": names} if names else None

    def score(
        self,
        sample: Sample,
        index: int,
        response: Response,
        observations: Mapping[str, Mapping[str, JSON]],
        judge: Mapping[str, JSON],
    ) -> Score:
        boxes = cast(Mapping[str, Sequence[Box]], observations["detector"]["boxes"])
        colours = likeliest_colours(observations.get("colour_classifier"))
        given = {knob.name: cast(float, judge[knob.name]) for knob in fields(Knobs) if knob.name in judge}
        knobs = Knobs(**given)  # type: ignore[arg-type]
        try:
            verdict = judge_picture(sample.target, boxes, colours, knobs)
        except UnseenColourError as error:
            return Score(None, reason=str(error))
        return Score(float(verdict.correct), extracted=cast(JSON, verdict.kept), reason=verdict.reason)

    def metrics(self, judge: Mapping[str, JSON]) -> Mapping[str, Metric]:
        tags = {tag: in_category(tag) for tag in self.tags}
        return {
            "overall": AGGREGATES[str(judge.get("aggregate", "categories"))],
            **sliced(grouped_mean, tags),
            "prompts_any": prompts_any,
            **sliced(category_mean, self.slices),
        }


def likeliest_colours(observation: Mapping[str, JSON] | None) -> dict[str, list[str | None]]:
    """{class: colour of the i-th box}: the classifier's likeliest, the first of equals; None where it did not look."""
    if observation is None:
        return {}
    names = cast(Sequence[str], observation["colours"])
    rows = cast(Mapping[str, Sequence[Sequence[float] | None]], observation["probabilities"])
    return {
        kind: [None if row is None else names[int(np.argmax(row))] for row in table] for kind, table in rows.items()
    }


def prompts_any(scored: Sequence[Scored]) -> Estimate:
    """Share of prompts of which at least one picture is correct."""
    return proportion(folded(scored, lambda images: Score(max(cast(float, item.score.value) for item in images))))


AGGREGATES: dict[str, Metric] = {"categories": category_mean, "pictures": grouped_mean, "any": prompts_any}
"""``judge.aggregate``, "categories" where nothing is said: counting's 80 prompts then weigh as much as the 100 of
position, which they don't in the mean over pictures."""
