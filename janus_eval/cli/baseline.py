"""``janus-eval baseline``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def baseline(
    *,
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder: DIR/MODEL.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="Written anew if it is there.")],
) -> None:
    """Keep a run's scores in one small file, for `janus-eval gate` to hold later checkpoints against.

    The same command accepts an intended change: it replaces the file.
    """
    from janus_eval.disk import write_whole
    from janus_eval.errors import UserError
    from janus_eval.gating.baseline import packed
    from janus_eval.gating.gate import is_baseline
    from janus_eval.gating.sides import read_run

    if out.is_dir() or (out.exists() and not is_baseline(out)):
        raise UserError(f"-o {out} is there and no baseline; give another name")
    side = read_run(run)
    data = packed(side)
    write_whole(out, data)
    lines = [line for each in side.evaluations.values() for line in each.lines.values()]
    lacking = sum(line.value is None for line in lines)
    rest = f"; {lacking:,} of them have no score, and a gate will say so" if lacking else ""
    typer.echo(f"{out}: {len(lines):,} scores of {len(side.evaluations)} tasks, {len(data) / 1000:,.1f} kB{rest}")
