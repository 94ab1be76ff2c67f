"""A language model that gets a benchmark's own prompt, with the answer put in."""

from __future__ import annotations

from typing import Any

import pytest

from janus_eval.errors import AbsentError, UserError
from janus_eval.specs import offered
from janus_eval.tasks.instruments.openai_chat import OpenAIChat
from janus_eval.types import Failure, Look, Observation


def look(answer: str, stops: tuple[str, ...] = ()) -> Look:
    return Look({"prompt": "Grade <<A>>, out of 1:", "mark": "<<A>>", "stops": stops}, text=answer)


def test_prompts_and_replies(endpoint: Any) -> None:
    endpoint.say = lambda prompt: "0.5" if "cat" in prompt else "0.0"
    chat = offered("instruments", "openai-chat").configured("judge:1b")
    found = chat.observe([look(" a cat \n"), look("a dog"), look("a cat"), look("a dog. No, a cat", (".",))])
    replies = [one.data["reply"] for one in found if isinstance(one, Observation)]
    assert replies == ["0.5", "0.0", "0.5", "0.0"]
    assert sorted(endpoint.prompts) == ["Grade a cat, out of 1:", "Grade a dog, out of 1:"], "equal prompts once"
    assert {body["model"] for body in endpoint.asked} == {"judge:1b"} and endpoint.asked[0]["temperature"] == 0
    assert "judge:1b" in chat.version and endpoint.url in chat.version


def test_a_refusal_is_a_failure_of_its_look(endpoint: Any) -> None:
    endpoint.faults = [400]
    (found,) = OpenAIChat().observe([look("a cat")])
    assert isinstance(found, Failure) and "400" in found.reason and "sk-" not in found.reason


def test_it_must_pass_a_sum(endpoint: Any) -> None:
    endpoint.say = lambda prompt: "7"
    OpenAIChat().prepare()
    assert OpenAIChat().self_test().startswith("a sum done by gpt-4o-2024-11-20")
    endpoint.say = lambda prompt: "eight"
    with pytest.raises(UserError, match="says 'eight'"):
        OpenAIChat().self_test()


def test_without_a_key_and_with_a_bad_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(AbsentError, match="needs OPENAI_API_KEY"):
        OpenAIChat().prepare()
    with pytest.raises(UserError, match="expected openai-chat:MODEL"):
        OpenAIChat("@https://user:secret@host")
