"""The plots of the report. What to see in each is said by the caption that its page writes."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from markupsafe import Markup
from matplotlib.axes import Axes

from janus_eval.reports.drawing import INK, MUTED, PAPER, RULE, Drawing, Series, drawing
from janus_eval.reports.records import MetricRecord
from janus_eval.reports.wording import fitted, interval, line, number

WIDTH = 560
LETTER = 6.5  # a letter's width in pixels, on average
STEP = 16  # pixels between the feet of two names
LEFT, TOP, RIGHT, BOTTOM = 44, 14, 124, 44
NAMED = 17  # letters that RIGHT has room for
PAD = 0.04  # of the axis, before its first and after its last size

Scale = tuple[float, float]


class Curve(NamedTuple):
    """A system's estimates over a size, in order."""

    series: Series
    points: Sequence[tuple[float, MetricRecord]]


class Level(NamedTuple):
    """A number that has no size: a line across the whole plot, with its interval as a band."""

    series: Series
    metric: MetricRecord


class Bar(NamedTuple):
    """A system's number, and how it is written; ``hollow`` where it was published, so that nothing is known of its
    interval."""

    series: Series
    metric: MetricRecord
    text: str
    hollow: bool = False


class Spot(NamedTuple):
    """A system with two numbers."""

    series: Series
    x: MetricRecord
    y: MetricRecord
    hollow: bool = False


def curves(
    lines: Sequence[Curve],
    scale: Scale,
    x_label: str,
    y_label: str,
    *,
    ticks: Sequence[float] = (),
    words: Sequence[str] = (),
    levels: Sequence[Level] = (),
    heading: str = "",
) -> Markup:
    """Estimates over a size, a line each with 95% whiskers; every size is a tick, so the axis can be read exactly.

    ``ticks`` are there although no line may reach them. ``words`` name the ticks where sizes only count 0, 1, 2, ...;
    ``heading`` stands above the lines' names.
    """
    xs = sorted({*ticks, *range(len(words)), *(x for one in lines for x, _ in one.points)})
    height = max(300, TOP + BOTTOM + STEP * (len(lines) + len(levels) + bool(heading)))
    inner = WIDTH - LEFT - RIGHT
    # Sizes are mostly chosen in ratios (5, 6, 7, ... 40): those stand evenly on a logarithmic axis.
    log = not words and xs[0] > 0 and xs[-1] >= 4 * xs[0]
    at = _placed(xs, log)
    with drawing(WIDTH, height) as paper:
        axes = paper.axes(LEFT, TOP, RIGHT, BOTTOM)
        _frame(axes, scale)
        _sizes(axes, xs, at, words, inner)
        below = f"{x_label}{' (log scale)' if log else ''}"
        paper.text(LEFT + inner / 2, height - 6, below, ha="center", color=INK)
        for level in levels:
            axes.axhspan(*_bounds(level.metric), color=level.series.colour, alpha=0.13, lw=0, gid="band")
            axes.axhline(level.metric.value or 0.0, color=level.series.colour, lw=1.5, ls=":", gid="level")
        # Neighbouring lines stand a little apart, so that equal values do not hide each other's whiskers.
        apart = min([4.0 / inner, *((at(b) - at(a)) / (len(lines) + 1) for a, b in pairwise(xs))])
        ends = [(level.metric.value or 0.0, level.series) for level in levels]
        for n, one in enumerate(lines):
            shift = apart * (n - (len(lines) - 1) / 2)
            drawn = [(at(x) + shift, m) for x, m in one.points if m.value is not None]
            if not words:  # between words there is nothing to go along
                path = [x for x, _ in drawn], [m.value or 0.0 for _, m in drawn]
                axes.plot(*path, color=one.series.colour, lw=1.5, ls=one.series.dashes, alpha=0.6)
            for x, metric in drawn:
                _estimate(axes, paper, (x, metric.value or 0.0), None, metric, one.series)
            ends += [(drawn[-1][1].value or 0.0, one.series)] if drawn else []
        _names(paper, [end for end in ends if end[1].name], scale, heading)
        return paper.svg(f"{y_label} by {x_label}")


