"""A program of one's own as a visual question answerer: ``command:PROGRAM ARGS``, in an environment of its own.

The program speaks JSON, a line each way. It begins by saying who it is, ``{"name": "my-vqa", "version": "3"}``, which
goes into the fingerprint. It is then sent ``{"image": "/path/to/picture.png", "questions": {"1": "Is it red?"}}`` and
says ``{"answers": {"1": "yes"}}``, or ``{"error": "why not"}``, until its input ends. The last of what it wrote to
standard error is shown where it fails.
"""

from __future__ import annotations

import contextlib
import json
import queue
import shlex
import subprocess
import tempfile
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any, cast

from janus_eval.errors import AbsentError, UserError
from janus_eval.pictures import Picture, PictureError
from janus_eval.plain import one_line
from janus_eval.types import Failure, Look, Observation

NAME = "command"
VERSION = "1"
PATIENCE = 600.0
"""Seconds until a program that says nothing is ended. It may have a model to load, without a GPU."""
DEATHS = 3
"""Times in a row that a program may end before it has answered; then it is not started again."""


class CommandVQA:
    """Looks are put to the program one by one; see ``visual_qa`` in ``janus_eval.seams``.

    A program that ends, says nothing for PATIENCE seconds, or says something else than was asked fails that look, with
    the reason, and is started anew for the next one. ``command`` is split as a shell would, and no shell runs it.
    """

    kind = "visual_qa"

    def __init__(self, command: str = "", patience: float = PATIENCE) -> None:
        try:
            self._words = shlex.split(command)
        except ValueError as error:
            raise UserError(f"instrument {NAME}:{command}: {error}") from None
        self._patience = patience
        self._program: _Program | None = None
        self._known = ""
        self._deaths = 0

    @staticmethod
    def configured(text: str) -> CommandVQA:
        """The one that ``command:TEXT`` names. Raises UserError where TEXT has a quote that is not closed."""
        return CommandVQA(text)

    @property
    def version(self) -> str:
        """What the program says of itself. Raises UserError where it doesn't."""
        if self._words and not self._known:
            self._running()
        return f"{VERSION} {self._known}"

    def prepare(self) -> None:
        """Raises AbsentError where no program is named, UserError where it can't be started."""
        if not self._known:
            self._running()

    def observe(self, looks: Sequence[Look]) -> list[Observation | Failure]:
        return [self._look(look) for look in looks]

    def _look(self, look: Look) -> Observation | Failure:
        if look.image is None:
            return Failure("there is no picture to look at")
        questions = cast(Mapping[str, str], look.query["questions"])
        try:
            return Observation({"answers": self._answers(look.image, questions)})
        except PictureError as error:
            return Failure(f"the picture cannot be looked at: {error}")
        except UserError as error:
            return Failure(str(error))

    def _answers(self, picture: Picture, questions: Mapping[str, str]) -> dict[str, str]:
        with tempfile.NamedTemporaryFile(suffix=".png") as file:
            picture.load().save(file, "PNG")
            file.flush()
            said = self._running().ask({"image": file.name, "questions": dict(questions)}, self._dead)
        if "error" in said:
            raise UserError(f"{self._words[0]}: {one_line(str(said['error']), 300)}")
        answers = said.get("answers")
        if not isinstance(answers, dict) or answers.keys() != questions.keys():
            raise self._dead(f"expected answers to {', '.join(questions)}, got {one_line(json.dumps(said), 300)}")
        if not all(isinstance(answer, str) for answer in answers.values()):
            raise self._dead(f"answers are no texts: {one_line(json.dumps(answers), 300)}")
        self._deaths = 0
        return cast(dict[str, str], answers)

    def _running(self) -> _Program:
        """The program, started if it is not running. Raises UserError where it is none, or another than before."""
        if self._program is not None:
            return self._program
        if not self._words:
            raise AbsentError(f"instrument {NAME!r} needs a program: --instrument visual_qa='{NAME}:PROGRAM ARGS'")
        if self._deaths >= DEATHS:
            raise UserError(f"{self._words[0]} ended {DEATHS} times in a row and is not started again")
        try:
            self._program = _Program(self._words, self._patience)
        except OSError as error:
            raise UserError(f"instrument {NAME}: cannot run {self._words[0]}: {error.strerror or error}") from error
        hello = self._program.read(self._dead)
        if not all(isinstance(hello.get(key), str) for key in ("name", "version")):
            raise self._dead(
                f'expected {{"name": TEXT, "version": TEXT}} first, got {one_line(json.dumps(hello), 200)}'
            )
        known = f"{hello['name']} {hello['version']}"
        if self._known not in {"", known}:
            raise self._dead(f"it calls itself {known!r} now, {self._known!r} before")
        self._known = known
        return self._program

    def _dead(self, reason: str) -> UserError:
        """End the program; the error that says why, with the last of what it wrote to standard error."""
        self._deaths += 1
        program, self._program = self._program, None
        last = program.end() if program is not None else ""
        return UserError(f"{self._words[0]}: {reason}" + (f" ({last})" if last else ""))


class _Program:
    """A running program, whose lines are read beside ours, so that waiting for one can end."""

    def __init__(self, words: Sequence[str], patience: float) -> None:
        self._patience = patience
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the program runs
        self._process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, encoding="utf-8", bufsize=1
        )
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        threading.Thread(target=_read_all, args=(self._process.stdout, self._lines), daemon=True).start()
        self._ended = weakref.finalize(self, _end, self._process)  # also when this process ends

    def ask(self, request: Mapping[str, Any], dead: Callable[[str], UserError]) -> dict[str, Any]:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except OSError:
            raise dead(f"ended{self._status()}") from None
        return self.read(dead)

    def read(self, dead: Callable[[str], UserError]) -> dict[str, Any]:
        try:
            line = self._lines.get(timeout=self._patience)
        except queue.Empty:
            raise dead(f"said nothing for {self._patience:g} seconds") from None
        if line is None:
            raise dead(f"ended{self._status()}")
        try:
            found = json.loads(line)
        except ValueError:
            raise dead(f"said {one_line(line, 200)!r}, expected JSON") from None
        if not isinstance(found, dict):
            raise dead(f"said {one_line(line, 200)}, expected a JSON object")
        return found

    def end(self) -> str:
        """End it; the last line that it wrote to standard error."""
        self._ended()
        self._errors.seek(0)
        lines = self._errors.read().decode("utf-8", "replace").strip().splitlines()
        self._errors.close()
        return one_line(lines[-1], 300) if lines else ""

    def _status(self) -> str:
        try:
            return f" with exit status {self._process.wait(timeout=5)}"
        except subprocess.TimeoutExpired:
            return ""


def _read_all(stream: IO[str], lines: queue.SimpleQueue[str | None]) -> None:
    with stream, contextlib.suppress(UnicodeDecodeError):
        for line in stream:
            lines.put(line)
    lines.put(None)


def _end(process: subprocess.Popen[str]) -> None:
    """Let it end by itself, once its input has ended; then make it."""
    assert process.stdin is not None
    with contextlib.suppress(OSError):
        process.stdin.close()
    try:
        process.wait(timeout=2)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
