"""Names that mmdet's checkpoints give the parameters of transformers' Mask2Former, and reading weights by them.

One table in mmdet 3's names; files of mmdet 2 differ from it by four rules. Everything is strict: a tensor that is
missing, unknown or of another shape is an error that names it. The model decides what must be there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, product
from typing import NamedTuple

import torch
from torch import Tensor, nn
from transformers import Mask2FormerForUniversalSegmentation

from janus_eval.checkpoint import some
from janus_eval.tasks.instruments.files import refuse_misfits
from janus_eval.tasks.instruments.mask2former.config import LEVELS, Sizes, build, unfit

SWIN = "model.pixel_level_module.encoder"
PIXELS = "model.pixel_level_module.decoder"
QUERIES = "model.transformer_module"

TABLE: Sequence[tuple[str, ...]] = (
    # mmdet's name, then ours: of one tensor, or of a module and so of its weight and bias. Several of ours have equal
    # shares of the rows of a tensor that mmdet keeps fused, in this order.
    ("backbone.patch_embed.projection", f"{SWIN}.swin.embeddings.patch_embeddings.projection"),
    ("backbone.patch_embed.norm", f"{SWIN}.swin.embeddings.norm"),
    ("backbone.stages.{stage}.blocks.{block}.norm1", f"{SWIN}.{{swin_block}}.layernorm_before"),
    (
        "backbone.stages.{stage}.blocks.{block}.attn.w_msa.qkv",
        *(f"{SWIN}.{{swin_block}}.attention.{part}_proj" for part in "qkv"),
    ),
    (
        "backbone.stages.{stage}.blocks.{block}.attn.w_msa.relative_position_bias_table",
        f"{SWIN}.{{swin_block}}.attention.relative_position_bias.relative_position_bias_table",
    ),
    ("backbone.stages.{stage}.blocks.{block}.attn.w_msa.proj", f"{SWIN}.{{swin_block}}.attention.o_proj"),
    ("backbone.stages.{stage}.blocks.{block}.norm2", f"{SWIN}.{{swin_block}}.layernorm_after"),
    ("backbone.stages.{stage}.blocks.{block}.ffn.layers.0.0", f"{SWIN}.{{swin_block}}.mlp.fc1"),
    ("backbone.stages.{stage}.blocks.{block}.ffn.layers.1", f"{SWIN}.{{swin_block}}.mlp.fc2"),
    ("backbone.stages.{merged}.downsample.norm", f"{SWIN}.swin.encoder.layers.{{merged}}.downsample.norm"),
    ("backbone.stages.{merged}.downsample.reduction", f"{SWIN}.swin.encoder.layers.{{merged}}.downsample.reduction"),
    ("backbone.norm{stage}", f"{SWIN}.hidden_states_norms.stage{{stage1}}"),
    ("panoptic_head.pixel_decoder.input_convs.{level}.conv", f"{PIXELS}.input_projections.{{level}}.0"),
    ("panoptic_head.pixel_decoder.input_convs.{level}.gn", f"{PIXELS}.input_projections.{{level}}.1"),
    ("panoptic_head.pixel_decoder.level_encoding.weight", f"{PIXELS}.level_embed"),
    ("panoptic_head.pixel_decoder.lateral_convs.0.conv", f"{PIXELS}.adapter_1.0"),
    ("panoptic_head.pixel_decoder.lateral_convs.0.gn", f"{PIXELS}.adapter_1.1"),
    ("panoptic_head.pixel_decoder.output_convs.0.conv", f"{PIXELS}.layer_1.0"),
    ("panoptic_head.pixel_decoder.output_convs.0.gn", f"{PIXELS}.layer_1.1"),
    ("panoptic_head.pixel_decoder.mask_feature", f"{PIXELS}.mask_projection"),
    *(
        (f"{{theirs_encoder}}.self_attn.{leaf}", f"{PIXELS}.encoder.layers.{{encoder}}.self_attn.{leaf}")
        for leaf in ("sampling_offsets", "attention_weights", "value_proj", "output_proj")
    ),
    ("{theirs_encoder}.norms.0", f"{PIXELS}.encoder.layers.{{encoder}}.self_attn_layer_norm"),
    ("{theirs_encoder}.ffn.layers.0.0", f"{PIXELS}.encoder.layers.{{encoder}}.fc1"),
    ("{theirs_encoder}.ffn.layers.1", f"{PIXELS}.encoder.layers.{{encoder}}.fc2"),
    ("{theirs_encoder}.norms.1", f"{PIXELS}.encoder.layers.{{encoder}}.final_layer_norm"),
    ("panoptic_head.query_embed", f"{QUERIES}.queries_embedder"),
    ("panoptic_head.query_feat", f"{QUERIES}.queries_features"),
    ("panoptic_head.level_embed", f"{QUERIES}.level_embed"),
    ("{theirs_decoder}.cross_attn.attn.in_proj_weight", f"{QUERIES}.{{query_layer}}.cross_attn.in_proj_weight"),
    ("{theirs_decoder}.cross_attn.attn.in_proj_bias", f"{QUERIES}.{{query_layer}}.cross_attn.in_proj_bias"),
    ("{theirs_decoder}.cross_attn.attn.out_proj", f"{QUERIES}.{{query_layer}}.cross_attn.out_proj"),
    ("{theirs_decoder}.norms.0", f"{QUERIES}.{{query_layer}}.cross_attn_layer_norm"),
    *(
        (
            f"{{theirs_decoder}}.self_attn.attn.in_proj_{leaf}",
            *(f"{QUERIES}.{{query_layer}}.self_attn.{part}_proj.{leaf}" for part in "qkv"),
        )
        for leaf in ("weight", "bias")
    ),
    ("{theirs_decoder}.self_attn.attn.out_proj", f"{QUERIES}.{{query_layer}}.self_attn.out_proj"),
    ("{theirs_decoder}.norms.1", f"{QUERIES}.{{query_layer}}.self_attn_layer_norm"),
    ("{theirs_decoder}.ffn.layers.0.0", f"{QUERIES}.{{query_layer}}.fc1"),
    ("{theirs_decoder}.ffn.layers.1", f"{QUERIES}.{{query_layer}}.fc2"),
    ("{theirs_decoder}.norms.2", f"{QUERIES}.{{query_layer}}.final_layer_norm"),
    ("panoptic_head.transformer_decoder.post_norm", f"{QUERIES}.decoder.layernorm"),
    ("panoptic_head.mask_embed.0", f"{QUERIES}.decoder.mask_predictor.mask_embedder.0.0"),
    ("panoptic_head.mask_embed.2", f"{QUERIES}.decoder.mask_predictor.mask_embedder.1.0"),
    ("panoptic_head.mask_embed.4", f"{QUERIES}.decoder.mask_predictor.mask_embedder.2.0"),
    ("panoptic_head.cls_embed", "class_predictor"),
)

MMDET2: Sequence[tuple[str, str]] = (
    # mmdet 2 numbers a layer's parts by kind, in the order they run: in the queries' decoder cross-attention is first.
    (r"(panoptic_head\.pixel_decoder\.encoder\.layers\.\d+)\.self_attn\.", r"\1.attentions.0."),
    (r"(panoptic_head\.transformer_decoder\.layers\.\d+)\.cross_attn\.", r"\1.attentions.0."),
    (r"(panoptic_head\.transformer_decoder\.layers\.\d+)\.self_attn\.", r"\1.attentions.1."),
    (r"(panoptic_head\..*\.layers\.\d+)\.ffn\.", r"\1.ffns.0."),
)
"""From mmdet 3's names to mmdet 2's."""

BEFORE_5_9: Sequence[tuple[str, str]] = (
    (r"\.encoder\.swin\.", ".encoder."),
    (r"\.attention\.q_proj", ".attention.self.query"),
    (r"\.attention\.k_proj", ".attention.self.key"),
    (r"\.attention\.v_proj", ".attention.self.value"),
    (r"\.attention\.o_proj", ".attention.output.dense"),
    (r"\.attention\.relative_position_bias\.", ".attention.self."),
    (r"\.mlp\.fc1", ".intermediate.dense"),
    (r"\.mlp\.fc2", ".output.dense"),
)
"""From the names that the backbone has in transformers from 5.9 on to those that it had before."""

COMPUTED = re.compile(r"backbone\.stages\.\d+\.blocks\.\d+\.attn\.w_msa\.relative_position_index")
"""Tensors of a checkpoint that follow from the window's size and are not read."""


