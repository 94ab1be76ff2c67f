"""Models by name: ``M[:CHECKPOINT][?k=v&...]``, with options checked by the family's own Settings."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from pydantic import BaseModel, ValidationError

from janus_eval import plugins
from janus_eval.disk import safe_name
from janus_eval.errors import UserError
from janus_eval.fingerprint import digest
from janus_eval.seams import Model, ModelFamily
from janus_eval.types import Capability

DTYPES = ("float32", "bfloat16", "float16")


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What ``--model`` says."""

    name: str
    checkpoint: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> ModelSpec:
        """Raises UserError for anything that is not ``M[:CHECKPOINT][?k=v&...]``."""
        front, _, query = text.partition("?")
        name, _, checkpoint = front.partition(":")
        if not name:
            raise UserError(f"--model {text!r} names no model; expected M[:CHECKPOINT][?k=v&...]")
        return cls(name, checkpoint or None, parse_options(query.split("&") if query else [], f"--model {text!r}"))

    def __str__(self) -> str:
        options = "&".join(f"{key}={value}" for key, value in self.options.items())
        return self.name + (f":{self.checkpoint}" if self.checkpoint else "") + (f"?{options}" if options else "")


def parse_options(pairs: Sequence[str], where: str) -> dict[str, str]:
    """``k=v`` pairs; ``%26`` and the like stand for characters that have a meaning here."""
    options: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise UserError(f"{where}: {pair!r} is no option; expected KEY=VALUE")
        if key in options:
            raise UserError(f"{where}: option {key!r} is given twice")
        options[key] = unquote(value)
    return options


@dataclass(frozen=True)
class Contender:
    """A model that is going to run: its family, and every setting decided, but nothing loaded yet."""

    spec: ModelSpec
    family: ModelFamily
    settings: BaseModel
    device: str = "cpu"
    dtype: str = "float32"

    @property
    def name(self) -> str:
        """What reports call it: as ``--model`` does, unless the family names each of its checkpoints."""
        named = getattr(self.family, "named", None)
        return str(named(self.spec.checkpoint, self.settings)) if named else self.spec.name

    @property
    def capabilities(self) -> frozenset[Capability]:
        """The family's, or what it says of this checkpoint."""
        able = getattr(self.family, "able", None)
        found: frozenset[Capability] = able(self.spec.checkpoint, self.settings) if able else self.family.capabilities
        return found

    @property
    def paid(self) -> bool:
        """Whether its requests cost money, as far as anyone knows before it is loaded."""
        return bool(getattr(self.family, "paid", False))

    @property
    def folder(self) -> str:
        """The run folder's name: the model's, with a short hash where anything differs from the family's defaults."""
        defaults = self.family.Settings().model_dump(mode="json")
        changed: dict[str, Any] = {
            key: value for key, value in self.settings.model_dump(mode="json").items() if value != defaults[key]
        }
        if self.dtype != "float32":
            changed["dtype"] = self.dtype
        if self.spec.checkpoint is not None:
            # The same folder by another path is the same checkpoint.
            path = Path(self.spec.checkpoint)
            changed["checkpoint"] = str(path.resolve()) if path.exists() else self.spec.checkpoint
        # A name that a family gives is told apart by its checkpoint, so it may lose its capitals and spaces.
        named = self.name if self.name == self.spec.name else re.sub(r"[^a-z0-9._-]+", "-", self.name.lower())
        return safe_name(named) + (f"-{digest(changed)[:8]}" if changed else "")

    def load(self) -> Model:
        return self.family.load(self.spec.checkpoint, self.settings, device=self.device, dtype=self.dtype)


