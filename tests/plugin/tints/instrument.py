"""An instrument: questions about a picture, answered from the colour in its middle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np

from janus_eval.types import Failure, Look, Observation
from tints.colours import TINTS

REACH = 20
"""How far each part of a colour may be from the tint's."""


class TintMeter:
    kind = "visual_qa"
    version = f"tint-meter 1, reach {REACH}"

    def observe(self, looks: Sequence[Look]) -> list[Observation | Failure]:
        return [self._look(look) for look in looks]

    def _look(self, look: Look) -> Observation | Failure:
        if look.image is None:
            return Failure("there is no picture to look at")
        pixels = np.asarray(look.image.load())
        middle = pixels[pixels.shape[0] // 2, pixels.shape[1] // 2].astype(int)
        questions = cast(Mapping[str, str], look.query["questions"])
        near = {key: bool((abs(middle - TINTS[tint]) <= REACH).all()) for key, tint in questions.items()}
        return Observation({"answers": {key: "yes" if found else "no" for key, found in near.items()}})
