"""FID: how far the features of drawn pictures lie from those of references, over all and within each category.

The number is biased: it falls as pictures are added. So figures of different numbers of pictures do not compare, and
the result says how many there are where it isn't the benchmark's number. The interval is for what this many pictures
give, not for the limit of ever more (docs/decisions/fid.md).
"""

from __future__ import annotations

import base64
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, cast

import numpy as np
from scipy.special import stdtrit

from janus_eval.errors import UserError
from janus_eval.seams import Layout, Metric, Seeds
from janus_eval.statistics import nothing
from janus_eval.tasks.fid_references import References
from janus_eval.tasks.frechet import Floats, distance
from janus_eval.tasks.slices import Source
from janus_eval.types import (
    JSON,
    Capability,
    Drawing,
    Estimate,
    Protocol,
    Request,
    RequestKey,
    Response,
    Sample,
    Score,
    Scored,
)

Referring: TypeAlias = Callable[[Mapping[str, JSON]], References]
"""``Protocol.judge`` -> the references that it names."""


@dataclass(eq=False)
class FrechetDistance:
    """Prompts drawn, and the pictures' features compared with the references' in one number.

    A sample has ``inputs`` prompt, and its category is a group of the references. ``judge``: ``pictures``, how many the
    benchmark has, and what ``references`` reads.
    """

    name: str
    title: str
    source: Source
    protocols: Mapping[str, Protocol]
    references: Referring
    categories: Sequence[str]
    layout: Layout | None = None
    needs = frozenset[Capability]({"draw"})

    def samples(self, ask: Mapping[str, JSON]) -> Sequence[Sample]:
        return self.source(ask)

    def requests(self, sample: Sample, ask: Mapping[str, JSON], seeds: Seeds) -> Sequence[Request]:
        prompt, images = str(sample.inputs["prompt"]), cast(int, ask["images_per_prompt"])
        return [
            Drawing(RequestKey(self.name, sample.id, index), prompt, seeds(sample.id, index)) for index in range(images)
        ]

    def query(self, role: str, sample: Sample, index: int) -> Mapping[str, JSON] | None:
        return {}

    def score(
        self,
        sample: Sample,
        index: int,
        response: Response,
        observations: Mapping[str, Mapping[str, JSON]],
        judge: Mapping[str, JSON],
    ) -> Score:
        """A picture alone is neither right nor wrong: 1 says that it counts."""
        seen = observations["features"]
        vector = base64.b64decode(str(seen["features"]), validate=True)
        return Score(1.0, parts={"network": seen["network"]}, vector=vector)

    def metrics(self, judge: Mapping[str, JSON]) -> Mapping[str, Metric]:
        references = self.references(judge)

        def within(category: str | None) -> Metric:
            def measure(scored: Sequence[Scored]) -> Estimate:
                rows = [item for item in scored if category in {None, item.sample.category}]
                return estimate(rows, references, category)

            return measure

        return {"overall": within(None), **{category: within(category) for category in self.categories}}

    def remarks(self, scored: Sequence[Scored], judge: Mapping[str, JSON]) -> Sequence[str]:
        """What a reader must know beside the number."""
        there, whole = sum(item.score.value is not None for item in scored), cast(int, judge["pictures"])
        if there == whole:
            return ()
        return (f"FID of {there:,} pictures, published figures are of {whole:,}: it falls as pictures are added",)


def estimate(scored: Sequence[Scored], references: References, category: str | None) -> Estimate:
    """FID of the pictures that are there, the others counted as failed; none for fewer than two.

    Raises UserError for features that another network made than the references'.
    """
    rows = sorted(
        (item for item in scored if item.score.value is not None), key=lambda item: (item.sample.id, item.index)
    )
    failed = len(scored) - len(rows)
    if len(rows) < 2:
        return nothing("fid", failed)
    networks = {item.score.parts["network"] for item in rows}
    if networks != {references.network}:
        raise UserError(
            f"the pictures' features are not those of {references.instrument!r}, which sees the references: FID holds "
            "features of one network against each other; leave --instrument features=... out"
        )
    features = np.frombuffer(b"".join(item.score.vector for item in rows), "<f4").reshape(len(rows), -1)
    found = distance(features, references.gaussian(category))
    reach = deviation(found.influence, rows)
    return Estimate(found.value, max(found.value - reach, 0.0), found.value + reach, "fid", len(rows), failed)


def deviation(influence: Floats, rows: Sequence[Scored]) -> float:
    """Half of the 95% interval: the spread of the pictures' influences, those of a prompt together, within categories.

    How many pictures each category has is the benchmark's choice and not chance, so categories' means may differ.
    """
    sums: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for item, pull in zip(rows, influence.tolist(), strict=True):
        sums[item.sample.category][item.sample.group] += pull
    strata = [np.array(list(groups.values())) for groups in sums.values()]
    if min(map(len, strata)) < 2:  # one prompt alone has no spread: all together
        strata = [np.concatenate(strata)]
    if len(strata[0]) < 2:  # pictures of one prompt
        strata = [np.asarray(influence)]
    variance = math.fsum(len(stratum) * float(np.var(stratum, ddof=1)) for stratum in strata) / len(rows) ** 2
    freedom = sum(map(len, strata)) - len(strata)
    return float(stdtrit(freedom, 0.975)) * math.sqrt(variance)
