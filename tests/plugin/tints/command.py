"""``janus-eval tint``."""

from __future__ import annotations

import typer

from janus_eval.errors import UserError


def tint(name: str) -> None:
    """Print a tint's red, green and blue."""
    from tints.colours import TINTS

    if name not in TINTS:
        raise UserError(f"no tint {name!r}; there are {', '.join(TINTS)}")
    typer.echo(" ".join(map(str, TINTS[name])))
