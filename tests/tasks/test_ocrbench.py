"""OCRBench on files of the published format: the rules, sums by hand, and rows that are not sound."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import janus_eval
from janus_eval.cli import app
from janus_eval.datasets import Dataset, File
from janus_eval.errors import UserError
from janus_eval.pictures import Picture
from janus_eval.tasks import datasets, ocrbench
from janus_eval.tasks.ocrbench import CATEGORIES, FORMULAS, judged
from janus_eval.types import Failure, Question, Response

COLUMNS = ("index", "image", "question", "answer", "category")
Cells = dict[str, str]
SCENE = "Scene Text-centric VQA"


@pytest.mark.parametrize(
    ("answer", "wanted", "category", "official", "lmms_eval"),
    [
        ("The word is CENTRE.", ["centre"], SCENE, 1, 1),
        ("centre", ["The Centre"], SCENE, 0, 0),  # the answer must contain the text, not the other way round
        ("Rome", ["paris", "ROME"], SCENE, 1, 1),
        ("two\nlines", [" Two lines\n"], SCENE, 1, 1),  # a line break is a space
        ("two  lines", ["two lines"], SCENE, 0, 0),  # spaces count but for those at the ends
        ("1 0", ["10"], SCENE, 0, 0),
        ("art", ["a"], SCENE, 1, 1),  # no word boundaries
        ("", ["a"], SCENE, 0, 0),
        ("", [""], SCENE, 1, 1),
        ("１２３，ＡＢ", ["123,ab"], SCENE, 0, 1),  # lmms-eval takes full-width forms for ASCII
        ("a\u3000b", ["a b"], SCENE, 0, 1),
        ("¥", ["￥"], SCENE, 0, 0),  # ... and nothing else
        ("x ^ 2\n+ 1", ["x^{2}", "x^2 +1"], FORMULAS, 1, 1),  # formulas: no spaces
        ("X^2", ["x^2"], FORMULAS, 0, 0),  # ... but letter case
        ("ｘ", ["x"], FORMULAS, 0, 0),  # ... and widths
        ("a\tb", ["ab"], FORMULAS, 0, 0),
    ],
)
def test_rules(answer: str, wanted: Sequence[str], category: str, official: int, lmms_eval: int) -> None:
    assert judged(answer, wanted, category, "vlmevalkit").value == 100 * official
    assert judged(answer, wanted, category, "lmms-eval").value == 100 * lmms_eval


def row(number: int, category: str, wanted: object, **cells: str) -> Cells:
    image = Picture.from_pil(Image.new("RGB", (9, 8), (number, 0, 0)))
    found = {"index": str(number), "image": base64.b64encode(image.data).decode(), "category": category}
    return {**found, "question": f" What is number {number}? ", "answer": repr(wanted), **cells}


def table(rows: Sequence[Mapping[str, str]], columns: Sequence[str] = COLUMNS) -> bytes:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, delimiter="\t", lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue().encode()


ROWS = [row(number, category, [f"text {number}", "Ａ"]) for number, category in enumerate(CATEGORIES)]


@pytest.fixture
def publish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], Path]:
    """Have these bytes be the published OCRBench.tsv; return its path."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JANUS_EVAL_DATA", str(tmp_path))

    def become(data: bytes) -> Path:
        path = tmp_path / "OCRBench.tsv"
        path.write_bytes(data)
        file = File(path.name, "https://example.org/x", f"md5:{hashlib.md5(data).hexdigest()}")
        monkeypatch.setattr(datasets, "ocrbench", Dataset("ocrbench", "", (file,), "none", "https://example.org"))
        return path

    return become


class Sayer:
    """Says this to the question about number n; its prompts and limits are kept."""

    weights = "sayer"

    def __init__(self, said: Mapping[int, str]) -> None:
        self.said = said
        self.asked: list[tuple[str, int]] = []

    def answer(self, questions: Sequence[Question]) -> list[Response | Failure]:
        self.asked += [(asked.text, asked.max_new_tokens) for asked in questions]
        numbers = [asked.images[0].load().getpixel((0, 0)) if asked.images else (0,) for asked in questions]
        return [Response(text=self.said.get(red, "nothing")) for (red, *_) in numbers]  # type: ignore[misc]


