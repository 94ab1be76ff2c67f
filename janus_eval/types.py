"""The words of the harness: what flows through ``respond -> observe -> score -> summarise``.

Nothing here knows a model or a benchmark, and nothing here imports torch: the command line loads this module
before it knows whether any model is needed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

from janus_eval.pictures import Picture

JSON: TypeAlias = bool | int | float | str | Sequence["JSON"] | Mapping[str, "JSON"] | None
Unit: TypeAlias = Literal["fraction", "percent", "points", "dB", "fid"]
"""``fid``, a Fréchet distance, is the one of which less is better."""
Capability: TypeAlias = Literal["answer", "score", "draw", "reconstruct"]


class RequestKey(NamedTuple):
    """Where a request stands: the k-th request (image, question) of a sample of a task."""

    task: str
    sample: str
    index: int = 0  # type: ignore[assignment]  # hides tuple.index, which no one needs of a key

    def __str__(self) -> str:
        return f"{self.task}/{self.sample}/{self.index}"


@dataclass(frozen=True, slots=True)
class Sample:
    """One row of a benchmark.

    ``inputs`` is what asking needs, ``target`` what judging needs; a scorer sees both, a model neither. Samples of one
    ``group`` depend on each other (MMBench's rotations, the images of a prompt) and are resampled together;
    ``category`` is the stratum of every bootstrap and what ``--limit`` counts groups in.
    """

    id: str
    inputs: Mapping[str, JSON]
    target: Mapping[str, JSON]
    group: str
    category: str
    images: tuple[Picture, ...] = ()
    metadata: Mapping[str, JSON] = field(default_factory=dict)


def _digest(*parts: JSON) -> str:
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Question:
    """Images and a text to be answered in words. ``seed`` (0 <= seed < 2**63) serves sampled decoding only."""

    key: RequestKey
    text: str
    images: tuple[Picture, ...] = ()
    max_new_tokens: int = 64
    seed: int = 0

    @property
    def id(self) -> str:
        """Identity by content: says nothing of how the answer will be judged."""
        return _digest("question", self.text, [image.digest for image in self.images], self.max_new_tokens, self.seed)


@dataclass(frozen=True, slots=True)
class Drawing:
    """A prompt to be drawn once. ``size`` is (height, width) in pixels, None for the model's own."""

    key: RequestKey
    prompt: str
    seed: int = 0
    size: tuple[int, int] | None = None

    @property
    def id(self) -> str:
        """Identity by content: says nothing of how the picture will be judged."""
        return _digest("drawing", self.prompt, self.seed, list(self.size) if self.size else None)


@dataclass(frozen=True, slots=True)
class Ranking:
    """Images, a text, and the answers whose log-likelihoods are asked for; nothing is decoded."""

    key: RequestKey
    text: str
    continuations: tuple[str, ...]
    images: tuple[Picture, ...] = ()

    @property
    def id(self) -> str:
        """Identity by content: says nothing of what will be made of the likelihoods."""
        return _digest("ranking", self.text, [image.digest for image in self.images], self.continuations)


@dataclass(frozen=True, slots=True)
class Reconstruction:
    """A picture to be passed through the model's own image tokenizer and back."""

    key: RequestKey
    image: Picture

    @property
    def id(self) -> str:
        """Identity by content: says nothing of how the picture will be judged."""
        return _digest("reconstruction", self.image.digest)


Request: TypeAlias = Question | Drawing | Ranking | Reconstruction


@dataclass(frozen=True, slots=True)
class Response:
    """What came back: text, a picture, or a log-likelihood (nats) for each continuation of a ranking.

    ``seconds`` is this request's share of its batch's wall time. ``key`` says which request this answers, where the
    model knows it, as one whose answers come in any order does: a response in another's place is then refused.
    """

    text: str | None = None
    image: Picture | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    seconds: float = 0.0
    finish: Literal["stop", "length"] = "stop"
    likelihoods: tuple[float, ...] | None = None
    details: Mapping[str, JSON] = field(default_factory=dict, hash=False)
    """What else is worth recording: a prompt as a server rewrote it, what was paid for."""
    key: RequestKey | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """A request or an observation that came to nothing, with a reason a reader can act on.

    ``final``: asking again would bring the same, as where a server refuses a prompt; ``--retry-failed`` leaves it.
    """

    reason: str
    final: bool = False
    details: Mapping[str, JSON] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Look:
    """One thing an instrument is asked: a picture (or a text), a query, and what earlier instruments saw in it.

    ``query`` is plain data, its keys fixed by the instrument's kind (see ``janus_eval.seams``); ``earlier`` maps the
    role of each instrument that has already looked at this response to its data.
    """

    query: Mapping[str, JSON]
    image: Picture | None = None
    text: str | None = None
    earlier: Mapping[str, Mapping[str, JSON]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Observation:
    """An instrument's output on one response, full enough to be judged again under other thresholds."""

    data: Mapping[str, JSON]


@dataclass(frozen=True, slots=True)
class Score:
    """A judged response or group. ``value`` None means unscored, which is neither 0 nor a crash: ``reason`` says why.

    ``parts`` holds further numbers that metrics read (a DPG picture's score by question, an OCR character error rate).
    ``vector`` is for metrics of all pictures together (the features that FID compares): thousands of numbers, which the
    observation holds and scores.jsonl does not repeat.
    """

    value: float | None
    extracted: JSON = None
    reason: str = ""
    parts: Mapping[str, JSON] = field(default_factory=dict)
    vector: bytes = b""


@dataclass(frozen=True, slots=True)
class Scored:
    """A score with the sample and request index it belongs to; ``failed`` when there was no response to judge."""

    sample: Sample
    index: int
    score: Score
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Estimate:
    """A measured number: value and 95% interval in ``unit``, ``n`` scored items, ``failed`` ones beside them.

    ``value`` is None where nothing was scored: a metric over nothing is no number.
    """

    value: float | None
    low: float | None
    high: float | None
    unit: Unit
    n: int
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Protocol:
    """What a benchmark fixes, by name. Every knob that can move the number stands in one of the three tables.

    ``ask``: data, prompt template, images a prompt. ``observe``: role -> name of the instrument that fills it.
    ``judge``: thresholds, rules, aggregation.
    """

    name: str
    ask: Mapping[str, JSON] = field(default_factory=dict)
    observe: Mapping[str, str] = field(default_factory=dict)
    judge: Mapping[str, JSON] = field(default_factory=dict)
    note: str = ""
