"""Labels of patches: where things and glyphs stand, and nothing that is held out."""

from __future__ import annotations

import random

import numpy as np

from janus_eval.tasks.shapes import patches, scenes
from janus_eval.tasks.shapes.font import CHARACTERS
from janus_eval.tasks.shapes.patches import IGNORED, REACH, label, patch_example
from janus_eval.tasks.shapes.scenes import COLOURS, PALETTE, SHAPES, Scene, Thing, Writing


def test_a_thing_is_named_by_the_patches_it_covers() -> None:
    labels = label(Scene((Thing("square", "blue", 16, 40, 8),)), 8)
    covered = labels["colour"] > 0
    # 6.9 pixels to each side of (16, 40): parts of the four patches that meet there.
    assert [tuple(place) for place in np.argwhere(covered)] == [(4, 1), (4, 2), (5, 1), (5, 2)]
    assert set(labels["colour"][covered]) == {COLOURS.index("blue") + 1}
    assert set(labels["shape"][covered]) == {SHAPES.index("square") + 1}
    assert set(labels["radius"][covered]) == {8}
    # The patch up and left of the centre: 4 pixels, two steps, to the right and down.
    assert (labels["right"][4, 1], labels["down"][4, 1]) == (REACH + 2, REACH + 2)
    assert (labels["right"][5, 2], labels["down"][5, 2]) == (REACH - 2, REACH - 2)
    assert (labels["right"][~covered] == IGNORED).all() and (labels["first"] == 0).all()


def test_glyphs_are_named_from_the_left() -> None:
    labels = label(Scene(writings=(Writing("AB7", 0, 8, 7, 6),)), 8)
    code = {character: CHARACTERS.index(character) + 1 for character in "AB7"}
    # A lies in the first patch, which the B enters by two of its five pixels; the 7 stands in the second.
    assert (labels["first"][1, 0], labels["last"][1, 0]) == (code["A"], code["B"])
    assert (labels["first"][1, 1], labels["last"][1, 1]) == (code["B"], code["7"])
    assert labels["first"].sum() == code["A"] + code["B"] + labels["first"][1, 2]


def test_the_greater_share_wins_and_clipped_things_count() -> None:
    labels = label(Scene((Thing("circle", "red", 0, 0, 10), Thing("circle", "green", 60, 60, 5))), 8)
    assert labels["colour"][0, 0] == COLOURS.index("red") + 1
    assert labels["colour"][7, 7] == COLOURS.index("green") + 1


def test_examples_show_what_they_say_and_nothing_held_out() -> None:
    named = set()
    for index in range(150):
        example = patch_example(random.Random(f"patches {index}"), 8)
        assert set(example.labels) == set(patches.CLASSES)
        for name, values in example.labels.items():
            allowed = set(range(patches.CLASSES[name])) | {IGNORED}
            assert set(values.flatten().tolist()) <= allowed
        for row, column in np.argwhere(example.labels["colour"] > 0):
            colour = COLOURS[example.labels["colour"][row, column] - 1]
            shape = SHAPES[example.labels["shape"][row, column] - 1]
            assert scenes.pair_seen(colour, shape)
            named.add((colour, shape))
            patch = example.image[row * 8 : row * 8 + 8, column * 8 : column * 8 + 8].reshape(-1, 3).astype(int)
            assert np.abs(patch - PALETTE[colour]).sum(-1).min() < 150, "something of that colour is in the patch"
    assert len(named) > 20
