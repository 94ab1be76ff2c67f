"""MMBench: multiple-choice questions about a picture, each asked under every rotation of its options."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from janus_eval.errors import UserError
from janus_eval.explaining.knobs import ABSENT, Knob
from janus_eval.seams import Answered, Metric, Seeds
from janus_eval.statistics import grouped_mean, proportion
from janus_eval.tasks.letters import REFUSED, RULES, likeliest
from janus_eval.tasks.mmbench_sheet import AnswerSheet
from janus_eval.tasks.slices import Slice, Source, folded, sliced
from janus_eval.types import (
    JSON,
    Capability,
    Estimate,
    Protocol,
    Question,
    Ranking,
    Request,
    RequestKey,
    Response,
    Sample,
    Score,
    Scored,
)

GUESSED = "drawn from A to E, seed 2680"
"""``judge.unreadable`` of lmms-eval; without it what can't be read is wrong."""
LIKELIEST = "the likeliest"
"""``judge.letters`` where the model's likelihoods of the letters decide; ``ask.rank`` asks for them."""
JUDGE = "answer_judge"
"""The role of what reads an answer where the rules read none; a protocol without it leaves those unread."""
DIRECTLY = "Answer with the option's letter from the given choices directly."


def format_question(inputs: Mapping[str, JSON]) -> str:
    """The prompt of one row, as VLMEvalKit's Janus adapter words it (``vlmeval/vlm/janus.py``, ``build_prompt``).

    ``inputs``: ``question``, ``options`` {letter: text} in order, ``hint`` (None or "" for no hint). The newline
    between the picture and the text belongs to the model's chat template, so the text starts without one. Spacing moves
    the number: a space after the letter's full stop, one empty line before the instruction, nothing after it.
    """
    hint = [f"Hint: {inputs['hint']}"] if inputs.get("hint") else []
    return "\n".join([*hint, str(inputs["question"]), *_lettered(inputs), "", DIRECTLY])


def vlmevalkit_prompt(inputs: Mapping[str, JSON]) -> str:
    """VLMEvalKit's prompt for models without an adapter's own (``image_mcq.py``, ``build_prompt``): ends in " \\n"."""
    hint = [f"Hint: {inputs['hint']}"] if inputs.get("hint") else []
    closing = "Please select the correct answer from the options above. \n"
    return "\n".join([*hint, f"Question: {inputs['question']}", "Options:", *_lettered(inputs), closing])


def lmms_eval_prompt(inputs: Mapping[str, JSON], instruction: str = DIRECTLY) -> str:
    """lmms-eval's prompt (``mmbench/en_utils.py``, ``mmbench_doc_to_text``): the hint has no name, and no line."""
    hint = f"{inputs['hint']} " if inputs.get("hint") else ""
    opening = f"{hint}{inputs['question']} There are several options:"
    return "\n".join([opening, *_lettered(inputs), "", instruction])


def lmms_eval_chinese_prompt(inputs: Mapping[str, JSON]) -> str:
    """The same with the Chinese instruction of ``mmbench/_default_template_mmbench_cn_yaml``."""
    return lmms_eval_prompt(inputs, "请直接使用所提供的选项字母作为答案回答。")


def _lettered(inputs: Mapping[str, JSON]) -> list[str]:
    options = inputs["options"]
    assert isinstance(options, Mapping)
    return [f"{letter}. {text}" for letter, text in options.items()]


PROMPTS: dict[str, Callable[[Mapping[str, JSON]], str]] = {
    "janus": format_question,
    "vlmevalkit": vlmevalkit_prompt,
    "lmms-eval": lmms_eval_prompt,
    "lmms-eval-cn": lmms_eval_chinese_prompt,
}
"""``ask.prompt``, "janus" where nothing is said."""


