"""The detector against the scenes that it doesn't see."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from janus_eval.tasks.shapes import curriculum
from janus_eval.tasks.shapes.detection import detect
from janus_eval.tasks.shapes.scenes import CANVAS, GROUND, PALETTE, Pixels, Scene, Thing, Writing, render

Crowded = Callable[[random.Random], Scene]
Degraded = Callable[[Pixels, float, float], Pixels]


def _right(scene: Scene, pixels: Pixels) -> bool:
    """Exactly the scene's things, each confidently, within 1.5 pixels of where they stand."""
    left = [detection for detection in detect(pixels) if detection.score > 0.3]
    for thing in scene.things:
        match = next(
            (
                d
                for d in left
                if (d.shape, d.colour) == (thing.shape, thing.colour)
                and max(abs(d.x - thing.x), abs(d.y - thing.y), abs(d.radius - thing.radius)) <= 1.5
            ),
            None,
        )
        if match is None:
            return False
        left.remove(match)
    return not left


def test_drawable_scenes_are_read_exactly() -> None:
    rng = random.Random(1)
    scenes = [curriculum.random_scene(rng, seen=False) for _ in range(300)]
    assert sum(_right(scene, render(scene)) for scene in scenes) == 300


def test_small_touching_and_clipped_things_are_read_exactly(crowded: Crowded) -> None:
    rng = random.Random(2)
    scenes = [crowded(rng) for _ in range(300)]
    assert sum(_right(scene, render(scene)) for scene in scenes) >= 0.99 * 300


def test_blurred_and_noisy_pictures_are_read(crowded: Crowded, degraded: Degraded) -> None:
    rng = random.Random(3)
    scenes = [curriculum.random_scene(rng, seen=False) for _ in range(100)]
    assert sum(_right(scene, degraded(render(scene), 0.7, 6.0)) for scene in scenes) >= 97


def test_two_of_one_colour_that_run_into_each_other_are_told_apart() -> None:
    scene = Scene((Thing("circle", "red", 20, 32, 11), Thing("square", "red", 42, 32, 12)))
    assert Counter(d.shape for d in detect(render(scene))) == {"circle": 1, "square": 1}


def test_writing_and_ground_are_no_shapes() -> None:
    assert detect(render(Scene())) == []
    rng = random.Random(4)
    for _ in range(60):
        assert detect(render(curriculum.text_scene(rng))) == []
    assert detect(render(Scene(writings=(Writing("8", 10, 10, 40, 32),)))) == []


@pytest.mark.parametrize("seed", range(3))
def test_noise_is_no_confident_shape(seed: int) -> None:
    noise = np.random.default_rng(seed).integers(0, 256, (CANVAS, CANVAS, 3), dtype=np.uint8)
    assert all(detection.score < 0.5 for detection in detect(noise))


def test_a_blob_gets_little_confidence() -> None:
    pixels = np.empty((CANVAS, CANVAS, 3), dtype=np.uint8)
    pixels[:] = GROUND
    pixels[10:14, 10:50] = PALETTE["green"]
    pixels[14:40, 10:14] = PALETTE["green"]
    (blob,) = detect(pixels)
    assert blob.score < 0.3


def test_a_thing_of_two_colours_is_no_whole_thing() -> None:
    pixels = render(Scene((Thing("circle", "red", 32, 32, 14),)))
    half = render(Scene((Thing("circle", "blue", 32, 32, 14),)))
    pixels[:, 32:] = half[:, 32:]
    assert {detection.colour for detection in detect(pixels)} == {"red", "blue"}
    assert all(detection.score < 0.9 for detection in detect(pixels))


def test_boxes_and_masks_lie_on_the_things() -> None:
    (found,) = detect(render(Scene((Thing("square", "brown", 20, 40, 10),))))
    # 8.6 pixels to each side; of the ninth half is covered, which is not yet more than half.
    assert found.box == (12, 32, 28, 48)
    assert found.mask[32:48, 12:28].all() and found.mask.sum() == 16 * 16
