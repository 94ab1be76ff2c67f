"""Reading run folders: whole, torn, damaged, and what is none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from janus_eval.errors import UserError
from janus_eval.reports import records

MakeRun = Callable[..., Any]


def append(file: Path, *rows: object) -> None:
    with file.open("a") as out:
        out.writelines(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows)


def test_a_later_line_takes_the_place_of_an_earlier(make_run: MakeRun) -> None:
    path = make_run("again", 1.0, prompts=1).geneval(fail=4).write()
    before = records.read(path)
    failed = [trouble.key for trouble in before.troubles]
    assert len(failed) == 4
    key = failed[0]
    append(
        path / "responses.jsonl",
        {"task": key.task, "sample": key.sample, "index": key.k, "id": key.id, "prompt": "p", "image": "x.png"},
    )
    assert len(records.read(path).troubles) == 3


def test_observations_that_failed_and_were_made_again_are_no_trouble(make_run: MakeRun) -> None:
    path = make_run("blind", 1.0, prompts=1).geneval().write()
    look = {"task": "t", "sample": "s", "index": 0, "id": "i", "role": "detector", "instrument": "d", "look": "l"}
    append(path / "observations.jsonl", {**look, "failure": "no memory"}, {**look, "role": "vqa", "failure": "lost"})
    assert [t.reason for t in records.read(path).troubles] == ["no memory", "lost"]
    append(path / "observations.jsonl", {**look, "data": {}})
    (left,) = records.read(path).troubles
    assert left == records.Trouble(records.Key("t", "s", 0), "vqa (d)", "lost")


def test_a_torn_last_line_is_no_damage_but_a_torn_middle_is(make_run: MakeRun) -> None:
    path = make_run("torn", 1.0, prompts=1).geneval().write()
    with (path / "scores.jsonl").open("a") as file:
        file.write('{"task": "shapes-gen')
    assert records.read(path).unreadable == ()
    append(path / "scores.jsonl", "", {"task": 1}, "[1, 2]")
    assert records.read(path).unreadable == (
        "2 unreadable lines in scores.jsonl",
        "1 line of an unknown form in scores.jsonl",
    )


def test_one_response_for_each_asking(make_run: MakeRun) -> None:
    path = make_run("twice", 1.0, prompts=1).geneval().write()
    first = records.read(path).scores["shapes-geneval", "official"][0]
    other = {"task": first.task, "sample": first.sample, "index": 0, "id": "another", "prompt": "p", "text": "later"}
    append(path / "responses.jsonl", other)
    run = records.read(path)
    judged = run.response(first.task, first.sample, 0, first)
    assert judged is not None
    assert judged.id == first.id
    latest = run.response(first.task, first.sample, 0, None)
    assert latest is not None
    assert latest.text == "later"


def test_what_is_no_run_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a run folder"):
        records.read(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("run.json", '{"schema": 9}', "run.json: schema 9, this version reads 1"),
        ("results.json", '{"schema": 2}', "results.json: schema 2"),
        ("results.json", '{"schema"', "results.json: not JSON"),
        ("results.json", "[]", "a JSON object expected, got list"),
        ("results.json", '{"tasks": {"t": {"p": {"metrics": {"overall": {"value": "high"}}}}}}', "not the results"),
        ("results.json", '{"tasks": [1]}', "not the results"),
        (
            "results.json",
            '{"tasks": {"t": {"p": {"metrics": {"overall": {"value": NaN, "unit": "points", "n": 1}}}}}}',
            "not the results",
        ),
    ],
)
def test_foreign_and_damaged_files(make_run: MakeRun, name: str, content: str, says: str) -> None:
    path = make_run("odd", 1.0, prompts=1).geneval().write()
    (path / name).write_text(content)
    with pytest.raises(UserError, match=says):
        records.read(path)
