"""What every family is held against: preprocessed photos, and questions read and answered.

Tensors are named as DeepSeek's code names what it computes. All runs in float32 on the CPU.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from PIL import Image
from torch import Tensor

from janus_eval.checkpoint import Checkpoint
from janus_eval.errors import UserError
from janus_eval.models.parts.picking import greedy
from janus_eval.models.parts.processor import ImageProcessor
from janus_eval.models.parts.reader import Reader
from janus_eval.models.parts.rows import forward_rows
from janus_eval.models.parts.siglip import SiglipConfig
from janus_eval.models.parts.understanding import Prompt, Tokens, embed_images, embed_rows, generate
from janus_eval.recorded import Recorded

EOS = FILL = 1
"""Recorded greedy runs end at id 1 where no other end is given, and fill rows that ended with it."""


def check_preprocess(checkpoint: Checkpoint, vision: SiglipConfig, recorded: Recorded) -> None:
    processor = ImageProcessor.load(checkpoint, vision.image_size)
    for name in recorded.numbered(r"photo\d+_rgb"):
        photo = recorded[name]
        if photo.ndim != 3 or photo.shape[2] != 3 or not photo.numel() or photo.dtype != torch.uint8:
            raise UserError(f"{recorded.path}: {name} is {photo.dtype} {list(photo.shape)}, expected uint8 [H, W, 3]")
        recorded.compare(name.replace("_rgb", "_pixel_values"), processor([Image.fromarray(photo.numpy())]))


def check_understanding(model: Reader, recorded: Recorded, *, begins: bool = False) -> None:
    """``begins``: an image also fills the place of the token before it (JanusFlow)."""
    asked = Asked.read(recorded, model, begins)
    features = model.vision(recorded.floats("in.pixel_values").flatten(0, 1))
    recorded.compare("out.vision_features", features)
    recorded.compare("out.aligner_out", model.aligner(features))
    every = list(range(len(asked.prompts)))
    embedded = asked.embed(asked.ids, every)
    recorded.compare("out.inputs_embeds", embedded)
    recorded.compare("out.logits", asked.logits(embedded, asked.real), where=asked.real)
    asked.compare_greedy(recorded, "out.greedy_ids", every, logits="out.greedy_step_logits")
    if "out.greedy_eos_ids" in recorded:
        asked.compare_greedy(recorded, "out.greedy_eos_ids", every, eos=int(recorded.number("out.greedy_eos_token")))
    for name in recorded.numbered(r"out\.row\d+_nopad_(logits|greedy_ids)"):
        row = int(re.findall(r"\d+", name)[0])
        if row not in every:
            raise UserError(f"{recorded.path}: {name} is about row {row} of {len(every)}")
        if name.endswith("greedy_ids"):
            asked.compare_greedy(recorded, name, [row])
        else:
            ids = asked.ids[row][asked.real[row]][None]
            recorded.compare(name, asked.logits(asked.embed(ids, [row]), torch.ones_like(ids, dtype=torch.bool)))


@dataclass(frozen=True)
class Asked:
    """The rows of an understanding file: as recorded, and as the prompts and images that ``generate`` takes."""

    model: Reader
    ids: Tensor
    real: Tensor
    prompts: list[Prompt]
    images: Mapping[str, Tensor]
    tokens: Tokens

    @classmethod
    def read(cls, recorded: Recorded, model: Reader, begins: bool) -> Asked:
        ids = recorded.ids("in.input_ids", model.language.config.vocab_size)
        rows, tokens = ids.shape
        real, slots = recorded["in.attention_mask"].bool(), recorded["in.images_seq_mask"].bool()
        for name, tensor in (("in.attention_mask", real), ("in.images_seq_mask", slots)):
            recorded.expect_shape(name, tensor, (rows, tokens))
        size, count = model.vision.config.image_size, model.vision.config.num_patches + begins
        values, exist = recorded.floats("in.pixel_values"), recorded["in.images_emb_mask"].bool()
        recorded.expect_shape("in.pixel_values", values, (rows, None, 3, size, size))
        recorded.expect_shape("in.images_emb_mask", exist, (rows, values.shape[1], count))
        marked = ids[slots].unique().tolist()
        if len(marked) > 1 + begins or bool((slots & ~real).any()):
            expected = "a start and a placeholder id" if begins else "one placeholder id"
            raise UserError(f"{recorded.path}: in.images_seq_mask marks ids {marked}; {expected} expected")
        # A row's first marked place is where its first image begins.
        start, image = ([*ids[slots][: 1 + begins].tolist(), -1, -1] if begins else [-1, *marked, -1])[:2]
        marks = Tokens(image=image, pad=FILL, eos=EOS, image_start=start if begins else None)
        pixels: dict[str, Tensor] = {}
        prompts = []
        for row in range(rows):
            found = {f"{row}/{k}": values[row, k] for k in range(values.shape[1]) if bool(exist[row, k].any())}
            prompt = Prompt(tuple(ids[row][real[row]].tolist()), tuple(found))
            if not len(found) * count == int(slots[row].sum()) == int(marks.slots(torch.tensor(prompt.ids)).sum()):
                raise UserError(
                    f"{recorded.path}: row {row} has {int(slots[row].sum())} image tokens and {len(found)} images, "
                    f"which make {count} each"
                )
            prompts.append(prompt)
            pixels |= found
        return cls(model, ids, real, prompts, embed_images(model, pixels), marks)

    def embed(self, ids: Tensor, rows: list[int]) -> Tensor:
        fill = [self.images[key] for row in rows for key in self.prompts[row].images]
        return embed_rows(self.model, ids, self.tokens, fill)

    def logits(self, embedded: Tensor, real: Tensor) -> Tensor:
        return self.model.text_logits(forward_rows(self.model, embedded, real))

    def compare_greedy(
        self, recorded: Recorded, name: str, rows: list[int], *, eos: int = EOS, logits: str = ""
    ) -> None:
        """Greedy decoding of some rows together, with every step's logits where they were recorded."""
        if name not in recorded:
            return
        recorded.expect_shape(name, recorded[name], (len(rows), None))
        steps = recorded[name].shape[1]
        seen = torch.zeros(len(rows), steps, dtype=torch.bool)
        values = torch.zeros(len(rows), steps, self.model.language.config.vocab_size)

        def pick(step: int, batch: Tensor, found: Tensor) -> Tensor:
            seen[batch, step], values[batch, step] = True, found
            return greedy(step, batch, found)

        tokens = replace(self.tokens, eos=eos)
        prompts = [self.prompts[row] for row in rows]
        found = generate(self.model, prompts, self.images, tokens, limits=[steps] * len(rows), pick=pick)
        recorded.compare(name, torch.tensor([[*new.ids, *[FILL] * (steps - len(new.ids))] for new in found]))
        if logits:
            recorded.compare(logits, values, where=seen)
