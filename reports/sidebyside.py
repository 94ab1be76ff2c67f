"""The same prompts and questions, by several models: pictures and answers beside each other.

A few groups of every category are shown, evenly spaced through the benchmark's own order, right or wrong, so that what
is seen was chosen by nobody; how many there are in all stands beside it. The first run that was asked chooses them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from janus_eval.reports import answers
from janus_eval.reports.answers import TURNS, Answer, Tile
from janus_eval.reports.pictures import Pictures
from janus_eval.reports.records import SampleRecord, ScoreRecord, WholeRun
from janus_eval.reports.wording import count, line

_T = TypeVar("_T")

GROUPS = 4  # of a category
ALONE = 8  # of a task's only category
CATEGORIES = 30
MODELS = 8  # beside each other; more would be too small to see


@dataclass
class Card:
    """A group: its prompt, its pictures, and what every model did with it, by the model's number."""

    members: Sequence[SampleRecord]
    sample: str
    prompt: str
    seen: str
    images: list[Tile]
    expected: list[str] = field(default_factory=list)
    drawn: dict[int, list[Tile]] = field(default_factory=dict)
    answers: dict[int, list[Answer | None]] = field(default_factory=dict)


@dataclass
class Shelf:
    """A category: the cards shown, how many groups it has, and its verdicts by model."""

    name: str
    cards: list[Card]
    ids: frozenset[str]
    groups: int
    tallies: dict[int, str] = field(default_factory=dict)


@dataclass
class SideBySide:
    """A task under a protocol, filled run by run, so that no two runs have to be in memory at once."""

    task: str
    protocol: str
    shelves: list[Shelf] = field(default_factory=list)
    models: list[int] = field(default_factory=list)

    def add(self, number: int, run: WholeRun, pictures: Pictures) -> None:
        """Put what run ``number`` did beside the others. It is left out where it did nothing, or has no room."""
        if len(self.models) == MODELS:
            return
        scores = answers.scores_of(run, self.task, self.protocol)
        if not scores and not any(key.task == self.task for key in run.responses):
            return
        self.models.append(number)
        self.shelves = self.shelves or self._chosen(run, pictures)
        for shelf in self.shelves:
            for card in shelf.cards:
                self._fill(card, number, run, scores, pictures)
            pictured = any(card.drawn for card in shelf.cards)
            of_shelf = (s for (sample, _), s in scores.items() if sample in shelf.ids)
            shelf.tallies[number] = tally(of_shelf, "picture" if pictured else "answer")

    def renumber(self, places: Mapping[int, int]) -> None:
        """Name models by their places on the leaderboard, once that is known."""
        self.models = sorted(places[number] for number in self.models)
        for shelf in self.shelves:
            shelf.tallies = {places[number]: said for number, said in shelf.tallies.items()}
            for card in shelf.cards:
                card.drawn = {places[number]: tiles for number, tiles in card.drawn.items()}
                card.answers = {places[number]: said for number, said in card.answers.items()}

    @property
    def drawn(self) -> bool:
        """Whether pictures were drawn, rather than questions answered."""
        return any(card.drawn for shelf in self.shelves for card in shelf.cards)

    def _chosen(self, run: WholeRun, pictures: Pictures) -> list[Shelf]:
        categories = answers.grouped(run, self.task, self.protocol)
        scores = answers.scores_of(run, self.task, self.protocol)
        each = max(GROUPS, ALONE // max(1, len(categories)))
        found = []
        for category, groups in list(categories.items())[:CATEGORIES]:
            cards = []
            for members in spaced(list(groups.values()), each):
                first = members[0]
                rows = answers.replies(run, self.task, members[:TURNS], scores)
                images = [answers.picture(run, path, pictures) for path in list(first.images)[: answers.IMAGES]]
                asked = answers.prompt(first, rows.values())
                cards.append(Card(members[:TURNS], line(first.id, 60), asked, answers.seen(first), images))
            ids = frozenset(sample.id for members in groups.values() for sample in members)
            found.append(Shelf(line(category or "all", 60), cards, ids, len(groups)))
        return found

    def _fill(self, card: Card, number: int, run: WholeRun, scores: answers.Scores, pictures: Pictures) -> None:
        rows = answers.replies(run, self.task, card.members, scores)
        if answers.draws(rows):
            card.drawn[number] = [
                answers.tile(run, response, scores.get(key), pictures, card.members)
                for key, response in sorted(rows.items())[: answers.IMAGES]
            ]
        elif rows:
            card.expected = card.expected or [answers.expected(sample) for sample in card.members]
            keys = [(sample.id, 0) for sample in card.members]
            card.answers[number] = [answers.answer(rows.get(key), scores.get(key)) for key in keys]


def spaced(items: Sequence[_T], number: int) -> list[_T]:
    """At most ``number`` of the items, evenly spaced, the first among them."""
    if len(items) <= number:
        return list(items)
    return [items[k * len(items) // number] for k in range(number)]


def tally(scores: Iterable[ScoreRecord], noun: str) -> str:
    """``17 of 40 pictures right``, or for shares their mean."""
    rows = list(scores)
    whole = [s for s in rows if s.value is not None]
    if not rows:
        return "not run"
    if not whole:
        return f"none of {len(rows):,} scored"
    if all(s.only_counts for s in whole):
        return f"{len(whole):,} of {count(len(rows), noun)} counted"
    if all(s.value in (0.0, 1.0) for s in whole):
        return f"{sum(s.value == 1.0 for s in whole):,} of {count(len(rows), noun)} right"
    return f"mean {sum(s.value or 0.0 for s in whole) / len(whole):.2f} over {count(len(whole), noun)}"
