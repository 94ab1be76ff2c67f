"""A language model that is asked what a benchmark's own code would ask it, for benchmarks that grade answers so.

``openai-chat:MODEL[@URL]`` is a model behind any OpenAI-compatible endpoint. The prompt is the benchmark's; what is
made of the reply is its affair too.
"""

from __future__ import annotations

from collections.abc import Sequence
from multiprocessing.pool import ThreadPool
from typing import cast

from janus_eval.endpoints import KEY, MODEL_AT_URL, Patience
from janus_eval.errors import AbsentError, UserError
from janus_eval.plain import one_line
from janus_eval.tasks.instruments.chat import Chat, Reply
from janus_eval.types import JSON, Failure, Look, Observation

NAME = "openai-chat"
MODEL = "gpt-4o-2024-11-20"
"""lmms-eval's default (``tasks/mmvet/utils.py`` at 0.7.3)."""
VERSION = "1"
AT_ONCE = 8
REPLY_TOKENS = 128
SELF_TEST = "What is three plus four? Reply with the number in digits and nothing else."


class OpenAIChat:
    """Looks are prompts with an answer put in; see ``text_judge`` in ``janus_eval.seams``.

    Raises UserError for a name that is not ``MODEL[@URL]``.
    """

    kind = "text_judge"

    def __init__(self, name: str = MODEL, patience: Patience = Patience()) -> None:  # noqa: B008 - it cannot change
        match = MODEL_AT_URL.fullmatch(name)
        if match is None or name.startswith("@"):
            told = one_line(f"{NAME}:{name.partition('://')[0]}", 200)  # what comes behind may be a password
            raise UserError(f"instrument {told!r}: expected {NAME}:MODEL[@URL]")
        self.model = match["model"]
        self._chat = Chat(match["url"] or "", patience)

    @staticmethod
    def configured(text: str) -> OpenAIChat:
        """The one that ``openai-chat:TEXT`` names."""
        return OpenAIChat(text)

    @property
    def version(self) -> str:
        return f"{VERSION} {self.model} at {self._chat.url} temperature 0 tokens {REPLY_TOKENS}"

    def prepare(self) -> None:
        """Raises AbsentError where the endpoint can't be used: no key, no connection, no such model."""
        if self._chat.lacks_key:
            raise AbsentError(
                f"instrument {NAME!r} needs {KEY}, which is not set, for {self._chat.url} (another endpoint: "
                f"{NAME}:MODEL@URL)"
            )
        try:
            self._reply(SELF_TEST)
        except UserError as error:
            raise AbsentError(f"instrument {NAME!r}: {error}") from None

    def self_test(self) -> str:
        """Raises UserError where a question that leaves no doubt is answered otherwise."""
        said = self._reply(SELF_TEST).text
        if "7" not in said:
            raise UserError(f"{self.model} at {self._chat.url} says {one_line(said, 80)!r} to {SELF_TEST!r}")
        return f"a sum done by {self.model} at {self._chat.url}"

    def observe(self, looks: Sequence[Look]) -> list[Observation | Failure]:
        """Several requests at once; what comes up twice is asked once."""
        prompts = [_prompt(look) for look in looks]
        different = list(dict.fromkeys(prompts))
        # Daemon threads: an interrupted run does not wait for a server that says nothing.
        with ThreadPool(min(AT_ONCE, max(1, len(different)))) as pool:
            found = dict(zip(different, pool.map(self._observed, different, chunksize=1), strict=True))
        return [found[prompt] for prompt in prompts]

    def _observed(self, prompt: str) -> Observation | Failure:
        try:
            reply = self._reply(prompt)
        except UserError as error:
            return Failure(str(error))
        return Observation({"reply": reply.text, "model": reply.model})

    def _reply(self, prompt: str) -> Reply:
        body: dict[str, JSON] = {
            "model": self.model,
            "messages": [{"role": "user", "content": prompt}],
            "temperature": 0,
            "max_tokens": REPLY_TOKENS,
        }
        return self._chat.reply(body)


def _prompt(look: Look) -> str:
    assert look.text is not None, "a judge of answers is given an answer"
    text = look.text
    for stop in cast(Sequence[str], look.query["stops"]):
        text = text.partition(stop)[0]
    return str(look.query["prompt"]).replace(str(look.query["mark"]), text.strip())
