"""Answers given elsewhere: matched by name, checked by what stands beside them, and every odd one named."""

from __future__ import annotations

import csv
import json
import re
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook

import janus_eval
from janus_eval.cli.app import run as command
from janus_eval.errors import UserError
from janus_eval.models.adapters import answers_tables
from janus_eval.models.adapters.answers_family import STRAY, AnswersSettings, answers
from janus_eval.plan import Asking, Entry, choices, entries
from janus_eval.store import read_json
from janus_eval.types import Failure, Question, RequestKey, Response, Sample

TASK = "shapes-mmbench"


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a model that is sometimes right."""
    return janus_eval.evaluate("nano-janus-pro", [TASK], limit=2, out=tmp_path_factory.mktemp("runs")).folder


@pytest.fixture(scope="module")
def sheet(answered: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    """Its answers, as exported for other tools."""
    file = tmp_path_factory.mktemp("sheets") / "answers.tsv"
    assert command(["export", str(answered), "--format", "mmbench", "--out", str(file)]) == 0
    with file.open(encoding="utf-8", newline="") as opened:
        return list(csv.DictReader(opened, delimiter="\t"))


def written(file: Path, rows: Sequence[dict[str, Any]]) -> Path:
    if file.suffix == ".xlsx":
        book = Workbook()
        page = book.active
        assert page is not None
        for row in ([*rows[0]], *([*row.values()] for row in rows)):
            page.append(row)
        book.save(file)
    elif file.suffix in {".csv", ".tsv"}:
        with file.open("w", encoding="utf-8", newline="") as opened:
            writer = csv.DictWriter(opened, [*rows[0]], delimiter="\t" if file.suffix == ".tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    elif file.suffix == ".jsonl":
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        file.write_text(json.dumps(list(rows)))
    return file


def prepared(file: Path, limit: int | None = 2, **settings: Any) -> tuple[Any, list[str]]:
    """The model, and what it says of the file."""
    made = answers.load(str(file), AnswersSettings(**settings))
    return made, made.prepare(entries(choices([TASK]), seed=0, limit=limit))


def scores(folder: Path) -> Any:
    [protocol] = read_json(folder / "results.json")["tasks"][TASK].values()
    return protocol["metrics"], protocol["failed"]


@pytest.mark.parametrize("name", ["answers.tsv", "answers.csv", "answers.xlsx", "lmms-eval"])
def test_there_and_back_gives_the_same_scores(
    answered: Path, name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    form = "mmbench" if "." in name else name
    assert command(["export", str(answered), "--format", form, "--out", str(tmp_path / name)]) == 0
    [file] = [tmp_path / name] if "." in name else (tmp_path / name).glob("*/*_samples_*.jsonl")
    out = tmp_path / "runs"
    assert command(["run", "--task", TASK, "--limit", "2", "--model", f"answers:{file}", "--out", str(out)]) == 0
    [folder] = [path for path in out.iterdir() if path.is_dir()]
    assert scores(folder) == scores(answered)
    assert read_json(folder / "run.json")["model"]["name"] == file.stem
    count = len((folder / "responses.jsonl").read_bytes().splitlines())
    assert f"{count} of {count} answers found by the column" in capfd.readouterr().err


def test_a_folder_has_a_file_for_each_task(answered: Path, sheet: list[dict[str, str]], tmp_path: Path) -> None:
    written(tmp_path / f"{TASK}.csv", sheet)
    written(tmp_path / "another.csv", sheet)
    made, [line] = prepared(tmp_path)
    assert f"{TASK}.csv: {len(sheet)} of {len(sheet)} answers found" in line
    assert made.weights != answers.load(str(tmp_path / "another.csv"), AnswersSettings()).weights
    written(tmp_path / f"{TASK}.tsv", sheet)
    with pytest.raises(UserError, match="has several files of shapes-mmbench"):
        prepared(tmp_path)


def test_what_is_missing_doubtful_or_unknown_is_named(sheet: list[dict[str, str]], tmp_path: Path) -> None:
    rows = [dict(row) for row in sheet]
    names = [row["index"] for row in rows]
    rows[0]["prediction"] = ""
    rows[1]["prediction"] = "Failed to obtain answer via API."
    del rows[2]
    rows.append({**rows[4], "prediction": f"not {rows[4]['prediction']}"})
    rows.append(dict(rows[5]))
    rows.append({**rows[6], "index": "99887766"})
    rows[7] = {**rows[7], "question": "Something else?"}
    file = written(tmp_path / "odd.csv", rows)
    made, lines = prepared(file)
    count = len(names)
    said = [line.partition(", odd.csv: ")[2] for line in lines]
    assert said[0] == f"{count - 5} of {count} answers found by the column 'index'"
    found = made.answer([Question(RequestKey(TASK, sample.id), "") for sample in samples()])
    failed = {sample.id for sample, one in zip(samples(), found, strict=True) if isinstance(one, Failure)}
    assert len(failed) == 5
    assert said[1].startswith("4 have no answer and count as failed: ")
    assert said[2] == f"1 have different answers and count as failed: {rows[4]['index']}"
    assert said[3] == f"1 are given again with the same answer: {rows[5]['index']}"
    assert said[4] == "1 are of no sample of the task and are passed over: 99887766"
    assert said[5].startswith("1 speak of another question") and said[5].endswith(f": {rows[7]['index']}")
    assert sorted(one.reason for one in found if isinstance(one, Failure)) == sorted(
        ["the file has different answers to this", *[STRAY] * 4]
    )


def samples() -> Sequence[Any]:
    [entry] = entries(choices([TASK]), seed=0, limit=2)
    return entry.asking.samples


def lmms(change: Callable[[int, dict[str, Any]], dict[str, Any]] = lambda place, row: row) -> list[dict[str, Any]]:
    """As lmms-eval writes what it samples, documents by their place in the data."""
    [entry] = entries(choices([TASK]), seed=0, limit=None)
    return [
        change(
            place,
            {
                "doc_id": place,
                "target": str(sample.target["answer"]),
                "resps": [["C"]],
                "filtered_resps": "C" if place % 2 else ["C"],
                "doc_hash": "same",
            },
        )
        for place, sample in enumerate(entry.asking.samples)
    ]


def test_documents_by_their_place_are_checked_by_the_right_answer(tmp_path: Path) -> None:
    """A limit here takes other rows than the first ones, so places are those of the whole data."""
    made, [line] = prepared(written(tmp_path / "m.jsonl", lmms()))
    assert f"{len(samples())} of {len(samples())} answers found by the column 'doc_id'" in line
    assert {one.text for one in made.answer([Question(RequestKey(TASK, s.id), "") for s in samples()])} == {"C"}
    shifted = lmms(lambda place, row: {**row, "target": "Z"})
    with pytest.raises(UserError, match=r"has no answer to anything that is asked; .* 227 speak of another question"):
        prepared(written(tmp_path / "shifted.jsonl", shifted))


def test_the_benchmarks_own_number_inside_a_record_comes_before_its_place(
    sheet: list[dict[str, str]], tmp_path: Path
) -> None:
    rows = [
        {"doc_id": 5, "doc": {"index": int(row["index"]), "question": row["question"]}, "filtered_resps": ["B"],
         "gpt_eval_score": {"index": int(row["index"]), "prediction": "B"}}
        for row in sheet
    ]  # fmt: skip
    _, [line] = prepared(written(tmp_path / "m.jsonl", rows))
    assert f"{len(sheet)} of {len(sheet)} answers found by the column 'index'" in line
    rows[0]["doc"] = {"index": int(sheet[0]["index"]), "question": "Another one?"}
    _, lines = prepared(written(tmp_path / "m.jsonl", rows))
    assert lines[-1].endswith(f"are passed over: {sheet[0]['index']}")


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".json", ".xlsx"])
def test_columns_can_be_named_and_numbers_may_have_a_point(
    sheet: list[dict[str, str]], suffix: str, tmp_path: Path
) -> None:
    rows = [{"number": sample.id, "words": 3.0 if place else "A"} for place, sample in enumerate(samples())]
    file = written(tmp_path / f"own{suffix}", rows)
    made, [line] = prepared(file, key="number", answer="words")
    assert f"{len(rows)} of {len(rows)} answers found by the column 'number'" in line
    found = made.answer([Question(RequestKey(TASK, sample.id), "") for sample in samples()])
    expected = "3.0" if suffix == ".csv" else "3"
    assert [one.text for one in found if isinstance(one, Response)] == ["A", *[expected] * (len(rows) - 1)]
    with pytest.raises(UserError, match=r"no column 'nmber'; its columns are number, words: name one with key=COLUMN"):
        prepared(file, key="nmber", answer="words")
    with pytest.raises(UserError, match=r"no column that holds the answers \(prediction, .*answer=COLUMN"):
        prepared(file, key="number")


def test_an_answer_is_taken_as_it_is(tmp_path: Path) -> None:
    """Whatever spaces, quotes and line ends are in it, and formulas are text."""
    texts = ["=1+1", ' "A" ', "A\nB", "A\tB", "None", "nan", "答案是A"]
    rows = [{"sample": sample.id, "prediction": text} for sample, text in zip(samples(), texts, strict=False)]
    for suffix in (".csv", ".tsv", ".jsonl"):
        made, _ = prepared(written(tmp_path / f"m{suffix}", rows))
        found = made.answer([Question(RequestKey(TASK, row["sample"]), "") for row in rows])
        assert [one.text for one in found] == texts, suffix


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [("a.xls", b"x", "expected a file that ends in .csv"), ("a.csv", b"", "holds no rows"),
     ("a.csv", b"index,prediction\n\xff\xfe,A\n", "is no CSV file in UTF-8"), ("a.jsonl", b"{", "line 1: "),
     ("a.jsonl", b"[1]\n", "line 1: expected a JSON object, got list"), ("a.json", b"{}", "expected a JSON list"),
     ("a.xlsx", b"PK no more", "is no Excel file"), ("a.json", b"[" * 100_000, "recursion")],
)  # fmt: skip
def test_what_is_no_table_is_told_in_one_line(name: str, content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=said) as caught:
        answers_tables.read(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_bad_usage(tmp_path: Path, capfd: pytest.CaptureFixture[str], sheet: list[dict[str, str]]) -> None:
    file = written(tmp_path / "a.csv", sheet)
    for spec, task, said in (
        ("answers", TASK, "expected answers:FILE"), ("answers:missing.csv", TASK, "no file missing.csv"),
        (f"answers:{file}", "shapes-geneval", "can do none of these tasks"),
        (f"answers:{file}", "shapes-ocr-read", "a.csv has no answer to anything that is asked"),
    ):  # fmt: skip
        assert command(["run", "--task", task, "--model", spec, "--out", str(tmp_path / "runs")]) == 2
        assert said in capfd.readouterr().err
    assert not (tmp_path / "runs").exists()
    assert command(["ask", f"answers:{file}", str(file), "What?"]) == 2


class Documents:
    """As tasks of lmms-eval come: samples named by the places of their documents, which are kept in the targets."""

    name, protocol = "lmms:toy", choices([TASK])[0].protocol

    def samples(self, ask: Any) -> list[Sample]:
        docs = [
            {"question_id": number % 4, "own": f"doc-{number}", "question": f"Is it {number}?"} for number in range(9)
        ]
        return [Sample(f"{3 * place}", {}, {"task": "toy", "doc": doc}, "g", "c") for place, doc in enumerate(docs)]


def test_documents_of_lmms_evals_own_tasks(tmp_path: Path) -> None:
    """Numbers that repeat, as POPE's do, name nothing; places and unique columns do."""
    task: Any = Documents()
    every = task.samples({})
    asked = Asking("", every, [[Question(RequestKey(task.name, sample.id), "")] for sample in every])
    entry = Entry(task, task.protocol, asked)

    def found(rows: Sequence[dict[str, Any]], **settings: Any) -> dict[str, Any]:
        made = answers.load(str(written(tmp_path / "m.jsonl", rows)), AnswersSettings(**settings))
        made.prepare([entry])
        outcomes = made.answer([question for row in asked.requests for question in row])
        return {sample.id: getattr(one, "text", None) for sample, one in zip(every, outcomes, strict=True)}

    docs = [(sample.id, sample.target["doc"]) for sample in every]
    by_place = [{"doc_id": int(place), "doc": doc, "filtered_resps": place} for place, doc in docs]
    assert found(by_place) == {place: place for place, _ in docs}
    by_place[1]["doc"] = {**by_place[1]["doc"], "question": "Is it another?"}
    assert found(by_place) == {place: None if place == "3" else place for place, _ in docs}
    by_column = [{"own": doc["own"], "prediction": place} for place, doc in docs]
    assert found(by_column, key="own") == {place: place for place, _ in docs}
    by_number = [{"question_id": doc["question_id"], "prediction": place} for place, doc in docs]
    with pytest.raises(UserError, match="has no answer"):
        found([row for row in by_number if row["question_id"] == 0])


