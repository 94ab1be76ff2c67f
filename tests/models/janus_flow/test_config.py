"""DeepSeek's configuration of JanusFlow: defaults of the published classes, and what cannot be built."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from janus_eval.errors import UserError
from janus_eval.models.janus_flow.config import GenEncoderConfig, read_config
from janus_eval.models.janus_flow.weights import deepseek_config


@pytest.fixture
def raw(flow_reference: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((flow_reference / "config.json").read_text())
    return found


def test_the_recorded_configuration_and_back(raw: dict[str, Any]) -> None:
    config = read_config(raw)
    assert config.gen_encoder == GenEncoderConfig(4, 32, 2, 2, 0, 2, True, 1e-6)
    assert (config.gen_decoder.width, config.gen_decoder.skip_width, config.gen_decoder.upsamples) == (32, 32, 1)
    assert (config.vision.grid, config.language.hidden_size) == (4, 64)
    assert read_config(json.loads(json.dumps(deepseek_config(config)))) == config


def test_absent_keys_take_the_published_classes_defaults(raw: dict[str, Any]) -> None:
    for name in ("vision_gen_enc_config", "vision_gen_dec_config"):
        raw[name]["params"] = {"hidden_size": 64}
    config = read_config(raw)
    encoder, decoder = config.gen_encoder, config.gen_decoder
    assert (encoder.latent_channels, encoder.width, encoder.stride, encoder.kernel_size) == (3, 768, 4, 7)
    assert encoder.padding == 3 and encoder.grid(48) == 12
    assert (decoder.latent_channels, decoder.width, decoder.upsamples, decoder.blocks) == (3, 768, 2, 2)
    raw["vision_gen_enc_config"]["params"] |= {"padding": None, "kernel_size": 4}
    assert read_config(raw).gen_encoder.padding == 0
    raw["vision_gen_enc_config"]["params"] |= {"use_mid_block": False}
    assert read_config(raw).gen_encoder.blocks == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda raw: raw.pop("vision_gen_dec_config"), "vision_gen_dec_config is missing"),
        (lambda raw: raw["vision_gen_enc_config"]["params"].update(stride=4), "upsamples is 1, which enlarges 2 times"),
        (lambda raw: raw["vision_gen_dec_config"]["params"].update(out_channels=16), "out_channels is 16; 4"),
        (lambda raw: raw["vision_gen_dec_config"]["params"].update(block_out_channels=[16]), "is 16; 32 is expected"),
        (lambda raw: raw["vision_gen_enc_config"]["params"].update(block_out_channels=[8, 16]), "list of one width"),
        (lambda raw: raw["vision_gen_enc_config"]["params"].update(block_out_channels=[]), "list of one width"),
        (lambda raw: raw["vision_gen_enc_config"]["params"].update(block_out_channels=768), "list of one width"),
        (lambda raw: raw["vision_gen_enc_config"]["params"].update(hidden_size=2048), "hidden_size is 2048; 64"),
        (lambda raw: raw["vision_gen_enc_config"]["params"].update(padding="x"), "padding is 'x'; a whole number"),
        (lambda raw: raw["vision_gen_dec_config"]["params"].update(upsamples=0), "upsamples is 0"),
        (lambda raw: raw["vision_gen_dec_config"]["params"].update(upsamples=99), "upsamples is 99"),
        (lambda raw: raw["vision_gen_dec_config"]["params"].update(norm_eps=-1), "norm_eps is -1"),
        (lambda raw: raw["vision_gen_dec_config"]["params"].update(layers_in_middle=10**6), "layers_in_middle"),
        (lambda raw: raw["vision_und_enc_config"]["params"].pop("width"), "vision_und_enc_config.params.model_name"),
    ],
)
def test_what_cannot_be_built_is_refused_by_its_key(
    raw: dict[str, Any], change: Callable[[dict[str, Any]], object], message: str
) -> None:
    spoilt = copy.deepcopy(raw)
    change(spoilt)
    with pytest.raises(UserError, match=r"config\.json") as error:
        read_config(spoilt)
    assert message in str(error.value)
