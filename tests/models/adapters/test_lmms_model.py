"""lmms-eval itself, offline, on our nano models: one process, two models, five small tasks."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image, ImageDraw

from janus_eval import plan
from janus_eval.cli.single import respond_once
from janus_eval.folders import Drawn
from janus_eval.models.nano import nano_janus_pro
from janus_eval.observe import Instruments
from janus_eval.pictures import Picture
from janus_eval.progress import Silent
from janus_eval.randomness import seed_of
from janus_eval.runner import Options, Subject, run
from janus_eval.specs import contenders
from janus_eval.tasks.lmms_tasks.command import lmms_tasks
from janus_eval.types import Drawing, Question, RequestKey

pytest.importorskip("lmms_eval")

LIMIT = 3
ASKED = ("What color is the circle?", "How many circles are there?")
COLOURS = {"red": "#e02020", "green": "#20a020", "blue": "#2030e0"}
DATA = "dataset_path: parquet\ndataset_kwargs: {data_files: {test: rows.parquet}}\ntest_split: test\n"
MODULE = """
def visual(doc):
    return [[doc["image"]]]

def paths(doc):
    return [doc["path"]]

def two(doc):
    return [doc["image"], doc["path"]]

def rounds(doc, lmms_eval_specific_kwargs=None, previous_output=None, round_idx=None, previous_round_info=None):
    if round_idx is None:
        return doc["question"]
    if round_idx == 2:
        return None, None, True, [*previous_output, previous_round_info], None
    return [doc["image"]], "What color is the circle? Not " + previous_output[-1], False, previous_output, "told"

def kept(doc, results):
    return {"kept": {"said": results[0]}}

def count(items):
    return len(items)
