"""What reads an answer where no rule does: a judge, asked only where it decides; and letters by their likelihood."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import janus_eval
from janus_eval.cli.app import run as command
from janus_eval.seams import Answered
from janus_eval.tasks import mmbench
from janus_eval.tasks.mmbench_tasks import mmbench as published
from janus_eval.tasks.shapes.reference_models import Oracle
from janus_eval.types import Failure, Question, Ranking, Response, Sample, Scored

WORDS = dict(zip("ABCD", "①②③④", strict=True))
"""What no rule reads: neither a letter nor any option's wording is in it."""


class Speaker:
    """Knows the right letter; ``say`` makes words of it, by the letter and how many answers came before."""

    weights = "speaker"

    def __init__(self, say: Callable[[str, int], str]) -> None:
        self.say, self.count = say, 0

    def answer(self, questions: Sequence[Question]) -> list[Response | Failure]:
        return [self._worded(outcome) for outcome in Oracle().answer(questions)]

    def _worded(self, outcome: Response | Failure) -> Response | Failure:
        assert isinstance(outcome, Response) and outcome.text is not None
        self.count += 1
        return Response(text=self.say(outcome.text, self.count - 1))


def understands(prompt: str) -> str:
    """A judge that passes its self-test and knows these words."""
    known = {words: letter for letter, words in WORDS.items()} | {"kitten": "B", "bicycle": "Z"}
    return next((letter for words, letter in known.items() if words in prompt), "no idea")


def judged(tmp_path: Path, model: Speaker, protocol: str = "circular-judge", **more: Any) -> dict[str, Any]:
    run = janus_eval.evaluate(model, [f"shapes-mmbench/{protocol}"], out=tmp_path / "runs", limit=1, **more)
    found: dict[str, Any] = run.results["tasks"]["shapes-mmbench"][protocol]
    return found


def test_what_no_rule_reads_the_judge_reads(endpoint: Any, tmp_path: Path) -> None:
    endpoint.say = understands
    model = Speaker(lambda letter, place: WORDS[letter] if place % 2 else letter)
    found = judged(tmp_path, model)
    overall = found["metrics"]["overall"]
    assert (overall["value"], overall["n"], overall["failed"]) == (1.0, 5, 0)
    assert len(endpoint.asked) == model.count // 2 + 2, "and the self-test's two"
    without = judged(tmp_path, Speaker(model.say), "circular")
    assert without["metrics"]["overall"]["value"] == 0.0
    assert found["fingerprint"]["observe"] != without["fingerprint"]["observe"]
    before = len(endpoint.asked)
    endpoint.faults = [500] * 99
    assert judged(tmp_path, model) == found, "the same again asks nobody"
    assert len(endpoint.asked) == before


def test_a_question_that_a_letter_has_lost_is_not_judged(endpoint: Any, tmp_path: Path) -> None:
    endpoint.say = understands
    always_wrong = Speaker(lambda letter, place: ("B" if letter == "A" else "A") if place % 2 else "???")
    overall = judged(tmp_path, always_wrong)["metrics"]["overall"]
    assert (overall["value"], overall["n"], overall["failed"]) == (0.0, 5, 0)
    assert [prompt for prompt in endpoint.prompts if "???" in prompt] == []


