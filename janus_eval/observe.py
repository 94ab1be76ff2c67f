"""Second stage: let the instruments look at the responses that nobody has looked at yet."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from janus_eval.batching import Batcher, reason
from janus_eval.errors import AbsentError, UserError
from janus_eval.fingerprint import digest
from janus_eval.judges import instrument_of
from janus_eval.plain import one_line
from janus_eval.plan import Entry
from janus_eval.progress import Advance, Display
from janus_eval.seams import Answered, Instrument, Task
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
    passed: dict[str, str] = field(default_factory=dict)
    """What the self-test of each that is ready compared, in words; empty for one that has none."""
    recorded: Callable[[], Mapping[str, str]] = dict
    """Versions by name under which a run has looked: they stand in for those of instruments that are not here."""
    spending: bool = True
    """Whether one whose looks cost money may be asked who it is; its version is empty otherwise, as in an estimate."""

    def get(self, name: str) -> Instrument:
        if name not in self.made:
            self.made[name] = instrument_of(name, device=self.device, dtype=self.dtype)
        return self.made[name]

    def ready(self, name: str) -> Instrument:
        """The same, once it has what it needs and has passed its self-test, which happens once.

        Raises UserError where what it needs is not on this machine, or it sees other things than it should.
        """
        instrument = self.get(name)
        if name not in self.passed:
            if hasattr(instrument, "prepare"):
                instrument.prepare()
            self.passed[name] = _self_tested(name, instrument)
        return instrument

    def observers(self, protocol: Protocol) -> list[Observer]:
        """Raises UserError for an instrument of another kind than its role."""
        for role, name in protocol.observe.items():
            if self.get(name).kind != role:
                raise UserError(f"instrument {name!r} is no {role}: it is a {self.get(name).kind}")
        return [Observer(role, name, self._version(name)) for role, name in protocol.observe.items()]

    def _version(self, name: str) -> str:
        """Raises AbsentError where it depends on what is not on this machine, and no run has looked with it."""
        if not self.spending and getattr(self.get(name), "paid", False):
            return ""
        try:
            return self.get(name).version
        except AbsentError:
            recorded = self.recorded().get(name)
            if recorded is None:
                raise
            return recorded


def _self_tested(name: str, instrument: Any) -> str:
    """What ``self_test()`` says that it compared. Raises UserError where it fails: no number of that instrument's would
    mean anything on this machine."""
    if not hasattr(instrument, "self_test"):
        return ""
    try:
        return str(instrument.self_test())
    except Exception as error:  # an instrument is anyone's code
        said = one_line(error) if isinstance(error, UserError) else reason(error)
        raise UserError(f"instrument {name!r} fails its self-test: {said}") from error


class Sight(NamedTuple):
    """One look that a protocol wants."""

    observer: Observer
    outlook: Outlook
    query: Mapping[str, JSON]
    earlier: Mapping[str, Outlook]
    request: Request


Chosen: TypeAlias = Mapping[str, Collection[tuple[str, int]] | None]
"""By role, the (sample id, index) of the responses to look at; all of them for None and for a role that is missing."""


def chosen_looks(folder: RunFolder, entry: Entry) -> Chosen:
    """What a task chooses by what the responses say (``to_look_at`` in ``janus_eval.seams``)."""
    choose = getattr(entry.task, "to_look_at", None)
    if choose is None or not entry.protocol.observe:
        return {}
    answered = [
        Answered(sample, request.key.index, response)
        for sample, requests in zip(entry.asking.samples, entry.asking.requests, strict=True)
        for request in requests
        if isinstance(response := folder.response(request), Response)
    ]
    return {role: choose(role, answered, entry.protocol.judge) for role in entry.protocol.observe}


def sights(
    task: Task, observers: Sequence[Observer], sample: Sample, request: Request, chosen: Chosen
) -> Iterator[Sight]:
    """The looks at one response, in the order of the roles.

    A look is known by the instrument, its version, the query and the looks before it, which it may read; so protocols
    share what agrees in all of these and nothing else.
    """
    earlier: dict[str, Outlook] = {}
    for observer in observers:
        query = task.query(observer.role, sample, request.key.index)
        wanted = chosen.get(observer.role)
        if query is None or (wanted is not None and (sample.id, request.key.index) not in wanted):
            continue
        look = digest([observer.name, observer.version, query, [outlook.look for outlook in earlier.values()]])
        outlook = Outlook(request.key, request.id, observer.role, look)
        yield Sight(observer, outlook, query, dict(earlier), request)
        earlier[observer.role] = outlook


def wanted_instruments(
    folder: RunFolder, entries: Sequence[Entry], instruments: Instruments, *, retry_failed: bool
) -> set[str]:
    """Names of the instruments that have still to look at something, be it a response that is still to come."""
    names: set[str] = set()
    for entry in entries:
        observers, chosen = instruments.observers(entry.protocol), chosen_looks(folder, entry)
        for sample, requests in zip(entry.asking.samples, entry.asking.requests, strict=True):
            for request in requests:
                if not folder.succeeded(request) and folder.recorded(request, failures=not retry_failed):
                    continue  # it failed, and is not asked again
                coming: set[Outlook] = set()
                # Of a response that is still to come, nobody knows yet whether it will be chosen.
                known = chosen if folder.succeeded(request) else {}
                for sight in sights(entry.task, observers, sample, request, known):
                    seen_first = sight.earlier.values()
                    if not folder.looked(sight.outlook, failures=not retry_failed) and all(
                        outlook in coming or folder.looked(outlook, failures=False) for outlook in seen_first
                    ):
                        coming.add(sight.outlook)
                        names.add(sight.observer.name)
    return names


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
    chosen = chosen_looks(folder, entry)
    for sample, requests in zip(entry.asking.samples, entry.asking.requests, strict=True):
        for request in requests:
            if folder.succeeded(request):
                yield from sights(entry.task, observers, sample, request, chosen)


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
