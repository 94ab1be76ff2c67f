"""The same tables in every format: what each cell says, and nothing that a name from outside could do."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from janus_eval.cli import app
from janus_eval.errors import UserError
from janus_eval.reports import papers_command as command
from janus_eval.reports import papers_html
from janus_eval.reports.papers_command import Asked
from janus_eval.reports.papers_text import latex_escaped
from janus_eval.reports.records import Run

MakeRun = Callable[..., Run]


def text(form: str, *runs: Run, paper: str = "janus-pro") -> str:
    return command.rendered(command.made_of(Asked(paper, [run.path for run in runs])), form)


def test_markdown_has_the_papers_rows_and_a_line_for_the_run(seven_b: Run) -> None:
    lines = text("markdown", seven_b).splitlines()
    assert "| Type | Model | \\# LLM Params | POPE | MME-P | MMB | SEED | GQA | MMMU | MM-Vet |" in lines
    place = lines.index("|  | Janus-Pro-7B | 7B | 87.4 | 1567.1 | 79.2 | 72.1 | 62.0 | 41.0 | 50.0 |")
    assert lines[place + 1].startswith("|  | *measured: pro-7b* |  | *–, not run \\[1\\]* |")
    assert "*78.9 (77.7–80.1), −0.3, agrees*" in lines[place + 1]
    assert "*66.1 (63.4–68.8), −13.1, not comparable \\[7\\]*" in lines[place + 2]
    assert "1. janus-eval run --task pope/random ..." in lines
    assert "Janus-Pro-7B beside pro-7b: 1 agrees, 6 not run." in lines


def test_every_markdown_row_has_the_columns_of_its_table(seven_b: Run, hostile: Run) -> None:
    for part in text("markdown", seven_b, hostile).split("\n## ")[1:]:
        rows = [line for line in part.splitlines() if line.startswith("|")]
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) == 1


def test_latex_is_balanced_and_escaped(seven_b: Run, hostile: Run) -> None:
    source = text("latex", seven_b, hostile)
    body = "\n".join(line for line in source.splitlines() if not line.startswith("%"))
    assert body.isascii(), "pdfLaTeX stops at a character that it has no glyph for"
    plain = re.sub(r"\\[{}]", "", body)
    assert plain.count("{") == plain.count("}")
    opened, closed = (re.findall(rf"\\{word}{{(\w+)}}", body) for word in ("begin", "end"))
    assert sorted(opened) == sorted(closed) and {"table", "tabular"} <= set(opened)
    unescaped = re.sub(r"\\[#$%&_{}]|\\text\w+{}|\$-\$|\$\\\w+\$|\$\^\\dagger\$|script{\d+}~", "", body)
    assert not re.search(r"[#$%^~]", unescaped.replace("{!}{%", "")), "a special character would do something"
    for rule in ("toprule", "midrule", "bottomrule"):
        assert f"\\{rule}" in body
    assert r"\textless{}script\textgreater{}alert(1)\textbar{}x\$\_\{\%\&\#" in body


def test_no_name_is_taken_for_an_argument_of_the_row_before() -> None:
    assert latex_escaped("[2pt] *x*") == "{[}2pt{]} {*}x{*}"
    assert latex_escaped("é 🎈 ~") == "e ? \\textasciitilde{}"


def test_latex_numbers_tables_itself_and_makes_only_wide_ones_smaller(seven_b: Run) -> None:
    source = text("latex", seven_b)
    assert r"\caption{GenEval (the paper's Table 4).}" in source and r"\caption{Table" not in source
    assert source.count(r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%") == 3
    assert latex_escaped("run --task x – y") == "run -{}-task x -- y", "two hyphens would print as a dash"
    assert r"\\ $-$0.3 \\ agrees\end{tabular}" in source, "a verdict beside its difference would widen the column"
    assert r"not run\textsuperscript{1}" in source


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdfLaTeX (Debian: texlive-latex-recommended)")
def test_latex_compiles_without_a_complaint(seven_b: Run, hostile: Run, tmp_path: Path) -> None:
    packages = r"\usepackage[T1]{fontenc}\usepackage{booktabs}\usepackage{graphicx}"
    tables = text("latex", seven_b, hostile)
    source = rf"\documentclass{{article}}{packages}\begin{{document}}{chr(10)}{tables}\end{{document}}"
    (tmp_path / "t.tex").write_text(source, "utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)
    assert said.returncode == 0 and "Overfull" not in said.stdout, said.stdout[-2000:]


def test_every_latex_row_has_the_columns_of_its_table(seven_b: Run) -> None:
    for table in text("latex", seven_b).split("\\begin{table}")[1:]:
        columns = len(re.search(r"\\begin{tabular}{(l\w*)}", table)[1])  # type: ignore[index]
        rows = table.split("\\midrule")[0].splitlines()[-1:] + re.findall(r"^(?:Janus|\\quad).*$", table, re.MULTILINE)
        inner = [re.sub(r"\\begin{tabular}\[t\].*?\\end{tabular}", "", row) for row in rows]
        assert len(inner) > 2
        assert {len(re.findall(r"(?<!\\)&", row)) for row in inner} == {columns - 1}


def test_csv_has_a_line_for_each_cell_and_number(seven_b: Run, hostile: Run) -> None:
    source = text("csv", seven_b, hostile)
    assert "\r\n" in source
    rows = list(csv.DictReader(io.StringIO(source, newline="")))
    own = [row for row in rows if row["row"] == "Janus-Pro-7B" and row["column"] == "MMB"]
    assert [(row["protocol"], row["printed"], row["measured"], row["verdict"]) for row in own] == [
        ("paper", "79.2", "78.9", "agrees"),
        ("circular", "79.2", "66.1", "not comparable"),
    ]
    assert own[0]["difference"] == "-0.3" and own[0]["difference_low"] == "-1.5"
    printed = [row for row in rows if row["origin"] == "paper" and row["protocol"] != "circular"]
    assert len([row for row in printed if row["protocol"] != "fixed"]) == 117 + 135 + 78
    (stranger,) = [row for row in rows if row["origin"] == "run" and row["measured"]]
    assert "<script>" in stranger["run"] and stranger["printed"] == "" and stranger["verdict"] == ""


def test_json_has_a_schema_number_and_all_verdicts(seven_b: Run) -> None:
    found = json.loads(text("json", seven_b))
    assert (found["schema"], found["kind"], found["paper"]) == (1, "paper", "janus-pro")
    three = found["tables"][0]
    rows = {row["name"]: row for group in three["groups"] for row in group["rows"]}
    assert rows["LLaVA"]["verdict"] == "not run" and rows["LLaVA"]["printed"][0]["value"] == 76.3
    pro = rows["Janus-Pro-7B"]
    assert pro["verdict"] is None
    cells = pro["runs"][0]["cells"]
    assert [cell[0]["verdict"] for cell in cells] == ["not run", "not run", "agrees", *["not run"] * 4]
    assert cells[2][0]["measured"] == 78.9 and cells[2][0]["difference"] == [-0.3, -1.5, 0.9]


class Page(HTMLParser):
    """What a browser would see: tags, text, ids and targets of links."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        told = dict(attrs)
        self.ids += [str(told["id"])] if "id" in told else []
        self.links += [str(told["href"])] if tag == "a" else []

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_is_whole_and_harmless(seven_b: Run, hostile: Run) -> None:
    source = text("html", seven_b, hostile)
    page = Page(source)
    assert "script" not in page.tags and "img" not in page.tags
    assert "default-src 'none'" in source
    assert "<script>alert(1)|x$_{%&#~^\\" in page.text and "⟨U+202E⟩ab" in page.text
    assert len(page.ids) == len(set(page.ids))
    assert set(page.links) <= {f"#{name}" for name in page.ids}, "every note's number leads to a note"
    assert page.tags.count("table") == 3 and page.tags.count("svg") == 4, "a picture beside each comparable number"
    assert "−0.3, agrees" in " ".join(page.text.split())


