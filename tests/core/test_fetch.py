"""``janus-eval fetch``: the right file or none, whatever the server, the network or the disk does."""

from __future__ import annotations

import hashlib
import io
import signal
import stat
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from janus_eval import datasets, plugin_files, plugins
from janus_eval.archives import unpack
from janus_eval.cli import app
from janus_eval.datasets import Dataset, File
from janus_eval.download import Patience, download
from janus_eval.errors import UserError
from janus_eval.fetch import Fetched, fetch

if TYPE_CHECKING:
    from tests.core.conftest import Publisher

HASTY = Patience(connect=2, read=0.3, tries=3, pause=0.01)
DATA = bytes(range(256)) * 2000


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JANUS_EVAL_DATA", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def published(here: Publisher) -> None:
    here.content["abc.tsv"] = DATA


def zipped(members: Mapping[str, bytes], change: Callable[[zipfile.ZipInfo], None] = lambda info: None) -> bytes:
    """A zip of these members, each described as ``change`` leaves it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name)
            change(info)
            archive.writestr(info, data)
    return buffer.getvalue()


def get(here: Publisher, file: File | None = None) -> Fetched:
    file = file or here.file("abc.tsv")
    return fetch(here.dataset(file), file, patience=HASTY)


def left(kept: str = "") -> set[str]:
    """Names in the data set's folder, but the lock's."""
    return {path.name for path in Path("store/letters").iterdir()} - {".lock", kept}


def test_a_file_comes_whole_and_only_once(here: Publisher) -> None:
    seen: list[tuple[int, int | None]] = []
    file = here.file("abc.tsv", size=len(DATA))
    path, new = fetch(here.dataset(file), file, patience=HASTY, watch=lambda done, total: seen.append((done, total)))
    assert (path.read_bytes(), new) == (DATA, True)
    assert path == Path.cwd() / "store" / "letters" / "abc.tsv"
    assert seen[0] == (0, len(DATA)) and seen[-1] == (len(DATA), len(DATA))
    assert not get(here).new and len(here.asked) == 1
    assert left() == {"abc.tsv"}
    assert datasets.find(here.dataset(file), "abc.tsv") == path


@pytest.mark.parametrize("kind", ["sha256", "md5", "git-blob"])
def test_kinds_of_checksums(here: Publisher, kind: str) -> None:
    blob = hashlib.sha1(b"blob %d\0" % len(DATA) + DATA).hexdigest()
    digest = {"sha256": hashlib.sha256(DATA).hexdigest(), "md5": hashlib.md5(DATA).hexdigest(), "git-blob": blob}[kind]
    assert get(here, here.file("abc.tsv", f"{kind}:{digest}")).new


def test_names_that_git_gives(tmp_path: Path) -> None:
    """What ``git hash-object`` and ``git mktree`` say of the same content."""
    folder = tmp_path / "tree"
    (folder / "a").mkdir(parents=True)
    (folder / "a.txt").write_text("hello\n")
    (folder / "a" / "b.txt").write_text("")
    assert datasets.checksum(folder / "a.txt", "git-blob") == "ce013625030ba8dba906f756967f9e9ca394464a"
    git = ["git", "-c", "safe.directory=*", "-C", str(tmp_path)]
    for words in (["init", "-q"], ["add", "tree"]):
        subprocess.run([*git, *words], check=True)
    tree = subprocess.run([*git, "write-tree", "--prefix=tree/"], check=True, capture_output=True, text=True)
    assert datasets.checksum(folder, "git-tree") == tree.stdout.strip()
    (folder / "link").symlink_to("a.txt")
    assert datasets.checksum(folder, "git-tree") != tree.stdout.strip()


def test_a_cut_connection_is_taken_up_where_it_broke(here: Publisher) -> None:
    here.faults["abc.tsv"] = ["cut", "cut", 503]
    assert get(here).path.read_bytes() == DATA
    starts = [int(headers.get("Range", "bytes=0-")[6:-1]) for _, headers in here.asked]
    assert starts[0] == 0 < starts[1] < starts[2] == starts[3]
    assert all(headers["If-Range"] == '"v1"' for _, headers in here.asked[1:])
    assert left() == {"abc.tsv"}


def test_truncated_for_good_stays_unfinished(here: Publisher) -> None:
    here.etag = ""  # nothing to go on from
    here.faults["abc.tsv"] = ["cut"] * 9
    with pytest.raises(UserError, match=r"abc.tsv: the connection broke: .*; gave up after 3 tries, the same command"):
        get(here)
    assert "abc.tsv" not in left()
    here.faults.clear()
    assert get(here).path.read_bytes() == DATA


def test_another_version_on_the_server_is_begun_anew(here: Publisher) -> None:
    here.faults["abc.tsv"] = ["cut", 500, 500, 500]
    with pytest.raises(UserError, match="the server says 500 Internal Server Error; gave up after 3 tries"):
        get(here)
    assert left() == {".abc.tsv.part", ".abc.tsv.part.of"}
    here.etag, here.content["abc.tsv"] = '"v2"', DATA[::-1]
    assert get(here).path.read_bytes() == DATA[::-1]


def test_a_server_that_recovers(here: Publisher) -> None:
    here.faults["abc.tsv"] = [500, 429]
    assert get(here).new
    assert len(here.asked) == 3


def test_a_server_that_stalls(here: Publisher) -> None:
    here.faults["abc.tsv"] = ["stall"]
    assert get(here).new
    here.faults["def.tsv"], here.content["def.tsv"] = ["stall"] * 9, b"x"
    with pytest.raises(UserError, match=r"no answer within 0\.3 s; gave up after 3 tries, try again later"):
        get(here, here.file("def.tsv"))


def test_nobody_there(here: Publisher) -> None:
    file = File("abc.tsv", "http://127.0.0.1:9/abc.tsv", "md5:0")
    with pytest.raises(UserError, match=r"no connection: .*; gave up after 3 tries"):
        get(here, file)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (404, "the server says 404 Not Found; has its publisher moved it"),
        (403, "the server says 403 Forbidden"),
        ("page", "answers with a web page, not with data"),
    ],
)
def test_refusals_are_final(here: Publisher, fault: int | str, message: str) -> None:
    here.faults["abc.tsv"] = [fault]
    with pytest.raises(UserError, match=message):
        get(here)
    assert len(here.asked) == 1
    assert "abc.tsv" not in left()
    assert get(here).new


def test_a_wrong_hash_is_removed_and_said(here: Publisher) -> None:
    digest = "0" * 64
    with pytest.raises(UserError, match=rf"gave another abc.tsv than was published \(sha256 .*, expected {digest}\)"):
        get(here, here.file("abc.tsv", f"sha256:{digest}"))
    assert left() == set()


def test_killed_before_the_last_step(here: Publisher) -> None:
    get(here).path.rename("store/letters/.abc.tsv.part")
    assert get(here).path.read_bytes() == DATA
    assert len(here.asked) == 1


def test_another_size_is_said_before_it_is_loaded(here: Publisher) -> None:
    with pytest.raises(UserError, match="has 512,000 bytes, 7 expected"):
        get(here, here.file("abc.tsv", size=7))


def test_a_spoilt_copy_is_named_by_the_task_and_mended_by_fetch(here: Publisher) -> None:
    path = get(here).path
    path.write_bytes(b"spoilt")
    with pytest.raises(UserError, match=r"abc.tsv is not the published abc.tsv .*: delete it, then janus-eval fetch"):
        datasets.find(here.dataset(here.file("abc.tsv")), "abc.tsv")
    assert get(here).new
    assert path.read_bytes() == DATA


def test_a_full_disk(here: Publisher, tmp_path: Path) -> None:
    (tmp_path / "part").symlink_to("/dev/full")
    with pytest.raises(UserError, match=r"cannot write .*part: the disk is full"):
        download(f"{here.url}/abc.tsv", tmp_path / "part", patience=HASTY)


def test_one_process_at_a_time(here: Publisher) -> None:
    from janus_eval.disk import locked

    get(here)
    with locked(Path("store/letters")), pytest.raises(UserError, match=r"in use by process \d+; wait for it$"):
        get(here)


PLUGIN = """
from janus_eval.datasets import Dataset, File
def plugins():
    return {{"datasets": {{"letters": ":letters"}}}}
