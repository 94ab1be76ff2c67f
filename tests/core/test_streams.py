"""Output that goes anywhere: a terminal of another alphabet, a full disk, nowhere; and text that would command it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

from janus_eval.cli import app
from janus_eval.plain import LONGEST, one_line, visible
from janus_eval.progress import Bars, Plain
from janus_eval.types import Response

Start = Callable[..., "subprocess.Popen[str]"]


def test_a_terminal_of_another_alphabet(command: Start) -> None:
    process = command("run", "--suite", "toys", PYTHONIOENCODING="ascii")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert re.search(r"\d\.\d\d-\d\.\d\d", out), "the interval's dash is written as a hyphen"
    assert out.isascii() and "?" not in out


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="takes Linux's /dev/full")
def test_standard_output_on_a_full_disk(command: Start, tmp_path: Path) -> None:
    line = [sys.executable, "-m", "janus_eval", "list", "suites"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(line, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "janus-eval: error: standard output: No space left on device\n")


def test_closed_output_is_no_reason_to_fail(tmp_path: Path) -> None:
    line = f"'{sys.executable}' -m janus_eval list suites >&- 2>&-"
    assert subprocess.run(["sh", "-c", line], check=False).returncode == 0


def test_a_log_on_a_full_disk_stops_nothing() -> None:
    class Full:
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    with Plain(Full()).bar("label", 3) as advance:  # type: ignore[arg-type]
        advance(3)


def test_narrow_bars_cut_the_label_and_keep_the_numbers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("FORCE_COLOR", "1")
    with Bars().bar("[red]/<script> and a label that is long", 250) as advance:
        advance(125)
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", capsys.readouterr().err)
    assert "125/250" in shown and "/s " in shown and re.search(r"\d:\d\d|--:--", shown)
    assert "[red]" in shown, "a label is no markup"


@pytest.mark.parametrize("columns", ["0", "1", "40"])
def test_lists_on_any_width(columns: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert app.run(["list", "suites"]) == 0
    out = capsys.readouterr().out
    assert "\nshapes  " in out and all(len(line) <= 40 for line in out.splitlines())


def test_errors_and_answers_cannot_command_the_terminal(
    toys: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert app.run(["ask", "toy", "\x1b[2Jno such picture", "[red]"]) == 2
    assert capsys.readouterr().err == "janus-eval: error: \\x1b[2Jno such picture: No such file or directory\n"
    Image.new("RGB", (4, 4)).save("some.png")
    monkeypatch.setattr(toys.Toy, "answer", lambda self, asked: [Response(text="a\tb\n[red]\x1b]0;title\x07 \x7f é")])
    assert app.run(["ask", "toy", "some.png", "<script>"]) == 0
    assert capsys.readouterr().out == "a\tb\n[red]\\x1b]0;title\\x07 \\x7f é\n"


def test_lines() -> None:
    assert visible("a\nb \ud800é\u202e") == "a\\nb \\ud800é\\u202e"
    assert one_line(" a\n\tb  c ") == "a b c"
    assert one_line("x" * LONGEST) == "x" * LONGEST
    long = one_line("begins " + "word " * 10_000 + "and ends")
    assert len(long) < LONGEST + 50 and long.startswith("begins word") and long.endswith("word and ends")
    assert "characters ..." in long


def test_prompts_of_ten_thousand_words_fail_in_one_line(
    toys: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert app.run(["draw", "toy?broken=word", "word " * 10_000, "-o", "x.png"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("janus-eval: error: model 'toy' failed: KeyError") and len(err) < LONGEST + 100


@pytest.mark.parametrize("arguments", ["draw toy red -o x.png", "ask toy x.png what"])
@pytest.mark.parametrize("seed", ["-1", str(2**63)])
def test_seeds_that_no_generator_takes(
    arguments: str, seed: str, toys: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run([*arguments.split(), "--seed", seed]) == 2
    assert "Invalid value for '--seed'" in capsys.readouterr().err
