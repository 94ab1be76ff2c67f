"""Instruments prove themselves on this machine before anything is asked of a model, and only where they will look."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

import janus_eval
from janus_eval.cli import app
from janus_eval.errors import AbsentError, UserError
from janus_eval.observe import Instruments
from janus_eval.types import Failure, Response

TASK = "toy-draw/two-eyes"


@pytest.fixture
def tested(toys: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Which eye was tested, in order."""
    calls: list[str] = []

    def self_test(self: object) -> str:
        calls.append(type(self).__name__)
        return "a lamp"

    monkeypatch.setattr(toys.Eye, "self_test", self_test)
    yield calls


def broken(self: object) -> str:
    raise ValueError("a red lamp was seen as blue")


def counted(calls: list[int], draw: Callable[..., list[Response | Failure]]) -> Callable[..., list[Response | Failure]]:
    def asked(self: object, drawings: list[object]) -> list[Response | Failure]:
        calls.append(len(drawings))
        return draw(self, drawings)

    return asked


def test_one_that_sees_wrong_ends_a_run_before_the_model_is_asked(
    toys: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[int] = []
    monkeypatch.setattr(toys.Toy, "draw", counted(calls, toys.Toy.draw))
    monkeypatch.setattr(toys.SecondEye, "self_test", broken)
    assert app.run(["run", "--model", "toy", "--task", TASK, "--out", str(tmp_path / "runs")]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert said[-1].endswith("instrument 'second-eye' fails its self-test: ValueError: a red lamp was seen as blue")
    assert calls == [] and not (tmp_path / "runs" / "toy").exists()


def test_a_run_of_stored_observations_tests_nothing(tested: list[str], tmp_path: Path) -> None:
    janus_eval.evaluate("toy", [TASK], out=tmp_path)
    assert tested == ["Eye", "SecondEye"]
    janus_eval.evaluate("toy", [TASK], out=tmp_path)
    assert app.run(["score", str(tmp_path / "toy"), "--protocol", "two-eyes"]) == 0
    assert tested == ["Eye", "SecondEye"]


def test_judging_again_needs_no_model_and_no_instrument(
    toys: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither is there any more: the one can't be loaded, the others can do nothing."""
    janus_eval.evaluate("toy", [TASK, "toy-ask/plain"], out=tmp_path)

    def gone(*arguments: object, **named: object) -> None:
        raise AssertionError("not on this machine any more")

    monkeypatch.setattr(toys.ToyFamily, "load", gone)
    for name in ("observe", "self_test", "prepare"):
        monkeypatch.setattr(toys.Eye, name, gone, raising=False)
    for protocol in ("one-eye", "two-eyes", "toy-ask/contrary"):
        assert app.run(["score", str(tmp_path / "toy"), "--protocol", protocol]) == 0
    monkeypatch.undo()
    at_once = janus_eval.evaluate("toy", ["toy-draw/one-eye", "toy-ask/contrary"], out=tmp_path / "other")
    results = janus_eval.Run(tmp_path / "toy").results["tasks"]
    for task, protocols in at_once.results["tasks"].items():
        for protocol, found in protocols.items():
            assert results[task][protocol] == found


def test_only_who_has_still_to_look_is_tested(tested: list[str], tmp_path: Path) -> None:
    janus_eval.evaluate("toy", ["toy-draw/one-eye"], out=tmp_path)
    assert tested == ["Eye"]
    assert app.run(["score", str(tmp_path / "toy"), "--protocol", "two-eyes"]) == 0
    assert tested == ["Eye", "SecondEye"]


def test_a_run_that_goes_on_tests_whom_it_will_need(
    toys: ModuleType, tested: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    janus_eval.evaluate("toy", ["toy-ask/plain"], out=tmp_path)
    calls: list[int] = []
    monkeypatch.setattr(toys.Toy, "draw", counted(calls, toys.Toy.draw))
    monkeypatch.setattr(toys.Eye, "self_test", broken)
    with pytest.raises(UserError, match="'eye' fails its self-test"):
        janus_eval.evaluate("toy", [TASK], out=tmp_path)
    assert calls == [], "the pictures are still to come: whoever is to look at them is tested first"


def test_an_answer_that_failed_needs_no_instrument(tested: list[str], toys: ModuleType, tmp_path: Path) -> None:
    janus_eval.evaluate("toy?broken=r", ["toy-draw/one-eye"], out=tmp_path)  # red, green, grey
    tested.clear()
    janus_eval.evaluate("toy?broken=r", ["toy-draw/one-eye"], out=tmp_path)
    assert tested == []
    janus_eval.evaluate("toy?broken=r", ["toy-draw/one-eye"], out=tmp_path, retry_failed=True)
    assert tested == ["Eye"]


def test_one_test_an_instrument(tested: list[str]) -> None:
    instruments = Instruments()
    assert instruments.ready("eye") is instruments.ready("eye")
    assert tested == ["Eye"] and instruments.passed == {"eye": "a lamp"}


def test_an_instrument_whose_weights_are_gone_keeps_the_version_it_looked_with(
    toys: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    janus_eval.evaluate("toy", ["toy-draw/one-eye"], out=tmp_path)
    before = (tmp_path / "toy" / "results.json").read_bytes()

    def absent(self: object) -> str:
        raise AbsentError("its weights are not on this machine")

    monkeypatch.setattr(toys.Eye, "version", property(absent))
    assert app.run(["score", str(tmp_path / "toy"), "--protocol", "one-eye"]) == 0
    assert (tmp_path / "toy" / "results.json").read_bytes() == before
    assert app.run(["score", str(tmp_path / "toy"), "--protocol", "two-eyes"]) == 2
    assert "its weights are not on this machine" in capsys.readouterr().err
