"""Endless training examples of the world, each a pure function of a random stream; none shows what is held out.

Three kinds: a caption with its picture (drawing), questions with answers about a picture (understanding), and lines of
text alone.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from janus_eval.tasks.mmbench import format_question
from janus_eval.tasks.shapes import font, questions, scenes
from janus_eval.tasks.shapes.descriptions import (
    PREFIXES,
    RELATIONS,
    Description,
    Link,
    Phrase,
    Size,
    prompt,
    stage,
    write_in_cells,
)
from janus_eval.tasks.shapes.questions import Ask
from janus_eval.tasks.shapes.scenes import CANVAS, COLOURS, SHAPES, Pixels, Scene, Thing, Writing, render
from janus_eval.types import JSON

# How the words of the world split into tokens: words, single capitals and digits (so that a text to be read or written
# is spelled out), punctuation, line ends.
TOKEN_PATTERN = r"[A-Z]?[a-z]+|[A-Z0-9]|[^\w\s]|\n"

# Glyph heights in pixels at which texts are read. A digit of 5 px is a smudge, one of 40 px fills the picture.
DIGIT_HEIGHTS = (5, 6, 7, 9, 12, 16, 24, 40)
WORD_HEIGHTS = (7, 8, 10, 12, 14)

_COMMON = """
CAT DOG SUN SKY RED BOX CUP HAT MAP BED CAR BUS KEY PEN TOY EGG ICE JAM OWL FOX COW PIG BEE ANT FISH BIRD TREE
MOON STAR LAKE ROAD BOOK DOOR HAND FOOT RAIN SNOW WIND FIRE GOLD IRON WOOD LEAF ROSE SHIP BOAT TENT LAMP UP ON
GO NO OK TV HI EXIT STOP OPEN SALE TAXI CAFE ZOO QUIZ JAZZ VIEW KIWI YES NEW OLD BIG TOP"""
COMMON_WORDS = tuple(_COMMON.split())

# Shares of the captions. Trials learned shapes first and colours and relations last, so that dense captions,
# counts, positions and attribute pairs weigh more than single objects.
DRAWING_MIX: dict[str, float] = {
    "single_object": 0.03,
    "two_object": 0.07,
    "counting": 0.12,
    "colors": 0.06,
    "position": 0.12,
    "color_attr": 0.14,
    "dense": 0.30,
    "digit": 0.05,
    "word": 0.11,
}

Conversation: TypeAlias = Literal["described", "asked"]
# Share of the conversations that begin with a description of the whole picture.
DESCRIBED: dict[Conversation, float] = {"described": 0.7, "asked": 0.1}


@dataclass(frozen=True, slots=True)
class Example:
    """A caption and its picture, uint8 [64, 64, 3]."""

    prompt: str
    image: Pixels


@dataclass(frozen=True, slots=True)
class QuestionExample:
    """A picture, uint8 [64, 64, 3], and several questions about it with their answers."""

    image: Pixels
    turns: list[tuple[str, str]]


def _phrase(
    shape: str, rng: random.Random, *, coloured: bool, count: int = 1, sized: float = 0.0, seen: bool = True
) -> Phrase:
    colours = scenes.seen_colours(shape) if seen else COLOURS
    colour = rng.choice(colours) if coloured else None
    sizes: tuple[Size, ...] = ("small", "large")
    return Phrase(shape, count, colour, rng.choice(sizes) if rng.random() < sized else None)


def _single_object(rng: random.Random) -> Description:
    return Description((_phrase(rng.choice(SHAPES), rng, coloured=False),))


def _two_object(rng: random.Random) -> Description:
    return Description(tuple(_phrase(shape, rng, coloured=False) for shape in rng.sample(SHAPES, 2)))


def _counting(rng: random.Random) -> Description:
    shape = rng.choice(SHAPES)
    return Description((_phrase(shape, rng, coloured=False, count=rng.choice(scenes.seen_counts(shape, (2, 3, 4)))),))


def _colors(rng: random.Random) -> Description:
    return Description((_phrase(rng.choice(SHAPES), rng, coloured=True),))


def _position(rng: random.Random) -> Description:
    first, second = rng.sample(SHAPES, 2)
    pair = (_phrase(first, rng, coloured=False), _phrase(second, rng, coloured=False))
    return Description(pair, (Link(0, rng.choice(RELATIONS), 1),))


def _color_attr(rng: random.Random) -> Description:
    return Description(tuple(_phrase(shape, rng, coloured=True) for shape in rng.sample(SHAPES, 2)))


def dense(rng: random.Random, *, seen: bool = True) -> Description:
    """Several clauses: colours, counts, sizes and relations together; ``seen`` False allows the held out.

    Every phrase has a colour.
    """
    total, kinds = rng.choice(((1, 1), (2, 2), (2, 2), (2, 2), (3, 2), (3, 3), (3, 3), (4, 2), (4, 3), (4, 4)))
    shapes = rng.sample(SHAPES, kinds)
    counts = [1] * kinds
    for _ in range(total - kinds):
        counts[rng.randrange(kinds)] += 1
    if seen and not all(scenes.count_seen(count, shape) for count, shape in zip(counts, shapes, strict=True)):
        return dense(rng)
    sized = 0.5 if rng.random() < 0.4 else 0.0
    phrases = tuple(
        _phrase(shape, rng, coloured=True, count=count, sized=sized, seen=seen)
        for shape, count in zip(shapes, counts, strict=True)
    )
    links: tuple[Link, ...] = ()
    if kinds > 1 and rng.random() < 0.75:
        links = (Link(0, rng.choice(RELATIONS), 1),)
        if kinds > 2 and rng.random() < 0.5:
            links += (Link(2, rng.choice(RELATIONS), rng.randrange(2)),)
    return Description(phrases, links)


def _digit(rng: random.Random) -> Description:
    return Description(text=rng.choice(font.DIGITS))


def random_word(rng: random.Random, *, seen: bool = True) -> str:
    """A text of two to four capitals and digits, half of them common words; held out from training if not ``seen``."""
    while True:
        if rng.random() < 0.4:
            word = rng.choice(COMMON_WORDS)
        else:
            word = "".join(rng.choices(font.CHARACTERS, k=rng.choice((2, 3, 3, 4))))
        if scenes.word_seen(word) == seen:
            return word


def _word(rng: random.Random) -> Description:
    return Description(text=random_word(rng))


DESCRIBERS: dict[str, Callable[[random.Random], Description]] = {
    "single_object": _single_object,
    "two_object": _two_object,
    "counting": _counting,
    "colors": _colors,
    "position": _position,
    "color_attr": _color_attr,
    "dense": dense,
    "digit": _digit,
    "word": _word,
}


def drawing_example(rng: random.Random) -> Example:
    """A caption with a picture that shows exactly what it says, from the mixture ``DRAWING_MIX``."""
    kind = rng.choices(list(DRAWING_MIX), list(DRAWING_MIX.values()))[0]
    while True:
        description = DESCRIBERS[kind](rng)
        try:
            scene = stage(description, rng, thorough=False)
        except ValueError:  # relations that leave no room: another description
            continue
        # Dense prompts stand alone, as DPG-Bench's; GenEval's always start with "a photo of".
        plain = kind == "dense" and rng.random() < 0.75
        prefix = "" if plain else rng.choices(PREFIXES, (0.8, 0.1, 0.1))[0]
        return Example(prompt(description, prefix), render(scene))


def random_scene(rng: random.Random, *, seen: bool = True) -> Scene:
    """One to four things at random on the lattice; colours and shapes repeat. ``seen`` False allows the held out."""
    while True:
        total = rng.choice((1, 2, 2, 3, 3, 4))
        radii = rng.choice(((16, 12), (12, 10), (10, 8), (10, 8))[total - 1])
        shapes = SHAPES if rng.random() < 0.7 else tuple(rng.sample(SHAPES, 2))
        colours = COLOURS if rng.random() < 0.7 else tuple(rng.sample(COLOURS, 2))
        scene = _scatter(total, radii, shapes, colours, rng)
        if scene is not None and (not seen or scenes.is_seen(scene)):
            return scene


def _scatter(
    total: int, radius: int, shapes: tuple[str, ...], colours: tuple[str, ...], rng: random.Random
) -> Scene | None:
    things: list[Thing] = []
    places = range(-(-radius // scenes.LATTICE) * scenes.LATTICE, CANVAS - radius + 1, scenes.LATTICE)
    for _ in range(total * 12):
        # In a fifth of the pictures with several things one of them is small, so that sizes can be told apart.
        own = radius if things or total == 1 or rng.random() > 0.2 else 8
        thing = Thing(rng.choice(shapes), rng.choice(colours), rng.choice(places), rng.choice(places), own)
        if all(scenes.gap(thing, other) >= scenes.MIN_GAP for other in things):
            things.append(thing)
            if len(things) == total:
                return Scene(tuple(things))
    return None


def writing_anywhere(text: str, height: int, rng: random.Random) -> Writing:
    """A text of this glyph height at any place where it isn't clipped."""
    pitch = font.advance(height)
    width = (len(text) - 1) * pitch + font.width(height)
    return Writing(text, rng.randint(0, CANVAS - width), rng.randint(0, CANVAS - height), height, pitch)


