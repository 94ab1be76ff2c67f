"""Janus-Pro against recorded reference outputs, through the processor, modules and samplers that answer and draw.

A case has a checkpoint (without a tokenizer) and any of the files in CHECKS; their tensors are named as DeepSeek's code
names what it computes. All runs in float32 on the CPU.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from PIL import Image
from torch import Tensor

from janus_eval.errors import UserError
from janus_eval.models.janus_pro.config import JanusProConfig
from janus_eval.models.janus_pro.loading import describe, load_model
from janus_eval.models.janus_pro.model import JanusPro
from janus_eval.models.janus_pro.processor import ImageProcessor
from janus_eval.models.janus_pro.sampling import (
    Drawn,
    Guided,
    decode_pixels,
    draw_codes,
    forward_rows,
    greedy,
    to_bytes,
    unconditional,
)
from janus_eval.models.janus_pro.understanding import Prompt, Tokens, embed_images, embed_rows, generate
from janus_eval.models.parts.checkpoint import Checkpoint
from janus_eval.models.parts.recorded import Recorded

EOS = FILL = 1
"""Recorded greedy runs end at id 1 where no other end is given, and fill rows that ended with it."""


@dataclass(frozen=True)
class Case:
    checkpoint: Checkpoint

    @property
    def config(self) -> JanusProConfig:
        return describe(self.checkpoint)[0]

    @cached_property
    def model(self) -> JanusPro:
        return load_model(self.checkpoint).model


def check_preprocess(case: Case, recorded: Recorded) -> None:
    processor = ImageProcessor.load(case.checkpoint, case.config.vision.image_size)
    for name in recorded.numbered(r"photo\d+_rgb"):
        photo = recorded[name]
        if photo.ndim != 3 or photo.shape[2] != 3 or not photo.numel() or photo.dtype != torch.uint8:
            raise UserError(f"{recorded.path}: {name} is {photo.dtype} {list(photo.shape)}, expected uint8 [H, W, 3]")
        recorded.compare(name.replace("_rgb", "_pixel_values"), processor([Image.fromarray(photo.numpy())]))


def check_vq(case: Case, recorded: Recorded) -> None:
    vq = case.model.vq
    image = recorded.floats("image")
    recorded.expect_shape("image", image, (None, 3, None, None))
    scale = case.config.vq.downsampling
    if any(side % scale for side in image.shape[2:]):
        raise UserError(f"{recorded.path}: image is {list(image.shape)}; its sides must be multiples of {scale}")
    latents = vq.latents(image)
    found = vq.quantize(latents)
    recorded.compare("prequant", latents)
    recorded.compare("indices", found.codes.flatten())
    recorded.compare("quant", found.after)
    recorded.compare("recon", vq.decode(found.after))
    recorded.compare("decoder_from_indices", vq.decode_codes(found.codes))
    if "indices_margin" in recorded:
        units = found.before.movedim(1, -1).flatten(0, -2)
        nearest = (units[:, None] - vq.unit_codebook()).square().sum(-1).topk(2, largest=False).values
        recorded.compare("indices_margin", nearest[:, 1] - nearest[:, 0])


def check_understanding(case: Case, recorded: Recorded) -> None:
    model = case.model
    asked = Asked.read(recorded, model)
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

    model: JanusPro
    ids: Tensor
    real: Tensor
    prompts: list[Prompt]
    images: Mapping[str, Tensor]
    image_id: int

    @classmethod
    def read(cls, recorded: Recorded, model: JanusPro) -> Asked:
        ids = recorded.ids("in.input_ids", model.config.language.vocab_size)
        rows, tokens = ids.shape
        real, slots = recorded["in.attention_mask"].bool(), recorded["in.images_seq_mask"].bool()
        for name, tensor in (("in.attention_mask", real), ("in.images_seq_mask", slots)):
            recorded.expect_shape(name, tensor, (rows, tokens))
        size, count = model.config.vision.image_size, model.config.image_tokens
        values, exist = recorded.floats("in.pixel_values"), recorded["in.images_emb_mask"].bool()
        recorded.expect_shape("in.pixel_values", values, (rows, None, 3, size, size))
        recorded.expect_shape("in.images_emb_mask", exist, (rows, values.shape[1], count))
        marked = ids[slots].unique().tolist()
        if len(marked) > 1 or bool((slots & ~real).any()):
            raise UserError(f"{recorded.path}: in.images_seq_mask marks ids {marked}; one placeholder id expected")
        image_id = marked[0] if marked else -1
        pixels: dict[str, Tensor] = {}
        prompts = []
        for row in range(rows):
            found = {f"{row}/{k}": values[row, k] for k in range(values.shape[1]) if bool(exist[row, k].any())}
            prompt = Prompt(tuple(ids[row][real[row]].tolist()), tuple(found))
            if not len(found) * count == int(slots[row].sum()) == prompt.ids.count(image_id):
                raise UserError(
                    f"{recorded.path}: row {row} has {int(slots[row].sum())} image tokens and {len(found)} images, "
                    f"which make {count} each"
                )
            prompts.append(prompt)
            pixels |= found
        return cls(model, ids, real, prompts, embed_images(model, pixels), image_id)

    def embed(self, ids: Tensor, rows: list[int]) -> Tensor:
        fill = [self.images[key] for row in rows for key in self.prompts[row].images]
        return embed_rows(self.model, ids, self.image_id, fill)

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
        values = torch.zeros(len(rows), steps, self.model.config.language.vocab_size)

        def pick(step: int, batch: Tensor, found: Tensor) -> Tensor:
            seen[batch, step], values[batch, step] = True, found
            return greedy(step, batch, found)

        tokens = Tokens(image=self.image_id, pad=FILL, eos=eos)
        prompts = [self.prompts[row] for row in rows]
        found = generate(self.model, prompts, self.images, tokens, limits=[steps] * len(rows), pick=pick)
        recorded.compare(name, torch.tensor([[*new.ids, *[FILL] * (steps - len(new.ids))] for new in found]))
        if logits:
            recorded.compare(logits, values, where=seen)


def check_generation(case: Case, recorded: Recorded) -> None:
    model = case.model
    tokens = recorded.ids("cfg_tokens", model.config.language.vocab_size)
    if tokens.shape[0] % 2 or tokens.shape[1] < 3:
        raise UserError(f"{recorded.path}: cfg_tokens is {list(tokens.shape)}, expected pairs of rows of 3 ids or more")
    prompts = tokens[0::2].tolist()  # recorded in pairs: conditional, unconditional
    pad_id = int(tokens[1, 1])
    ours = [row for prompt in prompts for row in (prompt, unconditional(prompt, pad_id))]
    recorded.compare("cfg_tokens", torch.tensor(ours))
    if "prompt_ids" in recorded:
        recorded.compare("prompt_ids", torch.tensor(prompts[0]))
    rows = torch.tensor(ours)
    hidden = forward_rows(model, model.embed_text(rows), torch.ones_like(rows, dtype=torch.bool))
    recorded.compare("prefill_last_hidden_state", hidden)
    draw = functools.partial(draw_codes, model, prompts, pad_id=pad_id, guidance=recorded.number("cfg_weight"))
    if "forced_tokens" in recorded:
        forced = recorded.ids("forced_tokens", model.config.vq.codebook_size)
        recorded.compare("gen_embeds_forced", model.embed_codes(forced))
        _compare_drawing(recorded, model, "forced", lambda **more: draw(pick=lambda k, *_: forced[:, k], **more))
    if "greedy_tokens" in recorded:
        _compare_drawing(recorded, model, "greedy", lambda **more: draw(pick=greedy, **more))


def _compare_drawing(recorded: Recorded, model: JanusPro, name: str, draw: Callable[..., Drawn]) -> None:
    """Draw, with every step's logits, then decode. ``draw`` lacks the number of codes and who watches."""
    expected = recorded[f"{name}_tokens"]
    recorded.expect_shape(f"{name}_tokens", expected, (recorded["cfg_tokens"].shape[0] // 2, None))
    steps: list[Guided] = []
    drawn = draw(count=expected.shape[1], watch=lambda _, guided: steps.append(guided))
    recorded.compare(f"{name}_tokens", drawn.codes)
    for which, part in (("cond", "conditional"), ("uncond", "unconditional"), ("mixed", "mixed")):
        recorded.compare(f"{name}_logit_{which}", torch.stack([getattr(step, part) for step in steps], dim=1))
    scale = model.config.vq.downsampling
    for kind, sides in (("pixels", slice(2, 4)), ("uint8", slice(1, 3))):
        if f"{name}_{kind}" in recorded:
            recorded.expect_shape(f"{name}_{kind}", recorded[f"{name}_{kind}"], (None,) * 4)
            height, width = recorded[f"{name}_{kind}"].shape[sides]
            break
    else:
        return
    if height // scale * (width // scale) != expected.shape[1]:
        raise UserError(f"{recorded.path}: {name}_tokens are {expected.shape[1]} codes for {height}x{width} pixels")
    pixels = decode_pixels(model, drawn.codes, (height // scale, width // scale))
    recorded.compare(f"{name}_pixels", pixels)
    recorded.compare(f"{name}_uint8", torch.from_numpy(to_bytes(pixels)))


CHECKS: Mapping[str, Callable[[Case, Recorded], None]] = {
    "preprocess": check_preprocess,
    "understanding": check_understanding,
    "generation": check_generation,
    "vq": check_vq,
}
