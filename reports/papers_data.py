"""A paper's tables for programs: JSON, nested as the paper is, and CSV, one line a cell and number."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

from janus_eval.reports.ledger import Figure, Ledger
from janus_eval.reports.papers import PaperColumn
from janus_eval.reports.papers_view import Held, Line, PaperView, RowView, TableView, column_unit

SCHEMA = 1
CSV_HEAD = (
    *("paper", "table", "group", "row", "params", "origin", "column", "benchmark", "metric", "unit", "printed"),
    *("run", "task", "protocol", "measured", "low", "high", "n", "failed"),
    *("difference", "difference_low", "difference_high", "verdict", "reason"),
)


def record(view: PaperView, ledger: Ledger) -> dict[str, Any]:
    """Everything that the tables show and more: every printed cell has a verdict, also where nothing was run."""
    return {
        "schema": SCHEMA,
        "kind": "paper",
        "paper": view.paper.name,
        "title": view.paper.title,
        "arxiv": view.paper.arxiv,
        "tables": [_table(table, ledger) for table in view.tables],
    }


def to_json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=1, ensure_ascii=True, allow_nan=False) + "\n"


def _table(view: TableView, ledger: Ledger) -> dict[str, Any]:
    table = view.table
    return {
        "table": table.table,
        "title": table.title,
        "columns": [
            {"head": column.head, "benchmark": column.benchmark, "metric": column.metric} for column in table.columns
        ],
        "groups": [{"name": name, "rows": [_row(row, view, ledger) for row in rows]} for name, rows in view.groups],
        "idle": list(view.idle),
    }


def _row(row: RowView, view: TableView, ledger: Ledger) -> dict[str, Any]:
    return {
        "name": row.row.name,
        "params": row.row.params if view.table.params_head else None,
        "origin": row.origin,
        "external": row.row.external,
        "printed": [None if figure is None else _figure(figure, ledger) for figure in row.figures],
        "verdict": None if row.lines else "not run",
        "runs": [_line(line_of) for line_of in row.lines],
    }


def _figure(figure: Figure, ledger: Ledger) -> dict[str, Any]:
    return {"value": figure.value, "unit": figure.unit, "notes": list(ledger.notes_on(figure))}


def _line(line_of: Line) -> dict[str, Any]:
    run = line_of.run
    return {
        "run": str(run.path),
        "model": run.name,
        "checkpoint": run.model.get("checkpoint"),
        "placed": line_of.how or "by its checkpoint",
        "cells": [[_held(held) for held in cell] for cell in line_of.cells],
    }


def rounded(value: float | None) -> float | None:
    """Without the noise that a change of unit leaves in a float's last digits."""
    return None if value is None else round(value, 10)


def _held(held: Held) -> dict[str, Any]:
    number, shift = held.number, held.shift
    return {
        "task": held.task or None,
        "protocol": held.protocol or None,
        "metric": held.metric or None,
        "measured": None if number is None else rounded(number.value),
        "low": None if number is None else rounded(number.low),
        "high": None if number is None else rounded(number.high),
        "n": None if number is None else number.n,
        "failed": None if number is None else number.failed,
        "difference": None if shift is None else list(map(rounded, shift)),
        "verdict": None if held.verdict is None else held.verdict.word,
        "reason": None if held.verdict is None else held.verdict.reason or None,
    }


def to_csv(view: PaperView) -> str:
    """RFC 4180, one line for each printed cell and each number beside it, in the paper's order."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(CSV_HEAD)
    for table in view.tables:
        for group, rows in table.groups:
            for row in rows:
                writer.writerows(_lines(view, table, group, row))
    return text.getvalue()


def _lines(view: PaperView, table: TableView, group: str, row: RowView) -> Iterator[list[object]]:
    params = row.row.params if table.table.params_head else None
    for place, (column, figure) in enumerate(zip(table.table.columns, row.figures, strict=True)):
        head = [
            view.paper.name, table.table.table, group, row.row.name, params, row.origin,
            column.head, column.benchmark, column.metric, _unit(column, figure),
            f"{figure.value:.{column.decimals}f}" if figure else None,
        ]  # fmt: skip
        if not row.lines and figure:
            yield [*head, *[None] * 11, "not run", None]
        for line_of in row.lines:
            for held in line_of.cells[place]:
                if figure or held.number:
                    yield [*head, str(line_of.run.path), *_flat(held)]


def _unit(column: PaperColumn, figure: Figure | None) -> str:
    return figure.unit if figure else column_unit(column)


def _flat(held: Held) -> list[object]:
    told = _held(held)
    shift = told.pop("difference") or [None, None, None]
    keys = ("task", "protocol", "measured", "low", "high", "n", "failed")
    return [*(told[key] for key in keys), *shift, told["verdict"], told["reason"]]
