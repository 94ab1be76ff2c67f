"""Answers from elsewhere and the samples that they belong to: told apart by name, checked by what else a row says."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from janus_eval.errors import UserError
from janus_eval.models.adapters.answers_tables import Row, named, text_of
from janus_eval.plan import Entry
from janus_eval.types import Failure, Response, Sample

KEYS = ("sample", "index", "id", "question_id", "doc_id")
"""Columns that name a sample: this project's exports, VLMEvalKit's, and what other tools have; the last is a place."""
ANSWERS = ("prediction", "filtered_resps", "resps", "response", "pred", "output")
PLACE = "doc_id"
"""lmms-eval's number of a document: its place in the data, which is checked by what else the row says."""
GIVEN_UP = frozenset({"", "Failed to obtain answer via API."})
"""What stands where no answer was had; the latter is VLMEvalKit's (``vlmeval/api/base.py`` at e8e78f0)."""


class Found(NamedTuple):
    """Answers by (sample id, index), with what is wrong with some; and all that is to be told, in lines."""

    answers: Mapping[tuple[str, int], str | Failure]
    lines: Sequence[str]


@dataclass
class _Faults:
    """Names of rows and samples by what is wrong with them."""

    unknown: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    contrary: list[str] = field(default_factory=list)


def matched(rows: Sequence[Row], entry: Entry, key: str | None, answer: str | None, name: str) -> Found:
    """The answers of a file to the questions of an entry. ``key``, ``answer``: columns, None for the first known ones.

    Raises UserError where the file has no such columns.
    """
    # Of lmms-eval's own tasks the place is the sample's name, and the documents' numbers need not be unique.
    known = sorted(KEYS, key=(PLACE, *KEYS).index) if _documents(entry.asking.samples) else KEYS
    key = _column(rows, key, known, "names the sample", "key", name)
    answer = _column(rows, answer, ANSWERS, "holds the answers", "answer", name)
    wanted = {
        sample.id: len(requests) for sample, requests in zip(entry.asking.samples, entry.asking.requests, strict=True)
    }
    samples = _Samples(key, entry)
    faults = _Faults()
    given: dict[tuple[str, int], str | Failure] = {}
    for row in rows:
        label = text_of(_cell(row, key)).strip()
        sample, other = samples.of(row, label)
        if sample is None:
            faults.unknown.append(label or f"line {row.line}")
        elif other:
            faults.other.append(label)
        elif sample.id in wanted:
            for index, text in enumerate(_texts(_cell(row, answer), wanted[sample.id])):
                _put(given, (sample.id, index), text, label, faults)
    asked = [(sample, index) for sample, count in wanted.items() for index in range(count)]
    return Found(given, list(_told(asked, given, faults, f"{entry}, {name}", key)))


def _put(
    given: dict[tuple[str, int], str | Failure], place: tuple[str, int], text: str, label: str, faults: _Faults
) -> None:
    if text.strip() in GIVEN_UP:
        return
    if place not in given:
        given[place] = text
    elif given[place] == text:
        faults.repeated.append(label)
    else:
        # Neither is more the model's answer than the other.
        given[place] = Failure("the file has different answers to this")
        faults.contrary.append(label)


def _told(
    asked: Sequence[tuple[str, int]],
    given: Mapping[tuple[str, int], str | Failure],
    faults: _Faults,
    where: str,
    key: str,
) -> Iterator[str]:
    found = sum(isinstance(given.get(place), str) for place in asked)
    yield f"{where}: {found:,} of {len(asked):,} answers found by the column {key!r}"
    missing = [f"{sample}/{index}" if index else sample for sample, index in asked if (sample, index) not in given]
    for names, said in (
        (missing, "have no answer and count as failed"),
        (list(dict.fromkeys(faults.contrary)), "have different answers and count as failed"),
        (faults.repeated, "are given again with the same answer"),
        (faults.unknown, "are of no sample of the task and are passed over"),
        (faults.other, "speak of another question or right answer than the sample of that name, and are passed over"),
    ):
        if names:
            yield f"{where}: {len(names):,} {said}: {named(names)}"


