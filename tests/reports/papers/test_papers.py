"""The declared tables are the papers' own: every cell finds its figure, and what finds none is a dash there."""

from __future__ import annotations

from collections import Counter

import pytest

from janus_eval.errors import UserError
from janus_eval.reports import ledger, papers
from janus_eval.reports.papers import PaperTable
from janus_eval.reports.papers_known import CHECKPOINTS, DEFAULTS, KNOWN, SETTINGS, Known
from janus_eval.specs import offered

EVERY = [(paper, table) for paper in papers.papers() for table in paper.tables]
# Rows, and cells with a dash, counted in the papers' own files.
COUNTS = {
    ("janus-pro", "Table 3"): (30, 93),
    ("janus-pro", "Table 4"): (21, 12),
    ("janus-pro", "Table 5"): (13, 0),
    ("janusflow", "Table 2"): (17, 12),
    ("janusflow", "Table 3"): (9, 0),
    ("janusflow", "Table 4"): (6, 0),
    ("janusflow", "Table 5"): (26, 132),
}


def test_the_tables_are_those_that_were_asked_for() -> None:
    assert {(paper.name, table.table) for paper, table in EVERY} == COUNTS.keys()


@pytest.mark.parametrize(("paper", "table"), EVERY, ids=lambda x: getattr(x, "table", getattr(x, "name", "")))
def test_each_cell_finds_its_figure_or_is_a_dash_in_the_paper(paper: papers.Paper, table: PaperTable) -> None:
    found = papers.printed(paper, table, ledger.load())
    own = [
        figure
        for figure in ledger.load().figures
        if figure.source.arxiv == paper.arxiv and figure.source.table == table.table
    ]
    assert Counter(map(id, found.values())) == Counter(map(id, own)), (
        "each figure of the table in one cell, and no other"
    )
    rows, dashes = COUNTS[paper.name, table.table]
    assert len(table.rows) == rows
    assert len(table.rows) * len(table.columns) - len(found) == dashes


@pytest.mark.parametrize(("paper", "table"), EVERY, ids=lambda x: getattr(x, "table", getattr(x, "name", "")))
def test_no_column_prints_fewer_digits_than_the_paper(paper: papers.Paper, table: PaperTable) -> None:
    for (row, column), figure in papers.printed(paper, table, ledger.load()).items():
        assert round(figure.value, column.decimals) == figure.value, (row.name, column.head)


def test_rows_stand_in_the_papers_order_and_groups() -> None:
    tables = {(paper.name, table.table): table for paper, table in EVERY}
    three = tables["janus-pro", "Table 3"]
    assert [group.name for group in three.groups] == ["Und. Only", "Und. and Gen."]
    assert [row.printed for row in three.groups[0].rows][-2:] == ["Emu3-Chat", "InstructBLIP"]
    assert [row.printed for row in three.groups[1].rows][:5] == [
        "DreamLLM†",
        "LaVIT†",
        "MetaMorph†",
        "Emu†",
        "NExT-GPT†",
    ]
    assert [row.name for row in three.rows][-3:] == ["Janus", "Janus-Pro-1B", "Janus-Pro-7B"]
    assert [column.head for column in three.columns] == ["POPE", "MME-P", "MMB", "SEED", "GQA", "MMMU", "MM-Vet"]
    five = tables["janusflow", "Table 5"]
    assert [row.name for row in five.rows if row.rule] == ["LLaVA-v1.5-Phi-1.5", "Show-o"]


def test_an_unknown_paper_is_refused() -> None:
    with pytest.raises(UserError, match="did you mean 'janusflow'"):
        papers.paper("janus-flow")


@pytest.mark.parametrize("known", KNOWN.values(), ids=KNOWN)
def test_the_known_knobs_are_those_of_the_tasks_protocol(known: Known) -> None:
    task = offered("tasks", known.task)
    protocol = task.protocols[known.protocol]
    tables = {"ask": protocol.ask, "observe": protocol.observe, "judge": protocol.judge}
    ours = {f"{part}.{name}": value for part, table in tables.items() for name, value in table.items()}
    found = {knob.name: knob.value for knob in known.knobs if not knob.name.startswith("settings.")}
    if "ask.lmms_eval" in ours:
        # No figure of the papers is known to be lmms-eval's, so that none agrees with ours in this one.
        assert found.pop("ask.lmms_eval") == "none" and str(ours.pop("ask.lmms_eval")).startswith("0.7.")
    assert found == ours
    benchmark = next(name for name, one in KNOWN.items() if one is known)
    columns = {c.metric for _, table in EVERY for c in table.columns if c.benchmark == benchmark}
    assert {known.metrics.get(metric, metric) for metric in columns} <= set(task.metrics(protocol.judge))


def test_settings_and_checkpoints_are_those_of_the_families() -> None:
    from janus_eval.models.janus_flow.family import janus_flow
    from janus_eval.models.janus_pro.family import janus, janus_pro

    families = {"janus-pro": janus_pro, "janus": janus, "janus-flow": janus_flow}
    assert {name: family.default for name, family in families.items()} == DEFAULTS
    for (system, _), (model, _) in CHECKPOINTS.items():
        defaults = families[model].Settings().model_dump()
        for _, knob in SETTINGS[system]:
            assert defaults[knob.name.removeprefix("settings.")] == knob.value, (system, knob.name)
