"""An lmms-eval task, or a group of them, as one of ours: the door ``lmms`` with ``lmms:NAME``, and what it opens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from janus_eval.errors import UserError
from janus_eval.plain import one_line
from janus_eval.seams import Metric, Seeds
from janus_eval.statistics import grouped_mean
from janus_eval.tasks.lmms import definitions, rows, theirs
from janus_eval.tasks.lmms.aggregation import aggregated
from janus_eval.tasks.lmms.definitions import Definition
from janus_eval.tasks.lmms.docs import UnseenError, packed, unpacked
from janus_eval.tasks.lmms.guard import AskedError, guarded
from janus_eval.tasks.lmms.known import handling
from janus_eval.tasks.lmms.measures import GroupMean, Measure
from janus_eval.tasks.lmms.rows import Only
from janus_eval.types import (
    JSON,
    Capability,
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

DEFAULT = "lmms-eval"
"""The protocol of a task that is taken as it is."""
GRADED = "graded"
"""The protocol of a task whose own code asks a language model."""
ROLE, JUDGE = "text_judge", "openai-chat"
MARK = "\u27eathe answer\u27eb"
"""Stands for an answer where a judge's prompt is found out."""


@dataclass(frozen=True)
class Variant:
    """What a protocol is: a task of lmms-eval's, perhaps a part of its docs, its headline metric ("" for its own).

    ``judge`` is the instrument that says what the task's code asks a language model, if it does.
    """

    task: str
    note: str = ""
    only: Only | None = None
    headline: str = ""
    judge: str = ""


