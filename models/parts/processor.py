"""From pictures and texts to what the Janus models read, as DeepSeek's VLChatProcessor and VLMImageProcessor make it.

Every choice here moves numbers: sizes are truncated, the mean colour fills the square, the chat roles stand before
a colon, and an image is a start token, as many placeholders as the encoder has patches, and an end token.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer
from torch import Tensor

from janus_eval.checkpoint import Checkpoint
from janus_eval.errors import UserError
from janus_eval.models.parts.siglip import SiglipConfig

CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class ImageProcessor:
    """The long side to ``image_size``, the rest filled with the mean colour, values normalised."""

    image_size: int
    min_size: int = 14
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)
    rescale: float = 1 / 255
    normalize: bool = True

    def __call__(self, images: Sequence[Image.Image]) -> Tensor:
        """RGB images -> float32 ``[B, 3, S, S]``."""
        squares = [np.asarray(self.square(image)) for image in images]
        pixels = np.stack(squares).transpose(0, 3, 1, 2)
        # In double precision and then rounded, as transformers' image processors do it.
        values = (pixels.astype(np.float64) * self.rescale).astype(np.float32)
        if self.normalize:
            mean, std = (np.array(v, np.float32)[:, None, None] for v in (self.mean, self.std))
            values = (values - mean) / std
        return torch.from_numpy(values)

    def square(self, image: Image.Image) -> Image.Image:
        """Resize and pad to a square of bytes."""
        longest = max(image.size)
        # Truncated, not rounded; very long images keep a strip of min_size pixels, out of proportion.
        width, height = (max(int(side / longest * self.image_size), self.min_size) for side in image.size)
        image = image.resize((width, height), Image.Resampling.BICUBIC)
        side = max(width, height)
        if width == height:
            return image
        ground = Image.new("RGB", (side, side), tuple(int(value * 255) for value in self.mean))
        ground.paste(image, ((side - width) // 2, (side - height) // 2))
        return ground

    @classmethod
    def load(cls, checkpoint: Checkpoint, image_size: int) -> ImageProcessor:
        """From ``preprocessor_config.json``, DeepSeek's or transformers'; without one, what the checkpoints have."""
        raw = checkpoint.optional_json("preprocessor_config.json")
        raw = raw or checkpoint.optional_json("processor_config.json").get("image_processor") or {}
        if not isinstance(raw, dict):
            raise UserError(
                f"{checkpoint.folder}: processor_config.json: image_processor is {raw!r}, expected an object"
            )
        if not raw:
            return cls(image_size)
        size = raw.get("image_size") or raw.get("size") or image_size
        size = size.get("height", image_size) if isinstance(size, dict) else size
        if size != image_size:
            raise UserError(
                f"{checkpoint.folder}: images are preprocessed to {size} pixels, but config.json's encoder has "
                f"{image_size}; these files don't belong together"
            )
        # Absent keys take the published class's defaults.
        found = {
            "min_size": [raw.get("min_size", 14)],
            "image_mean": raw.get("image_mean") or CLIP_MEAN,
            "image_std": raw.get("image_std") or CLIP_STD,
            "rescale_factor": [raw.get("rescale_factor", 1 / 255)],
        }
        for key, numbers in found.items():
            many = 3 if key.startswith("image_") else 1
            least = 0 if key == "image_mean" else 1e-6
            if not _numbers(numbers, many, least, image_size if key == "min_size" else 1):
                raise UserError(
                    f"{checkpoint.folder}: images are preprocessed with {key} {raw.get(key)!r}, which no model has"
                )
        return cls(
            image_size,
            int(found["min_size"][0]),
            tuple(found["image_mean"]),
            tuple(found["image_std"]),
            float(found["rescale_factor"][0]),
            bool(raw.get("do_normalize", True)),
        )


def center_crop(image: Image.Image, size: int) -> Image.Image:
    """The short side to ``size``, the long one cropped around its middle: how images are made ready to be drawn.

    Source: Janus-Pro, section 3.1. Cropped before it is resized, so that a very long image costs no more.
    """
    short = min(image.size)
    left, top = ((side - short) / 2 for side in image.size)
    return image.resize((size, size), Image.Resampling.BICUBIC, box=(left, top, left + short, top + short))


def to_bytes(pixels: Tensor) -> np.ndarray:
    """Images ``[P, 3, H, W]`` about [-1, 1] -> bytes ``[P, H, W, 3]``, clipped and truncated (not rounded)."""
    scaled = ((pixels.float() + 1) / 2 * 255).clamp(0, 255)
    found: np.ndarray = scaled.to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    return found


class Tags(NamedTuple):
    """The strings of the tokens that structure a prompt."""

    bos: str = "<｜begin▁of▁sentence｜>"
    eos: str = "<｜end▁of▁sentence｜>"
    pad: str = "<｜▁pad▁｜>"
    image: str = "<image_placeholder>"
    image_start: str = "<begin_of_image>"
    image_end: str = "<end_of_image>"


class Processor:
    """Texts and pictures -> token ids and pixels.

    What a user typed never counts as structure: a special token's string inside a question or a prompt is cut out and
    encoded as the letters that it is, so that no text can smuggle in images, turns or an end.
    """

    def __init__(
        self, tokenizer: Tokenizer, images: ImageProcessor, *, image_tokens: int, tags: Tags | None = None
    ) -> None:
        self.tokenizer, self.pixels, self.image_tokens, self.tags = tokenizer, images, image_tokens, tags or Tags()
        self.source = ""
        known = {tag: tokenizer.token_to_id(tag) for tag in self.tags}
        missing = [repr(tag) for tag, token in known.items() if token is None]
        if missing:
            raise UserError(f"tokenizer.json has no token {', '.join(missing)}; is it this model's own?")
        ids = [token for token in known.values() if token is not None]
        self.bos_id, self.eos_id, self.pad_id, self.image_id, self.image_start_id, self.image_end_id = ids
        special = {token.content for token in tokenizer.get_added_tokens_decoder().values() if token.special}
        self._guarded = sorted(special | set(self.tags), key=len, reverse=True)
        self._cut = re.compile("(" + "|".join(map(re.escape, self._guarded)) + ")")

    @classmethod
    def load(cls, checkpoint: Checkpoint, vision: SiglipConfig, vocab_size: int) -> Processor:
        """From tokenizer.json, tokenizer_config.json, processor_config.json and preprocessor_config.json."""
        path = checkpoint.folder / "tokenizer.json"
        if not path.is_file():
            raise UserError(f"{checkpoint.folder} has no tokenizer.json: copy it from the model's publisher")
        checkpoint.json("tokenizer.json")
        try:
            tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the tokenizers library raises bare Exception
            raise UserError(f"{path} is no tokenizer that the tokenizers library can read: {error}") from error
        raw = checkpoint.optional_json("processor_config.json")
        named = {
            **checkpoint.optional_json("special_tokens_map.json"),
            **checkpoint.optional_json("tokenizer_config.json"),
        }
        default = Tags()
        tags = Tags(
            _content(named.get("bos_token"), default.bos),
            _content(named.get("eos_token"), default.eos),
            _content(raw.get("pad_tag"), default.pad),
            _content(raw.get("image_tag"), default.image),
            _content(raw.get("image_start_tag"), default.image_start),
            _content(raw.get("image_end_tag"), default.image_end),
        )
        count = raw.get("num_image_tokens", vision.num_patches)
        if count != vision.num_patches:
            raise UserError(
                f"{checkpoint.folder}: processor_config.json gives an image {count} tokens, but config.json's encoder "
                f"makes {vision.num_patches}"
            )
        images = ImageProcessor.load(checkpoint, vision.image_size)
        processor = cls(tokenizer, images, image_tokens=vision.num_patches, tags=tags)
        processor.source = hashlib.sha256(path.read_bytes()).hexdigest()
        largest = max(tokenizer.get_vocab().values())
        if largest >= vocab_size:
            raise UserError(f"{path} has ids up to {largest}, but config.json's language model knows {vocab_size}")
        return processor

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of everything here that moves a number."""
        parts = [self.source or self.tokenizer.to_str(), asdict(self.pixels), self.image_tokens, list(self.tags)]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def turn_ids(
        self, question: str, *, images: int = 0, roles: tuple[str, str], system_prompt: str = "", first: bool = True
    ) -> list[int]:
        """A question up to where its answer begins, placeholders of its images included.

        As the templates ``deepseek`` and ``deepseek_old`` have it: ``ROLE: text``, an empty line, ``ROLE:``. Each image
        stands on a line of its own before the text. ``first`` puts the start token and the system prompt in front.
        """
        parts = [(system_prompt + "\n\n", False)] if first and system_prompt else []
        parts += self._said(roles[0], question, images)
        parts.append((f"{roles[1]}:", False))
        ids = [self.bos_id] * first
        for token in self._encode(parts):
            block = [self.image_start_id, *[self.image_id] * self.image_tokens, self.image_end_id]
            ids += block if token == self.image_id else [token]
        assert ids.count(self.image_id) == images * self.image_tokens
        return ids

    def drawing_ids(self, prompt: str, *, roles: tuple[str, str]) -> list[int]:
        """A prompt up to and with the token after which the image's codes begin. There is no system prompt."""
        parts = [*self._said(roles[0], prompt, 0), (f"{roles[1]}:{self.tags.image_start}", False)]
        return [self.bos_id, *self._encode(parts)]

    def text_ids(self, text: str) -> list[int]:
        """Plain text, with nothing before or after it. An answer begins with a space: its role ends with a colon."""
        return self._encode([(text, True)])

    def decode(self, ids: Sequence[int]) -> str:
        """Ids -> text, special tokens and surrounding white space left out."""
        text: str = self.tokenizer.decode(list(ids), skip_special_tokens=True)
        return text.strip()

    def _said(self, role: str, text: str, images: int) -> list[tuple[str, bool]]:
        text = text.strip()
        if not text and not images:
            return [(f"{role}:", False)]  # what the published template makes of an empty message
        placeholders = [self.tags.image] * images + [""] * bool(text)
        return [(f"{role}: " + "\n".join(placeholders), False), (text, True), ("\n\n", False)]

    def _encode(self, parts: Sequence[tuple[str, bool]]) -> list[int]:
        """Encode parts as one text; in those that were typed (True), strings of special tokens are plain letters."""
        ids: list[int] = []
        run = ""
        for text, typed in parts:
            if not typed:
                run += text
                continue
            clean = text.encode("utf-8", "replace").decode()  # half of a surrogate pair is no text
            for k, piece in enumerate(self._cut.split(clean)):
                if k % 2 == 0:
                    run += piece
                else:
                    ids += self.tokenizer.encode(run, add_special_tokens=False).ids
                    ids += self._plain.encode(piece, add_special_tokens=False).ids
                    run = ""
        return ids + list(self.tokenizer.encode(run, add_special_tokens=False).ids)

    @functools.cached_property
    def _plain(self) -> Tokenizer:
        """The same tokenizer without its special tokens."""
        raw: dict[str, Any] = json.loads(self.tokenizer.to_str())
        raw["added_tokens"] = [token for token in raw["added_tokens"] if token["content"] not in self._guarded]
        return Tokenizer.from_str(json.dumps(raw))


def _content(token: Any, default: str) -> str:
    """A token's string, which some files wrap in an object."""
    return str(token.get("content", default)) if isinstance(token, dict) else str(token or default)


def _numbers(values: Any, many: int, least: float, most: float) -> bool:
    """Whether these are so many numbers from ``least`` to ``most``."""
    return (
        isinstance(values, list | tuple)
        and len(values) == many
        and all(isinstance(v, int | float) and not isinstance(v, bool) and least <= v <= most for v in values)
    )
