from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from janus_eval import plugin_files, plugins
from janus_eval.errors import UserError


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    plugins.registry.cache_clear()
    yield
    plugins.registry.cache_clear()


def table(**kinds: dict[str, str]) -> Callable[[], dict[str, dict[str, str]]]:
    return lambda: kinds


def test_built_ins_come_through_the_same_door() -> None:
    points = {point.value for point in importlib.metadata.entry_points(group=plugins.GROUP)}
    assert {"janus_eval.models:plugins", "janus_eval.tasks:plugins", "janus_eval.reports:plugins"} <= points
    assert "shapes" in plugins.names("suites")


def test_attributes_load_when_used(tmp_path: Path) -> None:
    (tmp_path / "lazy.py").write_text(
        "def plugins():\n    return {'models': {'there': ':answer', 'not-there': 'no_such_module:x'}}\nanswer = 42\n"
    )
    plugin_files.add(str(tmp_path / "lazy.py"))
    assert "not-there" in plugins.names("models")
    assert plugins.load("models", "there") == 42


def test_collision_names_both_owners() -> None:
    registry = plugins.Registry()
    registry.add("the first", table(models={"m": "a:b"}))
    with pytest.raises(UserError, match=r"two plugins offer models 'm': the first and the second"):
        registry.add("the second", table(models={"m": "c:d"}))


@pytest.mark.parametrize(
    ("kinds", "message"),
    [({"modles": {"m": "a:b"}}, "unknown kind 'modles'"), ({"models": {"m": "a.b"}}, "expected 'module:attr'")],
)
def test_malformed_tables(kinds: dict[str, dict[str, str]], message: str) -> None:
    with pytest.raises(UserError, match=message):
        plugins.Registry().add("someone", lambda: kinds)


def test_unknown_name_suggests_near_ones(toys: ModuleType) -> None:
    with pytest.raises(UserError, match=r"unknown task 'toy-aks'; did you mean 'toy-ask'.*janus-eval list tasks"):
        plugins.load("tasks", "toy-aks")
    with pytest.raises(UserError, match=r"unknown report section 'x' \(janus-eval list report_sections\)"):
        plugins.load("report_sections", "x")


def test_missing_extra_names_its_install_command(tmp_path: Path) -> None:
    file = tmp_path / "needy.py"
    file.write_text(
        "def plugins():\n    return {'instruments': {'a': 'no_such_module:x [geneval]', 'b': 'no_such_module.sub:x',"
        " 'c': 'janus_eval.no_such:x', 'd': ':absent'}}\n"
    )
    plugin_files.add(str(file))
    for name, cure in [
        ("a", r"pip install 'janus-eval\[geneval\]'"),
        ("b", "pip install no_such_module"),
        ("c", "a fault of --plugin"),
        ("d", "a fault of --plugin"),
    ]:
        with pytest.raises(UserError, match=cure) as caught:
            plugins.load("instruments", name)
        assert "\n" not in str(caught.value)


def test_broken_entry_point_is_a_problem_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = list(importlib.metadata.entry_points(group=plugins.GROUP))
    broken = importlib.metadata.EntryPoint("broken", "no_such_module:plugins", plugins.GROUP)
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [*sound, broken])
    registry = plugins.registry()
    assert "shapes" in registry.plugins["suites"]
    assert len(registry.problems) == 1
    assert "no_such_module:plugins" in registry.problems[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [("def plugin(): pass", r"no function plugins\(\)"), ("1 / 0", "ZeroDivisionError"), ("what?", "SyntaxError")],
)
def test_quick_plugin_that_is_none(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "quick.py").write_text(text)
    with pytest.raises(UserError, match=message):
        plugin_files.add(str(tmp_path / "quick.py"))
    assert "shapes" in plugins.names("suites")


def test_quick_plugin_from_a_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "some_module_of_mine.py").write_text(
        "def plugins():\n    return {'models': {'mine': ':thing'}}\nthing = 1\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    plugin_files.add("some_module_of_mine")
    assert plugins.load("models", "mine") == 1
    del sys.modules["some_module_of_mine"]
    for absent in ("no.such.module", str(tmp_path / "absent.py")):
        with pytest.raises(UserError, match="--plugin"):
            plugin_files.add(absent)
