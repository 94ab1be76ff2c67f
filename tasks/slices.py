"""What the benchmarks' metrics share: looking at slices of the samples, and folding a group into one score."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from janus_eval.seams import Metric
from janus_eval.types import JSON, Estimate, Sample, Score, Scored

Source: TypeAlias = Callable[[Mapping[str, JSON]], Sequence[Sample]]
"""``Task.samples`` as a plain function: all rows for an ``ask``, in a fixed order."""

Slice: TypeAlias = Callable[[Sample], bool]


def having(key: str, value: JSON) -> Slice:
    """The samples whose metadata says so, e.g. ``having("seen", True)``."""
    return lambda sample: sample.metadata.get(key) == value


def in_category(category: str) -> Slice:
    return lambda sample: sample.category == category


SEEN: dict[str, Slice] = {"seen": having("seen", True), "unseen": having("seen", False)}
"""Slices of a source that marks its samples with whether training could have shown them."""


def sliced(metric: Metric, slices: Mapping[str, Slice]) -> dict[str, Metric]:
    """The metric on each slice, by the slice's name."""

    def on(chosen: Slice) -> Metric:
        def measure(scored: Sequence[Scored]) -> Estimate:
            return metric([item for item in scored if chosen(item.sample)])

        return measure

    return {name: on(chosen) for name, chosen in slices.items()}


def groups(scored: Sequence[Scored]) -> list[list[Scored]]:
    """Scores by group, each group in order of sample id and request index, groups in order of first appearance."""
    found: dict[str, list[Scored]] = {}
    for item in scored:
        found.setdefault(item.sample.group, []).append(item)
    return [sorted(members, key=lambda item: (item.sample.id, item.index)) for members in found.values()]


def folded(scored: Sequence[Scored], fold: Callable[[list[Scored]], Score]) -> list[Scored]:
    """One score a group, standing under the group's first sample.

    A group with an unscored member is unscored, whatever the others say: had it been folded from the rest, groups
    that fail often would be judged by an easier rule.
    """
    result = []
    for members in groups(scored):
        missing = [item for item in members if item.score.value is None]
        reason = f"{len(missing)} of {len(members)} unscored: {missing[0].score.reason}" if missing else ""
        score = Score(None, reason=reason) if missing else fold(members)
        result.append(Scored(members[0].sample, 0, score, failed=any(item.failed for item in members)))
    return result
