"""MMBench's published TSV files: every row becomes a sample, and what is wrong with a row is said where it would count.

Rows and pictures are read as in all files of that kind (``tsv.py``). Here, the k-th rotation of question q stands under
index q + k * 1,000,000 (VLMEvalKit at e8e78f0, ``vlmeval/dataset/image_mcq.py``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from janus_eval.tasks import tsv
from janus_eval.types import JSON, Sample

TURN = 1_000_000
NEEDED = ("index", "question", "image", "A", "B")


def read(path: Path) -> list[Sample]:
    """All rows in the file's order; ``group`` is the question, ``category`` the leaf category.

    ``metadata`` has ``index``, ``rotation``, ``rotations`` (how many the question's options make), ``category``,
    ``l2_category``, ``split`` where the file says it, and for a row that can't be scored ``fault``, a reason; a
    question with too few or too many rotations has ``incomplete`` in all its rows. Raises UserError for what is no such
    file at all.
    """
    table = tsv.read(path, NEEDED, "MMBench")
    return _with_incomplete([_sample(row, table) for row in table.rows])


def _sample(row: tsv.Row, table: tsv.Table) -> Sample:
    cells, index = row.cells, row.number
    text = cells.get("index", "")
    options: dict[str, JSON] = {name: cells[name] for name in sorted(cells) if len(name) == 1 and "A" <= name <= "Z"}
    picture = table.picture(row)
    place = f"line-{row.line}"
    again = table.before(row) if index is not None else None
    answer = cells.get("answer", "").strip()
    category = cells.get("category", "uncategorized")
    fault = row.fault or _fault(text, index, options, answer, cells)
    if again:
        fault = f"index {text} stood in line {again.line} already"
    elif not fault and isinstance(picture, str):
        fault = picture
    metadata: dict[str, JSON] = {
        "index": -row.line if index is None else index,
        "rotation": 0 if index is None else index // TURN,
        # By the last letter: an option that lacks, or that reads "None", is its row's fault and makes no turn too many.
        "rotations": max((ord(name) - ord("A") + 1 for name in options), default=0),
        "category": category,
        "l2_category": cells.get("l2-category", "uncategorized"),
    }
    if "split" in cells:
        metadata["split"] = cells["split"]
    return Sample(
        id=place if index is None else f"{text}-{place}" if again else text,
        inputs={"question": cells.get("question", ""), "options": options, "hint": cells.get("hint", "")},
        target={"answer": answer or None},
        group=place if index is None else str(index % TURN),
        category=category,
        images=() if isinstance(picture, str) else (picture,),
        metadata=metadata | ({"fault": f"line {row.line}: {fault}"} if fault else {}),
    )


def _fault(text: str, index: int | None, options: Mapping[str, JSON], answer: str, cells: Mapping[str, str]) -> str:
    """What keeps a row from being a question with a right answer; no answer at all marks a hidden split, no fault."""
    letters = "".join(options)
    if index is None:
        return f"its index is {text[:20]!r}, no number"
    if "question" not in cells:
        return "it has no question"
    if len(letters) < 2 or not "ABCDEFGHIJKLMNOPQRSTUVWXYZ".startswith(letters):
        return f"its options are {', '.join(letters) or 'missing'}"
    if answer and answer not in options:
        return f"its answer is {answer[:20]!r}, none of its options"
    return ""


def _with_incomplete(samples: Sequence[Sample]) -> list[Sample]:
    """The samples, those marked whose question has not exactly the rotations that its options make."""
    turns: dict[str, set[int]] = {}
    sizes: dict[str, int] = {}
    for sample in samples:
        if sample.id.isdecimal():  # neither a repeated row nor one without an index
            turns.setdefault(sample.group, set()).add(_number(sample, "rotation"))
            sizes[sample.group] = max(sizes.get(sample.group, 0), _number(sample, "rotations"))
    odd = {
        group: f"question {group} has the rotations {', '.join(map(str, sorted(there)))} of {sizes[group]}"
        for group, there in turns.items()
        if there != set(range(sizes[group]))
    }
    return [_marked(sample, odd[sample.group]) if sample.group in odd else sample for sample in samples]


def _marked(sample: Sample, reason: str) -> Sample:
    return replace(sample, metadata={"fault": reason, **sample.metadata, "incomplete": reason})


def _number(sample: Sample, key: str) -> int:
    value = sample.metadata[key]
    assert isinstance(value, int)
    return value
