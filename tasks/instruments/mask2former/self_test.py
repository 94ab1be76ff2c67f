"""What a detector must do on this machine before it is asked anything: see what mmdet saw, and be alive.

The known case is a tiny network of the official one's kind with made weights, which runs on the very device and through
all the code that the real one does. Its answers were recorded from mmdet. The real weights are then tried by what holds
of any network that works: docs/decisions/self-tests.md says why by no more.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor
from transformers import Mask2FormerForUniversalSegmentation

from janus_eval.errors import UserError
from janus_eval.pictures import Picture
from janus_eval.seams import Instrument
from janus_eval.tasks.instruments.known import drawn_scene, numbers
from janus_eval.tasks.instruments.mask2former.classes import CLASSES
from janus_eval.tasks.instruments.mask2former.config import AttentionSizes, Sizes, SwinSizes, build
from janus_eval.tasks.instruments.mask2former.detect import Logits, logits
from janus_eval.tasks.instruments.mask2former.pipeline import Pipeline
from janus_eval.tasks.instruments.mask2former.weights import pieces
from janus_eval.types import Failure, Look

SIZES = Sizes(
    SwinSizes(8, (1, 2, 1, 1), (1, 2, 4, 8), 7, 2.0),
    feat_channels=32,
    out_channels=32,
    num_queries=8,
    classes=80,
    pixel_decoder=AttentionSizes(1, 4, 32),
    num_points=4,
    transformer_decoder=AttentionSizes(3, 4, 32),
)
SEED = 6
"""One of those whose boxes stay where they are under small errors: of 25, boxes of most jump."""
PIPELINE = Pipeline(scale=(160, 96))
"""mmdet 3's, since that made the recording; the picture is enlarged, and padded."""


class Known(NamedTuple):
    """One of the best instances that mmdet 3.3 saw in the drawn scene."""

    label: int
    score: float
    box: tuple[int, int, int, int]
    area: int


SEEN: Sequence[Known] = (
    Known(19, 0.23454, (18, 5, 103, 74), 1670),
    Known(19, 0.22361, (23, 5, 103, 74), 1120),
    Known(35, 0.17350, (23, 6, 102, 74), 796),
    Known(34, 0.13264, (23, 6, 103, 74), 1130),
)
BOX, SCORE, AREA = 3.0, 0.02, 0.06
"""How far an instance may be off: pixels, the score, and the share of its area. Weights that are each off by up to a
thousandth leave boxes where they are and move scores by 0.012, areas by 0.024; what a GPU's reduced precision (TF32)
moves is less, what a broken kernel moves is all."""

SIDE = 128
"""Of the square that the real weights look at, in pixels: small, for speed."""
DEVICES_APART = 0.05
"""How far probabilities may be apart between a device and the CPU."""
STIR = 1e-3
"""How much at least a drawn scene must move some class logit from what grey gives."""


def made_weights() -> dict[str, Tensor]:
    """The known case's weights by mmdet 3's names, tensor by tensor in the order of the names."""
    take = numbers(SEED)
    tensors: dict[str, Tensor] = {}
    for name, piece in sorted(pieces(build(SIZES), SIZES).items()):
        norm = len(piece.shape) == 1 and name.endswith("weight")
        if len(piece.shape) == 1:
            tensors[name] = norm + take(piece.shape, 0.3)
            continue
        embedding = name.endswith(("query_embed.weight", "query_feat.weight", "level_embed.weight"))
        limit = 1.7 if embedding or "level_encoding" in name else (3 / float(np.prod(piece.shape[1:]))) ** 0.5
        # Decided classes and masks: near an even chance small errors would turn them over.
        gain = 3.0 if ".cls_embed." in name else 2.0 if ".mask_embed.4." in name else 1.0
        tensors[name] = take(piece.shape, limit * gain)
    return tensors


def known_case(make: Callable[[Path], Instrument]) -> str:
    """Let a detector that is made from a file with the known case's weights look at the drawn scene.

    Raises UserError where it does not see what mmdet saw.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "made.safetensors"
        save_file(made_weights(), path)
        picture = Picture.from_pil(Image.fromarray(drawn_scene()))
        (found,) = make(path).observe([Look({"classes": list(CLASSES)}, image=picture)])
    if isinstance(found, Failure):
        raise UserError(f"it sees nothing in a drawn scene: {found.reason}")
    compare(_rows(found.data))
    return f"{len(SEEN)} boxes of a made network as mmdet saw them"


def compare(rows: Sequence[Known]) -> None:
    """Hold what was found, best first, against what mmdet saw."""
    for known in SEEN:
        if not any(_near(known, row) for row in rows):
            seen = "; ".join(map(_words, rows[: len(SEEN)])) or "nothing"
            raise UserError(f"mmdet saw {_words(known)} in a drawn scene; seen here: {seen}")


def _rows(data: Mapping[str, Any]) -> list[Known]:
    rows = [
        Known(CLASSES.index(name), score, (round(x0), round(y0), round(x1), round(y1)), sum(runs[1::2]))
        for name, boxes in data["boxes"].items()
        for (x0, y0, x1, y1, score), runs in zip(boxes, data["masks"][name], strict=True)
    ]
    return sorted(rows, key=lambda row: -row.score)


def _near(known: Known, row: Known) -> bool:
    return (
        known.label == row.label
        and abs(known.score - row.score) <= SCORE
        and all(abs(a - b) <= BOX for a, b in zip(known.box, row.box, strict=True))
        and abs(known.area - row.area) <= AREA * known.area
    )


def _words(row: Known) -> str:
    return f"{CLASSES[row.label]} {row.score:.3f} at {list(row.box)} of {row.area} pixels"


def alive(model: Mask2FormerForUniversalSegmentation) -> str:
    """The real network on small pictures. Raises UserError where it gives no numbers, or the same to any picture, or on
    an accelerator others than on the CPU."""
    scene = _square(drawn_scene())
    small = Pipeline(scale=(SIDE, SIDE))
    pictures = torch.stack([small.pixel_values(scene), small.pixel_values(np.full_like(scene, 128))])
    said = logits(model, pictures)
    if not all(bool(part.isfinite().all()) for part in (said.classes, said.masks)):
        raise UserError("the weights give no finite numbers for a drawn scene")
    if float((said.classes[0] - said.classes[1]).abs().max()) < STIR:
        raise UserError("the weights see no difference between a drawn scene and plain grey")
    device = said.classes.device
    if device.type == "cpu":
        return "the weights tell a scene from grey"
    copied: Any = copy.deepcopy(model)  # transformers annotates `to` as taking models
    agree(said, logits(copied.to("cpu", torch.float32), pictures), str(device))
    return f"the weights see on {device} what they see on the CPU"


def agree(ours: Logits, cpu: Logits, device: str) -> None:
    """Raise UserError where two devices tell different things of the same pictures."""
    parts: Mapping[str, tuple[Tensor, Tensor]] = {
        "class": (ours.classes.cpu().softmax(-1), cpu.classes.softmax(-1)),
        "mask": (ours.masks.cpu().sigmoid(), cpu.masks.sigmoid()),
    }
    for what, (here, there) in parts.items():
        # Of masks the mean: a pixel at an edge may turn over.
        gaps = (here - there).abs()
        gap = float(gaps.max() if what == "class" else gaps.mean())
        if not gap <= DEVICES_APART:
            raise UserError(f"{what} probabilities on {device} are {gap:.3f} from the CPU's, at most {DEVICES_APART}")


def _square(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    side = min(rgb.shape[:2])
    return rgb[:side, :side]
