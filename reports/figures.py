"""Small plots as inline SVG with text as text: a dot with its whisker, and curves over a size.

All numbers are placed here; colours and strokes come from the page's style sheet by class, so that one drawing serves
light, dark and print.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from markupsafe import Markup, escape

from janus_eval.reports.records import MetricRecord
from janus_eval.reports.wording import clean, interval, number

WHISKER = (116, 16)
CURVE = (560, 300)
PAD = 16
MARGIN = (44, 14, 118, 40)  # left, top, right (for the lines' names), bottom


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


def curves(lines: Sequence[Line], low: float, high: float, x_label: str, y_label: str) -> Markup:
    """Estimates over a size, a line a model with 95% whiskers; every x is a tick, so the axis can be read exactly."""
    width, height = CURVE
    left, top, right, bottom = MARGIN
    xs = sorted({x for line in lines for x, _ in line.points})
    inner = width - left - right

    # Sizes are chosen in ratios (5, 6, 7, ... 40), so they stand evenly on a logarithmic axis.
    place = math.log if xs[0] > 0 and xs[-1] >= 4 * xs[0] else float

    def at_x(x: float) -> float:
        first, last = place(xs[0]), place(xs[-1])
        return left + PAD + (inner - 2 * PAD) * ((place(x) - first) / (last - first) if last > first else 0.5)

    def at_y(y: float) -> float:
        return top + (height - top - bottom) * (1 - (min(max(y, low), high) - low) / (high - low))

    parts = []
    for k in range(5):
        y = low + (high - low) * k / 4
        parts.append(
            f'<line class="grid" x1="{left}" x2="{left + inner}" y1="{at_y(y):.1f}" y2="{at_y(y):.1f}"/>'
            f'<text x="{left - 8}" y="{at_y(y) + 4:.1f}" text-anchor="end">{y:g}</text>'
        )
    for x in xs:
        parts.append(
            f'<line class="tick" x1="{at_x(x):.1f}" x2="{at_x(x):.1f}" y1="{height - bottom}" '
            f'y2="{height - bottom + 5}"/><text x="{at_x(x):.1f}" y="{height - bottom + 19}" '
            f'text-anchor="middle">{x:g}</text>'
        )
    middle = f'x="{left + inner / 2:.0f}" y="{height - 4}" text-anchor="middle"'
    parts.append(f'<text class="axis" {middle}>{escape(x_label)}{" (log scale)" if place is math.log else ""}</text>')
    ends: list[tuple[float, Line]] = []
    for n, line in enumerate(lines):
        # Neighbouring lines stand a little apart, so that equal values do not hide each other's whiskers.
        shift = 4.0 * (n - (len(lines) - 1) / 2)
        drawn = [(at_x(x) + shift, m) for x, m in line.points if m.value is not None]
        parts.append(f'<g class="{line.series}">{"".join(_points(drawn, at_y))}</g>')
        if drawn:
            ends.append((at_y(drawn[-1][1].value or 0.0), line))
    parts.extend(_names(ends, left + inner + 14))
    title = f"{y_label} by {x_label}"
    return Markup(
        f'<svg class="curve" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">'
        f"{''.join(parts)}</svg>"
    )


def _points(drawn: Sequence[tuple[float, MetricRecord]], at_y: Callable[[float], float]) -> list[str]:
    path = " ".join(f"{x:.1f},{at_y(m.value or 0.0):.1f}" for x, m in drawn)
    parts = [f'<polyline class="line" points="{path}"/>']
    for x, m in drawn:
        if m.low is not None and m.high is not None:
            ends = f'y1="{at_y(m.low):.1f}" y2="{at_y(m.high):.1f}"'
            parts.append(f'<line class="whisker" x1="{x:.1f}" x2="{x:.1f}" {ends}/>')
        parts.append(
            f'<circle class="dot" cx="{x:.1f}" cy="{at_y(m.value or 0.0):.1f}" r="4"><title>'
            f"{number(m.value, m.unit)} ({interval(m.low, m.high, m.unit)}), n = {m.n}</title></circle>"
        )
    return parts


def _names(ends: Sequence[tuple[float, Line]], x: float) -> list[str]:
    """The lines' names at their right ends, pushed down where they would overlap."""
    parts = []
    free = 0.0
    for y, line in sorted(ends, key=lambda end: end[0]):
        free = max(y + 4, free + 16)
        name = clean(line.name)
        parts.append(
            f'<text class="name {line.series}" x="{x:.0f}" y="{free:.1f}">'
            f"{escape(name if len(name) <= 16 else name[:15] + '…')}</text>"
        )
    return parts
