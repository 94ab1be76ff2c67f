"""A user's own published figures: a file of the ledger's form, read beside the shipped ledger, and its JSON Schema.

The file is a JSON array of figures, as ``published/published.json`` is, or an object of ``figures`` and ``notes``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from janus_eval.errors import UserError
from janus_eval.reports.ledger import Figure, Ledger, Note, load, parse

PARTS = {"figures": "figure", "notes": "note"}
MOST_BYTES = 64_000_000
_SPACE = " \t\r\n"


def load_with(file: Path | None) -> Ledger:
    """The shipped ledger, a user's figures behind its own. Raises UserError naming file, line and row."""
    return load() if file is None else read(file, load())


def read(file: Path, base: Ledger) -> Ledger:
    """The figures and notes of a file on top of ``base``."""
    try:
        if file.stat().st_size > MOST_BYTES:
            raise UserError(
                f"--published {file} has more than {MOST_BYTES // 10**6} MB; a ledger of figures is expected"
            )
        text = file.read_text("utf-8-sig")
    except OSError as error:
        raise UserError(f"--published {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"--published {file}: no UTF-8 text ({error})") from error
    try:
        whole = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise UserError(f"--published {file}: not JSON ({error})") from error
    tables = {"figures": whole} if isinstance(whole, list) else whole
    strange = sorted(set(tables) - set(PARTS)) if isinstance(tables, dict) else ["no object"]
    if strange or not all(isinstance(rows, list) for rows in tables.values()):
        raise UserError(
            f"--published {file}: expected an array of figures, or an object of figures and notes "
            "(janus-eval list published --schema)"
        )
    lines = {PARTS[name]: lines_of(text, None if isinstance(whole, list) else name) for name in tables}

    def where(kind: str, number: int) -> str:
        return f"{file}, line {lines[kind][number]} ({kind} {number})"

    return parse(tables.get("figures", []), tables.get("notes", []), [], base=base, where=where)


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")


def lines_of(text: str, key: str | None) -> list[int]:
    """The line, from 1, on which each element of an array begins: the document itself, or the one under ``key``.

    The text must be JSON of that form; a parsed document no longer knows its lines.
    """
    decoder = json.JSONDecoder()
    place = _after_space(text, 0)
    if key is not None:
        place = _after_space(text, place + 1)
        while True:
            name, place = decoder.raw_decode(text, place)
            place = _after_space(text, _after_space(text, place) + 1)  # past the colon
            if name == key:
                break
            _, place = decoder.raw_decode(text, place)
            place = _after_space(text, _after_space(text, place) + 1)  # past the comma
    lines, line, counted = [], 1, 0
    place = _after_space(text, place + 1)
    while text[place] != "]":
        line += text.count("\n", counted, place)
        counted = place
        lines.append(line)
        _, place = decoder.raw_decode(text, place)
        place = _after_space(text, place)
        if text[place] == ",":
            place = _after_space(text, place + 1)
    return lines


def _after_space(text: str, place: int) -> int:
    while place < len(text) and text[place] in _SPACE:
        place += 1
    return place


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a file of figures. What no schema can say is checked when a file is read:
    that no source prints one thing twice, that a metric keeps its unit, that a note speaks of some figure."""
    adapters: Sequence[tuple[Any, str]] = ((Figure, "Figure"), (Note, "Note"))
    definitions: dict[str, Any] = {}
    for kind, name in adapters:
        found = TypeAdapter(kind).json_schema(ref_template="#/$defs/{model}")
        definitions |= found.pop("$defs", {})
        definitions[name] = found
    figures = {"type": "array", "items": {"$ref": "#/$defs/Figure"}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Published figures for janus-eval",
        "oneOf": [
            figures,
            {
                "type": "object",
                "properties": {"figures": figures, "notes": {"type": "array", "items": {"$ref": "#/$defs/Note"}}},
                "additionalProperties": False,
            },
        ],
        "$defs": definitions,
    }
