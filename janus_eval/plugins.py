"""The one door: built-ins and plugins alike enter through entry points of the group ``janus_eval.plugins``.

An entry point is a function that returns a table ``kind -> name -> value``. A value is ``"module:attr"``, or
``":attr"`` for the table's own module, then an optional ``[extra]`` that installs what the module imports, then an
optional ``| line of help``. Names are known at once; an attribute is imported when it is used.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import importlib.metadata
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

from janus_eval.errors import UserError

GROUP = "janus_eval.plugins"
KINDS = (
    "models", "tasks", "instruments", "suites", "commands", "reporters", "report_sections", "lists", "cases",
    "datasets", "exports",
)  # fmt: skip
_VALUE = re.compile(r"(?P<module>[\w.]*):(?P<attr>\w+)\s*(\[(?P<extra>[\w.-]+)\])?\s*(\|\s*(?P<help>.*))?")

Table: TypeAlias = Callable[[], Mapping[str, Mapping[str, str]]]


class Plugin(NamedTuple):
    owner: str
    module: str
    attr: str
    extra: str | None
    help: str


class Registry:
    """All tables together, and what was wrong with those that could not be read."""

    def __init__(self) -> None:
        self.plugins: dict[str, dict[str, Plugin]] = {kind: {} for kind in KINDS}
        self.problems: list[str] = []

    def add(self, owner: str, table: Table) -> None:
        """Raise UserError where a name is taken (naming both owners), a kind unknown or a value malformed."""
        try:
            offered = table()
        except Exception as error:
            raise UserError(f"plugin {owner}: plugins() fails: {type(error).__name__}: {error}") from error
        if not isinstance(offered, Mapping) or not all(isinstance(names, Mapping) for names in offered.values()):
            raise UserError(f"plugin {owner}: plugins() must return a table kind -> name -> 'module:attr'")
        for kind, names in offered.items():
            if kind not in self.plugins:
                raise UserError(f"plugin {owner}: unknown kind {kind!r}; the kinds are {', '.join(KINDS)}")
            for name, value in names.items():
                match = _VALUE.fullmatch(value) if isinstance(value, str) else None
                if match is None:
                    raise UserError(f"plugin {owner}: {kind} {name!r} is {value!r}; expected 'module:attr'")
                taken = self.plugins[kind].get(name)
                if taken is not None:
                    raise UserError(f"two plugins offer {kind} {name!r}: {taken.owner} and {owner}; uninstall one")
                module = match["module"] or table.__module__
                self.plugins[kind][name] = Plugin(owner, module, match["attr"], match["extra"], match["help"] or "")


@functools.cache
def registry() -> Registry:
    """Every installed plugin's table. One that fails to import becomes a problem and leaves the rest standing."""
    found = Registry()
    for point in sorted(importlib.metadata.entry_points(group=GROUP), key=lambda point: (point.name, point.value)):
        owner = f"{point.dist.name if point.dist else 'unknown distribution'} ({point.value})"
        try:
            table = point.load()
        except Exception as error:  # noqa: BLE001 - anyone's code: whatever it raises must not break the others
            found.problems.append(f"plugin {owner} fails to import: {type(error).__name__}: {error}")
        else:
            found.add(owner, table)
    return found


def names(kind: str) -> list[str]:
    return sorted(registry().plugins[kind])


def load(kind: str, name: str) -> Any:
    """Import what a name stands for. Raises UserError for an unknown name or a missing extra."""
    plugin = registry().plugins[kind].get(name)
    if plugin is None:
        what = f"unknown {kind.removesuffix('s').replace('_', ' ')} {name!r}{near(name, names(kind))}"
        raise UserError(f"{what} (janus-eval list {kind})")
    try:
        return getattr(importlib.import_module(plugin.module), plugin.attr)
    except (ImportError, AttributeError) as error:
        missing = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
        if missing in {"", "janus_eval"}:
            cure = f"a fault of {plugin.owner}"
        else:
            cure = f"pip install 'janus-eval[{plugin.extra}]'" if plugin.extra else f"pip install {missing}"
        raise UserError(f"{kind} {name!r} cannot be imported ({error}): {cure}") from error
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        raise UserError(f"{kind} {name!r} cannot be imported ({said}): a fault of {plugin.owner}") from error


def near(name: str, known: list[str]) -> str:
    """``; did you mean 'a' or 'b'?`` for the known names close to this one, else nothing."""
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5) or [other for other in known if name in other][:3]
    return f"; did you mean {' or '.join(map(repr, close))}?" if close else ""
