"""What ``ask`` and ``draw`` share: one model, one request."""

from __future__ import annotations

from collections.abc import Sequence

from janus_eval.errors import UserError
from janus_eval.progress import Silent
from janus_eval.respond import WAYS, batcher_of, checked
from janus_eval.specs import contenders, parse_options
from janus_eval.types import Failure, Request, Response


def respond_once(spec: str, request: Request, options: Sequence[str], *, device: str, dtype: str) -> Response:
    """Load the model and put the request to it. Raises UserError if it can't, or fails."""
    [contender] = contenders([spec], parse_options(options, "--set"), device=device, dtype=dtype)
    way = WAYS[type(request)]
    if way.capability not in contender.capabilities:
        can = ", ".join(sorted(contender.capabilities)) or "nothing"
        raise UserError(f"model {contender.spec.name!r} cannot {way.capability} (it can {can})")
    batcher = batcher_of(contender.spec.name, contender.load(), way, 1, Silent())
    [[(_, outcome)]] = batcher.run([request], lambda request: request.key)
    outcome = checked(request, outcome)
    if isinstance(outcome, Failure):
        raise UserError(f"model {contender.spec.name!r} failed: {outcome.reason}")
    return outcome
