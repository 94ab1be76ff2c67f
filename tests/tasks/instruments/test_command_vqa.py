"""A program as a question answerer: what it says, how it can fail, and that it is the only one to suffer for it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import pytest
from PIL import Image

from janus_eval.cli.app import run as command
from janus_eval.errors import AbsentError, UserError
from janus_eval.observe import Instruments
from janus_eval.pictures import Picture
from janus_eval.store import read_json
from janus_eval.tasks.instruments.command_vqa import CommandVQA
from janus_eval.types import Failure, Look, Observation

BEGIN = 'import json, sys, time\nprint(json.dumps({"name": "toy", "version": "7"}), flush=True)\n'
ANSWER = """
from PIL import Image
for line in sys.stdin:
    asked = json.loads(line)
    level = Image.open(asked["image"]).getpixel((0, 0))[0]
    %s
    print(json.dumps({"answers": {key: str(level) for key in asked["questions"]}}), flush=True)
"""


def program(folder: Path, body: str = ANSWER % "", begin: str = BEGIN) -> str:
    (folder / "a program.py").write_text(begin + body)
    return f"{sys.executable} '{folder / 'a program.py'}'"


def look(level: int, questions: Sequence[str] = ("1", "2")) -> Look:
    picture = Picture.from_pil(Image.new("RGB", (4, 4), (level, 0, 0)))
    return Look({"questions": {key: f"{key}?" for key in questions}}, image=picture)


def outcomes(found: Sequence[Observation | Failure]) -> list[str]:
    """The answers, which are all alike, or why there are none."""
    said = []
    for one in found:
        if isinstance(one, Failure):
            said.append(one.reason)
        else:
            (answer,) = set(cast(Mapping[str, str], one.data["answers"]).values())
            said.append(answer)
    return said


def test_it_answers_look_by_look(tmp_path: Path) -> None:
    answerer = CommandVQA(program(tmp_path))
    assert answerer.kind == "visual_qa" and answerer.version == "1 toy 7"
    found = answerer.observe([look(3), Look({"questions": {}}), look(9, ("x",))])
    assert outcomes(found) == ["3", "there is no picture to look at", "9"]
    assert isinstance(found[2], Observation) and found[2].data == {"answers": {"x": "9"}}
    assert outcomes(answerer.observe([Look({"questions": {"1": "?"}}, image=Picture(b"none"))]))[0].startswith(
        "the pict"
    )


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("if level == 2: sys.exit(5)", "ended with exit status 5"),
        ("if level == 2: raise ValueError('out of memory')", "ended with exit status 1 (ValueError: out of memory)"),
        ("if level == 2: time.sleep(60)", "said nothing for 2 seconds"),
        ("if level == 2: print('Loading')", "said 'Loading', expected JSON"),
        ("if level == 2: print('[1]')", "said [1], expected a JSON object"),
        ("if level == 2: asked['questions'].pop('2')", 'expected answers to 1, 2, got {"answers": {"1": "2"}}'),
        ("if level == 2: print(json.dumps({'answers': {'1': 1, '2': 2}}))", "answers are no texts"),
    ],
)
def test_a_look_that_it_fails_at_is_one_failure(tmp_path: Path, fault: str, reason: str) -> None:
    answerer = CommandVQA(program(tmp_path, ANSWER % fault), patience=2)
    found = outcomes(answerer.observe([look(1), look(2), look(3)]))
    assert (found[0], found[2]) == ("1", "3") and reason in found[1]


def test_an_error_that_it_tells_does_not_end_it(tmp_path: Path) -> None:
    said = "if level == 2: print(json.dumps({'error': 'cannot see'}), flush=True); continue"
    started = f"open({str(tmp_path / 'log')!r}, 'a').write('x')\n"
    answerer = CommandVQA(program(tmp_path, ANSWER % said, BEGIN + started))
    assert outcomes(answerer.observe([look(1), look(2), look(3)]))[1].endswith("cannot see")
    assert (tmp_path / "log").read_text() == "x"


def test_one_that_always_ends_is_not_started_for_ever(tmp_path: Path) -> None:
    started = f"open({str(tmp_path / 'log')!r}, 'a').write('x')\nsys.exit()\n"
    found = outcomes(CommandVQA(program(tmp_path, "", BEGIN + started)).observe([look(k) for k in range(5)]))
    assert (tmp_path / "log").read_text() == "xxx"
    assert all("ended with exit status 0" in one for one in found[:3])
    assert all("ended 3 times in a row and is not started again" in one for one in found[3:])


def test_what_cannot_be_started_is_told_before_a_run(tmp_path: Path) -> None:
    for begin, message in (
        ("", "ended with exit status 0"),
        ("print('hello', flush=True)\n", "said 'hello', expected JSON"),
        ('print(\'{"name": "x"}\', flush=True)\n', "expected {.*} first"),
    ):
        with pytest.raises(UserError, match=message):
            CommandVQA(program(tmp_path, "", begin)).prepare()
    with pytest.raises(UserError, match="cannot run nowhere/at-all"):
        Instruments().ready("command:nowhere/at-all")
    with pytest.raises(AbsentError, match="command:PROGRAM ARGS"):
        Instruments().ready("command")
    with pytest.raises(UserError, match="No closing quotation"):
        Instruments().get("command:'x")


def test_another_version_half_way_is_not_taken(tmp_path: Path) -> None:
    answerer = CommandVQA(program(tmp_path, ANSWER % "if level == 2: sys.exit(5)"))
    assert answerer.version == "1 toy 7"
    program(tmp_path, begin=BEGIN.replace('"7"', '"8"'))
    assert "calls itself 'toy 8' now, 'toy 7' before" in outcomes(answerer.observe([look(2), look(3)]))[1]


def test_a_run_is_judged_by_it(tmp_path: Path) -> None:
    answerer = f"visual_qa=command:{program(tmp_path, ANSWER.replace('str(level)', repr('yes')) % '')}"
    arguments = ["run", "--task", "shapes-dpg", "--model", "blank", "--limit", "2", "--instrument", answerer]
    assert command([*arguments, "--out", str(tmp_path / "out")]) == 0
    results = read_json(tmp_path / "out" / "blank" / "results.json")["tasks"]["shapes-dpg"]["fixed"]
    assert results["metrics"]["overall"]["value"] == 100
    assert results["protocol"]["observe"] == {"visual_qa": answerer.partition("=")[2]}
