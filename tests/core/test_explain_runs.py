"""One run explained against another: what judging does, what only one of them was asked, and what the answers do."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import pytest

from janus_eval import plan, plugin_files
from janus_eval.explaining.explain import explain, explain_runs
from janus_eval.explaining.records import Printed
from janus_eval.plan import Choice
from janus_eval.specs import offered

clumsy = plugin_files.load(str(Path(__file__).with_name("clumsy.py")))
Clumsy, again, choice, headline, run, whole = (
    getattr(clumsy, name) for name in ("Clumsy", "again", "choice", "headline", "run", "whole")
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("runs") / "clumsy", plan.choices(["shapes-geneval", "shapes-mmbench"]))


@pytest.fixture
def own(finished: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return shutil.copytree(finished, tmp_path / "copy")


def test_runs_that_differ_in_judging_alone(finished: Path, own: Path, tmp_path: Path) -> None:
    other = run(tmp_path / "other", [choice("shapes-mmbench/vanilla-all")])
    gap = explain_runs(finished, "shapes-mmbench", other, "shapes-mmbench").gap
    assert gap is not None and [(p.knob, p.by) for p in gap.parts] == [("judge.aggregate", pytest.approx(gap.by))]
    assert gap.rest.by == 0 and gap.rest.alike == 0


def test_runs_that_differ_in_a_role_and_in_judging(tmp_path: Path, finished: Path) -> None:
    """All four numbers are had by running; the shares are those of the two orders."""
    task = "shapes-mmbench"
    other = run(tmp_path / "other", [choice(f"{task}/vanilla-all")], Clumsy(user_role="User"))
    here, there = headline(finished, f"{task}/circular"), headline(other, f"{task}/vanilla-all")
    vanilla = again(tmp_path / "a", f"{task}/vanilla-all")
    circular = again(tmp_path / "b", f"{task}/circular", Clumsy(user_role="User"))
    gap = explain_runs(finished, task, other, task).gap
    assert gap is not None
    [part] = gap.parts
    assert part.by == pytest.approx(50 * ((vanilla - here) + (there - circular)))
    assert gap.rest.by == pytest.approx(50 * ((circular - here) + (there - vanilla))) and gap.rest.by < 0
    assert gap.rest.alike == pytest.approx(100 * (there - vanilla))
    assert gap.rest.low is not None and gap.rest.low < gap.rest.alike and gap.rest.paired > 10
    assert [d[:3] for d in gap.rest.differences] == [("settings.user_role", "<|User|>", "User")]
    assert whole(gap) == pytest.approx(gap.by, abs=1e-12) and gap.agreeing == ["settings.guidance"]


def test_settings_that_only_one_of_two_models_has_are_named_without_a_command(own: Path, finished: Path) -> None:
    header = json.loads((own / "run.json").read_text())
    settings = header["model"]["settings"]
    header["model"] |= {"settings": {**settings, "user_role": "User", "steps": 15}, "weights": "others"}
    (own / "run.json").write_text(json.dumps(header))
    found = explain_runs(finished, "shapes-mmbench", own, "shapes-mmbench")
    assert found.gap is not None
    assert {d.knob for d in found.gap.rest.differences} == {"settings.user_role", "settings.steps", "weights"}
    assert [d.knob for step in found.steps for d in step.differences] == ["settings.user_role"]


def test_a_row_that_one_run_lost_is_found(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = offered("tasks", "shapes-geneval")
    rows = task.samples(task.protocols["official"].ask)
    group = next(sample.group for sample in rows if sample.category == "two_object")
    monkeypatch.setattr(task, "source", lambda ask: [row for row in rows if row.group != group])
    # The next prompt of that category takes its place under the limit.
    other = run(tmp_path / "other", [Choice(task, task.protocols["official"])])
    gap = explain_runs(finished, "shapes-geneval", other, "shapes-geneval").gap
    assert gap is not None and gap.by
    assert {part.knob for part in gap.parts} == {"rows that only this run has", "rows that only the other run has"}
    assert math.fsum(part.by for part in gap.parts) == pytest.approx(gap.by)
    assert gap.rest.by == pytest.approx(0) and gap.rest.alike == pytest.approx(0)
    assert all(part.note.startswith("1 of ") for part in gap.parts)


def test_thresholds_and_numbers_of_pictures_of_two_runs(finished: Path, tmp_path: Path) -> None:
    """Only the run with four pictures can be judged by one; the other's threshold can be turned on both."""
    other = run(tmp_path / "other", [choice("shapes-geneval", ask__images_per_prompt=1, judge__threshold=0.5)])
    here, there = headline(finished, "shapes-geneval/official"), headline(other, "shapes-geneval/official")
    strict = again(tmp_path / "a", "shapes-geneval", judge__threshold=0.5)
    one = again(tmp_path / "b", "shapes-geneval", ask__images_per_prompt=1)
    gap = explain_runs(finished, "shapes-geneval", other, "shapes-geneval").gap
    assert gap is not None and whole(gap) == pytest.approx(100 * (there - here), abs=1e-9)
    by = {part.knob: part for part in gap.parts}
    assert set(by) == {"ask.images_per_prompt", "judge.threshold"}
    # Pictures are dropped before the other run's answers come, which then are the same: two orders of three have the
    # threshold turned on one picture.
    pictures, threshold, both = one - here, strict - here, there - here
    assert by["judge.threshold"].by == pytest.approx(100 * (2 * (both - pictures) + threshold) / 3)
    assert by["ask.images_per_prompt"].by == pytest.approx(100 * (2 * pictures + (both - threshold)) / 3)
    assert gap.rest.by == pytest.approx(0, abs=1e-9) and gap.rest.alike == pytest.approx(0)
    assert "one run's" in by["ask.images_per_prompt"].note and not by["judge.threshold"].note


def test_another_seed_is_another_set_of_answers(finished: Path, tmp_path: Path) -> None:
    other = run(tmp_path / "other", [choice("shapes-geneval")], seed=1)
    rest = explain_runs(finished, "shapes-geneval", other, "shapes-geneval").gap.rest  # type: ignore[union-attr]
    assert [d.knob for d in rest.differences] == ["seed"]
    assert rest.low is not None and rest.high is not None and rest.low < rest.alike < rest.high


def test_other_rows_altogether_are_not_paired(finished: Path, own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [json.loads(line) for line in (own / "samples" / "shapes-mmbench.jsonl").read_text().splitlines()]
    for row in lines:
        row["metadata"]["other"] = True
    (own / "samples" / "shapes-mmbench.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))
    rest = explain_runs(finished, "shapes-mmbench", own, "shapes-mmbench").gap.rest  # type: ignore[union-attr]
    assert rest.paired == 0 and rest.low is not None and "data" in [d.knob for d in rest.differences]


def test_a_number_that_this_version_judges_otherwise(own: Path) -> None:
    results = json.loads((own / "results.json").read_text())
    results["tasks"]["shapes-mmbench"]["circular"]["metrics"]["overall"]["value"] += 0.1
    (own / "results.json").write_text(json.dumps(results))
    explanation = explain(own, "shapes-mmbench", Printed("theirs", 0.9, "fraction"))
    assert explanation.rejudged is not None and explanation.gap is not None
    assert explanation.gap.parts[0].knob == "the judging code" and explanation.gap.parts[0].by == pytest.approx(-10)
    assert whole(explanation.gap) == pytest.approx(explanation.gap.by, abs=1e-9)
