"""A run's answers as a table: what anyone answers survives the file, and others' rows can be found again."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import openpyxl
import pytest

import janus_eval
from janus_eval import exports
from janus_eval.cli.app import run as command
from janus_eval.types import Failure, Question, Response

ODD = [
    "=1+1",
    "a\tb",
    'say "A"',
    "two\nlines",
    "one\rlone",
    "None",
    "",
    " A ",
    "'A",
    "\x07bell",
    "é 猫",
    "+A",
    "\u2028",
]


class Odd:
    """Answers with all that a table could break on, then with A; says nothing to the 15th question."""

    weights = "odd"
    name = "odd"
    count = 0

    def answer(self, questions: Sequence[Question]) -> list[Response | Failure]:
        return [self._answer() for _ in questions]

    def score(
        self, questions: Sequence[Question], continuations: Sequence[Sequence[str]]
    ) -> list[list[float] | Failure]:
        return [[-1.0, -0.5, *(-0.5 - place % 2 for place in range(len(row) - 2))] for row in continuations]

    def _answer(self) -> Response | Failure:
        self.count += 1
        if self.count == 15:
            return Failure("too long")
        return Response(text=ODD[self.count - 1] if self.count <= len(ODD) else "A")


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs")
    specs = ["shapes-mmbench", "shapes-mmbench/likelihood"]
    return janus_eval.evaluate(Odd(), specs, out=out, limit=1).folder


def export(run: Path, out: Path, *more: str) -> int:
    return command(["export", str(run), "--format", "mmbench", "--out", str(out), *more])


def table(file: Path) -> list[dict[str, Any]]:
    if file.suffix == ".xlsx":
        sheet = openpyxl.load_workbook(file, data_only=True).worksheets[0]
        header, *rows = sheet.iter_rows(values_only=True)
        return [dict(zip(map(str, header), row, strict=True)) for row in rows]
    with file.open(encoding="utf-8", newline="") as opened:
        return list(csv.DictReader(opened, delimiter="\t" if file.suffix == ".tsv" else ",", strict=True))


@pytest.mark.parametrize("suffix", ["tsv", "csv", "xlsx", "TSV"])
def test_what_was_answered_is_read_again(
    answered: Path, tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / f"answers.{suffix}"
    assert export(answered, file, "--task", "shapes-mmbench/circular") == 0
    said = capsys.readouterr().out
    assert said == f"shapes-mmbench/circular: 17 rows in {file}; 1 that failed are empty\n"
    rows = table(file if suffix != "TSV" else file.rename(file.with_suffix(".tsv")))
    given = [row["prediction"] or "" for row in rows]
    expected = [*ODD, "A", "", "A", "A"]
    if suffix == "xlsx":
        expected[ODD.index("\x07bell")] = "\ufffdbell"
        expected[ODD.index("one\rlone")] = "one\nlone"  # XML knows no lone carriage return
    assert given == expected
    assert [int(row["index"]) for row in rows[:4]] == [1, 1000001, 2000001, *([3000001] if rows[0]["D"] else [2])]
    assert list(rows[0]) == [
        "index", "question", "hint", "A", "B", "C", "D", "answer", "category", "l2-category", "prediction",
    ]  # fmt: skip


def test_a_ranking_is_exported_as_its_letter(answered: Path, tmp_path: Path) -> None:
    assert export(answered, tmp_path / "x.tsv", "--task", "shapes-mmbench/likelihood") == 0
    for row in table(tmp_path / "x.tsv"):
        assert row["prediction"] == "", "the second and the third are equally likely"


def test_several_tasks_are_several_files(answered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [choice] = exports.choices_of(answered, "mmbench")
    assert str(choice) == "shapes-mmbench/circular", "each task once, as it was first asked"
    other = choice._replace(task=type(choice.task)("other", "", choice.task.samples, choice.task.protocols))  # type: ignore[call-arg]
    monkeypatch.setattr(exports, "choices_of", lambda *_: [choice, other])
    monkeypatch.setattr(exports, "export_answers", lambda run, choice, sheet, file: (file.write_text("x"), 0))
    assert export(answered, tmp_path / "x.tsv") == 0
    assert sorted(file.name for file in tmp_path.glob("*.tsv")) == ["x-other.tsv", "x-shapes-mmbench.tsv"]
    assert export(answered, tmp_path / "x.tsv") == 2


@pytest.mark.parametrize(
    ("out", "more", "message"),
    [
        ("x.txt", [], "x.txt: expected a file that ends in .tsv, .csv or .xlsx"),
        ("there.tsv", [], "there.tsv is there already"),
        ("x.tsv", ["--task", "shapes-mmbench/vanilla-all"], "was not asked 'shapes-mmbench/vanilla-all'"),
        ("x.tsv", ["--task", "shapes-geneval"], "(it was: shapes-mmbench/circular, shapes-mmbench/likelihood)"),
    ],
)
def test_what_cannot_be_written_is_said(
    answered: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    out: str,
    more: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there.tsv").touch()
    assert export(answered, Path(out), *more) == 2
    assert message in capsys.readouterr().err
    assert not Path("x.tsv").exists()


def test_a_task_that_was_added_later_is_found(answered: Path, tmp_path: Path) -> None:
    run = janus_eval.evaluate("oracle", ["shapes-ocr-read"], out=tmp_path, limit=1)
    janus_eval.evaluate("oracle", ["shapes-mmbench/vanilla-all"], out=tmp_path, limit=1)
    assert export(run.folder, tmp_path / "x.tsv") == 0
    assert {row["prediction"] == row["answer"] for row in table(tmp_path / "x.tsv")} == {True}


def test_a_cell_too_long_for_excel_and_a_machine_without_openpyxl(
    answered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(exports, "LONGEST_CELL", 20)
    assert export(answered, tmp_path / "x.xlsx") == 2
    assert "a cell of 41 characters does not fit into an .xlsx: give a .tsv" in capsys.readouterr().err
    monkeypatch.setitem(__import__("sys").modules, "openpyxl", None)
    assert export(answered, tmp_path / "x.xlsx") == 2
    assert "pip install 'janus-eval[xlsx]', or give a .tsv" in capsys.readouterr().err
