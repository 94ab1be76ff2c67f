"""What a model's own image tokenizer loses: pictures passed through it and back, and what is left of them.

A picture that the model draws goes through the decoder of its tokenizer. So what is no longer read of a text after the
tokenizer alone is what the tokenizer loses, and what ``ocr-write`` falls short of the rest is the drawing's own doing.
The instruments' own errors show at the model ``unchanged``, which gives back every picture as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np
from PIL import Image

from janus_eval.seams import Metric, Seeds
from janus_eval.statistics import grouped_mean
from janus_eval.tasks.ocr import character_error_rate, compare, in_reading_order
from janus_eval.tasks.picture_quality import RADIUS, Pixels, decibels, squared_errors, ssim_map
from janus_eval.tasks.slices import Slice, Source, sliced
from janus_eval.types import (
    JSON,
    Capability,
    Estimate,
    Protocol,
    Reconstruction,
    Request,
    RequestKey,
    Response,
    Sample,
    Score,
    Scored,
    Unit,
)

HEADLINES: Mapping[JSON, Slice] = {
    "found": lambda sample: bool({"text", "things"} & sample.target.keys()),
    "ssim": lambda sample: True,
}
"""What ``judge.overall`` may be -> the pictures whose scores it is the mean of: how far what is in them is found again,
or where nothing is to be found, how like itself a picture has stayed."""
NEAR = 2.0
"""Pixels of the shapes world by which a thing that was kept may have moved."""


@dataclass(eq=False)
class TokenizerCeiling:
    """Each sample's picture through the tokenizer and back.

    A sample has one image, and in ``target`` what is to be found again: ``text``, to be read; or ``things``, a list of
    {class, colour, box}; or nothing. ``boxes`` there are the parts of the picture whose quality counts, by default all.
    ``judge``: ``overall`` is "found" or "ssim" (see ``HEADLINES``); ``normalise`` and ``min_score`` as in
    ``janus_eval.tasks.ocr``; ``threshold`` of the detector's scores.
    """

    name: str
    title: str
    source: Source
    protocols: Mapping[str, Protocol]
    slices: Mapping[str, Slice] = field(default_factory=dict)
    """Of what is found again, among the pictures in which something is to be found."""
    kinds: Mapping[str, Slice] = field(default_factory=dict)
    """Of the pictures, for their quality: metrics ``ssim_KIND`` and ``psnr_KIND``."""
    needs = frozenset[Capability]({"reconstruct"})

    def samples(self, ask: Mapping[str, JSON]) -> Sequence[Sample]:
        return self.source(ask)

    def requests(self, sample: Sample, ask: Mapping[str, JSON], seeds: Seeds) -> Sequence[Request]:
        return [Reconstruction(RequestKey(self.name, sample.id), sample.images[0])]

    def query(self, role: str, sample: Sample, index: int) -> Mapping[str, JSON] | None:
        if role == "text_reader":
            return {} if "text" in sample.target else None
        things = cast(Sequence[Mapping[str, JSON]], sample.target.get("things", ()))
        return {"classes": sorted({str(thing["class"]) for thing in things})} if things else None

    def score(
        self,
        sample: Sample,
        index: int,
        response: Response,
        observations: Mapping[str, Mapping[str, JSON]],
        judge: Mapping[str, JSON],
    ) -> Score:
        assert response.image is not None, "a picture was given back as none"
        quality = measured(sample, response)
        if "text" in sample.target:
            regions = cast(Sequence[Mapping[str, JSON]], observations["text_reader"]["regions"])
            read = in_reading_order(regions, cast(float, judge["min_score"]))
            found = compare(read, str(sample.target["text"]), cast(Sequence[str], judge["normalise"]))
        elif "things" in sample.target:
            found = kept(sample, observations, cast(float, judge["threshold"]))
        else:
            found = Score(cast(float, quality["ssim"]))
        return replace(found, parts={**found.parts, **quality})

    def metrics(self, judge: Mapping[str, JSON]) -> Mapping[str, Metric]:
        found = HEADLINES["found"]
        pictures: dict[str, Metric] = {"ssim": of_part("ssim"), "psnr": of_part("psnr", "dB")}
        for kind, chosen in self.kinds.items():
            pictures |= sliced(of_part("ssim"), {f"ssim_{kind}": chosen})
            if not any(character.isdigit() for character in kind):  # a curve of each is enough
                pictures |= sliced(of_part("psnr", "dB"), {f"psnr_{kind}": chosen})
        headline = sliced(grouped_mean, {"overall": HEADLINES[judge["overall"]]})
        if judge["overall"] == "ssim":
            return {**headline, "psnr": pictures["psnr"]}
        texts = sliced(character_error_rate, {"cer": lambda sample: "text" in sample.target})
        within = {name: _both(found, chosen) for name, chosen in self.slices.items()}
        return {**headline, **texts, **sliced(grouped_mean, within), **pictures}


def measured(sample: Sample, response: Response) -> dict[str, JSON]:
    """``ssim`` and ``psnr`` of what came back, within the sample's boxes.

    A model that works at another size gives a picture of that size: it is brought back to the original's, so that
    resolution that was lost counts as lost.
    """
    assert response.image is not None
    original, returned = sample.images[0].load(), response.image.load()
    if returned.size != original.size:
        returned = returned.resize(original.size, Image.Resampling.BICUBIC)
    a, b = _pixels(original), _pixels(returned)
    errors, windows = squared_errors(a, b), ssim_map(a, b)
    boxes = cast(Sequence[Sequence[int]], sample.target.get("boxes") or [[0, 0, a.shape[1], a.shape[0]]])
    inside = [errors[y0:y1, x0:x1].ravel() for x0, y0, x1, y1 in boxes]
    # A window belongs to the box that its middle lies in.
    around = [
        windows[max(y0 - RADIUS, 0) : y1 - RADIUS, max(x0 - RADIUS, 0) : x1 - RADIUS].ravel()
        for x0, y0, x1, y1 in boxes
    ]
    return {
        "ssim": float(np.concatenate(around).mean()),
        "psnr": decibels(float(np.concatenate(inside).mean())),
    }


def kept(sample: Sample, observations: Mapping[str, Mapping[str, JSON]], threshold: float) -> Score:
    """The share of a picture's things that are found again, of right class and colour and within ``NEAR``."""
    boxes = cast(Mapping[str, Sequence[Sequence[float]]], observations["detector"]["boxes"])
    seen = observations["colour_classifier"]
    names = cast(Sequence[str], seen["colours"])
    tables = cast(Mapping[str, Sequence[Sequence[float] | None]], seen["probabilities"])
    left = [
        (name, names[int(np.argmax(row))], _middle(box))
        for name, found in boxes.items()
        for box, row in zip(found, tables[name], strict=True)
        if box[4] > threshold and row is not None
    ]
    missing = []
    things = cast(Sequence[Mapping[str, JSON]], sample.target["things"])
    for thing in things:
        x, y = _middle(cast(Sequence[float], thing["box"]))
        match = next(
            (
                item
                for item in left
                if item[:2] == (thing["class"], thing["colour"])
                and max(abs(item[2][0] - x), abs(item[2][1] - y)) <= NEAR
            ),
            None,
        )
        if match is None:
            missing.append(f"{thing['colour']} {thing['class']}")
        else:
            left.remove(match)
    reason = f"lost: {', '.join(missing)}" if missing else ""
    extracted = [f"{colour} {name}" for name, colour, _ in left]
    return Score(1 - len(missing) / len(things), extracted=extracted, reason=reason)


def of_part(part: str, unit: Unit = "fraction") -> Metric:
    """Mean of a number that every score has among its parts."""

    def measure(scored: Sequence[Scored]) -> Estimate:
        return grouped_mean([_with_value(item, part) for item in scored], unit)

    return measure


def _with_value(item: Scored, part: str) -> Scored:
    value = None if item.score.value is None else cast(float, item.score.parts[part])
    return replace(item, score=replace(item.score, value=value))


def _both(first: Slice, second: Slice) -> Slice:
    return lambda sample: first(sample) and second(sample)


def _middle(box: Sequence[float]) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def _pixels(image: Image.Image) -> Pixels:
    return np.asarray(image, dtype=np.uint8)
