"""Questions about a scene: open, multiple choice and yes/no, with the answers the scene gives."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from janus_eval.tasks.shapes import scenes
from janus_eval.tasks.shapes.descriptions import NUMBERS, PLURALS, RELATIONS, with_article
from janus_eval.tasks.shapes.font import CHARACTERS, DIGITS
from janus_eval.tasks.shapes.scenes import CANVAS, COLOURS, SHAPES, Scene, Thing

LETTERS = "ABCD"
# A thing stands at the left (or top, ...) only if its centre is at least so far from the middle line.
SIDE_MARGIN = 8


@dataclass(frozen=True, slots=True)
class Ask:
    """A question, its answer, and wrong answers from the likeliest mistaken to the least."""

    question: str
    answer: str
    wrong: tuple[str, ...]
    ability: str
    sub_ability: str


def options_for(ask: Ask, rng: random.Random, count: int) -> list[str]:
    """The answer among at most ``count`` options, in random order."""
    options = [ask.answer, *ask.wrong[: count - 1]]
    rng.shuffle(options)
    return options


def _mixed(rng: random.Random, likely: Sequence[str], others: Sequence[str], answer: str) -> tuple[str, ...]:
    """Wrong answers without repeats: those that other parts of the picture suggest come first, half of the time."""
    near = [word for word in likely if word != answer]
    rest = [word for word in others if word != answer]
    rng.shuffle(near)
    rng.shuffle(rest)
    ordered = near + rest if rng.random() < 0.5 else rest + near
    return tuple(dict.fromkeys(ordered))


def _only(items: Sequence[str], rng: random.Random) -> str | None:
    """One of the items that occur just once."""
    single = [item for item, count in Counter(items).items() if count == 1]
    return rng.choice(single) if single else None


def colour_of_shape(scene: Scene, rng: random.Random) -> Ask | None:
    shape = _only([thing.shape for thing in scene.things], rng)
    if shape is None:
        return None
    answer = scene.with_shape(shape)[0].colour
    fitting = scenes.seen_colours(shape)
    likely = [thing.colour for thing in scene.things if thing.colour in fitting]
    wrong = _mixed(rng, likely, fitting, answer)
    return Ask(f"What color is the {shape}?", answer, wrong, "attribute recognition", "color")


def shape_of_colour(scene: Scene, rng: random.Random) -> Ask | None:
    colour = _only([thing.colour for thing in scene.things], rng)
    if colour is None:
        return None
    answer = next(thing.shape for thing in scene.things if thing.colour == colour)
    fitting = [shape for shape in SHAPES if scenes.pair_seen(colour, shape)]
    likely = [thing.shape for thing in scene.things if thing.shape in fitting]
    wrong = _mixed(rng, likely, fitting, answer)
    return Ask(f"What shape is the {colour} object?", answer, wrong, "attribute recognition", "shape")


def present_pair(scene: Scene, rng: random.Random) -> Ask | None:
    present = {(thing.colour, thing.shape) for thing in scene.things}
    colour, shape = rng.choice(sorted(present))
    absent = [
        (other, name)
        for other in COLOURS
        for name in SHAPES
        if (other, name) not in present and scenes.pair_seen(other, name)
    ]
    shown_colours = {thing.colour for thing in scene.things}
    shown_shapes = {thing.shape for thing in scene.things}
    # The likeliest mistakes swap the colours and shapes of what is there.
    likely = [with_article(f"{c} {s}") for c, s in absent if c in shown_colours and s in shown_shapes]
    others = [with_article(f"{c} {s}") for c, s in absent if c == colour or s == shape]
    answer = with_article(f"{colour} {shape}")
    return Ask("What is in the picture?", answer, _mixed(rng, likely, others, ""), "attribute recognition", "pair")


def _side(thing: Thing) -> tuple[str | None, str | None]:
    """(top or bottom, left or right) of a thing's centre, None near the middle."""
    middle = CANVAS // 2
    vertical = "top" if thing.y <= middle - SIDE_MARGIN else "bottom" if thing.y >= middle + SIDE_MARGIN else None
    horizontal = "left" if thing.x <= middle - SIDE_MARGIN else "right" if thing.x >= middle + SIDE_MARGIN else None
    return vertical, horizontal


def _unique_thing(scene: Scene, rng: random.Random) -> Thing | None:
    shape = _only([thing.shape for thing in scene.things], rng)
    return scene.with_shape(shape)[0] if shape else None


