"""What a run would ask and how long it would take: counted from the plan, timed on a few requests of each kind.

Nothing is written and nothing is downloaded. Where the model's weights are not on this machine there are counts alone.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, NamedTuple, TypeVar

from janus_eval import plan
from janus_eval.errors import AbsentError, UserError
from janus_eval.observe import Instruments, Observer, Sight, sights
from janus_eval.plain import one_line
from janus_eval.plan import Choice, Entry
from janus_eval.progress import Display
from janus_eval.respond import WAYS, Way, batcher_of, checked, needs, prepared, together
from janus_eval.seams import Answered
from janus_eval.specs import Contender
from janus_eval.types import Drawing, Failure, Look, Observation, Reconstruction, Request, Response
from janus_eval.usage import Meter

FULL_BATCH = 20.0
"""Seconds that a whole batch may take in calibration; where it would take longer, smaller ones are timed."""
ENOUGH = 0.5
"""Seconds after which no further batch of a kind is timed."""
GOLDEN = 0.6180339887498949
NOT_TIMED = frozenset({"answer_judge", "text_judge"})
"""Kinds of instruments that are only counted: each look may cost its user money."""

T = TypeVar("T")


class Pace(NamedTuple):
    """``items`` took ``seconds`` in batches of a run's size, or of as much of it as was tried."""

    items: int
    seconds: float

    @property
    def each(self) -> float:
        return self.seconds / self.items


@dataclass(frozen=True)
class Row:
    """One kind of request or one instrument's looks in a task. Tokens and seconds are None where nothing was timed."""

    task: str
    what: str
    count: int
    input_tokens: float | None = None
    output_tokens: float | None = None
    seconds: float | None = None


@dataclass
class Estimate:
    """A model's part. ``notes``: what could not be timed, and why."""

    model: str
    rows: list[Row] = field(default_factory=list)
    images_in: int = 0
    """Different pictures that it is asked about."""
    images_out: int = 0
    loading: float | None = None
    calibration: float = 0.0
    notes: list[str] = field(default_factory=list)
    cost: tuple[float | None, str] = (None, "")  # of its answers, where that is known, and the currency

    @property
    def seconds(self) -> float | None:
        """Loading and everything that was timed; None where nothing was."""
        if self.loading is None:
            return None
        return self.loading + sum(row.seconds or 0.0 for row in self.rows)

    def sort(self, entries: Sequence[Entry]) -> None:
        """Rows by task, in the order of the plan."""
        self.rows.sort(key=lambda row: [entry.task.name for entry in entries].index(row.task))

    @property
    def whole(self) -> bool:
        """Whether every row has its time."""
        return self.loading is not None and all(row.seconds is not None for row in self.rows)


def entries_of(chosen: Sequence[Choice], *, seed: int, limit: int | None) -> tuple[list[Entry], list[str]]:
    """The plan as far as its data are on this machine, and for each task whose data are not, why."""
    found: list[Entry] = []
    lacking: list[str] = []
    for task in {choice.task.name: None for choice in chosen}:
        try:
            with offline():
                found += plan.entries([choice for choice in chosen if choice.task.name == task], seed=seed, limit=limit)
        except UserError as error:
            lacking.append(f"{task}: not counted: {one_line(error)}")
    return found, lacking


def estimate(
    contender: Contender, entries: Sequence[Entry], instruments: Instruments, *, batch_size: int, display: Display
) -> Estimate:
    """Count what one model would be asked, load it, and time a few requests of each kind and the looks at them.

    Raises UserError for a model that can't be loaded for another reason than that it would have to be fetched first.
    """
    able = [entry for entry in entries if needs(entry) <= contender.capabilities]
    found = Estimate(str(contender.spec))
    stages = list(_stages(able))
    asked = [request for stage in stages for request in stage.requests]
    found.images_in = len({image.digest for request in asked for image in _images(request)})
    found.images_out = sum(isinstance(request, Drawing | Reconstruction) for request in asked)
    start = time.perf_counter()
    try:
        with offline():
            model = contender.load()
    except AbsentError:
        found.notes.append("Counts alone: its weights are not on this machine (without --estimate they are fetched).")
        found.rows = [Row(stage.task, stage.way.words, len(stage.requests)) for stage in stages]
        found.rows += [Row(*each) for each in _look_counts(able, instruments, found.notes)]
        found.sort(able)
        return found
    found.notes += prepared(model, able)
    if (meter := getattr(model, "meter", None)) is not None:
        found.rows = [_paid_for(stage, meter) for stage in stages]
        found.rows += [Row(*each) for each in _look_counts(able, instruments, found.notes)]
        found.notes.append(f"Nothing was asked: it would cost. {meter.forecast(asked)}.")
        found.cost = meter.tariff.price(meter.expected(asked)), meter.tariff.currency
        found.sort(able)
        return found
    found.loading = time.perf_counter() - start
    display.note(f"{contender.spec.name}: calibrating")
    replies: dict[tuple[Hashable, ...], Response] = {}
    size = _First(batch_size, accelerated=contender.device != "cpu")
    for stage in stages:
        found.rows.append(_timed_requests(stage, model, contender.spec.name, size, replies, found.notes, display))
    found.rows += _timed_looks(able, instruments, replies, size, found.notes)
    found.sort(able)
    found.calibration = time.perf_counter() - start
    return found


