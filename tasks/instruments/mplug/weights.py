"""Names that ModelScope's checkpoints give the tensors of an mPLUG, and reading weights by them.

Everything is strict: a tensor that is missing, unknown or of another shape is an error that names it. Tensors that the
answers don't depend on are known by name and not read.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from janus_eval.checkpoint import read_tensors
from janus_eval.errors import UserError
from janus_eval.tasks.instruments.files import refuse_misfits
from janus_eval.tasks.instruments.mplug.config import Config
from janus_eval.tasks.instruments.mplug.model import MPlug

CLIP = "visual_encoder.visual"
BLOCK = f"{CLIP}.transformer.resblocks.{{n}}"
READING = "text_encoder.encoder.layer.{n}"
FUSING = "fusion_encoder.encoder.layer.{n}"
ANSWERING = "text_decoder.bert.encoder.layer.{n}"

TABLE: Sequence[tuple[str, str]] = (
    # ModelScope's name, then ours: of one tensor, or of a module and so of its weight and bias. {n} counts layers.
    (f"{CLIP}.conv1", "vision.patches"),
    (f"{CLIP}.class_embedding", "vision.first"),
    (f"{CLIP}.positional_embedding", "vision.positions"),
    (f"{CLIP}.ln_pre", "vision.norm_before"),
    (f"{BLOCK}.ln_1", "vision.blocks.{n}.norm1"),
    (f"{BLOCK}.attn.in_proj_weight", "vision.blocks.{n}.qkv.weight"),
    (f"{BLOCK}.attn.in_proj_bias", "vision.blocks.{n}.qkv.bias"),
    (f"{BLOCK}.attn.out_proj", "vision.blocks.{n}.out"),
    (f"{BLOCK}.ln_2", "vision.blocks.{n}.norm2"),
    (f"{BLOCK}.mlp.c_fc", "vision.blocks.{n}.inner"),
    (f"{BLOCK}.mlp.c_proj", "vision.blocks.{n}.outer"),
    (f"{CLIP}.ln_post", "vision.norm_after"),
    ("visn_fc", "project"),
    ("visn_layer_norm", "project_norm"),
    *(
        (f"{theirs}.embeddings.{part}", f"{ours}.{leaf}")
        for theirs, ours in (("text_encoder", "question"), ("text_decoder.bert", "answer"))
        for part, leaf in (
            ("word_embeddings", "words"),
            ("position_embeddings", "positions"),
            ("token_type_embeddings", "types"),
            ("LayerNorm", "norm"),
        )
    ),
    *(
        (f"{theirs}.{part}", f"{ours}.{{n}}.{leaf}")
        for theirs, ours in ((READING, "reading"), (FUSING, "fusing"), (ANSWERING, "answering"))
        for part, leaf in (
            *(
                (f"{attention}.{name}", f"{own}.{leaf}")
                for attention, own in (("attention", "attention"), ("crossattention", "cross"))
                for name, leaf in (
                    ("self.query", "query"),
                    ("self.key", "key"),
                    ("self.value", "value"),
                    ("output.dense", "out"),
                    ("output.LayerNorm", "norm"),
                )
            ),
            ("intermediate.dense", "inner.inner"),
            ("output.dense", "inner.outer"),
            ("output.LayerNorm", "inner.norm"),
        )
    ),
    ("text_decoder.cls.predictions.transform.dense", "head.dense"),
    ("text_decoder.cls.predictions.transform.LayerNorm", "head.norm"),
    ("text_decoder.cls.predictions.decoder", "head.words"),
)

TIED: Sequence[tuple[str, str]] = (
    ("text_decoder.bert.embeddings.word_embeddings.weight", "text_decoder.cls.predictions.decoder.weight"),
    ("text_decoder.cls.predictions.bias", "text_decoder.cls.predictions.decoder.bias"),
)
"""Two names of one tensor, of which a checkpoint may hold either. ModelScope's model ties them, so that of two unequal
ones the second, which it reads last, holds for both."""

UNREAD = re.compile(
    r"\w+_m\..+"  # the slowly following copies that training distils from
    r"|visual_encoder\.(transformer|token_embedding|ln_final)\..+"  # CLIP's text half
    r"|visual_encoder\.(positional_embedding|text_projection|logit_scale)"
    r"|visual_encoder\.visual\.proj"  # into the space that CLIP compares in
    r"|.+\.position_ids"
    r"|(text|fusion)_encoder\.pooler\..+"
)


class Piece(NamedTuple):
    ours: str
    shape: tuple[int, ...]


def load_weights(
    config: Config,
    tensors: Mapping[str, Tensor],
    where: str,
    *,
    device: torch.device | None = None,
    dtype: torch.dtype = torch.float32,
) -> MPlug:
    """The model with a checkpoint's weights. ``where`` names the checkpoint in errors.

    Raises UserError for tensors that are missing, unknown, of another shape or not floating point.
    """
    with torch.device("meta"):
        model = MPlug(config)
    expected = pieces(model, config)
    # ModelScope drops "model." wherever it stands; a name has it in front or not at all.
    found = {name.removeprefix("model."): tensor for name, tensor in tensors.items()}
    for first, second in TIED:
        tied = found.get(second, found.get(first))
        if tied is not None:
            found |= {first: tied, second: tied}
    found.pop("text_decoder.cls.predictions.bias", None)
    found = {name: tensor for name, tensor in found.items() if not _unread(name, config)}
    refuse_misfits(where, {name: piece.shape for name, piece in expected.items()}, found)
    for name, piece in expected.items():
        owner, _, leaf = piece.ours.rpartition(".")
        values = found[name].to(device or torch.device("cpu"), dtype)
        setattr(model.get_submodule(owner), leaf, nn.Parameter(values, requires_grad=False))
    nn.Module.eval(model)
    return model


def pieces(model: MPlug, config: Config) -> dict[str, Piece]:
    """Every tensor that is read from a checkpoint of this model, by its name there."""
    shapes = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    found: dict[str, Piece] = {}
    for theirs, ours in _rows(config):
        for leaf in ("", ".weight", ".bias"):
            if ours + leaf in shapes:
                found[theirs + leaf] = Piece(ours + leaf, shapes[ours + leaf])
    uncovered = shapes.keys() - {piece.ours for piece in found.values()}
    assert not uncovered, uncovered
    return found


def read_file(path: Path) -> dict[str, Tensor]:
    """The tensors of a ``.safetensors`` or of ModelScope's ``pytorch_model.bin``; nothing in it is executed.

    A PyTorch file may have its table under ``model`` and ``module``, beside notes on the training, which are not looked
    at. Raises UserError for what is neither.
    """
    if path.suffix == ".safetensors":
        return read_tensors(path)
    try:
        table: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as error:
        if "eights only" in str(error) or "weights_only" in str(error):
            raise UserError(
                f"{path} holds pickled objects other than tensors, which could run code: not loaded. Convert it to "
                "safetensors where you trust it"
            ) from error
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{path} is truncated, damaged or no PyTorch file ({reason}): fetch it again") from error
    for key in ("model", "module"):
        if isinstance(table, dict) and isinstance(table.get(key), dict):
            table = table[key]
    if not isinstance(table, dict) or not all(isinstance(value, Tensor) for value in table.values()):
        raise UserError(f"{path} is no table of tensor names to tensors")
    return table


def _rows(config: Config) -> Iterator[tuple[str, str]]:
    """The table with its layers counted: a checkpoint counts fusing layers from the first that doesn't run."""
    text = config.text
    layers = max(config.vision.layers, text.reading, text.fusing, text.answering)
    for theirs, ours in TABLE:
        for n in range(layers) if "{n}" in theirs else range(1):
            skipped = text.first_fusing if theirs.startswith(FUSING) else 0
            yield theirs.format(n=n + skipped), ours.format(n=n)


def _unread(name: str, config: Config) -> bool:
    fusing = re.fullmatch(r"fusion_encoder\.encoder\.layer\.(\d+)\.(\w+)\..+", name)
    if fusing is None:
        return UNREAD.fullmatch(name) is not None
    layer = int(fusing[1]) - config.text.first_fusing
    return layer < 0 or (config.text.joint(layer) and fusing[2] == "crossattention")
