"""``answers:FILE``: answers that were given elsewhere, as a model that has them ready."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from janus_eval.errors import UserError
from janus_eval.plan import Entry
from janus_eval.types import JSON, Capability, Failure, Question, RequestKey, Response

STRAY = "no answer to this was found: the file is matched to the samples of a run's tasks"


class AnswersSettings(BaseModel):
    """Where in the file to look."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str | None = Field(None, description="the column that names the sample. None: the first that is known")
    answer: str | None = Field(None, description="the column of the answers. None: the first that is known")
    name: str = Field("", exclude=True, description="what reports call it. Empty: the file's name")


class AnswersModel:
    """A file of one task's answers, or a folder with a file a task, named by it."""

    def __init__(self, path: Path, settings: AnswersSettings) -> None:
        self._path, self._settings = path, settings
        self._answers: dict[RequestKey, str | Failure] = {}

    @cached_property
    def weights(self) -> str:
        """The answers themselves: others are another subject."""
        files = sorted(file for file in self._path.iterdir() if file.is_file()) if self._path.is_dir() else [self._path]
        parts = [(file.name, hashlib.sha256(file.read_bytes()).hexdigest()) for file in files]
        return hashlib.sha256(repr([digest for _, digest in parts] if len(parts) == 1 else parts).encode()).hexdigest()

    @property
    def source(self) -> dict[str, JSON]:
        return {"answers": self._path.name}

    def prepare(self, entries: Sequence[Entry]) -> list[str]:
        """Match the answers to all samples; what was found and what not, in lines. Raises UserError where none was."""
        from janus_eval.models.adapters.answers_matching import matched
        from janus_eval.models.adapters.answers_tables import read

        lines: list[str] = []
        for entry in entries:
            file = self._file(entry)
            if file is None:
                lines.append(f"{self._path} has no file of {entry.task.name}: all of it counts as failed")
                continue
            found = matched(read(file), entry, self._settings.key, self._settings.answer, file.name)
            # Protocols that word a question differently share the answers: how they were asked for, no file says.
            for (sample, index), answer in found.answers.items():
                self._answers[RequestKey(entry.task.name, sample, index)] = answer
            lines += found.lines
        if not any(isinstance(answer, str) for answer in self._answers.values()):
            raise UserError("; ".join([f"{self._path} has no answer to anything that is asked", *lines]))
        return lines

    def _file(self, entry: Entry) -> Path | None:
        from janus_eval.models.adapters.answers_tables import SUFFIXES

        if not self._path.is_dir():
            return self._path
        task = entry.task.name
        ending = re.sub(r"\W", "_", f"{task}_{entry.protocol.name}")  # as lmms-eval names tasks in files
        files = [
            file
            for file in sorted(self._path.iterdir())
            if file.suffix.lower() in SUFFIXES and (file.stem == task or file.stem.endswith(f"_samples_{ending}"))
        ]
        if len(files) > 1:
            raise UserError(f"{self._path} has several files of {task}: {', '.join(file.name for file in files)}")
        return files[0] if files else None

    def answer(self, questions: Sequence[Question]) -> list[Response | Failure]:
        return [self._given(question) for question in questions]

    def _given(self, question: Question) -> Response | Failure:
        answer = self._answers.get(question.key, Failure(STRAY))
        return Response(text=answer, key=question.key) if isinstance(answer, str) else answer


class AnswersFamily:
    capabilities: frozenset[Capability] = frozenset({"answer"})
    Settings: type[BaseModel] = AnswersSettings

    def named(self, checkpoint: str | None, settings: Any) -> str:
        return settings.name or (Path(checkpoint).resolve().stem if checkpoint else "answers")

    def load(
        self, checkpoint: str | None, settings: Any, *, device: str = "cpu", dtype: str = "float32"
    ) -> AnswersModel:
        """Raises UserError where there is no such file."""
        if checkpoint is None or not Path(checkpoint).exists():
            raise UserError(f"model 'answers': {f'no file {checkpoint}' if checkpoint else 'expected answers:FILE'}")
        return AnswersModel(Path(checkpoint), settings)


answers = AnswersFamily()
