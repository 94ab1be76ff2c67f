"""The world's instruments pass their self-tests, and fail them when they see wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from janus_eval.errors import UserError
from janus_eval.tasks.shapes.oracle import ShapesColours, ShapesDetector, ShapesReader, ShapesVQA
from janus_eval.types import Failure, Look, Observation

SAID = {
    ShapesDetector: "boxes of a circle and a star",
    ShapesColours: "a red circle and a blue star",
    ShapesVQA: "2 questions about a circle and a star",
    ShapesReader: "the writing K7",
}


@pytest.mark.parametrize("kind", SAID, ids=lambda kind: kind.__name__)
def test_all_pass(kind: type[Any]) -> None:
    assert kind().self_test() == SAID[kind]


@pytest.mark.parametrize(
    ("kind", "data", "said"),
    [
        (ShapesDetector, {"boxes": {s: [] for s in ("circle", "square", "triangle", "star")}}, "boxes of a circle"),
        (ShapesColours, {"colours": ["blue", "red"], "probabilities": {"circle": [[0.9, 0.1]], "star": [[0.9, 0.1]]}},
         r"colour of a circle: red expected in a drawn picture, \['blue'\] seen"),
        (ShapesVQA, {"answers": {"Is there a red circle?": "no", "Is the star left of the circle?": "no"}}, "answers:"),
        (ShapesReader, {"regions": []}, r"writing: \['K7'\] expected"),
    ],
)  # fmt: skip
def test_one_that_sees_wrong_fails(
    kind: type[Any], data: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    instrument = kind()
    monkeypatch.setattr(instrument, "observe", lambda looks: [Observation(data)])
    with pytest.raises(UserError, match=said):
        instrument.self_test()


def test_one_that_sees_nothing_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def blind(looks: Sequence[Look]) -> list[Observation | Failure]:
        return [Failure("too dark")] * len(looks)

    instrument = ShapesReader()
    monkeypatch.setattr(instrument, "observe", blind)
    with pytest.raises(UserError, match="sees nothing in a drawn picture: too dark"):
        instrument.self_test()
