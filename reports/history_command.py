"""``janus-eval history RUN...``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

KINDS = (".png", ".svg", ".pdf")


def history(
    *,
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders, the earliest checkpoint first.")],
    metric: Annotated[
        list[str] | None,
        typer.Option(metavar="TASK[/PROTOCOL][:METRIC]", help="May repeat. [default: the headline of every task]"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="The plot: .png, .svg or .pdf.")
    ] = None,
    json_: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write all figures.")] = None,
) -> None:
    """Each metric over the checkpoints of a training run, with intervals, and where it shifted by more than noise."""
    from janus_eval.disk import write_whole
    from janus_eval.errors import UserError
    from janus_eval.reports import history as courses

    if out is not None and out.suffix not in KINDS:
        raise UserError(f"-o {out}: a file that ends in {', '.join(KINDS)} is expected")
    found = courses.courses(runs, metric or ())
    if not found:
        raise UserError("the runs have no results yet", code=3)
    typer.echo(courses.text(found), nl=False)
    if out is not None:
        write_whole(out, courses.plot(found, out.suffix[1:]))
        typer.echo(str(out))
    if json_ is not None:
        write_whole(json_, courses.as_json(found).encode())
