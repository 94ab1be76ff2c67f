"""Tasks of lmms-eval's that do odd things: end the program, mark pictures in texts, show broken files, mix metrics."""

from __future__ import annotations

import importlib.metadata
import io
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import janus_eval
from janus_eval import plan
from janus_eval.tasks.lmms import definitions, rows
from janus_eval.types import Question

UTILS = """

def ending(doc):
    import sys

    if doc["id"] == 1:
        sys.exit("no such video")
    return [doc["image"]]


def judge_ending(doc, results):
    if doc["id"] == 1:
        raise SystemExit(3)
    return judge(doc, results)


def marked(doc, lmms_eval_specific_kwargs=None):
    return "Look: <image>\\n" + doc["question"] + " <image>"


def unseen(doc):
    return []
"""
CHOICE = (
    "include: base\noutput_type: multiple_choice\nprocess_results: null\ngeneration_kwargs: null\n"
    "doc_to_choice: ['red', 'green', 'a very deep blue', 'yellow']\ndoc_to_target: !function utils.gold\n"
    "metric_list:\n  - metric: acc_norm\n  - metric: acc\n"
)
TASKS = {
    "odd_ending": "include: base\ndoc_to_visual: !function utils.ending\n",
    "odd_judge": "include: base\nprocess_results: !function utils.judge_ending\n",
    "odd_marked": "include: base\ndoc_to_text: !function utils.marked\n",
    "odd_unseen": "include: base\ndoc_to_text: !function utils.marked\ndoc_to_visual: !function utils.unseen\n",
    "odd_choice": CHOICE,
    "odd_more": CHOICE + "dataset_kwargs:\n  data_files:\n    test: more.parquet\n",
}
GROUP = "group: odd_choices\ntask: [odd_choice, odd_more]\naggregate_metric_list:\n  - metric: acc\n"


@pytest.fixture
def odd(here: Path, definitions_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with these tasks in reach."""
    folder = tmp_path / "odd"
    folder.mkdir()
    for name in ("base", "tiny.parquet", "more.parquet"):
        shutil.copy(definitions_folder / name, folder)
    (folder / "utils.py").write_text((definitions_folder / "utils.py").read_text() + UTILS)
    for name, text in TASKS.items():
        (folder / f"{name}.yaml").write_text(f"task: {name}\n{text}")
    (folder / "odd_choices.yaml").write_text(GROUP)
    monkeypatch.setenv(definitions.VARIABLE, str(folder))
    return here


def entry(task: str) -> plan.Entry:
    [found] = plan.entries(plan.choices([f"lmms:{task}"]), seed=0, limit=None)
    return found


def test_a_task_that_would_end_the_program_loses_one_doc(odd: Path, scripted: Any) -> None:
    samples = entry("odd_ending").asking.samples
    assert [sample.id for sample in samples if "fault" in sample.metadata] == ["1"]
    assert "it would end the program: no such video" in str(samples[1].metadata["fault"])
    run = janus_eval.evaluate(scripted(lambda question: "red"), ["lmms:odd_judge"], out="runs")
    table = run.results["tasks"]["lmms:odd_judge"]["lmms-eval"]
    assert table["metrics"]["share"]["failed"] == 1 and table["metrics"]["share"]["n"] == len(samples) - 1
    assert any("it would end the program: 3" in reason for reason in table["troubles"])


def test_marks_of_pictures_go_from_texts_beside_pictures(odd: Path) -> None:
    def texts(task: str) -> list[str]:
        return [one.text for row in entry(task).asking.requests for one in row if isinstance(one, Question)]

    assert texts("odd_marked")[0] == "Look: \nWhat colour is it (0)?"
    assert texts("odd_unseen")[0] == "Look: <image>\nWhat colour is it (0)? <image>"


def test_a_groups_figure_is_of_the_metric_that_its_file_names(odd: Path, scripted: Any) -> None:
    """acc_norm has acc in its name; the long option loses as it stands and wins by the letter."""
    model = scripted(lambda question: "", lambda text, options: [-1.0 - 0.1 * len(option) for option in options])
    run = janus_eval.evaluate(model, ["lmms:odd_choices"], out="runs")
    metrics = run.results["tasks"]["lmms:odd_choices"]["lmms-eval"]["metrics"]
    parts = {name: metrics[f"{name}:acc"]["value"] for name in ("odd_choice", "odd_more")}
    assert metrics["odd_more:acc_norm"]["value"] != parts["odd_more"]
    assert metrics["overall"]["value"] == pytest.approx(sum(parts.values()) / 2)


def test_a_broken_picture_in_a_doc_is_read_as_far_as_it_goes_or_left_out() -> None:
    buffer = io.BytesIO()
    Image.effect_noise((64, 64), 50).save(buffer, "PNG")

    def keep(image: Image.Image) -> int:
        image.load()
        return 0

    assert rows._stored(Image.open(io.BytesIO(buffer.getvalue()[:2000])), keep) == {"$image": 0}

    def refuse(image: Image.Image) -> int:
        raise OSError("broken data stream")

    assert rows._stored([Image.new("RGB", (2, 2))], refuse) == {"$left_out": "broken data stream"}


def test_a_broken_picture_of_a_data_set_costs_its_doc_alone(odd: Path, hub_module: Any, scripted: Any) -> None:
    folder = Path(os.environ[definitions.VARIABLE])
    whole = hub_module.jpeg(hub_module.circle("red"))
    rows = [
        {"id": place, "pair": place, "question": f"What colour is it ({place})?", "answer": "red"}
        | {"image": {"bytes": data, "path": f"{place}.jpg"}}
        for place, data in enumerate([whole, whole[:350], b"no picture"])
    ]
    hub_module.write(folder / "broken.parquet", rows, images=["image"])
    text = "task: odd_broken\ninclude: base\ndataset_kwargs:\n  data_files:\n    test: broken.parquet\n"
    (folder / "odd_broken.yaml").write_text(text)
    run = janus_eval.evaluate(scripted(lambda question: "red"), ["lmms:odd_broken"], out="runs")
    table = run.results["tasks"]["lmms:odd_broken"]["lmms-eval"]
    assert (table["metrics"]["share"]["n"], table["metrics"]["share"]["failed"]) == (1, 2)
    assert all(reason.startswith("it shows a picture that cannot be decoded (") for reason in table["troubles"])


def test_another_version_is_said_beside_the_figures(odd: Path, scripted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def remarks(out: str) -> list[str]:
        run = janus_eval.evaluate(scripted(lambda question: "red"), ["lmms:odd_marked"], out=out)
        return list(run.results["tasks"]["lmms:odd_marked"]["lmms-eval"].get("remarks", []))

    assert not any("lmms-eval" in remark for remark in remarks("here"))
    version = importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.7.9" if "lmms" in name else version(name))
    assert any("judged by lmms-eval 0.7.9" in remark for remark in remarks("there"))
