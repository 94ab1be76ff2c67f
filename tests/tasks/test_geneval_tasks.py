"""GenEval's published file: read whole, and refused where no picture could be judged by it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from janus_eval.errors import UserError
from janus_eval.tasks import geneval_tasks
from janus_eval.tasks.geneval_tasks import geneval, read
from janus_eval.tasks.instruments import clip_colours

ROW = {"tag": "two_object", "include": [{"class": "cat", "count": 1}, {"class": "dog", "count": 1}], "prompt": "both"}


def written(folder: Path, *rows: Any) -> Path:
    path = folder / "evaluation_metadata.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_rows_become_samples_and_equal_ones_a_group(tmp_path: Path) -> None:
    beside: dict[str, Any] = {
        "tag": "position", "prompt": "a dog left of a cat",
        "include": [{"class": "cat", "count": 1}, {"class": "dog", "count": 1, "position": ["left of", 0]}],
    }  # fmt: skip
    samples = read(written(tmp_path, ROW, beside, ROW))
    assert [sample.id for sample in samples] == ["00000", "00001", "00002"]
    assert [sample.group for sample in samples] == ["00000", "00001", "00000"]
    assert [sample.category for sample in samples] == ["two_object", "position", "two_object"]
    assert samples[1].target["include"] == beside["include"] and samples[1].inputs == {"prompt": "a dog left of a cat"}
    assert geneval.query("detector", samples[1], 0) == {"classes": ["cat", "dog"]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tag": "colours"}, "tag 'colours' is none of"),
        ({"include": []}, "prompt, tag and include"),
        ({"prompt": 3}, "prompt, tag and include"),
        ({"include": [{"count": 1}]}, "include clause 1 has no class"),
        ({"include": [{"class": "cat", "count": 0}]}, "count 0, a number from 1"),
        ({"include": [{"class": "cat", "count": "2"}]}, "count '2'"),
        ({"exclude": [{"class": "cat"}]}, "exclude clause 1: count None"),
        ({"include": [{"class": "cat", "count": 1, "position": ["left of", 0]}]}, "number of a clause before"),
        ({"include": [*ROW["include"], {"class": "x", "count": 1, "position": ["near", 0]}]}, "position ['near', 0]"),
        ({"include": [{"class": "ufo", "count": 1}]}, "include clause 1: class 'ufo' is none of COCO's 80"),
        ({"exclude": [{"class": "tv monitor", "count": 1}]}, "exclude clause 1: class 'tv monitor'"),
        ({"include": [{"class": "cat", "count": 1, "color": "cyan"}]}, "color 'cyan' is none of red, orange"),
    ],
)
def test_what_no_picture_can_be_judged_by_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match="line 2: ") as error:
        read(written(tmp_path, ROW, {**ROW, **change}))
    assert message in str(error.value)


def test_only_line_feeds_end_a_line(tmp_path: Path) -> None:
    """JSON may hold other characters that Python takes for line ends."""
    path = tmp_path / "evaluation_metadata.jsonl"
    prompt = "a cat\u2028and\u0085a dog"
    path.write_text(json.dumps({**ROW, "prompt": prompt}, ensure_ascii=False) + "\r\n", encoding="utf-8", newline="")
    assert [sample.inputs["prompt"] for sample in read(path)] == [prompt]


def test_a_line_that_is_no_json(tmp_path: Path) -> None:
    path = written(tmp_path, ROW)
    path.write_text(path.read_text() + "{\n")
    with pytest.raises(UserError, match="line 2: not JSON"):
        read(path)


def test_without_the_file_the_command_that_gets_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JANUS_EVAL_DATA", str(tmp_path))
    with pytest.raises(UserError, match="janus-eval fetch geneval"):
        geneval.samples(geneval.protocols["official"].ask)


def test_the_colours_are_the_classifiers() -> None:
    assert geneval_tasks.COLOURS == clip_colours.COLOURS
