"""The small plots inside tables: a value as a dot on its column's scale, with its interval as a whisker.

They stand there by the hundred, so they say no more than they must: colours, sizes and the track come from the style
sheet, and the numbers in words stand beside them.
"""

from __future__ import annotations

from markupsafe import Markup

WIDTH, HEIGHT, EDGE = 112, 14, 5
MIDDLE = HEIGHT // 2


def whisker(value: float | None, bounds: tuple[float | None, float | None], scale: tuple[float, float]) -> Markup:
    """A measured value with its 95% interval, on the scale that a column shares; nothing where there is no value."""
    if value is None:
        return Markup("")
    low, high = bounds
    line = ""
    if low is not None and high is not None:
        # Ends of their own, since the interval of a good model may be no wider than the dot.
        ends = "".join(f"M{_at(end, scale):g} {MIDDLE - 3}v6" for end in (low, high))
        line = f'<path d="M{_at(low, scale):g} {MIDDLE}H{_at(high, scale):g}{ends}"/>'
    return Markup(
        f'<svg class="w" aria-hidden="true">{line}<circle cx="{_at(value, scale):g}" cy="{MIDDLE}" r="3.5"/></svg>'
    )


def dot(value: float, scale: tuple[float, float]) -> Markup:
    """A published value: hollow, since nothing is known of its interval."""
    return Markup(
        f'<svg class="w o" aria-hidden="true"><circle cx="{_at(value, scale):g}" cy="{MIDDLE}" r="3.5"/></svg>'
    )


def _at(value: float, scale: tuple[float, float]) -> float:
    low, high = scale
    share = (min(max(value, low), high) - low) / (high - low)
    return round(EDGE + share * (WIDTH - 2 * EDGE), 1)
