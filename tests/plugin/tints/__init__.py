"""A plugin as a package: a model, a drawing task, the instrument that looks at its pictures, a suite and a command."""

from __future__ import annotations


def plugins() -> dict[str, dict[str, str]]:
    """Read whenever janus-eval starts, so it imports nothing; what it names is imported when it is used."""
    return {
        "models": {"painter": "tints.model:Painter | draws a sheet of the first tint that it reads"},
        "tasks": {"tints": "tints.task:Tints"},
        "instruments": {"tint-meter": "tints.instrument:TintMeter | says yes where a picture has the tint"},
        "suites": {"tints": "tints.task:suite"},
        "commands": {"tint": "tints.command:tint | Print a tint's numbers."},
    }
