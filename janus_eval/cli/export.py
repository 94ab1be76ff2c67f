"""``janus-eval export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def export(
    *,
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder: DIR/MODEL.")],
    format_: Annotated[
        str, typer.Option("--format", metavar="F", help="geneval, dpg, mmbench, parquet, lmms-eval, model-index, ...")
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="PATH", help="A new folder; for mmbench a .tsv, .csv or .xlsx.")
    ],
    task: Annotated[
        str | None, typer.Option(metavar="TASK[/PROTOCOL]", help="Only this one. [default: all, as first asked]")
    ] = None,
) -> None:
    """Write a run's pictures or answers in a benchmark's own form, so that its own script can score them.

    Or the whole run for other tools: parquet, lmms-eval, model-index (a model card's).
    """
    from janus_eval import exports, plugins
    from janus_eval.errors import UserError

    if not (run / "run.json").is_file():
        raise UserError(f"{run} is not a run folder: no run.json in it")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"--out {out} is there already; give a new one")
    if format_ in plugins.names("exports"):
        # Of whole runs: a function from a run folder and a path to the lines that tell what was written.
        if task is not None:
            raise UserError(f"--task {task}: {format_} takes a run whole")
        for line in plugins.load("exports", format_)(run, out):
            typer.echo(line)
        return
    choices = exports.choices_of(run, format_, task)
    for choice in choices:
        sheet = exports.sheet_of(choice, format_)
        if sheet is None:
            place = out if len(choices) == 1 else out / choice.task.name
            written, lacking = exports.export_pictures(run, choice, place)
            rest = f"; {lacking} that failed are missing" if lacking else ""
            typer.echo(f"{choice.task.name}: {written} pictures in {place}{rest}")
        else:
            place = out if len(choices) == 1 else out.with_name(f"{out.stem}-{choice.task.name}{out.suffix}")
            if place.exists():
                raise UserError(f"{place} is there already; give a new one")
            written, lacking = exports.export_answers(run, choice, sheet, place)
            rest = f"; {lacking} that failed are empty" if lacking else ""
            typer.echo(f"{choice}: {written} rows in {place}{rest}")
