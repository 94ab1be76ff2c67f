"""The name tables: the real checkpoints' keys and shapes, and there and back again."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from janus_eval.checkpoint import Checkpoint
from janus_eval.models.janus_pro.config import read_config
from janus_eval.models.janus_pro.converted import TRANSFORMERS_FORMAT
from janus_eval.models.janus_pro.loading import load_model
from janus_eval.models.janus_pro.model import JanusPro
from janus_eval.models.janus_pro.weights import DEEPSEEK_FORMAT, deepseek_config, save_checkpoint, unused_shapes


@pytest.mark.parametrize("name", ["Janus-Pro-1B", "Janus-Pro-7B", "Janus-1.3B"])
def test_real_models_have_exactly_the_published_keys_and_shapes(reference: Path, name: str) -> None:
    folder = reference.parents[1]
    config = read_config(json.loads((folder / f"manifest_{name}.config.json").read_text()))
    manifest = json.loads(gzip.decompress((folder / f"manifest_{name}.json.gz").read_bytes()))
    with torch.device("meta"):
        model = JanusPro(config)
    ours = {key: piece.shape for key, piece in DEEPSEEK_FORMAT.pieces(model).items()}
    unused = unused_shapes(config)
    assert not ours.keys() & unused.keys()
    assert ours | unused == {key: tuple(shape) for key, (shape, _) in manifest.items()}
    # Nothing is counted twice and nothing is left out: the pieces fill our parameters to the last row.
    assert sum(torch.Size(shape).numel() for shape in ours.values()) == sum(p.numel() for p in model.parameters())
    assert all(DEEPSEEK_FORMAT.wanted(key) is None for key in unused)
    assert all(DEEPSEEK_FORMAT.wanted(key) == key for key in ours)


def test_transformers_names_of_the_real_model_fill_every_parameter(reference: Path) -> None:
    config = read_config(json.loads((reference.parents[1] / "manifest_Janus-Pro-1B.config.json").read_text()))
    with torch.device("meta"):
        model = JanusPro(config)
    pieces = TRANSFORMERS_FORMAT.pieces(model)
    assert sum(torch.Size(piece.shape).numel() for piece in pieces.values()) == sum(
        p.numel() for p in model.parameters()
    )
    assert pieces["model.vision_model.embeddings.position_embedding.weight"].shape == (576, 1024)


@pytest.mark.parametrize(
    "sizes",
    [
        {},
        {"num_key_value_heads": 1, "head_width": 40, "depth": 1},
        {"tie_word_embeddings": True, "depth": 3},
        {"channels": 16, "norm_groups": 8, "decoder_multipliers": (2, 1, 1), "mlp_ratio": 2.5},
    ],
)
def test_saved_and_loaded_again(make_model: Any, tmp_path: Path, sizes: dict[str, Any]) -> None:
    model = make_model(**sizes)
    save_checkpoint(model, tmp_path)
    again = load_model(Checkpoint(tmp_path)).model
    assert again.config == model.config
    for name, parameter in model.named_parameters():
        assert torch.equal(again.get_parameter(name), parameter), name
    assert not any(parameter.requires_grad for parameter in again.parameters()) and not again.training


def test_saved_in_half_precision(make_model: Any, tmp_path: Path) -> None:
    model = make_model()
    save_checkpoint(model, tmp_path, dtype=torch.bfloat16)
    again = load_model(Checkpoint(tmp_path)).model
    assert torch.equal(again.lm_head.weight, model.lm_head.weight.to(torch.bfloat16).float())
    assert json.loads((tmp_path / "config.json").read_text())["torch_dtype"] == "bfloat16"


def test_a_linear_projector_is_no_list_of_layers(make_model: Any, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    model = make_model(depth=1)
    save_checkpoint(model, tmp_path)
    table = load_file(tmp_path / "model.safetensors")
    table = {name.replace("aligner.layers.0.", "aligner.layers."): tensor for name, tensor in table.items()}
    assert "aligner.layers.weight" in table and "gen_aligner.layers.bias" in table
    save_file(table, tmp_path / "model.safetensors")
    config = json.loads((tmp_path / "config.json").read_text())
    for aligner in ("aligner_config", "gen_aligner_config"):
        config[aligner]["params"] = {"projector_type": "linear", "n_embed": 32}
    (tmp_path / "config.json").write_text(json.dumps(config))
    again = load_model(Checkpoint(tmp_path)).model
    assert torch.equal(again.aligner.layers[0].weight, model.aligner.layers[0].weight)


def test_absent_keys_take_published_defaults(make_config: Any) -> None:
    """The real files are sparse: a named SigLIP, VQ-16 and LlamaConfig's defaults stand for what is not said."""
    config = read_config(
        {
            "vision_config": {"params": {"model_name": "siglip_large_patch16_384", "image_size": 384}},
            "aligner_config": {"params": {"projector_type": "mlp_gelu"}},
            "gen_vision_config": {"cls": "VQ-16"},
            "gen_aligner_config": {"params": {"depth": 2}},
            "gen_head_config": {"params": {}},
            "language_config": {"num_attention_heads": 16, "hidden_size": 2048},
        }
    )
    language = config.language
    assert (language.vocab_size, language.intermediate_size, language.num_hidden_layers) == (32000, 11008, 32)
    assert (language.num_key_value_heads, language.head_dim, language.max_position_embeddings) == (16, 128, 2048)
    assert (language.rms_norm_eps, language.rope_theta, language.tie_word_embeddings) == (1e-6, 10000.0, False)
    assert (config.vision.width, config.vision.layers, config.vision.heads, config.image_tokens) == (1024, 24, 16, 576)
    assert (config.vq.codebook_size, config.vq.codebook_dim, config.vq.downsampling, config.drawn_grid) == (
        16384, 8, 16, 24,
    )  # fmt: skip
    assert (config.aligner.depth, config.gen_aligner.depth, config.gen_head_width) == (1, 2, 2048)
    full = make_config(rope_theta=77.0)
    assert read_config(deepseek_config(full)) == full
    newer = deepseek_config(full)
    text = dict(newer["language_config"])  # type: ignore[call-overload]
    text.pop("rope_theta")
    newer["language_config"] = {**text, "rope_parameters": {"rope_type": "default", "rope_theta": 77.0}}
    assert read_config(newer) == full