letters = Dataset("letters", "Letters", ({files},), "CC0-1.0", "{url}")
"""


@pytest.fixture
def offered(here: Publisher, tmp_path: Path) -> Iterator[Dataset]:
    here.content["one.tsv"] = b"one"
    files = here.file("abc.tsv"), here.file("one.tsv", size=3)
    (tmp_path / "letters.py").write_text(PLUGIN.format(files=", ".join(map(repr, files)), url=here.url))
    plugins.registry.cache_clear()
    plugin_files.add(str(tmp_path / "letters.py"))
    yield here.dataset(*files)
    datasets.look_first_in(None)
    plugins.registry.cache_clear()


def test_a_killed_process_leaves_no_final_file(here: Publisher, offered: Dataset, tmp_path: Path) -> None:
    here.faults["abc.tsv"] = ["cut", "stall", "stall", "stall"]
    words = [sys.executable, "-m", "janus_eval", "--plugin", "letters.py", "fetch", "letters/abc.tsv"]
    process = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while len(here.asked) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert left() == {".abc.tsv.part", ".abc.tsv.part.of"}
    here.faults.clear()
    assert get(here).path.read_bytes() == DATA
    assert here.asked[-1][1]["Range"] != "bytes=0-"


def test_the_command(here: Publisher, offered: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["fetch", "letters/one.tsv"]) == 0
    assert app.run(["fetch", "letters"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"letters: licence CC0-1.0; published at {here.url}"
    assert said[-2:] == [
        f"{Path.cwd()}/store/letters/abc.tsv",
        f"{Path.cwd()}/store/letters/one.tsv (there already)",
    ]
    Path("store/letters/abc.tsv").unlink()
    assert app.run(["fetch"]) == 0
    shown = capsys.readouterr().out
    assert "letters: Letters\n  licence: CC0-1.0\n" in shown
    assert "  -        abc.tsv\n  fetched  one.tsv, 3 bytes\n" in shown
    assert "mmbench" in shown and "MMBench_DEV_EN.tsv" in shown
    assert app.run(["list", "datasets"]) == 0
    assert "letters Letters" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("lettres", "unknown dataset 'lettres'; did you mean 'letters'"),
        ("letters/on.tsv", "data set 'letters' has no file 'on.tsv'; did you mean 'one.tsv'"),
        ("letters --data absent", "--data absent is no folder"),
        ("letters --data store", "--data store holds neither letters/abc.tsv nor abc.tsv"),
        ("--data store", "give its name"),
    ],
)
def test_mistakes(offered: Dataset, words: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("store").mkdir()
    assert app.run(["fetch", *words.split()]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("janus-eval: error: ") and message in said


def test_without_a_network(here: Publisher, offered: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder with the files under their published names is enough, flat or in the data set's folder."""
    carried = Path("carried")
    (carried / "letters").mkdir(parents=True)
    (carried / "abc.tsv").write_bytes(DATA)
    (carried / "letters" / "one.tsv").write_bytes(b"one")
    assert app.run(["fetch", "letters", "--data", "carried"]) == 0
    assert not here.asked
    assert left() == {"abc.tsv", "one.tsv"}
    Path("store/letters/one.tsv").unlink()
    (carried / "letters" / "one.tsv").write_bytes(b"two")
    capsys.readouterr()
    assert app.run(["fetch", "letters", "--data", "carried"]) == 2
    assert "carried/letters/one.tsv is not the published one.tsv (sha256" in capsys.readouterr().err
    datasets.look_first_in(None)
    with pytest.raises(UserError, match=r"^one.tsv is not on this machine: janus-eval fetch letters/one.tsv \(or"):
        datasets.find(offered, "one.tsv")


