"""What a prompt asks for: put into words, read back from words, and staged as a scene that fits it.

Training captions, the drawing tasks' prompts, DPG's question graphs and the oracle that draws all start from one
``Description``.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal, NamedTuple, TypeAlias

from janus_eval.tasks.shapes import scenes
from janus_eval.tasks.shapes.scenes import CANVAS, CELL, COLOURS, LATTICE, MIN_GAP, SHAPES, Scene, Thing, Writing

Size: TypeAlias = Literal["small", "large"]

NUMBERS = ("zero", "one", "two", "three", "four")
RELATIONS = ("left of", "right of", "above", "below")
PREFIXES = ("a photo of", "a picture of", "a drawing of")
PLURALS = {shape: f"{shape}s" for shape in SHAPES}
SINGULARS = {plural: shape for shape, plural in PLURALS.items()}

# Radii by the number of things: as large as leaves the layout some freedom.
RADII = {1: (16, 12), 2: (12, 10), 3: (10, 8), 4: (10, 8)}
SMALL_RADIUS = 8
LARGE_RADIUS = {1: 16, 2: 12, 3: 12, 4: 12}
# Beside a thing called small or large, one without a size is neither.
MIDDLE_RADIUS = 10


def with_article(words: str) -> str:
    """``a red circle``, ``an orange circle``."""
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


class Link(NamedTuple):
    """Every thing of phrase ``first`` stands so to every thing of phrase ``second``."""

    first: int
    name: str
    second: int


@dataclass(frozen=True, slots=True)
class Phrase:
    """So many things of one shape, perhaps of a colour and a size. Shapes differ between a description's phrases."""

    shape: str
    count: int = 1
    colour: str | None = None
    size: Size | None = None

    @property
    def noun(self) -> str:
        return self.shape if self.count == 1 else PLURALS[self.shape]

    def __str__(self) -> str:
        words = " ".join(word for word in (self.size, self.colour, self.noun) if word)
        return with_article(words) if self.count == 1 else f"{NUMBERS[self.count]} {words}"


@dataclass(frozen=True, slots=True)
class Description:
    """What a picture must show, and nothing else: phrases and how they stand to each other, or a text."""

    phrases: tuple[Phrase, ...] = ()
    links: tuple[Link, ...] = ()
    text: str | None = None

    @property
    def total(self) -> int:
        return sum(phrase.count for phrase in self.phrases)

    @property
    def seen(self) -> bool:
        """Whether training could ask for this: no pair, count or word of it is held out."""
        return (self.text is None or scenes.word_seen(self.text)) and all(
            scenes.count_seen(phrase.count, phrase.shape)
            and (phrase.colour is None or scenes.pair_seen(phrase.colour, phrase.shape))
            for phrase in self.phrases
        )

    def __str__(self) -> str:
        if self.text is not None:
            return f'the {"digit" if self.text.isdigit() and len(self.text) == 1 else "word"} "{self.text}"'
        named: set[int] = set()

        def name(index: int) -> str:
            phrase = self.phrases[index]
            if index in named:
                return f"the {phrase.noun}"
            named.add(index)
            return str(phrase)

        clauses = [f"{name(link.first)} {link.name} {name(link.second)}" for link in self.links]
        clauses += [name(index) for index in range(len(self.phrases)) if index not in named]
        return " and ".join(", ".join(clauses).rsplit(", ", 1))


def prompt(description: Description, prefix: str = "") -> str:
    """A description in words: ``a photo of two red stars left of a blue square and a circle``."""
    return f"{prefix} {description}".strip()


_SIZES: dict[str, Size] = {"small": "small", "large": "large"}
_PREFIX = re.compile(f"(?:{'|'.join(PREFIXES)}) ")
_TEXT = re.compile(r'the (?:word|digit) "([A-Z0-9]+)"')
_PHRASE = re.compile(
    rf"(?P<count>an?|the|two|three|four) (?:(?P<size>small|large) )?(?:(?P<colour>{'|'.join(COLOURS)}) )?"
    rf"(?P<noun>{'|'.join([*SINGULARS, *SHAPES])})"
)


def parse(text: str) -> Description:
    """The description that a prompt puts into words. Raises ValueError for anything else."""
    body = _PREFIX.sub("", text.strip(), count=1)
    if written := _TEXT.fullmatch(body):
        return Description(text=written[1])
    phrases: list[Phrase] = []
    links: list[Link] = []

    def add(words: str) -> int:
        match = _PHRASE.fullmatch(words)
        if match is None:
            raise ValueError(f"not a prompt of the shapes world: {text[:200]!r} (cannot read {words[:50]!r})")
        shape = SINGULARS.get(match["noun"], match["noun"])
        if match["count"] == "the":
            known = [index for index, phrase in enumerate(phrases) if phrase.shape == shape]
            if not known:
                raise ValueError(f"not a prompt of the shapes world: {text[:200]!r} (which {shape}?)")
            return known[0]
        count = 1 if match["count"] in {"a", "an"} else NUMBERS.index(match["count"])
        phrases.append(Phrase(shape, count, match["colour"], _SIZES.get(match["size"] or "")))
        return len(phrases) - 1

    for clause in re.split(r", | and ", body):
        parts = re.split(f" ({'|'.join(RELATIONS)}) ", clause)
        first = add(parts[0])
        if len(parts) > 1:
            links.append(Link(first, parts[1], add(" ".join(parts[2:]))))
    return Description(tuple(phrases), tuple(links))


