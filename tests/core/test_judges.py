"""A model in the role of an instrument: what it is asked, what counts of its answer, and whose fingerprint it is."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

from janus_eval import plan
from janus_eval.errors import UserError
from janus_eval.evaluation import checked_options, run_contender
from janus_eval.judges import ModelVQA, first_word
from janus_eval.observe import Instruments
from janus_eval.pictures import Picture
from janus_eval.progress import Silent
from janus_eval.specs import contenders
from janus_eval.types import Failure, Look, Observation

PICTURE = Picture.from_pil(Image.new("RGB", (8, 8), "red"))


@pytest.mark.parametrize(
    ("text", "word"),
    [("Yes", "yes"), (" no.", "no"), ("Yes, there is one.", "yes"), ("**No**", "no"), ("Nothing", "nothing"),
     ("yesterday", "yesterday"), ("I think yes", "i think yes"), ("", "")],
)  # fmt: skip
def test_an_answer_counts_by_its_first_word(text: str, word: str) -> None:
    assert first_word(text) == word


def test_questions_of_a_picture_are_answered_by_key(toys: ModuleType) -> None:
    judge = ModelVQA("model:toy?skill=1")
    looks = [Look({"questions": {"1": "red?", "2": "blue?"}}, image=PICTURE), Look({"questions": {"7": "a?"}})]
    found, failed = judge.observe(looks)
    assert isinstance(found, Observation) and found.data["answers"] == {"1": "yes", "2": "yes"}
    assert failed == Failure("there is no picture to look at")
    assert judge.observe([]) == []


def test_it_must_say_something_of_a_drawn_picture(toys: ModuleType) -> None:
    assert (
        ModelVQA("model:toy").self_test() == ModelVQA("model:oracle").self_test() == "an answer about a drawn picture"
    )
    instruments = Instruments()
    with pytest.raises(
        UserError, match=r"'model:toy\?broken=circle' fails its self-test: KeyError: 'cannot do Is there"
    ):
        instruments.ready("model:toy?broken=circle")


def test_settings_and_weights_are_its_version(toys: ModuleType) -> None:
    assert ModelVQA("model:toy?skill=1").version == ModelVQA("model:toy?skill=1").version
    assert ModelVQA("model:toy?skill=1").version != ModelVQA("model:toy?skill=0.5").version


@pytest.mark.parametrize(("name", "message"), [("model:tou", "did you mean 'toy'"), ("model:toy?x=1", "no option 'x'")])
def test_what_is_no_model_is_told(toys: ModuleType, name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Instruments().get(name)


def test_a_model_takes_an_instruments_place_and_is_told_when_it_judges_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choices = plan.choices(["shapes-dpg"], {"visual_qa": "model:oracle"})
    assert dict(choices[0].protocol.observe) == {"visual_qa": "model:oracle"}
    [contender] = contenders(["oracle"], {})
    notes: list[str] = []
    monkeypatch.setattr(Silent, "note", lambda self, line: notes.append(line))
    entries = plan.entries(choices, seed=0, limit=1)
    options = checked_options(seed=0, limit=1, batch_size=16, retry_failed=False)
    run = run_contender(contender, entries, tmp_path, options, instruments=Instruments(), show=Silent())
    assert run.results["tasks"]["shapes-dpg"]["fixed"]["metrics"]["overall"]["value"] == 100
    assert notes == ["oracle judges itself: instrument model:oracle has its weights"]


def test_a_role_that_no_task_has_is_told() -> None:
    with pytest.raises(
        UserError, match=r"--instrument visual-qa: no task here has this role; did you mean 'visual_qa'"
    ):
        plan.choices(["shapes-dpg"], {"visual-qa": "model:oracle"})


def test_the_command_line_swaps_instruments(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from janus_eval.cli.app import run as command
    from janus_eval.store import read_json

    out = ["--out", str(tmp_path)]
    arguments = ["run", "--task", "shapes-dpg", "--model", "blank", "--limit", "1", *out]
    assert command([*arguments, "--instrument", "visual_qa=model:oracle"]) == 0
    header = read_json(tmp_path / "blank" / "run.json")
    assert header["tasks"]["shapes-dpg"]["fixed"]["observe"] == {"visual_qa": "model:oracle"}
    capsys.readouterr()
    assert command(arguments) == 2, "another instrument is another ground"
    assert "observe differ" in capsys.readouterr().err
    assert command([*arguments, "--instrument", "visual_qa"]) == 2
    assert "--instrument: 'visual_qa' is no option; expected KEY=VALUE" in capsys.readouterr().err
    rescored = ["score", str(tmp_path / "blank"), "--protocol", "official", "--instrument", "visual_qa=shapes-vqa"]
    assert command(rescored) == 0
