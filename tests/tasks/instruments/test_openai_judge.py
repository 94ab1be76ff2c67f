"""The judge of free answers: what it is asked, what counts of its reply, what is kept, and what is in its version."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from janus_eval.endpoints import Patience
from janus_eval.errors import AbsentError, UserError
from janus_eval.judges import instrument_of
from janus_eval.tasks.instruments import openai_judge
from janus_eval.tasks.instruments.openai_judge import OpenAIJudge
from janus_eval.types import Failure, Look, Observation

QUICK = Patience(connect=5, read=5, whole=9, tries=2, pause=0.01)
KEY = "sk-very/secret+1"
OPTIONS = {"A": "a horse", "B": "a cat", "C": "a parrot"}


def judge(name: str = "m") -> OpenAIJudge:
    return OpenAIJudge(name, QUICK)


def look(answer: str, question: str = "What is it?") -> Look:
    return Look({"question": question, "options": OPTIONS}, text=answer)


def letters(found: Sequence[Observation | Failure]) -> list[Any]:
    return [one.reason if isinstance(one, Failure) else one.data["letter"] for one in found]


def test_what_it_is_asked(endpoint: Any) -> None:
    judge().observe([look("Some {feline}."), look("猫", "这是什么？")])
    english, chinese = sorted(endpoint.prompts, key=str.isascii, reverse=True)
    for part in ("Question: What is it?\n", "\nA. a horse\nB. a cat\nC. a parrot\n", "\nSome {feline}.\n", " or Z "):
        assert part in english
    for part in ("题目：这是什么？\n", "\nA. a horse\nB. a cat\nC. a parrot\n", "\n猫\n", "Z"):
        assert part in chinese
    (settings,) = {(body["model"], body["temperature"], body["max_tokens"]) for body in endpoint.asked}
    assert settings == ("m", 0, 256)


@pytest.mark.parametrize(
    ("reply", "letter"),
    [("B", "B"), ("B.", "B"), (" (C)\n", "C"), ("The answer is A.", "A"), ("a cat", "B"), ("Z", "Z"), ("D", None),
     ("A or B", None), ("I cannot tell.", None)],
)  # fmt: skip
def test_a_reply_counts_by_the_rules_for_answers(endpoint: Any, reply: str, letter: str | None) -> None:
    endpoint.say = lambda prompt: reply
    (found,) = judge().observe([look("Hm.")])
    assert isinstance(found, Observation)
    asks = 1 if letter else 3
    assert found.data == {"letter": letter, "replies": [reply] * asks, "models": ["judge-2026-01-01"] * asks}
    assert len(endpoint.asked) == asks


def test_it_is_asked_again_until_there_is_a_letter(endpoint: Any) -> None:
    replies = iter(["Let me think.", "B"])
    endpoint.say = lambda prompt: next(replies)
    assert letters(judge().observe([look("Meow.")])) == ["B"]


def test_what_was_said_once_is_not_paid_for_again(endpoint: Any, tmp_path: Path) -> None:
    endpoint.say = lambda prompt: "C" if "squawk" in prompt else "nothing"
    looks = [look("squawk"), look("silence"), look("squawk")]
    assert letters(judge().observe(looks)) == ["C", None, "C"]
    assert len(endpoint.asked) == 4, "one look comes twice, one reply has no letter three times"
    endpoint.say = lambda prompt: "A"
    assert letters(judge().observe(looks)) == ["C", None, "C"]
    assert len(endpoint.asked) == 4
    assert letters(judge("another").observe(looks[:1])) == ["A"]
    assert letters(judge().observe([look("squawk", "What, then?")])) == ["A"]
    files = list((tmp_path / "judgements").glob("*/*.json"))
    assert len(files) == 4
    assert not [file for file in files if KEY in file.read_text("utf-8")]


def test_kept_replies_that_cannot_be_read_are_had_anew(endpoint: Any, tmp_path: Path) -> None:
    endpoint.say = lambda prompt: "B"
    judge().observe([look("meow")])
    (file,) = (tmp_path / "judgements").glob("*/*.json")
    for damage in ("", "{", "[]", '{"replies": []}', '{"replies": ["A"], "models": [1]}', '{"replies": "A"}'):
        file.write_text(damage)
        assert letters(judge().observe([look("meow")])) == ["B"]
    assert len(endpoint.asked) == 7
    assert json.loads(file.read_text())["replies"] == ["B"]


def test_a_folder_that_cannot_be_written_costs_nothing_but_the_keeping(
    endpoint: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("JANUS_EVAL_JUDGEMENTS", str(tmp_path / "file"))
    endpoint.say = lambda prompt: "B"
    assert letters(judge().observe([look("meow")])) == ["B"]


def test_one_failure_takes_no_other_look_with_it_and_is_not_kept(endpoint: Any) -> None:
    endpoint.say = lambda prompt: "B"
    endpoint.faults = [400]
    found = letters(judge().observe([look(str(number)) for number in range(20)]))
    (reason,) = [one for one in found if one != "B"]
    assert "says 400 Bad Request" in reason and KEY not in reason
    assert letters(judge().observe([look(str(number)) for number in range(20)])) == ["B"] * 20
    assert len(endpoint.asked) == 21
    assert judge().observe([]) == []


def test_its_version_is_model_endpoint_and_wording(endpoint: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    version = judge().version
    assert endpoint.url in version and KEY not in version
    assert judge().version == version != judge("m2").version != judge("m@http://h/v1").version
    monkeypatch.setattr(openai_judge, "CHINESE", "选")
    assert judge().version != version


@pytest.mark.parametrize(
    ("name", "model", "url"),
    [("gpt-4o", "gpt-4o", ""), ("qwen2.5:7b@http://h:1/v1", "qwen2.5:7b", "http://h:1/v1"),
     ("org/model@2@https://h", "org/model@2", "https://h")],
)  # fmt: skip
def test_a_name_says_model_and_endpoint(endpoint: Any, name: str, model: str, url: str) -> None:
    found: Any = instrument_of(f"openai-judge:{name}", device="cpu", dtype="float32")
    assert found.model == model
    assert f" {model} at {url or endpoint.url} " in found.version


@pytest.mark.parametrize(
    "name", ["", "a b", "@http://h/v1", "m@https://h/v1?key=k", "m@https://u:p@h/v1", "m@ftp://u:p@h"]
)
def test_what_is_no_name_is_told(endpoint: Any, name: str) -> None:
    with pytest.raises(UserError, match=r"expected (openai-judge:MODEL|http)") as caught:
        instrument_of(f"openai-judge:{name}", device="cpu", dtype="float32")
    assert "key=k" not in str(caught.value) and "u:p" not in str(caught.value)


def test_it_can_be_used_or_says_what_it_lacks(endpoint: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    judge().prepare()
    assert judge().self_test() == f"2 answers matched by m at {endpoint.url}"
    assert len(endpoint.asked) == 2, "what prepare asked is asked once"
    endpoint.faults = [401]
    with pytest.raises(AbsentError, match=r"'openai-judge': .*401 Unauthorized"):
        judge("m2").prepare()
    monkeypatch.setenv("OPENAI_BASE_URL", "https://api.openai.com/v1")
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(AbsentError, match=r"needs OPENAI_API_KEY, which is not set, for https://api\.openai\.com/v1"):
        judge().prepare()


@pytest.mark.parametrize("reply", ["B", "Z", "Who knows?"])
def test_a_judge_that_does_not_judge_is_told(endpoint: Any, reply: str) -> None:
    endpoint.say = lambda prompt: reply
    with pytest.raises(UserError, match=r"m at http.* says '.*' for the answer '.*', where [BZ] is right"):
        judge().self_test()
