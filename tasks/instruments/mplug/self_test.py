"""What the question answerer must do on this machine before it is asked anything.

The known case is a tiny mPLUG with made weights, whose answers were computed by ModelScope's classes. It notices
another preparation of pictures, another activation or search, and a device that computes something else. Plain colours
then try the real weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from PIL import Image
from torch import Tensor

from janus_eval.errors import UserError
from janus_eval.tasks.instruments.known import drawn_scene, numbers
from janus_eval.tasks.instruments.mplug.beams import END, START, Found
from janus_eval.tasks.instruments.mplug.config import Beams, Config, TextSizes, VisionSizes
from janus_eval.tasks.instruments.mplug.instrument import answers, pixel_values
from janus_eval.tasks.instruments.mplug.model import MPlug
from janus_eval.tasks.instruments.mplug.tokens import LENGTH
from janus_eval.tasks.instruments.mplug.weights import load_weights, pieces

CONFIG = Config(
    VisionSizes(resolution=56, width=64, layers=2),
    TextSizes(
        vocabulary=120,
        width=48,
        heads=4,
        inner=96,
        positions=32,
        reading=2,
        first_fusing=0,
        fusing=3,
        stride=2,
        answering=2,
    ),
    Beams(3, 1, 6),
)
SEED = 12
"""One of the first sixteen: its answers differ, stay as they are when every weight is off by up to a thousandth, and
one changes with the exact GELU in place of CLIP's."""
QUESTIONS: Sequence[Sequence[int]] = ((40, 41, 42), (60, 7, 33, 90, 15, 28, 77), (5,))
"""Ids between START and END."""

KNOWN = (
    Found([START, 13, 13, 13, 13, 13, 13], -9.52455),
    Found([START, 13, 75, 75, 75, 13, 75], -9.56613),
    Found([START, 13, END], -4.38847),
)
"""What modelscope 1.10.0 answers about the drawn scene."""
APART = 0.05
"""How far a score may be off. Weights that are each off by up to a thousandth move one by 0.022."""

SHADES = ("red", "green", "blue")


def made_weights() -> dict[str, Tensor]:
    """The known case's weights by ModelScope's names, drawn in the order of these."""
    take = numbers(SEED)
    with torch.device("meta"):
        expected = pieces(MPlug(CONFIG), CONFIG)
    tensors = {}
    for name in sorted(expected):
        shape = expected[name].shape
        if "embeddings" in name and len(shape) > 1:
            tensors[name] = take(shape, 1.0)
        elif len(shape) > 1:
            # Large behind CLIP's activation, so that it weighs much.
            gain = 10.0 if "c_proj" in name else 2.0
            tensors[name] = take(shape, gain * torch.Size(shape[1:]).numel() ** -0.5)
        else:
            is_norm = name.endswith("weight")
            tensors[name] = take(shape, 0.3) + (1.0 if is_norm else 0.0)
    # Answers of several lengths.
    tensors["text_decoder.cls.predictions.decoder.bias"][END] += 3.0
    return tensors


def questions() -> tuple[Tensor, Tensor]:
    """Ids [Q, LENGTH], and which of them are not padding."""
    rows = [[START, *ids, END] for ids in QUESTIONS]
    ids = torch.tensor([[*row, *[0] * (LENGTH - len(row))] for row in rows])
    return ids, torch.arange(LENGTH) < torch.tensor([[len(row)] for row in rows])


@torch.inference_mode()
def said(model: MPlug, device: torch.device) -> list[Found]:
    """The tiny network's answers about the drawn scene."""
    ids, real = (tensor.to(device) for tensor in questions())
    pixels = pixel_values(Image.fromarray(drawn_scene()), CONFIG.vision.resolution)
    return answers(model, model.see(pixels[None].to(device)), ids, real, CONFIG.beams)


def known_case(device: torch.device) -> str:
    """The tiny network on this device. Raises UserError where it says something else."""
    found = said(load_weights(CONFIG, made_weights(), "the question answerer's known case", device=device), device)
    for ours, expected in zip(found, KNOWN, strict=True):
        if ours.ids != expected.ids or not abs(ours.score - expected.score) <= APART:
            raise UserError(
                f"a made network says {_words(expected)} about a drawn scene; here it says {_words(ours)}, "
                f"where scores may be {APART} apart"
            )
    return "answers of a made network as ModelScope's were"


def squares() -> Mapping[str, Image.Image]:
    """A square of each colour, on white."""
    drawn = {}
    for shade in SHADES:
        drawn[shade] = Image.new("RGB", (384, 384), "white")
        drawn[shade].paste(shade, (64, 64, 320, 320))
    return drawn


def _words(found: Found) -> str:
    return f"{' '.join(map(str, found.ids))} ({found.score:.3f})"