def test_where_files_lie(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JANUS_EVAL_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    monkeypatch.setattr(sys, "platform", "linux")
    assert datasets.root() == Path("/caches/janus-eval/data")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert datasets.root() == Path.home() / "Library/Caches/janus-eval/data"


PROMPTS = {"repo-1/prompts/a.txt": b"a red circle", "repo-1/prompts/deep/b.txt": b"", "repo-1/other.txt": b"x"}


def folder_file(here: Publisher, data: bytes) -> File:
    """A folder out of a zip, with the tree that PROMPTS make."""
    here.content["prompts.zip"] = data
    Path("sound.zip").write_bytes(zipped(PROMPTS))
    unpack(Path("sound.zip"), "repo-1/prompts", Path("sound"))
    tree = datasets.checksum(Path("sound"), "git-tree")
    return here.file("prompts.zip", f"git-tree:{tree}", inside="repo-1/prompts")


def test_a_folder_out_of_a_zip(here: Publisher) -> None:
    file = folder_file(here, zipped(PROMPTS))
    path = get(here, file).path
    assert sorted(str(p.relative_to(path)) for p in path.rglob("*.txt")) == ["a.txt", "deep/b.txt"]
    assert left() == {"prompts"}
    assert not get(here, file).new
    (path / "more.txt").touch()
    assert get(here, file).new
    assert not (path / "more.txt").exists()


def as_link(info: zipfile.ZipInfo) -> None:
    info.external_attr = (stat.S_IFLNK | 0o777) << 16


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (zipped({**PROMPTS, "../evil.txt": b"x"}), "its member '../evil.txt' leads out of the folder"),
        (zipped({**PROMPTS, "repo-1/prompts/../../../evil.txt": b"x"}), "leads out of the folder"),
        (zipped({**PROMPTS, "/evil.txt": b"x"}), "has an absolute or foreign path"),
        (zipped({**PROMPTS, "c:/evil.txt": b"x"}), "has an absolute or foreign path"),
        (zipped({**PROMPTS, "repo-1\\..\\evil.txt": b"x"}), "has an absolute or foreign path"),
        (zipped({"repo-1/prompts/a.txt": b"../../evil.txt"}, as_link), "is a link or no file"),
        (zipped({"repo-1/b.txt": b""}), "has no folder repo-1/prompts"),
        (zipped(PROMPTS)[:-30], "is no sound zip"),
        (b"no zip at all", "is no sound zip"),
        (zipped({"repo-1/prompts/a.txt": b"a blue circle"}), "git-tree .*, expected"),
    ],
)
def test_zips_with_suspicion(here: Publisher, data: bytes, message: str, tmp_path: Path) -> None:
    file = folder_file(here, data)
    with pytest.raises(UserError, match=message):
        get(here, file)
    assert left() == set()
    assert not list(tmp_path.rglob("evil.txt")) and not (tmp_path.parent / "evil.txt").exists()


