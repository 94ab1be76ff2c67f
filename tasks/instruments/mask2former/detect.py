"""From a batch of pictures to instances: the network's logits, then mmdet's way from logits to boxes and masks.

The rules are those of mmdet's ``MaskFormerFusionHead.instance_postprocess``, in its order of operations. B pictures,
Q queries, C classes; [h, w] is a quarter of the padded size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from transformers import Mask2FormerForUniversalSegmentation

from janus_eval.tasks.instruments.mask2former.pipeline import Frame

T = TypeVar("T")

AT_ONCE = 1 << 24
"""Pixels of masks that are held at once, at 4 bytes each and some five tensors: 100 masks of a large picture would take
gigabytes."""


class Logits(NamedTuple):
    """What the last decoder layer says, in float32, and the backbone's feature maps where they were asked for."""

    classes: Tensor
    """[B, Q, C + 1]; the last class is "no object"."""
    masks: Tensor
    """[B, Q, h, w]."""
    features: tuple[Tensor, ...] = ()


class Candidates(NamedTuple):
    """Pairs of a query and a class, likeliest first, all [n]."""

    probabilities: Tensor
    labels: Tensor
    queries: Tensor


class Segments(NamedTuple):
    """Masks of some queries at the picture's own size."""

    masks: Tensor
    """[n, H, W] bool."""
    confidences: Tensor
    """[n]: the mean probability inside the mask, 0 for an empty one."""
    boxes: Tensor
    """[n, 4] float32: x0, y0, x1, y1; right and lower edge exclusive; zeros for an empty mask."""


@dataclass(frozen=True)
class Instances(Generic[T]):
    """What was found in one picture, best first. Instances of one query share its mask."""

    scores: Tensor
    """[n] float32."""
    labels: Tensor
    """[n] int64."""
    boxes: Tensor
    """[n, 4] float32, as in ``Segments``."""
    which: Tensor
    """[n] int64: the place of an instance's mask in ``masks``."""
    masks: list[T]
    """Each as ``encode`` made it."""


@torch.inference_mode()
def logits(model: Mask2FormerForUniversalSegmentation, pixel_values: Tensor, *, features: bool = False) -> Logits:
    """Run the network on [B, 3, height, width], on its own device and in its own type."""
    weight = model.class_predictor.weight
    found = model(pixel_values=pixel_values.to(weight.device, weight.dtype), output_hidden_states=features)
    maps = tuple(part.float() for part in found.encoder_hidden_states) if features else ()
    return Logits(found.class_queries_logits.float(), found.masks_queries_logits.float(), maps)


@torch.inference_mode()
def instances(
    classes: Tensor,
    masks: Tensor,
    frame: Frame,
    most: int,
    encode: Callable[[NDArray[np.bool_]], T],
    wanted: frozenset[int] | None = None,
) -> Instances[T]:
    """Instances of one picture, from its class logits [Q, C + 1] and mask logits [Q, h, w].

    ``most``: how many pairs of query and class are kept, whatever the class. ``wanted``: labels to report, None for
    all; masks are made for these alone. ``encode`` is given each query's mask, [H, W] bool, once.
    """
    found = candidates(classes, most)
    if wanted is not None:
        chosen = torch.isin(found.labels, torch.tensor(sorted(wanted), device=found.labels.device))
        found = Candidates(*(part[chosen] for part in found))
    queries, which = found.queries.unique(return_inverse=True)
    encoded: list[T] = []
    confidences, boxes = [masks.new_zeros(0)], [masks.new_zeros(0, 4)]
    for part in segments(masks[queries], frame):
        encoded += [encode(mask) for mask in part.masks.cpu().numpy()]
        confidences.append(part.confidences)
        boxes.append(part.boxes)
    scores = found.probabilities * torch.cat(confidences)[which]
    order = scores.argsort(descending=True, stable=True)
    return Instances(
        scores[order].cpu(),
        found.labels[order].cpu(),
        torch.cat(boxes)[which[order]].cpu(),
        which[order].cpu(),
        encoded,
    )


def candidates(classes: Tensor, most: int) -> Candidates:
    """The likeliest pairs of query and class. A query can stand there with several classes; "no object" cannot."""
    probabilities = classes.softmax(dim=-1)[:, :-1]
    top = probabilities.flatten().topk(min(most, probabilities.numel()))
    count = probabilities.shape[1]
    return Candidates(top.values, top.indices % count, top.indices // count)


def segments(masks: Tensor, frame: Frame) -> Iterator[Segments]:
    """Masks at the picture's own size, a few at a time, from mask logits [n, h, w].

    Logits are enlarged to the padded size, lose the padding, and are brought to the original size from there: two
    interpolations, as in mmdet; one from [h, w] to the original size would move edges.
    """
    largest = max(height * width for height, width in frame)
    for part in masks.split(max(1, AT_ONCE // largest)):
        if not len(part):
            return
        padded = F.interpolate(part[:, None], size=frame.padded, mode="bilinear", align_corners=False)
        seen = padded[:, :, : frame.resized[0], : frame.resized[1]]
        whole = F.interpolate(seen, size=frame.original, mode="bilinear", align_corners=False)[:, 0]
        inside = whole > 0
        summed = (whole.sigmoid() * inside).flatten(1).sum(1)
        yield Segments(inside, summed / (inside.flatten(1).sum(1) + 1e-6), boxes_of(inside))


def boxes_of(masks: Tensor) -> Tensor:
    """Smallest boxes around masks [n, H, W]: [n, 4] float32 as ``Segments`` has them."""
    edges = []
    for axis in (1, 2):  # whether a column, then a row, has any of the mask
        line = masks.any(dim=axis).int()
        edges.append((line.argmax(dim=1), line.shape[1] - line.flip(1).argmax(dim=1)))
    (x0, x1), (y0, y1) = edges
    boxes = torch.stack([x0, y0, x1, y1], dim=1).float()
    return boxes * masks.flatten(1).any(dim=1)[:, None]


def run_lengths(mask: NDArray[np.bool_]) -> list[int]:
    """A mask row by row as lengths of runs, ground first (perhaps 0 long), that add up to its pixels."""
    flat = mask.reshape(-1)
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    lengths = np.diff(np.concatenate(([0], changes, [flat.size])))
    return [0, *lengths.tolist()] if flat[0] else list(lengths.tolist())
