"""A watch over time: each metric over the checkpoints of a training run, with its intervals, and where it shifted.

Shifts are sought by PELT (Killick, Fearnhead and Eckley 2012, in the library ruptures), on values divided by their own
standard error, so that the noise is 1. The penalty, 3 log n a shift, is the main term of the modified BIC (Zhang and
Siegmund 2007): a shift in the mean must explain more than noise of that size would.
"""

from __future__ import annotations

import io
import itertools
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from janus_eval.errors import UserError
from janus_eval.reports.records import MetricRecord, Run, read
from janus_eval.reports.wording import interval, line, number
from janus_eval.statistics import Z95

FEWEST = 4
"""Values below which no shift is sought: two on either side."""
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")


@dataclass(frozen=True)
class Point:
    """A checkpoint's value, in the metric's unit; None where it has none."""

    run: str
    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Shift:
    """The mean changed before ``run``: from the mean of the stretch before to that of the one that begins there."""

    run: str
    before: float
    after: float


@dataclass(frozen=True)
class Course:
    """One metric over the runs; ``note`` says why no shift was sought, or that settings changed under way."""

    task: str
    protocol: str
    metric: str
    unit: str
    points: Sequence[Point]
    shifts: Sequence[Shift]
    note: str = ""

    @property
    def name(self) -> str:
        return f"{self.task}/{self.protocol}" + ("" if self.metric == "overall" else f":{self.metric}")


def courses(paths: Sequence[Path], metrics: Sequence[str] = ()) -> list[Course]:
    """The headline of every task, or the metrics named TASK[/PROTOCOL][:METRIC], over runs in the order given.

    Raises UserError for what is no run, and for a name that no run has.
    """
    runs = [read(path).counted() for path in paths]
    names = _names(runs)
    every = list(dict.fromkeys(key for run in runs for key in _metrics(run)))
    wanted = [
        key for key in every if (key[2] == "overall" if not metrics else any(_means(name, key) for name in metrics))
    ]
    for name in metrics:
        if not any(_means(name, key) for key in every):
            raise UserError(f"--metric {name}: none of the runs has it; expected TASK[/PROTOCOL][:METRIC]")
    return [_course(key, runs, names) for key in wanted]


def _course(key: tuple[str, str, str], runs: Sequence[Run], names: Sequence[str]) -> Course:
    task, protocol, metric = key
    found = [_metrics(run).get(key) for run in runs]
    points = [
        Point(name, one.value, one.low, one.high) if one else Point(name, None, None, None)
        for name, one in zip(names, found, strict=True)
    ]
    unit = next(one.unit for one in found if one)
    parts = [run.results[task][protocol].fingerprint for run in runs if key in _metrics(run)]
    differing = sorted({part for one in parts for part in one if part != "weights" and one[part] != parts[0].get(part)})
    notes = [f"not comparable throughout: {', '.join(differing)} differ"] if differing else []
    shifts, why = ([], "") if differing else _shifts(points)
    return Course(task, protocol, metric, unit, points, shifts, "; ".join([*notes, *filter(None, [why])]))


def _shifts(points: Sequence[Point]) -> tuple[list[Shift], str]:
    there = [point for point in points if point.value is not None]
    if len(there) < FEWEST:
        return [], f"{len(there)} values; shifts are sought from {FEWEST} on"
    errors = [(p.high - p.low) / (2 * Z95) for p in there if p.high is not None and p.low is not None]
    error = math.sqrt(math.fsum(e * e for e in errors) / len(errors)) if errors else 0.0
    if not error:
        return [], "no intervals to tell a shift from noise by"
    values = [float(point.value or 0.0) for point in there]
    ends = [0, *_breaks([value / error for value in values]), len(values)]
    means = [math.fsum(values[a:b]) / (b - a) for a, b in itertools.pairwise(ends)]
    return [Shift(there[at].run, *pair) for at, pair in zip(ends[1:-1], itertools.pairwise(means), strict=True)], ""


