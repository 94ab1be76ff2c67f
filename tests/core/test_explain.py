"""Explanations of a run of the shapes tasks by a model that errs: each part is held against running again with that
knob set."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from janus_eval import plan, plugin_files, plugins
from janus_eval.disk import locked
from janus_eval.errors import UserError
from janus_eval.explaining.explain import explain, explain_runs, spec_of
from janus_eval.explaining.knobs import Knob, Value, alternatives, flat
from janus_eval.explaining.records import Explanation, Fact, Printed
from janus_eval.plan import Choice
from janus_eval.specs import offered

clumsy = plugin_files.load(str(Path(__file__).with_name("clumsy.py")))
Clumsy, again, choice, headline, run, score, whole = (
    getattr(clumsy, name) for name in ("Clumsy", "again", "choice", "headline", "run", "score", "whole")
)
TASKS = ("shapes-geneval", "shapes-mmbench", "shapes-dpg")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("runs") / "clumsy", plan.choices(TASKS))


@pytest.fixture
def own(finished: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return shutil.copytree(finished, tmp_path / "copy")


# Each knob alone


@pytest.mark.parametrize("task", TASKS)
def test_every_effect_is_what_a_run_with_that_knob_gives(finished: Path, tmp_path: Path, task: str) -> None:
    spec = f"{task}/{next(iter(offered('tasks', task).protocols))}"
    effects = explain(finished, task).effects
    assert any(effect.by for effect in effects), "nothing moves: this would hold of any explanation"
    turns = [_turn(task, effect.knob, effect.there) for effect in effects]
    turned = [choice(spec, **{knob: value}) for knob, value in turns]
    named = [Choice(c.task, replace(c.protocol, name=f"turn {n}")) for n, c in enumerate(turned)]
    results = json.loads((run(tmp_path / "again", named) / "results.json").read_text())["tasks"][task]
    for n, effect in enumerate(effects):
        fresh = results[f"turn {n}"]["metrics"]["overall"]
        assert (effect.estimate.value, effect.estimate.low) == (fresh["value"], fresh["low"]), effect


def _turn(task: str, knob: str, there: str) -> tuple[str, Value]:
    """A knob's value from its words."""
    thing = offered("tasks", task)
    first = next(iter(thing.protocols.values()))
    values = next(known.values for known in alternatives(thing, first) if known.name == knob)
    named = {(f"{v:g}" if isinstance(v, float) else str(v)): v for v in values}
    return knob.replace(".", "__"), named[there]


@pytest.mark.parametrize("task", TASKS)
def test_every_protocol_is_what_score_gives(own: Path, task: str) -> None:
    found = {counted.protocol: counted for counted in explain(own, task).protocols}
    judged = 0
    for name, counted in found.items():
        if counted.estimate is not None:
            score(own, f"{task}/{name}")
            assert counted.estimate.value == headline(own, f"{task}/{name}")
            judged += 1
        else:
            assert counted.command.startswith("janus-eval score" if counted.lacks == "an instrument" else "") and name
    assert judged == len([p for p in found.values() if not p.lacks]) > 0


def test_only_protocols_that_asked_the_same_give_knobs() -> None:
    class Task:
        knobs = (Knob("judge.more", (1, 2), "why"), Knob("judge.rule", note="said"))
        protocols = MappingProxyType(
            {name: choice(f"shapes-mmbench/{name}").protocol for name in ("circular", "vanilla-all", "likelihood")}
        )

    first = Task.protocols["circular"]
    found = {knob.name: knob for knob in alternatives(Task(), first)}
    assert found["judge.aggregate"].values == ("rows",) and found["judge.more"].values == (1, 2)
    assert "judge.letters" not in found, "the likeliest letter can't be read from a text"
    assert set(flat(first)) == {
        "ask.questions",
        "ask.data_seed",
        "ask.max_new_tokens",
        "judge.letters",
        "judge.aggregate",
    }


def test_nothing_is_written_and_no_lock_is_waited_for(finished: Path) -> None:
    def state() -> dict[str, tuple[str, int]]:
        files = (path for path in sorted(finished.rglob("*")) if path.is_file())
        return {str(p): (hashlib.sha256(p.read_bytes()).hexdigest(), p.stat().st_mtime_ns) for p in files}

    with locked(finished):  # as by a run that goes on
        before = state()
        explain(finished, "shapes-geneval")
        assert state() == before


