"""Answers the world's questions from what was seen in a picture."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from janus_eval.tasks.shapes.descriptions import NUMBERS, PLURALS, RELATIONS, SINGULARS, with_article
from janus_eval.tasks.shapes.detection import Detection
from janus_eval.tasks.shapes.questions import SIDE_MARGIN
from janus_eval.tasks.shapes.scenes import CANVAS, COLOURS, SHAPES
from janus_eval.tasks.shapes.sight import Sight

# What is found with less confidence isn't taken to be there: the threshold of GenEval's detector.
MIN_SCORE = 0.3
# Drawn are radii of 8 (small), 12 and 16 (large) and, where nothing is said of the size, 10.
SMALL_UP_TO, LARGE_FROM = 9.0, 11.0

_Answerer: TypeAlias = Callable[[re.Match[str], Sight], list[str]]


class UnknownQuestionError(ValueError):
    """Not a question of the shapes world."""


def answers(question: str, sight: Sight) -> list[str]:
    """All right answers to an open question, the best first; none where the picture holds nothing to answer with.

    Raises UnknownQuestionError.
    """
    for pattern, answerer in _PATTERNS:
        match = pattern.fullmatch(question.strip())
        if match is not None:
            return answerer(match, sight)
    raise UnknownQuestionError(f"not a question of the shapes world: {question[:200]!r}")


_OPTION = re.compile(r"([A-Z])\. (.+)")


def answer(text: str, sight: Sight) -> str:
    """Answer an open question in words, a multiple-choice one (MMBench's wording) with a letter.

    "none" where the picture holds nothing to answer with; the first letter where no option is right.
    Raises UnknownQuestionError.
    """
    lines = text.strip().split("\n")
    options = [match for line in lines if (match := _OPTION.fullmatch(line))]
    asked = next((line for line in lines if line and not line.startswith("Hint: ")), "")
    right = answers(asked, sight)
    if not options:
        return right[0] if right else "none"
    return next((option[1] for word in right for option in options if option[2] == word), options[0][1])


def _found(sight: Sight, shape: str | None = None, colour: str | None = None) -> list[Detection]:
    return [
        detection
        for detection in sight.detections
        if detection.score >= MIN_SCORE and shape in {None, detection.shape} and colour in {None, detection.colour}
    ]


def _yes_no(value: bool) -> list[str]:
    return ["yes" if value else "no"]


def relations(first: Detection, second: Detection) -> set[str]:
    """How one shape stands to another: by the axis on which they are further apart, by both where they are equal."""
    dx, dy = second.x - first.x, second.y - first.y
    names = set()
    if dx and abs(dx) >= abs(dy):
        names.add("left of" if dx > 0 else "right of")
    if dy and abs(dy) >= abs(dx):
        names.add("above" if dy > 0 else "below")
    return names


def _presence(match: re.Match[str], sight: Sight) -> list[str]:
    return _yes_no(bool(_found(sight, SINGULARS.get(match["noun"], match["noun"]), match["colour"])))


def _exact_count(match: re.Match[str], sight: Sight) -> list[str]:
    found = _found(sight, SINGULARS[match["noun"]], match["colour"])
    return _yes_no(len(found) == NUMBERS.index(match["number"]))


def _attribute(match: re.Match[str], sight: Sight) -> list[str]:
    """Of one shape it holds if any shows it, of several only if all do."""
    shape = SINGULARS.get(match["noun"], match["noun"])
    holds = [_has(detection, match["value"]) for detection in _found(sight, shape)]
    return _yes_no(_quantify(holds, plural=match["noun"] in SINGULARS))


def _has(detection: Detection, value: str) -> bool:
    if value == "small":
        return detection.radius <= SMALL_UP_TO
    if value == "large":
        return detection.radius >= LARGE_FROM
    return detection.colour == value


def _quantify(holds: Iterable[bool], *, plural: bool) -> bool:
    values = list(holds)
    return bool(values) and (all(values) if plural else any(values))


def _stands(match: re.Match[str], sight: Sight) -> list[str]:
    firsts = _found(sight, SINGULARS.get(match["noun"], match["noun"]))
    seconds = _found(sight, SINGULARS.get(match["other"], match["other"]))
    holds = [match["relation"] in relations(a, b) for a in firsts for b in seconds if a is not b]
    return _yes_no(_quantify(holds, plural=bool({match["noun"], match["other"]} & SINGULARS.keys())))


def _colour_of(match: re.Match[str], sight: Sight) -> list[str]:
    return [detection.colour for detection in _found(sight, match["noun"])]


def _shape_of(match: re.Match[str], sight: Sight) -> list[str]:
    return [detection.shape for detection in _found(sight, None, match["colour"])]


def _all_pairs(match: re.Match[str], sight: Sight) -> list[str]:
    return [with_article(f"{detection.colour} {detection.shape}") for detection in _found(sight)]


def _place(match: re.Match[str], sight: Sight) -> list[str]:
    middle = CANVAS / 2
    places = []
    for detection in _found(sight, match["noun"]):
        vertical = "top" if detection.y < middle else "bottom"
        horizontal = "left" if detection.x < middle else "right"
        places += [f"{vertical} {horizontal}"]
        # Near a middle line a side is no answer of its own; its corner may still be the best of four.
        places += [vertical] if abs(detection.y - middle) >= SIDE_MARGIN - 2 else []
        places += [horizontal] if abs(detection.x - middle) >= SIDE_MARGIN - 2 else []
    return places


def _direction(match: re.Match[str], sight: Sight) -> list[str]:
    return [
        name.removesuffix(" of")
        for first in _found(sight, match["noun"])
        for second in _found(sight, match["other"])
        for name in sorted(relations(first, second))
    ]


def _who_stands(match: re.Match[str], sight: Sight) -> list[str]:
    """Those that clearly stand so, the nearest first."""
    standing = [
        (abs(other.x - detection.x) + abs(other.y - detection.y), other.shape)
        for detection in _found(sight, match["noun"])
        for other in _found(sight)
        if other is not detection and match["relation"] in _clear(other, detection)
    ]
    return [shape for _, shape in sorted(standing)]


def _clear(first: Detection, second: Detection) -> set[str]:
    """The relations of which one axis dominates by 1.55: drawn ones do by 1.6, others on the lattice by 1.5 at most."""
    dx, dy = abs(second.x - first.x), abs(second.y - first.y)
    return relations(first, second) if max(dx, dy) >= 1.55 * min(dx, dy) else set()


def _count(match: re.Match[str], sight: Sight) -> list[str]:
    shape = SINGULARS.get(match["noun"])  # None for "objects"
    count = len(_found(sight, shape, match["colour"]))
    return [NUMBERS[count]] if count < len(NUMBERS) else [str(count)]


def _texts(sight: Sight) -> list[str]:
    return [region.text for region in sorted(sight.regions, key=lambda region: -region.score)]


def _written(match: re.Match[str], sight: Sight) -> list[str]:
    return _texts(sight)


def _first_letter(match: re.Match[str], sight: Sight) -> list[str]:
    return [text[0] for text in _texts(sight)]


def _either(words: Sequence[str]) -> str:
    return "|".join(words)


_SHAPE = f"(?P<noun>{_either(SHAPES)})"
_PLURAL = f"(?P<noun>{_either(list(PLURALS.values()))})"
_NOUN = f"(?P<noun>{_either([*PLURALS.values(), *SHAPES])})"
_OTHER = f"(?P<other>{_either([*PLURALS.values(), *SHAPES])})"
_COLOUR = f"(?:(?P<colour>{_either(COLOURS)}) )?"
_RELATION = f"(?P<relation>{_either(RELATIONS)})"

_PATTERNS: list[tuple[re.Pattern[str], _Answerer]] = [
    (re.compile(pattern), answerer)
    for pattern, answerer in (
        (rf"Is there an? {_COLOUR}{_SHAPE}\?", _presence),
        (rf"Are there any {_COLOUR}{_PLURAL}\?", _presence),
        (rf"Are there (?P<number>{_either(NUMBERS)}) {_COLOUR}{_PLURAL}\?", _exact_count),
        (rf"(?:Is|Are) the {_NOUN} (?P<value>small|large|{_either(COLOURS)})\?", _attribute),
        (rf"(?:Is|Are) the {_NOUN} {_RELATION} the {_OTHER}\?", _stands),
        (rf"What color is the {_SHAPE}\?", _colour_of),
        (rf"What shape is the {_COLOUR}object\?", _shape_of),
        (r"What is in the picture\?", _all_pairs),
        (rf"Where is the {_SHAPE}\?", _place),
        (rf"Where is the {_SHAPE} relative to the {_OTHER}\?", _direction),
        (rf"What is {_RELATION} the {_SHAPE}\?", _who_stands),
        (rf"How many {_COLOUR}(?P<noun>objects|{_either(list(PLURALS.values()))}) are there\?", _count),
        (r"What (?:digit|word) is written\?", _written),
        (r"What is the first letter\?", _first_letter),
    )
]
