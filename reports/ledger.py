"""The ledger of published figures: numbers that somebody printed, each with its source and what is known of it.

``published/published.json`` holds the figures as printed, ``published_notes.json`` what was found out about some of
them, ``claims.json`` what the announcement of Janus-Pro claims. Nothing here was measured by this harness.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from janus_eval.errors import UserError

LedgerUnit = Literal["fraction", "percent", "points", "fid", "clip_x100"]
Text = Annotated[str, Field(min_length=1)]

# What a printed value may be. Upper ends are the metrics' own: MME's perception and cognition add up to 2,800, CLIP
# similarities are printed times 100; an FID has no upper end, but four digits would be a slipped decimal point.
RANGES: Mapping[LedgerUnit, tuple[float, float]] = {
    "fraction": (0.0, 1.0),
    "percent": (0.0, 100.0),
    "points": (0.0, 2800.0),
    "fid": (0.0, 1000.0),
    "clip_x100": (0.0, 100.0),
}

FILES = ("published.json", "published_notes.json", "claims.json")
SIZE = re.compile(r"\d+(\.\d+)?B\b")


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


_R = TypeVar("_R", bound=_Record)


class Source(_Record):
    """Where a figure was printed, and where it was read."""

    paper: Text
    arxiv: Text | None
    table: Text | None
    as_reported_in: Text

    @property
    def short(self) -> str:
        """Title up to the colon, and the table."""
        title = self.paper.split(":")[0].strip()
        return f"{title}, {self.table}" if self.table else title

    @property
    def url(self) -> str | None:
        """Address of the paper or the thread, where there is one."""
        if self.arxiv:
            return f"https://arxiv.org/abs/{self.arxiv}"
        return self.as_reported_in if self.as_reported_in.startswith("https://") else None

    @property
    def secondary(self) -> bool:
        """Read in a transcription, not in the paper itself."""
        return "secondary" in self.as_reported_in


class Figure(_Record):
    """One printed number."""

    system: Text
    variant: Text | None
    params: Text | None
    kind: Literal["understanding", "generation", "unified"]
    benchmark: Text
    metric: Text
    value: float
    unit: LedgerUnit
    higher_is_better: bool
    source: Source

    @model_validator(mode="after")
    def _in_range(self) -> Figure:
        low, high = RANGES[self.unit]
        if not low <= self.value <= high:
            raise ValueError(f"value {self.value} lies outside {low:g} to {high:g}, the range of unit {self.unit!r}")
        if self.higher_is_better == (self.unit == "fid"):
            raise ValueError(f"higher_is_better={self.higher_is_better} contradicts unit {self.unit!r}")
        return self

    @property
    def key(self) -> tuple[object, ...]:
        """What must be unique: one source prints one value of one thing once."""
        return (self.system, self.variant, self.params, self.benchmark, self.metric, self.source)

    @property
    def name(self) -> str:
        """System and variant as one name, ``Janus-Pro-7B`` where the variant is a size."""
        if not self.variant:
            return self.system
        return f"{self.system}{'-' if SIZE.match(self.variant) else ' '}{self.variant}"

    @property
    def rerun(self) -> str:
        """Who measured it where that is not the paper that presents the system; empty for a paper's own table."""
        if "by the Janus authors" in (self.variant or ""):
            return "its authors, outside the paper"
        told = f"{self.variant} {self.source.as_reported_in}"
        return "re-run by others" if any(word in told for word in ("re-run", "reproduction", "github.com/")) else ""


class Match(_Record):
    """The figures a note speaks of: those equal in every field that is given."""

    system: Text | None = None
    variant: Text | None = None
    benchmark: Text | None = None

    def __call__(self, figure: Figure) -> bool:
        return all(getattr(figure, name) == getattr(self, name) for name in self.model_fields_set)


class Note(_Record):
    """What was found out about some figures."""

    match: Match
    note: Text


class Claim(_Record):
    """A claim of the announcement and what was found of it."""

    id: Text
    claim: Text
    kind: Text
    status: Text
    source: Text
    caveat: Text | None = None
    testable_by: Text | None = None


@dataclass(frozen=True)
class Ledger:
    """All figures with their notes and the claims."""

    figures: tuple[Figure, ...]
    notes: tuple[Note, ...]
    claims: tuple[Claim, ...]

    def published(
        self, benchmark: str | None = None, system: str | None = None, metric: str | None = None
    ) -> tuple[Figure, ...]:
        """The figures of a benchmark, a system (any variant) and a metric, in the ledger's order."""
        wanted = {"benchmark": benchmark, "system": system, "metric": metric}
        given = {name: value for name, value in wanted.items() if value is not None}
        return tuple(f for f in self.figures if all(getattr(f, name) == value for name, value in given.items()))

    def notes_on(self, figure: Figure) -> tuple[str, ...]:
        """What is known of one figure."""
        return tuple(note.note for note in self.notes if note.match(figure))

    def caveats(self, task: str) -> tuple[str, ...]:
        """Caveats of the claims that a task can test."""
        return tuple(c.caveat for c in self.claims if c.caveat and task in (c.testable_by or "").split(", "))


def parse(figures: Iterable[Any], notes: Iterable[Any], claims: Iterable[Any]) -> Ledger:
    """Check raw JSON rows and type them. Raises UserError naming the row and what is wrong with it."""
    ledger = Ledger(
        tuple(_checked(Figure, row, f"figure {i}") for i, row in enumerate(figures)),
        tuple(_checked(Note, row, f"note {i}") for i, row in enumerate(notes)),
        tuple(_checked(Claim, row, f"claim {i}") for i, row in enumerate(claims)),
    )
    seen: dict[tuple[object, ...], int] = {}
    units: dict[tuple[str, str], str] = {}
    for i, figure in enumerate(ledger.figures):
        first = seen.setdefault(figure.key, i)
        if first != i:
            raise UserError(
                f"ledger of published figures: figure {i} ({figure.name}, {figure.benchmark} "
                f"{figure.metric}) repeats figure {first}; drop one of them"
            )
        unit = units.setdefault((figure.benchmark, figure.metric), figure.unit)
        if unit != figure.unit:
            raise UserError(
                f"ledger of published figures: figure {i} gives {figure.benchmark} {figure.metric} in "
                f"{figure.unit}, an earlier one in {unit}; bring them to one unit"
            )
    for i, note in enumerate(ledger.notes):
        if not note.match.model_fields_set or not any(note.match(figure) for figure in ledger.figures):
            raise UserError(f'ledger of published figures: note {i} matches no figure; mend its "match"')
    return ledger


def _checked(kind: type[_R], row: Any, where: str) -> _R:
    try:
        return kind.model_validate(row)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the row"
        raise UserError(f"ledger of published figures: {where}, {field}: {first['msg']}") from error


@cache
def load() -> Ledger:
    """The ledger that ships with the package, checked."""
    folder = files("janus_eval.reports") / "published"
    figures, notes, claims = (json.loads((folder / name).read_text("utf-8")) for name in FILES)
    return parse(figures, notes, claims)


def published(benchmark: str | None = None, system: str | None = None, metric: str | None = None) -> tuple[Figure, ...]:
    """The shipped figures of a benchmark, a system and a metric."""
    return load().published(benchmark, system, metric)


def listing() -> list[tuple[str, ...]]:
    """Rows for ``janus-eval list published``: one a figure, a dagger where notes say more."""
    ledger = load()
    return [
        (
            figure.benchmark,
            figure.metric,
            figure.name,
            f"{figure.value:g}{'†' if ledger.notes_on(figure) else ''} {figure.unit}",
            figure.source.short,
        )
        for figure in ledger.figures
    ]