def _breaks(values: Sequence[float]) -> list[int]:
    """Where the mean of values with noise 1 shifts."""
    import numpy as np

    try:
        import ruptures
    except ModuleNotFoundError as error:
        raise UserError("history needs ruptures: pip install 'janus-eval[history]'") from error
    signal = np.array(values)[:, None]
    found = ruptures.Pelt(model="l2", min_size=2, jump=1).fit(signal).predict(pen=3 * math.log(len(values)))
    return [int(end) for end in found[:-1]]


def _metrics(run: Run) -> dict[tuple[str, str, str], MetricRecord]:
    return {
        (task, protocol, name): metric
        for task, protocols in run.results.items()
        for protocol, result in protocols.items()
        for name, metric in result.metrics.items()
    }


def _means(name: str, key: tuple[str, str, str]) -> bool:
    front, _, metric = name.partition(":")
    return front in {key[0], f"{key[0]}/{key[1]}"} and (metric or "overall") == key[2]


def _names(runs: Sequence[Run]) -> list[str]:
    """The checkpoint's own name where they tell the runs apart, else the folders' paths."""
    checkpoints = [Path(str(run.model.get("checkpoint") or "")).name for run in runs]
    folders = [run.path.resolve().name for run in runs]
    for names in (checkpoints, folders):
        if all(names) and len(set(names)) == len(names):
            return names
    return [str(run.path) for run in runs]


def text(found: Sequence[Course]) -> str:
    """A block a metric: its shifts, or that there are none."""
    blocks = []
    for course in found:
        first, last = course.points[0], course.points[-1]
        ends = [f"{number(point.value, course.unit)} at {line(point.run, 40)}" for point in (first, last)]
        span = ", ".join(ends)
        rows = [f"{line(course.name, 60)}: {span} ({interval(last.low, last.high, course.unit) or 'no interval'})"]
        for shift in course.shifts:
            word = "rises" if shift.after > shift.before else "falls"
            means = f"{number(shift.before, course.unit)} to {number(shift.after, course.unit)}"
            rows.append(f"  {word} at {line(shift.run, 40)}: means of {means}")
        rows += [f"  {course.note}"] if course.note else []
        if not course.shifts and not course.note:
            rows.append("  no shift beyond noise")
        blocks.append("\n".join(rows))
    return "\n".join(blocks) + "\n"


def as_json(found: Sequence[Course]) -> str:
    return json.dumps([asdict(course) for course in found], indent=1, allow_nan=False) + "\n"


def plot(found: Sequence[Course], kind: str) -> bytes:
    """A panel a metric: values with 95% intervals, a line at every shift. ``kind``: png, svg or pdf."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.0, 2.4 * len(found) + 0.6), dpi=110, layout="constrained")
    for place, course in enumerate(found):
        axes = figure.add_subplot(len(found), 1, place + 1)
        there = [(at, p.value, p.low, p.high) for at, p in enumerate(course.points) if p.value is not None]
        at, values = [one[0] for one in there], [one[1] for one in there]
        spans = [[max(0.0, v - (v if low is None else low)) for _, v, low, _ in there],
                 [max(0.0, (v if high is None else high) - v) for _, v, _, high in there]]  # fmt: skip
        axes.errorbar(at, values, yerr=spans, fmt="o-", color=COLOURS[place % len(COLOURS)], markersize=4, capsize=2)
        names = [point.run for point in course.points]
        for shift in course.shifts:
            axes.axvline(names.index(shift.run) - 0.5, color="#555555", linestyle="--", linewidth=1)
        axes.set_title(f"{line(course.name, 60)}, {course.unit}".replace("$", r"\$"), fontsize=10, loc="left")
        axes.set_xticks(range(len(names)), [line(name, 24).replace("$", r"\$") for name in names], fontsize=8)
        axes.tick_params(axis="x", rotation=30 if len(names) > 5 else 0)
        axes.grid(alpha=0.25)
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, metadata={"Date": None} if kind == "svg" else None)
    return buffer.getvalue()