@dataclass(eq=False)
class LmmsTask:
    """``variants`` by the protocol's name. Nothing of lmms-eval is imported before samples are read or judged."""

    name: str
    title: str
    variants: Mapping[str, Variant]
    _parts: dict[str, list[Definition]] = field(default_factory=dict, init=False)
    _twins: dict[str, Any] = field(default_factory=dict, init=False)

    @property
    def needs(self) -> frozenset[Capability]:
        try:
            types = {one.output_type for variant in self.variants.values() for one in self._named(variant.task)}
        except UserError:  # without lmms-eval nobody knows; asking says so
            return frozenset({"answer"})
        return frozenset({"score"} if types == {"multiple_choice"} else {"answer"})

    @property
    def protocols(self) -> dict[str, Protocol]:
        return {name: _protocol(name, variant) for name, variant in self.variants.items()}

    def samples(self, ask: Mapping[str, JSON]) -> Sequence[Sample]:
        return self._samples(ask, None)

    def first_samples(self, ask: Mapping[str, JSON], limit: int) -> Sequence[Sample]:
        return self._samples(ask, limit)

    def _samples(self, ask: Mapping[str, JSON], limit: int | None) -> list[Sample]:
        column, _, value = str(ask.get("only", "")).partition("=")
        only = Only(column, value) if column else None
        parts = self._named(str(ask["task"]))
        return [
            sample
            for one in parts
            for sample in rows.read(one, only, limit, prefix=f"{one.name}/" if len(parts) > 1 else "")
        ]

    def requests(self, sample: Sample, ask: Mapping[str, JSON], seeds: Seeds) -> Sequence[Request]:
        key = RequestKey(self.name, sample.id)
        text, shown = str(sample.inputs["text"]), sample.images[: cast(int, sample.metadata["asked"])]
        if "continuations" in sample.inputs:
            return [Ranking(key, text, tuple(cast(Sequence[str], sample.inputs["continuations"])), shown)]
        # What can't be shown is not worth an answer; it is asked for a token, so that it is counted.
        most = 1 if "fault" in sample.metadata else cast(int, sample.inputs["max_new_tokens"])
        return [Question(key, text, shown, most, seeds(sample.id, 0))]

    def query(self, role: str, sample: Sample, index: int) -> Mapping[str, JSON] | None:
        """The prompt that the task's code would send, found out with a mark for the answer; None if it sends none."""
        if "fault" in sample.metadata:
            return None
        one = self._known(str(sample.target["task"]))
        try:
            with guarded():
                theirs.results(self._twin(one, sample), _doc(sample), MARK)
        except AskedError as error:
            return {"prompt": error.prompt, "mark": MARK, "stops": one.stops} if MARK in error.prompt else None
        except Exception:  # noqa: BLE001 - the task's code is anyone's; score says what it can't do
            return None
        return None

    def score(
        self,
        sample: Sample,
        index: int,
        response: Response,
        observations: Mapping[str, Mapping[str, JSON]],
        judge: Mapping[str, JSON],
    ) -> Score:
        if fault := sample.metadata.get("fault"):
            return Score(None, reason=f"it shows {fault}")
        one = self._known(str(sample.target["task"]))
        doc = _doc(sample)
        answer = response.likelihoods or cut(response.text or "", one.stops)
        try:
            task = self._twin(one, sample)
            reply = str(observations[ROLE]["reply"]) if ROLE in observations else None
            with guarded(reply, seed=f"{one.name}/{sample.id}"):
                items = theirs.results(task, doc, answer)
                target = theirs.target_of(task, doc)
            parts = {name: packed(item) for name, item in items.items() if name in one.metrics}
        except AskedError as error:
            return Score(None, answer, f"its judging asks {error}, which nothing here does while it judges")
        except (TypeError, UnseenError) as error:
            return Score(None, answer, f"its judging fails: {one_line(error, 160)}")
        except Exception as error:  # noqa: BLE001 - the task's code is anyone's
            return Score(None, answer, f"its judging fails: {type(error).__name__}: {one_line(error, 160)}")
        return self._score(task, one, items, parts, answer, target, str(judge["overall"]))

    def _score(
        self,
        task: Any,
        one: Definition,
        items: Mapping[str, Any],
        parts: Mapping[str, JSON],
        answer: Any,
        target: str,
        headline: str,
    ) -> Score:
        name = headline if headline in parts else next((name for name in one.metrics if name in parts), "")
        if not name:
            return Score(None, answer, f"its judging gives none of its metrics ({', '.join(items) or 'nothing'})")
        value = number_of(task, name, items[name])
        if value is None:
            return Score(None, answer, "it has no score of its own", parts)
        told = answer if isinstance(answer, str) else max(range(len(answer)), key=lambda place: answer[place])
        return Score(value, told, "" if value > 0 else f"expected {one_line(target, 120)!r}", parts)

    def metrics(self, judge: Mapping[str, JSON]) -> Mapping[str, Metric]:
        found = self._measures(judge)
        right: dict[str, Metric] = {"right": grouped_mean} if handling(str(judge["task"])).right else {}
        return {"overall": self._overall(judge, found), **found, **right}

    def _measures(self, judge: Mapping[str, JSON]) -> dict[str, Measure]:
        """A group's by task and metric."""
        parts = self._named(str(judge["task"]))
        return {
            (f"{one.name}:{metric}" if len(parts) > 1 else metric): Measure(
                one.name,
                metric,
                lambda scored, one=one: self._twin(one, scored.sample),  # type: ignore[misc]
                lambda task, item, metric=metric: number_of(task, metric, item),  # type: ignore[misc]
                handling(one.name).tops.get(metric),
            )
            for one in parts
            for metric in one.metrics
        }

    def _overall(self, judge: Mapping[str, JSON], found: Mapping[str, Measure]) -> Metric:
        parts = self._named(str(judge["task"]))
        if len(parts) == 1:
            return found[str(judge["overall"])]
        listed = _group_list(str(judge["task"]))
        if listed:
            chosen, by_size = str(listed[0].get("metric", "")), bool(listed[0].get("weight_by_size", False))
            metric = _meant(chosen, [one.metric for one in found.values()])
            return GroupMean([one for one in found.values() if one.metric == metric], by_size)
        scored = [one for one in parts if not one.unscored] or parts
        return GroupMean([found[f"{one.name}:{headline_of(one)}"] for one in scored], by_size=False)

    def remarks(self, scored: Sequence[Scored], judge: Mapping[str, JSON]) -> list[str]:
        """What is to be known of single metrics, of a group's figure, and of decoding that a task asks for."""
        told = [remark for one in self._measures(judge).values() if (remark := one.measured(scored)[1])]
        name, parts = str(judge["task"]), self._named(str(judge["task"]))
        if len(parts) > 1 and not _group_list(name):
            told.append(f"lmms-eval gives group {name} no figure of its own: overall is the plain mean of its tasks'")
        if any(one.generation.get("do_sample") and one.generation.get("temperature") for one in parts):
            told.append("lmms-eval's definition asks for sampled answers: here the model's own settings decode")
        if (found := definitions.installed()) != definitions.TRIED:
            told.append(f"judged by lmms-eval {found}, whose code was tried here at {definitions.TRIED} alone")
        return told

    def _named(self, task: str) -> list[Definition]:
        """Read once: every answer asks for it."""
        if task not in self._parts:
            self._parts[task] = definitions.named(task)
        return self._parts[task]

    def _known(self, name: str) -> Definition:
        """One of the tasks that the variants stand for."""
        every = (one for variant in self.variants.values() for one in self._named(variant.task))
        return next(one for one in every if one.name == name)

    def _twin(self, one: Definition, sample: Sample) -> Any:
        if one.name not in self._twins:
            self._twins[one.name] = theirs.twin(one, _doc(sample))
        return self._twins[one.name]


