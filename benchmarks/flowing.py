"""Drawing by rectified flow, up to the latents: what turns these into pixels is the same for all.

The model is JanusFlow at a middling size with random weights: the decoder of ``midsize``, 4 x 48 x 48 latents, 24 x 24
tokens, float32. The other contender proceeds as the published demo does: both rows of an image are encoded at every
step, the whole prompt is read again at every step, and a mask hides the unconditional row's pads. Its decoder is
transformers'; it shares all weights with ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from benchmarks.measure import Comparison, Contender, interleaved
from benchmarks.midsize import mid_config, prompt_ids
from benchmarks.peers import TOKEN
from janus_eval.models.janus_flow.config import GenDecoderConfig, GenEncoderConfig, JanusFlowConfig
from janus_eval.models.janus_flow.flow import draw_latents, noise_of
from janus_eval.models.janus_flow.model import JanusFlow
from janus_eval.models.janus_flow.weights import DEEPSEEK_FORMAT
from janus_eval.models.parts.weights import materialize, named_tensors

GUIDANCE = 2.0
OURS, DEMO = "janus-eval", "published demo's way"


class FlowSetting(NamedTuple):
    """One model, its decoder as transformers holds it, latents along a side, steps, and how often all is done."""

    model: JanusFlow
    decoder: Any
    side: int
    steps: int
    rounds: int


def flow_config() -> JanusFlowConfig:
    mid = mid_config()
    encoder = GenEncoderConfig(latent_channels=4, width=256, stride=2, kernel_size=2, padding=0)
    decoder = GenDecoderConfig(width=256, skip_width=256, latent_channels=4, upsamples=1)
    return JanusFlowConfig(mid.vision, encoder, decoder, mid.language)


def random_flow(config: JanusFlowConfig, dtype: torch.dtype = torch.float32, device: str = "cpu") -> JanusFlow:
    """Weights of about unit gain. Always the same on one kind of device."""
    with torch.device("meta"):
        model = JanusFlow(config)
    generator = torch.Generator(device).manual_seed(0)
    for name, parameter in materialize(model, torch.device(device), dtype).items():
        if parameter.ndim > 1 and "response" not in name:
            parameter.data.normal_(std=parameter[0].numel() ** -0.5, generator=generator)
        else:
            parameter.data.fill_(0.0 if name.endswith("bias") else 1.0)
    return model.eval()


def transformers_decoder(model: JanusFlow) -> Any:
    """``LlamaModel`` with our weights."""
    from transformers import LlamaConfig, LlamaModel

    own = model.config.language
    config = LlamaConfig(
        vocab_size=own.vocab_size, hidden_size=own.hidden_size, intermediate_size=own.intermediate_size,
        num_hidden_layers=own.num_hidden_layers, num_attention_heads=own.num_attention_heads,
        num_key_value_heads=own.num_key_value_heads, head_dim=own.head_dim, rms_norm_eps=own.rms_norm_eps,
        max_position_embeddings=own.max_position_embeddings,
        rope_parameters={"rope_type": "default", "rope_theta": own.rope_theta},
    )  # fmt: skip
    theirs: Any = LlamaModel(config)
    prefix = "language_model.model."
    named = named_tensors(model, DEEPSEEK_FORMAT)
    tensors = {name.removeprefix(prefix): tensor for name, tensor in named if name.startswith(prefix)}
    theirs.load_state_dict(tensors, assign=True)
    theirs.to(model.lm_head.weight.device)  # its table of frequencies
    return theirs.eval().requires_grad_(False)


@torch.inference_mode()
def our_flow(setting: FlowSetting, prompts: Sequence[list[int]]) -> Tensor:
    """Latents ``[P, C, H, W]``."""
    model = setting.model
    noise = noise_of(range(len(prompts)), (model.config.gen_encoder.latent_channels, setting.side, setting.side))
    return draw_latents(model, prompts, noise, pad_id=TOKEN["pad"], guidance=GUIDANCE, steps=setting.steps).latents


@torch.inference_mode()
def demo_flow(setting: FlowSetting, prompts: Sequence[list[int]]) -> Tensor:
    """The same latents by the demo's way; all prompts have one length."""
    model, images, weight = setting.model, len(prompts), setting.model.lm_head.weight
    z = noise_of(range(images), (model.config.gen_encoder.latent_channels, setting.side, setting.side))
    z = z.to(weight.device)
    ids = torch.tensor([*prompts, *prompts], device=weight.device)
    ids[images:, 1:] = TOKEN["pad"]
    texts = model.embed_text(ids[:, :-1])
    length = texts.shape[1]
    for step in range(setting.steps):
        times = torch.full((2 * images,), 1000 * step / setting.steps, device=weight.device)
        noised = model.embed_latents(torch.cat((z, z)).to(weight.dtype), times)
        x = torch.cat((texts, noised.tokens), dim=1)
        seen = torch.ones(x.shape[:2], dtype=torch.long, device=weight.device)
        seen[images:, 1:length] = 0
        hidden = setting.decoder(inputs_embeds=x, attention_mask=seen, use_cache=True).last_hidden_state
        conditional, free = model.velocity(hidden[:, length + 1 :], noised.skip, noised.time).float().chunk(2)
        z = z + (GUIDANCE * conditional - (GUIDANCE - 1) * free) / setting.steps
    return z


def flow_setting(steps: int, rounds: int) -> FlowSetting:
    model = random_flow(flow_config())
    return FlowSetting(model, transformers_decoder(model), 48, steps, rounds)


def flow_scene(setting: FlowSetting, tokens: int, images: int) -> Comparison:
    """Several images of one prompt of so many tokens. The demo draws all of them together, as ours does."""
    prompts = prompt_ids(1, tokens - 2) * images
    contenders = (
        Contender(OURS, lambda: our_flow(setting, prompts), setting.steps),
        Contender(DEMO, lambda: demo_flow(setting, prompts), setting.steps),
    )
    title = f"Flow: {images} image{'s' * (images > 1)} of a prompt of {tokens} tokens, one step"
    notes = (
        f"Of {setting.steps} steps in all, over which the prompt that is read once is spread; 30 are usual, which "
        "favours janus-eval more."
    )
    return Comparison(title, "steps", 1, OURS, interleaved(contenders, setting.rounds), notes)
