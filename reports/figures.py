"""Small plots as inline SVG with text as text: a dot with its whisker, and curves over a size.

All numbers are placed here; colours and strokes come from the page's style sheet by class, so that one drawing serves
light, dark and print.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from markupsafe import Markup, escape

from janus_eval.reports.records import MetricRecord
from janus_eval.reports.wording import clean, interval, number

WHISKER = (116, 16)
CURVE = (560, 300)
PAD = 16
MARGIN = (44, 14, 118, 40)  # left, top, right (for the lines' names), bottom
NAME = 16  # between the feet of two names
LETTER = 6.5  # a letter's width, on average


def whisker(metric: MetricRecord, low: float, high: float, series: str = "", hollow: bool = False) -> Markup:
    """A value as a dot and its 95% interval as a line, on the scale ``low`` to ``high`` that a column shares."""
    width, height = WHISKER
    if metric.value is None:
        return Markup("")
    spoken = f"{number(metric.value, metric.unit)}, 95% interval {interval(metric.low, metric.high, metric.unit)}"

    def at(value: float) -> str:
        share = (min(max(value, low), high) - low) / (high - low)
        return f"{5 + share * (width - 10):.1f}"

    line = ""
    if metric.low is not None and metric.high is not None:
        line = f'<line class="whisker" x1="{at(metric.low)}" x2="{at(metric.high)}" y1="8" y2="8"/>'
    ticks = "".join(f'<line class="tick" x1="{x}" x2="{x}" y1="4" y2="12"/>' for x in (at(low), at(high)))
    dot = f'<circle class="dot" cx="{at(metric.value)}" cy="8" r="4"/>'
    label = spoken if line else number(metric.value, metric.unit)
    return Markup(
        f'<svg class="w {"hollow " if hollow else ""}{series}" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" aria-label="{escape(label)}">'
        f'<line class="track" x1="{at(low)}" x2="{at(high)}" y1="8" y2="8"/>{ticks}{line}{dot}</svg>'
    )


class Line(NamedTuple):
    """One model's curve: its name, style class and (x, estimate) in order of x."""

    name: str
    series: str
    points: Sequence[tuple[float, MetricRecord]]


class Level(NamedTuple):
    """A number that has no x: a line across the whole plot, with its interval as a band."""

    name: str
    series: str
    metric: MetricRecord


class Frame(NamedTuple):
    """Where numbers stand on the paper."""

    xs: Sequence[float]
    log: bool
    low: float
    high: float
    height: int

    @property
    def right(self) -> float:
        return CURVE[0] - MARGIN[2]

    @property
    def bottom(self) -> float:
        return self.height - MARGIN[3]

    def at_x(self, x: float) -> float:
        place = math.log if self.log else float
        first, last = place(self.xs[0]), place(self.xs[-1])
        share = (place(x) - first) / (last - first) if last > first else 0.5
        return MARGIN[0] + PAD + (self.right - MARGIN[0] - 2 * PAD) * share

    def at_y(self, y: float) -> float:
        share = (min(max(y, self.low), self.high) - self.low) / (self.high - self.low)
        return MARGIN[1] + (self.bottom - MARGIN[1]) * (1 - share)


def curves(
    lines: Sequence[Line],
    low: float,
    high: float,
    x_label: str,
    y_label: str,
    *,
    ticks: Sequence[float] = (),
    words: Sequence[str] = (),
    levels: Sequence[Level] = (),
    heading: str = "",
) -> Markup:
    """Estimates over a size, a line each with 95% whiskers; every x is a tick, so the axis can be read exactly.

    ``ticks`` are there although no line may reach them. ``words`` name the ticks where x only counts 0, 1, 2, ...;
    ``heading`` stands above the lines' names.
    """
    xs = sorted({*ticks, *range(len(words)), *(x for line in lines for x, _ in line.points)})
    named = len(lines) + len(levels) + bool(heading)
    # Sizes are mostly chosen in ratios (5, 6, 7, ... 40): those stand evenly on a logarithmic axis.
    log = not words and xs[0] > 0 and xs[-1] >= 4 * xs[0]
    # Names need room below each other.
    frame = Frame(xs, log, low, high, max(CURVE[1], MARGIN[1] + MARGIN[3] + NAME * named))
    parts = [*_grid(frame), *_ticks(frame, words)]
    middle = f'x="{(MARGIN[0] + frame.right) / 2:.0f}" y="{frame.height - 4}" text-anchor="middle"'
    parts.append(f'<text class="axis" {middle}>{escape(clean(x_label))}{" (log scale)" if log else ""}</text>')
    parts += [_level(level, frame) for level in levels]
    ends = [(frame.at_y(level.metric.value or 0.0), level.name, level.series) for level in levels]
    # Neighbouring lines stand a little apart, so that equal values do not hide each other's whiskers.
    apart = min([4.0, *((frame.at_x(b) - frame.at_x(a)) / (len(lines) + 1) for a, b in pairwise(xs))])
    for n, line in enumerate(lines):
        shift = apart * (n - (len(lines) - 1) / 2)
        drawn = [(frame.at_x(x) + shift, m) for x, m in line.points if m.value is not None]
        # Between words there is nothing to go along.
        path = " ".join(f"{x:.1f},{frame.at_y(m.value or 0.0):.1f}" for x, m in drawn)
        joined = "" if words else f'<polyline class="line" points="{path}"/>'
        parts.append(f'<g class="{line.series}">{joined}{"".join(_points(drawn, frame.at_y))}</g>')
        if drawn:
            ends.append((frame.at_y(drawn[-1][1].value or 0.0), line.name, line.series))
    parts += _names([end for end in ends if end[1]], frame, heading)
    title = clean(f"{y_label} by {x_label}")
    return Markup(
        f'<svg class="curve" viewBox="0 0 {CURVE[0]} {frame.height}" role="img" aria-label="{escape(title)}">'
        f"{''.join(parts)}</svg>"
    )


