"""Pictures that a model of lmms-eval tells of, judged by our instruments; without lmms-eval itself."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from janus_eval import folders, plan
from janus_eval.errors import UserError
from janus_eval.pictures import Picture
from janus_eval.tasks.lmms_tasks.command import lmms_tasks
from janus_eval.tasks.lmms_tasks.judging import Judge, drawn
from janus_eval.tasks.shapes.oracle import ShapesColours
from janus_eval.tasks.shapes.reference_models import Oracle
from janus_eval.types import Drawing, Failure, Look, Observation, RequestKey, Response


def picture(path: Path, colour: str = "red") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), colour).save(path)
    return path


def answer(*paths: Path, **more: Any) -> str:
    return json.dumps({"text": "", "images": list(map(str, paths)), **more})


def reasons(found: Sequence[Picture | Failure]) -> list[str]:
    return [one.reason if isinstance(one, Failure) else "" for one in found]


def test_both_ways_of_telling_of_a_picture(tmp_path: Path) -> None:
    files = [picture(tmp_path / f"0007_s{k}.png", colour) for k, colour in enumerate(("red", "green"))]
    expected = [Picture.from_file(file) for file in files]
    assert drawn([answer(file) for file in files], 7) == expected
    assert drawn([answer(*files)] * 2, 7) == expected  # each answer names all
    assert drawn([str(tmp_path)] * 2, 7) == expected
    [first, missing] = drawn([str(tmp_path)] * 2, 8)
    assert isinstance(first, Failure) and "0008_s0.png: No such file" in first.reason
    assert isinstance(missing, Failure)


def test_one_file_is_one_picture(tmp_path: Path) -> None:
    file = picture(tmp_path / "a.png")
    again = tmp_path / "x" / ".." / "a.png"
    (tmp_path / "x").mkdir()
    found = drawn([answer(file), answer(file), answer(again)], 0)
    assert reasons(found)[0] == ""
    assert all("keeps one picture a prompt" in reason for reason in reasons(found)[1:])


def test_what_names_no_picture(tmp_path: Path) -> None:
    torn = tmp_path / "torn.png"
    torn.write_bytes(picture(tmp_path / "a.png").read_bytes()[:40])
    said = ["", "A red circle.", "3", '{"text": "no"}', answer(), answer(failed="too long"), answer(torn)]
    found = reasons(drawn(said, 0))
    assert found[0] == "the answer names no picture: ''"
    assert found[1] == "the answer names no picture: 'A red circle.'"
    assert found[2] == "the answer names no picture: '3'"
    assert found[3:6] == ["the model drew no picture", "the model drew no picture", "too long"]
    assert found[6].startswith(f"{torn}: the image ")


def test_a_text_that_no_file_can_be_named_by_ends_nothing() -> None:
    said = ["A red circle. " * 500, "[" * 100_000, "a\0b", answer(Path("a\0b")), answer(Path("x" * 5000))]
    found = reasons(drawn(said, 0))
    assert [reason.partition(":")[0] for reason in found[:4]] == ["the answer names no picture"] * 4
    assert found[4].endswith("File name too long")


@pytest.fixture
def judge() -> Judge:
    [choice] = plan.choices(["shapes-geneval"])
    return Judge(folders.with_images(choice, 3))


def oracle(judge: Judge, sample: str, folder: Path) -> Path:
    prompt = str(judge.by_id[sample].inputs["prompt"])
    [response] = Oracle().draw([Drawing(RequestKey("t", sample, 0), prompt)])
    assert isinstance(response, Response) and response.image is not None
    file = folder / f"{sample}.png"
    file.write_bytes(response.image.data)
    return file


def test_right_wrong_and_missing(judge: Judge, tmp_path: Path) -> None:
    sample = next(one.id for one in judge.samples if one.category == "colors")
    answers = [answer(oracle(judge, sample, tmp_path)), answer(picture(tmp_path / "plain.png")), ""]
    scored = judge.judged(sample, answers)
    assert [(one.index, one.score.value, one.failed) for one in scored] == [
        (0, 1.0, False),
        (1, 0.0, False),
        (2, None, True),
    ]
    assert scored[2].score.reason.startswith("request failed: ")
    assert judge.images == 3


def test_an_instrument_that_fails_leaves_its_picture_unscored(
    judge: Judge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def observe(self: ShapesColours, looks: Sequence[Look]) -> list[Observation | Failure]:
        assert all("boxes" in look.earlier["detector"] for look in looks)
        return [Failure("too dark") for _ in looks]

    monkeypatch.setattr(ShapesColours, "observe", observe)
    sample = next(one.id for one in judge.samples if one.category == "colors")
    [one] = judge.judged(sample, [answer(oracle(judge, sample, tmp_path))])
    assert (one.score.value, one.score.reason, one.failed) == (None, "colour_classifier failed: too dark", False)


def test_an_instrument_that_raises_at_one_picture_judges_the_others(
    judge: Judge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = ShapesColours.observe

    def observe(self: ShapesColours, looks: Sequence[Look]) -> list[Observation | Failure]:
        if any(look.image is not None and look.image.load().size == (8, 8) for look in looks):
            raise RuntimeError("out of paint")
        return plain(self, looks)

    monkeypatch.setattr(ShapesColours, "observe", observe)
    sample = next(one.id for one in judge.samples if one.category == "colors")
    [good, bad] = judge.judged(sample, [answer(oracle(judge, sample, tmp_path)), answer(picture(tmp_path / "a.png"))])
    assert good.score.value == 1.0
    assert (bad.score.value, bad.score.reason) == (None, "colour_classifier failed: RuntimeError: out of paint")


def test_identity_is_that_of_a_run(judge: Judge) -> None:
    other = Judge(plan.choices(["shapes-geneval"], {"detector": "shapes-detector"})[0])
    assert judge.identity == other.identity
    assert judge.identity["protocol"] == "shapes-geneval/official"
    assert len({*judge.identity.values()}) == 4


def test_only_what_is_drawn_can_be_judged() -> None:
    with pytest.raises(UserError, match="'shapes-mmbench' is no drawing task"):
        Judge(plan.choices(["shapes-mmbench"])[0])


@pytest.mark.parametrize(("spec", "file"), [("geneval", "evaluation_metadata.jsonl"), ("dpg", "dpg_bench.csv")])
def test_missing_data_name_the_command(spec: str, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JANUS_EVAL_DATA", str(tmp_path))
    with pytest.raises(UserError, match=f"{file} is not on this machine: janus-eval fetch {spec}/"):
        Judge(plan.choices([spec])[0])


def test_the_folder_has_a_file_for_each_task(capsys: pytest.CaptureFixture[str]) -> None:
    lmms_tasks()
    folder = Path(capsys.readouterr().out.strip())
    yaml.add_constructor("!function", lambda loader, node: node.value, yaml.SafeLoader)
    found = {file.stem: yaml.safe_load(file.read_text()) for file in folder.glob("*.yaml")}
    assert found.keys() == {"geneval", "dpg", "dpg_official", "shapes_geneval", "shapes_dpg"}
    for name, table in found.items():
        assert table["task"] == f"janus_eval_{name}"
        assert plan.choices([table["spec"]])
