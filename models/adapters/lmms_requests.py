"""What lmms-eval passes with a request, read into ours: pictures in any of their forms, and how to decode."""

from __future__ import annotations

import base64
import mimetypes
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageOps

from janus_eval.errors import UserError
from janus_eval.pictures import Picture, PictureError, to_rgb
from janus_eval.randomness import seed_of
from janus_eval.types import RequestKey

DEFAULT_LIMIT = 1024
"""New tokens where a task names no limit, as in most of lmms-eval's own models."""
LIMITS = ("max_new_tokens", "max_gen_toks", "max_tokens")


def pictures(visual: Any, where: str) -> tuple[Picture, ...]:
    """Pictures from what a task's ``doc_to_visual`` gives: nothing, one, or lists of them in lists.

    Raises UserError for what is no picture at all (video, sound), PictureError for a picture that can't be read.
    """
    if visual is None:
        return ()
    if isinstance(visual, PictureError):
        raise visual
    if isinstance(visual, list | tuple):
        return tuple(picture for one in visual for picture in pictures(one, where))
    return (_picture(visual, where),)


def _picture(visual: Any, where: str) -> Picture:
    if isinstance(visual, Image.Image):
        # As Picture.load would: PNG knows neither CMYK nor floats, and what a file says of its orientation is lost.
        try:
            return Picture.from_pil(to_rgb(ImageOps.exif_transpose(visual)))
        except Exception as error:  # its pixels are decoded only now: OSError, SyntaxError, struct.error, EOFError, ...
            raise PictureError(f"the image cannot be decoded: {error}") from error
    if isinstance(visual, bytes | bytearray):
        return Picture(bytes(visual))
    if isinstance(visual, str | Path):
        return _named(str(visual), where)
    if isinstance(visual, np.ndarray) and visual.dtype == np.uint8 and visual.ndim in {2, 3}:
        return Picture.from_pil(to_rgb(Image.fromarray(visual)))
    if isinstance(visual, Mapping) and visual.get("type", "image") == "image":
        # As data sets store a picture that isn't decoded, and as chat messages name one.
        found = next((visual[key] for key in ("bytes", "image", "url", "path") if visual.get(key) is not None), None)
        if found is not None:
            return _picture(found, where)
    kind = visual.get("type") if isinstance(visual, Mapping) else None
    raise UserError(
        f"{where} passes {kind or type(visual).__name__}, which this model does not read; it reads pictures"
    )


def _named(text: str, where: str) -> Picture:
    """A picture by its path or as a data URL."""
    if text.startswith("data:"):
        try:
            return Picture(base64.b64decode(text.partition(",")[2], validate=True))
        except ValueError as error:
            raise PictureError(f"a data URL that is no base64: {error}") from error
    kind = (mimetypes.guess_type(text)[0] or "").partition("/")[0]
    if kind in {"video", "audio"} or text.startswith(("http://", "https://")):
        raise UserError(f"{where} passes {text!r}; this model reads pictures, from memory or from files")
    try:
        return Picture.from_file(text.removeprefix("file://"))
    except OSError as error:
        raise PictureError(f"{text}: {error.strerror}") from error
    except ValueError as error:  # a text that no file can be named by
        raise PictureError(f"{text!r}: {error}") from error


class Decoding(NamedTuple):
    """How lmms-eval wants a request answered."""

    stops: tuple[str, ...] = ()
    limit: int = DEFAULT_LIMIT
    temperature: float | None = None
    """0 is greedy; None where the task says nothing, and the model's own holds."""
    unheeded: tuple[str, ...] = ()
    """What it also wants and does not get, in words."""

    def cut(self, text: str) -> str:
        """The text up to the first stop string."""
        ends = [place for stop in self.stops if (place := text.find(stop)) >= 0]
        return text[: min(ends)].strip() if ends else text


