"""``janus-eval ask``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from janus_eval.cli import options


def ask(
    *,
    model: Annotated[str, typer.Argument(metavar="M[:CHECKPOINT][?k=v&...]")],
    image: Annotated[Path, typer.Argument(metavar="IMAGE")],
    question: Annotated[str, typer.Argument(metavar="QUESTION")],
    max_new_tokens: Annotated[int, typer.Option(metavar="N", min=1, help="At most that many tokens of answer.")] = 128,
    seed: Annotated[int, typer.Option(metavar="N", min=0, max=2**63 - 1, help="Counts where the model samples.")] = 0,
    device: options.Device = "cpu",
    dtype: options.Dtype = "float32",
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="An option; may repeat.")] = None,
) -> None:
    """Ask a model one question about one image; the answer goes to standard output."""
    from janus_eval.cli.single import respond_once
    from janus_eval.errors import UserError
    from janus_eval.pictures import Picture, PictureError
    from janus_eval.plain import visible
    from janus_eval.types import Question, RequestKey

    try:
        picture = Picture.from_file(image)
        picture.load()
    except OSError as error:
        raise UserError(f"{image}: {error.strerror}") from error
    except PictureError as error:
        raise UserError(f"{image}: {error}") from error
    request = Question(RequestKey("ask", str(image)), question, (picture,), max_new_tokens, seed)
    answer = respond_once(model, request, set_ or [], device=device, dtype=dtype)
    typer.echo(visible(answer.text or "", keep="\n\t"))
