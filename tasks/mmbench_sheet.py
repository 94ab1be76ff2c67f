"""The table in which MMBench's service took answers, and in which other tools still score them.

One row a question and rotation: the published columns without the picture, and ``prediction``. VLMEvalKit at e8e78f0
(``image_mcq.py``, ``evaluate_heuristic``) reads ``index``, ``question``, the options and ``prediction`` and has the
right answers from its own copy of the data; lmms-eval at 75571cf writes the same for test splits (``en_utils.py``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from janus_eval.tasks.letters import likeliest
from janus_eval.tasks.mmbench_tsv import TURN
from janus_eval.types import JSON, Response, Sample


class AnswerSheet:
    name = "mmbench"

    def rows(
        self, samples: Sequence[Sample], responses: Mapping[tuple[str, int], Response]
    ) -> list[dict[str, int | str]]:
        """A request that failed has an empty prediction: a row less would leave its question easier there.

        Where letters were ranked, the prediction is the likeliest one. Left out are rows without a number of their own,
        which nobody could find again in the published file.
        """
        numbers = {group: number for number, group in enumerate(dict.fromkeys(one.group for one in samples), 1)}
        letters = sorted({letter for sample in samples for letter in _options(sample)})
        answers = any(sample.target["answer"] is not None for sample in samples)
        return [
            {
                "index": _index(sample, numbers),
                "question": str(sample.inputs["question"]),
                "hint": str(sample.inputs["hint"] or ""),
                **{letter: str(_options(sample).get(letter, "")) for letter in letters},
                **({"answer": str(sample.target["answer"] or "")} if answers else {}),
                "category": str(sample.metadata.get("category", sample.category)),
                "l2-category": str(sample.metadata.get("l2_category", sample.category)),
                **({"split": str(sample.metadata["split"])} if "split" in sample.metadata else {}),
                "prediction": _prediction(sample, responses.get((sample.id, 0))),
            }
            for sample in samples
            if "index" not in sample.metadata or sample.id.isdecimal()
        ]


def _options(sample: Sample) -> Mapping[str, JSON]:
    options = sample.inputs["options"]
    assert isinstance(options, Mapping)
    return options


def _index(sample: Sample, numbers: Mapping[str, int]) -> int:
    """The published one; in the shapes' world, which has none, questions are numbered as they come."""
    index, turn = sample.metadata.get("index"), sample.metadata["rotation"]
    assert isinstance(turn, int)
    return index if isinstance(index, int) else numbers[sample.group] + turn * TURN


def _prediction(sample: Sample, response: Response | None) -> str:
    if response is None:
        return ""
    if response.likelihoods is not None:
        return likeliest(list(_options(sample)), response.likelihoods) or "" if _options(sample) else ""
    return response.text or ""
