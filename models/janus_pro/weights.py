"""Weights of Janus-Pro: the names that published checkpoints give our parameters, and reading and writing them.

One table a format. A row maps one of our modules to theirs, in several parts where ours fuses theirs (rows in that
order). Everything is strict: a tensor that is missing, unknown or of another shape is an error that names it.
Our modules decide what must be there; the rows only say what it is called.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from janus_eval.errors import UserError
from janus_eval.models.janus_pro.config import JanusProConfig
from janus_eval.models.janus_pro.model import JanusPro
from janus_eval.models.parts.checkpoint import Checkpoint

Names = Sequence[tuple[str, *tuple[str, ...]]]

# {a} and {b} are indices, {side} is encoder or decoder, {leaf} is one name; {a2} is twice a, {a1} one less than a.
# The first row that matches a module wins.
DEEPSEEK: Names = (
    ("vision.pos_embed", "vision_model.vision_tower.pos_embed"),
    ("vision.patch_embed", "vision_model.vision_tower.patch_embed.proj"),
    ("vision.norm", "vision_model.vision_tower.norm"),
    ("vision.blocks.{a}.fc{b}", "vision_model.vision_tower.blocks.{a}.mlp.fc{b}"),
    ("vision.blocks.{a}.norm{b}", "vision_model.vision_tower.blocks.{a}.norm{b}"),
    ("vision.blocks.{a}.attn.{leaf}", "vision_model.vision_tower.blocks.{a}.attn.{leaf}"),
    # Theirs counts the activations between the layers too.
    ("aligner.layers.{a}", "aligner.layers.{a2}"),
    ("gen_aligner.layers.{a}", "gen_aligner.layers.{a2}"),
    ("gen_embed", "gen_embed"),
    ("gen_head.proj", "gen_head.output_mlp_projector"),
    ("gen_head.out", "gen_head.vision_head"),
    ("vq.codebook", "gen_vision_model.quantize.embedding"),
    ("vq.encoder.levels.{a}.resample.conv", "gen_vision_model.encoder.conv_blocks.{a}.downsample.conv"),
    ("vq.decoder.levels.{a}.resample.conv", "gen_vision_model.decoder.conv_blocks.{a}.upsample.conv"),
    ("vq.{side}.levels.{a}.res.{b}.shortcut", "gen_vision_model.{side}.conv_blocks.{a}.res.{b}.nin_shortcut"),
    ("vq.{side}.levels.{a}.res.{b}.{leaf}", "gen_vision_model.{side}.conv_blocks.{a}.res.{b}.{leaf}"),
    (
        "vq.{side}.levels.{a}.attn.{b}.qkv",
        "gen_vision_model.{side}.conv_blocks.{a}.attn.{b}.q",
        "gen_vision_model.{side}.conv_blocks.{a}.attn.{b}.k",
        "gen_vision_model.{side}.conv_blocks.{a}.attn.{b}.v",
    ),
    ("vq.{side}.levels.{a}.attn.{b}.{leaf}", "gen_vision_model.{side}.conv_blocks.{a}.attn.{b}.{leaf}"),
    (
        "vq.{side}.mid.{a}.qkv",
        "gen_vision_model.{side}.mid.{a}.q",
        "gen_vision_model.{side}.mid.{a}.k",
        "gen_vision_model.{side}.mid.{a}.v",
    ),
    ("vq.{side}.mid.{a}.{leaf}", "gen_vision_model.{side}.mid.{a}.{leaf}"),
    ("vq.{side}.{leaf}", "gen_vision_model.{side}.{leaf}"),
    ("vq.{leaf}", "gen_vision_model.{leaf}"),
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

    def pieces(self, model: JanusPro) -> dict[str, Piece]:
        """Every tensor that a checkpoint of this model must hold, by its published name."""
        rules = [(_pattern(ours), theirs) for ours, *theirs in self.names]
        pieces: dict[str, Piece] = {}
        for name, parameter in model.named_parameters():
            module, dot, leaf = name.rpartition(".") if name.endswith((".weight", ".bias")) else (name, "", "")
            theirs, found = next((theirs, match) for rule, theirs in rules if (match := rule.fullmatch(module)))
            values = _fields(found)
            shape = tuple(parameter.shape)[(self.reshaped or {}).get(name, 0) :]
            start = 0
            for template, rows in zip(theirs, _heights(model.config, module, len(theirs), shape[0]), strict=True):
                pieces[template.format(**values) + dot + leaf] = Piece(name, start, rows, (rows, *shape[1:]))
                start += rows
            assert start == shape[0], name
        return pieces

    def wanted(self, name: str) -> str | None:
        """The table's name for a tensor found in a checkpoint, or None where nothing reads it."""
        if any(re.fullmatch(pattern, name) for pattern in (*self.unused, *STALE)):
            return None
        return (self.aliases or {}).get(name, name)