class Piece(NamedTuple):
    """A tensor of a checkpoint: our parameters that share its rows, and its shape."""

    ours: tuple[str, ...]
    shape: tuple[int, ...]


def load_weights(
    sizes: Sizes,
    tensors: Mapping[str, Tensor],
    where: str,
    *,
    device: torch.device | None = None,
    dtype: torch.dtype = torch.float32,
) -> Mask2FormerForUniversalSegmentation:
    """The model with an mmdet checkpoint's weights (a flat table; mmdet 2's names or mmdet 3's).

    ``where`` names the checkpoint in errors. Raises UserError for tensors that are missing, unknown, of another shape
    or not floating point.
    """
    device = device or torch.device("cpu")
    model = build(sizes)
    expected = pieces(model, sizes)
    older = {mmdet2_name(name): piece for name, piece in expected.items()}
    expected = max(expected, older, key=lambda names: len(names.keys() & tensors.keys()))
    found = {name: tensor for name, tensor in tensors.items() if not COMPUTED.fullmatch(name)}
    refuse_misfits(where, {name: piece.shape for name, piece in expected.items()}, found)
    for name, piece in expected.items():
        values = found[name].to(device, dtype)
        if ".downsample." in name:
            values = reorder_merged(values)
        for parameter, part in zip(piece.ours, values.chunk(len(piece.ours)), strict=True):
            owner, _, leaf = parameter.rpartition(".")
            setattr(model.get_submodule(owner), leaf, nn.Parameter(part.clone(), requires_grad=False))
    _fill_position_indices(model, sizes.backbone.window_size, device)
    empty = [name for name, tensor in chain(model.named_parameters(), model.named_buffers()) if tensor.is_meta]
    if empty:
        raise unfit(some(empty))
    return model


