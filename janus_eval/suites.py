"""Suites: named lists of tasks with the models that are run on them when none is named."""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT = "shapes"
"""The suite of ``janus-eval run`` without ``--suite`` and ``--task``."""


@dataclass(frozen=True, slots=True)
class Suite:
    """``tasks`` are ``TASK`` or ``TASK/PROTOCOL``, ``models`` specs as ``--model`` takes them."""

    name: str
    tasks: tuple[str, ...]
    models: tuple[str, ...] = ()
    title: str = ""
