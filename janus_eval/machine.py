"""The machine and the versions on it, as run.json and ``doctor`` name them."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from typing import Any

PACKAGES = (
    "janus-eval", "torch", "torchvision", "transformers", "tokenizers", "safetensors", "huggingface-hub", "diffusers",
    "pillow", "numpy", "scipy", "pandas", "pyarrow", "matplotlib", "jinja2", "pydantic", "typer", "rich",
)  # fmt: skip


def versions() -> dict[str, str | None]:
    """Python's and every dependency's version; None where it is not installed. Imports none of them."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = None
    return found


def machine() -> dict[str, Any]:
    """Platform, processor, cores we may use, threads and memory."""
    torch: Any = sys.modules.get("torch")
    return {
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads() if torch is not None else None,
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "accelerator": torch.cuda.get_device_name() if torch is not None and torch.cuda.is_available() else None,
    }
