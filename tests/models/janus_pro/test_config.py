"""Configurations that no model can have: each is refused with the key that is wrong, before anything is built."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from janus_eval.checkpoint import Checkpoint
from janus_eval.errors import UserError
from janus_eval.models.janus_pro.config import read_config
from janus_eval.models.janus_pro.converted import read_converted
from janus_eval.models.parts.processor import ImageProcessor

ODD = ("abc", None, -1, 0, 10**12, [], {}, 1.5, True, math.nan, math.inf)
CONVERTED = {
    "model_type": "janus",
    "vision_config": {"hidden_size": 24, "num_attention_heads": 3, "image_size": 32, "projection_dim": 32, "depth": 2},
    "vq_config": {"base_channels": 32, "channel_multiplier": [1, 2], "projection_dim": 32, "image_token_embed_dim": 32},
    "text_config": {"hidden_size": 32, "num_attention_heads": 4, "rope_parameters": {"rope_theta": 1e4}},
}


def places(table: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in table.items():
        yield (*above, key)
        if isinstance(value, Mapping):
            yield from places(value, (*above, key))


def spoilt(raw: Mapping[str, Any], place: tuple[str, ...], value: object) -> dict[str, Any]:
    found = copy.deepcopy(dict(raw))
    table = found
    for key in place[:-1]:
        table = table[key]
    table[place[-1]] = value
    return found


def test_no_value_of_any_key_is_worse_than_a_refusal(reference: Path) -> None:
    official = json.loads((reference / "config.json").read_text())
    refused = 0
    for raw in (official, CONVERTED):
        for place in places(raw):
            for value in ODD:
                changed = spoilt(raw, place, value)
                try:
                    if raw is official:
                        read_config(changed)
                    else:
                        read_converted(changed, own_head=True)
                except UserError as error:
                    refused += 1
                    assert "\n" not in str(error) and str(error).startswith("config.json: ")
    assert refused > 500


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("language_config.hidden_size", "64", r"language_config\.hidden_size is '64'; a whole number"),
        ("language_config.num_hidden_layers", 10**9, r"num_hidden_layers is 1000000000; a number from 1 to 1,000"),
        ("language_config.num_key_value_heads", 3, "num_attention_heads is 4; it must be a multiple of 3"),
        ("language_config.head_dim", 15, "head_dim is 15; it must be a multiple of 2"),
        ("language_config.rms_norm_eps", 0, "rms_norm_eps is 0; a positive number"),
        ("language_config.rope_parameters", 7, r"language_config\.rope_parameters is 7; an object"),
        ("vision_config.params.heads", 7, r"vision_config\.params\.width is 72; it must be a multiple of 7"),
        ("vision_config.params.patch_size", 65, "patch_size is 65; image_size 64 holds none"),
        ("vision_config.params.image_size", 16, None),
        ("vision_config.params.image_size", 15, "patch_size|levels need at least 16"),
        ("gen_vision_config.params.ch", 33, "ch is 33; it must be a multiple of 32"),
        ("gen_vision_config.params.encoder_ch_mult", 3, "encoder_ch_mult is 3; a list of 1 to 8 numbers"),
        ("gen_vision_config.params.encoder_ch_mult", [1, 1, 1, 1, 0], "encoder_ch_mult is 0; a number from 1"),
        ("aligner_config.params.projector_type", [], r"projector_type is \[\]; mlp_gelu and linear are known"),
    ],
)
def test_what_is_wrong_is_named(reference: Path, place: str, value: object, message: str | None) -> None:
    changed = spoilt(json.loads((reference / "config.json").read_text()), tuple(place.split(".")), value)
    if message is None:
        read_config(changed)
        return
    with pytest.raises(UserError, match=message):
        read_config(changed)


@pytest.mark.parametrize(
    "raw",
    [
        {"image_mean": 0.5},
        {"image_mean": [0.5, 0.5]},
        {"image_std": [0.5, 0, 0.5]},
        {"image_std": [0.5, math.nan, 0.5]},
        {"min_size": "14"},
        {"min_size": 10**9},
        {"rescale_factor": 0},
    ],
    ids=str,
)
def test_preprocessing_that_no_model_has(raw: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(raw))
    with pytest.raises(UserError, match=f"are preprocessed with {next(iter(raw))} .*, which no model has"):
        ImageProcessor.load(Checkpoint(tmp_path), 64)


def test_sizes_of_preprocessing_in_every_spelling(tmp_path: Path) -> None:
    file = tmp_path / "preprocessor_config.json"
    for text in ('{"size": 64, "min_size": 9}', '{"size": {"height": 64}, "min_size": 9}', '{"min_size": 9}'):
        file.write_text(text)
        assert ImageProcessor.load(Checkpoint(tmp_path), 64).min_size == 9
    file.write_text('{"size": 32}')
    with pytest.raises(UserError, match=r"32 pixels, but .* has 64"):
        ImageProcessor.load(Checkpoint(tmp_path), 64)
