"""A drawing task of ours as lmms-eval runs one: the class that the YAML files of this folder name.

Keys of the YAML beside ``task`` and ``class``: ``spec``, the task as in ``janus-eval run --task``; and, as options of
``score-images``, ``images_per_prompt``, ``instruments`` (role: name) and ``device`` (of instruments that are models).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from datasets import Dataset, DatasetDict
from lmms_eval.api.task import ConfigurableTask

from janus_eval import folders, plan
from janus_eval.tasks.lmms_tasks.judging import Judge
from janus_eval.types import Scored

VERSION = 1.0
OWN = ("class", "spec", "images_per_prompt", "instruments", "device")


class Item(dict[str, Any]):
    """What a metric is told of one prompt. lmms-eval logs the entries and hands the whole to the aggregation, also from
    other processes; ``scored`` is in the whole alone, or every metric would log it again."""

    scored: list[Scored]


class DrawingTask(ConfigurableTask):  # type: ignore[misc]  # lmms-eval has no types
    """Asks for every prompt's pictures as repeats of one request, and judges them by our instruments and scorers."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        own = {key: config[key] for key in OWN if key in config}
        [choice] = plan.choices([own["spec"]], own.get("instruments"))
        choice = folders.with_images(choice, own.get("images_per_prompt"))
        self.judge = Judge(choice, own.get("device", "cpu"))
        self.measures = choice.task.metrics(choice.protocol.judge)
        super().__init__(config={**self._made(), **{key: config[key] for key in config if key not in OWN}})

    def _made(self) -> dict[str, Any]:
        images = self.judge.images
        metrics = [
            {"metric": name, "aggregation": self._whole(name), "higher_is_better": True} for name in self.measures
        ]
        ends = [{"metric": f"overall_{end}", "aggregation": self._whole("overall", end)} for end in ("low", "high")]
        failed = {"metric": "failed", "aggregation": lambda items: sum(item["score"] for item in items)}
        return {
            "test_split": "test",
            "output_type": "generate_until",
            "doc_to_text": "prompt",
            "doc_to_target": "prompt",
            "doc_to_visual": lambda doc: [],
            "process_results": lambda doc, results: None,  # a word of lmms-eval's that metrics come from results
            "repeats": images,
            "filter_list": [{"name": "pictures", "filter": [{"function": "take_first_k", "k": images}]}],
            # Sampled, so that the response cache does not take one picture for all of a prompt's; and never cut.
            "generation_kwargs": {"draw": True, "do_sample": True, "until": []},
            "metric_list": [
                *metrics,
                *({**end, "higher_is_better": True} for end in ends),
                {**failed, "higher_is_better": False},
            ],
            "metadata": {"version": VERSION, **self.judge.identity},
        }

    def download(self, dataset_kwargs: Any = None) -> None:
        """Rows from our own data, which ``janus-eval fetch`` put on this machine."""
        rows = [
            {"id": sample.id, "task": self.judge.choice.task.name, "prompt": str(sample.inputs["prompt"])}
            for sample in self.judge.samples
        ]
        self.dataset = DatasetDict({"test": Dataset.from_list(rows)})
        self.dataset_no_image = self.dataset

    def process_results(self, doc: Mapping[str, Any], results: Sequence[Any], full_docs: Any = None) -> Any:
        """An item for each metric. ``results`` holds the answers of one prompt, a list in a list."""
        if self.config.process_results is None:  # --predict_only
            return super().process_results(doc, results)
        scored = self.judge.judged(doc["id"], [str(answer) for answer in results[0]])
        items = {}
        for name, metric in self.measures.items():
            value = metric(scored).value
            items[name] = item_of(doc["id"], scored, **({} if value is None else {"score": value}))
        items["overall"]["pictures"] = [
            {"value": one.score.value, "reason": one.score.reason, "failed": one.failed} for one in scored
        ]
        for end in ("low", "high"):
            items[f"overall_{end}"] = item_of(doc["id"], scored)
        items["failed"] = Item(id=doc["id"], score=sum(one.score.value is None for one in scored))
        return items

    def _whole(self, name: str, part: str = "value") -> Callable[[Sequence[Item]], float]:
        """A function, since lmms-eval copies and prints its configuration: one number of a metric over all prompts."""
        metric, places = self.measures[name], self.judge.places

        def number(items: Sequence[Item]) -> float:
            scored = [one for item in sorted(items, key=lambda item: places[item["id"]]) for one in item.scored]
            value = getattr(metric(scored), part)
            return math.nan if value is None else float(value)

        return number


def item_of(sample: str, scored: list[Scored], **entries: Any) -> Item:
    item = Item(id=sample, **entries)
    item.scored = scored
    return item
