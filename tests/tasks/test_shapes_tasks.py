"""The five shapes tasks as the runner sees them: declared slices occur, perfect answers score 1."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from janus_eval.randomness import seed_of
from janus_eval.seams import Task
from janus_eval.tasks import plugins
from janus_eval.tasks.shapes import tasks
from janus_eval.types import JSON, Drawing, Question, Ranking, Request, Response, Sample, Scored

TASKS: list[Task] = [
    tasks.shapes_mmbench,
    tasks.shapes_geneval,
    tasks.shapes_dpg,
    tasks.shapes_ocr_read,
    tasks.shapes_ocr_write,
]
EACH = pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)


def asked(task: Task, protocol: str) -> list[tuple[Sample, list[Request]]]:
    ask = task.protocols[protocol].ask

    def seeds(name: str, index: int) -> int:
        return seed_of(0, task.name, name, index)

    return [(sample, list(task.requests(sample, ask, seeds))) for sample in task.samples(ask)]


def perfect(task: Task, sample: Sample, request: Request) -> tuple[Response, dict[str, Mapping[str, JSON]]]:
    """A response and observations of it that leave nothing to wish for."""
    if isinstance(request, Ranking):
        right = sample.target["answer"]
        return Response(likelihoods=tuple(0.0 if text == right else -1.0 for text in request.continuations)), {}
    if task is tasks.shapes_mmbench:
        return Response(text=str(sample.target["answer"])), {}
    text = sample.target.get("text")
    if task is tasks.shapes_ocr_read:
        return Response(text=str(text)), {}
    if task is tasks.shapes_ocr_write:
        return Response(), {"text_reader": {"regions": [{"text": text, "box": [0, 0, 9, 9], "score": 1.0}]}}
    if task is tasks.shapes_dpg:
        query: Any = task.query("visual_qa", sample, 0)
        return Response(), {"visual_qa": {"answers": dict.fromkeys(query["questions"], "yes")}}
    return Response(), staged(sample)


def staged(sample: Sample) -> dict[str, Mapping[str, JSON]]:
    """Boxes and colours that meet a GenEval target: things in a row, or standing as the relation says."""
    steps = {"left of": (-40, 0), "right of": (40, 0), "above": (0, -40), "below": (0, 40)}
    boxes: dict[str, list[list[float]]] = {}
    rows: dict[str, list[list[float]]] = {}
    target: Any = sample.target
    names = ["none", *sorted({clause["color"] for clause in target["include"] if "color" in clause})]
    for place, clause in enumerate(target["include"]):
        x, y = steps[clause["position"][0]] if "position" in clause else (0, 200 * place)
        for k in range(clause["count"]):
            boxes.setdefault(clause["class"], []).append([x + 30 * k, y, x + 30 * k + 10, y + 10, 0.99])
            rows.setdefault(clause["class"], []).append([float(name == clause.get("color", "none")) for name in names])
    return {"detector": {"boxes": boxes}, "colour_classifier": {"colours": names, "probabilities": rows}}


@EACH
def test_perfect_answers_score_one_on_every_metric(task: Task) -> None:
    for name, protocol in task.protocols.items():
        pairs = asked(task, name)
        scored = []
        for sample, requests in pairs:
            for k, request in enumerate(requests):
                response, observations = perfect(task, sample, request)
                scored.append(Scored(sample, k, task.score(sample, k, response, observations, protocol.judge)))
        for metric_name, metric in task.metrics(protocol.judge).items():
            estimate = metric(scored)
            # DPG-Bench's script loses its first prompt, here as there.
            lost = 1 if task is tasks.shapes_dpg and name == "official" else 0
            best = 0.0 if metric_name == "cer" else 100.0 if estimate.unit == "percent" else 1.0
            assert estimate.value == pytest.approx(best), f"{name}: {metric_name}"
            assert estimate.n > 0, f"{name}: nothing is in {metric_name}"
            assert (estimate.failed > 0) <= bool(lost), f"{name}: {metric_name}"


@EACH
def test_every_request_has_its_own_key_and_seed(task: Task) -> None:
    for name in task.protocols:
        requests = [request for _, several in asked(task, name) for request in several]
        assert len({request.key for request in requests}) == len(requests)
        seeds = [request.seed for request in requests if isinstance(request, Question | Drawing)]
        assert len(set(seeds)) == len(seeds) == sum(not isinstance(request, Ranking) for request in requests)
        assert {request.key.task for request in requests} == {task.name}


@EACH
def test_the_same_ask_gives_the_same_rows(task: Task) -> None:
    ask = next(iter(task.protocols.values())).ask
    assert task.samples(ask) == task.samples(ask)
    other = task.samples({**ask, "data_seed": 1})
    assert [sample.target for sample in other] != [sample.target for sample in task.samples(ask)]


@EACH
def test_protocols_are_plain_data_under_their_own_names(task: Task) -> None:
    for name, protocol in task.protocols.items():
        assert protocol.name == name
        assert json.loads(json.dumps([protocol.ask, protocol.observe, protocol.judge])) == [
            protocol.ask,
            protocol.observe,
            protocol.judge,
        ]
        assert protocol.note


@EACH
def test_queries_are_for_the_roles_observed(task: Task) -> None:
    protocol = next(iter(task.protocols.values()))
    samples = task.samples(protocol.ask)
    for role in protocol.observe:
        assert any(task.query(role, sample, 0) is not None for sample in samples)


def test_the_default_run_asks_some_hundred_requests_a_model() -> None:
    counts = {task.name: sum(len(r) for _, r in asked(task, next(iter(task.protocols)))) for task in TASKS}
    assert 300 <= sum(counts.values()) <= 1000, counts


def test_the_suite_and_the_plugin_table_name_the_same_tasks() -> None:
    table = plugins()["tasks"]
    assert list(tasks.suite.tasks) == [task.name for task in TASKS]
    assert set(tasks.suite.tasks) <= set(table)
    for task in TASKS:
        module, attribute = table[task.name].split(":")
        assert module == tasks.__name__
        assert getattr(tasks, attribute) is task
