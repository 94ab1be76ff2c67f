"""What plugins implement: models, tasks and instruments. The runner sees nothing else of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, runtime_checkable
from typing import Protocol as Interface

from pydantic import BaseModel

from janus_eval.pictures import Picture
from janus_eval.types import (
    JSON,
    Capability,
    Drawing,
    Estimate,
    Failure,
    Look,
    Observation,
    Protocol,
    Question,
    Request,
    Response,
    Sample,
    Score,
    Scored,
)


class Model(Interface):
    """A loaded model. It offers what it can of the four methods below and declares it in its family's capabilities.

    It may also have ``source``, in plain data what its ``weights`` are the hash of; ``prepare(entries)``, which is told
    all that it will be asked (``janus_eval.plan.Entry``) before anything is written, returns lines for the user and
    raises UserError where that can't be; and ``tariff`` (``janus_eval.usage.Tariff``) where answers are paid for.
    """

    weights: str
    """Hash of the weights: the ``weights`` part of a run's fingerprint."""


@runtime_checkable
class Understander(Interface):
    def answer(self, questions: Sequence[Question]) -> list[Response | Failure]:
        """Answer a batch, in order. Questions about one image come together, so that its prefix can be shared."""
        ...

    def score(
        self, questions: Sequence[Question], continuations: Sequence[Sequence[str]]
    ) -> list[list[float] | Failure]:
        """Log-likelihood (nats) of each continuation of each question's answer."""
        ...


@runtime_checkable
class Illustrator(Interface):
    def draw(self, drawings: Sequence[Drawing]) -> list[Response | Failure]:
        """Draw a batch, in order; each picture's randomness comes from its own seed alone."""
        ...


@runtime_checkable
class Reconstructor(Interface):
    def reconstruct(self, images: Sequence[Picture]) -> list[Picture | Failure]:
        """Pass pictures through the model's own image tokenizer and back."""
        ...


class ModelFamily(Interface):
    """What a plugin's ``models`` table points at: an object that knows how to load a model, cheap to import.

    A family whose checkpoints are systems of their own may also have ``named(checkpoint, settings)``, the name that
    reports give it, and ``able(checkpoint, settings)``, those of its capabilities that this one has; both are asked
    before anything is loaded. ``paid = True`` tells of models whose requests cost money. A setting that can't move a
    number is a field with ``exclude=True``: no record has it.
    """

    capabilities: frozenset[Capability]
    Settings: type[BaseModel]
    """Settings of the family (chat roles, decoding, guidance, steps); their defaults are the family's."""

    def load(self, checkpoint: str | None, settings: Any, *, device: str = "cpu", dtype: str = "float32") -> Model:
        """Load a checkpoint (folder, hub id, or None for the family's default). Raises UserError for bad input."""
        ...


class Instrument(Interface):
    """A measuring model. ``kind`` fixes the keys of queries and data.

    =================  ===========================================  ================================================
    kind               query                                        data
    =================  ===========================================  ================================================
    detector           classes: [name]                              size: [h, w]; masks: {class: [run lengths]};
                                                                    boxes: {class: [[x0, y0, x1, y1, score]]}
    colour_classifier  classes: [name]; reads earlier["detector"]   colours: [name]; probabilities: {class: [[p]]},
                                                                    one row a box of the detector, in its order;
                                                                    null for a box that it did not look at
    visual_qa          questions: {id: text}                        answers: {id: text}
    text_reader        (none)                                       regions: [{text, box: [x0, y0, x1, y1], score}]
    answer_judge       question, options: {letter: text}; Look.text letter: "A".."Y", "Z" for none of the options, or
                                                                    null: no letter in its replies; replies: [text]
    text_judge         prompt, mark: what stands in it for      reply, model: which one gave it
                       the answer, stops: texts that end
                       the answer, which is Look.text
    features           (none)                                       features: base64 of little-endian float32s;
                                                                    network: what made them, by a digest
    =================  ===========================================  ================================================
    """

    kind: str

    @property
    def version(self) -> str:
        """Everything that can move its output (weights hash, thresholds): part of the run's fingerprint."""
        ...

    def observe(self, looks: Sequence[Look]) -> list[Observation | Failure]:
        """Look at a batch, in order. A look that fails is a Failure, never a missing row.

        An instrument may also have ``prepare()``, which is called before a run's first request and raises UserError
        where it could not look, as for weights that are not on this machine; ``self_test()``, called after it, which
        raises where the instrument sees other things than it should, and returns in words what it compared; and
        ``configured(text)``, which returns the instrument that ``NAME:TEXT`` names.
        """
        ...


