"""What a system is called, and what it is: family, size and kind, for measured runs and published figures alike."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from janus_eval.reports.board import REFERENCES
from janus_eval.reports.ledger import Figure
from janus_eval.reports.records import Run
from janus_eval.reports.wording import line

KINDS = ("understanding", "generation", "unified")
# Systems whose names begin alike and that come from one line of work; any other system is a family by itself. The
# longest match counts, so that Janus-Pro is no Janus.
LINES: Mapping[str, str] = {
    "janus-pro": "Janus-Pro",
    "janusflow": "JanusFlow",
    "janus": "Janus",
    "llava": "LLaVA",
    "mobilevlm": "MobileVLM",
    "dall-e": "DALL-E",
    "sd": "Stable Diffusion",
    "pixart": "PixArt",
    "emu": "Emu",
    "qwen": "Qwen-VL",
    "playground": "Playground",
    "ella": "ELLA",
}
REFERENCE = "reference model"
SERIES = 6
"""Colours there are; the style sheet has them as s0 to s5, after Okabe and Ito, and sr for what has none."""
# The families that this harness is about keep their colour wherever they are shown.
OWN_COLOUR: Mapping[str, int] = {"Janus-Pro": 0, "JanusFlow": 2, "Janus": 4}
SIZES = (("under 2B", 2.0), ("2B to 6B", 6.0), ("6B to 10B", 10.0), ("10B and more", float("inf")))
UNKNOWN_SIZE = "not stated"
_SIZE = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)\s?[bB](?![A-Za-z0-9])")


class System(NamedTuple):
    """``size`` as it was stated, empty where it was not."""

    family: str
    size: str
    kind: str

    @property
    def bracket(self) -> str:
        """The group of sizes that it belongs to."""
        found = _SIZE.search(self.size)
        return next(name for name, end in SIZES if float(found[1]) < end) if found else UNKNOWN_SIZE


def family(name: str) -> str:
    """The line of work that a name speaks of: ``nano-janus-pro`` is a Janus-Pro."""
    plain = name.lower().replace("_", "-").removeprefix("nano-").replace("janus-flow", "janusflow")
    begins = [start for start in LINES if plain.startswith(start)]
    return LINES[max(begins, key=len)] if begins else line(name, 60)


def of_run(run: Run) -> System:
    """A measured model: its size from its name or its checkpoint's, its kind from what it can do."""
    if run.name in REFERENCES:
        return System(REFERENCE, "", "unified")
    names = (run.name, str(run.model.get("checkpoint") or ""))
    found = next((match[1] for name in names if (match := _SIZE.search(name.replace("-", " ").replace("_", " ")))), "")
    able = run.model.get("capabilities")
    able = set(map(str, able)) if isinstance(able, list) else set()
    answers, draws = bool(able & {"answer", "score"}), "draw" in able
    kind = KINDS[2] if answers == draws else KINDS[0] if answers else KINDS[1]
    of_checkpoint = [family(name.rpartition("/")[2]) for name in names if name]
    known = [name for name in of_checkpoint if name in LINES.values()]
    return System((known or of_checkpoint)[0], f"{found}B" if found else "", kind)


def of_figures(figures: Sequence[Figure]) -> System:
    """A published system, from all that was printed of it."""
    first = figures[0]
    sizes = dict.fromkeys(f.params for f in figures if f.params)
    return System(family(first.system), ", ".join(sizes), first.kind)


def own_colour(system: System) -> str:
    """The style class of a published system: its family's colour, grey for most."""
    return f"s{OWN_COLOUR[system.family]}" if system.family in OWN_COLOUR else "sr"


def colours(systems: Sequence[System]) -> list[str]:
    """A style class for each measured model: its family's own colour once, then the next that is free.

    From the seventh on, colours come again and lines are dashed; reference models are grey.
    """
    taken: list[int] = []
    classes = []
    for system in systems:
        if system.family == REFERENCE:
            classes.append("sr")
            continue
        own = OWN_COLOUR.get(system.family)
        reserved = {OWN_COLOUR.get(other.family) for other in systems} - {own}
        free = [n for n in range(SERIES) if n not in taken and n not in reserved]
        free = free or [n for n in range(SERIES) if n not in taken] or [len(taken) % SERIES]
        number = own if own is not None and own not in taken else free[0]
        rounds = len(taken) // SERIES
        classes.append(f"s{number}{' dashed' if rounds % 2 else ''}")
        taken.append(number)
    return classes