def text_scene(rng: random.Random, *, seen: bool = True) -> Scene:
    """A digit or a word to be read, at any of the heights; a tenth are written as prompts ask for it."""
    is_digit = rng.random() < 0.55
    text = rng.choice(font.DIGITS) if is_digit else random_word(rng, seen=seen)
    if rng.random() < 0.1:
        return Scene(writings=(write_in_cells(text, rng),))
    height = rng.choice(DIGIT_HEIGHTS if is_digit else WORD_HEIGHTS)
    return Scene(writings=(writing_anywhere(text, height, rng),))


def multiple_choice(ask: Ask, rng: random.Random, count: int | None = None, *, worded: bool = False) -> tuple[str, str]:
    """A question in shapes-mmbench's very wording, and the letter of its answer; if ``worded``, the option itself.

    An option that is itself a single character stays a letter: spelled out, it would be read as another option's.
    """
    options = questions.options_for(ask, rng, count or rng.choice((2, 3, 4, 4)))
    letters = questions.LETTERS[: len(options)]
    inputs: dict[str, JSON] = {
        "question": ask.question,
        "options": dict(zip(letters, options, strict=True)),
        "hint": "",
    }
    letter = letters[options.index(ask.answer)]
    return format_question(inputs), ask.answer if worded and ask.sub_ability != "letter" else letter


