"""MMBench on files of the published format: prompts to the letter, scores by hand, and files that are not sound."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import janus_eval
from janus_eval import plan
from janus_eval.cli import app
from janus_eval.datasets import Dataset, File
from janus_eval.errors import UserError
from janus_eval.pictures import Picture
from janus_eval.tasks import datasets, mmbench, mmbench_tasks, mmbench_tsv
from janus_eval.tasks.mmbench_tsv import TURN
from janus_eval.types import Failure, Question, Response, Sample, Scored

COLUMNS = ("index", "question", "hint", "A", "B", "C", "D", "answer", "category", "l2-category", "image", "split")
COLOURS = ("red", "green", "blue", "gray")
Cells = dict[str, str]


def encoded(colour: str, seed: int = 0) -> str:
    """A picture of one colour with a random edge, as the files have it."""
    pixels = np.random.default_rng(seed).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    image.paste(colour, (2, 2, 10, 10))
    return base64.b64encode(Picture.from_pil(image).data).decode()


def question(number: int, options: Sequence[str] = COLOURS, **more: str) -> list[Cells]:
    """A question with all its rotations; the picture has the colour of the option ``number`` modulo theirs."""
    right = options[number % len(options)]
    rows = []
    for turn in range(len(options)):
        shown = [*options[turn:], *options[:turn]]
        row = {
            "index": str(number + turn * TURN),
            "question": f"Which colour ({number})?",
            "answer": "ABCD"[shown.index(right)],
            "category": "image_style",
            "l2-category": "coarse_perception",
            "image": str(number) if turn else more.get("image") or encoded(right, number),
            "split": "dev",
        }
        rows.append({**row, **dict(zip("ABCD", shown, strict=False)), **more})
    return rows


def table(rows: Sequence[Mapping[str, str]], columns: Sequence[str] = COLUMNS, newline: str = "\n") -> bytes:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, delimiter="\t", lineterminator=newline, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue().encode()


ROWS = [
    *question(3, hint='Look\tat the "middle".'),
    *question(7, category="ocr", **{"l2-category": "finegrained_perception (instance-level)"}),
    *question(8, ("red", "green")),
]


@pytest.fixture
def publish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], Path]:
    """Have these bytes be the published MMBench_DEV_EN.tsv; return the folder that holds it."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("JANUS_EVAL_DATA", str(folder))

    def become(data: bytes, name: str = "MMBench_DEV_EN.tsv") -> Path:
        (folder / name).write_bytes(data)
        file = File(name, "https://example.org/x", f"md5:{hashlib.md5(data).hexdigest()}")
        monkeypatch.setattr(datasets, "mmbench", Dataset("mmbench", "", (file,), "none", "https://example.org"))
        return folder

    return become


class Painter:
    """Names the letter of the option that has the picture's colour; ``say`` puts it in other words by the prompt."""

    weights = "painter"

    def __init__(self, say: Callable[[str, str], str] = lambda letter, prompt: letter) -> None:
        self.say = say
        self.prompts: list[str] = []

    def answer(self, questions: Sequence[Question]) -> list[Response | Failure]:
        self.prompts += [asked.text for asked in questions]
        return [self._answer(asked) for asked in questions]

    def _answer(self, asked: Question) -> Response | Failure:
        if not asked.images:
            return Response(text="?")
        colour = asked.images[0].load().getpixel((6, 6))
        lines = [line.split(". ", 1) for line in asked.text.splitlines()]
        named = {line[1]: line[0] for line in lines if len(line) == 2 and len(line[0]) == 1}
        letter = next((named[name] for name in named if Image.new("RGB", (1, 1), name).getpixel((0, 0)) == colour), "?")
        return Response(text=self.say(letter, asked.text))


def metrics(model: Painter, *protocols: str, limit: int | None = None) -> dict[str, dict[str, Any]]:
    run = janus_eval.evaluate(model, [f"mmbench/{name}" for name in protocols], out="runs", limit=limit)
    tasks = run.results["tasks"]["mmbench"]
    return {name: tasks[name]["metrics"] for name in protocols}


ALL = ("circular", "vanilla-first", "vanilla-all", "paper", "vlmevalkit", "lmms-eval")


