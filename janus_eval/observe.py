"""Second stage: let the instruments look at the responses that nobody has looked at yet."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from janus_eval.batching import Batcher
from janus_eval.errors import UserError
from janus_eval.fingerprint import digest
from janus_eval.judges import PREFIX, ModelVQA
from janus_eval.plan import Entry
from janus_eval.progress import Advance, Display
from janus_eval.seams import Instrument, Task
from janus_eval.specs import offered
from janus_eval.store import Outlook, RunFolder
from janus_eval.types import JSON, Failure, Look, Observation, Protocol, Request, Response, Sample


class Observer(NamedTuple):
    """An instrument in its role."""

    role: str
    name: str
    version: str


@dataclass(frozen=True)
class Instruments:
    """Instruments by name, each made once and shared by all tasks and models of a process.

    ``device`` and ``dtype`` are those of models that judge (``model:NAME``); other instruments choose their own.
    """

    device: str = "cpu"
    dtype: str = "float32"
    made: dict[str, Instrument] = field(default_factory=dict)

    def get(self, name: str) -> Instrument:
        if name not in self.made:
            if name.startswith(PREFIX):
                self.made[name] = ModelVQA(name, device=self.device, dtype=self.dtype)
            else:
                self.made[name] = offered("instruments", name)
        return self.made[name]

    def ready(self, name: str) -> Instrument:
        """The same, once it has said that it can look. Raises UserError where what it needs is not on this machine."""
        instrument = self.get(name)
        if hasattr(instrument, "prepare"):
            instrument.prepare()
        return instrument

    def observers(self, protocol: Protocol) -> list[Observer]:
        return [Observer(role, name, self.get(name).version) for role, name in protocol.observe.items()]


class Sight(NamedTuple):
    """One look that a protocol wants."""

    observer: Observer
    outlook: Outlook
    query: Mapping[str, JSON]
    earlier: Mapping[str, Outlook]
    request: Request


def sights(task: Task, observers: Sequence[Observer], sample: Sample, request: Request) -> Iterator[Sight]:
    """The looks at one response, in the order of the roles.

    A look is known by the instrument, its version, the query and the looks before it, which it may read; so protocols
    share what agrees in all of these and nothing else.
    """
    earlier: dict[str, Outlook] = {}
    for observer in observers:
        query = task.query(observer.role, sample, request.key.index)
        if query is None:
            continue
        look = digest([observer.name, observer.version, query, [outlook.look for outlook in earlier.values()]])
        outlook = Outlook(request.key, request.id, observer.role, look)
        yield Sight(observer, outlook, query, dict(earlier), request)
        earlier[observer.role] = outlook


def observe(
    folder: RunFolder,
    entries: Sequence[Entry],
    instruments: Instruments,
    *,
    batch_size: int,
    retry_failed: bool,
    display: Display,
) -> None:
    """Record an observation or a failure for every look of the entries."""
    retried: set[Outlook] = set()
    for entry in entries:
        observers = instruments.observers(entry.protocol)
        for observer in observers:
            pending = [
                sight
                for sight in _all_sights(folder, entry, observers)
                if sight.observer == observer and _wanted(folder, sight, retry_failed and sight.outlook not in retried)
            ]
            retried.update(sight.outlook for sight in pending)
            if pending:
                label = f"{entry.task.name} {observer.role} ({observer.name})"
                with display.bar(label, len(pending)) as advance:
                    batcher = _batcher(folder, observer, instruments.ready(observer.name), batch_size, display)
                    _look(folder, observer, batcher, pending, advance)


def _all_sights(folder: RunFolder, entry: Entry, observers: Sequence[Observer]) -> Iterator[Sight]:
    for sample, requests in zip(entry.asking.samples, entry.asking.requests, strict=True):
        for request in requests:
            if folder.succeeded(request):
                yield from sights(entry.task, observers, sample, request)


def _wanted(folder: RunFolder, sight: Sight, retry_failed: bool) -> bool:
    if folder.looked(sight.outlook, failures=not retry_failed):
        return False
    # Where an earlier role failed the response stays unscored; a look that would read it has nothing to read.
    return all(folder.looked(outlook, failures=False) for outlook in sight.earlier.values())


def _batcher(
    folder: RunFolder, observer: Observer, instrument: Instrument, size: int, display: Display
) -> Batcher[Sight, Observation]:
    def call(batch: Sequence[Sight]) -> Sequence[Observation | Failure]:
        return instrument.observe([_as_look(folder, sight) for sight in batch])

    return Batcher(f"instrument {observer.name!r}", call, size, display.note)


def _look(
    folder: RunFolder,
    observer: Observer,
    batcher: Batcher[Sight, Observation],
    pending: Sequence[Sight],
    advance: Advance,
) -> None:
    task = pending[0].request.key.task
    start = time.perf_counter()
    for batch in batcher.run(pending, lambda sight: sight.outlook):
        seconds = round(time.perf_counter() - start, 4)
        for sight, found in batch:
            if not isinstance(found, Observation | Failure):
                raise UserError(f"instrument {observer.name!r} gave {type(found).__name__} for {sight.request.key}")
        outcomes = [(sight.outlook, found) for sight, found in batch]
        folder.record_observations(observer.name, observer.version, outcomes)
        folder.record_timing(stage="observe", task=task, role=observer.role, n=len(batch), seconds=seconds)
        advance(len(batch))
        start = time.perf_counter()


def _as_look(folder: RunFolder, sight: Sight) -> Look:
    """Read the picture and what was seen before only now: a batch of them fits in memory, a run may not."""
    response = folder.response(sight.request)
    assert isinstance(response, Response), sight.request.key
    earlier = {}
    for role, outlook in sight.earlier.items():
        found = folder.observed(outlook)
        assert isinstance(found, Observation), outlook
        earlier[role] = found.data
    return Look(sight.query, image=response.image, text=response.text, earlier=earlier)
