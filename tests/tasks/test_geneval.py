from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from janus_eval.tasks import geneval
from janus_eval.tasks.geneval import Box, Kept, Knobs, judge_picture, relations
from janus_eval.tasks.slices import SEEN
from janus_eval.types import Drawing, Response, Sample, Score, Scored

coordinate = st.integers(0, 300).map(float)


@st.composite
def boxes(draw: st.DrawFn) -> list[float]:
    x, y = draw(coordinate), draw(coordinate)
    width, height = draw(st.integers(1, 120)), draw(st.integers(1, 120))
    return [x, y, x + width, y + height, draw(st.integers(1, 999)) / 1000]


def box(x: float, y: float, score: float = 0.95, size: float = 20) -> list[float]:
    """A square box around a centre."""
    return [x - size / 2, y - size / 2, x + size / 2, y + size / 2, score]


def prompt(tag: str, *include: dict[str, Any], exclude: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    return {"tag": tag, "include": list(include), "exclude": list(exclude), "prompt": ""}


def car(count: int = 1, **more: Any) -> dict[str, Any]:
    return {"class": "car", "count": count, **more}


def test_thresholds_are_strict_and_counting_has_its_own() -> None:
    one = prompt("single_object", car())
    assert not judge_picture(one, {"car": [box(50, 50, 0.3)]}, {}).correct
    assert judge_picture(one, {"car": [box(50, 50, 0.3001)]}, {}).correct
    counted = prompt("counting", car())
    assert not judge_picture(counted, {"car": [box(50, 50, 0.9)]}, {}).correct
    assert judge_picture(counted, {"car": [box(50, 50, 0.901)]}, {}).correct


def test_a_float32_score_equal_to_the_threshold_does_not_pass() -> None:
    score = float(np.float32(0.3))
    assert score > 0.3  # and yet the detector's comparison, in its own precision, says equal
    assert not judge_picture(prompt("single_object", car()), {"car": [box(50, 50, score)]}, {}).correct


def test_counting_is_exact_and_nothing_else_is() -> None:
    three = {"car": [box(x, 50) for x in (20, 60, 100)]}
    assert judge_picture(prompt("counting", car(3), exclude=[car(4)]), three, {}).correct
    assert not judge_picture(prompt("counting", car(2), exclude=[car(3)]), three, {}).correct
    assert not judge_picture(prompt("counting", car(4), exclude=[car(5)]), three, {}).correct
    assert judge_picture(prompt("two_object", car(1)), three, {}).correct


def test_the_limit_comes_before_the_suppression_of_overlaps() -> None:
    doubled = {"car": [box(50, 50, 0.99), box(51, 50, 0.98), box(150, 50, 0.5)]}
    two = prompt("two_object", car(2))
    assert judge_picture(two, doubled, {}, Knobs(nms_threshold=0.5)).correct
    # With room for two boxes, the double takes the place of the second car and is then dropped.
    verdict = judge_picture(two, doubled, {}, Knobs(nms_threshold=0.5, max_objects=2))
    assert not verdict.correct
    assert verdict.kept == {"car": [doubled["car"][0]]}
    assert judge_picture(two, doubled, {}, Knobs(max_objects=2)).correct


def test_overlap_counts_edge_pixels() -> None:
    assert geneval.iou([0, 0, 9, 9], [0, 0, 9, 9]) == 1.0
    assert geneval.iou([0, 0, 9, 9], [10, 0, 19, 9]) == 0.0
    assert geneval.iou([0, 0, 9, 9], [9, 0, 18, 9]) == 10 / 190  # one column of pixels in common


def test_colour_is_asked_of_the_best_boxes_only() -> None:
    metadata = prompt("colors", car(1, color="red"))
    found = {"car": [box(50, 50, 0.8), box(150, 50, 0.9)]}
    assert judge_picture(metadata, found, {"car": ["blue", "red"]}).correct
    verdict = judge_picture(metadata, found, {"car": ["red", "blue"]})
    assert not verdict.correct
    assert "blue" in verdict.reason and "red expected" in verdict.reason


def test_position_of_every_pair_and_of_an_unmet_clause() -> None:
    dog = {"class": "dog", "count": 1}
    metadata = prompt("position", dog, car(2, position=["left of", 0]))
    at = {"dog": [box(200, 100)]}
    assert judge_picture(metadata, {**at, "car": [box(40, 100), box(100, 100)]}, {}).correct
    assert not judge_picture(metadata, {**at, "car": [box(40, 100), box(290, 100)]}, {}).correct
    assert not judge_picture(metadata, {**at, "car": [box(40, 100)]}, {}).correct
    verdict = judge_picture(metadata, {"car": [box(40, 100), box(100, 100)]}, {})
    assert not verdict.correct
    assert "dog" in verdict.reason and "clause 1" in verdict.reason


@pytest.mark.parametrize(
    ("offset", "expected"),
    [
        ((-100, 0), {"left of"}),
        ((100, 0), {"right of"}),
        ((0, -100), {"above"}),
        ((0, 100), {"below"}),
        ((100, -100), {"right of", "above"}),  # (96, 96) / 141 = 0.68 on both axes
        ((100, 40), {"right of"}),
        ((4, 0), set()),  # inside the dead zone of 0.1 * (20 + 20)
        ((7, 0), set()),  # shrunk to 3: 3 / 7 of the offset
        ((9, 0), {"right of"}),  # 5 / 9
        ((8, 0), set()),  # exactly a half
        ((0, 0), set()),
    ],
)
def test_relations(offset: tuple[float, float], expected: set[str]) -> None:
    assert relations(Kept(box(150 + offset[0], 150 + offset[1])), Kept(box(150, 150)), 0.1) == expected


@given(boxes(), boxes(), st.sampled_from([0.0, 0.1, 0.2]))
def test_relations_turn_round(a: Box, b: Box, zone: float) -> None:
    turned = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}
    there, back = relations(Kept(a), Kept(b), zone), relations(Kept(b), Kept(a), zone)
    assert {turned[name] for name in there} == back
    assert len(there) <= 2 and not {"left of", "right of"} <= there and not {"above", "below"} <= there
    assert relations(Kept(a), Kept(b), zone + 0.1) <= there


