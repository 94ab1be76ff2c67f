"""Names that published checkpoints give our parameters, and reading and writing weights by them.

One table a format. A row maps one of our modules to theirs, in several parts where ours fuses theirs (rows in that
order). Everything is strict: a tensor that is missing, unknown or of another shape is an error that names it.
Our modules decide what must be there; the rows only say what it is called.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from janus_eval.checkpoint import Checkpoint, misfits
from janus_eval.errors import UserError
from janus_eval.models.parts.llama import LlamaConfig
from janus_eval.models.parts.reader import Reader
from janus_eval.models.parts.siglip import SiglipConfig

AnyReader = TypeVar("AnyReader", bound=Reader)
Names = Sequence[tuple[str, *tuple[str, ...]]]
"""{a} and {b} are indices, {side} is encoder or decoder, {leaf} is one name; {a2} is twice a, {a1} one less than a.
The first row that matches a module wins."""

LLAMA_NAMES: Names = (
    (
        "language.layers.{a}.attention.qkv",
        "language_model.model.layers.{a}.self_attn.q_proj",
        "language_model.model.layers.{a}.self_attn.k_proj",
        "language_model.model.layers.{a}.self_attn.v_proj",
    ),
    ("language.layers.{a}.attention.out", "language_model.model.layers.{a}.self_attn.o_proj"),
    (
        "language.layers.{a}.mlp.gate_up",
        "language_model.model.layers.{a}.mlp.gate_proj",
        "language_model.model.layers.{a}.mlp.up_proj",
    ),
    ("language.layers.{a}.mlp.down", "language_model.model.layers.{a}.mlp.down_proj"),
    ("language.layers.{a}.attention_norm", "language_model.model.layers.{a}.input_layernorm"),
    ("language.layers.{a}.mlp_norm", "language_model.model.layers.{a}.post_attention_layernorm"),
    ("language.{leaf}", "language_model.model.{leaf}"),
    ("lm_head", "language_model.lm_head"),
)


def siglip_names(ours: str, theirs: str) -> Names:
    """Rows of a SigLIP encoder (timm's names)."""
    return (
        (f"{ours}.pos_embed", f"{theirs}.pos_embed"),
        (f"{ours}.patch_embed", f"{theirs}.patch_embed.proj"),
        (f"{ours}.norm", f"{theirs}.norm"),
        (f"{ours}.blocks.{{a}}.fc{{b}}", f"{theirs}.blocks.{{a}}.mlp.fc{{b}}"),
        (f"{ours}.blocks.{{a}}.norm{{b}}", f"{theirs}.blocks.{{a}}.norm{{b}}"),
        (f"{ours}.blocks.{{a}}.attn.{{leaf}}", f"{theirs}.blocks.{{a}}.attn.{{leaf}}"),
    )


# Buffers of older code, whatever format they are found in.
STALE = (r".*\.rotary_emb\.inv_freq", r".*\.position_ids")


class Piece(NamedTuple):
    """Where one tensor of a checkpoint goes: rows ``start`` to ``start + rows`` of one of our parameters."""

    parameter: str
    start: int
    rows: int
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Format:
    """A checkpoint format: its table, what it holds that nothing reads, and names that mean the same."""

    names: Names
    unused: tuple[str, ...] = ()
    aliases: Mapping[str, str] | None = None
    reshaped: Mapping[str, int] | None = None
    """Our parameters whose leading dimensions of size 1 theirs lacks, with how many."""

    def pieces(self, model: Reader) -> dict[str, Piece]:
        """Every tensor that a checkpoint of this model must hold, by its published name."""
        rules = [(_pattern(ours), theirs) for ours, *theirs in self.names]
        pieces: dict[str, Piece] = {}
        for name, parameter in model.named_parameters():
            module, dot, leaf = name.rpartition(".") if name.endswith((".weight", ".bias")) else (name, "", "")
            theirs, found = next((theirs, match) for rule, theirs in rules if (match := rule.fullmatch(module)))
            values = _fields(found)
            shape = tuple(parameter.shape)[(self.reshaped or {}).get(name, 0) :]
            start = 0
            heights = _heights(model.language.config, module, len(theirs), shape[0])
            for template, rows in zip(theirs, heights, strict=True):
                pieces[template.format(**values) + dot + leaf] = Piece(name, start, rows, (rows, *shape[1:]))
                start += rows
            assert start == shape[0], name
        return pieces

    def wanted(self, name: str) -> str | None:
        """The table's name for a tensor found in a checkpoint, or None where nothing reads it."""
        if any(re.fullmatch(pattern, name) for pattern in (*self.unused, *STALE)):
            return None
        return (self.aliases or {}).get(name, name)


def load_weights(
    checkpoint: Checkpoint, build: Callable[[], AnyReader], layout: Format, *, device: torch.device, dtype: torch.dtype
) -> tuple[AnyReader, str]:
    """Build the model and read its weights into it, one tensor at a time; never two copies of the model.

    Returns it with the SHA-256 of what was read: names, types, shapes and bytes, whatever files they came in.
    Raises UserError naming every tensor that is missing, unknown or of another shape.
    """
    with torch.device("meta"):
        model = build()
    if model.language.config.tie_word_embeddings:
        layout = Format(
            layout.names, (*layout.unused, r"(language_model\.)?lm_head\.weight"), layout.aliases, layout.reshaped
        )
    pieces = layout.pieces(model)
    _refuse_mismatch(checkpoint, layout, pieces)
    parameters = materialize(model, device, dtype)
    digests = {}
    with ThreadPoolExecutor(1) as pool:  # hashing one tensor while the next is copied
        for name, tensor in checkpoint.tensors():
            known = layout.wanted(name)
            if known is None:
                continue
            if not tensor.is_floating_point():
                raise UserError(f"{checkpoint.folder}: {name} holds {tensor.dtype}, expected floating point numbers")
            piece = pieces[known]
            target = parameters[piece.parameter].data
            target.view(-1, *piece.shape[1:])[piece.start : piece.start + piece.rows].copy_(tensor)
            digests[name] = pool.submit(_digest, tensor)
    summary = json.dumps(sorted((name, digest.result()) for name, digest in digests.items()))
    return model.eval(), hashlib.sha256(summary.encode()).hexdigest()


def materialize(model: Reader, device: torch.device, dtype: torch.dtype) -> dict[str, nn.Parameter]:
    """Give a model on the meta device memory, uninitialised; returns its parameters by name."""
    parameters = {}
    for name, meta in list(model.named_parameters()):
        owner, _, leaf = name.rpartition(".")
        filled = nn.Parameter(torch.empty(meta.shape, device=device, dtype=dtype), requires_grad=False)
        setattr(model.get_submodule(owner), leaf, filled)
        parameters[name] = filled
    model.tie()
    return parameters


def named_tensors(model: Reader, layout: Format) -> Iterator[tuple[str, Tensor]]:
    """A model's weights under published names, ours taken apart where it fuses theirs."""
    parameters = dict(model.named_parameters())
    for name, piece in layout.pieces(model).items():
        whole = parameters[piece.parameter].detach()
        yield name, whole.view(-1, *piece.shape[1:])[piece.start : piece.start + piece.rows]


def write_checkpoint(
    model: Reader,
    layout: Format,
    config: Callable[[str], Mapping[str, object]],
    folder: Path,
    *,
    dtype: torch.dtype | None = None,
) -> None:
    """Write ``model.safetensors`` under published names, and the ``config.json`` that ``config`` makes of the type."""
    folder.mkdir(parents=True, exist_ok=True)
    named = named_tensors(model, layout)
    tensors = {name: tensor.to("cpu", dtype or tensor.dtype).contiguous() for name, tensor in named}
    kind = str(next(iter(tensors.values())).dtype).removeprefix("torch.")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config(kind), indent=2) + "\n", encoding="utf-8")


