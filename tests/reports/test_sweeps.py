"""Sweeps among runs: what is one, which cell is marked, and how it is shown."""

from __future__ import annotations

import io
import itertools
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from janus_eval.reports import board, page, plots, readings, records, sweeps, terminal
from janus_eval.reports.drawing import Series

Cells = Callable[[Mapping[str, Sequence[Any]], Sequence[float]], list[Path]]
TASK = "shapes-geneval"

TWO = """\
2 models (nano-janus-pro under 6 settings and oracle) on 1 task: 0 samples each,
0 requests in all, no failures.

          shapes-
          geneval
model     official
───────────────────
oracle    0.95
ceiling   0.90–1.00

nano-janus-pro by guidance and temperature

shapes-geneval/official
           temperature
guidance   0.5           1
──────────────────────────────────
1          0.10          0.20
           0.05–0.15     0.15–0.25
1.5        0.30          0.60*
           0.25–0.35     0.55–0.65
10         0.50          0.40
           0.45–0.55     0.35–0.45
guidance=1.5, temperature=1 is highest with 0.60 (0.55–0.65), an interval that
overlaps with those of 1 of 5 other cells.

Value and 95% interval. * the best of its sweep; bold where its interval is
clear of all others of it.
"""

ONE = """\
nano-janus-pro under 3 settings on 1 task: 0
samples each, 0 requests in all, no failures.

nano-janus-pro by guidance

           shapes-
           geneval
guidance   official
────────────────────
1          0.10
           0.05–0.15
5          0.30*
           0.25–0.35
10         0.20
           0.15–0.25

shapes-geneval/official: guidance=5 is highest
with 0.30 (0.25–0.35), an interval that overlaps
with those of 1 of 2 other cells.

Value and 95% interval. * the best of its sweep;
bold where its interval is clear of all others of
it.
"""


def cell(path: Path, settings: Mapping[str, Any], value: float, name: str = "nano-janus-pro") -> Path:
    """A run folder with one number in it, its interval 0.05 to either side."""
    model = {"name": name, "checkpoint": None, "dtype": "float32", "weights": "w", "settings": dict(settings)}
    overall = {
        "value": value,
        "low": round(value - 0.05, 3),
        "high": round(value + 0.05, 3),
        "unit": "fraction",
        "n": 9,
    }
    result = {"fingerprint": {"judge": "j"}, "metrics": {"overall": overall}}
    asked = {"schema": 1, "model": model, "seed": 0, "limit": None, "tasks": {TASK: {"official": {}}}}
    path.mkdir()
    (path / "run.json").write_text(json.dumps(asked))
    (path / "results.json").write_text(json.dumps({**asked, "tasks": {TASK: {"official": result}}}))
    return path


def change(path: Path, keys: str, value: Any) -> None:
    """Set ``a.b`` in both files of a run folder."""
    *way, last = keys.split(".")
    for file in path.glob("*.json"):
        whole = table = json.loads(file.read_text())
        for key in way:
            table = table.setdefault(key, {})
        table[last] = value
        file.write_text(json.dumps(whole))


@pytest.fixture
def cells(tmp_path: Path) -> Cells:
    """``cells({"guidance": [1, 2]}, [0.1, 0.3])`` -> a run of each combination, with these values."""
    numbers = itertools.count()

    def make(over: Mapping[str, Sequence[Any]], values: Sequence[float]) -> list[Path]:
        settings = [dict(zip(over, combination, strict=True)) for combination in itertools.product(*over.values())]
        pairs = zip(settings, values, strict=True)
        return [cell(tmp_path / f"{next(numbers)}", {"role": "<|User|>", **one}, value) for one, value in pairs]

    return make


@pytest.fixture
def oracle(tmp_path: Path) -> Path:
    return cell(tmp_path / "oracle", {}, 0.95, "oracle")


def found(paths: list[Path]) -> tuple[sweeps.Sweep, ...]:
    return sweeps.find([records.read(path) for path in paths])


def reading(paths: list[Path]) -> readings.Reading:
    built = board.build([records.read(path) for path in paths])
    [sweep] = built.sweeps
    [only] = readings.readings(built, sweep)
    return only


def marked(paths: list[Path]) -> dict[float, str]:
    """The values of cells that bear a mark."""
    cells = reading(paths).cells.values()
    return {c.metric.value: "clear" if c.best else "top" for c in cells if c.top and c.metric and c.metric.value}


def shown(runs: list[Path], width: int) -> str:
    text = io.StringIO()
    Console(file=text, width=width, color_system=None, legacy_windows=False).print(terminal.render(runs, width))
    return "".join(f"{line.rstrip()}\n" for line in text.getvalue().rstrip().split("\n"))


def drawn(html: str) -> list[str]:
    """The figures of the sweeps' page."""
    found = re.search(r'<article id="sweeps">.*?</article>', html, re.DOTALL)
    return re.findall(r"<figure>.*?</figure>", found[0], re.DOTALL) if found else []


def points(figure: str) -> list[str]:
    """What the dots of a figure say."""
    return re.findall(r"<title>(.*?)</title>", figure)


