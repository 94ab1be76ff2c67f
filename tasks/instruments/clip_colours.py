"""GenEval's colour classifier: CLIP ViT-L/14 with QuickGELU, over three templates, on masked crops.

Rules of djghosh13/geneval at af4902f, ``evaluation/evaluate_images.py``: what the mask leaves out is painted ``#999``,
the crop is the box, and a colour's text embedding is the mean of three. The weights were trained with QuickGELU; newer
versions of open_clip can load them without it and then see other colours, so the architecture is OpenAI's own here.
The official script computes under autocast in half precision; here all is float32.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from janus_eval.checkpoint import read_tensors
from janus_eval.errors import UserError
from janus_eval.fingerprint import digest
from janus_eval.pictures import PictureError
from janus_eval.tasks.instruments.files import WeightFile, expect_module
from janus_eval.types import JSON, Failure, Look, Observation

SHA256 = "b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1738a03836"
URL = f"https://openaipublic.azureedge.net/clip/models/{SHA256}/ViT-L-14.pt"
"""OpenAI's file, which the address names by its SHA-256."""

COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white")
TEMPLATES = ("a photo of a {colour} {name}", "a photo of a {colour}-colored {name}", "a photo of a {colour} object")
GROUND = "#999"
LEAST_SCORE, MOST_BOXES = 0.1, 16
"""Boxes below this score, or beyond so many of a class, are not looked at: no threshold in use lets them through, and a
detector tells a hundred of them."""

CROPS_AT_ONCE = 64
VERSION = "1"


class Shown(NamedTuple):
    """A crop as the network gets it, [3, S, S], and the class of what it shows."""

    pixels: Tensor
    name: str


class _Crop(NamedTuple):
    """A box to be looked at: of which look, class and row."""

    place: int
    name: str
    row: int
    shown: Shown


class ClipColours:
    """How likely each of GenEval's ten colours is for each of the detector's boxes, in the detector's order.

    A row is None for a box that was not looked at. ``weights``: OpenAI's file, or a table of its tensors; by default
    the published file from the folder that JANUS_EVAL_WEIGHTS names, which a run that is only judged again does not
    need. ``device``: by default a GPU if there is one.
    """

    kind = "colour_classifier"

    def __init__(self, weights: Path | None = None, *, device: str | None = None) -> None:
        self._weights = WeightFile(URL, "the colour classifier's weights", SHA256, weights)
        self._device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        constants: JSON = [COLOURS, TEMPLATES, GROUND, LEAST_SCORE, MOST_BOXES]
        self.version = f"{VERSION} weights {self._weights.sha256[:16]} constants {digest(constants)}"

    def prepare(self) -> None:
        """Raises AbsentError where CLIP's code or the published weights are absent, UserError for other weights."""
        expect_module("clip", "geneval", "the colour classifier")
        _ = self._weights.path

    @cached_property
    def _network(self) -> Network:
        path = self._weights.path
        return Network(_state(path), self._device, str(path))

    def observe(self, looks: Sequence[Look]) -> list[Observation | Failure]:
        """Look at a batch, in order; crops of all its pictures go through the network together."""
        results: dict[int, Observation | Failure] = {}
        crops: list[_Crop] = []
        tables: dict[int, dict[str, list[list[float] | None]]] = {}
        for place, look in enumerate(looks):
            found = self._crops(place, look)
            if isinstance(found, Failure):
                results[place] = found
                continue
            crops += found
            boxes = _boxes(look)
            tables[place] = {name: [None] * len(boxes.get(name, ())) for name in _classes(look)}
        for crop, row in zip(crops, self._network.probabilities([crop.shown for crop in crops]), strict=True):
            tables[crop.place][crop.name][crop.row] = row
        for place, table in tables.items():
            results[place] = Observation({"colours": list(COLOURS), "probabilities": cast(JSON, table)})
        return [results[place] for place in range(len(looks))]

    def self_test(self) -> str:
        """A made network must see on this machine what CLIP's rules say, and the real one name plain colours.

        Raises UserError where either does not.
        """
        from janus_eval.tasks.instruments.clip_self_test import known_case, plain_colours

        return f"{known_case(self._device)}; {plain_colours(self._network)}"

    def _crops(self, place: int, look: Look) -> list[_Crop] | Failure:
        if look.image is None:
            return Failure("there is no picture to look at")
        if "detector" not in look.earlier:
            return Failure("no detector has looked at the picture: the colours of its boxes are asked for")
        try:
            image = look.image.load()
        except PictureError as error:
            return Failure(f"the picture cannot be looked at: {error}")
        boxes, masks = _boxes(look), cast(Mapping[str, Sequence[Sequence[int]]], look.earlier["detector"]["masks"])
        ground = Image.new("RGB", image.size, GROUND)
        crops = []
        for name in _classes(look):
            rows = boxes.get(name, ())
            for row in _worth(rows):
                shown = Image.composite(image, ground, unpacked(masks[name][row], image.size))
                pixels = self._network.prepared(shown.crop(_edges(rows[row])))
                crops.append(_Crop(place, name, row, Shown(pixels, name)))
        return crops


