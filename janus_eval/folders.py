"""Pictures that were drawn elsewhere, as a model that has them ready."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from janus_eval import plugins
from janus_eval.errors import UserError
from janus_eval.pictures import Picture, held
from janus_eval.plan import Choice
from janus_eval.runner import Subject
from janus_eval.seams import Contents, Layout
from janus_eval.specs import offered
from janus_eval.types import Drawing, Failure, Response


@dataclass(frozen=True)
class Drawn:
    """Stands where a model would: each drawing that is asked for lies there already, or fails."""

    pictures: Mapping[tuple[str, int], Picture]
    weights: str

    def draw(self, drawings: Sequence[Drawing]) -> list[Response | Failure]:
        return [
            Response(image=held(self.pictures[drawing.key[1:]]))
            if drawing.key[1:] in self.pictures
            else Failure("the folder has no usable picture")
            for drawing in drawings
        ]


def layout_of(task: Any) -> Layout:
    """The official layout of a task's pictures. Raises UserError for a task that has none."""
    layout: Layout | None = getattr(task, "layout", None)
    if layout is None:
        able = [name for name in plugins.names("tasks") if getattr(offered("tasks", name), "layout", None) is not None]
        raise UserError(f"task {task.name!r} has no layout of picture folders (these have: {', '.join(able)})")
    return layout


def with_images(choice: Choice, images: int | None) -> Choice:
    """The protocol with another number of pictures a prompt, if one is given."""
    if images is None:
        return choice
    ask = {**choice.protocol.ask, "images_per_prompt": images}
    return Choice(choice.task, replace(choice.protocol, ask=ask))


def read_folder(folder: Path, choice: Choice) -> Contents:
    """The pictures of a folder by sample and index, with all its faults. Raises UserError for what is no folder."""
    if not folder.is_dir():
        raise UserError(f"no folder {folder}; pictures in the layout of {layout_of(choice.task).name} are expected")
    samples = choice.task.samples(choice.protocol.ask)
    return layout_of(choice.task).read(folder, samples, int(str(choice.protocol.ask["images_per_prompt"])))


def subject_of(name: str, contents: Contents) -> Subject:
    """Its ``weights`` are the pictures themselves: others are another subject."""
    digests = sorted([*key, picture.digest] for key, picture in contents.pictures.items())
    identity = hashlib.sha256(json.dumps(digests).encode()).hexdigest()
    return Subject(name, Drawn(contents.pictures, identity), frozenset({"draw"}), {})
