"""The toys, really registered: through the door that ``--plugin`` uses; and a publisher of files on this machine."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType

import pytest

from janus_eval import plugin_files, plugins
from janus_eval.datasets import Dataset, File

TOYS = Path(__file__).with_name("toys.py")


@pytest.fixture
def toys() -> Iterator[ModuleType]:
    """The module of the toys, whose plugins are there for this test only."""
    plugins.registry.cache_clear()
    plugin_files.add(str(TOYS))
    yield sys.modules["janus_eval_plugin_toys"]
    plugins.registry.cache_clear()


@pytest.fixture
def command(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start ``janus-eval`` with the toys in another process, in an empty folder."""

    def start(*arguments: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "janus_eval", "--plugin", str(TOYS), *arguments],
            cwd=tmp_path,
            env=os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "80"} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


@dataclass
class Publisher:
    """``content`` by path; ``faults`` by path, one taken a request: a status, "cut" (half of the rest is sent), "stall"
    (nothing for a second), "page" (of HTML), "typed page" (that says so), "gzip" (compressed, unasked for). What was
    asked, path and headers, is in ``asked``.
    """

    url: str
    content: dict[str, bytes] = field(default_factory=dict)
    faults: dict[str, list[int | str]] = field(default_factory=dict)
    asked: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)
    etag: str = '"v1"'
    blind: bool = False
    """Ranges are given to whoever asks, and nothing is said of versions."""
    retry_after: str = ""

    def file(self, name: str, checksum: str = "", size: int | None = None, inside: str = "") -> File:
        digest = hashlib.sha256(self.content[name]).hexdigest()
        return File(name.removesuffix(".zip"), f"{self.url}/{name}", checksum or f"sha256:{digest}", size, inside)

    def dataset(self, *files: File) -> Dataset:
        return Dataset("letters", "Letters", files, "CC0-1.0", self.url)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Iterator[Publisher]:
    """A publisher in a thread, gone at the end."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    server.daemon_threads = True
    here = Publisher(f"http://127.0.0.1:{server.server_port}")
    server.RequestHandlerClass = _handler(here)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield here
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(here: Publisher) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.removeprefix("/")
            here.asked.append((name, dict(self.headers)))
            waiting = here.faults.get(name, [])
            fault = waiting.pop(0) if waiting else None
            if name not in here.content or isinstance(fault, int):
                self.send_response(fault if isinstance(fault, int) else 404)
                self.send_header("Retry-After", here.retry_after)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if fault in {"page", "typed page"}:
                kind = {"Content-Type": "text/html; charset=utf-8"} if fault == "typed page" else {}
                self._send(b"\xef\xbb\xbf <!DOCTYPE html><title>Log in</title>", 200, kind)
                return
            if fault == "gzip":
                self._send(gzip.compress(here.content[name]), 200, {"Content-Encoding": "gzip", "ETag": here.etag})
                return
            if fault == "stall":
                time.sleep(1)
            self._send_data(here.content[name], cut=fault == "cut")

        def _send_data(self, data: bytes, *, cut: bool) -> None:
            wanted = self.headers.get("Range", "").removeprefix("bytes=").removesuffix("-")
            headers = {"ETag": here.etag} if here.etag and not here.blind else {}
            if wanted and (here.blind or self.headers.get("If-Range") == here.etag):
                if int(wanted) >= len(data):
                    self._send(b"", 416, {})
                    return
                headers["Content-Range"] = f"bytes {wanted}-{len(data) - 1}/{len(data)}"
                self._send(data[int(wanted) :], 206, headers, cut=cut)
            else:
                self._send(data, 200, headers, cut=cut)

        def _send(self, data: bytes, status: int, headers: Mapping[str, str], *, cut: bool = False) -> None:
            self.send_response(status)
            for key, value in {**headers, "Content-Length": str(len(data))}.items():
                self.send_header(key, value)
            self.end_headers()
            with contextlib.suppress(OSError):  # the other side may have gone
                self.wfile.write(data[: len(data) // 2] if cut else data)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler
