"""``janus-eval list``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

Row = tuple[str, ...]
FORMATS = ("text", "json", "csv", "markdown")
NARROWEST = 40
"""Columns. Below it, and where COLUMNS is 0 or 1, lines wrap rather than columns vanish."""


def listing(
    kind: Annotated[
        str | None, typer.Argument(metavar="KIND", help="models, tasks, protocols, instruments, suites, commands, ...")
    ] = None,
    benchmark: Annotated[str | None, typer.Option(metavar="B", help="Of published: this benchmark.")] = None,
    system: Annotated[str | None, typer.Option(metavar="S", help="Of published: this system.")] = None,
    metric: Annotated[str | None, typer.Option(metavar="M", help="Of published: this metric.")] = None,
    source: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Of published: this paper, arXiv number or table.")
    ] = None,
    published: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Of published: your own figures beside the ledger's.")
    ] = None,
    schema: Annotated[bool, typer.Option("--schema", help="Of published: the JSON Schema of such a file.")] = False,
    format_: Annotated[str, typer.Option("--format", metavar="F", help="text, json, csv or markdown.")] = "text",
) -> None:
    """What is there, one line each; with no argument, the names of every kind."""
    from janus_eval import plugins
    from janus_eval.errors import UserError

    if format_ not in FORMATS:
        raise UserError(f"--format {format_!r}{plugins.near(format_, list(FORMATS))} (one of {', '.join(FORMATS)})")
    asked = {"benchmark": benchmark, "system": system, "metric": metric, "source": source, "published": published}
    given: dict[str, object] = {name: value for name, value in asked.items() if value is not None}
    if schema:
        given["schema_only"] = True
    kinds: dict[str, Callable[..., Iterable[Row | Mapping[str, object]] | str]] = {
        "models": _models,
        "tasks": _tasks,
        "protocols": _protocols,
        "instruments": _instruments,
        "suites": _suites,
        "datasets": _datasets,
        "commands": _commands,
        # A list that a plugin offers is a function that gives rows, or tables whose keys are the columns' names, or a
        # text that is printed as it is. It is handed the options above that it has parameters for.
        **{name: _load_list(name) for name in plugins.names("lists")},
    }
    if kind is None:
        named = ("models", "tasks", "instruments", "suites")
        rows = [(name, ", ".join(plugins.names(name)) or "none") for name in named]
        _print([*rows, ("more", f"janus-eval list {', '.join(kinds)}")], "text")
        return
    if kind not in kinds:
        raise UserError(f"unknown kind {kind!r}{plugins.near(kind, list(kinds))} (one of {', '.join(kinds)})")
    found = kinds[kind](**_taken(kinds[kind], given, kind, full=format_ != "text"))
    if isinstance(found, str):
        typer.echo(found)
    else:
        _print(list(found), format_)


def _load_list(name: str) -> Callable[..., Any]:
    """Imported when it is asked for: other kinds must not wait for it, or fail with it."""

    def load(**options: object) -> Any:
        return _plugin_list(name)(**options)

    load.__name__ = name
    return load


def _plugin_list(name: str) -> Callable[..., Any]:
    from janus_eval import plugins

    found: Callable[..., Any] = plugins.load("lists", name)
    return found


def _taken(function: Callable[..., Any], given: Mapping[str, object], kind: str, *, full: bool) -> dict[str, object]:
    """The options that a list takes. Raises UserError for one that it doesn't."""
    import inspect

    from janus_eval import plugins
    from janus_eval.errors import UserError

    known = inspect.signature(_plugin_list(kind) if kind in plugins.names("lists") else function).parameters
    for name in given:
        if name not in known:
            raise UserError(f"--{name.partition('_')[0]}: list {kind} has no such filter")
    return {**given, **({"full": True} if full and "full" in known else {})}


def _rows(lines: Iterable[Row | Mapping[str, object]]) -> Iterator[Row]:
    """Texts alone; tables get a first row of their columns' names."""
    for place, line in enumerate(lines):
        if isinstance(line, Mapping):
            if place == 0:
                yield tuple(line)
            yield tuple("" if value is None else str(value) for value in line.values())
        else:
            yield line


def _models() -> Iterator[Row]:
    from janus_eval import plugins

    listed = plugins.registry().plugins["models"]
    for name, family in _offered("models"):
        if isinstance(family, str):
            yield name, family
        else:
            settings = family.Settings()
            recorded = settings.model_dump(mode="json")
            values = {key: recorded.get(key, getattr(settings, key)) for key in family.Settings.model_fields}
            options = ", ".join(f"{key}={value}" for key, value in values.items())
            can = f"can {', '.join(sorted(family.capabilities))}"
            yield name, f"{listed[name].help}; {can}" if listed[name].help else can, options


def _tasks() -> Iterator[Row]:
    for name, task in _offered("tasks"):
        yield (name, task) if isinstance(task, str) else (name, task.title, ", ".join(task.protocols))


def _protocols() -> Iterator[Row]:
    for name, task in _offered("tasks"):
        if isinstance(task, str):
            yield name, task
        else:
            defaults = getattr(task, "together", ()) or list(task.protocols)[:1]
            for short, protocol in task.protocols.items():
                yield f"{name}/{short}", "default" if short in defaults else "", protocol.note


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


def _print(lines: Sequence[Row | Mapping[str, object]], format_: str) -> None:
    typer.echo({"text": _text, "json": _json, "csv": _csv, "markdown": _markdown}[format_](lines))


def _text(lines: Sequence[Row | Mapping[str, object]]) -> str:
    """Columns that line up; long cells wrap under themselves."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2, 0, 0))
    for row in _rows(lines):
        table.add_row(*(Text(cell, overflow="fold") for cell in row))
    console = Console()
    console.width = max(console.width, NARROWEST)
    with console.capture() as capture:
        console.print(table)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def _json(lines: Sequence[Row | Mapping[str, object]]) -> str:
    import json

    return json.dumps([dict(line) if isinstance(line, Mapping) else list(line) for line in lines], indent=1)


def _csv(lines: Sequence[Row | Mapping[str, object]]) -> str:
    import csv
    import io

    text = io.StringIO()
    csv.writer(text).writerows(_rows(lines))
    return text.getvalue().rstrip("\r\n")


def _markdown(lines: Sequence[Row | Mapping[str, object]]) -> str:
    """A table; one without names for its columns has an empty head, which Markdown asks for."""
    rows = [[" ".join(cell.replace("|", "\\|").split()) for cell in row] for row in _rows(lines)]
    if lines and not isinstance(lines[0], Mapping):
        rows.insert(0, [""] * max(map(len, rows)))
    head = [rows[0], ["---"] * len(rows[0])] if rows else []
    return "\n".join("| " + " | ".join(row) + " |" for row in (*head, *rows[1:]))
