"""``janus-eval draw``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from janus_eval.cli import options


def draw(
    *,
    model: Annotated[str, typer.Argument(metavar="M[:CHECKPOINT][?k=v&...]")],
    prompt: Annotated[str, typer.Argument(metavar="PROMPT")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="A .png file.")],
    seed: Annotated[int, typer.Option(metavar="N", min=0, max=2**63 - 1, help="Another seed, another picture.")] = 0,
    device: options.Device = "cpu",
    dtype: options.Dtype = "float32",
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="An option; may repeat.")] = None,
) -> None:
    """Have a model draw one prompt into a PNG file."""
    from janus_eval.cli.single import respond_once
    from janus_eval.disk import write_whole
    from janus_eval.errors import UserError
    from janus_eval.store import as_png
    from janus_eval.types import Drawing, RequestKey

    if output.is_dir() or output.suffix.lower() != ".png":
        raise UserError(f"-o {output}: expected the path of a .png file")
    if not output.absolute().parent.is_dir():
        raise UserError(f"-o {output}: there is no folder {output.absolute().parent}")
    request = Drawing(RequestKey("draw", prompt), prompt, seed)
    response = respond_once(model, request, set_ or [], device=device, dtype=dtype)
    assert response.image is not None
    write_whole(output, as_png(response.image).data)
    typer.echo(str(output))
