"""A run: one model through ``respond -> observe -> score -> summarise``, in a folder that knows how to go on."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from janus_eval import fingerprint, portions, usage
from janus_eval.errors import UserError
from janus_eval.journal import Record
from janus_eval.machine import machine, versions
from janus_eval.observe import Instruments, Observer, observe, wanted_instruments
from janus_eval.plan import Choice, Entry, asking
from janus_eval.portions import Portion
from janus_eval.progress import Display
from janus_eval.respond import needs, prepared, respond
from janus_eval.score import rows, score
from janus_eval.store import SCHEMA, RunFolder, opened
from janus_eval.summarise import described, summary, write_results
from janus_eval.types import Capability, Sample


@dataclass(frozen=True)
class Options:
    """How a run is made. ``seed`` and ``limit`` belong to what it measures; the others must not move a number."""

    seed: int = 0
    limit: int | None = None
    batch_size: int = 16
    retry_failed: bool = False


@dataclass(frozen=True)
class Subject:
    """A loaded model with its identity, as results.json names it."""

    name: str
    model: Any
    capabilities: frozenset[Capability]
    settings: Mapping[str, Any]
    checkpoint: str | None = None
    device: str = "cpu"
    dtype: str = "float32"

    @property
    def identity(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "checkpoint": self.checkpoint,
            "settings": dict(self.settings),
            "dtype": self.dtype,
            "weights": self.model.weights,
            "capabilities": sorted(self.capabilities),
            **({"source": self.model.source} if getattr(self.model, "source", None) else {}),
        }


class Part(NamedTuple):
    """An entry with what this run adds to it."""

    entry: Entry
    observers: Sequence[Observer]
    fingerprint: fingerprint.Fingerprint


def run(
    subject: Subject,
    entries: Sequence[Entry],
    path: Path,
    options: Options,
    *,
    instruments: Instruments,
    display: Display,
    portion: Portion | None = None,
) -> Path:
    """Make or extend the run folder at ``path``; return it. With a ``portion``, only that much of it is asked.

    Raises UserError where the folder is in use, is none, or was made with something that moves numbers and differs.
    """
    able = [entry for entry in entries if needs(entry) <= subject.capabilities]
    running = {entry.task.name for entry in able}
    # A task is named where all of it is left out, else the protocol.
    skipped = {
        str(entry) if entry.task.name in running else entry.task.name: sorted(needs(entry) - subject.capabilities)
        for entry in entries
        if entry not in able
    }
    for left_out, lacking in skipped.items():
        display.note(f"{subject.name} cannot {' or '.join(lacking)}: {left_out} is left out")
    refuse_unable(subject.name, subject.capabilities, entries)
    for line in prepared(subject.model, able):
        display.note(f"{subject.name}: {line}")
    parts = [part_of(entry, instruments, subject.identity, options.seed) for entry in able]
    for name in sorted({observer.name for part in parts for observer in part.observers}):
        # Before the model is asked anything: what an instrument lacks would come out only after all the drawing.
        instrument = instruments.get(name) if (path / "run.json").exists() else instruments.ready(name)
        if getattr(instrument, "weights", None) == subject.model.weights:
            display.note(f"{subject.name} judges itself: instrument {name} has its weights")
    header = _header(subject, parts, options, skipped)
    if portion is not None:
        header[portions.KEY] = portions.described(portion, able)
    with opened(path, header) as folder:
        _refuse_other(folder, subject.identity, options, parts)
        if portion is not None:
            portions.refuse_other(path, folder.header, portion)
            able = [portions.narrowed(entry, portion) for entry in able]
            parts = [part_of(entry, instruments, subject.identity, options.seed) for entry in able]
        for name in sorted(wanted_instruments(folder, able, instruments, retry_failed=options.retry_failed)):
            instruments.ready(name)
        for task in {part.entry.task.name: None for part in parts}:
            folder.write_samples(task, {e.asking.digest: e.asking.samples for e in able if e.task.name == task})
        _respond(folder, subject, able, options, display)
        _finish(folder, parts, instruments, options, display)
    return path


def _respond(folder: RunFolder, subject: Subject, entries: Sequence[Entry], options: Options, display: Display) -> None:
    meter = getattr(subject.model, "meter", None)
    try:
        respond(
            folder,
            subject.name,
            subject.model,
            entries,
            batch_size=options.batch_size,
            retry_failed=options.retry_failed,
            display=display,
        )
    finally:
        if meter is not None:  # an interrupted run has cost something too
            display.note(f"{subject.name}: {usage.record(folder, meter)}")


def refuse_unable(name: str, capabilities: frozenset[Capability], entries: Sequence[Entry]) -> None:
    """Raise UserError for a model that can do none of the tasks, which is known before it is loaded."""
    if not any(needs(entry) <= capabilities for entry in entries):
        raise UserError(f"model {name!r} can do none of these tasks (it can {', '.join(sorted(capabilities))})")


def rescore(
    path: Path, chosen: Sequence[Choice], *, instruments: Instruments, options: Options, display: Display
) -> None:
    """Judge a run again under other protocols, from what it recorded; no model is asked.

    Instruments are asked only for looks that the run does not hold. Raises UserError where a protocol asks something
    that the run was not asked.
    """
    with opened(path) as folder:
        instruments = replace(instruments, recorded=folder.looked_with)
        identity, seed = folder.header["model"], folder.header["seed"]
        parts = []
        for task, protocol in chosen:
            samples: Sequence[Sample] = folder.read_samples(task.name, fingerprint.digest(protocol.ask))
            if not samples:
                raise UserError(
                    f"{path} was not asked what {task.name}/{protocol.name} asks; "
                    f"run it: janus-eval run --task {task.name}/{protocol.name} ..."
                )
            entry = Entry(task, protocol, asking(task, protocol, samples, seed))
            parts.append(part_of(entry, instruments, identity, seed))
        _finish(folder, parts, instruments, options, display)


def _finish(
    folder: RunFolder, parts: Sequence[Part], instruments: Instruments, options: Options, display: Display
) -> None:
    observe(
        folder,
        [part.entry for part in parts],
        instruments,
        batch_size=options.batch_size,
        retry_failed=options.retry_failed,
        display=display,
    )
    lines: dict[tuple[str, str], list[Record]] = {}
    fresh: dict[str, dict[str, Any]] = {}
    for entry, observers, prints in parts:
        scored = score(folder, entry, observers)
        lines[entry.task.name, entry.protocol.name] = rows(entry, scored)
        part = portions.part_of(folder.header, entry)
        summed = fresh.setdefault(entry.task.name, {})[entry.protocol.name] = summary(entry, scored, prints, part)
        for remark in summed.get("remarks", ()):
            display.note(f"{entry}: {remark}")
    folder.write_scores(lines)
    write_results(folder, fresh)


def part_of(entry: Entry, instruments: Instruments, identity: Mapping[str, Any], seed: int) -> Part:
    observers = instruments.observers(entry.protocol)
    requests = (request for row in entry.asking.requests for request in row)
    return Part(
        entry,
        observers,
        {
            "data": entry.asking.data,
            "ask": fingerprint.ask_part(entry.protocol, seed, requests),
            "observe": fingerprint.observe_part(observers),
            "judge": fingerprint.digest(entry.protocol.judge),
            "settings": fingerprint.settings_part(identity["settings"], identity["dtype"]),
            "weights": identity["weights"],
        },
    )


def _header(
    subject: Subject, parts: Sequence[Part], options: Options, skipped: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """run.json, as the first to run here writes it."""
    tasks: dict[str, dict[str, Any]] = {}
    for part in parts:
        table = {"fingerprint": part.fingerprint, "asking": part.entry.asking.digest, **described(part.entry)}
        tasks.setdefault(part.entry.task.name, {})[part.entry.protocol.name] = table
    return {
        "schema": SCHEMA,
        "model": subject.identity,
        "seed": options.seed,
        "limit": options.limit,
        "tasks": tasks,
        "skipped": {task: list(lacking) for task, lacking in skipped.items()},
        "batch_size": options.batch_size,
        "device": subject.device,
        "versions": versions(),
        "machine": machine(),
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def _refuse_other(folder: RunFolder, identity: Mapping[str, Any], options: Options, parts: Sequence[Part]) -> None:
    """Raise UserError where this folder's numbers would come to stand on different ground."""
    header = folder.header
    for name, ours, theirs in (
        ("seed", options.seed, header["seed"]),
        ("limit", options.limit, header["limit"]),
        (
            "settings",
            [identity["settings"], identity["dtype"]],
            [header["model"]["settings"], header["model"]["dtype"]],
        ),
        ("weights", identity["weights"], header["model"]["weights"]),
    ):
        if ours != theirs:
            raise UserError(f"{folder.path} was run with other {name} ({theirs}, now {ours}); choose another --out")
    done = folder.results().get("tasks", {})
    for entry, _, ours in parts:
        task, protocol = entry.task.name, entry.protocol.name
        # results.json speaks last: `score` may have judged anew since run.json was written.
        stored = done.get(task, {}).get(protocol) or header["tasks"].get(task, {}).get(protocol)
        if stored and "part" in stored:  # then run.json knows the whole
            stored = header["tasks"].get(task, {}).get(protocol)
        differing = fingerprint.differences(ours, stored["fingerprint"]) if stored else []
        if differing:
            raise UserError(
                f"{folder.path} was run with another {entry}: {', '.join(differing)} differ; choose another --out"
            )