def test_sums_by_hand(publish: Callable[[bytes], Path]) -> None:
    publish(table(ROWS))
    model = Sayer({0: "TEXT 0", 1: "a", 4: "text 4!", 6: "TEXT 6", 9: "TEXT 9", 8: "Ａ"})
    names = ("official", "official-lmms-eval", "lmms-eval")
    run = janus_eval.evaluate(model, [f"ocrbench/{name}" for name in names], out="runs")
    found = run.results["tasks"]["ocrbench"]
    metrics = {name: {key: value["value"] for key, value in found[name]["metrics"].items()} for name in names}
    # Right: 0, 4, 6, 8. Number 9 is a formula, where "TEXT9" is not "text9".
    assert metrics["official"] == pytest.approx(
        {
            "overall": 40.0,
            "final_score": 400.0,
            "Text Recognition": 100 * 2 / 6,
            **dict.fromkeys(CATEGORIES, 0.0),
            **{CATEGORIES[number]: 100.0 for number in (0, 4, 6, 8)},
        }
    )
    # "a" is a full-width A to lmms-eval's rule, in every answer of the others that has one.
    assert metrics["official-lmms-eval"] == metrics["lmms-eval"]
    assert metrics["lmms-eval"]["overall"] == 50.0 and metrics["lmms-eval"][CATEGORIES[1]] == 100.0
    final = found["official"]["metrics"]["final_score"]
    assert final["unit"] == "points" and final["low"] < 400 < final["high"] <= 1000
    # The questions as they stand and as lmms-eval strips them, with each tool's limit; one asking serves both rules.
    assert model.asked[0] == (" What is number 0? ", 2048) and ("What is number 3?", 128) in model.asked
    assert len(model.asked) == 20


FAULTS = [
    (row(10, SCENE, ["x"], image="?" * 80), "line 12: its image is no base64"),
    (row(10, SCENE, ["x"], image=""), "line 12: it has no image"),
    (row(10, SCENE, ["x"], image="77"), "line 12: its image is that of row '77', which has none"),
    (row(10, "Scene text", ["x"]), "line 12: its category is 'Scene text', none of OCRBench's"),
    (row(10, SCENE, ["x"], question=""), "line 12: it has no question"),
    (row(10, SCENE, [7]), "line 12: its answer is '[7]', no list of texts"),
    (row(10, SCENE, []), "line 12: its answer is '[]', no list of texts"),
    (row(10, SCENE, ["x"], answer="x"), "line 12: its answer is 'x', no list of texts"),
    (row(10, SCENE, ["x"], answer="{[]: 1}"), "line 12: its answer is '{[]: 1}', no list of texts"),
    (row(10, SCENE, ["x"], answer="__import__('os').abort()"), "line 12: its answer is \"__import__('os').abort()\""),
    (row(10, SCENE, ["x"], index="3"), "line 12: index 3 stood in line 5 already"),
    (row(10, SCENE, ["x"], index="x3"), "line 12: its index is 'x3', no number"),
]


@pytest.mark.parametrize(("odd", "reason"), FAULTS, ids=[reason for _, reason in FAULTS])
def test_a_faulty_row_is_unscored_and_named(publish: Callable[[bytes], Path], odd: Cells, reason: str) -> None:
    publish(table([*ROWS, odd]))
    run = janus_eval.evaluate(Sayer({number: f"text {number}" for number in range(11)}), ["ocrbench"], out="runs")
    found = run.results["tasks"]["ocrbench"]["official"]
    overall = found["metrics"]["overall"]
    assert (overall["value"], overall["n"], overall["failed"]) == (100.0, 10, 1)
    (said,) = found["troubles"]
    assert said.startswith(reason)


def test_pictures_are_shared_and_one_text_stands_for_itself(publish: Callable[[bytes], Path]) -> None:
    path = publish(b"\xef\xbb\xbf" + table([*ROWS, row(10, SCENE, "ab", image="3")]).replace(b"\n", b"\r\n"))
    samples = ocrbench.read(path)
    assert samples[10].images[0] is samples[3].images[0]
    # The file's text is a list there; where it were none, VLMEvalKit would look for each of its letters.
    assert samples[10].target == {"answers": ["ab"]}
    assert [sample.category for sample in samples[:10]] == list(CATEGORIES)


def test_what_is_no_such_file(publish: Callable[[bytes], Path]) -> None:
    path = publish(b"index\tquestion\timage\tA\tB\n")
    with pytest.raises(UserError, match="has no column answer, category: it is none of OCRBench's files"):
        ocrbench.read(path)


def test_missing_data_name_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JANUS_EVAL_DATA", str(tmp_path))
    assert app.run(["run", "--task", "ocrbench", "--model", "blank", "--out", str(tmp_path / "runs")]) == 2
    assert "janus-eval fetch ocrbench/OCRBench.tsv" in capsys.readouterr().err.splitlines()[-1]


def test_the_published_file_is_pinned() -> None:
    (file,) = datasets.ocrbench.files
    assert (file.name, file.checksum) == ("OCRBench.tsv", "md5:e953d98a987cc6e26ef717b61260b778")
    assert ocrbench.ocrbench.protocols["official"].ask["file"] == file.name


def test_limit_takes_one_of_each_category(publish: Callable[[bytes], Path]) -> None:
    publish(table([*ROWS, *(row(20 + k, category, ["x"]) for k, category in enumerate(CATEGORIES))]))
    found: Any = janus_eval.evaluate(Sayer({0: "text 0"}), ["ocrbench"], out="runs", limit=1).results
    overall = found["tasks"]["ocrbench"]["official"]["metrics"]["overall"]
    assert (overall["value"], overall["n"]) == (10.0, 10)
