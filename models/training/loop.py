"""What every stage shares: the schedule, the state on disk, the log, the progress line.

A state is everything that the next step depends on: weights, optimizer moments, step number, a stage's own counters.
It is written to a temporary file and moved into place, so that a kill at any moment leaves the last whole one.
"""

from __future__ import annotations

import json
import math
import os
import pickle
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor, nn

from janus_eval.errors import UserError
from janus_eval.models.training.recipe import Optimizer, Schedule

SAVE_SECONDS = 60.0
UNSHOWN = {"stage", "step", "seconds", "lr"}


def learning_rate(schedule: Schedule, step: int, steps: int) -> float:
    """The rate of step ``step`` (0 .. steps - 1)."""
    if step < schedule.warmup_steps:
        return schedule.lr * (step + 1) / schedule.warmup_steps
    if schedule.shape == "constant":
        return schedule.lr
    done = (step - schedule.warmup_steps) / max(1, steps - schedule.warmup_steps)
    left = 0.5 * (1 + math.cos(math.pi * done)) if schedule.shape == "cosine" else 1 - done
    return schedule.lr * (schedule.final + (1 - schedule.final) * left)


def select_trainable(model: nn.Module, names: Sequence[str]) -> list[nn.Parameter]:
    """Freeze the model but for the named modules and parameters (``all`` for everything); returns what is trainable."""
    known = {name for name, _ in (*model.named_modules(), *model.named_parameters())}
    unknown = [name for name in names if name not in known and name != "all"]
    if unknown:
        parts = ", ".join(name for name, _ in model.named_children())
        raise UserError(f"trainable: the model has no module {', '.join(unknown)}; its parts: {parts}")
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(any(part in ("all", name) or name.startswith(part + ".") for part in names))
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def adamw(model: nn.Module, rates: Mapping[str, float], options: Optimizer) -> torch.optim.AdamW:
    """AdamW over the trainable parameters, those of equal ``rates`` in one group; the rate is set at every step."""
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            factors = [factor for part, factor in rates.items() if name == part or name.startswith(part + ".")]
            groups.setdefault(factors[0] if factors else 1.0, []).append(parameter)
    return torch.optim.AdamW(
        [{"params": parameters, "factor": factor} for factor, parameters in groups.items()],
        lr=1.0,
        betas=options.betas,
        eps=1e-8,
        weight_decay=options.weight_decay,
        fused=True,
    )


@dataclass
class Stepper:
    """Runs the steps of one stage: ``step(index)`` computes losses and leaves gradients; the rest is here."""

    name: str
    steps: int
    schedule: Schedule
    options: Optimizer
    module: nn.Module
    trainable: Sequence[str]
    folder: Path
    step: Callable[[int], Mapping[str, float]]
    last_step: int
    rates: Mapping[str, float] = field(default_factory=dict)
    extra_state: Callable[[], dict[str, Tensor]] = dict
    load_extra: Callable[[Mapping[str, Tensor]], None] = lambda state: None
    after: Callable[[], None] = lambda: None
    """Called after every step of the optimizer."""

    def run(self, console: Console, *, stop_after: int | None = None) -> None:
        """From the last saved step to the end. ``stop_after`` ends the stage early, after so many steps in all."""
        parameters = select_trainable(self.module, self.trainable)
        optimizer = adamw(self.module, self.rates, self.options)
        start = self._resume(optimizer)
        end = self.last_step if stop_after is None else min(self.last_step, stop_after)
        if start >= end:
            return
        log = self.folder / "log.jsonl"
        _trim_log(log, self.name, start)
        saved = time.monotonic()
        with _progress(console) as progress, log.open("a", encoding="utf-8") as lines:
            bar = progress.add_task(self.name, total=self.last_step, completed=start, losses="")
            for index in range(start, end):
                row = self._one(index, parameters, optimizer)
                lines.write(json.dumps(row) + "\n")
                shown = "  ".join(f"{key} {value:.3f}" for key, value in row.items() if key not in UNSHOWN)
                progress.update(bar, advance=1, losses=shown)
                if not console.is_terminal and index % 100 == 0:
                    console.print(f"{self.name} {index}/{self.last_step}  {shown}", highlight=False, soft_wrap=True)
                if time.monotonic() - saved > SAVE_SECONDS:
                    lines.flush()
                    self._save(index + 1, optimizer)
                    saved = time.monotonic()
        self._save(end, optimizer)

    def _one(self, index: int, parameters: list[nn.Parameter], optimizer: torch.optim.AdamW) -> dict[str, Any]:
        began = time.monotonic()
        rate = learning_rate(self.schedule, index, self.steps)
        for group in optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        losses = dict(self.step(index))
        losses["grad_norm"] = float(nn.utils.clip_grad_norm_(parameters, self.options.grad_clip))
        if not all(math.isfinite(value) for value in losses.values()):
            raise UserError(f"{self.name}: step {index}: not finite: {losses}; lower the learning rate", code=1)
        optimizer.step()
        self.after()
        optimizer.zero_grad(set_to_none=True)
        numbers = {"lr": rate, **losses, "seconds": time.monotonic() - began}
        return {"stage": self.name, "step": index, **{key: round(value, 6) for key, value in numbers.items()}}

    @property
    def path(self) -> Path:
        return self.folder / f"{self.name}.state.pt"

    def _save(self, step: int, optimizer: torch.optim.AdamW) -> None:
        state = {
            "step": step,
            "module": self.module.state_dict(),
            "optimizer": optimizer.state_dict(),
            "extra": self.extra_state(),
        }
        atomic_save(state, self.path)

    def _resume(self, optimizer: torch.optim.AdamW) -> int:
        if not self.path.exists():
            return 0
        try:
            state = torch.load(self.path, weights_only=True)
            self.module.load_state_dict(state["module"])
            optimizer.load_state_dict(state["optimizer"])
            self.load_extra(state["extra"])
        except (KeyError, RuntimeError, ValueError, pickle.UnpicklingError) as error:
            raise UserError(
                f"{self.path} does not belong to this recipe or is damaged; give another --out, or remove it ({error})"
            ) from None
        return int(state["step"])


def _progress(console: Console) -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[losses]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, disable=not console.is_terminal)


def atomic_save(state: Mapping[str, object], path: Path) -> None:
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(path)


def _trim_log(path: Path, stage: str, step: int) -> None:
    """Drop lines of steps that a kill took back, and a torn last line."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text().splitlines():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        if row["stage"] != stage or row["step"] < step:
            kept.append(line)
    path.write_text("".join(line + "\n" for line in kept))
