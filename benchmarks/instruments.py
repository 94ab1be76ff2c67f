"""Speed of the instruments in the batches that they use, and of judging what they saw, which needs no network at all.

Detector and colour classifier have their published sizes and random weights, which take as long as the trained ones;
the reader is rapidocr's own. The detector is asked for all of COCO's classes, which is more than any prompt asks for.
Judging goes the way of ``janus-eval score``: a run folder of GenEval's 553 prompts with four pictures each, and one of
1,164 questions of MMBench with four rotations each, is opened, judged anew and summarised.
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image

from benchmarks.measure import Contender, Figure, interleaved
from janus_eval import plan
from janus_eval.errors import AbsentError, UserError
from janus_eval.observe import Instruments
from janus_eval.pictures import Picture
from janus_eval.plan import Choice
from janus_eval.progress import Silent
from janus_eval.runner import Options, Subject, rescore, run
from janus_eval.tasks.geneval import TAGS, GenEval
from janus_eval.tasks.geneval import protocols as geneval_protocols
from janus_eval.tasks.instruments.clip_colours import COLOURS, ClipColours, Network
from janus_eval.tasks.instruments.mask2former.classes import CLASSES
from janus_eval.tasks.instruments.mask2former.config import OFFICIAL, Sizes, build
from janus_eval.tasks.instruments.mask2former.instrument import Mask2Former
from janus_eval.tasks.instruments.mask2former.weights import load_weights, pieces
from janus_eval.tasks.mmbench import MultipleChoice
from janus_eval.tasks.mmbench import protocols as mmbench_protocols
from janus_eval.types import Drawing, Failure, Look, Observation, Question, Response, Sample

SIDE = 384
"""Pixels, as Janus-Pro draws."""


class ClipSizes(NamedTuple):
    """In the order of OpenAI's own model; these are ViT-L/14's."""

    dim: int = 768
    image: int = 224
    layers: int = 24
    width: int = 1024
    patch: int = 14
    context: int = 77
    vocabulary: int = 49408
    text_width: int = 768
    text_heads: int = 12
    text_layers: int = 12


def pictures(count: int) -> list[Picture]:
    """Smooth noise: neither plain nor noisier than a photograph."""
    random_numbers = np.random.default_rng(0)
    found = []
    for _ in range(count):
        small = Image.fromarray(random_numbers.integers(0, 256, (12, 12, 3), dtype=np.uint8))
        found.append(Picture.from_pil(small.resize((SIDE, SIDE), Image.Resampling.BICUBIC)))
    return found


def rates(name: str, count: int, unit: str, go: Callable[[], object], rounds: int) -> list[Figure]:
    """How many a second, by the clock and by the processor."""
    costs = interleaved([Contender(name, go)], rounds)[name]
    return [
        Figure(f"{name}, by the clock", f"{unit} a second", [count / cost.wall for cost in costs]),
        Figure(f"{name}, by the processor", f"{unit} a CPU second", [count / cost.cpu for cost in costs]),
    ]


def random_detector(sizes: Sizes = OFFICIAL) -> Mask2Former:
    detector = Mask2Former()
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for name, piece in pieces(build(sizes), sizes).items():
        norm = len(piece.shape) == 1 and name.endswith("weight")
        fan = float(np.prod(piece.shape[1:])) if len(piece.shape) > 1 else 100.0
        tensors[name] = norm + torch.randn(piece.shape, generator=generator) / fan**0.5
    detector.__dict__["_model"] = load_weights(sizes, tensors, "random weights", device=detector._device)
    return detector


def detector_pace(detector: Mask2Former, batches: Sequence[int], rounds: int) -> list[Figure]:
    """Pictures through the detector, so many at a time."""
    found: list[Figure] = []
    for size in batches:
        looks = [Look({"classes": list(CLASSES)}, image=picture) for picture in pictures(size)]
        name = f"detector on {detector._device}, {size} of {SIDE} x {SIDE} pixels at a time"
        found += rates(name, size, "pictures", _seeing(detector, looks), rounds)
    return found


def random_colours(sizes: ClipSizes = ClipSizes()) -> ClipColours:  # noqa: B008 - a NamedTuple cannot change
    import clip.model

    classifier = ClipColours()
    torch.manual_seed(0)
    state = clip.model.CLIP(*sizes[:6], *sizes[6:]).state_dict()
    classifier.__dict__["_network"] = Network(dict(state), classifier._device, "random weights")
    return classifier


def colours_pace(classifier: ClipColours, count: int, rounds: int) -> list[Figure]:
    """Two boxes a picture, as most prompts have them; the crops of all pictures go through the network together."""
    whole = [0, SIDE * SIDE]
    seen: Mapping[str, Any] = {
        "size": [SIDE, SIDE],
        "boxes": {name: [[40.0, 40.0, 300.0, 300.0, 0.9]] for name in ("dog", "car")},
        "masks": {name: [whole] for name in ("dog", "car")},
    }
    looks = [
        Look({"classes": ["dog", "car"]}, image=picture, earlier={"detector": seen}) for picture in pictures(count)
    ]
    classifier.observe(looks[:1])  # the words of the two classes are read once a run
    name = f"colours on {classifier._device}, {2 * count} crops at a time"
    return rates(name, 2 * count, "crops", _seeing(classifier, looks), rounds)


def reading_pace(count: int, rounds: int) -> list[Figure]:
    """Lines of text, a picture each, read one after another. Nothing where the reader is not installed."""
    from janus_eval.tasks.instruments.rapid_reader import RapidReader
    from janus_eval.tasks.textimages.render import render

    reader = RapidReader()
    try:
        reader.prepare()
    except AbsentError as error:
        print(f"  left out: {error}", file=sys.stderr)
        return []
    texts = ("garden window", "seven boats", "cold water", "a quiet morning")
    looks = [Look({}, image=render(texts[k % 4], size=24 + k, rng=random.Random(k))) for k in range(count)]
    return rates(f"reader, {count} lines of text", count, "pictures", _seeing(reader, looks), rounds)


def _seeing(instrument: Any, looks: Sequence[Look]) -> Callable[[], None]:
    """One batch; a look that fails would be fast for the wrong reason."""

    def go() -> None:
        failures = [found.reason for found in instrument.observe(looks) if isinstance(found, Failure)]
        if failures:
            raise RuntimeError(failures[0])

    return go


class Scale(NamedTuple):
    """How much is judged: prompts a category of GenEval, questions of MMBench, boxes a class, runs of a mask."""

    prompts: Sequence[int] = (80, 99, 80, 94, 100, 100)
    questions: int = 1164
    boxes: int = 10
    runs: int = 600


class _Drawn:
    """Stands for a model: one picture for every drawing, a letter by chance for every question."""

    weights = "none"

    def draw(self, drawings: Sequence[Drawing]) -> list[Response | Failure]:
        return [Response(image=PLAIN) for _ in drawings]

    def answer(self, questions: Sequence[Question]) -> list[Response | Failure]:
        return [Response(text=random.Random(question.seed).choice("ABCD")) for question in questions]


PLAIN = Picture.from_pil(Image.new("RGB", (SIDE, SIDE), "grey"))


class _Seen:
    """Stands for the detector or the classifier: boxes, masks and colours by chance, as many as real ones tell."""

    version = "1"

    def __init__(self, kind: str, scale: Scale) -> None:
        self.kind = kind
        self._scale = scale
        self._random = random.Random(0)

    def observe(self, looks: Sequence[Look]) -> list[Observation | Failure]:
        tell = self._boxes if self.kind == "detector" else self._colours
        return [Observation(tell(look.query["classes"])) for look in looks]

    def _boxes(self, names: Any) -> Mapping[str, Any]:
        return {
            "size": [SIDE, SIDE],
            "boxes": {name: [self._box() for _ in range(self._scale.boxes)] for name in names},
            "masks": {name: [self._mask() for _ in range(self._scale.boxes)] for name in names},
        }

    def _box(self) -> list[float]:
        x, y = self._random.randrange(200), self._random.randrange(200)
        return [float(x), float(y), x + 100.0, y + 120.0, float(np.float32(self._random.random()))]

    def _mask(self) -> list[int]:
        return [SIDE * SIDE // self._scale.runs] * self._scale.runs

    def _colours(self, names: Any) -> Mapping[str, Any]:
        rows = {name: [[self._random.random() for _ in COLOURS] for _ in range(self._scale.boxes)] for name in names}
        return {"colours": list(COLOURS), "probabilities": rows}


def geneval_samples(scale: Scale) -> list[Sample]:
    found: list[Sample] = []
    for tag, count in zip(TAGS, scale.prompts, strict=True):
        for k in range(count):
            names = [CLASSES[(k + shift) % len(CLASSES)] for shift in range(1 if tag == "single_object" else 2)]
            include: list[dict[str, Any]] = [{"class": name, "count": 1} for name in names]
            if tag in {"colors", "color_attr"}:
                include = [{**clause, "color": COLOURS[k % len(COLOURS)]} for clause in include]
            if tag == "position":
                include[1]["position"] = ["left of", 0]
            name, prompt = f"{len(found):05d}", f"{tag} {k}"
            found.append(Sample(name, {"prompt": prompt}, {"tag": tag, "include": include}, name, tag))
    return found


def mmbench_samples(scale: Scale) -> list[Sample]:
    options = ("a red kite", "a blue boat", "a green hill", "a grey stone")
    found = []
    for k in range(scale.questions):
        for turn in range(4):
            shown = dict(zip("ABCD", options[turn:] + options[:turn], strict=True))
            right = next(letter for letter, text in shown.items() if text == options[k % 4])
            found.append(
                Sample(
                    f"{k}-{turn}", {"question": f"Which is number {k}?", "options": shown, "hint": None},
                    {"answer": right}, str(k), f"ability {k % 20}", images=(PLAIN,),
                    metadata={"rotation": turn, "rotations": 4, "category": f"ability {k % 20}"},
                )
            )  # fmt: skip
    return found


def judging(scale: Scale, rounds: int) -> list[Figure]:
    """Seconds of judging a stored run under a protocol, from its folder to its results."""
    draws = GenEval(
        "geneval", "", lambda ask: geneval_samples(scale), geneval_protocols({}, "detector", "colour_classifier")
    )
    asks = MultipleChoice("mmbench", "", lambda ask: mmbench_samples(scale), mmbench_protocols({"max_new_tokens": 8}))
    seen = {name: _Seen(name, scale) for name in ("detector", "colour_classifier")}
    cases = (
        (Choice(draws, draws.protocols["official"]), Instruments(made=seen), sum(scale.prompts) * 4),  # type: ignore[arg-type]
        (Choice(asks, asks.protocols["circular"]), Instruments(), scale.questions * 4),
    )
    found: list[Figure] = []
    for choice, instruments, count in cases:
        with stored_run(choice, instruments) as path:
            none = Instruments(made={name: _Gone(one) for name, one in seen.items()})  # type: ignore[arg-type]
            go = _judged_again(path, choice, none)
            go()
            name = f"judging {count:,} responses of {choice}"
            costs = interleaved([Contender(name, go)], rounds)[name]
            found.append(Figure(f"{name}, by the clock", "s", [cost.wall for cost in costs]))
            found.append(Figure(f"{name}, by the processor", "s", [cost.cpu for cost in costs]))
    return found


class _Gone:
    """What is left of an instrument when a run is judged again: its name and version."""

    def __init__(self, former: _Seen) -> None:
        self.kind, self.version = former.kind, former.version

    def observe(self, looks: Sequence[Look]) -> list[Observation | Failure]:
        raise UserError(f"asked {len(looks)} times, where all is stored")


def _judged_again(path: Path, choice: Choice, instruments: Instruments) -> Callable[[], None]:
    return lambda: rescore(path, [choice], instruments=instruments, options=Options(), display=Silent())


@contextmanager
def stored_run(choice: Choice, instruments: Instruments) -> Iterator[Path]:
    """A finished run of one task and protocol."""
    subject = Subject("stored", _Drawn(), frozenset({"draw", "answer"}), {})
    with tempfile.TemporaryDirectory() as folder:
        entries = plan.entries([choice], seed=0, limit=None)
        path = Path(folder) / "stored"
        yield run(subject, entries, path, Options(batch_size=64), instruments=instruments, display=Silent())
