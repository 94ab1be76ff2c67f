"""The wheel holds what git holds, no more and no less, and its types are complete."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path, PurePosixPath

import pytest

HOUSES = ("models", "tasks", "reports")  # folders at the top whose import names lie under janus_eval
DATA = (
    "janus_eval/py.typed",
    "models/training/recipes/*.json",
    "models/nano/*/*",
    "models/nano/*/vae/*",
    "tasks/lmms_tasks/*.yaml",
    "tasks/textimages/words.json",
    "tasks/textimages/fonts/*",
    "reports/published/*.json",
    "reports/templates/*",
)


def import_path(name: PurePosixPath) -> str:
    """Where a file of the repository lies once it is installed."""
    return str(PurePosixPath("janus_eval", name) if name.parts[0] in HOUSES else name)


def belongs(name: PurePosixPath) -> bool:
    """Whether a kept file is part of the package: its modules, and the data that the patterns name."""
    if name.parts[0] not in {"janus_eval", *HOUSES}:
        return False
    return name.suffix == ".py" or any(name.match(pattern) for pattern in DATA)


def test_the_wheel_holds_exactly_what_git_holds(wheel: Path, kept_files: list[PurePosixPath]) -> None:
    expected = {import_path(name) for name in kept_files if belongs(name)}
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert packed == expected, (
        f"missing from the wheel: {sorted(expected - packed)}; unexpected: {sorted(packed - expected)}. "
        "See `packages` and `package-data` in pyproject.toml and DATA in this file."
    )


def test_every_file_of_the_package_is_accounted_for(kept_files: list[PurePosixPath]) -> None:
    strays = [str(name) for name in kept_files if name.parts[0] in {"janus_eval", *HOUSES} and not belongs(name)]
    assert not strays, f"neither modules nor package data: {strays}; name their pattern in pyproject.toml and in DATA"


def test_the_wheel_states_its_licence_and_its_door(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        info = {PurePosixPath(name).name: name for name in archive.namelist() if ".dist-info/" in name}
        assert "Apache License" in archive.read(info["LICENSE"]).decode()
        assert "License-Expression: Apache-2.0" in archive.read(info["METADATA"]).decode()
        entry_points = archive.read(info["entry_points.txt"]).decode()
    assert "janus-eval = janus_eval.__main__:main" in entry_points
    for house in HOUSES:
        assert f"{house} = janus_eval.{house}:plugins" in entry_points


def test_pyproject_lists_every_package(repository: Path, kept_files: list[PurePosixPath]) -> None:
    listed = tomllib.loads((repository / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = {
        import_path(name.parent).replace("/", ".")
        for name in kept_files
        if name.name == "__init__.py" and name.parts[0] in {"janus_eval", *HOUSES}
    }
    assert sorted(listed) == sorted(found), "`packages` in pyproject.toml and the folders with __init__.py differ"
    bare = {
        str(name.parent)
        for name in kept_files
        if name.suffix == ".py"
        and name.parts[0] in {"janus_eval", *HOUSES}
        and import_path(name.parent).replace("/", ".") not in found
    }
    assert not bare, f"modules in folders without __init__.py: {sorted(bare)}"


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the wheel alone is installed in; what it depends on comes from the running interpreter."""
    target = tmp_path_factory.mktemp("site")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--target", str(target)]
    installed = subprocess.run([*install, str(wheel)], check=False, capture_output=True, text=True)
    assert installed.returncode == 0, installed.stderr
    return target


def test_the_installed_wheel_evaluates_and_reports(site: Path, tmp_path: Path) -> None:
    """With its own files, not those of the checkout that the editable install points to."""
    code = (
        "import janus_eval.models, sys; from janus_eval.cli.app import main; print(janus_eval.models.__file__); main()"
    )
    arguments = ["run", "--model", "oracle", "--task", "shapes-ocr-read", "--limit", "1", "--out", "out"]
    ran = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith(str(site))
    assert "</html>" in (tmp_path / "out" / "report.html").read_text()


def test_strict_mypy_passes_on_the_installed_wheel(site: Path, repository: Path, tmp_path: Path) -> None:
    """From outside the checkout: inside it, mypy takes the folder ``janus_eval`` alone and misses the other three."""
    config = repository / "pyproject.toml"
    cache = repository / ".mypy_cache" / "wheel"
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", config, "--cache-dir", cache, "-p", "janus_eval"],
        cwd=tmp_path,
        env={"MYPYPATH": str(site), "PATH": ""},
        check=False,
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    seen = re.search(r"no issues found in (\d+) source files", checked.stdout)
    assert seen is not None, checked.stdout
    modules = list((site / "janus_eval").rglob("*.py"))
    # mypy counts a folder without __init__.py (recipes, templates) as an empty module of its own.
    data = [
        folder
        for folder in (site / "janus_eval").rglob("*/")
        if folder.is_dir() and folder.name != "__pycache__" and not (folder / "__init__.py").exists()
    ]
    assert int(seen[1]) == len(modules) + len(data), "mypy did not see every module of the wheel"
