"""The instruments of the shapes world: detector, colour classifier, question answerer, reader.

Each sees only the picture, never the scene it was drawn from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from janus_eval.pictures import PictureError
from janus_eval.tasks.shapes import self_test, vqa
from janus_eval.tasks.shapes.detection import Detection, Mask
from janus_eval.tasks.shapes.scenes import CANVAS, COLOURS, PALETTE, Pixels
from janus_eval.tasks.shapes.sight import Sight, see
from janus_eval.types import JSON, Failure, Look, Observation

# Part of every run's fingerprint: to be raised with any change that can move what one of the instruments says
# (``test_oracle_versions`` notices).
VERSION = "1"

# Spread, in RGB levels, of a colour around its name: at half the least distance between two, their odds are 9 to 1.
COLOUR_SPREAD = 40.0


class _NoBoxesError(ValueError):
    """The colour classifier was asked before any detector."""


def _each(looks: Sequence[Look], observe: Callable[[Look, Sight], Observation]) -> list[Observation | Failure]:
    results: list[Observation | Failure] = []
    for look in looks:
        if look.image is None:
            results.append(Failure("there is no picture to look at"))
            continue
        try:
            results.append(observe(look, see(look.image)))
        except _NoBoxesError:
            results.append(Failure("no detector has looked at the picture: the colours of its boxes are asked for"))
        except PictureError as error:
            results.append(Failure(f"the picture cannot be looked at: {error}"))
        except vqa.UnknownQuestionError as error:
            results.append(Failure(str(error)))
    return results


def _classes(look: Look) -> list[str]:
    return list(cast(Sequence[str], look.query["classes"]))


class ShapesDetector:
    """Boxes (x0, y0, x1, y1, score; the picture's pixels, right and lower edge exclusive) and masks by shape.

    A mask is run lengths over the rows of the picture, ground first, that add up to its pixels. A class that the world
    doesn't have has no boxes.
    """

    kind = "detector"
    version = VERSION

    def observe(self, looks: Sequence[Look]) -> list[Observation | Failure]:
        return _each(looks, self._observe)

    def self_test(self) -> str:
        return self_test.boxes(self)

    @staticmethod
    def _observe(look: Look, sight: Sight) -> Observation:
        boxes: dict[str, JSON] = {}
        masks: dict[str, JSON] = {}
        for name in _classes(look):
            found = sorted((d for d in sight.detections if d.shape == name), key=lambda d: -d.score)
            boxes[name] = [_box(detection, sight) for detection in found]
            masks[name] = [run_lengths(detection.mask, sight.size, sight.scale) for detection in found]
        return Observation({"size": list(sight.size), "boxes": boxes, "masks": masks})


def _box(detection: Detection, sight: Sight) -> list[JSON]:
    height, width = sight.size
    limits = (width, height, width, height)
    edges = [round(min(edge / sight.scale, limit), 2) for edge, limit in zip(detection.box, limits, strict=True)]
    return [*edges, round(detection.score, 4)]


def run_lengths(mask: Mask, size: tuple[int, int], scale: float) -> list[int]:
    """Run lengths of a canvas mask at the picture's own size (height, width): row by row, ground first."""
    height, width = size
    columns = np.minimum((np.arange(width) + 0.5) * scale, CANVAS - 1).astype(int)
    rows = np.minimum((np.arange(height) + 0.5) * scale, CANVAS - 1).astype(int)
    # Only the changes of each canvas row are kept, since a picture may have hundreds of megapixels.
    changes = [np.flatnonzero(np.diff(np.concatenate([[False], line[columns], [False]]))) for line in mask]
    edges = np.concatenate([changes[row] + number * width for number, row in enumerate(rows)])
    # Where a run goes on from one row's end to the next row's start the same place is an edge twice.
    places, times = np.unique(edges, return_counts=True)
    lengths = np.diff(np.concatenate([[0], places[times == 1], [height * width]]))
    return [int(length) for length in lengths]


def sample_mask(runs: Sequence[int], size: tuple[int, int], scale: float) -> Mask:
    """A mask given as run lengths, looked up at the middle of every canvas pixel; bool [64, 64]."""
    height, width = size
    places = (np.arange(CANVAS) + 0.5) / scale
    rows, columns = places.astype(int), places.astype(int)
    inside = (rows[:, None] < height) & (columns[None, :] < width)
    flat = rows[:, None] * width + columns[None, :]
    number = np.searchsorted(np.fromiter(accumulate(runs), dtype=np.int64), flat, side="right")
    return cast(Mask, inside & (number % 2 == 1))


class ShapesColours:
    """How likely each of the eight colours is for each of the detector's boxes."""

    kind = "colour_classifier"
    version = VERSION

    def observe(self, looks: Sequence[Look]) -> list[Observation | Failure]:
        return _each(looks, self._observe)

    def self_test(self) -> str:
        return self_test.colours(self, ShapesDetector())

    @staticmethod
    def _observe(look: Look, sight: Sight) -> Observation:
        if "detector" not in look.earlier:
            raise _NoBoxesError
        detector = look.earlier["detector"]
        boxes = cast(Mapping[str, Sequence[Sequence[float]]], detector["boxes"])
        masks = cast(Mapping[str, Sequence[Sequence[int]]], detector.get("masks", {}))
        probabilities: dict[str, JSON] = {}
        for name in _classes(look):
            table: list[JSON] = []
            for place, box in enumerate(boxes.get(name, [])):
                if place < len(masks.get(name, [])):
                    region = sample_mask(masks[name][place], sight.size, sight.scale)
                else:
                    region = _box_mask(box, sight.scale)
                table.append([round(float(p), 4) for p in colour_probabilities(sight.pixels, region)])
            probabilities[name] = table
        return Observation({"colours": list(COLOURS), "probabilities": probabilities})


def _box_mask(box: Sequence[float], scale: float) -> Mask:
    x0, y0, x1, y1 = (round(edge * scale) for edge in box[:4])
    mask = np.zeros((CANVAS, CANVAS), dtype=bool)
    mask[y0:y1, x0:x1] = True
    return mask


def colour_probabilities(pixels: Pixels, region: Mask) -> NDArray[np.float64]:
    """Probabilities of the eight colours, from the middle of a region (its edges are blended), averaged over pixels."""
    core = ndimage.binary_erosion(region)
    chosen = pixels[core if core.any() else region].astype(np.float64)
    if not len(chosen):
        return np.full(len(COLOURS), 1 / len(COLOURS))
    palette = np.array([PALETTE[name] for name in COLOURS], dtype=np.float64)
    exponent = -((chosen[:, None] - palette) ** 2).sum(axis=2) / (2 * COLOUR_SPREAD**2)
    weights = np.exp(exponent - exponent.max(axis=1, keepdims=True))
    return cast(NDArray[np.float64], (weights / weights.sum(axis=1, keepdims=True)).mean(axis=0))


class ShapesVQA:
    """Answers questions in the wording of the world's tasks and question graphs."""

    kind = "visual_qa"
    version = VERSION

    def observe(self, looks: Sequence[Look]) -> list[Observation | Failure]:
        return _each(looks, self._observe)

    def self_test(self) -> str:
        return self_test.answers(self)

    @staticmethod
    def _observe(look: Look, sight: Sight) -> Observation:
        questions = cast(Mapping[str, str], look.query["questions"])
        return Observation({"answers": {key: vqa.answer(text, sight) for key, text in questions.items()}})


class ShapesReader:
    """Lines of writing from top to bottom, with boxes in the picture's pixels."""

    kind = "text_reader"
    version = VERSION

    def observe(self, looks: Sequence[Look]) -> list[Observation | Failure]:
        return _each(looks, self._observe)

    def self_test(self) -> str:
        return self_test.text(self)

    @staticmethod
    def _observe(look: Look, sight: Sight) -> Observation:
        regions: list[JSON] = [
            {
                "text": region.text,
                "box": [round(edge / sight.scale, 2) for edge in region.box],
                "score": round(region.score, 4),
            }
            for region in sight.regions
        ]
        return Observation({"regions": regions})
