"""What tests of the whole repository share: its root, the files that git keeps or would keep, and the built wheel."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session", autouse=True)
def _interrupts() -> Iterator[None]:
    """Shells start jobs in the background with interrupts ignored, and what a test starts would ignore them too."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    if before is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


@pytest.fixture(scope="session")
def repository() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def kept_files() -> list[PurePosixPath]:
    """Paths of all tracked files, and of new ones that git does not ignore, relative to the repository."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return sorted(PurePosixPath(name) for name in set(listed.split("\0")) if name and (ROOT / name).is_file())


@pytest.fixture(scope="session")
def wheel(kept_files: list[PurePosixPath], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of a clean copy: a checkout's ``build`` folder may hold modules that were deleted long ago."""
    copy, out = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("wheel")
    for name in kept_files:
        if name.parts[0] != "tests":
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, copy / name)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(copy)]
    built = subprocess.run(command, check=False, capture_output=True, text=True)
    assert built.returncode == 0, f"the wheel does not build:\n{built.stdout}\n{built.stderr}"
    (path,) = out.glob("*.whl")
    return path
