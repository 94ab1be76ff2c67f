"""Which run stands in which row, and what is said about each cell."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from janus_eval.errors import UserError
from janus_eval.reports import ledger, ledger_files, papers
from janus_eval.reports.papers_view import Held, RowView, TableView, Told, view
from janus_eval.reports.records import Run

MakeRun = Callable[..., Run]


def table(name: str, number: str, *runs: Run, told: tuple[Told, ...] = ()) -> TableView:
    found = view(papers.paper(name), runs, ledger.load(), told)
    return next(one for one in found.tables if one.table.table == number)


def row(found: TableView, name: str) -> RowView:
    return next(one for one in found.rows if one.row.name == name)


def cell(found: TableView, name: str, head: str) -> list[Held]:
    place = [column.head for column in found.table.columns].index(head)
    (line,) = row(found, name).lines
    return list(line.cells[place])


def test_a_run_stands_beside_its_systems_figures(seven_b: Run) -> None:
    found = table("janus-pro", "Table 3", seven_b)
    first, other = cell(found, "Janus-Pro-7B", "MMB")
    assert (first.protocol, other.protocol) == ("paper", "circular"), "the comparable number leads"
    assert first.verdict == ("agrees", "")
    assert first.shift == pytest.approx((-0.3, -1.5, 0.9))
    assert other.verdict is not None and other.verdict.word == "not comparable"
    assert other.verdict.reason.startswith("judge.aggregate circular, not rows (vanilla-all")
    (pope,) = cell(found, "Janus-Pro-7B", "POPE")
    assert pope.verdict == ("not run", "janus-eval run --task pope/random ...")
    assert [one.row.name for one in found.rows if one.lines] == ["Janus-Pro-7B"]


def test_every_table_takes_what_it_can(seven_b: Run) -> None:
    four, five = table("janus-pro", "Table 4", seven_b), table("janus-pro", "Table 5", seven_b)
    assert cell(four, "Janus-Pro-7B", "Overall")[0].verdict == ("agrees", "")
    assert cell(four, "Janus-Pro-7B", "Two Obj.")[0].verdict == ("agrees", ""), "0.885 may have been printed as 0.89"
    (counting,) = cell(four, "Janus-Pro-7B", "Counting")
    assert counting.verdict == ("not run", "janus-eval run --task geneval/official ...")
    official, fixed = cell(five, "Janus-Pro-7B", "Overall")
    assert official.verdict == ("agrees", "3 of 103 failed")
    assert fixed.verdict is not None and "judge.first_row kept, not dropped" in fixed.verdict.reason


def test_a_number_outside_differs(make: MakeRun, kit: Any) -> None:
    run = make("low", tasks={"mmbench": {"paper": kit.result(kit.mmbench(), overall=(0.70, 0.68, 0.72))}})
    (held,) = cell(table("janus-pro", "Table 3", run), "Janus-Pro-7B", "MMB")
    assert held.verdict is not None and held.verdict.word == "differs"


@pytest.mark.parametrize(
    ("checkpoint", "name", "how"),
    [
        ("deepseek-ai/Janus-Pro-7B", "Janus-Pro-7B", ""),
        ("deepseek-ai/Janus-Pro-7B@abc123", "Janus-Pro-7B", ""),
        (None, "Janus-Pro-1B", ""),
        ("deepseek-ai/Janus-Pro-1B", "Janus-Pro-1B", ""),
        ("/disk/Janus-Pro-7B/", "Janus-Pro-7B", "by the name of its checkpoint, /disk/Janus-Pro-7B/"),
        ("c/models--deepseek-ai--Janus-Pro-1B/snapshots/9f", "Janus-Pro-1B", "by the name of its checkpoint"),
    ],
)
def test_rows_are_found_by_checkpoint(make: MakeRun, checkpoint: str | None, name: str, how: str, kit: Any) -> None:
    run = make(
        "a", checkpoint=checkpoint, tasks={"geneval": {"official": kit.result(kit.geneval, overall=(0.7, 0.6, 0.8))}}
    )
    found = table("janus-pro", "Table 4", run)
    assert [one.row.name for one in found.rows if one.lines] == [name]
    assert row(found, name).lines[0].how.startswith(how)


def test_other_checkpoints_get_rows_of_their_own(make: MakeRun, kit: Any) -> None:
    tasks = {"geneval": {"official": kit.result(kit.geneval, overall=(0.7, 0.6, 0.8))}}
    tuned = make("tuned", checkpoint="runs/my-fine-tune", tasks=tasks)
    other = make("nano", name="nano-janus-pro", checkpoint=None, tasks={"shapes-geneval": tasks["geneval"]})
    found = table("janus-pro", "Table 4", tuned, other)
    name, rows = found.groups[-1]
    assert name == "Not in the paper" and [one.row.name for one in rows] == ["tuned"]
    (held,) = cell(found, "tuned", "Overall")
    assert held.verdict is None and held.number is not None and held.number.value == 0.7
    assert found.idle == ["nano"], "the shapes world is another benchmark"


def test_the_user_can_say_whose_a_run_is(make: MakeRun, kit: Any) -> None:
    tasks = {"geneval": {"official": kit.result(kit.geneval, overall=(0.56, 0.54, 0.58))}}
    run = make("drawn-elsewhere", name="pictures", checkpoint=None, tasks=tasks, settings={})
    found = table("janus-pro", "Table 4", run, told=(Told("SDXL", run.path),))
    (line,) = row(found, "SDXL").lines
    assert line.how == "as told by --as"
    assert cell(found, "SDXL", "Overall")[0].verdict == ("agrees", "")
    # What is told counts more than the checkpoint.
    pro = make("pro", tasks=tasks)
    found = table("janus-pro", "Table 4", pro, told=(Told("Janus-Pro-1B", pro.path),))
    assert [one.row.name for one in found.rows if one.lines] == ["Janus-Pro-1B"]


def test_a_name_that_is_no_row_or_two_rows_is_refused(seven_b: Run) -> None:
    with pytest.raises(UserError, match="no row of janus-pro's tables has this name; did you mean 'Janus-Pro-7B'"):
        table("janus-pro", "Table 3", seven_b, told=(Told("Janus-Pro-8B", seven_b.path),))
    with pytest.raises(UserError, match=r"Table 3 has it in 2 sizes; write MobileVLM 1\.4B or MobileVLM 2\.7B"):
        table("janus-pro", "Table 3", seven_b, told=(Told("MobileVLM", seven_b.path),))
    found = table("janus-pro", "Table 3", seven_b, told=(Told("MobileVLM 2.7B", seven_b.path),))
    assert [(one.row.name, one.row.params) for one in found.rows if one.lines] == [("MobileVLM", "2.7B")]
    assert table("janusflow", "Table 2", seven_b, told=(Told("JanusFlow", seven_b.path),)).idle == []


def test_a_part_of_the_benchmark_is_not_the_benchmark(make: MakeRun, kit: Any) -> None:
    run = make("part", limit=5, tasks={"mmbench": {"paper": kit.result(kit.mmbench(), overall=(0.79, 0.77, 0.81))}})
    (held,) = cell(table("janus-pro", "Table 3", run), "Janus-Pro-7B", "MMB")
    assert held.verdict == ("not run", "--limit 5: the first 5 groups of each category")
    assert held.number is not None, "the number is shown all the same"


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"user_role": "User"}, "settings.user_role User, not <|User|>"),
        ({"guidance": 1.75}, "settings.guidance 1.75, not 5"),
    ],
)
def test_settings_that_move_the_number_forbid_a_comparison(
    make: MakeRun, settings: dict[str, object], says: str, kit: Any
) -> None:
    tasks = {"geneval": {"official": kit.result(kit.geneval, overall=(0.6, 0.58, 0.62))}}
    (held,) = cell(
        table("janus-pro", "Table 4", make("s", tasks=tasks, settings={**kit.pro, **settings})),
        "Janus-Pro-7B",
        "Overall",
    )
    assert held.verdict is not None and held.verdict.word == "not comparable"
    assert says in held.verdict.reason


def test_other_data_instruments_and_knobs_forbid_it_too(make: MakeRun, kit: Any) -> None:
    judged = {
        **kit.dpg,
        "observe": {"visual_qa": "model:janus-pro"},
        "judge": {**kit.dpg["judge"], "dependency": "ignored"},
    }
    tasks = {
        "mmbench-v11": {"vanilla-all": kit.result(kit.mmbench(file="MMBench_DEV_EN_V11.tsv"), overall=(0.7, 0.6, 0.8))},
        "dpg": {"official": kit.result(judged, "percent", overall=(80.0, 79.0, 81.0))},
    }
    run = make("other", tasks=tasks)
    (data,) = cell(table("janus-pro", "Table 3", run), "Janus-Pro-7B", "MMB")
    assert data.verdict is not None and "ask.file MMBench_DEV_EN_V11.tsv, not MMBench_DEV_EN.tsv" in data.verdict.reason
    (seen,) = cell(table("janus-pro", "Table 5", run), "Janus-Pro-7B", "Overall")
    assert seen.verdict is not None and "observe.visual_qa model:janus-pro, not mplug" in seen.verdict.reason
    assert "judge.dependency ignored" in seen.verdict.reason


def test_nobody_knows_how_the_other_systems_mmbench_was_measured(make: MakeRun, kit: Any) -> None:
    tasks = {"mmbench": {"circular": kit.result(kit.mmbench("circular"), overall=(0.643, 0.62, 0.66))}}
    run = make("llava", name="llava", checkpoint=None, tasks=tasks)
    (held,) = cell(table("janus-pro", "Table 3", run, told=(Told("LLaVA-v1.5", run.path),)), "LLaVA-v1.5", "MMB")
    assert held.verdict == ("not comparable", "how this figure was measured is not known")


def test_unfinished_and_empty_runs(make: MakeRun, kit: Any) -> None:
    half, none = make("half", finished=False), make("none", tasks={"geneval": {"official": kit.result(kit.geneval)}})
    (held,) = cell(table("janus-pro", "Table 4", half), "Janus-Pro-7B", "Overall")
    assert held.verdict == ("not run", "the run is not finished: the same command goes on")
    nothing = {"geneval": {"official": kit.result(kit.geneval, overall=(None, None, None))}}
    (held,) = cell(table("janus-pro", "Table 4", make("zero", tasks=nothing)), "Janus-Pro-7B", "Overall")
    assert held.verdict == ("not run", "nothing was scored")
    assert len(row(table("janus-pro", "Table 4", half, none), "Janus-Pro-7B").lines) == 2


def test_fid_is_compared_in_its_own_unit(make: MakeRun, kit: Any) -> None:
    protocol = {
        "ask": {"file": "meta_data.json", "images_per_prompt": 1},
        "observe": {"features": "inception-256"},
        "judge": {"references": "inception-256", "pictures": 30000},
    }
    tasks = {"mjhq-fid": {"paper": kit.result(protocol, "fid", overall=(9.6, 9.4, 9.8))}}
    settings = {"user_role": "User", "assistant_role": "Assistant", "guidance": 2.0, "steps": 30}
    run = make("flow", name="janus-flow", checkpoint=None, tasks=tasks, settings=settings)
    (held,) = cell(table("janusflow", "Table 4", run), "JanusFlow (Ours)", "FID")
    assert held.verdict == ("agrees", "")


def test_a_users_own_figures_get_rows(tmp_path: Path) -> None:
    figure = {
        **{"system": "Mine", "variant": None, "params": "3B", "kind": "unified", "benchmark": "MMBench"},
        **{"metric": "accuracy", "value": 61.5, "unit": "percent", "higher_is_better": True},
        "source": {"paper": "Ours", "arxiv": None, "table": None, "as_reported_in": "a draft"},
    }
    (tmp_path / "own.json").write_text(json.dumps([figure]))
    found = view(papers.paper("janus-pro"), [], ledger_files.load_with(tmp_path / "own.json")).tables[0]
    name, (mine,) = found.groups[-1]
    assert name == "Added figures" and mine.row.name == "Mine" and mine.origin == "added"
    assert [f.value if f else None for f in mine.figures] == [None, None, 61.5, None, None, None, None]
