"""The checkpoint that ships: how it was made, that it is one like any other, and that it still can what it could.

What it reaches, with intervals, stands in docs/nano.md. The floors here are far enough below to hold on any processor:
they catch a broken file, loader or sampler, not a lost point.
"""

from __future__ import annotations

import gzip
import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

import janus_eval
from janus_eval.errors import UserError
from janus_eval.models import nano
from janus_eval.models.janus_pro.adapter import JanusProModel
from janus_eval.models.training.recipe import Recipe, load_recipe
from janus_eval.pictures import Picture
from janus_eval.specs import contenders
from janus_eval.tasks.shapes import curriculum
from janus_eval.tasks.shapes.scenes import render, to_picture
from janus_eval.tasks.shapes.sight import see
from janus_eval.types import Drawing, Failure, RequestKey, Response

FOLDER = Path(nano.__file__).parent / "janus_pro"
FLOORS = {
    ("shapes-geneval", "single_object"): 0.75,
    ("shapes-geneval", "overall"): 0.45,
    ("shapes-mmbench", "overall"): 0.45,
    ("shapes-dpg", "overall"): 38.0,
    ("shapes-ocr-read", "digits_height_40"): 0.7,
}


@pytest.fixture(scope="module")
def model() -> JanusProModel:
    return nano.nano_janus_pro.load(None, nano.nano_janus_pro.Settings())


def test_it_comes_with_what_made_it() -> None:
    names = {path.name for path in FOLDER.iterdir()}
    assert names == {
        "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
        "processor_config.json", "preprocessor_config.json", "training.json", "training_log.jsonl.gz", "losses.png",
    }  # fmt: skip
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= 12 * 2**20
    made = json.loads((FOLDER / "training.json").read_text())
    recipe = Recipe.model_validate(made["recipe"])
    assert recipe == load_recipe("nano-janus-pro"), "the built-in recipe is no longer the one that made the checkpoint"
    assert made["command"].startswith("janus-eval train nano-janus-pro") and made["seed"] == recipe.seed
    rows = [json.loads(line) for line in gzip.decompress((FOLDER / "training_log.jsonl.gz").read_bytes()).splitlines()]
    assert recipe.tokenizer_stage is not None and recipe.vision_stage is not None
    steps = {"tokenizer": recipe.tokenizer_stage.steps, "vision": recipe.vision_stage.steps}
    steps |= {stage.name: stage.last_step for stage in recipe.stages}
    assert [(row["stage"], row["step"]) for row in rows] == [(s, k) for s, count in steps.items() for k in range(count)]


def test_a_copy_of_the_folder_is_the_same_model(model: JanusProModel, tmp_path: Path) -> None:
    copy = shutil.copytree(FOLDER, tmp_path / "copy")
    (contender,) = contenders([f"nano-janus-pro:{copy}"], {})
    assert contender.load().weights == model.weights


def test_its_tokenizer_keeps_what_the_oracle_sees(model: JanusProModel) -> None:
    rng = random.Random("nano tokenizer, held out")
    pictures = [to_picture(render(curriculum.random_scene(rng))) for _ in range(100)]
    seen = kept = 0
    for picture, again in zip(pictures, model.reconstruct(pictures), strict=True):
        assert isinstance(again, Picture)
        left = list(see(again).detections)
        for thing in see(picture).detections:
            seen += 1
            match = next(
                (d for d in left if (d.shape, d.colour) == (thing.shape, thing.colour) and d.score > 0.3), None
            )
            if match is not None and max(abs(match.x - thing.x), abs(match.y - thing.y)) <= 2:
                kept += 1
                left.remove(match)
    assert seen > 200 and kept >= 0.95 * seen, f"{kept} of {seen}"


def test_batches_and_neighbours_change_no_picture_and_no_answer(model: JanusProModel) -> None:
    prompts = ["a photo of a star", "a red circle left of a blue square", 'the word "CAT"', "two green circles"] * 2
    drawings = [Drawing(RequestKey("t", str(k), 0), prompt, seed=k) for k, prompt in enumerate(prompts)]
    together = images(model.draw(drawings))
    assert images(model.draw(drawings[::-1]))[::-1] == together
    assert [images(model.draw([drawing]))[0] for drawing in drawings] == together
    assert len(set(together)) == len(together), "seeds draw different pictures"


def images(outcomes: list[Response | Failure]) -> list[Picture]:
    found = [outcome.image for outcome in outcomes if isinstance(outcome, Response)]
    assert len(found) == len(outcomes)
    return [image for image in found if image is not None]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    tasks = sorted({task for task, _ in FLOORS})
    run = janus_eval.evaluate("nano-janus-pro", tasks, out=tmp_path_factory.mktemp("runs"))
    found: dict[str, Any] = run.results["tasks"]
    return found


@pytest.mark.parametrize(("task", "metric"), FLOORS)
def test_it_still_reaches(measured: dict[str, Any], task: str, metric: str) -> None:
    (protocol,) = measured[task].values()
    found = protocol["metrics"][metric]
    assert found["failed"] == 0
    assert found["value"] >= FLOORS[task, metric], found


def test_it_is_stored_in_half_and_computed_in_full_precision(model: JanusProModel) -> None:
    with safe_open(FOLDER / "model.safetensors", "pt") as stored:
        assert {stored.get_slice(name).get_dtype() for name in stored.keys()} == {"F16"}  # noqa: SIM118 - no mapping
    assert model.dtype == torch.float32


@pytest.mark.parametrize("option", ["temperature=-1", "max_answer_tokens=0"])
def test_its_own_defaults_keep_the_familys_bounds(option: str) -> None:
    with pytest.raises(UserError, match="greater than or equal to"):
        contenders([f"nano-janus-pro?{option}"], {})
