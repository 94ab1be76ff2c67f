"""PSNR and SSIM against what scikit-image 0.26 gives for the same pictures with the paper's window and variances:
``structural_similarity(a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255,
channel_axis=2)`` and ``peak_signal_noise_ratio(a, b, data_range=255)``."""

from __future__ import annotations

import math

import numpy as np
import pytest

from janus_eval.statistics import TOP
from janus_eval.tasks.picture_quality import Pixels, decibels, psnr, ssim, ssim_map

ROWS, COLUMNS = np.mgrid[:40, :52]
PLAIN = np.stack([(ROWS * k + COLUMNS * COLUMNS // (k + 1)) % 256 for k in (3, 5, 7)], axis=2).astype(np.uint8)
SPECKS = ((ROWS * 13 + COLUMNS * 29) % 41 - 20)[..., None]
SPECKLED = np.clip(PLAIN.astype(int) + SPECKS, 0, 255).astype(np.uint8)
PALE = (PLAIN // 2 + 60).astype(np.uint8)


@pytest.mark.parametrize(
    ("other", "similarity", "decibel"),
    [
        (SPECKLED, 0.8181854268376916, 26.8377735650571),
        (PALE, 0.8033402675772571, 17.090531054990873),
        (255 - PLAIN, -0.5563994613510653, 5.036351737189752),
    ],
)
def test_as_scikit_image(other: Pixels, similarity: float, decibel: float) -> None:
    assert ssim(PLAIN, other) == pytest.approx(similarity, abs=1e-12)
    assert ssim(other, PLAIN) == pytest.approx(similarity, abs=1e-12)
    assert psnr(PLAIN, other) == pytest.approx(decibel, abs=1e-9)


def test_equal_pictures_differ_by_no_less_than_rounding() -> None:
    assert ssim(PLAIN, PLAIN) == pytest.approx(1, abs=1e-12)
    assert psnr(PLAIN, PLAIN) == decibels(0) == pytest.approx(TOP["dB"]) == pytest.approx(58.9226, abs=1e-4)
    one_level = PLAIN.copy()
    one_level[0, 0, 0] ^= 1
    assert psnr(PLAIN, one_level) == decibels(0), "one level in one pixel is less than rounding everywhere"


def test_a_map_has_a_window_a_pixel_and_each_sees_eleven() -> None:
    assert ssim_map(PLAIN, PALE).shape == (30, 42)
    assert ssim_map(PLAIN, PALE).mean() == pytest.approx(ssim(PLAIN, PALE))
    changed = PLAIN.copy()
    changed[20, 20] = 255 - changed[20, 20]
    touched = np.argwhere(ssim_map(PLAIN, changed) < 1 - 1e-9)
    assert touched.min(axis=0).tolist() == [10, 10] and touched.max(axis=0).tolist() == [20, 20]


def test_what_can_not_be_compared_is_refused() -> None:
    with pytest.raises(ValueError, match="expected the same"):
        psnr(PLAIN, PLAIN[:-1])
    with pytest.raises(ValueError, match="11 x 11 or more expected"):
        ssim(PLAIN[:10], PLAIN[:10])
    assert math.isfinite(ssim(PLAIN[:11, :11], PALE[:11, :11]))
