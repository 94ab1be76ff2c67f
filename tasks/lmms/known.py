"""What is known of single lmms-eval tasks beyond their definitions: the figure that papers print, units, categories.

A category is the stratum of every interval and what ``--limit`` counts in. Where nothing is known the first metric is
the headline, a text column ``category`` makes the categories, and the unit is found from what the right answers get.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from janus_eval.types import Unit

CATEGORIES = range(2, 65)
"""How many different texts make a column ``category`` one of categories."""


@dataclass(frozen=True)
class Handling:
    """``tops``: what a metric in points can reach in each category, where that is known; ``category``: a doc's, None
    for the default."""

    headline: str = ""
    units: Mapping[str, Unit] = field(default_factory=dict)
    tops: Mapping[str, float] = field(default_factory=dict)
    category: Callable[[Mapping[str, Any]], str] | None = None
    right: bool = False
    """Whether the share of answers that are right is a metric too, as where no other is a mean that could be gated."""


def column(name: str) -> Callable[[Mapping[str, Any]], str]:
    return lambda doc: str(doc.get(name, ""))


def _mmmu_subject(doc: Mapping[str, Any]) -> str:
    """``validation_Art_Theory_7`` is of Art_Theory."""
    found = re.fullmatch(r"[a-z]+_(\w+)_\d+", str(doc.get("id", "")))
    return found[1] if found else ""


# VLMEvalKit's column of POPE, which the authors of Janus name, is F1. MME's two scores are sums over 10 and 4
# categories of 200 points each.
_POPE = Handling("pope_f1_score", category=column("category"))
_MME: dict[str, Unit] = {"mme_perception_score": "points", "mme_cognition_score": "points"}

KNOWN: Mapping[str, Handling] = {
    **dict.fromkeys(("pope", "pope_random", "pope_pop", "pope_adv"), _POPE),
    "mme": Handling(
        "mme_perception_score",
        _MME,
        dict.fromkeys(_MME, 200.0),
        column("category"),
        right=True,
    ),
    "seedbench": Handling("seed_image", category=column("question_type_id")),
    "mmmu_val": Handling("mmmu_acc", category=_mmmu_subject),
    "mmvet": Handling("gpt_eval_score", {"gpt_eval_score": "percent"}, category=column("capability")),
    "chartqa": Handling("relaxed_overall", category=column("type")),
}

NOTHING = Handling()


def handling(task: str) -> Handling:
    return KNOWN.get(task, NOTHING)