def protocols(ask: Mapping[str, JSON], letters: str = "vlmevalkit") -> dict[str, Protocol]:
    """MMBench's ways of counting, over one data source. ``ask`` is what the source reads, and ``max_new_tokens``.

    All ask every rotation, even where one counts, so that any of them can be had from one run's answers. Those by
    likelihood ask for the letters' likelihoods in place of an answer, and are another asking.
    """
    other = next(name for name in RULES if name != letters)
    rank: dict[str, JSON] = {key: value for key, value in ask.items() if key != "max_new_tokens"} | {"rank": "letters"}
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
            Protocol(
                "circular-judge",
                ask=ask,
                observe={JUDGE: "openai-judge:gpt-4o-mini"},
                judge={"letters": letters, "aggregate": "circular"},
                note="circular; a language model reads what no rule reads, as VLMEvalKit does by default",
            ),
            Protocol(
                "likelihood",
                ask=rank,
                judge={"letters": LIKELIEST, "aggregate": "circular"},
                note="circular; no answer is written, the option's letter that the model finds likeliest counts",
            ),
            Protocol(
                "likelihood-vanilla",
                ask=rank,
                judge={"letters": LIKELIEST, "aggregate": "rows"},
                note="by likelihood, every rotation by itself",
            ),
        )
    }


@dataclass(eq=False)
class MultipleChoice:
    """Rows of a question, its options and a picture; several rows, the rotations, make one ``group``.

    A sample has ``inputs`` question, options {letter: text} and hint, ``target`` answer (a letter), and ``metadata``
    rotation (0 for the original order), rotations (how many the question has; by default one an option) and whatever
    ``slices`` look at. A row with a ``fault`` in its metadata is asked and left unscored for that reason;
    ``incomplete`` marks the rows of a question that has lost some.
    """

    name: str
    title: str
    source: Source
    protocols: Mapping[str, Protocol]
    slices: Mapping[str, Slice] = field(default_factory=dict)
    needs = frozenset[Capability]({"answer"})
    sheet = AnswerSheet()
    knobs = (
        Knob("judge.unreadable", (ABSENT, GUESSED), "lmms-eval's last resort, under the circular rule alone", "wrong"),
    )

    def samples(self, ask: Mapping[str, JSON]) -> Sequence[Sample]:
        return self.source(ask)

    def check_whole(self, samples: Sequence[Sample]) -> None:
        """Raise UserError where a question has not all of its rotations: no published rule is meant for those."""
        odd = {sample.group: sample.metadata["incomplete"] for sample in samples if "incomplete" in sample.metadata}
        if odd:
            more = f" (and {len(odd) - 3} more questions)" if len(odd) > 3 else ""
            raise UserError(
                f"task {self.name!r}: {'; '.join(map(str, list(odd.values())[:3]))}{more}: the file isn't whole. "
                "With --limit such questions are counted as unscored"
            )

    def requests(self, sample: Sample, ask: Mapping[str, JSON], seeds: Seeds) -> Sequence[Request]:
        key = RequestKey(self.name, sample.id)
        prompt = PROMPTS[str(ask.get("prompt", "janus"))](sample.inputs)
        if "rank" in ask:
            # A row that has lost its options is asked like any other that can't be scored, so that it is counted.
            return [Ranking(key, prompt, tuple(_options(sample)) or ("A",), sample.images)]
        limit = cast(int, ask["max_new_tokens"])
        return [Question(key, prompt, sample.images, max_new_tokens=limit, seed=seeds(sample.id, 0))]

    def query(self, role: str, sample: Sample, index: int) -> Mapping[str, JSON] | None:
        return {"question": sample.inputs["question"], "options": sample.inputs["options"]}

    def to_look_at(
        self, role: str, answered: Sequence[Answered], judge: Mapping[str, JSON]
    ) -> Collection[tuple[str, int]]:
        """Answers that no rule reads; under a circular rule none of a question that a readable letter has lost.

        Both published tools stop there: their judge is asked, and can fail, only where it still decides.
        """
        read = [(item, _read(item.response, item.sample, judge)) for item in answered if not _unscorable(item.sample)]
        lost = (
            {item.sample.group for item, letter in read if letter not in {None, item.sample.target["answer"]}}
            if judge["aggregate"] == "circular"
            else set()
        )
        return {
            (item.sample.id, item.index) for item, letter in read if letter is None and item.sample.group not in lost
        }

    def score(
        self,
        sample: Sample,
        index: int,
        response: Response,
        observations: Mapping[str, Mapping[str, JSON]],
        judge: Mapping[str, JSON],
    ) -> Score:
        if reason := _unscorable(sample):
            return Score(None, reason=reason)
        letter = _read(response, sample, judge)
        parts: dict[str, JSON] = {}
        if response.likelihoods is not None:
            parts["likelihoods"] = dict(zip(_options(sample), response.likelihoods, strict=True))
            reason = "" if letter is not None else "several letters are equally likely"
        elif letter is None:
            # An unreadable answer is wrong, not unscored: the published tools fall back on a judge or on chance, and a
            # model that does not answer must not gain by it.
            reason = f"no option can be read from {(response.text or '')[:80]!r}"
            if JUDGE in observations:
                parts["judged"] = True
                letter = cast(str | None, observations[JUDGE]["letter"])
                reason += {None: ", nor by the judge", REFUSED: "; the judge finds none in it"}.get(
                    letter, f"; the judge reads {letter}"
                )
        return Score(float(letter == sample.target["answer"]), extracted=letter, reason=reason, parts=parts)

    def metrics(self, judge: Mapping[str, JSON]) -> Mapping[str, Metric]:
        if judge.get("unreadable") == GUESSED and judge["aggregate"] == "circular":
            guesses = _Guesses()
            return {
                "overall": lambda scored: proportion(guesses(scored)),
                **{name: guesses.on(chosen) for name, chosen in self.slices.items()},
            }
        metric = AGGREGATES[str(judge["aggregate"])]
        return {"overall": metric, **sliced(metric, self.slices)}


