"""The run folder: everything that happened to one model. docs/run-folder.md describes every file for readers."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Any, NamedTuple

from janus_eval import fingerprint
from janus_eval.disk import locked, safe_name, write_whole, writing
from janus_eval.errors import UserError
from janus_eval.journal import Journal, Record, to_line
from janus_eval.pictures import Picture
from janus_eval.plain import one_line
from janus_eval.types import (
    Drawing,
    Failure,
    Observation,
    Question,
    Ranking,
    Request,
    RequestKey,
    Response,
    Sample,
)

SCHEMA = 1
HEADER = {"model": dict, "seed": int, "tasks": dict}
RESULTS = {"model": dict, "tasks": dict}
SAMPLE = frozenset({"ask", "id", "inputs", "target", "group", "category", "metadata", "images"})
ANEW = "delete it and run the same command again, which writes it anew from what was recorded"
_SUFFIXES = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg", b"GIF8": ".gif", b"RIFF": ".webp"}


class Outlook(NamedTuple):
    """The identity of an observation: which response, seen by what, asked what."""

    key: RequestKey
    request: str
    """The request's id."""
    role: str
    look: str
    """Digest of the instrument, its version, the query and the instruments that looked before."""


def _response_key(record: Record) -> tuple[str, str, int, str]:
    """Raises KeyError for a line that holds no whole response."""
    if "failure" not in record:
        content = "bytes" if "image" in record else "likelihoods" if "likelihoods" in record else "text"
        _ = record[content], record["input_tokens"], record["output_tokens"]
        _ = record["finish"]
    return record["task"], record["sample"], record["index"], record["id"]


def _observation_key(record: Record) -> Outlook:
    key = RequestKey(record["task"], record["sample"], record["index"])
    _ = record["failure" if "failure" in record else "data"]
    return Outlook(key, record["id"], record["role"], record["look"])


