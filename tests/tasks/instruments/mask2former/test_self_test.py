"""The detector's self-test: passes where the code is right, and says what it saw where something of it is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from janus_eval.errors import UserError
from janus_eval.observe import Instruments
from janus_eval.tasks.instruments.known import drawn_scene, numbers
from janus_eval.tasks.instruments.mask2former import detect, self_test, weights
from janus_eval.tasks.instruments.mask2former.detect import Logits
from janus_eval.tasks.instruments.mask2former.instrument import Mask2Former
from janus_eval.tasks.instruments.mask2former.self_test import (
    PIPELINE,
    SEEN,
    SIZES,
    Known,
    agree,
    alive,
    compare,
    known_case,
    made_weights,
)


def tiny(path: Path) -> Mask2Former:
    return Mask2Former(path, sizes=SIZES, pipeline=PIPELINE, device="cpu")


@pytest.fixture
def made(tmp_path: Path) -> Mask2Former:
    save_file(made_weights(), tmp_path / "made.safetensors")
    return tiny(tmp_path / "made.safetensors")


def test_the_numbers_never_change() -> None:
    take = numbers(0)
    assert take((3,), 1.0).tolist() == [0.09762700647115707, 0.4303787350654602, 0.20552675426006317]
    assert take((1, 2), 10.0).shape == (1, 2)
    scene = drawn_scene()
    assert scene.shape == (90, 120, 3) and int(scene.sum(dtype="int64")) == 4_766_360


def test_it_passes_and_says_what_it_compared(made: Mask2Former) -> None:
    said = made.self_test()
    assert said == "4 boxes of a made network as mmdet saw them; the weights tell a scene from grey"
    assert Instruments(made={"d": made}).ready("d") is made


@pytest.mark.parametrize(
    ("module", "name", "broken"),
    [
        (weights, "reorder_merged", lambda values: values),
        (detect, "boxes_of", lambda masks: torch.zeros(len(masks), 4)),
        (detect, "candidates", lambda classes, most: detect.Candidates(*[torch.zeros(0).long()] * 3)),
        (PIPELINE.__class__, "pixel_values", lambda self, rgb: torch.zeros(3, 96, 128)),
    ],
    ids=["merged patches", "boxes", "candidates", "pixels"],
)
def test_a_fault_anywhere_is_found(
    module: Any, name: str, broken: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, name, broken)
    with pytest.raises(UserError, match=r"mmdet saw cow 0.235"):
        known_case(tiny)


def test_a_difference_says_both_sides() -> None:
    compare(SEEN)
    compare([row._replace(score=row.score + 0.01, area=row.area - 9) for row in reversed(SEEN)])
    for change in ({"score": 0.13}, {"label": 3}, {"box": (10, 5, 103, 74)}, {"area": 2000}):
        with pytest.raises(
            UserError, match=r"mmdet saw .* 0\.235 at \[18, 5, 103, 74\] of 1670 pixels .*; seen here: "
        ):
            compare([SEEN[0]._replace(**change), *SEEN[2:]])
    with pytest.raises(UserError, match="seen here: nothing"):
        compare([])


def broken_by(change: Callable[[dict[str, Tensor]], object], path: Path) -> Mask2Former:
    tensors = made_weights()
    change(tensors)
    save_file(tensors, path)
    return tiny(path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t["panoptic_head.cls_embed.weight"].fill_(float("nan")), "no finite numbers"),
        (lambda t: t["panoptic_head.cls_embed.weight"].zero_(), "no difference between a drawn scene and plain grey"),
        (lambda t: t.pop("panoptic_head.cls_embed.weight"), "1 of 190 tensors are missing"),
    ],
)
def test_dead_weights_are_found(change: Callable[[dict[str, Tensor]], object], said: str, tmp_path: Path) -> None:
    detector = broken_by(change, tmp_path / "net.safetensors")
    with pytest.raises(UserError, match=f"instrument 'd' fails its self-test: .*{said}"):
        Instruments(made={"d": detector}).ready("d")


def test_a_device_that_computes_otherwise_is_found() -> None:
    classes, masks = 3 * torch.randn(2, 8, 81), torch.randn(2, 8, 32, 32)
    cpu = Logits(classes, masks)
    agree(Logits(classes + 0.01, masks + 0.01), cpu, "cuda:0")
    with pytest.raises(UserError, match=r"class probabilities on cuda:0 are 0\.\d+ from the CPU's, at most 0\.05"):
        agree(Logits(0.5 * classes, masks), cpu, "cuda:0")
    with pytest.raises(UserError, match="mask probabilities"):
        agree(Logits(classes, 0 * masks), cpu, "cuda:0")
    with pytest.raises(UserError, match="class probabilities on cuda:0 are nan"):
        agree(Logits(classes * float("nan"), masks), cpu, "cuda:0")


def test_an_accelerator_is_held_against_the_cpu(made: Mask2Former, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is none here: the first of two equal networks stands for it, its numbers halved."""
    real = self_test.logits
    devices = iter(["meta", "cpu"])

    def halved(model: Any, pixels: Tensor) -> Any:
        found = real(model, pixels)
        if next(devices) == "cpu":
            return found
        return Logits(_Elsewhere(0.5 * found.classes), _Elsewhere(found.masks))  # type: ignore[arg-type]

    monkeypatch.setattr(self_test, "logits", halved)
    with pytest.raises(UserError, match="class probabilities on cuda:0 are"):
        alive(made.read())


class _Elsewhere:
    """A tensor that says it lies on a GPU."""

    device = torch.device("cuda:0")

    def __init__(self, tensor: Tensor) -> None:
        self._tensor = tensor

    def cpu(self) -> Tensor:
        return self._tensor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tensor, name)

    def __getitem__(self, place: int) -> Tensor:
        return self._tensor[place]


def test_known_rows_are_as_recorded() -> None:
    assert SEEN[0] == Known(19, 0.23454, (18, 5, 103, 74), 1670)
    assert sum(tensor.numel() for tensor in made_weights().values()) == 124_282
