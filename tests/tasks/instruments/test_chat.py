"""An endpoint that misbehaves in every way: what is asked again, what is given up, and that no message has the key."""

from __future__ import annotations

import time
from typing import Any

import pytest

from janus_eval.endpoints import Patience
from janus_eval.errors import UserError
from janus_eval.tasks.instruments.chat import Chat

BODY = {"model": "m", "messages": [{"role": "user", "content": "a kitten"}]}
QUICK = Patience(connect=5, read=1, whole=9, tries=2, pause=0.01)
KEY = "sk-very/secret+1"


def chat(url: str = "") -> Chat:
    return Chat(url, QUICK)


def test_a_reply_with_its_model(endpoint: Any) -> None:
    assert chat().reply(BODY) == ("B", "judge-2026-01-01")
    assert endpoint.asked == [BODY] and endpoint.paths == ["/v1/chat/completions"]
    assert endpoint.headers[0]["Authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (429, "the server says 429"), (500, "the server says 500"), (503, "the server says 503"),
        ("stall", "no answer within 1 s"), ("cut", "the connection broke"),
        ("page", "answers with a web page"), ("words", "answers with something that is no JSON"),
        ("deep", "answers with something that is no JSON"), ("error", "says {'message': 'overloaded'"),
        ("shape", "answers with no chat completion: {'choices': []}"),
        ("empty", "gives an empty reply (finish_reason length)"),
        ("null", "gives an empty reply (finish_reason content_filter)"),
    ],
)  # fmt: skip
def test_what_may_pass_is_asked_again_and_given_up_in_the_end(endpoint: Any, fault: int | str, said: str) -> None:
    endpoint.faults = [fault]
    assert chat().reply(BODY).text == "B"
    assert len(endpoint.asked) == 2
    endpoint.faults = [fault] * 9
    with pytest.raises(UserError) as caught:
        chat().reply(BODY)
    assert said in str(caught.value) and "gave up after 2 tries" in str(caught.value)
    assert KEY not in str(caught.value)
    assert len(endpoint.asked) == 4


def test_a_reply_that_drips_is_not_waited_for(endpoint: Any) -> None:
    endpoint.faults = ["drip"]
    with pytest.raises(UserError, match=r"no whole reply within 0\.2 s; gave up after one try"):
        Chat(patience=Patience(whole=0.2, tries=1)).reply(BODY)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (400, "says 400 Bad Request: "), (404, "says 404 Not Found: "), ("redirect", "says 302 Found"),
        (401, "says 401 Unauthorized: it takes no other key than OPENAI_API_KEY"), (403, "says 403 Forbidden: "),
        ("endless", "sends more than 262,144 bytes"),
    ],
)  # fmt: skip
def test_what_does_not_pass_is_told_at_once_and_without_the_key(endpoint: Any, fault: int | str, said: str) -> None:
    endpoint.faults = [fault]
    with pytest.raises(UserError) as caught:
        chat().reply(BODY)
    assert said in str(caught.value)
    assert KEY not in str(caught.value) and "secret" not in str(caught.value)
    assert len(endpoint.asked) == 1 and "\n" not in str(caught.value)
    if fault in {400, 404}:
        assert "no such thing for Bearer ***" in str(caught.value)


def test_a_server_that_asks_for_time_gets_it(endpoint: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    endpoint.faults, endpoint.retry_after = [429], "7"
    chat().reply(BODY)
    endpoint.faults, endpoint.retry_after = [429], "86400"
    chat().reply(BODY)
    endpoint.faults, endpoint.retry_after = [503, 503], "Fri, 31 Dec 2027 23:59:59 GMT"
    Chat(patience=QUICK._replace(tries=3)).reply(BODY)
    assert waited[:2] == [7, 60]
    assert 0.0075 <= waited[2] <= 0.0125 < waited[3] <= 0.025, "pauses grow"


def test_nobody_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(UserError, match=r"http://127\.0\.0\.1:9: the connection broke: .*gave up after 2 tries"):
        chat("http://127.0.0.1:9").reply(BODY)


def test_a_server_of_ones_own_needs_no_key(endpoint: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    assert chat().reply(BODY).text == "B"
    assert "Authorization" not in endpoint.headers[0]
    assert not chat().lacks_key
    assert chat("https://api.openai.com/v1").lacks_key
    endpoint.faults = [401]
    with pytest.raises(UserError, match="401 Unauthorized: set OPENAI_API_KEY"):
        chat().reply(BODY)


def test_a_key_that_cannot_stand_in_a_header_is_told_and_not_quoted(
    endpoint: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("sk-hidden\nthing", "sk-hiddén"):
        monkeypatch.setenv("OPENAI_API_KEY", key)
        with pytest.raises(UserError, match="OPENAI_API_KEY holds characters that no key has") as caught:
            chat().reply(BODY)
        assert "hidd" not in str(caught.value)
    monkeypatch.setenv("OPENAI_API_KEY", f" {KEY}\n")
    assert chat().reply(BODY).text == "B"


@pytest.mark.parametrize("url", ["http://h/v1/", "http://h/v1", "http://h/v1/chat/completions"])
def test_one_endpoint_has_one_address(url: str) -> None:
    assert chat(url).url == "http://h/v1"


@pytest.mark.parametrize("url", ["https://user:pass@h/v1", "https://h/v1?key=pass", "ftp://h", "h:80", "http://"])
def test_an_address_holds_no_secret(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"expected http\(s\)://HOST") as caught:
        chat(url)
    assert "pass@" not in str(caught.value) and "key=pass" not in str(caught.value)
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    with pytest.raises(UserError, match="of OPENAI_BASE_URL"):
        chat()
