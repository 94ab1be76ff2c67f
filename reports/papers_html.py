"""A paper's tables as HTML: a fragment for a page of the site, and a page of its own. No script, everything escaped."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.metadata import version

import jinja2
from markupsafe import Markup

from janus_eval.reports import templating
from janus_eval.reports.papers_grid import Grid, Sheaf

CLASSES = {"agrees": "agrees", "holds": "agrees", "differs": "differs", "fails": "differs", "not comparable": "apart"}
WIDTH, HEIGHT, EDGE = 84, 14, 5


def fragment(sheaf: Sheaf, anchor: str = "papers") -> Markup:
    """The tables without a page around them. Places in it are named ``ANCHOR-...``; ``papers.css`` styles it."""
    template = _environment().get_template("papers.html")
    return Markup(template.render(sheaf=sheaf, anchor=anchor))


def page(sheaf: Sheaf) -> str:
    """One self-contained page."""
    template = _environment().get_template("papers_page.html")
    return template.render(sheaf=sheaf, fragment=fragment(sheaf), version=version("janus-eval"))


def scales(grid: Grid) -> list[float]:
    """For each column the greatest distance from a printed value that its pictures have to show."""
    reach = [0.0] * len(grid.heads)
    for row in grid.rows:
        for place, cell in enumerate(row.cells):
            if cell.plot is not None:
                printed, *measured = cell.plot
                reach[place] = max(reach[place], *(abs(end - printed) for end in measured))
    return reach


def plot(numbers: Sequence[float], reach: float) -> Markup:
    """The printed value as a hollow dot in the middle, the measured one with its interval beside it."""
    printed, *measured = numbers
    middle, y = WIDTH / 2, HEIGHT / 2
    step = (middle - EDGE) / reach if reach else 0.0
    value, low, high = (round(middle + (end - printed) * step, 1) for end in measured)
    return Markup(
        '<svg width="{w}" height="{h}" viewBox="0 0 {w} {h}" aria-hidden="true">'
        '<line class="track" x1="0" x2="{w}" y1="{y}" y2="{y}"/>'
        '<line class="whisker" x1="{low}" x2="{high}" y1="{y}" y2="{y}"/>'
        '<circle class="printed-dot" cx="{m}" cy="{y}" r="4.5"/>'
        '<circle class="dot" cx="{value}" cy="{y}" r="3.5"/></svg>'
    ).format(w=WIDTH, h=HEIGHT, y=y, m=middle, value=value, low=low, high=high)


def css(word: str) -> str:
    return CLASSES.get(word, "none")


@cache
def _environment() -> jinja2.Environment:
    found = templating.environment()
    found.globals.update(scales=scales, plot=plot, css=css)
    return found
