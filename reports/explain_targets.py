"""What ``--against`` stands for: a published system, a user's figures, another run; and the explanations of it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from janus_eval.errors import UserError
from janus_eval.explaining.explain import explain, explain_runs, model_of, spec_of, tasks_of
from janus_eval.explaining.facts import base
from janus_eval.explaining.records import Explanation, Printed
from janus_eval.reports.explain_figures import Collection, from_file, shipped
from janus_eval.reports.ledger import Figure
from janus_eval.reports.wording import listed


def explanations(run: Path, against: str | None, specs: Sequence[str]) -> list[Explanation]:
    """One a task: those of ``specs``, else all of the run's that can be held against the other side.

    Raises UserError where there is none.
    """
    known = tasks_of(run)
    for spec in specs:
        spec_of(run, spec)
    wanted = list(specs) or list(known)
    if against is None:
        model = model_of(run)
        return [explain(run, spec, figures=_of_model(shipped(), spec, model)) for spec in wanted]
    place = Path(against)
    if (place / "run.json").is_file():
        return list(_against_run(run, wanted, place, named=bool(specs)))
    path, name = _file(against)
    collection = shipped() if path is None else from_file(path)
    return list(_against_figures(run, wanted, collection, name, where=str(path or "the ledger"), named=bool(specs)))


def _file(text: str) -> tuple[Path | None, str]:
    """A file and the system in it that is meant; None for the ledger's. Raises UserError for a file that is missing."""
    whole = Path(text)
    if whole.is_file():
        return whole, ""
    front, colon, name = text.rpartition(":")
    if colon and Path(front).is_file():
        return Path(front), name
    if os.sep in text or text.endswith(".json") or whole.is_dir():
        what = "this folder is no run: no run.json in it" if whole.is_dir() else "no such file or run folder"
        raise UserError(f"--against {text}: {what}")
    return None, text


def _against_run(run: Path, specs: Sequence[str], other: Path, *, named: bool) -> Iterator[Explanation]:
    theirs = tasks_of(other)
    shared = [spec for spec in specs if spec.partition("/")[0] in theirs]
    if not shared or (named and len(shared) < len(specs)):
        raise UserError(f"--against {other}: it has results of {listed(list(theirs))}, not of {listed(list(specs))}")
    for spec in shared:
        task, protocol = spec_of(run, spec)
        yield explain_runs(run, spec, other, f"{task}/{protocol}" if protocol in theirs[task] else task)


def _against_figures(
    run: Path, specs: Sequence[str], collection: Collection, name: str, *, where: str, named: bool
) -> Iterator[Explanation]:
    model = model_of(run)
    able = [spec for spec in specs if collection.of_task(spec.partition("/")[0])]
    if not able:
        benchmarks = list(dict.fromkeys(figure.benchmark for figure in collection.figures))
        raise UserError(
            f"{where} has no figure of {listed([spec.partition('/')[0] for spec in specs])} to hold the run against "
            f"(it has {listed(benchmarks[:12])}{' and more' if len(benchmarks) > 12 else ''})"
        )
    errors: list[UserError] = []
    found = 0
    for spec in able:
        task = spec.partition("/")[0]
        try:
            figure = collection.find(name, task, model) if name else _only(collection.of_task(task), where)
        except UserError as error:
            errors.append(error)
            continue
        found += 1
        others = [*_of_model(shipped(), spec, model), *_of_model(shipped(), spec, collection.model(figure))]
        yield explain(run, spec, collection.printed(figure), [o for o in _each_once(others) if o.value != figure.value])
    if errors and (named or not found):
        raise errors[0]


def _only(figures: Sequence[Figure], where: str) -> Figure:
    names = list(dict.fromkeys(figure.name for figure in figures))
    if len(names) > 1:
        raise UserError(f"{where} has figures of {listed(names[:12])}: say which, as in --against {where}:{names[0]}")
    return figures[0]


def _of_model(collection: Collection, spec: str, model: str) -> list[Printed]:
    """What was printed of a model on a task's benchmark, by its authors and by others; each value once."""
    found = [
        figure
        for figure in collection.of_task(spec.partition("/")[0])
        if model and base(collection.model(figure)) == base(model)
    ]
    return _each_once([collection.printed(figure) for figure in found])


def _each_once(printed: Sequence[Printed]) -> list[Printed]:
    """One of those that say the same of one system, which several papers repeat."""
    found: dict[tuple[str, float], Printed] = {}
    for one in printed:
        found.setdefault((one.name.partition(" (")[0], one.value), one)
    return list(found.values())
