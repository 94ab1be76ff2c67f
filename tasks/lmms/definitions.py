"""lmms-eval's task definitions as they lie on the disk: found, read and hashed without importing lmms-eval.

A definition is a YAML file, with others that it includes and Python beside it. lmms-eval's own are those of the
installed version (0.7.3: ``lmms_eval/tasks/__init__.py``, ``utils.load_yaml_config``); the user's own lie in folders.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import importlib.util
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml

from janus_eval import plugins
from janus_eval.datasets import folders
from janus_eval.errors import AbsentError, UserError
from janus_eval.plain import one_line

VARIABLE = "JANUS_EVAL_LMMS_TASKS"
"""The environment variable that names folders with the user's own definitions."""
FOLDER = "lmms-tasks"
"""What such a folder is called in --data and in the data folder."""
ABSENT = "not installed"
INSTALL = "pip install 'janus-eval[lmms]'"
TRIED = "0.7.3"
OLDEST, TOO_NEW = (0, 7, 3), (0, 8)
TOKENS = 1024
"""The longest answer where a definition names none: what most of lmms-eval's own models take then."""
_NAMED = re.compile(r"^(task|group)[ \t]*:[ \t]*([^\n#]*)", re.MULTILINE)
_NO_SCORE = re.compile("submission")


class Loader(yaml.SafeLoader):  # type: ignore[misc]  # no types
    """Takes what stands behind ``!function`` and other tags as text."""


def _text(loader: Loader, tag: str, node: Any) -> str:
    return f"!{tag} {node.value}"


Loader.add_multi_constructor("!", _text)


@dataclass(frozen=True)
class Definition:
    """A task. ``config`` is its YAML with what it includes, ``overrides`` what a group lays over it."""

    name: str
    path: Path
    config: Mapping[str, Any]
    digest: str
    overrides: Mapping[str, Any]

    @property
    def output_type(self) -> str:
        return str(self.config.get("output_type", "generate_until"))

    @property
    def generation(self) -> Mapping[str, Any]:
        found = self.config.get("generation_kwargs")
        return found if isinstance(found, Mapping) else {}

    @property
    def max_new_tokens(self) -> int:
        return int(self.generation.get("max_new_tokens", TOKENS))

    @property
    def stops(self) -> list[str]:
        """Texts that end an answer, where the definition names some. What lmms-eval puts there otherwise, an empty
        line, is nobody's choice, and most of its models pass over it."""
        found = self.generation.get("until")
        return [found] if isinstance(found, str) else [str(stop) for stop in found or ()]

    @property
    def dataset(self) -> str:
        parts = (self.config.get("dataset_path"), self.config.get("dataset_name"))
        return " ".join(str(part) for part in parts if part)

    @property
    def filters(self) -> list[str]:
        found = self.config.get("filter_list")
        return [str(one["name"]) for one in found] if isinstance(found, list) and found else ["none"]

    @property
    def metrics(self) -> list[str]:
        """Names of its metrics, with the filter's where there are several."""
        listed = self.config.get("metric_list") or [{"metric": "acc"}, {"metric": "acc_norm"}]
        names = [str(one["metric"]) for one in listed if isinstance(one, Mapping) and "metric" in one]
        if self.filters == ["none"] or len(self.filters) == 1:
            return names
        return [f"{name},{chosen}" for chosen in self.filters for name in names]

    @property
    def headline(self) -> str:
        """The first metric that is no file for an upload server."""
        return next((name for name in self.metrics if not _NO_SCORE.search(name)), next(iter(self.metrics), ""))

    @property
    def has_judge(self) -> bool:
        """Whether the Python beside it knows lmms-eval's judges."""
        return any(b"llm_judge" in file.read_bytes() for file in self.path.parent.glob("*.py"))

    @property
    def unscored(self) -> bool:
        """Whether all that it makes of answers is a file for an upload server."""
        return all(_NO_SCORE.search(name) for name in self.metrics)

    def refusal(self) -> str:
        """Why it can't be asked here; "" if it can."""
        if self.output_type not in {"generate_until", "multiple_choice"}:
            return f"its output_type is {self.output_type}; generate_until and multiple_choice are asked here"
        if not self.metrics:
            return "its definition names no metric"
        repeats = self.config.get("repeats", 1)
        return f"it asks every question {repeats} times; once is what is asked here" if repeats != 1 else ""


def installed() -> str:
    """lmms-eval's version. Raises AbsentError where there is none, UserError for one whose code is not known here."""
    try:
        found = importlib.metadata.version("lmms_eval")
    except importlib.metadata.PackageNotFoundError:
        raise AbsentError(f"lmms-eval is not installed: {INSTALL}") from None
    numbers = tuple(int(part) for part in re.findall(r"\d+", found)[:3])
    if numbers < OLDEST or numbers[:2] >= TOO_NEW:
        raise UserError(f"lmms-eval {found} is installed; its tasks run here with 0.7.3 or newer below 0.8: {INSTALL}")
    return found


def named(name: str) -> list[Definition]:
    """The definition of a task, or those of a group's tasks. Raises UserError for an unknown or unusable one."""
    installed()
    return _resolved(name, {}, ())


def version_of(name: str) -> str:
    """lmms-eval's version and a digest of all that defines a task; "not installed" where lmms-eval is not."""
    try:
        parts = [one.digest for one in named(name)]
    except AbsentError:
        return ABSENT
    digest = parts[0] if len(parts) == 1 else hashlib.sha256("".join(parts).encode()).hexdigest()[:12]
    return f"{installed()} {digest}"


