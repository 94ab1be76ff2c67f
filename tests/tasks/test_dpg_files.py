"""DPG-Bench on files of the published form: read whole or refused, run and scored through the command line."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from PIL import Image

from janus_eval import datasets as published
from janus_eval.cli.app import run as command
from janus_eval.errors import UserError
from janus_eval.store import read_json
from janus_eval.tasks import datasets, dpg_tasks
from janus_eval.tasks.dpg import asked_of
from janus_eval.tasks.dpg_tasks import CATEGORIES, read
from janus_eval.tasks.shapes import samples

COLUMNS = (
    *("item_id", "text", "keywords", "proposition_id", "dependency", "category_broad", "category_detailed", "tuple"),
    "question_natural_language",
)
Row = dict[str, str]
PROMPTS = 5


def row(
    item: str, number: int, tuple_: str = "entity - whole (cup)", dependency: str = "0", text: str = "A cup."
) -> Row:
    broad, _, detailed = tuple_.split("(", maxsplit=1)[0].strip().partition(" - ")
    values = (item, text, "", str(number), dependency, broad, detailed, tuple_, f"Is it {number}?")
    return dict(zip(COLUMNS, values, strict=True))


def table(rows: Sequence[Row], newline: str = "\n") -> str:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS, lineterminator=newline)
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def laid_out(folder: Path, rows: Sequence[Row], prompts: Mapping[str, str] | None = None, newline: str = "\n") -> Path:
    (folder / "prompts").mkdir(parents=True)
    (folder / "dpg_bench.csv").write_text(table(rows, newline), encoding="utf-8", newline="")
    for name, text in (prompts or {line["item_id"]: line["text"] for line in rows}).items():
        (folder / "prompts" / f"{name}.txt").write_text(text, encoding="utf-8")
    return folder


def read_from(folder: Path) -> list[Any]:
    return read(folder / "dpg_bench.csv", folder / "prompts")


def test_a_prompt_is_its_file_and_its_questions_are_the_tables(tmp_path: Path) -> None:
    rows = [row("b7", 1), row("b7", 2, "attribute - color (cup, red)", "1"), row("0", 1, "global - (style)")]
    found = read_from(laid_out(tmp_path, rows, {"b7": " A “cup”.\n", "0": "Another."}))
    assert [sample.id for sample in found] == [sample.group for sample in found] == ["b7", "0"]
    assert [sample.inputs for sample in found] == [{"prompt": "A “cup”."}, {"prompt": "Another."}]
    assert [(q.id, q.dependency, q.row, q.detailed) for q in asked_of(found[0])] == [
        (1, (0,), 0, "entity - whole"),
        (2, (1,), 1, "attribute - color"),
    ]
    assert dpg_tasks.dpg.query("visual_qa", found[1], 0) == {"questions": {"1": "Is it 1?"}}


def test_other_line_ends_a_mark_and_spaces_change_nothing(tmp_path: Path) -> None:
    rows = [row("a", 1), row("a", 2, dependency=" 1 , 0"), row("a", 3, dependency="1,2")]
    plain = read_from(laid_out(tmp_path / "plain", rows))
    other = laid_out(tmp_path / "other", rows, newline="\r\n")
    (other / "dpg_bench.csv").write_bytes(b"\xef\xbb\xbf" + (other / "dpg_bench.csv").read_bytes())
    (other / "prompts" / "a.txt").write_bytes(b"\xef\xbb\xbfA cup.\r\n")
    assert read_from(other) == plain
    assert [q.dependency for q in asked_of(plain[0])] == [(0,), (1, 0), (1, 2)]


@pytest.mark.parametrize(
    ("rows", "prompts", "message"),
    [
        ([row("a", 1)], {"a": "x", "b": "y"}, "only one of them has b"),
        ([row("a", 1), row("b", 1)], {"a": "x"}, "only one of them has b"),
        ([row("a", 1)], {"a": " \n"}, "a.txt is empty"),
        ([row("a", 1), row("a", 2, "entity - hole (x)")], {"a": "x"}, "row 2: category 'entity - hole' is none"),
        ([row("a", 1, dependency="")], {"a": "x"}, "row 1: proposition_id '1' and dependency ''"),
    ],
)
def test_what_does_not_go_together_is_refused(
    tmp_path: Path, rows: list[Row], prompts: dict[str, str], message: str
) -> None:
    with pytest.raises(UserError) as error:
        read_from(laid_out(tmp_path, rows, prompts))
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (table([row("a", 1)]).encode() + b"a,caf\xe9", "after row"),
        (table([row("a", 1)]).encode() + b'a,"' + b"x" * 200_000, "after row 1: field larger than"),
        (b"<!doctype html>", "no column"),
    ],
)
def test_a_file_that_is_no_table(tmp_path: Path, content: bytes, message: str) -> None:
    folder = laid_out(tmp_path, [row("a", 1)])
    (folder / "dpg_bench.csv").write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_from(folder)


def test_the_categories_are_those_that_the_published_script_prints() -> None:
    assert len(CATEGORIES) == len(set(CATEGORIES)) == 17
    assert list(dpg_tasks.dpg.metrics(dpg_tasks.dpg.protocols["fixed"].judge)) == ["overall", *CATEGORIES]
    assert list(dpg_tasks.dpg.protocols) == ["fixed", "official"]
    for protocol in dpg_tasks.dpg.protocols.values():
        assert protocol.observe == {"visual_qa": "mplug"} and protocol.ask["images_per_prompt"] == 4


def test_without_the_files_the_command_that_gets_them_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(published.VARIABLE, str(tmp_path))
    with pytest.raises(UserError, match="janus-eval fetch dpg/dpg_bench"):
        dpg_tasks.dpg.samples(dpg_tasks.dpg.protocols["fixed"].ask)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Prompts of the shapes world, laid out as DPG-Bench is published, in the place of the published files."""
    rows = []
    prompts = {}
    for sample in samples.dpg(PROMPTS):
        prompts[sample.id] = str(sample.inputs["prompt"])
        for question in cast(Sequence[Mapping[str, Any]], sample.target["questions"]):
            dependency = ",".join(map(str, question["dependency"]))
            line = row(sample.id, question["id"], question["tuple"], dependency, prompts[sample.id])
            rows.append({**line, "question_natural_language": question["question"]})
    folder = laid_out(tmp_path / "data" / "dpg", rows, prompts)
    # Their own checksums: the task asks for the published ones, which these files can't have.
    monkeypatch.setattr(
        datasets,
        "dpg",
        published.Dataset(
            "dpg",
            "",
            (
                published.File("dpg_bench.csv", "", "sha256:" + published.checksum(folder / "dpg_bench.csv", "sha256")),
                published.File(
                    "prompts", "", "git-tree:" + published.checksum(folder / "prompts", "git-tree"), inside="prompts"
                ),
            ),
            "",
            "",
        ),
    )
    return tmp_path / "data"


