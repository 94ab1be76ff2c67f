"""``janus-eval run``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from janus_eval.cli import options


def run(
    *,
    suite: Annotated[str | None, typer.Option(metavar="S", help="A named list of tasks. [default: shapes]")] = None,
    task: Annotated[list[str] | None, typer.Option(metavar="TASK[/PROTOCOL]", help="May repeat.")] = None,
    without: options.Without = None,
    model: options.Models = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the run folders go, one a model.")] = Path(
        "janus-eval-runs"
    ),
    limit: Annotated[int | None, typer.Option(metavar="N", help="Only the first N groups of every category.")] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="All randomness comes from it.")] = 0,
    batch_size: Annotated[int, typer.Option(metavar="N", help="Requests at once; halves when memory runs out.")] = 16,
    device: options.Device = "cpu",
    dtype: options.Dtype = "float32",
    set_: options.Set = None,
    sweep: options.Sweep = None,
    instrument: options.Instrument = None,
    data: options.Data = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Ask failed requests once more.")] = False,
    estimate: options.Estimate = False,
) -> None:
    """Evaluate models on a suite or on tasks; the same command again goes on where it stopped.

    With no argument: suite shapes, its models, seed 0. Every model, or cell of a sweep, gets a run folder under --out.
    """
    from janus_eval import datasets, evaluation, plan
    from janus_eval.cli import estimating
    from janus_eval.errors import UserError
    from janus_eval.observe import Instruments
    from janus_eval.plain import one_line
    from janus_eval.progress import display
    from janus_eval.specs import contenders, parse_options
    from janus_eval.sweeps import cells, parse_sweep

    checked = evaluation.checked_options(seed=seed, limit=limit, batch_size=batch_size, retry_failed=retry_failed)
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out} is a file; it takes a folder")
    datasets.look_first_in(data)
    specs, models = evaluation.task_specs(task or [], suite, without or ()), model or _models_of(suite)
    overrides, over = parse_options(set_ or [], "--set"), parse_sweep(sweep or [])
    ready = contenders(cells(models, over, overrides), overrides, device=device, dtype=dtype)
    runs: list[Path] = []
    try:
        chosen = plan.choices(specs, parse_options(instrument or [], "--instrument"))
        if estimate:
            raise typer.Exit(estimating.show(ready, chosen, seed=seed, limit=limit, batch_size=batch_size))
        entries = plan.entries(chosen, seed=seed, limit=limit)
        evaluation.check_able(ready, entries)
        instruments, show = Instruments(device, dtype), display()
        for place, contender in enumerate(ready, 1):
            if over:
                show.note(f"{one_line(contender.spec)} ({place} of {len(ready)})")
            done = evaluation.run_contender(contender, entries, out, checked, instruments=instruments, show=show)
            runs.append(done.folder)
    except KeyboardInterrupt:
        sys.stderr.write(f"\njanus-eval: interrupted; {out} keeps what was recorded: run the same command to go on\n")
        raise typer.Exit(130) from None
    raise typer.Exit(_report(runs, out))


def _models_of(suite: str | None) -> Sequence[str]:
    from janus_eval import plan, suites
    from janus_eval.errors import UserError

    models = plan.load_suite(suite or suites.DEFAULT).models
    if not models:
        raise UserError(f"suite {suite!r} names no models; give --model")
    return models


def _report(runs: Sequence[Path], out: Path) -> int:
    """Print the table and write the page; 3 where a task came to no number at all."""
    from janus_eval import plugins
    from janus_eval.store import read_json
    from janus_eval.tables import print_table

    print_table(runs)
    if "default" in plugins.names("reporters"):
        typer.echo(str(plugins.load("reporters", "default")(list(runs), out)))
    headlines = [
        protocol["metrics"]["overall"]["value"]
        for run in runs
        for protocols in read_json(run / "results.json")["tasks"].values()
        for protocol in protocols.values()
    ]
    return 3 if None in headlines else 0
