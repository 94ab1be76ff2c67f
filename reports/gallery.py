"""Every answer of a run to a task: a page that loads its cards as a reader comes to them.

A browser that opens a page from the disk lets it read no data, but lets it run scripts that lie beside it: so the
cards come in files that call one function of the page with a hundred cards' HTML, escaped as anywhere else.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from markupsafe import Markup

from janus_eval.reports import answers, cards
from janus_eval.reports.answers import Answer, Tile, Verdict
from janus_eval.reports.folder import Folder
from janus_eval.reports.pages import Links
from janus_eval.reports.pictures import Pictures
from janus_eval.reports.records import ResponseRecord, SampleRecord, WholeRun
from janus_eval.reports.wording import clip, line, plain

CHUNK = 100  # cards of a file
FIRST = 12  # cards that stand in the page itself, for readers without scripts
DRAWN = 16  # pictures of a prompt
OPTIONS = 8
# In the order of the chips; the letters stand for them in the page's index.
KINDS = {"right": "r", "part": "p", "wrong": "w", "counted": "c", "failed": "f", "none": "u"}
WORDS = {"part": "mixed", "none": "unscored"}


class Turn(NamedTuple):
    """One way of asking a question: MMBench's rotations are several."""

    sample: str
    options: Sequence[tuple[str, str]]
    expected: str
    answer: Answer | None


@dataclass(frozen=True)
class Item:
    """A card: a prompt with its pictures, or a question with all its turns."""

    number: int
    sample: str
    category: str
    prompt: str
    seen: str
    verdict: Verdict
    images: Sequence[Tile] = ()
    tiles: Sequence[Tile] = ()
    turns: Sequence[Turn] = ()


class Chip(NamedTuple):
    """A filter: its value in the address, its words, and how many cards it leaves."""

    value: str
    word: str
    cards: int


@dataclass(frozen=True)
class Gallery:
    """What a gallery's page needs to know: it holds the first cards, the files beside it all of them."""

    task: str
    protocol: str
    path: str
    cards: int
    verdicts: Sequence[Chip]
    categories: Sequence[Chip]
    index: str
    """JSON: for each card the letter of its verdict and the number of its category, and where the files lie."""
    first: Markup


def write(run: WholeRun, task: str, protocol: str, path: str, folder: Folder, pictures: Pictures) -> Gallery | None:
    """Write the cards of a task under a protocol beside the page ``path``; None where nothing was answered."""
    up, stem = Links(path).up, path.removesuffix(".html")
    letters: list[str] = []
    categories: dict[str, int] = {}
    numbers: list[int] = []
    first: list[str] = []
    waiting: list[str] = []
    for item in items(run, task, protocol, pictures):
        letters.append(KINDS[item.verdict.kind])
        numbers.append(categories.setdefault(item.category, len(categories)))
        waiting.append(cards.card_html(item, up))
        first += waiting[-1:] if item.number < FIRST else []
        if len(waiting) == CHUNK:
            _write_cards(folder, f"{stem}/{item.number // CHUNK}.js", waiting)
    if not letters:
        return None
    if waiting:
        _write_cards(folder, f"{stem}/{len(letters) // CHUNK}.js", waiting)
    of_kind, of_category = Counter(letters), Counter(numbers)
    index = {
        "verdicts": "".join(letters),
        "categories": numbers,
        "chunk": CHUNK,
        "files": stem.rpartition("/")[2],
    }
    return Gallery(
        task,
        protocol,
        path,
        len(letters),
        [Chip(letter, WORDS.get(kind, kind), of_kind[letter]) for kind, letter in KINDS.items() if of_kind[letter]],
        [Chip(str(n), name, of_category[n]) for name, n in categories.items()],
        json.dumps(index, separators=(",", ":")),
        Markup("".join(first)),
    )


def _write_cards(folder: Folder, name: str, waiting: list[str]) -> None:
    """The cards that are waiting, as a string in a script: nothing in it ends the script, or a line of it."""
    whole = json.dumps("".join(waiting)).replace("<", "\\u003c")
    folder.write(name, f"janusCards({whole});\n")
    waiting.clear()


def items(run: WholeRun, task: str, protocol: str, pictures: Pictures) -> Iterator[Item]:
    """The cards in the benchmark's order, group by group."""
    scores = answers.scores_of(run, task, protocol)
    replies: dict[str, dict[int, ResponseRecord]] = {}
    for key, response in run.responses.items():
        if key.task == task:
            score = scores.get((key.sample, key.k))
            if score is None or not score.id or score.id == key.id:  # else it answers another protocol's wording
                replies.setdefault(key.sample, {})[key.k] = response
    number = 0
    for category, groups in answers.grouped(run, task, protocol).items():
        for members in groups.values():
            yield from (made := _items(run, number, line(category or "all", 60), members, replies, scores, pictures))
            number += len(made)


def _items(
    run: WholeRun,
    number: int,
    category: str,
    members: Sequence[SampleRecord],
    replies: Mapping[str, Mapping[int, ResponseRecord]],
    scores: answers.Scores,
    pictures: Pictures,
) -> list[Item]:
    """A group's card, or if it was drawn, one for each of its samples."""
    drawn = any(r.image is not None for sample in members for r in replies.get(sample.id, {}).values())
    if not drawn:
        return [_asked(run, number, category, members, replies, scores, pictures)]
    found: list[Item] = []
    for sample in members:
        rows = sorted(replies.get(sample.id, {}).items())[:DRAWN]
        tiles = [answers.tile(run, r, scores.get((sample.id, k)), pictures, [sample]) for k, r in rows]
        item = Item(
            number + len(found),
            line(sample.id, 60),
            category,
            answers.prompt(sample, [r for _, r in rows]),
            answers.seen(sample),
            answers.together(t.verdict for t in tiles) if tiles else answers.NONE,
            [answers.picture(run, path, pictures) for path in list(sample.images)[: answers.IMAGES]],
            tiles,
        )
        found.append(item)
    return found


def _asked(
    run: WholeRun,
    number: int,
    category: str,
    members: Sequence[SampleRecord],
    replies: Mapping[str, Mapping[int, ResponseRecord]],
    scores: answers.Scores,
    pictures: Pictures,
) -> Item:
    first = members[0]
    turns = []
    for sample in members[: answers.TURNS]:
        response = replies.get(sample.id, {}).get(0)
        said = answers.answer(response, scores.get((sample.id, 0)))
        turns.append(Turn(line(sample.id, 60), _options(sample), answers.expected(sample), said))
    asked = str(first.inputs.get("question") or "")
    if not turns[0].options or not asked:
        asked = answers.prompt(first, replies.get(first.id, {}).values())
    hint = first.inputs.get("hint")
    return Item(
        number,
        line(first.id, 60),
        category,
        clip(f"{hint}\n{asked}" if hint else asked, 600),
        answers.seen(first),
        answers.together(turn.answer.verdict if turn.answer else answers.NONE for turn in turns),
        [answers.picture(run, path, pictures) for path in list(first.images)[: answers.IMAGES]],
        turns=turns,
    )


def _options(sample: SampleRecord) -> list[tuple[str, str]]:
    options = sample.inputs.get("options")
    if not isinstance(options, Mapping):
        return []
    return [(line(letter, 8), plain(text, 160)) for letter, text in list(options.items())[:OPTIONS]]