def test_a_torn_last_line_is_passed_over(own: Path) -> None:
    value = explain(own, "shapes-mmbench").recorded.value
    with (own / "responses.jsonl").open("a") as file:
        file.write('{"task":"shapes-mm')
    assert explain(own, "shapes-mmbench").recorded.value == value
    assert (own / "responses.jsonl").read_text().endswith('{"task":"shapes-mm')


def test_failures_are_a_knob_where_there_are_some(tmp_path: Path) -> None:
    path = run(tmp_path / "clumsy", [choice("shapes-geneval")], Clumsy(broken="star"))
    explanation = explain(path, "shapes-geneval")
    [effect] = [effect for effect in explanation.effects if effect.knob == "failures"]
    assert explanation.recorded.failed and explanation.recorded.value is not None and effect.estimate.failed == 0
    rows = [json.loads(line) for line in (path / "scores.jsonl").read_text().splitlines()]
    by_tag: dict[str, list[float]] = {}
    for row in rows:
        by_tag.setdefault(row["category"], []).append(row["value"] or 0.0)
    assert effect.estimate.value == pytest.approx(sum(sum(v) / len(v) for v in by_tag.values()) / len(by_tag))


def test_instruments_that_have_looked_are_a_knob(own: Path) -> None:
    """Another detector, and another version of it, as a classifier with and without QuickGELU would be."""
    plugins.registry.cache_clear()
    plugin_files.add(clumsy.__file__)
    try:
        by_version = {}
        squint = offered("instruments", "squint")
        for doubt in (0.5, 0.05):
            type(squint).doubt = doubt
            score(own, "shapes-geneval/official", detector="squint")
            by_version[f"squint (doubt {doubt})"] = headline(own, "shapes-geneval")
        assert len({*by_version.values()}) == 2
        effects = {e.there: e for e in explain(own, "shapes-geneval").effects if e.knob == "observe.detector"}
    finally:
        plugins.registry.cache_clear()
    # It stands at the last of the three; the classifier's looks at the boxes of each are stored too.
    assert set(effects) == {"shapes-detector", "squint (doubt 0.5)"}
    assert effects["squint (doubt 0.5)"].here == "squint (doubt 0.05)"
    assert effects["squint (doubt 0.5)"].estimate.value == by_version["squint (doubt 0.5)"]
    header = json.loads((own / "run.json").read_text())
    header["model"]["name"] = "oracle"
    (own / "run.json").write_text(json.dumps(header))
    assert (
        explain(own, "shapes-geneval")
        .steps[0]
        .command.endswith(f"--model oracle --instrument detector=squint --out {own.parent}")
    )
    score(own, "shapes-geneval/official")
    assert effects["shapes-detector"].estimate.value == headline(own, "shapes-geneval")


# Against a printed figure


def printed(value: float, *facts: Mapping[str, Any], unit: Any = "fraction", **rest: Any) -> Printed:
    return Printed("theirs", value, unit, facts=[Fact(knobs, "a note", "stated") for knobs in facts], **rest)


def test_circular_for_vanilla_is_found(finished: Path, tmp_path: Path) -> None:
    """The figure was counted row by row, the run by the circular rule: that is the whole gap."""
    value = again(tmp_path / "vanilla", "shapes-mmbench/vanilla-all")
    explanation = explain(finished, "shapes-mmbench", printed(100 * value, {"protocol": "vanilla-all"}, unit="percent"))
    gap = explanation.gap
    assert gap is not None
    [part] = gap.parts
    assert (part.knob, part.here, part.there) == ("judge.aggregate", "circular", "rows")
    assert part.by == pytest.approx(100 * (value - headline(finished, "shapes-mmbench/circular"))) and part.by > 5
    assert gap.rest.by == pytest.approx(0, abs=1e-9) and gap.rest.low is not None and gap.rest.low < 0
    assert whole(gap) == pytest.approx(gap.by, abs=1e-12)
    assert {"judge.letters", "ask.max_new_tokens"} <= set(gap.agreeing)