@given(boxes(), boxes())
def test_iou_is_a_symmetric_share(a: Box, b: Box) -> None:
    assert geneval.iou(a, b) == pytest.approx(geneval.iou(b, a))
    assert 0 <= geneval.iou(a, b) <= 1
    assert geneval.iou(a, a) == pytest.approx(1)


@given(st.lists(boxes(), max_size=20, unique_by=lambda b: b[4]), st.randoms(use_true_random=False), st.booleans())
def test_order_of_boxes_does_not_matter_and_kept_ones_are_sorted(found: list[Box], rng: Any, overlaps: bool) -> None:
    knobs = Knobs(nms_threshold=0.5 if overlaps else 1.0)
    metadata = prompt("single_object", car(2))
    verdict = judge_picture(metadata, {"car": found}, {}, knobs)
    shuffled = list(found)
    rng.shuffle(shuffled)
    assert judge_picture(metadata, {"car": shuffled}, {}, knobs) == verdict
    scores = [kept[4] for kept in verdict.kept.get("car", [])]
    assert scores == sorted(scores, reverse=True)
    assert all(score > knobs.threshold for score in scores) and len(scores) <= knobs.max_objects


@given(st.lists(boxes(), max_size=12), st.floats(0, 1), st.floats(0, 1))
def test_a_higher_threshold_keeps_no_more(found: list[Box], low: float, high: float) -> None:
    low, high = sorted((low, high))
    metadata = prompt("single_object", car())
    few, many = (judge_picture(metadata, {"car": found}, {}, Knobs(threshold=t)) for t in (high, low))
    assert len(few.kept.get("car", [])) <= len(many.kept.get("car", []))
    assert many.correct or not few.correct


