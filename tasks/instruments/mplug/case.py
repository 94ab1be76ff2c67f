"""The kind of case that holds recorded outputs of ModelScope's mPLUG; cheap to import, whatever case is verified."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from janus_eval.checkpoint import Checkpoint
from janus_eval.recorded import CaseKind, Recorded


def checks(checkpoint: Checkpoint) -> Mapping[str, Callable[[Recorded], None]]:
    """What can be held against a recorded file, by its name."""
    from janus_eval.tasks.instruments.mplug import parity

    return parity.checks(checkpoint)


case = CaseKind(owns=lambda raw: raw.get("model_type") == "mplug", checks=checks)
