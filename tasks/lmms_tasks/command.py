"""``janus-eval lmms-tasks``."""

from __future__ import annotations

from pathlib import Path

import typer


def lmms_tasks() -> None:
    """Print the folder of our drawing tasks, for lmms-eval's --include_path."""
    typer.echo(str(Path(__file__).parent))
