"""A server that misbehaves in every way: which request comes again, which one fails, and when the whole run halts."""

from __future__ import annotations

import base64
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from janus_eval.endpoints import Pace
from janus_eval.errors import HaltError, Interrupted, UserError
from janus_eval.models.adapters.openai_family import OpenAISettings, openai
from janus_eval.models.adapters.openai_model import OpenAIModel
from janus_eval.pictures import Picture
from janus_eval.types import Drawing, Failure, Question, RequestKey, Response

KEY = "sk-very/secret+1"


def questions(count: int, **more: Any) -> list[Question]:
    return [Question(RequestKey("t", str(place)), f"question {place}", seed=place, **more) for place in range(count)]


def drawings(count: int, **more: Any) -> list[Drawing]:
    return [Drawing(RequestKey("t", str(place)), f"prompt {place}", seed=place, **more) for place in range(count)]


def model(server: Any, name: str = "toy", slept: list[float] | None = None, **settings: Any) -> OpenAIModel:
    settings = {"pause": 0.01, "tries": 3, "silence": 1.0, **settings}
    sleep = time.sleep if slept is None else slept.append
    made = OpenAISettings(**settings)
    return OpenAIModel(name, server.url, made, answers="answer" in openai.able(name, made), sleep=sleep)


def reasons(outcomes: list[Response | Failure]) -> list[str]:
    return [outcome.reason if isinstance(outcome, Failure) else "" for outcome in outcomes]


def test_what_is_sent_with_a_question_and_what_comes_back(server: Any) -> None:
    shown = Picture(server.painted())
    [reply] = model(server, system_prompt="Be brief.", image_detail="low").answer(questions(1, images=(shown,)))
    assert isinstance(reply, Response)
    assert (reply.text, reply.input_tokens, reply.output_tokens) == ("A", 100, 2)
    assert reply.key == RequestKey("t", "0"), "which the core checks"
    assert reply.details["served"] == "toy-2026" and reply.details["system_fingerprint"] == "fp"
    assert reply.details["usage"] == {"requests": 1, "input_tokens": 100, "output_tokens": 2}
    [body] = server.asked
    assert server.paths == ["/v1/chat/completions"] and server.keys == [f"Bearer {KEY}"]
    assert (body["model"], body["max_tokens"], body["temperature"], body["seed"]) == ("toy", 64, 0.0, 0)
    system, user = body["messages"]
    assert system == {"role": "system", "content": "Be brief."}
    picture, text = user["content"]
    assert text == {"type": "text", "text": "question 0"}
    assert picture["image_url"]["detail"] == "low"
    head, _, coded = picture["image_url"]["url"].partition(",")
    assert head == "data:image/png;base64" and base64.b64decode(coded) == shown.data


def test_a_setting_that_is_none_is_not_sent_and_extra_ones_are(server: Any) -> None:
    settings = {"answer_temperature": None, "seed": "omit", "tokens_field": "max_completion_tokens"}
    model(server, answer_tokens=900, extra={"reasoning_effort": "low"}, **settings).answer(questions(1))
    [body] = server.asked
    assert body.pop("messages") == [{"role": "user", "content": "question 0"}]
    assert body == {"model": "toy", "max_completion_tokens": 900, "reasoning_effort": "low"}


@pytest.mark.parametrize(
    ("kind", "wanted", "sent"),
    [("PNG", "as-is", "png"), ("JPEG", "as-is", "jpeg"), ("BMP", "as-is", "png"), ("JPEG", "png", "png"),
     ("PNG", "jpeg", "jpeg"), ("JPEG", "jpeg", "jpeg"), ("WEBP", "as-is", "webp"), ("WEBP", "png", "png")],
)  # fmt: skip
def test_pictures_are_sent_in_a_format_that_servers_read(server: Any, kind: str, wanted: str, sent: str) -> None:
    original = server.painted(kind=kind)
    model(server, image_format=wanted).answer(questions(1, images=(Picture(original),)))
    head, _, coded = server.asked[0]["messages"][0]["content"][0]["image_url"]["url"].partition(",")
    data = base64.b64decode(coded)
    assert head == f"data:image/{sent};base64" and Picture(data).load().size == (64, 64)
    if kind.lower() == sent:
        assert data == original, "what can be sent as it is loses nothing"


