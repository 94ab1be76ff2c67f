"""JanusFlow, and SDXL's autoencoder, against recorded reference outputs, through what answers and draws.

A case has a checkpoint (without a tokenizer) and any of the files that ``checks`` names; their tensors are named as
DeepSeek's demo names what it computes. All runs in float32 on the CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from janus_eval.checkpoint import Checkpoint
from janus_eval.errors import UserError
from janus_eval.models.janus_flow.flow import Conditions, Velocities, draw_latents
from janus_eval.models.janus_flow.loading import describe, fits, load_model
from janus_eval.models.janus_flow.model import JanusFlow
from janus_eval.models.janus_flow.vae import NAMES, VAE, read_vae
from janus_eval.models.parts.parity import check_preprocess, check_understanding
from janus_eval.models.parts.processor import to_bytes
from janus_eval.recorded import CaseKind, Recorded

MOST_STEPS = 10_000
"""More steps than anybody records; a number of them beyond is a damaged file."""


@dataclass(frozen=True)
class Case:
    checkpoint: Checkpoint

    @cached_property
    def model(self) -> JanusFlow:
        return load_model(self.checkpoint).model


def checks(checkpoint: Checkpoint) -> Mapping[str, Callable[[Recorded], None]]:
    """What can be held against a recorded file, by its name. The autoencoder is looked for in the folder ``vae``."""
    case = Case(checkpoint)
    found: dict[str, Callable[[Recorded], None]] = {
        "preprocess": lambda recorded: check_preprocess(checkpoint, describe(checkpoint).vision, recorded),
        "understanding": lambda recorded: check_understanding(case.model, recorded, begins=True),
        "flow": lambda recorded: check_flow(case.model, recorded),
    }
    if (checkpoint.folder / "vae").is_dir():
        found |= vae_checks(Checkpoint(checkpoint.folder / "vae"))
    return found


def vae_checks(checkpoint: Checkpoint) -> Mapping[str, Callable[[Recorded], None]]:
    """Of an autoencoder by itself, as diffusers lays it out."""
    return {"vae": lambda recorded: check_vae(checkpoint, recorded)}


def check_vae(checkpoint: Checkpoint, recorded: Recorded) -> None:
    vae: VAE = read_vae(Checkpoint(checkpoint.folder, NAMES), device=torch.device("cpu"), dtype=torch.float32)
    latents = recorded.floats("z")
    recorded.expect_shape("z", latents, (None, vae.channels, None, None))
    pixels = vae.decode(latents)
    recorded.compare("decoded", pixels)
    recorded.compare("uint8", torch.from_numpy(to_bytes(pixels)))


def check_flow(model: JanusFlow, recorded: Recorded) -> None:
    prompts, pad_id = _prompts(model, recorded)
    noise = recorded.floats("z0")
    channels = model.config.gen_encoder.latent_channels
    recorded.expect_shape("z0", noise, (len(prompts), channels, None, None))
    if not all(fits(model.config, side) for side in noise.shape[2:]):
        stride = model.config.gen_encoder.stride
        raise UserError(f"{recorded.path}: z0 is {list(noise.shape)}; its sides must be multiples of {stride}")
    count = recorded.number("num_inference_steps")
    if count != int(count) or not 1 <= count <= MOST_STEPS:
        raise UserError(f"{recorded.path}: num_inference_steps is {count:g}, expected a number from 1 to {MOST_STEPS}")
    steps: list[Velocities] = []
    drawn = draw_latents(
        model, prompts, noise, pad_id=pad_id, guidance=recorded.number("cfg_weight"), steps=int(count),
        watch=lambda _, step: steps.append(step),
    )  # fmt: skip
    for name, part in (
        ("v_cond", "conditional"),
        ("v_uncond", "unconditional"),
        ("v", "mixed"),
        ("z_steps", "latents"),
    ):
        recorded.compare(name, torch.stack([getattr(step, part) for step in steps]))
    recorded.compare("z_final", drawn.latents)
    # The demo masks what the unconditional rows may not see: all of the prompt but its first token.
    length, tokens = len(prompts[0]) - 1, 1 + _tokens(model, noise)
    seen = torch.ones(2 * len(prompts), length + tokens, dtype=torch.int32)
    seen[len(prompts) :, 1:length] = 0
    recorded.compare("attention_mask", seen)
    _compare_forced(model, prompts, pad_id, int(count), recorded)
    if len(steps) > 1:
        _compare_inside(model, prompts, pad_id, steps[0].latents, 1000 / int(count), recorded)


def _prompts(model: JanusFlow, recorded: Recorded) -> tuple[list[list[int]], int]:
    """The prompts, and the id of the pads that stand for what an unconditional row may not see."""
    rows = recorded.ids("cfg_tokens", model.config.language.vocab_size)
    if rows.shape[0] % 2 or rows.shape[1] < 3:
        raise UserError(
            f"{recorded.path}: cfg_tokens is {list(rows.shape)}, expected conditional rows of 3 ids or more, then as "
            "many unconditional ones"
        )
    images, pad_id = len(rows) // 2, int(rows[-1, -1])
    prompts: list[list[int]] = rows[:images].tolist()
    recorded.compare("cfg_tokens", _demo_rows(prompts, pad_id))
    if "prompt_ids" in recorded:
        recorded.compare("prompt_ids", torch.tensor(prompts[0]))
    return prompts, pad_id


def _demo_rows(prompts: list[list[int]], pad_id: int) -> Tensor:
    """Conditional rows, then unconditional ones, which keep the first token."""
    return torch.tensor([*prompts, *([prompt[0], *[pad_id] * (len(prompt) - 1)] for prompt in prompts)])


def _compare_forced(model: JanusFlow, prompts: list[list[int]], pad_id: int, steps: int, recorded: Recorded) -> None:
    """Velocities of given latents, whatever the steps before them came to."""
    if "forced_z" not in recorded:
        return
    forced = recorded.floats("forced_z")
    channels = model.config.gen_encoder.latent_channels
    recorded.expect_shape("forced_z", forced, (None, len(prompts), channels, None, None))
    if len(forced) > steps or not all(fits(model.config, side) for side in forced.shape[3:]):
        raise UserError(f"{recorded.path}: forced_z is {list(forced.shape)}, which no {steps} steps of this model have")
    conditions = Conditions(model, prompts, _tokens(model, forced), pad_id=pad_id)
    found = [torch.cat(conditions.velocities(z, 1000 * step / steps)) for step, z in enumerate(forced)]
    recorded.compare("forced_v_cond_uncond", torch.stack(found))


def _compare_inside(
    model: JanusFlow, prompts: list[list[int]], pad_id: int, latents: Tensor, time: float, recorded: Recorded
) -> None:
    """What the second step computes on its way, both rows of an image, in the layout that the demo gives it.

    The demo's rows hold the whole prompt at every step and mask what the unconditional ones may not see; ours hold the
    prompt in the cache and don't hold that at all.
    """
    conditions = Conditions(model, prompts, _tokens(model, latents), pad_id=pad_id)
    noised = conditions.noised(latents, time)
    recorded.compare("step1_timesteps", torch.full((2 * len(prompts),), time))
    recorded.compare("step1_t_emb", noised.time.repeat(2, 1))
    recorded.compare("step1_enc_out", noised.skip.repeat(2, 1, 1, 1))
    ids = _demo_rows(prompts, pad_id)[:, :-1]
    tokens = noised.tokens.repeat(2, 1, 1)
    recorded.compare("step1_llm_emb", torch.cat((model.embed_text(ids), tokens), dim=1))
    hidden = model.language(tokens, cache=conditions.cache, positions=conditions.positions, mask=conditions.mask)
    recorded.compare("step1_hidden", hidden[:, 1:])


def _tokens(model: JanusFlow, latents: Tensor) -> int:
    encoder = model.config.gen_encoder
    return encoder.grid(latents.shape[-2]) * encoder.grid(latents.shape[-1])


case = CaseKind(
    owns=lambda raw: "vision_gen_enc_config" in raw,
    checks=checks,
    lacks=lambda name: "the case has no folder vae with the autoencoder" if name == "vae" else "",
)
vae_case = CaseKind(owns=lambda raw: "model_type" not in raw and "latent_channels" in raw, checks=vae_checks)
