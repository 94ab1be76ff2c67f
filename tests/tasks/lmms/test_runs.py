"""lmms-eval's tasks through the whole runner: its figures exactly, our intervals, failures, resuming, judging again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

import janus_eval
from janus_eval import plan
from janus_eval.errors import UserError
from janus_eval.observe import Instruments
from janus_eval.progress import Silent
from janus_eval.runner import Options, rescore
from janus_eval.types import Question

Numbers = Callable[[Mapping[str, Any]], dict[str, float]]
SAID = {0: "red", 1: " Red. It is red", 2: "green", 3: "a colour", 4: "blue", 5: "sky", 6: "no", 7: "yellow"}


def number(text: str) -> int:
    """The doc's, which its question ends in."""
    return int(text.partition("(")[2].partition(")")[0])


def say(question: Question) -> str:
    return SAID[number(question.text)]


def likelihoods(text: str, options: Sequence[str]) -> list[float]:
    """Of a doc, made up; the long option loses as it stands and wins per letter."""
    assert all(option.startswith(" ") for option in options), "lmms-eval puts a space before each"
    own = number(text)
    return [-3.0 - (place + own) % 3 - 0.4 * len(option) for place, option in enumerate(options)]


def metrics(run: janus_eval.Run, task: str, protocol: str = "lmms-eval") -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = run.results["tasks"][task][protocol]["metrics"]
    return found


def theirs(folder: Path, tasks: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, float]]:
    """What lmms-eval's own evaluator makes of the same answers; its models give losses for options."""
    from lmms_eval import evaluator
    from lmms_eval.api.model import lmms
    from lmms_eval.tasks import TaskManager

    class Recorded(lmms):  # type: ignore[misc]
        is_simple = True

        def generate_until(self, requests: Sequence[Any]) -> list[str]:
            return [SAID[number(r.args[0])].partition(r.args[1]["until"][0])[0] for r in requests]

        def loglikelihood(self, requests: Sequence[Any]) -> list[tuple[float, bool]]:
            found = []
            for request in requests:
                text, option = request.args[:2]
                options = [f" {one}" for one in ("red", "green", "a very deep blue", "yellow")]
                found.append((-likelihoods(text, options)[options.index(option)], False))
            return found

        def generate_until_multi_round(self, requests: Sequence[Any]) -> list[str]:
            raise NotImplementedError

    # 0.7.3 makes a text of what a model gives for an option, on which its own multiple choice fails.
    monkeypatch.setattr(evaluator, "unwrap_generation_output", lambda given: (given, None))
    manager = TaskManager(verbosity="ERROR", include_path=str(folder), include_defaults=False)
    found = evaluator.simple_evaluate(
        model=Recorded(), tasks=list(tasks), task_manager=manager, bootstrap_iters=0, process_docs_parallel=1,
        batch_size=1, device="cpu",
    )  # fmt: skip
    results: dict[str, dict[str, float]] = found["results"]
    return results


