"""Reading and writing: text in a picture read aloud by the model, and text drawn by the model read by an instrument.

Both report the share of exact matches and the character error rate, after the normalisation that the judge names.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from re import Pattern
from typing import cast

from janus_eval.seams import Metric, Seeds
from janus_eval.statistics import grouped_mean
from janus_eval.tasks.slices import Slice, Source, sliced
from janus_eval.types import (
    JSON,
    Capability,
    Drawing,
    Estimate,
    Protocol,
    Question,
    Request,
    RequestKey,
    Response,
    Sample,
    Score,
    Scored,
)

_QUOTES = "\"'`“”‘’«»「」『』 "
_BESIDE_CHINESE: Pattern[str] = re.compile(r"(?<=[\u4e00-\u9fff]) | (?=[\u4e00-\u9fff])")
STEPS: dict[str, Callable[[str], str]] = {
    # Full-width digits, ligatures and the like become the plain characters they stand for.
    "nfkc": lambda text: unicodedata.normalize("NFKC", text),
    "casefold": str.casefold,
    # Runs of white space, line breaks too, become one space; none at either end.
    "spaces": lambda text: " ".join(text.split()),
    # A space beside a Chinese character is none of the text's: models and readers put one where a line ends.
    "chinese": lambda text: _BESIDE_CHINESE.sub("", text),
    # "The text", 'the text' or the text. are the text: models quote and end sentences.
    "wrapping": lambda text: text.strip(_QUOTES).rstrip(".。").strip(_QUOTES),
}
DEFAULT_STEPS = ("nfkc", "spaces", "wrapping")


def normalised(text: str, steps: Sequence[str]) -> str:
    """The text after the named steps, in their order; letter case counts unless ``casefold`` is among them."""
    for step in steps:
        text = STEPS[step](text)
    return text


def edit_distance(a: str, b: str, *, anywhere: bool = False) -> int:
    """Fewest insertions, deletions and substitutions of code points between two texts (Levenshtein 1966).

    ``anywhere``: between ``b`` and that part of ``a`` which is nearest to it (Sellers 1980).
    """
    row = list(range(len(b) + 1))
    best = row[-1]
    for i, x in enumerate(a, 1):
        diagonal, row[0] = row[0], 0 if anywhere else i
        for j, y in enumerate(b, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (x != y))
        best = min(best, row[-1])
    return best if anywhere else row[-1]


def compare(read: str, expected: str, steps: Sequence[str], *, anywhere: bool = False) -> Score:
    """1 for an exact match after normalisation, or with ``anywhere`` for a text that contains the expected one.

    ``parts["cer"]``: edits over the expected text's length; it passes 1 where more is read than there is.
    """
    got, wanted = normalised(read, steps), normalised(expected, steps)
    assert wanted, f"nothing is left of the expected text {expected!r}"
    edits = edit_distance(got, wanted, anywhere=anywhere)
    reason = f"read {got[:80]!r}, expected {wanted!r}" if edits else ""
    return Score(float(not edits), extracted=got, reason=reason, parts={"cer": edits / len(wanted)})


def character_error_rate(scored: Sequence[Scored]) -> Estimate:
    """Mean of the samples' error rates: a long text weighs no more than a short one. Lower is better."""
    return grouped_mean([replace(item, score=replace(item.score, value=_rate(item.score))) for item in scored])


def _rate(score: Score) -> float | None:
    return None if score.value is None else cast(float, score.parts["cer"])


def in_reading_order(regions: Sequence[Mapping[str, JSON]], min_score: float) -> str:
    """The regions' texts from top to bottom and left to right, joined by spaces; those below ``min_score`` left out.

    A region belongs to the line before it if its middle lies above that line's lower edge.
    """
    lines: list[list[Mapping[str, JSON]]] = []
    bottom = 0.0
    wanted = [region for region in regions if cast(float, region["score"]) >= min_score]
    for region in sorted(wanted, key=lambda region: _box(region)[1]):
        _, y0, _, y1 = _box(region)
        if lines and (y0 + y1) / 2 < bottom:
            lines[-1].append(region)
        else:
            lines.append([region])
            bottom = y1
    return " ".join(str(region["text"]) for line in lines for region in sorted(line, key=lambda part: _box(part)[0]))


def _box(region: Mapping[str, JSON]) -> Sequence[float]:
    return cast(Sequence[float], region["box"])


def reading_protocols(ask: Mapping[str, JSON], steps: Sequence[str] = DEFAULT_STEPS) -> dict[str, Protocol]:
    """Reading over a data source (``ask``), texts compared after these steps of normalisation."""
    exact = Protocol("exact", ask=ask, judge={"normalise": list(steps)}, note="letter case counts")
    loose = Protocol("any-case", ask=ask, judge={"normalise": [*steps, "casefold"]}, note="in any letter case")
    return {protocol.name: protocol for protocol in (exact, loose)}


