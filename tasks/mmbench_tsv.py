"""MMBench's published TSV files: every row becomes a sample, and what is wrong with a row is said where it would count.

The format is that of OpenCompass's files, as VLMEvalKit at e8e78f0 reads them (``vlmeval/dataset/image_base.py``,
``image_mcq.py``): tab-separated, quoted like CSV, a header, images in base64 or as the index of the row that holds the
image, and the k-th rotation of question q under index q + k * 1,000,000.
"""

from __future__ import annotations

import base64
import binascii
import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from janus_eval.errors import UserError
from janus_eval.pictures import Picture
from janus_eval.types import JSON, Sample

TURN = 1_000_000
LONGEST_REFERENCE = 64
"""Characters up to which an image cell is another row's index, and no image: VLMEvalKit's rule."""
NEEDED = ("index", "question", "image", "A", "B")
# Cells that pandas takes for missing by default, and so VLMEvalKit does: an option "None" is no option there.
# fmt: off
MISSING = frozenset([
    "", "#N/A", "#N/A N/A", "#NA", "<NA>", "N/A", "NA", "NULL", "None", "n/a", "null",
    "-1.#IND", "-1.#QNAN", "1.#IND", "1.#QNAN", "-NaN", "-nan", "NaN", "nan",
])
# fmt: on


class Row(NamedTuple):
    """A line's cells by column, without those that are missing; its number in the file, the header's being 1."""

    line: int
    cells: Mapping[str, str]
    fault: str = ""


def read(path: Path) -> list[Sample]:
    """All rows in the file's order; ``group`` is the question, ``category`` the leaf category.

    ``metadata`` has ``index``, ``rotation``, ``rotations`` (how many the question's options make), ``category``,
    ``l2_category``, and for a row that can't be scored ``fault``, a reason; a question with too few or too many
    rotations has ``incomplete`` in all its rows. Raises UserError for what is no such file at all.
    """
    rows = list(_rows(path))
    if not rows:
        raise UserError(f"{path} holds no rows")
    holders: dict[str, Row] = {}
    for row in rows:
        holders.setdefault(row.cells.get("index", ""), row)
    pictures: dict[int, Picture | str] = {}
    samples = [_sample(row, holders, pictures) for row in rows]
    return _with_incomplete(samples)


def _rows(path: Path) -> Iterator[Row]:
    limit = csv.field_size_limit(1 << 30)  # an image is one cell
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter="\t")
            header = [_column(name) for name in next(reader, [])]
            lacking = [name for name in NEEDED if name not in header]
            if lacking or len(set(header)) < len(header):
                fault = f"has no column {', '.join(lacking)}" if lacking else "has two columns of one name"
                raise UserError(f"{path} {fault}: it is none of MMBench's files")
            before = reader.line_num
            for cells in reader:
                line, before = before + 1, reader.line_num
                if not cells:
                    continue
                found = {name: cell for name, cell in zip(header, cells, strict=False) if cell not in MISSING}
                odd = len(cells) != len(header)
                yield Row(line, found, f"it has {len(cells)} cells, the header {len(header)}" if odd else "")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 (byte {error.start})") from error
    except csv.Error as error:
        raise UserError(f"{path} is no table: {error}") from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    finally:
        csv.field_size_limit(limit)


def _column(name: str) -> str:
    """Options are the columns of one capital; others are known in any case (``L2-category``, ``l2-category``)."""
    return name if len(name) == 1 else name.lower()


def _sample(row: Row, holders: Mapping[str, Row], pictures: dict[int, Picture | str]) -> Sample:
    cells = row.cells
    text = cells.get("index", "")
    options: dict[str, JSON] = {name: cells[name] for name in sorted(cells) if len(name) == 1 and name.isupper()}
    picture = _picture(row, holders, pictures)
    place = f"line-{row.line}"
    index = int(text) if text.isdecimal() and text.isascii() else None
    again = index is not None and holders[text] is not row
    answer = cells.get("answer", "").strip()
    category = cells.get("category", "uncategorized")
    fault = row.fault or _fault(text, index, options, answer, cells)
    if again:
        fault = f"index {text} stood in line {holders[text].line} already"
    elif not fault and isinstance(picture, str):
        fault = picture
    metadata: dict[str, JSON] = {
        "index": -row.line if index is None else index,
        "rotation": 0 if index is None else index // TURN,
        "rotations": len(options),
        "category": category,
        "l2_category": cells.get("l2-category", "uncategorized"),
    }
    return Sample(
        id=place if index is None else f"{text}-{place}" if again else text,
        inputs={"question": cells.get("question", ""), "options": options, "hint": cells.get("hint", "")},
        target={"answer": answer or None},
        group=place if index is None else str(index % TURN),
        category=category,
        images=(picture,) if isinstance(picture, Picture) else (),
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


def _picture(row: Row, holders: Mapping[str, Row], pictures: dict[int, Picture | str]) -> Picture | str:
    """The row's picture, one object for all rows that share it; or what is wrong with it."""
    cell = row.cells.get("image", "")
    holder = row
    if 0 < len(cell) <= LONGEST_REFERENCE:
        found = holders.get(cell)
        if found is None or len(found.cells.get("image", "")) <= LONGEST_REFERENCE:
            return f"its image is that of row {cell!r}, which has none"
        holder = found
    if holder.line not in pictures:
        pictures[holder.line] = _decoded(holder.cells.get("image", ""))
    return pictures[holder.line]


def _decoded(cell: str) -> Picture | str:
    if not cell:
        return "it has no image"
    try:
        return Picture(base64.b64decode("".join(cell.split()), validate=True))
    except (binascii.Error, ValueError) as error:
        return f"its image is no base64 ({error})"


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
