"""Evaluate unified multimodal models: every knob pinned, every number with its uncertainty."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from janus_eval.evaluation import Run as Run
    from janus_eval.evaluation import evaluate as evaluate
    from janus_eval.evaluation import sweep as sweep

__all__ = ["Run", "evaluate", "sweep"]


def __getattr__(name: str) -> Any:
    """Import on first use: the command line must start without numpy, and `import janus_eval` must cost nothing."""
    if name in __all__:
        import importlib

        return getattr(importlib.import_module("janus_eval.evaluation"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
