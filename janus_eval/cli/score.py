"""``janus-eval score``."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from janus_eval.cli import options

if TYPE_CHECKING:
    from janus_eval.plan import Choice


def score(
    *,
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder: DIR/MODEL.")],
    protocol: Annotated[
        list[str], typer.Option(metavar="[TASK/]P", help="Of one task, or of every task of the run that has it.")
    ],
    instrument: options.Instrument = None,
    device: options.Device = "cpu",
    dtype: options.Dtype = "float32",
    batch_size: Annotated[int, typer.Option(metavar="N", help="Looks an instrument takes at once.")] = 16,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Look again where an instrument failed.")
    ] = False,
) -> None:
    """Judge a run again under another protocol, from its stored responses and observations, without its model.

    Instruments are asked only where the run holds no observation of theirs.
    """
    from janus_eval import evaluation, plan, plugins
    from janus_eval.errors import AbsentError, UserError
    from janus_eval.observe import Instruments
    from janus_eval.progress import display
    from janus_eval.runner import rescore
    from janus_eval.specs import offered, parse_options
    from janus_eval.store import read_json
    from janus_eval.tables import in_words

    if not (run / "run.json").is_file():
        raise UserError(f"{run} is not a run folder: no run.json in it")
    tasks = sorted({*_tasks_of(run), *(name.partition("/")[0] for name in protocol if "/" in name)})
    specs: list[str] = []
    for name in protocol:
        if "/" in name:
            specs.append(name)
            continue
        having = {task: list(offered("tasks", task).protocols) for task in tasks}
        found = [f"{task}/{name}" for task, known in having.items() if name in known]
        if not found:
            known = sorted({protocol for protocols in having.values() for protocol in protocols})
            near = plugins.near(name, known)
            raise UserError(f"no task of {run} has a protocol {name!r}{near} (they have {', '.join(known)})")
        specs += found
    checked = evaluation.checked_options(seed=0, limit=None, batch_size=batch_size, retry_failed=retry_failed)
    chosen = plan.choices(specs, parse_options(instrument or [], "--instrument"))
    try:
        rescore(run, chosen, instruments=Instruments(device, dtype), options=checked, display=display())
    except AbsentError as error:
        if swapped := _swapped(run, chosen):
            raise UserError(f"{error}. The run has looked with others: {' '.join(swapped)}") from error
        raise
    results = read_json(run / "results.json")["tasks"]
    for spec in specs:
        task, _, short = spec.partition("/")
        typer.echo(f"{spec}: {in_words(results[task][short]['metrics']['overall'])}")


def _swapped(run: Path, chosen: Sequence[Choice]) -> list[str]:
    """The options that name the instruments of the run's own where a protocol has others in their roles."""
    from janus_eval.store import read_json

    results = run / "results.json"
    tasks = read_json(results)["tasks"] if results.is_file() else {}
    found = {}
    for choice in chosen:
        for table in tasks.get(choice.task.name, {}).values():
            for role, name in table["protocol"]["observe"].items():
                if choice.protocol.observe.get(role, name) != name:
                    found[role] = f"--instrument {role}={shlex.quote(name)}"
    return list(found.values())


def _tasks_of(run: Path) -> set[str]:
    """The tasks that a run was begun with, and those that were added later, which stand in results.json alone."""
    from janus_eval.store import read_json

    results = run / "results.json"
    tables = [read_json(run / "run.json"), read_json(results) if results.is_file() else {}]
    return {task for table in tables for task in table.get("tasks", {})}
