"""MMBench on its published files: one task a file, so that a task's name says what is asked and a protocol's how.

All protocols of a task but the two that copy another tool's prompt share what they ask: one run serves them all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from janus_eval.datasets import find
from janus_eval.tasks import datasets
from janus_eval.tasks.mmbench import GUESSED, JUDGE, MultipleChoice, protocols
from janus_eval.tasks.mmbench_tsv import read
from janus_eval.tasks.slices import Slice, having
from janus_eval.types import JSON, Protocol, Sample

# VLMEvalKit's table has the six broad abilities under these names (``multiple_choice.py``, ``MMB_abbrs``), and the
# leaf categories under their own.
ABILITIES = {
    "coarse_perception": "CP",
    "finegrained_perception (instance-level)": "FP-S",
    "finegrained_perception (cross-instance)": "FP-C",
    "logic_reasoning": "LR",
    "relation_reasoning": "RR",
    "attribute_reasoning": "AR",
}
CATEGORIES = (
    *("action_recognition", "attribute_comparison", "attribute_recognition", "celebrity_recognition"),
    *("function_reasoning", "future_prediction", "identity_reasoning", "image_emotion", "image_quality"),
    *("image_scene", "image_style", "image_topic", "nature_relation", "object_localization", "ocr"),
    *("physical_property_reasoning", "physical_relation", "social_relation", "spatial_relationship"),
    "structuralized_imagetext_understanding",
)
JUDGES = {"vlmevalkit": "gpt-4o-mini", "lmms-eval": "gpt-4o-2024-11-20"}
"""The models that the tools ask by default (``run.py`` at e8e78f0; ``mmbench/en_utils.py`` at 75571cf)."""
MOST_TOKENS = 2048
"""What VLMEvalKit lets Janus write."""


def _rows(ask: Mapping[str, JSON]) -> Sequence[Sample]:
    return read(find(datasets.mmbench, str(ask["file"])))


def _slices() -> dict[str, Slice]:
    slices = {short: having("l2_category", name) for name, short in ABILITIES.items()}
    slices |= {name: having("category", name) for name in CATEGORIES}
    return slices | {"other categories": lambda sample: sample.metadata["category"] not in CATEGORIES}


def _protocols(file: str, *, chinese: bool) -> dict[str, Protocol]:
    ask: dict[str, JSON] = {"file": file, "prompt": "janus", "max_new_tokens": MOST_TOKENS}
    found = protocols(ask)
    if file == "MMBench_DEV_EN.tsv":
        found["paper"] = replace(
            found["vanilla-all"],
            name="paper",
            note="what the authors of Janus ran: version 1.0, dev, English, every rotation by itself, their prompt",
        )
    found["vlmevalkit"] = Protocol(
        "vlmevalkit",
        ask={**ask, "prompt": "vlmevalkit"},
        judge={"letters": "vlmevalkit", "aggregate": "circular"},
        note="VLMEvalKit with its prompt for any model and without a judge: circular, unreadable is wrong",
    )
    found["lmms-eval"] = Protocol(
        "lmms-eval",
        ask={
            **ask,
            "prompt": "lmms-eval-cn" if chinese else "lmms-eval",
            "max_new_tokens": 256 if chinese else 1024,
        },
        judge={"letters": "lmms-eval", "aggregate": "circular", "unreadable": GUESSED},
        note="lmms-eval without a judge: its prompt, circular, and a letter drawn for what can't be read",
    )
    for name, model in JUDGES.items():
        found[f"{name}-judge"] = replace(
            found[name],
            name=f"{name}-judge",
            observe={JUDGE: f"openai-judge:{model}"},
            note=f"{name} as above, with a judge for what no rule reads",
        )
    return found


def _task(name: str, file: str, title: str) -> MultipleChoice:
    return MultipleChoice(
        name, f"MMBench {title}", _rows, _protocols(f"{file}.tsv", chinese="_CN" in file), slices=_slices()
    )


mmbench = _task("mmbench", "MMBench_DEV_EN", "1.0, dev, English")
mmbench_cn = _task("mmbench-cn", "MMBench_DEV_CN", "1.0, dev, Chinese")
mmbench_test = _task("mmbench-test", "MMBench_TEST_EN", "1.0, test, English")
mmbench_test_cn = _task("mmbench-test-cn", "MMBench_TEST_CN", "1.0, test, Chinese")
mmbench_v11 = _task("mmbench-v11", "MMBench_DEV_EN_V11", "1.1, dev, English")
mmbench_v11_cn = _task("mmbench-v11-cn", "MMBench_DEV_CN_V11", "1.1, dev, Chinese")
mmbench_v11_test = _task("mmbench-v11-test", "MMBench_TEST_EN_V11", "1.1, test, English")
mmbench_v11_test_cn = _task("mmbench-v11-test-cn", "MMBench_TEST_CN_V11", "1.1, test, Chinese")
