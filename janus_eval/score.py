"""Third stage: judge every response. Pure: what was recorded and the protocol's ``judge`` decide alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from janus_eval.errors import UserError
from janus_eval.journal import Record
from janus_eval.observe import Chosen, Observer, chosen_looks, sights
from janus_eval.plan import Entry
from janus_eval.store import RunFolder
from janus_eval.types import Failure, Request, Sample, Score, Scored


def score(folder: RunFolder, entry: Entry, observers: Sequence[Observer]) -> list[Scored]:
    """One Scored a request, in the order of the samples. Raises UserError where a response is missing."""
    scored = []
    chosen = chosen_looks(folder, entry)
    for sample, requests in zip(entry.asking.samples, entry.asking.requests, strict=True):
        for index, request in enumerate(requests):
            scored.append(Scored(sample, index, *_judged(folder, entry, observers, sample, request, chosen)))
    return scored


def _judged(
    folder: RunFolder,
    entry: Entry,
    observers: Sequence[Observer],
    sample: Sample,
    request: Request,
    chosen: Chosen,
) -> tuple[Score, bool]:
    """The score, and whether there was no response to judge."""
    path = folder.path
    response = folder.response(request)
    if response is None:
        raise UserError(f"{path} holds no response to {request.key}; run it again to go on", code=3)
    if isinstance(response, Failure):
        return Score(None, reason=f"request failed: {response.reason}"), True
    observations = {}
    for sight in sights(entry.task, observers, sample, request, chosen):
        found = folder.observed(sight.outlook)
        if found is None:
            raise UserError(f"{path}: {sight.observer.name} has not seen {request.key}; run it again", code=3)
        if isinstance(found, Failure):
            return Score(None, reason=f"{sight.observer.role} failed: {found.reason}"), False
        observations[sight.observer.role] = found.data
    return entry.task.score(sample, request.key.index, response, observations, entry.protocol.judge), False


def rows(entry: Entry, scored: Sequence[Scored]) -> list[Record]:
    """The lines of scores.jsonl."""
    requests = (request for row in entry.asking.requests for request in row)
    return [
        {
            "task": entry.task.name,
            "protocol": entry.protocol.name,
            "sample": item.sample.id,
            "index": item.index,
            "id": request.id,
            "group": item.sample.group,
            "category": item.sample.category,
            "value": item.score.value,
            "extracted": item.score.extracted,
            "reason": item.score.reason,
            "parts": item.score.parts,
            "failed": item.failed,
        }
        for item, request in zip(scored, requests, strict=True)
    ]


def troubles(scored: Sequence[Scored]) -> dict[str, int]:
    """Reasons of failed and unscored items with their counts, the most frequent first."""
    counts = Counter(item.score.reason for item in scored if item.score.value is None)
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))