class Network:
    """OpenAI's CLIP, and what it makes of colours. Raises UserError for tensors that are none of it."""

    def __init__(self, tensors: dict[str, Tensor], device: torch.device, where: str) -> None:
        import clip.model

        try:
            model = clip.model.build_model(tensors)
        except (KeyError, RuntimeError, ValueError, IndexError) as error:
            raise UserError(f"{where} holds no CLIP with OpenAI's names ({error})") from error
        self.model: Any = model.float().to(device).requires_grad_(False)  # clip has no types
        self._device = device
        self._embedded: dict[str, Tensor] = {}

    def prepared(self, image: Image.Image) -> Tensor:
        """CLIP's own preprocessing, ``[3, S, S]``: short side to the size, the middle, normalised."""
        import clip.clip

        pixels: Tensor = clip.clip._transform(self.model.visual.input_resolution)(image)
        return pixels

    @torch.inference_mode()
    def probabilities(self, crops: Sequence[Shown]) -> list[list[float]]:
        """One row of probabilities a crop, over the colours."""
        rows: list[list[float]] = []
        for start in range(0, len(crops), CROPS_AT_ONCE):
            part = crops[start : start + CROPS_AT_ONCE]
            pixels = torch.stack([crop.pixels for crop in part]).to(self._device)
            features = F.normalize(self.model.encode_image(pixels).float(), dim=-1)
            texts = torch.stack([self._colours_of(crop.name) for crop in part])
            found = (100.0 * (texts @ features[..., None])[..., 0]).softmax(-1)
            rows += [[round(value, 6) for value in row] for row in found.tolist()]
        return rows

    def _colours_of(self, name: str) -> Tensor:
        """Text embeddings of the colours of a class, ``[10, D]``."""
        if name not in self._embedded:
            import clip

            texts = [template.format(colour=colour, name=name) for colour in COLOURS for template in TEMPLATES]
            embedded = F.normalize(self.model.encode_text(clip.tokenize(texts).to(self._device)).float(), dim=-1)
            self._embedded[name] = F.normalize(embedded.unflatten(0, (len(COLOURS), -1)).mean(1), dim=-1)
        return self._embedded[name]


def unpacked(runs: Sequence[int], size: tuple[int, int]) -> Image.Image:
    """A mask of run lengths (rows of the picture, ground first) as an image of this (width, height), 0 or 255."""
    values = np.zeros(len(runs), np.uint8)
    values[1::2] = 255
    flat = np.repeat(values, runs)
    return Image.fromarray(flat.reshape(size[1], size[0]))


def _worth(boxes: Sequence[Sequence[float]]) -> list[int]:
    """Rows of the boxes that are looked at: the best ones."""
    best = sorted(range(len(boxes)), key=lambda row: -boxes[row][4])[:MOST_BOXES]
    return [row for row in best if boxes[row][4] >= LEAST_SCORE]


def _edges(box: Sequence[float]) -> tuple[int, int, int, int]:
    """A box's edges as Pillow rounds them."""
    left, top, right, bottom = (round(edge) for edge in box[:4])
    return left, top, max(right, left + 1), max(bottom, top + 1)


def _boxes(look: Look) -> Mapping[str, Sequence[Sequence[float]]]:
    return cast(Mapping[str, Sequence[Sequence[float]]], look.earlier["detector"]["boxes"])


def _classes(look: Look) -> list[str]:
    return list(cast(Sequence[str], look.query["classes"]))


def _state(path: Path) -> dict[str, Tensor]:
    """The tensors of a file. OpenAI's is a TorchScript archive, of which nothing but the tensors is used."""
    try:
        archive = torch.jit.load(str(path), map_location="cpu")
    except RuntimeError:
        return dict(read_tensors(path))
    return dict(archive.state_dict())