def stage(description: Description, rng: random.Random, *, thorough: bool = True) -> Scene:
    """A scene that shows exactly what is described; all left open is drawn at random from what training shows.

    ``thorough`` False gives up early, which is right where another description will do.
    Raises ValueError if no layout was found (too many things, or relations that contradict each other).
    """
    if description.text is not None:
        return Scene(writings=(write_in_cells(description.text, rng),))
    phrases = [_fill_in(phrase, rng) for phrase in description.phrases]
    total = description.total
    if not 1 <= total <= max(RADII):
        raise ValueError(f"between 1 and {max(RADII)} things fit into a picture, got {total}")
    sized = any(phrase.size for phrase in phrases)
    radii = (MIDDLE_RADIUS, MIDDLE_RADIUS) if sized else RADII[total]
    # When the larger things find no room, the smaller ones; three radii may be the same one.
    for radius in (rng.choice(radii), radii[-1], SMALL_RADIUS):
        wanted = [
            Thing(phrase.shape, phrase.colour or "", owner, 0, _radius(phrase, radius, total))
            for owner, phrase in enumerate(phrases)
            for _ in range(phrase.count)
        ]
        placed = _search(wanted, description.links, rng, thorough)
        if placed is not None:
            return Scene(placed)
    raise ValueError(f"no layout found for {str(description)!r}")


def _fill_in(phrase: Phrase, rng: random.Random) -> Phrase:
    """Choose a colour where none is asked for: things of one phrase share it."""
    return phrase if phrase.colour else replace(phrase, colour=rng.choice(scenes.seen_colours(phrase.shape)))


def _radius(phrase: Phrase, default: int, total: int) -> int:
    if phrase.size is None:
        return default
    return SMALL_RADIUS if phrase.size == "small" else LARGE_RADIUS[total]


def lattice(radius: int) -> list[int]:
    """Coordinates on the lattice at which a thing of this radius isn't clipped."""
    return [place for place in range(0, CANVAS + 1, LATTICE) if radius <= place <= CANVAS - radius]


def _search(
    wanted: list[Thing], links: tuple[Link, ...], rng: random.Random, thorough: bool
) -> tuple[Thing, ...] | None:
    """Random layouts until one fits; then, since four things in two groups seldom fit by chance, all layouts."""
    for _ in range(25):
        placed = _place(wanted, (), links, rng, 1)
        if placed is not None:
            return tuple(thing for _, thing in placed)
    if not thorough or not _fits_at_all(tuple((thing.x, thing.radius) for thing in wanted), links):
        return None
    placed = _place(wanted, (), links, rng, _ALL)
    assert placed is not None, "a layout that was found once is found again"
    return tuple(thing for _, thing in placed)


@cache
def _fits_at_all(owners_and_radii: tuple[tuple[int, int], ...], links: tuple[Link, ...]) -> bool:
    """Whether any layout keeps the links. Trying all of them takes half a second, so each question is asked once."""
    wanted = [Thing("", "", owner, 0, radius) for owner, radius in owners_and_radii]
    return _place(wanted, (), links, random.Random(0), _ALL) is not None


_ALL = (CANVAS // LATTICE + 1) ** 2
_Placed: TypeAlias = tuple[tuple[int, Thing], ...]


def _place(
    wanted: list[Thing], placed: _Placed, links: tuple[Link, ...], rng: random.Random, breadth: int
) -> _Placed | None:
    """Put the things still wanted on random free places of the lattice, trying ``breadth`` of them for each.

    ``placed`` pairs the things that stand already with the index of their phrase, which the ``x`` of a wanted thing
    holds. None when one finds no place.
    """
    if len(placed) == len(wanted):
        return placed
    thing = wanted[len(placed)]
    owner, places = thing.x, lattice(thing.radius)
    free = [(x, y) for x in places for y in places]
    for other_owner, other in placed:
        reach, at_x, at_y = thing.radius + other.radius + MIN_GAP, other.x, other.y
        free = [(x, y) for x, y in free if abs(at_x - x) >= reach or abs(at_y - y) >= reach]
        if links:
            free = [(x, y) for x, y in free if _stands(owner, other_owner, at_x - x, at_y - y, links)]
    for x, y in rng.sample(free, min(breadth, len(free))):
        result = _place(wanted, (*placed, (owner, replace(thing, x=x, y=y))), links, rng, breadth)
        if result is not None:
            return result
    return None


def _stands(owner: int, other: int, dx: int, dy: int, links: tuple[Link, ...]) -> bool:
    """Whether a thing of phrase ``owner`` keeps its links to a thing of phrase ``other`` that is (dx, dy) away."""
    for first, name, second in links:
        if (first, second) == (owner, other) and scenes.relation(dx, dy) != name:
            return False
        if (first, second) == (other, owner) and scenes.relation(-dx, -dy) != name:
            return False
    return True


def write_in_cells(text: str, rng: random.Random) -> Writing:
    """Write a text as prompts ask for it: one lattice cell of 16 x 16 pixels a character. At most four fit."""
    if len(text) * CELL > CANVAS:
        raise ValueError(f"at most {CANVAS // CELL} characters fit into a picture, got {text!r}")
    column = rng.randrange(0, CANVAS - len(text) * CELL + 1, LATTICE)
    row = rng.randrange(0, CANVAS - CELL + 1, LATTICE)
    dx, dy = scenes.CELL_MARGIN
    return Writing(text, column + dx, row + dy, scenes.CELL_GLYPH_HEIGHT, CELL)
