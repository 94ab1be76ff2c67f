"""What the self-tests of neural instruments are made of: numbers and a picture that are the same everywhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Numbers: TypeAlias = Callable[[tuple[int, ...], float], Tensor]


def numbers(seed: int) -> Numbers:
    """Tensors (float32, of a shape, uniform between plus and minus a limit), one after another.

    numpy's ``RandomState`` is frozen: its uniform numbers are the same bits in every version and on every machine,
    which torch promises of none of its generators. So no weights need to be shipped for a network that is only there
    to be compared.
    """
    random = np.random.RandomState(seed)

    def take(shape: tuple[int, ...], limit: float) -> Tensor:
        return torch.from_numpy((limit * (2 * random.random_sample(shape) - 1)).astype(np.float32))

    return take


def drawn_scene() -> NDArray[np.uint8]:
    """A red disc and a blue board on a lawn, levels [90, 120, 3]. Drawn without any library, whose edges may change."""
    rows, columns = np.mgrid[:90, :120]
    rgb = np.full((90, 120, 3), (200, 190, 170), np.uint8)
    rgb[(rows - 40) ** 2 + (columns - 35) ** 2 < 22**2] = (210, 30, 40)
    rgb[20:75, 75:105] = (30, 60, 190)
    rgb[80:] = (60, 120, 50)
    return rgb
