"""The leaderboard's judgement: what is best, what may not be compared, what is said of runs that are not whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from janus_eval.reports import board, figures, records
from janus_eval.reports.wording import clean, clip, count, line, listed, number

MakeRun = Callable[..., Any]


def rewrite(path: Path, **overall: Any) -> Path:
    """Set the headline of shapes-geneval, or with ``fingerprint`` a part of its fingerprint."""
    file = path / "results.json"
    results = json.loads(file.read_text())
    result = results["tasks"]["shapes-geneval"]["official"]
    result["fingerprint"].update(overall.pop("fingerprint", {}))
    result["metrics"]["overall"].update(overall)
    file.write_text(json.dumps(results))
    return path


def built(*paths: Path) -> board.Board:
    return board.build([records.read(path) for path in paths])


def bold(found: board.Board) -> list[str]:
    return [row.name for row in found.rows if row.cells[0].best]


def run(make_run: MakeRun, name: str, **overall: Any) -> Path:
    return rewrite(make_run(name, 0.5, prompts=1).geneval().write(), **overall)


def test_best_is_bold_only_where_its_interval_clears_the_others(make_run: MakeRun) -> None:
    low = run(make_run, "low", value=0.5, low=0.4, high=0.6)
    touching = run(make_run, "touching", value=0.7, low=0.6, high=0.8)
    clear = run(make_run, "clear", value=0.8, low=0.61, high=0.9)
    assert bold(built(low, touching)) == []
    assert bold(built(low, clear)) == ["clear"]
    assert bold(built(clear)) == []


def test_reference_models_stand_below_and_never_win(make_run: MakeRun) -> None:
    oracle = run(make_run, "oracle", value=1.0, low=0.9, high=1.0)
    blank = run(make_run, "blank", value=0.0, low=0.0, high=0.1)
    model = run(make_run, "model", value=0.5, low=0.4, high=0.6)
    found = built(blank, oracle, model)
    assert [row.name for row in found.rows] == ["model", "oracle", "blank"]
    assert bold(found) == []


def test_numbers_made_otherwise_are_marked_and_never_ranked(make_run: MakeRun) -> None:
    first = run(make_run, "first", value=0.5, low=0.4, high=0.6)
    other = run(make_run, "other", value=0.9, low=0.8, high=1.0, fingerprint={"judge": "x", "ask": "y"})
    found = built(first, other)
    assert bold(found) == []
    assert found.footnotes == ("shapes-geneval/official: not comparable with the row on top, ask and judge differ",)
    settings = rewrite(first, fingerprint={"settings": "x", "weights": "y"})
    assert built(settings, run(make_run, "third", value=0.9, low=0.8, high=1.0)).footnotes == ()


def test_a_task_that_a_model_cannot_do_and_one_that_was_not_run(make_run: MakeRun) -> None:
    drawn = make_run("drawn", 0.5, prompts=1).geneval().write()
    asked = make_run("asked", 0.5, prompts=1).mmbench().write()
    header = json.loads((asked / "run.json").read_text())
    (asked / "run.json").write_text(json.dumps({**header, "skipped": {"shapes-geneval": ["draw"]}}))
    words = {row.name: [cell.word for cell in row.cells] for row in built(drawn, asked).rows}
    assert words == {"drawn": ["", "not run"], "asked": ["cannot draw", ""]}


def test_a_metric_over_nothing_is_no_number(make_run: MakeRun) -> None:
    path = make_run("nothing", 0.5, prompts=1).geneval().write()
    found = built(rewrite(path, value=None, low=None, high=None, n=0, failed=24))
    assert found.rows[0].cells[0].word == "no score"
    assert found.footnotes == ("nothing, shapes-geneval/official: all 24 failed, none scored",)


def test_two_runs_of_one_model_are_told_apart(make_run: MakeRun, tmp_path: Path) -> None:
    first = make_run("same", 0.5, prompts=1).geneval().write()
    second = tmp_path / "same-1a2b"
    first.rename(second)
    make_run("same", 0.5, prompts=1).geneval().write()
    assert [row.name for row in built(first, second).rows] == ["same (same)", "same (same-1a2b)"]


def test_scales_of_points_end_at_a_round_number() -> None:
    assert [board.scale_top(reach) for reach in (0.0, 100.0, 101.0, 1567.1)] == [100.0, 100.0, 200.0, 2000.0]


def test_whiskers_stay_on_their_scale() -> None:
    svg = str(figures.whisker(1.4, (-0.2, 1.9), (0.0, 1.0)))
    assert '<path d="M5 7H107M5 4v6M107 4v6"/>' in svg and 'cx="107"' in svg
    assert "<path" not in figures.whisker(0.5, (None, None), (0.0, 1.0))
    assert figures.whisker(None, (None, None), (0.0, 1.0)) == ""
    assert 'class="w o"' in figures.dot(0.5, (0.0, 1.0))


def test_words() -> None:
    assert (
        clean("a\x07b\x7f\x9b\u2066c\ufeff\ud800 e\u0301 \u200d")
        == "a␇b␡⟨U+009B⟩⟨U+2066⟩c⟨U+FEFF⟩\ufffd e\u0301 \u200d"
    )
    assert clip("y" * 1200, 10) == "yyyyyyyyyy… (1,200 characters)"
    assert line(" a\n\tb ", 80) == "a b"
    assert line("abcdef", 4) == "abc…"
    assert (count(1, "task"), count(1200, "task")) == ("1 task", "1,200 tasks")
    assert (listed([]), listed(["a"]), listed(["a", "b", "c"])) == ("none", "a", "a, b and c")
    assert (number(0.804, "fraction"), number(None, "percent")) == ("0.80", "–")
