"""Janus-Pro against recorded reference outputs, through the processor, modules and samplers that answer and draw.

A case has a checkpoint (without a tokenizer) and any of the files that ``checks`` names; their tensors are named as
DeepSeek's code names what it computes. All runs in float32 on the CPU.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch

from janus_eval.checkpoint import Checkpoint
from janus_eval.errors import UserError
from janus_eval.models.janus_pro.config import JanusProConfig
from janus_eval.models.janus_pro.loading import describe, load_model
from janus_eval.models.janus_pro.model import JanusPro
from janus_eval.models.janus_pro.sampling import Drawn, Guided, decode_pixels, draw_codes, unconditional
from janus_eval.models.parts.parity import check_preprocess, check_understanding
from janus_eval.models.parts.picking import greedy
from janus_eval.models.parts.processor import to_bytes
from janus_eval.models.parts.rows import forward_rows
from janus_eval.recorded import CaseKind, Recorded


@dataclass(frozen=True)
class Case:
    checkpoint: Checkpoint

    @property
    def config(self) -> JanusProConfig:
        return describe(self.checkpoint)[0]

    @cached_property
    def model(self) -> JanusPro:
        return load_model(self.checkpoint).model


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


def checks(checkpoint: Checkpoint) -> Mapping[str, Callable[[Recorded], None]]:
    """What can be held against a recorded file, by its name."""
    case = Case(checkpoint)
    return {
        "preprocess": lambda recorded: check_preprocess(checkpoint, case.config.vision, recorded),
        "understanding": lambda recorded: check_understanding(case.model, recorded),
        "generation": lambda recorded: check_generation(case, recorded),
        "vq": lambda recorded: check_vq(case, recorded),
    }


case = CaseKind(
    owns=lambda raw: raw.get("model_type") in ("multi_modality", "janus") and "vision_gen_enc_config" not in raw,
    checks=checks,
)
