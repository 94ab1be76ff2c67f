"""The grid of text pictures that ``ocr-read`` asks about: a curve over font size, and one knob at a time beside it.

Every setting but one is that of ``PLAIN``, so that a slice says what its knob does and nothing else. Texts are drawn
anew for each picture: what a slice shows rests on as many texts as it has pictures.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import cast

from janus_eval.randomness import seed_of
from janus_eval.tasks.slices import Slice
from janus_eval.tasks.textimages.render import Font, render
from janus_eval.tasks.textimages.words import SCRIPTS, Script, draw_words
from janus_eval.types import JSON, Sample

QUESTION = "What text is written in the image? Answer with the text only."

SIZES = (8, 10, 12, 16, 20, 24, 32, 48, 64, 96)
"""Font sizes in pixels; at 96 a word of six letters just fits a line."""
ANGLES = (10, 45, 90, 180)
"""Degrees counterclockwise: askew, diagonal, along the edge of a page, upside down."""
CONTRASTS = (0.5, 0.2, 0.1, -1.0)
"""Of ink to paper; negative for light ink on dark paper."""
COUNTS = (1, 4, 8)
LIGHT_ON_DARK = "light on dark"


@dataclass(frozen=True, slots=True)
class Setting:
    """How a text is shown. ``contrast``: the paper's grey less the ink's, over 255; the lighter of them is white where
    it is positive, the darker one black where it is negative."""

    size: int = 32
    angle: int = 0
    contrast: float = 1.0
    words: int = 2
    font: Font = "sans"

    @property
    def greys(self) -> tuple[int, int]:
        """Ink and paper, 0 to 255."""
        step = round(255 * abs(self.contrast))
        return (255 - step, 255) if self.contrast > 0 else (step, 0)


PLAIN = Setting()
"""Legible, level, black on white, two words: what all other settings differ from in one thing."""


def settings() -> list[Setting]:
    """All settings, the sizes first."""
    return [
        *(replace(PLAIN, size=size) for size in SIZES),
        *(replace(PLAIN, angle=angle) for angle in ANGLES),
        *(replace(PLAIN, contrast=contrast) for contrast in CONTRASTS),
        *(replace(PLAIN, words=count) for count in COUNTS),
        replace(PLAIN, font="serif"),
    ]


def only(knob: str, value: JSON) -> Slice:
    """The pictures whose setting is plain but for this knob, which has this value (the plain one's own too)."""
    wanted = {**asdict(PLAIN), knob: value}
    return lambda sample: all(sample.metadata[name] == kept for name, kept in wanted.items())


def samples(ask: Mapping[str, JSON]) -> Sequence[Sample]:
    """One picture a text, for every script and setting.

    ``ask``: ``texts_per_size`` and ``texts_per_setting`` (of each script, at each size and at each other setting),
    ``data_seed``. ``target`` has the text; ``metadata`` has ``script`` and what ``Setting`` has. ``category`` is the
    script with the setting, so that ``--limit 1`` takes one picture of each.
    """
    return _grid(*(cast(int, ask[name]) for name in ("texts_per_size", "texts_per_setting", "data_seed")))


@cache
def _grid(per_size: int, per_setting: int, seed: int) -> tuple[Sample, ...]:
    """Drawn once a process: several tasks may show the same pictures."""
    rows = []
    for script in SCRIPTS:
        for setting in settings():
            curve = setting == replace(PLAIN, size=setting.size)
            rows += [_sample(script, setting, number, seed) for number in range(per_size if curve else per_setting)]
    return tuple(rows)


def _sample(script: Script, setting: Setting, number: int, seed: int) -> Sample:
    category = f"{script} {_named(setting)}"
    name = f"{category.replace(' ', '-')}-{number:02d}"
    rng = random.Random(seed_of(seed, "text pictures", name, 0))
    text = draw_words(script, setting.words, rng)
    ink, paper = setting.greys
    picture = render(
        text,
        font=setting.font,
        size=setting.size,
        angle=setting.angle,
        ink=(ink, ink, ink),
        paper=(paper, paper, paper),
        rng=rng,
    )
    return Sample(
        name,
        inputs={"question": QUESTION},
        target={"text": text},
        group=name,
        category=category,
        images=(picture,),
        metadata={"script": script, **asdict(setting)},
    )


def _named(setting: Setting) -> str:
    """What sets it apart from the plain one: ``size 12``, ``angle 45``, ``contrast 10`` (percent)."""
    if setting.angle != PLAIN.angle:
        return f"angle {setting.angle}"
    if setting.contrast < 0:
        return LIGHT_ON_DARK
    if setting.contrast != PLAIN.contrast:
        return f"contrast {round(100 * setting.contrast)}"
    if setting.words != PLAIN.words:
        return f"words {setting.words}"
    return f"size {setting.size}" if setting.font == PLAIN.font else setting.font
