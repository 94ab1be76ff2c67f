"""Run folders with results of the papers' benchmarks, as the runner writes them; no answers, which no table reads."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from janus_eval.reports import records
from janus_eval.reports.records import Run

PRO = {"user_role": "<|User|>", "assistant_role": "<|Assistant|>", "system_prompt": "", "guidance": 5, "temperature": 1}
GENEVAL = {
    "ask": {"file": "evaluation_metadata.jsonl", "images_per_prompt": 4},
    "observe": {"detector": "mask2former", "colour_classifier": "clip-colours"},
    "judge": {
        **{"threshold": 0.3, "counting_threshold": 0.9, "max_objects": 16},
        **{"nms_threshold": 1.0, "position_threshold": 0.1},
    },
}
DPG = {
    "ask": {"images_per_prompt": 4, "prompts": "prompts", "questions": "dpg_bench.csv"},
    "observe": {"visual_qa": "mplug"},
    "judge": {"first_row": "dropped", "categories": "plain answers of the last picture"},
}
FIXED = {**DPG, "judge": {"first_row": "kept", "categories": "judged answers of all pictures"}}


def mmbench(aggregate: str = "rows", file: str = "MMBench_DEV_EN.tsv") -> dict[str, Any]:
    return {
        "ask": {"file": file, "prompt": "janus", "max_new_tokens": 2048},
        "observe": {},
        "judge": {"letters": "vlmevalkit", "aggregate": aggregate},
    }


def result(protocol: Mapping[str, Any], unit: str = "fraction", failed: int = 0, **values: Any) -> dict[str, Any]:
    """``overall=(value, low, high)`` and other metrics."""
    metrics = {
        name: {"value": value, "low": low, "high": high, "unit": unit, "n": 100, "failed": failed}
        for name, (value, low, high) in values.items()
    }
    return {"fingerprint": {"data": "d0", "weights": "w0"}, "metrics": metrics, "protocol": dict(protocol)}


MakeRun = Callable[..., Run]


class Kit:
    """The parts of a run, for tests to put together in other ways."""

    pro, geneval, dpg = PRO, GENEVAL, DPG
    mmbench = staticmethod(mmbench)
    result = staticmethod(result)


@pytest.fixture
def kit() -> type[Kit]:
    return Kit


@pytest.fixture
def make(tmp_path: Path) -> MakeRun:
    """``make(folder, name, checkpoint, tasks, ...)`` writes a run folder and reads it back."""

    def write(
        folder: str,
        name: str = "janus-pro",
        checkpoint: str | None = "deepseek-ai/Janus-Pro-7B",
        tasks: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] = PRO,
        limit: int | None = None,
        finished: bool = True,
    ) -> Run:
        path = tmp_path / folder
        path.mkdir(parents=True)
        model = {"name": name, "checkpoint": checkpoint, "settings": dict(settings)}
        (path / "run.json").write_text(json.dumps({"schema": 1, "model": model, "limit": limit, "tasks": {}}))
        if finished:
            (path / "results.json").write_text(json.dumps({"schema": 1, "model": model, "tasks": tasks or {}}))
        return records.read(path).counted()

    return write


@pytest.fixture
def seven_b(make: MakeRun) -> Run:
    """A run of Janus-Pro-7B: MMBench both ways, GenEval, DPG-Bench both ways with failures."""
    return make(
        "pro-7b",
        tasks={
            "mmbench": {
                "circular": result(mmbench("circular"), overall=(0.661, 0.634, 0.688)),
                "paper": result(mmbench(), overall=(0.789, 0.777, 0.801)),
            },
            "geneval": {
                "official": result(
                    GENEVAL,
                    **{"overall": (0.789, 0.772, 0.806), "two_object": (0.866, 0.832, 0.885)},
                )
            },
            "dpg": {
                "official": result(DPG, "percent", 3, overall=(83.73, 82.9, 84.5)),
                "fixed": result(FIXED, "percent", overall=(83.80, 83.0, 84.6)),
            },
        },
    )


@pytest.fixture
def hostile(make: MakeRun) -> Run:
    """A run of no known system whose folder's name would do harm in every format."""
    tasks = {"mmbench": {"paper": result(mmbench(), overall=(0.7, 0.68, 0.72))}}
    return make("<script>alert(1)|x$_{%&#~^\\ 🎈 \u202eab", "mine", "my-weights", tasks)