def task() -> geneval.GenEval:
    return geneval.GenEval(
        "geneval", "", lambda ask: [], geneval.protocols({}, "d", "c"), tags=("counting", "colors"), slices=SEEN
    )


def scored(tag: str, group: str, values: Sequence[float | None], seen: bool = True) -> list[Scored]:
    sample = Sample(group, {"prompt": group}, {"tag": tag}, group, tag, metadata={"seen": seen})
    return [Scored(sample, index, Score(value)) for index, value in enumerate(values)]


def test_metrics() -> None:
    metrics = task().metrics(task().protocols["official"].judge)
    assert list(metrics) == ["overall", "counting", "colors", "prompts_any", "seen", "unseen"]
    items = [
        *scored("counting", "a", [1, 0, 0, 0]),
        *scored("colors", "b", [1, 1, 1, 1]),
        *scored("colors", "c", [0, 0, 0, 0], seen=False),
        *scored("colors", "d", [1, 1, 0, 0]),
    ]
    values = {name: metric(items).value for name, metric in metrics.items()}
    # The mean of the categories' means, 1/4 and 1/2; the mean over pictures would be 7/16.
    assert values["overall"] == pytest.approx(0.375)
    assert values["counting"] == 0.25
    assert values["colors"] == 0.5
    assert values["prompts_any"] == 0.75
    assert values["unseen"] == 0.0


def test_an_unscored_picture_is_counted() -> None:
    items = scored("counting", "a", [1, None, 0, 0])
    metrics = task().metrics(task().protocols["official"].judge)
    assert (metrics["overall"](items).n, metrics["overall"](items).failed) == (3, 1)
    assert (metrics["prompts_any"](items).value, metrics["prompts_any"](items).failed) == (None, 1)


def test_requests_and_queries() -> None:
    target = prompt(
        "color_attr", car(1, color="red"), {"class": "dog", "count": 1}, exclude=[{"class": "cat", "count": 1}]
    )
    sample = Sample("s", {"prompt": "a photo"}, target, "s", "color_attr")
    requests = task().requests(sample, task().protocols["official"].ask, lambda name, index: 100 + index)
    assert [(r.key.index, r.seed, r.prompt) for r in requests if isinstance(r, Drawing)] == [
        (index, 100 + index, "a photo") for index in range(4)
    ]
    assert task().query("detector", sample, 0) == {"classes": ["car", "dog", "cat"]}
    assert task().query("colour_classifier", sample, 0) == {"classes": ["car"]}
    plain = Sample("s", {"prompt": ""}, prompt("single_object", car()), "s", "single_object")
    assert task().query("colour_classifier", plain, 0) is None


def test_score_reads_observations() -> None:
    sample = Sample("s", {"prompt": ""}, prompt("colors", car(1, color="red")), "s", "colors")
    judge = task().protocols["official"].judge
    observed = {
        "detector": {"size": [64, 64], "boxes": {"car": [box(10, 10, 0.5), box(40, 40, 0.7)]}},
        "colour_classifier": {"colours": ["blue", "red"], "probabilities": {"car": [[0.6, 0.4], [0.5, 0.5]]}},
    }
    score = task().score(sample, 0, Response(), observed, judge)
    assert score.value == 0.0 and "blue" in score.reason  # the first of two equal probabilities
    assert score.extracted == {"car": [box(40, 40, 0.7), box(10, 10, 0.5)]}


def test_a_classifier_that_gives_too_few_rows_leaves_the_picture_unscored() -> None:
    sample = Sample("s", {"prompt": ""}, prompt("colors", car(1, color="red")), "s", "colors")
    observed = {
        "detector": {"size": [64, 64], "boxes": {"car": [box(10, 10, 0.5), box(40, 40, 0.7)]}},
        "colour_classifier": {"colours": ["blue", "red"], "probabilities": {"car": [[0.4, 0.6]]}},
    }
    score = task().score(sample, 0, Response(), observed, task().protocols["official"].judge)
    assert score.value is None and score.reason.startswith("nobody looked at the colour of a car")
