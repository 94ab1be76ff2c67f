"""Samples that must hold: the few whose fall is a break by itself, whatever the means say."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence, Set
from pathlib import Path
from typing import NamedTuple

from janus_eval.errors import UserError
from janus_eval.gating.records import Fallen
from janus_eval.gating.sides import Evaluation, Side, key_of
from janus_eval.plugins import near


class Held(NamedTuple):
    """``task`` is TASK or TASK/PROTOCOL."""

    task: str
    sample: str


def read_held(path: Path) -> list[Held]:
    """One sample a line, ``TASK[/PROTOCOL] SAMPLE``; empty lines and ``#`` comments don't count. Raises UserError."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--must-hold {path} cannot be read: {error}") from error
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        task, _, sample = line.strip().partition(" ")
        if not sample.strip():
            raise UserError(f"{path}, line {number}: {line.strip()!r}; expected TASK[/PROTOCOL] SAMPLE")
        found.append(Held(task, sample.strip()))
    if not found:
        raise UserError(f"--must-hold {path} names no sample")
    return found


def check(candidate: Side, base: Side, held: Sequence[Held], barred: Set[str]) -> tuple[list[Fallen], int]:
    """Those that fell or have no score any more, and how many hold; evaluations named in ``barred`` aren't compared.

    Raises UserError for a sample that the baseline has no score of: a misspelt one would hold for ever.
    """
    fallen, holding = [], 0
    for one in held:
        theirs = evaluations(base, one.task)
        scores = {each.name: _scores(each, one.sample) for each in theirs}
        if all(_mean(found) is None for found in scores.values()):
            raise UserError(
                f"--must-hold: the baseline has no score of {one.task} {one.sample!r}{_near(candidate, theirs, one)}"
            )
        open_ = [each for each in theirs if each.name not in barred]
        found = [fall for each in open_ if (fall := _fall(candidate, each, one.sample, scores[each.name])) is not None]
        fallen += found
        holding += bool(open_) and not found
    return fallen, holding


def evaluations(base: Side, name: str) -> list[Evaluation]:
    chosen = [key for key in base.evaluations if name in {key[0], "/".join(key)}]
    if not chosen:
        every = sorted({text for key in base.evaluations for text in (key[0], "/".join(key))})
        raise UserError(f"--must-hold: the baseline has no {name}{near(name, every)} (it has {', '.join(every)})")
    return [base.evaluations[key] for key in chosen]


def _near(candidate: Side, theirs: Sequence[Evaluation], one: Held) -> str:
    sides = [side for each in theirs if (side := candidate.evaluations.get((each.task, each.protocol))) is not None]
    return near(one.sample, sorted({item.sample.id for side in sides for item in side.items.values()}))


def _scores(side: Evaluation, sample: str) -> list[float | None]:
    """One a request; requests are numbered from 0, so that a baseline, which has no names, tells how many there are."""
    keys = (key_of(side.task, side.protocol, sample, index) for index in itertools.count())
    return [side.lines[key].value for key in itertools.takewhile(lambda key: key in side.lines, keys)]


def _fall(candidate: Side, theirs: Evaluation, sample: str, before: Sequence[float | None]) -> Fallen | None:
    ours = candidate.evaluations.get((theirs.task, theirs.protocol))
    after = _scores(ours, sample) if ours is not None else []
    was, now = _mean(before), _mean(after) if len(after) >= len(before) else None
    if was is None or (now is not None and now >= was - 1e-9):
        return None
    return Fallen(theirs.task, theirs.protocol, sample, was, now)


def _mean(values: Sequence[float | None]) -> float | None:
    """None where any of them is missing, or all."""
    there = [value for value in values if value is not None]
    return math.fsum(there) / len(there) if there and len(there) == len(values) else None