def _options(sample: Sample) -> dict[str, str]:
    return {letter: str(text) for letter, text in cast(Mapping[str, JSON], sample.inputs["options"]).items()}


def _unscorable(sample: Sample) -> str:
    """Why no answer to it can be right or wrong; "" for a sound row."""
    if fault := sample.metadata.get("fault"):
        return str(fault)
    hidden = "the file holds no right answers; janus-eval export RUN --format mmbench writes those that were given"
    return hidden if sample.target["answer"] is None else ""


def _read(response: Response, sample: Sample, judge: Mapping[str, JSON]) -> str | None:
    """The letter that a rule reads, or the likeliest one; None where there is none."""
    if judge["letters"] == LIKELIEST:
        assert response.likelihoods is not None, "letters were to be ranked"
        return likeliest(tuple(_options(sample)), response.likelihoods)
    assert response.text is not None, "a question was answered with something that is no text"
    return RULES[str(judge["letters"])](response.text, _options(sample))


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


def guessed(scored: Sequence[Scored]) -> list[Scored]:
    """Circular scores where lmms-eval's last resort reads what no rule reads: a letter drawn by a seeded generator.

    (``mmbench_evals.py``, ``eval_result`` and ``extract_answer_from_item``, as they go where no judge answers.)
    Questions are gone through by index; nothing is drawn for one that a readable letter has already failed. What a
    judge has read comes in its turn, as there: a row before it may still have cost a letter.
    """
    stream = random.Random(2680)

    def fold(rows: Sequence[Scored]) -> Score:
        whole = all_rotations(rows)
        wrong = [row for row in rows if row.score.extracted is not None and not row.score.value]
        if whole.value is None or any("judged" not in row.score.parts for row in wrong):
            return whole
        for row in sorted(rows, key=_rotation):
            letter = row.score.extracted or "ABCDE"[stream.randint(0, 4)]
            if letter != row.sample.target["answer"]:
                return Score(0.0)
        return Score(1.0)

    return folded(sorted(scored, key=lambda row: cast(int, row.sample.metadata.get("index", 0))), fold)


class _Guesses:
    """Drawn once for all metrics of the same scores, over the whole: one stream serves the questions of all slices."""

    def __init__(self) -> None:
        self._of: tuple[Sequence[Scored], list[Scored]] | None = None

    def __call__(self, scored: Sequence[Scored]) -> list[Scored]:
        if self._of is None or self._of[0] is not scored:
            self._of = scored, guessed(scored)
        return self._of[1]

    def on(self, chosen: Slice) -> Metric:
        return lambda scored: proportion([item for item in self(scored) if chosen(item.sample)])


def _rotation(row: Scored) -> int:
    return cast(int, row.sample.metadata["rotation"])


# A question's rotations go together in the last one's interval too: they are resampled as a group.
AGGREGATES: dict[str, Metric] = {"circular": circular, "first": first_rows, "rows": grouped_mean}
