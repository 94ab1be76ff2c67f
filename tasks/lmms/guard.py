"""lmms-eval's judging code kept to judging: no network, no judge, no files, no words on the screen.

Its tasks may ask a server while they judge, write files for an upload into the working directory, and print tables.
Judging here is a function of what was recorded (docs/lmms-eval.md), so such a call ends the step that made it.
"""

from __future__ import annotations

import contextlib
import io
import os
import random
import socket
import sys
import tempfile
from collections.abc import Iterator
from typing import Any, NoReturn
from unittest import mock


class AskedError(BaseException):
    """The code asked something outside. No ``Exception``: retries and fall-backs of that code must not swallow it,
    for some would go on with a score of nought. ``prompt`` is what a judge was asked, "" for a server."""

    def __init__(self, where: str, prompt: str = "") -> None:
        super().__init__(where)
        self.prompt = prompt


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Nothing on standard output or error, and nothing of lmms-eval's log."""
    from loguru import logger

    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        logger.disable("")
        try:
            yield
        except SystemExit as error:  # some tasks end the program where a file is missing
            raise RuntimeError(f"it would end the program: {error.code}") from error
        finally:
            logger.enable("")


@contextlib.contextmanager
def judge_settings() -> Iterator[None]:
    """What the code of tasks with judges wants to find, though nobody will be asked."""
    key = os.environ.get("OPENAI_API_KEY") or "nobody-is-asked"
    with mock.patch.dict(os.environ, {"API_TYPE": "openai", "OPENAI_API_KEY": key}):
        yield


@contextlib.contextmanager
def drawing(seed: str) -> Iterator[None]:
    """Python's and NumPy's shared generators start from ``seed``, and are afterwards as they were."""
    import numpy as np

    before, numbers = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(random.getrandbits(32))
    try:
        yield
    finally:
        random.setstate(before)
        np.random.set_state(numbers)


@contextlib.contextmanager
def guarded(reply: str | None = None, seed: str = "") -> Iterator[str]:
    """The same, in a working directory of its own, which is given and is gone at the end.

    Some rules draw an option where they can't read an answer: what they draw depends on ``seed`` alone. ``reply`` is
    what a judge says when it is asked for the first time. Raises AskedError where the code asks it again, or without a
    reply, or asks a server.
    """
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="janus-eval-"))
        stack.enter_context(quiet())
        stack.enter_context(judge_settings())
        stack.enter_context(drawing(seed))
        stack.enter_context(contextlib.chdir(folder))
        asked: list[AskedError] = []
        replies = [] if reply is None else [reply]

        def refuse(where: str, prompt: str = "") -> NoReturn:
            asked.append(AskedError(where, prompt))
            raise asked[-1]

        def connect(_: socket.socket, address: Any, *rest: Any) -> NoReturn:
            refuse(f"a server ({address[0] if isinstance(address, tuple) else address})")

        def resolve(host: Any, *rest: Any, **more: Any) -> NoReturn:
            refuse(f"a server ({host})")

        def judge(_: Any, request: Any = None, *rest: Any, **more: Any) -> Any:
            if not replies:
                refuse("a language model" + (" again, for it can't use the reply" if reply else ""), _prompt(request))
            return _response(replies.pop())

        stack.enter_context(mock.patch.object(socket.socket, "connect", connect))
        stack.enter_context(mock.patch.object(socket, "getaddrinfo", resolve))
        for kind in judges():
            for name in ("evaluate", "evaluate_async"):
                if name in vars(kind):
                    stack.enter_context(mock.patch.object(kind, name, judge))
        yield folder
        if asked:  # somebody swallows everything
            raise asked[0]


def _prompt(request: Any) -> str:
    """The text of a request of one message; "" for pictures and conversations, which are not passed on."""
    messages = getattr(request, "messages", None) or []
    if len(messages) != 1 or getattr(request, "images", None):
        return ""
    content = messages[0].get("content")
    return content if isinstance(content, str) else ""


def _response(reply: str) -> Any:
    from lmms_eval.llm_judge.protocol import Response

    return Response(content=reply, model_used="recorded")


def judges() -> list[type]:
    """lmms-eval's classes that ask a judge, as far as they are imported."""
    module = sys.modules.get("lmms_eval.llm_judge.base")
    found: list[type] = [module.ServerInterface] if module is not None else []
    for kind in found:
        found += kind.__subclasses__()
    return found
