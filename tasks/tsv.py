"""Published TSV files with pictures in their cells, as OpenCompass has them and VLMEvalKit reads them.

The format, at e8e78f0 (``vlmeval/dataset/image_base.py``): tab-separated, quoted like CSV, a header, a row's picture in
base64 or as the index of the row that holds it. What is wrong with a row is told apart from what it holds, so that it
can be said where the row would count.
"""

from __future__ import annotations

import base64
import binascii
import csv
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from janus_eval.errors import UserError
from janus_eval.pictures import Picture

END = "\0 no line of any file \0"
"""Put behind a file's lines: a reader that does not come to it is still inside a quote."""
LONGEST_INDEX = 18
"""Digits; Python itself refuses to read a number of thousands of them."""
LONGEST_REFERENCE = 64
"""Characters up to which an image cell is another row's index, and no image: VLMEvalKit's rule."""
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

    @property
    def number(self) -> int | None:
        """Its index; None where that is no number."""
        return _number(self.cells.get("index", ""))


@dataclass(frozen=True)
class Table:
    """All rows in the file's order; pictures are decoded once and shared by the rows that refer to them."""

    rows: Sequence[Row]
    _holders: dict[str, Row] = field(init=False, default_factory=dict)
    _pictures: dict[int, Picture | str] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        for row in self.rows:
            self._holders.setdefault(_known_as(row.cells.get("index", "")), row)

    def before(self, row: Row) -> Row | None:
        """The row that had this row's index already, if there is one."""
        first = self._holders[_known_as(row.cells.get("index", ""))]
        return None if first is row else first

    def picture(self, row: Row) -> Picture | str:
        """The row's picture, one object for all rows that share it; or what is wrong with it."""
        cell = row.cells.get("image", "")
        holder = row
        if 0 < len(cell) <= LONGEST_REFERENCE:
            found = self._holders.get(_known_as(cell))
            if found is None or len(found.cells.get("image", "")) <= LONGEST_REFERENCE:
                return f"its image is that of row {cell!r}, which has none"
            holder = found
        if holder.line not in self._pictures:
            self._pictures[holder.line] = _decoded(holder.cells.get("image", ""))
        return self._pictures[holder.line]


def read(path: Path, needed: Sequence[str], benchmark: str) -> Table:
    """The rows of a file. Raises UserError for what is none of this benchmark's files, or holds no rows."""
    table = Table(list(_rows(path, needed, benchmark)))
    if not table.rows:
        raise UserError(f"{path} holds no rows")
    return table


def _rows(path: Path, needed: Sequence[str], benchmark: str) -> Iterator[Row]:
    limit = csv.field_size_limit(1 << 30)  # an image is one cell
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(itertools.chain(file, ["\n", END]), delimiter="\t")
            header = [_column(name) for name in next(reader, [])]
            lacking = [name for name in needed if name not in header]
            if lacking or len(set(header)) < len(header):
                fault = f"has no column {', '.join(lacking)}" if lacking else "has two columns of one name"
                raise UserError(f"{path} {fault}: it is none of {benchmark}'s files")
            before, line = reader.line_num, 1
            for cells in reader:
                if cells == [END]:
                    return
                line, before = before + 1, reader.line_num
                if cells:
                    found = {name: cell for name, cell in zip(header, cells, strict=False) if cell not in MISSING}
                    yield Row(line, found, _odd(len(cells), len(header), line, before))
            raise UserError(f"{path}: a quote is opened in line {line} and never closed")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 (byte {error.start})") from error
    except csv.Error as error:
        raise UserError(f"{path} is no table: {error}") from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    finally:
        csv.field_size_limit(limit)


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() and text.isascii() and len(text) <= LONGEST_INDEX else None


def _known_as(index: str) -> str:
    """What rows are told apart by: to pandas, which reads numbers, 07 is 7."""
    number = _number(index)
    return index if number is None else str(number)


def _odd(cells: int, header: int, first: int, last: int) -> str:
    if cells == header:
        return ""
    # A quote that is left open swallows rows until the next one.
    over = f", and goes on to line {last}: is a quote left open?" if last > first else ""
    return f"it has {cells} cells, the header {header}{over}"


def _column(name: str) -> str:
    """Options are the columns of one capital; others are known in any case (``L2-category``, ``l2-category``)."""
    return name if len(name) == 1 else name.lower()


def _decoded(cell: str) -> Picture | str:
    if not cell:
        return "it has no image"
    try:
        return Picture(base64.b64decode("".join(cell.split()), validate=True))
    except (binascii.Error, ValueError) as error:
        return f"its image is no base64 ({error})"
