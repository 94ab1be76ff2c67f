"""Metrics of lmms-eval's tasks: the figure is their own aggregation's, the interval is ours.

Where the aggregation is a mean over samples the interval is that of every mean here. Any other (F1, a sum over
categories, a macro average) is aggregated again without each block of groups in turn: the delete-a-group jackknife,
stratified by category (Shao and Tu 1995, 5.1), with Student's quantile at Satterthwaite's degrees of freedom.
Resampling would repeat groups, which aggregations that pair items by their ids, as MME's, do not take.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, cast

from scipy.special import stdtrit

from janus_eval.seams import Metric
from janus_eval.statistics import TOP, grouped_mean, nothing, scaled, wilson
from janus_eval.tasks.lmms.aggregation import Aggregated, aggregated
from janus_eval.tasks.lmms.docs import unpacked
from janus_eval.types import Estimate, Scored, Unit

BLOCKS = 200
"""Blocks at most that are left out in turn, over all categories."""


class Item(NamedTuple):
    """What a metric reads of one sample."""

    scored: Scored
    value: Any


@dataclass(frozen=True)
class Measure:
    """One metric of one task. ``task`` gives lmms-eval's object, ``number`` an item's own score, if it has one."""

    name: str
    metric: str
    task: Callable[[Scored], Any]
    number: Callable[[Any, Any], float | None]
    top: float | None = None
    """Points at most in each category, where the unit is points and that is known."""

    def __call__(self, scored: Sequence[Scored]) -> Estimate:
        return self.measured(scored)[0]

    def measured(self, scored: Sequence[Scored]) -> tuple[Estimate, str]:
        """The estimate, and what a reader must know of it."""
        own = [one for one in scored if one.sample.target.get("task") == self.name]
        items = [Item(one, unpacked(one.score.parts[self.metric])) for one in own if self.metric in one.score.parts]
        failed = sum(not one.score.parts for one in own)
        unit = self._unit(own)
        if not items:
            return nothing(unit, failed), ""
        task = self.task(own[0])
        found, items, remark = self._aggregated(task, items, own)
        if found.value is None:
            return nothing(unit, failed), f"{self.metric}: {found.reason}"
        estimate = self._mean(task, items, found.value, unit) or self._jackknifed(task, items, found.value, unit)
        return replace(estimate, failed=failed), remark

    def _unit(self, own: Sequence[Scored]) -> Unit:
        for one in own:
            units = cast(Mapping[str, Unit], one.sample.metadata.get("units", {}))
            return units.get(self.metric, units.get(self.metric.partition(",")[0], "points"))
        return "points"

    def _aggregated(self, task: Any, items: list[Item], own: Sequence[Scored]) -> tuple[Aggregated, list[Item], str]:
        """Over all items; where that fails for lack of what failed, as with MME's pairs, over whole groups alone."""
        found = aggregated(task, self.metric, [item.value for item in items])
        broken = {one.sample.group for one in own if not one.score.parts}
        if found.value is not None or not broken:
            return found, items, ""
        whole = [item for item in items if item.scored.sample.group not in broken]
        if not whole:
            return found, items, ""
        again = aggregated(task, self.metric, [item.value for item in whole])
        lost = len(items) - len(whole)
        return again, whole, f"{self.metric}: {lost} samples are left out with others of their group, which failed"

    def _mean(self, task: Any, items: Sequence[Item], value: float, unit: Unit) -> Estimate | None:
        """The interval of a mean, if it is one; the percent of a mean of fractions too."""
        numbers = [self.number(task, item.value) for item in items]
        if any(number is None for number in numbers) or unit == "points":
            return None
        plain = [cast(float, number) for number in numbers]
        mean = math.fsum(plain) / len(plain)
        factor = next((f for f in (1.0, 100.0) if math.isclose(mean * f, value, rel_tol=1e-9, abs_tol=1e-12)), None)
        if factor is None or (factor == 100.0 and unit != "percent"):
            return None
        base: Unit = "fraction" if factor == 100.0 else unit
        again = [
            replace(item.scored, score=replace(item.scored.score, value=number))
            for item, number in zip(items, plain, strict=True)
        ]
        estimate = grouped_mean(again, base)
        return replace(scaled(estimate, factor, unit), value=value)

    def _jackknifed(self, task: Any, items: Sequence[Item], value: float, unit: Unit) -> Estimate:
        strata = _blocks(items)
        categories = len({item.scored.sample.category for item in items})
        top = TOP[unit] if unit != "points" else self.top * categories if self.top else None
        variances: list[float] = []
        freedoms: list[int] = []
        for blocks in strata:
            without = [self._without(task, items, block) for block in blocks]
            known = [one for one in without if one is not None]
            if len(known) > 1:
                mean = math.fsum(known) / len(known)
                variances.append((len(known) - 1) / len(known) * math.fsum((one - mean) ** 2 for one in known))
                freedoms.append(len(known) - 1)
        spread = math.sqrt(math.fsum(variances))
        if spread <= 1e-12 * max(1.0, abs(value)):
            return _unmoved(value, unit, len(items), _groups(items), top)
        freedom = math.fsum(variances) ** 2 / math.fsum(v * v / f for v, f in zip(variances, freedoms, strict=True))
        half = float(stdtrit(freedom, 0.975)) * spread
        low = max(value - half, 0.0) if value >= 0 else value - half
        high = value + half if top is None or value > top else min(value + half, top)
        return Estimate(value, low, high, unit, len(items))

    def _without(self, task: Any, items: Sequence[Item], block: frozenset[tuple[str, str]]) -> float | None:
        kept = [item.value for item in items if _place(item) not in block]
        return aggregated(task, self.metric, kept).value if kept else None


