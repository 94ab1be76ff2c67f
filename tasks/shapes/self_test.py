"""What the world's instruments must see in one drawn picture, before they are asked about others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import cast

from janus_eval.errors import UserError
from janus_eval.pictures import Picture
from janus_eval.seams import Instrument
from janus_eval.tasks.shapes.scenes import SHAPES, Scene, Thing, Writing, render, to_picture
from janus_eval.types import JSON, Look, Observation

SCENE = Scene((Thing("circle", "red", 16, 16, 10), Thing("star", "blue", 48, 16, 12)), (Writing("K7", 19, 41, 14, 16),))
BOXES: Mapping[str, Sequence[tuple[float, float, float, float]]] = {
    "circle": [(6, 6, 26, 26)],
    "star": [(37, 5, 59, 25)],
}
SLACK = 1.0
"""Pixels that an edge of a box may be off: the renderer blends edges."""


@cache
def _picture() -> Picture:
    return to_picture(render(SCENE))


def boxes(instrument: Instrument) -> str:
    """Each shape of the scene at its place, and nothing else."""
    seen = cast(Mapping[str, Sequence[Sequence[float]]], _seen(instrument, {"classes": list(SHAPES)})["boxes"])
    for shape in SHAPES:
        expected, found = BOXES.get(shape, ()), [box[:4] for box in seen[shape]]
        near = [
            abs(a - b) <= SLACK
            for one, other in zip(found, expected, strict=False)
            for a, b in zip(one, other, strict=True)
        ]
        _expect(len(found) == len(expected) and all(near), f"boxes of a {shape}", list(expected), found)
    return "boxes of a circle and a star"


def colours(instrument: Instrument, detector: Instrument) -> str:
    """Each shape's colour, in the boxes that the detector finds."""
    query: Mapping[str, JSON] = {"classes": [thing.shape for thing in SCENE.things]}
    data = _seen(instrument, query, {"detector": _seen(detector, query)})
    names = cast(Sequence[str], data["colours"])
    rows = cast(Mapping[str, Sequence[Sequence[float]]], data["probabilities"])
    for thing in SCENE.things:
        found = [names[row.index(max(row))] for row in rows[thing.shape]]
        _expect(found == [thing.colour], f"the colour of a {thing.shape}", thing.colour, found)
    return "a red circle and a blue star"


def answers(instrument: Instrument) -> str:
    """A question that is right of the scene, and one that is not."""
    asked = {"Is there a red circle?": "yes", "Is the star left of the circle?": "no"}
    found = _seen(instrument, {"questions": {text: text for text in asked}})["answers"]
    _expect(found == asked, "answers", asked, found)
    return f"{len(asked)} questions about a circle and a star"


def text(instrument: Instrument) -> str:
    """The scene's writing."""
    regions = cast(Sequence[Mapping[str, JSON]], _seen(instrument, {})["regions"])
    expected, found = [writing.text for writing in SCENE.writings], [region["text"] for region in regions]
    _expect(found == expected, "writing", expected, found)
    return f"the writing {' '.join(expected)}"


def _seen(
    instrument: Instrument, query: Mapping[str, JSON], earlier: Mapping[str, Mapping[str, JSON]] | None = None
) -> Mapping[str, JSON]:
    (found,) = instrument.observe([Look(query, image=_picture(), earlier=earlier or {})])
    if not isinstance(found, Observation):
        raise UserError(f"it sees nothing in a drawn picture: {found.reason}")
    return found.data


def _expect(right: bool, what: str, expected: object, found: object) -> None:
    if not right:
        raise UserError(f"{what}: {expected} expected in a drawn picture, {found} seen")