def test_a_model_that_sees_is_right_under_every_protocol(publish: Callable[[bytes], Path]) -> None:
    publish(table(ROWS))
    model = Painter()
    found = metrics(model, *ALL)
    for name in ALL:
        measured = {key: (value["value"], value["n"]) for key, value in found[name].items() if value["n"]}
        everything = (1.0, 10) if name in {"vanilla-all", "paper"} else (1.0, 3)
        assert list(measured) == ["overall", "CP", "FP-S", "image_style", "ocr"]
        assert measured["overall"] == everything
    # One prompt serves all protocols but the two that copy another tool's.
    assert len(model.prompts) == 30


def test_prompts_to_the_letter(publish: Callable[[bytes], Path]) -> None:
    publish(table(ROWS))
    model = Painter()
    metrics(model, "circular", "vlmevalkit", "lmms-eval")
    hint, options = 'Look\tat the "middle".', "A. red\nB. green\nC. blue\nD. gray\n"
    closing = "Answer with the option's letter from the given choices directly."
    assert f"Hint: {hint}\nWhich colour (3)?\n{options}\n{closing}" in model.prompts
    assert f"Which colour (7)?\n{options}\n{closing}" in model.prompts
    assert f"Which colour (8)?\nA. red\nB. green\n\n{closing}" in model.prompts
    select = "Please select the correct answer from the options above. \n"
    assert f"Hint: {hint}\nQuestion: Which colour (3)?\nOptions:\n{options}{select}" in model.prompts
    assert f"{hint} Which colour (3)? There are several options:\n{options}\n{closing}" in model.prompts
    assert f"Which colour (8)? There are several options:\nA. red\nB. green\n\n{closing}" in model.prompts


def test_the_chinese_files_have_the_chinese_instruction() -> None:
    ask = mmbench_tasks.mmbench_cn.protocols["lmms-eval"].ask
    assert (ask["file"], ask["max_new_tokens"]) == ("MMBench_DEV_CN.tsv", 256)
    sample = Sample("1", {"question": "什么颜色？", "options": {"A": "红", "B": "绿"}, "hint": ""}, {}, "1", "c")
    (asked,) = mmbench_tasks.mmbench_cn.requests(sample, ask, lambda name, index: 0)
    assert isinstance(asked, Question)
    assert (
        asked.text == "什么颜色？ There are several options:\nA. 红\nB. 绿\n\n请直接使用所提供的选项字母作为答案回答。"
    )


def test_every_file_is_a_task_and_the_paper_one_protocol() -> None:
    tasks = {value.name: value for value in vars(mmbench_tasks).values() if isinstance(value, mmbench.MultipleChoice)}
    files = {str(task.protocols["circular"].ask["file"]) for task in tasks.values()}
    assert files == {file.name for file in datasets.mmbench.files} and len(tasks) == 8
    assert [name for name, task in tasks.items() if "paper" in task.protocols] == ["mmbench"]
    for name in tasks:
        assert plan.choices([name])[0].protocol.name == "circular"
    paper, ours = (tasks["mmbench"].protocols[name] for name in ("paper", "vanilla-all"))
    assert (paper.ask, paper.judge) == (ours.ask, ours.judge)


def test_scores_by_hand(publish: Callable[[bytes], Path]) -> None:
    """A taste for A: question 3 (right: gray) is answered A throughout, the others are seen."""
    publish(table(ROWS))
    found = metrics(Painter(lambda letter, prompt: "A" if "(3)" in prompt else letter), *ALL)
    assert found["circular"]["overall"]["value"] == pytest.approx(2 / 3)
    assert found["vanilla-first"]["overall"]["value"] == pytest.approx(2 / 3)
    assert found["vanilla-all"]["overall"]["value"] == found["paper"]["overall"]["value"] == pytest.approx(7 / 10)
    assert found["circular"]["CP"]["value"] == found["circular"]["image_style"]["value"] == 0.5
    assert found["circular"]["FP-S"]["value"] == found["lmms-eval"]["ocr"]["value"] == 1.0
    assert found["circular"]["LR"]["value"] is None


