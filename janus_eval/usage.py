"""What answers cost that are paid for: tokens and pictures as a server counts them, at prices that the user knows.

Prices change and differ by contract, so none stand here: without the user's there are counts and no money.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from janus_eval.disk import write_whole
from janus_eval.journal import Record
from janus_eval.store import RunFolder
from janus_eval.types import JSON, Drawing, Question, Ranking, Request

FILE = "usage.json"
MILLION = 1_000_000
CHARACTERS = 4
"""Of Latin text, a token, as a rule; any other character is counted as a token by itself."""


@dataclass(frozen=True)
class Usage:
    """Counts of a server's: requests that it answered, with retries; tokens in and out; pictures that it drew."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    images: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(*(a + b for a, b in zip(asdict(self).values(), asdict(other).values(), strict=True)))

    @classmethod
    def recorded(cls, table: Mapping[str, Any]) -> Usage:
        """From a response's ``details["usage"]``."""
        return cls(
            **{name: int(table.get(name, 0)) for name in ("requests", "input_tokens", "output_tokens", "images")}
        )

    def as_record(self) -> dict[str, JSON]:
        return {name: count for name, count in asdict(self).items() if count}


@dataclass(frozen=True)
class Tariff:
    """Prices as the user gave them: of a million tokens in and out, and of a drawn picture; None where not given."""

    input: float | None = None
    output: float | None = None
    image: float | None = None
    currency: str = "USD"

    @property
    def known(self) -> bool:
        return (self.input, self.output, self.image) != (None, None, None)

    def price(self, usage: Usage) -> float | None:
        """In ``currency``; None where no price is known at all."""
        if not self.known:
            return None
        tokens = usage.input_tokens * (self.input or 0.0) + usage.output_tokens * (self.output or 0.0)
        return tokens / MILLION + usage.images * (self.image or 0.0)


@dataclass(frozen=True)
class Meter:
    """What a model's requests will cost and have cost. A model whose answers are paid for has one as ``meter``."""

    tariff: Tariff
    image_tokens: int | None = None
    """Tokens that a picture in a question counts for; only the server knows, so None leaves them out."""
    most_tokens: int | None = None
    """Of an answer, in place of what the question allows."""

    def expected(self, requests: Sequence[Request]) -> Usage:
        """Counts before anything is asked: tokens in roughly, tokens out at most."""
        return sum(map(self._expected, requests), Usage())

    def _expected(self, request: Request) -> Usage:
        if isinstance(request, Drawing):
            return Usage(1, tokens_of(request.prompt), 0, 1)
        if isinstance(request, Question):
            shown = len(request.images) * (self.image_tokens or 0)
            return Usage(1, tokens_of(request.text) + shown, self.most_tokens or request.max_new_tokens)
        return Usage(1, tokens_of(request.text) if isinstance(request, Ranking) else 0)

    def forecast(self, requests: Sequence[Request]) -> str:
        """One line for the user before the first request."""
        usage = self.expected(requests)
        shown = sum(len(request.images) for request in requests if isinstance(request, Question))
        parts = [_several(usage.requests, "request"), *([f"{_several(shown, 'picture')} shown"] if shown else [])]
        parts += [f"{_several(usage.images, 'picture')} to draw"] if usage.images else []
        unseen = " without the pictures' own (image_tokens)" if shown and self.image_tokens is None else ""
        parts += [f"about {usage.input_tokens:,} tokens in{unseen}"]
        parts += [f"at most {usage.output_tokens:,} out"] if usage.output_tokens else []
        price = self.tariff.price(usage)
        cost = "no prices given" if price is None else f"about {money(price, self.tariff.currency)}"
        return f"{', '.join(parts)}: {cost}"


def tokens_of(text: str) -> int:
    """A rough count, by no model's own tokenizer."""
    plain = sum(character.isascii() for character in text)
    return len(text) - plain + -(-plain // CHARACTERS)


def _several(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'s' * (count != 1)}"


def money(amount: float, currency: str) -> str:
    """``1.23 USD``; small amounts with two digits that say something."""
    return f"{amount:.2f} {currency}" if amount >= 1 or not amount else f"{amount:.2g} {currency}"


def summed(records: Iterable[Record], tariff: Tariff) -> dict[str, Any]:
    """What usage.json holds, from the lines of responses.jsonl, those included that were asked again since."""
    total, served = Usage(), Counter[str]()
    refused = 0
    for record in records:
        details = record.get("details", {})
        total += Usage.recorded(details.get("usage", {}))
        served.update([details["served"]] if "served" in details else [])
        refused += "refusal" in details
    return {
        **asdict(total),
        "refused": refused,
        "served": dict(sorted(served.items())),
        "prices": asdict(tariff) if tariff.known else None,
        "cost": tariff.price(total),
    }


def told(usage: Mapping[str, Any]) -> str:
    """One line for the user after the last request."""
    parts = [f"{_several(usage['requests'], 'request')} answered"]
    parts += [f"{usage['refused']:,} refused"] if usage["refused"] else []
    parts += [f"{_several(usage['images'], 'picture')} drawn"] if usage["images"] else []
    parts += [f"{usage['input_tokens']:,} tokens in, {usage['output_tokens']:,} out"]
    cost = usage["cost"]
    spent = "no prices given" if cost is None else money(cost, usage["prices"]["currency"])
    names = list(usage["served"])
    several = f"; served by several models: {', '.join(names)}" if len(names) > 1 else ""
    return f"{', '.join(parts)}: {spent}{several} ({FILE})"


def record(folder: RunFolder, meter: Meter) -> str:
    """Write usage.json of all that a run has cost so far; returns the line for the user.

    Without prices, those of a former command count.
    """
    tariff = meter.tariff if meter.tariff.known else _former(folder.path / FILE)
    found = summed(folder.response_lines(), tariff)
    write_whole(folder.path / FILE, json.dumps(found, allow_nan=False, indent=1).encode() + b"\n")
    return told(found)


def _former(path: Path) -> Tariff:
    try:
        return Tariff(**json.loads(path.read_bytes())["prices"])
    except (OSError, ValueError, KeyError, TypeError):  # none, or none that can be read: only money is at stake
        return Tariff()
