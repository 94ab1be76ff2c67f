"""First stage: ask the model whatever has no response yet."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, NamedTuple

from janus_eval.batching import Batcher
from janus_eval.errors import UserError
from janus_eval.pictures import Picture, PictureError
from janus_eval.plan import Entry
from janus_eval.progress import Advance, Display
from janus_eval.store import RunFolder, as_png
from janus_eval.types import (
    Capability,
    Drawing,
    Failure,
    Question,
    Ranking,
    Reconstruction,
    Request,
    Response,
)


def _answer(model: Any, requests: Sequence[Any]) -> Sequence[Any]:
    answers: Sequence[Any] = model.answer(requests)
    return answers


def _draw(model: Any, requests: Sequence[Any]) -> Sequence[Any]:
    drawn: Sequence[Any] = model.draw(requests)
    return drawn


def _rank(model: Any, requests: Sequence[Ranking]) -> Sequence[Any]:
    questions = [Question(request.key, request.text, request.images) for request in requests]
    found = model.score(questions, [request.continuations for request in requests])
    return [row if isinstance(row, Failure) else Response(likelihoods=tuple(row)) for row in found]


def _reconstruct(model: Any, requests: Sequence[Reconstruction]) -> Sequence[Any]:
    found = model.reconstruct([request.image for request in requests])
    return [Response(image=picture) if isinstance(picture, Picture) else picture for picture in found]


class Way(NamedTuple):
    """How requests of a kind reach the model."""

    capability: Capability
    words: str
    """What a reader calls such requests."""
    call: Callable[[Any, Sequence[Any]], Sequence[Any]]
    gives: str
    """What a response to one of them holds."""


WAYS: Mapping[type, Way] = {
    Question: Way("answer", "questions", _answer, "text"),
    Drawing: Way("draw", "drawings", _draw, "image"),
    Ranking: Way("score", "rankings", _rank, "likelihoods"),
    Reconstruction: Way("reconstruct", "reconstructions", _reconstruct, "image"),
}


def needs(entry: Entry) -> frozenset[Capability]:
    """What a model must be able to do for an entry's requests, which is the protocol's doing as well as the task's."""
    return frozenset(WAYS[type(request)].capability for row in entry.asking.requests for request in row)


def prepared(model: Any, entries: Sequence[Entry]) -> Sequence[str]:
    """Tell a model that wants to know it (``janus_eval.seams.Model``) what it will be asked; its lines for the user."""
    prepare = getattr(model, "prepare", None)
    return list(prepare(entries)) if prepare else []


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
    batchers = {kind: batcher_of(name, model, way, batch_size, display) for kind, way in WAYS.items()}
    waiting = _pending(folder, entries, retry_failed=retry_failed)
    meter = getattr(model, "meter", None)
    if meter is not None and any(waiting):
        display.note(f"{name}: {meter.forecast([request for pending in waiting for request in pending])}")
    for entry, pending in zip(entries, waiting, strict=True):
        for kind, way in WAYS.items():
            requests = [request for request in pending if isinstance(request, kind)]
            if requests:
                with display.bar(f"{name} {entry.task.name} {way.words}", len(requests)) as advance:
                    _ask(folder, requests, batchers[kind], advance)


def _pending(folder: RunFolder, entries: Sequence[Entry], *, retry_failed: bool) -> list[list[Request]]:
    """What is to be asked for each entry, each request once."""
    asked: set[Hashable] = set()
    found: list[list[Request]] = []
    for entry in entries:
        found.append([])
        for request in (request for row in entry.asking.requests for request in row):
            identity = (request.key, request.id)
            if identity not in asked and not folder.recorded(request, failures=not retry_failed):
                found[-1].append(request)
            asked.add(identity)
    return found


def _ask(folder: RunFolder, requests: Sequence[Request], batcher: Batcher[Request, Response], advance: Advance) -> None:
    task = requests[0].key.task
    start = time.perf_counter()
    for batch in batcher.run(requests, together):
        seconds = round(time.perf_counter() - start, 4)
        outcomes = [(request, checked(request, outcome)) for request, outcome in batch]
        folder.record(outcomes)
        tokens = sum(outcome.output_tokens for _, outcome in outcomes if isinstance(outcome, Response))
        folder.record_timing(stage="respond", task=task, n=len(batch), seconds=seconds, output_tokens=tokens)
        advance(len(batch))
        start = time.perf_counter()


def batcher_of(name: str, model: Any, way: Way, size: int, display: Display) -> Batcher[Request, Response]:
    """Batches for one of the model's methods."""

    def call(requests: Sequence[Request]) -> Sequence[Response | Failure]:
        return way.call(model, requests)

    return Batcher(f"model {name!r}", call, size, display.note)


def together(request: Request) -> Hashable:
    """Questions about one image come in one batch, so that a model can compute the image's prefix once."""
    if isinstance(request, Question | Ranking) and request.images:
        return tuple(image.digest for image in request.images)
    return request.key


def checked(request: Request, outcome: object) -> Response | Failure:
    """What the model gave, if it is what the seam promises. A picture that no one can open is a failure, and so are one
    of another size than was asked for and a likelihood that is no number."""
    if isinstance(outcome, Failure):
        return outcome
    wanted = WAYS[type(request)].gives
    if not isinstance(outcome, Response) or getattr(outcome, wanted) is None:
        raise UserError(f"request {request.key}: the model gave {type(outcome).__name__} without {wanted}")
    if fault := _unsound(outcome):
        raise UserError(f"request {request.key}: the model gave {fault}")
    if outcome.key not in {None, request.key}:
        raise UserError(
            f"request {request.key}: the model gave the response to {outcome.key}; "
            "responses come in the order of their requests"
        )
    if outcome.image is not None and wanted == "image":
        try:
            width, height = as_png(outcome.image).load().size
        except PictureError as error:
            return Failure(f"the model drew no picture: {error}")
        if isinstance(request, Drawing) and request.size not in {None, (height, width)}:
            assert request.size is not None
            asked = f"{request.size[1]} x {request.size[0]}"
            return Failure(f"the model drew {width} x {height} pixels where {asked} were asked for")
    if isinstance(request, Ranking):
        assert outcome.likelihoods is not None
        if len(outcome.likelihoods) != len(request.continuations):
            raise UserError(
                f"request {request.key}: the model gave {len(outcome.likelihoods)} likelihoods "
                f"for {len(request.continuations)} continuations"
            )
        if not all(map(math.isfinite, outcome.likelihoods)):
            return Failure(f"likelihoods {list(outcome.likelihoods)} are no finite numbers")
    return outcome


def _unsound(response: Response) -> str:
    """What in a response no record can hold, which would else be found out where it is written; "" if nothing."""
    for name, kind in (("text", str), ("image", Picture), ("input_tokens", int), ("output_tokens", int)):
        value = getattr(response, name)
        if value is not None and not isinstance(value, kind):
            return f"{type(value).__name__} as {name}; {kind.__name__} expected"
    if not all(isinstance(one, int | float) for one in response.likelihoods or ()):
        return "likelihoods that are no numbers"
    try:
        json.dumps(response.details, allow_nan=False)
    except (TypeError, ValueError) as error:
        return f"details that JSON cannot hold ({error})"
    return ""
