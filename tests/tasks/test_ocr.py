from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janus_eval.tasks import ocr
from janus_eval.tasks.ocr import DEFAULT_STEPS, compare, edit_distance, in_reading_order, normalised
from janus_eval.tasks.slices import in_category
from janus_eval.types import JSON, Question, Response, Sample, Score, Scored

LOOSE = (*DEFAULT_STEPS, "casefold")
CHINESE = ("nfkc", "spaces", "chinese", "wrapping")
short = st.text(alphabet="abc", max_size=6)


@pytest.mark.parametrize(
    ("read", "steps", "expected"),
    [
        ("  two\n words ", DEFAULT_STEPS, "two words"),
        ('"HELLO."', DEFAULT_STEPS, "HELLO"),
        ("“HELLO”.", DEFAULT_STEPS, "HELLO"),
        ("The word is HELLO.", DEFAULT_STEPS, "The word is HELLO"),
        ("４２", DEFAULT_STEPS, "42"),
        ("Hello", DEFAULT_STEPS, "Hello"),
        ("Hello", LOOSE, "hello"),
        ("Straße", LOOSE, "strasse"),
        ("3.14", DEFAULT_STEPS, "3.14"),
        ("学校\n 音乐", CHINESE, "学校音乐"),
        ("学校 音乐", DEFAULT_STEPS, "学校 音乐"),
        ("一 two words 三", CHINESE, "一two words三"),
        ("「学校」。", CHINESE, "学校"),
    ],
)
def test_normalisation(read: str, steps: Sequence[str], expected: str) -> None:
    assert normalised(read, steps) == expected


@given(st.text())
def test_normalisation_settles(text: str) -> None:
    once = normalised(text, ("nfkc", "spaces"))
    assert normalised(once, ("nfkc", "spaces")) == once


@pytest.mark.parametrize(("a", "b", "edits"), [("", "", 0), ("abc", "", 3), ("kitten", "sitting", 3), ("ab", "ba", 2)])
def test_edit_distance(a: str, b: str, edits: int) -> None:
    assert edit_distance(a, b) == edits


@given(short, short, short)
def test_edit_distance_is_a_metric(a: str, b: str, c: str) -> None:
    assert edit_distance(a, b) == edit_distance(b, a)
    assert (edit_distance(a, b) == 0) == (a == b)
    assert edit_distance(a, c) <= edit_distance(a, b) + edit_distance(b, c)
    assert abs(len(a) - len(b)) <= edit_distance(a, b) <= max(len(a), len(b))


def test_exact_match_and_error_rate() -> None:
    assert compare("Cat.", "Cat", DEFAULT_STEPS) == Score(1.0, extracted="Cat", parts={"cer": 0.0})
    assert compare("cat", "Cat", DEFAULT_STEPS).value == 0.0
    assert compare("cat", "Cat", LOOSE).value == 1.0
    wrong = compare("It says cat", "cat", DEFAULT_STEPS)
    assert (wrong.value, wrong.parts["cer"]) == (0.0, pytest.approx(8 / 3))
    assert "'cat'" in wrong.reason
    assert compare("", "cat", DEFAULT_STEPS).parts["cer"] == 1.0


def test_edit_distance_to_the_nearest_part() -> None:
    assert edit_distance("the sign says kitten", "sitting", anywhere=True) == 3
    assert edit_distance("a cat sat", "cat", anywhere=True) == 0
    assert edit_distance("", "cat", anywhere=True) == edit_distance("xyz", "cat", anywhere=True) == 3


@given(short, short)
def test_the_nearest_part_is_no_farther_than_any(a: str, b: str) -> None:
    parts = {a[i:j] for i in range(len(a) + 1) for j in range(i, len(a) + 1)}
    assert edit_distance(a, b, anywhere=True) == min(edit_distance(part, b) for part in parts)


