"""``janus-eval gate``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from janus_eval.gating.records import Verdict


def gate(
    *,
    candidate: Annotated[Path, typer.Argument(metavar="CANDIDATE", help="A run folder: DIR/MODEL.")],
    baseline: Annotated[Path, typer.Option(metavar="BASE", help="A run folder, or a file of `janus-eval baseline`.")],
    metric: Annotated[
        list[str] | None,
        typer.Option(metavar="TASK[/PROTOCOL][:METRIC]", help="May repeat. [default: the headline of every task]"),
    ] = None,
    margin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=POINTS", help="Must be shown to be no worse than this; NAME may be all; may repeat."
        ),
    ] = None,
    must_hold: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Lines `TASK SAMPLE`: one that falls fails the gate by itself.")
    ] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(metavar="PART", help="May differ: data, ask, observe, judge, settings, failed; may repeat."),
    ] = None,
    summary: Annotated[
        Path | None, typer.Option(metavar="FILE", envvar="GITHUB_STEP_SUMMARY", help="Append Markdown to it.")
    ] = None,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write JUnit XML, one case a metric.")] = None,
    json_: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write all figures.")] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page with what is judged otherwise, side by side.")
    ] = None,
) -> None:
    """Is the candidate worse than the baseline on the same samples, by more than noise?

    Exit code 0: no; 1: yes; 3: not comparable, or too few samples to say; 2: bad input.
    """
    from rich.console import Console

    from janus_eval import plugins
    from janus_eval.errors import UserError
    from janus_eval.gating import comparable, holding
    from janus_eval.gating import gate as gating
    from janus_eval.gating.sides import read_run

    for option, file in (("--junit", junit), ("--json", json_), ("--html", html), ("--summary", summary)):
        if file is not None and (file.is_dir() or not file.absolute().parent.is_dir()):
            raise UserError(f"{option} {file}: the path of a file in a folder that is there is expected")
    if gating.is_baseline(candidate):
        raise UserError(f"{candidate} is a baseline, which has no samples: the candidate is a run folder")
    terms = gating.Terms(
        metric or (),
        gating.margins_of(margin or []),
        comparable.checked(allow or []),
        holding.read_held(must_hold) if must_hold is not None else (),
    )
    verdict = gating.gate(read_run(candidate), gating.read_side(baseline), terms)
    typer.echo(plugins.load("reporters", "gate-text")(verdict, Console().width), nl=False)
    _write(verdict, {"gate-junit": junit, "gate-json": json_, "gate-html": html}, summary)
    raise typer.Exit(verdict.code)


def _write(verdict: Verdict, files: Mapping[str, Path | None], summary: Path | None) -> None:
    """``files``: a reporter's name -> where its text goes."""
    from janus_eval import plugins
    from janus_eval.disk import write_whole

    for name, file in files.items():
        if file is not None:
            write_whole(file, plugins.load("reporters", name)(verdict).encode("utf-8", "replace"))
    if summary is not None:
        with summary.open("a", encoding="utf-8", errors="replace") as opened:
            opened.write(plugins.load("reporters", "gate-markdown")(verdict))