def _paid_for(stage: _Stage, meter: Meter) -> Row:
    given = meter.expected(stage.requests)
    return Row(stage.task, stage.way.words, len(stage.requests), given.input_tokens, given.output_tokens)


class _Stage(NamedTuple):
    task: str
    way: Way
    requests: Sequence[Request]


class _First(NamedTuple):
    """``size`` of a run's batches. On a CPU one item alone is timed first: sixteen may take sixteen times as long."""

    size: int
    accelerated: bool


def _stages(entries: Sequence[Entry]) -> Iterator[_Stage]:
    """Requests by task and kind, each once, in the order of the run."""
    asked: set[Hashable] = set()
    for entry in entries:
        fresh = []
        for request in (request for row in entry.asking.requests for request in row):
            if (request.key, request.id) not in asked:
                fresh.append(request)
            asked.add((request.key, request.id))
        for kind, way in WAYS.items():
            requests = [request for request in fresh if isinstance(request, kind)]
            if requests:
                yield _Stage(entry.task.name, way, requests)


def _images(request: Request) -> Sequence[Any]:
    if isinstance(request, Reconstruction):
        return (request.image,)
    return () if isinstance(request, Drawing) else request.images


def spread(items: Sequence[T], group: Callable[[T], Hashable]) -> list[T]:
    """The same items in an order of which every beginning is drawn from the whole; what belongs together stays so."""
    groups: dict[Hashable, list[T]] = {}
    for item in items:
        groups.setdefault(group(item), []).append(item)
    order = sorted(range(len(groups)), key=lambda place: place * GOLDEN % 1)
    members = list(groups.values())
    return [item for place in order for item in members[place]]


class Timer(Generic[T]):
    """Times ``call`` on batches until it is known what an item takes."""

    def __init__(self, call: Callable[[Sequence[T]], None], clock: Callable[[], float] = time.perf_counter) -> None:
        self._call, self._clock = call, clock

    def pace(self, items: Sequence[T], size: int, first: int) -> Pace:
        """Batches from ``first`` items up to ``size``. The first one warms up, and counts only if it is the only one.

        ``items`` must not be empty.
        """
        done = 0
        timed: list[Pace] = []
        batch = min(first, size)
        while done < len(items) and batch:
            chunk = items[done : done + batch]
            start = self._clock()
            self._call(chunk)
            timed.append(Pace(len(chunk), self._clock() - start))
            done += len(chunk)
            spent = sum(part.seconds for part in timed)
            if batch == size:
                batch = size if spent < ENOUGH else 0
            else:
                # The first one may have been slow for once: a second is timed unless even that would take long.
                again = len(timed) == 1 and spent <= FULL_BATCH
                affordable = min(size, int(FULL_BATCH / max(timed[-1].each, 1e-9)))
                batch = affordable if affordable > batch else batch if again else 0
        # Batches of the largest size alone: smaller ones had less to share.
        largest = max(part.items for part in timed[1:] or timed)
        counted = [part for part in timed[1:] or timed if part.items == largest]
        return Pace(sum(part.items for part in counted), sum(part.seconds for part in counted))


def _timed_requests(
    stage: _Stage,
    model: Any,
    name: str,
    first: _First,
    replies: dict[tuple[Hashable, ...], Response],
    notes: list[str],
    display: Display,
) -> Row:
    """A stage's row; its responses are added to ``replies`` by key and id."""
    batcher = batcher_of(name, model, stage.way, first.size, display)
    failures: list[str] = []
    tokens: list[tuple[int, int]] = []

    def ask(requests: Sequence[Request]) -> None:
        for batch in batcher.run(requests, together):
            for request, outcome in batch:
                reply = checked(request, outcome)
                if isinstance(reply, Failure):
                    failures.append(reply.reason)
                    continue
                replies[request.key, request.id] = reply
                tokens.append((reply.input_tokens, reply.output_tokens))

    items = spread(stage.requests, together)
    pace = Timer(ask).pace(items, first.size, first.size if first.accelerated else 1)
    count = len(stage.requests)
    if failures:
        notes.append(f"{stage.task} {stage.way.words}: {len(failures)} of those tried failed: {failures[0]}")
    row = Row(stage.task, stage.way.words, count, seconds=pace.each * count)
    if not tokens:
        return row
    given, taken = (sum(part) / len(tokens) * count for part in zip(*tokens, strict=True))
    return replace(row, input_tokens=given, output_tokens=taken)


def _look_counts(
    entries: Sequence[Entry], instruments: Instruments, notes: list[str]
) -> Iterator[tuple[str, str, int]]:
    """(task, instrument, looks) for every instrument in its role."""
    for (task, observer), looks in _looks(entries, instruments, notes).items():
        yield task, _named(observer), len(looks)


