"""Sweeps among runs: one model under settings that differ, found in what the runs recorded of themselves."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias, TypeGuard

from janus_eval.reports.records import Run
from janus_eval.reports.wording import line, listed

SHOWN = 24
"""Characters of a value: a system prompt may be swept too, and stands in full among the knobs."""

Place: TypeAlias = tuple[str, ...]
"""Where a cell stands in a sweep: its value on every axis, as JSON."""


class Ground(NamedTuple):
    """All that must agree, so that what differs is the settings' doing; each but the model as JSON."""

    model: str
    checkpoint: str
    dtype: str
    weights: str
    seed: str
    limit: str


class Axis(NamedTuple):
    """A setting that differs between the runs. ``values`` maps each, as JSON, to its text, in order."""

    key: str
    values: Mapping[str, str]
    numeric: bool

    @property
    def name(self) -> str:
        return line(self.key, SHOWN)


@dataclass(frozen=True)
class Sweep:
    """Runs of one model that differ in ``axes`` alone. ``runs``: the numbers of those in each cell, mostly one.

    The first axis is the one to plot over: numbers before words, then the setting with the most values. Combinations
    that were not run are missing from ``runs``.
    """

    model: str
    axes: tuple[Axis, ...]
    runs: Mapping[Place, tuple[int, ...]]

    def label(self, values: Sequence[str], first: int = 0) -> str:
        """``guidance=5, temperature=1``: values of the axes from number ``first`` on."""
        return ", ".join(
            f"{axis.name}={axis.values[value]}" for axis, value in zip(self.axes[first:], values, strict=True)
        )

    def short(self, values: Sequence[str]) -> str:
        """``5, 1``: where a plot has no room for the names."""
        return ", ".join(axis.values[value] for axis, value in zip(self.axes, values, strict=True))

    @property
    def title(self) -> str:
        return f"{self.model} by {listed([axis.name for axis in self.axes])}"

    @property
    def members(self) -> frozenset[int]:
        return frozenset(number for numbers in self.runs.values() for number in numbers)

    @property
    def facets(self) -> list[Place]:
        """The values beyond the second axis, every combination that was run; one empty one where there is no third."""
        return sorted({place[2:] for place in self.runs}, key=lambda rest: _ranks(rest, self.axes[2:]))

    def table(self, facet: Place) -> list[tuple[str, list[Place]]]:
        """The first axis downwards, as far as it was run, each value with its cells across the second axis."""
        across = [(value, *facet) for value in self.axes[1].values] if len(self.axes) > 1 else [()]
        return [
            (down, [(down, *rest) for rest in across])
            for down in self.axes[0].values
            if any((down, *rest) in self.runs for rest in across)
        ]


def find(runs: Sequence[Run]) -> tuple[Sweep, ...]:
    """A sweep for each set of runs that stand on one ground and whose settings differ."""
    grounds: dict[Ground, list[int]] = {}
    for number, run in enumerate(runs):
        if _settings(run):
            grounds.setdefault(_ground(run), []).append(number)
    axes = {ground: tuple(_axes([_settings(runs[n]) for n in numbers])) for ground, numbers in grounds.items()}
    swept = [ground for ground in grounds if axes[ground]]
    return tuple(
        Sweep(
            _name(ground, [other for other in swept if other.model == ground.model]),
            axes[ground],
            _places(axes[ground], {number: _settings(runs[number]) for number in grounds[ground]}),
        )
        for ground in swept
    )


def names(runs: Sequence[Run]) -> dict[int, str]:
    """Number of a run in a sweep -> its model with what tells it from the other cells."""
    return {
        number: f"{sweep.model} {sweep.label(place)}"
        for sweep in find(runs)
        for place, numbers in sweep.runs.items()
        for number in numbers
    }


def _settings(run: Run) -> Mapping[str, Any]:
    settings = run.model.get("settings")
    return settings if isinstance(settings, Mapping) else {}


def _ground(run: Run) -> Ground:
    model = {key: run.model.get(key) for key in ("checkpoint", "dtype", "weights")}
    asked = {key: run.asked.get(key) for key in ("seed", "limit")}
    return Ground(run.name, *(_identity({**model, **asked}, key) for key in Ground._fields[1:]))


def _name(ground: Ground, namesakes: Sequence[Ground]) -> str:
    """The model's name, with what tells this sweep from others of models with that name."""

    def differs(key: str) -> bool:
        return len({getattr(other, key) for other in namesakes}) > 1

    checkpoint = json.loads(ground.checkpoint)
    name = f"{ground.model}:{checkpoint}" if differs("checkpoint") and checkpoint else ground.model
    told = [f"{key} {getattr(ground, key)}" for key in ("dtype", "seed", "limit") if differs(key)]
    if not told and not differs("checkpoint") and differs("weights"):
        told = [f"weights {ground.weights}"]
    return f"{name} ({line(', '.join(told), 60)})" if told else name


def _places(axes: Sequence[Axis], tables: Mapping[int, Mapping[str, Any]]) -> dict[Place, tuple[int, ...]]:
    """The runs by cell, in the axes' order; the last axis varies fastest."""
    found: dict[Place, tuple[int, ...]] = {}
    for number, table in tables.items():
        place = tuple(_identity(table, axis.key) for axis in axes)
        found[place] = (*found.get(place, ()), number)
    return {place: found[place] for place in sorted(found, key=lambda place: _ranks(place, axes))}


def _ranks(values: Sequence[str], axes: Sequence[Axis]) -> list[int]:
    return [list(axis.values).index(value) for axis, value in zip(axes, values, strict=True)]


def _identity(table: Mapping[str, Any], key: str) -> str:
    """A value as JSON; empty where there is none."""
    return json.dumps(table[key], sort_keys=True, default=str) if key in table else ""


def _axes(tables: Sequence[Mapping[str, Any]]) -> Iterator[Axis]:
    axes = [Axis(key, *_values(tables, key)) for key in dict.fromkeys(key for table in tables for key in table)]
    varying = [axis for axis in axes if len(axis.values) > 1]
    yield from sorted(varying, key=lambda axis: (not axis.numeric, -len(axis.values)))


def _values(tables: Sequence[Mapping[str, Any]], key: str) -> tuple[dict[str, str], bool]:
    """The values of a setting in order (numbers first, by size), with their texts; and whether all are numbers."""
    found = {_identity(table, key): table.get(key) for table in tables}
    numbers = {identity: value for identity, value in found.items() if _is_number(value)}
    ordered = sorted(found, key=lambda identity: (identity not in numbers, numbers.get(identity, 0), identity))
    texts = {identity: _text(identity, found[identity]) for identity in ordered}
    times = Counter(texts.values())
    # Two long prompts may begin alike.
    distinct = {i: text if times[text] == 1 else f"{text} #{n}" for n, (i, text) in enumerate(texts.items(), 1)}
    return distinct, len(numbers) == len(found)


def _is_number(value: object) -> TypeGuard[int | float]:
    # The bound leaves out NaN, and whole numbers too great for any axis.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def _text(identity: str, value: Any) -> str:
    if _is_number(value):
        short = f"{value:g}"
        return short if float(short) == value else line(identity, SHOWN)
    if isinstance(value, str):
        return line(value, SHOWN) or "(empty)"
    return line(identity, SHOWN) or "(none)"