def test_a_picture_that_is_none_fails_alone(server: Any) -> None:
    asked = [*questions(2, images=(Picture(b"BM, no more"),))[:1], *questions(2)[1:]]
    first, second = model(server).answer(asked)
    assert isinstance(first, Failure) and "a picture can't be sent" in first.reason
    assert isinstance(second, Response) and len(server.asked) == 1


def test_a_drawing_with_the_prompt_that_the_server_made_of_it(server: Any) -> None:
    [reply] = model(server, "dall-e-3", quality="hd", style="natural", size="64x64").draw(drawings(1))
    assert isinstance(reply, Response) and reply.image is not None
    assert reply.image.load().size == (64, 64)
    assert reply.details == {"revised_prompt": "Fine prompt 0", "usage": {"requests": 1, "images": 1}}
    assert server.paths == ["/v1/images/generations"]
    assert server.asked == [
        {"model": "dall-e-3", "prompt": "prompt 0", "n": 1, "size": "64x64", "quality": "hd", "style": "natural",
         "response_format": "b64_json"}
    ]  # fmt: skip


def test_other_models_that_draw_get_no_format_and_a_seed_if_wanted(server: Any) -> None:
    model(server, "gpt-image-1").draw(drawings(1))
    model(server, "some-image", seed="send").draw(drawings(2, size=(64, 64))[1:])
    first, second = server.asked
    assert first == {"model": "gpt-image-1", "prompt": "prompt 0", "n": 1}
    assert second["seed"] == 1 and second["size"] == "64x64"


def test_a_picture_of_another_size_is_a_failure(server: Any) -> None:
    [by_request] = model(server, "dall-e-3").draw(drawings(1, size=(32, 64)))
    [by_setting] = model(server, "dall-e-3", size="64x32").draw(drawings(1))
    assert reasons([by_request, by_setting]) == ["the server drew 64 x 64 pixels where 64 x 32 were asked for"] * 2
    assert isinstance(by_request, Failure) and by_request.details["usage"] == {"requests": 1, "images": 1}


def test_answers_are_in_order_whatever_comes_first_and_so_many_at_once(server: Any) -> None:
    def answer(path: str, body: dict[str, Any]) -> Any:
        text = body["messages"][0]["content"]
        time.sleep(0.05 if text.endswith(("0", "3")) else 0)
        return server.said(text[-1])

    server.answer = answer
    found = model(server, concurrency=4).answer(questions(10))
    assert [reply.text for reply in found if isinstance(reply, Response)] == list("0123456789")
    assert 1 < server.most_at_once <= 4


FAULTS: list[tuple[Any, str]] = [
    ((429, {"error": {"message": "slow down"}}), "the server says 429"), ((500, {}), "the server says 500"),
    ("stall", "no answer within 0.3 s"), ("cut", "the connection broke"),
    (b"<html>log in</html>", "a web page"), (b"upstream error", "no JSON"), ({"error": {"message": "busy"}}, "busy"),
    ({"choices": []}, "no chat completion"), ({"choices": [{"message": {"content": None}}]}, "gives no text"),
]  # fmt: skip


@pytest.mark.parametrize(("fault", "said"), FAULTS, ids=[said for _, said in FAULTS])
def test_what_may_pass_comes_again_and_fails_alone_in_the_end(server: Any, fault: Any, said: str) -> None:
    server.stalled = 0.6
    server.faults = [fault]
    one = model(server, silence=0.3, concurrency=1)
    assert [getattr(reply, "text", None) for reply in one.answer(questions(1))] == ["A"]
    server.faults = [fault] * 3
    found = reasons(one.answer(questions(2)))
    assert said in found[0] and "gave up after 3 tries" in found[0] and KEY not in found[0]
    assert found[1] == "", "the others of the batch are answered"


