"""The tiny models that the adapters are tried on; each module is imported by the first test that needs it."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType

import pytest


def _beside(name: str) -> ModuleType:
    found = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def tiny_pipelines() -> ModuleType:
    return _beside("tiny_pipelines")


@pytest.fixture(scope="session")
def tiny_chats() -> ModuleType:
    return _beside("tiny_chats")


COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """A Hugging Face hub on this machine, which has one commit of each of its repositories."""

    folders: dict[str, Path] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    served: list[str] = field(default_factory=list)
    """Files whose bytes were asked for."""

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        name = next((name for name in self.folders if name in path), None)
        if name is None:
            return 404, {"X-Error-Code": "RepoNotFound"}, b""
        if f"/{COMMIT}" not in path and "/main" not in path:
            return 404, {"X-Error-Code": "RevisionNotFound"}, b""
        folder, files = self.folders[name], [p for p in sorted(self.folders[name].rglob("*")) if p.is_file()]
        if path.startswith("/api/models"):
            rows = [{"path": p.relative_to(folder).as_posix(), "size": p.stat().st_size, "type": "file"} for p in files]
            tree = [{**row, "oid": hashlib.sha1(str(row).encode()).hexdigest()} for row in rows]
            about = {"id": name, "sha": COMMIT, "siblings": [{"rfilename": row["path"]} for row in rows]}
            return 200, {"Content-Type": "application/json"}, json.dumps(tree if "/tree/" in path else about).encode()
        if name in self.gated:
            return 403, {"X-Error-Code": "GatedRepo"}, b""
        found = folder / path.partition("?")[0].partition(f"/resolve/{COMMIT}/")[2]
        if not found.is_file():
            return 404, {"X-Error-Code": "EntryNotFound"}, b""
        body = found.read_bytes()
        return 200, {"X-Repo-Commit": COMMIT, "ETag": f'"{hashlib.sha256(body).hexdigest()}"'}, body


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """Stands for the hub in this test, with an empty cache."""
    from huggingface_hub import constants

    here = Hub()

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            status, headers, body = here.answer(self.path)
            self.send_response(status)
            for header, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(header, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)
                if "/resolve/" in self.path:
                    here.served.append(self.path.partition("?")[0].partition(f"/resolve/{COMMIT}/")[2])

        do_GET = do_HEAD  # noqa: N815 - http.server's name

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    yield here
    server.shutdown()
    server.server_close()
