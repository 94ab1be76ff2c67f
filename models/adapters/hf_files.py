"""Folders and Hugging Face repositories for other libraries' models: fetched without code, refused in words, hashed."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from janus_eval.checkpoint import Checkpoint
from janus_eval.errors import AbsentError, UserError
from janus_eval.plain import one_line

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@[\w./-]+)?")
_WEIGHTS = re.compile(
    r"(model|diffusion_pytorch_model)(\.(?P<variant>\w+))?(-\d{5}-of-\d{5})?(\.(?P<old>\w+))?\.safetensors"
)
TEXTS = ("*.json", "*.txt", "*.model", "*.jinja")
"""What tokenizers, processors and schedulers are made of. Nothing with code in it is ever fetched."""


def fetched(source: str, patterns: Sequence[str], example: str) -> Path:
    """A folder, or what ``patterns`` name of a repository ``org/name`` (``org/name@revision``), in the local cache.

    Raises UserError where it is neither, AbsentError where the hub does not deliver it.
    """
    folder = Path(source).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists():
        raise UserError(f"{source} is a file; expected a folder or a Hugging Face id, such as {example}")
    if not _HUB_ID.fullmatch(source):
        raise UserError(f"no folder {source}, and it is no Hugging Face id (org/name), such as {example}")
    from huggingface_hub import snapshot_download

    name, _, revision = source.partition("@")
    try:
        return Path(snapshot_download(name, revision=revision or None, allow_patterns=list(patterns)))
    except Exception as error:  # the hub's client has had three network libraries, each with errors of its own
        raise AbsentError(f"no folder {source}, and {refusal(error, name, revision)}") from error


def origin(source: str, folder: Path) -> dict[str, str]:
    """Repository and commit of what ``fetched`` found of a source; nothing for a folder."""
    local = Path(source).expanduser().is_dir()
    # The hub's cache names a snapshot's folder by its commit.
    return {} if local else {"repository": source.partition("@")[0], "revision": folder.name}


def named(source: str | None, fallback: str) -> str:
    """What reports call a model: the last part of its repository's or folder's name."""
    return Path((source or "").partition("@")[0]).expanduser().resolve().name if source else fallback


def refusal(error: Exception, name: str, revision: str = "") -> str:
    """Why the hub did not deliver, and what helps."""
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):  # before its parent, which says that there is none
        return (
            f"https://huggingface.co/{name} is gated: accept its terms there, then log in (hf auth login, or the "
            "environment variable HF_TOKEN)"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return f"https://huggingface.co/{name} has no revision {revision!r}"
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"the Hugging Face hub has no {name}, or it is private and you are not logged in; check the name"
    return (
        f"the Hugging Face hub did not deliver it ({one_line(error, 200) or type(error).__name__}); "
        "check the network, or give the folder of a copy"
    )


def weight_files(folder: Path, variant: str | None = None) -> list[Path]:
    """The files of weights that are read of a folder: the variant's if it has such, else those without one.

    Raises UserError for one that is truncated, a Git LFS pointer, a web page or anything else than it is named.
    """
    named: dict[str | None, list[Path]] = {}
    for path in sorted(folder.glob("*.safetensors")):
        if match := _WEIGHTS.fullmatch(path.name):
            named.setdefault(match["variant"] or match["old"], []).append(path)
    found = (named.get(variant) if variant else None) or named.get(None, [])
    for path in found:
        Checkpoint(folder, names=(path.name,)).shapes()
    return found


def content_hash(root: Path, files: Iterable[Path], *facts: Any) -> str:
    """SHA-256 of files, by their paths under ``root`` and their bytes, and of further facts that move a number."""
    with ThreadPoolExecutor(4) as pool:  # hashlib lets others run while it hashes
        paths = sorted(set(files))
        names = [path.relative_to(root).as_posix() for path in paths]
        table = dict(zip(names, pool.map(_hash, paths), strict=True))
    return hashlib.sha256(json.dumps([table, facts], sort_keys=True).encode()).hexdigest()


def texts(folder: Path) -> list[Path]:
    """Configuration, tokenizer and preprocessing files of a folder, without those below it."""
    return [path for pattern in TEXTS for path in folder.glob(pattern)]


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
