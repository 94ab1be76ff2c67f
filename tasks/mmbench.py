"""MMBench: multiple-choice questions about a picture, each asked under every rotation of its options."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from janus_eval.seams import Metric, Seeds
from janus_eval.statistics import grouped_mean, proportion
from janus_eval.tasks.letters import RULES
from janus_eval.tasks.slices import Slice, Source, folded, sliced
from janus_eval.types import (
    JSON,
    Capability,
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


def format_question(inputs: Mapping[str, JSON]) -> str:
    """The prompt of one row, as VLMEvalKit's Janus adapter words it (``vlmeval/vlm/janus.py``, ``build_prompt``).

    ``inputs``: ``question``, ``options`` {letter: text} in order, ``hint`` (None or "" for no hint). The newline
    between the picture and the text belongs to the model's chat template, so the text starts without one. Spacing moves
    the number: a space after the letter's full stop, one empty line before the instruction, nothing after it.
    """
    options = inputs["options"]
    assert isinstance(options, Mapping)
    hint = [f"Hint: {inputs['hint']}"] if inputs.get("hint") else []
    lines = [f"{letter}. {text}" for letter, text in options.items()]
    instruction = "Answer with the option's letter from the given choices directly."
    return "\n".join([*hint, str(inputs["question"]), *lines, "", instruction])


def protocols(ask: Mapping[str, JSON], letters: str = "vlmevalkit") -> dict[str, Protocol]:
    """MMBench's ways of counting, over one data source. ``ask`` is what the source reads, and ``max_new_tokens``.

    All ask every rotation, even where one counts, so that any of them can be had from one run's answers.
    """
    other = next(name for name in RULES if name != letters)
    return {
        protocol.name: protocol
        for protocol in (
            Protocol(
                "circular",
                ask=ask,
                judge={"letters": letters, "aggregate": "circular"},
                note="a question counts if the model is right under every rotation of its options",
            ),
            Protocol(
                "vanilla-first",
                ask=ask,
                judge={"letters": letters, "aggregate": "first"},
                note="each question once, options in their original order",
            ),
            Protocol(
                "vanilla-all",
                ask=ask,
                judge={"letters": letters, "aggregate": "rows"},
                note="every rotation counts by itself: what VLMEvalKit measures with its circular rule switched off",
            ),
            Protocol(
                f"circular-{other}",
                ask=ask,
                judge={"letters": other, "aggregate": "circular"},
                note=f"circular, with the letters as {other} reads them",
            ),
        )
    }


@dataclass(eq=False)
class MultipleChoice:
    """Rows of a question, its options and a picture; several rows, the rotations, make one ``group``.

    A sample has ``inputs`` question, options {letter: text} and hint, ``target`` answer (a letter), and ``metadata``
    rotation (0 for the original order), rotations (how many the question has; by default one an option) and whatever
    ``slices`` look at.
    """

    name: str
    title: str
    source: Source
    protocols: Mapping[str, Protocol]
    slices: Mapping[str, Slice] = field(default_factory=dict)
    needs = frozenset[Capability]({"answer"})

    def samples(self, ask: Mapping[str, JSON]) -> Sequence[Sample]:
        return self.source(ask)

    def requests(self, sample: Sample, ask: Mapping[str, JSON], seeds: Seeds) -> Sequence[Request]:
        return [
            Question(
                RequestKey(self.name, sample.id),
                format_question(sample.inputs),
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
        options = {letter: str(text) for letter, text in cast(Mapping[str, JSON], sample.inputs["options"]).items()}
        answer = response.text
        assert answer is not None, "a question was answered with a picture"
        letter = RULES[str(judge["letters"])](answer, options)
        right = letter == sample.target["answer"]
        # An unreadable answer is wrong, not unscored: the published tools fall back on a judge or on chance, and a
        # model that does not answer must not gain by it.
        reason = "" if letter is not None else f"no option can be read from {answer[:80]!r}"
        return Score(float(right), extracted=letter, reason=reason)

    def metrics(self, judge: Mapping[str, JSON]) -> Mapping[str, Metric]:
        metric = AGGREGATES[str(judge["aggregate"])]
        return {"overall": metric, **sliced(metric, self.slices)}


def circular(scored: Sequence[Scored]) -> Estimate:
    """Share of questions that are right under every rotation; questions are independent of each other."""
    return proportion(folded(scored, all_rotations))


def first_rows(scored: Sequence[Scored]) -> Estimate:
    """Share of questions that are right with their options in the original order."""
    return proportion([row for row in scored if row.sample.metadata["rotation"] == 0])


def all_rotations(rows: Sequence[Scored]) -> Score:
    """A question's score from those of its rotations: 1 if all are right. Rows that are missing leave it unscored.

    The published tools don't look at the number of rows: a question that lost some passes more easily there.
    """
    sample = rows[0].sample
    expected = cast(int, sample.metadata.get("rotations", len(cast(Mapping[str, JSON], sample.inputs["options"]))))
    if len({row.sample.metadata["rotation"] for row in rows}) < expected:
        return Score(None, reason=f"{len(rows)} of {expected} rotations were asked")
    return Score(math.prod(cast(float, row.score.value) for row in rows))


# A question's rotations go together in the last one's interval too: they are resampled as a group.
AGGREGATES: dict[str, Metric] = {"circular": circular, "first": first_rows, "rows": grouped_mean}
