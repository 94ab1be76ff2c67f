"""``janus-eval export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def export(
    *,
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder: DIR/MODEL.")],
    format_: Annotated[str, typer.Option("--format", metavar="F", help="geneval or dpg.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="A new folder.")],
) -> None:
    """Write a run's pictures in a benchmark's own layout, so that its own script can score them."""
    from janus_eval import folders
    from janus_eval.errors import UserError
    from janus_eval.store import read_json

    if not (run / "run.json").is_file():
        raise UserError(f"{run} is not a run folder: no run.json in it")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"--out {out} is there already; give a new folder")
    choices = folders.choices_of(run, read_json(run / "run.json"), format_)
    for choice in choices:
        place = out if len(choices) == 1 else out / choice.task.name
        written, lacking = folders.export_pictures(run, choice, place)
        rest = f"; {lacking} that failed are missing" if lacking else ""
        typer.echo(f"{choice.task.name}: {written} pictures in {place}{rest}")
