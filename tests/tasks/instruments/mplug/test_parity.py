"""``janus-eval verify`` on the recorded case: within the gates, any change beyond them, malformed cases refused."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from janus_eval.cli.verify import findings, verify
from janus_eval.errors import UserError
from janus_eval.recorded import Finding

FILES = ("preprocess", "understanding", "generation")


@pytest.fixture
def case(recorded: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(recorded, tmp_path / "case"))


def test_every_recorded_tensor_is_within_its_gate(recorded: Path) -> None:
    found, skipped = findings(recorded)
    assert {row.tensor: row.difference for row in found if not row.within} == {}
    expected = {
        f"{file}/{name}"
        for file in FILES
        for name in load_file(recorded / f"{file}.safetensors")
        if not re.fullmatch(r"in\..*|photo\d+_rgb|question\d+_text|.*\.(size|shortest|longest)|chains\.logits", name)
    }
    assert {row.tensor for row in found} == expected and skipped == []
    for row in found:
        kind = row.tensor.rpartition(".")[2]
        assert row.gate == {"ids": 0, "texts": 0, "logits": 5e-4, "scores": 5e-4}.get(
            kind, 0 if kind.endswith(("_ids", "_mask")) else 1e-4
        ), row
    # What is left is float noise.
    assert max(row.difference for row in found if row.gate == 1e-4) < 1e-5


def changed(case: Path, file: str, name: str, how: Callable[[Tensor], Tensor]) -> Finding:
    """The finding about a tensor after a change of it; the other recordings are taken away."""
    path = case / f"{file}.safetensors"
    tensors = load_file(path)
    tensors[name] = how(tensors[name].clone()).contiguous()
    save_file(tensors, path)
    for other in FILES:
        if other != file:
            (case / f"{other}.safetensors").unlink()
    return next(row for row in findings(case)[0] if row.tensor == f"{file}/{name}")


def nudged(by: float) -> Callable[[Tensor], Tensor]:
    def how(tensor: Tensor) -> Tensor:
        tensor.view(-1)[0] += by
        return tensor

    return how


@pytest.mark.parametrize(
    ("file", "name", "by"),
    [
        ("preprocess", "photo0_pixel_values", 2e-4),
        ("preprocess", "question4_ids", 1),
        ("understanding", "out.fused_image", 2e-4),
        ("understanding", "out.fused_text", float("nan")),
        ("understanding", "out.logits", 1e-3),
        ("generation", "search1.picture0.scores", 1e-3),
        ("generation", "search2.picture1.texts", 1),
        ("generation", "chains2.ids", 1),
    ],
)
def test_what_differs_is_found(case: Path, file: str, name: str, by: float) -> None:
    assert not changed(case, file, name, nudged(by)).within


def test_what_padding_makes_of_itself_does_not_count(case: Path) -> None:
    def spoilt(tensor: Tensor) -> Tensor:
        tensor[0, -1] = 100.0
        return tensor

    assert changed(case, "understanding", "out.text", spoilt).within


def test_a_missing_answer_is_another_shape(case: Path) -> None:
    row = changed(case, "generation", "search0.picture0.ids", lambda ids: ids[:-1])
    assert not row.within and "expected [5, " in row.note


@pytest.mark.parametrize(
    ("file", "name", "how", "message"),
    [
        ("preprocess", "photo0_rgb", lambda photo: photo.float(), "expected levels in bytes"),
        ("preprocess", "question0_text", lambda text: torch.full_like(text, 255), "no UTF-8 text"),
        ("understanding", "in.pixel_values", lambda pixels: pixels[..., 1:], r"expected \[\*, 3, 42, 42\]"),
        ("understanding", "in.question_mask", lambda mask: mask[:, 1:], "in.question_mask is"),
        ("understanding", "in.question_ids", lambda ids: ids + 200, "ids from 0 to"),
        ("understanding", "in.answer_ids", lambda ids: ids[1:], "in.answer_ids has 2 rows"),
        ("generation", "chains.logits", lambda logits: logits[:, :100, :100], "more than 102"),
        ("generation", "search0.size", lambda size: torch.zeros(2), "expected one number"),
    ],
)
def test_a_malformed_case_is_refused(
    case: Path, file: str, name: str, how: Callable[[Tensor], Tensor], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        changed(case, file, name, how)


def test_the_command(recorded: Path, case: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(recorded) == 0
    assert "all 69 tensors are within their gates" in capsys.readouterr().out
    weights = load_file(case / "model.safetensors")
    weights["visual_encoder.visual.ln_post.bias"][0] += 0.1
    save_file(weights, case / "model.safetensors")
    assert verify(case) == 1
    (case / "config.json").write_text(json.dumps({"model_type": "mplugs"}))
    with pytest.raises(UserError, match=r"no configuration of .*mPLUG"):
        verify(case)
