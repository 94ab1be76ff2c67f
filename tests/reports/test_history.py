"""Metrics over checkpoints: shifts are found where they are, noise is left alone, runs that don't compare are told."""

from __future__ import annotations

import json
import random
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from janus_eval.cli import app
from janus_eval.errors import UserError
from janus_eval.reports import history

pytest.importorskip("ruptures")
HALF = 0.05
"""Half of every interval: a standard error of 0.0255."""


@pytest.fixture
def trained(three_runs: list[Path], tmp_path: Path) -> Callable[..., list[Path]]:
    """Runs of checkpoints with these values of shapes-geneval's headline; ``change`` may spoil results.json."""

    def make(
        values: Sequence[float | None], change: Callable[[int, dict[str, Any]], object] | None = None
    ) -> list[Path]:
        table = json.loads((three_runs[0] / "results.json").read_text())
        folders = []
        for step, value in enumerate(values):
            folder = tmp_path / f"step-{step:02d}"
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            results = json.loads(json.dumps(table))
            results["tasks"] = {"shapes-geneval": results["tasks"]["shapes-geneval"]}
            overall = results["tasks"]["shapes-geneval"]["official"]["metrics"]["overall"]
            spread = {"low": None, "high": None} if value is None else {"low": value - HALF, "high": value + HALF}
            overall.update(value=value, **spread)
            if change:
                change(step, results)
            (folder / "results.json").write_text(json.dumps(results))
            folders.append(folder)
        return folders

    return make


def test_a_shift_is_found_where_it_is(trained: Callable[..., list[Path]]) -> None:
    noise = random.Random(3)
    values = [mean + noise.gauss(0, 0.02) for mean in [0.4] * 5 + [0.6] * 6 + [0.45] * 4]
    [course] = history.courses(trained(values))
    assert [shift.run for shift in course.shifts] == ["step-05", "step-11"]
    assert course.shifts[0].before == pytest.approx(sum(values[:5]) / 5)
    assert course.shifts[1].after == pytest.approx(sum(values[11:]) / 4)
    said = history.text([course])
    assert "rises at step-05: means of 0." in said and "falls at step-11" in said


def test_noise_is_left_alone(trained: Callable[..., list[Path]]) -> None:
    noise = random.Random(5)
    found = 0
    for _ in range(40):
        values = [0.5 + noise.gauss(0, 0.0255) for _ in range(20)]
        found += bool(history._breaks([value / 0.0255 for value in values]))
    assert found <= 4, f"{found} of 40 courses of noise have a shift"
    [course] = history.courses(trained(values))
    assert "no shift beyond noise" in history.text([course]) or course.shifts


def test_what_cannot_be_judged_is_said(trained: Callable[..., list[Path]]) -> None:
    [few] = history.courses(trained([0.2, 0.8, 0.8]))
    assert (few.shifts, few.note) == ([], "3 values; shifts are sought from 4 on")
    [gap] = history.courses(trained([0.2, None, 0.2, 0.2, 0.8, 0.8, 0.8]))
    assert [shift.run for shift in gap.shifts] == ["step-04"] and gap.points[1].value is None

    def other(step: int, results: dict[str, Any]) -> None:
        results["tasks"]["shapes-geneval"]["official"]["fingerprint"] = {
            "settings": str(step > 2),
            "weights": str(step),
        }

    [mixed] = history.courses(trained([0.2, 0.2, 0.2, 0.8, 0.8], other))
    assert mixed.shifts == [] and mixed.note == "not comparable throughout: settings differ"


def test_the_command(
    trained: Callable[..., list[Path]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runs = [str(run) for run in trained([0.4, 0.4, 0.4, 0.7, 0.7, 0.7])]
    for kind, magic in ((".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")):
        file = tmp_path / f"plot{kind}"
        assert app.run(["history", *runs, "-o", str(file), "--json", str(tmp_path / "h.json")]) == 0
        assert file.read_bytes().startswith(magic)
    assert json.loads((tmp_path / "h.json").read_text())[0]["shifts"][0]["run"] == "step-03"
    assert app.run(["history", *runs, "-o", "plot.gif"]) == 2
    assert app.run(["history", *runs, "--metric", "geneval"]) == 2
    assert app.run(["history", *runs, "--metric", "shapes-geneval:counting"]) == 0
    assert "counting" in capsys.readouterr().out
    monkeypatch.setitem(sys.modules, "ruptures", None)
    with pytest.raises(UserError, match=r"pip install 'janus-eval\[history\]'"):
        history._breaks([1.0] * 6)
