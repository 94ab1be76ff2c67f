"""Checkpoint folders: found or fetched, their JSON read with suspicion, their tensors handed out one at a time."""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from janus_eval.errors import AbsentError, UserError

if TYPE_CHECKING:
    import torch

WEIGHT_NAMES = ("model.safetensors", "pytorch_model.bin")
"""Names of a whole file of weights, preferred first; ``NAME.index.json`` beside it announces shards."""

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@[\w./-]+)?")
_AGAIN = "fetch it again"


@dataclass(frozen=True)
class Checkpoint:
    """A folder with ``config.json``, weights (the first of ``names`` that is there) and what a processor needs."""

    folder: Path
    names: tuple[str, ...] = WEIGHT_NAMES

    def json(self, name: str) -> dict[str, Any]:
        """A JSON object of the folder. Raises UserError where it is absent, broken or no object."""
        path = self.folder / name
        if not path.is_file():
            raise UserError(f"{self.folder} has no {name}: a checkpoint is a folder as its publisher laid it out")
        found = read_json(path)
        if not isinstance(found, dict):
            raise UserError(f"{path} holds a JSON {type(found).__name__}, expected an object: {_AGAIN}")
        return found

    def optional_json(self, name: str) -> dict[str, Any]:
        """As ``json``, but an absent file is an empty object."""
        return self.json(name) if (self.folder / name).is_file() else {}

    @cached_property
    def weight_files(self) -> tuple[Path, ...]:
        """The files that hold the weights, in reading order. Raises UserError where one is missing."""
        for name in self.names:
            if (self.folder / name).is_file():
                return (self.folder / name,)
            if (self.folder / f"{name}.index.json").is_file():
                return self._shards(f"{name}.index.json")
        raise UserError(
            f"{self.folder} has no weights: expected one of {', '.join(self.names)}, or their .index.json and shards"
        )

    def _shards(self, index: str) -> tuple[Path, ...]:
        table = self.json(index).get("weight_map")
        if not isinstance(table, dict) or not all(isinstance(file, str) for file in table.values()) or not table:
            raise UserError(f"{self.folder / index} has no weight_map of tensor names to file names: {_AGAIN}")
        names = sorted(set(table.values()))
        if outside := [name for name in names if Path(name).name != name]:
            raise UserError(f"{self.folder / index} points outside its folder ({outside[0]!r}): not read")
        if missing := [name for name in names if not (self.folder / name).is_file()]:
            raise UserError(
                f"{self.folder} lacks {len(missing)} of the {len(names)} weight files in {index}: "
                f"{', '.join(missing[:3])}{', ...' if len(missing) > 3 else ''}; fetch them"
            )
        return tuple(self.folder / name for name in names)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of all tensors, read from the files' headers."""
        shapes: dict[str, tuple[int, ...]] = {}
        for path in self.weight_files:
            for name, shape in _shapes(path):
                if name in shapes:
                    raise UserError(f"{path} holds {name!r}, which another weight file of the folder holds too")
                shapes[name] = shape
        return shapes

    def tensors(self) -> Iterator[tuple[str, torch.Tensor]]:
        """All tensors, file by file; each is memory-mapped, so that no more than one needs to be in memory."""
        for path in self.weight_files:
            yield from _tensors(path)


def open_checkpoint(
    source: str,
    names: tuple[str, ...] = WEIGHT_NAMES,
    patterns: tuple[str, ...] = ("*.safetensors", "pytorch_model*.bin"),
) -> Checkpoint:
    """A folder, or a Hugging Face id ``org/name`` (``org/name@revision``), which is fetched into the local cache.

    ``patterns``: which weights to fetch, preferred first. Raises UserError where there is no such folder, or the hub
    does not deliver.
    """
    folder = Path(source).expanduser()
    if folder.is_dir():
        return Checkpoint(folder, names)
    if folder.exists():
        raise UserError(f"{source} is a file; a checkpoint is a folder with config.json and weights")
    if not _HUB_ID.fullmatch(source):
        raise UserError(f"no folder {source}, and it is no Hugging Face id (org/name)")
    return Checkpoint(_fetch(source, patterns), names)


def _fetch(source: str, patterns: tuple[str, ...]) -> Path:
    from huggingface_hub import snapshot_download

    name, _, revision = source.partition("@")
    try:
        for pattern in patterns:
            # Both formats lie in many repositories; the second is only fetched where the first is not there.
            found = snapshot_download(name, revision=revision or None, allow_patterns=["*.json", pattern])
            if any(Path(found).glob(pattern)):
                break
        return Path(found)
    except Exception as error:  # the hub's client has had three network libraries, each with errors of its own
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise AbsentError(
            f"no folder {source}, and the Hugging Face hub did not deliver it ({reason}); "
            "check the name and the network, or give the folder of a copy"
        ) from error