"""
ASKING = """
doc_to_text: question
doc_to_target: answer
process_results: !function module.kept
metric_list: [{metric: kept, aggregation: !function module.count, higher_is_better: true}]
metadata: [{version: 0.0}]
"""
TASKS = {
    "ask": "output_type: generate_until\ndoc_to_visual: !function module.visual" + ASKING,
    "ask_sampled": "output_type: generate_until\ndoc_to_visual: !function module.paths\n"
    "generation_kwargs: {do_sample: true, temperature: 3, max_new_tokens: 3, until: []}" + ASKING,
    "ask_two": "output_type: generate_until\ndoc_to_visual: !function module.two" + ASKING,
    "ask_absent": "output_type: generate_until\ndoc_to_visual: !function module.absent" + ASKING,
    "ask_rounds": "output_type: generate_until_multi_round\ndoc_to_visual: !function module.visual"
    + ASKING.replace("doc_to_text: question", "doc_to_text: !function module.rounds"),
    "own": "class: !function janus_eval.tasks.lmms_tasks.drawing.DrawingTask\nspec: shapes-dpg/official\n"
    "images_per_prompt: 2\ninstruments: {visual_qa: shapes-vqa}\n",
    "choose": "output_type: multiple_choice\ndoc_to_visual: !function module.visual\ndoc_to_text: question\n"
    f"doc_to_choice: [{', '.join(COLOURS)}, yellow and green]\ndoc_to_target: answer\n"
    "metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]\nmetadata: [{version: 0.0}]\n",
}
# lmms-eval's own command, which would read its 1,500 task files anew for every run.
START = """
import functools
import lmms_eval.__main__ as command
command.TaskManager = functools.partial(command.TaskManager, include_defaults=False)
command.cli_evaluate()
"""
DRAWN = ("shapes-geneval/official", "shapes-dpg/fixed")


class Outcome(NamedTuple):
    """What a run of lmms-eval left: results and samples by task, and what it printed."""

    results: dict[str, Any]
    samples: dict[str, list[dict[str, Any]]]
    printed: str
    folder: Path


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """By model: both run in one process, of which importing lmms-eval takes most."""
    import datasets

    folder = tmp_path_factory.mktemp("lmms")
    rows = []
    for place, (name, colour) in enumerate(COLOURS.items()):
        image = Image.new("RGB", (64, 64), "white")
        ImageDraw.Draw(image).ellipse((14 + place, 16, 46, 48), fill=colour)
        image.save(folder / f"{name}.png")
        path = str(folder / f"{name}.png")
        rows.append({"image": image, "path": path, "question": ASKED[0], "answer": name})
    table = datasets.Dataset.from_list(rows).cast_column("image", datasets.Image())
    (folder / "tasks").mkdir()
    table.to_parquet(str(folder / "tasks" / "rows.parquet"))
    (folder / "tasks" / "module.py").write_text(MODULE + "\ndef absent(doc):\n    return doc['path'] + '.absent'\n")
    for name, text in TASKS.items():
        (folder / "tasks" / f"{name}.yaml").write_text(f"task: {name}\n{'' if 'class' in text else DATA}{text}")
    for name in ("shapes_geneval", "shapes_dpg"):
        ours = Path(sys.modules[lmms_tasks.__module__].__file__ or "").with_name(f"{name}.yaml")
        (folder / "tasks" / ours.name).write_text(ours.read_text())
    common = {"include_path": "tasks", "device": "cpu", "limit": LIMIT, "log_samples": True, "output_path": "out"}
    # The first as a user would have them; the second with settings of ours, and all there is of one image together.
    drawing = "janus_eval_shapes_geneval,janus_eval_shapes_dpg"
    runs = [
        {"model": "janus_pro", "model_args": "pretrained=nano-janus-pro", "tasks": f"{','.join(TASKS)},{drawing}"},
        {
            "model": "janus_flow",
            "model_args": "pretrained=nano-janus-flow,user_role=Someone,steps=2,seed=5,output_dir=drawn",
            "tasks": "ask,janus_eval_shapes_geneval",
            "batch_size": "auto",
        },
        {"model": "janus-pro", "model_args": "pretrained=copied,mode=generate", "tasks": "ask"},
    ]
    shutil.copytree(nano_janus_pro.default, folder / "copied")
    (folder / "runs.yaml").write_text(json.dumps([{**common, **one} for one in runs]))
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(folder / "hf")}
    done = subprocess.run(
        [sys.executable, "-c", START, "--config", "runs.yaml"],
        cwd=folder,
        env=os.environ | offline | {"OMP_NUM_THREADS": "1"},
        check=False,
        capture_output=True,
        text=True,
    )
    printed = done.stdout + done.stderr
    assert done.returncode == 0, printed
    return {name: _outcome(folder, name, printed) for name in ("nano-janus-pro", "nano-janus-flow", "copied")}


def _outcome(folder: Path, model: str, printed: str) -> Outcome:
    [out] = [path for path in (folder / "out").iterdir() if model in path.name]
    [results] = out.glob("*results.json")
    samples = {
        path.stem.partition("_samples_")[2]: [json.loads(line) for line in path.read_text().splitlines()]
        for path in out.glob("*_samples_*.jsonl")
    }
    return Outcome(json.loads(results.read_text())["results"], samples, printed, folder)


def question(folder: Path, row: int, text: str = ASKED[0], *, both: bool = False, limit: int = 1024) -> Question:
    file = Picture.from_file(folder / f"{list(COLOURS)[row]}.png")
    return Question(RequestKey("ask", str(row)), text, (file,) * (1 + both), limit)


@functools.cache
def loaded(spec: str) -> Any:
    [contender] = contenders([spec], {})
    return contender.load()


def answer(spec: str, asked: Question) -> Any:
    """As ``janus-eval ask`` has it answered: alone, by the model of this spec."""
    [response] = loaded(spec).answer([asked])
    return response


def said(outcome: Outcome, task: str) -> list[Any]:
    return [sample["kept"]["said"] for sample in outcome.samples[task]]


def test_answers_are_those_of_ask(outcomes: dict[str, Outcome]) -> None:
    pro, flow = outcomes["nano-janus-pro"], outcomes["nano-janus-flow"]
    expected = [
        respond_once("nano-janus-pro", question(pro.folder, row), [], device="cpu", dtype="float32")
        for row in range(LIMIT)
    ]
    assert said(pro, "ask") == [response.text for response in expected] == list(COLOURS)
    counts = [sample["token_counts"] for sample in pro.samples["ask"]]
    assert counts == [[{"input_tokens": one.input_tokens, "output_tokens": one.output_tokens}] for one in expected]
    spoken = "nano-janus-flow?user_role=Someone"
    assert said(flow, "ask") == [answer(spoken, question(flow.folder, row)).text for row in range(LIMIT)]


def test_sampling_limits_and_several_images(outcomes: dict[str, Outcome]) -> None:
    pro = outcomes["nano-janus-pro"]
    for row in range(LIMIT):
        asked = replace(question(pro.folder, row, limit=3), seed=seed_of(0, "ask_sampled", str(row), 0))
        assert said(pro, "ask_sampled")[row] == answer("nano-janus-pro?answer_temperature=3", asked).text
        both = answer("nano-janus-pro", question(pro.folder, row, both=True))
        assert said(pro, "ask_two")[row] == both.text
    assert said(pro, "ask_sampled") != list(COLOURS), "at temperature 3 it should err"


def test_rounds_of_questions(outcomes: dict[str, Outcome]) -> None:
    pro = outcomes["nano-janus-pro"]
    for row, found in enumerate(said(pro, "ask_rounds")):
        first = answer("nano-janus-pro", question(pro.folder, row)).text
        second = answer("nano-janus-pro", question(pro.folder, row, f"{ASKED[0]} Not {first}")).text
        assert found == [first, second, "told"]


def test_likelihoods_reach_the_metric(outcomes: dict[str, Outcome]) -> None:
    """lmms-eval takes the least loss, the mean over an answer's tokens; from plain pairs it would read nothing."""
    pro, model = outcomes["nano-janus-pro"], loaded("nano-janus-pro")
    choices = [*COLOURS, "yellow and green"]
    tokens = [len(model.processor.text_ids(f" {choice}")) for choice in choices]
    assert len(set(tokens)) > 1
    for row, sample in enumerate(pro.samples["choose"]):
        [scores] = model.score([question(pro.folder, row)], [choices])
        [losses, greedy] = zip(*sample["filtered_resps"], strict=True)
        assert [float(loss) for loss in losses] == pytest.approx(
            [-score / count for score, count in zip(scores, tokens, strict=True)], abs=1e-4
        )
        assert [one == "True" for one in greedy] == [place == row for place in range(len(choices))]
    assert pro.results["choose"]["acc,none"] == 1


