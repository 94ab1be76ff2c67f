"""The name table: what is read, what is known and left, every damage named; and the forms that the file may have."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from janus_eval.errors import UserError
from janus_eval.tasks.instruments.mplug.config import Config
from janus_eval.tasks.instruments.mplug.model import MPlug
from janus_eval.tasks.instruments.mplug.weights import load_weights, pieces, read_file

Tensors = dict[str, Tensor]
WORDS = "text_decoder.bert.embeddings.word_embeddings.weight"
HEAD = "text_decoder.cls.predictions.decoder"


def test_all_that_is_used_arrives(config: Config, weights: Tensors) -> None:
    model = load_weights(config, weights, "case")
    unused = re.compile(
        r"fusion_encoder\.encoder\.layer\.(0\.|3\.crossattention).*"
        r"|visual_encoder\.(?!visual\.).*|visual_encoder\.visual\.proj|.*position_ids|text_decoder\.cls\.predictions\.bias"
    )
    stored = [tensor for name, tensor in weights.items() if not unused.fullmatch(name)]
    assert sum(p.numel() for p in model.parameters()) == sum(tensor.numel() for tensor in stored)
    arrived = torch.cat([p.flatten() for p in model.parameters()]).sort().values
    assert torch.equal(arrived, torch.cat([tensor.flatten() for tensor in stored]).float().sort().values)
    assert not model.training and not any(p.requires_grad for p in model.parameters())


def test_the_published_sizes_are_covered() -> None:
    """The sizes of ModelScope's defaults and of AliceMind's config_bert.json (alibaba/AliceMind at 3b159e6)."""
    with torch.device("meta"):
        model = MPlug(Config())
    found = pieces(model, Config())
    assert found["visual_encoder.visual.positional_embedding"].shape == (1297, 1024)
    assert found["visual_encoder.visual.transformer.resblocks.23.attn.in_proj_weight"].shape == (3072, 1024)
    assert found["visn_fc.weight"].shape == (768, 1024)
    assert found["text_encoder.encoder.layer.5.output.dense.weight"].shape == (768, 3072)
    assert found["fusion_encoder.encoder.layer.11.crossattention.self.key.weight"].shape == (768, 768)
    assert "fusion_encoder.encoder.layer.5.attention.self.key.weight" not in found
    assert found["text_decoder.bert.encoder.layer.11.crossattention.output.LayerNorm.bias"].shape == (768,)
    assert found[f"{HEAD}.weight"].shape == (30522, 768)


def test_either_name_of_a_tied_tensor_will_do_and_the_later_one_holds(config: Config, weights: Tensors) -> None:
    whole = load_weights(config, weights, "case")
    for names in ((WORDS, "text_decoder.cls.predictions.bias"), (f"{HEAD}.weight", f"{HEAD}.bias")):
        some = {name: tensor for name, tensor in weights.items() if name not in names}
        for one, other in zip(whole.parameters(), load_weights(config, some, "case").parameters(), strict=True):
            assert torch.equal(one, other)
    other = load_weights(config, {**weights, WORDS: weights[WORDS] + 1}, "case")
    assert torch.equal(other.answer.words.weight, whole.head.words.weight)


def test_what_training_left_is_known(config: Config, weights: Tensors) -> None:
    copies = {re.sub(r"^(\w+?)\.", r"\1_m.", name): tensor for name, tensor in weights.items()}
    more = {"text_encoder.pooler.dense.weight": torch.zeros(2), "visual_encoder.token_embedding.weight": torch.zeros(1)}
    load_weights(config, {**weights, **copies, **more}, "case")
    load_weights(config, {f"model.{name}": tensor for name, tensor in weights.items()}, "case")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("visn_fc.bias"), "1 of 229 tensors are missing: visn_fc.bias"),
        (lambda w: w.update(itm_head=torch.zeros(1)), "1 are unknown: itm_head"),
        (lambda w: w.update({"visn_fc.bias": torch.zeros(3)}), r"visn_fc.bias is \[3\], expected \[32\]"),
        (lambda w: w.update({"visn_fc.bias": torch.zeros(32).long()}), "no floating point numbers: visn_fc.bias"),
        (lambda w: w.update({"fusion_encoder.encoder.layer.5.x.y": torch.zeros(1)}), "1 are unknown: fusion_enc"),
    ],
)
def test_damage_is_named(config: Config, weights: Tensors, change: Callable[[Tensors], None], message: str) -> None:
    damaged = dict(weights)
    change(damaged)
    with pytest.raises(UserError, match=message):
        load_weights(config, damaged, "case")


def test_another_configuration_does_not_fit(config: Config, weights: Tensors) -> None:
    deeper = replace(config, text=replace(config.text, answering=3))
    with pytest.raises(UserError, match=r"tensors are missing: text_decoder\.bert\.encoder\.layer\.2"):
        load_weights(deeper, weights, "case")


@pytest.mark.parametrize("wrap", [dict, lambda w: {"model": w, "epoch": 7}, lambda w: {"module": w}])
def test_the_forms_of_the_published_file(tmp_path: Path, weights: Tensors, wrap: Callable[[Tensors], object]) -> None:
    torch.save(wrap(weights), tmp_path / "pytorch_model.bin")
    found = read_file(tmp_path / "pytorch_model.bin")
    assert found.keys() == weights.keys() and all(torch.equal(found[name], weights[name]) for name in weights)


def test_a_safetensors_file_is_read_too(tmp_path: Path, weights: Tensors) -> None:
    save_file(weights, tmp_path / "model.safetensors")
    assert read_file(tmp_path / "model.safetensors").keys() == weights.keys()


def test_a_file_that_is_none(tmp_path: Path, weights: Tensors) -> None:
    path = tmp_path / "pytorch_model.bin"
    for content, message in (
        ({"x": torch.zeros(1), "code": Path}, "could run code: not loaded"),
        ({"model": {"x": 3}}, "no table of tensor names"),
        ([1, 2], "no table of tensor names"),
    ):
        torch.save(content, path)
        with pytest.raises(UserError, match=message):
            read_file(path)
    torch.save(weights, path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(UserError, match="truncated, damaged or no PyTorch file"):
        read_file(path)
