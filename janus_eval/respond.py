"""First stage: ask the model whatever has no response yet."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Sequence
from typing import Any, cast

from janus_eval.batching import Batcher
from janus_eval.errors import UserError
from janus_eval.pictures import PictureError
from janus_eval.plan import Entry
from janus_eval.progress import Advance, Display
from janus_eval.store import RunFolder, as_png
from janus_eval.types import Drawing, Failure, Question, Request, Response


def respond(
    folder: RunFolder,
    name: str,
    model: Any,
    entries: Sequence[Entry],
    *,
    batch_size: int,
    retry_failed: bool,
    display: Display,
) -> None:
    """Record a response or a failure for every request of the entries. What is recorded is not asked again."""
    batchers = {
        "questions": batcher_of(name, model, "answer", batch_size, display),
        "drawings": batcher_of(name, model, "draw", batch_size, display),
    }
    asked: set[Hashable] = set()
    for entry in entries:
        pending = []
        for request in (request for row in entry.asking.requests for request in row):
            identity = (request.key, request.id)
            if identity not in asked and not folder.recorded(request, failures=not retry_failed):
                pending.append(request)
            asked.add(identity)
        for kind, words in ((Question, "questions"), (Drawing, "drawings")):
            requests = [request for request in pending if isinstance(request, kind)]
            if requests:
                with display.bar(f"{name} {entry.task.name} {words}", len(requests)) as advance:
                    _ask(folder, requests, batchers[words], advance)


def _ask(folder: RunFolder, requests: Sequence[Request], batcher: Batcher[Request, Response], advance: Advance) -> None:
    task = requests[0].key.task
    start = time.perf_counter()
    for batch in batcher.run(requests, _together):
        seconds = round(time.perf_counter() - start, 4)
        outcomes = [(request, checked(request, outcome)) for request, outcome in batch]
        folder.record(outcomes)
        tokens = sum(outcome.output_tokens for _, outcome in outcomes if isinstance(outcome, Response))
        folder.record_timing(stage="respond", task=task, n=len(batch), seconds=seconds, output_tokens=tokens)
        advance(len(batch))
        start = time.perf_counter()


def batcher_of(name: str, model: Any, method: str, size: int, display: Display) -> Batcher[Request, Response]:
    """Batches for the model's method ``answer`` or ``draw``."""

    def call(requests: Sequence[Request]) -> Sequence[Response | Failure]:
        answer = cast(Callable[[Sequence[Request]], Sequence[Response | Failure]], getattr(model, method))
        return answer(requests)

    return Batcher(f"model {name!r}", call, size, display.note)


def _together(request: Request) -> Hashable:
    """Questions about one image come in one batch, so that a model can compute the image's prefix once."""
    if isinstance(request, Question) and request.images:
        return tuple(image.digest for image in request.images)
    return request.key


def checked(request: Request, outcome: object) -> Response | Failure:
    """What the model gave, if it is what the seam promises. A picture that no one can open is a failure."""
    if isinstance(outcome, Failure):
        return outcome
    wanted = "text" if isinstance(request, Question) else "image"
    if not isinstance(outcome, Response) or getattr(outcome, wanted) is None:
        raise UserError(f"request {request.key}: the model gave {type(outcome).__name__} without {wanted}")
    if isinstance(request, Drawing):
        assert outcome.image is not None
        try:
            as_png(outcome.image).load()
        except PictureError as error:
            return Failure(f"the model drew no picture: {error}")
    return outcome
