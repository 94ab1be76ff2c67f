"""A run's headline numbers as the ``model-index`` of a model card, in the form that the Hugging Face hub reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from janus_eval.errors import UserError
from janus_eval.reports.exports_rows import Exported, Record, read

# The hub's own names of tasks, by what a benchmark asks of a model; it takes others, but doesn't know them.
TASKS = {"question": "image-text-to-text", "ranking": "image-text-to-text", "drawing": "text-to-image"}
METRICS = {"fid": "fid", "dB": "psnr"}


def write(run: Path, out: Path) -> list[str]:
    """Write ``out``: for ``.yaml`` or ``.yml`` the metadata alone, for ``.md`` a card that has nothing else; in any
    other place ``out/README.md``. Returns lines to print."""
    found = read(run)
    text = metadata(found)
    bare = out.suffix in {".yaml", ".yml"}
    file = out if bare or out.suffix == ".md" else out / "README.md"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text if bare else f"---\n{text}---\n", "utf-8")
    except OSError as error:
        raise UserError(f"{file}: cannot be written ({error.strerror})") from error
    return [f"{file}: {len(results(found))} results", *found.unread]


def metadata(found: Exported) -> str:
    """The YAML of ``model-index``. Raises UserError where no task came to a number."""
    from huggingface_hub import ModelCardData

    listed = results(found)
    if not listed:
        raise UserError(f"{found.path} has no number yet; the same run command goes on", code=3)
    return ModelCardData(model_name=found.known_as.rstrip("/").rpartition("/")[2], eval_results=listed).to_yaml() + "\n"


def results(found: Exported) -> list[Any]:
    """One ``EvalResult`` for the headline of each task under each protocol; intervals and knobs stand in ``args``."""
    from huggingface_hub import EvalResult

    limit = found.header.get("limit")
    part = f" (the first {limit} groups of each category)" if limit is not None else ""
    listed = []
    for task, protocol, result in found.pairs:
        one = (result.get("metrics") or {}).get("overall") or {}
        if one.get("value") is None:
            continue
        knobs = result.get("protocol") or {}
        listed.append(
            EvalResult(
                task_type=_task_type(found, task),
                dataset_type=task,
                dataset_name=f"{knobs.get('title') or task}{part}",
                dataset_config=protocol,
                dataset_args={name: knobs[name] for name in ("ask", "observe", "judge") if knobs.get(name)} or None,
                metric_type=METRICS.get(str(one.get("unit")), "accuracy"),
                metric_name=f"{task}/{protocol}",
                metric_value=one["value"],
                metric_args=_interval(one, found, result),
            )
        )
    return listed


def _interval(one: Record, found: Exported, result: Record) -> dict[str, Any]:
    told = {name: one.get(name) for name in ("unit", "low", "high", "n", "failed")}
    seed, limit = found.header.get("seed"), found.header.get("limit")
    return {**told, "seed": seed, "limit": limit, "fingerprint": dict(result.get("fingerprint") or {})}


def _task_type(found: Exported, task: str) -> str:
    kind = next((str(row.response.get("kind")) for row in found.rows if row.response["task"] == task), "")
    return TASKS.get(kind, "image-to-image")
