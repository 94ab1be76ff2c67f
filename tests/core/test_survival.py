"""What a run must survive, in processes of its own: kill -9 at any moment, company, Ctrl-C."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

Start = Callable[..., "subprocess.Popen[str]"]
RUN = (
    "run",
    "--task",
    "toy-big",
    "--task",
    "toy-draw/two-eyes",
    "--model",
    "toy?broken=picture 7 ",
    "--batch-size",
    "4",
)
FOLDER = "toy-"


def finished(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def the_folder(out: Path) -> Path:
    [folder] = out.glob("toy*")
    return folder


def recorded(out: Path) -> set[str]:
    """Requests with a whole line in responses.jsonl, as the toy's log names them."""
    keys = set()
    for file in out.glob("*/responses.jsonl"):
        for line in file.read_bytes().splitlines(keepends=True):
            if line.endswith(b"\n"):
                record = json.loads(line)
                keys.add(f"{record['task']}/{record['sample']}/{record['index']} {record['id']}")
    return keys


def test_kill_at_any_moment_and_resume(command: Start, tmp_path: Path) -> None:
    code, _, err = finished(command(*RUN, "--out", "whole"))
    assert code == 0, err
    expected = (the_folder(tmp_path / "whole") / "results.json").read_bytes()

    moments = random.Random(3)
    out, log = tmp_path / "killed", tmp_path / "log"
    killed = 0
    for _ in range(40):
        before = recorded(out)
        log.unlink(missing_ok=True)
        process = command(*RUN, "--out", "killed", TOY_SLOW="0.01", TOY_LOG=str(log))
        work, pause = moments.randint(0, 60), moments.uniform(0, 0.02)
        while process.poll() is None and (len(log.read_text().splitlines()) if log.exists() else 0) < work:
            time.sleep(0.002)
        time.sleep(pause)
        done = process.poll() is not None
        process.kill()
        process.communicate()
        asked = set(log.read_text().splitlines()) - {"look"} if log.exists() else set()
        assert not asked & before, "a request whose response was recorded was asked again"
        if done:
            break
        killed += 1
        assert before <= recorded(out), "a recorded response was lost"
    else:
        raise AssertionError("it never came to an end")
    assert killed >= 3
    folder = the_folder(out)
    assert (folder / "results.json").read_bytes() == expected
    assert not list(folder.rglob("*.part")) or finished(command(*RUN, "--out", "killed"))[0] == 0


def test_torn_lines_of_every_journal(command: Start, tmp_path: Path) -> None:
    assert finished(command(*RUN, "--out", "runs"))[0] == 0
    folder = the_folder(tmp_path / "runs")
    before = (folder / "results.json").read_bytes()
    for name in ("responses.jsonl", "observations.jsonl", "timings.jsonl"):
        file = folder / name
        file.write_bytes(file.read_bytes()[:-9])
    code, _, err = finished(command(*RUN, "--out", "runs"))
    assert code == 0, err
    assert (folder / "results.json").read_bytes() == before
    for name in ("responses.jsonl", "observations.jsonl", "timings.jsonl", "scores.jsonl"):
        assert all(json.loads(line) for line in (folder / name).read_bytes().splitlines())


def wait_for_responses(out: Path, process: subprocess.Popen[str]) -> None:
    limit = time.monotonic() + 60
    while not recorded(out) and time.monotonic() < limit:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def test_second_process_is_refused(command: Start, tmp_path: Path) -> None:
    first = command(*RUN, "--out", "runs", TOY_SLOW="0.2")
    wait_for_responses(tmp_path / "runs", first)
    code, out, err = finished(command(*RUN, "--out", "runs"))
    first.kill()
    first.communicate()
    assert (code, out) == (2, "")
    assert f"in use by process {first.pid}" in err.splitlines()[-1]
    assert err.splitlines()[-1].startswith("janus-eval: error: ")
    assert finished(command(*RUN, "--out", "runs"))[0] == 0


def test_interruption_keeps_everything_and_says_how_to_go_on(command: Start, tmp_path: Path) -> None:
    process = command(*RUN, "--out", "runs", TOY_SLOW="0.1")
    wait_for_responses(tmp_path / "runs", process)
    os.kill(process.pid, signal.SIGINT)
    code, _, err = finished(process)
    assert code == 130
    assert "interrupted; runs keeps what was recorded: run the same command to go on" in err
    assert "Traceback" not in err
    assert recorded(tmp_path / "runs")
    assert not list(tmp_path.glob("runs/*/results.json"))
    assert finished(command(*RUN, "--out", "runs"))[0] == 0


def test_a_full_disk(command: Start, tmp_path: Path) -> None:
    """The disk fills while the model answers: one line, exit 2, and the same command goes on when there is room."""
    plugin = tmp_path / "filling.py"
    plugin.write_text(
        "import errno, os\n"
        "room = [4000]\n"
        "pwrite = os.pwrite\n"
        "def limited(descriptor, data, place):\n"
        "    if len(data) > 20 and len(data) > room[0]:\n"
        "        pwrite(descriptor, bytes(data)[: room[0]], place)\n"
        "        raise OSError(errno.ENOSPC, 'No space left on device')\n"
        "    room[0] -= len(data)\n"
        "    return pwrite(descriptor, data, place)\n"
        "os.pwrite = limited\n"
        "def plugins():\n    return {}\n"
    )
    assert finished(command(*RUN, "--out", "whole"))[0] == 0
    code, _, err = finished(command("--plugin", str(plugin), *RUN, "--out", "runs"))
    assert code == 2
    assert err.splitlines()[-1].startswith("janus-eval: error: cannot write ") and "the disk is full" in err
    assert "Traceback" not in err
    assert 0 < len(recorded(tmp_path / "runs")) < 240
    assert finished(command(*RUN, "--out", "runs"))[0] == 0
    ours, theirs = (the_folder(tmp_path / name) / "results.json" for name in ("runs", "whole"))
    assert ours.read_bytes() == theirs.read_bytes()
