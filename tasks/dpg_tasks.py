"""DPG-Bench on its published files: 1,065 prompts, and the questions of ``dpg_bench.csv`` about their pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from janus_eval.datasets import find
from janus_eval.errors import UserError
from janus_eval.tasks import datasets
from janus_eval.tasks.dpg import DPG, L1, asked_of, protocols, read_table
from janus_eval.types import JSON, Sample

CATEGORIES = (
    *L1,
    *("attribute - color", "attribute - other", "attribute - shape", "attribute - size", "attribute - texture"),
    *("entity - part", "entity - state", "entity - whole", "other - count", "other - text"),
    *("relation - non-spatial", "relation - spatial"),
)
"""As the published script prints them (JiuhaiChen/BLIP3o #48), but for ``global -``, which is all of ``global``."""


def read(table: Path, prompts: Path) -> list[Sample]:
    """One sample a prompt, in the order of the table.

    What is drawn is the text of the prompt's file, as the benchmark's README has it, without white space around it; the
    table's own text differs from some in punctuation. Raises UserError where files and table don't go together.
    """
    items = read_table(table)
    files = {path.stem: path for path in prompts.glob("*.txt")}
    if alone := sorted(items.keys() ^ files.keys()):
        few = ", ".join(alone[:5]) + (f" and {len(alone) - 5} more" if len(alone) > 5 else "")
        raise UserError(f"{table} and {prompts} are not of the same benchmark: only one of them has {few}")
    samples = []
    for name, item in items.items():
        sample = Sample(name, {"prompt": _text(files[name])}, {"questions": item["questions"]}, name, "dense")
        for question in asked_of(sample):
            if question.detailed not in CATEGORIES and question.broad != "global":
                # It would count in the overall score and be missing from the categories.
                raise UserError(
                    f"{table}, row {question.row + 1}: category {question.detailed!r} is none of DPG-Bench's"
                )
        samples.append(sample)
    return samples


def _text(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: {error}") from error
    if not text:
        raise UserError(f"{path} is empty: a prompt is expected")
    return text


def _rows(ask: Mapping[str, JSON]) -> Sequence[Sample]:
    return read(find(datasets.dpg, str(ask["questions"])), find(datasets.dpg, str(ask["prompts"])))


dpg = DPG(
    "dpg",
    "DPG-Bench: dense prompts, dependent questions",
    _rows,
    protocols({"prompts": "prompts", "questions": "dpg_bench.csv"}, "mplug"),
    categories=CATEGORIES,
    together=("fixed", "official"),
)
