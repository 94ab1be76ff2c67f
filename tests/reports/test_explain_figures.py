"""Which figure a name means, what is known of its making, and a user's own files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from janus_eval import plan, plugins
from janus_eval.errors import UserError
from janus_eval.explaining.knobs import flat
from janus_eval.reports.explain_figures import Collection, from_file, shipped, slug
from janus_eval.reports.papers_known import CHECKPOINTS, KNOWN, knobs_of
from janus_eval.specs import ModelSpec, offered

FIGURE = {
    "system": "Ours",
    "variant": None,
    "params": None,
    "kind": "unified",
    "benchmark": "shapes-mmbench",
    "metric": "overall",
    "value": 79.0,
    "unit": "percent",
    "higher_is_better": True,
    "source": {"paper": "Our table", "arxiv": None, "table": None, "as_reported_in": "a note"},
}


def facts_of(collection: Collection, name: str, task: str) -> dict[str, Any]:
    figure = collection.find(name, task, "")
    return {knob: value for fact in collection.facts(figure) for knob, value in fact.knobs.items()}


@pytest.mark.parametrize(
    ("name", "task", "model", "found"),
    [
        ("janus-pro-7b", "mmbench", "", "Janus-Pro-7B"),
        ("Janus Pro 7B", "geneval", "", "Janus-Pro-7B"),
        ("janus-pro", "geneval", "janus-pro:Janus-Pro-1B", "Janus-Pro-1B"),
        ("janus-pro", "dpg", "janus-pro:somewhere/Janus-Pro-7B/", "Janus-Pro-7B"),
        ("janus", "mmbench", "", "Janus"),
        ("Janus-1.3B", "mmbench", "", "Janus"),
        ("janusflow", "geneval", "", "JanusFlow 384"),
        ("JanusFlow-1.3B", "dpg", "", "JanusFlow 384"),
        ("janusflow 256", "dpg", "", "JanusFlow 256"),
        ("DALL-E 3", "geneval", "", "DALL-E 3"),
    ],
)
def test_names_as_people_type_them(name: str, task: str, model: str, found: str) -> None:
    assert shipped().find(name, task, model).name == found


def test_names_that_are_none_or_several() -> None:
    with pytest.raises(UserError, match="did you mean 'janus-pro-7b'"):
        shipped().find("janus-pro-7", "geneval", "")
    with pytest.raises(UserError, match="may be Janus-Pro-1B and Janus-Pro-7B"):
        shipped().find("janus-pro", "geneval", "")
    with pytest.raises(UserError, match="no figure of task 'shapes-dpg'"):
        shipped().find("janus-pro-7b", "shapes-dpg", "")


def test_what_is_known_of_the_papers_mmbench() -> None:
    facts = facts_of(shipped(), "janus", "mmbench")
    assert facts["protocol"] == "mmbench/paper" and facts["settings.user_role"] == "User"
    collection = shipped()
    of = {
        name: {
            fact.basis for fact in collection.facts(collection.find(name, "mmbench", "")) if "protocol" in fact.knobs
        }
        for name in ("janus", "janus-pro-7b")
    }
    assert of == {"janus": {"stated"}, "janus-pro-7b": {"inferred"}}, "for Janus-Pro it is inference"


def test_a_printed_figure_brings_its_categories() -> None:
    collection = shipped()
    printed = collection.printed(collection.find("janus-pro-7b", "geneval", ""))
    assert (printed.value, printed.unit) == (0.8, "fraction") and printed.metrics["two_object"] == 0.89
    assert printed.name == "Janus-Pro-7B (Janus-Pro, Table 4)" and "template" in printed.notes[0]


def test_every_shipped_fact_names_what_there_is() -> None:
    """Protocols, knobs, settings and models by names that this version has."""
    collection = shipped()
    for known in KNOWN.values():
        for task in known.tasks:
            assert task in plugins.names("tasks") and collection.of_task(task), task
    for made in collection.made:
        assert made.of and made.source and "#" not in made.source.replace(" #", "")
        for knob, value in made.knobs.items():
            part, _, key = knob.partition(".")
            if knob == "protocol" and str(value).partition("/")[0] in plugins.names("tasks"):
                assert plan.choices([value])
            elif knob == "model":
                assert ModelSpec.parse(value).name in plugins.names("models")
            elif part == "settings":
                families = [offered("models", name) for name in ("janus-pro", "janus", "janus-flow")]
                assert any(key in family.Settings.model_fields for family in families), knob
            elif part in {"ask", "judge"}:
                names = {name for known in KNOWN.values() for name in known.tasks}
                tasks = [offered("tasks", name) for name in names & set(plugins.names("tasks"))]
                assert any(knob in flat(p) for task in tasks for p in task.protocols.values()), knob
            else:
                assert knob in {"protocol", "dtype", "seed"}, knob


def test_what_explain_and_the_papers_tables_know_of_a_figure_agrees() -> None:
    """Facts stand in made_with.json with their basis, knobs in papers_known.py with words for a table."""
    collection, held = shipped(), 0
    for (system, variant), (model, checkpoint) in CHECKPOINTS.items():
        for benchmark, known in KNOWN.items():
            found = [
                figure
                for figure in collection.of_task(known.task)
                if (figure.system, figure.variant, figure.benchmark) == (system, variant, benchmark)
            ]
            for figure in found:
                facts = {knob: value for fact in collection.facts(figure) for knob, value in fact.knobs.items()}
                assert facts["model"] == f"{model}:{checkpoint}"
                assert facts.get("protocol", f"{known.task}/{known.protocol}") == f"{known.task}/{known.protocol}"
                knobs = {knob.name: knob.value for knob in knobs_of(system, benchmark) or ()}
                shared = knobs.keys() & facts.keys()
                assert {name: knobs[name] for name in shared} == {name: facts[name] for name in shared}
                held += len(shared)
    assert held > 30


def test_figures_of_a_users_file(tmp_path: Path) -> None:
    file = tmp_path / "own.json"
    file.write_text(json.dumps([FIGURE]))
    collection = from_file(file)
    [figure] = collection.of_task("shapes-mmbench")
    assert collection.printed(figure).facts == [] and not collection.of_task("mmbench")
    fact = {"knobs": {"protocol": "vanilla-all"}, "basis": "stated", "source": "us"}
    note = {"match": {"system": "Ours"}, "note": "measured twice"}
    file.write_text(json.dumps({"figures": [FIGURE], "facts": [fact], "notes": [note]}))
    printed = from_file(file).printed(from_file(file).of_task("shapes-mmbench")[0])
    assert printed.facts[0].knobs == {"protocol": "vanilla-all"} and printed.notes == ("measured twice",)
    other = {**fact, "of": [{"system": "Theirs"}]}
    file.write_text(json.dumps({"figures": [FIGURE], "facts": [other]}))
    assert from_file(file).facts(from_file(file).figures[0]) == []


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "not JSON"),
        ("3", "an array of figures expected"),
        ('{"figure": []}', "an array of figures expected"),
        ('{"figures": {}}', "an array of figures expected"),
        ('[{"system": "x"}]', "figure 0"),
        (json.dumps([{**FIGURE, "value": 170}]), "outside 0 to 100"),
        (json.dumps({"figures": [FIGURE], "facts": [{"knobs": {}, "basis": "guess", "source": ""}]}), "made 0, basis"),
        (json.dumps({"figures": [FIGURE], "notes": [{"match": {"system": "y"}, "note": "n"}]}), "matches no figure"),
    ],
)
def test_bad_files_are_refused_by_name(tmp_path: Path, content: str, says: str) -> None:
    file = tmp_path / "own.json"
    file.write_text(content)
    with pytest.raises(UserError, match=says) as caught:
        from_file(file)
    assert "own.json" in str(caught.value)


def test_slugs() -> None:
    assert slug(" Janus-Pro 7B (x) ") == "janus-pro-7b-x" and slug("模型 A") == "模型-a"
