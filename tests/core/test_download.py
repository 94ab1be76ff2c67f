"""What a download keeps and how long it waits; ``test_fetch`` has the rest, with what comes of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from janus_eval import download as downloads
from janus_eval.download import Patience, download
from janus_eval.errors import UserError
from janus_eval.fetch import fetch

if TYPE_CHECKING:
    from tests.core.conftest import Publisher

DATA = bytes(400_000)
HASTY = Patience(connect=2, read=2, tries=3, pause=0.01)


@pytest.fixture
def part(here: Publisher, tmp_path: Path) -> Path:
    here.content["abc"] = DATA
    return tmp_path / "part"


@pytest.mark.parametrize("page", ["typed page", "page"])
def test_a_web_page_in_between_costs_nothing_of_what_was_there(here: Publisher, part: Path, page: str) -> None:
    here.faults["abc"] = ["cut", page]
    with pytest.raises(UserError, match="answers with a web page"):
        download(f"{here.url}/abc", part, patience=HASTY)
    there = part.stat().st_size
    assert 0 < there < len(DATA)
    download(f"{here.url}/abc", part, patience=HASTY)
    assert here.asked[-1][1]["Range"] == f"bytes={there}-"
    assert part.read_bytes() == DATA


def test_what_a_broken_connection_brought_is_kept_to_the_byte(here: Publisher, part: Path) -> None:
    here.content["abc"] = b"sixteen letters."
    here.faults["abc"] = ["cut"] * 4
    download(f"{here.url}/abc", part, patience=HASTY)
    assert part.read_bytes() == b"sixteen letters."
    assert [headers.get("Range") for _, headers in here.asked] == [None, *(f"bytes={n}-" for n in (8, 12, 14, 15))]


def test_a_server_without_versions_is_asked_for_the_rest_too(here: Publisher, part: Path) -> None:
    here.blind = True
    here.faults["abc"] = ["cut", "cut"]
    download(f"{here.url}/abc", part, patience=HASTY)
    assert part.read_bytes() == DATA
    assert [headers.get("Range") for _, headers in here.asked] == [None, "bytes=200000-", "bytes=300000-"]
    assert "If-Range" not in here.asked[1][1]


def test_the_beginning_of_another_version_is_found_out(
    here: Publisher, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JANUS_EVAL_DATA", str(part.parent))
    here.blind = True
    here.faults["abc"] = ["cut", 404]
    with pytest.raises(UserError, match="404"):
        fetch(here.dataset(), here.file("abc"), patience=HASTY)
    here.content["abc"] = b"x" * len(DATA)
    assert fetch(here.dataset(), here.file("abc"), patience=HASTY).path.read_bytes() == here.content["abc"]
    assert [headers.get("Range") for _, headers in here.asked[2:]] == ["bytes=200000-", None]


def test_what_was_compressed_on_the_way_is_the_file_again(here: Publisher, part: Path) -> None:
    here.faults["abc"] = ["gzip"]
    download(f"{here.url}/abc", part, size=len(DATA), patience=HASTY)
    assert part.read_bytes() == DATA and len(here.asked) == 1


def test_pauses_grow_and_the_servers_wish_is_heard(
    here: Publisher, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(downloads.time, "sleep", pauses.append)
    here.faults["abc"] = [503, 503, 503]
    with pytest.raises(UserError, match="503 Service Unavailable; gave up after 3 tries, try again later"):
        download(f"{here.url}/abc", part, patience=Patience(pause=0.5, tries=3))
    here.faults["abc"], here.retry_after = [429], "7"
    download(f"{here.url}/abc", part, patience=HASTY)
    here.faults["abc"], here.retry_after = [429], "9999"
    download(f"{here.url}/abc", part.with_name("other"), patience=HASTY)
    assert pauses == [0.5, 1.0, 7.0, downloads.LONGEST_WAIT]


def test_a_part_that_has_all_is_begun_anew(here: Publisher, part: Path) -> None:
    """The server has nothing after its end; what lies there may be anything."""
    part.write_bytes(DATA[::-1])
    downloads.marker(part).write_text(f'{here.url}/abc\n"v1"\n')
    download(f"{here.url}/abc", part, patience=HASTY)
    assert part.read_bytes() == DATA and len(here.asked) == 2


@pytest.mark.parametrize("kept", ["", 'https://example.org/other\n"v1"\n', "\xff", "one line"])
def test_what_is_of_another_file_is_not_continued(here: Publisher, part: Path, kept: str) -> None:
    part.write_bytes(b"of something else")
    downloads.marker(part).write_bytes(kept.encode("latin-1"))
    download(f"{here.url}/abc", part, patience=HASTY)
    assert part.read_bytes() == DATA and "Range" not in here.asked[0][1]


@pytest.mark.parametrize("url", ["ftp://example.org/a", "example.org/a", "https://"])
def test_addresses_that_are_none(url: str, part: Path) -> None:
    with pytest.raises(UserError, match="cannot be fetched"):
        download(url, part, patience=HASTY)
