"""Rows of the five tasks: deterministic, complete, and correct by their own scenes."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

import pytest

from janus_eval.tasks.shapes import curriculum, samples, scenes
from janus_eval.tasks.shapes.descriptions import parse
from janus_eval.types import Sample

MAKERS = [samples.mmbench, samples.geneval, samples.dpg, samples.ocr_read, samples.ocr_write]


@pytest.mark.parametrize("maker", MAKERS)
def test_rows_are_deterministic_and_change_with_the_seed(maker: Callable[..., list[Sample]]) -> None:
    rows = maker()
    assert rows == maker(seed=0)
    assert rows != maker(seed=1)
    assert len({row.id for row in rows}) == len(rows)
    assert 0 < sum(not row.metadata["seen"] for row in rows) < 0.35 * len(rows)


@pytest.mark.parametrize("maker", MAKERS)
def test_rows_stay_within_the_vocabulary(maker: Callable[..., list[Sample]]) -> None:
    vocabulary = set(curriculum.vocabulary())
    for row in maker():
        texts = [row.inputs.get("prompt"), row.inputs.get("question"), *dict(row.inputs.get("options") or {}).values()]  # type: ignore[call-overload]
        for text in texts:
            assert set(re.findall(curriculum.TOKEN_PATTERN, text or "")) <= vocabulary


def test_mmbench_shows_every_rotation_of_every_question() -> None:
    groups: dict[str, list[Any]] = defaultdict(list)
    for row in samples.mmbench():
        groups[row.group].append(row)
    assert len(groups) == 60
    for rows in groups.values():
        options = [list(row.inputs["options"].values()) for row in rows]
        answers = {row.inputs["options"][row.target["answer"]] for row in rows}
        assert len(rows) == len(options[0]) == rows[0].metadata["rotations"]
        assert [row.metadata["rotation"] for row in rows] == list(range(len(rows)))
        assert len(answers) == 1 and len({row.images[0].digest for row in rows}) == 1
        assert all(len(set(shown)) == len(shown) for shown in options)
        for shift, shown in enumerate(options):
            assert shown == options[0][shift:] + options[0][:shift]
    abilities = Counter((rows[0].metadata["ability"], rows[0].metadata["sub_ability"]) for rows in groups.values())
    assert len({ability for ability, _ in abilities}) == 5
    assert len(abilities) == 13 and min(abilities.values()) >= 4


def test_geneval_targets_have_the_official_form() -> None:
    rows = samples.geneval()
    assert Counter(row.category for row in rows) == dict.fromkeys(
        ("single_object", "two_object", "counting", "colors", "position", "color_attr"), 10
    )
    assert len({row.inputs["prompt"] for row in rows}) == len(rows)
    for row in rows:
        target: Any = row.target
        assert target["tag"] == row.category and target["prompt"] == row.inputs["prompt"]
        described = parse(target["prompt"])
        assert row.metadata["seen"] == described.seen
        assert Counter({c["class"]: c["count"] for c in target["include"]}) == Counter(
            {phrase.shape: phrase.count for phrase in described.phrases}
        )
        colours = {c["class"]: c.get("color") for c in target["include"]}
        assert colours == {phrase.shape: phrase.colour for phrase in described.phrases}
    counting: Any = next(row.target for row in rows if row.category == "counting")
    assert counting["exclude"][0]["count"] == counting["include"][0]["count"] + 1
    position: Any = next(row.target for row in rows if row.category == "position")
    first, second = position["include"]
    name, index = second["position"]
    assert index == 0
    assert position["prompt"].endswith(f"a {second['class']} {name} a {first['class']}")


def test_dpg_graphs_depend_on_what_they_ask_about() -> None:
    rows = samples.dpg()
    sizes = []
    for row in rows:
        graph: Any = row.target["questions"]
        by_id = {question["id"]: question for question in graph}
        sizes.append(len(graph))
        assert list(by_id) == list(range(1, len(graph) + 1))
        for question in graph:
            parents = [by_id[parent] for parent in question["dependency"] if parent]
            assert all(parent["category_broad"] == "entity" for parent in parents)
            expected = {"entity": 0, "relation": 2}.get(question["category_broad"], 1)
            assert len(parents) == expected
    assert sum(sizes) / len(sizes) >= 6
    assert {q["category_broad"] for row in rows for q in row.target["questions"]} == {  # type: ignore[union-attr, index, call-overload]
        "entity",
        "attribute",
        "relation",
        "other",
    }


def test_texts_to_read_come_at_every_height() -> None:
    rows = samples.ocr_read(per_height=3)
    heights = Counter((row.category, row.metadata["height"]) for row in rows)
    assert set(heights.values()) == {3}
    assert len(heights) == len(curriculum.DIGIT_HEIGHTS) + len(curriculum.WORD_HEIGHTS)
    for row in rows + samples.ocr_write():
        assert scenes.word_seen(str(row.target["text"])) == row.metadata["seen"]