def run_oracle(data: Path, out: Path, *more: str) -> int:
    return command(
        ["run", "--task", "dpg/official", "--task", "dpg/fixed", "--model", "oracle", "--data", str(data), "--out",
         str(out), *(more or ("--instrument", "visual_qa=shapes-vqa"))]
    )  # fmt: skip


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_both_protocols_from_one_run(data: Path, tmp_path: Path) -> None:
    assert run_oracle(data, tmp_path / "out") == 0
    folder = tmp_path / "out" / "oracle"
    assert len(lines(folder / "responses.jsonl")) == len(lines(folder / "observations.jsonl")) == 4 * PROMPTS
    results = read_json(folder / "results.json")["tasks"]["dpg"]
    fixed, official = results["fixed"], results["official"]
    assert fixed["metrics"]["overall"]["value"] == 100 and fixed["metrics"]["overall"]["n"] == PROMPTS
    # The first prompt's first question is lost, and others depend on it.
    assert official["metrics"]["overall"]["n"] == PROMPTS - 1 and official["metrics"]["overall"]["failed"] == 1
    assert list(official["troubles"]) == ["question 4 depends on question 1, which is missing"]
    assert fixed["metrics"]["attribute - color"]["n"] > 4 and fixed["metrics"]["global"]["value"] is None
    assert official["fingerprint"]["observe"] == fixed["fingerprint"]["observe"]


