"""lmms-eval's definitions are found and read without lmms-eval; what can't be run is said in one line."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from janus_eval import plan
from janus_eval.errors import AbsentError, UserError
from janus_eval.specs import offered
from janus_eval.tasks.lmms import definitions


def test_a_definition_with_what_it_includes(here: Path) -> None:
    (tiny,) = definitions.named("tiny")
    assert (tiny.output_type, tiny.max_new_tokens, tiny.stops) == ("generate_until", 8, ["."])
    assert (tiny.metrics, tiny.headline) == (["macro", "share", "letters"], "macro")
    (choice,) = definitions.named("tiny_choice")
    assert choice.max_new_tokens == definitions.TOKENS and choice.stops == []
    assert [one.name for one in definitions.named("tiny_both")] == ["tiny", "tiny_more"]
    nested = definitions.named("tiny_nested")
    assert [one.name for one in nested] == ["tiny", "tiny_more", "tiny_upload"], "a group, a task, a tag"
    assert [one.metrics for one in nested][1] == ["share"], "a group lays something over a task"
    assert nested[1].digest != definitions.named("tiny_more")[0].digest
    assert [one.name for one in definitions.named("hard")] == ["tiny_upload"]


def test_lmms_evals_own_definitions(here: Path) -> None:
    (mme,) = definitions.named("mme")
    assert (mme.dataset, mme.max_new_tokens, mme.headline) == ("lmms-lab-encoder/MME", 16, "mme_perception_score")
    (pope,) = definitions.named("pope_random")
    assert pope.stops == [], "an empty line ends no answer unless the definition says so"
    (seed,) = definitions.named("seedbench")
    assert seed.stops == ["ASSISTANT:"]


def test_the_version_changes_with_what_defines_the_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JANUS_EVAL_LMMS_TASKS", str(tmp_path))
    files = {"one.yaml": "task: one\ninclude: rest\n", "rest": "output_type: generate_until\n", "utils.py": "A = 1\n"}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    seen = {definitions.version_of("one")}
    for name, text in files.items():
        (tmp_path / name).write_text(text + f"{name[0]}x: 2\n" if name != "utils.py" else text + "B = 2\n")
        seen.add(definitions.version_of("one"))
    assert len(seen) == 4 and all(version.startswith(metadata.version("lmms_eval")) for version in seen)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("lmms", "'lmms' stands for many: write lmms:NAME"),
        ("lmms:tiny_bothh", "no task 'tiny_bothh'; did you mean 'tiny_both'"),
        ("lmms:tiny/other", "no protocol 'other'"),
        ("pope:random", "task 'pope' stands alone, got 'pope:random'"),
    ],
)
def test_what_can_not_be_named(here: Path, spec: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        plan.choices([spec])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("lmms:tiny_eight", "asks every question 8 times"),
        ("lmms:mmmu_val_pass64", "asks every question 64 times"),
        ("lmms:tiny_remote", "nobody/nowhere is not on this machine: hf download --repo-type dataset nobody/nowhere"),
    ],
)
def test_what_can_not_be_asked(here: Path, name: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as raised:
        plan.entries(plan.choices([name]), seed=0, limit=None)
    assert raised.value.code == 2 and "\n" not in str(raised.value)


def test_two_definitions_of_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JANUS_EVAL_LMMS_TASKS", str(tmp_path))
    (tmp_path / "mine.yaml").write_text("task: mme\n")
    with pytest.raises(UserError, match="two definitions of lmms-eval task 'mme'"):
        definitions.named("mme")


@pytest.mark.parametrize("text", ["task: [", "- a list", "task: bad\ninclude: gone\n"])
def test_a_damaged_definition(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(UserError, match=str(tmp_path)):
        definitions.read(tmp_path / "bad.yaml")


@pytest.mark.parametrize(("version", "ok"), [("0.7.3", True), ("0.7.10", True), ("0.7.2", False), ("0.8.0", False)])
def test_versions(monkeypatch: pytest.MonkeyPatch, version: str, ok: bool) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: version)
    if ok:
        assert definitions.installed() == version
    else:
        with pytest.raises(UserError, match=f"lmms-eval {version} is installed"):
            definitions.installed()


def test_without_lmms_eval(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", absent)
    with pytest.raises(AbsentError, match="lmms-eval is not installed: pip install"):
        plan.choices(["lmms:mme"])
    pope = offered("tasks", "pope")  # it is still listed, with its protocols
    assert list(pope.protocols) == ["random", "popular", "adversarial", "all"]
    (choice,) = plan.choices(["pope"])
    assert choice.protocol.ask["lmms_eval"] == "not installed"
    with pytest.raises(AbsentError, match="pip install"):
        plan.entries([choice], seed=0, limit=None)


def test_listing_and_naming_import_nothing_of_lmms_eval(here: Path) -> None:
    script = (
        "import sys\nfrom janus_eval import plan\nfrom janus_eval.specs import offered\n"
        "from janus_eval.plugins import names\n"
        "[(one.title, list(one.protocols)) for one in (offered('tasks', name) for name in names('tasks'))]\n"
        "plan.choices(['lmms:tiny_both', 'mm-vet', 'pope/all'])\n"
        "heavy = {'lmms_eval', 'datasets', 'torch', 'transformers'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_own_definitions_may_lie_beside_the_data(
    tmp_path: Path, definitions_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JANUS_EVAL_LMMS_TASKS", "")
    monkeypatch.setenv("JANUS_EVAL_DATA", str(tmp_path))
    with pytest.raises(UserError, match="no task 'tiny'"):
        plan.choices(["lmms:tiny"])
    (tmp_path / "lmms-tasks").symlink_to(definitions_folder)
    assert plan.choices(["lmms:tiny"])[0].task.name == "lmms:tiny"
    monkeypatch.setenv("JANUS_EVAL_LMMS_TASKS", str(tmp_path / "gone"))
    with pytest.raises(UserError, match=r"JANUS_EVAL_LMMS_TASKS names .*gone, which is no folder"):
        plan.choices(["lmms:tiny"])


def test_an_estimate_says_of_each_task_what_it_lacks(here: Path) -> None:
    from janus_eval.estimate import entries_of

    found, lacking = entries_of(plan.choices(["lmms:tiny", "lmms:tiny_remote", "pope"]), seed=0, limit=1)
    assert [entry.task.name for entry in found] == ["lmms:tiny", "pope"]
    assert len(lacking) == 1 and lacking[0].startswith("lmms:tiny_remote: not counted: lmms-eval task 'tiny_remote'")
