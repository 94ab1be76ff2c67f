"""Figures of the ledger, and of a user's file of the same form, as an explanation takes them: with how they were made.

``published/made_with.json`` tells what is known of that, a source for each fact; ``papers_known`` which task runs which
benchmark.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar, cast, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from janus_eval import plugins
from janus_eval.errors import UserError
from janus_eval.explaining.facts import base
from janus_eval.explaining.records import Basis, Fact, Printed
from janus_eval.reports.ledger import Figure, Match, load, parse
from janus_eval.reports.papers_known import headline_of
from janus_eval.reports.wording import listed
from janus_eval.types import Unit

SHIPPED = "made_with.json"
NAMED = 12  # systems that a message names


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


_R = TypeVar("_R", bound=_Row)


class Made(_Row):
    """A fact of the figures that one of ``of`` matches; of all in the file where none is given."""

    of: tuple[Match, ...] = ()
    knobs: Mapping[str, Any]
    basis: Basis
    source: str

    def __call__(self, figure: Figure) -> bool:
        return not self.of or any(match(figure) for match in self.of)


@dataclass(frozen=True)
class Collection:
    """Figures with what is known of their making."""

    figures: Sequence[Figure]
    made: Sequence[Made]
    notes: Mapping[int, Sequence[str]]
    """By place in ``figures``."""

    def headline(self, figure: Figure, task: str) -> bool:
        """Whether it is what a task's headline is to be held against; a user's benchmark may be a task's own name."""
        if figure.benchmark == task:
            return figure.metric == "overall"
        known = headline_of(figure.benchmark, figure.metric)
        return known is not None and task in known.tasks

    def facts(self, figure: Figure) -> list[Fact]:
        return [Fact(made.knobs, made.source, made.basis) for made in self.made if made(figure)]

    def model(self, figure: Figure) -> str:
        """The model that it is a figure of, as ``--model`` takes it; empty where that is not known."""
        return next((str(fact.knobs["model"]) for fact in self.facts(figure) if "model" in fact.knobs), "")

    def of_task(self, task: str) -> list[Figure]:
        return [figure for figure in self.figures if self.headline(figure, task)]

    def printed(self, figure: Figure) -> Printed:
        """As an explanation takes it. Raises UserError for a unit that no task has."""
        if figure.unit not in get_args(Unit):
            raise UserError(f"{figure.name}, {figure.benchmark}: a figure in {figure.unit} is no task's headline here")
        others = {
            other.metric: other.value
            for other in self.figures
            if (other.name, other.benchmark, other.source, other.unit)
            == (figure.name, figure.benchmark, figure.source, figure.unit)
            and other != figure
        }
        where = figure.source.short if figure.source.short not in figure.name else ""
        return Printed(
            name=f"{figure.name}{f' ({where})' if where else ''}",
            value=figure.value,
            unit=cast(Unit, figure.unit),
            source=figure.source.url or figure.source.as_reported_in,
            facts=self.facts(figure),
            metrics=others,
            notes=self.notes[self.figures.index(figure)],
        )

    def find(self, text: str, task: str, model: str) -> Figure:
        """The figure of a task's benchmark that ``text`` names, by the system's name, its checkpoint's or its family's;
        of several sizes that of the run's own ``model``.

        Raises UserError, naming what there is, where none or several are meant.
        """
        among = self.of_task(task)
        if not among:
            raise UserError(f"there is no figure of task {task!r}'s benchmark")
        for names in (_own_names, self._checkpoint_names, _family_names):
            found = [figure for figure in among if slug(text) in names(figure)]
            if found:
                return self._one(found, text, model)
        known = list(dict.fromkeys(figure.name for figure in among))
        near = plugins.near(text.lower(), [name.lower() for name in known])
        more = f" and {len(known) - NAMED} more" if len(known) > NAMED else ""
        raise UserError(
            f"no figure of {among[0].benchmark} by {text!r}{near} (there are {', '.join(known[:NAMED])}{more})"
        )

    def _one(self, found: Sequence[Figure], text: str, model: str) -> Figure:
        """Of several: no re-run, no ablation, the run's own model, a model that was released."""
        preferred: tuple[Callable[[Figure], bool], ...] = (
            lambda f: not f.rerun and "ablation" not in f.name,
            lambda f: bool(model) and base(self.model(f)) == base(model),
            lambda f: bool(self.model(f)),
        )
        for chosen in preferred:
            found = [figure for figure in found if chosen(figure)] or found
            if len({figure.name for figure in found}) == 1:
                return found[0]  # several sources print one system, the ledger's first as it was read first
        names = list(dict.fromkeys(figure.name for figure in found))
        raise UserError(f"{text!r} may be {listed(names)}: give one of these names")

    def _checkpoint_names(self, figure: Figure) -> set[str]:
        return {slug(base(self.model(figure)))} if self.model(figure) else set()


def _own_names(figure: Figure) -> set[str]:
    return {slug(figure.name)}


def _family_names(figure: Figure) -> set[str]:
    return {slug(figure.system), slug(f"{figure.system} {figure.params}"), slug(figure.system).replace("-", "")}


def slug(text: str) -> str:
    """``janus-pro-7b``: a name as people type it."""
    return re.sub(r"[^\w]+", "-", text.lower()).strip("-")


@cache
def shipped() -> Collection:
    """The figures that ship with the package."""
    ledger = load()
    table = json.loads((files("janus_eval.reports") / "published" / SHIPPED).read_text("utf-8"))
    made = _rows(Made, table["facts"], SHIPPED)
    for number, fact in enumerate(made):
        if not all(any(match(figure) for figure in ledger.figures) for match in fact.of):
            raise UserError(f'{SHIPPED}: fact {number} speaks of a figure that is not there; mend its "of"')
    notes = {place: ledger.notes_on(figure) for place, figure in enumerate(ledger.figures)}
    return Collection(ledger.figures, made, notes)


def from_file(path: Path) -> Collection:
    """A user's figures: an array of them, as ``published/published.json`` is, or an object with ``figures``, ``notes``
    and ``facts``, the latter of the form of ``published/made_with.json``.

    Raises UserError naming the file and the row.
    """
    try:
        whole = json.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{path}: not JSON ({error}); figures in the form of published/published.json expected"
        ) from error
    table = {"figures": whole} if isinstance(whole, list) else whole
    parts = {"figures", "notes", "facts"}
    if (
        not isinstance(table, dict)
        or not parts.issuperset(table)
        or not all(isinstance(t, list) for t in table.values())
    ):
        raise UserError(f"{path}: an array of figures expected, or an object of figures, notes and facts")
    ledger = parse(
        table.get("figures", []), table.get("notes", []), [], where=lambda kind, number: f"{path}: {kind} {number}"
    )
    made = _rows(Made, table.get("facts", []), str(path))
    notes = {place: ledger.notes_on(figure) for place, figure in enumerate(ledger.figures)}
    return Collection(ledger.figures, made, notes)


def _rows(kind: type[_R], rows: Iterable[Any], where: str) -> list[_R]:
    found = []
    for number, row in enumerate(rows):
        try:
            found.append(kind.model_validate(row))
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"])) or "the row"
            raise UserError(f"{where}: {kind.__name__.lower()} {number}, {field}: {first['msg']}") from error
    return found
