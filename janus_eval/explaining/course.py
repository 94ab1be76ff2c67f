"""The changes that lead from one number to another, and what the number is with any set of them made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from janus_eval.explaining import shares
from janus_eval.explaining.knobs import Point, Value
from janus_eval.explaining.shares import Share
from janus_eval.explaining.side import Side
from janus_eval.types import Scored

Keep = Callable[[Scored], bool]


@dataclass(frozen=True)
class Move:
    """Knobs that are turned together, from where this side has them to where the other has them.

    ``only`` for what exists on one side alone. ``answers``: no knob, but the other run's answers for this one's.
    """

    here: Mapping[str, Value]
    there: Mapping[str, Value]
    only: Literal["", "here", "there"] = ""
    answers: bool = False


ANSWERS = Move({}, {}, answers=True)


class Course:
    """From ``here`` to ``there``, a printed figure's protocol or another run.

    A knob is turned on the answers of each side that can be judged so without a model; on a side that can't, it stays
    where it is. ``moves`` are those that can be made on some side.
    """

    def __init__(self, here: Side, there: Side | None, moves: Sequence[Move]) -> None:
        self.here, self.there = here, there
        sides = [side for side in (here, there) if side is not None]
        for side in sides:
            side.judge([side.start, *(side.at(self._turned(side, move)) for move in moves if self._on(side, move))])
        self._every = moves
        self._possible = {
            (side is there, number)
            for side in sides
            for number, move in enumerate(moves)
            if move.answers or (self._on(side, move) and side.value(side.at(self._turned(side, move))) is not None)
        }
        kept = [n for n in range(len(moves)) if any((of, n) in self._possible for of in (False, True))]
        while True:
            self._numbers = kept
            self.ranks = [self._rank(number) for number in kept]
            self.taken = shares.orders(self.ranks)
            sets = shares.coalitions(self.taken)
            for side in sides:
                side.judge(self.point(side, made) for made in sets if (side is there) == self._answers(made))
            lacking = [made for made in sets if self.value(made) is None]
            if not lacking:
                break
            # Alone it can be turned, together with others not: without the one that is oftenest in the way.
            turning = [n for n in range(len(kept)) if not moves[kept[n]].answers]
            worst = max(turning, key=lambda n: sum(n in made for made in lacking))
            kept = [number for n, number in enumerate(kept) if n != worst]

    @property
    def moves(self) -> list[Move]:
        return [self._every[number] for number in self._numbers]

    @property
    def impossible(self) -> list[Move]:
        """Those that no stored answer can be judged by."""
        return [move for number, move in enumerate(self._every) if number not in self._numbers]

    def one_sided(self, move: Move) -> bool:
        """Whether only one of two runs can be judged so."""
        return not move.answers and not move.only and self._rank(self._every.index(move)) is not None

    def _rank(self, number: int) -> int | None:
        """What can be turned on this run's answers alone is turned before the other's take their place, and what can be
        turned on those alone after it; else the answers would get the credit for a part of it."""
        if self.there is None:
            return None
        if self._every[number].answers:
            return 1
        possible = [(of, number) in self._possible for of in (False, True)]
        return None if all(possible) else 0 if possible[0] else 2

    def point(self, side: Side, made: Iterable[int]) -> dict[str, Value]:
        """Where a side's knobs stand with these moves made."""
        done = {self._numbers[n] for n in made}
        changes: dict[str, Value] = {}
        for number in self._numbers:
            move = self._every[number]
            away = (number in done) != (side is self.there)
            if away and not move.answers and (side is self.there, number) in self._possible:
                changes |= self._turned(side, move)
        return side.at(changes)

    def value(self, made: frozenset[int], keep: Keep | None = None) -> float | None:
        side = self.there if self._answers(made) else self.here
        assert side is not None
        return side.value(self.point(side, made), keep)

    def all_made(self, but: Move | None = None) -> frozenset[int]:
        return frozenset(n for n, move in enumerate(self.moves) if move is not but)

    def shares(self) -> list[Share]:
        """One for each of ``moves``; together they are the whole way."""

        def number(made: frozenset[int]) -> float:
            found = self.value(made)
            assert found is not None
            return found

        return shares.shares(self.taken, number)

    def _answers(self, made: Iterable[int]) -> bool:
        """Whether the other run's answers are among what is made."""
        return any(self._every[self._numbers[n]].answers for n in made)

    def _on(self, side: Side, move: Move) -> bool:
        return not move.answers and (not move.only or (move.only == "there") == (side is self.there))

    def _turned(self, side: Side, move: Move) -> Point:
        return move.here if side is self.there else move.there