def decoding(kwargs: Mapping[str, Any], where: str) -> Decoding:
    """From ``generation_kwargs``. Raises UserError for a value that is none."""
    until = kwargs.get("until") or ()
    stops = tuple(stop for stop in ([until] if isinstance(until, str) else until) if stop)
    named = next((name for name in LIMITS if kwargs.get(name) is not None), None)
    limit = DEFAULT_LIMIT if named is None else _number(kwargs, named, where)
    if limit < 1 or limit != int(limit):
        raise UserError(f"{where}: {named} {limit:g}; a whole number from 1 expected")
    temperature = None if kwargs.get("temperature") is None else _number(kwargs, "temperature", where)
    if temperature is not None and temperature < 0:
        raise UserError(f"{where}: temperature {temperature:g}; 0 or more expected")
    sampled = kwargs.get("do_sample")
    if sampled is False:
        temperature = 0.0
    elif sampled and temperature is None:
        temperature = 1.0
    usual: dict[str, tuple[int, ...]] = {"num_beams": (1,), "repetition_penalty": (1,)}
    if temperature:  # greedy decoding has no use for them, and many a task states them beside do_sample: false
        usual |= {"top_p": (1,), "top_k": (0, -1)}
    unheeded = tuple(
        f"{name}={kwargs[name]}" for name, plain in usual.items() if kwargs.get(name) not in {None, False, *plain}
    )
    return Decoding(stops, int(limit), temperature, unheeded)


def _number(kwargs: Mapping[str, Any], name: str, where: str) -> float:
    try:
        return float(kwargs[name])
    except (TypeError, ValueError):
        raise UserError(f"{where}: {name} {kwargs[name]!r}; a number expected") from None


class Asked(NamedTuple):
    """One of lmms-eval's instances, its picture still as the task gives it."""

    key: RequestKey
    context: str
    kwargs: Mapping[str, Any]
    """``generation_kwargs``; none where a likelihood is asked for."""
    visual: Any = None
    target: str = ""
    """The text whose likelihood is asked for."""
    doc: Any = None
    next_round: Any = None
    """Of questions in rounds: what words the next one."""

    @property
    def where(self) -> str:
        """What a message calls it."""
        return f"task {self.key.task}"

    def text(self, shown: int) -> str:
        """The question. Pictures stand before it, whatever place the task has marked for them."""
        return self.context.replace("<image>", "").strip() if shown else self.context

    def seed(self, run_seed: int) -> int:
        """As the same request has it in a run of ours where the task is ours, and says which one it is there."""
        task, sample, index = self.key
        if self.kwargs.get("draw") and isinstance(self.doc, Mapping):
            task, sample = str(self.doc.get("task", task)), str(self.doc.get("id", sample))
        return seed_of(run_seed, task, sample, index)


def asked(instance: Any, tasks: Mapping[str, Any], seen: Counter[tuple[str, int]]) -> Asked:
    """Read an instance. ``tasks``: data by task and split; ``seen`` counts how often each document was asked about,
    for its repeats and its choices."""
    arguments = instance.args
    if len(arguments) == 2:  # a choice without its question, for mutual information
        task, doc_id = str(instance.task_name), int(instance.doc_id)
        doc, to_visual, rounds = None, None, None
    else:
        (to_visual, *rest), (doc_id, task, split) = arguments[2:-3], arguments[-3:]
        doc, rounds = _doc(tasks[task][split], doc_id), rest[0] if rest else None
    second = arguments[1]
    broken = doc if isinstance(doc, PictureError) else None
    wanted = second(doc) if callable(second) and broken is None else second
    key = RequestKey(task, str(doc_id), seen[task, doc_id])
    seen[task, doc_id] += 1
    kwargs = second if isinstance(second, Mapping) else {}
    visual = broken or (to_visual(doc) if to_visual is not None else None)
    return Asked(key, str(arguments[0]), kwargs, visual, "" if kwargs else str(wanted), doc, rounds)


def _doc(docs: Any, place: int) -> Any:
    """A document, whose pictures are decoded now; or a PictureError where one is broken, which is its request's affair
    alone."""
    try:
        return docs[place]
    except Exception as error:  # noqa: BLE001 - whatever Pillow's decoders raise
        return PictureError(f"document {place}: {type(error).__name__}: {error}")
