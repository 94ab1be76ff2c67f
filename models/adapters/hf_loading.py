"""From a repository or folder to a model and processor of transformers: no code is run from it, no weight made up."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from janus_eval.checkpoint import Checkpoint
from janus_eval.errors import UserError
from janus_eval.models.adapters.hf_family import HFSettings
from janus_eval.models.adapters.hf_files import TEXTS, content_hash, fetched, origin, texts
from janus_eval.models.parts.loading import known_dtype, usable
from janus_eval.plain import one_line
from janus_eval.types import JSON

EXAMPLE = "llava-hf/llava-1.5-7b-hf"
WEIGHTS = ("model.safetensors", "model-?????-of-?????.safetensors")
KEPT = ("bos_token_id", "eos_token_id", "pad_token_id", "suppress_tokens")
"""What stays of a checkpoint's generation settings: where an answer ends, and what is no text at all."""


class Loaded(NamedTuple):
    """``source``: what ``weights`` is the hash of."""

    model: Any  # transformers' own classes, without a common type for what is used here
    processor: Any
    weights: str
    source: dict[str, JSON]


def load_model(source: str, settings: HFSettings, *, device: str, dtype: str) -> Loaded:
    """Fetch, check and load. Raises UserError that says what is wrong with the folder or the settings."""
    import transformers

    auto: Any = transformers.AutoModelForImageTextToText  # typed as if it gave a model alone
    _silence()
    place, kind = usable(device), known_dtype(dtype)
    folder = fetched(source, TEXTS, EXAMPLE)
    config = _config(source, folder)  # before gigabytes of weights are fetched
    processor = _processor(source, folder)
    if not Path(source).expanduser().is_dir():
        folder = fetched(source, (*TEXTS, *WEIGHTS), EXAMPLE)
    checkpoint = Checkpoint(folder, ("model.safetensors",))
    checkpoint.shapes()
    try:
        model, info = auto.from_pretrained(
            folder, config=config, dtype=kind, attn_implementation=settings.attention, use_safetensors=True,
            local_files_only=True, trust_remote_code=False, output_loading_info=True,
        )  # fmt: skip
        model = model.to(place).eval().requires_grad_(False)
    except Exception as error:
        raise UserError(f"transformers cannot load {source}: {type(error).__name__}: {one_line(error)}") from error
    # The library gives what the files lack random values and a warning.
    if lacking := sorted([*info["missing_keys"], *map(str, info["mismatched_keys"])]):
        raise UserError(f"{folder}: {len(lacking)} tensors are missing or of another shape, as {lacking[0]}")
    _plain_generation(model)
    facts: dict[str, JSON] = {
        "model": type(model).__name__,
        "processor": type(processor).__name__,
        "image_processor": type(processor.image_processor).__name__,  # there are fast and slow ones: other pixels
    }
    weights = content_hash(folder, [*texts(folder), *checkpoint.weight_files], facts)
    return Loaded(model, processor, weights, {**origin(source, folder), **facts})


def _config(source: str, folder: Path) -> Any:
    from transformers import AutoConfig, AutoModelForImageTextToText

    raw = Checkpoint(folder).json("config.json")
    kind = raw.get("model_type")
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:
        if "auto_map" in raw:
            raise UserError(
                f"{source} brings code of its own (trust_remote_code), which is not run; "
                "serve it behind an OpenAI-compatible server and use openai:MODEL@URL"
            ) from error
        raise UserError(f"transformers cannot read {source}'s config.json: {one_line(error, 300)}") from error
    if type(config) not in AutoModelForImageTextToText._model_mapping or config.is_encoder_decoder:
        raise UserError(f"{source} is a {kind}, no image-text-to-text model that transformers has")
    return config


def _processor(source: str, folder: Path) -> Any:
    import transformers

    auto: Any = transformers.AutoProcessor
    try:
        processor = auto.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:
        raise UserError(f"transformers cannot load {source}'s processor: {one_line(error, 300)}") from error
    if not hasattr(processor, "image_processor") or not hasattr(processor, "tokenizer"):
        raise UserError(f"{source} has no processor of images and texts, only a {type(processor).__name__}")
    if not (processor.chat_template or processor.tokenizer.chat_template):
        raise UserError(f"{source} has no chat template: nobody said how its model is spoken to")
    if processor.tokenizer.pad_token is None:
        processor.tokenizer.pad_token = processor.tokenizer.eos_token
    return processor


def _plain_generation(model: Any) -> None:
    """Greedy, whatever the checkpoint recommends: sampling, penalties and beams are settings of ours or none."""
    import transformers

    config: Any = transformers.GenerationConfig
    old = model.generation_config
    model.generation_config = config(**{name: getattr(old, name, None) for name in KEPT})


def _silence() -> None:
    import transformers.utils.logging

    logging: Any = transformers.utils.logging
    logging.set_verbosity_error()
    logging.disable_progress_bar()
