"""Pictures drawn elsewhere, as a system of its own: from the benchmarks' layouts or by an index, every fault told."""

from __future__ import annotations

import csv
import json
import os
import shutil
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import janus_eval
from janus_eval.cli.app import run as command
from janus_eval.errors import UserError
from janus_eval.models.adapters.folder_family import FolderSettings, folder
from janus_eval.plan import choices, entries
from janus_eval.store import read_json
from janus_eval.types import Drawing, Response

TASKS = ("shapes-geneval", "shapes-dpg")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return janus_eval.evaluate("oracle", TASKS, limit=2, out=tmp_path_factory.mktemp("runs")).folder


@pytest.fixture
def exported(drawn: Path, tmp_path: Path) -> Path:
    """A folder for each task in its own layout."""
    for task, form in zip(TASKS, ("geneval", "dpg"), strict=True):
        assert command(["export", str(drawn), "--format", form, "--out", str(tmp_path / "all" / task)]) == 0
    return tmp_path / "all"


def requests(task: str, limit: int | None = None) -> list[Drawing]:
    [entry] = entries(choices([task]), seed=0, limit=limit)
    return [request for row in entry.asking.requests for request in row if isinstance(request, Drawing)]


def prepared(place: Path, task: str, limit: int | None = None, **settings: Any) -> tuple[Any, list[str]]:
    made = folder.load(str(place), FolderSettings(**settings))
    return made, made.prepare(entries(choices([task]), seed=0, limit=limit))


def metrics(run: Path, task: str) -> Any:
    [protocol] = read_json(run / "results.json")["tasks"][task].values()
    return protocol["metrics"]


def test_there_and_back_gives_the_same_scores_under_a_name_of_its_own(
    drawn: Path, exported: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "runs"
    asked = ["run", "--limit", "2", "--task", TASKS[0], "--task", TASKS[1], "--out", str(out), "--model"]
    assert command([*asked, f"folder:{exported}?name=TokenFlow-XL"]) == 0
    told = capfd.readouterr()
    [run] = [path for path in out.iterdir() if path.is_dir()]
    assert run.name.startswith("tokenflow-xl-") and "TokenFlow-XL" in told.out
    for task in TASKS:
        assert metrics(run, task) == metrics(drawn, task)
        assert f"of {len(requests(task, 2))} pictures found in {exported / task}\n" in told.err
    assert read_json(run / "run.json")["model"]["source"] == {"folder": "all"}
    assert command([*asked, f"folder:{exported}?name=TokenFlow-XL"]) == 0, "the same command goes on"
    one = next(exported.rglob("*.png"))
    one.write_bytes(one.read_bytes() + b" ")
    assert command([*asked, f"folder:{exported}?name=TokenFlow-XL"]) == 2, "other pictures are another subject"


def test_every_fault_is_listed_and_what_is_missing_fails(
    exported: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    place = exported / "shapes-geneval"
    shutil.rmtree(place / "00003")
    (place / "00005" / "samples" / "00001.png").write_bytes(b"no picture")
    (place / "00006" / "samples" / "00009.png").write_bytes((place / "00006" / "samples" / "00000.png").read_bytes())
    out = tmp_path / "runs"
    assert (
        command(["run", "--limit", "2", "--task", "shapes-geneval", "--model", f"folder:{place}", "--out", str(out)])
        == 0
    )
    told = capfd.readouterr().err
    count = len(requests("shapes-geneval", 2))
    assert f"{count - 5} of {count} pictures found in {place}; the others count as failed" in told
    for fault in (
        "00005/samples/00001.png: not an image",
        "00006/samples/00009.png: one more",
        "no folder for prompt ",
    ):
        assert f"shapes-geneval: shapes-geneval/official: {fault}" in told
    [run] = [path for path in out.iterdir() if path.is_dir()]
    assert metrics(run, "shapes-geneval")["overall"]["failed"] == 5


def test_with_a_limit_only_faults_of_what_is_asked_are_told(exported: Path) -> None:
    place = exported / "shapes-geneval"
    first, last = requests("shapes-geneval")[0], requests("shapes-geneval")[-1]
    asked = {request.key for request in requests("shapes-geneval", 1)}
    assert first.key in asked and last.key not in asked
    shutil.rmtree(place / "00000")
    shutil.rmtree(sorted(path for path in place.iterdir() if path.is_dir())[-1])
    (place / "77777").mkdir()
    _, lines = prepared(place, "shapes-geneval", 1)
    assert [line.partition(": ")[2] for line in lines] == [
        "77777: no metadata.jsonl, so nobody can know its prompt",
        f"no folder for prompt {first.key.sample}: {first.prompt}",
        f"{len(asked) - 4} of {len(asked)} pictures found in {place}; the others count as failed",
    ]


def indexed(place: Path, rows: Sequence[dict[str, Any]], suffix: str = ".csv") -> Path:
    place.mkdir(parents=True, exist_ok=True)
    if suffix == ".jsonl":
        (place / "index.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return place
    with (place / f"index{suffix}").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0]], delimiter="\t" if suffix == ".tsv" else ",")
        writer.writeheader()
        writer.writerows(rows)
    return place