def pieces(model: nn.Module, sizes: Sizes) -> dict[str, Piece]:
    """Every tensor that an mmdet 3 checkpoint of this model must hold. Raises UserError where the table does not cover
    the model, as another version of transformers may name its parts otherwise."""
    shapes = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    older = not any(name.startswith(f"{SWIN}.swin.") for name in shapes)
    found: dict[str, Piece] = {}
    for theirs, *names in _rows(sizes):
        ours = [renamed(name, BEFORE_5_9) if name.startswith(SWIN) and older else name for name in names]
        leaves = [""] if ours[0] in shapes else [leaf for leaf in (".weight", ".bias") if ours[0] + leaf in shapes]
        for leaf in leaves:
            parts = tuple(name + leaf for name in ours)
            rows, *rest = shapes[parts[0]]
            found[theirs + leaf] = Piece(parts, (rows * len(parts), *rest))
    covered = {name for piece in found.values() for name in piece.ours}
    if uncovered := [name for name in shapes if name not in covered]:
        raise unfit(some(uncovered))
    return found


def mmdet2_name(name: str) -> str:
    """What mmdet 2 calls the tensor of this mmdet 3 name."""
    return renamed(name, MMDET2)


def renamed(name: str, rules: Sequence[tuple[str, str]]) -> str:
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def reorder_merged(values: Tensor) -> Tensor:
    """Inputs of a patch merging, along the last axis, from mmdet's order to transformers'.

    Four neighbouring patches are merged: mmdet unfolds them channel by channel, each with its row and column; in
    transformers the column is outermost, then the row, then the channel.
    """
    patches: Tensor = values.unflatten(-1, (-1, 2, 2))
    return patches.transpose(-3, -1).flatten(-3)


def _rows(sizes: Sizes) -> Iterator[tuple[str, ...]]:
    """The table with its indices written out."""
    depths = sizes.backbone.depths
    indices: dict[str, range] = {
        "stage": range(len(depths)),
        "merged": range(len(depths) - 1),
        "block": range(max(depths)),
        "level": range(LEVELS),
        "encoder": range(sizes.pixel_decoder.num_layers),
        "decoder": range(sizes.transformer_decoder.num_layers),
    }
    for row in TABLE:
        templates = [_spelt(template) for template in row]
        used = [name for name in indices if f"{{{name}}}" in "".join(templates)]
        for values in product(*(indices[name] for name in used)):
            named = dict(zip(used, values, strict=True))
            if "block" in named and named["block"] >= depths[named["stage"]]:
                continue
            yield tuple(template.format(**named, stage1=named.get("stage", 0) + 1) for template in templates)


def _spelt(template: str) -> str:
    """A template with its abbreviations written out."""
    for short, long in {
        "{swin_block}": "swin.encoder.layers.{stage}.blocks.{block}",
        "{theirs_encoder}": "panoptic_head.pixel_decoder.encoder.layers.{encoder}",
        "{theirs_decoder}": "panoptic_head.transformer_decoder.layers.{decoder}",
        "{query_layer}": "decoder.layers.{decoder}",
    }.items():
        template = template.replace(short, long)
    return template


def _fill_position_indices(model: Mask2FormerForUniversalSegmentation, window: int, device: torch.device) -> None:
    """Which bias of its table a pair of a window's places has, row by row: the empty model holds no values."""
    rows, columns = (places.flatten() for places in torch.meshgrid(*[torch.arange(window)] * 2, indexing="ij"))
    down, right = (places[:, None] - places + window - 1 for places in (rows, columns))
    indices = (down * (2 * window - 1) + right).to(device)
    for module in model.model.pixel_level_module.encoder.modules():
        if hasattr(module, "relative_position_index"):
            module.relative_position_index = indices.reshape(module.relative_position_index.shape)