@pytest.mark.parametrize(
    ("answer", "said"),
    [("not base64!", "no base64"), (b"GIF8 no more", "no picture"), ("", "no base64"),
     ({"url": "http://169.254.169.254/latest"}, "address, which is not followed")],
)  # fmt: skip
def test_what_is_no_picture_is_paid_for_once(server: Any, answer: Any, said: str) -> None:
    first = answer if isinstance(answer, dict) else server.drawn(answer)["data"][0]
    server.faults = [{"data": [first]}]
    bad, good = model(server, "dall-e-2", concurrency=1).draw(drawings(2))
    assert isinstance(bad, Failure) and isinstance(good, Response)
    assert said in bad.reason or (not answer and "no picture" in bad.reason)
    assert len(server.asked) == 2 and bad.details["usage"] == {"requests": 1, "images": 1}


def test_a_picture_inside_its_address_is_one(server: Any) -> None:
    coded = base64.b64encode(server.painted()).decode()
    server.faults = [{"data": [{"url": f"data:image/png;base64,{coded}"}]}]
    [reply] = model(server, "dall-e-2").draw(drawings(1))
    assert isinstance(reply, Response)


REFUSALS: list[tuple[str, Any, str]] = [
    ("draw", (400, {"error": {"code": "content_policy_violation", "message": "No knives, req_1"}}), "content_policy"),
    ("draw", (400, {"error": {"code": "moderation_blocked", "message": "No."}}), "moderation_blocked"),
    ("draw", (400, {"error": {"code": None, "message": "Rejected by our safety system."}}), "content policy"),
    ("answer", (400, {"error": {"code": "content_filter", "message": "Azure's management policy"}}), "content_filter"),
    ("answer", {"choices": [{"finish_reason": "content_filter", "message": {"content": "Once"}}]}, "content_filter"),
    ("answer", {"choices": [{"finish_reason": "content_filter: OTHER", "message": {}}]}, "content_filter"),
    ("answer", {"choices": [{"message": {"content": None, "refusal": "I can't."}}]}, "by the model"),
]


@pytest.mark.parametrize(("way", "answer", "code"), REFUSALS)
def test_a_refusal_is_recorded_as_one_and_asked_once(server: Any, way: str, answer: Any, code: str) -> None:
    server.answer = lambda path, body: answer
    one = model(server, "dall-e-3" if way == "draw" else "toy", concurrency=1)
    # More than the requests in a row that halt a run: a benchmark may have many prompts that a server won't draw.
    outcomes = one.draw(drawings(20)) if way == "draw" else one.answer(questions(20))
    assert len(server.asked) == 20
    for outcome in outcomes:
        assert isinstance(outcome, Failure) and outcome.final and "refusal" in outcome.details
        assert outcome.reason.startswith("refused (") and code in outcome.reason
    assert len(set(reasons(outcomes))) == 1, "refusals of one kind are counted together"


def test_an_answer_that_stops_at_its_limit(server: Any) -> None:
    server.faults = [server.said("A becau", "length"), server.said("", "length")]
    cut, none = model(server, concurrency=1).answer(questions(2))
    assert isinstance(cut, Response) and (cut.text, cut.finish) == ("A becau", "length")
    assert (
        isinstance(none, Failure) and none.reason == "no text after 2 tokens of output: it takes a larger answer_tokens"
    )


def test_an_empty_answer_and_one_in_parts_are_answers(server: Any) -> None:
    server.faults = [server.said(""), server.said([{"type": "text", "text": "B"}, {"type": "text", "text": "!"}])]
    found = model(server, concurrency=1).answer(questions(2))
    assert [reply.text for reply in found if isinstance(reply, Response)] == ["", "B!"]


