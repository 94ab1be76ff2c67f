"""Whether two numbers of one benchmark may be held against each other, and what stands between them if not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from janus_eval.reports.records import ResultRecord, Run
from janus_eval.reports.wording import line, listed, plain

# Two numbers of a task can be compared when these parts of their fingerprints agree (settings and weights may differ).
COMPARABLE = ("data", "ask", "observe", "judge")
NAMED = 3  # knobs that are named one by one


class Ground(NamedTuple):
    """What a number stands on: the run, for its ``limit``, and the result with its fingerprint and knobs."""

    run: Run
    result: ResultRecord

    @property
    def identity(self) -> tuple[str | None, ...]:
        """Equal for numbers that can be compared."""
        return tuple(self.result.fingerprint.get(part) for part in COMPARABLE)


def ground(run: Run, task: str, protocol: str) -> Ground | None:
    result = run.results.get(task, {}).get(protocol)
    return None if result is None else Ground(run, result)


def knobs_that_differ(result: ResultRecord, other: ResultRecord | None) -> list[str]:
    """The parts of two fingerprints that forbid comparing the numbers."""
    if other is None:
        return []
    return [part for part in COMPARABLE if result.fingerprint.get(part) != other.fingerprint.get(part)]


def differences(this: Ground, that: Ground) -> list[str]:
    """The same with the knobs behind each part where the records tell: ``judge.threshold (0.5, not 0.3)``."""
    found: list[str] = []
    for part in knobs_that_differ(this.result, that.result):
        limits = this.run.asked.get("limit"), that.run.asked.get("limit")
        if part == "data" and limits[0] != limits[1]:
            found.append(f"data (limit {limits[0] or 'none'}, not {limits[1] or 'none'})")
            continue
        known = [dict(flatten(g.result.protocol.get(part) or {}, part)) for g in (this, that)]
        names = [name for name in known[0] | known[1] if known[0].get(name) != known[1].get(name)]
        told = [f"{n} ({line(known[0].get(n, 'unset'), 40)}, not {line(known[1].get(n, 'unset'), 40)})" for n in names]
        found += told[:NAMED] or [part]
    return found


def groups(grounds: Sequence[Ground | None]) -> list[int]:
    """A group for each number, numbers of one group being comparable: 0 for the largest (the first of equals).

    -1 where there is no number.
    """
    members: dict[tuple[str | None, ...], int] = {}
    for one in grounds:
        if one is not None:
            members[one.identity] = members.get(one.identity, 0) + 1
    ranked = sorted(members, key=lambda identity: -members[identity])
    return [-1 if one is None else ranked.index(one.identity) for one in grounds]


def sentence(this: Ground, that: Ground) -> str:
    """``ask and judge differ``."""
    found = differences(this, that)
    return f"{listed(found)} {'differs' if len(found) == 1 else 'differ'}"


def flatten(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """A nested table as (dotted name, value as text); lists of plain values stay on one line."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from flatten(inner, f"{name}.{key}" if name else str(key))
    elif name:
        yield line(name, 120), plain(value, 300)