def _named(observer: Observer) -> str:
    return f"{observer.name} looks"


class _Look(NamedTuple):
    entry: Entry
    sight: Sight


def _looks(
    entries: Sequence[Entry], instruments: Instruments, notes: list[str]
) -> dict[tuple[str, Observer], list[_Look]]:
    """Every look of a run once, by task and observer; as if each response were to be looked at."""
    found: dict[tuple[str, Observer], list[_Look]] = {}
    seen: set[Hashable] = set()
    for entry in entries:
        try:
            observers = instruments.observers(entry.protocol)
        except UserError as error:
            notes.append(f"{entry}: looks not counted: {one_line(error)}")
            continue
        for sample, requests in zip(entry.asking.samples, entry.asking.requests, strict=True):
            for request in requests:
                for sight in sights(entry.task, observers, sample, request, {}):
                    if sight.outlook not in seen:
                        seen.add(sight.outlook)
                        found.setdefault((entry.task.name, sight.observer), []).append(_Look(entry, sight))
    return found


def _timed_looks(
    entries: Sequence[Entry],
    instruments: Instruments,
    replies: Mapping[tuple[Hashable, ...], Response],
    first: _First,
    notes: list[str],
) -> Iterator[Row]:
    """Rows of the instruments, timed on the responses that calibration got."""
    seen: dict[Hashable, Observation] = {}
    for (task, observer), looks in _looks(entries, instruments, notes).items():
        what = _named(observer)
        ready = [look for look in looks if _reply(look, replies) and set(look.sight.earlier.values()) <= seen.keys()]
        chosen = _chosen(looks[0].entry, observer.role, ready, replies)
        count = round(len(looks) * len(chosen) / len(ready)) if ready else len(looks)
        instrument = instruments.get(observer.name)
        if instrument.kind in NOT_TIMED or getattr(instrument, "paid", False) or not ready:
            notes.append(f"{task}, {what}: counted, not timed.")
            yield Row(task, what, count)
            continue
        start = time.perf_counter()
        try:
            with offline():
                instrument = instruments.ready(observer.name)
        except UserError as error:
            absent = isinstance(error, AbsentError)
            why = "what it needs is not on this machine (janus-eval doctor)" if absent else one_line(error)
            notes.append(f"{task}, {what}: counted, not timed: {why}.")
            yield Row(task, what, count)
            continue
        preparing = time.perf_counter() - start

        def look_at(batch: Sequence[_Look], instrument: Any = instrument) -> None:
            for look, saw in zip(
                batch, instrument.observe([_as_look(look, replies, seen) for look in batch]), strict=True
            ):
                if isinstance(saw, Observation):
                    seen[look.sight.outlook] = saw

        drawn = spread(chosen, lambda look: look.sight.outlook)
        pace = Timer(look_at).pace(drawn, first.size, 1) if drawn else Pace(1, 0.0)
        yield Row(task, what, count, seconds=preparing + pace.each * count)


def _reply(look: _Look, replies: Mapping[tuple[Hashable, ...], Response]) -> Response | None:
    return replies.get((look.sight.request.key, look.sight.request.id))


def _chosen(
    entry: Entry, role: str, ready: Sequence[_Look], replies: Mapping[tuple[Hashable, ...], Response]
) -> list[_Look]:
    """Those of the looks that the task would ask for, where it decides by what the responses say."""
    choose = getattr(entry.task, "to_look_at", None)
    if choose is None:
        return list(ready)
    samples = {sample.id: sample for sample in entry.asking.samples}
    answered = [
        Answered(samples[look.sight.request.key.sample], look.sight.request.key.index, reply)
        for look in ready
        if (reply := _reply(look, replies)) is not None
    ]
    wanted = choose(role, answered, entry.protocol.judge)
    if wanted is None:
        return list(ready)
    return [look for look in ready if (look.sight.request.key.sample, look.sight.request.key.index) in wanted]


def _as_look(
    look: _Look, replies: Mapping[tuple[Hashable, ...], Response], seen: Mapping[Hashable, Observation]
) -> Look:
    reply = _reply(look, replies)
    assert reply is not None, look.sight.request.key
    earlier = {role: seen[outlook].data for role, outlook in look.sight.earlier.items()}
    return Look(look.sight.query, image=reply.image, text=reply.text, earlier=earlier)


@contextlib.contextmanager
def offline() -> Iterator[None]:
    """Nothing is fetched from the hub meanwhile: an estimate must not begin with 15 GB of weights."""
    name = "HF_HUB_OFFLINE"
    before = os.environ.get(name)
    os.environ[name] = "1"
    constants: Any = sys.modules.get("huggingface_hub.constants")  # it reads the variable once, when it is imported
    loaded = getattr(constants, name, None)
    if constants is not None:
        setattr(constants, name, True)
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
        constants = sys.modules.get("huggingface_hub.constants")
        if constants is not None:
            setattr(constants, name, bool(loaded) if loaded is not None else before == "1")
