"""What the colour classifier must do on this machine before it is asked anything.

The known case is a tiny CLIP with made weights, whose probabilities were computed by transformers' CLIP, an independent
one. It notices another activation (the trap of these weights: without QuickGELU other colours are seen), another
preparation of pictures or words, and a device that computes something else. Plain colours then try the real weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from janus_eval.errors import UserError
from janus_eval.tasks.instruments.clip_colours import COLOURS, GROUND, Network, Shown
from janus_eval.tasks.instruments.known import drawn_scene, numbers

SIDE, PATCH, WIDTH, DIM = 32, 8, 64, 24
CONTEXT, VOCABULARY, LAYERS = 77, 49408, 3
SEED = 8
"""One of eight: with the exact GELU in place of QuickGELU its probabilities are 0.042 off, more than the others'."""
NAME = "teddy bear"

KNOWN = (0.000678, 0.005977, 0.797842, 0.176299, 0.002160, 0.001587, 0.000000, 0.003308, 0.007025, 0.005124)
"""What transformers 5.24's CLIP gives for the drawn scene by the three templates, in the order of the colours."""
APART = 0.02
"""How far a probability may be off. Pixels that are each off by a thousandth, as by a GPU's reduced precision, move one
by 0.0002; a level more in every other pixel, as another version of Pillow may give, by 0.008."""

BALLS: Mapping[str, tuple[int, int, int]] = {
    "red": (220, 20, 20),
    "green": (20, 160, 40),
    "blue": (20, 60, 220),
    "yellow": (240, 220, 20),
}


def made_weights() -> dict[str, Tensor]:
    """The known case's weights by OpenAI's names, drawn in this order; whole numbers of float16, as OpenAI's are."""
    take = numbers(SEED)
    tensors: dict[str, Tensor] = {}

    def put(name: str, shape: tuple[int, ...], limit: float, middle: float = 0.0) -> None:
        tensors[name] = (take(shape, limit) + middle).half().float()

    def norm(name: str) -> None:
        put(f"{name}.weight", (WIDTH,), 0.3, 1.0)
        put(f"{name}.bias", (WIDTH,), 0.3)

    def linear(name: str, rows: int, columns: int, suffix: str = ".", gain: float = 2.0) -> None:
        put(f"{name}{suffix}weight", (rows, columns), gain * columns**-0.5)
        put(f"{name}{suffix}bias", (rows,), 0.3)

    put("visual.conv1.weight", (WIDTH, 3, PATCH, PATCH), 0.2)
    put("visual.class_embedding", (WIDTH,), 1.0)
    put("visual.positional_embedding", ((SIDE // PATCH) ** 2 + 1, WIDTH), 0.3)
    put("visual.proj", (WIDTH, DIM), 0.2)
    put("token_embedding.weight", (VOCABULARY, WIDTH), 1.0)
    put("positional_embedding", (CONTEXT, WIDTH), 0.3)
    put("text_projection", (WIDTH, DIM), 0.2)
    tensors["logit_scale"] = torch.tensor(100.0).log()
    for name in ("visual.ln_pre", "visual.ln_post", "ln_final"):
        norm(name)
    for stack in ("visual.transformer", "transformer"):
        for layer in range(LAYERS):
            block = f"{stack}.resblocks.{layer}"
            linear(f"{block}.attn", 3 * WIDTH, WIDTH, ".in_proj_")
            linear(f"{block}.attn.out_proj", WIDTH, WIDTH)
            linear(f"{block}.mlp.c_fc", 4 * WIDTH, WIDTH)
            # Large, so that the activation before it weighs much.
            linear(f"{block}.mlp.c_proj", WIDTH, 4 * WIDTH, gain=16.0)
            norm(f"{block}.ln_1")
            norm(f"{block}.ln_2")
    return tensors


def known_case(device: torch.device) -> str:
    """The tiny network on this device. Raises UserError where it sees other colours."""
    network = Network(made_weights(), device, "the colour classifier's known case")
    pixels = network.prepared(Image.fromarray(drawn_scene()))
    (found,) = network.probabilities([Shown(pixels, NAME)])
    gap = max(abs(a - b) for a, b in zip(found, KNOWN, strict=True))
    if not gap <= APART:
        raise UserError(
            f"a made network gives {_words(KNOWN)} for a drawn scene; here it gives {_words(found)}, "
            f"{gap:.3f} apart where {APART} are allowed"
        )
    return "colours of a made network as transformers saw them"


def plain_colours(network: Network) -> str:
    """Raise UserError where the real network does not name the colours of drawn balls."""
    rows, columns = np.mgrid[:96, :96]
    disc = (rows - 48) ** 2 + (columns - 48) ** 2 < 40**2
    crops = []
    for shade in BALLS.values():
        image = Image.new("RGB", (96, 96), GROUND)
        image.paste(shade, mask=Image.fromarray(disc))
        crops.append(Shown(network.prepared(image), "sports ball"))
    seen = [COLOURS[int(np.argmax(row))] for row in network.probabilities(crops)]
    if seen != list(BALLS):
        raise UserError(f"drawn balls that are {', '.join(BALLS)} were seen as {', '.join(seen)}")
    return f"balls that are {', '.join(BALLS)}"


def _words(row: Sequence[float]) -> str:
    best = sorted(zip(row, COLOURS, strict=True), reverse=True)[:3]
    return ", ".join(f"{colour} {value:.3f}" for value, colour in best)
