"""A chat model behind an OpenAI-compatible endpoint: one reply to one message, patient with weak servers.

The key comes from OPENAI_API_KEY alone. It stands in no message, no record and no file.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import requests

from janus_eval.download import LONGEST_WAIT, PASSING
from janus_eval.errors import UserError
from janus_eval.plain import one_line
from janus_eval.types import JSON

KEY, URL = "OPENAI_API_KEY", "OPENAI_BASE_URL"
"""The environment variables that OpenAI's own client reads."""
OPENAI = "https://api.openai.com/v1"
LARGEST = 1 << 18
"""Bytes: a reply to one short message that is longer is none."""
CHUNK = 64


class Patience(NamedTuple):
    """Seconds for a connection, for the next bytes, for a whole reply; tries; seconds before the second try."""

    connect: float = 10.0
    read: float = 60.0
    whole: float = 120.0
    tries: int = 5
    pause: float = 1.0


class Reply(NamedTuple):
    """What was said, and by which model: a name like gpt-4o-mini stands for others as time goes by."""

    text: str
    model: str


class _Passing(Exception):  # noqa: N818 - the name says what it is: no error yet
    """What another try may overcome; ``wait`` is how many seconds the server asked for."""

    def __init__(self, message: str, wait: float = 0.0) -> None:
        super().__init__(message)
        self.wait = wait


class _Bearer(requests.auth.AuthBase):
    """The key as a header. Given as ``auth`` even without a key, since requests would else look into ~/.netrc."""

    def __init__(self, key: str) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._key:
            request.headers["Authorization"] = f"Bearer {self._key}"
        return request


class Chat:
    """An endpoint. ``url`` is what ``/chat/completions`` is put behind; by default what OPENAI_BASE_URL says."""

    def __init__(self, url: str = "", patience: Patience = Patience()) -> None:  # noqa: B008 - it cannot change
        self.url = _checked(url, "") if url else _checked(os.environ.get(URL) or OPENAI, f" of {URL}")
        self._patience = patience

    @property
    def lacks_key(self) -> bool:
        """Whether no key is set for OpenAI itself; servers of one's own often want none."""
        return self.url == OPENAI and not _key()

    def reply(self, body: Mapping[str, JSON]) -> Reply:
        """The first choice's text. Refusals that may pass, broken connections, silence and answers that hold no reply
        are tried again, with longer and longer pauses.

        Raises UserError, in one line without the key, for what another try does not mend and after the last try.
        """
        for attempt in range(1, self._patience.tries + 1):
            try:
                return _reply(self._post(body))
            except _Passing as fault:
                if attempt == self._patience.tries:
                    tries = f"{attempt} tries" if attempt > 1 else "one try"
                    raise UserError(f"{self.url}: {fault}; gave up after {tries}") from None
                # Requests that were refused together must not come again together.
                pause = self._patience.pause * 2 ** (attempt - 1) * random.uniform(0.75, 1.25)
                time.sleep(max(fault.wait, pause))
        raise AssertionError("the last try returns or raises")

    def _post(self, body: Mapping[str, JSON]) -> Any:
        patience = self._patience
        start = time.monotonic()
        with (
            _said_in_one_line(self.url, patience),
            requests.post(
                f"{self.url}/chat/completions",
                json=body,
                auth=_Bearer(_key()),
                headers={"User-Agent": "janus-eval"},
                timeout=(patience.connect, patience.read),
                allow_redirects=False,  # a redirected POST comes as a GET, and may go to another host
                stream=True,
            ) as answer,
        ):
            content = bytearray()
            for chunk in answer.iter_content(CHUNK):
                content += chunk
                if len(content) > LARGEST:
                    raise UserError(f"{self.url} sends more than {LARGEST:,} bytes in reply to one message")
                if time.monotonic() - start > patience.whole:
                    raise _Passing(f"no whole reply within {patience.whole:g} s")
        self._refuse(answer, bytes(content))
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            page = content.lstrip()[:1] == b"<"
            raise _Passing("answers with a web page" if page else "answers with something that is no JSON") from None

    def _refuse(self, answer: requests.Response, content: bytes) -> None:
        """Raise for any status but 200."""
        code = answer.status_code
        said = f"{code} {answer.reason or ''}".strip()
        if code in PASSING or code >= 500:
            asked = answer.headers.get("Retry-After", "")
            raise _Passing(f"the server says {said}", min(float(asked), LONGEST_WAIT) if asked.isdecimal() else 0.0)
        if code in {401, 403}:
            # Servers quote keys, whole or in parts, in just this message.
            raise UserError(f"{self.url} says {said}: {'it takes no other key than' if _key() else 'set'} {KEY}")
        if code != 200:
            raise UserError(f"{self.url} says {said}: {_quoted(content.decode('utf-8', 'replace'))}")


def _reply(answer: Any) -> Reply:
    """Raises _Passing for JSON that is no reply: some servers put their errors under status 200."""
    if isinstance(answer, Mapping) and answer.get("error"):
        raise _Passing(f"says {_quoted(answer['error'])} under status 200")
    try:
        choice = answer["choices"][0]
        text, model = choice["message"]["content"], answer.get("model")
    except (AttributeError, IndexError, KeyError, TypeError):
        raise _Passing(f"answers with no chat completion: {_quoted(answer)}") from None
    if not isinstance(text, str) or not text.strip():
        raise _Passing(f"gives an empty reply (finish_reason {_quoted(choice.get('finish_reason'))})")
    return Reply(text, str(model))


@contextlib.contextmanager
def _said_in_one_line(url: str, patience: Patience) -> Iterator[None]:
    try:
        yield
    except requests.exceptions.SSLError as error:
        raise UserError(f"{url}: no secure connection: {_quoted(error)}") from None
    except requests.exceptions.ConnectTimeout:
        raise _Passing(f"no connection within {patience.connect:g} s") from None
    except requests.exceptions.ReadTimeout:
        raise _Passing(f"no answer within {patience.read:g} s") from None
    except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
        cause = error.args[0] if error.args else error
        raise _Passing(f"the connection broke: {_quoted(getattr(cause, 'reason', cause))}") from None
    except requests.RequestException as error:
        raise UserError(f"{url} cannot be asked: {_quoted(error)}") from None


def _checked(url: str, where: str) -> str:
    """Raises UserError for what is no plain address: passwords and keys in it would get into every record."""
    if not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#@]*)?", url):
        shown = re.sub(r"//[^/]*@", "//...@", url.partition("?")[0])
        raise UserError(
            f"endpoint {one_line(shown, 200)!r}{where}: expected http(s)://HOST[/PATH] without user, password or query "
            f"(the key belongs into {KEY})"
        )
    return url.rstrip("/").removesuffix("/chat/completions")


def _key() -> str:
    """Raises UserError for what can't stand in a header: requests would quote it."""
    key = os.environ.get(KEY, "").strip()
    if not re.fullmatch(r"[!-~]*", key):
        raise UserError(f"{KEY} holds characters that no key has; set it anew")
    return key


def _quoted(said: object) -> str:
    """What the other side said, on a short line. The key goes before anything is cut, so that no part of it stays."""
    return one_line(str(said).replace(_key(), "***") if _key() else said, 300)
