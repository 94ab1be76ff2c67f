"""What a family has of its own in training: how it learns to draw, and what it must have learned before."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import torch
from PIL import Image
from torch import Tensor, nn

from janus_eval.models.parts.processor import Processor, center_crop
from janus_eval.models.parts.reader import Reader
from janus_eval.models.parts.understanding import Tokens
from janus_eval.models.training.loop import Stepper
from janus_eval.models.training.recipe import Stage
from janus_eval.models.training.sources import Example, Kind, Source, image_batch


class Drawing(Protocol):
    """Losses of drawing, and whatever stands around the paper's stages because of it."""

    @property
    def model(self) -> Reader: ...

    @property
    def tokens(self) -> Tokens:
        """Where what is read of an image stands in a row."""
        ...

    def stepper(self, folder: Path) -> Stepper | None:
        """The stage that trains the model's own image tokenizer or autoencoder, if the recipe has one."""
        ...

    def losses(
        self,
        stage: Stage,
        examples: Sequence[Example],
        prompts: Sequence[list[int]],
        weight: float,
        label: str,
        micro_batch: int,
    ) -> dict[str, float]:
        """Mean losses by name; leaves ``weight`` times their gradients.

        ``prompts``: ids up to and with the token that starts an image. ``label`` seeds what is drawn at random.
        """
        ...

    def watch(self, stepper: Stepper) -> Stepper:
        """A stage of the paper, with what is to be kept or done beside its steps."""
        ...

    def save(self, folder: Path, dtype: torch.dtype) -> None:
        """Write configuration and weights in the published format."""
        ...


def image_of(example: Example) -> Image.Image:
    assert example.image is not None
    return example.image


def drawn_pixels(examples: Sequence[Example], size: int, device: torch.device) -> Tensor:
    """Images as they are drawn, ``[B, 3, S, S]`` in [-1, 1]: the short side to the size, the long one cropped."""
    pixels = image_batch([image_of(example) for example in examples], lambda image: center_crop(image, size))
    return torch.from_numpy(pixels).to(device)


def examples_to_draw(source: Source, index: int, batch_size: int) -> list[Example]:
    """Pictures of every kind that has some, for a tokenizer that must keep whatever may be drawn or shown."""
    kinds: list[Kind] = [kind for kind in ("generation", "understanding") if kind in source.kinds()]
    start = index * batch_size
    return [source.example(kinds[k % len(kinds)], start + k) for k in range(batch_size)]


def dropped(count: int, share: float, seed: int, label: str) -> list[bool]:
    """Which of so many prompts lose their text, for classifier-free guidance."""
    chances: list[float] = torch.rand(count, generator=generator(seed, label)).tolist()
    return [chance < share for chance in chances]


def generator(seed: int, label: str) -> torch.Generator:
    """A random stream that depends on these two alone."""
    digest = hashlib.sha256(f"{seed}/{label}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


EMBEDDINGS = {"language.embed_tokens": 0.5, "gen_embed": 1.0, "vq.codebook": 0.02}
"""Standard deviations of fresh tables. Text has about what the aligners make of images and codes."""


def init_weights(model: nn.Module, seed: int) -> None:
    """Normal weights that keep the size of what they are given (LeCun), zero biases.

    The last products of the decoder's residual branches are smaller by its depth (GPT-2's rule); convolutions are
    PyTorch's default. Text, codes and image tokens enter the decoder at a like size: far apart, the optimizer first
    grows the small ones, and the image's grew to a constant that hid what it showed. Each parameter's values depend on
    the seed and its name alone.
    """
    depth = sum(name.endswith(".mlp") for name, _ in model.named_modules())
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            last = name.endswith(("attention.out", "mlp.down"))
            std = (module.in_features * (2 * depth if last else 1)) ** -0.5
            nn.init.normal_(module.weight, std=std, generator=generator(seed, name))
        elif isinstance(module, nn.Embedding):
            std = EMBEDDINGS[name]
            nn.init.normal_(module.weight, std=std, generator=generator(seed, name))
        elif isinstance(module, nn.Conv2d):
            nn.init.kaiming_uniform_(module.weight, a=5**0.5, generator=generator(seed, name))
        if isinstance(module, (nn.Linear, nn.Conv2d)) and module.bias is not None:
            nn.init.zeros_(module.bias)
    for name, parameter in model.named_parameters():
        if name.endswith("pos_embed"):
            nn.init.normal_(parameter, std=0.2, generator=generator(seed, name))
        elif name == "begin":
            nn.init.normal_(parameter, std=EMBEDDINGS["language.embed_tokens"], generator=generator(seed, name))


def structure(processor: Processor, *, begins: bool) -> Tokens:
    """The ids that a reader of rows must know; ``begins``: an image fills the place of the token before it too."""
    start = processor.image_start_id if begins else None
    return Tokens(processor.image_id, processor.pad_id, processor.eos_id, image_start=start)
