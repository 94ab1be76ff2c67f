"""The gate where others run it: pytest, a GitHub action, a GitLab job. Their very commands are run."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import yaml

import janus_eval
from janus_eval.gating import baseline
from janus_eval.gating.sides import read_run

TOYS = Path(__file__).with_name("toys.py")
PLUGIN = "janus_eval.gating.pytest_plugin"
PLAIN = {"OMP_NUM_THREADS": "1", "COLUMNS": "80", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


@pytest.fixture
def runs(toys: object, tmp_path: Path) -> Path:
    """A folder with a baseline file, a checkpoint that is no worse, and one that was set to be."""
    base = janus_eval.evaluate("toy", ["toy-big", "toy-ask"], out=tmp_path / "base", limit=20).folder
    (tmp_path / "base.gz").write_bytes(baseline.packed(read_run(base)))
    janus_eval.evaluate("toy", ["toy-big", "toy-ask"], out=tmp_path / "worse", limit=20, settings={"skill": 0.3})
    return tmp_path


def outcome(runs: Path, *arguments: str) -> tuple[int, str]:
    (runs / "conftest.py").write_text(f"from janus_eval import plugin_files\nplugin_files.add({str(TOYS)!r})\n")
    (runs / "test_other.py").write_text("def test_other():\n    pass\n")
    command = [sys.executable, "-m", "pytest", "-p", PLUGIN, "-p", "no:cacheprovider", "--no-header", *arguments]
    done = subprocess.run(
        command, check=False, cwd=runs, env=os.environ | PLAIN, capture_output=True, text=True, timeout=300
    )
    return done.returncode, done.stdout + done.stderr


def test_pytest_has_a_test_a_metric(runs: Path) -> None:
    code, out = outcome(
        runs, "--janus-candidate", "toy:other", "--janus-baseline", "base.gz", "--janus-out", "new", "-v"
    )
    assert code == 0 and "3 passed" in out, out
    assert "janus-gate[toy-big/plain] PASSED" in out and "janus-gate[toy-ask/plain] PASSED" in out
    assert (runs / "new").is_dir(), "a model is asked what the baseline was"

    [worse] = (runs / "worse").iterdir()
    given = ("--janus-candidate", str(worse), "--janus-baseline", "base.gz")
    code, out = outcome(runs, *given)
    assert code == 1 and "2 failed, 1 passed" in out and "settings: skill: 0.7 -> 0.3" in out
    code, out = outcome(runs, *given, "--janus-allow", "settings", "-m", "janus_gate", "-k", "toy-big")
    assert code == 1 and "1 failed, 2 deselected" in out and "toy-big/plain: worse, and by more than noise" in out, out
    code, out = outcome(runs, *given, "--collect-only", "-q", "-m", "janus_suite(name='toys')")
    assert code == 0 and "toy-ask" in out and "toy-big" not in out, out


def test_pytest_without_or_with_bad_options(runs: Path) -> None:
    code, out = outcome(runs)
    assert code == 0 and "1 passed" in out
    code, out = outcome(runs, "--janus-baseline", "base.gz")
    assert code == 4 and "--janus-candidate and --janus-baseline go together" in out
    code, out = outcome(runs, "--janus-baseline", "no.gz", "--janus-candidate", "toy")
    assert code == 4 and "there is no such run folder or baseline file" in out
    (runs / "held").write_text("toy-big 3.1\n")
    more = ("--janus-must-hold", "held", "--janus-metric", "toy-big:alone")
    code, out = outcome(runs, "--janus-candidate", "toy:other", "--janus-baseline", "base.gz", *more, "-v")
    assert code == 0 and "janus-gate[must-hold] PASSED" in out and "toy-big/plain:alone] PASSED" in out, out


def test_pytest_on_several_workers_asks_once(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOY_LOG", str(runs / "log"))
    given = ("-p", "xdist", "-n", "2", "--janus-baseline", "base.gz", "--janus-out", "new", "--janus-candidate")
    code, out = outcome(runs, *given, "toy:other", "--janus-sequential", "-v")
    assert code == 0 and "3 passed" in out, out
    asked = (runs / "log").read_text().splitlines()
    assert len(asked) == len(set(asked)) < 208, "no worker asked what another had asked, and not all was needed"
    [worse] = (runs / "worse").iterdir()
    code, out = outcome(runs, *given, str(worse))
    assert code == 1 and "2 failed, 1 passed" in out and "settings: skill: 0.7 -> 0.3" in out, out


def test_the_plugin_is_offered_to_pytest(repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {PLUGIN: PLUGIN}, "under its own name, so that -p names it too"


def shell(folder: Path, script: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run it as a CI system does, with the toys in ``janus-eval``."""
    bin_ = folder / "bin"
    bin_.mkdir(exist_ok=True)
    (bin_ / "janus-eval").write_text(f'#!/bin/sh\nexec {sys.executable} -m janus_eval --plugin {TOYS} "$@"\n')
    (bin_ / "janus-eval").chmod(0o755)
    environment = os.environ | PLAIN | variables | {"PATH": f"{bin_}:{os.environ['PATH']}"}
    command = ["bash", "-eo", "pipefail", "-c", script]
    return subprocess.run(
        command, check=False, cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )


@pytest.mark.parametrize(
    ("arguments", "code"), [("--allow settings", 1), ("--sequential --allow settings", 1), ("", 3)]
)
def test_the_github_action(repository: Path, runs: Path, arguments: str, code: int) -> None:
    action = yaml.safe_load((repository / "docs/gate/action.yml").read_text())
    steps = [step for step in action["runs"]["steps"] if "run" in step]
    assert [step["shell"] for step in steps] == ["bash", "bash"]
    [worse] = (runs / "worse").iterdir()
    inputs = {name: field.get("default", "") for name, field in action["inputs"].items()}
    inputs |= {"candidate": str(worse), "baseline": "base.gz", "arguments": arguments}
    codes = []
    for step in steps:
        assert "${{" not in step["run"], "inputs reach a script through its environment alone"
        variables = {name: value.replace("${{ inputs.", "").replace(" }}", "") for name, value in step["env"].items()}
        values = {name: inputs[value] for name, value in variables.items()}
        done = shell(runs, step["run"], GITHUB_STEP_SUMMARY=str(runs / "summary.md"), **values)
        codes.append(done.returncode)
    assert codes == [0, code], done.stdout + done.stderr
    summary = (runs / "summary.md").read_text()
    assert f"janus-eval baseline {worse} -o base.gz" in summary, "accepting a change is one command, named"
    cases = ET.parse(runs / "janus-gate" / "gate.xml").findall(".//testcase")
    assert (
        len(cases) == 2 and (runs / "janus-gate" / "gate.html").is_file() and (runs / "janus-gate/gate.json").is_file()
    )


def test_the_gitlab_job(repository: Path, runs: Path) -> None:
    job = yaml.safe_load((repository / "docs/gate/gitlab-ci.yml").read_text())["janus-gate"]
    script = "\n".join(job["script"])
    base = janus_eval.evaluate("toy", ["toy-big"], out=runs / "base big", limit=20).folder
    (runs / "base.gz").write_bytes(baseline.packed(read_run(base)))
    given = {"JANUS_MODEL": "toy:other", "JANUS_TASK": "toy-big", "JANUS_LIMIT": "20", "JANUS_BASELINE": "base.gz"}
    assert given.keys() | {"JANUS_ARGUMENTS", "JANUS_SEQUENTIAL"} == job["variables"].keys()
    done = shell(runs, script, **{**job["variables"], **given})
    assert done.returncode == 0 and "Passed: 1 metric held." in done.stdout, done.stdout + done.stderr
    assert (runs / job["artifacts"]["reports"]["junit"]).is_file() and (runs / job["artifacts"]["paths"][0]).is_file()
    done = shell(runs, script, **{**job["variables"], **given, "JANUS_SEQUENTIAL": "yes"})
    assert done.returncode == 0 and "Asked in random order 0" in done.stdout, done.stdout + done.stderr
    done = shell(runs, script, **{**job["variables"], **given, "JANUS_LIMIT": "10"})
    assert done.returncode != 0