def test_pauses_grow_and_a_server_that_asks_for_time_gets_it(server: Any) -> None:
    slept: list[float] = []
    one = model(server, slept=slept, pause=1.0, tries=4)
    server.faults = [server.refusal(429, "slow")] * 3
    one.answer(questions(1))
    assert [round(pause / 2**place) for place, pause in enumerate(slept)] == [1, 1, 1]
    assert len({round(pause / 2**place, 6) for place, pause in enumerate(slept)}) == 3, "no two at one time"
    for asked, given in (("7.5", 7.5), ("86400", 60.0)):
        slept.clear()
        server.faults, server.retry_after = [server.refusal(429, "slow")], asked
        model(server, slept=slept).answer(questions(1))
        assert slept[0] == given


def test_a_pace_is_kept_by_all_threads_together() -> None:
    now, slept = [100.0], []
    pace = Pace(30, clock=lambda: now[0], sleep=slept.append)
    for _ in range(3):
        pace.turn()
    assert slept == [2.0, 4.0], "30 a minute: one in two seconds"
    now[0] = 200.0
    pace.hold(9.0)
    pace.turn()
    assert slept[2:] == [9.0], "nobody begins while the server wants a pause"
    free = Pace(clock=lambda: now[0], sleep=slept.append)
    free.turn()
    free.turn()
    assert len(slept) == 3


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [(401, "invalid_api_key", "it takes no other key than OPENAI_API_KEY"), (403, "", "403"), (404, "model", "404"),
     (402, "", "402"), (429, "insufficient_quota", "429")],
)  # fmt: skip
def test_what_every_other_request_would_meet_halts_the_run(server: Any, status: int, code: str, said: str) -> None:
    one = model(server, concurrency=1)
    server.answer = lambda path, body: (
        server.refusal(status, code, f"Incorrect key {server.keys[-1]}") if len(server.asked) > 3 else server.said("A")
    )
    with pytest.raises(HaltError, match=said) as caught:
        one.answer(questions(9))
    assert KEY not in str(caught.value)
    kept = [getattr(outcome, "text", None) for outcome in caught.value.outcomes]
    assert kept == ["A"] * 3 + [None] * 6 and len(server.asked) == 4, "nothing is asked any more"


def test_a_server_that_is_gone_halts_the_run_and_nothing_is_recorded_as_failed(server: Any) -> None:
    server.answer = lambda path, body: server.said("A") if len(server.asked) < 6 else (503, {})
    one = model(server, concurrency=2, tries=1)
    with pytest.raises(HaltError, match=r"8 requests in a row came to nothing, the last: .*503") as caught:
        one.answer(questions(40))
    kept = [outcome for outcome in caught.value.outcomes if outcome is not None]
    assert len(kept) == 5 and all(isinstance(outcome, Response) for outcome in kept)


def test_requests_that_are_wrong_from_the_start_halt_the_run_and_single_ones_do_not(server: Any) -> None:
    server.answer = lambda path, body: server.refusal(400, "unsupported", "no such parameter: seed")
    with pytest.raises(HaltError, match="no such parameter: seed"):
        model(server, concurrency=1).answer(questions(40))
    assert len(server.asked) == 8
    server.asked.clear()
    server.answer = lambda path, body: (
        server.said("A") if len(server.asked) == 1 else server.refusal(400, "context_length_exceeded", "too long")
    )
    found = reasons(model(server, concurrency=1).answer(questions(20)))
    assert found[0] == "" and all("too long" in reason for reason in found[1:])


def test_a_budget_is_kept(server: Any) -> None:
    one = model(server, "dall-e-3", concurrency=1, price_image=0.04, budget=0.1)
    with pytest.raises(HaltError, match=r"0\.12 USD of the budget of 0\.1 are spent") as caught:
        one.draw(drawings(9))
    assert sum(outcome is not None for outcome in caught.value.outcomes) == 3 == len(server.asked)
    with pytest.raises(UserError, match="budget needs prices"):
        model(server, budget=1)


