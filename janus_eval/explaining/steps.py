"""What stored answers can't tell: the runs that would, with their commands and what they would cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from janus_eval.explaining import facts
from janus_eval.explaining.course import Move
from janus_eval.explaining.facts import Known
from janus_eval.explaining.knobs import words
from janus_eval.explaining.records import Difference, Step
from janus_eval.explaining.reruns import SETTINGS, run_command, score_command, seconds, whole_size
from janus_eval.explaining.side import Side
from janus_eval.plan import Choice

NO_COMMAND = "its model has no name here: run it again from where it was run"
NO_PROTOCOL = "no protocol asks so"


def steps_to_figure(
    side: Side, known: Sequence[Known], impossible: Sequence[Move], choice: Choice | None
) -> list[Step]:
    """One a fact that the run differs from and can't be judged by, then all of them together, then the whole benchmark.

    ``choice``: the protocol that facts name.
    """
    stuck = {name for move in impossible for name in move.there}
    steps: list[Step] = []
    every: dict[str, Any] = {}
    for one in [*known, *facts.unusual(side, known)]:
        lacking = {name: pair[1] for name, pair in one.differing.items() if name in stuck or _of_the_run(name)}
        if lacking:
            differences = [difference for difference in one.differences(side.task) if difference.knob in lacking]
            steps.append(_step(side, differences, lacking, choice))
            every |= lacking
    if len(steps) > 1:
        together = [difference for step in steps for difference in step.differences]
        steps.append(replace(_step(side, together, every, choice), together=True))
    return [*steps, *_whole(side)]


def steps_to_run(here: Side, there: Side, made: Sequence[Difference]) -> list[Step]:
    """Where the answers of two runs were made otherwise in several ways: this run again with one of them at a time.

    A setting that one of two families lacks can't be tried on the other.
    """
    if len(made) < 2:
        return []
    ours, theirs = (side.folder.header["model"]["settings"] for side in (here, there))
    shared = {f"{SETTINGS}{name}": theirs[name] for name in ours.keys() & theirs.keys()}
    return [
        _step(here, [difference], {difference.knob: shared[difference.knob]}, None)
        for difference in made
        if difference.knob in shared
    ]


def _of_the_run(name: str) -> bool:
    return name.startswith(SETTINGS) or name in {facts.TASK, *facts.MADE}


def _step(side: Side, differences: Sequence[Difference], wanted: Mapping[str, Any], choice: Choice | None) -> Step:
    spec = own = f"{side.task.name}/{side.protocol.name}"
    if choice is not None:
        spec = f"{choice.task.name}/{choice.protocol.name}"
    protocol = {name for name in wanted if not _of_the_run(name)}
    if protocol == wanted.keys() and all(name.startswith("observe.") for name in protocol):
        instruments = {name.partition(".")[2]: words(value) for name, value in wanted.items()} if choice is None else {}
        return Step(differences, score_command(side.folder.path, spec, instruments), note="asks the instrument alone")
    if protocol and choice is None:
        return Step(differences, "", note=NO_PROTOCOL)
    command = run_command(side.folder, spec if protocol or facts.TASK in wanted else own, wanted)
    asking = side.asked(side.start)
    assert asking is not None
    requests = sum(len(row) for row in asking.requests)
    cost = seconds(side.folder, side.task.name, requests) if facts.MODEL not in wanted else None
    return Step(differences, command, requests, cost, "" if command else NO_COMMAND)


def _whole(side: Side) -> Iterator[Step]:
    """A run of a part, without its limit."""
    limit = side.folder.header.get("limit")
    if limit is not None:
        size = whole_size(Choice(side.task, side.protocol), side.folder.header["seed"])
        cost = None if size is None else seconds(side.folder, side.task.name, size)
        command = run_command(side.folder, f"{side.task.name}/{side.protocol.name}", {}, whole=True)
        yield Step([Difference("limit", words(limit), "none")], command, size, cost, "" if command else NO_COMMAND)