def test_among_other_text() -> None:
    said = "It says “Garden  Bottle”, in black."
    assert compare(said, "garden bottle", LOOSE, anywhere=True) == Score(
        1.0, extracted="it says “garden bottle”, in black", parts={"cer": 0.0}
    )
    assert compare(said, "garden bottle", LOOSE).value == 0.0
    missed = compare("It says garden battle", "garden bottle", LOOSE, anywhere=True)
    assert (missed.value, missed.parts["cer"]) == (0.0, pytest.approx(1 / 13))
    protocols = ocr.with_contained(ocr.writing_protocols({}, "reader", CHINESE, min_score=0.5))
    assert list(protocols) == ["exact", "any-case", "contained"]
    assert protocols["contained"].judge == {**protocols["any-case"].judge, "anywhere": True}
    assert protocols["contained"].judge["min_score"] == 0.5 and "anywhere" not in protocols["any-case"].judge
    task = ocr.TextReading("read", "", lambda ask: [], ocr.with_contained(ocr.reading_protocols({})))
    for name, value in (("exact", 0.0), ("any-case", 0.0), ("contained", 1.0)):
        judge = task.protocols[name].judge
        assert task.score(sample("a", "Cat"), 0, Response(text="A cat."), {}, judge).value == value


def region(text: str, x: float, y: float, score: float = 0.9, height: float = 10) -> dict[str, JSON]:
    return {"text": text, "box": [x, y, x + 20, y + height], "score": score}


def test_reading_order() -> None:
    regions = [region("line", 40, 31), region("first", 10, 12), region("second", 0, 30), region("the", 0, 10)]
    assert in_reading_order(regions, 0.0) == "the first second line"
    assert in_reading_order([*regions, region("noise", 0, 0, 0.1)], 0.5) == "the first second line"
    assert in_reading_order([], 0.0) == ""


def reading() -> ocr.TextReading:
    protocols = ocr.reading_protocols({"max_new_tokens": 5})
    return ocr.TextReading("read", "", lambda ask: [], protocols, slices={"words": in_category("words")})


def sample(name: str, text: str, category: str = "words") -> Sample:
    return Sample(name, {"question": "What word?", "prompt": "the word"}, {"text": text}, name, category)


def test_reading_task() -> None:
    task = reading()
    protocol = task.protocols["exact"]
    (request,) = task.requests(sample("a", "cat"), protocol.ask, lambda name, index: 3)
    assert isinstance(request, Question)
    assert (request.text, request.max_new_tokens, request.seed, request.key.index) == ("What word?", 5, 3, 0)
    items = [
        Scored(item, 0, task.score(item, 0, Response(text=text), {}, protocol.judge))
        for item, text in ((sample("a", "cat"), "cat"), (sample("b", "dog"), "dig"), (sample("c", "7", "digits"), "7"))
    ]
    values = {name: metric(items).value for name, metric in task.metrics(protocol.judge).items()}
    assert values == pytest.approx({"overall": 2 / 3, "cer": 1 / 9, "words": 0.5})
    lost = Scored(sample("d", "x"), 0, Score(None, reason="lost"), failed=True)
    assert task.metrics(protocol.judge)["cer"]([*items, lost]).failed == 1
    task.rates = {"words": in_category("words")}
    assert task.metrics(protocol.judge)["cer_words"](items).value == pytest.approx(1 / 6)


def test_writing_task() -> None:
    task = ocr.TextWriting("write", "", lambda ask: [], ocr.writing_protocols({}, "reader"))
    protocol = task.protocols["exact"]
    assert protocol.observe == {"text_reader": "reader"}
    assert len(task.requests(sample("a", "cat"), protocol.ask, lambda name, index: index)) == 4
    assert task.query("text_reader", sample("a", "cat"), 0) == {}

    def value(*regions: dict[str, Any]) -> float | None:
        observed = {"text_reader": {"regions": list(regions)}}
        return task.score(sample("a", "cat"), 0, Response(), observed, protocol.judge).value

    assert value(region("cat", 0, 0)) == 1.0
    assert value(region("Cat", 0, 0)) == 0.0
    assert value() == 0.0
    assert value(region("cat", 0, 0), region("cat", 0, 20)) == 0.0  # written twice is not written once
