"""The ledger of published figures: numbers that somebody printed, each with its source and what is known of it.

``published/published.json`` holds the figures as printed, ``published_notes.json`` what was found out about some of
them, ``claims.json`` what the announcement of Janus-Pro claims. Nothing here was measured by this harness. A user's own
figures come beside them from a file of the same form (``ledger_files.py``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

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
    arxiv: Annotated[str, Field(pattern=r"^\d{4}\.\d{4,5}$")] | None
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


def _ranges(schema: dict[str, Any]) -> None:
    """The range of each unit and the direction that goes with it, which the types of the fields can't say."""
    schema["allOf"] = [
        {
            "if": {"properties": {"unit": {"const": unit}}},
            "then": {
                "properties": {
                    "value": {"minimum": low, "maximum": high},
                    "higher_is_better": {"const": unit != "fid"},
                }
            },
        }
        for unit, (low, high) in RANGES.items()
    ]


class Figure(_Record):
    """One printed number."""

    model_config = ConfigDict(json_schema_extra=_ranges)

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


class Rival(_Record):
    """A system by its names in the ledger."""

    system: Text
    variant: Text | None = None


class Comparison(_Record):
    """What a claim compares, without a number of its own: the figures of one printed table say whether it holds.

    ``above`` are the systems that are named, ``above_all`` the kinds of systems of which none is to be higher.
    """

    benchmark: Text
    metric: Text
    arxiv: Text
    table: Text
    system: Text
    variant: Text | None = None
    above: Annotated[tuple[Rival, ...], Field(strict=False)] = ()  # JSON has lists
    above_all: Annotated[tuple[Literal["understanding", "generation", "unified"], ...], Field(strict=False)] = ()


class Claim(_Record):
    """A claim of the announcement and what was found of it."""

    id: Text
    claim: Text
    kind: Text
    status: Text
    source: Text
    caveat: Text | None = None
    testable_by: Text | None = None
    compares: Comparison | None = None


@dataclass(frozen=True)
class Ledger:
    """All figures with their notes and the claims; ``extra`` are those of the figures that a user added."""

    figures: tuple[Figure, ...]
    notes: tuple[Note, ...]
    claims: tuple[Claim, ...]
    extra: tuple[Figure, ...] = ()

    def published(
        self, benchmark: str | None = None, system: str | None = None, metric: str | None = None
    ) -> tuple[Figure, ...]:
        """The figures of a benchmark, a system (any variant) and a metric, in the ledger's order."""
        wanted = {"benchmark": benchmark, "system": system, "metric": metric}
        given = {name: value for name, value in wanted.items() if value is not None}
        return tuple(f for f in self.figures if all(getattr(f, name) == value for name, value in given.items()))

    def printed_of(self, compared: Comparison, system: Rival | Comparison) -> Figure | None:
        """What a comparison's table prints of a system."""
        for figure in self.of_table(compared):
            if (figure.system, figure.variant) == (system.system, system.variant):
                return figure
        return None

    def of_table(self, compared: Comparison) -> tuple[Figure, ...]:
        """Every figure of a comparison's metric in its table."""
        return tuple(
            figure
            for figure in self.published(compared.benchmark, metric=compared.metric)
            if (figure.source.arxiv, figure.source.table) == (compared.arxiv, compared.table)
        )

    def notes_on(self, figure: Figure) -> tuple[str, ...]:
        """What is known of one figure."""
        return tuple(note.note for note in self.notes if note.match(figure))

    def caveats(self, task: str) -> tuple[str, ...]:
        """Caveats of the claims that a task can test."""
        return tuple(c.caveat for c in self.claims if c.caveat and task in (c.testable_by or "").split(", "))


Where: TypeAlias = Callable[[str, int], str]
"""Names a row for a message, by its kind ("figure", "note", "claim") and number."""

EMPTY = Ledger((), (), ())


def _shipped(kind: str, number: int) -> str:
    return f"ledger of published figures: {kind} {number}"


def parse(
    figures: Iterable[Any],
    notes: Iterable[Any],
    claims: Iterable[Any],
    *,
    base: Ledger = EMPTY,
    where: Where = _shipped,
) -> Ledger:
    """Check raw JSON rows and type them; they come behind those of ``base``.

    Raises UserError naming the row and what is wrong with it.
    """
    fresh = tuple(_checked(Figure, row, where("figure", i)) for i, row in enumerate(figures))
    ledger = Ledger(
        base.figures + fresh,
        base.notes + tuple(_checked(Note, row, where("note", i)) for i, row in enumerate(notes)),
        base.claims + tuple(_checked(Claim, row, where("claim", i)) for i, row in enumerate(claims)),
        base.extra + (fresh if base.figures else ()),
    )
    seen: dict[tuple[object, ...], str] = {}
    units: dict[tuple[str, str], str] = {}
    for i, figure in enumerate(ledger.figures):
        own = i - len(base.figures)
        first = seen.setdefault(figure.key, f"figure {own}" if own >= 0 else "a figure of the ledger")
        if own >= 0 and first != f"figure {own}":
            raise UserError(
                f"{where('figure', own)} ({figure.name}, {figure.benchmark} {figure.metric}) repeats {first}; "
                "drop one of them"
            )
        unit = units.setdefault((figure.benchmark, figure.metric), figure.unit)
        if unit != figure.unit:
            raise UserError(
                f"{where('figure', own)} gives {figure.benchmark} {figure.metric} in {figure.unit}, "
                f"an earlier one in {unit}; bring them to one unit"
            )
    for i, note in enumerate(ledger.notes[len(base.notes) :]):
        if not note.match.model_fields_set or not any(note.match(figure) for figure in ledger.figures):
            raise UserError(f'{where("note", i)} matches no figure; mend its "match"')
    for i, claim in enumerate(ledger.claims[len(base.claims) :]):
        compared = claim.compares
        named: list[Rival | Comparison] = [compared, *compared.above] if compared else []
        for system in named:
            if compared and not ledger.printed_of(compared, system):
                raise UserError(f"{where('claim', i)} compares {system.system}, of which its table has no figure")
    return ledger


def _checked(kind: type[_R], row: Any, where: str) -> _R:
    try:
        return kind.model_validate(row)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the row"
        raise UserError(f"{where}, {field}: {first['msg']}") from error


@cache
def load() -> Ledger:
    """The ledger that ships with the package, checked."""
    folder = files("janus_eval.reports") / "published"
    figures, notes, claims = (json.loads((folder / name).read_text("utf-8")) for name in FILES)
    return parse(figures, notes, claims)


def published(benchmark: str | None = None, system: str | None = None, metric: str | None = None) -> tuple[Figure, ...]:
    """The shipped figures of a benchmark, a system and a metric."""
    return load().published(benchmark, system, metric)
