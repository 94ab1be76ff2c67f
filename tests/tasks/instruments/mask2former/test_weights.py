"""The name table: both of mmdet's schemes, the order of merged patches, and every damage named."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from janus_eval.errors import UserError
from janus_eval.tasks.instruments.mask2former.config import OFFICIAL, AttentionSizes, Sizes, build
from janus_eval.tasks.instruments.mask2former.weights import COMPUTED, load_weights, pieces, reorder_merged

Tensors = dict[str, Tensor]


def as_mmdet2(name: str) -> str:
    """The documented difference of the schemes, apart from the table's own rules."""
    if "panoptic_head.pixel_decoder.encoder.layers" in name:
        return name.replace(".self_attn.", ".attentions.0.").replace(".ffn.", ".ffns.0.")
    if "panoptic_head.transformer_decoder.layers" in name:
        name = name.replace(".cross_attn.", ".attentions.0.").replace(".self_attn.", ".attentions.1.")
        return name.replace(".ffn.", ".ffns.0.")
    return name


def test_the_schemes_give_one_model(sizes: Sizes, weights: Tensors) -> None:
    older = {as_mmdet2(name): tensor for name, tensor in weights.items()}
    assert len(set(older) - set(weights)) == 2 * (8 + 4) + 3 * (4 + 4 + 4)
    ours, theirs = load_weights(sizes, weights, "new"), load_weights(sizes, older, "old")
    for (name, one), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert torch.equal(one, other), name


def test_all_that_is_stored_arrives(sizes: Sizes, weights: Tensors) -> None:
    model = load_weights(sizes, weights, "case")
    stored = [tensor for name, tensor in weights.items() if not COMPUTED.fullmatch(name)]
    assert sum(p.numel() for p in model.parameters()) == sum(tensor.numel() for tensor in stored)
    arrived = torch.cat([p.flatten() for p in model.parameters()]).sort().values
    assert torch.equal(arrived, torch.cat([tensor.flatten() for tensor in stored]).sort().values)
    assert not model.training and not any(p.requires_grad for p in model.parameters())


def test_merged_patches_are_unfolded_in_the_other_order() -> None:
    picture = torch.arange(3 * 4 * 4.0).view(1, 3, 4, 4)
    unfolded = nn.functional.unfold(picture, 2, stride=2)[0].T  # as mmdet merges
    quarters = [picture[0, :, row::2, column::2].flatten(1) for column in range(2) for row in range(2)]
    assert torch.equal(reorder_merged(unfolded), torch.cat(quarters).T)


def test_the_official_sizes_are_covered() -> None:
    found = pieces(build(OFFICIAL), OFFICIAL)
    assert found["backbone.stages.2.blocks.17.attn.w_msa.qkv.weight"].shape == (3 * 384, 384)
    assert found["panoptic_head.transformer_decoder.layers.8.self_attn.attn.in_proj_bias"].shape == (768,)
    assert found["panoptic_head.cls_embed.weight"].shape == (81, 256)
    total = sum(torch.Size(piece.shape).numel() for piece in found.values())
    assert total == sum(p.numel() for p in build(OFFICIAL).parameters()) == 68_739_547


def test_decoders_may_have_other_heads_and_points(sizes: Sizes) -> None:
    other = replace(sizes, pixel_decoder=AttentionSizes(1, 8, 48), num_points=2)
    expected = pieces(build(other), other)
    offsets = "panoptic_head.pixel_decoder.encoder.layers.0.self_attn.sampling_offsets.weight"
    assert expected[offsets].shape == (8 * 3 * 2 * 2, 32)
    model = load_weights(other, {name: torch.randn(piece.shape) for name, piece in expected.items()}, "case")
    with torch.inference_mode():
        assert model(pixel_values=torch.randn(1, 3, 64, 96)).class_queries_logits.isfinite().all()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda t: t.pop("backbone.norm3.bias"), "1 of 245 tensors are missing: backbone.norm3.bias"),
        (lambda t: t.update({"head.extra": torch.zeros(1)}), "1 are unknown: head.extra"),
        (
            lambda t: t.update({"panoptic_head.cls_embed.bias": torch.zeros(80)}),
            r"panoptic_head.cls_embed.bias is \[80\], expected \[81\]",
        ),
        (
            lambda t: t.update({"backbone.stages.0.blocks.0.attn.w_msa.qkv.bias": torch.zeros(24)}),
            r"qkv.bias is \[24\], expected \[72\]",
        ),
        (lambda t: t.update({"backbone.norm0.bias": torch.zeros(24).long()}), r"backbone.norm0.bias \(torch.int64\)"),
        (
            lambda t: t.update({f"x.{n}": torch.zeros(1) for n in range(9)}),
            "9 are unknown: x.0, x.1, x.2, x.3, x.4, and 4 more",
        ),
        (
            lambda t: t.update({"panoptic_head.pixel_decoder.encoder.layers.0.ffns.0.layers.1.bias": torch.zeros(32)}),
            "not fit. 1 are unknown: .*encoder.layers.0.ffns.0.layers.1.bias$",
        ),
        (lambda t: t.clear(), "245 of 245 tensors are missing"),
    ],
)
def test_damage_is_named(sizes: Sizes, weights: Tensors, damage: Callable[[Tensors], object], said: str) -> None:
    damaged = dict(weights)
    damage(damaged)
    with pytest.raises(UserError, match=said) as caught:
        load_weights(sizes, damaged, "weights.pth")
    assert str(caught.value).startswith("weights.pth: its weights do not fit.") and "\n" not in str(caught.value)


def test_indices_of_positions_are_computed(sizes: Sizes, weights: Tensors) -> None:
    model = load_weights(sizes, {n: t for n, t in weights.items() if not COMPUTED.fullmatch(n)}, "case")
    stored = next(tensor for name, tensor in weights.items() if COMPUTED.fullmatch(name))
    encoder = model.model.pixel_level_module.encoder
    computed = [m.relative_position_index for m in encoder.modules() if hasattr(m, "relative_position_index")]
    assert len(computed) == sum(sizes.backbone.depths)
    # mmdet numbers the biases backwards, and looks them up backwards.
    assert sorted(computed[0].flatten().tolist()) == sorted(stored.flatten().tolist())


def test_another_transformers_is_named(sizes: Sizes) -> None:
    model = build(sizes)
    model.extra = nn.Linear(2, 2)
    with pytest.raises(UserError, match=re.escape("(extra.weight, extra.bias): install")):
        pieces(model, sizes)