def test_each_tool_reads_letters_by_its_own_rules(publish: Callable[[bytes], Path]) -> None:
    """VLMEvalKit reads "[B]", lmms-eval doesn't and guesses; both read a bare letter."""
    publish(table(ROWS))
    found = metrics(Painter(lambda letter, prompt: f"[{letter}]"), "circular", "circular-lmms-eval")
    assert found["circular"]["overall"]["value"] == 1.0
    assert found["circular-lmms-eval"]["overall"]["value"] == 0.0


def row(number: int, turn: int, answer: str, ability: str = "logic_reasoning") -> Sample:
    options: dict[str, Any] = dict(zip("ABCD", COLOURS, strict=True))
    place = {"index": number + turn * TURN, "rotation": turn, "rotations": 2, "l2_category": ability}
    inputs = {"question": "?", "options": options, "hint": ""}
    return Sample(str(number + turn * TURN), inputs, {"answer": answer}, str(number), "c", metadata=place)


def test_lmms_evals_guesses_come_in_its_order() -> None:
    """A generator with its seed gives E, D, C, E, E, D of five letters, one for each row that isn't read."""
    task = mmbench_tasks.mmbench
    judge = task.protocols["lmms-eval"].judge
    answers = [
        (row(4, 0, "A"), "?"),  # E is drawn, and the question is lost: nothing is drawn for its second row
        (row(4, 1, "B"), "?"),
        (row(5, 0, "D"), "?"),  # D
        (row(5, 1, "C"), "?"),  # C: right in both
        (row(9, 0, "A"), "?"),
        (row(9, 1, "B"), "A"),  # read and wrong: nothing is drawn for the row before
        (row(12, 0, "A"), "A"),
        (row(12, 1, "D"), "?"),  # E
        (row(13, 0, "A"), "?"),  # E
        (row(13, 1, "A"), "?"),
        (row(14, 0, "D", "coarse_perception"), "?"),  # D
        (row(14, 1, "A", "coarse_perception"), "A"),
    ]
    scored = [Scored(sample, 0, task.score(sample, 0, Response(text=said), {}, judge)) for sample, said in answers]
    metrics = task.metrics(judge)
    for order in (scored, scored[::-1]):
        assert metrics["overall"](order).value == pytest.approx(2 / 6)
        # A slice sees the guesses of the whole, not its own from the beginning.
        assert (metrics["CP"](order).value, metrics["LR"](order).value) == (1.0, 0.2)
    assert metrics["overall"](scored[1:]).n == 5
    assert {item.score.value for item in scored} == {0.0, 1.0}


def test_hidden_answers_are_no_zeros(publish: Callable[[bytes], Path]) -> None:
    publish(table(ROWS, [name for name in COLUMNS if name != "answer"]))
    run = janus_eval.evaluate(Painter(), ["mmbench"], out="runs")
    found = run.results["tasks"]["mmbench"]["circular"]
    assert found["metrics"]["overall"]["value"] is None
    (reason,) = found["troubles"]
    assert reason.startswith("the file holds no right answers; janus-eval export RUN --format mmbench")
    assert found["troubles"][reason] == 10
    assert app.run(["export", str(run.folder), "--format", "mmbench", "--out", "answers.tsv"]) == 0
    rows = list(csv.DictReader(io.StringIO(Path("answers.tsv").read_text()), delimiter="\t"))
    kept = [name for name in COLUMNS if name not in {"answer", "image"}]
    assert list(rows[0]) == [*kept, "prediction"]
    assert rows == [{**{name: row.get(name, "") for name in kept}, "prediction": row["answer"]} for row in ROWS]


