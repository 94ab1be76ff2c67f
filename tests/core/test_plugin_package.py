"""A plugin as a package, really installed; and the examples of docs/plugins.md, run as they stand."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Call = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def installed(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PYTHONPATH into which pip has installed the package."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("installed")
    shutil.copytree(repository / "tests" / "plugin", source, dirs_exist_ok=True)  # building leaves files in its folder
    plain = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "--quiet"]
    command = [sys.executable, "-m", "pip", "install", *plain, "--target", str(target), str(source)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return target


@pytest.fixture
def call(tmp_path: Path) -> Call:
    """``janus-eval`` in an empty folder, with what is installed in ``path``."""

    def run(*arguments: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "janus_eval", *arguments],
            cwd=tmp_path,
            env=os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "100", "PYTHONPATH": str(path or "")},
            check=False,
            capture_output=True,
            text=True,
        )

    return run


def overall(folder: Path, task: str, protocol: str) -> Any:
    results = json.loads((folder / "results.json").read_text())
    return results["tasks"][task][protocol]["metrics"]["overall"]["value"]


def test_an_installed_package_is_discovered_listed_and_run(call: Call, installed: Path, tmp_path: Path) -> None:
    for kind, name in [("models", "painter"), ("tasks", "tints"), ("instruments", "tint-meter")]:
        listed = call("list", kind, path=installed)
        assert listed.returncode == 0 and name in listed.stdout, listed
    assert "tints" not in call("list", "tasks").stdout, "it is there without being installed"
    done = call("run", "--suite", "tints", path=installed)
    assert done.returncode == 0, done.stderr
    values = [overall(folder, "tints", "plain") for folder in sorted((tmp_path / "janus-eval-runs").glob("painter*"))]
    assert sorted(values) == [0.0, 1.0]
    # Its settings have bounds, its names are known to our messages, its command is one of ours.
    bad = call("run", "--task", "tints", "--model", "painter?skill=2", path=installed)
    assert (bad.returncode, bad.stderr.count("\n")) == (2, 1) and "skill" in bad.stderr
    asked = call("run", "--task", "tint", "--model", "painter", path=installed)
    assert asked.returncode == 2 and "did you mean 'tints'" in asked.stderr
    assert call("tint", "rose", path=installed).stdout == "255 150 180\n"


def test_its_runs_go_through_every_stage(call: Call, installed: Path, tmp_path: Path) -> None:
    for checkpoint in ("first", "second"):
        done = call("run", "--task", "tints", "--model", f"painter:{checkpoint}", "--out", checkpoint, path=installed)
        assert done.returncode == 0, done.stderr
    [first], [second] = (tmp_path / "first").glob("painter*"), (tmp_path / "second").glob("painter*")
    before = (first / "results.json").read_bytes()
    assert call("score", str(first), "--protocol", "plain", path=installed).returncode == 0
    assert (first / "results.json").read_bytes() == before
    # Another checkpoint is what the gate is for; this one draws alike.
    gated = call("gate", str(second), "--baseline", str(first), path=installed)
    assert "tints" in gated.stdout and gated.returncode in {0, 3}, gated  # six pictures may be too few to say
    assert call("report", str(first), str(second), "--out", "site", path=installed).returncode == 0
    assert "Tints: is the sheet" in "".join(page.read_text() for page in (tmp_path / "site").rglob("*.html"))


def test_the_examples_run_as_they_stand(call: Call, repository: Path, tmp_path: Path) -> None:
    model, benchmark = (repository / "docs" / "examples" / f"{name}.py" for name in ("model", "benchmark"))
    both = ["--plugin", str(model), "--plugin", str(benchmark)]
    tasks = ["--task", "colour-names", "--task", "colour-names/free"]
    done = call("run", *both, *tasks, "--model", "one-colour", "--model", "nano-janus-pro")
    assert done.returncode == 0, done.stderr
    runs = tmp_path / "janus-eval-runs"
    assert [overall(runs / "one-colour", "colour-names", protocol) for protocol in ("word", "free")] == [1.0, 1.0]
    assert 0 < overall(runs / "nano-janus-pro", "colour-names", "free") < 1
    drawn = call(
        "run", "--plugin", str(model), "--model", "one-colour?side=32", "--task", "shapes-geneval", "--limit", "1"
    )
    assert drawn.returncode == 0, drawn.stderr


@pytest.mark.parametrize(("name", "most"), [("model", 30), ("benchmark", 60)])
def test_the_examples_are_as_short_as_they_say(repository: Path, name: str, most: int) -> None:
    text = (repository / "docs" / "examples" / f"{name}.py").read_text()
    said = ast.get_docstring(ast.parse(text)) or ""
    code = [line for line in text.splitlines() if line.strip() and not line.strip().startswith(("#", '"""'))]
    assert len(said.splitlines()) == 1 and len(code) <= most