def test_requests_that_fail_are_said(outcomes: dict[str, Outcome]) -> None:
    pro = outcomes["nano-janus-pro"]
    assert said(pro, "ask_absent") == [""] * LIMIT
    assert pro.printed.count("failed requests, answered with nothing: 1 x ") == LIMIT
    assert ".absent: No such file or directory" in pro.printed


@pytest.mark.parametrize("spec", DRAWN)
def test_drawings_are_judged_as_in_a_run_of_ours(outcomes: dict[str, Outcome], spec: str, tmp_path: Path) -> None:
    pro = outcomes["nano-janus-pro"]
    [choice] = plan.choices([spec])
    name = f"janus_eval_{choice.task.name.replace('-', '_')}"
    samples = choice.task.samples(choice.protocol.ask)[:LIMIT]
    pictures: dict[tuple[str, int], Picture] = {}
    for place, (sample, line) in enumerate(zip(samples, pro.samples[name], strict=True)):
        answers = [json.loads(text) for text in line["filtered_resps"]]
        assert [answer["seeds"] for answer in answers] == [
            [seed_of(0, choice.task.name, sample.id, index)] for index in range(4)
        ]
        for index, answer in enumerate(answers):
            [path] = map(Path, answer["images"])
            assert path.parts[-2:] == (name, f"{place:04d}_s{index}.png")
            pictures[sample.id, index] = Picture.from_file(path)
    subject = Subject("drawn", Drawn(pictures, "drawn"), frozenset({"draw"}), {})
    entry = plan.Entry(*choice, plan.asking(*choice, samples, 0))
    folder = run(subject, [entry], tmp_path / "run", Options(), instruments=Instruments(), display=Silent())
    metrics = json.loads((folder / "results.json").read_text())["tasks"][choice.task.name][choice.protocol.name][
        "metrics"
    ]
    found = {key.partition(",")[0]: value for key, value in pro.results[name].items() if key.endswith(",pictures")}
    for metric, estimate in metrics.items():
        expected = float("nan") if estimate["value"] is None else estimate["value"]
        assert found[metric] == pytest.approx(expected, abs=1e-12, nan_ok=True), metric
    assert [found["overall_low"], found["overall_high"]] == pytest.approx(
        [metrics["overall"]["low"], metrics["overall"]["high"]]
    )
    assert found["failed"] == 0
    assert found["overall"] > 0, "a metric of nothing would agree with anything"


def test_pictures_are_those_of_a_run_with_the_same_seed(outcomes: dict[str, Outcome]) -> None:
    flow = outcomes["nano-janus-flow"]
    [line, *_] = flow.samples["janus_eval_shapes_geneval"]
    answer = json.loads(line["filtered_resps"][1])
    [path] = map(Path, answer["images"])
    assert path.is_relative_to(flow.folder / "drawn")
    seed = seed_of(5, "shapes-geneval", line["overall"]["id"], 1)
    request = Drawing(RequestKey("draw", "x"), line["target"], seed)
    [response] = loaded("nano-janus-flow?user_role=Someone&steps=2").draw([request])
    image = response.image
    assert image is not None
    difference = np.asarray(image.load()).astype(int) - np.asarray(Image.open(path))
    assert np.abs(difference).max() <= 1


def test_a_model_that_is_to_draw_draws_whatever_is_asked(outcomes: dict[str, Outcome]) -> None:
    for place, answer in enumerate(map(json.loads, said(outcomes["copied"], "ask"))):
        assert answer["seeds"] == [seed_of(0, "ask", str(place), 0)]
        assert Image.open(answer["images"][0]).size == (64, 64)


def test_a_task_file_of_ones_own(outcomes: dict[str, Outcome]) -> None:
    pro = outcomes["nano-janus-pro"]
    assert [len(line["filtered_resps"]) for line in pro.samples["own"]] == [2] * LIMIT
    assert len(pro.samples["own"][0]["overall"]["pictures"]) == 2


def test_a_run_ends_with_a_table_that_names_our_metrics(outcomes: dict[str, Outcome]) -> None:
    assert "|janus_eval_shapes_geneval|pictures|     0|overall_low  |" in outcomes["nano-janus-pro"].printed
