"""A user's own figures: read beside the ledger, refused with file, line and reason; the schema and the listing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from janus_eval.cli import app
from janus_eval.errors import UserError
from janus_eval.reports import ledger, ledger_files, ledger_listing

ROW: dict[str, Any] = {
    **{"system": "Mine", "variant": None, "params": "3B", "kind": "unified", "benchmark": "GenEval"},
    **{"metric": "overall", "value": 0.5, "unit": "fraction", "higher_is_better": True},
    "source": {"paper": "Ours", "arxiv": None, "table": None, "as_reported_in": "a draft"},
}


def write(path: Path, value: object) -> Path:
    """One row a line, as people keep such files, so that lines can be told from rows."""
    file = path / "own.json"
    rows = value if isinstance(value, list) else None
    text = "[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n" if rows is not None else json.dumps(value)
    file.write_text(text)
    return file


def test_own_figures_stand_behind_the_ledgers(tmp_path: Path) -> None:
    found = ledger_files.load_with(write(tmp_path, [ROW]))
    assert len(found.figures) == len(ledger.load().figures) + 1
    assert [figure.name for figure in found.extra] == ["Mine"]
    assert ledger.load().extra == (), "the shipped ledger is as it was"


def test_notes_may_come_with_them(tmp_path: Path) -> None:
    note = {"match": {"system": "Mine"}, "note": "with our own prompts"}
    found = ledger_files.load_with(write(tmp_path, {"notes": [note], "figures": [ROW]}))
    assert found.notes_on(found.extra[0]) == ("with our own prompts",)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([ROW, {**ROW, "variant": "b", "value": 50}], r"own.json, line 3 \(figure 1\), the row: .*50.0 lies outside"),
        ([ROW, ROW], r"own.json, line 3 \(figure 1\) \(Mine, GenEval overall\) repeats figure 0"),
        ([{**ROW, "unit": "percent"}], r"line 2 \(figure 0\) gives GenEval overall in percent, an earlier one in frac"),
        ([ROW, {"system": "x"}], r"line 3 \(figure 1\), variant: Field required"),
        (
            [{**ROW, "source": {**ROW["source"], "arxiv": "x"}}],
            r"line 2 \(figure 0\), source.arxiv: String should match",
        ),
        ([{**ROW, "value": "0.5"}], r"line 2 \(figure 0\), value: Input should be a valid number"),
        ([7], r"line 2 \(figure 0\), the row: Input should be a valid dictionary"),
        ({"figures": [ROW], "note": []}, "expected an array of figures"),
        ({"figures": ROW}, "expected an array of figures"),
        ("x", "expected an array of figures"),
        ({"notes": [{"match": {"system": "Nobody"}, "note": "x"}]}, r"line 1 \(note 0\) matches no figure"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, rows: Any, says: str) -> None:
    with pytest.raises(UserError, match=says):
        ledger_files.load_with(write(tmp_path, rows))


def test_a_shipped_figure_cannot_be_given_again(tmp_path: Path) -> None:
    shipped = ledger.load().figures[0].model_dump(mode="json")
    with pytest.raises(UserError, match="repeats a figure of the ledger"):
        ledger_files.load_with(write(tmp_path, [shipped]))


@pytest.mark.parametrize("text", ["[{]", '[{"value": NaN}]', "", "\xff", "[" * 100_000])
def test_files_that_are_no_json(tmp_path: Path, text: str) -> None:
    (tmp_path / "own.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match=r"--published .*own\.json: (not JSON|no UTF-8)"):
        ledger_files.load_with(tmp_path / "own.json")


@pytest.mark.parametrize(
    ("text", "key", "lines"),
    [
        ("[1, 2,\n\n 3]", None, [1, 1, 3]),
        ("[]", None, []),
        ('{"a": [0],\n"b": [\n{"x": "]"},\n[4]\n]}', "b", [3, 4]),
    ],
)
def test_lines_are_counted_as_an_editor_does(text: str, key: str | None, lines: list[int]) -> None:
    assert ledger_files.lines_of(text, key) == lines


def test_the_schema_says_what_a_figure_must_be() -> None:
    schema = ledger_files.schema()
    figure = schema["$defs"]["Figure"]
    assert set(figure["required"]) >= {"system", "benchmark", "metric", "value", "unit", "source"}
    assert figure["additionalProperties"] is False
    ranges = {
        part["if"]["properties"]["unit"]["const"]: part["then"]["properties"]["value"] for part in figure["allOf"]
    }
    assert ranges["fraction"] == {"minimum": 0.0, "maximum": 1.0}
    assert set(ranges) == set(ledger.RANGES)
    every = json.dumps(schema)
    assert all(f'"{name}"' in every for name in schema["$defs"]), "each definition is there and referred to"
    references = {part.split('"')[0] for part in every.split("#/$defs/")[1:]}
    assert references <= schema["$defs"].keys()


def test_filters() -> None:
    rows = ledger_listing.listing(benchmark="geneval", metric="overall", system="janus-pro-7b", full=True)
    assert [row["value"] for row in rows if isinstance(row, dict)] == [0.8]
    by_source = ledger_listing.listing(source="2411.07975", benchmark="MJHQ-30K", full=True)
    assert {row["arxiv"] for row in by_source if isinstance(row, dict)} == {"2411.07975"}
    assert len(ledger_listing.listing()) == len(ledger.load().figures)
    with pytest.raises(UserError, match="'GenEvl': no published figure has it; did you mean 'GenEval'"):
        ledger_listing.listing(benchmark="GenEvl")
    with pytest.raises(UserError, match=r"--metric 'fid'.*among those that fit the other filters"):
        ledger_listing.listing(benchmark="GenEval", metric="fid")


def test_list_published(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    asked = ["list", "published", "--benchmark", "MMBench", "--system", "MetaMorph", "--source", "2501.17811"]
    assert app.run([*asked, "--format", "json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["value"], row["table"]) == (75.2, "Table 3")
    assert app.run([*asked, "--format", "csv"]) == 0
    assert (
        capsys.readouterr().out.splitlines()[1].startswith("MetaMorph,,8B,unified,MMBench,accuracy,75.2,percent,True")
    )
    assert app.run([*asked, "--format", "markdown"]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("| --- |")
    assert app.run(["list", "published", "--published", str(write(tmp_path, [ROW])), "--system", "mine"]) == 0
    assert capsys.readouterr().out.split()[:4] == ["GenEval", "overall", "Mine", "0.5"]
    assert app.run(["list", "published", "--schema"]) == 0
    assert json.loads(capsys.readouterr().out) == ledger_files.schema()
    assert app.run(["list", "models", "--benchmark", "x"]) == 2
    assert "--benchmark: list models has no such filter" in capsys.readouterr().err
    assert app.run(["list", "suites", "--format", "json"]) == 0
    assert "shapes" in {row[0] for row in json.loads(capsys.readouterr().out)}
