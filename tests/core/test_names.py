"""Where identities come from: seeds, fingerprints, model specs, the choice of samples."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janus_eval import fingerprint, plan
from janus_eval.errors import UserError
from janus_eval.pictures import Picture
from janus_eval.plan import limited
from janus_eval.randomness import seed_of
from janus_eval.specs import ModelSpec, contenders
from janus_eval.types import Sample


def test_seeds_are_pinned() -> None:
    """Golden values: another seed would change every drawn picture of every run."""
    assert seed_of(0, "shapes-geneval", "12", 0) == 1341391284741975618
    assert seed_of(0, "shapes-geneval", "12", 1) == 5859348600382143875


@given(st.integers(), st.text(max_size=20), st.text(max_size=20), st.integers(0, 99))
def test_seeds_fit_and_differ(run: int, task: str, sample: str, index: int) -> None:
    seed = seed_of(run, task, sample, index)
    assert 0 <= seed < 2**63
    others = {
        seed_of(run + 1, task, sample, index),
        seed_of(run, task, sample, index + 1),
        seed_of(run, task + "/", sample, index),
    }
    assert seed not in others


SAMPLE = Sample(
    "a", {"q": "?", "options": {"A": "x", "B": "y"}}, {"answer": "A"}, "g", "c", (Picture(b"1"),), {"seen": True}
)


@pytest.mark.parametrize(
    "change",
    [
        {"id": "b"},
        {"inputs": {"q": "!"}},
        {"inputs": {"q": "?", "options": {"B": "y", "A": "x"}}},
        {"target": {"answer": "B"}},
        {"group": "h"},
        {"category": "d"},
        {"images": (Picture(b"2"),)},
        {"metadata": {}},
    ],
)
def test_data_part_sees_every_field(change: dict[str, Any]) -> None:
    assert fingerprint.data_part([SAMPLE]) != fingerprint.data_part([replace(SAMPLE, **change)])


def test_data_part_ignores_the_order_of_samples() -> None:
    other = replace(SAMPLE, id="b")
    assert fingerprint.data_part([SAMPLE, other]) == fingerprint.data_part([other, SAMPLE])


def test_differences_are_named() -> None:
    ours = dict.fromkeys(fingerprint.PARTS, "1")
    assert fingerprint.differences(ours, ours | {"weights": "2", "ask": "2"}) == ["ask", "weights"]


def test_model_spec() -> None:
    spec = ModelSpec.parse("janus-pro:/some/folder:with-colon?guidance=5&role=a%26b")
    assert spec == ModelSpec("janus-pro", "/some/folder:with-colon", {"guidance": "5", "role": "a&b"})
    assert ModelSpec.parse("oracle") == ModelSpec("oracle")
    for wrong, message in [
        ("", "names no model"),
        ("?a=1", "names no model"),
        ("m?a", "'a' is no option"),
        ("m?a=1&a=2", "twice"),
    ]:
        with pytest.raises(UserError, match=message):
            ModelSpec.parse(wrong)


def test_options_are_checked(toys: ModuleType) -> None:
    for texts, overrides, message in [
        (["toy?skil=1"], {}, "no option 'skil'; did you mean 'skill'"),
        (["toy?skill=much"], {}, "skill: .*got 'much'"),
        (["toy?skill=2"], {}, "skill: .*less than or equal to 1"),
        (["toy"], {"skil": "1"}, "--set skil: no model here has this option; did you mean 'skill'"),
        (["toy", "toy"], {}, "given twice"),
        (["toyy"], {}, "unknown model 'toyy'; did you mean 'toy'"),
    ]:
        with pytest.raises(UserError, match=message):
            contenders(texts, overrides)
    with pytest.raises(UserError, match="unknown dtype 'float17'; did you mean 'float16'"):
        contenders(["toy"], {}, dtype="float17")


def test_set_reaches_every_model_that_has_it_and_yields_to_the_models_own(toys: ModuleType) -> None:
    settings = [
        ready.settings.model_dump() for ready in contenders(["toy", "toy?skill=0.5"], {"skill": "0.25", "role": "null"})
    ]
    assert [setting["skill"] for setting in settings] == [0.25, 0.5]
    assert [setting["role"] for setting in settings] == [None, None]


def test_folder_tells_options_apart(toys: ModuleType, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def folder(text: str, **kwargs: Any) -> str:
        return contenders([text], {}, **kwargs)[0].folder

    assert folder("toy") == folder("toy?skill=0.7") == "toy"
    names = [folder("toy?skill=0.5"), folder("toy:x"), folder("toy:y"), folder("toy", dtype="bfloat16")]
    assert len(set(names)) == 4 and all(name.startswith("toy-") for name in names)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path)
    assert folder("toy:here") == folder(f"toy:{tmp_path}/here") == folder("toy:./here/")


def test_limit_takes_whole_groups_of_every_category() -> None:
    samples = [Sample(f"{c}{g}{r}", {}, {}, f"{c}{g}", c) for r in range(2) for g in range(3) for c in "ab"]
    assert [sample.id for sample in limited(samples, 1)] == ["a00", "b00", "a01", "b01"]
    assert limited(samples, 3) == samples


def test_choices(toys: ModuleType) -> None:
    assert [str(choice) for choice in plan.choices(["toy-ask", "toy-ask/plain", "toy-draw/two-eyes"])] == [
        "toy-ask/plain",
        "toy-draw/two-eyes",
    ]
    with pytest.raises(UserError, match="no protocol 'plane'; did you mean 'plain'"):
        plan.choices(["toy-ask/plane"])


def test_protocols_that_only_judge_differently_share_their_asking(toys: ModuleType) -> None:
    chosen = plan.choices(["toy-ask/plain", "toy-ask/contrary", "toy-ask/shouted"])
    plain, contrary, shouted = plan.entries(chosen, seed=0, limit=None)
    assert plain.asking is contrary.asking
    assert plain.asking is not shouted.asking
