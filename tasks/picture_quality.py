"""How near a picture comes to another one, pixel by pixel: PSNR, and SSIM (Wang, Bovik, Sheikh and Simoncelli 2004).

Pictures are uint8 ``[H, W, 3]``. SSIM has the paper's constants: a Gaussian window of 11 x 11 pixels with a deviation
of 1.5, K1 = 0.01, K2 = 0.03, population variances, and only windows that lie whole in the picture. The paper looks at
grey levels; here the three channels are averaged. Other tools differ in any of these: scikit-image's default is a
uniform window of 7 x 7 with sample variances, which gives other numbers for the same two pictures.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Pixels: TypeAlias = NDArray[np.uint8]
Floats: TypeAlias = NDArray[np.float64]

LEVELS = 255.0
RADIUS, SIGMA = 5, 1.5
C1, C2 = (0.01 * LEVELS) ** 2, (0.03 * LEVELS) ** 2
ROUNDING = 1 / 12
"""Mean squared error of rounding to whole levels. No two 8-bit pictures can be told to differ by less, so this stands
where they are equal: PSNR ends at 58.9 dB instead of being infinite, and a mean over pictures stays a number."""


def squared_errors(a: Pixels, b: Pixels) -> Floats:
    """Mean over the channels of each pixel's squared difference, ``[H, W]``."""
    _refuse_unlike(a, b)
    return np.asarray(np.mean((a.astype(np.float64) - b) ** 2, axis=2))


def decibels(mean_squared_error: float) -> float:
    """Peak signal-to-noise ratio of a mean squared error."""
    return 10 * math.log10(LEVELS**2 / max(mean_squared_error, ROUNDING))


def psnr(a: Pixels, b: Pixels) -> float:
    """Peak signal-to-noise ratio in dB over all pixels and channels, at most 58.9."""
    return decibels(float(squared_errors(a, b).mean()))


def ssim_map(a: Pixels, b: Pixels) -> Floats:
    """SSIM of each window that lies whole in the picture, mean over the channels, ``[H - 10, W - 10]``, each in -1..1.

    Raises ValueError for pictures that are smaller than a window.
    """
    _refuse_unlike(a, b)
    if min(a.shape[:2]) < 2 * RADIUS + 1:
        raise ValueError(f"got pictures of {a.shape[1]} x {a.shape[0]} pixels, 11 x 11 or more expected")
    x, y = a.astype(np.float64), b.astype(np.float64)
    mean_x, mean_y = _windowed(x), _windowed(y)
    variances = _windowed(x * x) - mean_x**2 + _windowed(y * y) - mean_y**2
    covariance = _windowed(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + C1) / (mean_x**2 + mean_y**2 + C1)
    structure = (2 * covariance + C2) / (variances + C2)
    return np.asarray((luminance * structure).mean(axis=2))


def ssim(a: Pixels, b: Pixels) -> float:
    """Mean SSIM of the picture."""
    return float(ssim_map(a, b).mean())


def _windowed(values: Floats) -> Floats:
    """Gaussian means over the windows that lie whole in the picture."""
    means = ndimage.gaussian_filter(values, (SIGMA, SIGMA, 0), radius=(RADIUS, RADIUS, 0))
    return np.asarray(means[RADIUS:-RADIUS, RADIUS:-RADIUS])


def _refuse_unlike(a: Pixels, b: Pixels) -> None:
    if a.shape != b.shape or a.ndim != 3:
        raise ValueError(f"got pictures of shapes {a.shape} and {b.shape}, expected the same [height, width, 3]")