def read_json(path: Path) -> Any:
    """Parse a JSON file. Raises UserError that says what the file is instead."""
    _refuse_impostors(path)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is no valid JSON ({error}): {_AGAIN}") from error


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """All tensors of one file by name. Raises UserError that says what is wrong with it."""
    for _ in _shapes(path):
        pass  # reading the whole header is what finds a truncated file
    return dict(_tensors(path))


def misfits(
    expected: Mapping[str, Sequence[int]], found: Mapping[str, Sequence[int]], reshaped: str = "are of another shape"
) -> list[str]:
    """What is wrong with a checkpoint's tensors, by their shapes: missing, unknown, ``reshaped``; empty if all fit."""
    problems = []
    if missing := [name for name in expected if name not in found]:
        problems.append(f"{len(missing)} of {len(expected)} tensors are missing: {some(missing)}")
    if unknown := [name for name in found if name not in expected]:
        problems.append(f"{len(unknown)} are unknown: {some(unknown)}")
    if wrong := [
        f"{name} is {list(found[name])}, expected {list(shape)}"
        for name, shape in expected.items()
        if name in found and tuple(found[name]) != tuple(shape)
    ]:
        problems.append(f"{len(wrong)} {reshaped}: {some(wrong)}")
    return problems


def some(names: Sequence[str], most: int = 5) -> str:
    """The first of many names, and how many more there are."""
    return ", ".join(names[:most]) + (f", and {len(names) - most} more" if len(names) > most else "")


def _refuse_impostors(path: Path) -> bytes:
    """The first bytes of a file, once it is sure that it is not empty and not a stand-in for the real one."""
    with path.open("rb") as file:
        head = file.read(64)
    if not head:
        raise UserError(f"{path} is empty: {_AGAIN}")
    if head.startswith(b"version https://git-lfs"):
        raise UserError(f"{path} is a Git LFS pointer, not the file itself: run `git lfs pull` in its folder")
    if head.lstrip().lower().startswith((b"<!doctype", b"<html")):
        raise UserError(f"{path} is a web page, not the file itself: {_AGAIN} by its download link")
    return head


def _is_safetensors(path: Path) -> bool:
    """Decide by content, so that a mislabelled file is named for what it is."""
    head = _refuse_impostors(path)
    # A safetensors file is the length of its header, eight bytes, then the header, a JSON object.
    headed = head[8:9] == b"{"
    pickled = not headed and head.startswith((b"PK\x03\x04", b"\x80"))
    if path.suffix == ".safetensors" and pickled:
        raise UserError(f"{path} is a PyTorch pickle under a .safetensors name: rename it to pytorch_model.bin")
    if path.suffix != ".safetensors" and headed:
        raise UserError(f"{path} is a safetensors file under a PyTorch name: rename it to model.safetensors")
    if path.suffix != ".safetensors" and not pickled:
        raise UserError(f"{path} is no PyTorch file (starts with {head[:8]!r}): {_AGAIN}")
    return path.suffix == ".safetensors"


def _shapes(path: Path) -> Iterator[tuple[str, tuple[int, ...]]]:
    if not _is_safetensors(path):
        for name, tensor in _unpickle(path).items():
            yield name, tuple(tensor.shape)
        return
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 - a safetensors file is no mapping
                yield name, tuple(file.get_slice(name).get_shape())
    except SafetensorError as error:
        size = path.stat().st_size
        raise UserError(f"{path} is truncated or damaged ({error}; {size:,} bytes): {_AGAIN}") from error


def _tensors(path: Path) -> Iterator[tuple[str, torch.Tensor]]:
    if not _is_safetensors(path):
        yield from _unpickle(path).items()
        return
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        for name in file.keys():  # noqa: SIM118
            yield name, file.get_tensor(name)


def _unpickle(path: Path) -> dict[str, torch.Tensor]:
    """A PyTorch file as a table of tensors; nothing in it is executed.

    Training frameworks put the table under ``state_dict``, beside notes on the training, which are not looked at.
    """
    import torch

    with path.open("rb") as file:
        zipped = file.read(4) == b"PK\x03\x04"  # files older than torch 1.6 are no archives and can't be mapped
    try:
        found = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped or None)
    except pickle.UnpicklingError as error:
        if "weights_only" in str(error) or "Weights only" in str(error):
            raise UserError(
                f"{path} holds pickled objects other than tensors, which could run code: not loaded. "
                "Use the publisher's safetensors files, or convert it where you trust it"
            ) from error
        raise UserError(f"{path} is truncated or damaged ({error}): {_AGAIN}") from error
    except (RuntimeError, EOFError, OSError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        size = path.stat().st_size
        raise UserError(f"{path} is truncated or damaged ({reason}; {size:,} bytes): {_AGAIN}") from error
    if isinstance(found, dict) and isinstance(found.get("state_dict"), dict):
        found = found["state_dict"]
    if not isinstance(found, dict) or not all(isinstance(value, torch.Tensor) for value in found.values()):
        raise UserError(f"{path} is no table of tensor names to tensors: expected the weights alone")
    return found
