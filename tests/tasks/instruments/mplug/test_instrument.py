"""The answerer as the runner uses it: form, identity, batches, failures, and DPG-Bench's verdict on what it says."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import cast

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from janus_eval.errors import AbsentError, UserError
from janus_eval.observe import Instruments
from janus_eval.pictures import Picture
from janus_eval.seams import Instrument
from janus_eval.tasks import dpg
from janus_eval.tasks.instruments.files import VARIABLE
from janus_eval.tasks.instruments.mplug import instrument as module
from janus_eval.tasks.instruments.mplug.instrument import FOLDER, MODEL, MPlugVQA
from janus_eval.types import Failure, Look, Observation, Response, Sample


@pytest.fixture(scope="session")
def pictures(recorded: Path) -> list[Picture]:
    tensors = load_file(recorded / "preprocess.safetensors")
    return [Picture.from_pil(Image.fromarray(tensors[f"photo{place}_rgb"].numpy())) for place in (0, 1)]


@pytest.fixture(scope="session")
def questions(recorded: Path) -> list[str]:
    """Those of ``generation.safetensors``, in its order."""
    tensors = load_file(recorded / "preprocess.safetensors")
    return [bytes(tensors[f"question{place}_text"].tolist()).decode() for place in (0, 4, 2, 7, 3, 1)]


@pytest.fixture
def folder(recorded: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(recorded, tmp_path / FOLDER))


def look(picture: Picture | None, questions: Sequence[str]) -> Look:
    return Look({"questions": {f"q{place}": text for place, text in enumerate(questions)}}, image=picture)


def said(found: Observation | Failure) -> list[str]:
    assert isinstance(found, Observation), found
    return list(cast(Mapping[str, str], found.data["answers"]).values())


def test_it_is_an_instrument(answerer: MPlugVQA) -> None:
    instrument: Instrument = answerer
    assert instrument.kind == "visual_qa"


def test_it_says_what_modelscope_says(
    answerer: MPlugVQA, pictures: list[Picture], questions: list[str], generation: dict[str, Tensor]
) -> None:
    """config.yaml's beam search is the first of those that were recorded."""
    found = answerer.observe([look(picture, questions) for picture in pictures])
    for place, one in enumerate(found):
        assert said(one) == bytes(generation[f"search0.picture{place}.texts"].tolist()).decode().split("\n")
    assert said(found[0])[0] == "yes"
    assert isinstance(found[0], Observation) and list(cast(Mapping[str, str], found[0].data["answers"]))[:2] == [
        "q0",
        "q1",
    ]


