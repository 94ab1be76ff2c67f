"""Does a measured number agree with a printed one? Pure: two numbers, an interval and a list of knobs decide."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

from janus_eval.reports.papers_known import Knob
from janus_eval.reports.wording import line, listed

Word: TypeAlias = Literal["agrees", "differs", "not comparable", "not run"]
WORDS: tuple[Word, ...] = ("agrees", "differs", "not comparable", "not run")
SCALES: Mapping[tuple[str, str], float] = {("fraction", "percent"): 100.0, ("percent", "fraction"): 0.01}
NAMED = 3  # knobs that a reason names one by one


class Verdict(NamedTuple):
    """A word, and why where the word alone leaves that open."""

    word: Word
    reason: str = ""


@dataclass(frozen=True)
class Number:
    """A measured number in the unit that it is to be held against; ``value`` None where nothing was scored."""

    value: float | None
    low: float | None
    high: float | None
    n: int
    failed: int = 0


def converted(
    value: float | None, low: float | None, high: float | None, unit: str, to: str
) -> tuple[float | None, float | None, float | None] | None:
    """A number and its interval in another unit; None where one unit can't be had from the other."""
    scale = 1.0 if unit == to else SCALES.get((unit, to))
    if scale is None:
        return None
    return tuple(None if part is None else part * scale for part in (value, low, high))  # type: ignore[return-value]


def differing(knobs: Iterable[Knob], found: Mapping[str, Any]) -> list[str]:
    """Each knob whose value is another: ``judge.aggregate circular, not rows (vanilla-all; stated by the authors)``.

    A knob that the run doesn't state is passed over: pictures drawn elsewhere have no settings. A knob of the run's
    protocol that the figure's lacks counts as another value; a further setting doesn't, for every family has its own.
    """
    told = []
    known = list(knobs)
    for knob in known:
        if knob.name not in found or found[knob.name] == knob.value:
            continue
        said = "; ".join(filter(None, [knob.word, knob.whose]))
        told.append(f"{knob.name} {line(_plain(found[knob.name]), 40)}, not {_plain(knob.value)} ({said})")
    strange = [name for name in found if name not in {knob.name for knob in known} and not name.startswith("settings.")]
    return told + [
        f"{name} {line(_plain(found[name]), 40)}, a knob that the figure's protocol lacks" for name in strange
    ]


def _plain(value: Any) -> str:
    return "empty" if value == "" else f"{value:g}" if isinstance(value, float) else str(value)


def several(knobs: Sequence[str]) -> str:
    """The first of some knobs, and how many more there are."""
    more = f" and {len(knobs) - NAMED} more knobs" if len(knobs) > NAMED else ""
    return "; ".join(knobs[:NAMED]) + more


def judged(printed: float, decimals: int, measured: Number | None, apart: Sequence[str], lacking: str = "") -> Verdict:
    """The verdict on a printed value of so many ``decimals`` and what was measured of it.

    ``lacking``: why there is no number of the whole benchmark; ``apart``: the knobs that differ. A printed value agrees
    where it lies in the 95% interval, widened by half a unit of its last digit: that much it may have been rounded.
    """
    if lacking:
        return Verdict("not run", lacking)
    if measured is None or measured.value is None:
        return Verdict("not run", "nothing was scored")
    if apart:
        return Verdict("not comparable", several(apart))
    if measured.low is None or measured.high is None:
        return Verdict("not comparable", "the measured number has no interval")
    failed = f"{measured.failed:,} of {measured.n + measured.failed:,} failed" if measured.failed else ""
    slack = 0.5 * 10**-decimals + 1e-9  # the last digits of a binary fraction are not to decide
    within = measured.low - slack <= printed <= measured.high + slack
    return Verdict("agrees" if within else "differs", failed)


def summary(verdicts: Iterable[Verdict]) -> str:
    """``9 agree, 2 differ, 3 not comparable, 7 not run``; words of which there are none are left out."""
    counts = dict.fromkeys(WORDS, 0)
    for verdict in verdicts:
        counts[verdict.word] += 1
    verbs = {"agrees": ("agrees", "agree"), "differs": ("differs", "differ")}
    told = []
    for word, count in counts.items():
        one, many = verbs.get(word, (word, word))
        told += [f"{count} {one if count == 1 else many}"] if count else []
    return ", ".join(told) or listed([])