def test_a_judge_that_fails_leaves_the_question_unscored_and_can_be_asked_again(
    endpoint: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint.say = understands
    once = iter([1])

    def say(letter: str, place: int) -> str:
        if letter == "B" and next(once, None):
            endpoint.faults = [400]  # the self-test has been passed by now
            return WORDS["B"]
        return letter

    found = judged(tmp_path, Speaker(say))
    overall = found["metrics"]["overall"]
    assert (overall["value"], overall["n"], overall["failed"]) == (1.0, 4, 1)
    (reason,) = found["troubles"]
    assert reason.startswith("answer_judge failed: http://127.0.0.1:") and "400 Bad Request" in reason
    assert "sk-very" not in "".join(file.read_text("utf-8") for file in (tmp_path / "runs").rglob("*.json*"))
    mended = judged(tmp_path, Speaker(say), retry_failed=True)["metrics"]["overall"]
    assert (mended["value"], mended["n"], mended["failed"]) == (1.0, 5, 0)


def test_the_command_line_names_a_judge_or_says_what_it_lacks(
    endpoint: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["run", "--task", "shapes-mmbench/circular-judge", "--model", "blank", "--limit", "1", "--out", "runs"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENAI_BASE_URL")
    monkeypatch.delenv("OPENAI_API_KEY")
    assert command(words) == 2
    assert "needs OPENAI_API_KEY, which is not set" in capsys.readouterr().err
    assert command([*words, "--instrument", f"answer_judge=openai-judge:m@{endpoint.url}"]) == 0
    assert endpoint.asked[0]["model"] == "m"
    assert command([*words, "--instrument", "answer_judge=shapes-vqa"]) == 2
    assert "instrument 'shapes-vqa' is no answer_judge: it is a visual_qa" in capsys.readouterr().err
    assert command([*words, "--instrument", "answer_judge=shapes-vqa:m"]) == 2
    assert "instrument 'shapes-vqa' stands alone, got 'shapes-vqa:m'" in capsys.readouterr().err


def row(number: int, turn: int, answer: str) -> Sample:
    inputs = {"question": "?", "options": {"A": "red", "B": "green", "C": "blue", "D": "gray"}, "hint": ""}
    place: dict[str, Any] = {"index": number + turn * 1_000_000, "rotation": turn, "rotations": 2, "category": "c"}
    return Sample(str(place["index"]), inputs, {"answer": answer}, str(number), "c", metadata=place)


@pytest.mark.parametrize(("aggregate", "wanted"), [("circular", ["1"]), ("rows", ["1", "1000002"])])
def test_who_is_looked_at(aggregate: str, wanted: list[str]) -> None:
    said = [(row(1, 0, "A"), "?"), (row(1, 1, "B"), "B"), (row(2, 0, "A"), "B"), (row(2, 1, "B"), "?")]
    faulty = row(3, 0, "A")
    faulty.metadata["fault"] = "line 9: it has no image"  # type: ignore[index]
    said += [(faulty, "?"), (Sample("4", faulty.inputs, {"answer": None}, "4", "c"), "?")]
    answered = [Answered(sample, 0, Response(text=text)) for sample, text in said]
    chosen = published.to_look_at("answer_judge", answered, {"letters": "vlmevalkit", "aggregate": aggregate})
    assert sorted(chosen) == [(name, 0) for name in wanted]


@pytest.mark.parametrize(
    ("letter", "value", "reason"),
    [("A", 1.0, "; the judge reads A"), ("B", 0.0, "; the judge reads B"), ("Z", 0.0, "; the judge finds none in it"),
     (None, 0.0, ", nor by the judge")],
)  # fmt: skip
def test_what_the_judge_says_counts(letter: str | None, value: float, reason: str) -> None:
    judge = published.protocols["vlmevalkit-judge"].judge
    score = published.score(row(1, 0, "A"), 0, Response(text="the red one"), {}, judge)
    assert score.value == 1.0 and not score.parts, "a rule comes first"
    score = published.score(row(1, 0, "A"), 0, Response(text="?"), {"answer_judge": {"letter": letter}}, judge)
    assert (score.value, score.extracted) == (value, letter)
    assert score.reason == f"no option can be read from '?'{reason}"


def test_lmms_evals_guesses_and_its_judge_take_turns() -> None:
    """The generator gives E, D, C; a judge's wrong letter comes in its turn, a rule's before everything."""
    judge = published.protocols["lmms-eval-judge"].judge
    cases: list[tuple[Sample, str, str | None]] = [
        (row(1, 0, "A"), "?", None),  # E is drawn: lost before the judge's letter
        (row(1, 1, "B"), "?", "A"),
        (row(2, 0, "A"), "?", "B"),  # the judge's letter loses it: nothing is drawn
        (row(2, 1, "B"), "?", None),
        (row(3, 0, "D"), "?", None),  # D
        (row(3, 1, "B"), "?", "B"),  # right in both
        (row(4, 0, "C"), "?", None),  # a rule reads a wrong letter in the next: nothing is drawn
        (row(4, 1, "B"), "A", None),
        (row(5, 0, "C"), "?", None),  # C
        (row(5, 1, "B"), "B", None),
    ]
    scored = []
    for sample, text, letter in cases:
        seen = {"answer_judge": {"letter": letter}} if text == "?" else {}
        scored.append(Scored(sample, 0, published.score(sample, 0, Response(text=text), seen, judge)))
    assert {item.sample.group: item.score.value for item in mmbench.guessed(scored)} == {
        "1": 0.0, "2": 0.0, "3": 1.0, "4": 0.0, "5": 1.0,
    }  # fmt: skip


class Ranker(Oracle):
    """The oracle, but for what ``likelihoods`` makes of its likelihoods."""

    weights = "ranker"

    def __init__(self, change: Callable[[list[float]], list[float]]) -> None:
        self.change = change

    def score(
        self, questions: Sequence[Question], continuations: Sequence[Sequence[str]]
    ) -> list[list[float] | Failure]:
        found = super().score(questions, continuations)
        return [one if isinstance(one, Failure) else self.change(one) for one in found]


@pytest.mark.parametrize(
    ("change", "circular", "vanilla"),
    [
        (lambda values: values, 1.0, 1.0),
        (lambda values: [-value for value in values], 0.0, 0.0),
        (lambda values: [-1.0 for _ in values], 0.0, 0.0),
        (lambda values: [0.0, *values[1:]], 0.0, None),
    ],
)
def test_the_likeliest_letter_counts(
    change: Callable[[list[float]], list[float]], circular: float, vanilla: float | None, tmp_path: Path
) -> None:
    specs = ["shapes-mmbench/likelihood", "shapes-mmbench/likelihood-vanilla"]
    run = janus_eval.evaluate(Ranker(change), specs, out=tmp_path, limit=1)
    found = {name: table["metrics"]["overall"] for name, table in run.results["tasks"]["shapes-mmbench"].items()}
    assert found["likelihood"]["value"] == circular
    if vanilla is None:  # A every time is right once a question: a share of one in three or four options
        assert 0.25 <= found["likelihood-vanilla"]["value"] <= 1 / 3
    else:
        assert found["likelihood-vanilla"]["value"] == vanilla


def test_a_ranking_has_the_letters_and_keeps_their_likelihoods() -> None:
    protocol = published.protocols["likelihood"]
    (request,) = published.requests(row(1, 0, "B"), protocol.ask, lambda name, index: 0)
    assert isinstance(request, Ranking) and request.continuations == ("A", "B", "C", "D")
    (question,) = published.requests(row(1, 0, "B"), published.protocols["circular"].ask, lambda name, index: 0)
    assert isinstance(question, Question) and question.text == request.text
    score = published.score(row(1, 0, "B"), 0, Response(likelihoods=(-3.0, -1.0, -2.0, -9.0)), {}, protocol.judge)
    assert (score.value, score.extracted, score.reason) == (1.0, "B", "")
    assert score.parts == {"likelihoods": {"A": -3.0, "B": -1.0, "C": -2.0, "D": -9.0}}
    score = published.score(row(1, 0, "B"), 0, Response(likelihoods=(-3.0, -1.0, -1.0, -9.0)), {}, protocol.judge)
    assert (score.value, score.extracted, score.reason) == (0.0, None, "several letters are equally likely")


def test_a_row_without_options_is_asked_and_counted() -> None:
    bare = Sample("5", {"question": "?", "options": {}, "hint": ""}, {"answer": "A"}, "5", "c", metadata={"fault": "x"})
    protocol = published.protocols["likelihood"]
    (request,) = published.requests(bare, protocol.ask, lambda name, index: 0)
    assert isinstance(request, Ranking) and request.continuations
    assert published.score(bare, 0, Response(likelihoods=(-1.0,)), {}, protocol.judge).reason == "x"