def _turn(scene: Scene, rng: random.Random, worded: bool) -> tuple[str, str]:
    about = questions.ABOUT_THINGS if scene.things else questions.ABOUT_TEXT
    while True:
        if scene.things and rng.random() < 0.25:
            return questions.yes_no(scene, rng)
        ask = rng.choice(about)(scene, rng)
        if ask is None:
            continue
        # What has one right answer is asked openly too; the OCR tasks ask for texts in no other way.
        open_share = 0.6 if scene.writings else 0.4
        if ask.sub_ability not in {"pair", "side"} and rng.random() < open_share:
            return ask.question, ask.answer
        if ask.wrong:
            return multiple_choice(ask, rng, worded=worded)


def question_example(rng: random.Random, conversation: Conversation = "asked") -> QuestionExample:
    """Three or four different questions about one picture (two about a text).

    ``described``: most begin with a description of the whole picture, since letters and yeses say little about it, and
    multiple choice is answered with a letter. ``asked``: few do, and multiple choice is answered with the option
    itself: to look up its letter is a skill that a decoder of two million weights was not seen to learn.
    """
    scene = text_scene(rng) if rng.random() < 0.3 else random_scene(rng)
    turns: dict[str, str] = {}
    if rng.random() < DESCRIBED[conversation]:
        told = questions.whole_picture(scene)
        turns[told.question] = told.answer
    wanted = len(turns) + (rng.randint(3, 4) if scene.things else 2)
    while len(turns) < wanted:
        question, answer = _turn(scene, rng, conversation == "asked")
        turns.setdefault(question, answer)
    return QuestionExample(render(scene), list(turns.items()))


def text_example(rng: random.Random) -> str:
    """A line (or a few) about the world that is true without a picture."""
    from janus_eval.tasks.shapes import textlines

    return textlines.text_example(rng)


def vocabulary() -> list[str]:
    """Every token (by ``TOKEN_PATTERN``) that prompts, questions, options, answers and lines can contain."""
    from janus_eval.tasks.shapes import textlines

    return textlines.vocabulary()
