"""The site's leaderboard: who stands beside whom, who may be ranked with whom, and what is best."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from janus_eval.reports import board, ledger, records, standings, systems
from janus_eval.reports.standings import ASIDE, MEASURED, PUBLISHED, Row, Standings

MakeRun = Callable[..., Any]


def built(*paths: Path) -> Standings:
    return standings.build(board.build([records.read(path).counted() for path in paths]), ledger.load())


def column(found: Standings, name: str) -> int:
    return next(n for n, c in enumerate(found.columns) if c.name == name)


def row(found: Standings, name: str, source: str = MEASURED) -> Row:
    return next(r for r in found.rows if r.name == name and r.source == source)


def edit(path: Path, task: str, **overall: Any) -> Path:
    """Set the headline of a task's only protocol, or with ``fingerprint`` and ``protocol`` parts of those."""
    file = path / "results.json"
    results = json.loads(file.read_text())
    [result] = results["tasks"][task].values()
    for name in ("fingerprint", "protocol"):
        result[name] |= overall.pop(name, {})
    result["metrics"]["overall"] |= overall
    file.write_text(json.dumps(results))
    return path


def test_shapes_never_share_a_column_with_published_figures(three_runs: list[Path]) -> None:
    found = built(*three_runs)
    for n, one in enumerate(found.columns):
        measured = [r for r in found.rows if r.source == MEASURED and r.cells[n].value is not None]
        printed = [r for r in found.rows if r.source != MEASURED and r.cells[n].value is not None]
        assert bool(measured) == one.name.startswith("shapes-") and bool(printed) != bool(measured)
    assert [c.name for c in found.columns if c.shown] == list(
        dict.fromkeys(c.task for c in board_of(three_runs).columns)
    )
    assert not any(r.shown for r in found.rows if r.source != MEASURED)


def board_of(paths: list[Path]) -> board.Board:
    return board.build([records.read(path) for path in paths])


def test_real_benchmarks_stand_beside_the_published_figures_in_their_unit(make_run: MakeRun) -> None:
    found = built(make_run("Janus-Pro-7B", 0.8).real().write())
    mine, theirs = row(found, "Janus-Pro-7B"), row(found, "Janus-Pro-7B", PUBLISHED)
    n = column(found, "MMBench")
    assert found.columns[n].detail == "mmbench/paper" and found.columns[n].unit == "percent"
    assert mine.cells[n].value == pytest.approx(100 * 0.8, abs=20) and mine.cells[n].high is not None
    assert (theirs.cells[n].text, theirs.cells[n].low) == ("79.2", None)
    assert mine.cells[n].group == theirs.cells[n].group == 0
    assert [mark.sign for mark in theirs.cells[n].marks] == ["†", "‡"]
    assert [c.name for c in found.columns if c.shown] == ["MMBench", "GenEval", "DPG-Bench"]
    assert theirs.shown and not any(r.shown for r in found.rows if r.source == ASIDE)


@pytest.mark.parametrize(
    ("name", "benchmark", "says"),
    [
        ("SD3-Medium", "GenEval", "depth=38, 1024px, w/ DPO"),
        ("DALL-E 3", "GenEval", "prompt rewriting"),
        ("TokenFlow XL", "GenEval", "six category scores of VAR"),
        ("Janus", "MMBench", "without CircularEval"),
        ("Janus-Pro-7B", "MMBench", "without CircularEval"),
    ],
)
def test_what_is_known_of_a_figure_stands_beside_it(name: str, benchmark: str, says: str) -> None:
    found = built()
    cell = row(found, name, PUBLISHED).cells[column(found, benchmark)]
    told = [found.notes.caveats[mark.place - 1] for mark in cell.marks if mark.list == "caveat"]
    assert any(says in text for text in told)
    [source] = [found.notes.sources[mark.place - 1] for mark in cell.marks if mark.list == "source"]
    assert source.source.short.startswith("Janus")


def test_what_cannot_be_compared_is_parted_and_the_knob_named(make_run: MakeRun) -> None:
    runs = [make_run(f"m{n}", 0.5, prompts=1).geneval(task="geneval").write() for n in range(3)]
    edit(runs[2], "geneval", fingerprint={"judge": "x"}, protocol={"judge": {"threshold": 0.5, "max_objects": 16}})
    found = built(*runs)
    n = column(found, "GenEval")
    blocks = found.blocks(n)
    assert [r.name for r in blocks[1].rows] == ["m2"]
    assert blocks[1].heading == "Not comparable with the rows on top: judge.threshold (0.5, not 0.3) differs"
    assert {"m0", "m1", "Janus-Pro-7B"} <= {r.name for r in blocks[0].rows}


@pytest.mark.parametrize(
    ("limit", "detector", "says"),
    [(3, "mask2former", "data (limit 3, not none)"), (None, "owl", "observe.detector (owl, not mask2former)")],
)
def test_published_figures_stand_apart_from_what_was_run_otherwise(
    make_run: MakeRun, limit: int | None, detector: str, says: str
) -> None:
    path = make_run("m", 0.5, prompts=1).geneval(task="geneval").write(limit=limit)
    edit(path, "geneval", protocol={"observe": {"detector": detector}})
    found = built(path)
    first, second, *_ = found.blocks(column(found, "GenEval"))
    assert [r.name for r in first.rows] == ["m"]
    assert second.heading == f"Published figures, not comparable with the rows on top: {says}"