def part(name: str, cls: str, params: Mapping[str, object]) -> dict[str, object]:
    """One part of a model as DeepSeek's ``config.json`` has it."""
    return {"cls": cls, "model_type": name, "params": params}


def siglip_params(vision: SiglipConfig) -> dict[str, object]:
    """The encoder's ``params``, every size spelt out."""
    sizes: dict[str, object] = {"model_name": "siglip", "select_feature": "same", "select_layer": -1}
    sizes |= {"image_size": vision.image_size, "width": vision.width, "layers": vision.layers, "heads": vision.heads}
    return sizes | {"patch_size": vision.patch_size, "mlp_ratio": vision.mlp_ratio}


def attention_pool_shapes(prefix: str, vision: SiglipConfig) -> dict[str, tuple[int, ...]]:
    """SigLIP's attention pool, which checkpoints hold and no path of a Janus model reads."""
    width, inner = vision.width, int(vision.width * vision.mlp_ratio)
    linears = {"q": (width, width), "kv": (2 * width, width), "proj": (width, width)}
    linears |= {"mlp.fc1": (inner, width), "mlp.fc2": (width, inner)}
    pool: dict[str, tuple[int, ...]] = {"latent": (1, 1, width), "norm.weight": (width,), "norm.bias": (width,)}
    for name, shape in linears.items():
        pool |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    return {f"{prefix}.attn_pool.{name}": shape for name, shape in pool.items()}


def _refuse_mismatch(checkpoint: Checkpoint, layout: Format, pieces: Mapping[str, Piece]) -> None:
    found: dict[str, tuple[int, ...]] = {}
    for name, shape in checkpoint.shapes().items():
        if (known := layout.wanted(name)) is not None:
            found[known] = shape
    shapes = {name: piece.shape for name, piece in pieces.items()}
    problems = misfits(shapes, found, "have another shape than config.json says")
    if problems:
        raise UserError(f"{checkpoint.folder}: its weights do not fit. " + "; ".join(problems))


def _pattern(ours: str) -> re.Pattern[str]:
    kinds = {"a": r"\d+", "b": r"\d+", "side": "encoder|decoder", "leaf": r"\w+"}
    named = {name: f"(?P<{name}>{kind})" for name, kind in kinds.items()}
    return re.compile(ours.replace(".", r"\.").format(**named))


def _fields(found: re.Match[str]) -> dict[str, object]:
    values: dict[str, object] = dict(found.groupdict())
    if "a" in values:
        a = int(found["a"])
        values |= {"a2": 2 * a, "a1": a - 1}
    return values


def _heights(language: LlamaConfig, module: str, parts: int, rows: int) -> tuple[int, ...]:
    """Rows of each part of a fused parameter: equal ones, but for queries beside fewer key and value heads."""
    if re.fullmatch(r"language\.layers\.\d+\.attention\.qkv", module):
        keys = language.num_key_value_heads * language.head_dim
        return (language.num_attention_heads * language.head_dim, keys, keys)
    return (rows // parts,) * parts


def _digest(tensor: Tensor) -> str:
    found = hashlib.sha256(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
    found.update(tensor.contiguous().view(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()
