"""A chat model behind an OpenAI-compatible endpoint: one reply to one message."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from janus_eval.endpoints import Endpoint, PassingError, Patience
from janus_eval.types import JSON


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
