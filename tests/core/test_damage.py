"""Run folders and plugins that someone has spoilt: one line that says how to mend it, and nothing lost by it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import ModuleType

import pytest

import janus_eval
from janus_eval import plugin_files, plugins
from janus_eval.cli import app
from janus_eval.errors import UserError

RUN = ["run", "--suite", "toys", "--out", "runs"]
SCORE = ["score", "runs/toy", "--protocol", "contrary"]
ANEW = "delete it and run the same command again"
LINE = "line 1 is damaged though others follow; delete that line and run the same command again"
FILES = {
    "run.json": "restore it or choose another --out",
    "results.json": ANEW,
    "scores.jsonl": ANEW,
    "samples/toy-ask.jsonl": ANEW,
    "responses.jsonl": LINE,
    "observations.jsonl": LINE,
}


@pytest.fixture
def folder(toys: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    assert app.run(RUN) == 0
    return tmp_path / "runs" / "toy"


@pytest.mark.parametrize("content", ["nonsense\nnonsense\n", "[1]\n[1]\n", '{"schema": 1}', '{"task": "a"}\n' * 2])
@pytest.mark.parametrize("file", FILES)
def test_a_damaged_file_is_named_with_the_way_out(
    folder: Path, file: str, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sound = {path: path.read_bytes() for path in folder.rglob("*.json*")}
    if content.startswith('{"schema') and file.endswith("jsonl"):
        content = f"{content}\n" * 2
    (folder / file).write_text(content)
    for command in (RUN, SCORE):
        assert app.run(command) == 2
        err = capsys.readouterr().err
        assert FILES[file] in err.splitlines()[-1] and file in err and "Traceback" not in err
    for path, data in sound.items():
        assert path.read_bytes() == data or path == folder / file, "nothing else is touched"


@pytest.mark.parametrize("file", ["results.json", "scores.jsonl", "samples/toy-ask.jsonl"])
def test_the_way_out_leads_out(folder: Path, file: str) -> None:
    before = (folder / "results.json").read_bytes(), (folder / "responses.jsonl").read_bytes()
    (folder / file).unlink()
    assert app.run(RUN) == 0
    assert ((folder / "results.json").read_bytes(), (folder / "responses.jsonl").read_bytes()) == before


def test_a_deleted_line_is_asked_again(folder: Path) -> None:
    before, file = (folder / "results.json").read_bytes(), folder / "responses.jsonl"
    lines = file.read_text().splitlines()
    file.write_text("\n".join([*lines[:3], *lines[4:]]) + "\n")
    assert app.run(RUN) == 0
    assert (folder / "results.json").read_bytes() == before
    assert sorted(file.read_text().splitlines()) == sorted(lines)


@pytest.mark.parametrize("lacking", ["text", "input_tokens", "finish"])
def test_a_last_line_that_is_no_whole_response_is_asked_again(folder: Path, lacking: str) -> None:
    before, file = (folder / "results.json").read_bytes(), folder / "responses.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    lines.sort(key=lambda line: "text" in line)
    del lines[-1][lacking]
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    assert app.run(RUN) == 0
    assert (folder / "results.json").read_bytes() == before


def test_a_lost_input_picture_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    next((folder / "images" / "inputs").iterdir()).unlink()
    assert app.run(SCORE) == 2
    assert "No such file or directory; run the same command again" in capsys.readouterr().err
    assert app.run(RUN) == 0 and app.run(SCORE) == 0


def test_protocols_of_tasks_that_were_added_later(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["run", "--task", "toy-big", "--model", "toy", "--out", "runs"]) == 0
    capsys.readouterr()
    assert app.run(SCORE) == 0
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == [
        "toy-ask/contrary",
        "toy-big/contrary",
    ]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return 3", "must return a table kind -> name"),
        ("return {'models': ['a']}", "must return a table kind -> name"),
        ("return {'models': {'a': 3}}", "models 'a' is 3; expected 'module:attr'"),
        ("raise RuntimeError('no such luck')", "fails: RuntimeError: no such luck"),
    ],
)
def test_tables_that_are_none(body: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "odd.py").write_text(f"def plugins():\n    {body}\n")
    plugins.registry.cache_clear()
    assert app.run(["--plugin", str(tmp_path / "odd.py"), "list"]) == 2
    plugins.registry.cache_clear()
    err = capsys.readouterr().err
    assert message in err and len(err.splitlines()) == 1


@pytest.mark.parametrize("name", ["", ".", "..x", "os"])
def test_names_of_no_plugin(name: str) -> None:
    with pytest.raises(UserError, match="--plugin"):
        plugin_files.add(name)


def test_plugins_that_leave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "leaving.py").write_text("import sys\nsys.exit(3)\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("leaving", str(tmp_path / "leaving.py")):
        with pytest.raises(UserError, match="fails: SystemExit: 3"):
            plugin_files.add(name)


def test_offers_that_are_no_such_thing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "odd.py").write_text(
        "one = 1\ndef broken(): return 1 / 0\n"
        "def plugins():\n"
        "    return {'models': {'m': ':one', 'b': ':broken', 's': 'odd_syntax:x'}, 'tasks': {'t': ':one'},\n"
        "            'suites': {'u': ':one'}}\n"
    )
    plugins.registry.cache_clear()
    plugin_files.add(str(tmp_path / "odd.py"))
    try:
        for arguments, message in [
            ("run --model m", "models 'm' of --plugin .* is a int without capabilities, Settings, load"),
            ("run --model b", "models 'b' cannot be made: ZeroDivisionError: division by zero"),
            ("run --model oracle --task t", "tasks 't' .* is a int without name, title, needs, protocols"),
            ("run --model oracle --suite u", "suites 'u' .* is a int without name, tasks, models"),
        ]:
            assert app.run(arguments.split()) == 2
            err = capsys.readouterr().err
            assert re.search(message, err) and len(err.splitlines()) == 1
        for kind in ("models", "tasks", "protocols", "suites"):
            assert app.run(["list", kind]) == 0, "the sound ones are listed all the same"
        assert "shapes-geneval" in capsys.readouterr().out
    finally:
        plugins.registry.cache_clear()


def test_a_module_that_cannot_be_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, toys: ModuleType) -> None:
    (tmp_path / "odd_syntax_of_mine.py").write_text("what?\n")
    monkeypatch.syspath_prepend(tmp_path)
    plugins.registry().add("mine", lambda: {"models": {"odd": "odd_syntax_of_mine:x"}})
    with pytest.raises(UserError, match=r"cannot be imported \(SyntaxError: .*\): a fault of mine"):
        janus_eval.evaluate("odd", ["toy-ask"], out=tmp_path)


def test_long_reasons_are_recorded_short(toys: ModuleType, tmp_path: Path) -> None:
    toys.ToyAsk.protocols["plain"].ask["template"] = "{}?" + " word" * 10_000
    run = janus_eval.evaluate("toy?broken=picture 7 ", ["toy-ask"], out=tmp_path)
    reasons = list(run.results["tasks"]["toy-ask"]["plain"]["troubles"])
    assert len(reasons) == 4 and all("cannot do picture 7" in reason and len(reason) < 700 for reason in reasons)
