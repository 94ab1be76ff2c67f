"""``janus-eval report RUN... [--out DIR]``: the page and the table of runs that were made before."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from janus_eval.errors import UserError

MARKERS = ("run.json", "results.json")


def report(
    runs: Annotated[list[Path], typer.Argument(help="Run folders, or a folder that holds some.", metavar="RUN...")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for report.html; by default the one that holds the runs.")
    ] = None,
) -> None:
    """Write one self-contained HTML page for some runs and print their table."""
    from rich.console import Console

    from janus_eval.reports import page, terminal

    folders = expanded(runs)
    console = Console()
    written = page.write(folders, out or common(folders), each=False)
    console.print(terminal.render(folders, console.width))
    console.print()
    console.print(f"Page: {written}", style="bold", markup=False, highlight=False, soft_wrap=True)


def expanded(paths: Sequence[Path]) -> list[Path]:
    """Run folders as they are, any other folder by the run folders in it; each once.

    Raises UserError for a path without any.
    """
    found: list[Path] = []
    for path in paths:
        if _is_run(path):
            found.append(path)
            continue
        inside = sorted(p for p in path.iterdir() if _is_run(p)) if path.is_dir() else []
        if not inside:
            raise UserError(
                f"{path}: {'no run in this folder' if path.is_dir() else 'no such folder'}; "
                "give folders that `janus-eval run` wrote"
            )
        found += inside
    return list({path.resolve(): path for path in found}.values())


def common(folders: Sequence[Path]) -> Path:
    """Where a page about these runs belongs: in the run itself, or in the folder that holds them all."""
    if len(folders) == 1:
        return folders[0]
    return Path(os.path.commonpath([folder.resolve().parent for folder in folders]))


def _is_run(path: Path) -> bool:
    return any((path / name).is_file() for name in MARKERS)