def group_config(name: str) -> Mapping[str, Any]:
    """What a group's file says; empty for a task."""
    path = _found(name)
    config = read(path) if path is not None else {}
    return config if isinstance(config.get("task"), list) else {}


def _resolved(name: str, overrides: Mapping[str, Any], above: Sequence[str]) -> list[Definition]:
    if name in above:
        raise UserError(f"lmms-eval group {name!r} holds itself")
    path = _found(name)
    if path is None:
        return [one for part in _tagged(name) for one in _resolved(part, overrides, (*above, name))]
    config = read(path)
    if isinstance(config.get("task"), list):
        return list(_members(config["task"], overrides, (*above, name)))
    return [Definition(name, path, {**config, **overrides}, _digest(path, config, overrides), dict(overrides))]


def _members(parts: Sequence[Any], overrides: Mapping[str, Any], above: Sequence[str]) -> Iterator[Definition]:
    """A group's: names, tables that lay something over a task, and groups within it."""
    for part in parts:
        inner = {"task": part} if isinstance(part, str) else dict(part)
        own = inner.pop("task", "")
        if isinstance(own, list):
            yield from _members(own, overrides, above)
        else:
            yield from _resolved(str(own), {**overrides, **inner}, above)


def own_folders() -> list[Path]:
    """Folders with the user's own definitions. Raises UserError where the environment names one that is none."""
    named_folders = [Path(part).expanduser() for part in os.environ.get(VARIABLE, "").split(os.pathsep) if part]
    for folder in named_folders:
        if not folder.is_dir():
            raise UserError(f"{VARIABLE} names {folder}, which is no folder")
    return [*named_folders, *(folder / FOLDER for folder in folders() if (folder / FOLDER).is_dir())]


def library() -> Path:
    """lmms-eval's own task folder."""
    spec = importlib.util.find_spec("lmms_eval")
    if spec is None or not spec.submodule_search_locations:
        raise AbsentError(f"lmms-eval is not installed: {INSTALL}")
    return Path(next(iter(spec.submodule_search_locations))) / "tasks"


def _tables() -> list[dict[str, list[Path]]]:
    folders_in_order = dict.fromkeys([*(path.resolve() for path in own_folders()), library()])
    return [_shipped(folder) if folder == library() else _index(folder) for folder in folders_in_order]


def _found(name: str) -> Path | None:
    """The file that defines a task or a group; None for a tag. Raises UserError for any other name."""
    tables = _tables()
    places = dict.fromkeys(path for table in tables for path in table.get(name, ()))
    if len(places) > 1:
        raise UserError(f"two definitions of lmms-eval task {name!r}: {' and '.join(map(str, list(places)[:2]))}")
    if not places and not _tagged(name):
        near = plugins.near(name, sorted({known for table in tables for known in table}))
        raise UserError(
            f"lmms-eval {installed()} has no task {name!r}{near} (your own: set {VARIABLE} to the folder of its YAML)"
        )
    return next(iter(places), None)


def _tagged(tag: str) -> list[str]:
    """The tasks that name a tag, in the order of their names."""
    if not tag:
        return []
    return sorted(
        name
        for table in _tables()
        for name, paths in table.items()
        if tag in paths[0].read_text("utf-8", "replace") and tag in _tags(read(paths[0]))
    )


def _tags(config: Mapping[str, Any]) -> list[str]:
    found = config.get("tag") or []
    return [found] if isinstance(found, str) else list(found)


@functools.cache
def _shipped(folder: Path) -> dict[str, list[Path]]:
    """As ``_index``; what is installed stays as it is."""
    return _index(folder)


def _index(folder: Path) -> dict[str, list[Path]]:
    """Name -> the files that define it. A template that others include has no name."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*.yaml")):
        try:
            text = path.read_text("utf-8", "replace")
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror}") from error
        heads = {key: value.strip().strip("\"'") for key, value in reversed(_NAMED.findall(text))}
        own = heads.get("task", "")
        name = own if own and not own.startswith(("[", "&", "*")) else heads.get("group", "")
        if name:
            found.setdefault(name, []).append(path)
    return found


def read(path: Path) -> dict[str, Any]:
    """A YAML file with all that it includes. Raises UserError for what is none."""
    try:
        own = yaml.load(path.read_text("utf-8"), Loader)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is no YAML: {one_line(error, 200)}") from error
    if not isinstance(own, dict):
        raise UserError(f"{path} holds no table of keys")
    merged: dict[str, Any] = {}
    for other in included(path, own):
        merged.update(read(other))
    return merged | {key: value for key, value in own.items() if key != "include"}


def included(path: Path, config: Mapping[str, Any]) -> Iterator[Path]:
    """The last one first: what stands before overrides it."""
    listed = config.get("include", [])
    for name in reversed([listed] if isinstance(listed, str) else cast(list[str], listed)):
        yield Path(name) if Path(name).is_file() else path.parent / name


def _digest(path: Path, config: Mapping[str, Any], overrides: Mapping[str, Any]) -> str:
    """Twelve hexadecimal digits of the merged YAML, of the Python beside it and of what a group overrides.

    The YAML without what an installation says of the place where data lie.
    """
    whole = hashlib.sha256(repr([sorted(config.items(), key=str), sorted(overrides.items(), key=str)]).encode())
    for file in sorted(path.parent.glob("*.py")):
        whole.update(f"\0{file.name}\0".encode() + file.read_bytes())
    return whole.hexdigest()[:12]
