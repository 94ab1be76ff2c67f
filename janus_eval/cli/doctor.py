"""``janus-eval doctor``."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer


def doctor() -> None:
    """What is installed, what is missing, and how to get it. Exits with 1 if something that is needed is missing."""
    from janus_eval.machine import machine, versions

    trouble = []
    typer.echo("Versions")
    for package, version in versions().items():
        typer.echo(f"  {package:<18} {version or 'missing'}")
        if version is None:
            trouble.append(f"{package} is missing: pip install {package}")
    typer.echo("Machine")
    import torch  # so that threads and accelerator are known

    for name, value in {**machine(), "free_disk_gib": round(shutil.disk_usage(Path.cwd()).free / 2**30, 1)}.items():
        typer.echo(f"  {name:<18} {value}")
    typer.echo(f"  {'cuda':<18} {torch.version.cuda or 'none'}")
    typer.echo("Extras")
    for extra, lacking in extras():
        state = f"missing {', '.join(lacking)}: pip install 'janus-eval[{extra}]'" if lacking else "installed"
        typer.echo(f"  {extra:<18} {state}")
    typer.echo("Plugins")
    for line, sound in plugin_health():
        typer.echo(f"  {line}")
        if not sound:
            trouble.append(line)
    for line in trouble:
        typer.echo(f"! {line}")
    raise typer.Exit(1 if trouble else 0)


def extras() -> Iterator[tuple[str, list[str]]]:
    """Every extra with those of its distributions that are not installed."""
    wanted: dict[str, list[str]] = {}
    for requirement in importlib.metadata.requires("janus-eval") or []:
        match = re.match(r"(?P<name>[\w.-]+).*;.*extra == ['\"](?P<extra>[\w-]+)['\"]", requirement)
        if match:
            wanted.setdefault(match["extra"], []).append(match["name"])
    for extra, names in sorted(wanted.items()):
        yield extra, [name for name in names if not _installed(name)]


def _installed(distribution: str) -> bool:
    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def plugin_health() -> Iterator[tuple[str, bool]]:
    """A line for every plugin table that fails, every name that cannot be loaded, every instrument's self-test.

    What lacks only an extra, or weights that are fetched apart, is no trouble: the line says how to get it.
    """
    from janus_eval import plugins
    from janus_eval.errors import AbsentError, UserError
    from janus_eval.specs import SEAMS, offered

    for problem in plugins.registry().problems:
        yield problem, False
    for kind, table in plugins.registry().plugins.items():
        loaded = 0
        for name, plugin in sorted(table.items()):
            try:
                thing: Any = offered(kind, name) if kind in SEAMS else plugins.load(kind, name)
                if kind == "instruments" and hasattr(thing, "prepare"):
                    thing.prepare()
                test = getattr(thing, "self_test", None) if kind == "instruments" else None
            except UserError as error:
                yield str(error), plugin.extra is not None or isinstance(error, AbsentError)
                continue
            loaded += 1
            if test is not None:
                yield _self_test(name, test)
        if loaded:
            yield f"{kind:<18} {loaded} of {len(table)} load", True


def _self_test(name: str, test: Any) -> tuple[str, bool]:
    """``self_test()`` raises or returns a line that says what it compared."""
    try:
        said = test()
    except Exception as error:  # noqa: BLE001 - an instrument is anyone's code
        return f"instrument {name}: self-test failed: {type(error).__name__}: {error}", False
    return f"instrument {name}: self-test passed{f' ({said})' if said else ''}", True
