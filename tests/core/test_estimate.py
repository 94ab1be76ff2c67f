"""``run --estimate``: counts from the plan, times from a few requests, nothing written and nothing fetched."""

from __future__ import annotations

import os
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest

from janus_eval import plan
from janus_eval.cli import app, estimating
from janus_eval.errors import AbsentError, UserError
from janus_eval.estimate import Estimate, Pace, Row, Timer, entries_of, estimate, offline, spread
from janus_eval.observe import Instruments
from janus_eval.progress import Silent
from janus_eval.specs import contenders


class Clock:
    """Time that passes only while something is done."""

    def __init__(self, seconds: float, fixed: float = 0.0, warming: float = 0.0) -> None:
        self.now, self.seconds, self.fixed, self.warming = 0.0, seconds, fixed, warming
        self.batches: list[int] = []

    def __call__(self) -> float:
        return self.now

    def work(self, items: Sequence[int]) -> None:
        self.batches.append(len(items))
        self.now += self.fixed + self.seconds * len(items) + self.warming
        self.warming = 0.0


def paced(clock: Clock, size: int = 16, first: int = 1, items: int = 1000) -> Pace:
    return Timer(clock.work, clock).pace(range(items), size, first)


def test_a_fast_model_is_timed_in_the_runs_own_batches() -> None:
    clock = Clock(0.01)
    assert paced(clock).each == pytest.approx(0.01)
    assert clock.batches[:2] == [1, 16] and set(clock.batches[1:]) == {16}
    assert clock.now < 1, "it stops soon"


def test_warming_up_does_not_count() -> None:
    assert paced(Clock(0.01, warming=5.0)).each == pytest.approx(0.01)


def test_a_slow_start_does_not_end_the_calibration() -> None:
    clock = Clock(0.5, warming=14.0)
    assert paced(clock).each == pytest.approx(0.5) and clock.batches == [1, 1, 16]


def test_the_gain_of_a_batch_is_measured() -> None:
    clock = Clock(0.0, fixed=1.6)
    assert paced(clock).each == pytest.approx(0.1)


def test_a_slow_model_is_timed_on_as_little_as_there_can_be() -> None:
    slow = Clock(30.0)
    assert paced(slow).each == pytest.approx(30.0) and slow.batches == [1]
    middling = Clock(4.0)
    assert paced(middling).each == pytest.approx(4.0) and middling.batches == [1, 5]


def test_an_accelerator_gets_a_whole_batch_at_once() -> None:
    clock = Clock(0.0, fixed=20.0)
    assert paced(clock, first=16).each == pytest.approx(1.25) and clock.batches == [16]


def test_fewer_items_than_a_batch() -> None:
    clock = Clock(0.01)
    assert paced(clock, items=1).each == pytest.approx(0.01)
    clock = Clock(0.01)
    assert paced(clock, items=5).each == pytest.approx(0.01) and clock.batches == [1, 4]


