"""Rows of the five shapes tasks, from random streams that training never uses.

Both seed a generator with a string: training with its seed, kind and index, these rows with the task's name and
``held out``, so that no seed of one gives a stream of the other. About a fifth of the rows show or ask for something
that training holds out; ``metadata["seen"]`` says which.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

from janus_eval.pictures import Picture
from janus_eval.tasks.shapes import curriculum, font, questions, scenes
from janus_eval.tasks.shapes.descriptions import (
    NUMBERS,
    PREFIXES,
    RELATIONS,
    Description,
    Link,
    Phrase,
    prompt,
    stage,
)
from janus_eval.tasks.shapes.scenes import COLOURS, SHAPES, Scene, render, to_picture
from janus_eval.types import JSON, Sample

UNSEEN_SHARE = 0.2
_COUNTS = (2, 3, 4)


def _stream(task: str, seed: int) -> random.Random:
    return random.Random(f"{task}, held out, {seed}")


def mmbench(count: int = 60, seed: int = 0) -> list[Sample]:
    """``count`` questions, each as all circular rotations of its options, over all abilities in turn."""
    rng = _stream("shapes-mmbench", seed)
    askers = (*questions.ABOUT_THINGS, *questions.ABOUT_TEXT)
    rows: list[Sample] = []
    for number in range(count):
        asker = askers[number % len(askers)]
        about_text = asker in questions.ABOUT_TEXT
        # Digits are all seen; there are too few to hold one out.
        unseen = asker is not questions.digit and rng.random() < UNSEEN_SHARE
        ask, scene = None, Scene()
        while ask is None or not ask.wrong or scenes.is_seen(scene) == unseen:
            scene = curriculum.text_scene(rng, seen=not unseen) if about_text else _several_things(rng)
            ask = asker(scene, rng)
        options = questions.options_for(ask, rng, rng.choice((3, 4, 4)))
        rows += _rotations(f"q{number:03d}", ask, options, to_picture(render(scene)), not unseen)
    return rows


def _several_things(rng: random.Random) -> Scene:
    while True:
        scene = curriculum.random_scene(rng, seen=False)
        if len(scene.things) > 1:
            return scene


def _rotations(name: str, ask: questions.Ask, options: Sequence[str], picture: Picture, seen: bool) -> list[Sample]:
    """Row k shows option i + k (modulo their number) as the i-th letter."""
    size = len(options)
    letters = questions.LETTERS[:size]
    rows = []
    for shift in range(size):
        shown = [options[(place + shift) % size] for place in range(size)]
        lettered: dict[str, JSON] = dict(zip(letters, shown, strict=True))
        rows.append(
            Sample(
                id=f"{name}-r{shift}",
                inputs={"question": ask.question, "options": lettered, "hint": ""},
                target={"answer": letters[shown.index(ask.answer)]},
                group=name,
                category=ask.ability,
                images=(picture,),
                metadata={
                    "ability": ask.ability,
                    "sub_ability": ask.sub_ability,
                    "rotation": shift,
                    "rotations": size,
                    "seen": seen,
                },
            )
        )
    return rows


def geneval(per_category: int = 10, seed: int = 0) -> list[Sample]:
    """Up to ``per_category`` different prompts for each of GenEval's six categories, with its metadata as target."""
    rng = _stream("shapes-geneval", seed)
    rows = []
    for tag, pool in _geneval_pools(rng).items():
        chosen = _some_unseen(pool, per_category, rng)
        for number, (description, prefix) in enumerate(chosen):
            text = prompt(description, prefix)
            name = f"{tag}-{number:02d}"
            rows.append(
                Sample(
                    id=name,
                    inputs={"prompt": text},
                    target={"tag": tag, **_geneval_target(description, tag), "prompt": text},
                    group=name,
                    category=tag,
                    metadata={"seen": description.seen},
                )
            )
    return rows


