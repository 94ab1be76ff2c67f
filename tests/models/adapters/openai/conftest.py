"""An OpenAI-compatible server on this machine that answers, draws, and behaves as badly as it is told to."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from PIL import Image

KEY = "sk-very/secret+1"


def painted(size: tuple[int, int] = (64, 64), colour: str = "red", kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, kind)
    return buffer.getvalue()


def said(content: object, finish: str = "stop", **message: object) -> dict[str, Any]:
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": content, **message}}
    usage = {"prompt_tokens": 100, "completion_tokens": 2}
    return {"model": "toy-2026", "system_fingerprint": "fp", "usage": usage, "choices": [choice]}


def drawn(data: bytes | str, **more: object) -> dict[str, Any]:
    coded = base64.b64encode(data).decode() if isinstance(data, bytes) else data
    return {"created": 1, "data": [{"b64_json": coded, **more}]}


def refusal(status: int, code: str, message: str = "no") -> tuple[int, dict[str, Any]]:
    return status, {"error": {"message": message, "code": code}}


Answer = dict[str, Any] | tuple[int, Any] | bytes


@dataclass
class Server:
    """``answer`` gives what is sent for a request: JSON under status 200, a status with JSON, or bytes as they are.

    ``faults`` are taken first, one a request: the same, "stall" (nothing for ``stalled`` seconds) or "cut" (half of
    the body).
    """

    said, drawn, painted, refusal = map(staticmethod, (said, drawn, painted, refusal))

    url: str
    answer: Callable[[str, dict[str, Any]], Answer] = lambda path, body: (
        said("A") if path.endswith("/chat/completions") else drawn(painted(), revised_prompt=f"Fine {body['prompt']}")
    )
    faults: list[Any] = field(default_factory=list)
    retry_after: str = ""
    stalled: float = 1.5
    delay: float = 0.0
    asked: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server that the environment does not name, with a key that it does."""
    http = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    http.daemon_threads = True
    server = Server(f"http://127.0.0.1:{http.server_port}/v1")
    http.RequestHandlerClass = _handler(server)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        thread.join()
        http.server_close()


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                server.asked.append(body)
                server.paths.append(self.path)
                server.keys.append(self.headers.get("Authorization"))
                fault = server.faults.pop(0) if server.faults else None
                server.at_once += 1
                server.most_at_once = max(server.most_at_once, server.at_once)
            time.sleep(server.stalled if fault == "stall" else server.delay)
            answer = server.answer(self.path, body) if fault is None or isinstance(fault, str) else fault
            with lock:
                server.at_once -= 1
            status, answer = answer if isinstance(answer, tuple) else (200, answer)
            self._send(status, answer if isinstance(answer, bytes) else json.dumps(answer).encode(), fault == "cut")

        def _send(self, status: int, data: bytes, cut: bool) -> None:
            self.send_response(status)
            headers: Mapping[str, str] = {"Content-Length": str(len(data)), "Retry-After": server.retry_after}
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            with contextlib.suppress(OSError):  # the other side may have gone
                self.wfile.write(data[: len(data) // 2] if cut else data)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler
