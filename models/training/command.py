"""``janus-eval train``: a recipe, perhaps data and a start, and a checkpoint at the end."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from janus_eval.errors import UserError


def train(
    recipe: Annotated[str, typer.Argument(help="A built-in recipe (nano-janus-pro, ...) or a .json file.")],
    out: Annotated[Path, typer.Option(help="Folder for states, log, plot and checkpoint.")] = Path("janus-eval-train"),
    data: Annotated[list[Path] | None, typer.Option(help="JSONL of images and texts; without it, the shapes.")] = None,
    start: Annotated[str | None, typer.Option(help="Checkpoint to start from: folder or hub id.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, ...")] = "cpu",
    micro_batch: Annotated[int, typer.Option(min=1, help="Rows that go through the model at once.")] = 64,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; they move the weights' last digits.")] = None,
    stop_after: Annotated[int | None, typer.Option(min=1, help="End each stage after so many steps.")] = None,
) -> None:
    """Train a model by a recipe. The same command goes on where a killed run stopped."""
    import torch
    from rich.console import Console

    from janus_eval.models.training.plot import plot_losses
    from janus_eval.models.training.recipe import load_recipe
    from janus_eval.models.training.session import export, prepare

    loaded = load_recipe(recipe)
    if start is not None:
        loaded = loaded.model_copy(update={"start": start})
    if threads is not None:
        torch.set_num_threads(threads)
    claim(out, loaded.model_dump_json(indent=2))
    trainer = prepare(loaded, data or [], out, device=device, micro_batch=micro_batch)
    console = Console(stderr=True)
    try:
        trainer.run(console, stop_after=stop_after)
    except KeyboardInterrupt:
        console.print(f"stopped; the same command goes on from the last saved step in {out}")
        raise typer.Exit(130) from None
    except OSError as error:
        raise UserError(
            f"{out}: {error.strerror or error}; the last saved step is kept, mend it and run again"
        ) from None
    command = "janus-eval train " + " ".join(sys.argv[2:] if sys.argv[1:2] == ["train"] else [recipe])
    folder = export(trainer, out / "checkpoint", command=command)
    plot_losses(out / "log.jsonl", out / "losses.png")
    shutil.copyfile(out / "losses.png", folder / "losses.png")
    console.print(f"checkpoint: {folder}")


def claim(out: Path, recipe: str) -> None:
    """Make the run's folder, or recognise it as this recipe's. Raises UserError for another recipe's folder."""
    path = out / "recipe.json"
    try:
        out.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise UserError(f"--out {out} is a file; give a folder") from None
    if not path.exists():
        path.write_text(recipe + "\n", encoding="utf-8")
    elif json.loads(path.read_text(encoding="utf-8")) != json.loads(recipe):
        raise UserError(f"{out} holds a run of another recipe (see {path}); give another --out")