def test_numbers_stand_in_order_and_the_longer_axis_first(cells: Cells) -> None:
    [sweep] = found(
        cells({"mode": ["b", "a"], "top": [1], "steps": [30, 5], "guidance": [10, 1.5, 2]}, [0.1] * 12)[::-1]
    )
    assert sweep.title == "nano-janus-pro by guidance, steps and mode"
    assert [list(axis.values.values()) for axis in sweep.axes] == [["1.5", "2", "10"], ["5", "30"], ["a", "b"]]
    assert [axis.numeric for axis in sweep.axes] == [True, True, False]
    assert [sweep.label(place) for place in sweep.runs][:3] == [
        "guidance=1.5, steps=5, mode=a",
        "guidance=1.5, steps=5, mode=b",
        "guidance=1.5, steps=30, mode=a",
    ]
    assert [sweep.label(facet, 2) for facet in sweep.facets] == ["mode=a", "mode=b"]


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([None, "", "user", 3, 2.5], ["2.5", "3", "(empty)", "user", "null"]),
        ([True, False], ["false", "true"]),
        ([1e-5, 0.1234567891], ["1e-05", "0.1234567891"]),
        (["a" * 30 + "x", "a" * 30 + "y"], ["a" * 23 + "… #1", "a" * 23 + "… #2"]),
        ([[1, 2], {"a": 1}], ["[1, 2]", '{"a": 1}']),
        (["\x1b[2J", "\u202e"], ["␛[2J", "⟨U+202E⟩"]),
        ([10**400, 1], ["1", "1" + "0" * 22 + "…"]),
    ],
)
def test_values_of_any_kind(cells: Cells, values: list[Any], texts: list[str]) -> None:
    [sweep] = found(cells({"key": values}, [0.1] * len(values)))
    assert list(sweep.axes[0].values.values()) == texts


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model.checkpoint", "mine"),
        ("model.dtype", "bfloat16"),
        ("model.weights", "x"),
        ("model.name", "other"),
        ("seed", 1),
        ("limit", 2),
    ],
)
def test_what_differs_in_more_than_settings_is_no_sweep(cells: Cells, key: str, value: Any) -> None:
    first, second = cells({"guidance": [1, 2]}, [0.1, 0.2])
    assert len(found([first, second])) == 1
    change(second, key, value)
    assert found([first, second]) == ()


def test_equal_settings_and_none_are_no_sweep(cells: Cells, three_runs: list[Path]) -> None:
    assert found(three_runs) == ()
    twice = cells({"guidance": [1, 1]}, [0.1, 0.2])
    assert found(twice) == ()
    [sweep] = found([*twice, *cells({"guidance": [2]}, [0.3])])
    assert list(sweep.runs.values()) == [(0, 1), (2,)]


def test_two_sweeps_of_one_name_are_told_apart(cells: Cells) -> None:
    runs = cells({"guidance": [1, 2, 3, 4]}, [0.1] * 4)
    for key, value, name in [
        ("seed", 1, "nano-janus-pro (seed 1)"),
        ("seed", 0, ""),
        ("model.weights", "x", 'nano-janus-pro (weights "x")'),
        ("model.checkpoint", "mine", "nano-janus-pro:mine"),
    ]:
        for path in runs[2:]:
            change(path, key, value)
        assert [sweep.model for sweep in found(runs)][1:] == ([name] if name else [])


def test_the_highest_is_marked_and_bold_only_where_it_is_clear(cells: Cells) -> None:
    assert marked(cells({"guidance": [1, 2, 3]}, [0.1, 0.3, 0.25])) == {0.3: "top"}
    assert marked(cells({"steps": [1, 2, 3]}, [0.1, 0.3, 0.15])) == {0.3: "clear"}
    assert marked(cells({"t": [1, 2, 3]}, [0.3, 0.3, 0.15])) == {0.3: "top"}
    equal = reading(cells({"u": [1, 2]}, [0.3, 0.3]))
    assert equal.verdict == "every cell has 0.30 (0.25–0.35)." and not any(c.top for c in equal.cells.values())
    clear = reading(cells({"v": [1, 2]}, [0.3, 0.1]))
    assert clear.verdict == "v=1 is highest with 0.30 (0.25–0.35), above every other cell's interval."


def test_numbers_made_otherwise_do_not_compete(cells: Cells, oracle: Path) -> None:
    runs = cells({"guidance": [1, 2, 3]}, [0.1, 0.2, 0.9])
    change(runs[2], f"tasks.{TASK}.official.fingerprint.judge", "another")
    assert marked(runs) == {0.2: "top"}
    assert "Left out: 1 cell measured on other ground (see the notes)." in " ".join(shown(runs, 80).split())
    assert "0.90¹" in shown(runs, 80)
    change(oracle, f"tasks.{TASK}.official.fingerprint.judge", "another")
    [figure] = drawn(page.render([records.read(path) for path in [*runs, oracle]]))
    assert points(figure) == ["0.10 (0.05–0.15), n = 9", "0.20 (0.15–0.25), n = 9"] and "oracle" not in figure


