"""GenEval's detector as an instrument, and what it shares with other Mask2Formers in transformers' modules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from janus_eval.checkpoint import read_tensors
from janus_eval.errors import UserError
from janus_eval.fingerprint import digest
from janus_eval.pictures import PictureError
from janus_eval.tasks.instruments.files import DIGITS, WeightFile, named_digits
from janus_eval.tasks.instruments.mask2former.classes import CLASSES
from janus_eval.tasks.instruments.mask2former.pipeline import MMDET2, Frame, Pipeline
from janus_eval.types import JSON, Failure, Look, Observation

if TYPE_CHECKING:
    from transformers import Mask2FormerForUniversalSegmentation

    from janus_eval.tasks.instruments.mask2former.config import Sizes
    from janus_eval.tasks.instruments.mask2former.detect import Instances

URL = (
    "https://download.openmmlab.com/mmdetection/v2.0/mask2former/mask2former_swin-s-p4-w7-224_lsj_8x2_50e_coco/"
    "mask2former_swin-s-p4-w7-224_lsj_8x2_50e_coco_20220504_001756-743b7d99.pth"
)
"""What GenEval's ``evaluation/download_models.sh`` fetches."""

VERSION = "1"
"""To be raised with any change of the code that can move a box or a score."""

AT_ONCE = 4
"""Pictures that go through the network together, at most: at 800 x 800 each takes 0.7 GiB."""


class Seen(NamedTuple):
    """A picture as the network gets it: [3, height, width], and the sizes that it passed through."""

    frame: Frame
    pixel_values: Tensor


class _Ready(NamedTuple):
    """A look whose picture has been read."""

    place: int
    seen: Seen
    labels: frozenset[int]


class InstanceDetector:
    """Looks with a network that a subclass reads, at pictures that it prepares.

    All instances of the classes asked for are told, best first, whatever their score; only those without a mask are
    not, whose score is 0. Scores are float32 as they were computed, so that thresholds can be compared as the published
    script does. A mask is run lengths over the rows of the picture, ground first, that add up to its pixels. A class
    that the detector doesn't have is a Failure, since no box would read as "none there".
    """

    kind = "detector"
    most = 100
    """Pairs of query and class that become instances."""

    def read(self) -> Mask2FormerForUniversalSegmentation:
        """The network on its device. Raises UserError where it can't be read."""
        raise NotImplementedError

    def seen(self, image: Image.Image) -> Seen:
        """A picture (RGB) prepared. Raises PictureError where it can't be."""
        raise NotImplementedError

    @cached_property
    def _model(self) -> Mask2FormerForUniversalSegmentation | Failure:
        """The network, read when it is first used, and once: also what cannot be read is not read again."""
        try:
            return self.read()
        except UserError as error:
            return Failure(str(error))

    def observe(self, looks: Sequence[Look]) -> list[Observation | Failure]:
        """Look at a batch, in order. Pictures of equal padded size go through the network together."""
        model = self._model
        if isinstance(model, Failure):
            return [model] * len(looks)
        results: dict[int, Observation | Failure] = {}
        by_size: dict[tuple[int, int], list[_Ready]] = {}
        for place, look in enumerate(looks):
            prepared = self._prepare(place, look)
            if isinstance(prepared, Failure):
                results[place] = prepared
            else:
                by_size.setdefault(prepared.seen.frame.padded, []).append(prepared)
        for ready in by_size.values():
            for start in range(0, len(ready), AT_ONCE):
                results |= self._look(model, ready[start : start + AT_ONCE])
        return [results[place] for place in range(len(looks))]

    def self_test(self) -> str:
        """A made network must see on this machine what mmdet saw, and the real one must be alive. Raises UserError."""
        from janus_eval.tasks.instruments.mask2former.self_test import PIPELINE, SIZES, alive, known_case

        model = self._model
        if isinstance(model, Failure):
            raise UserError(model.reason)
        device = str(model.device)
        said = known_case(lambda path: Mask2Former(path, sizes=SIZES, pipeline=PIPELINE, device=device))
        return f"{said}; {alive(model)}"

    def _prepare(self, place: int, look: Look) -> _Ready | Failure:
        image = asked_picture(look)
        if isinstance(image, Failure):
            return image
        try:
            seen = self.seen(image)
        except PictureError as error:
            return Failure(f"the picture cannot be looked at: {error}")
        names = cast(Sequence[str], look.query["classes"])
        return _Ready(place, seen, frozenset(CLASSES.index(name) for name in names))

    def _look(
        self, model: Mask2FormerForUniversalSegmentation, ready: Sequence[_Ready]
    ) -> dict[int, Observation | Failure]:
        from janus_eval.tasks.instruments.mask2former.detect import instances, logits, run_lengths

        said = logits(model, torch.stack([item.seen.pixel_values for item in ready]))
        results: dict[int, Observation | Failure] = {}
        for item, classes, masks in zip(ready, said.classes, said.masks, strict=True):
            found = instances(classes, masks, item.seen.frame, self.most, run_lengths, item.labels)
            results[item.place] = _observation(item, found)
        return results