DEEPSEEK_FORMAT = Format(
    DEEPSEEK,
    unused=(r"vision_model\.vision_tower\.attn_pool\..+", r"gen_vision_model\.quantize\.codebook_used"),
    # A projector of type `linear` is no list of layers.
    aliases={
        f"{aligner}.layers.{leaf}": f"{aligner}.layers.0.{leaf}"
        for aligner in ("aligner", "gen_aligner")
        for leaf in ("weight", "bias")
    },
)


def unused_shapes(config: JanusProConfig) -> dict[str, tuple[int, ...]]:
    """Tensors that DeepSeek's code saves and no path of it reads: SigLIP's attention pool, and a usage counter."""
    width, inner = config.vision.width, int(config.vision.width * config.vision.mlp_ratio)
    linears = {"q": (width, width), "kv": (2 * width, width), "proj": (width, width)}
    linears |= {"mlp.fc1": (inner, width), "mlp.fc2": (width, inner)}
    pool: dict[str, tuple[int, ...]] = {"latent": (1, 1, width), "norm.weight": (width,), "norm.bias": (width,)}
    for name, shape in linears.items():
        pool |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    shapes = {f"vision_model.vision_tower.attn_pool.{name}": shape for name, shape in pool.items()}
    return shapes | {"gen_vision_model.quantize.codebook_used": (65536,)}


def load_weights(
    checkpoint: Checkpoint, config: JanusProConfig, layout: Format, *, device: torch.device, dtype: torch.dtype
) -> tuple[JanusPro, str]:
    """Build the model and read its weights into it, one tensor at a time; never two copies of the model.

    Returns it with the SHA-256 of what was read: names, types, shapes and bytes, whatever files they came in.
    Raises UserError naming every tensor that is missing, unknown or of another shape.
    """
    with torch.device("meta"):
        model = JanusPro(config)
    if config.language.tie_word_embeddings:
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


def materialize(model: JanusPro, device: torch.device, dtype: torch.dtype) -> dict[str, nn.Parameter]:
    """Give a model on the meta device memory, uninitialised; returns its parameters by name."""
    parameters = {}
    for name, meta in list(model.named_parameters()):
        owner, _, leaf = name.rpartition(".")
        filled = nn.Parameter(torch.empty(meta.shape, device=device, dtype=dtype), requires_grad=False)
        setattr(model.get_submodule(owner), leaf, filled)
        parameters[name] = filled
    if model.config.language.tie_word_embeddings:
        model.lm_head.weight = model.language.embed_tokens.weight
    return parameters


def named_tensors(model: JanusPro, layout: Format = DEEPSEEK_FORMAT) -> Iterator[tuple[str, Tensor]]:
    """A model's weights under published names, ours taken apart where it fuses theirs."""
    parameters = dict(model.named_parameters())
    for name, piece in layout.pieces(model).items():
        whole = parameters[piece.parameter].detach()
        yield name, whole.view(-1, *piece.shape[1:])[piece.start : piece.start + piece.rows]