def test_where_none_is_named_both_protocols_are_printed(
    data: Path, grids: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["run", "--task", "dpg", "--model", "oracle", "--data", str(data), "--instrument", "visual_qa=shapes-vqa"]
    for told, folder in (
        ([*words, "--out", str(tmp_path / "both")], tmp_path / "both" / "oracle"),
        (None, grids.parent / "scored" / "grids"),
    ):
        capsys.readouterr()
        assert (command(told) if told else score(data, grids)) == 0
        printed = capsys.readouterr().out
        assert "fixed" in printed and "official" in printed
        assert list(read_json(folder / "results.json")["tasks"]["dpg"]) == ["fixed", "official"]
    one = [word.replace("dpg", "dpg/official") if word == "dpg" else word for word in words]
    assert command([*one, "--out", str(tmp_path / "one")]) == 0
    assert list(read_json(tmp_path / "one" / "oracle" / "results.json")["tasks"]["dpg"]) == ["official"]


def test_without_its_weights_the_answerer_is_missed_before_anything_is_drawn(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JANUS_EVAL_WEIGHTS", str(tmp_path / "none"))
    assert run_oracle(data, tmp_path / "out", "--limit", "1") == 2
    assert "modelscope download --model damo/mplug" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_judged_again_without_its_instrument_the_option_that_names_it_is_told(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JANUS_EVAL_WEIGHTS", str(tmp_path / "none"))
    assert run_oracle(data, tmp_path / "out") == 0
    again = ["score", str(tmp_path / "out" / "oracle"), "--protocol", "dpg/official"]
    assert command(again) == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.endswith("The run has looked with others: --instrument visual_qa=shapes-vqa")
    assert command([*again, "--instrument", "visual_qa=shapes-vqa"]) == 0


@pytest.fixture
def grids(data: Path, tmp_path: Path) -> Path:
    assert run_oracle(data, tmp_path / "out") == 0
    run, folder = tmp_path / "out" / "oracle", tmp_path / "grids"
    assert command(["export", str(run), "--format", "dpg", "--out", str(folder)]) == 0
    return folder


def score(data: Path, folder: Path, *more: str) -> int:
    return command(
        ["score-images", "dpg", str(folder), "--data", str(data), "--out", str(folder.parent / "scored"),
         "--instrument", "visual_qa=shapes-vqa", *more]
    )  # fmt: skip


def test_grids_there_and_back(data: Path, grids: Path) -> None:
    assert len(list(grids.iterdir())) == PROMPTS
    assert score(data, grids) == 0
    metrics = read_json(grids.parent / "scored" / "grids" / "results.json")["tasks"]["dpg"]["fixed"]["metrics"]
    assert metrics["overall"]["value"] == 100 and metrics["overall"]["n"] == PROMPTS


@pytest.mark.parametrize("suffix", [".jpg", ".tiff"])
def test_other_formats_are_read_as_the_published_script_reads_them(data: Path, grids: Path, suffix: str) -> None:
    first = min(grids.iterdir())
    Image.open(first).save(first.with_suffix(suffix), quality=95)
    first.unlink()
    assert score(data, grids) == 0


def test_every_fault_of_a_folder_is_listed_before_anything_is_scored(
    data: Path, grids: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("janus_eval.observe.Instruments.get", lambda *_: pytest.fail("an instrument was looked for"))
    files = sorted(grids.iterdir())
    files[0].unlink()
    Image.new("RGB", (256, 64)).save(files[1])
    Image.new("RGB", (126, 126)).save(files[2])
    files[3].write_bytes(files[3].read_bytes()[:300])
    Image.new("RGB", (128, 128)).save(grids / "elsewhere.png")
    capsys.readouterr()
    assert score(data, grids) == 3
    told = capsys.readouterr().err
    for part in (
        f"no picture of prompt {files[0].stem}", f"{files[1].name}: 256 x 64 pixels are no 2 x 2 grid of squares",
        f"{files[2].name}: 126 x 126 pixels where most have 128 x 128", f"{files[3].name}: ",
        "elsewhere.png: the benchmark has no prompt elsewhere", "5 faults in the layout of dpg: nothing was scored",
    ):  # fmt: skip
        assert part in told, part
    assert not (grids.parent / "scored").exists()


def test_what_is_there_can_be_scored_and_what_is_missing_has_failed(data: Path, grids: Path) -> None:
    min(grids.iterdir()).unlink()
    assert score(data, grids, "--partial") == 0
    results = read_json(grids.parent / "scored" / "grids" / "results.json")["tasks"]["dpg"]["fixed"]
    assert results["metrics"]["overall"] == {
        **results["metrics"]["overall"],
        "value": 100,
        "n": PROMPTS - 1,
        "failed": 1,
    }
    assert results["failed"] == 4
