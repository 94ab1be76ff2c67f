"""Lines of text about the world, for the share of training that has no pictures; and the world's vocabulary."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from janus_eval.tasks.shapes import curriculum, font, questions, scenes
from janus_eval.tasks.shapes.descriptions import NUMBERS, PLURALS, RELATIONS, prompt, stage
from janus_eval.tasks.shapes.scenes import COLOURS, SHAPES

_INVERSE = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}
# What a dense description says about its picture; places and unnamed relations it leaves open.
_TOLD = (
    questions.colour_of_shape,
    questions.shape_of_colour,
    questions.present_pair,
    questions.count_shape,
    questions.count_colour,
    questions.count_all,
)


def _relation(rng: random.Random) -> str:
    first, second = rng.sample(SHAPES, 2)
    name = rng.choice(RELATIONS)
    return f"if the {first} is {name} the {second}, the {second} is {_INVERSE[name]} the {first}."


def _sum(rng: random.Random) -> str:
    shape = rng.choice(SHAPES)
    total = rng.choice(scenes.seen_counts(shape, (2, 3, 4)))
    parts = [n for n in scenes.seen_counts(shape, range(1, total)) if scenes.count_seen(total - n, shape)]
    first = rng.choice(parts)
    names = [f"{NUMBERS[n]} {shape if n == 1 else PLURALS[shape]}" for n in (first, total - first, total)]
    return f"{names[0]} and {names[1]} are {names[2]}."


def _kind(rng: random.Random) -> str:
    if rng.random() < 0.5:
        return f"{rng.choice(COLOURS)} is a color."
    shape = rng.choice(SHAPES)
    return rng.choice((f"a {shape} is a shape.", f"{PLURALS[shape]} are shapes."))


def _spelling(rng: random.Random) -> str:
    word = curriculum.random_word(rng)
    first = f'the first letter of "{word}" is {word[0]}.'
    return rng.choice((first, f'the word "{word}" has {NUMBERS[len(word)]} letters.'))


def _order(rng: random.Random) -> str:
    row = rng.choice((font.LETTERS, font.DIGITS))
    place = rng.randrange(len(row) - 1)
    return f"{row[place + 1]} is right of {row[place]}."


def _told(rng: random.Random) -> str:
    """A picture in words, a question about it in shapes-mmbench's wording, and the answer."""
    while True:
        try:
            description = curriculum.dense(rng)
            scene = stage(description, rng, thorough=False)
        except ValueError:  # relations that leave no room: another description
            continue
        ask = rng.choice(_TOLD)(scene, rng)
        if ask is None or not ask.wrong:
            continue
        question, answer = curriculum.multiple_choice(ask, rng)
        return f"{prompt(description, 'a photo of')}.\n{question}\n{answer}"


_LINES: tuple[tuple[Callable[[random.Random], str], float], ...] = (
    (_told, 0.5),
    (_relation, 0.15),
    (_sum, 0.1),
    (_kind, 0.05),
    (_spelling, 0.15),
    (_order, 0.05),
)


def text_example(rng: random.Random) -> str:
    """A line (or a few) about the world that is true without a picture."""
    maker = rng.choices([maker for maker, _ in _LINES], [weight for _, weight in _LINES])[0]
    return maker(rng)


_PHRASES = """an a photo of a picture of a drawing of and is are the left of right of above below small large word digit
What color is What shape is the object Where is relative to top bottom left right How many objects are there
What is in the picture What is the first letter What word digit is written Is there Are there any yes no
Hint Answer with the option's letter from the given choices directly if has letters shapes shape color"""


def vocabulary() -> list[str]:
    """Every token (by ``curriculum.TOKEN_PATTERN``) that prompts, questions, options, answers and lines can contain."""
    words = set(re.findall(r"[A-Z]?[a-z]+", _PHRASES))
    words |= {*COLOURS, *SHAPES, *PLURALS.values(), *NUMBERS, *font.CHARACTERS}
    return sorted(words | set("\n.,:?'\"-"))
