"""A language model that is asked what a benchmark's own code would ask it, for benchmarks that grade answers so.

``openai-chat:MODEL[@URL]`` is a model behind any OpenAI-compatible endpoint. The prompt is the benchmark's; what is
made of the reply is its affair too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from janus_eval.errors import UserError
from janus_eval.plain import one_line
from janus_eval.tasks.instruments.chat import ChatInstrument, Reply
from janus_eval.types import JSON, Look, Observation

VERSION = "1"
REPLY_TOKENS = 128
SELF_TEST = "What is three plus four? Reply with the number in digits and nothing else."


class OpenAIChat(ChatInstrument[str]):
    """Looks are prompts with an answer put in; see ``text_judge`` in ``janus_eval.seams``."""

    kind = "text_judge"
    name = "openai-chat"
    default = "gpt-4o-2024-11-20"
    """lmms-eval's (``tasks/mmvet/utils.py`` at 0.7.3)."""

    @property
    def version(self) -> str:
        return f"{VERSION} {self.model} at {self._chat.url} temperature 0 tokens {REPLY_TOKENS}"

    def trial(self) -> Reply:
        return self._reply(SELF_TEST)

    def self_test(self) -> str:
        """Raises UserError where a question that leaves no doubt is answered otherwise."""
        said = self._reply(SELF_TEST).text
        if "7" not in said:
            raise UserError(f"{self.model} at {self._chat.url} says {one_line(said, 80)!r} to {SELF_TEST!r}")
        return f"a sum done by {self.model} at {self._chat.url}"

    def asked(self, look: Look) -> str:
        """The prompt, with the answer up to what ends it in the place of the mark."""
        assert look.text is not None, "a judge of answers is given an answer"
        text = look.text
        for stop in cast(Sequence[str], look.query["stops"]):
            text = text.partition(stop)[0]
        return str(look.query["prompt"]).replace(str(look.query["mark"]), text.strip())

    def seen(self, asked: str) -> Observation:
        reply = self._reply(asked)
        return Observation({"reply": reply.text, "model": reply.model})

    def _reply(self, prompt: str) -> Reply:
        body: dict[str, JSON] = {
            "model": self.model,
            "messages": [{"role": "user", "content": prompt}],
            "temperature": 0,
            "max_tokens": REPLY_TOKENS,
        }
        return self._chat.reply(body)
