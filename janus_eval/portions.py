"""A run of a random part of its samples, which can grow to the whole: what a sequential gate makes of a model.

run.json says of such a run in which order it is asked and how many groups there are; results.json, of every task that
is not whole, how many were asked. The fingerprints in run.json are those of the whole, in results.json of the part.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from janus_eval.errors import UserError
from janus_eval.fingerprint import digest
from janus_eval.plan import Asking, Entry
from janus_eval.types import Sample

KEY = "sequential"
"""Where run.json has it."""
PART = "a random part"


@dataclass(frozen=True)
class Portion:
    """``groups``: how many, by task and asking, in the order that ``order`` stands for; ``first``: groups by task that
    are asked whatever their turn. ``model``: how the command line named it, so that the folder can be gone on with."""

    order: int
    groups: Mapping[tuple[str, str], int]
    first: Mapping[str, frozenset[str]] = field(default_factory=dict)
    model: Mapping[str, Any] = field(default_factory=dict)


def in_turn(groups: Iterable[str], task: str, order: int) -> list[str]:
    """Groups in random order: by a hash of each, so that a group keeps its place among the others of any list."""
    return sorted(set(groups), key=lambda group: (digest([order, task, group]), group))


def narrowed(entry: Entry, portion: Portion) -> Entry:
    """The entry with the samples that the portion has of it, in their old order."""
    asking, task = entry.asking, entry.task.name
    turns = in_turn((sample.group for sample in asking.samples), task, portion.order)
    chosen = {*turns[: portion.groups[task, asking.digest]], *portion.first.get(task, ())}
    rows = [pair for pair in zip(asking.samples, asking.requests, strict=True) if pair[0].group in chosen]
    return replace(entry, asking=Asking(asking.digest, [sample for sample, _ in rows], [row for _, row in rows]))


def described(portion: Portion, entries: Sequence[Entry]) -> dict[str, Any]:
    """What run.json says of it; ``entries`` are the whole."""
    wholes: dict[str, dict[str, int]] = {}
    for entry in entries:
        wholes.setdefault(entry.task.name, {})[entry.asking.digest] = _groups(entry.asking.samples)
    return {"order": portion.order, "model": dict(portion.model), "groups": wholes}


def part_of(header: Mapping[str, Any], entry: Entry) -> dict[str, int] | None:
    """``groups``, ``of`` and ``order`` where the entry is less than the whole that run.json knows of."""
    sequential = header.get(KEY, {})
    whole = sequential.get("groups", {}).get(entry.task.name, {}).get(entry.asking.digest)
    groups = _groups(entry.asking.samples)
    return {"groups": groups, "of": whole, "order": sequential["order"]} if whole and groups < whole else None


def refuse_other(path: Path, header: Mapping[str, Any], portion: Portion) -> None:
    """Raise UserError for a folder that is no such run, or one in another order."""
    if KEY not in header:
        raise UserError(f"{path} is an ordinary run: give the folder itself, which is replayed, or another --out")
    if header[KEY]["order"] != portion.order:
        raise UserError(f"{path} is asked in order {header[KEY]['order']}, not {portion.order}; choose another --out")


def remark(part: Mapping[str, int]) -> str:
    return (
        f"{PART}, {part['groups']:,} of {part['of']:,} groups, as `janus-eval gate --sequential` asked them: "
        "not the benchmark's number; janus-eval run into the same folder completes it"
    )


def _groups(samples: Sequence[Sample]) -> int:
    return len({sample.group for sample in samples})
