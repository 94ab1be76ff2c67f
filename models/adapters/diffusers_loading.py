"""From a repository or folder to a pipeline of diffusers: no code of its own is run, no weight made up, all is hashed.

A folder of diffusers has ``model_index.json``, which names a class of diffusers for the whole and a library and class
for each component, and a folder for each component.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from janus_eval.checkpoint import Checkpoint
from janus_eval.errors import UserError
from janus_eval.models.adapters.diffusers_family import DiffusersSettings
from janus_eval.models.adapters.hf_files import TEXTS, content_hash, fetched, origin, texts, weight_files
from janus_eval.models.parts.loading import known_dtype, usable
from janus_eval.plain import one_line
from janus_eval.plugins import near
from janus_eval.types import JSON

EXAMPLE = "stabilityai/stable-diffusion-xl-base-1.0"
STEMS = ("model", "diffusion_pytorch_model")
DEFAULTS = ("guidance_scale", "num_inference_steps", "max_sequence_length", "true_cfg_scale", "negative_prompt")
"""Arguments whose defaults move numbers and belong to the installed diffusers: part of the fingerprint."""


class Loaded(NamedTuple):
    """``source``: what ``weights`` is the hash of, and what the pipeline does where no setting says otherwise."""

    pipe: Any  # a DiffusionPipeline; each class has a call of its own
    weights: str
    source: dict[str, JSON]


def load_pipeline(source: str, settings: DiffusersSettings, *, device: str, dtype: str) -> Loaded:
    """Fetch, check and load. Raises UserError that says what is wrong with the folder or the settings."""
    place, kind = usable(device), known_dtype(dtype)
    folder = fetched(source, ("model_index.json",), EXAMPLE)
    # Before gigabytes of weights are fetched.
    index = Checkpoint(folder).json("model_index.json")
    pipeline_class, components = described(index, source)
    refuse_unfit(pipeline_class, settings, source)
    if not Path(source).expanduser().is_dir():
        folder = _fetch_components(source, components, settings.variant)
    files = {name: weight_files(folder / name, settings.variant) for name in components}
    if settings.variant and not any(f".{settings.variant}" in path.name for paths in files.values() for path in paths):
        raise UserError(f"{source} has no weights of variant {settings.variant!r}")
    try:
        ready = {
            name: _load_model(folder / name, library, class_name, settings.variant, files[name], kind)
            for name, (library, class_name) in components.items()
            if _is_model(library, class_name) and not (name == "safety_checker" and not settings.safety_checker)
        }
        pipe = _assembled(pipeline_class, folder, ready, index, settings, kind)
        pipe.to(place)
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"diffusers cannot load {source}: {type(error).__name__}: {one_line(error)}") from error
    if settings.scheduler:
        pipe.scheduler = _scheduler(pipe, settings.scheduler)
    pipe.set_progress_bar_config(disable=True)
    if hasattr(pipe, "vae") and hasattr(pipe.vae, "enable_slicing"):
        pipe.vae.enable_slicing()  # one picture at a time: the same bytes in every batch, the memory of one
    read = [folder / "model_index.json", *(path for name in components for path in texts(folder / name))]
    read += [path for paths in files.values() for path in paths]
    call = inspect.signature(pipeline_class.__call__).parameters
    defaults: dict[str, JSON] = {name: call[name].default for name in DEFAULTS if name in call}
    facts: dict[str, JSON] = {"pipeline": pipeline_class.__name__, "defaults": defaults}
    return Loaded(pipe, content_hash(folder, read, facts), {**origin(source, folder), **facts})


def described(index: Mapping[str, Any], source: str) -> tuple[Any, dict[str, tuple[str, str]]]:
    """The pipeline's class, and library and class of each component. Refuses whatever is not diffusers' own."""
    import diffusers

    _silence()
    name = index.get("_class_name")
    found = getattr(diffusers, name, None) if isinstance(name, str) else None
    if not (isinstance(found, type) and issubclass(found, diffusers.DiffusionPipeline)):
        raise UserError(f"{source}: its pipeline {name!r} is none of diffusers'; code from repositories is not run")
    if getattr(found, "_load_connected_pipes", False):
        raise UserError(f"{source}: {name} is put together from several repositories, which is not supported")
    components: dict[str, tuple[str, str]] = {}
    for component, value in index.items():
        if not isinstance(value, list) or component.startswith("_") or len(value) != 2 or value[0] is None:
            continue
        library, class_name = value
        known = isinstance(library, str) and (
            library in {"diffusers", "transformers"} or hasattr(diffusers.pipelines, library)
        )
        if not known or not isinstance(class_name, str) or not re.fullmatch(r"\w+", component):
            raise UserError(f"{source}: its {component} is {value!r}, neither diffusers' nor transformers': not loaded")
        components[component] = (library, class_name)
    return found, components


def refuse_unfit(pipeline_class: Any, settings: DiffusersSettings, source: str) -> None:
    """Raise UserError for a pipeline that does not draw from a text and a seed, and for settings it hasn't."""
    call = set(inspect.signature(pipeline_class.__call__).parameters)
    name = pipeline_class.__name__
    if not {"prompt", "generator", "output_type"} <= call or {"image", "num_frames"} & call:
        raise UserError(f"{source}: {name} does not draw a picture from a text and a random generator alone")
    wanted = {
        "guidance": ("guidance_scale", settings.guidance),
        "steps": ("num_inference_steps", settings.steps),
        "size": ("height", settings.size),
        "negative_prompt": ("negative_prompt", settings.negative_prompt),
    }
    for setting, (argument, value) in wanted.items():
        if value is not None and argument not in call:
            raise UserError(f"{source}: {name} takes no {argument}; leave the option {setting} away")
    own = {argument for argument, _ in wanted.values()} | {"self", "prompt", "generator", "output_type"}
    own |= {"width", "num_images_per_prompt", "return_dict", "latents"}
    free = sorted(call - own)
    for argument in settings.call:
        if argument not in free:
            raise UserError(f"{source}, call: {name} takes no {argument!r} there{near(argument, free)}")