def _geneval_pools(rng: random.Random) -> dict[str, list[tuple[Description, str]]]:
    """All prompts of each category but attribute pairs, of which it makes a few hundred."""
    photo = PREFIXES[0]
    pairs = list(itertools.permutations(SHAPES, 2))
    attributed = [
        tuple(Phrase(shape, colour=colour) for shape, colour in zip(pair, rng.sample(COLOURS, 2), strict=True))
        for pair in pairs
        for _ in range(30)
    ]
    return {
        # Four shapes make four prompts: here alone the other ways of asking, which the curriculum teaches, are used.
        "single_object": [(Description((Phrase(shape),)), prefix) for shape in SHAPES for prefix in PREFIXES],
        "two_object": [(Description((Phrase(a), Phrase(b))), photo) for a, b in pairs],
        "counting": [(Description((Phrase(shape, count),)), photo) for shape in SHAPES for count in _COUNTS],
        "colors": [(Description((Phrase(shape, colour=c),)), photo) for shape in SHAPES for c in COLOURS],
        "position": [
            (Description((Phrase(a), Phrase(b)), (Link(0, name, 1),)), photo) for a, b in pairs for name in RELATIONS
        ],
        "color_attr": [(Description(phrases), photo) for phrases in dict.fromkeys(attributed)],
    }


def _some_unseen(pool: list[tuple[Description, str]], count: int, rng: random.Random) -> list[tuple[Description, str]]:
    """A random choice in random order, a fifth of it unseen if there is so much."""
    seen = [item for item in pool if item[0].seen]
    unseen = [item for item in pool if not item[0].seen]
    few = min(len(unseen), round(UNSEEN_SHARE * count))
    chosen = rng.sample(seen, min(len(seen), count - few)) + rng.sample(unseen, few)
    rng.shuffle(chosen)
    return chosen


def _geneval_target(description: Description, tag: str) -> dict[str, JSON]:
    """``include`` and ``exclude`` in GenEval's metadata format (evaluation_metadata.jsonl)."""
    if tag == "position":
        # GenEval lists the thing that is referred to first; the other one's position names it by its place in the list.
        (link,) = description.links
        first, second = description.phrases[link.first], description.phrases[link.second]
        position: list[JSON] = [link.name, 0]
        return {
            "include": [
                {"class": second.shape, "count": 1},
                {"class": first.shape, "count": 1, "position": position},
            ],
            "exclude": [],
        }
    include: list[JSON] = []
    for phrase in description.phrases:
        wanted: dict[str, JSON] = {"class": phrase.shape, "count": phrase.count}
        include.append(wanted | {"color": phrase.colour} if phrase.colour else wanted)
    exclude: list[JSON] = []
    if tag == "counting":
        exclude = [{"class": phrase.shape, "count": phrase.count + 1} for phrase in description.phrases]
    return {"include": include, "exclude": exclude}


def dpg(count: int = 30, seed: int = 0) -> list[Sample]:
    """``count`` different dense prompts with their question graphs of at least five questions."""
    rng = _stream("shapes-dpg", seed)
    rows: list[Sample] = []
    prompts: set[str] = set()
    while len(rows) < count:
        unseen = rng.random() < UNSEEN_SHARE
        description = curriculum.dense(rng, seen=not unseen)
        while description.seen == unseen:
            description = curriculum.dense(rng, seen=not unseen)
        graph = question_graph(description)
        text = prompt(description)
        if len(graph) < 5 or text in prompts or not _can_be_staged(description):
            continue
        prompts.add(text)
        name = f"dense-{len(rows):03d}"
        rows.append(
            Sample(
                id=name,
                inputs={"prompt": text},
                target={"questions": graph},
                group=name,
                category="dense",
                metadata={"seen": description.seen},
            )
        )
    return rows


def _can_be_staged(description: Description) -> bool:
    try:
        stage(description, random.Random(0))
    except ValueError:
        return False
    return True


