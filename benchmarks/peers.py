"""What janus-eval is compared with: transformers' Janus, and a loop that works as the published generation script does.

Both run on the very weights that our model holds: the tensors are shared, not copied.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from janus_eval.models.janus_pro.converted import TRANSFORMERS_FORMAT
from janus_eval.models.janus_pro.model import JanusPro
from janus_eval.models.parts.processor import Tags
from janus_eval.models.parts.weights import named_tensors

TOKEN = {name: place for place, name in enumerate(Tags._fields)}
"""Ids of the structural tokens: ``midsize.write_checkpoint`` numbers them in this order."""


def transformers_janus(model: JanusPro) -> Any:
    """``JanusForConditionalGeneration`` with our weights."""
    from transformers import JanusConfig, JanusForConditionalGeneration

    config = JanusConfig(**converted_config(model))
    with torch.device("meta"):
        theirs: Any = JanusForConditionalGeneration(config)
    tensors = dict(named_tensors(model, TRANSFORMERS_FORMAT))
    kept = theirs.load_state_dict(tensors, strict=False, assign=True)
    assert not kept.unexpected_keys, kept.unexpected_keys
    device = model.lm_head.weight.device
    # What a checkpoint does not hold: tables that follow from the configuration.
    for name, buffer in list(theirs.named_buffers()):
        if buffer.is_meta:
            owner, _, leaf = name.rpartition(".")
            theirs.get_submodule(owner).register_buffer(leaf, table(theirs, name, model).to(device), persistent=False)
    assert not [name for name, p in theirs.named_parameters() if p.is_meta]
    theirs.generation_config.generation_kwargs = {"boi_token_id": TOKEN["image_start"]}
    theirs.generation_config.pad_token_id = TOKEN["pad"]
    theirs.generation_config.bos_token_id = TOKEN["bos"]
    theirs.generation_config.eos_token_id = TOKEN["eos"]
    return theirs.eval().requires_grad_(False)


def table(theirs: Any, name: str, model: JanusPro) -> Tensor:
    if name.endswith("position_ids"):
        return torch.arange(model.config.vision.num_patches)[None]
    assert name.endswith("inv_freq"), name
    language = model.config.language
    return 1.0 / language.rope_theta ** (torch.arange(0, language.head_dim, 2).float() / language.head_dim)


def converted_config(model: JanusPro) -> dict[str, Any]:
    """A configuration as transformers' JanusConfig takes it."""
    vision, vq, text = model.config.vision, model.config.vq, model.config.language
    return {
        "image_token_id": TOKEN["image"],
        "tie_word_embeddings": False,
        "vision_config": {
            "hidden_size": vision.width,
            "num_hidden_layers": vision.layers,
            "num_attention_heads": vision.heads,
            "image_size": vision.image_size,
            "patch_size": vision.patch_size,
            "mlp_ratio": vision.mlp_ratio,
            "projection_dim": text.hidden_size,
            "depth": model.config.aligner.depth,
            "num_image_tokens": vision.num_patches,
        },
        "vq_config": {
            "embed_dim": vq.codebook_dim,
            "num_embeddings": vq.codebook_size,
            "latent_channels": vq.latent_channels,
            "base_channels": vq.channels,
            "channel_multiplier": list(vq.encoder_multipliers),
            "num_res_blocks": vq.res_blocks,
            "projection_dim": text.hidden_size,
            "num_hidden_layers": model.config.gen_aligner.depth,
            "image_token_embed_dim": text.hidden_size,
        },
        "text_config": {
            "model_type": "llama",
            "vocab_size": text.vocab_size,
            "hidden_size": text.hidden_size,
            "intermediate_size": text.intermediate_size,
            "num_hidden_layers": text.num_hidden_layers,
            "num_attention_heads": text.num_attention_heads,
            "num_key_value_heads": text.num_key_value_heads,
            "head_dim": text.head_dim,
            "rms_norm_eps": text.rms_norm_eps,
            "max_position_embeddings": text.max_position_embeddings,
            "rope_parameters": {"rope_type": "default", "rope_theta": text.rope_theta},
        },
    }


@torch.inference_mode()
def transformers_draw(theirs: Any, prompts: Sequence[Sequence[int]], codes: int, *, greedy: bool = False) -> Tensor:
    """``generate`` in image mode, guided and sampled (unless ``greedy``, for tests): code ids ``[P, C]``."""
    theirs.model.vision_model.config.num_image_tokens = codes  # how many it draws; not an option of generate
    ids = torch.tensor(prompts, device=theirs.device)
    drawn: Tensor = theirs.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        generation_mode="image",
        guidance_scale=5.0,
        do_sample=not greedy,
        top_k=None if greedy else 0,
        max_length=ids.shape[1] + codes,
    )
    assert drawn.shape == (len(prompts), codes)
    return drawn


@torch.inference_mode()
def transformers_answer(theirs: Any, prompts: Sequence[Sequence[int]], pixels: Tensor, new_tokens: int) -> Tensor:
    """Greedy answers to a batch, padded on the left; ``pixels`` ``[1, 3, S, S]`` is the image of every question."""
    longest = max(map(len, prompts))
    ids = torch.tensor([[TOKEN["pad"]] * (longest - len(ids)) + list(ids) for ids in prompts])
    mask = torch.tensor([[0] * (longest - len(ids)) + [1] * len(ids) for ids in prompts])
    ids, mask = ids.to(theirs.device), mask.to(theirs.device)
    found: Tensor = theirs.generate(
        input_ids=ids,
        attention_mask=mask,
        pixel_values=pixels.expand(len(prompts), -1, -1, -1),
        generation_mode="text",
        max_new_tokens=new_tokens,
        do_sample=False,
    )
    return found[:, longest:]


@torch.inference_mode()
def script_draw(
    theirs: Any, prompt: Sequence[int], codes: int, *, images: int = 4, guidance: float = 5.0, greedy: bool = False
) -> Tensor:
    """One prompt, several images of it, as the published script proceeds: code ids ``[P, C]``.

    The whole prompt is read once for every row, with and without its text in turn; the cache grows by a token a step;
    a softmax and a multinomial draw (or the likeliest, for tests) pick from the mixed logits. The parts are
    transformers'.
    """
    from transformers import DynamicCache

    ids = torch.tensor([prompt] * (2 * images), device=theirs.device)
    ids[1::2, 1:-1] = TOKEN["pad"]
    decoder, head = theirs.model.language_model, theirs.model.generation_head
    x, cache = decoder.get_input_embeddings()(ids), DynamicCache()
    drawn = torch.zeros(images, codes, dtype=torch.long, device=theirs.device)
    for step in range(codes):
        hidden = decoder(inputs_embeds=x, past_key_values=cache, use_cache=True).last_hidden_state
        logits = head(hidden[:, -1])
        conditional, unconditional = logits[0::2], logits[1::2]
        probabilities = (unconditional + guidance * (conditional - unconditional)).softmax(-1)
        drawn[:, step] = chosen = probabilities.argmax(-1) if greedy else probabilities.multinomial(1)[:, 0]
        x = theirs.prepare_embeddings_for_image_generation(chosen.repeat_interleave(2)[:, None])
    return drawn
