"""``janus-eval explain`` from a run folder to its words: deliberate breaks of the embedded models, and bad targets."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import janus_eval
from janus_eval import plugin_files
from janus_eval.errors import UserError
from janus_eval.reports import explain_render, explain_words
from janus_eval.reports.explain_targets import explanations

CLUMSY = Path(__file__).parents[1] / "core" / "clumsy.py"
Clumsy = plugin_files.load(str(CLUMSY)).Clumsy
ROLES = {"user_role": "User", "assistant_role": "Assistant"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs")
    return janus_eval.evaluate(Clumsy(), ["shapes-mmbench", "shapes-dpg"], out=out, limit=3).folder


def own(path: Path, value: float, knobs: dict[str, Any], *, task: str = "shapes-mmbench", **changes: Any) -> Path:
    source = {"paper": "Our table", "arxiv": None, "table": None, "as_reported_in": "a note"}
    figure = {
        "system": "Ours", "variant": None, "params": None, "kind": "unified", "benchmark": task, "metric": "overall",
        "value": value, "unit": "percent", "higher_is_better": True, "source": source, **changes,
    }  # fmt: skip
    facts = [{"knobs": knobs, "basis": "stated", "source": "our notes"}]
    path.write_text(json.dumps({"figures": [figure], "facts": facts}))
    return path


def test_wrong_roles_of_the_embedded_model_are_found(tmp_path: Path) -> None:
    """Another run with the right ones says what they are worth; a figure alone, what to run."""
    spec, limit = ["shapes-mmbench"], 3
    wrong = janus_eval.evaluate("nano-janus-pro", spec, out=tmp_path, limit=limit, settings=ROLES).folder
    right = janus_eval.evaluate("nano-janus-pro", spec, out=tmp_path, limit=limit).folder
    [found] = explanations(wrong, str(right), [])
    gap = found.gap
    assert gap is not None and gap.by > 10 and not gap.parts and gap.rest.by == pytest.approx(gap.by)
    assert [d[:3] for d in gap.rest.differences] == [
        ("settings.user_role", "User", "<|User|>"),
        ("settings.assistant_role", "Assistant", "<|Assistant|>"),
    ]
    assert (
        "By the answers themselves, made with another settings.user_role and settings.assistant_role: +"
        in explain_words.verdict(gap)
    )
    assert [step.command.partition("--model ")[2].partition(" --")[0] for step in found.steps] == [
        "'nano-janus-pro?assistant_role=Assistant'",
        "'nano-janus-pro?user_role=User'",
    ]
    value = 100 * gap.there
    knobs = {"protocol": "circular", "settings.user_role": "<|User|>", "settings.assistant_role": "<|Assistant|>"}
    [found] = explanations(wrong, str(own(tmp_path / "own.json", value, knobs)), [])
    assert found.gap is not None and not found.gap.parts
    assert [d.knob for d in found.gap.rest.differences] == ["settings.user_role", "settings.assistant_role"]
    assert found.steps[0].command.startswith(
        "janus-eval run --task shapes-mmbench/circular --model nano-janus-pro --limit"
    )
    assert found.steps[0].seconds is not None and found.steps[0].seconds > 0


def test_circular_for_vanilla_is_found_in_the_words(finished: Path, tmp_path: Path) -> None:
    [found] = explanations(finished, str(own(tmp_path / "own.json", 75.0, {"protocol": "vanilla-all"})), [])
    text = explain_render.markdown([found])
    assert "| judge.aggregate: circular → rows | +" in text and "| the whole gap | +" in text
    assert found.gap is not None
    assert sum(p.by for p in found.gap.parts) + found.gap.rest.by == pytest.approx(found.gap.by)


def test_a_dropped_row_is_found_in_the_words(finished: Path, tmp_path: Path) -> None:
    file = own(tmp_path / "own.json", 60.0, {"protocol": "official"}, task="shapes-dpg")
    [found] = explanations(finished, str(file), [])
    assert found.gap is not None and {p.knob: abs(p.by) > 0.1 for p in found.gap.parts} == {
        "judge.first_row": True,
        "judge.categories": False,
    }
    assert "judge.first_row: kept → dropped" in explain_render.text([found])


def test_without_another_side_every_task_is_looked_at(finished: Path) -> None:
    found = explanations(finished, None, [])
    assert [e.task for e in found] == ["shapes-mmbench", "shapes-dpg"] and not any(e.gap for e in found)
    assert "shapes-dpg/fixed" in explain_render.text(found)


def test_a_protocol_that_both_runs_have_is_held_against_itself(finished: Path, tmp_path: Path) -> None:
    other = janus_eval.evaluate(
        Clumsy(guidance=4), ["shapes-mmbench/vanilla-all", "shapes-mmbench/circular"], out=tmp_path, limit=3
    ).folder
    [found] = explanations(finished, str(other), [])
    assert found.gap is not None and not found.gap.parts and found.gap.by == 0
    assert [d.knob for d in found.gap.rest.differences] == ["settings.guidance"]


@pytest.mark.parametrize(
    ("against", "says"),
    [
        ("janus-pro-7b", "the ledger has no figure of shapes-mmbench and shapes-dpg"),
        ("no/such/run", "no such file or run folder"),
        ("absent.json", "no such file or run folder"),
        (".", "this folder is no run"),
    ],
)
def test_targets_that_are_none(
    finished: Path, against: str, says: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=says):
        explanations(finished, against, [])


def test_files_of_several_systems_want_a_name(finished: Path, tmp_path: Path) -> None:
    file = own(tmp_path / "own.json", 75.0, {})
    table = json.loads(file.read_text())
    table["figures"].append({**table["figures"][0], "system": "Theirs", "value": 60.0})
    file.write_text(json.dumps(table))
    with pytest.raises(UserError, match="Ours and Theirs: say which"):
        explanations(finished, str(file), [])
    [found] = explanations(finished, f"{file}:theirs", [])
    assert found.gap is not None and found.gap.there == pytest.approx(0.6)
    with pytest.raises(UserError, match="no figure of shapes-mmbench by 'others'"):
        explanations(finished, f"{file}:others", [])


def test_units_that_no_task_has(finished: Path, tmp_path: Path) -> None:
    file = own(tmp_path / "own.json", 30.0, {}, unit="clip_x100")
    with pytest.raises(UserError, match="clip_x100"):
        explanations(finished, str(file), [])


def test_a_protocol_that_is_none_is_named(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no protocol 'vanila'; did you mean 'vanilla-"):
        explanations(finished, str(own(tmp_path / "own.json", 75.0, {"protocol": "vanila"})), [])


def test_the_command_line(finished: Path, tmp_path: Path) -> None:
    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "janus_eval", "explain", *arguments]
        return subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path)

    done = call(str(finished), "--task", "shapes-mmbench", "--format", "md", "-o", "explain.md")
    assert done.returncode == 0 and done.stdout == "explain.md\n", done.stderr
    assert (tmp_path / "explain.md").read_text().startswith("## shapes-mmbench/circular: ")
    refused = call(str(finished / "images"))
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1 and "not a run folder" in refused.stderr
