"""What a model may say beside its answers: that it can go on no longer, what it is called, what answers cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from PIL import Image
from pydantic import BaseModel, Field

from janus_eval.batching import Batcher
from janus_eval.errors import HaltError, Interrupted
from janus_eval.pictures import Picture
from janus_eval.respond import checked
from janus_eval.specs import Contender, ModelSpec
from janus_eval.types import Capability, Drawing, Failure, Question, RequestKey, Response
from janus_eval.usage import Meter, Tariff, Usage, money, summed, tokens_of, told

KEY = RequestKey("t", "s")


@pytest.mark.parametrize("kind", [lambda outcomes: HaltError("the key is gone", outcomes), Interrupted])
def test_what_came_before_a_halt_is_handed_on(kind: Any) -> None:
    def call(batch: Sequence[int]) -> list[int]:
        raise kind([10, None, 30, Failure("refused")])

    batches = Batcher("m", call, 4, lambda text: None).run([1, 2, 3, 4, 5], lambda item: item)
    assert next(batches) == [(1, 10), (3, 30), (4, Failure("refused"))]
    with pytest.raises((HaltError, Interrupted)):
        next(batches)


def test_a_halt_with_nothing_to_keep_is_no_batch() -> None:
    def call(batch: Sequence[int]) -> list[int]:
        raise HaltError("gone")

    with pytest.raises(HaltError):
        next(Batcher("m", call, 4, lambda text: None).run([1, 2], lambda item: item))


def test_a_picture_of_another_size_than_asked_for_is_a_failure() -> None:
    response = Response(image=Picture.from_pil(Image.new("RGB", (32, 16))))
    assert checked(Drawing(KEY, "a cat", size=(16, 32)), response) is response
    assert checked(Drawing(KEY, "a cat"), response) is response
    found = checked(Drawing(KEY, "a cat", size=(32, 16)), response)
    assert isinstance(found, Failure)
    assert found.reason == "the model drew 32 x 16 pixels where 16 x 32 were asked for"


class Named(BaseModel):
    strength: int = 1
    name: str = Field("", exclude=True)


class Family:
    """One whose checkpoints are systems of their own."""

    capabilities: frozenset[Capability] = frozenset({"answer", "draw"})
    Settings: type[BaseModel] = Named

    def named(self, checkpoint: str | None, settings: Any) -> str:
        return settings.name or str(checkpoint)

    def able(self, checkpoint: str | None, settings: Any) -> frozenset[Capability]:
        return frozenset({"draw"})

    def load(self, checkpoint: str | None, settings: Any, *, device: str = "cpu", dtype: str = "float32") -> Any:
        raise NotImplementedError


def test_a_family_may_name_its_checkpoints_and_say_what_each_can_do() -> None:
    def contender(**settings: Any) -> Contender:
        return Contender(ModelSpec("family", "SD3 Medium"), Family(), Named(**settings))

    assert contender().name == "SD3 Medium" and contender().capabilities == {"draw"}
    assert contender().folder.startswith("sd3-medium-")
    assert contender(name="Ours").folder.startswith("ours-")
    assert contender(name="Ours").folder.partition("-")[2] == contender().folder.rpartition("-")[2], "one checkpoint"
    assert contender(strength=2).folder != contender().folder


def test_prices_are_the_users() -> None:
    usage = Usage(3, 1_000_000, 500_000, 2)
    assert Tariff().price(usage) is None
    assert Tariff(input=2.0, output=8.0, image=0.5).price(usage) == pytest.approx(7.0)
    assert Tariff(image=0.5).price(usage) == pytest.approx(1.0)
    assert [money(amount, "EUR") for amount in (12.345, 0.0123, 0.0)] == ["12.35 EUR", "0.012 EUR", "0.00 EUR"]


def test_a_forecast_counts_what_is_known() -> None:
    assert [tokens_of(text) for text in ("", "abcd", "abcde", "红色")] == [0, 1, 2, 2]
    shown = (Picture(b""), Picture(b""))
    requests = [Question(KEY, "abcd" * 10, shown, max_new_tokens=64), Drawing(KEY, "abcd")]
    assert Meter(Tariff()).expected(requests) == Usage(2, 11, 64, 1)
    assert Meter(Tariff(), image_tokens=85, most_tokens=1000).expected(requests) == Usage(2, 181, 1000, 1)
    assert Meter(Tariff(image=0.04)).forecast(requests) == (
        "2 requests, 2 pictures shown, 1 picture to draw, about 11 tokens in without the pictures' own (image_tokens), "
        "at most 64 out: about 0.04 USD"
    )


def test_what_a_run_cost() -> None:
    records: list[dict[str, Any]] = [
        {"details": {"usage": {"requests": 1, "input_tokens": 10, "output_tokens": 5}, "served": "a"}},
        {"failure": "refused", "details": {"refusal": "No."}},
        {"failure": "x", "details": {"usage": {"requests": 2, "images": 1}, "served": "b"}},
    ]
    found = summed(records, Tariff(output=1_000_000.0))
    assert found == {
        "requests": 3, "input_tokens": 10, "output_tokens": 5, "images": 1, "refused": 1, "served": {"a": 1, "b": 1},
        "prices": {"input": None, "output": 1_000_000.0, "image": None, "currency": "USD"}, "cost": 5.0,
    }  # fmt: skip
    assert told(found) == (
        "3 requests answered, 1 refused, 1 picture drawn, 10 tokens in, 5 out: 5.00 USD; "
        "served by several models: a, b (usage.json)"
    )
    assert summed(records, Tariff())["cost"] is None
