"""The name table: the real checkpoint's keys and shapes, and there and back again."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from janus_eval.checkpoint import Checkpoint
from janus_eval.errors import UserError
from janus_eval.models.janus_flow.config import read_config
from janus_eval.models.janus_flow.loading import load_model
from janus_eval.models.janus_flow.model import JanusFlow
from janus_eval.models.janus_flow.weights import DEEPSEEK_FORMAT, save_checkpoint, unused_shapes


def test_the_real_model_has_exactly_the_published_keys_and_shapes(reference: Path) -> None:
    folder = reference.parents[1]
    config = read_config(json.loads((folder / "manifest_JanusFlow-1.3B.config.json").read_text()))
    manifest = json.loads(gzip.decompress((folder / "manifest_JanusFlow-1.3B.json.gz").read_bytes()))
    with torch.device("meta"):
        model = JanusFlow(config)
    ours = {key: piece.shape for key, piece in DEEPSEEK_FORMAT.pieces(model).items()}
    unused = unused_shapes(config)
    assert not ours.keys() & unused.keys()
    assert ours | unused == {key: tuple(shape) for key, (shape, _) in manifest.items()}
    assert sum(torch.Size(shape).numel() for shape in ours.values()) == sum(p.numel() for p in model.parameters())
    assert config.gen_encoder.grid(48) == config.vision.grid == 24


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"enc": {"use_bias": False}, "dec": {"use_bias": False}},
        {"enc": {"kernel_size": 3, "padding": 1, "layers_in_middle": 1}, "dec": {"use_mid_block": False}},
        {"enc": {"stride": 4, "kernel_size": 4}, "dec": {"upsamples": 2, "in_channels": 48}},
        {"language": {"num_key_value_heads": 1, "tie_word_embeddings": True}},
    ],
)
def test_saved_and_loaded_again(flow_reference: Path, tmp_path: Path, changes: dict[str, dict[str, Any]]) -> None:
    raw = json.loads((flow_reference / "config.json").read_text())
    raw["vision_gen_enc_config"]["params"] |= changes.get("enc", {})
    raw["vision_gen_dec_config"]["params"] |= changes.get("dec", {})
    raw["language_config"] |= changes.get("language", {})
    torch.manual_seed(0)
    model = JanusFlow(read_config(raw))
    save_checkpoint(model, tmp_path)
    again = load_model(Checkpoint(tmp_path)).model
    assert again.config == model.config
    assert {name for name, _ in again.named_parameters()} == {name for name, _ in model.named_parameters()}
    for name, parameter in model.named_parameters():
        assert torch.equal(again.get_parameter(name), parameter), name


def test_every_misfit_is_named(flow_copy: Path) -> None:
    tensors = load_file(flow_copy / "model.safetensors")
    tensors["vision_gen_enc_model.in_conv.weight"] = torch.zeros(32, 4, 3, 3)
    tensors["surprise"] = torch.zeros(1)
    del tensors["beg_of_und_embed"]
    save_file(tensors, flow_copy / "model.safetensors")
    with pytest.raises(UserError, match="do not fit") as error:
        load_model(Checkpoint(flow_copy))
    for part in ("1 of", "beg_of_und_embed", "surprise", "in_conv.weight is [32, 4, 3, 3], expected [32, 4, 2, 2]"):
        assert part in str(error.value)


def test_a_checkpoint_of_the_other_family_is_told(reference: Path, flow_reference: Path) -> None:
    from janus_eval.models.janus_pro.loading import load_model as load_janus_pro

    with pytest.raises(UserError, match="is a Janus or Janus-Pro checkpoint, not JanusFlow"):
        load_model(Checkpoint(reference))
    with pytest.raises(UserError, match="is a JanusFlow checkpoint, not Janus"):
        load_janus_pro(Checkpoint(flow_reference))
