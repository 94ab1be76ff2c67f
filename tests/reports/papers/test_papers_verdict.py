"""A verdict follows from a printed value, an interval and the knobs that differ."""

from __future__ import annotations

import pytest

from janus_eval.reports.papers_known import Knob, knobs_of
from janus_eval.reports.papers_verdict import Number, Verdict, converted, differing, judged, summary


def number(value: float | None, low: float | None, high: float | None, failed: int = 0) -> Number:
    return Number(value, low, high, 100, failed)


@pytest.mark.parametrize(
    ("printed", "decimals", "low", "high", "word"),
    [
        (79.2, 1, 77.7, 80.1, "agrees"),
        (79.2, 1, 77.0, 79.15, "agrees"),  # 79.15 may have been printed as 79.2
        (79.2, 1, 77.0, 79.14, "differs"),
        (79.2, 1, 79.25, 81.0, "agrees"),
        (79.2, 1, 79.26, 81.0, "differs"),
        (0.80, 2, 0.77, 0.795, "agrees"),
        (0.80, 2, 0.77, 0.7949, "differs"),
        (84.19, 2, 84.195, 85.0, "agrees"),
        (84.19, 2, 84.196, 85.0, "differs"),
    ],
)
def test_a_printed_value_agrees_within_the_interval_and_its_rounding(
    printed: float, decimals: int, low: float, high: float, word: str
) -> None:
    assert judged(printed, decimals, number((low + high) / 2, low, high), []).word == word


def test_what_was_not_run_or_cannot_be_compared_is_never_judged() -> None:
    good = number(79.0, 78.0, 80.0)
    assert judged(79.2, 1, good, [], "--limit 5") == ("not run", "--limit 5")
    assert judged(79.2, 1, good, ["a"], "--limit 5").word == "not run", "a part is no number of the benchmark"
    assert judged(79.2, 1, None, []) == ("not run", "nothing was scored")
    assert judged(79.2, 1, number(None, None, None), []) == ("not run", "nothing was scored")
    assert judged(79.2, 1, good, ["judge.aggregate circular"]) == ("not comparable", "judge.aggregate circular")
    assert judged(79.2, 1, good, list("abcde")).reason == "a; b; c and 2 more knobs"
    assert judged(79.2, 1, number(79.0, None, None), []).word == "not comparable"


def test_failures_are_said_beside_the_verdict() -> None:
    assert judged(79.2, 1, number(79.0, 78.0, 80.0, failed=3), []) == ("agrees", "3 of 103 failed")


@pytest.mark.parametrize(
    ("unit", "to", "expected"),
    [
        ("fraction", "percent", (78.9, 77.7, 80.1)),
        ("fraction", "fraction", (0.789, 0.777, 0.801)),
        ("percent", "fraction", (0.00789, 0.00777, 0.00801)),
        ("points", "percent", None),
        ("fraction", "fid", None),
    ],
)
def test_units(unit: str, to: str, expected: tuple[float, ...] | None) -> None:
    found = converted(0.789, 0.777, 0.801, unit, to)
    assert found is None if expected is None else found == pytest.approx(expected)
    assert converted(None, None, None, "fraction", "percent") == (None, None, None)


KNOBS = [
    Knob("judge.aggregate", "rows", "stated by the authors", "vanilla-all"),
    Knob("settings.guidance", 5.0, "the published code's"),
    Knob("settings.system_prompt", "", "stated by the authors", "none"),
]


def test_the_knobs_that_differ_are_named_with_both_values() -> None:
    found = {"judge.aggregate": "circular", "settings.guidance": 1.75, "settings.system_prompt": "Be kind."}
    assert differing(KNOBS, found) == [
        "judge.aggregate circular, not rows (vanilla-all; stated by the authors)",
        "settings.guidance 1.75, not 5 (the published code's)",
        "settings.system_prompt Be kind., not empty (none; stated by the authors)",
    ]


def test_knobs_that_agree_or_are_not_stated_do_not_forbid_a_comparison() -> None:
    assert differing(KNOBS, {"judge.aggregate": "rows", "settings.guidance": 5, "settings.roles": "x"}) == []
    assert differing(KNOBS, {}) == []


def test_a_knob_that_the_figures_protocol_lacks_does() -> None:
    assert differing(KNOBS, {"judge.dependency": "ignored"}) == [
        "judge.dependency ignored, a knob that the figure's protocol lacks"
    ]


def test_whose_figures_are_known() -> None:
    assert knobs_of("LLaVA", "MMBench") is None
    pro, flow = knobs_of("Janus-Pro", "GenEval"), knobs_of("JanusFlow", "GenEval")
    assert pro is not None and flow is not None
    assert "settings.guidance" in {knob.name for knob in pro}
    assert "settings.guidance" not in {knob.name for knob in flow}, "what GenEval was drawn with is stated nowhere"
    fid = knobs_of("JanusFlow", "MJHQ-30K")
    assert fid is not None and {"settings.guidance", "settings.steps"} <= {knob.name for knob in fid}


def test_a_summary_counts_words() -> None:
    words = [Verdict("agrees"), Verdict("agrees"), Verdict("differs"), Verdict("not run"), Verdict("not comparable")]
    assert summary(words) == "2 agree, 1 differs, 1 not comparable, 1 not run"
    assert summary([]) == "none"
