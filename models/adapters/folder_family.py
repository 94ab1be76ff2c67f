"""``folder:DIR``: pictures that were drawn elsewhere, as a model that has them ready."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from janus_eval.errors import UserError
from janus_eval.pictures import Picture, held
from janus_eval.plan import Choice, Entry
from janus_eval.seams import Contents
from janus_eval.types import JSON, Capability, Drawing, Failure, RequestKey, Response, Sample

LACKING = "the folder has no usable picture"


class FolderSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    index: str | None = Field(
        None, description="the file in the folder that lists the pictures. None: index.csv, .tsv or .jsonl if there"
    )
    name: str = Field("", exclude=True, description="what reports call it. Empty: the folder's name")


class FolderModel:
    """A folder in a benchmark's own layout or with an index; or one with such a folder for each task, named by it."""

    def __init__(self, folder: Path, settings: FolderSettings) -> None:
        self._folder, self._settings = folder, settings
        self._pictures: dict[RequestKey, Picture] = {}

    @cached_property
    def weights(self) -> str:
        """All files of the folder by their paths: other pictures are another subject."""
        files = sorted(file for file in self._folder.rglob("*") if file.is_file() and not _hidden(file, self._folder))
        parts = [f"{file.relative_to(self._folder).as_posix()} {_digest(file)}\n" for file in files]
        return hashlib.sha256("".join(parts).encode("utf-8", "surrogateescape")).hexdigest()

    @property
    def source(self) -> dict[str, JSON]:
        return {"folder": self._folder.name}

    def prepare(self, entries: Sequence[Entry]) -> list[str]:
        """Read the pictures of all tasks; every fault, and how many were found, in lines. Raises UserError where none
        was."""
        lines: list[str] = []
        for entry in entries:
            contents = self._contents(entry)
            task = entry.task.name
            self._pictures |= {RequestKey(task, *key): picture for key, picture in contents.pictures.items()}
            asked = [request.key for row in entry.asking.requests for request in row]
            found = sum(key in self._pictures for key in asked)
            rest = "" if found == len(asked) else "; the others count as failed"
            lines += [f"{entry}: {fault}" for fault in contents.faults]
            lines.append(f"{entry}: {found:,} of {len(asked):,} pictures found in {self._place(task)}{rest}")
        if not self._pictures:
            faults = [*lines[:3], *(["..."] if len(lines) > 4 else []), *lines[3:][-1:]]
            raise UserError("; ".join([f"{self._folder} has no picture of what is asked for", *faults]))
        return lines

    def _place(self, task: str) -> Path:
        own = self._folder / task
        return own if own.is_dir() else self._folder

    def _contents(self, entry: Entry) -> Contents:
        """The pictures of an entry, with the faults that concern it."""
        every = entry.task.samples(entry.protocol.ask)
        whole = self._read(entry, every)
        if len(entry.asking.samples) == len(every):
            return whole
        # With a limit: what is amiss with prompts that are not asked for shows in one reading and not in the other.
        part = self._read(entry, entry.asking.samples)
        return Contents(part.pictures, [fault for fault in part.faults if fault in set(whole.faults)])

    def _read(self, entry: Entry, samples: Sequence[Sample]) -> Contents:
        from janus_eval.folders import layout_of
        from janus_eval.models.adapters.folder_index import index_of, read

        choice = Choice(entry.task, entry.protocol)
        place = self._place(entry.task.name)
        index = index_of(place, self._settings.index)
        if index is not None:
            return read(index, choice, samples)
        try:
            layout = layout_of(choice.task)
        except UserError as error:
            raise UserError(f"{error}; or list the pictures in an index.csv: {place} has none") from None
        return layout.read(place, samples, int(str(choice.protocol.ask["images_per_prompt"])))

    def draw(self, drawings: Sequence[Drawing]) -> list[Response | Failure]:
        return [
            Response(image=held(self._pictures[drawing.key]), key=drawing.key)
            if drawing.key in self._pictures
            else Failure(LACKING)
            for drawing in drawings
        ]


def _hidden(file: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(folder).parts)


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


class FolderFamily:
    capabilities: frozenset[Capability] = frozenset({"draw"})
    Settings: type[BaseModel] = FolderSettings

    def named(self, checkpoint: str | None, settings: Any) -> str:
        return settings.name or (Path(checkpoint).resolve().name if checkpoint else "folder")

    def load(
        self, checkpoint: str | None, settings: Any, *, device: str = "cpu", dtype: str = "float32"
    ) -> FolderModel:
        """Raises UserError where there is no such folder."""
        if checkpoint is None or not Path(checkpoint).is_dir():
            raise UserError(f"model 'folder': {f'no folder {checkpoint}' if checkpoint else 'expected folder:DIR'}")
        return FolderModel(Path(checkpoint), settings)


folder = FolderFamily()