def test_a_zip_that_would_fill_the_disk(here: Publisher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("janus_eval.archives.MOST_BYTES", 1000)
    with pytest.raises(UserError, match="would unpack to 1,000,000 bytes; at most 1,000"):
        get(here, File("prompts", *_bomb(here)))
    monkeypatch.setattr("janus_eval.archives.MOST_MEMBERS", 1)
    with pytest.raises(UserError, match="holds 3 files; at most 1"):
        unpack(_written(zipped(PROMPTS)), "repo-1", Path("out"))


def _bomb(here: Publisher) -> tuple[str, str, None, str]:
    here.content["bomb.zip"] = zipped({"a/b.txt": bytes(1_000_000)})
    return f"{here.url}/bomb.zip", "git-tree:0", None, "a"


def _written(data: bytes) -> Path:
    Path("some.zip").write_bytes(data)
    return Path("some.zip")


def test_what_the_benchmarks_publish_is_described() -> None:
    for name in ("mmbench", "geneval", "dpg", "ocrbench"):
        dataset = plugins.load("datasets", name)
        assert dataset.name == name and dataset.licence and dataset.source.startswith("https://")
        for file in dataset.files:
            assert file.url.startswith("https://")
            kind, _, digest = file.checksum.partition(":")
            assert len(digest) == {"sha256": 64, "md5": 32}.get(kind, 40)


def test_the_lines_of_a_long_transfer(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from janus_eval import progress

    clock: Callable[[], float] = iter([0.0, 1.0, 40.0, 41.0]).__next__
    monkeypatch.setattr(progress.time, "monotonic", clock)
    with progress.transfer("abc.tsv") as reached:
        reached(10_000_000, 100_000_000)
        reached(50_000_000, 100_000_000)
        reached(60_000_000, None)
    assert capsys.readouterr().err == "abc.tsv: 50.0 of 100.0 MB, 50 s left, 1.00 MB/s\n"