def whole_picture(scene: Scene) -> Ask:
    """All that is there, in reading order, each with its place; the open form of ``present_pair``'s question."""
    told = [f'the {"digit" if w.text in DIGITS else "word"} "{w.text}"' for w in scene.writings]
    for thing in sorted(scene.things, key=lambda thing: (thing.y, thing.x)):
        told.append(" ".join(word for word in (with_article(f"{thing.colour} {thing.shape}"), *_side(thing)) if word))
    return Ask("What is in the picture?", ", ".join(told), (), "attribute recognition", "whole")


def quadrant(scene: Scene, rng: random.Random) -> Ask | None:
    thing = _unique_thing(scene, rng)
    if thing is None or None in _side(thing):
        return None
    answer = " ".join(part for part in _side(thing) if part)
    corners = [f"{vertical} {horizontal}" for vertical in ("top", "bottom") for horizontal in ("left", "right")]
    wrong = _mixed(rng, [], corners, answer)
    return Ask(f"Where is the {thing.shape}?", answer, wrong, "object localization", "quadrant")


def side(scene: Scene, rng: random.Random) -> Ask | None:
    thing = _unique_thing(scene, rng)
    if thing is None:
        return None
    sides = [word for word in _side(thing) if word]
    if not sides:
        return None
    answer = rng.choice(sides)
    opposite = {"left": "right", "right": "left", "top": "bottom", "bottom": "top"}[answer]
    return Ask(f"Where is the {thing.shape}?", answer, (opposite,), "object localization", "side")


def count_shape(scene: Scene, rng: random.Random) -> Ask | None:
    shape = rng.choice([thing.shape for thing in scene.things])
    answer = len(scene.with_shape(shape))
    wrong = [NUMBERS[count] for count in scenes.seen_counts(shape) if count != answer]
    rng.shuffle(wrong)
    return Ask(f"How many {PLURALS[shape]} are there?", NUMBERS[answer], tuple(wrong), "counting", "shape")


def count_colour(scene: Scene, rng: random.Random) -> Ask | None:
    colour = rng.choice([thing.colour for thing in scene.things])
    answer = sum(thing.colour == colour for thing in scene.things)
    wrong = [NUMBERS[count] for count in range(1, 5) if count != answer]
    rng.shuffle(wrong)
    return Ask(f"How many {colour} objects are there?", NUMBERS[answer], tuple(wrong), "counting", "color")


def count_all(scene: Scene, rng: random.Random) -> Ask | None:
    answer = len(scene.things)
    wrong = [NUMBERS[count] for count in range(1, 5) if count != answer]
    rng.shuffle(wrong)
    return Ask("How many objects are there?", NUMBERS[answer], tuple(wrong), "counting", "total")


def relation_name(scene: Scene, rng: random.Random) -> Ask | None:
    unique = [thing for thing in scene.things if len(scene.with_shape(thing.shape)) == 1]
    if len(unique) < 2:
        return None
    first, second = rng.sample(unique, 2)
    answer = scenes.relation(second.x - first.x, second.y - first.y)
    if answer is None:
        return None
    question = f"Where is the {first.shape} relative to the {second.shape}?"
    words = {name: name.removesuffix(" of") for name in RELATIONS}
    return Ask(question, words[answer], _mixed(rng, [], list(words.values()), words[answer]), "relation", "direction")


def relation_thing(scene: Scene, rng: random.Random) -> Ask | None:
    thing = _unique_thing(scene, rng)
    if thing is None:
        return None
    name = rng.choice(RELATIONS)
    others = [other for other in scene.things if other is not thing]
    standing = {o.shape for o in others if scenes.relation(thing.x - o.x, thing.y - o.y) == name}
    if len(standing) != 1:
        return None
    answer = standing.pop()
    elsewhere = [other.shape for other in others if other.shape != answer]
    wrong = _mixed(rng, elsewhere, [shape for shape in SHAPES if shape != thing.shape], answer)
    return Ask(f"What is {name} the {thing.shape}?", answer, wrong, "relation", "object")


def _alike(word: str, rng: random.Random) -> tuple[str, ...]:
    """Words that differ from a word in one or two characters, all seen in training if the word is."""
    found: list[str] = []
    while len(found) < 3:
        characters = list(word)
        for place in rng.sample(range(len(word)), rng.randint(1, min(2, len(word)))):
            characters[place] = rng.choice(CHARACTERS)
        other = "".join(characters)
        if other != word and other not in found and scenes.word_seen(other):
            found.append(other)
    return tuple(found)


def digit(scene: Scene, rng: random.Random) -> Ask | None:
    text = scene.writings[0].text
    if text not in list(DIGITS):
        return None
    return Ask("What digit is written?", text, _mixed(rng, [], DIGITS, text), "text", "digit")


def word(scene: Scene, rng: random.Random) -> Ask | None:
    text = scene.writings[0].text
    if len(text) < 2:
        return None
    return Ask("What word is written?", text, _alike(text, rng), "text", "word")


