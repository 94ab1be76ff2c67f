"""The papers' benchmarks through lmms-eval's own definitions and code, on made-up docs in their data sets' columns."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import janus_eval
from janus_eval import plan
from janus_eval.errors import UserError
from janus_eval.types import Question

TASKS = ("pope", "pope/all", "mme", "seedbench", "seedbench/all", "gqa", "mmmu", "vqav2", "chartqa", "textvqa")


def answers(table: Mapping[tuple[str, str], str]) -> Any:
    return lambda question: table.get((question.key.task, question.key.sample), "no idea")


@pytest.fixture
def run(here: Path, scripted: Any) -> tuple[janus_eval.Run, Any]:
    """Half of everything right, by task and sample."""
    told = {
        # Yes to the two of red; to the two of green; no to both of blue: two of three hits, one false alarm.
        **{("pope", str(n)): said for n, said in enumerate(["Yes", "no", "yes", "yes", "no", "no"])},
        **{("pope", str(n)): "Yes" for n in range(6, 18)},
        # existence: both right (200); color: one pair half right (50), one wrong (0); code: right (200).
        **{
            ("mme", str(n)): said for n, said in enumerate(["Yes.", "No", "yes", "yes", "n", "Yes", "Yes, it is", "no"])
        },
        **{("seedbench", str(n)): said for n, said in enumerate(["A", "C. blue", "D", "A"])},
        ("gqa", "0"): "Red.",
        ("mmmu", "0"): "A",
        ("mmmu", "1"): "The answer is (B).",
        ("mmmu", "2"): "I see 3 circles",
        ("vqav2", "0"): "Red",
        ("chartqa", "0"): "104",
        ("chartqa", "1"): "106",
        ("textvqa", "0"): "STOP\nASSISTANT: and more",
    }
    model = scripted(answers(told))
    return janus_eval.evaluate(model, TASKS, out="runs"), model


def test_figures_by_lmms_evals_own_rules(run: tuple[janus_eval.Run, Any]) -> None:
    tasks = run[0].results["tasks"]

    def value(task: str, protocol: str, metric: str = "overall") -> Any:
        table = tasks[task][protocol]["metrics"][metric]
        return table["value"], table["unit"]

    # Two of three objects found and one that isn't there: precision 2/3, recall 2/3.
    assert value("pope", "random") == (pytest.approx(2 / 3), "fraction")
    assert value("pope", "random", "pope_accuracy")[0] == pytest.approx(4 / 6)
    assert value("pope", "random", "pope_recall")[0] == pytest.approx(2 / 3)
    assert tasks["pope"]["all"]["metrics"]["overall"]["n"] == 18
    assert value("mme", "perception") == (200 + 25, "points"), "a sum over categories of the pairs' points"
    assert value("mme", "perception", "mme_cognition_score") == (200, "points")
    assert value("mme", "perception", "right") == (5 / 8, "fraction")
    assert value("seedbench", "image") == (pytest.approx(2 / 3), "fraction")
    assert value("seedbench", "all") == (pytest.approx(3 / 4), "fraction")
    assert value("gqa", "testdev") == (0.5, "fraction")
    assert value("mmmu", "val") == (pytest.approx(2 / 3, abs=1e-5), "fraction")
    assert value("vqav2", "val") == (1.0, "fraction"), "nine of ten people say red"
    assert value("chartqa", "test") == (0.5, "fraction"), "within five per cent"
    assert value("chartqa", "test", "relaxed_augmented_split")[0] == 0.0
    assert value("textvqa", "val") == (1.0, "fraction"), "cut at the text that ends it"
    assert value("textvqa", "val", "submission")[0] is None


def test_what_is_asked(run: tuple[janus_eval.Run, Any]) -> None:
    asked: dict[tuple[str, str], list[Question]] = {}
    for question in run[1].asked:
        asked.setdefault((question.key.task, question.key.sample), []).append(question)
    (pope,) = {question.text for question in asked["pope", "1"]}
    assert pope == "Is there a yellow circle in the image?\nAnswer the question using a single word or phrase."
    (mme,) = asked["mme", "0"]
    assert mme.text == "Is the circle red?\nAnswer the question using a single word or phrase."
    assert mme.max_new_tokens == 16
    (two,) = asked["mmmu", "1"]
    assert len(two.images) == 2 and "<image 1> or <image 2>" in two.text
    assert len(asked["seedbench", "0"]) == 1 and len(asked["seedbench", "3"]) == 1, "a video's frames in one protocol"
    assert len(asked["seedbench", "3"][0].images) == 2


def test_what_a_rule_draws_depends_on_the_sample_alone(here: Path, scripted: Any) -> None:
    """MMMU's draws an option for an answer that it can't read."""
    import random

    def drawn(seed: int) -> list[Any]:
        random.seed(seed)
        run = janus_eval.evaluate(scripted(lambda question: "???"), ["mmmu"], out=f"runs-{seed}")
        assert random.Random(seed).random() == random.random(), "nobody else's draws are moved"
        return [json.loads(line)["parts"] for line in (run.folder / "scores.jsonl").read_text().splitlines()]

    found = [drawn(seed) for seed in range(3)]
    assert found[0] == found[1] == found[2]
    assert found[0][0]["mmmu_acc"]["parsed_pred"][0] in {"A", "B"}


def test_mm_vet_is_graded_by_an_instrument(here: Path, scripted: Any, endpoint: Any) -> None:
    endpoint.say = lambda prompt: (
        "7" if "plus" in prompt else ("0.8" if prompt.endswith("| red | It is red. |") else "0.1")
    )
    model = scripted(answers({("mm-vet", "0"): "It is red."}))
    run = janus_eval.evaluate(model, ["mm-vet"], out="runs")
    table = run.results["tasks"]["mm-vet"]["graded"]["metrics"]["overall"]
    assert (table["value"], table["unit"]) == (pytest.approx(45.0), "percent")
    assert model.asked[0].text.startswith("First please perform reasoning")


def test_mm_vet_without_a_key_is_refused_before_anything_is_asked(here: Path, scripted: Any) -> None:
    model = scripted(answers({}))
    with pytest.raises(UserError, match="'openai-chat' needs OPENAI_API_KEY"):
        janus_eval.evaluate(model, ["mm-vet"], out="runs")
    assert not model.asked


def test_a_pair_that_half_failed_leaves_mme_a_figure(here: Path, scripted: Any) -> None:
    model = scripted(lambda question: None if question.key.sample == "3" else "yes")
    result = janus_eval.evaluate(model, ["mme"], out="runs").results["tasks"]["mme"]["perception"]
    assert result["metrics"]["overall"]["value"] == 50 + 50
    assert result["metrics"]["overall"]["failed"] == 1
    assert "left out with others of their group" in result["remarks"][0]


def test_the_limit_keeps_every_category_of_mme(here: Path) -> None:
    (entry,) = plan.entries(plan.choices(["mme"]), seed=0, limit=1)
    assert [sample.category for sample in entry.asking.samples] == ["existence"] * 2 + ["color"] * 2 + [
        "code_reasoning"
    ] * 2