def test_the_picture_has_the_printed_value_in_its_middle() -> None:
    drawn = papers_html.plot((79.2, 78.2, 77.2, 79.2), 2.0)
    assert 'class="printed-dot" cx="42.0"' in drawn
    assert 'class="whisker" x1="5.0" x2="42.0"' in drawn and 'class="dot" cx="23.5"' in drawn
    assert 'cx="42.0"' in papers_html.plot((1.0, 1.0, 1.0, 1.0), 0.0), "no distance at all"


@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize("paper", ["janus-pro", "janusflow", "claims"])
def test_the_terminal_is_never_overrun(seven_b: Run, paper: str, width: int) -> None:
    from janus_eval.reports.papers_terminal import render

    shown = io.StringIO()
    made = command.made_of(Asked(paper, [seven_b.path]))
    Console(file=shown, width=width).print(render(made.sheaf(), width), highlight=False)
    assert max(map(len, shown.getvalue().splitlines())) <= width
    if width >= 80:
        assert "…" not in shown.getvalue()
        assert "77.7–80.1" in shown.getvalue() or paper == "janusflow"


def test_without_runs_the_tables_stand_alone() -> None:
    source = text("markdown")
    assert "Nothing was measured here: the figures are the paper's alone." in source
    assert "measured:" not in source and "not run" not in source


