"""Sweeps: which cells there are, what is refused, and that each is a run like any other."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import janus_eval
from janus_eval.cli import app
from janus_eval.errors import UserError
from janus_eval.specs import contenders
from janus_eval.sweeps import cells, parse_sweep

TWO = {"skill": ["0.3", "0.7"], "memory": ["4", "0"]}


def test_every_combination_with_the_last_option_fastest(toys: ModuleType) -> None:
    assert [str(cell) for cell in cells(["toy:x?role=null", "fixed"], TWO, {})] == [
        "toy:x?role=null&skill=0.3&memory=4",
        "toy:x?role=null&skill=0.3&memory=0",
        "toy:x?role=null&skill=0.7&memory=4",
        "toy:x?role=null&skill=0.7&memory=0",
        "fixed",
    ]
    assert [str(cell) for cell in cells(["toy", "fixed"], {}, {})] == ["toy", "fixed"]


def test_the_cell_with_the_defaults_has_the_default_runs_folder(toys: ModuleType) -> None:
    folders = [ready.folder for ready in contenders(cells(["toy"], TWO, {}), {})]
    assert folders[3] == "toy" and len(set(folders)) == 4


def test_values_may_hold_any_character() -> None:
    assert parse_sweep(["role=a%2Cb,100%25,=", "n=1"]) == {"role": ["a,b", "100%", "="], "n": ["1"]}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--sweep skil=1,2", "--sweep skil: no model here has this option; did you mean 'skill'"),
        ("--sweep skill", "--sweep: 'skill' is no sweep; expected KEY=V1,V2,..."),
        ("--sweep =1", "'=1' is no sweep"),
        ("--sweep skill=", "a value is empty"),
        ("--sweep skill=0.1,,0.2", "a value is empty"),
        ("--sweep skill=0.5,0.5", "--sweep skill: value '0.5' is given twice"),
        ("--sweep skill=1,1.0", "--sweep skill: value '1.0' is given twice ('1')"),
        ("--sweep skill=1 --sweep skill=0", "option 'skill' is given twice"),
        ("--sweep skill=1,0 --set skill=1", "--sweep skill: --set skill=1 fixes it; leave out one of the two"),
        ("--sweep skill=1,0 --model toy?skill=1", "--sweep skill: model 'toy?skill=1' fixes it"),
        ("--sweep skill=1,0 --model toy --model toy", "model 'toy' is given twice"),
        ("--sweep skill=1,2", "model 'toy', skill: Input should be less than or equal to 1, got '2'"),
        ("--sweep skill=1,0 --model fixed", "no model here has this option (none)"),
    ],
)
def test_every_mistake_is_one_line(
    toys: ModuleType, arguments: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(["run", "--suite", "toys", "--out", str(tmp_path / "runs"), *arguments.split()]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and len(captured.err.splitlines()) == 1 and message in captured.err
    assert not (tmp_path / "runs").exists(), "found out before anything was run"


def test_every_cell_is_a_run_that_goes_on(
    toys: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    words = "run --task toy-ask --model toy --model fixed --out runs --sweep skill=0.3,0.7"
    command = [*words.split(), "--sweep"]
    assert app.run([*command, "memory=0,4"]) == 0
    captured = capsys.readouterr()
    assert "toy?skill=0.3&memory=4 (2 of 5)" in captured.err and "fixed (5 of 5)" in captured.err
    assert "toy by skill and memory" in captured.out
    assert captured.out.splitlines()[-1] == "runs/report.html"
    assert all(len(line) <= 80 for line in captured.out.splitlines())
    models = [json.loads(file.read_text())["model"] for file in Path("runs").glob("*/run.json")]
    settings = sorted((m["settings"]["skill"], m["settings"]["memory"]) for m in models if m["name"] == "toy")
    assert settings == [(0.3, 0), (0.3, 4), (0.7, 0), (0.7, 4)]
    assert len(models) == 5 and Path("runs/toy/run.json").is_file() and Path("runs/fixed/run.json").is_file()

    with monkeypatch.context() as patched:
        patched.setattr(toys.Toy, "answer", lambda self, questions: pytest.fail("asked again"))
        assert app.run([*command, "memory=0,4"]) == 0
    before = {file: file.read_bytes() for file in Path("runs").glob("*/responses.jsonl")}
    assert app.run([*command, "memory=0,4,8"]) == 0
    assert {file: file.read_bytes() for file in before} == before
    assert len(list(Path("runs").glob("*/responses.jsonl"))) == 7


def test_from_python(toys: ModuleType, tmp_path: Path) -> None:
    over: dict[str, list[Any]] = {"role": [None, ""], "skill": [0, 1]}
    runs = janus_eval.sweep("toy", over, ["toy-ask"], out=tmp_path, limit=1, settings={"memory": 2})
    settings = [run.results["model"]["settings"] for run in runs]
    assert [(s["role"], s["skill"]) for s in settings] == [(None, 0), (None, 1), ("", 0), ("", 1)]
    assert {s["memory"] for s in settings} == {2}
    values = [run.results["tasks"]["toy-ask"]["plain"]["metrics"]["overall"]["value"] for run in runs]
    assert values == [0, 1, 0, 1]
    mistakes: list[tuple[dict[str, list[Any]], str]] = [
        ({"skil": [1]}, "over skil: no model here has this option"),
        ({"skill": []}, "over skill: no values"),
        ({"skill": [1, 1.0]}, "over skill: value 1.0 is given twice"),
        ({"memory": [1, 2]}, "over memory: model 'toy.memory=2' fixes it"),
    ]
    for wrong, message in mistakes:
        with pytest.raises(UserError, match=message):
            janus_eval.sweep("toy", wrong, ["toy-ask"], out=tmp_path, settings={"memory": 2})