def test_numbers_that_were_asked_otherwise_stand_apart_too(make_run: MakeRun) -> None:
    path = make_run("m", 0.5, prompts=1).mmbench("mmbench", "paper").write()
    assert not built(path).columns[0].apart[0]
    assert [r.name for r in built(path).blocks(0)[0].rows if r.source == MEASURED] == ["m"]
    edit(path, "mmbench", protocol={"ask": {"prompt": "lmms-eval"}})
    first, second, *_ = built(path).blocks(0)
    assert [r.name for r in first.rows] == ["m"]
    assert second.heading.endswith("not comparable with the rows on top: ask.prompt (lmms-eval, not janus)")


def test_a_measured_fid_stands_beside_printed_ones_the_lowest_first(make_run: MakeRun) -> None:
    path = make_run("m", 0.5, prompts=1).geneval(task="mjhq-fid").write()
    results = json.loads((path / "results.json").read_text())
    results["tasks"]["mjhq-fid"] = {"paper": results["tasks"]["mjhq-fid"].pop("official")}
    (path / "results.json").write_text(json.dumps(results))
    edit(path, "mjhq-fid", unit="fid", value=9.1, low=8.9, high=9.3, protocol={"ask": {"images_per_prompt": 1}})
    found = built(path)
    n = column(found, "MJHQ-30K")
    assert not found.columns[n].upward and found.columns[n].detail == "mjhq-fid/paper"
    rows = [r for r in found.blocks(n)[0].rows if r.source != ASIDE]
    values = [r.cells[n].value for r in rows]
    assert values == sorted(v for v in values if v is not None) and 9.1 in values and len(values) > 8


def test_best_clears_printed_values_too(make_run: MakeRun) -> None:
    path = make_run("m", 0.5, prompts=1).geneval(task="geneval").write()
    cell = row(built(edit(path, "geneval", value=0.9, low=0.81, high=0.95)), "m").cells[0]
    assert cell.best
    assert not row(built(edit(path, "geneval", value=0.9, low=0.79, high=0.95)), "m").cells[0].best
    assert not any(c.best for r in built().rows for c in r.cells)


def test_rows_are_sorted_and_reference_models_stand_below(three_runs: list[Path]) -> None:
    blocks = built(*three_runs).blocks(0)
    assert [r.name for r in blocks[-1].rows] == ["oracle", "blank"] and "Reference" in blocks[-1].heading
    assert blocks[0].heading == ""
    printed = built().blocks(column(built(), "COCO-30K"))[0].rows
    values = [r.cells[column(built(), "COCO-30K")].value for r in printed]
    assert values == sorted(v for v in values if v is not None), "a lower FID is better"


def test_scales_are_round_and_hold_every_number() -> None:
    assert standings.scale("fraction", [0.71, 0.83]) == pytest.approx((0.7, 0.85))
    assert standings.scale("fraction", [0.1, 0.9]) == (0.0, 1.0)
    assert standings.scale("percent", [99.0, 99.9])[1] == 100.0
    assert standings.scale("points", [1567.1, 809.6]) == (800.0, 1600.0)
    assert standings.scale("fraction", []) == (0.0, 1.0)
    low, high = standings.scale("fid", [8.5])
    assert low < 8.5 < high


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("nano-janus-pro", "Janus-Pro"),
        ("janus-flow", "JanusFlow"),
        ("janus", "Janus"),
        ("SDXL", "Stable Diffusion"),
        ("LLaVA-NeXT", "LLaVA"),
        ("Chameleon", "Chameleon"),
        ("<b>", "<b>"),
    ],
)
def test_families(name: str, family: str) -> None:
    assert systems.family(name) == family


def test_sizes_and_kinds_of_runs(make_run: MakeRun) -> None:
    path = make_run("mine", 0.5, prompts=1).geneval().write(checkpoint="org/Janus-Pro-7B", capabilities=["draw"])
    system = systems.of_run(records.read(path))
    assert (system.family, system.size, system.kind, system.bracket) == ("Janus-Pro", "7B", "generation", "6B to 10B")
    assert systems.System("x", "0.86B", "").bracket == "under 2B"
    assert systems.System("x", "", "").bracket == systems.UNKNOWN_SIZE


def test_colours_belong_to_families_and_do_not_run_out() -> None:
    pro, flow = systems.System("Janus-Pro", "", ""), systems.System("JanusFlow", "", "")
    reference = systems.System(systems.REFERENCE, "", "")
    assert systems.colours([flow, pro, reference, pro]) == ["s2", "s0", "sr", "s1"]
    many = systems.colours([pro] * 20)
    assert many[0] == "s0" and len(set(many[:6])) == 6 and all("dashed" in style for style in many[6:12])


def test_columns_have_addresses_of_their_own(make_run: MakeRun) -> None:
    path = make_run("m", 0.5, prompts=1).geneval(task="a b").geneval(task="a-b").write()
    keys = [c.key for c in built(path).columns]
    assert len(keys) == len(set(keys)) and keys[0] != keys[1]
