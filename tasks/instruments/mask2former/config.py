"""Sizes of a Mask2Former as mmdet states them, and transformers' empty model of these sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import Mask2FormerConfig, Mask2FormerForUniversalSegmentation, SwinConfig
from transformers import __version__ as transformers_version
from transformers.models.mask2former import modeling_mask2former

from janus_eval.errors import UserError

LEVELS = 3
"""Feature maps that the pixel decoder attends to: fixed in transformers' modules."""
GROUPS = 32
"""Groups of the pixel decoder's normalisation, mmdet's and transformers' alike."""
MOST = 1 << 16
"""More than any size of a usable model; a number beyond is a damaged file."""


@dataclass(frozen=True)
class SwinSizes:
    """The backbone. Its stages halve the picture's sides and double the channels, from ``embed_dims`` at a quarter."""

    embed_dims: int
    depths: tuple[int, ...]
    num_heads: tuple[int, ...]
    window_size: int
    mlp_ratio: float


@dataclass(frozen=True)
class AttentionSizes:
    """A stack of layers: the pixel decoder's encoder, or the decoder of queries."""

    num_layers: int
    num_heads: int
    feedforward_channels: int


@dataclass(frozen=True)
class Sizes:
    """Every architecture number of the detector."""

    backbone: SwinSizes
    feat_channels: int
    """Width of queries and feature maps."""
    out_channels: int
    """Width of the product that makes a mask."""
    num_queries: int
    classes: int
    """Without "no object", which the classifier has as a last one."""
    pixel_decoder: AttentionSizes
    num_points: int
    """Places that one head of the pixel decoder looks at, a feature map."""
    transformer_decoder: AttentionSizes


OFFICIAL = Sizes(
    SwinSizes(96, (2, 2, 18, 2), (3, 6, 12, 24), 7, 4.0),
    feat_channels=256,
    out_channels=256,
    num_queries=100,
    classes=80,
    pixel_decoder=AttentionSizes(6, 8, 1024),
    num_points=4,
    transformer_decoder=AttentionSizes(9, 8, 2048),
)
"""``configs/mask2former/mask2former_swin-s-p4-w7-224_lsj_8x2_50e_coco.py`` of mmdet 2."""


