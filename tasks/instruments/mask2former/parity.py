"""The detector against recorded outputs of mmdet, stage by stage, in float32 on the CPU.

A case has ``config.json`` with mmdet's sizes and test pipeline, weights under mmdet's names, and
``detections.safetensors``, which names a picture's tensors ``imageN.*``.

The gates are those of the recording's README where it states some. Feature maps and mask logits are kept in float16:
a rounded number is off by at most half of float16's spacing there, a 2048th of itself, so that much is taken off a gap,
and what is left has the gate of any float or logit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from transformers import Mask2FormerForUniversalSegmentation

from janus_eval.checkpoint import Checkpoint
from janus_eval.errors import UserError
from janus_eval.pictures import PictureError
from janus_eval.recorded import Recorded
from janus_eval.tasks.instruments.mask2former.config import Raw, read_sizes
from janus_eval.tasks.instruments.mask2former.detect import Instances, instances, logits
from janus_eval.tasks.instruments.mask2former.pipeline import Pipeline
from janus_eval.tasks.instruments.mask2former.weights import load_weights

CLASS_LOGITS = SCORES = 1e-4
BOXES = 1.0
"""Pixels."""
MASKS = 0.01
"""One less the intersection over union of a mask with its expected one, of the worst mask. A logit near zero may flip
a pixel."""
STORED = torch.float16


@dataclass(frozen=True)
class Case:
    checkpoint: Checkpoint

    @cached_property
    def raw(self) -> Raw:
        return Raw(self.checkpoint.json("config.json"), str(self.checkpoint.folder / "config.json"))

    @cached_property
    def pipeline(self) -> Pipeline:
        return read_pipeline(self.raw.part("test"))

    @cached_property
    def model(self) -> Mask2FormerForUniversalSegmentation:
        return load_weights(read_sizes(self.raw), dict(self.checkpoint.tensors()), str(self.checkpoint.folder))


def read_pipeline(raw: Raw) -> Pipeline:
    """mmdet 3's pipeline by a case's constants. Raises UserError for a missing or impossible one."""
    keep_ratio = raw.values.get("keep_ratio", True)
    if not isinstance(keep_ratio, bool):
        raise UserError(f"{raw.where}: keep_ratio is {keep_ratio!r}, expected true or false")
    width, height = raw.counts("scale", 2)
    return Pipeline(
        (width, height),
        keep_ratio,
        raw.numbers("mean", 3),
        raw.numbers("std", 3),
        raw.count("pad_size_divisor"),
        max_per_image=raw.count("max_per_image"),
    )


def checks(checkpoint: Checkpoint) -> Mapping[str, Callable[[Recorded], None]]:
    """What can be held against a recorded file, by its name."""
    case = Case(checkpoint)
    return {"detections": lambda recorded: check_detections(case, recorded)}


def check_detections(case: Case, recorded: Recorded) -> None:
    """Every picture of a recording. Raises UserError where there is none, or one is no picture."""
    pictures = sorted(recorded.numbered(r"image\d+\.rgb"), key=lambda name: int(name[len("image") : -len(".rgb")]))
    if not pictures:
        raise UserError(f"{recorded.path} has no picture: its name would be image0.rgb")
    for name in pictures:
        rgb = recorded[name]
        recorded.expect_shape(name, rgb, (None, None, 3))
        if rgb.dtype != torch.uint8:
            raise UserError(f"{recorded.path}: {name} holds {rgb.dtype}, expected levels in bytes (torch.uint8)")
        try:
            _check_picture(case, recorded, name.removesuffix(".rgb"), rgb.numpy())
        except PictureError as error:
            raise UserError(f"{recorded.path}: {name}: {error}") from error


def _check_picture(case: Case, recorded: Recorded, image: str, rgb: NDArray[np.uint8]) -> None:
    frame = case.pipeline.frame(rgb.shape[0], rgb.shape[1])
    pixel_values = case.pipeline.pixel_values(rgb)[None]
    recorded.compare(f"{image}.pixel_values", pixel_values)
    found = logits(case.model, pixel_values, features=True)
    for level, features in enumerate(found.features):
        recorded.compare(f"{image}.backbone{level}", features, stored=STORED)
    recorded.compare(f"{image}.class_logits", found.classes, gate=CLASS_LOGITS)
    recorded.compare(f"{image}.mask_logits", found.masks, stored=STORED)
    most = case.pipeline.max_per_image
    ours = instances(found.classes[0], found.masks[0], frame, most, lambda mask: mask.reshape(-1))
    masks = expected_masks(recorded, image, frame.original[0] * frame.original[1])
    order = paired(ours, recorded, image, masks)
    recorded.compare(f"{image}.labels", ours.labels[order])
    recorded.compare(f"{image}.scores", ours.scores[order], gate=SCORES)
    recorded.compare(f"{image}.bboxes", ours.boxes[order], gate=BOXES)
    kept = [ours.masks[place] for place in ours.which[order].tolist()]
    _compare_masks(recorded, image, kept, masks)


def expected_masks(recorded: Recorded, image: str, pixels: int) -> NDArray[np.bool_] | None:
    """The recorded masks, [n, pixels]; None where there are none. Raises UserError where they are of another form."""
    name = f"{image}.masks_packed"
    if name not in recorded:
        return None
    packed = recorded[name]
    recorded.expect_shape(name, packed, (None, -(-pixels // 8)))
    if packed.dtype != torch.uint8:
        raise UserError(f"{recorded.path}: {name} holds {packed.dtype}, expected packed bits (torch.uint8)")
    return np.unpackbits(packed.numpy(), axis=1, count=pixels).astype(bool)


def paired(
    ours: Instances[NDArray[np.bool_]], recorded: Recorded, image: str, masks: NDArray[np.bool_] | None
) -> Tensor:
    """Which of ours answers to each expected instance, by place.

    Both are sorted by score, but scores that rounding makes or leaves equal (those of all empty masks, for one) are in
    no order. So each is given a partner of its label, nearly its score and nearly its area, at the least cost in all.
    Without recorded labels and scores, or where the numbers of instances differ, ours stay as they are.
    """
    names = [f"{image}.labels", f"{image}.scores"]
    count = len(ours.scores)
    if any(name not in recorded or recorded[name].shape != (count,) for name in names):
        return torch.arange(count)
    labels, scores = recorded[names[0]].numpy(), recorded[names[1]].double().numpy()
    gaps = np.abs(scores[:, None] - ours.scores.double().numpy()) / SCORES
    # A wrong label costs more than the worst score and area together; NaN, which a damaged file may hold, as much.
    cost = 4.0 * (labels[:, None] != ours.labels.numpy()) + np.nan_to_num(gaps, nan=1.0).clip(max=1)
    if masks is not None and len(masks) == count:
        areas = np.array([int(mask.sum()) for mask in ours.masks])[ours.which.numpy()]
        expected = masks.sum(axis=1)[:, None]
        cost += np.abs(expected - areas) / np.maximum(np.maximum(expected, areas), 1)
    return torch.from_numpy(linear_sum_assignment(cost)[1])


def _compare_masks(
    recorded: Recorded, image: str, ours: list[NDArray[np.bool_]], masks: NDArray[np.bool_] | None
) -> None:
    areas = torch.tensor([int(mask.sum()) for mask in ours])
    if masks is not None:
        name = f"{image}.masks_packed"
        if len(masks) != len(ours):
            recorded.measured(name, float("inf"), MASKS, note=f"{len(ours)} masks, expected {len(masks)}")
        else:
            gaps = [1 - overlap(*pair) for pair in zip(ours, masks, strict=True)]
            note = f"{sum(gap > MASKS for gap in gaps)} of {len(gaps)} masks"
            recorded.measured(name, max(gaps, default=0.0), MASKS, note=note)
    if (name := f"{image}.mask_area") in recorded:
        expected = recorded[name]
        if expected.shape != areas.shape:
            recorded.compare(name, areas)
            return
        # Masks of that overlap can differ in area by the same share.
        larger = torch.maximum(areas, expected).clamp(min=1)
        gap = (areas - expected).abs() / larger
        recorded.measured(name, float(gap.max()) if len(gap) else 0.0, MASKS)


def overlap(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Intersection over union; 1 for two empty masks."""
    union = int((a | b).sum())
    return int((a & b).sum()) / union if union else 1.0