def test_tables_that_would_lose_something_are_refused(tmp_path: Path) -> None:
    def said(name: str, text: str) -> str:
        (tmp_path / name).write_text(text)
        with pytest.raises(UserError) as told:
            answers_tables.read(tmp_path / name)
        return str(told.value)

    assert "line 3: more cells than the header" in said("commas.csv", "index,prediction\n1,A\n2,B, because\n")
    assert "two columns 'prediction'" in said("twice.csv", "index,prediction,prediction\n1,A,B\n")
    (tmp_path / "ends.csv").write_text("index,prediction\n1,A,,\n")
    assert [row.cells for row in answers_tables.read(tmp_path / "ends.csv")] == [{"index": "1", "prediction": "A"}]


def changed(file: Path, part: str, change: Callable[[bytes], bytes]) -> Path:
    """A copy of a workbook with one of its parts changed."""
    out = file.with_name(f"changed-{file.name}")
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            new.writestr(name, change(old.read(name)) if name.endswith(part) else old.read(name))
    return out


def test_a_workbook_of_a_wrong_size_or_cut_short(tmp_path: Path) -> None:
    rows = [{"index": str(place), "prediction": "A"} for place in range(9)]
    file = written(tmp_path / "a.xlsx", rows)
    smaller = changed(
        file, "sheet1.xml", lambda xml: re.sub(rb'<dimension ref="[^"]*"', b'<dimension ref="A1:B3"', xml)
    )
    assert [dict(row.cells) for row in answers_tables.read(smaller)] == rows, "its own word for its size is not taken"
    with pytest.raises(UserError, match="is a damaged Excel file: "):
        answers_tables.read(changed(file, "sheet1.xml", lambda xml: xml[: len(xml) // 2]))


def test_a_column_of_formulas_that_nobody_computed_is_told_as_empty(tmp_path: Path) -> None:
    file = written(tmp_path / "formulas.xlsx", [{"index": "1", "prediction": "=A1"}])
    with pytest.raises(UserError, match="nothing in its column 'prediction'"):
        prepared(file)
