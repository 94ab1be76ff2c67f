"""The command line's frame: commands by name, loaded when used; every error one line and an exit code.

Nothing here imports numpy, pydantic or torch: ``--help`` takes the time of an interpreter, not of a library.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import typer

from janus_eval import plugin_files, plugins
from janus_eval.cli import streams
from janus_eval.errors import UserError
from janus_eval.plain import one_line

BUILT_IN = {
    "run": ("run:run", "Evaluate models on a suite or on tasks; with no argument, the embedded default."),
    "score": ("score:score", "Judge a run again under another protocol, without its model."),
    "score-images": ("score_images:score_images", "Score pictures that were drawn elsewhere, in a benchmark's layout."),
    "export": ("export:export", "A run's pictures or answers in the form that other tools read."),
    "gate": ("gate:gate", "Is a checkpoint worse than another on the same samples, by more than noise?"),
    "baseline": ("baseline:baseline", "Keep a run's scores in one small file, for gate to hold others against."),
    "ask": ("ask:ask", "Ask a model one question about one image."),
    "draw": ("draw:draw", "Have a model draw one prompt."),
    "fetch": ("fetch:fetch", "Bring a benchmark's published files onto this machine, checked."),
    "verify": ("verify:verify", "Hold a model or an instrument against recorded reference outputs."),
    "list": ("listing:listing", "What is there: models, tasks, protocols, instruments, suites, ..."),
    "doctor": ("doctor:doctor", "What is installed, what is missing, and how to get it."),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit."""
    streams.prepare()
    code = run(list(sys.argv[1:] if arguments is None else arguments))
    streams.finish()
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Run the command line; return the exit code."""
    try:
        code = _run(arguments)
        sys.stdout.flush()  # a full disk or a closed pipe must show before the exit code is decided
    except UserError as error:
        return _refused(str(error), error.code)
    except (KeyboardInterrupt, typer.Abort):
        return _refused("interrupted", 130)
    except BrokenPipeError:
        return 0  # whoever read our output, `head` for one, has seen enough
    except Exception as error:  # noqa: BLE001 - the last resort of a program
        return _refused(_described(error), 2)
    return code


def _described(error: Exception) -> str:
    """One line for an exception that nobody has turned into one; a defect's traceback goes before it."""
    if hasattr(error, "format_message"):  # click's usage errors, whichever click typer brings
        return str(error.format_message())
    if isinstance(error, OSError) and (error.filename is not None or error.errno in streams.UNWRITABLE):
        return f"{error.filename or 'standard output'}: {error.strerror}"
    traceback.print_exc()
    return f"unexpected {type(error).__name__}; this is a defect, please report the lines above"


def _run(arguments: list[str]) -> int:
    arguments = _add_plugins(arguments) or ["--help"]
    if arguments == ["--version"]:
        import importlib.metadata

        typer.echo(f"janus-eval {importlib.metadata.version('janus-eval')}")
        return 0
    for problem in plugins.registry().problems:
        sys.stderr.write(f"janus-eval: warning: {problem}\n")
    chosen = next((argument for argument in arguments if not argument.startswith("-")), None)
    result = _app(chosen)(arguments, prog_name="janus-eval", standalone_mode=False)
    return result if isinstance(result, int) else 0


def _refused(message: str, code: int) -> int:
    with contextlib.suppress(OSError):  # nobody can be told any more; the exit code still can
        sys.stderr.write(f"janus-eval: error: {one_line(message)}\n")
    return code


def _add_plugins(arguments: list[str]) -> list[str]:
    """``--plugin`` may stand anywhere and may bring commands, so it is read before everything else."""
    rest, waiting = [], iter(arguments)
    for argument in waiting:
        if argument == "--plugin":
            value = next(waiting, None)
            if value is None:
                raise UserError("--plugin takes a Python file or a module")
            plugin_files.add(value)
        elif argument.startswith("--plugin="):
            plugin_files.add(argument.removeprefix("--plugin="))
        else:
            rest.append(argument)
    return rest


def _app(chosen: str | None) -> typer.Typer:
    """All commands by name and line of help; only the chosen one is imported."""
    app = typer.Typer(
        name="janus-eval",
        help="Evaluate unified multimodal models: every knob pinned, every number with its uncertainty.",
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich" if sys.stdout.isatty() else None,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": _width()},
    )
    app.callback()(_root)
    for name, (target, line) in BUILT_IN.items():
        module, _, attr = target.partition(":")
        _register(app, name, line, lambda m=module, a=attr: _attribute(m, a), chosen)  # type: ignore[misc]
    for name in plugins.names("commands"):
        if name in BUILT_IN:
            raise UserError(
                f"{plugins.registry().plugins['commands'][name].owner} offers the built-in command {name!r}"
            )
        line = plugins.registry().plugins["commands"][name].help
        _register(app, name, line, lambda n=name: plugins.load("commands", n), chosen)  # type: ignore[misc]
    return app


def _register(app: typer.Typer, name: str, line: str, load: Callable[[], Any], chosen: str | None) -> None:
    command = load() if name == chosen else _placeholder
    if isinstance(command, typer.Typer):
        app.add_typer(command, name=name, help=line)
    else:
        app.command(name, help=None if name == chosen and command.__doc__ else line, short_help=line)(command)


def _attribute(module: str, attr: str) -> Any:
    return getattr(importlib.import_module(f"janus_eval.cli.{module}"), attr)


def _placeholder() -> None:
    """Stands in the list of commands for one that isn't loaded."""


def _root(
    plugin: str | None = typer.Option(None, metavar="FILE_OR_MODULE", help="Add a plugin for this call; may repeat."),
    version: bool = typer.Option(False, "--version", help="Print the version."),
) -> None:
    """Both are read before typer is asked, in ``_run``; here they stand for ``--help``."""


def _width() -> int:
    try:
        return max(20, os.get_terminal_size().columns)
    except OSError:
        return 80