def save_checkpoint(model: JanusPro, folder: Path, *, dtype: torch.dtype | None = None) -> None:
    """Write ``config.json`` and ``model.safetensors`` in DeepSeek's format; what nothing reads is left out.

    A processor's files are written by ``Processor.save``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.to("cpu", dtype or tensor.dtype).contiguous() for name, tensor in named_tensors(model)}
    kind = str(next(iter(tensors.values())).dtype).removeprefix("torch.")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    text = json.dumps(deepseek_config(model.config, kind), indent=2)
    (folder / "config.json").write_text(text + "\n", encoding="utf-8")


def deepseek_config(config: JanusProConfig, dtype: str = "float32") -> dict[str, object]:
    """A configuration as DeepSeek's ``config.json`` has it, every size spelt out."""
    vision, vq, language = config.vision, config.vq, asdict(config.language)

    def part(name: str, cls: str, params: Mapping[str, object]) -> dict[str, object]:
        return {"cls": cls, "model_type": name, "params": params}

    def projector(name: str) -> dict[str, object]:
        sizes = getattr(config, name)
        params = {"depth": sizes.depth, "input_dim": sizes.input_dim, "n_embed": sizes.output_dim}
        return part(name, "MlpProjector", {**params, "projector_type": "mlp_gelu"})

    sizes: dict[str, object] = {
        "image_size": vision.image_size,
        "width": vision.width,
        "layers": vision.layers,
        "heads": vision.heads,
    }
    sizes |= {"patch_size": vision.patch_size, "mlp_ratio": vision.mlp_ratio}
    codes: dict[str, object] = {"image_token_size": vq.codebook_size, "n_embed": vq.codebook_dim, "ch": vq.channels}
    codes |= {"encoder_ch_mult": list(vq.encoder_multipliers), "decoder_ch_mult": list(vq.decoder_multipliers)}
    codes |= {"z_channels": vq.latent_channels, "num_res_blocks": vq.res_blocks, "norm_groups": vq.norm_groups}
    head = {"image_token_embed": config.gen_head_width, "image_token_size": vq.codebook_size}
    named = {"model_name": "siglip", "select_feature": "same", "select_layer": -1, **sizes}
    return {
        "model_type": "multi_modality",
        "architectures": ["MultiModalityCausalLM"],
        "torch_dtype": dtype,
        "vision_config": part("vision", "CLIPVisionTower", named),
        "aligner_config": projector("aligner"),
        "gen_vision_config": part("gen_vision", "VQ-16", codes),
        "gen_aligner_config": projector("gen_aligner"),
        "gen_head_config": part("gen_head", "vision_head", {**head, "n_embed": config.language.hidden_size}),
        "language_config": {"model_type": "llama", "torch_dtype": dtype, **language},
    }


def _refuse_mismatch(checkpoint: Checkpoint, layout: Format, pieces: Mapping[str, Piece]) -> None:
    found: dict[str, tuple[int, ...]] = {}
    for name, shape in checkpoint.shapes().items():
        if (known := layout.wanted(name)) is not None:
            found[known] = shape
    problems = []
    if missing := [name for name in pieces if name not in found]:
        problems.append(f"{len(missing)} of {len(pieces)} tensors are missing: {_some(missing)}")
    if unknown := [name for name in found if name not in pieces]:
        problems.append(f"{len(unknown)} are unknown: {_some(unknown)}")
    wrong = [
        f"{name} is {list(found[name])}, expected {list(piece.shape)}"
        for name, piece in pieces.items()
        if name in found and found[name] != piece.shape
    ]
    if wrong:
        problems.append(f"{len(wrong)} have another shape than config.json says: {_some(wrong)}")
    if problems:
        raise UserError(f"{checkpoint.folder}: its weights do not fit. " + "; ".join(problems))


def _some(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f", and {len(names) - most} more" if len(names) > most else "")


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


def _heights(config: JanusProConfig, module: str, parts: int, rows: int) -> tuple[int, ...]:
    """Rows of each part of a fused parameter: equal ones, but for queries beside fewer key and value heads."""
    if re.fullmatch(r"language\.layers\.\d+\.attention\.qkv", module):
        language = config.language
        keys = language.num_key_value_heads * language.head_dim
        return (language.num_attention_heads * language.head_dim, keys, keys)
    return (rows // parts,) * parts


def _digest(tensor: Tensor) -> str:
    found = hashlib.sha256(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
    found.update(tensor.contiguous().view(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()
