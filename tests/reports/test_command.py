"""``janus-eval report``: which runs it takes and where the page goes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer

from janus_eval import plugins
from janus_eval.errors import UserError
from janus_eval.reports import command


def test_the_folder_that_holds_runs_stands_for_them(three_runs: list[Path]) -> None:
    parent = three_runs[0].parent
    assert command.expanded([parent]) == sorted(three_runs)
    assert command.expanded([three_runs[1], parent])[0] == three_runs[1]
    assert len(command.expanded([parent, *three_runs])) == 3


def test_former_reports_among_the_runs_are_passed_over(own_runs: list[Path], tmp_path: Path) -> None:
    command.report(own_runs[:1], out=tmp_path / "site")
    command.report(own_runs[:1], out=tmp_path / "report.html", single_file=True)
    assert command.expanded([*own_runs, tmp_path / "site", tmp_path / "report.html"]) == own_runs
    (tmp_path / "mine.html").write_text("mine")
    for path, says in (("site", "no run in this folder"), ("mine.html", "a file, not a folder")):
        with pytest.raises(UserError, match=says):
            command.expanded([tmp_path / path])
    with pytest.raises(UserError, match="a file, not a folder"):
        command.expanded([*own_runs, tmp_path / "mine.html"])


def test_where_the_page_goes(three_runs: list[Path]) -> None:
    assert command.common(three_runs[:1]) == three_runs[0]
    assert command.common(three_runs) == three_runs[0].parent.resolve()


@pytest.mark.parametrize(("name", "says"), [("missing", "no such folder"), ("", "no run in this folder")])
def test_folders_without_runs(tmp_path: Path, name: str, says: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=says):
        command.expanded([tmp_path / (name or "empty")])


def test_it_prints_the_table_and_ends_with_the_site(
    three_runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command.report(three_runs, out=tmp_path / "site")
    printed = capsys.readouterr().out
    assert "nano-janus-pro" in printed
    assert printed.rstrip().endswith(f"Site: {tmp_path / 'site' / 'index.html'}")
    assert not (three_runs[0] / "report.html").exists()


@pytest.mark.parametrize(("out", "page"), [("one", "one/report.html"), ("one.html", "one.html")])
def test_a_single_file_goes_into_a_folder_or_under_a_name(
    three_runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], out: str, page: str
) -> None:
    command.report(three_runs[:1], out=tmp_path / out, single_file=True)
    assert capsys.readouterr().out.rstrip().endswith(f"Page: {tmp_path / page}")
    assert [path.name for path in tmp_path.rglob("*.html")] == [Path(page).name]


def test_no_runs_give_the_published_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command.report([], out=tmp_path / "site")
    assert "No runs yet" in capsys.readouterr().out
    assert "Janus-Pro-7B" in (tmp_path / "site" / "index.html").read_text("utf-8")
    with pytest.raises(UserError, match="name one with --out"):
        command.report([])


def test_runs_that_cannot_be_read_are_named_and_leave_the_report_incomplete(
    own_runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    header = json.loads((own_runs[2] / "run.json").read_text())
    (own_runs[2] / "run.json").write_text(json.dumps({**header, "schema": 0}))
    with pytest.raises(typer.Exit) as ended:
        command.report(own_runs, out=tmp_path / "site")
    assert ended.value.exit_code == 3
    said = "run.json: schema 0, this version reads 1"
    assert said in " ".join(capsys.readouterr().out.split())
    assert said in (tmp_path / "site" / "index.html").read_text("utf-8")
    with pytest.raises(UserError, match=said):
        command.report(own_runs[2:], out=tmp_path / "other")


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("reporters", "default"),
        ("reporters", "terminal"),
        ("commands", "report"),
        ("lists", "published"),
        *(("report_sections", name) for name in ("leaderboard", "sweeps", "benchmarks", "runs", "published")),
    ],
)
def test_reports_come_through_the_door(kind: str, name: str) -> None:
    assert callable(plugins.load(kind, name))
