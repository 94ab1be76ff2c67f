"""A loaded pipeline of diffusers as the harness sees it: drawings in, pictures and failures out.

Shapes: P pictures, H x W pixels.
"""

from __future__ import annotations

import inspect
import time
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image

from janus_eval.models.adapters.diffusers_family import DiffusersSettings
from janus_eval.models.adapters.diffusers_loading import Loaded, load_pipeline
from janus_eval.models.parts.answering import timed
from janus_eval.pictures import Picture
from janus_eval.types import JSON, Drawing, Failure, Response

UNLIMITED = 100_000
"""Tokenizers without a limit say 10**30."""


class Read(NamedTuple):
    """How many tokens of a prompt the widest text encoder is given, and how many there are."""

    read: int
    whole: int


class Pipeline:
    """``weights`` covers tensors, configurations and tokenizers, and the call's defaults in the installed diffusers."""

    def __init__(self, loaded: Loaded, settings: DiffusersSettings) -> None:
        self.pipe, self.weights, self.source = loaded
        self.settings = settings
        self._call = inspect.signature(type(self.pipe).__call__).parameters
        self._said = False

    @torch.inference_mode()
    def draw(self, drawings: Sequence[Drawing]) -> list[Response | Failure]:
        """Each picture has a generator of its own, on the CPU; drawings of one size are drawn together."""
        start = time.perf_counter()
        outcomes: dict[int, Response | Failure] = {}
        batches: dict[tuple[int, int] | None, list[int]] = {}
        for place, drawing in enumerate(drawings):
            if drawing.size is not None and not {"height", "width"} <= self._call.keys():
                outcomes[place] = Failure(f"{type(self.pipe).__name__} draws at its own size only")
            else:
                batches.setdefault(drawing.size, []).append(place)
        for size, places in batches.items():
            found = self._draw([drawings[place] for place in places], size)
            outcomes |= dict(zip(places, found, strict=True))
        return timed(outcomes, len(drawings), start)

    def _draw(self, drawings: Sequence[Drawing], size: tuple[int, int] | None) -> list[Response | Failure]:
        # From CPU generators the pipelines draw on the CPU and then move: the same noise on every device.
        generators = [torch.Generator().manual_seed(drawing.seed) for drawing in drawings]
        negative = self.settings.negative_prompt
        texts: dict[str, Any] = {"prompt": [drawing.prompt for drawing in drawings]}
        if negative is not None:
            texts["negative_prompt"] = [negative] * len(drawings)
        arguments = self._arguments(size)
        found = self.pipe(**texts, **arguments, generator=generators, output_type="np")
        images = np.asarray(found.images, dtype=np.float32)
        if len(images) != len(drawings):
            raise ValueError(f"the pipeline drew {len(images)} pictures for {len(drawings)} prompts")
        asked = (arguments.get("height"), arguments.get("width"))
        if asked != (None, None) and images.shape[1:3] != asked:  # some round to what they can, and say so in a log
            raise ValueError(
                f"the pipeline drew {images.shape[2]}x{images.shape[1]}, {asked[1]}x{asked[0]} were asked for"
            )
        refused = _refused(found, len(drawings))
        return [
            _outcome(image, no, self._read(drawing.prompt))
            for image, no, drawing in zip(images, refused, drawings, strict=True)
        ]

    def _arguments(self, size: tuple[int, int] | None) -> dict[str, JSON]:
        """What the call is told beside texts and randomness; what is None is left to the pipeline."""
        settings = self.settings
        width, height = map(int, settings.size.split("x")) if settings.size else (None, None)
        height, width = size or (height, width)
        named: dict[str, JSON] = {
            "guidance_scale": settings.guidance, "num_inference_steps": settings.steps, "height": height, "width": width
        }  # fmt: skip
        return {**{name: value for name, value in named.items() if value is not None}, **settings.call}

    def _read(self, prompt: str) -> Read:
        """How much of a prompt the encoder with the longest view reads. That one is cut is said once."""
        parts = self.pipe.components.items()
        tokenizers = [part for name, part in parts if name.startswith("tokenizer") and part is not None]
        widest = max((self._counted(tokenizer, prompt) for tokenizer in tokenizers), default=Read(0, 0))
        if widest.whole > widest.read and not self._said:
            self._said = True
            name = type(self.pipe).__name__
            warnings.warn(f"{name} reads {widest.read} tokens of a prompt; longer ones lose their ends", stacklevel=2)
        return widest

    def _counted(self, tokenizer: Any, prompt: str) -> Read:
        whole = len(tokenizer(prompt, truncation=False).input_ids)
        limit = int(min(tokenizer.model_max_length, UNLIMITED))
        longest = self.settings.call.get("max_sequence_length", _default(self._call.get("max_sequence_length")))
        if "clip" not in type(tokenizer).__name__.lower() and isinstance(longest, int):
            limit = longest
        return Read(min(whole, limit), whole)


def _default(parameter: inspect.Parameter | None) -> object:
    return parameter.default if parameter is not None else None


def _refused(found: Any, count: int) -> list[bool]:
    """Which pictures a safety checker has blacked out; the pipelines have two names for it."""
    for name in ("nsfw_content_detected", "nsfw_detected"):
        if (flags := getattr(found, name, None)) is not None:
            return [bool(flag) for flag in flags]
    return [False] * count


def _outcome(image: np.ndarray[Any, Any], refused: bool, prompt: Read) -> Response | Failure:
    """A picture ``[H, W, 3]`` of numbers in [0, 1], unless there is none."""
    if refused:
        return Failure("refused: the pipeline's safety checker blacked the picture out", final=True)
    if not np.isfinite(image).all():  # float16 overflows in SDXL's autoencoder; as bytes it would be a black picture
        return Failure("the decoded pixels are not finite; try another --dtype")
    picture = Picture.from_pil(Image.fromarray((image * 255).round().astype(np.uint8)))
    cut: dict[str, JSON] = {} if prompt.read == prompt.whole else {"prompt_tokens": prompt.whole}
    return Response(image=picture, input_tokens=prompt.read, details=cut)


def load(source: str, settings: DiffusersSettings, *, device: str = "cpu", dtype: str = "float32") -> Pipeline:
    """Open, check and load a repository or folder of diffusers."""
    return Pipeline(load_pipeline(source, settings, device=device, dtype=dtype), settings)
