"""``--plugin FILE_OR_MODULE``: a plugin for this process only."""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

from janus_eval import plugins
from janus_eval.errors import UserError


def add(file_or_module: str) -> None:
    """``--plugin``: a Python file or a module with a function ``plugins()``, for this process only."""
    module = load(file_or_module)
    table = getattr(module, "plugins", None)
    if not callable(table):
        raise UserError(f"--plugin {file_or_module}: no function plugins() in it")
    plugins.registry().add(f"--plugin {file_or_module}", table)


def load(file_or_module: str) -> ModuleType:
    path = Path(file_or_module)
    if path.suffix != ".py":
        try:
            return importlib.import_module(file_or_module)
        except (ImportError, ValueError, TypeError) as error:  # the latter two for what is no module's name
            raise UserError(f"--plugin {file_or_module}: neither a .py file nor a module: {error}") from error
        except (Exception, SystemExit) as error:
            raise UserError(f"--plugin {file_or_module} fails: {type(error).__name__}: {error}") from error
    if not path.is_file():
        raise UserError(f"--plugin {file_or_module}: no such file")
    name = f"janus_eval_plugin_{re.sub(r'[^0-9a-zA-Z]', '_', path.stem)}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise UserError(f"--plugin {file_or_module} fails: {type(error).__name__}: {error}") from error
    return module
