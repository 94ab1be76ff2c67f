"""``janus-eval explain RUN [--against ...]``: why this number and the printed one differ."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

FORMATS = ("text", "markdown", "md", "json")


def explain(
    *,
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder: DIR/MODEL.")],
    against: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|RUN|FILE[:NAME]",
            help="A published system, such as janus-pro-7b; another run; or a file of your own figures.",
        ),
    ] = None,
    task: Annotated[
        list[str] | None,
        typer.Option(metavar="TASK[/PROTOCOL]", help="One of the run's; may repeat. [default: all that can be held]"),
    ] = None,
    format_: Annotated[str, typer.Option("--format", metavar="F", help="text, markdown or json.")] = "text",
    output: Annotated[Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write it there.")] = None,
) -> None:
    """Say why a run's number and a printed one differ, from what the run stored; no model is asked.

    Without --against: what each knob does to this run's numbers. The run's page shows RUN/explain.json, which
    --format json writes.
    """
    from rich.console import Console

    from janus_eval import plugins
    from janus_eval.disk import write_whole
    from janus_eval.errors import UserError
    from janus_eval.reports import explain_render, explain_targets

    if format_ not in FORMATS:
        raise UserError(f"--format {format_}: one of {', '.join(FORMATS)}{plugins.near(format_, list(FORMATS))}")
    if output is not None and (output.is_dir() or not output.absolute().parent.is_dir()):
        raise UserError(f"-o {output}: the path of a file in a folder that is there is expected")
    found = explain_targets.explanations(run, against, task or [])
    in_markdown = explain_render.markdown
    write = {"markdown": in_markdown, "md": in_markdown, "json": explain_render.as_json, "text": explain_render.text}[
        format_
    ]
    if output is not None:
        write_whole(output, write(found).encode("utf-8", "surrogatepass"))
        typer.echo(str(output))
    elif format_ == "text":
        console = Console()
        typer.echo(explain_render.text(found, console.width, colour=console.is_terminal), nl=False)
    else:
        typer.echo(write(found), nl=False)
