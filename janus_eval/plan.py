"""What a run is going to do: tasks under protocols, with their samples and requests, before any model is loaded."""

from __future__ import annotations

import functools
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from janus_eval import fingerprint, plugins
from janus_eval.errors import UserError
from janus_eval.randomness import seed_of
from janus_eval.seams import Task
from janus_eval.specs import offered
from janus_eval.suites import Suite
from janus_eval.types import Protocol, Request, RequestKey, Sample


class Choice(NamedTuple):
    """A task under one of its protocols."""

    task: Task
    protocol: Protocol

    def __str__(self) -> str:
        return f"{self.task.name}/{self.protocol.name}"


@dataclass(frozen=True)
class Asking:
    """All that is asked under one ``Protocol.ask``: protocols that only judge differently share one."""

    digest: str
    samples: Sequence[Sample]
    requests: Sequence[Sequence[Request]]
    """One row a sample."""

    @functools.cached_property
    def data(self) -> str:
        return fingerprint.data_part(self.samples)


@dataclass(frozen=True)
class Entry:
    task: Task
    protocol: Protocol
    asking: Asking

    def __str__(self) -> str:
        return f"{self.task.name}/{self.protocol.name}"


def choices(specs: Sequence[str], instruments: Mapping[str, str] | None = None) -> list[Choice]:
    """``TASK`` (its default protocol, the first) or ``TASK/PROTOCOL``, each once.

    ``instruments``: role -> name, in place of the protocols' own. Raises UserError for a role that none of them has.
    """
    found: dict[str, Choice] = {}
    for spec in specs:
        name, _, wanted = spec.partition("/")
        task: Task = offered("tasks", name)
        known = list(task.protocols)
        if not known:
            raise UserError(f"task {name!r} stands for many: write {name}:NAME")
        if wanted and wanted not in known:
            near = plugins.near(wanted, known)
            raise UserError(f"task {name!r} has no protocol {wanted!r}{near} (it has {', '.join(known)})")
        choice = Choice(task, task.protocols[wanted or known[0]])
        found.setdefault(str(choice), choice)
    return with_instruments(list(found.values()), instruments or {})


def spelt_out(specs: Sequence[str]) -> list[str]:
    """The same with every protocol named where a bare ``TASK`` stands for several (``Task.together``)."""
    found: list[str] = []
    for spec in specs:
        together = () if "/" in spec else getattr(offered("tasks", spec), "together", ())
        found += [f"{spec}/{protocol}" for protocol in together] or [spec]
    return found


def with_instruments(chosen: Sequence[Choice], instruments: Mapping[str, str]) -> list[Choice]:
    """The same, with other instruments in some roles; what is seen differently is another fingerprint."""
    roles = sorted({role for choice in chosen for role in choice.protocol.observe})
    for role in instruments:
        if role not in roles:
            raise UserError(
                f"--instrument {role}: no task here has this role{plugins.near(role, roles)} "
                f"(they have {', '.join(roles) or 'none'})"
            )
    return [
        Choice(
            task,
            replace(protocol, observe={role: instruments.get(role, name) for role, name in protocol.observe.items()}),
        )
        for task, protocol in chosen
    ]


def load_suite(name: str) -> Suite:
    suite: Suite = offered("suites", name)
    return suite


def entries(chosen: Sequence[Choice], *, seed: int, limit: int | None) -> list[Entry]:
    """Fetch the samples and word the requests. ``limit``: that many groups a category, the first ones."""
    made: dict[tuple[str, str], Asking] = {}
    plan = []
    for task, protocol in chosen:
        key = task.name, fingerprint.digest(protocol.ask)
        if key not in made:
            samples = [_as_stored(sample) for sample in _rows(task, protocol, limit)]
            if limit is None and hasattr(task, "check_whole"):
                task.check_whole(samples)
            made[key] = asking(task, protocol, samples if limit is None else limited(samples, limit), seed)
        plan.append(Entry(task, protocol, made[key]))
    return plan


def _rows(task: Task, protocol: Protocol, limit: int | None) -> Sequence[Sample]:
    first = getattr(task, "first_samples", None)
    rows: Sequence[Sample] = (
        task.samples(protocol.ask) if limit is None or first is None else first(protocol.ask, limit)
    )
    return rows


def asking(task: Task, protocol: Protocol, samples: Sequence[Sample], seed: int) -> Asking:
    """Raises UserError where a task breaks the seam: no samples, an id twice, a request with a foreign key."""
    if not samples:
        raise UserError(f"task {task.name!r}, protocol {protocol.name!r}: its data has no samples")
    seen: set[str] = set()
    requests = []
    for sample in samples:
        if sample.id in seen:
            raise UserError(f"task {task.name!r}: two samples have the id {sample.id!r}")
        seen.add(sample.id)
        row = list(task.requests(sample, protocol.ask, functools.partial(seed_of, seed, task.name)))
        for index, request in enumerate(row):
            assert request.key == RequestKey(task.name, sample.id, index), f"{request.key} is number {index}"
        requests.append(row)
    return Asking(fingerprint.digest(protocol.ask), samples, requests)


def limited(samples: Sequence[Sample], limit: int) -> list[Sample]:
    """The first ``limit`` groups of every category, whole; a group belongs to the category of its first sample."""
    homes: dict[str, str] = {}
    for sample in samples:
        homes.setdefault(sample.group, sample.category)
    ranks: dict[str, int] = {}
    counts: dict[str, int] = defaultdict(int)
    for group, category in homes.items():
        ranks[group] = counts[category]
        counts[category] += 1
    return [sample for sample in samples if ranks[sample.group] < limit]


def _as_stored(sample: Sample) -> Sample:
    """The sample as a run folder gives it back (lists for tuples), so that re-scoring sees what scoring saw."""

    def stored(table: Mapping[str, Any]) -> Any:
        return json.loads(json.dumps(table, allow_nan=False))

    return replace(sample, inputs=stored(sample.inputs), target=stored(sample.target), metadata=stored(sample.metadata))