def pictures(place: Path, count: int) -> list[str]:
    place.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(place / f"{number}.webp", lossless=True)
    return [f"{number}.webp" for number in range(count)]


def shade(outcome: Any) -> int:
    assert isinstance(outcome, Response) and outcome.image is not None
    pixel = outcome.image.load().getpixel((0, 0))
    assert isinstance(pixel, tuple)
    return int(pixel[0])


@pytest.mark.parametrize(("suffix", "by"), [(".csv", "sample"), (".tsv", "prompt"), (".jsonl", "prompt")])
def test_a_plain_index_serves_any_task_that_draws(suffix: str, by: str, tmp_path: Path) -> None:
    """Several pictures of a prompt count as they come; a task without a layout has no other way."""
    for task in ("shapes-geneval", "shapes-ocr-write"):
        asked = requests(task, 1)
        place = tmp_path / task
        files = pictures(place, len(asked))
        named = [request.key.sample if by == "sample" else request.prompt for request in asked]
        indexed(place, [{"file": file, by: name} for file, name in zip(files, named, strict=True)], suffix)
        made, lines = prepared(place, task, 1)
        assert [line.partition(": ")[2] for line in lines] == [
            f"{len(asked)} of {len(asked)} pictures found in {place}"
        ]
        assert [shade(one) for one in made.draw(asked)] == list(range(len(asked)))


def test_an_index_with_numbers_and_tasks(tmp_path: Path) -> None:
    asked = requests("shapes-geneval", 1)[:4]
    files = pictures(tmp_path, 5)
    rows = [
        {"file": file, "sample": request.key.sample, "index": 3 - place, "task": "shapes-geneval"}
        for place, (file, request) in enumerate(zip(files, asked, strict=False))
    ]
    rows.append({"file": files[4], "sample": "of another task", "index": 0, "task": "shapes-dpg"})
    made, lines = prepared(indexed(tmp_path, rows), "shapes-geneval", 1)
    assert [shade(one) for one in made.draw(asked)] == [3, 2, 1, 0]
    assert not [line for line in lines if "of another task" in line]


def test_every_fault_of_an_index_is_named(tmp_path: Path) -> None:
    asked = requests("shapes-geneval", 1)
    place = tmp_path / "drawn"
    files = pictures(place, 3)
    (tmp_path / "outside.png").write_bytes((place / "0.webp").read_bytes())
    (place / "broken.png").write_bytes(b"\x89PNG")
    name = asked[0].key.sample
    listed = [
        (files[0], "0"), (files[1], "0"), (files[1], "4"), (files[1], "one"), ("../outside.png", "1"),
        (str(tmp_path / "outside.png"), "1"), ("missing.png", "1"), ("broken.png", "1"),
    ]  # fmt: skip
    rows = [{"file": file, "sample": name, "index": index} for file, index in listed]
    rows.append({"file": files[1], "sample": "stranger", "index": "0"})
    made, lines = prepared(indexed(place, rows), "shapes-geneval", 1)
    faults = [line.partition("index.csv, line ")[2] for line in lines if "index.csv, line " in line]
    assert [int(fault.partition(":")[0]) for fault in faults] == list(range(3, 11))
    for fault, said in zip(
        faults,
        ("was listed before", "picture 4 of", "picture one of", "no path inside", "no path inside", "No such file",
         "broken.png: ", "no sample stranger"),
        strict=True,
    ):  # fmt: skip
        assert said in fault
    assert f"no usable picture 1, 2, 3 of {name}: {asked[0].prompt}" in " ".join(lines)
    assert shade(made.draw(asked[:1])[0]) == 0