def test_our_figures_are_theirs(
    here: Path, definitions_folder: Path, scripted: Any, numbers: Numbers, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = scripted(say, likelihoods)
    run = janus_eval.evaluate(model, ["lmms:tiny", "lmms:tiny_both", "lmms:tiny_choice"], out="runs")
    other = theirs(definitions_folder, ["tiny_both", "tiny_choice"], monkeypatch)
    ours = numbers(metrics(run, "lmms:tiny"))
    assert ours == {
        "overall": other["tiny"]["macro,none"],
        **{name: other["tiny"][f"{name},none"] for name in ("macro", "share", "letters")},
    }
    assert ours["macro"] == 0.625 and ours["share"] == 5 / 8, "' Red. It is red' is right once it is cut at the stop"
    both = numbers(metrics(run, "lmms:tiny_both"))
    assert both["overall"] == other["tiny_both"]["share,none"], "as the group's file weighs its tasks"
    assert both["tiny_more:macro"] == other["tiny_more"]["macro,none"]
    choice = numbers(metrics(run, "lmms:tiny_choice"))
    assert choice["acc"] == other["tiny_choice"]["acc,none"]
    assert choice["acc_norm"] == other["tiny_choice"]["acc_norm,none"] != choice["acc"]


def test_units_intervals_and_groups(here: Path, scripted: Any) -> None:
    run = janus_eval.evaluate(scripted(say), ["lmms:tiny"], out="runs")
    found = metrics(run, "lmms:tiny")
    assert [found[name]["unit"] for name in ("macro", "share", "letters")] == ["fraction", "fraction", "percent"]
    for table in found.values():
        assert table["low"] < table["value"] < table["high"] and table["n"] == 8
    assert found["macro"]["low"] >= 0 and found["macro"]["high"] <= 1
    result = run.results["tasks"]["lmms:tiny"]["lmms-eval"]
    assert result["protocol"]["ask"]["task"] == "tiny" and result["protocol"]["ask"]["lmms_eval"].startswith("0.7.")
    lines = [json.loads(line) for line in (run.folder / "scores.jsonl").read_text().splitlines()]
    assert [line["extracted"] for line in lines][:2] == ["red", " Red"]
    assert lines[3]["reason"] == "expected 'green'" and lines[3]["value"] == 0.0
    assert len({line["group"] for line in lines}) == 4, "questions about one picture are one group"
    (sample, *_) = [
        json.loads(line) for line in next((run.folder / "samples").glob("*.jsonl")).read_text().splitlines()
    ]
    assert sample["images"][0].endswith(".jpg"), (
        "the data set's own bytes, for they decode to the pixels that are shown"
    )
    assert sample["metadata"]["dataset"] == "parquet test" and "image" not in sample["target"]["doc"]


def test_the_limit_is_in_groups_of_one_picture(here: Path, scripted: Any) -> None:
    model = scripted(say)
    run = janus_eval.evaluate(model, ["lmms:tiny"], out="runs", limit=1)
    assert [question.key.sample for question in model.asked] == ["0", "1"]
    assert metrics(run, "lmms:tiny")["overall"]["n"] == 2


def test_a_run_goes_on_and_is_judged_again(here: Path, scripted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first = scripted(lambda question: None if number(question.text) == 5 else say(question))
    run = janus_eval.evaluate(first, ["lmms:tiny_choice", "lmms:tiny", "lmms:tiny_pairs"], out="runs")
    pairs = run.results["tasks"]["lmms:tiny_pairs"]["lmms-eval"]
    assert (pairs["metrics"]["overall"]["n"], pairs["metrics"]["overall"]["failed"]) == (6, 1)
    assert pairs["remarks"] == ["macro: 1 samples are left out with others of their group, which failed"]
    assert metrics(run, "lmms:tiny")["overall"]["failed"] == 1
    again = scripted(say)
    run = janus_eval.evaluate(
        again, ["lmms:tiny_choice", "lmms:tiny", "lmms:tiny_pairs"], out="runs", retry_failed=True
    )
    assert len(again.asked) == 2, "only what had failed"
    before = (run.folder / "results.json").read_bytes()
    chosen = plan.choices(["lmms:tiny", "lmms:tiny_choice", "lmms:tiny_pairs"])
    rescore(run.folder, chosen, instruments=Instruments(), options=Options(), display=Silent())
    assert (run.folder / "results.json").read_bytes() == before, "without the data set"
    monkeypatch.setenv("JANUS_EVAL_LMMS_TASKS", "")
    with pytest.raises(UserError, match="no task 'tiny'"):
        plan.choices(["lmms:tiny"])


def test_judging_asks_nobody_and_writes_nothing(here: Path, scripted: Any, capfd: pytest.CaptureFixture[str]) -> None:
    run = janus_eval.evaluate(scripted(say), ["lmms:tiny_upload", "lmms:tiny_server", "lmms:tiny_graded"], out="runs")
    assert [path.name for path in here.iterdir()] == ["runs"]
    tasks = {name: table["lmms-eval"] for name, table in run.results["tasks"].items()}
    assert all(table["metrics"]["overall"]["value"] is None for table in tasks.values())
    assert "gives no number (a file for an upload" in tasks["lmms:tiny_upload"]["remarks"][0]
    assert "asks a server (127.0.0.1)" in tasks["lmms:tiny_server"]["remarks"][0]
    (reason,) = tasks["lmms:tiny_graded"]["troubles"]
    assert reason == "its judging asks a language model, which nothing here does while it judges"
    assert "a table on the screen" not in "".join(capfd.readouterr())


def test_a_language_model_grades_through_an_instrument(here: Path, scripted: Any, endpoint: Any) -> None:
    """What lmms-eval's code would ask is asked an endpoint, recorded, and answered from the record."""
    endpoint.say = lambda prompt: (
        "7" if "plus" in prompt else {"red": "1.0", "green": "0.5"}.get(prompt.split()[3], "x")
    )
    run = janus_eval.evaluate(scripted(say), ["lmms:tiny_graded/graded"], out="runs", limit=3)
    prompts = [prompt for prompt in endpoint.prompts if "plus" not in prompt]
    assert sorted(prompts)[:2] == ["Grade: blue | blue |", "Grade: blue | sky |"]
    lines = [json.loads(line) for line in (run.folder / "scores.jsonl").read_text().splitlines()]
    assert [line["value"] for line in lines] == [1.0, None, 0.5, None, None, None]
    assert lines[1]["reason"].startswith("its judging fails: ValueError"), "a reply that is no grade is no nought"
    asked = len(endpoint.asked)
    janus_eval.evaluate(scripted(say), ["lmms:tiny_graded/graded"], out="runs", limit=3)
    assert len(endpoint.asked) == asked, "an observation is paid for once"


def test_videos_are_refused_one_by_one_and_as_a_whole(here: Path, scripted: Any) -> None:
    model = scripted(say)
    run = janus_eval.evaluate(model, ["lmms:tiny_clip"], out="runs")
    result = run.results["tasks"]["lmms:tiny_clip"]["lmms-eval"]
    assert result["troubles"] == {"it shows the file clip.mp4, which is no picture": 1}
    assert result["metrics"]["share"]["n"] == 7 and result["metrics"]["share"]["failed"] == 1
    with pytest.raises(UserError, match=r"'tiny_clip' cannot be asked here: it shows the file clip\.mp4"):
        from janus_eval.tasks.lmms import rows
        from janus_eval.tasks.lmms.definitions import named

        rows.read(named("tiny_clip")[0], rows.Only("id", "1"), None)


def test_a_group_without_a_figure_of_its_own(here: Path, scripted: Any) -> None:
    run = janus_eval.evaluate(scripted(say), ["lmms:tiny_loose"], out="runs")
    found = metrics(run, "lmms:tiny_loose")
    mean = (found["tiny:macro"]["value"] + found["tiny_more:macro"]["value"]) / 2
    assert found["overall"]["value"] == pytest.approx(mean)
    assert "no figure of its own" in run.results["tasks"]["lmms:tiny_loose"]["lmms-eval"]["remarks"][0]