def test_cells_without_a_number(cells: Cells) -> None:
    runs = cells({"guidance": [1, 2], "steps": [1, 2]}, [0.1, 0.2, 0.3, 0.4])
    (runs[1] / "results.json").unlink()
    text = shown([runs[0], runs[1], runs[3]], 80)
    assert re.search(r"\n1 +0.10 +running\n", text) and re.search(r"\n2 +not run +0.40\*\n", text)
    html = page.render([records.read(path) for path in (runs[0], runs[1], runs[3])])
    assert "not run" in drawn(html)[0] and "running" in drawn(html)[0]
    (runs[0] / "results.json").unlink()
    assert "nano-janus-pro by steps\nno numbers yet\n" in shown(runs[:2], 80)
    assert not drawn(page.render([records.read(path) for path in runs[:2]]))


def test_two_settings_in_eighty_columns(cells: Cells, oracle: Path) -> None:
    runs = cells({"temperature": [0.5, 1], "guidance": [1, 1.5, 10]}, [0.1, 0.3, 0.5, 0.2, 0.6, 0.4])
    assert shown([oracle, *runs], 80) == TWO


def test_one_setting_in_fifty_columns(cells: Cells) -> None:
    assert shown(cells({"guidance": [1, 5, 10]}, [0.1, 0.3, 0.2]), 50) == ONE


@pytest.mark.parametrize("width", [40, 50, 80, 120])
def test_many_values_become_blocks(cells: Cells, width: int) -> None:
    runs = cells({"guidance": list(range(7)), "steps": list(range(5, 11))}, [0.01 * n for n in range(42)])
    text = shown(runs, width)
    assert max(map(len, text.splitlines())) <= width
    assert ("guidance=6\n" in text) is (width < 100)


def test_the_page_plots_a_line_for_every_value_of_the_second_setting(cells: Cells, oracle: Path) -> None:
    runs = cells({"guidance": [1, 1.5, 10], "temperature": [0.5, 1]}, [0.1, 0.3, 0.5, 0.2, 0.6, 0.4])
    html = page.render([records.read(path) for path in [*runs, oracle]])
    [figure] = drawn(html)
    assert len(points(figure)) == 6 and figure.count('opacity="0.6"') == 2
    assert figure.count('opacity="0.13"') == 1
    assert "guidance (log scale)" in figure and ">temperature</text>" in figure
    assert "0.60*</span>" in figure and "0.55–0.65" in figure and ">oracle <small>ceiling</small>" in figure
    assert "<title>janus-eval: nano-janus-pro</title>" in html
    assert "nano-janus-pro guidance=10, temperature=1" in html


def test_words_are_not_joined_by_lines(cells: Cells) -> None:
    runs = cells({"mode": ["greedy", "sampled"]}, [0.1, 0.3])
    [figure] = drawn(page.render([records.read(path) for path in runs]))
    assert 'opacity="0.6"' not in figure and len(points(figure)) == 2 and ">greedy</text>" in figure


def test_a_third_setting_gives_a_figure_each(cells: Cells) -> None:
    runs = cells({"guidance": [1, 2, 3], "steps": [5, 9], "mode": ["a", "<b>"]}, [0.01 * n for n in range(12)])
    both = drawn(page.render([records.read(path) for path in runs]))
    assert ["mode=a" in both[1], "mode=&lt;b&gt;" in both[0], len(both)] == [True, True, 2]
    assert "shapes-geneval/official, mode=a\n" in shown(runs, 80)


def test_names_at_the_lines_ends_make_room_for_each_other() -> None:
    nothing = records.MetricRecord(value=0.0, low=0.0, high=0.1, unit="fraction", n=9)
    lines = [plots.Curve(Series(f"n{n}", "s0"), [(1.0, nothing), (2.0, nothing)]) for n in range(20)]
    svg = plots.curves(lines, (0.0, 1.0), "x", "y", heading="<steps>")
    places = sorted(float(y) for y in re.findall(r'y="([\d.]+)"[^>]*>n\d+</text>', svg))
    assert len(places) == 20 and all(b - a >= 15.9 for a, b in itertools.pairwise(places))
    assert places[0] >= 14 + 16 and places[-1] <= float(re.findall(r'viewBox="0 0 560 (\d+)"', svg)[0]) - 36
    assert "&lt;steps&gt;" in svg


def test_settings_are_text_wherever_they_come_from(cells: Cells) -> None:
    nasty = '<script>alert(1)</script>"&amp; \u202e \x1b[31m'
    both: list[dict[str, list[Any]]] = [{nasty: [1, 2], "b": [nasty, "x"]}, {"a": [nasty, "x"], nasty: ["y", nasty]}]
    for over in both:
        runs = cells(over, [0.1, 0.2, 0.3, 0.4])
        html = page.render([records.read(path) for path in runs])
        assert "<script>alert" not in html and not {"\u202e", "\x1b"} & set(html)
        assert "&lt;script&gt;" in drawn(html)[0]
        assert not {"\u202e", "\x1b"} & set(shown(runs, 80))
