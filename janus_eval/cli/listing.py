"""``janus-eval list``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any

import typer

Row = tuple[str, ...]
NARROWEST = 40
"""Columns. Below it, and where COLUMNS is 0 or 1, lines wrap rather than columns vanish."""


def listing(
    kind: Annotated[
        str | None, typer.Argument(metavar="KIND", help="models, tasks, protocols, instruments, suites, commands, ...")
    ] = None,
) -> None:
    """What is there, one line each; with no argument, the names of every kind."""
    from janus_eval import plugins
    from janus_eval.errors import UserError

    kinds: dict[str, Callable[[], Iterable[Row | Mapping[str, object]]]] = {
        "models": _models,
        "tasks": _tasks,
        "protocols": _protocols,
        "instruments": _instruments,
        "suites": _suites,
        "datasets": _datasets,
        "commands": _commands,
        # A list that a plugin offers is a function that gives rows, or tables whose keys are the columns' names.
        **{name: lambda name=name: plugins.load("lists", name)() for name in plugins.names("lists")},  # type: ignore[misc]
    }
    if kind is None:
        named = ("models", "tasks", "instruments", "suites")
        rows = [(name, ", ".join(plugins.names(name)) or "none") for name in named]
        _print([*rows, ("more", f"janus-eval list {', '.join(kinds)}")])
        return
    if kind not in kinds:
        raise UserError(f"unknown kind {kind!r}{plugins.near(kind, list(kinds))} (one of {', '.join(kinds)})")
    _print(list(_rows(kinds[kind]())))


def _rows(lines: Iterable[Row | Mapping[str, object]]) -> Iterator[Row]:
    for place, line in enumerate(lines):
        if isinstance(line, Mapping):
            if place == 0:
                yield tuple(line)
            yield tuple("" if value is None else str(value) for value in line.values())
        else:
            yield line


def _models() -> Iterator[Row]:
    for name, family in _offered("models"):
        if isinstance(family, str):
            yield name, family
        else:
            options = ", ".join(f"{key}={value}" for key, value in family.Settings().model_dump(mode="json").items())
            yield name, ", ".join(sorted(family.capabilities)), options


def _tasks() -> Iterator[Row]:
    for name, task in _offered("tasks"):
        yield (name, task) if isinstance(task, str) else (name, task.title, ", ".join(task.protocols))


def _protocols() -> Iterator[Row]:
    for name, task in _offered("tasks"):
        if isinstance(task, str):
            yield name, task
        else:
            for place, (short, protocol) in enumerate(task.protocols.items()):
                yield f"{name}/{short}", "default" if place == 0 else "", protocol.note


def _instruments() -> Iterator[Row]:
    from janus_eval import plugins

    for name, plugin in sorted(plugins.registry().plugins["instruments"].items()):
        yield name, plugin.help, plugin.owner


def _suites() -> Iterator[Row]:
    for name, suite in _offered("suites"):
        if isinstance(suite, str):
            yield name, suite
        else:
            yield name, ", ".join(suite.tasks), f"with {', '.join(suite.models)}"


def _datasets() -> Iterator[Row]:
    for name, dataset in _offered("datasets"):
        yield (name, dataset) if isinstance(dataset, str) else (name, dataset.title, f"licence: {dataset.licence}")


def _commands() -> Iterator[Row]:
    from janus_eval import plugins
    from janus_eval.cli.app import BUILT_IN

    yield from ((name, line) for name, (_, line) in BUILT_IN.items())
    yield from ((name, plugin.help) for name, plugin in sorted(plugins.registry().plugins["commands"].items()))


def _offered(kind: str) -> Iterator[tuple[str, Any]]:
    """Names with what they stand for, or with why that cannot be loaded."""
    from janus_eval import plugins
    from janus_eval.errors import UserError
    from janus_eval.specs import offered

    for name in plugins.names(kind):
        try:
            yield name, offered(kind, name)
        except UserError as error:
            yield name, str(error)


def _print(rows: Sequence[Row]) -> None:
    """Columns that line up; long cells wrap under themselves."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2, 0, 0))
    for row in rows:
        table.add_row(*(Text(cell, overflow="fold") for cell in row))
    console = Console()
    console.width = max(console.width, NARROWEST)
    with console.capture() as capture:
        console.print(table)
    typer.echo("\n".join(line.rstrip() for line in capture.get().splitlines()))