def _protocol(name: str, variant: Variant) -> Protocol:
    ask: dict[str, JSON] = {"task": variant.task, "lmms_eval": definitions.version_of(variant.task)}
    if variant.only is not None:
        ask["only"] = f"{variant.only.column}={variant.only.value}"
    headline = variant.headline or handling(variant.task).headline
    return Protocol(
        name,
        ask=ask,
        observe={ROLE: variant.judge} if variant.judge else {},
        judge={"task": variant.task, "overall": headline or _headline(variant.task)},
        note=variant.note,
    )


def _headline(task: str) -> str:
    """A task's headline metric; a group has none that one name would say."""
    if definitions.version_of(task) == definitions.ABSENT:
        return ""
    parts = definitions.named(task)
    return headline_of(parts[0]) if len(parts) == 1 else "mean"


def headline_of(one: Definition) -> str:
    return handling(one.name).headline or one.headline


def _group_list(task: str) -> list[Mapping[str, Any]]:
    listed = definitions.group_config(task).get("aggregate_metric_list") or []
    return [listed] if isinstance(listed, Mapping) else list(listed)


def _meant(chosen: str, metrics: Sequence[str]) -> str:
    """The metric that a group's file names. lmms-eval makes a figure of each whose name has it in it: acc_norm too
    where acc is named; the headline is one of them."""
    whole = [metric for metric in metrics if metric.partition(",")[0] == chosen]
    return next(iter(whole or [metric for metric in metrics if chosen in metric]), chosen)


def _doc(sample: Sample) -> dict[str, Any]:
    found: dict[str, Any] = unpacked(sample.target["doc"], sample.images)
    return found


def cut(text: str, stops: Sequence[str]) -> str:
    """An answer until the first of the texts that end it."""
    ends = [place for stop in stops if stop and (place := text.find(stop)) >= 0]
    return text[: min(ends)] if ends else text


def number_of(task: Any, metric: str, item: Any) -> float | None:
    """An item's own score: itself, what it has under the task's ``score_key``, or what its aggregation makes of it
    alone."""
    found = item.get(str(task.config.score_key or "score")) if isinstance(item, Mapping) else item
    if isinstance(found, bool | int | float) or hasattr(found, "item"):
        number = theirs.plain(found)
        if isinstance(number, float):
            return number
    return aggregated(task, metric, [item]).value


class Door:
    """``lmms:NAME``."""

    name = "lmms"
    title = "any task of lmms-eval's or of your own in its format: lmms:NAME, as in lmms:mme"
    needs = frozenset[Capability]({"answer"})
    protocols: Mapping[str, Protocol] = {}

    @staticmethod
    def configured(text: str) -> LmmsTask:
        """The task that ``lmms:TEXT`` names. Raises UserError for what lmms-eval and the user's folders lack."""
        variants = {DEFAULT: Variant(text, "as lmms-eval defines it")}
        if any(one.has_judge for one in definitions.named(text)):
            variants[GRADED] = Variant(text, "what it asks a language model is asked an instrument", judge=JUDGE)
        return LmmsTask(f"lmms:{text}", f"lmms-eval's {text}", variants)


lmms = Door()
