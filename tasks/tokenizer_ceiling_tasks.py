"""The ceiling that a tokenizer sets, on text, faces, gratings, textures and gradients, and on photographs of one's own.

405 pictures: the 320 of ``ocr-read``, and five at each of the other settings. At half read, the overall interval
reaches 5 points to either side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from janus_eval.datasets import own_folder
from janus_eval.tasks import ocr_tasks, tokenizer_pictures
from janus_eval.tasks.slices import Slice, having, in_category
from janus_eval.tasks.textimages import samples as text_pictures
from janus_eval.tasks.tokenizer_ceiling import TokenizerCeiling
from janus_eval.types import JSON, Protocol, Sample


def _rows(ask: Mapping[str, JSON]) -> Sequence[Sample]:
    if "folder" in ask:
        return tokenizer_pictures.photos(own_folder(str(ask["folder"]), "photographs"))
    texts = [replace(sample, metadata={**sample.metadata, "kind": "text"}) for sample in text_pictures.samples(ask)]
    return [*texts, *tokenizer_pictures.drawn(ask)]


def _kinds() -> dict[str, Slice]:
    """Each kind of picture, text also by its size, faces by theirs, gratings by their period."""
    kinds = {kind: having("kind", kind) for kind in ("text", "faces", "gratings", "textures", "gradients")}
    texts = {f"text_{name}": chosen for name, chosen in _texts().items() if name.startswith("size_")}
    faces = {f"faces_size_{size}": in_category(f"faces {size}") for size in tokenizer_pictures.FACES}
    periods = {f"gratings_period_{n}": in_category(f"gratings {n}") for n in tokenizer_pictures.PERIODS}
    return {**kinds, **texts, **faces, **periods}


def _texts() -> dict[str, Slice]:
    """The slices of ``ocr-read``, whose pictures the text pictures are."""

    def among_texts(chosen: Slice) -> Slice:
        return lambda sample: sample.metadata["kind"] == "text" and chosen(sample)

    return {name: among_texts(chosen) for name, chosen in ocr_tasks.ocr_read.slices.items()}


exact = Protocol(
    "exact",
    ask={
        **{name: ocr_tasks.ocr_read.protocols["exact"].ask[name] for name in ("texts_per_size", "texts_per_setting")},
        "pictures_per_setting": 5,
        "data_seed": 0,
    },
    observe={"text_reader": ocr_tasks.READER},
    judge={"overall": "found", "normalise": list(ocr_tasks.STEPS), "min_score": ocr_tasks.MIN_SCORE},
    note="text that is still read to the letter",
)
photos = Protocol(
    "photos",
    ask={"folder": "photos", "side": tokenizer_pictures.CANVAS},
    judge={"overall": "ssim"},
    note="photographs of your own: the folder photos in --data",
)
tokenizer_ceiling = TokenizerCeiling(
    "tokenizer-ceiling",
    "The image tokenizer alone: text still read, PSNR, SSIM",
    _rows,
    {protocol.name: protocol for protocol in (exact, photos)},
    slices=_texts(),
    kinds=_kinds(),
)
