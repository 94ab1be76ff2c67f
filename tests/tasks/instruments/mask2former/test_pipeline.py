"""Numbers of the test pipelines: sizes, interpolation, levels, padding."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import load_file

from janus_eval.pictures import PictureError
from janus_eval.tasks.instruments.mask2former.pipeline import MMDET2, Pipeline, resize, resize_whole


def noise(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("height", "width", "resized", "padded"),
    [
        (384, 384, (800, 800), (800, 800)),
        (1024, 1024, (800, 800), (800, 800)),
        (480, 640, (800, 1067), (800, 1088)),
        (640, 480, (1067, 800), (1088, 800)),
        (100, 400, (333, 1333), (352, 1344)),
        (3, 5, (800, 1333), (800, 1344)),
    ],
)
def test_sizes(height: int, width: int, resized: tuple[int, int], padded: tuple[int, int]) -> None:
    assert MMDET2.frame(height, width) == ((height, width), resized, padded)
    assert Pipeline(scale=(800, 1333)).frame(height, width).resized == resized


def test_sizes_without_the_ratio() -> None:
    assert Pipeline(scale=(40, 20), keep_ratio=False, pad_size_divisor=16).frame(9, 9) == ((9, 9), (20, 40), (32, 48))


def test_a_side_that_would_vanish_is_refused() -> None:
    with pytest.raises(PictureError, match="1x9000 pixels: too narrow"):
        MMDET2.frame(9000, 1)


def test_the_recorded_pixels(recorded: Path, pipeline: Pipeline) -> None:
    tensors = load_file(recorded / "detections.safetensors")
    for image in ("image0", "image1"):
        ours = pipeline.pixel_values(tensors[f"{image}.rgb"].numpy())
        assert ours.dtype == torch.float32
        torch.testing.assert_close(ours, tensors[f"{image}.pixel_values"][0], atol=2e-6, rtol=0)


@pytest.mark.parametrize("size", [(41, 13), (7, 90), (20, 30), (1, 1)])
def test_resizing_is_bilinear_without_smoothing(size: tuple[int, int]) -> None:
    rgb = noise(20, 30)
    image = torch.from_numpy(rgb).permute(2, 0, 1)[None].double()
    expected = F.interpolate(image, size=size, mode="bilinear", align_corners=False)[0].permute(1, 2, 0)
    assert resize(rgb, size).dtype == np.float32
    np.testing.assert_allclose(resize(rgb, size), expected.numpy(), atol=1e-4)


def test_whole_levels_are_opencv_s() -> None:
    """Against ``cv2.resize`` (OpenCV 5.0) of this picture."""
    rgb = np.repeat(np.array([[0, 255, 90, 31], [200, 7, 255, 128], [64, 33, 1, 250]], np.uint8)[..., None], 3, axis=2)
    assert resize_whole(rgb, (2, 3))[..., 1].tolist() == [[74, 162, 68], [86, 46, 194]]
    larger = [
        [0, 91, 237, 172, 86, 52, 31],
        [80, 107, 150, 156, 150, 100, 70],
        [200, 131, 21, 131, 246, 173, 128],
        [118, 84, 29, 62, 110, 166, 201],
        [64, 53, 35, 17, 19, 161, 250],
    ]
    gaps = np.abs(resize_whole(rgb, (5, 7))[..., 2] - np.array(larger))
    assert gaps.max() <= 1 and gaps.sum() <= 2
    wide = noise(90, 130)
    assert np.abs(resize_whole(wide, (200, 301)) - resize(wide, (200, 301))).max() < 1.01


def test_mmdet_2_has_whole_levels_and_pads_with_grey() -> None:
    rgb, mean, std = noise(30, 40), np.array(MMDET2.mean), np.array(MMDET2.std)
    assert MMDET2.frame(30, 40).padded == (800, 1088)
    levels = MMDET2.pixel_values(rgb).permute(1, 2, 0).numpy() * std + mean
    np.testing.assert_allclose(levels, np.rint(levels), atol=1e-3)
    np.testing.assert_allclose(levels[:, 1067:], 128, atol=1e-3)
    exact = Pipeline().pixel_values(rgb).permute(1, 2, 0).numpy()
    assert (exact[:, 1067:] == 0).all()
    assert 0.4 < np.abs(exact * std + mean - levels)[:, :1067].max() < 1.01
