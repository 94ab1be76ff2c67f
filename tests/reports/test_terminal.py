"""The table that ``run`` prints, against literal goldens at three widths."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from janus_eval.reports import terminal

WIDE = """\
3 models (nano-janus-pro, oracle and blank) on 5 tasks, 22 November 2026: 183
samples each, 864 requests in all, 3 failures.

                 shapes-     shapes-     shapes-dpg   shapes-     shapes-
                 mmbench     geneval     fixed        ocr-read    ocr-write
model            circular    official    percent      exact       exact
───────────────────────────────────────────────────────────────────────────
nano-janus-pro   0.75        0.75¹       71.8         0.54        0.70
                 0.60–0.86   0.67–0.82   49.9–86.7    0.41–0.66   0.57–0.81
───────────────────────────────────────────────────────────────────────────
oracle           1.00        1.00        92.4         0.83        0.87
ceiling          0.91–1.00   0.97–1.00   72.9–98.2    0.71–0.91   0.76–0.94
blank            0.00        0.00        1.0          0.00        0.00
floor            0.00–0.09   0.00–0.03   0.0–17.8     0.00–0.07   0.00–0.07

Value and 95% interval.
¹ nano-janus-pro, shapes-geneval/official: 3 failed, 117 scored: out of memory
on a batch of one
"""

NARROW = """\
3 models (nano-janus-pro, oracle and blank) on 5 tasks, 22
November 2026: 183 samples each, 864 requests in all, 3
failures.

nano-janus-pro
  shapes-mmbench/circular  0.75     0.60–0.86
  shapes-geneval/official  0.75¹    0.67–0.82
  shapes-dpg/fixed         71.8     49.9–86.7
  shapes-ocr-read/exact    0.54     0.41–0.66
  shapes-ocr-write/exact   0.70     0.57–0.81

oracle  ceiling
  shapes-mmbench/circular  1.00     0.91–1.00
  shapes-geneval/official  1.00     0.97–1.00
  shapes-dpg/fixed         92.4     72.9–98.2
  shapes-ocr-read/exact    0.83     0.71–0.91
  shapes-ocr-write/exact   0.87     0.76–0.94

blank  floor
  shapes-mmbench/circular  0.00     0.00–0.09
  shapes-geneval/official  0.00     0.00–0.03
  shapes-dpg/fixed         1.0      0.0–17.8
  shapes-ocr-read/exact    0.00     0.00–0.07
  shapes-ocr-write/exact   0.00     0.00–0.07

Value and 95% interval.
¹ nano-janus-pro, shapes-geneval/official: 3 failed, 117
scored: out of memory on a batch of one
"""


def shown(runs: list[Path], width: int) -> str:
    """What a terminal of this width shows, without colours and trailing blanks."""
    text = io.StringIO()
    Console(file=text, width=width, color_system=None, legacy_windows=False).print(terminal.render(runs, width))
    return "".join(f"{line.rstrip()}\n" for line in text.getvalue().rstrip().split("\n"))


def test_eighty_columns(three_runs: list[Path]) -> None:
    assert shown(three_runs, 80) == WIDE


def test_sixty_columns_stack(three_runs: list[Path]) -> None:
    assert shown(three_runs, 60) == NARROW


def test_a_hundred_and_twenty_columns_have_the_same_table(three_runs: list[Path]) -> None:
    wide = shown(three_runs, 120)
    assert wide.split("\n\n")[1:2] == WIDE.split("\n\n")[1:2]
    assert "¹ nano-janus-pro, shapes-geneval/official: 3 failed, 117 scored: out of memory on a batch of one\n" in wide


def test_forty_columns_put_values_under_their_tasks(three_runs: list[Path]) -> None:
    block = "\noracle  ceiling\n  shapes-mmbench/circular\n    1.00     0.91–1.00\n  shapes-geneval/official\n"
    assert block in shown(three_runs, 40)


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_no_line_is_wider_than_the_terminal(three_runs: list[Path], width: int) -> None:
    assert max(map(len, shown(three_runs, width).splitlines())) <= width


def test_no_runs() -> None:
    assert shown([], 80) == "No runs yet: `janus-eval run` makes the first, `janus-eval report RUN...` shows\nit.\n"


def test_names_cannot_command_the_terminal(own_runs: list[Path]) -> None:
    file = own_runs[0] / "results.json"
    results = json.loads(file.read_text())
    results["model"]["name"] = "\x1b[2Jevil[bold red]\u202egnp"
    file.write_text(json.dumps(results))
    text = shown(own_runs, 120)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "␛[2Jevil[bold red]⟨U+202E…" in text
