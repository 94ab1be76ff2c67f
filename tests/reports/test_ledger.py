"""The shipped ledger is sound, and an unsound one is refused with the row and the reason."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from janus_eval.errors import UserError
from janus_eval.reports import ledger, ledger_listing, quoted

ROW: dict[str, Any] = {
    "system": "Janus-Pro",
    "variant": "7B",
    "params": "7B",
    "kind": "unified",
    "benchmark": "MMBench",
    "metric": "accuracy",
    "value": 79.2,
    "unit": "percent",
    "higher_is_better": True,
    "source": {"paper": "Janus-Pro: a title", "arxiv": "2501.17811", "table": "Table 3", "as_reported_in": "a pdf"},
}


def test_shipped_ledger_is_sound() -> None:
    found = ledger.load()
    assert len(found.figures) == 1218
    assert len(found.notes) == 13
    assert len(found.claims) == 16


@pytest.mark.parametrize(
    ("benchmark", "metric", "name", "value"),
    [
        ("MMBench", "accuracy", "Janus-Pro-7B", 79.2),
        ("MMBench", "accuracy", "Janus", 69.4),
        ("MMBench", "accuracy", "TokenFlow XL", 68.9),
        ("MMBench", "accuracy", "MetaMorph", 75.2),
        ("GenEval", "overall", "Janus-Pro-7B", 0.80),
        ("GenEval", "overall", "DALL-E 3", 0.67),
        ("GenEval", "overall", "SD3-Medium", 0.74),
        ("DPG-Bench", "overall", "Janus-Pro-7B", 84.19),
    ],
)
def test_figures_as_printed_by_janus_pro(benchmark: str, metric: str, name: str, value: float) -> None:
    printed = [
        figure.value
        for figure in ledger.published(benchmark=benchmark, metric=metric)
        if figure.name == name and figure.source.arxiv == "2501.17811"
    ]
    assert printed == [value]


def test_notes_stand_with_their_figures_alone() -> None:
    found = ledger.load()
    (sd3,) = (f for f in found.published("GenEval", "SD3-Medium", "overall"))
    assert any("depth=38" in note for note in found.notes_on(sd3))
    pro = found.published("MMBench", "Janus-Pro", "accuracy")[0]
    assert not any("depth=38" in note for note in found.notes_on(pro))
    assert any("CircularEval" in caveat for caveat in found.caveats("mmbench"))


def test_reruns_are_told_from_the_papers_own() -> None:
    by_name = {figure.name: figure.rerun for figure in ledger.published("MMBench", metric="accuracy")}
    assert by_name["Janus-Pro-7B"] == ""
    assert by_name["Janus-Pro-7B, user re-run with lmms-eval mmbench_en_dev"] == "re-run by others"
    own = "Janus VLMEvalKit run by the Janus authors, MMBench without CircularEval"
    assert by_name[own] == "its authors, outside the paper"


def test_listing_has_one_row_a_figure() -> None:
    rows = ledger_listing.listing()
    assert len(rows) == 1218
    assert ("GenEval", "overall", "SD3-Medium", "0.74† fraction", "Janus-Pro, Table 4") in rows


def broken(**changes: Any) -> list[dict[str, Any]]:
    return [{**copy.deepcopy(ROW), **changes}]


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (broken(value=179.2), r"figure 0.*179\.2 lies outside 0 to 100"),
        (broken(unit="fraction"), r"79\.2 lies outside 0 to 1"),
        (broken(unit="stars"), r"figure 0, unit"),
        (broken(value="79.2"), r"figure 0, value"),
        (broken(higher_is_better=False), r"contradicts unit"),
        (broken(source={}), r"figure 0, source\.paper"),
        (broken(colour="red"), r"figure 0, colour"),
        (broken() + broken(value=80.0), r"figure 1 \(Janus-Pro-7B, MMBench accuracy\) repeats figure 0"),
        (broken() + broken(value=0.5, unit="fraction", variant="1B"), r"in fraction, an earlier one in percent"),
    ],
)
def test_unsound_figures_are_refused(rows: list[dict[str, Any]], says: str) -> None:
    with pytest.raises(UserError, match=says):
        ledger.parse(rows, [], [])


@pytest.mark.parametrize("match", [{}, {"system": "Nobody"}])
def test_a_note_must_speak_of_some_figure(match: dict[str, str]) -> None:
    with pytest.raises(UserError, match="note 0 matches no figure"):
        ledger.parse([ROW], [{"match": match, "note": "so it is said"}], [])


@pytest.fixture
def row_of() -> Callable[[str, str], quoted.QuotedRow]:
    tables = {table.benchmark.name: table for table in quoted.tables(ledger.load())}
    return lambda benchmark, name: next(row for row in tables[benchmark].rows if row.name == name)


def test_quoted_rows_keep_the_printed_digits_and_all_sources(row_of: Callable[[str, str], quoted.QuotedRow]) -> None:
    assert quoted.printed(row_of("DPG-Bench", "Janus-Pro-7B").figure) == "84.19"
    assert quoted.printed(row_of("GenEval", "Janus-Pro-7B").figure) == "0.80"
    assert quoted.printed(row_of("MMBench", "InstructBLIP").figure) == "36.0"
    assert [source.short for source in row_of("MMBench", "Janus").sources] == [
        "Janus-Pro, Table 3",
        "JanusFlow, Table 5",
        "Janus, Table 2",
    ]


def test_every_headline_figure_is_quoted_once() -> None:
    for table in quoted.tables(ledger.load()):
        figures = ledger.published(benchmark=table.benchmark.name, metric=table.benchmark.metric)
        assert sum(len(row.sources) for row in table.rows) == len(figures) > 0
    assert len(quoted.tables(ledger.load())) == len(quoted.BENCHMARKS)
