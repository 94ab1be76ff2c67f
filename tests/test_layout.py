"""The rules of the layout: who may import whom, how long code may grow, and what no file may say."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

HOUSES = ("models", "tasks", "reports")
MAX_FILE, MAX_FUNCTION = 400, 60
OUR_MODULE = re.compile(r"janus_eval(\.\w+)+(:\w+)?")


def area(name: PurePosixPath) -> str:
    """Whose rules a file keeps: the core's, one of the three houses', or of what lies outside the package."""
    if name.parts[:2] == ("models", "training"):
        return "models.training"
    return {"janus_eval": "core"}.get(name.parts[0], name.parts[0])


# area -> (import names it must not touch, and the part of them it may)
FORBIDDEN: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "core": (("janus_eval.models", "janus_eval.tasks", "janus_eval.reports"), ()),
    "models": (("janus_eval.tasks", "janus_eval.reports"), ()),
    "models.training": (("janus_eval.tasks", "janus_eval.reports"), ("janus_eval.tasks.shapes",)),
    "tasks": (("janus_eval.models", "janus_eval.reports"), ()),
    "reports": (("janus_eval.models", "janus_eval.tasks"), ()),
}


def under(module: str, names: tuple[str, ...]) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in names)


def imported(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of all imports; ``from a import b`` gives ``a.b``, and a relative one keeps its dots.

    A string that is nothing but a module of ours counts too: that is how ``importlib`` would be given one.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Constant) and OUR_MODULE.fullmatch(str(node.value)):
            yield node.lineno, str(node.value).partition(":")[0]


def import_faults(name: PurePosixPath, source: str) -> list[str]:
    """What a file imports against the rules, one line a fault."""
    forbidden, allowed = FORBIDDEN.get(area(name), ((), ()))
    faults = []
    for line, module in imported(ast.parse(source)):
        if module.startswith("."):
            faults.append(f"{name}:{line}: relative import {module}; write the whole name, janus_eval....")
        elif under(module, HOUSES):
            faults.append(f"{name}:{line}: import janus_eval.{module}; bare, it would be a second copy")
        elif under(module, forbidden) and not under(module, allowed):
            faults.append(f"{name}:{line}: {area(name)} must not import {module}")
    return faults


def length_faults(name: PurePosixPath, source: str) -> list[str]:
    """Files and functions beyond their limits; functions of tests may be long."""
    lines = len(source.splitlines())
    faults = [f"{name}: {lines} lines; at most {MAX_FILE}, cut it where its ideas part"] if lines > MAX_FILE else []
    if name.parts[0] == "tests":
        return faults
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > MAX_FUNCTION:
                faults.append(f"{name}:{node.lineno}: {node.name} has {length} lines; at most {MAX_FUNCTION}")
    return faults


# Paths of a developer's machine, and notes to oneself. Written so that this file does not contain them.
UNWANTED = re.compile(
    r"(?<![\w.])/(?:root|work|farm|home/\w+|opt/(?:wheels|pypi))(?:/|\b)|\.\./shared|\b(?:TO[D]O|FIX[M]E)\b"
)


def unwanted(name: PurePosixPath, text: str) -> list[str]:
    return [
        f"{name}:{number}: {match[0]!r}"
        for number, line in enumerate(text.splitlines(), 1)
        for match in UNWANTED.finditer(line)
    ]


@pytest.fixture(scope="module")
def sources(repository: Path, kept_files: list[PurePosixPath]) -> dict[PurePosixPath, str]:
    return {name: (repository / name).read_text() for name in kept_files if name.suffix == ".py"}


def test_imports_keep_to_the_rules(sources: dict[PurePosixPath, str]) -> None:
    assert {area(name) for name in sources} >= {*FORBIDDEN, "tests"}, (
        "a whole area has no file: does its folder still exist?"
    )
    faults = [fault for name, source in sources.items() for fault in import_faults(name, source)]
    assert not faults, "\n".join(faults)


def test_files_and_functions_stay_short(sources: dict[PurePosixPath, str]) -> None:
    faults = [fault for name, source in sources.items() for fault in length_faults(name, source)]
    assert not faults, "\n".join(faults)


def test_no_file_names_a_developers_machine(repository: Path, kept_files: list[PurePosixPath]) -> None:
    faults: list[str] = []
    for name in kept_files:
        data = (repository / name).read_bytes()
        if b"\0" not in data[:8192] and name.suffix not in {".safetensors", ".gz", ".png"}:
            faults += unwanted(name, data.decode("utf-8"))
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("janus_eval/x.py", "import janus_eval.models"),
        ("janus_eval/cli/x.py", "from janus_eval import tasks"),
        ("janus_eval/x.py", "def f():\n    from janus_eval.reports.page import page"),
        ("janus_eval/x.py", "load = __import__('importlib').import_module('janus_eval.models.parts')"),
        ("tasks/x.py", "from janus_eval.models.parts import llama"),
        ("tasks/shapes/x.py", "from janus_eval.models import training"),
        ("models/x.py", "from janus_eval.tasks.shapes import scenes"),
        ("models/training/x.py", "from janus_eval.tasks import mmbench"),
        ("reports/x.py", "import janus_eval.tasks.geneval"),
        ("tests/x.py", "import models"),
        ("benchmarks/x.py", "from tasks.shapes import scenes"),
        ("models/x.py", "from . import parts"),
    ],
)
def test_the_import_rules_catch(name: str, source: str) -> None:
    assert len(import_faults(PurePosixPath(name), source)) == 1


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("models/training/x.py", "from janus_eval.tasks.shapes.scenes import Scene"),
        ("models/training/x.py", "import janus_eval.models.parts.llama"),
        ("tasks/x.py", "from janus_eval.types import Sample"),
        ("tests/x.py", "from janus_eval import models, tasks"),
        ("janus_eval/x.py", "import transformers.models.llama"),
    ],
)
def test_the_import_rules_let_pass(name: str, source: str) -> None:
    assert import_faults(PurePosixPath(name), source) == []


def test_the_length_rules_catch() -> None:
    body = "def f():\n" + "    x = 1\n" * MAX_FUNCTION
    assert len(length_faults(PurePosixPath("models/x.py"), body)) == 1
    assert length_faults(PurePosixPath("models/x.py"), body.replace("    x = 1\n", "", 1)) == []
    assert len(length_faults(PurePosixPath("tests/x.py"), "x = 1\n" * (MAX_FILE + 1))) == 1


def test_unwanted_words_are_caught() -> None:
    path, note = "/" + "root/", "TO" + "DO"
    assert unwanted(PurePosixPath("x"), f"a\nsee {path}venv and {note}: more") == [f"x:2: {path!r}", f"x:2: {note!r}"]
    assert unwanted(PurePosixPath("x"), "work/root, https://example.org/work/a, TODOS") == []
