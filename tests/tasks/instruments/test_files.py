"""Published weights: where they are looked for, and what is said of absent and false ones."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from janus_eval.cli.doctor import plugin_health
from janus_eval.errors import AbsentError, UserError
from janus_eval.specs import offered
from janus_eval.tasks.instruments import files

URL = "https://example.org/zoo/net-0123abcd.pth"


def test_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(files.VARIABLE, str(tmp_path))
    assert files.folder() == tmp_path
    monkeypatch.delenv(files.VARIABLE)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert files.folder() == tmp_path / "janus-eval" / "weights"


def test_an_absent_file_says_what_and_whence_and_where_to(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(files.VARIABLE, str(tmp_path))
    with pytest.raises(AbsentError) as caught:
        files.published(URL, "the net's weights")
    said = str(caught.value)
    assert said.startswith(f"the net's weights: {tmp_path}/net-0123abcd.pth is not there") and "\n" not in said
    assert URL in said and "JANUS_EVAL_WEIGHTS=FOLDER" in said
    (tmp_path / "net-0123abcd.pth").write_bytes(b"x")
    assert files.published(URL, "the net's weights") == tmp_path / "net-0123abcd.pth"


def test_a_hash_in_the_name_is_checked(tmp_path: Path) -> None:
    digest = hashlib.sha256(b"weights").hexdigest()
    for name in ("plain.pth", f"net-{digest[:8]}.pth", "net-2022.pth"):
        (tmp_path / name).write_bytes(b"weights")
        assert files.checked(tmp_path / name) == digest
    (tmp_path / "net-0123abcd.pth").write_bytes(b"weights")
    with pytest.raises(UserError, match=f"SHA-256 begins with {digest[:8]}; fetch it again"):
        files.checked(tmp_path / "net-0123abcd.pth")
    with pytest.raises(UserError, match="cannot read"):
        files.checked(tmp_path)


def test_absent_weights_are_no_fault_of_the_installation(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(files.VARIABLE, str(tmp_path))
    detector = offered("instruments", "mask2former")
    assert " weights 743b7d99 " in detector.version  # known without the file: old runs can be judged again
    with pytest.raises(AbsentError, match="the detector's weights"):
        detector.prepare()
    lines = [(line, sound) for line, sound in plugin_health() if "the detector's weights" in line]
    assert [sound for _, sound in lines] == [True]
