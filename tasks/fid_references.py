"""The pictures that drawn ones are held against, as features: computed once, kept in the user's cache folder.

A set lies in ``NAME-KEY/``: one ``GROUP.npy`` of features, float32 ``[N, D]``, for each group of pictures, and
``made.json``, which says what made them. The key is of the pictures' checksum and of the network with its resizing, so
a folder that is copied to another machine serves there without the pictures. Features are kept rather than moments:
they are smaller, give the distance of any group, and let a killed process go on with the next one.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from janus_eval.disk import locked, safe_name, user_folder, write_whole, writing
from janus_eval.errors import UserError
from janus_eval.fingerprint import digest
from janus_eval.pictures import Picture, PictureError
from janus_eval.progress import Display, display
from janus_eval.specs import offered
from janus_eval.tasks.frechet import Features, Gaussian, gaussian, merged

VARIABLE = "JANUS_EVAL_REFERENCES"
"""The environment variable that names the folder of all sets."""


class Album(Protocol):
    """Pictures to compute features of."""

    groups: Mapping[str, Sequence[str]]
    """Group -> names of its pictures."""

    def read(self, name: str) -> Picture: ...


class Opened(Protocol):
    def __call__(self) -> contextlib.AbstractContextManager[Album]: ...


@dataclass(eq=False)
class References:
    """Features of an album as one instrument sees them.

    ``identity``: a checksum of the album, known without it. ``instrument``: its name; it is of kind ``features`` and
    has ``network``, which names what makes them, and ``reference(pictures)``, which gives batches of them.
    """

    name: str
    identity: str
    instrument: str
    album: Opened
    show: Display = field(default_factory=display)

    @property
    def network(self) -> str:
        network: str = self._seer.network
        return network

    @property
    def folder(self) -> Path:
        key = digest([self.identity, self._seer.version])
        return user_folder(VARIABLE, "references") / f"{safe_name(self.name)}-{key}"

    @property
    def kept(self) -> bool:
        """Whether the features are there."""
        return (self.folder / "made.json").is_file()

    def gaussian(self, group: str | None) -> Gaussian:
        """Moments of a group's pictures, or of all for None.

        Computes the features where they are not kept. Raises UserError where the pictures are missing or broken, where
        what is kept is damaged, and for a group that is none of theirs.
        """
        if not self.kept:
            self._make()
        try:
            groups: dict[str, int] = json.loads((self.folder / "made.json").read_bytes())["groups"]
            if group is None:
                return functools.reduce(merged, (self._moments(*part) for part in groups.items()))
            if group in groups:
                return self._moments(group, groups[group])
        except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{self.folder} is damaged ({error}): delete it and run the same command again") from error
        raise UserError(f"the references {self.name} have no group {group!r} (they have {', '.join(groups)})")

    @functools.cached_property
    def _seer(self) -> Any:
        return offered("instruments", self.instrument)

    def _moments(self, group: str, count: int) -> Gaussian:
        """Raises OSError, EOFError or ValueError for a file that is not what was written."""
        features = np.load(self._file(group), allow_pickle=False)
        if features.ndim != 2 or len(features) != count or features.dtype != np.float32:
            raise ValueError(f"{self._file(group).name} has {features.dtype} {features.shape}, {count} rows expected")
        return gaussian(features)

    def _file(self, group: str) -> Path:
        return self.folder / f"{safe_name(group)}.npy"

    def _make(self) -> None:
        if hasattr(self._seer, "prepare"):
            self._seer.prepare()  # before minutes go by over the pictures' checksum
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        with locked(self.folder, "wait for it"), self.album() as album:
            total = sum(map(len, album.groups.values()))
            with self.show.bar(f"references {self.name} ({self.instrument})", total) as advance:
                for group, names in album.groups.items():
                    if self._file(group).is_file():
                        advance(len(names))
                        continue
                    batches = []
                    for batch in self._features(album, names):
                        batches.append(batch)
                        advance(len(batch))
                    self._keep(group, np.concatenate(batches))
            made = {
                "name": self.name,
                "identity": self.identity,
                "instrument": self.instrument,
                "version": self._seer.version,
                "groups": {group: len(names) for group, names in album.groups.items()},
            }
            write_whole(self.folder / "made.json", json.dumps(made, indent=1).encode() + b"\n")

    def _features(self, album: Album, names: Sequence[str]) -> Iterator[Features]:
        reached = ""

        def pictures() -> Iterator[Picture]:
            nonlocal reached
            for name in names:
                reached = name
                yield album.read(name)

        try:
            yield from self._seer.reference(pictures())
        except PictureError as error:
            raise UserError(f"reference picture {reached}: {error}") from error

    def _keep(self, group: str, features: Features) -> None:
        buffer = io.BytesIO()
        np.save(buffer, features, allow_pickle=False)
        write_whole(self._file(group), buffer.getvalue())
