"""Where training examples come from: a JSONL file of images and texts, or the embedded world of shapes.

An example is a function of (kind, index) alone, so that a run that was killed meets the very examples that it would
have met.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

import numpy as np
from PIL import Image

from janus_eval.errors import UserError
from janus_eval.pictures import Picture, PictureError

if TYPE_CHECKING:
    from janus_eval.tasks.shapes.curriculum import Conversation
    from janus_eval.tasks.shapes.patches import PatchExample

Kind: TypeAlias = Literal["understanding", "text", "generation"]
KINDS: tuple[Kind, ...] = ("understanding", "text", "generation")


@dataclass(frozen=True)
class Example:
    """One example of any kind.

    understanding: ``image`` and ``turns`` (question, answer); text: ``text``; generation: ``image`` and ``prompt``.
    """

    image: Image.Image | None = None
    turns: tuple[tuple[str, str], ...] = ()
    text: str = ""
    prompt: str = ""


class Source(Protocol):
    def example(self, kind: Kind, index: int) -> Example:
        """Example ``index`` (0, 1, 2, ... without end) of a kind."""
        ...

    def kinds(self) -> frozenset[Kind]:
        """The kinds this source has."""
        ...

    def speaking(self, conversation: Conversation) -> Source:
        """The same source with a stage's way of talking about pictures, where it has several."""
        ...


class ShapesSource:
    """The embedded world: endless, drawn as it is asked for, never the same seed as any benchmark sample."""

    def __init__(self, seed: int, conversation: Conversation = "asked") -> None:
        self.seed, self.conversation = seed, conversation

    def kinds(self) -> frozenset[Kind]:
        return frozenset(KINDS)

    def speaking(self, conversation: Conversation) -> ShapesSource:
        return ShapesSource(self.seed, conversation)

    def patches(self, index: int, grid: int) -> PatchExample:
        """Picture ``index`` with what each of its patches shows; only a world that is drawn from scenes knows that."""
        from janus_eval.tasks.shapes.patches import patch_example

        return patch_example(random.Random(f"{self.seed}/patches/{index}"), grid)

    def example(self, kind: Kind, index: int) -> Example:
        from janus_eval.tasks.shapes import curriculum

        rng = random.Random(f"{self.seed}/{kind}/{index}")
        if kind == "generation":
            drawn = curriculum.drawing_example(rng)
            return Example(image=Image.fromarray(drawn.image), prompt=drawn.prompt)
        if kind == "understanding":
            asked = curriculum.question_example(rng, self.conversation)
            return Example(image=Image.fromarray(asked.image), turns=tuple(asked.turns))
        return Example(text=curriculum.text_example(rng))


class JsonlSource:
    """Lines of one object each: ``{"text": ...}``, ``{"image": path, "prompt": ...}`` or
    ``{"image": path, "turns": [[question, answer], ...]}``.

    Paths are relative to the file and may not leave its folder. Each epoch is a new shuffle of each kind's lines.
    """

    def __init__(self, path: Path, seed: int) -> None:
        self.path, self.seed = path, seed
        self.lines: dict[Kind, list[Mapping[str, object]]] = {kind: [] for kind in KINDS}
        try:
            text = path.read_text(encoding="utf-8-sig")
        except OSError as error:
            raise UserError(
                f"--data {path}: {error.strerror or error}; give a JSONL file of images and texts"
            ) from None
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                kind, row = self._parse(line, number)
                self.lines[kind].append(row)
        if not any(self.lines.values()):
            raise UserError(f"--data {path}: no examples in it")
        self._orders: dict[tuple[Kind, int], list[int]] = {}

    def _parse(self, line: str, number: int) -> tuple[Kind, Mapping[str, object]]:
        where = f"--data {self.path}, line {number}"
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise UserError(f"{where}: not JSON ({error})") from None
        if not isinstance(row, dict):
            raise UserError(f"{where}: an object is expected")
        if isinstance(row.get("text"), str):
            return "text", row
        if isinstance(row.get("image"), str) and isinstance(row.get("prompt"), str):
            return "generation", row
        turns = row.get("turns")
        if isinstance(row.get("image"), str) and isinstance(turns, list) and all(map(_is_turn, turns)) and turns:
            return "understanding", row
        raise UserError(f"{where}: expected text, or image with prompt, or image with turns of [question, answer]")

    def kinds(self) -> frozenset[Kind]:
        return frozenset(kind for kind in KINDS if self.lines[kind])

    def speaking(self, conversation: Conversation) -> JsonlSource:
        return self

    def example(self, kind: Kind, index: int) -> Example:
        rows = self.lines[kind]
        epoch, place = divmod(index, len(rows))
        if (kind, epoch) not in self._orders:
            order = list(range(len(rows)))
            random.Random(f"{self.seed}/{kind}/{epoch}").shuffle(order)
            self._orders = {key: value for key, value in self._orders.items() if key[0] != kind}
            self._orders[kind, epoch] = order
        row = rows[self._orders[kind, epoch][place]]
        if kind == "text":
            return Example(text=str(row["text"]))
        image = self._image(str(row["image"]))
        if kind == "generation":
            return Example(image=image, prompt=str(row["prompt"]))
        turns = row["turns"]
        assert isinstance(turns, list)
        return Example(image=image, turns=tuple((question, answer) for question, answer in turns))

    def _image(self, name: str) -> Image.Image:
        folder = self.path.parent.resolve()
        file = (folder / name).resolve()
        if not file.is_relative_to(folder):
            raise UserError(f"--data {self.path}: {name!r} lies outside the file's folder")
        try:
            return Picture.from_file(file).load()
        except (OSError, PictureError) as error:
            raise UserError(f"--data {self.path}: {name!r}: {error}") from None


def _is_turn(turn: object) -> bool:
    return isinstance(turn, list) and len(turn) == 2 and all(isinstance(part, str) for part in turn)


class MixedSource:
    """Several sources as one: example ``index`` comes from source ``index mod n`` of those that have the kind."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self.sources = sources

    def kinds(self) -> frozenset[Kind]:
        return frozenset().union(*(source.kinds() for source in self.sources))

    def speaking(self, conversation: Conversation) -> MixedSource:
        return MixedSource([source.speaking(conversation) for source in self.sources])

    def example(self, kind: Kind, index: int) -> Example:
        able = [source for source in self.sources if kind in source.kinds()]
        return able[index % len(able)].example(kind, index // len(able))


def open_sources(files: Sequence[Path], seed: int) -> Source:
    """The given JSONL files, or the embedded world when there are none."""
    if not files:
        return ShapesSource(seed)
    return MixedSource([JsonlSource(file, seed) for file in files])


def image_batch(images: Sequence[Image.Image], fit: Callable[[Image.Image], Image.Image]) -> np.ndarray:
    """Images, each through ``fit``, -> float32 ``[B, 3, S, S]`` in [-1, 1]."""
    pixels = np.stack([np.asarray(fit(image), dtype=np.uint8) for image in images])
    return pixels.transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1.0
