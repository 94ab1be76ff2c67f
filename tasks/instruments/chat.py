"""A chat model behind an OpenAI-compatible endpoint: one reply to one message; and what its instruments share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from multiprocessing.pool import ThreadPool
from typing import Any, ClassVar, Generic, NamedTuple, Self, TypeVar

from janus_eval.endpoints import KEY, MODEL_AT_URL, Endpoint, PassingError, Patience
from janus_eval.errors import AbsentError, UserError
from janus_eval.plain import one_line
from janus_eval.types import JSON, Failure, Look, Observation

AT_ONCE = 8
AskedT = TypeVar("AskedT", bound=Hashable)
"""What an instrument makes of a look: equal ones are asked once."""


class Reply(NamedTuple):
    """What was said, and by which model: a name like gpt-4o-mini stands for others as time goes by."""

    text: str
    model: str


class Chat:
    """An endpoint. ``url`` is what ``/chat/completions`` is put behind; by default what OPENAI_BASE_URL says."""

    def __init__(self, url: str = "", patience: Patience = Patience()) -> None:  # noqa: B008 - it cannot change
        self._endpoint = Endpoint(url, patience)
        self.url = self._endpoint.url

    @property
    def lacks_key(self) -> bool:
        """Whether no key is set for OpenAI itself; servers of one's own often want none."""
        return bool(self._endpoint.lacks_key)

    def reply(self, body: Mapping[str, JSON]) -> Reply:
        """The first choice's text. What may pass is tried again (``janus_eval.endpoints``), and so is an empty reply.

        Raises UserError, in one line without the key, for what another try does not mend and after the last try.
        """
        return self._endpoint.ask("/chat/completions", body, lambda answer: _reply(answer, self._endpoint.quoted))


def _reply(answer: Any, quoted: Callable[[object], str]) -> Reply:
    """Raises PassingError for JSON that is no reply: some servers put their errors under status 200."""
    if isinstance(answer, Mapping) and answer.get("error"):
        raise PassingError(f"says {quoted(answer['error'])} under status 200")
    try:
        choice = answer["choices"][0]
        text, model = choice["message"]["content"], answer.get("model")
    except (AttributeError, IndexError, KeyError, TypeError):
        raise PassingError(f"answers with no chat completion: {quoted(answer)}") from None
    if not isinstance(text, str) or not text.strip():
        raise PassingError(f"gives an empty reply (finish_reason {quoted(choice.get('finish_reason'))})")
    return Reply(text, str(model))


class ChatInstrument(ABC, Generic[AskedT]):
    """``NAME:MODEL[@URL]``. Raises UserError for a text that is not ``MODEL[@URL]``."""

    name: ClassVar[str]
    default: ClassVar[str]
    """The model of ``NAME`` alone."""

    def __init__(self, text: str | None = None, patience: Patience = Patience()) -> None:  # noqa: B008 - can't change
        text = self.default if text is None else text
        match = MODEL_AT_URL.fullmatch(text)
        if match is None or text.startswith("@"):
            told = one_line(f"{self.name}:{text.partition('://')[0]}", 200)  # what comes behind may be a password
            raise UserError(f"instrument {told!r}: expected {self.name}:MODEL[@URL]")
        self.model = match["model"]
        self._chat = Chat(match["url"] or "", patience)

    @classmethod
    def configured(cls, text: str) -> Self:
        """The one that ``NAME:TEXT`` names."""
        return cls(text)

    def prepare(self) -> None:
        """Raises AbsentError where the endpoint can't be used: no key, no connection, no such model."""
        if self._chat.lacks_key:
            raise AbsentError(
                f"instrument {self.name!r} needs {KEY}, which is not set, for {self._chat.url} (another endpoint: "
                f"{self.name}:MODEL@URL)"
            )
        try:
            self.trial()
        except UserError as error:
            raise AbsentError(f"instrument {self.name!r}: {error}") from None

    def observe(self, looks: Sequence[Look]) -> list[Observation | Failure]:
        """Several requests at once; what comes up twice is asked once."""
        asked = [self.asked(look) for look in looks]
        different = list(dict.fromkeys(asked))
        # Daemon threads: an interrupted run does not wait for a server that says nothing.
        with ThreadPool(min(AT_ONCE, max(1, len(different)))) as pool:
            found = dict(zip(different, pool.map(self._observed, different, chunksize=1), strict=True))
        return [found[one] for one in asked]

    def _observed(self, asked: AskedT) -> Observation | Failure:
        try:
            return self.seen(asked)
        except UserError as error:
            return Failure(str(error))

    @abstractmethod
    def trial(self) -> object:
        """Ask something, to see whether the endpoint answers. Raises UserError where it does not."""

    @abstractmethod
    def asked(self, look: Look) -> AskedT:
        """What is asked for a look."""

    @abstractmethod
    def seen(self, asked: AskedT) -> Observation:
        """Ask, and read the reply. Raises UserError where no reply is had."""