class Mask2Former(InstanceDetector):
    """GenEval's detector, from mmdet's weights.

    Boxes (x0, y0, x1, y1, score; the picture's pixels, right and lower edge exclusive) and masks by COCO class.

    ``weights``: a file with mmdet's names, ``.pth`` or ``.safetensors``; by default the published one, from the folder
    that JANUS_EVAL_WEIGHTS names, which a run that is only judged again does not need. ``device``: by default a GPU if
    there is one. Raises UserError where a file that is given is not what its name says.
    """

    def __init__(
        self,
        weights: Path | None = None,
        *,
        sizes: Sizes | None = None,
        pipeline: Pipeline = MMDET2,
        device: str | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self._weights = WeightFile(URL, "the detector's weights", named_digits(URL), weights)
        self._sizes = sizes
        self._pipeline = pipeline
        self._device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self._dtype = dtype
        self.most = pipeline.max_per_image
        constants = {"pipeline": asdict(pipeline), "classes": CLASSES, "dtype": str(dtype)}
        self.version = f"{VERSION} weights {self._weights.sha256[:DIGITS]} constants {digest(constants)}"

    def prepare(self) -> None:
        """Raises UserError where the published weights are absent or not what their name says."""
        _ = self._weights.path

    def read(self) -> Mask2FormerForUniversalSegmentation:
        from janus_eval.tasks.instruments.mask2former.config import OFFICIAL
        from janus_eval.tasks.instruments.mask2former.weights import load_weights

        path = self._weights.path
        return load_weights(
            self._sizes or OFFICIAL, read_tensors(path), str(path), device=self._device, dtype=self._dtype
        )

    def seen(self, image: Image.Image) -> Seen:
        rgb = np.asarray(image)
        return Seen(self._pipeline.frame(rgb.shape[0], rgb.shape[1]), self._pipeline.pixel_values(rgb))


def asked_picture(look: Look) -> Image.Image | Failure:
    """What a detector of COCO's classes is to look at (RGB)."""
    names = cast(Sequence[str], look.query["classes"])
    if unknown := [name for name in names if name not in CLASSES]:
        return Failure(f"the detector has no class {', '.join(map(repr, unknown))}: it has COCO's {len(CLASSES)}")
    if look.image is None:
        return Failure("there is no picture to look at")
    try:
        return look.image.load()
    except PictureError as error:
        return Failure(f"the picture cannot be looked at: {error}")


def _observation(item: _Ready, found: Instances[list[int]]) -> Observation:
    boxes: Mapping[str, list[JSON]] = {CLASSES[label]: [] for label in sorted(item.labels)}
    masks: Mapping[str, list[JSON]] = {CLASSES[label]: [] for label in sorted(item.labels)}
    rows = zip(found.scores.tolist(), found.labels.tolist(), found.boxes.tolist(), found.which.tolist(), strict=True)
    for score, label, box, which in rows:
        if score > 0:
            boxes[CLASSES[label]].append([*box, score])
            masks[CLASSES[label]].append(found.masks[which])
    return Observation({"size": list(item.seen.frame.original), "boxes": boxes, "masks": masks})
