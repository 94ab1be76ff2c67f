from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janus_eval.pictures import Picture
from janus_eval.tasks import mmbench
from janus_eval.tasks.slices import SEEN, having
from janus_eval.types import Question, Response, Sample, Score, Scored

OPTIONS = ("red", "blue", "green")


def rows(name: str = "q", seen: bool = True) -> list[Sample]:
    """A question about colours with its three rotations; "red" is right."""
    made = []
    for shift in range(3):
        shown = OPTIONS[shift:] + OPTIONS[:shift]
        made.append(
            Sample(
                f"{name}-{shift}",
                {"question": "Which?", "options": dict(zip("ABC", shown, strict=True)), "hint": None},
                {"answer": "ABC"[shown.index("red")]},
                name,
                "colours",
                images=(Picture(b"x"),),
                metadata={"ability": "colours", "rotation": shift, "rotations": 3, "seen": seen},
            )
        )
    return made


def both(ask: object) -> list[Sample]:
    return [*rows("q"), *rows("r", seen=False)]


TASK = mmbench.MultipleChoice(
    "mm", "", both, mmbench.protocols({"max_new_tokens": 7}), slices={"colours": having("ability", "colours"), **SEEN}
)


def judged(protocol: str, answers: Sequence[str]) -> list[Scored]:
    judge = TASK.protocols[protocol].judge
    samples = TASK.samples(TASK.protocols[protocol].ask)
    return [
        Scored(sample, 0, TASK.score(sample, 0, Response(text=answer), {}, judge))
        for sample, answer in zip(samples, answers, strict=True)
    ]


def value(protocol: str, scored: Sequence[Scored], name: str = "overall") -> float | None:
    return TASK.metrics(TASK.protocols[protocol].judge)[name](scored).value


def test_the_prompt_to_the_letter() -> None:
    plain = {"question": "Which?", "options": {"A": "red", "B": "blue"}, "hint": None}
    assert mmbench.format_question(plain) == (
        "Which?\nA. red\nB. blue\n\nAnswer with the option's letter from the given choices directly."
    )
    assert mmbench.format_question({**plain, "hint": "Look."}) == (
        "Hint: Look.\nWhich?\nA. red\nB. blue\n\nAnswer with the option's letter from the given choices directly."
    )
    assert mmbench.format_question({**plain, "hint": ""}) == mmbench.format_question(plain)


def test_a_question_is_asked_once_with_its_picture() -> None:
    sample = rows()[1]
    (request,) = TASK.requests(sample, TASK.protocols["circular"].ask, lambda name, index: 11)
    assert isinstance(request, Question)
    assert (request.key.sample, request.max_new_tokens, request.seed) == ("q-1", 7, 11)
    assert request.images == sample.images
    assert "A. blue\nB. green\nC. red\n" in request.text
    assert TASK.query("answer_judge", sample, 0) == {"question": "Which?", "options": sample.inputs["options"]}


def test_circular_wants_every_rotation() -> None:
    right = ["A", "C", "B"]
    assert value("circular", judged("circular", [*right, *right])) == 1.0
    assert value("circular", judged("circular", [*right, "A", "A", "A"])) == 0.5
    assert value("circular", judged("circular", ["A", "A", "A", "what?", "C", "B"])) == 0.0


def test_vanilla_counts_rows_or_first_rows() -> None:
    answers = ["A", "C", "B", "A", "A", "A"]
    assert value("vanilla-all", judged("vanilla-all", answers)) == pytest.approx(4 / 6)
    assert value("vanilla-first", judged("vanilla-first", answers)) == 1.0
    assert value("vanilla-first", judged("vanilla-first", ["B", *answers[1:]])) == 0.5


def test_protocols_ask_the_same_so_that_one_run_serves_them() -> None:
    asks = {name: str(protocol.ask) for name, protocol in TASK.protocols.items()}
    written = {ask for name, ask in asks.items() if "likelihood" not in name}
    ranked = {ask for name, ask in asks.items() if "likelihood" in name}
    assert len(written) == len(ranked) == 1 and written != ranked


def test_the_interval_of_rotations_counts_questions_not_rows() -> None:
    """Rotations of a question go together: three times the rows tell no more."""
    metric = TASK.metrics(TASK.protocols["vanilla-all"].judge)["overall"]
    many = [rows(f"q{k}") for k in range(40)]
    scored = [Scored(sample, 0, Score(float(k % 2))) for k, group in enumerate(many) for sample in group]
    one_each = [item for item in scored if item.sample.metadata["rotation"] == 0]
    widths = [estimate.high - estimate.low for estimate in (metric(scored), metric(one_each))]
    assert widths[0] == pytest.approx(widths[1], rel=0.05)


def test_a_missing_or_failed_rotation_leaves_the_question_unscored() -> None:
    scored = judged("circular", ["A", "C", "B", "A", "C", "B"])
    estimate = TASK.metrics(TASK.protocols["circular"].judge)["overall"](scored[1:])
    assert (estimate.value, estimate.n, estimate.failed) == (1.0, 1, 1)
    lost = Scored(scored[0].sample, 0, Score(None, reason="too long"), failed=True)
    estimate = TASK.metrics(TASK.protocols["circular"].judge)["overall"]([lost, *scored[1:]])
    assert (estimate.value, estimate.n, estimate.failed) == (1.0, 1, 1)
    assert "2 of 3 rotations" in mmbench.all_rotations(scored[1:3]).reason


def test_the_letters_knob_moves_the_number() -> None:
    answers = ["[A]", "C", "B", "A", "C", "B"]
    assert value("circular", judged("circular", answers)) == 1.0
    assert value("circular-lmms-eval", judged("circular-lmms-eval", answers)) == 0.5


def test_slices_and_order_of_metrics() -> None:
    names = list(TASK.metrics(TASK.protocols["circular"].judge))
    assert names == ["overall", "colours", "seen", "unseen"]
    scored = judged("circular", ["A", "C", "B", "A", "A", "A"])
    assert value("circular", scored, "seen") == 1.0
    assert value("circular", scored, "unseen") == 0.0


def test_unreadable_is_wrong_and_says_so() -> None:
    (first, *_) = judged("circular", ["??", "C", "B", "A", "C", "B"])
    assert first.score.value == 0.0
    assert first.score.extracted is None
    assert "'??'" in first.score.reason


@given(st.lists(st.sampled_from(["A", "B", "C", "none"]), min_size=6, max_size=6))
def test_circular_is_never_above_vanilla(answers: list[str]) -> None:
    scored = judged("circular", answers)
    circular, vanilla = (value(protocol, scored) for protocol in ("circular", "vanilla-all"))
    assert circular is not None and vanilla is not None
    assert circular <= vanilla + 1e-12
    assert value("circular", scored[::-1]) == circular