def first_letter(scene: Scene, rng: random.Random) -> Ask | None:
    text = scene.writings[0].text
    if len(text) < 2:
        return None
    wrong = _mixed(rng, text[1:], CHARACTERS, text[0])
    return Ask("What is the first letter?", text[0], wrong, "text", "letter")


Asker = Callable[[Scene, random.Random], Ask | None]
ABOUT_THINGS: tuple[Asker, ...] = (
    colour_of_shape,
    shape_of_colour,
    present_pair,
    quadrant,
    side,
    count_shape,
    count_colour,
    count_all,
    relation_name,
    relation_thing,
)
ABOUT_TEXT: tuple[Asker, ...] = (digit, word, first_letter)


def _yes_no_presence(scene: Scene, rng: random.Random, yes: bool) -> str | None:
    present = {(thing.colour, thing.shape) for thing in scene.things}
    if rng.random() < 0.4:
        shapes = {shape for _, shape in present}
        pool = [f"Is there a {shape}?" for shape in SHAPES if (shape in shapes) == yes]
    else:
        pairs = [(c, s) for c in COLOURS for s in SHAPES if scenes.pair_seen(c, s) and ((c, s) in present) == yes]
        near = [(c, s) for c, s in pairs if any(c == pc or s == ps for pc, ps in present)]
        pool = [f"Is there {with_article(c)} {s}?" for c, s in near]
    return rng.choice(pool) if pool else None


def _yes_no_colour(scene: Scene, rng: random.Random, yes: bool) -> str | None:
    shape = rng.choice([thing.shape for thing in scene.things])
    things = scene.with_shape(shape)
    if len({thing.colour for thing in things}) > 1:
        return None
    colour = things[0].colour
    if not yes:
        colour = rng.choice([other for other in scenes.seen_colours(shape) if other != colour])
    return f"Is the {shape} {colour}?" if len(things) == 1 else f"Are the {PLURALS[shape]} {colour}?"


def _yes_no_count(scene: Scene, rng: random.Random, yes: bool) -> str | None:
    shape = rng.choice([thing.shape for thing in scene.things])
    count = len(scene.with_shape(shape))
    if yes and count == 1:
        return None
    if not yes:
        others = [other for other in scenes.seen_counts(shape, (2, 3, 4)) if other != count]
        count = rng.choice(others)
    return f"Are there {NUMBERS[count]} {PLURALS[shape]}?"


def _yes_no_plural(scene: Scene, rng: random.Random, yes: bool) -> str | None:
    shapes = {thing.shape for thing in scene.things}
    pool = [shape for shape in SHAPES if (shape in shapes) == yes]
    return f"Are there any {PLURALS[rng.choice(pool)]}?" if pool else None


def _yes_no_size(scene: Scene, rng: random.Random, yes: bool) -> str | None:
    """Asked only of things that are clearly small (8 px) or large (12 px and more)."""
    shape = rng.choice([thing.shape for thing in scene.things])
    radii = {thing.radius for thing in scene.with_shape(shape)}
    if len(radii) > 1 or 8 < min(radii) < 12:
        return None
    size = "small" if (min(radii) <= 8) == yes else "large"
    return f"Is the {shape} {size}?" if len(scene.with_shape(shape)) == 1 else f"Are the {PLURALS[shape]} {size}?"


def _yes_no_relation(scene: Scene, rng: random.Random, yes: bool) -> str | None:
    first, second = rng.sample(SHAPES, 2)
    firsts, seconds = scene.with_shape(first), scene.with_shape(second)
    if not firsts or not seconds or len(seconds) > 1:
        return None
    other = seconds[0]
    names = {scenes.relation(other.x - thing.x, other.y - thing.y) for thing in firsts}
    name = names.pop()
    if names or name is None:
        return None
    if not yes:
        name = rng.choice([wrong for wrong in RELATIONS if wrong != name])
    verb, noun = ("Is", first) if len(firsts) == 1 else ("Are", PLURALS[first])
    return f"{verb} the {noun} {name} the {second}?"


_YES_NO = (
    _yes_no_presence,
    _yes_no_colour,
    _yes_no_count,
    _yes_no_plural,
    _yes_no_size,
    _yes_no_relation,
)


def yes_no(scene: Scene, rng: random.Random) -> tuple[str, str]:
    """A yes/no question in the wording of the dense prompts' question graphs, and its answer; half of them yes."""
    yes = rng.random() < 0.5
    while True:
        question = rng.choice(_YES_NO)(scene, rng, yes)
        if question is not None:
            return question, "yes" if yes else "no"
