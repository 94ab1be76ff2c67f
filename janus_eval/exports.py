"""What a run holds, for others to score: pictures in a benchmark's own layout, answers in its own table."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from janus_eval import fingerprint, plan, plugins
from janus_eval.disk import write_whole, writing
from janus_eval.errors import UserError
from janus_eval.pictures import Picture
from janus_eval.plan import Choice, asking
from janus_eval.seams import Layout, Sheet
from janus_eval.store import opened, read_json
from janus_eval.types import Response, Sample

LONGEST_CELL = 32767
"""Characters: Excel's limit, beyond which openpyxl cuts in silence."""


class Held(NamedTuple):
    """What a run holds of one asking: its samples, responses by (sample id, index), and how many requests failed."""

    samples: Sequence[Sample]
    responses: Mapping[tuple[str, int], Response]
    lacking: int


def choices_of(run: Path, name: str, task: str | None = None) -> list[Choice]:
    """The run's tasks that can be written in a format, each as it was first asked; or the one that ``task`` names.

    ``task``: TASK or TASK/PROTOCOL. Raises UserError where the run has none.
    """
    asked = _asked(run)
    every = [f"{known}/{protocol}" for known, asks in asked.items() for protocol in asks]
    wanted = [spec for spec in every if task in {spec, spec.partition("/")[0]}] if task else every
    if not wanted:
        raise UserError(f"{run} was not asked {task!r}{plugins.near(task or '', every)} (it was: {', '.join(every)})")
    found: dict[str, Choice] = {}
    formats: set[str] = set()
    for spec in wanted:
        known, _, protocol = spec.partition("/")
        choice = plan.choices([spec])[0]
        formats.update(_formats(choice.task))
        if name in _formats(choice.task):
            # What the run was asked, whatever the protocol asks by now.
            found.setdefault(known, Choice(choice.task, replace(choice.protocol, ask=asked[known][protocol])))
    if not found:
        of = f" of {task!r}" if task else ""
        raise UserError(
            f"{run} has no task{of} that is written as {name!r} (its own: {', '.join(sorted(formats)) or 'none'})"
        )
    return list(found.values())


def _formats(task: Any) -> dict[str, Layout | Sheet]:
    parts = (getattr(task, "layout", None), getattr(task, "sheet", None))
    return {part.name: part for part in parts if part is not None}


def sheet_of(choice: Choice, name: str) -> Sheet | None:
    """The task's table of that name; None where the name is that of its layout."""
    sheet: Sheet | None = getattr(choice.task, "sheet", None)
    return sheet if sheet is not None and sheet.name == name else None


def _asked(run: Path) -> dict[str, dict[str, Any]]:
    """Task -> protocol -> its ``ask``: what the run was begun with, then what was added later."""
    found = {
        task: {name: table["ask"] for name, table in protocols.items()}
        for task, protocols in read_json(run / "run.json")["tasks"].items()
    }
    if (run / "results.json").is_file():
        for task, protocols in read_json(run / "results.json")["tasks"].items():
            for name, table in protocols.items():
                found.setdefault(task, {}).setdefault(name, table["protocol"]["ask"])
    return found


def held(run: Path, choice: Choice) -> Held:
    """Pictures are read from the disk."""
    with opened(run) as folder:
        samples = folder.read_samples(choice.task.name, fingerprint.digest(choice.protocol.ask))
        requests = asking(choice.task, choice.protocol, samples, folder.header["seed"]).requests
        asked = [request for row in requests for request in row]
        responses = {
            (request.key.sample, int(request.key[2])): response
            for request in asked
            if isinstance(response := folder.response(request), Response)
        }
    return Held(samples, responses, len(asked) - len(responses))


def export_pictures(run: Path, choice: Choice, folder: Path) -> tuple[int, int]:
    """Write a run's pictures of one task in its official layout; returns how many were written and how many lack."""
    samples, responses, lacking = held(run, choice)
    pictures: dict[tuple[str, int], Picture] = {
        key: response.image for key, response in responses.items() if response.image is not None
    }
    with writing(folder):
        choice.task.layout.write(folder, samples, pictures)  # type: ignore[attr-defined]  # choices_of has found it
    return len(pictures), lacking


def export_answers(run: Path, choice: Choice, sheet: Sheet, file: Path) -> tuple[int, int]:
    """Write a run's answers of one task as a table; returns how many rows it has and how many requests failed.

    The file's name says how: .tsv, .csv or .xlsx. Raises UserError for another one.
    """
    samples, responses, lacking = held(run, choice)
    rows = sheet.rows(samples, responses)
    make = {".tsv": _tsv, ".csv": _csv, ".xlsx": _xlsx}.get(file.suffix.lower())
    if make is None:
        raise UserError(f"--out {file}: expected a file that ends in .tsv, .csv or .xlsx")
    write_whole(file, make([list(rows[0]), *(list(row.values()) for row in rows)] if rows else []))
    return len(rows), lacking


def _tsv(table: Sequence[Sequence[int | str]]) -> bytes:
    return _csv(table, "\t")


def _csv(table: Sequence[Sequence[int | str]], delimiter: str = ",") -> bytes:
    buffer = io.StringIO()
    # The line end is two characters so that a lone one of them in an answer is quoted too.
    csv.writer(buffer, delimiter=delimiter, lineterminator="\r\n").writerows(table)
    return buffer.getvalue().encode("utf-8", "replace")


def _xlsx(table: Sequence[Sequence[int | str]]) -> bytes:
    try:
        from openpyxl import Workbook
        from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE, WriteOnlyCell
    except ModuleNotFoundError as error:
        raise UserError("an .xlsx needs openpyxl: pip install 'janus-eval[xlsx]', or give a .tsv") from error
    longest = max((len(str(value)) for row in table for value in row), default=0)
    if longest > LONGEST_CELL:
        raise UserError(f"a cell of {longest:,} characters does not fit into an .xlsx: give a .tsv")
    book = Workbook(write_only=True)
    sheet = book.create_sheet()

    def cell(value: int | str) -> Any:
        if isinstance(value, int):
            return value
        # XML knows no carriage return; what becomes of one would depend on which writer of XML is installed.
        lines = value.replace("\r\n", "\n").replace("\r", "\n").encode("utf-8", "replace").decode()
        made = WriteOnlyCell(sheet, ILLEGAL_CHARACTERS_RE.sub("\ufffd", lines))
        made.data_type = "s"  # an answer that begins with "=" is no formula
        return made

    for row in table:
        sheet.append([cell(value) for value in row])
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()