def test_shares_of_two_knobs_are_those_of_four_runs(finished: Path, tmp_path: Path) -> None:
    knobs: dict[str, Value] = {"judge__aggregate": "rows", "judge__letters": "lmms-eval"}
    values = {
        frozenset(made): again(
            tmp_path / "-".join(sorted(made)), "shapes-mmbench/circular", **{k: knobs[k] for k in made}
        )
        for made in ((), ("judge__aggregate",), ("judge__letters",), tuple(knobs))
    }
    facts = {name.replace("__", "."): value for name, value in knobs.items()}
    gap = explain(finished, "shapes-mmbench", printed(0.5, facts)).gap
    assert gap is not None
    for part in gap.parts:
        added = []
        for order in permutations(knobs):
            before = frozenset(order[: order.index(part.knob.replace(".", "__"))])
            added.append(values[before | {part.knob.replace(".", "__")}] - values[before])
        assert part.by == pytest.approx(50 * sum(added))
    assert all(part.by for part in gap.parts), "a knob that moves nothing shows nothing"
    assert gap.rest.by == pytest.approx(100 * (0.5 - values[frozenset(knobs)]))
    assert whole(gap) == pytest.approx(gap.by, abs=1e-12)


def test_a_dropped_first_row_is_found(finished: Path, tmp_path: Path) -> None:
    """DPG-Bench's published script loses a row of its table."""
    value = again(tmp_path / "official", "shapes-dpg/official")
    gap = explain(finished, "shapes-dpg/fixed", printed(value, {"protocol": "official"}, unit="percent")).gap
    assert gap is not None and abs(gap.by) > 0.1
    by = {part.knob: part.by for part in gap.parts}
    assert by == pytest.approx({"judge.first_row": gap.by, "judge.categories": 0.0}) and gap.rest.by == pytest.approx(0)


def test_one_picture_of_four_is_part_of_what_is_stored(finished: Path, tmp_path: Path) -> None:
    value = again(tmp_path / "one", "shapes-geneval", ask__images_per_prompt=1)
    gap = explain(finished, "shapes-geneval", printed(value, {"ask.images_per_prompt": 1})).gap
    assert gap is not None and gap.by
    assert [(part.knob, part.by) for part in gap.parts] == [("ask.images_per_prompt", pytest.approx(gap.by))]


def test_a_knob_that_no_protocol_names_is_turned_too(finished: Path, tmp_path: Path) -> None:
    value = again(tmp_path / "any", "shapes-geneval", judge__aggregate="any")
    facts = {"judge.aggregate": "any", "judge.agregate": "any", "settings.steps": 30}
    gap = explain(finished, "shapes-geneval", printed(value, facts)).gap
    assert gap is not None and gap.by > 5 and gap.foreign == ["judge.agregate", "settings.steps"]
    assert [(p.knob, p.here, p.by) for p in gap.parts] == [("judge.aggregate", "categories", pytest.approx(gap.by))]


def test_the_wrong_roles_are_named_with_the_run_that_would_tell(tmp_path: Path) -> None:
    """No stored answer tells what other roles would have given: the fact, the command and the cost do."""
    path = run(tmp_path / "clumsy", [choice("shapes-mmbench")], Clumsy(user_role="User"))
    facts = {"settings.user_role": "<|User|>", "settings.guidance": 5.0}
    explanation = explain(path, "shapes-mmbench", printed(0.9, facts))
    gap = explanation.gap
    assert gap is not None and not gap.parts and gap.rest.by == pytest.approx(gap.by)
    assert [d[:3] for d in gap.rest.differences] == [("settings.user_role", "User", "<|User|>")]
    assert gap.agreeing == ["settings.guidance"]
    step = explanation.steps[0]
    assert step.requests and step.seconds and step.differences[0].source == "a note"
    assert not step.command and "no name" in step.note, "a model that was given as an object can't be run by name"


