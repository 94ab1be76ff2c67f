"""MJHQ-30K: FID on 30,000 prompts of ten categories, held against Midjourney's pictures of the same prompts.

Two protocols draw the same and look at the pictures in two ways. ``paper`` is GigaGAN's evaluation script, which the
authors of Janus and JanusFlow name; ``clean`` what the benchmark's own page says, clean-fid on pictures as they are.
"""

from __future__ import annotations

import contextlib
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from janus_eval.archives import DAMAGE
from janus_eval.datasets import find
from janus_eval.disk import safe_name
from janus_eval.errors import UserError
from janus_eval.pictures import Picture, PictureError, PictureFile
from janus_eval.seams import Contents
from janus_eval.tasks import datasets
from janus_eval.tasks.fid import FrechetDistance
from janus_eval.tasks.fid_references import References
from janus_eval.types import JSON, Protocol, Sample

CATEGORIES = ("animals", "art", "fashion", "food", "indoor", "landscape", "logo", "people", "plants", "vehicles")
PICTURES = 30_000
PROMPTS, IMAGES = "meta_data.json", "mjhq30k_imgs.zip"
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


def read(path: Path) -> list[Sample]:
    """The prompts of a file of the form of ``meta_data.json``: picture's name -> category and prompt.

    Raises UserError naming the entry for anything else.
    """
    try:
        table = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: {error}") from None
    if not isinstance(table, dict) or not table:
        raise UserError(f"{path}: an object is expected, picture's name -> category and prompt")
    return [_sample(path, name, entry) for name, entry in table.items()]


def _sample(path: Path, name: str, entry: Any) -> Sample:
    prompt, category = (entry.get(key) if isinstance(entry, dict) else None for key in ("prompt", "category"))
    if not isinstance(prompt, str) or not prompt.strip():
        raise UserError(f"{path}, entry {name!r}: no prompt")
    if category not in CATEGORIES:
        raise UserError(f"{path}, entry {name!r}: category {category!r} is none of {', '.join(CATEGORIES)}")
    return Sample(name, {"prompt": prompt}, {}, name, str(category))


class ZipAlbum:
    """The pictures of a zip by category, the folder that each lies in, in order of their names."""

    def __init__(self, archive: zipfile.ZipFile, path: Path) -> None:
        self._archive, self._path = archive, path
        groups: dict[str, list[str]] = {category: [] for category in CATEGORIES}
        for name in sorted(archive.namelist()):
            place = PurePosixPath(name)
            # What macOS adds to a zip has the same names in another folder.
            if place.suffix.lower() in SUFFIXES and place.parent.name in groups and "__MACOSX" not in place.parts:
                groups[place.parent.name].append(name)
        empty = [category for category, names in groups.items() if len(names) < 2]
        if empty:
            raise UserError(f"{path}: fewer than two pictures of {', '.join(empty)}")
        self.groups: Mapping[str, Sequence[str]] = groups

    def read(self, name: str) -> Picture:
        try:
            return Picture(self._archive.read(name))
        except (OSError, RuntimeError, *DAMAGE) as error:  # RuntimeError: it is encrypted
            raise UserError(f"{self._path}, {name}: {error}") from error


class MJHQLayout:
    """``CATEGORY/NAME.png`` (or .jpg): as the published pictures lie in their zip. The name alone counts."""

    name = "mjhq"

    def read(self, folder: Path, samples: Sequence[Sample], images: int) -> Contents:
        contents = Contents({}, [])
        if images != 1:
            contents.faults.append(f"{images} pictures a prompt: this layout has one")
        known = {sample.id for sample in samples}
        for file in sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES):
            where = file.relative_to(folder).as_posix()
            if file.stem not in known:
                contents.faults.append(f"{where}: the benchmark has no prompt {file.stem}")
            elif (file.stem, 0) in contents.pictures:
                contents.faults.append(f"{where}: there is another picture of this prompt")
            else:
                try:
                    picture = PictureFile(file)
                    picture.load()
                except (OSError, PictureError) as error:
                    contents.faults.append(f"{where}: {error}")
                else:
                    contents.pictures[file.stem, 0] = picture
        missing = [sample for sample in samples if (sample.id, 0) not in contents.pictures]
        contents.faults.extend(f"no usable picture of prompt {sample.id} ({sample.category})" for sample in missing)
        return contents

    def write(self, folder: Path, samples: Sequence[Sample], pictures: Mapping[tuple[str, int], Picture]) -> None:
        for sample in samples:
            if (sample.id, 0) in pictures:
                place = folder / sample.category
                place.mkdir(parents=True, exist_ok=True)
                (place / f"{safe_name(sample.id)}.png").write_bytes(pictures[sample.id, 0].data)


@contextlib.contextmanager
def album() -> Iterator[ZipAlbum]:
    """The published pictures. Raises UserError where they are missing, are others, or are no zip."""
    path = find(datasets.mjhq, IMAGES)
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, *DAMAGE) as error:
        raise UserError(f"{path}: {error}") from error
    with archive:
        yield ZipAlbum(archive, path)


def references(judge: Mapping[str, JSON]) -> References:
    return References("mjhq", datasets.mjhq.file(IMAGES).checksum, str(judge["references"]), album)


def _rows(ask: Mapping[str, JSON]) -> Sequence[Sample]:
    rows = read(find(datasets.mjhq, str(ask["file"])))
    if not any(references(protocol.judge).kept for protocol in PROTOCOLS):
        find(datasets.mjhq, IMAGES)  # now, not after 30,000 drawings
    return rows


def _protocol(name: str, instrument: str, note: str) -> Protocol:
    return Protocol(
        name,
        ask={"file": PROMPTS, "images_per_prompt": 1},
        observe={"features": instrument},
        judge={"references": instrument, "pictures": PICTURES},
        note=note,
    )


PROTOCOLS = (
    _protocol("paper", "inception-256", "GigaGAN's script, as Janus and JanusFlow: middles at 256 px, then clean-fid"),
    _protocol("clean", "inception", "the benchmark's page: clean-fid on the pictures as they are"),
)
mjhq_fid = FrechetDistance(
    "mjhq-fid",
    "FID on MJHQ-30K, less is better",
    _rows,
    {protocol.name: protocol for protocol in PROTOCOLS},
    references,
    CATEGORIES,
    MJHQLayout(),
)
