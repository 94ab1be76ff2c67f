"""``janus-eval verify`` on the recorded case: within the gates, any change beyond them, malformed cases refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from janus_eval.cli.verify import findings, verify
from janus_eval.errors import UserError
from janus_eval.recorded import Finding
from janus_eval.tasks.instruments.mask2former.parity import overlap
from janus_eval.tasks.instruments.mask2former.weights import mmdet2_name


@pytest.fixture
def case(recorded: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(recorded, tmp_path / "case"))


def test_every_recorded_tensor_is_within_its_gate(recorded: Path) -> None:
    found, skipped = findings(recorded)
    assert {row.tensor: row.difference for row in found if not row.within} == {}
    names = load_file(recorded / "detections.safetensors")
    assert {row.tensor for row in found} == {f"detections/{name}" for name in names if not name.endswith(".rgb")}
    assert skipped == []
    gates = {row.tensor.partition(".")[2]: row.gate for row in found}
    assert gates == {
        "pixel_values": 1e-4, "class_logits": 1e-4, "mask_logits": 5e-4, "labels": 0, "scores": 1e-4, "bboxes": 1,
        "masks_packed": 0.01, "mask_area": 0.01, **{f"backbone{level}": 1e-4 for level in range(4)},
    }  # fmt: skip
    # What is left of the feature maps' gaps is float noise: without the allowance for float16 it would be 1e-3.
    assert max(row.difference for row in found if ".backbone" in row.tensor) < 1e-5


def test_other_numbers_of_pictures_and_mmdet_2_names(case: Path) -> None:
    weights = load_file(case / "model.safetensors")
    save_file({mmdet2_name(name): tensor for name, tensor in weights.items()}, case / "model.safetensors")
    recorded = load_file(case / "detections.safetensors")
    second = {name.replace("image1.", "image10."): tensor for name, tensor in recorded.items() if "image1." in name}
    save_file(second, case / "detections.safetensors")
    found, skipped = findings(case)
    assert len(found) == 12 and skipped == []
    assert all(row.within and row.tensor.startswith("detections/image10.") for row in found)


def changed(case: Path, name: str, how: Callable[[Tensor], Tensor]) -> Finding:
    """The finding about a tensor of the first picture after a change of it."""
    path = case / "detections.safetensors"
    tensors = {key: tensor for key, tensor in load_file(path).items() if key.startswith("image0.")}
    tensors[f"image0.{name}"] = how(tensors[f"image0.{name}"].clone()).contiguous()
    save_file(tensors, path)
    found, _ = findings(case)
    return next(row for row in found if row.tensor == f"detections/image0.{name}")


def nudge(place: int, by: float) -> Callable[[Tensor], Tensor]:
    def how(tensor: Tensor) -> Tensor:
        tensor.view(-1)[place] += by
        return tensor

    return how


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("pixel_values", nudge(0, 2e-4)),
        ("backbone0", nudge(0, 0.01)),
        ("backbone3", nudge(5, float("nan"))),
        # In float16 this would be rounding; a recording of another type gets no allowance.
        ("backbone1", lambda features: features.float() * (1 + 4e-4)),
        ("class_logits", nudge(3, 3e-4)),
        ("mask_logits", nudge(0, 0.05)),
        ("labels", nudge(0, 1)),
        ("scores", nudge(99, 3e-4)),
        ("bboxes", nudge(0, 1.5)),
        ("masks_packed", lambda packed: packed ^ torch.tensor([255] + [0] * 15).byte().repeat(128)),
        ("mask_area", lambda areas: areas + areas // 50),
        ("labels", lambda labels: labels[:50]),
        ("masks_packed", lambda packed: packed[:50]),
        ("mask_area", lambda areas: areas[:50]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_change_is_beyond_its_gate(case: Path, name: str, how: Callable[[Tensor], Tensor]) -> None:
    assert not changed(case, name, how).within


def test_the_order_of_equal_scores_does_not_matter(case: Path) -> None:
    path = case / "detections.safetensors"
    tensors = {name: tensor for name, tensor in load_file(path).items() if name.startswith("image0.")}
    gaps = tensors["image0.scores"][:-1] - tensors["image0.scores"][1:]
    first = int(gaps.argmin())
    assert gaps[first] < 1e-4
    order = torch.arange(100)
    order[[first, first + 1]] = order[[first + 1, first]]
    for name in ("scores", "labels", "bboxes", "masks_packed", "mask_area"):
        tensors[f"image0.{name}"] = tensors[f"image0.{name}"][order].contiguous()
    save_file(tensors, path)
    assert verify(case) == 0


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("feat_channels", None, "has no feat_channels"),
        ("feat_channels", 40, "40 channels cannot be divided among 32"),
        ("num_queries", 0, "num_queries is 0"),
        ("num_queries", True, "num_queries is True"),
        ("num_queries", 10**9, "num_queries is 1000000000"),
        ("num_queries", 13, r"query_embed\.weight is \[12, 32\], expected \[13, 32\]"),
        ("backbone.depths", [2, 2, 2], "num_heads is .* expected a list of 3"),
        ("backbone.depths", [2, 2, 2, 3], "stages.3.blocks.2"),
        ("backbone.num_heads", [1, 2, 4, 7], "backbone stage 3"),
        ("backbone", 3, "backbone is int, expected an object"),
        ("pixel_decoder.num_levels", 4, "4 levels"),
        ("test.scale", [400], "scale is"),
        ("test.keep_ratio", 1, "keep_ratio is 1"),
        ("test.std", [1, 2, 0], "std is 0"),
        ("test.mean", [1, 2, float("nan")], "mean is nan"),
    ],
)
def test_a_damaged_configuration_is_named(case: Path, key: str, value: Any, said: str) -> None:
    raw = json.loads((case / "config.json").read_text())
    *parents, leaf = key.split(".")
    place = raw
    for parent in parents:
        place = place[parent]
    if value is None:
        del place[leaf]
    else:
        place[leaf] = value
    (case / "config.json").write_text(json.dumps(raw))
    with pytest.raises(UserError, match=said) as caught:
        findings(case)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "how", "said"),
    [
        ("rgb", lambda rgb: rgb.float(), "holds torch.float32, expected levels in bytes"),
        ("rgb", lambda rgb: rgb[..., :2], r"is \[128, 128, 2\]"),
        ("rgb", lambda rgb: rgb[:1].repeat(1, 100, 1), "too narrow"),
        ("masks_packed", lambda packed: packed[:, :-1], r"is \[100, 2047\]"),
        ("masks_packed", lambda packed: packed.int(), "holds torch.int32"),
    ],
)
def test_a_damaged_recording_is_named(case: Path, name: str, how: Callable[[Tensor], Tensor], said: str) -> None:
    with pytest.raises(UserError, match=said):
        changed(case, name, how)


def test_a_recording_without_pictures_is_refused(case: Path) -> None:
    save_file({"scores": torch.zeros(3)}, case / "detections.safetensors")
    with pytest.raises(UserError, match="has no picture"):
        findings(case)


def test_overlap() -> None:
    a, b = np.array([True, True, False, False]), np.array([True, False, True, False])
    assert overlap(a, b) == 1 / 3 and overlap(a, a) == 1
    assert overlap(a & b & ~a, b & ~b) == 1
