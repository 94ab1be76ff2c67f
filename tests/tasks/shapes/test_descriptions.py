"""Descriptions: into words and back, and staged so that the scene shows what was asked for."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from janus_eval.tasks.shapes import curriculum, scenes
from janus_eval.tasks.shapes.descriptions import Description, Link, Phrase, parse, prompt, stage
from janus_eval.tasks.shapes.scenes import Scene


@pytest.mark.parametrize(
    ("text", "description"),
    [
        ("a photo of a red circle", Description((Phrase("circle", colour="red"),))),
        ("a picture of three stars", Description((Phrase("star", 3),))),
        (
            "a photo of an orange star left of a small square",
            Description((Phrase("star", colour="orange"), Phrase("square", size="small")), (Link(0, "left of", 1),)),
        ),
        (
            "two red stars below a blue square and a circle above the square",
            Description(
                (Phrase("star", 2, "red"), Phrase("square", colour="blue"), Phrase("circle")),
                (Link(0, "below", 1), Link(2, "above", 1)),
            ),
        ),
        (
            "a circle, a square and a star",
            Description((Phrase("circle"), Phrase("square"), Phrase("star"))),
        ),
        ('a photo of the word "CAT"', Description(text="CAT")),
        ('the digit "7"', Description(text="7")),
    ],
)
def test_words_and_back(text: str, description: Description) -> None:
    assert parse(text) == description
    assert text.endswith(prompt(description))


@pytest.mark.parametrize("kind", list(curriculum.DESCRIBERS))
def test_every_description_of_the_curriculum_survives_its_words(kind: str) -> None:
    rng = random.Random(1)
    for _ in range(100):
        description = curriculum.DESCRIBERS[kind](rng)
        assert parse(prompt(description, "a photo of")) == description


@pytest.mark.parametrize("text", ["", "a photo of a bench", "a red", "the circle", 'the word "cat"', "five circles"])
def test_what_is_no_prompt_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a prompt of the shapes world"):
        parse(text)


def _shows(scene: Scene, description: Description) -> None:
    groups = [scene.with_shape(phrase.shape) for phrase in description.phrases]
    assert Counter(thing.shape for thing in scene.things) == {p.shape: p.count for p in description.phrases}
    for phrase, things in zip(description.phrases, groups, strict=True):
        assert phrase.colour is None or {thing.colour for thing in things} == {phrase.colour}
        assert phrase.size != "small" or {thing.radius for thing in things} == {8}
        assert phrase.size != "large" or all(thing.radius >= 12 for thing in things)
    for first, name, second in description.links:
        for a in groups[first]:
            for b in groups[second]:
                assert scenes.relation(b.x - a.x, b.y - a.y) == name


def test_staged_scenes_show_what_is_described_on_the_lattice_and_apart() -> None:
    rng = random.Random(2)
    staged = 0
    for number in range(400):
        kind = list(curriculum.DESCRIBERS)[number % 7]
        description = curriculum.DESCRIBERS[kind](rng)
        try:
            scene = stage(description, rng, thorough=False)
        except ValueError:
            continue
        staged += 1
        _shows(scene, description)
        for place, thing in enumerate(scene.things):
            assert thing.x % scenes.LATTICE == thing.y % scenes.LATTICE == 0
            assert thing.radius <= min(thing.x, thing.y) and max(thing.x, thing.y) <= scenes.CANVAS - thing.radius
            assert all(scenes.gap(thing, other) >= scenes.MIN_GAP for other in scene.things[:place])
    assert staged > 380


def test_a_layout_that_chance_seldom_finds_is_found() -> None:
    description = parse("two red triangles above two red squares")
    for seed in range(5):
        _shows(stage(description, random.Random(seed)), description)


def test_impossible_requests_are_refused() -> None:
    both = Description((Phrase("star"), Phrase("circle")), (Link(0, "above", 1), Link(0, "below", 1)))
    with pytest.raises(ValueError, match="no layout"):
        stage(both, random.Random(0))
    with pytest.raises(ValueError, match="between 1 and 4"):
        stage(Description((Phrase("star", 3), Phrase("circle", 2))), random.Random(0))
    with pytest.raises(ValueError, match="at most 4 characters"):
        stage(Description(text="HELLO"), random.Random(0))
