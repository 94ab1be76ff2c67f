"""Pictures drawn elsewhere: scored as if a model had drawn them, every fault of their folder told before anything."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

import janus_eval
from janus_eval.cli.app import run as command
from janus_eval.store import read_json


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the oracle on GenEval and DPG-Bench of the world of shapes."""
    out = tmp_path_factory.mktemp("runs")
    return janus_eval.evaluate("oracle", ["shapes-geneval", "shapes-dpg"], out=out).folder


@pytest.fixture
def exported(drawn: Path, tmp_path: Path) -> Path:
    assert command(["export", str(drawn), "--format", "geneval", "--out", str(tmp_path / "geneval")]) == 0
    return tmp_path / "geneval"


def score(folder: Path, *more: str, task: str = "shapes-geneval") -> int:
    return command(["score-images", task, str(folder), "--out", str(folder.parent / "runs"), *more])


def metrics(folder: Path, task: str) -> dict[str, dict[str, float]]:
    (protocol,) = read_json(folder / "results.json")["tasks"][task].values()
    found: dict[str, dict[str, float]] = protocol["metrics"]
    return found


def test_there_and_back_gives_the_same_scores(drawn: Path, exported: Path) -> None:
    assert sorted(path.name for path in exported.iterdir())[:2] == ["00000", "00001"]
    line = json.loads((exported / "00000" / "metadata.jsonl").read_text())
    assert line["tag"] == "single_object" and line["prompt"] and line["include"]
    assert sorted(path.name for path in (exported / "00007" / "samples").iterdir()) == [
        f"0000{k}.png" for k in range(4)
    ]
    assert score(exported) == 0
    assert metrics(exported.parent / "runs" / "geneval", "shapes-geneval") == metrics(drawn, "shapes-geneval")


def test_grids_there_and_back(drawn: Path, tmp_path: Path) -> None:
    folder = tmp_path / "grids"
    assert command(["export", str(drawn), "--format", "dpg", "-o", str(folder)]) == 0
    grids = sorted(folder.iterdir())
    assert len(grids) == 24 and Image.open(grids[0]).size == (128, 128)
    tile = Image.open(grids[3]).crop((64, 0, 128, 64))
    original = Image.open(drawn / "images" / "shapes-dpg" / grids[3].stem / "1.png")
    assert tile.tobytes() == original.tobytes(), "tiles go by rows: top left, top right, bottom left, bottom right"
    assert score(folder, "--name", "again", task="shapes-dpg") == 0
    assert metrics(tmp_path / "runs" / "again", "shapes-dpg") == metrics(drawn, "shapes-dpg")


def test_one_picture_a_prompt(drawn: Path, tmp_path: Path) -> None:
    folder = tmp_path / "single"
    folder.mkdir()
    for place in (drawn / "images" / "shapes-dpg").iterdir():
        shutil.copyfile(place / "2.png", folder / f"{place.name}.png")
    assert score(folder, "--images", "1", task="shapes-dpg/official") == 0
    assert metrics(tmp_path / "runs" / "single", "shapes-dpg")["overall"]["value"] > 90


def test_every_fault_is_listed_before_anything_is_scored(
    exported: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("janus_eval.observe.Instruments.get", lambda *_: pytest.fail("an instrument was looked for"))
    shutil.rmtree(exported / "00003")
    (exported / "00004" / "metadata.jsonl").unlink()
    (exported / "00005" / "metadata.jsonl").write_text("{")
    (exported / "00006" / "metadata.jsonl").write_text('{"tag": "single_object"}')
    samples = exported / "00007" / "samples"
    Image.open(samples / "00001.png").save(samples / "00001.jpg")
    (samples / "00001.png").unlink()
    (samples / "00002.png").write_bytes(b"\x89PNG cut short")
    shutil.copyfile(samples / "00000.png", samples / "00004.png")
    shutil.rmtree(exported / "00008" / "samples")
    capsys.readouterr()
    assert score(exported) == 3
    told = capsys.readouterr().err
    for part in (
        "no folder for prompt single_object-03", "00004: no metadata.jsonl", "00005/metadata.jsonl: ",
        "00006/metadata.jsonl is that of no prompt", "00001.jpg: the official script reads NUMBER.png alone",
        "00002.png: ", "00004.png: one more than 0 to 3", "no usable picture 1, 2, 4 are expected",
        "00008/samples: no usable picture 0, 1, 2, 3", "nothing was scored",
    ):  # fmt: skip
        assert part in told, part
    assert not (exported.parent / "runs").exists()


def test_what_is_there_can_be_scored_and_what_is_missing_has_failed(exported: Path) -> None:
    shutil.rmtree(exported / "00003")
    (exported / "00007" / "samples" / "00001.png").unlink()
    assert score(exported, "--partial", "--name", "part") == 0
    overall = metrics(exported.parent / "runs" / "part", "shapes-geneval")["overall"]
    assert overall["failed"] == 5 and overall["n"] == 235


def test_other_pictures_are_another_subject(exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert score(exported) == 0
    shutil.copyfile(exported / "00001" / "samples" / "00000.png", exported / "00002" / "samples" / "00000.png")
    assert score(exported) == 2
    assert "was run with other weights" in capsys.readouterr().err


def test_grids_that_cannot_be_cut_are_told(drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "grids"
    assert command(["export", str(drawn), "--format", "dpg", "-o", str(folder)]) == 0
    Image.new("RGB", (127, 128)).save(folder / "dense-000.png")
    Image.new("RGB", (64, 64)).save(folder / "dense-001.png")
    (folder / "dense-002.png").rename(folder / "dense-002.x.png")
    Image.new("RGB", (128, 128)).save(folder / "dense-003.jpg")
    (folder / "dense-004.png").rename(folder / "stranger.png")
    assert score(folder, task="shapes-dpg") == 3
    told = capsys.readouterr().err
    for part in (
        "dense-000.png: 127 x 128 pixels can't be cut", "dense-001.png: 64 x 64 pixels where most have 128 x 128",
        "dense-003.png: dense-003.jpg is of the same prompt", "stranger.png: the benchmark has no prompt stranger",
        "no picture of prompt dense-004",
    ):  # fmt: skip
        assert part in told, part
    assert "dense-002" not in told, "a name counts up to its first dot, as in the official script"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["score-images", "shapes-mmbench", "."], "task 'shapes-mmbench' has no layout of picture folders"),
        (["score-images", "shapes-genevel", "."], "did you mean 'shapes-geneval'"),
        (["score-images", "shapes-geneval", "nowhere"], "no folder nowhere"),
        (["score-images", "shapes-dpg", ".", "--images", "3"], "3 pictures a prompt make no square grid"),
        (["export", "nowhere", "--format", "geneval", "-o", "x"], "nowhere is not a run folder"),
    ],
)
def test_what_cannot_be_done_is_said(
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command(arguments) in (2, 3)
    assert message in capsys.readouterr().err


def test_exports_do_not_write_over_anything(drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "mine").touch()
    assert command(["export", str(drawn), "--format", "geneval", "-o", str(tmp_path / "x")]) == 2
    assert command(["export", str(drawn), "--format", "parquets", "-o", str(tmp_path / "y")]) == 2
    assert "oracle has no task that is written as 'parquets' (its own: dpg, geneval)" in capsys.readouterr().err
