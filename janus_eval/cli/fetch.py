"""``janus-eval fetch``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from janus_eval.datasets import Dataset


def fetch(
    name: Annotated[
        str | None, typer.Argument(metavar="DATASET[/FILE]", help="A data set, or one of its files.")
    ] = None,
    *,
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Take the files from this folder, not from the network."),
    ] = None,
) -> None:
    """Bring a benchmark's published files onto this machine, checked; with no argument, what there is.

    They go to the folder that JANUS_EVAL_DATA names, else to the user's cache folder. The same command again goes on
    where a broken connection stopped it.
    """
    from janus_eval import datasets, plugins
    from janus_eval.errors import UserError
    from janus_eval.fetch import fetch as bring
    from janus_eval.progress import transfer
    from janus_eval.specs import offered

    datasets.look_first_in(data)
    if name is None:
        if data is not None:
            raise UserError("--data takes files of one data set: give its name (janus-eval fetch lists them)")
        typer.echo(f"data folder: {datasets.root()}")
        for known in plugins.names("datasets"):
            _show(offered("datasets", known))
        return
    wanted, _, single = name.partition("/")
    dataset = offered("datasets", wanted)
    files = [dataset.file(single)] if single else dataset.files
    typer.echo(f"{dataset.name}: licence {dataset.licence}; published at {dataset.source}")
    for file in files:
        with transfer(file.name) as watch:
            path, new = bring(dataset, file, data=data, watch=watch)
        typer.echo(f"{path}{'' if new else ' (there already)'}")


def _show(dataset: Dataset) -> None:
    """A data set with its files, and which of them are there; their content is checked when a task reads them."""
    from janus_eval import datasets

    typer.echo(f"\n{dataset.name}: {dataset.title}")
    typer.echo(f"  licence: {dataset.licence}")
    typer.echo(f"  source: {dataset.source}")
    for file in dataset.files:
        there = any(place.exists() for place in datasets.places(dataset, file))
        size = f", {file.size:,} bytes" if file.size is not None else ""
        typer.echo(f"  {'fetched' if there else '-':<8} {file.name}{size}")