def test_at_an_interruption_nothing_that_came_is_lost(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C reaches the thread that waits for the others."""
    one = model(server, concurrency=2)
    asked, release = threading.Event(), threading.Event()

    def answer(path: str, body: dict[str, Any]) -> Any:
        if body["messages"][0]["content"].endswith(("4", "5")):
            asked.set()
            release.wait(5)
        return server.said("A")

    class Pool:
        """Does the first four, then is interrupted with two under way."""

        def __init__(self, size: int) -> None:
            self._threads: list[threading.Thread] = []

        def imap_unordered(self, work: Any, places: Any) -> Any:
            for place in list(places)[:4]:
                work(place)
                yield None
            self._threads = [threading.Thread(target=work, args=(place,), daemon=True) for place in (4, 5)]
            for thread in self._threads:
                thread.start()
            assert asked.wait(5)
            raise KeyboardInterrupt

        def terminate(self) -> None:
            release.set()

    server.answer = answer
    monkeypatch.setattr("janus_eval.models.adapters.openai_model.ThreadPool", Pool)
    with pytest.raises(Interrupted) as caught:
        one.answer(questions(9))
    assert [getattr(outcome, "text", None) for outcome in caught.value.outcomes] == ["A"] * 4 + [None] * 5


def test_its_identity_is_endpoint_model_and_what_answers(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    one = model(server)
    assert one.source == {"endpoint": server.url, "model": "toy", "served": "toy-2026"}
    assert len(server.asked) == 1 and len(one.weights) == 64
    monkeypatch.setenv("OPENAI_API_KEY", "another")
    assert model(server).weights == one.weights, "a key is no part of it"
    assert model(server, "toy2").weights != one.weights
    server.faults = [{**server.said("A"), "model": "toy-2027"}]
    assert model(server).weights != one.weights
    asked = len(server.asked)
    assert model(server, "dall-e-3").source == {"endpoint": server.url, "model": "dall-e-3"}
    assert len(server.asked) == asked, "a picture would be paid for"


@pytest.mark.parametrize(
    ("name", "settings", "able"),
    [("gpt-4o", {}, "answer"), ("dall-e-3", {}, "draw"), ("openai/gpt-image-1", {}, "draw"), ("flux", {}, "answer"),
     ("flux", {"can": "draw"}, "draw"), ("gemini-2.5-flash-image", {"can": "both"}, "answer draw")],
)  # fmt: skip
def test_what_a_model_can_do_is_said_by_its_name_or_by_the_user(name: str, settings: Any, able: str) -> None:
    assert openai.able(f"{name}@http://h/v1", OpenAISettings(**settings)) == set(able.split())
    assert openai.named(f"{name}@http://h/v1", OpenAISettings(**settings)) == name.rpartition("/")[2]


@pytest.mark.parametrize("text", [None, "", "@http://h/v1", "a b", "m@ftp://u:secret@h"])
def test_what_is_no_model_is_told(text: str | None) -> None:
    with pytest.raises(UserError, match=r"expected openai:MODEL\[@URL\]") as caught:
        openai.able(text, OpenAISettings())
    assert "secret" not in str(caught.value)


def test_a_key_in_place_of_its_name_is_not_quoted(server: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="never give the key itself") as caught:
        model(server, key_env="sk-very-secret")
    assert "secret" not in str(caught.value)


def test_a_server_that_repeats_the_key_is_not_recorded(server: Any) -> None:
    server.faults = [server.said(f"Your key is {KEY}"), {**server.said("A"), "model": KEY}]
    first, second = model(server, concurrency=1).answer(questions(2))
    assert isinstance(first, Response) and first.text == "Your key is ***"
    assert isinstance(second, Response) and second.details["served"] == "***"
