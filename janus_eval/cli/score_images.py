"""``janus-eval score-images``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from janus_eval.cli import options


def score_images(
    *,
    task: Annotated[str, typer.Argument(metavar="TASK[/PROTOCOL]", help="A task whose pictures have a layout.")],
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Pictures as the benchmark's own script reads them.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the run folder goes.")] = Path("janus-eval-runs"),
    name: Annotated[str | None, typer.Option(metavar="NAME", help="Of the run. [default: the folder's]")] = None,
    images: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Pictures of a prompt. [default: the protocol's]")
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Score what is there; what is missing counts as failed.")
    ] = False,
    instrument: options.Instrument = None,
    device: options.Device = "cpu",
    dtype: options.Dtype = "float32",
    data: options.Data = None,
    batch_size: Annotated[int, typer.Option(metavar="N", help="Looks an instrument takes at once.")] = 16,
) -> None:
    """Score pictures that were drawn elsewhere. Exit 3, before any instrument is looked for, if the folder has faults.

    Every fault is listed. The run folder is like any other: it can be reported and judged again.
    """
    from janus_eval import datasets, evaluation, folders, plan
    from janus_eval.disk import safe_name
    from janus_eval.observe import Instruments
    from janus_eval.plain import one_line
    from janus_eval.progress import display
    from janus_eval.runner import run
    from janus_eval.specs import parse_options
    from janus_eval.tables import print_table

    datasets.look_first_in(data)
    checked = evaluation.checked_options(seed=0, limit=None, batch_size=batch_size, retry_failed=False)
    swapped = parse_options(instrument or [], "--instrument")
    chosen = [folders.with_images(choice, images) for choice in plan.choices(plan.spelt_out([task]), swapped)]
    layout = folders.layout_of(chosen[0].task).name
    contents = folders.read_folder(folder, chosen[0])
    for fault in contents.faults:
        sys.stderr.write(f"{one_line(folder)}: {one_line(fault)}\n")
    if contents.faults and not partial:
        count = f"{len(contents.faults)} fault{'s' * (len(contents.faults) != 1)}"
        sys.stderr.write(
            f"janus-eval: {count} in the layout of {layout}: nothing was scored; mend the folder, or score what is "
            "there with --partial\n"
        )
        raise typer.Exit(3)
    subject = folders.subject_of(name or folder.resolve().name, contents)
    entries = plan.entries(chosen, seed=checked.seed, limit=None)
    path = out / safe_name(subject.name)
    run(subject, entries, path, checked, instruments=Instruments(device, dtype), display=display())
    print_table([path])
    typer.echo(str(path))