class RunFolder:
    """An open run folder, ours alone until it closes. Get one from ``opened``."""

    def __init__(
        self, path: Path, header: Mapping[str, Any], responses: Journal, observations: Journal, timings: Journal
    ) -> None:
        self.path = path
        self.header = header
        self._responses = responses
        self._observations = observations
        self._timings = timings
        self._places = {record["image"]: _response_key(record) for record in responses if "image" in record}

    # Requests and responses

    def recorded(self, request: Request, *, failures: bool = True) -> bool:
        """Whether the request has its response on the disk, picture included (failures count unless told not to)."""
        key = (*request.key, request.id)
        record = self._responses.get(key)
        if record is None or key in self._responses.failures:
            return record is not None and (failures or bool(record.get("final")))
        if "image" not in record:
            return True
        file = self.path / str(record["image"])
        # Pictures are not synced one by one; after a power cut one may be missing or cut short. It is drawn again.
        return file.is_file() and file.stat().st_size == record["bytes"]

    def succeeded(self, request: Request) -> bool:
        key = (*request.key, request.id)
        return key in self._responses and key not in self._responses.failures

    def record(self, outcomes: Sequence[tuple[Request, Response | Failure]]) -> None:
        """Write a batch's pictures, then the lines that name them."""
        records = []
        for request, outcome in outcomes:
            head: Record = {**request.key._asdict(), "id": request.id, **_asked(request)}
            details = {"details": outcome.details} if outcome.details else {}
            if isinstance(outcome, Failure):
                final = {"final": True} if outcome.final else {}
                records.append({**head, "failure": one_line(outcome.reason), **final, **details})
                continue
            body: Record
            if outcome.image is not None:
                picture = as_png(outcome.image)
                place = self._picture_place(request)
                write_whole(self.path / place, picture.data, sync=False)
                body = {"image": place, "bytes": len(picture.data)}
            elif outcome.likelihoods is not None:
                body = {"likelihoods": list(outcome.likelihoods)}
            else:
                body = {"text": outcome.text}
            counts = {"input_tokens": outcome.input_tokens, "output_tokens": outcome.output_tokens}
            records.append({**head, **body, **counts, "finish": outcome.finish, **details})
        self._responses.append(records)

    def _picture_place(self, request: Request) -> str:
        """``images/TASK/SAMPLE/K.png``; where another request (asked under another protocol) is K, its id is added."""
        task, sample, index = request.key
        key = (task, sample, index, request.id)
        place = f"images/{safe_name(task)}/{safe_name(sample)}/{index}.png"
        if self._places.setdefault(place, key) != key:
            place = place.removesuffix(".png") + f"-{request.id}.png"
            self._places[place] = key
        return place

    def response(self, request: Request) -> Response | Failure | None:
        record = self._responses.get((*request.key, request.id))
        if record is None:
            return None
        if "failure" in record:
            return Failure(record["failure"], bool(record.get("final")), record.get("details", {}))
        counts = {name: record[name] for name in ("input_tokens", "output_tokens", "finish")}
        counts["details"] = record.get("details", {})
        if "image" in record:
            return Response(image=self._picture(record["image"]), **counts)
        if "likelihoods" in record:
            return Response(likelihoods=tuple(record["likelihoods"]), **counts)
        return Response(text=record["text"], **counts)

    def response_lines(self) -> Iterator[Record]:
        """Every line of responses.jsonl that tells more than the response, failed ones included that came again."""
        with (self.path / "responses.jsonl").open("rb") as file:
            yield from (json.loads(line) for line in file if b'"details":' in line)

    def _picture(self, place: str) -> Picture:
        try:
            return Picture.from_file(self.path / place)
        except OSError as error:
            raise UserError(f"{self.path / place}: {error.strerror}; run the same command again") from error

    # Observations

    def looked(self, outlook: Outlook, *, failures: bool = True) -> bool:
        """Whether there is an observation (failures count unless told not to)."""
        return outlook in self._observations and (failures or outlook not in self._observations.failures)

    def looked_with(self) -> dict[str, str]:
        """The instruments that have looked, each with the version under which it did so last."""
        return {record["instrument"]: record["version"] for record in self._observations}

    def observed(self, outlook: Outlook) -> Observation | Failure | None:
        record = self._observations.get(outlook)
        if record is None:
            return None
        return Failure(record["failure"]) if "failure" in record else Observation(record["data"])

    def record_observations(
        self, instrument: str, version: str, outcomes: Sequence[tuple[Outlook, Observation | Failure]]
    ) -> None:
        self._observations.append(
            [
                {
                    **outlook.key._asdict(),
                    "id": outlook.request,
                    "role": outlook.role,
                    "instrument": instrument,
                    "version": version,
                    "look": outlook.look,
                    **({"failure": one_line(found.reason)} if isinstance(found, Failure) else {"data": found.data}),
                }
                for outlook, found in outcomes
            ]
        )

    # Samples, scores, timings, results

    def write_samples(self, task: str, asks: Mapping[str, Sequence[Sample]]) -> None:
        """``asks``: digest of a protocol's asking -> its samples, beside those that are there under other askings."""
        path = self._samples_path(task)
        kept = [row for row in _lines(path, SAMPLE) if row["ask"] not in asks]
        for ask, samples in asks.items():
            for sample in samples:
                images = [self._write_input(image) for image in sample.images]
                kept.append({"task": task, "ask": ask, **fingerprint.sample_row(sample), "images": images})
        write_whole(path, b"".join(map(to_line, kept)))

    def _write_input(self, image: Picture) -> str:
        suffix = next((suffix for magic, suffix in _SUFFIXES.items() if image.data.startswith(magic)), ".bin")
        place = f"images/inputs/{image.digest}{suffix}"
        file = self.path / place
        if not file.is_file() or file.stat().st_size != len(image.data):
            write_whole(file, image.data, sync=False)
        return place

    def read_samples(self, task: str, ask: str) -> list[Sample]:
        """The samples a protocol asked about; empty where this run holds none under that asking."""
        pictures: dict[str, Picture] = {}

        def picture(place: str) -> Picture:
            if place not in pictures:
                pictures[place] = self._picture(place)
            return pictures[place]

        fields = SAMPLE - {"ask", "images"}
        return [
            Sample(**{name: row[name] for name in fields}, images=tuple(map(picture, row["images"])))
            for row in _lines(self._samples_path(task), SAMPLE)
            if row["ask"] == ask
        ]

    def _samples_path(self, task: str) -> Path:
        return self.path / "samples" / f"{safe_name(task)}.jsonl"

    def write_scores(self, scores: Mapping[tuple[str, str], Iterable[Record]]) -> None:
        """``scores``: (task, protocol) -> lines, in place of that protocol's former ones."""
        path = self.path / "scores.jsonl"
        kept = [
            to_line(row) for row in _lines(path, {"task", "protocol"}) if (row["task"], row["protocol"]) not in scores
        ]
        fresh = [to_line(row) for rows in scores.values() for row in rows]
        write_whole(path, b"".join(kept + fresh))

    def record_timing(self, **timing: str | int | float) -> None:
        self._timings.append([timing])

    def results(self) -> dict[str, Any]:
        return read_json(self.path / "results.json") if (self.path / "results.json").exists() else {}

    def write_results(self, results: Mapping[str, Any]) -> None:
        text = json.dumps(results, allow_nan=False, indent=1)
        write_whole(self.path / "results.json", text.encode() + b"\n")


