"""The answerer's self-test: what it finds broken, and that sound parts pass it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from janus_eval.errors import UserError
from janus_eval.observe import Instruments
from janus_eval.tasks.instruments.files import VARIABLE
from janus_eval.tasks.instruments.mplug import beams, instrument, model, self_test
from janus_eval.tasks.instruments.mplug.config import Beams
from janus_eval.tasks.instruments.mplug.instrument import FOLDER, MPlugVQA
from janus_eval.tasks.instruments.mplug.self_test import CONFIG, KNOWN, made_weights, said
from janus_eval.tasks.instruments.mplug.weights import load_weights

CPU = torch.device("cpu")


def test_the_known_case_is_what_modelscope_said() -> None:
    found = said(load_weights(CONFIG, made_weights(), "made"), CPU)
    assert [one.ids for one in found] == [one.ids for one in KNOWN]
    assert [one.score for one in found] == pytest.approx([one.score for one in KNOWN], abs=2e-5)
    assert "as ModelScope's were" in self_test.known_case(CPU)


def without_a_line(pixels: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda image, side: pixels(image.transpose(0), side)


@pytest.mark.parametrize(
    ("module", "name", "broken"),
    [
        (model, "quick_gelu", F.gelu),
        (beams, "ALPHA", 0.8),
        (self_test, "pixel_values", without_a_line(instrument.pixel_values)),
        (self_test, "CONFIG", type(CONFIG)(CONFIG.vision, CONFIG.text, Beams(1, 1, 6))),
    ],
)
def test_what_is_broken_is_found(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, broken: object) -> None:
    monkeypatch.setattr(module, name, broken)
    with pytest.raises(UserError, match="a made network says"):
        self_test.known_case(CPU)


def test_numbers_that_are_none_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model.Head, "forward", lambda self, states: torch.full((len(states), 120), torch.nan))
    with pytest.raises(UserError, match=r"\(nan\)"):
        self_test.known_case(CPU)


def test_real_weights_must_name_plain_colours(recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    (tmp_path / FOLDER).symlink_to(recorded)
    with pytest.raises(UserError, match="'mplug' fails its self-test: asked for the color of a square that is red"):
        Instruments().ready("mplug")
    replies = iter(["red", "green and white", "blue"])
    monkeypatch.setattr(MPlugVQA, "_said", lambda *_: [next(replies)])
    assert MPlugVQA(recorded, device="cpu").self_test().endswith("; squares that are red, green, blue")