def bars(rows: Sequence[Bar], scale: Scale, title: str) -> Markup:
    """A bar for each system in the order given, with its interval; hollow ones were published. They begin at zero:
    a bar's length is what is compared."""
    left, step = 190, 24
    height = 8 + step * len(rows) + 28
    with drawing(WIDTH, height) as paper:
        axes = paper.axes(left, 8, 64, 28)
        _across(axes, (0.0, scale[1]), len(rows))
        for n, row in enumerate(rows):
            y = len(rows) - 1 - n
            face = PAPER if row.hollow else row.series.colour
            gid = paper.say(said(row.metric, row.series.name))
            axes.barh(y, row.metric.value or 0.0, 0.56, color=face, ec=row.series.colour, lw=1.2, gid=gid)
            if row.metric.low is not None and row.metric.high is not None:
                axes.plot(_bounds(row.metric), (y, y), color=INK, lw=1.5, solid_capstyle="butt")
            foot = 8 + step * n + step / 2 + 4
            paper.text(left - 8, foot, fitted(row.series.name, 25), ha="right", color=INK)
            printed = f"{row.text}{'†' if row.hollow else ''}"
            paper.text(WIDTH - 58, foot, printed, color=MUTED if row.hollow else INK)
        return paper.svg(title)


def multiples(
    names: Sequence[str], rows: Sequence[tuple[Series, bool, Mapping[str, MetricRecord]]], scale: Scale, title: str
) -> Markup:
    """A small panel for each category side by side, all on one scale: systems downwards, in one order."""
    across = 3
    step, head, gap, left, width = 18, 24, 28, 116, WIDTH + 36
    down = math.ceil(len(names) / across)
    panel = head + step * len(rows) + 26
    wide = (width - left - gap * (across - 1) - 12) / across
    with drawing(width, panel * down) as paper:
        for n, name in enumerate(names):
            x, y = left + (n % across) * (wide + gap), (n // across) * panel
            axes = paper.axes(x, y + head, paper.width - x - wide, paper.height - y - panel + 26)
            _across(axes, scale, len(rows), few=True)
            paper.text(x, y + head - 8, line(name, 22), color=INK)
            for r, (series, hollow, metrics) in enumerate(rows):
                metric = metrics.get(name)
                if metric is not None and metric.value is not None:
                    place = (metric.value, float(len(rows) - 1 - r))
                    _estimate(axes, paper, place, series.name, metric, series, hollow=hollow, upright=False)
                if n % across == 0:
                    foot = y + head + step * r + step / 2 + 4
                    paper.text(left - 8, foot, fitted(series.name, 15), ha="right", color=MUTED if hollow else INK)
        return paper.svg(title)


def radar(
    names: Sequence[str], rows: Sequence[tuple[Series, bool, Mapping[str, MetricRecord]]], scale: Scale, title: str
) -> Markup:
    """Categories around a centre, a closed line for each system; dotted ones were published."""
    side, width, right = 300, WIDTH, 190
    turns = [2 * math.pi * n / len(names) for n in range(len(names))]
    with drawing(width, side) as paper:
        axes = paper.axes(width - right - side + 14, 40, right + 66, 40, projection="polar")
        axes.set_theta_zero_location("N")  # type: ignore[attr-defined]
        axes.set_theta_direction(-1)  # type: ignore[attr-defined]
        axes.set_ylim(*scale)
        axes.spines["polar"].set_color(RULE)
        middle = (scale[0] + scale[1]) / 2
        axes.set_yticks([middle, scale[1]], [f"{middle:g}", f"{scale[1]:g}"], color=MUTED, size=10)
        axes.set_xticks(turns, [""] * len(names))
        axes.set_rlabel_position(180 / len(names))  # type: ignore[attr-defined]
        reach = scale[1] + 0.09 * (scale[1] - scale[0])
        for turn, name in zip(turns, names, strict=True):
            side_of = "center" if abs(math.sin(turn)) < 0.1 else "left" if math.sin(turn) > 0 else "right"
            words = "\n".join(textwrap.wrap(line(name, 34), 18))
            axes.text(turn, reach, words, ha=side_of, va="center", color=INK, clip_on=False, parse_math=False)
        for n, (series, hollow, metrics) in enumerate(rows):
            values = [m.value or 0.0 if (m := metrics.get(name)) else 0.0 for name in names]
            style = ":" if hollow else series.dashes
            axes.plot([*turns, turns[0]], [*values, values[0]], color=series.colour, lw=1.5, ls=style)
            face = PAPER if hollow else series.colour
            axes.plot(turns, values, ls="", marker=series.marker, ms=5, mfc=face, mec=series.colour)
            foot = 20 + STEP * n
            _key(paper, width - right + 26, foot - 4, series, style, face)
            paper.text(width - right + 48, foot, fitted(series.name, 19), color=MUTED if hollow else INK)
        return paper.svg(title)


def plane(spots: Sequence[Spot], scales: tuple[Scale, Scale], labels: tuple[str, str]) -> Markup:
    """Systems by two numbers, both intervals as whiskers; hollow ones were published."""
    width, height = WIDTH + 60, 340
    with drawing(width, height) as paper:
        axes = paper.axes(52, 12, 96, 44)
        _frame(axes, scales[1])
        axes.set_xlim(*scales[0])
        axes.set_xticks(steps := _steps(scales[0]), [f"{step:g}" for step in steps])
        paper.text((width - 44) / 2, height - 6, labels[0], ha="center", color=INK)
        paper.text(14, height / 2 - 16, labels[1], ha="center", va="center", rotation=90, color=INK)
        taken: list[tuple[float, float, float]] = []
        inner = width - 52 - 96, height - 12 - 44
        for spot in sorted(spots, key=lambda spot: -(spot.y.value or 0.0)):
            place = (spot.x.value or 0.0, spot.y.value or 0.0)
            shade = spot.series.colour
            if not spot.hollow:
                axes.plot(_bounds(spot.x), (place[1], place[1]), color=shade, lw=1.5)
                axes.plot((place[0], place[0]), _bounds(spot.y), color=shade, lw=1.5)
            gid = paper.say(f"{spot.series.name}: {said(spot.x)} and {said(spot.y)}")
            face = PAPER if spot.hollow else shade
            axes.plot(*place, ls="", marker=spot.series.marker, ms=7, mfc=face, mec=shade, gid=gid, clip_on=False)
            share = [(v - s[0]) / (s[1] - s[0]) for v, s in zip(place, scales, strict=True)]
            x, y = 52 + share[0] * inner[0] + 8, 12 + (1 - share[1]) * inner[1] - 4
            name = fitted(spot.series.name, 24)
            long = len(name) * LETTER * 11 / 12
            x = x if x + long < width else x - long - 16
            while any(abs(y - b) < 13 and x < a + w and a < x + long for a, b, w in taken):
                y += 2
            taken.append((x, y, long))
            paper.text(x, y, name, color=MUTED if spot.hollow else INK, size=11)
        return paper.svg(f"{labels[1]} against {labels[0]}")


def said(metric: MetricRecord, name: str = "") -> str:
    """A number in words, for whoever points at it."""
    bounds = interval(metric.low, metric.high, metric.unit)
    detail = f" ({bounds}), n = {metric.n:,}" if bounds else ""
    return f"{name}{': ' if name else ''}{number(metric.value, metric.unit)}{detail}"


def _bounds(metric: MetricRecord) -> tuple[float, float]:
    value = metric.value or 0.0
    return (value if metric.low is None else metric.low), (value if metric.high is None else metric.high)


def _estimate(
    axes: Axes,
    paper: Drawing,
    at: tuple[float, float],
    name: str | None,
    metric: MetricRecord,
    series: Series,
    *,
    hollow: bool = False,
    upright: bool = True,
) -> None:
    """A marker with its whisker."""
    if metric.low is not None and metric.high is not None:
        ends = _bounds(metric)
        path = ((at[0], at[0]), ends) if upright else (ends, (at[1], at[1]))
        axes.plot(*path, color=series.colour, lw=2, solid_capstyle="round", clip_on=False, gid="whisker")
    face = PAPER if hollow else series.colour
    axes.plot(
        *at, ls="", marker=series.marker, ms=6.5, mfc=face, mec=series.colour if hollow else PAPER, clip_on=False,
        gid=paper.say(said(metric, name or "")),
    )  # fmt: skip


def _placed(xs: Sequence[float], log: bool) -> Callable[[float], float]:
    """Where a size stands on an axis from 0 to 1."""
    place: Callable[[float], float] = math.log if log else float
    first, last = place(xs[0]), place(xs[-1])

    def at(x: float) -> float:
        share = (place(x) - first) / (last - first) if last > first else 0.5
        return PAD + (1 - 2 * PAD) * share

    return at


def _steps(scale: Scale) -> list[float]:
    """Where the lines of a scale stand: its ends and round numbers between them."""
    width = scale[1] - scale[0]
    power: float = 10.0 ** math.floor(math.log10(width))
    counts = [width / (power * f) for f in (0.1, 0.2, 0.25, 0.5, 1.0)]
    whole = [round(count) for count in counts if 3 <= round(count) <= 6 and abs(count - round(count)) < 1e-6]
    count = whole[0] if whole else 4
    return [scale[0] + width * k / count for k in range(count + 1)]


def _frame(axes: Axes, scale: Scale) -> None:
    """A vertical scale with its lines."""
    axes.set_ylim(*scale)
    steps = _steps(scale)
    axes.set_yticks(steps, [f"{step:g}" for step in steps])
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)


