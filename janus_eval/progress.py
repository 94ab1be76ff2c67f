"""Progress on stderr: bars with rate and remaining time on a terminal, plain lines elsewhere, or nothing."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TextIO
from typing import Protocol as Interface

from janus_eval.plain import visible

if TYPE_CHECKING:
    from rich.progress import Progress

Advance = Callable[[int], None]
Reached = Callable[[int, int | None], None]
"""Is told how many bytes are there, and of how many (None: nobody said)."""
COUNTS = 32
"""Columns that counts, rate and remaining time take: on a narrow terminal the label is cut and not they."""
PLAIN_EVERY = 30.0
"""Seconds between plain lines."""


class Display(Interface):
    def bar(self, label: str, total: int) -> contextlib.AbstractContextManager[Advance]: ...

    def note(self, text: str) -> None: ...


class Silent:
    """For Python callers."""

    @contextlib.contextmanager
    def bar(self, label: str, total: int) -> Iterator[Advance]:
        yield lambda count: None

    def note(self, text: str) -> None:
        pass


class Plain:
    """For logs: a line when a stage begins, now and then, and when it ends."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr

    @contextlib.contextmanager
    def bar(self, label: str, total: int) -> Iterator[Advance]:
        start = last = time.monotonic()
        done = 0

        def advance(count: int) -> None:
            nonlocal done, last
            done += count
            now = time.monotonic()
            if now - last >= PLAIN_EVERY and done < total:
                last = now
                rate = done / (now - start)
                self.note(f"{label}: {done}/{total}, {rate:.1f}/s, {(total - done) / rate:.0f} s left")

        yield advance
        self.note(f"{label}: {done}/{total} in {time.monotonic() - start:.1f} s")

    def note(self, text: str) -> None:
        with contextlib.suppress(OSError):  # a full disk under the log is no reason to stop
            print(visible(text, keep="\n"), file=self._stream, flush=True)


class Bars:
    """For people. Rich is imported when the first bar is drawn."""

    @contextlib.contextmanager
    def bar(self, label: str, total: int) -> Iterator[Advance]:
        with self._progress() as progress:
            room, label = progress.console.width - COUNTS, visible(label)
            task = progress.add_task(label if len(label) <= room else f"{label[: max(1, room - 1)]}…", total=total)
            yield lambda count: progress.advance(task, count)

    def note(self, text: str) -> None:
        sys.stderr.write(visible(text, keep="\n") + "\n")
        sys.stderr.flush()

    def _progress(self) -> Progress:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            ProgressColumn,
            TextColumn,
            TimeRemainingColumn,
        )
        from rich.text import Text

        class Rate(ProgressColumn):
            def render(self, task: Any) -> Text:
                speed = task.finished_speed or task.speed
                return Text(f"{speed:.1f}/s" if speed is not None else "-/s", style="cyan")

        console = Console(stderr=True)
        name = TextColumn("{task.description}", markup=False)
        columns = [name, MofNCompleteColumn(), Rate(), TimeRemainingColumn(compact=True)]
        if console.width >= 70:
            columns.insert(1, BarColumn(bar_width=None))
        return Progress(*columns, console=console, expand=console.width >= 70, redirect_stdout=False)


def display() -> Display:
    """Bars on a terminal, plain lines elsewhere."""
    return Bars() if sys.stderr.isatty() else Plain()


@contextlib.contextmanager
def transfer(label: str) -> Iterator[Reached]:
    """A file on its way: bytes, rate and remaining time; a bar on a terminal, now and then a line elsewhere."""
    if sys.stderr.isatty():
        with _file_bar(label) as reached:
            yield reached
        return
    start = last = time.monotonic()
    first: int | None = None

    def line(done: int, total: int | None) -> None:
        nonlocal first, last
        first = done if first is None or done < first else first
        now = time.monotonic()
        if now - last >= PLAIN_EVERY:
            last = now
            rate = max((done - first) / (now - start), 1.0)
            left = f" of {total / 1e6:.1f} MB, {(total - done) / rate:.0f} s left" if total else " MB"
            Plain().note(f"{label}: {done / 1e6:.1f}{left}, {rate / 1e6:.2f} MB/s")

    yield line


@contextlib.contextmanager
def _file_bar(label: str) -> Iterator[Reached]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TaskID,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = [TextColumn("{task.description}", markup=False), DownloadColumn(), TransferSpeedColumn()]
    console = Console(stderr=True)
    if console.width >= 80:
        columns.insert(1, BarColumn(bar_width=None))
    task: TaskID | None = None
    with Progress(*columns, TimeRemainingColumn(compact=True), console=console, redirect_stdout=False) as progress:

        def reached(done: int, total: int | None) -> None:
            nonlocal task
            if task is None:  # only now, so that bytes of a former call don't count into the rate
                task = progress.add_task(label, total=total, completed=done)
            progress.update(task, completed=done, total=total)

        yield reached
