"""A run for other tools: every request in one Parquet row, lmms-eval's files, a model card's metadata."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from huggingface_hub import ModelCard

from janus_eval.cli import app
from janus_eval.errors import UserError
from janus_eval.reports import exports_card, exports_lmms, exports_parquet, exports_rows

Change = Callable[[Path, Callable[[Any], Any]], None]


@pytest.fixture
def run(own_runs: list[Path]) -> Path:
    """A trained model with three failures."""
    return own_runs[0]


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_parquet_has_one_row_a_request(run: Path, tmp_path: Path) -> None:
    (told,) = exports_parquet.write(run, tmp_path / "run.parquet")
    frame = pd.read_parquet(tmp_path / "run.parquet")
    assert len(frame) == len(lines(run / "responses.jsonl")) and told.endswith(f": {len(frame):,} requests")
    assert set(frame["model"]) == {"nano-janus-pro"}
    metric = json.loads((run / "results.json").read_text())["tasks"]["shapes-geneval"]["official"]["metrics"]
    own = frame[frame["task"] == "shapes-geneval"]
    assert own["value"].mean() == pytest.approx(metric["overall"]["value"])
    assert own["failure"].notna().sum() == metric["overall"]["failed"] == 3
    assert own["failed"].sum() == 3 and own["value"].isna().sum() == 3
    first = own.iloc[5]
    assert json.loads(first["target"])["include"] and json.loads(first["inputs"])["prompt"] == first["prompt"]
    assert first["category"] and (run / first["image"]).is_file()
    about = json.loads(pq.read_schema(tmp_path / "run.parquet").metadata[b"janus_eval"])
    assert about["run"]["model"]["name"] == "nano-janus-pro" and "shapes-geneval" in about["results"]["tasks"]


def test_further_protocols_stand_beside_the_first(run: Path, tmp_path: Path, change_lines: Change) -> None:
    again = [{**row, "protocol": "lenient", "value": 1.0} for row in lines(run / "scores.jsonl")]
    with (run / "scores.jsonl").open("a") as file:
        file.write("".join(json.dumps(row) + "\n" for row in again))
    exports_parquet.write(run, tmp_path)
    row = pd.read_parquet(tmp_path / "nano-janus-pro.parquet").iloc[0]
    assert row["protocol"] == "circular"
    assert [(other["protocol"], other["value"]) for other in row["others"]] == [("lenient", 1.0)]


def test_samples_are_those_of_the_protocols_own_asking(run: Path, tmp_path: Path, change_lines: Change) -> None:
    file = run / "samples" / "shapes-geneval.jsonl"
    rows = [{**row, "task": "shapes-geneval"} for row in lines(file)]
    other = [{**row, "ask": "aa", "category": "other"} for row in rows]
    own = [{**row, "ask": "bb"} for row in rows]
    file.write_text("".join(json.dumps(row) + "\n" for row in [*other, *own]))
    header = json.loads((run / "run.json").read_text())
    header["tasks"] = {"shapes-geneval": {"official": {"asking": "bb"}}}
    (run / "run.json").write_text(json.dumps(header))
    found = [row for row in exports_rows.read(run).rows if row.response["task"] == "shapes-geneval"]
    assert found and "other" not in {row.sample["category"] for row in found}


def test_damage_and_odd_text_do_not_stop_an_export(run: Path, tmp_path: Path) -> None:
    with (run / "responses.jsonl").open("a") as file:
        odd = {"task": "shapes-ocr-read", "sample": "s", "index": 0, "id": "z", "text": "\ud800<b>", "prompt": "p"}
        file.write(f'{{"task": 1\n[]\n{json.dumps(odd)}\n{{"task": "torn')
    told = exports_parquet.write(run, tmp_path / "a.parquet")
    assert told[1] == "2 unreadable lines of responses.jsonl left out"
    last = pd.read_parquet(tmp_path / "a.parquet").iloc[-1]
    assert last["text"] == "\ufffd<b>" and pd.isna(last["protocol"])


def test_a_request_asked_again_counts_once(run: Path) -> None:
    before = exports_rows.read(run).rows
    failed = next(row.response for row in before if "failure" in row.response)
    again = {key: value for key, value in failed.items() if key != "failure"} | {"image": "images/x.png"}
    with (run / "responses.jsonl").open("a") as file:
        file.write(json.dumps(again) + "\n")
    after = exports_rows.read(run).rows
    assert len(after) == len(before)
    assert sum("failure" in row.response for row in after) == 2


def test_lmms_eval_finds_its_own_files(run: Path, tmp_path: Path) -> None:
    """What ``lmms_eval/utils.py:make_table`` and ``baselines/loader.py`` read of them."""
    exports_lmms.write(run, tmp_path / "out")
    (folder,) = (tmp_path / "out").iterdir()
    assert folder.name == "nano__nano-janus-pro", "the last two parts of models/nano/nano-janus-pro"
    stamp = "20261122_140311"
    whole = json.loads((folder / f"{stamp}_results.json").read_text())
    name = "shapes_geneval_official"
    own = whole["results"][name]
    metric = json.loads((run / "results.json").read_text())["tasks"]["shapes-geneval"]["official"]["metrics"]["overall"]
    assert own["alias"] == name and own["overall,none"] == metric["value"]
    assert own["overall_stderr,none"] == pytest.approx((metric["high"] - metric["low"]) / 3.92, rel=1e-3)
    for table in ("configs", "versions", "n-shot", "higher_is_better", "n-samples", "group_subtasks", "task_hashes"):
        assert set(whole[table]) == set(whole["results"]), table
    rows = lines(folder / f"{stamp}_samples_{name}.jsonl")
    assert [row["doc_id"] for row in rows] == list(range(len(rows))) and len(rows) == 30
    assert all(isinstance(row["target"], str) and len(row["filtered_resps"]) == 4 for row in rows)
    values = [row["score"] for row in rows if row["score"] is not None]
    assert min(values) >= 0 and max(values) <= 1
    joined = "".join(f"sample_{place}{row['doc_hash']}" for place, row in enumerate(rows))
    assert whole["task_hashes"][name] == hashlib.sha256(joined.encode()).hexdigest()
    (single, *_) = lines(folder / f"{stamp}_samples_shapes_mmbench_circular.jsonl")
    assert isinstance(single["filtered_resps"], str) and "resps" not in single, "one answer stands alone there"


@pytest.mark.parametrize("name", ["card.md", "folder"])
def test_the_hub_reads_the_model_card(run: Path, tmp_path: Path, name: str) -> None:
    exports_card.write(run, tmp_path / name)
    card = ModelCard.load(tmp_path / name if name.endswith(".md") else tmp_path / name / "README.md")
    found = {(one.dataset_type, one.dataset_config): one for one in card.data.eval_results}
    tasks = json.loads((run / "results.json").read_text())["tasks"]
    assert set(found) == {(task, protocol) for task, protocols in tasks.items() for protocol in protocols}
    assert card.data.model_name == "nano-janus-pro"
    one = found["shapes-geneval", "official"]
    metric = tasks["shapes-geneval"]["official"]["metrics"]["overall"]
    assert one.metric_value == metric["value"] and one.task_type == "text-to-image"
    assert one.metric_args["low"] == metric["low"] and one.metric_args["failed"] == 3
    assert one.dataset_args["judge"] == {"threshold": 0.3, "max_objects": 16}
    assert found["shapes-mmbench", "circular"].task_type == "image-text-to-text"


def test_a_part_of_a_benchmark_says_so_on_the_card(run: Path, tmp_path: Path) -> None:
    header = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**header, "limit": 5}))
    names = [one.dataset_name for one in exports_card.results(exports_rows.read(run))]
    assert len(names) == 5 and all(name.endswith("(the first 5 groups of each category)") for name in names)


@pytest.mark.parametrize("write", [exports_parquet.write, exports_lmms.write, exports_card.write])
def test_runs_that_cannot_be_exported(write: Callable[[Path, Path], list[str]], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a run folder"):
        write(tmp_path, tmp_path / "out")
    (tmp_path / "run.json").write_text('{"schema": 1, "model": {}, "seed": 0, "tasks": {}}')
    with pytest.raises(UserError, match="no response yet") as caught:
        write(tmp_path, tmp_path / "out")
    assert caught.value.code == 3
    (tmp_path / "run.json").write_text('{"schema": 2}')
    with pytest.raises(UserError, match="schema 2"):
        write(tmp_path, tmp_path / "out")


@pytest.mark.parametrize("form", ["parquet", "lmms-eval", "model-index"])
def test_from_the_command_line(run: Path, tmp_path: Path, form: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "out")
    assert app.run(["export", str(run), "--format", form, "-o", out]) == 0
    assert capsys.readouterr().out.startswith(out)
    assert app.run(["export", str(run), "--format", form, "-o", out]) == 2, "nothing is written over"
    assert app.run(["export", str(run), "--format", form, "-o", out + "2", "--task", "shapes-dpg"]) == 2
    assert f"{form} takes a run whole" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "folder"), [("org/m", "org__m"), ("..", "model"), ("a/..", "a__.."), ("", "model")])
def test_no_model_names_a_folder_beside_the_one_asked_for(name: str, folder: str) -> None:
    assert exports_lmms._sanitized(name) == folder