def test_what_a_setting_of_a_named_model_costs_to_try(finished: Path, own: Path) -> None:
    header = json.loads((own / "run.json").read_text())
    settings = {**offered("models", "nano-janus-pro").Settings().model_dump(mode="json"), "user_role": "User & co"}
    header["model"] |= {"name": "nano-janus-pro", "settings": settings}
    (own / "run.json").write_text(json.dumps(header))
    steps = explain(own, "shapes-mmbench", printed(0.9, {"settings.guidance": 4.0})).steps
    commands = [step.command for step in steps]
    beginning = "janus-eval run --task shapes-mmbench/circular --model "
    assert commands[0].startswith(
        f"{beginning}'nano-janus-pro?user_role=User %26 co&guidance=4.0' --limit {clumsy.LIMIT} --out "
    )
    assert commands[1].startswith(f"{beginning}nano-janus-pro --limit"), (
        "the family's own role, of which no fact speaks"
    )
    assert steps[1].differences[0].basis == "family default"
    assert steps[2].together and commands[2].startswith(f"{beginning}'nano-janus-pro?guidance=4.0'")
    assert steps[3].differences[0].knob == "limit" and "--limit" not in commands[3]
    assert steps[3].requests is not None and steps[0].requests is not None and steps[3].requests > steps[0].requests


def test_a_figure_in_another_kind_of_unit_is_refused(finished: Path) -> None:
    with pytest.raises(UserError, match="in points can't be held against"):
        explain(finished, "shapes-mmbench", printed(900, unit="points"))


def test_other_metrics_are_compared_under_the_figures_protocol(finished: Path) -> None:
    explanation = explain(
        finished,
        "shapes-dpg",
        printed(70, {"protocol": "official"}, unit="percent", metrics={"entity": 80.0, "none": 1.0}),
    )
    assert explanation.gap is not None
    [entity] = explanation.gap.metrics
    assert entity.metric == "entity" and entity.by == pytest.approx(80.0 - entity.here)


# Hostile


def test_what_is_no_run(tmp_path: Path, finished: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        explain(tmp_path / "absent", "shapes-mmbench")
    with pytest.raises(UserError, match=r"no run\.json"):
        explain(tmp_path, "shapes-mmbench")
    with pytest.raises(UserError, match="did you mean 'shapes-geneval'"):
        spec_of(finished, "shapes-genval")
    with pytest.raises(UserError, match="janus-eval score"):
        spec_of(finished, "shapes-mmbench/vanilla-all")
    with pytest.raises(UserError, match="is the run itself"):
        explain_runs(finished, "shapes-mmbench", finished, "shapes-mmbench")


def test_half_written_runs(own: Path) -> None:
    (own / "results.json").unlink()
    with pytest.raises(UserError, match="no results yet") as caught:
        explain(own, "shapes-mmbench")
    assert caught.value.code == 3


def test_a_run_that_lost_an_answer(own: Path) -> None:
    lines = (own / "responses.jsonl").read_text().splitlines(keepends=True)
    (own / "responses.jsonl").write_text("".join(line for line in lines if '"q001' not in line))
    with pytest.raises(UserError, match="holds no response") as caught:
        explain(own, "shapes-mmbench")
    assert caught.value.code == 3


@pytest.mark.parametrize("damage", ["{", '{"schema": 2, "model": {}, "tasks": {}}', '{"schema": 1, "model": {}}'])
def test_damaged_results(own: Path, damage: str) -> None:
    (own / "results.json").write_text(damage)
    with pytest.raises(UserError):
        explain(own, "shapes-mmbench")


def test_a_result_without_its_protocol(own: Path) -> None:
    results = json.loads((own / "results.json").read_text())
    del results["tasks"]["shapes-mmbench"]["circular"]["protocol"]
    (own / "results.json").write_text(json.dumps(results))
    with pytest.raises(UserError, match="damaged"):
        explain(own, "shapes-mmbench")


def test_nothing_scored_is_nothing_to_explain(tmp_path: Path) -> None:
    path = run(tmp_path / "clumsy", [choice("shapes-dpg")], Clumsy(broken=" "))
    with pytest.raises(UserError, match="nothing was scored") as caught:
        explain(path, "shapes-dpg")
    assert caught.value.code == 3


def test_a_task_without_knobs_still_has_its_number(tmp_path: Path) -> None:
    [found] = plan.choices(["shapes-ocr-read"])
    path = run(tmp_path / "clumsy", [found], limit=1)
    explanation: Explanation = explain(path, "shapes-ocr-read")
    assert [effect.knob for effect in explanation.effects] == ["judge.normalise"]
    assert explanation.gap is None and explanation.recorded.n > 0
    assert os.fspath(path) == explanation.run