def contenders(
    models: Sequence[str | ModelSpec], overrides: Mapping[str, str], *, device: str = "cpu", dtype: str = "float32"
) -> list[Contender]:
    """Everything about the models that can be wrong before one is loaded is found wrong here.

    ``overrides`` (``--set``) reach every model that has the option; what a model's own spec says comes first.
    """
    if dtype not in DTYPES:
        raise UserError(f"unknown dtype {dtype!r}{plugins.near(dtype, list(DTYPES))} (one of {', '.join(DTYPES)})")
    specs = [ModelSpec.parse(model) if isinstance(model, str) else model for model in models]
    families = [offered("models", spec.name) for spec in specs]
    refuse_unknown(overrides, families, "--set")
    found = [
        Contender(spec, family, settings_of(family, options_of(spec, family, overrides), spec.name), device, dtype)
        for spec, family in zip(specs, families, strict=True)
    ]
    folders = [contender.folder for contender in found]
    for place, folder in enumerate(folders):
        if folder in folders[:place]:
            raise UserError(f"model {specs[place].name!r} is given twice with equal options")
    return found


def refuse_unknown(keys: Iterable[str], families: Sequence[ModelFamily], where: str) -> None:
    """Raise UserError for an option that none of the models has."""
    every = sorted({key for family in families for key in family.Settings.model_fields})
    for key in keys:
        if key not in every:
            raise UserError(f"{where} {key}: no model here has this option{plugins.near(key, every)} ({_list(every)})")


def options_of(spec: ModelSpec, family: ModelFamily, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """What overrides and spec say together of the options that the family has; the spec comes first."""
    return {key: value for key, value in overrides.items() if key in family.Settings.model_fields} | dict(spec.options)


SEAMS: Mapping[str, tuple[str, ...]] = {
    "models": ("capabilities", "Settings", "load"),
    "tasks": ("name", "title", "needs", "protocols"),
    "instruments": ("kind", "version", "observe"),
    "suites": ("name", "tasks", "models"),
    "datasets": ("name", "title", "files", "licence", "source"),
}
"""What tells an object of a kind from one that was named by mistake (janus_eval.seams)."""


def offered(kind: str, name: str) -> Any:
    """The object that a name stands for. Raises UserError for an unknown name and for an object that is none.

    A task may be ``NAME:TEXT``: what ``NAME`` makes of the text.
    """
    if kind == "tasks" and ":" in name:
        return _configured_task(*name.split(":", 1))
    found = plugins.load(kind, name)
    try:
        # A plugin may offer an object, or a class or function that makes it.
        found = found() if isinstance(found, type) or re.fullmatch("function", type(found).__name__) else found
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{kind} {name!r} cannot be made: {type(error).__name__}: {error}") from error
    # The class is looked at first: a property such as an instrument's version may need what is not on this machine.
    lacking = [seam for seam in SEAMS[kind] if not hasattr(type(found), seam) and not hasattr(found, seam)]
    if lacking:
        owner = plugins.registry().plugins[kind][name].owner
        raise UserError(f"{kind} {name!r} of {owner} is a {type(found).__name__} without {', '.join(lacking)}")
    return found


def _configured_task(front: str, text: str) -> Any:
    door = offered("tasks", front)
    if not hasattr(door, "configured"):
        raise UserError(f"task {front!r} stands alone, got {front + ':' + text!r}")
    return door.configured(text)


def settings_of(family: ModelFamily, options: Mapping[str, Any], model: str) -> BaseModel:
    """The family's defaults with ``options`` laid over them. Raises UserError for an unknown name or a bad value."""
    known = list(family.Settings.model_fields)
    for key in options:
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise UserError(f"model {model!r} has no option {key!r}{hint} (it has {_list(known)})")
    values = {key: _readable(family.Settings, key, value) for key, value in options.items()}
    try:
        return family.Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "its options"
        got = f", got {first['input']!r}" if first["loc"] else ""
        raise UserError(f"model {model!r}, {where}: {first['msg']}{got}") from error


def _readable(settings: type[BaseModel], key: str, value: Any) -> Any:
    """An option's text as it stands if that is a valid value, else as JSON if that is (null, lists, tables)."""
    if not isinstance(value, str):
        return value
    candidates: list[Any] = [value]
    try:
        decoded = json.loads(value)
    except ValueError:
        pass
    else:
        candidates.insert(0 if decoded is None else 1, decoded)
    for candidate in candidates:
        try:
            settings.model_validate({key: candidate})
        except ValidationError:
            continue
        return candidate
    return value


def _list(names: Sequence[str]) -> str:
    return ", ".join(names) if names else "none"
