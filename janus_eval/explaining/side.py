"""One task of one run, which can be judged at any point of its knobs that needs neither model nor instrument."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from janus_eval.errors import UserError
from janus_eval.explaining.holding import Holding
from janus_eval.explaining.knobs import Absent, Point, Value, differing, flat, key_of, knobs_of, turned
from janus_eval.fingerprint import digest, observe_part, sample_row
from janus_eval.observe import Observer
from janus_eval.plan import Asking, Entry, asking
from janus_eval.score import score
from janus_eval.seams import Task
from janus_eval.store import ANEW
from janus_eval.types import JSON, Estimate, Protocol, Sample, Score, Scored

ROWS, FAILURES = "rows", "failures"
ALL, SHARED = "all", "those that both have"
LEFT_OUT, WRONG = "left out of the mean", "counted as wrong"


class Side:
    """``start`` is where the run's own protocol stands. Raises UserError where the run has no result under it."""

    def __init__(self, folder: Holding, task: Task, protocol: str) -> None:
        self.folder, self.task = folder, task
        try:
            self.result: Mapping[str, Any] = folder.results()["tasks"][task.name][protocol]
            tables = self.result["protocol"]
            # As the run had it: by now a protocol of this name may be another.
            self.protocol = Protocol(
                protocol, tables["ask"], tables["observe"], tables["judge"], tables.get("note", "")
            )
            _ = self.result["metrics"]["overall"], self.result["fingerprint"]["observe"]
        except (KeyError, TypeError) as error:
            raise UserError(f"{folder.path / 'results.json'} is damaged (no {error} in it): {ANEW}") from error
        self.shared: frozenset[str] = frozenset()
        """Ids of the samples that ``rows`` at SHARED keeps."""
        own = {role: [named.name, named.version] for role, named in self._observers().items()}
        self.start: dict[str, Value] = {
            **flat(replace(self.protocol, observe={})),
            **{f"observe.{role}": cast(JSON, named) for role, named in own.items()},
            ROWS: ALL,
            FAILURES: LEFT_OUT,
        }
        self._askings: dict[str, Asking | None] = {}
        self._scored: dict[str, list[Scored] | None] = {}
        self._estimates: dict[tuple[str, str], Estimate] = {}

    def _observers(self) -> dict[str, Observer]:
        """The instruments that this number came from, by role: of several versions those that the fingerprint names."""
        chosen = [Observer(role, name, "") for role, name in self.protocol.observe.items()]
        for version in self._versions(0, chosen):
            if observe_part(version) == self.result["fingerprint"]["observe"]:
                chosen = version
                break
        return {observer.role: observer for observer in chosen}

    def _versions(self, place: int, chosen: list[Observer]) -> Iterable[list[Observer]]:
        if place == len(chosen):
            yield chosen
            return
        for observer in sorted(self.folder.observers[self.task.name]):
            if observer[:2] == chosen[place][:2]:
                yield from self._versions(place + 1, [*chosen[:place], observer, *chosen[place + 1 :]])

    # What can be had

    def seen_by(self, role: str) -> list[Value]:
        """Every instrument that looked at something in a role."""
        found = sorted(o for o in self.folder.observers[self.task.name] if o.role == role)
        return [[observer.name, observer.version] for observer in found]

    def resolved(self, name: str, value: Value) -> Value | None:
        """A knob's value as points have it: an instrument's name is the one that looked by it; None if none did."""
        if not name.startswith("observe.") or not isinstance(value, str):
            return value
        own: Any = self.start.get(name)
        if isinstance(own, list) and own[0] == value:
            return own
        return next((seen for seen in self.seen_by(name.partition(".")[2]) if cast(Any, seen)[0] == value), None)

    def asked(self, point: Point) -> Asking | None:
        """What is asked at a point, if all of it is on record: under a stored asking, or as part of the run's own."""
        ask = turned(self.protocol, point).ask
        key = digest(ask)
        if key not in self._askings:
            self._askings[key] = self._asking(ask)
        return self._askings[key]

    def _asking(self, ask: Mapping[str, JSON]) -> Asking | None:
        task, protocol, seed = self.task, replace(self.protocol, ask=ask), self.folder.header["seed"]
        samples: Sequence[Sample] = self.folder.read_samples(task.name, digest(ask))
        if ask == self.protocol.ask:
            return asking(task, protocol, samples, seed)
        if not samples:
            narrower = {knob.name.partition(".")[2] for knob in knobs_of(task) if knob.name.startswith("ask.")}
            if not narrower.issuperset(differing(self.protocol.ask, ask)):
                return None
            samples = self.folder.read_samples(task.name, digest(self.protocol.ask))
        found = asking(task, protocol, samples, seed)
        every = (request for row in found.requests for request in row)
        return found if all(self.folder.recorded(request) for request in every) else None

    # Judging

    def judge(self, points: Iterable[Point]) -> None:
        """Judge at all these points at once, reading every response and observation once.

        Raises UserError where the run's own protocol lacks a response; another point that lacks something has no value.
        """
        pending: dict[str, dict[str, Point]] = defaultdict(dict)
        for point in points:
            key = self._judging(point)
            if key not in self._scored:
                found = self.asked(point)
                if found is None:
                    self._scored[key] = None
                else:
                    pending[found.digest][key] = point
        for group in pending.values():
            self._judge(next(iter(group.values())), group)

    def _judge(self, first: Point, points: Mapping[str, Point]) -> None:
        whole = self.asked(first)
        assert whole is not None
        lists: dict[str, list[Scored]] = {key: [] for key in points}
        for part in self._parts(whole):
            base: list[Scored] | None = None
            for key, point in points.items():
                if key in lists:
                    found = self._score(part, point)
                    if found is None:
                        del lists[key]
                        continue
                    base = found if base is None else base
                    # Most knobs leave most scores as they are: equal ones are kept once.
                    lists[key] += [old if old == new else new for old, new in zip(base, found, strict=True)]
            self.folder.forget()
        for key in points:
            self._scored[key] = lists.get(key)

    def _parts(self, whole: Asking) -> Iterable[Asking]:
        """One sample at a time, so that a run need not fit in memory, unless the task must see all to choose looks."""
        if hasattr(self.task, "to_look_at"):
            yield whole
            return
        for sample, requests in zip(whole.samples, whole.requests, strict=True):
            yield Asking(whole.digest, [sample], [requests])

    def _score(self, part: Asking, point: Point) -> list[Scored] | None:
        protocol = turned(self.protocol, point)
        observers = [
            Observer(name.partition(".")[2], *map(str, cast(Sequence[JSON], value)))
            for name, value in point.items()
            if name.startswith("observe.") and not isinstance(value, Absent)
        ]
        try:
            return score(self.folder, Entry(self.task, protocol, part), observers)
        except UserError as error:
            if error.code != 3 or self._judging(point) == self._judging(self.start):
                raise
            return None  # an instrument has not seen what it would have to see

    @staticmethod
    def _judging(point: Point) -> str:
        return key_of({name: value for name, value in point.items() if name not in {ROWS, FAILURES}})

    # Values

    def scored(self, point: Point) -> list[Scored] | None:
        """One Scored a request at a point; None where it can't be had without a model or an instrument."""
        self.judge([point])
        found = self._scored[self._judging(point)]
        if found is None:
            return None
        if point[ROWS] == SHARED:
            found = [item for item in found if item.sample.id in self.shared]
        if point[FAILURES] == WRONG:
            found = [_as_wrong(item) if item.score.value is None else item for item in found]
        return found

    def estimate(
        self, point: Point, metric: str = "overall", keep: Callable[[Scored], bool] | None = None
    ) -> Estimate | None:
        """The headline at a point, or another metric; with ``keep`` over a part of the answers alone."""
        key = key_of(point), metric
        if keep is None and key in self._estimates:
            return self._estimates[key]
        found = self.scored(point)
        if found is None:
            return None
        measure = self.task.metrics(turned(self.protocol, point).judge).get(metric)
        if measure is None:
            return None
        if keep is not None:
            return measure([item for item in found if keep(item)])
        return self._estimates.setdefault(key, measure(found))

    def value(self, point: Point, keep: Callable[[Scored], bool] | None = None) -> float | None:
        found = self.estimate(point, keep=keep)
        return None if found is None else found.value

    def at(self, changes: Point) -> dict[str, Value]:
        """``start`` with some knobs turned."""
        return {**self.start, **changes}

    def samples(self) -> dict[str, str]:
        """By id a digest of the content: the same id may stand for another row in another run."""
        found = self.asked(self.start)
        assert found is not None
        return {sample.id: digest(sample_row(sample), sort_keys=False) for sample in found.samples}


def _as_wrong(item: Scored) -> Scored:
    return replace(item, score=Score(0.0, reason=item.score.reason))
