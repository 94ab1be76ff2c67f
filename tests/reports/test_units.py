"""Metrics that are no shares of right answers: distances of which less is better, decibels, error rates."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from janus_eval.reports import board, page, readings, records, terminal
from janus_eval.reports.benchmark_plots import curve_words
from janus_eval.reports.board import Column
from janus_eval.reports.gallery import KINDS
from janus_eval.reports.standings import scale
from janus_eval.reports.wording import fitted, upward

MakeRun = Callable[..., Any]
FID, REMARK = "mjhq-fid", "FID of 40 pictures, published figures are of 30,000: it falls as pictures are added"


def run_of(
    folder: Path, metrics: Mapping[str, tuple[float, float, str]], task: str = FID, *, remarks: tuple[str, ...] = (),
    name: str = "", settings: Mapping[str, Any] | None = None,
) -> Path:  # fmt: skip
    """A run folder with numbers alone: value, half of the interval, unit."""
    table = {
        metric: {"value": value, "low": value - half, "high": value + half, "unit": unit, "n": 40}
        for metric, (value, half, unit) in metrics.items()
    }
    result = {"fingerprint": {"judge": "j"}, "metrics": table, "remarks": list(remarks)}
    model = {"name": name or folder.name, "settings": settings or {}, "weights": "w"}
    whole = {"schema": 1, "model": model, "seed": 0, "limit": None, "tasks": {task: {"paper": result}}}
    folder.mkdir()
    for file in ("run.json", "results.json"):
        (folder / file).write_text(json.dumps(whole))
    return folder


def fid(folder: Path, value: float, half: float = 0.2, **more: Any) -> Path:
    return run_of(folder, {"overall": (value, half, "fid"), "animals": (value + 9, half, "fid")}, **more)


def words(html: str) -> str:
    return " ".join(
        unescape(re.sub(r"<[^>]*>", " ", re.sub(r"<(style|script)\b.*?</\1>", "", html, flags=re.S))).split()
    )


def plots_of(html: str) -> dict[str, str]:
    """What is drawn, by its title."""
    return dict(re.findall(r'<svg class="plot"[^>]*aria-label="([^"]*)"[^>]*>(.*?)</svg>', html, re.DOTALL))


def test_which_metrics_are_better_where_there_is_less() -> None:
    less = [("fid", "overall"), ("fraction", "cer"), ("fraction", "cer_latin_size_8"), ("fraction", "wer")]
    assert not any(upward(*one) for one in less)
    assert all(upward(*one) for one in (("fraction", "overall"), ("dB", "psnr"), ("percent", "certain")))


def test_the_lowest_distance_is_the_best_in_the_terminal_and_on_the_page(tmp_path: Path) -> None:
    runs = [records.read(fid(tmp_path / name, value)) for name, value in (("far", 30.0), ("near", 8.0), ("next", 9.0))]
    found = board.build(runs)
    assert [cell.best for row in found.rows for cell in row.cells] == [False, True, False]
    near_again = records.read(fid(tmp_path / "again", 8.3))
    assert not board.build([*runs, near_again]).has_best
    table = terminal._leaderboard(found, found.rows)
    assert table.headings == [["mjhq-fid", "paper", "FID", "(less is", "better)"]]
    html = page.render(runs)
    rows = re.findall(r'<th scope="row"><span class="name"><a[^>]*>(\w+)</a>', html)
    assert rows[:3] == ["near", "next", "far"]
    assert 'aria-sort="ascending"' in html and "paper, FID, lower is better" in words(html)
    assert "Lower is better." in words(html) and "The profile of each system" not in words(html)


def test_a_sweep_over_a_distance_marks_the_lowest(tmp_path: Path) -> None:
    runs = [
        records.read(fid(tmp_path / f"{value}", value, name="flow", settings={"steps": steps}))
        for steps, value in ((10, 30.0), (30, 8.0), (50, 8.3))
    ]
    found = board.build(runs)
    [reading] = readings.readings(found, found.sweeps[0])
    assert reading.verdict == (
        "steps=30 is lowest (best) with 8.00 (7.80–8.20), an interval that overlaps with those of 1 of 2 other cells."
    )
    assert [cell.metric.value for cell in reading.cells.values() if cell.top and cell.metric] == [8.0]
    found = board.build(runs[:2])
    [reading] = readings.readings(found, found.sweeps[0])
    assert reading.verdict == "steps=30 is lowest (best) with 8.00 (7.80–8.20), below every other cell's interval."


def test_a_tasks_remarks_are_footnotes_of_its_numbers(tmp_path: Path) -> None:
    runs = [records.read(fid(tmp_path / name, 8.0, remarks=(REMARK,))) for name in ("one", "two")]
    found = board.build([*runs, records.read(fid(tmp_path / "three", 9.0))])
    assert found.footnotes == (f"mjhq-fid/paper: {REMARK}",), "what is said of two numbers stands there once"
    assert [cell.notes for row in found.rows for cell in row.cells] == [(1,), (1,), ()]
    assert REMARK in words(page.render(runs))


def test_pictures_that_are_counted_are_not_right(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run("drawn", 1.0, prompts=2).geneval().write()
    whole = json.loads((run / "results.json").read_text())
    metrics = whole["tasks"]["shapes-geneval"]["official"]["metrics"]
    for metric in metrics.values():
        metric |= {"unit": "fid", "value": 8.0, "low": 7.0, "high": 9.0}
    (run / "results.json").write_text(json.dumps(whole))
    page.write_site([run], tmp_path / "site")
    html = (tmp_path / "site/runs/drawn/shapes-geneval.official.html").read_text("utf-8")
    assert json.loads(re.search(r'class="index">(.*?)</script>', html)[1])["verdicts"] == 12 * KINDS["counted"]  # type: ignore[index]
    assert '<span class="verdict">counted</span>' in html and ">right<" not in html
    assert "8 of 8 pictures counted" in words((tmp_path / "site/benchmarks/shapes-geneval.html").read_text("utf-8"))


LETTERS, FACES = "size of the letters in pixels", "size of the faces in pixels"


@pytest.mark.parametrize(
    ("family", "subject", "axis", "reading"),
    [
        ("size", "ocr-read", LETTERS, "Fraction right"),
        ("digits height", "digits", "height of the letters in pixels", "Fraction right"),
        ("cer latin size", "character error rate of latin", LETTERS, "lower is better"),
        ("cer size", "character error rate", LETTERS, "lower is better"),
        ("ssim faces size", "SSIM of faces", FACES, "1 where nothing is lost"),
        ("psnr gratings period", "PSNR of gratings", "period in pixels", "dB"),
        ("angle", "ocr-read", "angle", "Fraction right"),
    ],
)
def test_curves_say_what_they_measure(family: str, subject: str, axis: str, reading: str) -> None:
    found = curve_words(family, Column("ocr-read", "exact", "fraction", 0.0, 1.0))
    assert found[:2] == (f"{subject} by {axis}", axis) and reading in found[2]


def test_metrics_in_other_units_have_curves_of_their_own_scale_and_are_no_categories(tmp_path: Path) -> None:
    metrics: dict[str, tuple[float, float, str]] = {"overall": (0.5, 0.1, "fraction"), "psnr": (28.0, 1.0, "dB")}
    metrics |= {f"psnr_size_{n}": (20.0 + n, 1.0, "dB") for n in (8, 16, 24)}
    metrics |= {f"cer_size_{n}": (40.0 / n, 0.1, "fraction") for n in (8, 16, 24)}
    metrics |= dict.fromkeys(("faces", "texts", "words"), (0.5, 0.1, "fraction")) | {"ssim": (0.9, 0.01, "fraction")}
    runs = [run_of(tmp_path / name, metrics, "ceiling") for name in ("one", "two")]
    page.write_site(runs, tmp_path / "site")
    html = (tmp_path / "site/benchmarks/ceiling.html").read_text("utf-8")
    text = words(html)
    assert "Peak signal to noise in dB" in text and "Characters to be mended" in text
    plots = plots_of(html)
    ticks = {title: [float(t) for t in re.findall(r">(\d+(?:\.\d+)?)<", body)] for title, body in plots.items()}
    assert max(ticks["PSNR by size of the letters in pixels"]) > 40
    assert 5 in ticks["character error rate by size of the letters in pixels"]
    panels = plots["ceiling by category"]
    assert ">faces<" in panels and ">ssim<" not in panels and ">psnr<" not in panels


def test_scales_hold_error_rates_beyond_one() -> None:
    assert scale("fraction", [0.1, 0.9]) == (0.0, 1.0)
    low, high = scale("fraction", [0.5, 3.2])
    assert low <= 0.5 and high >= 3.2


def test_the_model_that_gives_pictures_back_is_a_reference(tmp_path: Path) -> None:
    runs = [run_of(tmp_path / name, {"overall": (0.9, 0.1, "fraction")}, "ceiling") for name in ("unchanged", "mine")]
    found = board.build([records.read(run) for run in runs])
    assert [(row.name, row.role.split(":")[0]) for row in found.rows] == [("mine", ""), ("unchanged", "ceiling")]


def test_runs_of_one_model_are_told_apart_by_what_differs_in_their_folders(tmp_path: Path) -> None:
    runs = []
    for day in ("monday", "tuesday"):
        (tmp_path / day).mkdir()
        runs.append(run_of(tmp_path / day / "mine", {"overall": (0.9, 0.1, "fraction")}, "ceiling"))
    runs.append(run_of(tmp_path / "monday" / "other", {"overall": (0.9, 0.1, "fraction")}, "ceiling", name="yours"))
    runs.append(run_of(tmp_path / "tuesday" / "third", {"overall": (0.9, 0.1, "fraction")}, "ceiling", name="yours"))
    found = board.distinct_names([records.read(run) for run in runs])
    assert found == ["mine (monday)", "mine (tuesday)", "yours (other)", "yours (third)"]


def test_long_names_in_plots_keep_their_ends() -> None:
    names = ["janus-pro (a long folder of monday)", "janus-pro (a long folder of sunday)"]
    assert [fitted(name, 20) for name in names] == ["janus-pro…f monday)", "janus-pro…f sunday)"]
    assert fitted("short", 5) == "short"


def test_systems_without_categories_are_no_zeros_in_their_plots(tmp_path: Path) -> None:
    every = {name: (0.5, 0.1, "fraction") for name in ("overall", "faces", "texts", "words")}  # noqa: C420
    bare = {"overall": (0.6, 0.1, "fraction")}
    runs = [run_of(tmp_path / name, table, "t") for name, table in (("one", every), ("two", every), ("bare", bare))]
    plots = plots_of(page.render([records.read(run) for run in runs]))
    assert ">bare<" in plots["overall, 3 systems"]
    assert ">bare<" not in plots["t by category"] and ">bare<" not in plots["t: profile over 3 categories"]
    plots = plots_of(page.render([records.read(run_of(tmp_path / name, bare, "t")) for name in ("four", "five")]))
    assert list(plots) == ["overall, 2 systems"]
