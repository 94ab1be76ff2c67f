"""An lmms-eval task's docs as samples: everything that asking and judging need, so that neither needs the data again.

``inputs``: ``text``, ``max_new_tokens``, and ``continuations`` where options are ranked. ``target``: the task's name
and the doc, as lmms-eval's own command line judges it, without media unless the task wants them. ``metadata``:
``asked``, how many of the pictures are shown; ``units`` of the metrics; ``fault`` where the doc can't be shown.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from janus_eval import plan
from janus_eval.errors import UserError
from janus_eval.pictures import Picture
from janus_eval.plain import one_line
from janus_eval.tasks.lmms import theirs
from janus_eval.tasks.lmms.aggregation import aggregated
from janus_eval.tasks.lmms.definitions import Definition
from janus_eval.tasks.lmms.docs import Album, UnseenError, packed, stored_bytes
from janus_eval.tasks.lmms.guard import AskedError, guarded
from janus_eval.tasks.lmms.known import CATEGORIES, handling
from janus_eval.types import JSON, Sample, Unit

MARK = "<image>"
"""Where a task marks the place of a picture in its text."""
TRIED = 64
"""Docs whose right answers are judged to find the units."""


@dataclass(frozen=True)
class Only:
    """Keeps the docs whose ``column`` holds ``value``."""

    column: str
    value: str

    def __call__(self, doc: Mapping[str, Any]) -> bool:
        return str(doc.get(self.column)) == self.value


@dataclass(frozen=True)
class _Row:
    """A doc's place in its split, and its stored images."""

    place: int
    doc: Mapping[str, Any]
    sources: Sequence[bytes]


def read(one: Definition, only: Only | None, limit: int | None, *, prefix: str = "") -> list[Sample]:
    """The samples of a task in the order of its docs; with a limit, the first groups of each category alone.

    ``prefix`` goes before ids, groups and categories. Docs that show the same stored images are one group.
    """
    if refusal := one.refusal():
        raise UserError(f"lmms-eval task {one.name!r}: {refusal}")
    task = theirs.loaded(one)
    category = _categories(one, task)
    found: dict[str, Sample] = {}
    places: dict[str, int] = {}
    for row in _rows(task):
        if only is None or only(row.doc):
            name = f"{prefix}{row.place}"
            group = hashlib.sha256(b"\0".join(row.sources)).hexdigest()[:12] if row.sources else str(row.place)
            home = f"{prefix}{category(row.doc)}".rstrip("/") or "all"
            found[name] = Sample(name, {}, {}, prefix + group, home)
            places[name] = row.place
    if not found:
        raise UserError(f"lmms-eval task {one.name!r}: its data have no row" + (f" with {only}" if only else ""))
    kept = list(found.values()) if limit is None else plan.limited(list(found.values()), limit)
    filled = list(_filled(one, task, kept, places))
    return _all_seen(one, filled)


def _all_seen(one: Definition, samples: list[Sample]) -> list[Sample]:
    """The same. Raises UserError where there is nothing that could be asked."""
    faults = [str(sample.metadata["fault"]) for sample in samples if "fault" in sample.metadata]
    if len(faults) == len(samples):
        raise UserError(f"lmms-eval task {one.name!r} cannot be asked here: it shows {faults[0]}")
    return samples


def _split(task: Any) -> str:
    return str(task.config.test_split if task.has_test_docs() else task.config.validation_split)


def _rows(task: Any) -> Iterator[_Row]:
    docs, whole = task.eval_docs_no_media, task.eval_docs
    columns = [name for name, feature in whole.features.items() if "Image(" in repr(feature)]
    raw = whole.select_columns(columns).with_format("arrow") if columns else None
    for place, doc in enumerate(docs):
        cells = raw[place].to_pylist()[0].values() if raw is not None else ()
        yield _Row(place, doc, [data for cell in cells for data in stored_bytes(cell)])


def _categories(one: Definition, task: Any) -> Any:
    known = handling(one.name).category
    if known is not None:
        return known
    docs = task.eval_docs_no_media
    words = getattr(docs.features.get("category"), "dtype", "") in {"string", "large_string"}
    if words and len(set(docs["category"])) in CATEGORIES:
        return lambda doc: str(doc["category"])
    return lambda doc: ""


