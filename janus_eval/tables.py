"""The table that ``run`` prints, drawn by the reports package, and a plain one where that isn't installed."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from janus_eval import plugins
from janus_eval.store import read_json

if TYPE_CHECKING:
    from rich.console import Console


def terminal_table(runs: Sequence[Path], width: int) -> str | None:
    """The reporter ``terminal``'s table as plain text; None where no plugin offers it."""
    from rich.console import Console

    text = io.StringIO()
    return text.getvalue() if _rendered(runs, Console(file=text, width=width)) else None


def print_table(runs: Sequence[Path]) -> None:
    """The same on standard output, in colour where that is a terminal; else the plain one."""
    from rich.console import Console

    console = Console()
    if not _rendered(runs, console):
        console.out(plain_table(runs), end="", highlight=False)


def _rendered(runs: Sequence[Path], console: Console) -> bool:
    if "terminal" not in plugins.names("reporters"):
        return False
    console.print(plugins.load("reporters", "terminal")(list(runs), console.width))
    return True


def plain_table(runs: Sequence[Path]) -> str:
    """One line a model, task and protocol: headline, 95% interval, failures."""
    lines = []
    for run in runs:
        results = read_json(run / "results.json")
        for task, protocols in results["tasks"].items():
            for protocol, result in protocols.items():
                lines.append(f"{run.name}  {task}/{protocol}  {in_words(result['metrics']['overall'])}")
    return "".join(f"{line}\n" for line in lines)


def in_words(estimate: dict[str, Any]) -> str:
    """``0.750 (0.512-0.881)``, with the failures."""
    digits = 3 if estimate["unit"] == "fraction" else 1
    if estimate["value"] is None:
        number = "no number"
    else:
        value, low, high = (f"{estimate[name]:.{digits}f}" for name in ("value", "low", "high"))
        number = f"{value} ({low}-{high})" + ("" if estimate["unit"] == "fraction" else f" {estimate['unit']}")
    return number + (f", {estimate['failed']} failed" if estimate["failed"] else "")
