"""The HTML of single answers. There are tens of thousands in a site, which a template engine would take minutes over.

Every text passes through ``text``, which escapes it and makes what is invisible in it visible.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from markupsafe import Markup

from janus_eval.reports.answers import Answer, Tile
from janus_eval.reports.wording import clean

if TYPE_CHECKING:
    from janus_eval.reports.gallery import Item, Turn

SMALL = 128  # pixels: up to here a picture's pixels are shown as squares
LABELLED = 6  # boxes that have room for words
LINES = 11  # of a box's words, in a picture's height
MEANT = " meant"
NOT_RUN = "<small>not run</small>"


def text(words: object) -> str:
    """Untrusted words as HTML, also in an attribute's quotes."""
    return escape(clean(words))


def said(words: str, kind: str = "said") -> str:
    """What a model or a data set says, in its own direction."""
    return f'<span class="{kind}" dir="auto">{text(words)}</span>'


def picture(tile: Tile, alt: str, up: str) -> str:
    """A picture, or why there is none. ``up`` leads from the page to the report's folder."""
    if not tile.source:
        return f'<span class="absent">{text(tile.absent)}</span>'
    width, height = tile.size
    small = ' class="tiny"' if max(width, height) <= SMALL else ""
    return f'<img src="{_address(tile, up)}" alt="{text(alt)}" width="{width}" height="{height}"{small} loading="lazy">'


def _address(tile: Tile, up: str) -> str:
    return tile.source if tile.source.startswith("data:") else f"{up}{text(tile.source)}"


def _boxes(tile: Tile) -> str:
    high = max(tile.size) / LINES
    parts = []
    for n, box in enumerate(tile.boxes):
        parts.append(f'<rect x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}"/>')
        if n < LABELLED:
            foot = max(box.y - high / 4, high)
            parts.append(f'<text x="{box.x:.1f}" y="{foot:.1f}" font-size="{high:.1f}">{text(box.label)}</text>')
    return f'<svg viewBox="0 0 {tile.size[0]} {tile.size[1]}" aria-hidden="true">{"".join(parts)}</svg>'


def tile_html(tile: Tile, alt: str, up: str, why: bool = True) -> Markup:
    """A drawn picture with its verdict, and the boxes that were found in it for whoever points at it."""
    boxes = f"; boxes: {', '.join(box.label for box in tile.boxes)}" if tile.boxes and tile.source else ""
    inside = picture(tile, f"{alt}: {tile.verdict.word}{boxes}", up) + (_boxes(tile) if boxes else "")
    if tile.source and not tile.source.startswith("data:"):
        frame = f'<a class="frame" href="{_address(tile, up)}">{inside}</a>'
    elif boxes:
        frame = f'<div class="frame" tabindex="0" role="group" aria-label="picture with boxes">{inside}</div>'
    else:
        frame = f'<div class="frame">{inside}</div>'
    reason = (
        f' <span class="why said" title="{text(tile.reason)}">{text(tile.reason)}</span>' if why and tile.reason else ""
    )
    anew = ""
    if why and tile.rewritten:
        words = f'<span class="said" dir="auto">{text(tile.rewritten)}</span>'
        anew = f' <span class="why" title="{text(tile.rewritten)}">drawn from: {words}</span>'
    return Markup(
        f'<figure class="tile {tile.verdict.kind}">{frame}'
        f'<figcaption><span class="verdict">{tile.verdict.word}</span>{reason}{anew}</figcaption></figure>'
    )


def asked_html(images: Sequence[Tile], up: str) -> Markup:
    """The pictures that were asked about; where they are files, each leads to itself."""
    found = []
    for image in images:
        inside = picture(image, "the picture asked about", up)
        linked = image.source and not image.source.startswith("data:")
        found.append(f'<a href="{_address(image, up)}">{inside}</a>' if linked else inside)
    return Markup("".join(found))


def answer_html(answer: Answer) -> Markup:
    """An answer's words."""
    return Markup(said(answer.text or "(empty answer)"))


def card_html(item: Item, up: str) -> str:
    """A card of a gallery."""
    about = " · ".join(text(part) for part in (item.sample, item.category, item.seen) if part)
    given = asked_html(item.images, up)
    if item.turns:
        body = (
            f'<div class="asked"><div>{given}</div><div><p class="said" dir="auto">{text(item.prompt)}</p>'
            f"<small>{about}</small></div></div>{_turns(item.turns)}"
        )
    else:
        tiles = "".join(tile_html(tile, f"picture {n}", up) for n, tile in enumerate(item.tiles, 1))
        shown = f'<div class="given">{given}</div>' if given else ""
        body = (
            f'<p class="prompt said" dir="auto">{text(item.prompt)}</p><small>{about}</small>{shown}'
            f'<div class="tiles">{tiles or NOT_RUN}</div>'
        )
    return f'<section class="card {item.verdict.kind}" aria-label="{text(item.sample)}">{body}</section>\n'


def _turns(turns: Sequence[Turn]) -> str:
    heads = [*(["Options"] if turns[0].options else []), "Expected", "Answer", "Read", "Verdict"]
    head = "".join(f'<th scope="col">{word}</th>' for word in heads)
    return f'<table class="turns"><thead><tr>{head}</tr></thead><tbody>{"".join(map(_turn, turns))}</tbody></table>'


def _turn(turn: Turn) -> str:
    options = " ".join(
        f'<span class="option{MEANT if letter == turn.expected else ""}">{text(letter)}&nbsp;'
        f'<span class="said">{text(words)}</span></span>'
        for letter, words in turn.options
    )
    cells = [f"<td>{options}</td>"] if turn.options else []
    cells.append(f'<td><span class="said">{text(turn.expected)}</span></td>')
    answer = turn.answer
    if answer is None:
        cells.append(f'<td colspan="3">{NOT_RUN}</td>')
    else:
        reason = f' <small class="said">{text(answer.reason)}</small>' if answer.reason else ""
        cells.append(
            f'<td>{answer_html(answer)}</td><td><span class="said">{text(answer.extracted)}</span></td>'
            f'<td><span class="verdict">{answer.verdict.word}</span>{reason}</td>'
        )
    return f'<tr class="{answer.verdict.kind if answer else "none"}">{"".join(cells)}</tr>'
