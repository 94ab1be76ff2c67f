"""The detector as the runner uses it: form, identity, batches, failures, and GenEval's verdict on what it saw."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from janus_eval.errors import AbsentError, UserError
from janus_eval.observe import Instruments
from janus_eval.pictures import Picture
from janus_eval.seams import Instrument
from janus_eval.tasks.geneval import GenEval, protocols
from janus_eval.tasks.instruments.files import VARIABLE
from janus_eval.tasks.instruments.mask2former.classes import CLASSES
from janus_eval.tasks.instruments.mask2former.config import Sizes
from janus_eval.tasks.instruments.mask2former.instrument import URL, Mask2Former
from janus_eval.tasks.instruments.mask2former.pipeline import Pipeline
from janus_eval.tasks.instruments.mask2former.weights import mmdet2_name
from janus_eval.types import Failure, Look, Observation, Response, Sample


@pytest.fixture(scope="session")
def pictures(recorded: Path) -> list[Picture]:
    tensors = load_file(recorded / "detections.safetensors")
    return [Picture.from_pil(Image.fromarray(tensors[f"image{place}.rgb"].numpy())) for place in (0, 1)]


@pytest.fixture(scope="session")
def expected(recorded: Path) -> dict[str, Tensor]:
    return load_file(recorded / "detections.safetensors")


def look(picture: Picture | None, *classes: str) -> Look:
    return Look({"classes": list(classes or CLASSES)}, image=picture)


def data(found: Observation | Failure) -> Mapping[str, Any]:
    assert isinstance(found, Observation), found
    return found.data


def test_it_is_an_instrument(detector: Mask2Former) -> None:
    instrument: Instrument = detector
    assert instrument.kind == "detector"
    assert len(CLASSES) == len(set(CLASSES)) == 80
    assert CLASSES[0] == "person" and CLASSES[64] == "computer mouse" and CLASSES[79] == "toothbrush"


def test_it_sees_what_mmdet_saw(detector: Mask2Former, pictures: list[Picture], expected: dict[str, Tensor]) -> None:
    for place, found in enumerate(detector.observe([look(picture) for picture in pictures])):
        seen = data(found)
        height, width = expected[f"image{place}.rgb"].shape[:2]
        assert seen["size"] == [height, width] and list(seen["boxes"]) == list(CLASSES)
        assert json.loads(json.dumps(seen)) == seen
        labels = expected[f"image{place}.labels"]
        for label, name in enumerate(CLASSES):
            chosen = labels == label
            boxes, scores = expected[f"image{place}.bboxes"][chosen], expected[f"image{place}.scores"][chosen]
            assert [box[:4] for box in seen["boxes"][name]] == boxes.tolist()
            np.testing.assert_allclose([box[4] for box in seen["boxes"][name]], scores.numpy(), atol=1e-5)
            areas = [sum(runs[1::2]) for runs in seen["masks"][name]]
            assert areas == expected[f"image{place}.mask_area"][chosen].tolist()
            assert all(sum(runs) == height * width for runs in seen["masks"][name])
            assert all(float(np.float32(box[4])) == box[4] for box in seen["boxes"][name])


def test_only_what_is_asked_for_is_told(detector: Mask2Former, pictures: list[Picture]) -> None:
    every = data(detector.observe([look(pictures[0])])[0])
    some = data(detector.observe([look(pictures[0], "dog", "toothbrush")])[0])
    assert list(some["boxes"]) == list(some["masks"]) == ["dog", "toothbrush"]
    for key in ("boxes", "masks"):
        assert some[key] == {name: every[key][name] for name in ("dog", "toothbrush")}


def scores(found: Sequence[Observation | Failure]) -> list[list[float]]:
    return [[box[4] for boxes in data(one)["boxes"].values() for box in boxes] for one in found]


def test_a_picture_is_seen_alike_in_any_batch(detector: Mask2Former, pictures: list[Picture]) -> None:
    turned = [Picture.from_pil(picture.load().transpose(Image.Transpose.ROTATE_180)) for picture in pictures]
    looks = [look(picture) for picture in (pictures[0], pictures[1], turned[0], turned[1], pictures[0], turned[0])]
    together = detector.observe(looks)
    alone = [detector.observe([one])[0] for one in looks]
    for one, other in zip(scores(together), scores(alone), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    assert [data(one)["size"] for one in together] == [data(one)["size"] for one in alone]
    np.testing.assert_allclose(scores(together)[0], scores(together)[4], atol=1e-5)


def test_what_cannot_be_seen_is_a_failure_in_its_place(detector: Mask2Former, pictures: list[Picture]) -> None:
    narrow = Picture.from_pil(Image.new("RGB", (2000, 1)))
    looks = [look(None), look(Picture(b"no picture")), look(pictures[0], "dog"), look(narrow), look(pictures[0], "ufo")]
    found = detector.observe(looks)
    assert [isinstance(one, Failure) for one in found] == [True, True, False, True, True]
    said = [one.reason for one in found if isinstance(one, Failure)]
    assert [next(word for word in ("no picture", "cannot be", "'ufo'") if word in reason) for reason in said] == [
        "no picture", "cannot be", "cannot be", "'ufo'",
    ]  # fmt: skip
    assert detector.observe([]) == []


def test_a_pth_file_of_mmdet_2_is_read(
    tmp_path: Path, weights: dict[str, Tensor], sizes: Sizes, pipeline: Pipeline, detector: Mask2Former,
    pictures: list[Picture],
) -> None:  # fmt: skip
    table = {mmdet2_name(name): tensor for name, tensor in weights.items()}
    torch.save({"meta": {"CLASSES": CLASSES, "epoch": 50}, "state_dict": table}, tmp_path / "net.pth")
    other = Mask2Former(tmp_path / "net.pth", sizes=sizes, pipeline=pipeline, device="cpu")
    assert other.version != detector.version
    assert other.observe([look(pictures[1])]) == detector.observe([look(pictures[1])])


def test_weights_that_do_not_fit_fail_every_look(recorded: Path, pictures: list[Picture]) -> None:
    official = Mask2Former(recorded / "model.safetensors", device="cpu")  # of other sizes than the file's
    found = official.observe([look(pictures[0]), look(pictures[1])])
    assert all(isinstance(one, Failure) and "weights do not fit" in one.reason for one in found)


def test_a_pickle_with_code_is_not_run(tmp_path: Path, pictures: list[Picture]) -> None:
    torch.save({"state_dict": {"x": torch.zeros(1)}, "meta": Path}, tmp_path / "net.pth")
    (found,) = Mask2Former(tmp_path / "net.pth", device="cpu").observe([look(pictures[0])])
    assert isinstance(found, Failure) and "could run code: not loaded" in found.reason


def test_the_version_tells_all_that_moves_a_score(
    recorded: Path, tmp_path: Path, sizes: Sizes, pipeline: Pipeline, detector: Mask2Former
) -> None:
    def version(weights: Path = recorded / "model.safetensors", **changes: Any) -> str:
        dtype = changes.pop("dtype", torch.float32)
        return Mask2Former(weights, sizes=sizes, pipeline=replace(pipeline, **changes), dtype=dtype).version

    (tmp_path / "other.safetensors").write_bytes(b"other")
    assert version() == detector.version
    others = [
        version(tmp_path / "other.safetensors"),
        version(eight_bit=True),
        version(pad_level=128.0),
        version(scale=(1333, 800)),
        version(max_per_image=50),
        version(dtype=torch.float16),
    ]
    assert len({detector.version, *others}) == 7


def test_absent_weights_end_a_run_before_it_begins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with pytest.raises(AbsentError, match="the detector's weights"):
        Instruments().ready("mask2former")
    (tmp_path / URL.rpartition("/")[2]).write_bytes(b"something else")
    with pytest.raises(UserError, match="is not what its name says"):
        Instruments().ready("mask2former")
    assert Instruments().ready("shapes-detector").kind == "detector"


def test_a_false_name_is_refused(recorded: Path, tmp_path: Path) -> None:
    path = tmp_path / "net-0123abcd.safetensors"
    path.write_bytes((recorded / "model.safetensors").read_bytes())
    with pytest.raises(UserError, match="is not what its name says"):
        Mask2Former(path)


def test_geneval_judges_what_it_saw(detector: Mask2Former, pictures: list[Picture]) -> None:
    names = protocols({}, "mask2former", "none")
    task = GenEval("toy", "toy", lambda ask: [], names)
    every = data(detector.observe([look(pictures[0])])[0])["boxes"]
    best = max((box[4], name) for name, boxes in every.items() for box in boxes)
    judge = names["official"].judge

    def verdict(name: str, count: int, threshold: float) -> float | None:
        target = {"tag": "single_object", "include": [{"class": name, "count": count}], "prompt": ""}
        sample = Sample("0", {"prompt": ""}, target, "0", "single_object")
        query = task.query("detector", sample, 0)
        assert query == {"classes": [name]}
        (found,) = detector.observe([Look(query, image=pictures[0])])
        seen = {"detector": data(found)}
        return task.score(sample, 0, Response(), seen, {**judge, "threshold": threshold}).value

    score, name = best
    assert verdict(name, 1, 0.3) == 1.0
    assert verdict(name, 1, score) == 0.0  # strictly above, in the score's own precision
    assert verdict(name, 17, 0.0) == 0.0  # never more than max_objects
    assert verdict("toothbrush", 1, 0.3) == 0.0
