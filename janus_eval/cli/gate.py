"""``janus-eval gate``."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from janus_eval.cli import options

if TYPE_CHECKING:
    from janus_eval.gating.gate import Terms
    from janus_eval.gating.records import Verdict
    from janus_eval.gating.sides import Side


Candidate = Annotated[
    str, typer.Argument(metavar="CANDIDATE", help="A run folder; with --sequential also a model, as run takes it.")
]
Baseline = Annotated[Path, typer.Option(metavar="BASE", help="A run folder, or a file of `janus-eval baseline`.")]
Metric = Annotated[
    list[str] | None,
    typer.Option(metavar="TASK[/PROTOCOL][:METRIC]", help="May repeat. [default: the headline of every task]"),
]
Margin = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=POINTS", help="Must be shown to be no worse than this; NAME may be all; may repeat."),
]
MustHold = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Lines `TASK SAMPLE`: one that falls fails the gate by itself.")
]
Allow = Annotated[
    list[str] | None,
    typer.Option(metavar="PART", help="May differ: data, ask, observe, judge, settings, failed; may repeat."),
]
Sequential = Annotated[
    bool, typer.Option("--sequential", help="Ask samples in random order and stop as soon as the answer is clear.")
]
Order = Annotated[
    int | None, typer.Option(metavar="N", help="The random order's number; with --sequential. [default: 0]")
]
Out = Annotated[Path, typer.Option(metavar="DIR", help="Where a model's run folder goes; with --sequential.")]
BatchSize = Annotated[int, typer.Option(metavar="N", help="Requests at once; with --sequential.")]
Device = Annotated[str | None, typer.Option(metavar="D", help="Of a model. [default: cpu]")]
Dtype = Annotated[str | None, typer.Option(metavar="D", help="Of a model. [default: float32]")]
Summary = Annotated[
    Path | None, typer.Option(metavar="FILE", envvar="GITHUB_STEP_SUMMARY", help="Append Markdown to it.")
]
Junit = Annotated[Path | None, typer.Option(metavar="FILE", help="Write JUnit XML, one case a metric.")]
Json = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write all figures.")]
Html = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Write a page with what is judged otherwise, side by side.")
]


def gate(
    *,
    candidate: Candidate,
    baseline: Baseline,
    metric: Metric = None,
    margin: Margin = None,
    must_hold: MustHold = None,
    allow: Allow = None,
    sequential: Sequential = False,
    order: Order = None,
    out: Out = Path("janus-eval-runs"),
    batch_size: BatchSize = 16,
    device: Device = None,
    dtype: Dtype = None,
    set_: options.Set = None,
    instrument: options.Instrument = None,
    data: options.Data = None,
    summary: Summary = None,
    junit: Junit = None,
    json_: Json = None,
    html: Html = None,
) -> None:
    """Is the candidate worse than the baseline on the same samples, by more than noise?

    Exit code 0: no; 1: yes; 3: not comparable, or too few samples to say; 2: bad input.
    """
    from rich.console import Console

    from janus_eval import plugins
    from janus_eval.errors import UserError
    from janus_eval.gating import comparable, holding
    from janus_eval.gating import gate as gating

    for option, file in (("--junit", junit), ("--json", json_), ("--html", html), ("--summary", summary)):
        if file is not None and (file.is_dir() or not file.absolute().parent.is_dir()):
            raise UserError(f"{option} {file}: the path of a file in a folder that is there is expected")
    if gating.is_baseline(Path(candidate)):
        raise UserError(f"{candidate} is a baseline, which has no samples: the candidate is a run folder")
    terms = gating.Terms(
        metric or (),
        gating.margins_of(margin or []),
        comparable.checked(allow or []),
        holding.read_held(must_hold) if must_hold is not None else (),
    )
    base = gating.read_side(baseline)
    asking = _Asking(out, order, batch_size, device, dtype, set_ or [], instrument or [], data)
    if sequential:
        verdict = _in_turn(candidate, base, terms, asking)
    else:
        verdict = gating.gate(_finished(candidate, asking), base, terms)
    typer.echo(plugins.load("reporters", "gate-text")(verdict, Console().width), nl=False)
    _write(verdict, {"gate-junit": junit, "gate-json": json_, "gate-html": html}, summary)
    raise typer.Exit(verdict.code)


class _Asking(NamedTuple):
    """The options that only ``--sequential`` needs."""

    out: Path
    order: int | None
    batch_size: int
    device: str | None
    dtype: str | None
    set: Sequence[str]
    instrument: Sequence[str]
    data: Path | None


def _finished(candidate: str, asking: _Asking) -> Side:
    from janus_eval.errors import UserError
    from janus_eval.gating.sides import read_run

    for name in ("order", "device", "dtype", "set", "instrument", "data"):
        if getattr(asking, name) not in (None, []):
            raise UserError(f"--{name} goes with --sequential: a finished run is not asked")
    if not Path(candidate).exists():
        raise UserError(f"{candidate}: there is no such run folder; a model is asked with --sequential")
    return read_run(Path(candidate))


def _in_turn(candidate: str, base: Side, terms: Terms, asking: _Asking) -> Verdict:
    from janus_eval import datasets, evaluation
    from janus_eval.errors import UserError
    from janus_eval.gating import candidates, sequential
    from janus_eval.progress import display
    from janus_eval.specs import parse_options

    evaluation.checked_options(seed=0, limit=None, batch_size=asking.batch_size, retry_failed=False)
    if asking.out.exists() and not asking.out.is_dir():
        raise UserError(f"--out {asking.out} is a file; it takes a folder")
    datasets.look_first_in(asking.data)
    means = candidates.Means(
        asking.out,
        asking.order,
        asking.batch_size,
        asking.device,
        asking.dtype,
        parse_options(asking.set, "--set"),
        parse_options(asking.instrument, "--instrument"),
        display(),
    )
    try:
        source = candidates.source_of(candidate, base, sequential.named(base, terms), means)
        return sequential.gate_in_turn(source, base, terms)
    except KeyboardInterrupt:
        sys.stderr.write("\njanus-eval: interrupted; what was asked is kept: run the same command to go on\n")
        raise typer.Exit(130) from None


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