def test_rows_that_nobody_could_find_again_are_not_exported(publish: Callable[[bytes], Path]) -> None:
    publish(table([*ROWS, {**ROWS[1], "question": "again"}, {**ROWS[0], "index": "none"}, {**ROWS[9], "B": ""}]))
    run = janus_eval.evaluate(Painter(), ["mmbench"], limit=9, out="runs")
    assert app.run(["export", str(run.folder), "--format", "mmbench", "--out", "answers.csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(Path("answers.csv").read_text())))
    assert [row["index"] for row in rows] == [row["index"] for row in ROWS]


def test_a_category_without_a_slice_is_seen(publish: Callable[[bytes], Path]) -> None:
    publish(table([*ROWS, *question(9, category="image_taste")]))
    found = metrics(Painter(), "circular", "lmms-eval")
    for name in found:
        other = found[name]["other categories"]
        assert (other["value"], other["n"]) == (1.0, 1)


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_line_ends_marks_quotes_and_tabs(publish: Callable[[bytes], Path], newline: str, mark: bytes) -> None:
    image = encoded("red")
    odd = question(1, ("a\tb", 'say "x"', "two\nlines", "ü"), hint='"', question='5" pipe', image=image)
    folder = publish(mark + table([*ROWS, *odd], newline=newline))
    samples = mmbench_tsv.read(folder / "MMBench_DEV_EN.tsv")
    assert len(samples) == 14 and not [sample for sample in samples if "fault" in sample.metadata]
    inputs = samples[10].inputs
    assert inputs == {
        "question": '5" pipe',
        "options": {"A": "a\tb", "B": 'say "x"', "C": "two\nlines", "D": "ü"},
        "hint": '"',
    }
    assert samples[0].inputs["hint"] == 'Look\tat the "middle".'
    assert [sample.metadata["rotation"] for sample in samples[:4]] == [0, 1, 2, 3]
    assert samples[1].group == samples[0].group == "3"
    assert samples[1].images[0] is samples[0].images[0]


def test_what_pandas_takes_for_missing_is_missing(publish: Callable[[bytes], Path]) -> None:
    """VLMEvalKit shows no option "None": the prompt must not show one here."""
    folder = publish(table(question(6, ("red", "green"), C="None", D="nan", hint="N/A")))
    for sample in mmbench_tsv.read(folder / "MMBench_DEV_EN.tsv"):
        assert list(sample.inputs["options"]) == ["A", "B"] and sample.inputs["hint"] == ""  # type: ignore[call-overload]
        assert "fault" not in sample.metadata


def test_an_option_that_reads_none_costs_its_question_and_not_the_file(publish: Callable[[bytes], Path]) -> None:
    publish(table([*ROWS, *question(9, ("red", "green", "None", "gray")), *question(11, ("None", "green"))]))
    found = janus_eval.evaluate(Painter(), ["mmbench"], out="runs").results["tasks"]["mmbench"]["circular"]
    overall = found["metrics"]["overall"]
    assert (overall["value"], overall["n"], overall["failed"]) == (1.0, 3, 2)
    assert "line 12: its options are A, B, D" in found["troubles"] and len(found["troubles"]) > 3


def changed(rows: Sequence[Cells], place: int, **cells: str) -> list[Cells]:
    return [{**row, **cells} if k == place else dict(row) for k, row in enumerate(rows)]


FAULTS = [
    (changed(ROWS, 1, image="A" * 65 + "?" * 7), r"line 3: its image is no base64"),
    (changed(ROWS, 1, image=""), "line 3: it has no image"),
    (changed(ROWS, 1, image="999"), "line 3: its image is that of row '999', which has none"),
    (changed(ROWS, 1, image="2000003"), "line 3: its image is that of row '2000003', which has none"),
    (changed(ROWS, 1, B=""), "line 3: its options are A, C, D"),
    (changed(ROWS, 1, A="", B="", C="", D=""), "line 3: its options are missing"),
    (changed(ROWS, 1, answer="E"), "line 3: its answer is 'E', none of its options"),
    (changed(ROWS, 1, question=""), "line 3: it has no question"),
    ([*ROWS, ROWS[1]], "line 12: index 1000003 stood in line 3 already"),
    ([*ROWS, {**ROWS[1], "index": "01000003"}], "line 12: index 01000003 stood in line 3 already"),
]


@pytest.mark.parametrize(("rows", "reason"), FAULTS, ids=[reason for _, reason in FAULTS])
def test_a_faulty_row_leaves_its_question_unscored(
    publish: Callable[[bytes], Path], rows: list[Cells], reason: str
) -> None:
    publish(table(rows))
    run = janus_eval.evaluate(Painter(), ["mmbench/circular", "mmbench/vanilla-all", "mmbench/lmms-eval"], out="runs")
    found = run.results["tasks"]["mmbench"]
    for name, n in (("circular", 2), ("lmms-eval", 2), ("vanilla-all", 9 + (len(rows) > 10))):
        overall = found[name]["metrics"]["overall"]
        assert (overall["value"], overall["n"], overall["failed"]) == (1.0, n, 1)
        (said,) = found[name]["troubles"]
        assert said.startswith(reason)


def test_a_row_that_is_cut_or_has_no_number(publish: Callable[[bytes], Path]) -> None:
    lines = table(ROWS).splitlines()
    folder = publish(b"\n".join([*lines, b"5\tWhich?\tx", b"x\tWhich?\t\tred\tgreen\t\t\tA\to\to\t3\tdev", b""]))
    *sound, cut, odd = mmbench_tsv.read(folder / "MMBench_DEV_EN.tsv")
    assert len(sound) == 10 and (cut.id, odd.id) == ("5", "line-13")
    assert cut.metadata["fault"] == "line 12: it has 3 cells, the header 12"
    assert odd.metadata["fault"] == "line 13: its index is 'x', no number"
    endless, nothing = b"9" * 5000 + b"\tWhich?", b"\0"
    publish(b"\n".join([*lines[:5], endless, nothing, *lines[5:], b""]))
    odd, nul, *rest = mmbench_tsv.read(folder / "MMBench_DEV_EN.tsv")[4:]
    assert odd.metadata["fault"] == "line 6: it has 2 cells, the header 12" and odd.id == "line-6"
    assert nul.metadata["fault"] == "line 7: it has 1 cells, the header 12" and len(rest) == 6
    publish(table(ROWS).replace(b"\tdev", b'\t"dev', 1))
    fault = mmbench_tsv.read(folder / "MMBench_DEV_EN.tsv")[0].metadata["fault"]
    assert fault == "line 2: it has 22 cells, the header 12, and goes on to line 3: is a quote left open?"


def test_an_incomplete_question_is_an_error_unless_limited(
    publish: Callable[[bytes], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = publish(table([row for row in ROWS if row["index"] not in {"2000003", "1000008"}]))
    words = ["run", "--task", "mmbench", "--model", "blank", "--data", str(folder), "--out", "runs"]
    assert app.run(words) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert (
        "question 3 has the rotations 0, 1, 3 of 4; question 8 has the rotations 0 of 2: the file isn't whole" in said
    )
    found = janus_eval.evaluate(Painter(), ["mmbench"], limit=9, out="limited").results["tasks"]["mmbench"]["circular"]
    overall = found["metrics"]["overall"]
    assert (overall["value"], overall["n"], overall["failed"]) == (1.0, 1, 2)
    assert found["troubles"] == {
        "question 3 has the rotations 0, 1, 3 of 4": 3,
        "question 8 has the rotations 0 of 2": 1,
    }


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "has no column index, question, image, A, B"),
        (b"index\tquestion\timage\tA\n", "has no column B"),
        (b"index\tquestion\timage\tA\tB\tB\n", "has two columns of one name"),
        (b"index\tquestion\timage\tA\tB\n", "holds no rows"),
        (b"index\tquestion\timage\tA\tB\n1\t\xff", "is not UTF-8 (byte"),
        (b'index\tquestion\timage\tA\tB\n1\t"Which\n2\tWhich', "a quote is opened in line 2 and never closed"),
    ],
)
def test_what_is_no_such_file(publish: Callable[[bytes], Path], data: bytes, message: str) -> None:
    folder = publish(data)
    with pytest.raises(UserError) as caught:
        mmbench_tsv.read(folder / "MMBench_DEV_EN.tsv")
    assert message in str(caught.value)


def test_missing_data_name_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JANUS_EVAL_DATA", str(tmp_path))
    assert app.run(["run", "--task", "mmbench-v11", "--model", "blank", "--out", str(tmp_path / "runs")]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        "janus-eval: error: MMBench_DEV_EN_V11.tsv is not on this machine: "
        "janus-eval fetch mmbench/MMBench_DEV_EN_V11.tsv (or --data DIR, a folder that holds it)"
    )


def test_another_file_under_the_published_name_is_refused(publish: Callable[[bytes], Path]) -> None:
    folder = publish(table(ROWS))
    (folder / "MMBench_DEV_EN.tsv").write_bytes(table(ROWS[:4]))
    with pytest.raises(UserError, match=r"is not the published MMBench_DEV_EN\.tsv"):
        janus_eval.evaluate(Painter(), ["mmbench"], out="runs")