def _fetch_components(source: str, components: Mapping[str, tuple[str, str]], variant: str | None) -> Path:
    """Texts of all components and one set of weights of each, never code, pickles or other variants."""
    ends = ["", "-?????-of-?????"]
    plain = [f"{stem}{end}.safetensors" for stem in STEMS for end in ends]
    special = [f"{stem}.{variant}{end}.safetensors" for stem in STEMS for end in ends]
    special += [f"{stem}-?????-of-?????.{variant}.safetensors" for stem in STEMS]
    first = [*TEXTS, *(special if variant else plain)]
    folder = fetched(source, ["model_index.json", *(f"{name}/{end}" for name in components for end in first)], EXAMPLE)
    # Tokenizers and schedulers have no weights in either form.
    lacking = [
        name
        for name, (library, class_name) in components.items()
        if variant and _may_have_weights(library, class_name) and not weight_files(folder / name, variant)
    ]
    if lacking:
        folder = fetched(source, [f"{name}/{end}" for name in lacking for end in plain], EXAMPLE)
    return folder


def _class(library: str, class_name: str) -> Any:
    import diffusers
    import transformers

    return getattr({"diffusers": diffusers, "transformers": transformers}[library], class_name, None)


def _may_have_weights(library: str, class_name: str) -> bool:
    return library not in {"diffusers", "transformers"} or _is_model(library, class_name)


def _is_model(library: str, class_name: str) -> bool:
    """Whether a component is loaded here; what is in modules of diffusers' pipelines is left to the pipeline."""
    import torch

    if library not in {"diffusers", "transformers"}:
        return False
    found = _class(library, class_name)
    return isinstance(found, type) and issubclass(found, torch.nn.Module)


def _load_model(folder: Path, library: str, class_name: str, variant: str | None, files: list[Path], dtype: Any) -> Any:
    """One component. Both libraries give what a file lacks random values and a warning: here that is an error."""
    if not files:
        raise UserError(f"{folder} has no weights in safetensors; other formats can hold code and are not read")
    theirs = variant if any(f".{variant}" in path.name for path in files) else None
    named = typed(dtype) if library == "diffusers" else {"dtype": dtype}
    model, info = _class(library, class_name).from_pretrained(
        folder, variant=theirs, use_safetensors=True, local_files_only=True, output_loading_info=True, **named
    )
    if lacking := sorted([*info["missing_keys"], *map(str, info["mismatched_keys"])]):
        raise UserError(f"{folder}: {len(lacking)} tensors are missing or of another shape, as {lacking[0]}")
    return model


def _assembled(
    pipeline_class: Any, folder: Path, ready: dict[str, Any], index: Mapping[str, Any], settings: DiffusersSettings,
    dtype: Any,
) -> Any:  # fmt: skip
    # What a repository leaves out on purpose, as SD3 without its largest text encoder, has to be left out in words.
    ready |= {name: None for name, value in index.items() if value == [None, None]}
    if not settings.safety_checker and "safety_checker" in index:
        ready["safety_checker"] = None
        if "requires_safety_checker" in index:
            ready["requires_safety_checker"] = False
    if "add_watermarker" in inspect.signature(pipeline_class.__init__).parameters:
        ready["add_watermarker"] = False  # else it would depend on whether invisible-watermark is installed
    return pipeline_class.from_pretrained(
        folder, use_safetensors=True, local_files_only=True, trust_remote_code=False, **typed(dtype), **ready
    )


def typed(dtype: Any) -> dict[str, Any]:
    """The dtype under the name that the installed diffusers wants: the older one is deprecated."""
    from diffusers.pipelines import pipeline_utils

    return {"dtype" if hasattr(pipeline_utils, "_resolve_dtype") else "torch_dtype": dtype}


def _scheduler(pipe: Any, name: str) -> Any:
    """Another scheduler with the configuration of the pipeline's own."""
    others = {found.__name__: found for found in pipe.scheduler.compatibles}
    if name not in others:
        own = type(pipe.scheduler).__name__
        raise UserError(f"scheduler {name!r} cannot replace {own}{near(name, list(others))} ({', '.join(others)})")
    return others[name].from_config(pipe.scheduler.config)


def _silence() -> None:
    """Bars and advice for people who write programs; what matters here is said in errors."""
    import diffusers.utils.logging
    import transformers.utils.logging

    for logging in (diffusers.utils.logging, transformers.utils.logging):
        logging.set_verbosity_error()
        logging.disable_progress_bar()
