"""The suites of the papers' tables: every name in them exists, and every setting is the family's."""

from __future__ import annotations

import pytest

from janus_eval import plan, plugins
from janus_eval.specs import ModelSpec, contenders

PAPERS = ("paper-janus-pro-1b", "paper-janus-pro-7b", "paper-janusflow")


@pytest.mark.parametrize("name", sorted(plugins.names("suites")))
def test_a_suites_tasks_protocols_and_models_exist(name: str) -> None:
    suite = plan.load_suite(name)
    assert suite.name == name and suite.title
    chosen = plan.choices(suite.tasks)
    assert len(chosen) == len(suite.tasks)
    (first, *_) = found = contenders(suite.models, {})
    needed = {need for choice in chosen for need in choice.task.needs}
    assert needed <= first.family.capabilities, "the suite's own model can do all of it"
    assert len(found) == len(suite.models)


@pytest.mark.parametrize("name", PAPERS)
def test_a_papers_suite_spells_out_every_setting(name: str) -> None:
    (text,) = plan.load_suite(name).models
    (one,) = contenders([text], {})
    spelled = set(ModelSpec.parse(text).options)
    assert spelled == set(one.family.Settings.model_fields) - {"vae"}, "a family's new default must not move a suite"
    assert one.settings == one.family.Settings(), "today they are the family's own"


@pytest.mark.parametrize("name", PAPERS)
def test_a_papers_suite_asks_in_the_papers_way_and_in_the_benchmarks(name: str) -> None:
    tasks = plan.load_suite(name).tasks
    assert {"mmbench/paper", "mmbench/circular", "geneval/official", "dpg/official", "dpg/fixed"} <= set(tasks)
    assert ("mjhq-fid/paper" in tasks) == (name == "paper-janusflow")
    asks = {choice.task.name: [] for choice in plan.choices(tasks)}  # type: dict[str, list[object]]
    for choice in plan.choices(tasks):
        asks[choice.task.name].append(choice.protocol.ask)
    assert all(ask == own[0] for own in asks.values() for ask in own), "one run's answers serve both"
