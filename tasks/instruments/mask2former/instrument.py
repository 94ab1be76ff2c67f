"""GenEval's detector as an instrument."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor

from janus_eval.checkpoint import read_tensors
from janus_eval.errors import UserError
from janus_eval.fingerprint import digest
from janus_eval.pictures import PictureError
from janus_eval.tasks.instruments.files import DIGITS, checked, named_digits, published
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


class _Ready(NamedTuple):
    """A look whose picture has been read."""

    place: int
    frame: Frame
    pixel_values: Tensor
    labels: frozenset[int]


class Mask2Former:
    """Boxes (x0, y0, x1, y1, score; the picture's pixels, right and lower edge exclusive) and masks by COCO class.

    All instances of the classes asked for are told, best first, whatever their score; only those without a mask are
    not, whose score is 0. Scores are float32 as they were computed, so that thresholds can be compared as the published
    script does. A mask is run lengths over the rows of the picture, ground first, that add up to its pixels. A class
    that the detector doesn't have is a Failure, since no box would read as "none there".

    ``weights``: a file with mmdet's names, ``.pth`` or ``.safetensors``; by default the published one, from the folder
    that JANUS_EVAL_WEIGHTS names, which a run that is only judged again does not need. ``device``: by default a GPU if
    there is one. Raises UserError where a file that is given is not what its name says.
    """

    kind = "detector"

    def __init__(
        self,
        weights: Path | None = None,
        *,
        sizes: Sizes | None = None,
        pipeline: Pipeline = MMDET2,
        device: str | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self._weights = weights
        self._sizes = sizes
        self._pipeline = pipeline
        self._device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self._dtype = dtype
        named = checked(weights)[:DIGITS] if weights else named_digits(URL)
        constants = {"pipeline": asdict(pipeline), "classes": CLASSES, "dtype": str(dtype)}
        self.version = f"{VERSION} weights {named} constants {digest(constants)}"

    def prepare(self) -> None:
        """Raises UserError where the published weights are absent or not what their name says."""
        _ = self._file

    @cached_property
    def _file(self) -> Path:
        if self._weights:
            return self._weights
        path = published(URL, "the detector's weights")
        checked(path)
        return path

    @cached_property
    def _model(self) -> Mask2FormerForUniversalSegmentation | Failure:
        """The network, read when it is first used, and once: also what cannot be read is not read again."""
        from janus_eval.tasks.instruments.mask2former.config import OFFICIAL
        from janus_eval.tasks.instruments.mask2former.weights import load_weights

        sizes = self._sizes or OFFICIAL
        try:
            tensors = read_tensors(self._file)
            return load_weights(sizes, tensors, str(self._file), device=self._device, dtype=self._dtype)
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
                by_size.setdefault(prepared.frame.padded, []).append(prepared)
        for ready in by_size.values():
            for start in range(0, len(ready), AT_ONCE):
                results |= self._look(model, ready[start : start + AT_ONCE])
        return [results[place] for place in range(len(looks))]

    def _prepare(self, place: int, look: Look) -> _Ready | Failure:
        names = cast(Sequence[str], look.query["classes"])
        if unknown := [name for name in names if name not in CLASSES]:
            return Failure(f"the detector has no class {', '.join(map(repr, unknown))}: it has COCO's {len(CLASSES)}")
        if look.image is None:
            return Failure("there is no picture to look at")
        try:
            rgb = np.asarray(look.image.load())
            frame = self._pipeline.frame(rgb.shape[0], rgb.shape[1])
            pixel_values = self._pipeline.pixel_values(rgb)
        except PictureError as error:
            return Failure(f"the picture cannot be looked at: {error}")
        return _Ready(place, frame, pixel_values, frozenset(CLASSES.index(name) for name in names))

    def _look(
        self, model: Mask2FormerForUniversalSegmentation, ready: Sequence[_Ready]
    ) -> dict[int, Observation | Failure]:
        from janus_eval.tasks.instruments.mask2former.detect import instances, logits, run_lengths

        said = logits(model, torch.stack([item.pixel_values for item in ready]))
        most = self._pipeline.max_per_image
        results: dict[int, Observation | Failure] = {}
        for item, classes, masks in zip(ready, said.classes, said.masks, strict=True):
            found = instances(classes, masks, item.frame, most, run_lengths, item.labels)
            results[item.place] = _observation(item, found)
        return results


def _observation(item: _Ready, found: Instances[list[int]]) -> Observation:
    boxes: Mapping[str, list[JSON]] = {CLASSES[label]: [] for label in sorted(item.labels)}
    masks: Mapping[str, list[JSON]] = {CLASSES[label]: [] for label in sorted(item.labels)}
    rows = zip(found.scores.tolist(), found.labels.tolist(), found.boxes.tolist(), found.which.tolist(), strict=True)
    for score, label, box, which in rows:
        if score > 0:
            boxes[CLASSES[label]].append([*box, score])
            masks[CLASSES[label]].append(found.masks[which])
    return Observation({"size": list(item.frame.original), "boxes": boxes, "masks": masks})
