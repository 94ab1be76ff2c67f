"""A drawing task: each tint twice, judged by what the instrument answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import cast

from janus_eval.seams import Metric, Seeds
from janus_eval.statistics import grouped_mean
from janus_eval.suites import Suite
from janus_eval.types import JSON, Capability, Drawing, Protocol, Request, RequestKey, Response, Sample, Score
from tints.colours import TINTS


def suite() -> Suite:
    return Suite("tints", tasks=("tints",), models=("painter?skill=1", "painter?skill=0"), title="Tints")


class Tints:
    name = "tints"
    title = "Tints: is the sheet of the tint that was asked for?"
    needs = frozenset[Capability]({"draw"})
    protocols = MappingProxyType(
        {"plain": Protocol("plain", ask={"images_per_prompt": 2}, observe={"visual_qa": "tint-meter"})}
    )

    def samples(self, ask: Mapping[str, JSON]) -> Sequence[Sample]:
        return [Sample(tint, {"prompt": f"a {tint} sheet"}, {"tint": tint}, tint, "tints") for tint in TINTS]

    def requests(self, sample: Sample, ask: Mapping[str, JSON], seeds: Seeds) -> Sequence[Request]:
        prompt, images = str(sample.inputs["prompt"]), cast(int, ask["images_per_prompt"])
        return [
            Drawing(RequestKey(self.name, sample.id, index), prompt, seeds(sample.id, index)) for index in range(images)
        ]

    def query(self, role: str, sample: Sample, index: int) -> Mapping[str, JSON]:
        return {"questions": {"1": sample.target["tint"]}}

    def score(
        self,
        sample: Sample,
        index: int,
        response: Response,
        observations: Mapping[str, Mapping[str, JSON]],
        judge: Mapping[str, JSON],
    ) -> Score:
        answers = cast(Mapping[str, str], observations["visual_qa"]["answers"])
        return Score(float(answers["1"] == "yes"), extracted=answers["1"])

    def metrics(self, judge: Mapping[str, JSON]) -> Mapping[str, Metric]:
        return {"overall": grouped_mean}