def _filled(one: Definition, task: Any, kept: Sequence[Sample], places: Mapping[str, int]) -> Iterator[Sample]:
    docs, whole, album = task.eval_docs_no_media, task.eval_docs, Album()
    columns = [name for name, feature in whole.features.items() if "Image(" in repr(feature)]
    raw = whole.select_columns(columns).with_format("arrow") if columns else None
    contexts = _contexts(task, docs) if task.config.num_fewshot else {}
    units = {**_units(one, task, [docs[places[sample.id]] for sample in kept[:TRIED]]), **handling(one.name).units}
    common: dict[str, JSON] = {"dataset": theirs.source_of(task, one, _split(task)), "units": dict(units)}
    for sample in kept:
        place = places[sample.id]
        doc = docs[place]
        cells = raw[place].to_pylist()[0].values() if raw is not None else ()
        sources = [data for cell in cells for data in stored_bytes(cell)]
        inputs, shown, fault = _asking(
            one, task, doc, functools.partial(whole.__getitem__, place), contexts.get(place), album, sources
        )
        images = list(shown)

        def keep(image: Any, images: list[Picture] = images, sources: Sequence[bytes] = sources) -> int:
            images.append(album.of_image(image, sources))
            return len(images) - 1

        metadata = {**common, "asked": len(shown), **({"fault": fault} if fault else {})}
        target: dict[str, JSON] = {"task": one.name, "doc": {key: _stored(value, keep) for key, value in doc.items()}}
        yield replace(sample, inputs=inputs, target=target, images=tuple(images), metadata=metadata)


def _stored(value: Any, keep: Any) -> JSON:
    """A cell, or what it was where no reader could give it back: judging may do without."""
    try:
        with theirs.lenient_images():
            return packed(value, keep)
    except Exception as error:  # noqa: BLE001 - a picture that cannot be decoded raises whatever Pillow's decoders do
        return {"$left_out": one_line(error, 200)}


def _contexts(task: Any, docs: Any) -> dict[int, Any]:
    """With examples, every doc's text in turn: which examples it gets is drawn from one stream."""
    return {place: theirs.context(task, doc) for place, doc in enumerate(docs)}


def _decoded(read: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
    """A doc with its pictures. Raises UnseenError where one is broken."""
    try:
        with theirs.lenient_images():
            return read()
    except Exception as error:  # whatever Pillow's decoders raise
        raise UnseenError(f"a picture that cannot be decoded ({one_line(error, 120)})") from error


def _asking(
    one: Definition,
    task: Any,
    doc: Mapping[str, Any],
    read: Callable[[], Mapping[str, Any]],
    text: Any,
    album: Album,
    sources: Sequence[bytes],
) -> tuple[dict[str, JSON], list[Picture], str]:
    """``Sample.inputs``, the pictures to show, and why it can't be shown, if so."""
    inputs: dict[str, JSON] = {"text": "", "max_new_tokens": one.max_new_tokens}
    try:
        whole = _decoded(read)
        text = theirs.context(task, doc) if text is None else text
        if not isinstance(text, str):
            return inputs, [], f"a text that is a {type(text).__name__}"
        inputs["text"] = text
        if one.output_type == "multiple_choice":
            delimiter = task.config.target_delimiter
            inputs["continuations"] = [f"{delimiter}{choice}" for choice in task.doc_to_choice(whole)]
        with theirs.lenient_images():
            shown = album.pictures(theirs.visuals(task, whole), sources)
        # Pictures stand before the text here; to a model the mark is mere letters, or one picture more.
        if shown and MARK in text:
            inputs["text"] = text.replace(MARK, "").strip()
        return inputs, shown, ""
    except UnseenError as error:
        return inputs, [], str(error)
    except Exception as error:  # noqa: BLE001 - the task's code is anyone's
        return inputs, [], f"nothing, for its code fails ({type(error).__name__}: {one_line(error, 120)})"


def _units(one: Definition, task: Any, docs: Sequence[Mapping[str, Any]]) -> dict[str, Unit]:
    """Each metric's unit by what the right answers get, whatever any model answers: up to 1 it is a fraction, up to
    100 percent, beyond that points; points too where the right answers get nothing or can't be judged here."""
    if one.output_type == "multiple_choice":
        return dict.fromkeys(one.metrics, "fraction")
    items: dict[str, list[Any]] = {}
    found: dict[str, Unit] = {}
    try:
        with guarded():
            for doc in docs:
                for name, item in theirs.results(task, doc, theirs.target_of(task, doc)).items():
                    items.setdefault(name, []).append(item)
    except (Exception, AskedError):  # noqa: BLE001 - the task's code is anyone's
        return found
    for name, own in items.items():
        best = aggregated(task, name, own).value
        if best is not None and best > 0:
            found[name] = "fraction" if best <= 1 else "percent" if best <= 100 else "points"
    return found