def test_bad_usage(exported: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    indexed(tmp_path / "two", [{"file": "a.png", "sample": "s"}])
    indexed(tmp_path / "bad", [{"picture": "a.png", "sample": "s"}])
    indexed(tmp_path / "two", [{"file": "a.png", "sample": "s"}], ".tsv")
    for spec, task, said in (
        ("folder", "shapes-dpg", "expected folder:DIR"), ("folder:missing", "shapes-dpg", "no folder missing"),
        (f"folder:{tmp_path / 'empty'}", "shapes-geneval", "has no picture of what is asked for; shapes-geneval/"),
        (f"folder:{exported}", "shapes-mmbench", "can do none of these tasks"),
        (f"folder:{tmp_path / 'empty'}", "shapes-ocr-write", "or list the pictures in an index.csv"),
        (f"folder:{tmp_path / 'two'}", "shapes-dpg", "index.csv and index.tsv: name one with index=FILE"),
        (f"folder:{tmp_path / 'bad'}", "shapes-dpg", "expected the columns file, and sample or prompt"),
        (f"folder:{tmp_path / 'two'}?index=i.csv", "shapes-dpg", "no index "),
    ):  # fmt: skip
        assert command(["run", "--task", task, "--model", spec, "--out", str(tmp_path / "runs")]) == 2
        assert said in capfd.readouterr().err, spec
    assert not (tmp_path / "runs").exists()
    with pytest.raises(UserError, match="has no picture"):
        prepared(tmp_path / "empty", "shapes-geneval")


def test_names_that_are_no_files_are_faults_and_nothing_waits(tmp_path: Path) -> None:
    sample = requests("shapes-geneval", 1)[0].key.sample
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    os.mkfifo(tmp_path / "pipe.png")
    rows = [{"file": name, "sample": sample} for name in ("a\0.png", "pipe.png", "x" * 300, "a.png")]
    rows.append({"file": "a.png", "sample": sample, "index": "9" * 5000})
    (tmp_path / "index.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    _, lines = prepared(tmp_path, "shapes-geneval", 1)
    for place, said in enumerate(("null byte", "no plain file", "File name too long"), 1):
        assert any(f"line {place}: " in line and said in line for line in lines), said
    assert any("line 5: picture 999" in line and len(line) < 300 for line in lines)
    assert "1 of 24 pictures found" in lines[-1]


def test_layouts_of_folders_with_odd_entries(exported: Path) -> None:
    geneval, dpg = (exported / task for task in TASKS)
    (geneval / "\u00b2").mkdir()  # a digit that is no number
    (geneval / "00099").mkdir()
    (geneval / "00099" / "metadata.jsonl").write_text("[" * 100_000)
    os.mkfifo(dpg / f"{requests(TASKS[1])[-1].key.sample}.png")
    _, [deep, *rest] = prepared(geneval, TASKS[0], 2)
    assert "00099/metadata.jsonl: maximum recursion" in deep and "48 of 48 pictures found" in rest[-1]
    _, lines = prepared(dpg, TASKS[1])
    assert any("no plain file" in line for line in lines)


def test_a_folder_larger_than_memory_is_not_held_in_it(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (512, 512, 3), dtype=np.uint8)
    samples = [request.key.sample for request in requests(TASKS[1]) if request.key.index == 0]
    for sample in samples:
        Image.fromarray(noise).save(tmp_path / f"{sample}.png", compress_level=0)
    tracemalloc.start()
    made, lines = prepared(tmp_path, TASKS[1])
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert f"{4 * len(samples)} of {4 * len(samples)} pictures found" in lines[-1]
    assert held < 512 * 512 * 3, f"{held:,} bytes of {len(samples)} files"
    [drawn] = made.draw(requests(TASKS[1])[3:4])
    assert isinstance(drawn, Response) and drawn.image is not None
    assert np.array_equal(np.asarray(drawn.image.load()), noise[256:, 256:])
