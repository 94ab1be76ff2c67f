"""An OpenAI-compatible endpoint on this machine that behaves as badly as it is told to."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

KEY = "sk-very/secret+1"


def knows_animals(prompt: str) -> str:
    """Passes the judge's self-test and matches nothing else."""
    return "B" if "kitten" in prompt else "Z"


@dataclass
class Endpoint:
    """``say`` gives the reply to a prompt. ``faults`` are taken one a request, by whoever asks first: a status, "stall"
    (nothing for three seconds), "cut" (half of the body), "drip" (a byte at a time), "page", "words" (no JSON), "deep"
    (JSON without end), "error" (under status 200), "shape" (other JSON), "empty", "null", "endless", "redirect".
    """

    url: str
    say: Callable[[str], str] = knows_animals
    faults: list[int | str] = field(default_factory=list)
    retry_after: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    @property
    def prompts(self) -> list[str]:
        return [body["messages"][0]["content"] for body in self.asked]


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Endpoint]:
    """The endpoint that the environment names, with a key; gone at the end. Judgements are kept in a folder of the
    test's own."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    server.daemon_threads = True
    endpoint = Endpoint(f"http://127.0.0.1:{server.server_port}/v1")
    server.RequestHandlerClass = _handler(endpoint)
    for name, value in {
        "NO_PROXY": "127.0.0.1",
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": endpoint.url,
        "JANUS_EVAL_JUDGEMENTS": str(tmp_path / "judgements"),
    }.items():
        monkeypatch.setenv(name, value)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield endpoint
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def completion(content: object, finish: str = "stop") -> dict[str, Any]:
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": content}}
    return {"object": "chat.completion", "model": "judge-2026-01-01", "choices": [choice]}


BODIES: Mapping[str, bytes] = {
    "page": b"\n<!DOCTYPE html><title>Log in</title>",
    "words": b"upstream connect error",
    "deep": b"[" * 200_000,
    "error": json.dumps({"error": {"message": "overloaded", "code": 529}}).encode(),
    "shape": b'{"choices": []}',
    "empty": json.dumps(completion(" ", "length")).encode(),
    "null": json.dumps(completion(None, "content_filter")).encode(),
    "endless": b" " * (3 << 20),
}


def _handler(endpoint: Endpoint) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            endpoint.asked.append(body)
            endpoint.headers.append(dict(self.headers))
            endpoint.paths.append(self.path)
            fault = endpoint.faults.pop(0) if endpoint.faults else None
            prompt = body["messages"][0]["content"]
            data = json.dumps(completion(endpoint.say(prompt))).encode()
            if fault == "stall":
                time.sleep(3)
            if fault == "redirect":
                self._send(302, b"", {"Location": endpoint.url})
            elif isinstance(fault, int):
                refusal = {"error": {"message": f"{fault}: no such thing for {self.headers.get('Authorization')}"}}
                self._send(fault, json.dumps(refusal).encode(), {"Retry-After": endpoint.retry_after})
            else:
                self._send(200, BODIES.get(str(fault), data), {}, cut=fault == "cut", drip=fault == "drip")

        def _send(
            self, status: int, data: bytes, headers: Mapping[str, str], *, cut: bool = False, drip: bool = False
        ) -> None:
            self.send_response(status)
            for key, value in {**headers, "Content-Length": str(len(data))}.items():
                self.send_header(key, value)
            self.end_headers()
            with contextlib.suppress(OSError):  # the other side may have gone
                for byte in data if drip else b"":
                    self.wfile.write(bytes([byte]))
                    time.sleep(0.005)
                self.wfile.write(b"" if drip else data[: len(data) // 2] if cut else data)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler
