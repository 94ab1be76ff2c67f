"""One file over HTTP onto the disk: goes on where it stopped, patient with weak servers, wary of wrong answers."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, NamedTuple

import requests
import urllib3

from janus_eval.disk import writing
from janus_eval.errors import UserError
from janus_eval.plain import one_line

MOST = 16 << 30
"""Bytes after which a file of unknown size is taken for a mistake."""
CHUNK = 1 << 16
HEAD = 512
"""Bytes of a file's beginning in which a web page shows."""
LONGEST_WAIT = 60.0
"""Seconds: a server that asks for a longer pause gets this one."""
PASSING = frozenset({408, 425, 429})
"""Refusals that another try may overcome, beside all of 500 and above."""

PAGE = "answers with a web page, not with data: a login, a proxy or a notice in between?"

Watch = Callable[[int, int | None], None]
"""Is told how many bytes are there, and of how many (None: nobody said)."""


class Patience(NamedTuple):
    """Seconds to wait for a connection and for the next bytes, tries without progress, seconds before the second."""

    connect: float = 10.0
    read: float = 60.0
    tries: int = 4
    pause: float = 1.0


class _Passing(Exception):  # noqa: N818 - the name says what it is: no error yet
    """What another try may overcome; ``wait`` is how many seconds the server asked for."""

    def __init__(self, message: str, wait: float = 0.0) -> None:
        super().__init__(message)
        self.wait = wait


def download(
    url: str,
    part: Path,
    *,
    size: int | None = None,
    patience: Patience = Patience(),  # noqa: B008 - a NamedTuple cannot change
    watch: Watch = lambda done, total: None,
) -> None:
    """Bring ``url`` to ``part``. What was there of it is kept and continued, if the server still has the same file.

    Where the server does not say which version of a file it has, only a checksum of the whole can tell afterwards.
    ``size``: bytes expected, None if unknown. Raises UserError for a refusal, a web page in place of data, another
    size, a full disk, and after ``patience.tries`` tries in a row that brought nothing.
    """
    tries = 0
    with requests.Session() as session:
        session.headers.update({"Accept-Encoding": "identity", "User-Agent": "janus-eval"})
        while True:
            before = _length(part)
            try:
                _attempt(session, url, part, size, patience, watch)
            except _Passing as fault:
                tries = 1 if _length(part) > before else tries + 1
                if tries >= patience.tries:
                    going_on = _length(part) and _kept_validator(part, url) is not None
                    again = "the same command goes on where it stopped" if going_on else "try again later"
                    raise UserError(f"{url}: {fault}; gave up after {tries} tries, {again}") from None
                time.sleep(max(fault.wait, patience.pause * 2 ** (tries - 1)))
            else:
                marker(part).unlink(missing_ok=True)
                return


def _attempt(
    session: requests.Session, url: str, part: Path, size: int | None, patience: Patience, watch: Watch
) -> None:
    validator = _kept_validator(part, url)
    have = 0 if validator is None else _length(part)
    headers = {"Range": f"bytes={have}-", **({"If-Range": validator} if validator else {})} if have else {}
    with _opened(session, url, headers, patience) as answer:
        if answer.status_code == 416:
            part.unlink(missing_ok=True)
            raise _Passing("the server has no more bytes than were there; begun anew")
        _refuse(answer, url)
        start = _start(answer.headers) if answer.status_code == 206 else 0
        if start != (have if answer.status_code == 206 else 0):
            part.unlink(missing_ok=True)
            raise _Passing(f"the server went on from byte {start}, asked for {have}; begun anew")
        said = _total(answer, start)
        if size is not None and said is not None and said != size:
            raise UserError(f"{url} has {said:,} bytes, {size:,} expected; its publisher may have changed it")
        total = said if size is None else size
        chunks = _chunks(answer)
        first = next(chunks, b"")
        if not start and _is_page(first):  # before what was there is given up for it
            raise UserError(f"{url} {PAGE}")
        with writing(part), part.open("ab" if start else "wb") as file:
            if not start:
                _keep_validator(part, url, answer.headers)
            done = _copy(itertools.chain((first,), chunks), url, file, start, total, watch)
    if total is not None and done < total:
        raise _Passing(f"the connection ended after {done:,} of {total:,} bytes")


def _copy(chunks: Iterable[bytes], url: str, file: IO[bytes], start: int, total: int | None, watch: Watch) -> int:
    """Write what comes; return how many bytes are there now."""
    done, head = start, b""
    watch(done, total)
    for chunk in chunks:
        if not start and len(head) < HEAD:
            head += chunk
            if _is_page(head):
                raise UserError(f"{url} {PAGE}")
        done += len(chunk)
        if done > (MOST if total is None else total):
            raise UserError(f"{url} sends more than the {MOST if total is None else total:,} bytes expected")
        file.write(chunk)
        file.flush()  # a full disk must show here, and a killed process leave what came
        watch(done, total)
    return done


@contextlib.contextmanager
def _opened(
    session: requests.Session, url: str, headers: Mapping[str, str], patience: Patience
) -> Iterator[requests.Response]:
    try:
        answer = session.get(url, headers=headers, stream=True, timeout=(patience.connect, patience.read))
    except requests.exceptions.SSLError as error:
        raise UserError(f"{url}: no secure connection: {one_line(error, 200)}") from error
    except requests.exceptions.ConnectTimeout:
        raise _Passing(f"no connection within {patience.connect:g} s") from None
    except requests.exceptions.ReadTimeout:
        raise _Passing(f"no answer within {patience.read:g} s") from None
    except (requests.exceptions.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
        raise _Passing(f"no connection: {one_line(error, 200)}") from error
    except requests.RequestException as error:
        raise UserError(f"{url} cannot be fetched: {one_line(error, 200)}") from error
    with answer:
        yield answer


def _chunks(answer: requests.Response) -> Iterator[bytes]:
    """The bytes as they come, so that all that was sent is kept where a connection breaks: ``iter_content`` would lose
    what does not fill a chunk, and never get over a server that sends less than one at a time."""
    try:
        while chunk := answer.raw.read1(CHUNK, decode_content=True):
            yield chunk
    except urllib3.exceptions.HTTPError as error:
        raise _Passing(f"the connection broke: {one_line(error, 200)}") from error


def _refuse(answer: requests.Response, url: str) -> None:
    code = answer.status_code
    said = f"{code} {answer.reason or ''}".strip()
    if code in PASSING or code >= 500:
        asked = answer.headers.get("Retry-After", "")
        raise _Passing(f"the server says {said}", min(float(asked), LONGEST_WAIT) if asked.isdecimal() else 0.0)
    if code not in {200, 206}:
        raise UserError(
            f"{url}: the server says {said}; has its publisher moved it? Had from elsewhere, --data DIR takes it"
        )
    if answer.headers.get("Content-Type", "").lower().startswith("text/html"):
        raise UserError(f"{url} {PAGE}")


def _is_page(chunk: bytes) -> bool:
    begin = chunk[:HEAD].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return begin.startswith((b"<!doctype html", b"<html"))


def _start(headers: Mapping[str, str]) -> int:
    """Where a part begins, from ``Content-Range: bytes 5-9/10``; -1 if nothing readable is said."""
    first = headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
    return int(first) if first.isdecimal() else -1


def _total(answer: requests.Response, start: int) -> int | None:
    said = answer.headers.get("Content-Length", "")
    return start + int(said) if said.isdecimal() and not _encoded(answer.headers) else None


def _encoded(headers: Mapping[str, str]) -> bool:
    """Whether it was compressed on the way, though that was not asked for: its sizes and places are not the file's."""
    return headers.get("Content-Encoding", "identity") != "identity"


def _length(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def marker(part: Path) -> Path:
    """Stands beside an unfinished file and says of what it is the beginning."""
    return part.with_name(f"{part.name}.of")


def _kept_validator(part: Path, url: str) -> str | None:
    """What the server called this version of the file, "" if nothing; None if there is nothing to go on from."""
    try:
        lines = marker(part).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    return lines[1] if len(lines) == 2 and lines[0] == url else None


def _keep_validator(part: Path, url: str, headers: Mapping[str, str]) -> None:
    if _encoded(headers):
        marker(part).unlink(missing_ok=True)
        return
    etag = headers.get("ETag", "")
    validator = headers.get("Last-Modified", "") if etag.startswith("W/") else etag or headers.get("Last-Modified", "")
    marker(part).write_text(f"{url}\n{validator}\n", encoding="utf-8")
