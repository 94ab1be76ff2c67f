"""Why a run's number and another one differ: the whole explanation of one task."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from janus_eval import plugins
from janus_eval.errors import UserError
from janus_eval.explaining import against, effects, facts
from janus_eval.explaining.course import Move
from janus_eval.explaining.holding import header_of, held
from janus_eval.explaining.records import Explanation, Figure, Gap, Printed, Step, in_unit, scale
from janus_eval.explaining.side import Side
from janus_eval.explaining.steps import steps_to_figure, steps_to_run
from janus_eval.seams import Task
from janus_eval.specs import offered
from janus_eval.store import read_json

INCOMPLETE = 3


def tasks_of(path: Path) -> dict[str, list[str]]:
    """Tasks of a run with the protocols that it has results under, as it was asked for them.

    Raises UserError where there are none yet, or where it is no run.
    """
    header_of(path)
    results = path / "results.json"
    tasks = read_json(results)["tasks"] if results.is_file() else {}
    if not tasks:
        raise UserError(
            f"{path} has no results yet; the command that began the run goes on and writes them", code=INCOMPLETE
        )
    return {task: list(protocols) for task, protocols in tasks.items()}


def spec_of(path: Path, spec: str) -> tuple[str, str]:
    """Task and protocol of ``TASK`` (the first protocol that the run has of it) or ``TASK/PROTOCOL``."""
    known = tasks_of(path)
    task, _, protocol = spec.partition("/")
    if task not in known:
        raise UserError(
            f"{path} has no results of task {task!r}{plugins.near(task, list(known))} (it has {', '.join(known)})"
        )
    if protocol and protocol not in known[task]:
        near = plugins.near(protocol, known[task])
        raise UserError(
            f"{path} has no results of {spec}{near} (it has {', '.join(known[task])}); "
            f"`janus-eval score {path} --protocol {spec}` makes them if what it asks was asked"
        )
    return task, protocol or known[task][0]


def model_of(path: Path) -> str:
    """The run's model with its checkpoint, ``janus-pro:Janus-Pro-7B``."""
    return facts.model_of(header_of(path))


def explain(path: Path, spec: str, printed: Printed | None = None, figures: Sequence[Printed] = ()) -> Explanation:
    """Explain a run's headline of ``spec`` alone or against a ``printed`` figure.

    ``figures`` are others of the same model and benchmark. Raises UserError for what can't be explained.
    """
    task, protocol = spec_of(path, spec)
    with held(path) as folder:
        side = Side(folder, offered("tasks", task), protocol)
        _refuse_empty(side)
        gap: Gap | None = None
        impossible: list[Move] = []
        told = printed.facts if printed else ()
        known, choice = facts.held_against(side, told), facts.choice_of(side, told)
        if printed is not None:
            gap, impossible = against.gap_to_printed(side, printed, known)
        steps = steps_to_figure(side, known, impossible, choice)
        return _explanation(side, gap, steps, [_figure(side, other) for other in figures])


def explain_runs(path: Path, spec: str, other: Path, other_spec: str) -> Explanation:
    """Explain a run's headline against another run's of the same task."""
    task, protocol = spec_of(path, spec)
    same, other_protocol = spec_of(other, other_spec)
    assert task == same, f"{spec} against {other_spec}"
    if path.resolve() == other.resolve() and protocol == other_protocol:
        raise UserError(f"{other} is the run itself; give another run, a published system or a file of figures")
    with held(path) as folder, held(other) as other_folder:
        thing: Task = offered("tasks", task)
        here, there = Side(folder, thing, protocol), Side(other_folder, thing, other_protocol)
        for side in (here, there):
            _refuse_empty(side)
        gap, made = against.gap_to_run(here, there, f"{other} ({other_protocol})")
        return _explanation(here, gap, steps_to_run(here, there, made), ())


def _explanation(side: Side, gap: Gap | None, steps: Sequence[Step], figures: Sequence[Figure]) -> Explanation:
    recorded = against.recorded_of(side)
    now = side.estimate(side.start)
    assert now is not None
    model = side.folder.header["model"]
    return Explanation(
        run=str(side.folder.path),
        model=":".join(filter(None, (model["name"], model.get("checkpoint")))),
        task=side.task.name,
        title=side.task.title,
        protocol=side.protocol.name,
        unit=recorded.unit,
        recorded=recorded,
        rejudged=None if now.value == recorded.value else now.value,
        effects=effects.effects(side),
        protocols=effects.protocols(side),
        gap=gap,
        steps=steps,
        figures=figures,
    )


def _refuse_empty(side: Side) -> None:
    """A headline that is no number has no difference to anything."""
    now = side.estimate(side.start)
    if against.recorded_of(side).value is None or now is None or now.value is None:
        spec = f"{side.task.name}/{side.protocol.name}"
        raise UserError(f"{side.folder.path} has no number for {spec}: nothing was scored", code=INCOMPLETE)


def _figure(side: Side, printed: Printed) -> Figure:
    known = facts.held_against(side, printed.facts)
    recorded = against.recorded_of(side)
    assert recorded.value is not None
    by = scale(recorded.unit) * (in_unit(printed.value, printed.unit, recorded.unit) - recorded.value)
    differences = [difference for one in known for difference in one.differences(side.task)]
    agreeing = [name for one in known for name in one.agreeing if name != facts.TASK]
    return Figure(printed.name, printed.value, by, printed.source, differences, agreeing)
