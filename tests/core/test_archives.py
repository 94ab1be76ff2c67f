"""Zips that are damaged inside: one line that says so, whatever the decompressor raises, and nothing kept."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import pytest

from janus_eval.archives import unpack
from janus_eval.errors import UserError

SQUEEZED = zlib.compress(b"a" * 99, wbits=-15)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (SQUEEZED, b"\x06" + SQUEEZED[1:], "is no sound zip: .*invalid block type"),
        (SQUEEZED, SQUEEZED[:-1] + b"\xff", "is no sound zip: "),
        ("ä".encode(), b"\xff\xff", "is no sound zip: .*can't decode byte 0xff"),
    ],
)
def test_damage_is_the_users_to_know(tmp_path: Path, old: bytes, new: bytes, message: str) -> None:
    path = tmp_path / "some.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/ä.txt", b"a" * 99)
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new))
    with pytest.raises(UserError, match=message):
        unpack(path, "a", tmp_path / "out")
    assert not list(tmp_path.glob("out/*"))
