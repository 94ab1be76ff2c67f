"""Our modules against transformers' Janus on shared random weights, over what a configuration can differ in.

transformers reads what our second name table writes. Its Janus agrees with DeepSeek's code on reading, on guided logits
under teacher forcing, and on decoded pixels, as long as embeddings are not tied; it encodes images otherwise (without
normalising), so encoding is held against the recorded case instead.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from janus_eval.checkpoint import Checkpoint
from janus_eval.models.janus_pro.config import JanusProConfig
from janus_eval.models.janus_pro.converted import TRANSFORMERS_FORMAT
from janus_eval.models.janus_pro.loading import load_model
from janus_eval.models.janus_pro.model import JanusPro
from janus_eval.models.janus_pro.sampling import Guided, decode_pixels, draw_codes
from janus_eval.models.janus_pro.weights import save_checkpoint
from janus_eval.models.parts.rows import forward_rows
from janus_eval.models.parts.understanding import Prompt, Tokens, embed_images, embed_rows, generate
from janus_eval.models.parts.weights import named_tensors

IMAGE, PAD, BOS, START = 10, 2, 0, 11
TOKENS = Tokens(image=IMAGE, pad=PAD, eos=-1)
SIZES: dict[str, dict[str, Any]] = {
    "plain": {},
    "grouped heads": {"num_key_value_heads": 2, "rope_theta": 500.0, "rms_norm_eps": 1e-5},
    "one key head, wide": {"num_key_value_heads": 1, "hidden_size": 48, "head_dim": 12, "intermediate_size": 80},
    "deep adaptors": {"depth": 3, "num_hidden_layers": 3, "layers": 1},
    "shallow adaptors": {"depth": 1, "width": 48, "heads": 4, "mlp_ratio": 2.0},
    "larger images": {"image_size": 48, "patch_size": 4, "encoder_multipliers": (1, 2), "decoder_multipliers": (1, 2)},
    "other codebook": {"codebook_size": 50, "codebook_dim": 4, "latent_channels": 32, "res_blocks": 2},
}


def converted_config(config: JanusProConfig) -> dict[str, Any]:
    vision, vq, text = config.vision, config.vq, config.language
    return {
        "model_type": "janus",
        "image_token_id": IMAGE,
        "tie_word_embeddings": False,
        "vision_config": {
            "model_type": "janus_vision_model", "hidden_size": vision.width, "num_hidden_layers": vision.layers,
            "num_attention_heads": vision.heads, "image_size": vision.image_size, "patch_size": vision.patch_size,
            "mlp_ratio": vision.mlp_ratio, "projection_dim": text.hidden_size, "depth": config.aligner.depth,
            "num_image_tokens": config.image_tokens,
        },
        "vq_config": {
            "model_type": "janus_vqgan", "embed_dim": vq.codebook_dim, "num_embeddings": vq.codebook_size,
            "latent_channels": vq.latent_channels, "base_channels": vq.channels,
            "channel_multiplier": list(vq.encoder_multipliers), "num_res_blocks": vq.res_blocks,
            "projection_dim": text.hidden_size, "num_hidden_layers": config.gen_aligner.depth,
            "image_token_embed_dim": text.hidden_size,
        },
        "text_config": {
            "model_type": "llama", "vocab_size": text.vocab_size, "hidden_size": text.hidden_size,
            "intermediate_size": text.intermediate_size, "num_hidden_layers": text.num_hidden_layers,
            "num_attention_heads": text.num_attention_heads, "num_key_value_heads": text.num_key_value_heads,
            "head_dim": text.head_dim, "rms_norm_eps": text.rms_norm_eps,
            "max_position_embeddings": text.max_position_embeddings,
            "rope_parameters": {"rope_type": "default", "rope_theta": text.rope_theta},
        },
    }  # fmt: skip


@pytest.fixture(params=SIZES, ids=[name.replace(" ", "-") for name in SIZES])
def pair(request: pytest.FixtureRequest, make_model: Any, tmp_path: Path) -> tuple[JanusPro, Any, Path]:
    """Our model, transformers' with the same weights, and the folder in transformers' format."""
    from transformers import JanusForConditionalGeneration

    model = make_model(**SIZES[request.param])
    tensors = {name: tensor.contiguous() for name, tensor in named_tensors(model, TRANSFORMERS_FORMAT)}
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    (tmp_path / "config.json").write_text(json.dumps(converted_config(model.config)))
    theirs, report = JanusForConditionalGeneration.from_pretrained(tmp_path, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"] and not report["mismatched_keys"]
    return model, theirs.eval(), tmp_path


@torch.inference_mode()
def test_reading_agrees(pair: tuple[JanusPro, Any, Path]) -> None:
    model, theirs, _ = pair
    count = model.config.image_tokens
    texts = [[BOS, 30, START, *[IMAGE] * count, 12, 40, 41], [BOS, 50, 51, 52, START, *[IMAGE] * count, 12, 9]]
    width = max(map(len, texts))
    ids = torch.tensor([[PAD] * (width - len(text)) + text for text in texts])
    real = torch.tensor([[False] * (width - len(text)) + [True] * len(text) for text in texts])
    side = model.config.vision.image_size
    pixels = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1))
    expected = theirs(input_ids=ids, pixel_values=pixels, attention_mask=real.long()).logits
    images = dict(zip("ab", model.embed_images(pixels), strict=True))
    ours = model.text_logits(forward_rows(model, embed_rows(model, ids, TOKENS, list(images.values())), real))
    torch.testing.assert_close(ours[real], expected[real], atol=1e-4, rtol=1e-5)
    prompts = [Prompt(tuple(text), (key,)) for text, key in zip(texts, "ab", strict=True)]
    steps: list[torch.Tensor] = []

    def pick(step: int, rows: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        steps.append(logits)
        return logits.argmax(-1)

    found = generate(
        model, prompts, embed_images(model, dict(zip("ab", pixels, strict=True))),
        TOKENS, limits=[5, 5], pick=pick,
    )  # fmt: skip
    for row, (text, new) in enumerate(zip(texts, found, strict=True)):
        whole = torch.tensor([text + new.ids])
        expected = theirs(input_ids=whole, pixel_values=pixels[row : row + 1]).logits[0, len(text) - 1 : -1]
        torch.testing.assert_close(torch.stack(steps)[:, row], expected, atol=1e-4, rtol=1e-5)


@torch.inference_mode()
def test_drawing_agrees_under_teacher_forcing(pair: tuple[JanusPro, Any, Path]) -> None:
    model, theirs, _ = pair
    grid = model.config.drawn_grid
    count = grid**2
    forced = torch.randint(model.config.vq.codebook_size, (2, count), generator=torch.Generator().manual_seed(2))
    prompts = [[BOS, 60, 61, 62, START], [BOS, 70, 71, START]]
    seen: list[Guided] = []
    drawn = draw_codes(
        model, prompts, pad_id=PAD, count=count, guidance=5.0, pick=lambda step, *_: forced[:, step],
        watch=lambda _, guided: seen.append(guided),
    )  # fmt: skip
    assert torch.equal(drawn.codes, forced) and drawn.broken.tolist() == [-1, -1]
    for row, prompt in enumerate(prompts):
        free = [prompt[0], *[PAD] * (len(prompt) - 2), prompt[-1]]
        embedded = theirs.get_input_embeddings()(torch.tensor([prompt, free]))
        codes = theirs.prepare_embeddings_for_image_generation(forced[row : row + 1, :-1]).expand(2, -1, -1)
        hidden = theirs.model.language_model(inputs_embeds=torch.cat((embedded, codes), dim=1)).last_hidden_state
        logits = theirs.model.generation_head(hidden[:, len(prompt) - 1 :])
        mixed = logits[1] + 5.0 * (logits[0] - logits[1])
        torch.testing.assert_close(torch.stack([step.mixed[row] for step in seen]), mixed, atol=5e-4, rtol=1e-5)
    if theirs.model.vqmodel.quantize.quant_state_dims == [grid, grid]:
        # transformers expects as many codes a side as the understanding encoder has patches.
        pixels = decode_pixels(model, drawn.codes, (grid, grid)).permute(0, 2, 3, 1)
        torch.testing.assert_close(pixels, theirs.decode_image_tokens(forced), atol=1e-4, rtol=1e-5)


def test_both_formats_load_to_the_same_weights(pair: tuple[JanusPro, Any, Path], tmp_path: Path) -> None:
    model, _, folder = pair
    save_checkpoint(model, tmp_path / "official")
    for path in (folder, tmp_path / "official"):
        again = load_model(Checkpoint(path)).model
        assert again.config == model.config
        assert {name: tuple(p.shape) for name, p in again.named_parameters()} == {
            name: tuple(p.shape) for name, p in model.named_parameters()
        }
        for name, parameter in again.named_parameters():
            assert torch.equal(parameter, model.get_parameter(name)), name
