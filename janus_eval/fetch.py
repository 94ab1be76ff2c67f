"""A published file into the data folder: from the network or from another folder, checked before it gets its name."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

from janus_eval import datasets
from janus_eval.archives import unpack
from janus_eval.datasets import Dataset, File
from janus_eval.disk import locked, writing
from janus_eval.download import Patience, Watch, download, marker
from janus_eval.errors import UserError


class Fetched(NamedTuple):
    path: Path
    new: bool
    """False where the right file was there already."""


def fetch(
    dataset: Dataset,
    file: File,
    *,
    data: Path | None = None,
    patience: Patience = Patience(),  # noqa: B008 - a NamedTuple cannot change
    watch: Watch = lambda done, total: None,
) -> Fetched:
    """Bring one file of a data set into the data folder (``datasets.root``), from the folder ``data`` if one is given.

    It gets its name in one step, once its checksum fits; what a broken connection or a killed process leaves has
    another name, and the next call goes on from it. Raises UserError for whatever goes wrong; content with another
    checksum is removed.
    """
    folder = datasets.root() / dataset.name
    target = folder / file.name
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with locked(folder, "wait for it"):
        if target.exists() and not datasets.unlike(target, file):
            return Fetched(target, False)
        part = folder / f".{file.name}.part"
        if data is not None:
            _copy(dataset, file, data, part)
        elif file.inside:
            _download_folder(file, part, patience, watch)
        else:
            _download_file(file, part, patience, watch)
        fault = datasets.unlike(part, file)
        if fault:
            _remove(part)
            raise UserError(
                f"{file.url if data is None else data} gave another {file.name} than was published ({fault}); it was "
                "removed. Its publisher may have changed it, or something on the way did"
            )
        with writing(target):
            _remove(target)
            part.replace(target)
            marker(part).unlink(missing_ok=True)
    return Fetched(target, True)


def _download_file(file: File, part: Path, patience: Patience, watch: Watch) -> None:
    begun = part.exists()
    if begun and not datasets.unlike(part, file):
        return  # it was killed before the last step
    download(file.url, part, size=file.size, patience=patience, watch=watch)
    if begun and datasets.unlike(part, file):  # what lay there may have been the beginning of another version
        _remove(part)
        download(file.url, part, size=file.size, patience=patience, watch=watch)


def _download_folder(file: File, part: Path, patience: Patience, watch: Watch) -> None:
    """A zip is worth nothing once unpacked: what counts is the checksum of the folder."""
    archive = part.with_name(f".{file.name}.zip.part")
    download(file.url, archive, size=file.size, patience=patience, watch=watch)
    try:
        _remove(part)  # what a killed process unpacked
        unpack(archive, file.inside, part)
    except UserError:
        _remove(part)
        raise
    finally:
        _remove(archive)


def _copy(dataset: Dataset, file: File, data: Path, part: Path) -> None:
    places = list(datasets.places(dataset, file, data))
    source = next((place for place in places if place.exists()), None)
    if source is None:
        raise UserError(f"--data {data} holds neither {places[0].relative_to(data)} nor {file.name}")
    fault = datasets.unlike(source, file)  # before anything is copied: it may be a whole disk
    if fault:
        raise UserError(f"{source} is not the published {file.name} ({fault})")
    with writing(part):
        _remove(part)
        if source.is_dir():
            shutil.copytree(source, part)
        else:
            shutil.copyfile(source, part)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