def _grid(frame: Frame) -> Iterator[str]:
    for k in range(5):
        value = frame.low + (frame.high - frame.low) * k / 4
        y = frame.at_y(value)
        yield (
            f'<line class="grid" x1="{MARGIN[0]}" x2="{frame.right}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text x="{MARGIN[0] - 8}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>'
        )


def _ticks(frame: Frame, words: Sequence[str]) -> Iterator[str]:
    room = (frame.right - MARGIN[0]) / max(1, len(words)) / LETTER
    free = 0.0
    for x in frame.xs:
        at = f"{frame.at_x(x):.1f}"
        yield f'<line class="tick" x1="{at}" x2="{at}" y1="{frame.bottom}" y2="{frame.bottom + 5}"/>'
        text = _cut(words[round(x)], int(room)) if words else f"{x:g}"
        half = len(text) * LETTER / 2
        if frame.at_x(x) - half >= free:  # else it would run into its neighbour
            free = frame.at_x(x) + half
            yield f'<text x="{at}" y="{frame.bottom + 19}" text-anchor="middle">{escape(text)}</text>'


def _level(level: Level, frame: Frame) -> str:
    metric = level.metric
    if metric.value is None:
        return ""
    y = frame.at_y(metric.value)
    band = ""
    if metric.low is not None and metric.high is not None:
        top, bottom = frame.at_y(metric.high), frame.at_y(metric.low)
        across = f'x="{MARGIN[0]}" width="{frame.right - MARGIN[0]}"'
        band = f'<rect class="band" {across} y="{top:.1f}" height="{max(0.0, bottom - top):.1f}"/>'
    return (
        f'<g class="{level.series}">{band}<line class="level" x1="{MARGIN[0]}" x2="{frame.right}" '
        f'y1="{y:.1f}" y2="{y:.1f}"/></g>'
    )


def _points(drawn: Sequence[tuple[float, MetricRecord]], at_y: Callable[[float], float]) -> Iterator[str]:
    for x, m in drawn:
        if m.low is not None and m.high is not None:
            ends = f'y1="{at_y(m.low):.1f}" y2="{at_y(m.high):.1f}"'
            yield f'<line class="whisker" x1="{x:.1f}" x2="{x:.1f}" {ends}/>'
        yield (
            f'<circle class="dot" cx="{x:.1f}" cy="{at_y(m.value or 0.0):.1f}" r="4"><title>'
            f"{number(m.value, m.unit)} ({interval(m.low, m.high, m.unit)}), n = {m.n}</title></circle>"
        )


def _names(ends: Sequence[tuple[float, str, str]], frame: Frame, heading: str) -> Iterator[str]:
    """The lines' names at their right ends, each tied to its end; they make room for each other."""
    x, top = frame.right + 16, MARGIN[1] + 4.0
    if heading:
        yield f'<text class="axis" x="{x:.0f}" y="{top:.1f}">{escape(_cut(clean(heading), 16))}</text>'
        top += NAME
    ends = sorted(ends, key=lambda end: end[0])
    places: list[float] = []
    for y, _, _ in ends:
        places.append(max(y + 4, places[-1] + NAME if places else top))
    last = frame.bottom + 4
    for n in reversed(range(len(places))):
        places[n] = min(places[n], last)
        last = places[n] - NAME
    for (y, name, series), place in zip(ends, places, strict=True):
        yield (
            f'<g class="{series}"><path class="tie" d="M{frame.right - 6:.0f} {y:.1f}L{x - 4:.0f} {place - 4:.1f}"/>'
            f'<text class="name" x="{x:.0f}" y="{place:.1f}">{escape(_cut(clean(name), 16))}</text></g>'
        )


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else f"{text[: max(1, room - 1)]}…"
