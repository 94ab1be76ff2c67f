"""Shapley values: what each of several changes has to do with the whole difference that they make together.

A change's share is the mean, over all orders in which the changes can be made, of what it adds when its turn comes
(Shapley 1953). Shares add up to the whole, and none depends on the change's place in a list. Where some changes can
only be made before others, the mean is over the orders that heed this.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from itertools import permutations
from typing import NamedTuple

MOST_EXACT = 6
"""Changes. Beyond it 2**k judgings would take too long, and orders are sampled."""
SAMPLED = 16
"""Pairs of an order and its reverse."""
SEED = 20250128


class Share(NamedTuple):
    """``error``: standard error from sampling the orders; 0 where all were taken."""

    value: float
    error: float


def orders(ranks: Sequence[int | None]) -> list[tuple[int, ...]]:
    """All orders of changes, or beyond MOST_EXACT of them a fixed sample, in pairs of an order and its reverse.

    ``ranks``, one a change: those of a lower rank are made before those of a higher one, those of None at any time.
    """
    changes = range(len(ranks))
    if len(ranks) <= MOST_EXACT:
        return list(dict.fromkeys(_heeding(order, ranks) for order in permutations(changes)))
    generator = random.Random(SEED)
    drawn = [tuple(generator.sample(changes, len(changes))) for _ in range(SAMPLED)]
    return [_heeding(order, ranks) for forth in drawn for order in (forth, forth[::-1])]


def _heeding(order: Sequence[int], ranks: Sequence[int | None]) -> tuple[int, ...]:
    """The order with its ranked changes sorted among their own places: as many orders lead to each that heeds ranks."""
    ranked = iter(sorted((n for n in order if ranks[n] is not None), key=lambda n: ranks[n] or 0))
    return tuple(n if ranks[n] is None else next(ranked) for n in order)


def coalitions(taken: Sequence[Sequence[int]]) -> set[frozenset[int]]:
    """The sets of changes that are together made somewhere along these orders."""
    return {frozenset(order[:length]) for order in taken for length in range(len(order) + 1)}


def shares(taken: Sequence[Sequence[int]], value: Callable[[frozenset[int]], float]) -> list[Share]:
    """The share of each change over some of ``orders``; together they are value(all) - value(none)."""
    changes = len(taken[0])
    added: list[list[float]] = [[] for _ in range(changes)]
    for order in taken:
        for place, change in enumerate(order):
            before = frozenset(order[:place])
            added[change].append(value(before | {change}) - value(before))
    return [Share(math.fsum(own) / len(own), _error(own) if changes > MOST_EXACT else 0.0) for own in added]


def _error(added: Sequence[float]) -> float:
    """Of the mean over pairs, which are independent of each other while an order and its reverse are not."""
    pairs = [(forth + back) / 2 for forth, back in zip(added[::2], added[1::2], strict=True)]
    mean = math.fsum(pairs) / len(pairs)
    return math.sqrt(math.fsum((pair - mean) ** 2 for pair in pairs) / (len(pairs) - 1) / len(pairs))
