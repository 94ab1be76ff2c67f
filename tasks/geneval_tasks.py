"""GenEval on its published prompts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from janus_eval.datasets import find
from janus_eval.errors import UserError
from janus_eval.tasks import datasets
from janus_eval.tasks.geneval import CLAUSES, TAGS, GenEval, protocols
from janus_eval.tasks.instruments.mask2former.classes import CLASSES
from janus_eval.types import JSON, Sample

RELATIONS = ("left of", "right of", "above", "below")
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white")


def read(path: Path) -> list[Sample]:
    """A file of the form of ``evaluation_metadata.jsonl``, one prompt a line.

    Prompts of equal metadata, of which the published file has some, share a group: the published script counts them as
    one where any picture of a prompt may be right. Raises UserError naming the line for anything else.
    """
    samples: list[Sample] = []
    groups: dict[str, str] = {}
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: {error}") from None
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise UserError(f"{path}, line {number}: not JSON ({error})") from None
        fault = _fault(row)
        if fault:
            raise UserError(f"{path}, line {number}: {fault}")
        name = f"{len(samples):05d}"
        group = groups.setdefault(json.dumps(row, sort_keys=True), name)
        samples.append(Sample(name, {"prompt": row["prompt"]}, row, group, row["tag"]))
    return samples


def _fault(row: Any) -> str:
    """What a line of metadata has that no picture can be judged by; empty if nothing."""
    if not isinstance(row, dict) or not isinstance(row.get("prompt"), str) or not row.get("include"):
        return "an object with prompt, tag and include is expected"
    if row.get("tag") not in TAGS:
        return f"tag {row.get('tag')!r} is none of {', '.join(TAGS)}"
    faults = ((kind, _clause_fault(row.get(kind, []))) for kind in CLAUSES)
    return next((f"{kind} {fault}" for kind, fault in faults if fault), "")


def _clause_fault(clauses: Any) -> str:
    """What is wrong with the first clause that is wrong."""
    if not isinstance(clauses, list):
        return "is no list"
    for place, clause in enumerate(clauses):
        if not isinstance(clause, dict) or not isinstance(clause.get("class"), str):
            return f"clause {place + 1} has no class"
        count, position, colour = clause.get("count"), clause.get("position"), clause.get("color", COLOURS[0])
        fault = ""
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            fault = f"count {count!r}, a number from 1 is expected"
        elif position is not None and not _is_position(position, place):
            fault = f"position {position!r}, [relation, number of a clause before] expected"
        # Nobody would ever find the next two: a wrong picture could not be told from a wrong prompt.
        elif clause["class"] not in CLASSES:
            fault = f"class {clause['class']!r} is none of COCO's {len(CLASSES)}, as GenEval words them"
        elif colour not in COLOURS:
            fault = f"color {colour!r} is none of {', '.join(COLOURS)}"
        if fault:
            return f"clause {place + 1}: {fault}"
    return ""


def _is_position(position: Any, place: int) -> bool:
    return (
        isinstance(position, list)
        and len(position) == 2
        and position[0] in RELATIONS
        and isinstance(position[1], int)
        and 0 <= position[1] < place
    )


def _rows(ask: Mapping[str, JSON]) -> Sequence[Sample]:
    return read(find(datasets.geneval, str(ask["file"])))


geneval = GenEval(
    "geneval",
    "GenEval: objects, counts, colours, positions",
    _rows,
    protocols({"file": "evaluation_metadata.jsonl"}, "mask2former", "clip-colours"),
)
