"""The toys, really registered: through the door that ``--plugin`` uses."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from janus_eval import plugin_files, plugins

TOYS = Path(__file__).with_name("toys.py")


@pytest.fixture
def toys() -> Iterator[ModuleType]:
    """The module of the toys, whose plugins are there for this test only."""
    plugins.registry.cache_clear()
    plugin_files.add(str(TOYS))
    yield sys.modules["janus_eval_plugin_toys"]
    plugins.registry.cache_clear()


@pytest.fixture
def command(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start ``janus-eval`` with the toys in another process, in an empty folder."""

    def start(*arguments: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "janus_eval", "--plugin", str(TOYS), *arguments],
            cwd=tmp_path,
            env=os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "80"} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start
