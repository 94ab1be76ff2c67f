"""A model behind an OpenAI-compatible server: several requests at once, each with its own fate."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from multiprocessing.pool import ThreadPool
from typing import Any, TypeVar

from janus_eval.batching import reason
from janus_eval.endpoints import Endpoint, Pace, Patience, RefusedError, UnansweredError
from janus_eval.errors import HaltError, Interrupted, UserError
from janus_eval.models.adapters import openai_wire as wire
from janus_eval.models.adapters.openai_family import OpenAISettings
from janus_eval.pictures import PictureError
from janus_eval.types import JSON, Drawing, Failure, Question, RequestKey, Response
from janus_eval.usage import Meter, Tariff, Usage, money

LARGEST = 64 << 20
"""Bytes of a reply: a picture of 4096 x 4096 pixels in base64 may have forty million."""
LEAST_IN_A_ROW = 8
"""So many requests that come to nothing, one after another, are no accident; at least as many as are asked at once."""

R = TypeVar("R", Question, Drawing)


class _Lost(Failure):
    """A request that the server did not look at. Where the run halts for it, it is asked again and not recorded."""


class OpenAIModel:
    """Answers questions and draws; what it can of both is its family's to say. ``sleep`` is for tests."""

    def __init__(
        self,
        model: str,
        url: str,
        settings: OpenAISettings,
        *,
        answers: bool,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        patience = Patience(10.0, settings.silence, settings.timeout, settings.tries, settings.pause)
        pace = Pace(settings.per_minute, sleep=sleep)
        self._endpoint = Endpoint(
            url, patience, key=settings.key_env, largest=LARGEST, chunk=1 << 14, pace=pace, sleep=sleep
        )
        tariff = Tariff(settings.price_input, settings.price_output, settings.price_image, settings.currency)
        if settings.budget is not None and not tariff.known:
            raise UserError("budget needs prices: price_input and price_output, or price_image")
        self.meter = Meter(tariff, settings.image_tokens, settings.answer_tokens)
        self._model, self._settings, self._answers = model, settings, answers
        self._lock = threading.Lock()
        self._spent = Usage()
        self._in_a_row = 0
        self._ever_answered = False
        self._halted = ""

    @property
    def weights(self) -> str:
        """Who answers, as far as anyone can tell from outside; no key in it."""
        return hashlib.sha256(json.dumps(self.source, sort_keys=True).encode()).hexdigest()

    @cached_property
    def source(self) -> dict[str, JSON]:
        """Endpoint, model, and the name under which the server says it answers, which is asked for: gpt-4o stands for
        one model today and for another next year. Models that only draw have none.

        Raises UserError where the server can't be used: no key, no connection, no such model or setting.
        """
        lacking = self._endpoint.lacks_key
        if lacking:
            raise UserError(
                f"{lacking} is not set, which {self._endpoint.url} needs (another server: openai:MODEL@URL)"
            )
        source: dict[str, JSON] = {"endpoint": self._endpoint.url, "model": self._model}
        if self._answers:
            greeting = Question(RequestKey("", ""), "Reply with the word yes.", max_new_tokens=16)
            body = wire.question_body(self._model, greeting, self._settings)
            source["served"] = self._endpoint.ask(wire.CHAT, body, wire.read_served)
            self._ever_answered = True
        return source

    def answer(self, questions: Sequence[Question]) -> list[Response | Failure]:
        return self._at_once(questions, self._answer)

    def draw(self, drawings: Sequence[Drawing]) -> list[Response | Failure]:
        return self._at_once(drawings, self._draw)

    def _answer(self, question: Question) -> Response | Failure:
        try:
            body = wire.question_body(self._model, question, self._settings)
        except PictureError as error:
            return Failure(f"a picture can't be sent: {error}", final=True)
        return self._asked(wire.CHAT, body, wire.read_answer)

    def _draw(self, drawing: Drawing) -> Response | Failure:
        size = wire.asked_size(drawing, self._settings)
        body = wire.drawing_body(self._model, drawing, self._settings)
        return self._asked(wire.IMAGES, body, lambda answer: wire.read_drawing(answer, size))

    def _asked(
        self, path: str, body: Mapping[str, JSON], read: Callable[[Any], Response | Failure]
    ) -> Response | Failure:
        """One request with all its tries. What each reply cost is recorded with the outcome, whatever that is."""
        spent = Usage()

        def counting(answer: Any) -> Response | Failure:
            nonlocal spent
            spent += wire.counted(answer)
            return read(answer)

        outcome: Response | Failure
        try:
            outcome = self._endpoint.ask(path, body, counting)
        except RefusedError as error:
            refusal = wire.refusal_of(error)
            outcome = refusal or (_Lost if error.denied else Failure)(str(error))
            if refusal is None:
                self._strike(error, final=error.denied)
        except UnansweredError as error:
            outcome = _Lost(str(error))
            self._strike(error, final=False)
        else:
            with self._lock:
                self._in_a_row, self._ever_answered = 0, True
        self._pay(spent)
        usage = {"usage": spent.as_record()} if spent != Usage() else {}
        return replace(outcome, details={**outcome.details, **usage})

    def _strike(self, error: UserError, *, final: bool) -> None:
        """Halt where every further request would go the same way: at once for a key that is refused; after many in a
        row for a server that is gone, or for one that has refused everything since the beginning."""
        with self._lock:
            counts = isinstance(error, UnansweredError) or not self._ever_answered
            self._in_a_row += counts
            if final:
                self._halted = self._halted or str(error)
            elif self._in_a_row >= max(LEAST_IN_A_ROW, self._settings.concurrency):
                self._halted = self._halted or f"{self._in_a_row} requests in a row came to nothing, the last: {error}"

    def _pay(self, spent: Usage) -> None:
        with self._lock:
            self._spent += spent
            cost, budget = self.meter.tariff.price(self._spent), self._settings.budget
            if budget is not None and cost is not None and cost >= budget:
                used = f"{money(cost, self.meter.tariff.currency)} of the budget of {budget:g} are spent"
                self._halted = self._halted or f"{used}; the same command goes on with as much again"

    def _at_once(self, requests: Sequence[R], one: Callable[[R], Response | Failure]) -> list[Response | Failure]:
        """Outcomes in order. Raises HaltError, or Interrupted at Ctrl-C, with all that came until then."""
        outcomes: list[Response | Failure | None] = [None] * len(requests)
        self._halted = ""

        def work(place: int) -> None:
            if not self._halted:
                outcome: Response | Failure
                try:
                    outcome = one(requests[place])
                except Exception as error:  # noqa: BLE001 - raised, it would have the whole batch asked and paid again
                    outcome = Failure(reason(error))
                outcomes[place] = outcome if isinstance(outcome, Failure) else replace(outcome, key=requests[place].key)

        # Daemon threads: an interrupted run does not wait for a server that says nothing.
        pool = ThreadPool(min(self._settings.concurrency, max(1, len(requests))))
        try:
            for _ in pool.imap_unordered(work, range(len(requests))):
                pass
        except KeyboardInterrupt:
            raise Interrupted(list(outcomes)) from None
        finally:
            pool.terminate()
        if self._halted:
            raise HaltError(self._halted, [None if isinstance(one, _Lost) else one for one in outcomes])
        return [outcome for outcome in outcomes if outcome is not None]
