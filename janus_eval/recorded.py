"""Recorded outputs of another implementation, and how far ours are from them.

The gates are fixed, never a table per case: 5e-4 on logits, 1e-4 on other floats, ids exactly equal, bytes within 1.
A kind of case may have others for some of its tensors, by name and for all its cases.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from janus_eval.checkpoint import Checkpoint
from janus_eval.errors import UserError

LOGITS, FLOATS, BYTES = 5e-4, 1e-4, 1


@dataclass(frozen=True)
class CaseKind:
    """A kind of case that ``janus-eval verify`` knows; plugins offer theirs as ``cases``."""

    owns: Callable[[Mapping[str, Any]], bool]
    """Whether a parsed ``config.json`` is one of this kind."""
    checks: Callable[[Checkpoint], Mapping[str, Callable[[Recorded], None]]]
    """What can be held against a recorded file, by its name without the suffix."""
    lacks: Callable[[str], str] = lambda name: ""
    """Why a recorded file that others know can't be checked here, if there is more to say than whose case it is."""


class Finding(NamedTuple):
    """One expected tensor: how far ours is from it, and how far it may be."""

    tensor: str
    difference: float
    gate: float
    note: str = ""

    @property
    def within(self) -> bool:
        return self.difference <= self.gate


@dataclass
class Recorded:
    """One file of a case: reading a tensor takes it as an input, ``compare`` as an expectation."""

    path: Path
    tensors: Mapping[str, Tensor]
    findings: list[Finding] = field(default_factory=list)
    used: set[str] = field(default_factory=set)

    def __getitem__(self, name: str) -> Tensor:
        if name not in self.tensors:
            raise UserError(f"{self.path} has no tensor {name!r}, which it takes to check this file")
        self.used.add(name)
        return self.tensors[name]

    def __contains__(self, name: str) -> bool:
        return name in self.tensors

    def floats(self, name: str) -> Tensor:
        """An input of floating point numbers, in float32. Raises UserError for other types."""
        tensor = self[name]
        if not tensor.is_floating_point():
            raise UserError(f"{self.path}: {name} holds {tensor.dtype}, expected floating point numbers")
        return tensor.float()

    def ids(self, name: str, count: int) -> Tensor:
        """An input that is a matrix of ids below ``count``, in int64. Raises UserError for anything else."""
        tensor = self[name]
        self.expect_shape(name, tensor, (None, None))
        whole = not tensor.is_floating_point() and tensor.dtype != torch.bool
        if not whole or int(tensor.min()) < 0 or int(tensor.max()) >= count:
            raise UserError(f"{self.path}: {name} must hold ids from 0 to {count - 1}")
        return tensor.long()

    def number(self, name: str) -> float:
        """An input that is one number, whatever its shape. Raises UserError for several or none."""
        tensor = self[name]
        if tensor.numel() != 1:
            raise UserError(f"{self.path}: {name} is {list(tensor.shape)}, expected one number")
        return float(tensor)

    def numbered(self, pattern: str) -> list[str]:
        """Names that match ``pattern``, in order."""
        return sorted(name for name in self.tensors if re.fullmatch(pattern, name))

    def compare(
        self,
        name: str,
        ours: Tensor,
        where: Tensor | None = None,
        *,
        gate: float | None = None,
        stored: torch.dtype | None = None,
    ) -> None:
        """Record how far ``ours`` is from the expected tensor (``where``: the places that count), if there is one.

        ``gate``: this kind's own gate, where the usual one of such a tensor is not meant. ``stored``: a narrower type
        in which the format keeps this tensor; what rounding to it can have moved is taken off each gap.
        """
        if name not in self.tensors:
            return
        expected = self[name]
        gate = gate_of(name, ours) if gate is None else gate
        if ours.shape != expected.shape:
            self.measured(name, float("inf"), gate, note=f"shape {list(ours.shape)}, expected {list(expected.shape)}")
            return
        gaps = (ours.double() - expected.double()).abs()
        if stored is not None and expected.dtype == stored:
            gaps = (gaps - expected.double().abs() * (torch.finfo(stored).eps / 2)).clamp(min=0)
        gaps = gaps if where is None else gaps[where]
        largest = float(gaps.max()) if gaps.numel() else 0.0
        note = f"{int((gaps > 0).sum())} of {gaps.numel()} differ" if gate == 0 and largest > 0 else ""
        self.measured(name, largest, gate, note=note)

    def measured(self, name: str, difference: float, gate: float, *, note: str = "") -> None:
        """Record a difference from an expected tensor in a measure of its own, such as one less the overlap."""
        self.findings.append(Finding(f"{self.path.stem}/{name}", difference, gate, note))

    def expect_shape(self, name: str, tensor: Tensor, shape: tuple[int | None, ...]) -> None:
        """Raise UserError unless an input has this shape; None stands for any size but 0."""
        sizes = zip(tensor.shape, shape, strict=False)
        if tensor.ndim != len(shape) or any(want not in {None, got} or not got for got, want in sizes):
            wanted = ", ".join("*" if want is None else str(want) for want in shape)
            raise UserError(f"{self.path}: {name} is {list(tensor.shape)}, expected [{wanted}]")


def gate_of(name: str, ours: Tensor) -> float:
    """By what is computed, so that a recording of another type cannot choose itself a wider gate."""
    if ours.dtype == torch.uint8:
        return BYTES
    if not ours.is_floating_point():
        return 0.0
    return LOGITS if "logit" in name else FLOATS