class Raw:
    """A parsed ``config.json`` that is read with suspicion. Every fault is a UserError that names the key."""

    def __init__(self, values: object, where: str) -> None:
        if not isinstance(values, Mapping):
            raise UserError(f"{where} is {type(values).__name__}, expected an object")
        self.values: Mapping[str, Any] = values
        self.where = where

    def part(self, key: str) -> Raw:
        return Raw(self._get(key), f"{self.where}: {key}")

    def count(self, key: str) -> int:
        """A whole number from 1."""
        value = self._get(key)
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST:
            raise UserError(f"{self.where}: {key} is {value!r}, expected a whole number from 1 to {MOST}")
        return value

    def number(self, key: str) -> float:
        """A positive number."""
        return self._positive(key, self._get(key))

    def counts(self, key: str, length: int | None = None) -> tuple[int, ...]:
        """A list of whole numbers from 1."""
        return tuple(Raw({key: value}, self.where).count(key) for value in self._list(key, length))

    def numbers(self, key: str, length: int) -> tuple[float, ...]:
        """A list of positive numbers."""
        return tuple(self._positive(key, value) for value in self._list(key, length))

    def _get(self, key: str) -> Any:
        if key not in self.values:
            raise UserError(f"{self.where} has no {key}")
        return self.values[key]

    def _list(self, key: str, length: int | None) -> list[Any]:
        values = self._get(key)
        if not isinstance(values, list) or not values or length not in {None, len(values)}:
            raise UserError(f"{self.where}: {key} is {values!r}, expected a list of {length or 'some'} numbers")
        return values

    def _positive(self, key: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
            raise UserError(f"{self.where}: {key} is {value!r}, expected a positive number")
        return float(value)


def read_sizes(raw: Raw) -> Sizes:
    """Sizes by mmdet's own names. Raises UserError for a missing or impossible one."""
    swin, pixel, decoder = raw.part("backbone"), raw.part("pixel_decoder"), raw.part("transformer_decoder")
    depths = swin.counts("depths")
    sizes = Sizes(
        SwinSizes(
            swin.count("embed_dims"),
            depths,
            swin.counts("num_heads", len(depths)),
            swin.count("window_size"),
            swin.number("mlp_ratio"),
        ),
        raw.count("feat_channels"),
        raw.count("out_channels"),
        raw.count("num_queries"),
        raw.count("num_things_classes"),
        _attention(pixel),
        pixel.count("num_points"),
        _attention(decoder),
    )
    levels = pixel.count("num_levels")
    if levels != LEVELS or len(depths) != LEVELS + 1:
        raise UserError(
            f"{raw.where}: {levels} levels of {len(depths)} backbone stages; {LEVELS} of {LEVELS + 1} are what is read"
        )
    _refuse_indivisible(raw.where, sizes)
    return sizes


def _attention(raw: Raw) -> AttentionSizes:
    return AttentionSizes(raw.count("num_layers"), raw.count("num_heads"), raw.count("feedforward_channels"))


def _refuse_indivisible(where: str, sizes: Sizes) -> None:
    width = sizes.feat_channels
    divisors = {
        "groups of its normalisation": (width, GROUPS),
        "heads of the pixel decoder": (width, sizes.pixel_decoder.num_heads),
        "heads of the transformer decoder": (width, sizes.transformer_decoder.num_heads),
        "halves of a position's two axes": (width, 4),
    }
    for stage, heads in enumerate(sizes.backbone.num_heads):
        divisors[f"heads of backbone stage {stage}"] = (sizes.backbone.embed_dims << stage, heads)
    for what, (channels, parts) in divisors.items():
        if channels % parts:
            raise UserError(f"{where}: {channels} channels cannot be divided among {parts} {what}")


def build(sizes: Sizes) -> Mask2FormerForUniversalSegmentation:
    """transformers' model without values (on the meta device), and without what only training needs."""
    # Keywords that transformers takes and its annotations leave out.
    features: dict[str, Any] = {"out_features": [f"stage{stage + 1}" for stage in range(len(sizes.backbone.depths))]}
    classes: dict[str, Any] = {"num_labels": sizes.classes}
    swin = SwinConfig(
        embed_dim=sizes.backbone.embed_dims,
        depths=sizes.backbone.depths,
        num_heads=sizes.backbone.num_heads,
        window_size=sizes.backbone.window_size,
        mlp_ratio=sizes.backbone.mlp_ratio,
        drop_path_rate=0.0,
        **features,
    )
    config = Mask2FormerConfig(
        backbone_config=swin,
        feature_size=sizes.feat_channels,
        hidden_dim=sizes.feat_channels,
        mask_feature_size=sizes.out_channels,
        encoder_layers=sizes.pixel_decoder.num_layers,
        encoder_feedforward_dim=sizes.pixel_decoder.feedforward_channels,
        decoder_layers=sizes.transformer_decoder.num_layers + 1,  # transformers counts the queries as a layer
        num_attention_heads=sizes.transformer_decoder.num_heads,
        dim_feedforward=sizes.transformer_decoder.feedforward_channels,
        num_queries=sizes.num_queries,
        **classes,
    )
    with torch.device("meta"):
        model = Mask2FormerForUniversalSegmentation(config)
        # transformers has one number of heads for both decoders and a fixed number of points; mmdet has neither.
        for layer in model.model.pixel_level_module.decoder.encoder.layers:
            layer.self_attn = modeling_mask2former.Mask2FormerPixelDecoderEncoderMultiscaleDeformableAttention(
                sizes.feat_channels, sizes.pixel_decoder.num_heads, LEVELS, sizes.num_points
            )
    backbone = getattr(model.model.pixel_level_module.encoder, "swin", None)
    if backbone is not None:  # before transformers 5.9 there is none, and no such norm
        # The backbone's feature maps have norms of their own; the one that a classifier would read has no weights here.
        backbone.layernorm = nn.Identity()
    del model.criterion
    nn.Module.eval(model)
    return model


def unfit(what: str) -> UserError:
    """For modules of another version of transformers, which may name and order its parts otherwise."""
    return UserError(
        f"transformers {transformers_version} has a Mask2Former that the detector's table does not know ({what}): "
        "install a version that it was tried with: pip install 'transformers==5.24.*'"
    )