class Metric(Interface):
    """Scores of all samples -> one Estimate. The headline metric of every task is named ``overall``."""

    def __call__(self, scored: Sequence[Scored]) -> Estimate: ...


@dataclass(frozen=True, slots=True)
class Answered:
    """A response with the sample and request index it belongs to."""

    sample: Sample
    index: int
    response: Response


class Task(Interface):
    """A benchmark: where its rows come from, what it asks, and how answers are judged. Pure but for ``samples``.

    One that stands for many may have ``configured(text)``, which returns the task that ``NAME:TEXT`` names, and whose
    own name that is; with no protocols it stands for nothing else.
    """

    name: str
    title: str
    needs: frozenset[Capability]
    protocols: Mapping[str, Protocol]
    """Protocols by their short name; the first is the default. A task may also have ``together``, the names of those
    that its own name stands for where one number alone would mislead, and ``knobs``, further values that stored answers
    can be judged by (``janus_eval.explaining.knobs.Knob``)."""

    def samples(self, ask: Mapping[str, JSON]) -> Sequence[Sample]:
        """All rows, in a fixed order. The same ``ask`` gives the same rows.

        A task may also have ``check_whole(samples)``, which is called where no --limit was given and raises UserError
        for data that lack a part; and ``first_samples(ask, limit)``, which saves reading what
        ``janus_eval.plan.limited`` would leave out.
        """
        ...

    def requests(self, sample: Sample, ask: Mapping[str, JSON], seeds: Seeds) -> Sequence[Request]:
        """What the model is asked for this row; request k has key (task, sample, k), seed ``seeds(sample.id, k)``."""
        ...

    def query(self, role: str, sample: Sample, index: int) -> Mapping[str, JSON] | None:
        """What the instrument in ``role`` is asked about response ``index``; None when it need not look.

        Roles are asked in the order of ``Protocol.observe``. A task may also have ``to_look_at(role, answered, judge)``
        where it depends on what the responses say: given all of a run (``Answered``), with their pictures, and
        ``Protocol.judge``, it returns the (sample id, index) of those that the instrument in ``role`` must look at, or
        None for all. It is asked again when responses are scored, so it must be pure.
        """
        ...

    def score(
        self,
        sample: Sample,
        index: int,
        response: Response,
        observations: Mapping[str, Mapping[str, JSON]],
        judge: Mapping[str, JSON],
    ) -> Score:
        """Judge one response. ``observations`` maps role -> data; a role whose observation failed never reaches here
        (the runner records the response as unscored, with the instrument's reason)."""
        ...

    def metrics(self, judge: Mapping[str, JSON]) -> Mapping[str, Metric]:
        """All metrics by name, ``overall`` first. They group (rotations, images of a prompt) by ``sample.group``.

        A task may also have ``remarks(scored, judge)``, sentences that a reader must have beside the numbers, as where
        a run is too small for the headline to be compared with others; results.json has them.
        """
        ...


class Contents(NamedTuple):
    """What a folder of pictures holds: pictures by (sample id, index), and in words all that is wrong with it."""

    pictures: dict[tuple[str, int], Picture]
    faults: list[str]


class Layout(Interface):
    """How a benchmark's own scripts lay out the pictures that they score; a task may have one as ``layout``."""

    name: str

    def read(self, folder: Path, samples: Sequence[Sample], images: int) -> Contents:
        """The pictures of a folder, ``images`` of each prompt expected, and every fault, a line each."""
        ...

    def write(self, folder: Path, samples: Sequence[Sample], pictures: Mapping[tuple[str, int], Picture]) -> None:
        """Lay out pictures so that the benchmark's own script can score them."""
        ...


class Sheet(Interface):
    """How a benchmark's own service and other tools take answers: a table; a task may have one as ``sheet``."""

    name: str

    def rows(
        self, samples: Sequence[Sample], responses: Mapping[tuple[str, int], Response]
    ) -> Sequence[Mapping[str, int | str]]:
        """All rows with the same columns. ``responses`` by (sample id, index), without those that failed."""
        ...


class Seeds(Interface):
    """The seed of image ``index`` of a sample: from (run seed, task, sample id, index) alone."""

    def __call__(self, sample: str, index: int) -> int: ...
