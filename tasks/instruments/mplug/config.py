"""Sizes of an mPLUG and how it answers, read from the two files of the published folder that state them.

``config.yaml`` has the picture's half and the beam search, the BERT file that it names has the text's half. What a file
leaves out is what ModelScope's code puts there (modelscope at 2905da1, ``configuration_mplug.py``, and BertConfig's own
defaults).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from janus_eval.checkpoint import read_json
from janus_eval.errors import UserError

HEAD = 64
"""Width of one of CLIP's heads."""
MOST = 1 << 16
"""More than any size of a usable model; a number beyond is a damaged file."""


@dataclass(frozen=True)
class VisionSizes:
    """CLIP's picture encoder."""

    resolution: int = 504
    patch: int = 14
    width: int = 1024
    layers: int = 24

    @property
    def heads(self) -> int:
        return self.width // HEAD

    @property
    def tokens(self) -> int:
        """The class token and one a patch."""
        return (self.resolution // self.patch) ** 2 + 1


@dataclass(frozen=True)
class TextSizes:
    """BERT's layers, which read the question, fuse it with the picture, and answer."""

    vocabulary: int = 30522
    width: int = 768
    heads: int = 12
    inner: int = 3072
    positions: int = 512
    types: int = 2
    eps: float = 1e-12
    reading: int = 6
    """Layers that read the question alone."""
    first_fusing: int = 6
    """Number of the first fusing layer that runs: a checkpoint holds those before it too, unused."""
    fusing: int = 6
    """Fusing layers that run."""
    stride: int = 6
    """Every so-many-th fusing layer but the first lets picture and question attend to each other as one sequence."""
    answering: int = 12

    def joint(self, layer: int) -> bool:
        """Whether the fusing layer of this number, from 0, takes both as one sequence."""
        return layer > 0 and layer % self.stride == 0


@dataclass(frozen=True)
class Beams:
    """How an answer is searched for."""

    size: int = 5
    shortest: int = 1
    """Tokens before the one that ends an answer, at least."""
    longest: int = 10
    """Tokens with it, at most."""


@dataclass(frozen=True)
class Config:
    vision: VisionSizes = VisionSizes()
    text: TextSizes = TextSizes()
    beams: Beams = Beams()


def read_config(folder: Path) -> Config:
    """What the folder's files say. Raises UserError for a file that is missing, and a number that is impossible."""
    picture = _Table(_yaml(folder / "config.yaml"), folder / "config.yaml")
    name = picture.values.get("bert_config", "config_bert.json")
    if not isinstance(name, str) or ".." in Path(name).parts or Path(name).is_absolute():
        raise UserError(f"{picture.path}: bert_config is {name!r}, expected the name of a file in the same folder")
    path = folder / name
    _there(path)
    raw = read_json(path)
    if not isinstance(raw, Mapping):
        raise UserError(f"{path} holds a JSON {type(raw).__name__}, expected an object")
    return Config(_vision(picture), _text(_Table(raw, path)), _beams(picture))


class _Table:
    """One file's values, read with suspicion."""

    def __init__(self, values: Mapping[str, Any], path: Path) -> None:
        self.values = values
        self.path = path

    def count(self, key: str, default: int | None = None, *, least: int = 1) -> int:
        """A whole number from ``least``; where there is no default, the key must be there."""
        value = self.values.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= MOST:
            raise UserError(f"{self.path}: {key} is {value!r}, expected a whole number from {least} to {MOST}")
        return value

    def small(self, key: str, default: float) -> float:
        value = self.values.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
            raise UserError(f"{self.path}: {key} is {value!r}, expected a number between 0 and 1")
        return float(value)

    def expect(self, key: str, wanted: object) -> None:
        value = self.values.get(key, wanted)
        if value != wanted:
            raise UserError(f"{self.path}: {key} is {value!r}, only {wanted!r} is known here")

    def divisible(self, key: str, value: int, by: int, what: str) -> None:
        if value % by:
            raise UserError(f"{self.path}: {key} is {value}, expected a multiple of {by} ({what})")


def _vision(table: _Table) -> VisionSizes:
    sizes = VisionSizes(
        table.count("image_res", VisionSizes.resolution),
        table.count("clip_vision_patch_size", VisionSizes.patch),
        table.count("clip_vision_width", VisionSizes.width),
        table.count("clip_vision_layers", VisionSizes.layers),
    )
    table.divisible("clip_vision_width", sizes.width, HEAD, "CLIP's heads")
    table.divisible("image_res", sizes.resolution, sizes.patch, "the patches' side")
    # ModelScope decides by this other key whether features are projected to the text's width.
    table.expect("vision_width", sizes.width)
    return sizes


def _text(table: _Table) -> TextSizes:
    layers, fusing = table.count("num_hidden_layers", 12), table.count("fusion_layers")
    sizes = TextSizes(
        table.count("vocab_size", TextSizes.vocabulary),
        table.count("hidden_size", TextSizes.width),
        table.count("num_attention_heads", TextSizes.heads),
        table.count("intermediate_size", TextSizes.inner),
        table.count("max_position_embeddings", TextSizes.positions),
        table.count("type_vocab_size", TextSizes.types),
        table.small("layer_norm_eps", TextSizes.eps),
        reading=table.count("text_encoder_layers"),
        first_fusing=max(0, layers - fusing),
        fusing=min(layers, fusing),
        stride=table.count("stride_layer", 100),
        answering=table.count("text_decode_layers"),
    )
    table.divisible("hidden_size", sizes.width, sizes.heads, "attention heads")
    table.expect("encoder_width", sizes.width)
    table.expect("hidden_act", "gelu")
    table.expect("position_embedding_type", "absolute")
    return sizes


def _beams(table: _Table) -> Beams:
    return Beams(
        table.count("beam_size", Beams.size),
        table.count("min_length", Beams.shortest, least=0),
        table.count("max_length", Beams.longest),
    )


def _yaml(path: Path) -> Mapping[str, Any]:
    import yaml

    _there(path)
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path} is no valid YAML ({' '.join(str(error).split())})") from error
    if not isinstance(found, dict):
        raise UserError(f"{path} holds a YAML {type(found).__name__}, expected a table of settings")
    return found


def _there(path: Path) -> None:
    if not path.is_file():
        raise UserError(f"{path.parent} has no {path.name}: a folder as ModelScope lays it out is expected")
