"""Pictures that models of lmms-eval drew, looked at and judged as in a run of ours. Knows nothing of lmms-eval."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from janus_eval import fingerprint
from janus_eval.batching import Batcher
from janus_eval.errors import UserError
from janus_eval.observe import Instruments
from janus_eval.pictures import Picture, PictureError, PictureFile
from janus_eval.plan import Choice
from janus_eval.types import JSON, Capability, Failure, Look, Observation, Response, Sample, Score, Scored

DRAWING = frozenset[Capability]({"draw"})


@dataclass
class Judge:
    """A drawing task under a protocol, with its samples and with instruments that are ready.

    Raises UserError where the task draws nothing, its data or what an instrument needs is not on this machine.
    """

    choice: Choice
    device: str = "cpu"
    note: Callable[[str], None] = lambda text: None

    def __post_init__(self) -> None:
        task, protocol = self.choice
        if task.needs != DRAWING:
            raise UserError(f"task {task.name!r} is no drawing task")
        self.samples: Sequence[Sample] = task.samples(protocol.ask)
        self.by_id = {sample.id: sample for sample in self.samples}
        self.places = {sample.id: place for place, sample in enumerate(self.samples)}
        self.instruments = Instruments(self.device)
        self.observers = self.instruments.observers(protocol)
        for observer in self.observers:
            # Before the model is asked anything: what is lacking would come out only after all the drawing.
            self.instruments.ready(observer.name)
        self._lock = threading.Lock()

    @property
    def images(self) -> int:
        return int(str(self.choice.protocol.ask["images_per_prompt"]))

    @property
    def identity(self) -> dict[str, str]:
        """The parts of a run's fingerprint that do not depend on the model."""
        task, protocol = self.choice
        return {
            "protocol": f"{task.name}/{protocol.name}",
            "data": fingerprint.data_part(self.samples),
            "observe": fingerprint.observe_part(self.observers),
            "judge": fingerprint.digest(protocol.judge),
        }

    def judged(self, sample: str, answers: Sequence[str]) -> list[Scored]:
        """Scores of a sample's pictures, from what the model answered to each of its drawings."""
        found = drawn(answers, self.places[sample])
        # lmms-eval judges in several threads; an instrument is one network.
        with self._lock:
            return self._scores(self.by_id[sample], found)

    def _scores(self, sample: Sample, found: Sequence[Picture | Failure]) -> list[Scored]:
        scored: dict[int, Scored] = {}
        seen: dict[int, dict[str, Mapping[str, JSON]]] = {}
        for index, picture in enumerate(found):
            if isinstance(picture, Failure):
                scored[index] = Scored(sample, index, Score(None, reason=f"request failed: {picture.reason}"), True)
            else:
                seen[index] = {}
        for observer in self.observers:
            looks = {}
            for index, earlier in seen.items():
                query = self.choice.task.query(observer.role, sample, index)
                if query is not None:
                    looks[index] = Look(query, image=_picture(found[index]), earlier=dict(earlier))
            for index, outcome in self._seen(observer.name, looks):
                if isinstance(outcome, Observation):
                    seen[index][observer.role] = outcome.data
                else:
                    scored[index] = Scored(
                        sample, index, Score(None, reason=f"{observer.role} failed: {outcome.reason}")
                    )
                    del seen[index]
        task, protocol = self.choice
        for index, observations in seen.items():
            response = Response(image=_picture(found[index]))
            scored[index] = Scored(sample, index, task.score(sample, index, response, observations, protocol.judge))
        return [scored[index] for index in sorted(scored)]

    def _seen(self, name: str, looks: Mapping[int, Look]) -> Iterator[tuple[int, Observation | Failure]]:
        """As in a run: what an instrument raises is a failure of the look that it raised at, not the end of all."""
        instrument = self.instruments.ready(name)

        def call(batch: Sequence[int]) -> Sequence[Observation | Failure]:
            return instrument.observe([looks[index] for index in batch])

        batcher = Batcher(f"instrument {name!r}", call, max(1, len(looks)), self.note)
        for batch in batcher.run(looks, lambda index: index):
            yield from batch


def _picture(found: Picture | Failure) -> Picture:
    assert isinstance(found, Picture)
    return found


def drawn(answers: Sequence[str], place: int) -> list[Picture | Failure]:
    """The picture of each answer, in the two ways in which models of lmms-eval tell of one.

    JSON with ``images``, the paths of one picture or of all the prompt's; or the name of a folder with files
    ``PLACE_sK.png``. No file counts twice: some models write every picture of a prompt over the one before.
    """
    taken: set[Path] = set()
    found: list[Picture | Failure] = []
    for index, answer in enumerate(answers):
        path = _path(answer, place, index)
        if isinstance(path, Path) and path in taken:
            path = Failure(f"{path.name} is the prompt's picture before it too: the model keeps one picture a prompt")
        if isinstance(path, Failure):
            found.append(path)
            continue
        taken.add(path)
        try:
            picture = PictureFile(path).held()
            picture.load()
            found.append(picture)
        except OSError as error:
            found.append(Failure(f"{path}: {error.strerror}"))
        except PictureError as error:
            found.append(Failure(f"{path}: {error}"))
    return found


def _path(answer: str, place: int, index: int) -> Path | Failure:
    try:
        said: Any = json.loads(answer)
    except (ValueError, RecursionError):
        said = None
    if isinstance(said, dict):
        paths = said.get("images")
        if not isinstance(paths, list) or not paths:
            return Failure(str(said.get("failed") or "the model drew no picture"))
        named = str(paths[index] if len(paths) > index else paths[0])
        with contextlib.suppress(OSError, ValueError):  # a text that no file can be named by
            return Path(named).resolve()
        return Failure(f"the answer names no picture: {named[:80]!r}")
    with contextlib.suppress(OSError, ValueError):
        if answer and Path(answer).is_dir():
            return (Path(answer) / f"{place:04d}_s{index}.png").resolve()
    return Failure(f"the answer names no picture: {answer[:80]!r}")