def _place(item: Item) -> tuple[str, str]:
    return item.scored.sample.category, item.scored.sample.group


def _groups(items: Sequence[Item]) -> int:
    return len({_place(item) for item in items})


def _blocks(items: Sequence[Item]) -> list[list[frozenset[tuple[str, str]]]]:
    """By category, blocks of groups, each of one group unless there are many. A category of one group has none: what
    would be left of it is nothing."""
    homes: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for place in sorted({_place(item) for item in items}):
        homes[place[0]].append(place)
    total = sum(map(len, homes.values()))
    found = []
    for _, places in sorted(homes.items()):
        count = min(len(places), max(2, BLOCKS * len(places) // total))
        if len(places) > 1:
            found.append([frozenset(places[start::count]) for start in range(count)])
    return found


def _unmoved(value: float, unit: Unit, n: int, groups: int, top: float | None) -> Estimate:
    """Where leaving out moves nothing, as where all is right: the interval of a proportion of as many groups, on a
    scale whose end is known; else none."""
    if top is None or not 0 <= value <= top:
        return Estimate(value, None, None, unit, n)
    low, high = (bound * top for bound in wilson(value / top * groups, groups))
    return Estimate(value, min(low, value), max(high, value), unit, n)


@dataclass(frozen=True)
class GroupMean:
    """A group's figure from its tasks': their mean, or what the group's file says (``aggregate_metric_list``).

    The tasks count as independent of each other.
    """

    parts: Sequence[Metric]
    by_size: bool

    def __call__(self, scored: Sequence[Scored]) -> Estimate:
        found = [part(scored) for part in self.parts]
        failed = sum(one.failed for one in found)
        there = [one for one in found if one.value is not None]
        units = {one.unit for one in there}
        if len(there) < len(found) or len(units) != 1:
            return nothing(found[0].unit if found else "points", failed)
        total = sum(one.n if self.by_size else 1 for one in there)
        weights = [(one.n if self.by_size else 1) / total for one in there]
        value = math.fsum(weight * cast(float, one.value) for weight, one in zip(weights, there, strict=True))
        halves = {
            end: _half([(w, getattr(one, end), cast(float, one.value)) for w, one in zip(weights, there, strict=True)])
            for end in ("low", "high")
        }
        low = None if halves["low"] is None else value - halves["low"]
        high = None if halves["high"] is None else value + halves["high"]
        return Estimate(value, low, high, units.pop(), sum(one.n for one in there), failed)


def _half(parts: Sequence[tuple[float, float | None, float]]) -> float | None:
    """How far a weighted sum's end lies from it, by those of its independent parts: (weight, end, value) each."""
    found = [weight * (end - value) for weight, end, value in parts if end is not None]
    return math.hypot(*found) if len(found) == len(parts) else None