def test_answers_are_alike_in_any_batch(
    answerer: MPlugVQA, pictures: list[Picture], questions: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    together = [said(found) for found in answerer.observe([look(picture, questions) for picture in pictures])]
    monkeypatch.setattr(module, "PICTURES_AT_ONCE", 1)
    monkeypatch.setattr(module, "QUESTIONS_AT_ONCE", 4)
    for picture, expected in zip(pictures, together, strict=True):
        assert said(answerer.observe([look(picture, questions)])[0]) == expected
        assert [said(answerer.observe([look(picture, [text])])[0])[0] for text in questions] == expected


def test_a_picture_is_encoded_once_for_all_that_is_asked_about_it(
    answerer: MPlugVQA, pictures: list[Picture], questions: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    model = answerer._model
    assert not isinstance(model, Failure)
    real: Callable[[Tensor], Tensor] = model.vision.forward
    monkeypatch.setattr(model.vision, "forward", lambda pixels: (seen.append(len(pixels)), real(pixels))[1])
    first, second = pictures
    found = answerer.observe([look(first, questions), look(second, questions), look(first, questions[:2])])
    assert seen == [2] and said(found[2]) == said(found[0])[:2]


def test_what_cannot_be_seen_is_a_failure_in_its_place(answerer: MPlugVQA, pictures: list[Picture]) -> None:
    found = answerer.observe([look(None, ["?"]), look(Picture(b"no picture"), ["?"]), look(pictures[0], [])])
    reasons = [one.reason if isinstance(one, Failure) else "" for one in found]
    assert "no picture to look at" in reasons[0] and "cannot be looked at" in reasons[1]
    assert said(found[2]) == [] and answerer.observe([]) == []


def test_the_version_tells_all_that_moves_an_answer(folder: Path, answerer: MPlugVQA, recorded: Path) -> None:
    versions = [answerer.version, MPlugVQA(recorded, dtype=torch.float16).version]

    def edited(name: str, old: str, new: str) -> None:
        path = folder / name
        before = path.read_text(encoding="utf-8")
        path.write_text(before.replace(old, new), encoding="utf-8")
        assert path.read_text(encoding="utf-8") != before
        versions.append(MPlugVQA(folder).version)
        path.write_text(before, encoding="utf-8")

    assert MPlugVQA(folder).version == answerer.version
    edited("config.yaml", "beam_size: 3", "beam_size: 4")
    edited("config.yaml", "image_res: 42", "image_res: 56")
    edited("config_bert.json", '"stride_layer": 2', '"stride_layer": 3')
    edited("vocab.txt", "\nyes\n", "\nyess\n")
    (folder / "model.safetensors").write_bytes(b"other")
    versions.append(MPlugVQA(folder).version)
    assert len(set(versions)) == len(versions) == 7


def test_the_published_form_of_the_weights_is_read_first(folder: Path, pictures: list[Picture], recorded: Path) -> None:
    torch.save({"module": load_file(recorded / "model.safetensors")}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").write_bytes(b"not looked at")
    assert said(MPlugVQA(folder, device="cpu").observe([look(pictures[0], ["Is there a red cup?"])])[0])


def test_weights_that_do_not_fit_fail_every_look(folder: Path, pictures: list[Picture]) -> None:
    save_file({"x": torch.zeros(1)}, folder / "model.safetensors")
    found = MPlugVQA(folder, device="cpu").observe([look(picture, ["?"]) for picture in pictures])
    assert all(isinstance(one, Failure) and "weights do not fit" in one.reason for one in found)


def test_absent_files_end_a_run_before_it_begins(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(AbsentError, match=f"modelscope download --model {MODEL}"):
        Instruments().ready("mplug")
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    for name, message in (
        ("vocab.txt", "vocab.txt"),
        ("config_bert.json", "has no config_bert.json"),
        ("config.yaml", "has no config.yaml"),
        ("model.safetensors", "has no weights: expected pytorch_model.bin or model.safetensors"),
    ):
        (folder / name).unlink()
        with pytest.raises(UserError, match=message):
            Instruments().ready("mplug")


def test_a_vocabulary_of_another_model_is_refused(folder: Path) -> None:
    with (folder / "vocab.txt").open("a", encoding="utf-8") as file:
        file.write("more\n")
    with pytest.raises(UserError, match="lines, the model"):
        MPlugVQA(folder).prepare()


def test_dpg_bench_judges_what_it_says(answerer: MPlugVQA, pictures: list[Picture], questions: list[str]) -> None:
    protocols = dpg.protocols({}, "mplug")
    task = dpg.DPG("toy", "toy", lambda ask: [], protocols)
    rows = [
        {"id": place + 1, "dependency": [0], "tuple": "entity - whole (x)", "question": text, "row": place + 1}
        for place, text in enumerate(questions)
    ]
    sample = Sample("a", {"prompt": ""}, {"questions": rows}, "a", "dense")
    query = task.query("visual_qa", sample, 0)
    assert query is not None
    (found,) = answerer.observe([Look(query, image=pictures[0])])
    score = task.score(sample, 0, Response(), {"visual_qa": _data(found)}, protocols["official"].judge)
    # "yes yes yes" is no yes.
    assert score.value == said(found).count("yes") / 6 > 0
    assert sum("yes" in answer for answer in said(found)) > said(found).count("yes")


def _data(found: Observation | Failure) -> Mapping[str, object]:
    assert isinstance(found, Observation)
    return found.data
