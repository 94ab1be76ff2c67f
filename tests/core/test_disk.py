from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janus_eval.disk import locked, safe_name, write_whole
from janus_eval.errors import UserError
from janus_eval.journal import Journal

NASTY = [
    "",
    ".",
    "..",
    "../../etc/passwd",
    "a/b",
    "a\0b",
    "CON",
    "A",
    "a",
    "a~b",
    "x" * 300,
    "é",
    "\ud800",
    ".hidden",
    "a\nb",
]


@given(st.lists(st.one_of(st.text(max_size=100), st.sampled_from(NASTY)), unique=True))
def test_safe_names(names: list[str]) -> None:
    safe = [safe_name(name) for name in names]
    assert len({name.lower() for name in safe}) == len(names)
    for name in safe:
        assert 0 < len(name) <= 80
        assert name.isascii() and not name.startswith(".") and not set(name) & set('/\\\0:*?"<>|\n ')


@given(st.text(max_size=60))
def test_no_plain_name_is_what_another_becomes(name: str) -> None:
    assert safe_name(safe_name(name)) == safe_name(name) or "~" in safe_name(name)


def test_plain_names_stay() -> None:
    for name in ("shapes-mmbench", "12", "partiprompts97", "a.b_c-d"):
        assert safe_name(name) == name


def full(*_: object, **__: object) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_whole_files_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "results.json"
    write_whole(path, b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=r"disk is full.*what was recorded is kept"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["results.json"]


def test_lock_refuses_a_second_holder_and_names_the_first(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(UserError, match=f"in use by process {os.getpid()}"), locked(tmp_path):
        pass
    with locked(tmp_path):
        pass


def journal(path: Path) -> Journal:
    return Journal(path, lambda record: record["k"])


def test_journal_keeps_what_was_appended(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    with journal(path) as first:
        first.append([{"k": 1, "text": "naïve \u2028 \ud800 \n"}, {"k": 2, "failure": "x"}])
        assert first.failures == {2}
        first.append([{"k": 2, "text": "y"}])
    with journal(path) as second:
        assert second.get(1) == {"k": 1, "text": "naïve \u2028 \ud800 \n"}
        assert second.get(2) == {"k": 2, "text": "y"}
        assert not second.failures
        assert 3 not in second and second.get(3) is None
        assert [record["k"] for record in second] == [1, 2]
    assert len(path.read_text("ascii").splitlines()) == 3


@given(cut=st.integers(1, 30))
def test_torn_last_line_is_dropped(cut: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("torn") / "j.jsonl"
    with journal(path) as first:
        first.append([{"k": 1}])
        size = path.stat().st_size
        first.append([{"k": 2, "text": "x" * 20}])
    whole = path.read_bytes()
    path.write_bytes(whole[: max(size, len(whole) - cut)])
    with journal(path) as second:
        assert 1 in second and 2 not in second
        second.append([{"k": 3}])
    assert [json.loads(line)["k"] for line in path.read_bytes().splitlines()] == [1, 3]


@pytest.mark.parametrize("tail", [b"\0\0\0\0\n", b"{}\n", b"[1]\n", b'{"k": 2', b"\xff\xfe"])
def test_any_damaged_last_line_is_dropped(tail: bytes, tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    path.write_bytes(b'{"k": 1}\n' + tail)
    with journal(path) as opened:
        assert len(opened) == 1


def test_damage_before_other_lines_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    path.write_bytes(b'{"k": 1}\nnonsense\n{"k": 2}\n')
    with pytest.raises(UserError, match="line 2 is damaged"):
        journal(path)


def test_journal_on_a_full_disk_keeps_whole_lines_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "j.jsonl"
    pwrite, room = os.pwrite, [25]

    def little_room(descriptor: int, data: Any, place: int) -> int:
        if not room[0]:
            full()
        written = pwrite(descriptor, bytes(data)[: room[0]], place)
        room[0] -= written
        return written

    with journal(path) as opened:
        opened.append([{"k": 1}])
        monkeypatch.setattr(os, "pwrite", little_room)
        with pytest.raises(UserError, match="disk is full"):
            opened.append([{"k": 2, "text": "x" * 10}, {"k": 3, "text": "x" * 10}])
        assert 2 not in opened
    monkeypatch.undo()
    assert path.read_bytes() == b'{"k":1}\n'


def test_a_journal_for_reading_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path, lambda record: record["k"], writable=False) as missing:
        assert len(missing) == 0 and not path.exists()
    whole = b'{"k":1}\n{"k":2}\n{"k":'
    path.write_bytes(whole)
    with Journal(path, lambda record: record["k"], writable=False) as being_written:
        assert list(being_written) == [{"k": 1}, {"k": 2}]
        with pytest.raises(AssertionError, match="opened for reading"):
            being_written.append([{"k": 3}])
    assert path.read_bytes() == whole, "the torn line is somebody's who is still writing"