def test_every_beginning_is_drawn_from_the_whole() -> None:
    order = spread(range(100), lambda item: item)
    assert sorted(order) == list(range(100))
    assert {item // 25 for item in order[:5]} == {0, 1, 2, 3}
    groups = spread(range(40), lambda item: item // 4)
    assert all(len({item // 4 for item in groups[n : n + 4]}) == 1 for n in range(0, 40, 4)), "groups stay together"


def of(model: str, *tasks: str, limit: int | None = None, batch_size: int = 16) -> Estimate:
    entries = plan.entries(plan.choices(tasks), seed=0, limit=limit)
    (contender,) = contenders([model], {})
    return estimate(contender, entries, Instruments(), batch_size=batch_size, display=Silent())


def test_counts_are_those_of_the_run(toys: ModuleType) -> None:
    found = of("toy", "toy-ask", "toy-ask/contrary", "toy-draw/two-eyes")
    assert [(row.task, row.what, row.count) for row in found.rows] == [
        ("toy-ask", "questions", 48),
        ("toy-draw", "drawings", 12),
        ("toy-draw", "eye looks", 12),
        ("toy-draw", "second-eye looks", 12),
    ], "protocols that ask alike ask once"
    assert (found.images_in, found.images_out) == (12, 12)
    questions = found.rows[0]
    assert (questions.input_tokens, questions.output_tokens) == (0, 48), "every toy's answer has one token"
    assert found.whole and found.seconds is not None and found.notes == []
    assert of("toy", "toy-ask/plain", "toy-ask/shouted").rows[0].count == 48
    assert of("toy", "toy-ask/plain", "toy-ask/shouted").rows[1].count == 48, "another wording is asked anew"
    assert of("toy", "toy-ask", limit=1).rows[0].count == 8


def test_what_a_model_cannot_do_is_not_counted(toys: ModuleType) -> None:
    assert of("mute", "toy-ask", "toy-draw").rows == []


def test_times_follow_the_model(toys: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOY_SLOW", "0.02")
    found = of("toy", "toy-big")
    assert found.rows[0].count == 240
    assert 0.29 < (found.rows[0].seconds or 0) < 2, "240 in batches of 16, each of 0.02 s"


def test_failures_are_said(toys: ModuleType) -> None:
    found = of("toy?broken=picture", "toy-ask")
    (note,) = found.notes
    assert note.startswith("toy-ask questions: ") and "KeyError: 'cannot do picture" in note
    assert found.rows[0].output_tokens is None and found.rows[0].seconds is not None


def test_without_weights_there_are_counts_alone(toys: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: object, **__: object) -> None:
        raise AbsentError("no folder toys/one, and the hub did not deliver it")

    monkeypatch.setattr(toys.ToyFamily, "load", absent)
    found = of("toy", "toy-ask", "toy-draw")
    assert [(row.what, row.count, row.seconds) for row in found.rows] == [
        ("questions", 48, None),
        ("drawings", 12, None),
        ("eye looks", 12, None),
    ]
    assert found.seconds is None and not found.whole
    assert found.notes == ["Counts alone: its weights are not on this machine (without --estimate they are fetched)."]


def test_a_model_that_cannot_be_loaded_at_all_is_an_error(toys: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise UserError("config.json is no valid JSON")

    monkeypatch.setattr(toys.ToyFamily, "load", broken)
    with pytest.raises(UserError, match="no valid JSON"):
        of("toy", "toy-ask")


def test_an_instrument_without_weights_is_counted(toys: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def prepare(_: object) -> None:
        raise AbsentError("weights are not there; a long way to get them")

    monkeypatch.setattr(toys.Eye, "prepare", prepare, raising=False)
    found = of("toy", "toy-draw")
    assert found.rows[1].seconds is None and not found.whole
    assert found.notes == [
        "toy-draw, eye looks: counted, not timed: what it needs is not on this machine (janus-eval doctor)."
    ]


def test_judges_that_may_cost_money_are_never_asked(toys: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = toys.Eye.looks
    monkeypatch.setattr("janus_eval.estimate.NOT_TIMED", frozenset({"detector"}))
    assert of("toy", "toy-draw").notes == ["toy-draw, eye looks: counted, not timed."]
    assert toys.Eye.looks == looks


def test_data_that_are_missing_leave_the_rest_counted(toys: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> None:
        raise UserError("rows.tsv is not on this machine: janus-eval fetch rows")

    monkeypatch.setattr(toys.ToyDraw, "samples", missing)
    entries, lacking = entries_of(plan.choices(["toy-ask", "toy-draw"]), seed=0, limit=None)
    assert [entry.task.name for entry in entries] == ["toy-ask"]
    assert lacking == ["toy-draw: not counted: rows.tsv is not on this machine: janus-eval fetch rows"]


@pytest.mark.parametrize("before", [None, "0"])
def test_nothing_is_fetched_meanwhile(before: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    constants = types.ModuleType("huggingface_hub.constants")
    constants.HF_HUB_OFFLINE = False  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "huggingface_hub.constants", constants)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    if before is not None:
        monkeypatch.setenv("HF_HUB_OFFLINE", before)
    with offline():
        assert os.environ["HF_HUB_OFFLINE"] == "1" and constants.HF_HUB_OFFLINE is True
    assert os.environ.get("HF_HUB_OFFLINE") == before and constants.HF_HUB_OFFLINE is False


def test_run_estimate_writes_nothing(
    toys: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    assert app.run(["run", "--suite", "toys", "--estimate"]) == 0
    told = capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
    assert all(len(line) <= 80 for line in told.splitlines())
    assert "12 different pictures to look at, 12 to draw or to reconstruct." in told
    assert "on this machine (cpu)" in told and told.split()[-3:] == ["Nothing", "was", "written."]
    assert [line.split()[:3] for line in told.splitlines() if "questions" in line] == [["toy-ask", "questions", "48"]]


def test_run_estimate_of_data_that_are_missing_is_incomplete(
    toys: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(toys.ToyDraw, "samples", lambda *_: (_ for _ in ()).throw(UserError("fetch it")))
    assert app.run(["run", "--task", "toy-draw", "--model", "toy", "--estimate"]) == 3
    assert capsys.readouterr().out.splitlines() == ["toy-draw: not counted: fetch it", "Nothing could be counted."]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, ""),
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (26.4, "26 s"),
        (89, "89 s"),
        (90, "1.5 min"),
        (3599, "60 min"),
        (3600, "1.0 h"),
        (40_000, "11 h"),
        (172_800, "2.0 days"),
        (1e7, "116 days"),
    ],
)
def test_durations(seconds: float | None, words: str) -> None:
    assert estimating.duration(seconds) == words


def test_tokens_have_three_digits() -> None:
    assert [estimating.tokens(n) for n in (None, 0, 7.4, 999.6, 12_345, 61_440_000)] == [
        *("", "", "7", "1,000", "12,300", "61,400,000"),
    ]


def test_a_total_says_where_it_is_a_lower_bound() -> None:
    known = Estimate("m", [Row("t", "questions", 3, seconds=4.0)], loading=1.0)
    assert known.seconds == 5.0 and known.whole
    known.rows.append(Row("t", "eye looks", 3))
    assert known.seconds == 5.0 and not known.whole