def test_formats_follow_the_files_name(tmp_path: Path) -> None:
    assert command.format_of(None, None) == "text"
    assert command.format_of(None, Path("a.TEX")) == "latex"
    assert command.format_of("csv", Path("a.html")) == "csv"
    with pytest.raises(UserError, match="did you mean 'markdown'"):
        command.format_of("markdwn", None)
    with pytest.raises(UserError, match=r"no format goes by \.pdf"):
        command.format_of(None, Path("a.pdf"))


def test_from_the_command_line(
    seven_b: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    out = tmp_path / "tables.json"
    assert app.run(["report", "--paper", "janus-pro", str(seven_b.path), "-o", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    assert json.loads(out.read_text())["tables"]
    assert app.run(["report", "--paper", "janus-pro", "--as", f"SDXL={seven_b.path}"]) == 0
    assert "SDXL beside pro-7b (as told by --as)" in " ".join(capsys.readouterr().out.split())
    assert app.run(["report", "--paper", "janus-pro", "--format", "markdown"]) == 0
    assert capsys.readouterr().out.startswith("# Janus-Pro: Unified")


def test_a_run_that_cannot_be_read_is_named_and_the_others_shown(
    seven_b: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    other = seven_b.path.with_name("torn")
    other.mkdir()
    (other / "run.json").write_text("{")
    asked = ["report", "--paper", "janus-pro", "--format", "csv"]
    assert app.run([*asked, str(seven_b.path.parent)]) == 3
    captured = capsys.readouterr()
    assert "pro-7b,mmbench,paper,78.9" in captured.out and "Not shown: " in captured.err and "torn" in captured.err
    assert app.run([*asked, str(other)]) == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("--paper janus-po", "did you mean 'janus-pro'"),
        ("--paper janus-pro --as SDXL", "expected NAME=RUN"),
        ("--paper janus-pro --as SDXL=nowhere", "nowhere: no such folder"),
        ("--paper claims --as Nobody=nowhere", "nowhere: no such folder"),
        ("--paper janus-pro -o no/such/place.csv", "place.csv: No such file or directory"),
        ("--format csv", "--format goes with --paper"),
        ("--paper janus-pro --published absent.json", "absent.json: No such file"),
    ],
)
def test_mistakes_are_one_line(
    arguments: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert app.run(["report", *arguments.split()]) == 2
    assert says in capsys.readouterr().err.splitlines()[-1]
