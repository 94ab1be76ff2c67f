"""Tables from outside, a record a row: CSV, TSV, JSON, JSON lines and Excel, as other tools write their answers."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from janus_eval.errors import UserError
from janus_eval.plain import one_line

SUFFIXES = (".csv", ".tsv", ".jsonl", ".json", ".xlsx")
LONGEST = 1 << 30
"""Characters of a cell: tables of benchmarks hold pictures in base64."""


class Row(NamedTuple):
    """``line``: its number in the file, by which a reader finds it; in Excel and JSON that of the record."""

    line: int
    cells: Mapping[str, Any]


def read(path: Path) -> list[Row]:
    """All rows. Raises UserError for another kind of file and for one that can't be read."""
    readers = {".csv": _csv, ".tsv": _csv, ".jsonl": _lines, ".json": _json, ".xlsx": _xlsx}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise UserError(f"{path}: expected a file that ends in {', '.join(SUFFIXES)}")
    try:
        rows = list(reader(path))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is no {path.suffix[1:].upper()} file in UTF-8: {one_line(error, 200)}") from error
    if not rows:
        raise UserError(f"{path} holds no rows")
    return rows


def _csv(path: Path) -> Iterator[Row]:
    limit = csv.field_size_limit(LONGEST)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
            _refuse_repeated(reader.fieldnames or (), path)
            for cells in reader:
                # DictReader puts cells beyond the header under None: an answer with commas that nobody quoted would
                # lose all behind the first one.
                if any(cells.pop(None, ())):
                    raise UserError(f"{path}, line {reader.line_num}: more cells than the header; are commas unquoted?")
                yield Row(reader.line_num, cells)
    finally:
        csv.field_size_limit(limit)


def _lines(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield Row(number, _record(_parsed(line, f"{path}, line {number}"), f"{path}, line {number}"))


def _json(path: Path) -> Iterator[Row]:
    """A list of records, or older lmms-eval's table with one as ``logs``."""
    found = _parsed(path.read_text("utf-8-sig"), str(path))
    records = found.get("logs") if isinstance(found, dict) else found
    if not isinstance(records, list):
        raise UserError(f"{path}: expected a JSON list of records")
    for number, record in enumerate(records, 1):
        yield Row(number, _record(record, f"{path}, record {number}"))


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: {one_line(error, 200)}") from error


def _record(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise UserError(f"{where}: expected a JSON object, got {type(value).__name__}")
    return value


def _xlsx(path: Path) -> Iterator[Row]:
    try:
        from openpyxl import load_workbook
    except ModuleNotFoundError as error:
        raise UserError("an .xlsx needs openpyxl: pip install 'janus-eval[xlsx]', or save it as .csv") from error
    try:
        book = load_workbook(path, read_only=True, data_only=True)
    except OSError:
        raise
    except Exception as error:  # zipfile's, XML's and openpyxl's own
        raise UserError(f"{path} is no Excel file: {one_line(error, 200)}") from error
    try:
        if not book.worksheets:
            raise UserError(f"{path} has no sheet of cells")
        sheet = book.worksheets[0]
        sheet.reset_dimensions()  # some programs write a wrong size: rows would be lost
        rows: Iterator[Sequence[Any]] = sheet.iter_rows(values_only=True)
        names = [text_of(name) for name in next(rows, ())]
        _refuse_repeated(names, path)
        for number, values in enumerate(rows, 2):
            if any(value is not None for value in values):
                yield Row(number, {name: value for name, value in zip(names, values, strict=False) if name})
    except UserError:
        raise
    except Exception as error:  # cells are read only now
        raise UserError(f"{path} is a damaged Excel file: {one_line(error, 200)}") from error
    finally:
        book.close()


def _refuse_repeated(names: Sequence[str], path: Path) -> None:
    twice = next((name for place, name in enumerate(names) if name and name in names[:place]), None)
    if twice is not None:
        raise UserError(f"{path} has two columns {one_line(twice, 80)!r}")


def text_of(value: Any) -> str:
    """A cell as text: spreadsheets make 241 and 241.0 of one number, and nothing of an empty cell."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def named(names: Sequence[str], most: int = 20) -> str:
    """The first of many names, and how many more there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"
