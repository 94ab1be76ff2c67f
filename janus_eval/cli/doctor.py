"""``janus-eval doctor``."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

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
                if kind == "instruments":
                    yield _passed(name), True
                elif kind in SEAMS:
                    offered(kind, name)
                else:
                    plugins.load(kind, name)
            except UserError as error:
                no_extra = plugin.extra is not None and isinstance(error.__cause__, ModuleNotFoundError)
                yield str(error), no_extra or isinstance(error, AbsentError)
                continue
            loaded += 1
        if loaded:
            yield f"{kind:<18} {loaded} of {len(table)} load", True


def _passed(name: str) -> str:
    """What an instrument's self-test compared. A fresh one each, so that not all of their weights are held at once."""
    from janus_eval.observe import Instruments

    instruments = Instruments()
    instruments.ready(name)
    said = instruments.passed[name]
    return f"instrument {name}: self-test passed ({said})" if said else f"instrument {name}: no self-test"