def writing_protocols(
    ask: Mapping[str, JSON], text_reader: str, steps: Sequence[str] = DEFAULT_STEPS, *, min_score: float = 0.0
) -> dict[str, Protocol]:
    """Writing over a data source (``ask``) and the text reader of this name, which is believed from a score on."""
    return {
        protocol.name: replace(
            protocol, observe={"text_reader": text_reader}, judge={**protocol.judge, "min_score": min_score}
        )
        for protocol in reading_protocols({"images_per_prompt": 4, **ask}, steps).values()
    }


def with_contained(protocols: Mapping[str, Protocol]) -> dict[str, Protocol]:
    """The same, and one that also accepts the text among others: whole sentences, or more writing in a picture."""
    loose = protocols["any-case"]
    contained = replace(
        loose, name="contained", judge={**loose.judge, "anywhere": True}, note="among other text, in any letter case"
    )
    return {**protocols, contained.name: contained}


@dataclass(eq=False)
class TextReading:
    """A question about a picture with text in it. A sample has ``inputs`` question and ``target`` text."""

    name: str
    title: str
    source: Source
    protocols: Mapping[str, Protocol]
    slices: Mapping[str, Slice] = field(default_factory=dict)
    rates: Mapping[str, Slice] = field(default_factory=dict)
    """Slices whose character error rate is reported too, under ``cer_NAME``."""
    needs = frozenset[Capability]({"answer"})

    def samples(self, ask: Mapping[str, JSON]) -> Sequence[Sample]:
        return self.source(ask)

    def requests(self, sample: Sample, ask: Mapping[str, JSON], seeds: Seeds) -> Sequence[Request]:
        return [
            Question(
                RequestKey(self.name, sample.id),
                str(sample.inputs["question"]),
                sample.images,
                max_new_tokens=cast(int, ask["max_new_tokens"]),
                seed=seeds(sample.id, 0),
            )
        ]

    def query(self, role: str, sample: Sample, index: int) -> Mapping[str, JSON] | None:
        return None

    def score(
        self,
        sample: Sample,
        index: int,
        response: Response,
        observations: Mapping[str, Mapping[str, JSON]],
        judge: Mapping[str, JSON],
    ) -> Score:
        assert response.text is not None, "a question was answered with a picture"
        return _judged(response.text, sample, judge)

    def metrics(self, judge: Mapping[str, JSON]) -> Mapping[str, Metric]:
        return _metrics(self.slices, self.rates)


@dataclass(eq=False)
class TextWriting:
    """A prompt for a picture with text in it, drawn several times. A sample has ``inputs`` prompt and ``target`` text:
    all that should be read in the picture."""

    name: str
    title: str
    source: Source
    protocols: Mapping[str, Protocol]
    slices: Mapping[str, Slice] = field(default_factory=dict)
    rates: Mapping[str, Slice] = field(default_factory=dict)
    """Slices whose character error rate is reported too, under ``cer_NAME``."""
    needs = frozenset[Capability]({"draw"})

    def samples(self, ask: Mapping[str, JSON]) -> Sequence[Sample]:
        return self.source(ask)

    def requests(self, sample: Sample, ask: Mapping[str, JSON], seeds: Seeds) -> Sequence[Request]:
        prompt, images = str(sample.inputs["prompt"]), cast(int, ask["images_per_prompt"])
        return [
            Drawing(RequestKey(self.name, sample.id, index), prompt, seeds(sample.id, index)) for index in range(images)
        ]

    def query(self, role: str, sample: Sample, index: int) -> Mapping[str, JSON] | None:
        return {}

    def score(
        self,
        sample: Sample,
        index: int,
        response: Response,
        observations: Mapping[str, Mapping[str, JSON]],
        judge: Mapping[str, JSON],
    ) -> Score:
        regions = cast(Sequence[Mapping[str, JSON]], observations["text_reader"]["regions"])
        read = in_reading_order(regions, cast(float, judge["min_score"]))
        return _judged(read, sample, judge)

    def metrics(self, judge: Mapping[str, JSON]) -> Mapping[str, Metric]:
        return _metrics(self.slices, self.rates)


def _judged(read: str, sample: Sample, judge: Mapping[str, JSON]) -> Score:
    steps, anywhere = cast(Sequence[str], judge["normalise"]), bool(judge.get("anywhere"))
    return compare(read, str(sample.target["text"]), steps, anywhere=anywhere)


def _metrics(slices: Mapping[str, Slice], rates: Mapping[str, Slice]) -> dict[str, Metric]:
    right = {"overall": grouped_mean, "cer": character_error_rate, **sliced(grouped_mean, slices)}
    return {**right, **sliced(character_error_rate, {f"cer_{name}": chosen for name, chosen in rates.items()})}