@contextlib.contextmanager
def opened(path: Path, header: Mapping[str, Any] | None = None) -> Iterator[RunFolder]:
    """Lock a run folder and open it; with a ``header`` (run.json) make it where there is none.

    Raises UserError where the path is no run folder, is in use, or was written under another schema.
    """
    if path.exists() and not path.is_dir():
        raise UserError(f"{path} is a file; a run needs a folder")
    file = path / "run.json"
    if header is None and not file.is_file():
        raise UserError(f"{path} is not a run folder: no run.json in it")
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)
    with locked(path):
        if not file.exists():
            strangers = sorted(entry.name for entry in path.iterdir() if not entry.name.startswith("."))
            if strangers:
                raise UserError(f"{path} holds {strangers[0]} but no run.json; choose another --out")
            assert header is not None
            write_whole(file, json.dumps(header, allow_nan=False, indent=1).encode() + b"\n")
        stored = read_json(file)
        if stored.get("schema") != SCHEMA:
            raise UserError(
                f"{path} has schema {stored.get('schema')!r}, this version writes {SCHEMA}; choose another --out"
            )
        with (
            Journal(path / "responses.jsonl", _response_key) as responses,
            Journal(path / "observations.jsonl", _observation_key) as observations,
            Journal(path / "timings.jsonl", to_line) as timings,
        ):
            yield RunFolder(path, stored, responses, observations, timings)


def as_png(picture: Picture) -> Picture:
    """The picture as it is if it is a PNG, else encoded as one. Raises PictureError if it is none."""
    return picture if picture.data.startswith(b"\x89PNG") else Picture.from_pil(picture.load())


def read_json(path: Path) -> dict[str, Any]:
    """run.json or results.json. Raises UserError where it is damaged, with the way out."""
    try:
        value = json.loads(path.read_bytes())
        _sound(value, HEADER if path.name == "run.json" else RESULTS)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        cure = "restore it or choose another --out" if path.name == "run.json" else ANEW
        raise UserError(f"{path} is damaged ({error}): {cure}") from error
    table: dict[str, Any] = value
    return table


def _sound(value: Any, keys: Mapping[str, type]) -> None:
    """Raise ValueError where a table of this schema lacks what is read of it. Of other schemas nothing is known."""
    if not isinstance(value, dict):
        raise ValueError(f"a JSON {type(value).__name__} where an object is expected")
    if value.get("schema") != SCHEMA:
        return
    for key, kind in keys.items():
        if not isinstance(value.get(key), kind):
            raise ValueError(f"no {key} in it")


def _asked(request: Request) -> Record:
    if isinstance(request, Question):
        return {"kind": "question", "prompt": request.text, "seed": request.seed}
    if isinstance(request, Drawing):
        return {"kind": "drawing", "prompt": request.prompt, "seed": request.seed}
    if isinstance(request, Ranking):
        return {"kind": "ranking", "prompt": request.text, "continuations": list(request.continuations)}
    return {"kind": "reconstruction", "prompt": ""}


def _lines(path: Path, keys: Set[str]) -> list[Record]:
    """All records of a file that is only ever written whole, each with these keys."""
    if not path.exists():
        return []
    try:
        records = [json.loads(line) for line in path.read_bytes().splitlines()]
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}): {ANEW}") from error
    if not all(isinstance(record, dict) and keys <= record.keys() for record in records):
        raise UserError(f"{path} is damaged (a line without {', '.join(sorted(keys))}): {ANEW}")
    return records
