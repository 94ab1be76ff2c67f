"""What is known of how a figure was made, held against how a run was made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from janus_eval import plan
from janus_eval.explaining.knobs import ABSENT, TABLES, Value, flat, knobs_of, told
from janus_eval.explaining.records import Difference, Fact
from janus_eval.explaining.reruns import SETTINGS, checkpoint_of, defaults_of
from janus_eval.explaining.side import Side
from janus_eval.plan import Choice

PROTOCOL, MODEL, TASK = "protocol", "model", "task"
MADE = (MODEL, "dtype", "seed")
"""What answers depend on beside the settings and what was asked."""


@dataclass(frozen=True)
class Known:
    """A fact with the knobs in which the run differs from it, as ``(here, there)``, and those in which it agrees."""

    fact: Fact
    differing: Mapping[str, tuple[Value, Value]]
    agreeing: Sequence[str] = ()

    def differences(self, task: Any) -> list[Difference]:
        return [
            Difference(name, *told(task, name, here, there), self.fact.source, self.fact.basis)
            for name, (here, there) in self.differing.items()
        ]


def choice_of(side: Side, facts: Sequence[Fact]) -> Choice | None:
    """The protocol that facts name: ``TASK/PROTOCOL``, or one of the run's own task. Raises UserError for none."""
    named = next((str(fact.knobs[PROTOCOL]) for fact in facts if PROTOCOL in fact.knobs), None)
    if named is None:
        return None
    [choice] = plan.choices([named if "/" in named else f"{side.task.name}/{named}"])
    return choice


def held_against(side: Side, facts: Sequence[Fact]) -> list[Known]:
    """Every fact of a knob that the run has too. A later fact of a knob takes the place of an earlier one."""
    here = stands(side)
    later: set[str] = set()
    found: list[Known] = []
    for fact in reversed(facts):
        knobs = {name: value for name, value in _spelled(side, fact) if name not in later and name in here}
        later |= knobs.keys()
        other = {name: (here[name], value) for name, value in knobs.items() if not _same(name, here[name], value)}
        agreeing = [name for name in knobs if name not in other]
        if knobs:
            found.append(Known(fact, other, agreeing))
    return found[::-1]


def foreign(side: Side, facts: Sequence[Fact]) -> list[str]:
    """Knobs that facts speak of and that the run doesn't have: another family's settings, or a slip of the pen."""
    here = stands(side)
    return list(dict.fromkeys(n for fact in facts for n in fact.knobs if n != PROTOCOL and n not in here))


def unusual(side: Side, known: Sequence[Known]) -> list[Known]:
    """Settings that are not the family's own and of which no fact says anything."""
    own = side.folder.header["model"]
    spoken = {name for one in known for name in (*one.differing, *one.agreeing)}
    return [
        Known(
            Fact({f"{SETTINGS}{key}": usual}, "", "family default"), {f"{SETTINGS}{key}": (own["settings"][key], usual)}
        )
        for key, usual in (defaults_of(own["name"]) or {}).items()
        if key in own["settings"] and own["settings"][key] != usual and f"{SETTINGS}{key}" not in spoken
    ]


def stands(side: Side) -> dict[str, Any]:
    """All that a fact may speak of, as it stands in the run."""
    header = side.folder.header
    model = header["model"]
    every = [name for protocol in side.task.protocols.values() for name in flat(protocol)]
    return {
        **dict.fromkeys([*every, *(knob.name for knob in knobs_of(side.task))], ABSENT),
        **side.start,
        **{f"{SETTINGS}{key}": value for key, value in model["settings"].items()},
        "dtype": model.get("dtype"),
        "seed": header["seed"],
        "limit": header.get("limit"),
        TASK: side.task.name,
        MODEL: model_of(header),
    }


def _spelled(side: Side, fact: Fact) -> Iterator[tuple[str, Value]]:
    """A fact's knobs, ``protocol`` as all that stands in it: what it doesn't name it leaves at the task's default."""
    for name, value in fact.knobs.items():
        if name != PROTOCOL:
            yield name, value
    choice = choice_of(side, [fact])
    if choice is not None:
        tables = flat(choice.protocol)
        mine = [name for name in side.start if name.partition(".")[0] in TABLES]
        yield TASK, choice.task.name
        for key in dict.fromkeys([*mine, *tables]):
            if key not in fact.knobs:
                yield key, tables.get(key, ABSENT)


def _same(name: str, here: Any, there: Any) -> bool:
    if name == MODEL:
        # By whatever path a checkpoint was reached.
        return bool(base(here) == base(there))
    if name.startswith("observe.") and isinstance(there, str):
        return here is not ABSENT and bool(here[0] == there)
    return bool(here == there)


def model_of(header: Mapping[str, Any]) -> str:
    """The model with the last part of its checkpoint's name, by whatever path it was reached."""
    return ":".join(filter(None, (header["model"]["name"], checkpoint_of(header).rstrip("/").rpartition("/")[2])))


def base(model: str) -> str:
    """``janus-pro-7b`` of ``janus-pro:deepseek-ai/Janus-Pro-7B``; the model's name where it is alone."""
    name, _, checkpoint = str(model).partition(":")
    return (checkpoint.rstrip("/").rpartition("/")[2] or name).lower()