def question_graph(description: Description) -> list[dict[str, JSON]]:
    """Yes/no questions that a picture of this description answers with yes, in DPG-Bench's columns.

    An attribute depends on its entity, a relation on both; no dependency is [0]. Ids count from 1.
    """
    graph: list[dict[str, JSON]] = []

    def add(broad: str, detailed: str, about: str, question: str, dependency: Sequence[int]) -> int:
        graph.append(
            {
                "id": len(graph) + 1,
                "dependency": list(dependency),
                "category_broad": broad,
                "category_detailed": detailed,
                "tuple": f"{broad} - {detailed} ({about})",
                "question": question,
            }
        )
        return len(graph)

    entities = []
    for phrase in description.phrases:
        one = phrase.count == 1
        question = f"Is there a {phrase.shape}?" if one else f"Are there any {phrase.noun}?"
        entities.append(add("entity", "whole", phrase.noun, question, [0]))
    for phrase, entity in zip(description.phrases, entities, strict=True):
        verb = "Is" if phrase.count == 1 else "Are"
        if phrase.count > 1:
            number = NUMBERS[phrase.count]
            add("other", "count", f"{phrase.noun}, =={phrase.count}", f"Are there {number} {phrase.noun}?", [entity])
        for kind, value in (("color", phrase.colour), ("size", phrase.size)):
            if value:
                add("attribute", kind, f"{phrase.noun}, {value}", f"{verb} the {phrase.noun} {value}?", [entity])
    for first, name, second in description.links:
        a, b = description.phrases[first], description.phrases[second]
        question = f"{'Is' if a.count == 1 else 'Are'} the {a.noun} {name} the {b.noun}?"
        add("relation", "spatial", f"{a.noun}, {b.noun}, {name}", question, [entities[first], entities[second]])
    return graph


def ocr_read(per_height: int = 12, seed: int = 0) -> list[Sample]:
    """``per_height`` digits at each of eight heights and as many words at each of five."""
    rng = _stream("shapes-ocr-read", seed)
    rows = []
    for category, heights in (("digits", curriculum.DIGIT_HEIGHTS), ("words", curriculum.WORD_HEIGHTS)):
        for height in heights:
            texts = _texts(category, per_height, rng)
            for number, text in enumerate(texts):
                scene = Scene(writings=(curriculum.writing_anywhere(text, height, rng),))
                name = f"{category}-{height:02d}px-{number:02d}"
                rows.append(
                    Sample(
                        id=name,
                        inputs={"question": f"What {category[:-1]} is written?"},
                        target={"text": text},
                        group=name,
                        category=category,
                        images=(to_picture(render(scene)),),
                        metadata={"height": height, "seen": scenes.word_seen(text)},
                    )
                )
    return rows


def ocr_write(digits: int = 10, words: int = 20, seed: int = 0) -> list[Sample]:
    """Prompts that ask for a digit or a word to be written."""
    rng = _stream("shapes-ocr-write", seed)
    rows = []
    for category, count in (("digits", digits), ("words", words)):
        for number, text in enumerate(_texts(category, count, rng)):
            name = f"{category}-{number:02d}"
            rows.append(
                Sample(
                    id=name,
                    inputs={"prompt": prompt(Description(text=text), PREFIXES[0])},
                    target={"text": text},
                    group=name,
                    category=category,
                    metadata={"seen": scenes.word_seen(text)},
                )
            )
    return rows


def _texts(category: str, count: int, rng: random.Random) -> list[str]:
    """Texts without repeats (digits repeat after ten); a fifth of the words are held out from training."""
    if category == "digits":
        return [digit for _ in range(0, count, 10) for digit in rng.sample(font.DIGITS, 10)][:count]
    unseen = round(UNSEEN_SHARE * count)
    chosen: dict[str, None] = {}
    while len(chosen) < count:
        chosen[curriculum.random_word(rng, seen=len(chosen) >= unseen)] = None
    texts = list(chosen)
    rng.shuffle(texts)
    return texts
