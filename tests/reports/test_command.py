"""``janus-eval report``: which runs it takes and where the page goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from janus_eval import plugins
from janus_eval.errors import UserError
from janus_eval.reports import command


def test_the_folder_that_holds_runs_stands_for_them(three_runs: list[Path]) -> None:
    parent = three_runs[0].parent
    assert command.expanded([parent]) == sorted(three_runs)
    assert command.expanded([three_runs[1], parent])[0] == three_runs[1]
    assert len(command.expanded([parent, *three_runs])) == 3


def test_where_the_page_goes(three_runs: list[Path]) -> None:
    assert command.common(three_runs[:1]) == three_runs[0]
    assert command.common(three_runs) == three_runs[0].parent.resolve()


@pytest.mark.parametrize(("name", "says"), [("missing", "no such folder"), ("", "no run in this folder")])
def test_folders_without_runs(tmp_path: Path, name: str, says: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=says):
        command.expanded([tmp_path / (name or "empty")])


def test_it_prints_the_table_and_ends_with_the_page(
    three_runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command.report(three_runs, out=tmp_path / "site")
    printed = capsys.readouterr().out
    assert "nano-janus-pro" in printed
    assert printed.rstrip().endswith(str(tmp_path / "site" / "report.html"))
    assert not (three_runs[0] / "report.html").exists()


@pytest.mark.parametrize(
    ("kind", "name"),
    [("reporters", "default"), ("reporters", "terminal"), ("commands", "report"), ("lists", "published")],
)
def test_reports_come_through_the_door(kind: str, name: str) -> None:
    assert callable(plugins.load(kind, name))