def _across(axes: Axes, scale: Scale, rows: int, few: bool = False) -> None:
    """A horizontal scale under ``rows`` rows."""
    axes.set_xlim(*scale)
    axes.set_ylim(-0.5, rows - 0.5)
    steps = [scale[0], (scale[0] + scale[1]) / 2, scale[1]] if few else _steps(scale)
    axes.set_xticks(steps, [f"{step:g}" for step in steps])
    axes.set_yticks([])
    axes.grid(axis="x")
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)


def _sizes(axes: Axes, xs: Sequence[float], at: Callable[[float], float], words: Sequence[str], inner: float) -> None:
    """A tick for every size; its number or word where that does not run into its neighbour's."""
    axes.set_xlim(0, 1)
    room, free = int(inner / max(1, len(words)) / LETTER), -inner
    texts = []
    for x in xs:
        text = line(words[round(x)], max(2, room)) if words else f"{x:g}"
        half = len(text) * LETTER / 2
        fits = at(x) * inner - half >= free
        texts.append(text if fits else "")
        free = at(x) * inner + half if fits else free
    axes.set_xticks([at(x) for x in xs], texts)
    for label in axes.get_xticklabels():
        label.set_parse_math(False)


def _names(paper: Drawing, ends: Sequence[tuple[float, Series]], scale: Scale, heading: str) -> None:
    """The lines' names at their right ends, each tied to its end; they make room for each other."""
    x, top, bottom = paper.width - RIGHT + 18, TOP + 4.0, paper.height - BOTTOM
    if heading:
        paper.text(x, top, line(heading, NAMED - 1), color=INK)
        top += STEP
    share = [(min(max(y, scale[0]), scale[1]) - scale[0]) / (scale[1] - scale[0]) for y, _ in ends]
    heights = [TOP + (bottom - TOP) * (1 - part) for part in share]
    order = sorted(range(len(ends)), key=lambda n: heights[n])
    places: list[float] = []
    for n in order:
        places.append(max(heights[n] + 4, places[-1] + STEP if places else top))
    last = bottom + 4.0
    for k in reversed(range(len(places))):
        places[k] = min(places[k], last)
        last = places[k] - STEP
    for n, foot in zip(order, places, strict=True):
        series = ends[n][1]
        tie = (paper.width - RIGHT + 2, x - 4), (heights[n], foot - 4)
        paper.line(*tie, color=series.colour, lw=1.2, ls=":")
        paper.text(x, foot, fitted(series.name, NAMED - 1), color=INK)


def _key(paper: Drawing, x: float, y: float, series: Series, dashes: str, face: str) -> None:
    paper.line((x, x + 16), (y, y), color=series.colour, lw=1.5, ls=dashes)
    paper.line((x + 8,), (y,), ls="", marker=series.marker, ms=5, mfc=face, mec=series.colour)
