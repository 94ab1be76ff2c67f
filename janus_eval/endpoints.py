"""An OpenAI-compatible endpoint: JSON to it and from it, patient with weak servers, and close about the key.

The key comes from an environment variable alone. It stands in no message, no record and no file: what the other side
says is searched for it before anything else is done with it.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote

import requests

from janus_eval.download import LONGEST_WAIT, PASSING
from janus_eval.errors import UserError
from janus_eval.plain import one_line
from janus_eval.types import JSON

KEY, URL = "OPENAI_API_KEY", "OPENAI_BASE_URL"
"""The environment variables that OpenAI's own client reads."""
OPENAI = "https://api.openai.com/v1"
SPENT = frozenset({"insufficient_quota", "billing_hard_limit_reached"})
"""Codes of refusals that come as "too many requests" and that no waiting mends."""
HIDDEN = "***"
MODEL_AT_URL = re.compile(r"(?P<model>((?!://)[^\s?])+?)(@(?P<url>https?:.*))?")
"""Models have names like qwen2.5:7b and org/model@1; an address is told by its scheme."""

T = TypeVar("T")


class Patience(NamedTuple):
    """Seconds for a connection, for the next bytes, for a whole reply; tries; seconds before the second try."""

    connect: float = 10.0
    read: float = 60.0
    whole: float = 120.0
    tries: int = 5
    pause: float = 1.0


class PassingError(Exception):
    """What another try may overcome; ``wait`` is how many seconds the server asked for."""

    def __init__(self, message: str, wait: float = 0.0) -> None:
        super().__init__(message)
        self.wait = wait


class RefusedError(UserError):
    """The server answered, and will not answer otherwise: its status, its own code for the reason, and its words."""

    def __init__(self, message: str, status: int = 0, label: str = "", said: str = "") -> None:
        super().__init__(message)
        self.status, self.label, self.said = status, label, said

    @property
    def denied(self) -> bool:
        """Whether every other request would be refused as well: by its key, its money, its model or its address."""
        return self.status in {401, 402, 403, 404, 405} or 300 <= self.status < 400 or self.label in SPENT


class UnansweredError(UserError):
    """No try brought an answer."""


class Pace:
    """At most ``per_minute`` requests a minute (0: no limit), and none while the server wants a pause.

    One for all threads that ask a server.
    """

    def __init__(
        self,
        per_minute: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._gap = 60.0 / per_minute if per_minute else 0.0
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()
        self._next = 0.0

    def turn(self) -> None:
        """Wait until the caller may ask."""
        with self._lock:
            now = self._clock()
            start = max(now, self._next)
            if self._gap:
                self._next = start + self._gap
        if start > now:
            self._sleep(start - now)

    def hold(self, seconds: float) -> None:
        """Let nobody begin for so long."""
        with self._lock:
            self._next = max(self._next, self._clock() + seconds)


class Endpoint:
    """``url`` is what paths are put behind; by default what OPENAI_BASE_URL says. ``key``: the variable that holds the
    key. A reply of more than ``largest`` bytes is none. Raises UserError for what is no plain address.
    """

    def __init__(
        self,
        url: str = "",
        patience: Patience = Patience(),  # noqa: B008 - it cannot change
        *,
        key: str = KEY,
        largest: int = 1 << 18,
        chunk: int = 64,
        pace: Pace | None = None,
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,63}", key):
            # Somebody may have put the key itself there: it is not quoted.
            raise UserError(f"the key is named by an environment variable, such as {KEY}; never give the key itself")
        self._key_name = key
        self.url = self._checked(url, "") if url else self._checked(os.environ.get(URL) or OPENAI, f" of {URL}")
        self._patience, self._largest, self._chunk = patience, largest, chunk
        self._pace, self._sleep = pace, sleep

    @property
    def lacks_key(self) -> str:
        """The variable that must be set, where none is for OpenAI itself; servers of one's own often want no key."""
        return self._key_name if self.url == OPENAI and not self._key() else ""

    def ask(self, path: str, body: Mapping[str, JSON], read: Callable[[Any], T]) -> T:
        """What ``read`` makes of the server's reply. Refusals that may pass, broken connections, silence and replies
        of which ``read`` raises PassingError are tried again, with longer and longer pauses.

        Raises, in one line without the key, RefusedError for what another try does not mend, and UnansweredError after
        the last try.
        """
        for attempt in range(1, self._patience.tries + 1):
            if self._pace is not None:
                self._pace.turn()
            try:
                return read(self._post(path, body))
            except PassingError as fault:
                if attempt == self._patience.tries:
                    tries = f"{attempt} tries" if attempt > 1 else "one try"
                    raise UnansweredError(f"{self.url}: {fault}; gave up after {tries}") from None
                if self._pace is not None and fault.wait:
                    self._pace.hold(fault.wait)
                # Requests that were refused together must not come again together.
                pause = self._patience.pause * 2 ** (attempt - 1) * random.uniform(0.75, 1.25)
                (self._sleep or time.sleep)(max(fault.wait, min(pause, LONGEST_WAIT)))
        raise AssertionError("the last try returns or raises")

    def _post(self, path: str, body: Mapping[str, JSON]) -> Any:
        patience = self._patience
        start = time.monotonic()
        with (
            self._said_in_one_line(),
            requests.post(
                f"{self.url}{path}",
                json=body,
                auth=_Bearer(self._key()),
                headers={"User-Agent": "janus-eval"},
                timeout=(patience.connect, patience.read),
                allow_redirects=False,  # a redirected POST comes as a GET, and may go to another host
                stream=True,
            ) as answer,
        ):
            content = bytearray()
            for chunk in answer.iter_content(self._chunk):
                content += chunk
                if len(content) > self._largest:
                    raise RefusedError(f"{self.url} sends more than {self._largest:,} bytes in reply to one message")
                if time.monotonic() - start > patience.whole:
                    raise PassingError(f"no whole reply within {patience.whole:g} s")
        self._refuse(answer, bytes(content))
        try:
            return self._hidden(json.loads(content))
        except (ValueError, RecursionError):
            page = content.lstrip()[:1] == b"<"
            raise PassingError(
                "answers with a web page" if page else "answers with something that is no JSON"
            ) from None

    def _refuse(self, answer: requests.Response, content: bytes) -> None:
        """Raise for any status but 200."""
        status = answer.status_code
        if status == 200:
            return
        told = f"{status} {self.quoted(answer.reason or '')}".strip()
        label, said = self._error(content)
        if (status in PASSING or status >= 500) and label not in SPENT:
            raise PassingError(f"the server says {told}", _pause(answer.headers))
        if status in {401, 403}:
            # Servers quote keys, whole or in parts, in just this message.
            cure = "it takes no other key than" if self._key() else "set"
            raise RefusedError(f"{self.url} says {told}: {cure} {self._key_name}", status, label)
        words = said or self.quoted(content.decode("utf-8", "replace"))
        raise RefusedError(f"{self.url} says {told}: {words}", status, label, said)

    def _error(self, content: bytes) -> tuple[str, str]:
        """The server's own code for a refusal, and its words; empty where it gives none."""
        try:
            answer = json.loads(content)
            error = (answer[0] if isinstance(answer, list) else answer)["error"]  # Gemini's come in a list
            label, said = error.get("code") or error.get("type") or "", error.get("message") or ""
        except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
            return "", ""
        return self.quoted(label), self.quoted(said)

    def quoted(self, said: object) -> str:
        """What the other side said, on a short line. The key goes before anything is cut, so that no part stays."""
        key = self._key()
        text = str(said)
        return one_line(_without(text, key) if key else text, 300)

    def _hidden(self, value: Any) -> Any:
        """The same JSON without the key in it."""
        key = self._key()
        return _replaced(value, key) if key else value

    def _key(self) -> str:
        """Raises UserError for what can't stand in a header: requests would quote it."""
        key = os.environ.get(self._key_name, "").strip()
        if not re.fullmatch(r"[!-~]*", key):
            raise UserError(f"{self._key_name} holds characters that no key has; set it anew")
        return key

    def _checked(self, url: str, where: str) -> str:
        """Raises UserError for what is no plain address: passwords and keys in it would get into every record."""
        if not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#@]*)?", url):
            shown = re.sub(r"//[^/]*@", "//...@", url.partition("?")[0])
            raise UserError(
                f"endpoint {one_line(shown, 200)!r}{where}: expected http(s)://HOST[/PATH] without user, password or "
                f"query (the key belongs into {self._key_name})"
            )
        return url.rstrip("/").removesuffix("/chat/completions").removesuffix("/images/generations")

    @contextlib.contextmanager
    def _said_in_one_line(self) -> Iterator[None]:
        try:
            yield
        except requests.exceptions.SSLError as error:
            raise RefusedError(f"{self.url}: no secure connection: {self.quoted(error)}") from None
        except requests.exceptions.ConnectTimeout:
            raise PassingError(f"no connection within {self._patience.connect:g} s") from None
        except requests.exceptions.ReadTimeout:
            raise PassingError(f"no answer within {self._patience.read:g} s") from None
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
            cause = error.args[0] if error.args else error
            raise PassingError(f"the connection broke: {self.quoted(getattr(cause, 'reason', cause))}") from None
        except requests.RequestException as error:
            raise RefusedError(f"{self.url} cannot be asked: {self.quoted(error)}") from None


class _Bearer(requests.auth.AuthBase):
    """The key as a header. Given as ``auth`` even without a key, since requests would else look into ~/.netrc."""

    def __init__(self, key: str) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._key:
            request.headers["Authorization"] = f"Bearer {self._key}"
        return request


def _without(text: str, key: str) -> str:
    """A text without the key, also as it stands in JSON and in addresses that are quoted as they came."""
    for form in (key, key.replace("/", "\\/"), quote(key, safe="")):
        text = text.replace(form, HIDDEN)
    return text


def _replaced(value: Any, key: str) -> Any:
    if isinstance(value, str):
        return _without(value, key)
    if isinstance(value, list):
        return [_replaced(part, key) for part in value]
    if isinstance(value, dict):
        return {_replaced(name, key): _replaced(part, key) for name, part in value.items()}
    return value


def _pause(headers: Mapping[str, str]) -> float:
    """Seconds that a server asks for (``Retry-After`` or OpenAI's ``retry-after-ms``), at most LONGEST_WAIT.

    Dates are passed over: they depend on two clocks, and one's own pauses grow anyway.
    """
    for name, unit in (("retry-after-ms", 1e-3), ("Retry-After", 1.0)):
        try:
            seconds = float(headers.get(name, "")) * unit
        except ValueError:
            continue
        if math.isfinite(seconds) and seconds >= 0:
            return min(seconds, LONGEST_WAIT)
    return 0.0