def _column(rows: Sequence[Row], wanted: str | None, known: Sequence[str], what: str, option: str, name: str) -> str:
    """The column that is wanted, else the first known one that has something in it."""
    there = list(dict.fromkeys(column for row in rows for column in row.cells))
    if wanted is not None and wanted in there:
        return wanted
    inside = [column for column in known if any(text_of(_cell(row, column)) for row in rows)]
    if wanted is None and inside:
        return inside[0]
    empty = [column for column in known if wanted is None and column in there]
    lacks = f"no column {wanted!r}" if wanted is not None else f"no column that {what} ({', '.join(known)})"
    if empty:  # as where cells are formulas that no program has computed yet
        lacks = f"nothing in its column {empty[0]!r}"
    raise UserError(f"{name} has {lacks}; its columns are {named(there)}: name one with {option}=COLUMN")


def _cell(row: Row, column: str) -> Any:
    """A row's cell; for names of samples also that in a table inside a cell, where lmms-eval's tasks put theirs
    (``{"gpt_eval_score": {"index": 241, ...}}``)."""
    if column in row.cells:
        return row.cells[column]
    if column in KEYS and column != PLACE:
        inner = [value[column] for value in row.cells.values() if isinstance(value, dict) and column in value]
        return inner[0] if inner and all(value == inner[0] for value in inner) else None
    return None


class _Samples:
    """The samples of an entry by what a column calls them; where that fails, all of its task's, a limit or not."""

    def __init__(self, key: str, entry: Entry) -> None:
        self._key, self._entry = key, entry
        # The latter reads the data anew. Places are those in all of them, unless a sample is named by its own.
        place = key == PLACE and not _documents(entry.asking.samples)
        self._books = ("_every",) if place else ("_asked", "_every")

    def of(self, row: Row, label: str) -> tuple[Sample | None, bool]:
        """The sample of a row, and whether what else the row says is another's: other data, or another order of it."""
        found = None
        for names in self._books:
            found = getattr(self, names).get(label, found)
            if found is not None and not _is_of_other(row, found, self._key):
                return found, False
        return found, True

    @cached_property
    def _asked(self) -> Mapping[str, Sample]:
        return self._named(self._entry.asking.samples)

    @cached_property
    def _every(self) -> Mapping[str, Sample]:
        return self._named(self._entry.task.samples(self._entry.protocol.ask))

    def _named(self, samples: Sequence[Sample]) -> Mapping[str, Sample]:
        documents = _documents(samples)
        if documents and self._key not in {PLACE, "sample"}:
            names = [text_of(document.get(self._key)) for document in documents]
            counts = Counter(names)
            return {name: sample for name, sample in zip(names, samples, strict=True) if name and counts[name] == 1}
        if self._key == PLACE and not documents:
            return {str(place): sample for place, sample in enumerate(samples)}
        sheet = getattr(self._entry.task, "sheet", None)
        if self._key == "index" and sheet is not None:
            # Where the benchmark's own table would put each answer: asked with the samples' names for answers.
            known = {sample.id: sample for sample in samples}
            rows = sheet.rows(samples, {(name, 0): Response(text=name) for name in known})
            return {text_of(row["index"]): known[str(row["prediction"])] for row in rows}
        marked = {text_of(sample.metadata[self._key]): sample for sample in samples if self._key in sample.metadata}
        return marked | {sample.id: sample for sample in samples}


def _documents(samples: Sequence[Sample]) -> list[Mapping[str, Any]]:
    """The rows of an lmms-eval task, which it keeps in its samples' targets; empty for any other task."""
    found = [sample.target.get("doc") for sample in samples]
    documents = [document for document in found if isinstance(document, Mapping)]
    return documents if len(documents) == len(samples) else []


def _is_of_other(row: Row, sample: Sample, key: str) -> bool:
    """Whether the question beside the answer, or at a place the right answer, is not the sample's."""
    document = row.cells.get("doc")  # lmms-eval's copy of the benchmark's own row
    said = row.cells.get("question") or (document.get("question") if isinstance(document, dict) else None)
    asked = (_documents([sample]) or [sample.inputs])[0].get("question")
    if isinstance(said, str) and isinstance(asked, str) and said and _letters(said) != _letters(asked):
        return True
    if key != PLACE:
        return False
    said, right = row.cells.get("target"), sample.target.get("answer")
    return isinstance(said, str) and isinstance(right, str) and said.strip() != right.strip()


def _letters(text: str) -> str:
    """A text by its letters and digits: spreadsheets and exports change its spaces."""
    return re.sub(r"\W+", "", text).casefold()


def _texts(value: Any, count: int) -> list[str]:
    """A sample's answers in the order of its requests; lmms-eval has lists of them, and lists of what it filtered."""
    if not isinstance(value, list):
        return [text_of(value)]
    flat = [part[0] if isinstance(part, list) and part else part for part in value]
    return [text_of(part) for part in flat][:count]
