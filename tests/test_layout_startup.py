"""Importing the package and asking for help cost nothing: no heavy library is loaded before it is needed."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = {
    "torch",
    "torchvision",
    "transformers",
    "diffusers",
    "numpy",
    "scipy",
    "pandas",
    "pyarrow",
    "matplotlib",
    "PIL",
    "jinja2",
}
AFTERWARDS = "\nimport json, sys\nsys.stderr.write(json.dumps(sorted({m.partition('.')[0] for m in sys.modules})))"


def loaded_by(code: str) -> set[str]:
    """Names of the top-level modules that a fresh interpreter has loaded once it ran ``code``."""
    ran = subprocess.run([sys.executable, "-c", code + AFTERWARDS], check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return set(json.loads(ran.stderr))


@pytest.mark.parametrize(
    "code",
    [
        "import janus_eval",
        "from janus_eval import plugins; plugins.names('models')",
        "from janus_eval.cli.app import run; assert run(['--help']) == 0",
        "from janus_eval.cli.app import run; assert run(['run', '--help']) == 0",
        "from janus_eval.cli.app import run; assert run(['fetch', '--help']) == 0",
        "from janus_eval.cli.app import run; assert run(['--version']) == 0",
    ],
)
def test_nothing_heavy_is_loaded(code: str) -> None:
    heavy = loaded_by(code) & HEAVY
    assert not heavy, f"{code!r} loads {sorted(heavy)}: import inside the function that needs it"


def test_the_check_sees_what_is_loaded() -> None:
    assert "numpy" in loaded_by("import numpy") & HEAVY
