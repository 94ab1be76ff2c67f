"""Plots, drawn by matplotlib and handed over as SVG that belongs to the page.

Text stays text, in the page's own type. Colours are the page's own names for them, so that one drawing serves light,
dark and print. Nothing in it needs inline styles, which the page's policy forbids: they become attributes.
"""

from __future__ import annotations

import hashlib
import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from janus_eval.reports.wording import clean

# What a drawing is made with, and what the page has for it. The series are Okabe and Ito's.
INK, MUTED, RULE, PAPER = "#1a1c20", "#5a5f68", "#dadad4", "#fbfbf9"
SERIES = {
    "s0": "#0072b2", "s1": "#d55e00", "s2": "#009e73", "s3": "#cc79a7", "s4": "#e69f00", "s5": "#56b4e9",
    "sr": "#7b808a",
}  # fmt: skip
NAMES = {INK: "ink", MUTED: "muted", RULE: "rule", PAPER: "bg"} | {colour: name for name, colour in SERIES.items()}
# Lines that share a colour, or are printed in grey, still differ in these.
MARKERS = {"s0": "o", "s1": "s", "s2": "D", "s3": "^", "s4": "v", "s5": "P", "sr": "o"}
TEXT = 12  # a user unit of the drawing is a pixel of the page
SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none", "svg.hashsalt": "janus-eval", "font.size": TEXT, "text.color": MUTED,
    "axes.edgecolor": RULE, "axes.labelcolor": INK, "axes.facecolor": "none", "figure.facecolor": "none",
    "xtick.color": MUTED, "ytick.color": MUTED, "axes.spines.top": False, "axes.spines.right": False,
    "axes.linewidth": 1, "grid.color": RULE, "grid.linewidth": 1, "xtick.major.size": 4, "ytick.major.size": 0,
    "path.simplify": False,
}  # fmt: skip
_STYLE = re.compile(r'style="([^"]*)"')
_PLACE = re.compile(r' (?:d|x|y|transform)="[^"]*"')
_NUMBER = re.compile(r"-?\d+\.\d{2,}")
_COLOUR = re.compile(r"#[0-9a-f]{6}\b")
_PIXELS = re.compile(r"(\d+(?:\.\d+)?)px")
_TAG = re.compile(r"<[^>]*>")
_ID = re.compile(r' id="([\w.-]+)"')
_SAYS = re.compile(r'<g id="say(\d+)">')


class Series(NamedTuple):
    """A system's name and style class (``s0`` to ``s5`` or ``sr``, with ``dashed``)."""

    name: str
    style: str

    @property
    def colour(self) -> str:
        return SERIES[self.style.split()[0]]

    @property
    def marker(self) -> str:
        return MARKERS[self.style.split()[0]]

    @property
    def dashes(self) -> str:
        return "--" if "dashed" in self.style else "-"


@contextmanager
def drawing(width: int, height: int) -> Iterator[Drawing]:
    """A drawing in the page's manner."""
    with mpl.rc_context(SETTINGS):
        yield Drawing(width, height)


class Drawing:
    """A figure of some pixels being drawn, and what is said where a reader points."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.figure = Figure(figsize=(width / 72, height / 72), dpi=72)
        self.said: list[str] = []

    def axes(self, left: float, top: float, right: float, bottom: float, **options: Any) -> Axes:
        """Axes with margins in pixels."""
        w, h = self.width, self.height
        place = (left / w, bottom / h, (w - left - right) / w, (h - top - bottom) / h)
        axes: Axes = self.figure.add_axes(place, **options)
        return axes

    def say(self, words: str) -> str:
        """A name for an artist (``gid``) that says something when it is pointed at."""
        self.said.append(words)
        return f"say{len(self.said) - 1}"

    def text(self, x: float, y: float, words: str, **options: Any) -> None:
        """Words at pixels from the left and the top."""
        self.figure.text(x / self.width, 1 - y / self.height, clean(words), parse_math=False, **options)

    def line(self, xs: Sequence[float], ys: Sequence[float], **options: Any) -> None:
        """A line through pixels from the left and the top."""
        places = [x / self.width for x in xs], [1 - y / self.height for y in ys]
        self.figure.add_artist(Line2D(*places, transform=self.figure.transFigure, **options))

    def svg(self, title: str) -> Markup:
        """The drawing as a part of the page, named ``title`` for those who do not see it."""
        text = io.StringIO()
        nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
        with warnings.catch_warnings():
            # Text stays text, in the reader's fonts: what matplotlib's own lacks does not matter.
            warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)
            self.figure.savefig(text, format="svg", metadata=nothing)
        body = text.getvalue()
        body = body[body.index("<g id=") : body.rindex("</svg>")]
        body = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", body, flags=re.DOTALL)
        prefix = hashlib.sha256(f"{title}{body}".encode("utf-8", "replace")).hexdigest()[:6]
        used = set(re.findall(r'(?:href="#|url\(#)([\w.-]+)', body))
        body = _TAG.sub(lambda m: _tag(m[0], prefix, used), body)
        body = _SAYS.sub(lambda m: f"<g><title>{escape(clean(self.said[int(m[1])]))}</title>", body)
        body = re.sub(r"\s*\n\s*", " ", body).replace("> <", "><")
        return Markup(
            f'<svg class="plot" viewBox="0 0 {self.width} {self.height}" width="{self.width}" role="img" '
            f'aria-label="{escape(clean(title))}" stroke-linejoin="round">{body}</svg>'
        )


def _tag(tag: str, prefix: str, used: set[str]) -> str:
    """One tag in the page's terms: no style, no identifier that another drawing has, no needless digits."""
    tag = _PLACE.sub(lambda m: _NUMBER.sub(lambda n: f"{float(n[0]):.1f}".removesuffix(".0"), m[0]), tag)
    tag = _STYLE.sub(lambda m: _attributes(m[1]), tag)
    if 'id="say' not in tag:
        tag = _ID.sub(lambda m: f' id="{prefix}{m[1]}"' if m[1] in used else "", tag)
    return tag.replace('xlink:href="#', f'href="#{prefix}').replace("url(#", f"url(#{prefix}")


def _attributes(style: str) -> str:
    """Inline style as attributes, without the fonts and with the page's colours."""
    found = []
    for declaration in style.replace("&quot;", "'").split(";"):
        name, _, value = (part.strip() for part in declaration.partition(":"))
        if name == "font" and (size := _PIXELS.search(value)):  # a shorthand that some versions write
            name, value = "font-size", size[0]
        if value and name != "font-family":
            value = _COLOUR.sub(lambda m: f"var(--{NAMES[m[0]]})" if m[0] in NAMES else m[0], value)
            bare = _PIXELS.sub(r"\1", value)
            found.append(f'{name}="{bare}"')
    return " ".join(found)
