"""The embedded JanusFlow: how it was made, that it is one like any other, and that it still can what it could.

What it reaches, with intervals, stands in docs/nano.md. The floors are far enough below to hold on any processor.
"""

from __future__ import annotations

import gzip
import json
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open

import janus_eval
from janus_eval.errors import UserError
from janus_eval.models import nano
from janus_eval.models.janus_flow.adapter import JanusFlowModel
from janus_eval.models.training.recipe import Recipe, load_recipe
from janus_eval.pictures import Picture
from janus_eval.specs import contenders
from janus_eval.tasks.shapes import curriculum
from janus_eval.tasks.shapes.scenes import render, to_picture
from janus_eval.tasks.shapes.sight import see
from janus_eval.types import Drawing, RequestKey, Response

FOLDER = Path(nano.__file__).parent / "janus_flow"
FLOORS = {
    ("shapes-geneval", "single_object"): 0.5,
    ("shapes-geneval", "overall"): 0.42,
    ("shapes-mmbench", "overall"): 0.5,
    ("shapes-dpg", "overall"): 45.0,
}


@pytest.fixture(scope="module")
def model() -> JanusFlowModel:
    return nano.nano_janus_flow.load(None, nano.nano_janus_flow.Settings())


def test_it_comes_with_what_made_it() -> None:
    names = {str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*") if path.is_file()}
    assert names == {
        "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
        "processor_config.json", "preprocessor_config.json", "training.json", "training_log.jsonl.gz", "losses.png",
        "vae/config.json", "vae/diffusion_pytorch_model.safetensors",
    }  # fmt: skip
    assert sum(path.stat().st_size for path in FOLDER.rglob("*")) <= 12 * 2**20
    made = json.loads((FOLDER / "training.json").read_text())
    recipe = Recipe.model_validate(made["recipe"])
    assert recipe == load_recipe("nano-janus-flow"), "the built-in recipe is no longer the one that made the checkpoint"
    assert made["command"].startswith("janus-eval train nano-janus-flow") and made["seed"] == recipe.seed
    rows = [json.loads(line) for line in gzip.decompress((FOLDER / "training_log.jsonl.gz").read_bytes()).splitlines()]
    assert recipe.vae_stage is not None
    steps = {"vae": recipe.vae_stage.steps} | {stage.name: stage.last_step for stage in recipe.stages}
    assert [(row["stage"], row["step"]) for row in rows] == [(s, k) for s, count in steps.items() for k in range(count)]


def test_a_copy_of_the_folder_is_the_same_model(model: JanusFlowModel, tmp_path: Path) -> None:
    copy = shutil.copytree(FOLDER, tmp_path / "copy")
    (contender,) = contenders([f"nano-janus-flow:{copy}"], {})
    assert contender.load().weights == model.weights


def test_its_autoencoder_keeps_what_the_oracle_sees(model: JanusFlowModel) -> None:
    rng = random.Random("nano autoencoder, held out")
    pictures = [to_picture(render(curriculum.random_scene(rng))) for _ in range(100)]
    seen = kept = 0
    for picture, again in zip(pictures, model.reconstruct(pictures), strict=True):
        assert isinstance(again, Picture)
        found = [(d.shape, d.colour, d.x, d.y) for d in see(again).detections if d.score > 0.3]
        for thing in see(picture).detections:
            seen += 1
            kept += any(
                (thing.shape, thing.colour) == (shape, colour) and max(abs(thing.x - x), abs(thing.y - y)) <= 2
                for shape, colour, x, y in found
            )
    assert seen > 200 and kept >= 0.98 * seen, f"{kept} of {seen}"


def test_batches_and_neighbours_change_no_pixel_by_more_than_a_level(model: JanusFlowModel) -> None:
    prompts = ["a photo of a star", "a red circle left of a blue square", 'the word "CAT"', "two green circles"]
    drawings = [Drawing(RequestKey("t", str(k), 0), prompt, seed=k) for k, prompt in enumerate(prompts)]
    together = pixels(model, drawings)
    apart = np.concatenate([pixels(model, [drawing]) for drawing in drawings])
    assert np.abs(together - apart).max() <= 1
    assert np.abs(together - pixels(model, drawings[::-1])[::-1]).max() <= 1
    assert np.abs(together[0] - together[1]).max() > 50, "prompts and seeds draw different pictures"


def pixels(model: JanusFlowModel, drawings: list[Drawing]) -> np.ndarray[Any, np.dtype[np.int16]]:
    outcomes = model.draw(drawings)
    images = [outcome.image for outcome in outcomes if isinstance(outcome, Response) and outcome.image is not None]
    assert len(images) == len(drawings)
    return np.stack([np.asarray(image.load(), dtype=np.int16) for image in images])


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    tasks = sorted({task for task, _ in FLOORS})
    run = janus_eval.evaluate("nano-janus-flow", tasks, out=tmp_path_factory.mktemp("runs"))
    found: dict[str, Any] = run.results["tasks"]
    return found


@pytest.mark.parametrize(("task", "metric"), FLOORS)
def test_it_still_reaches(measured: dict[str, Any], task: str, metric: str) -> None:
    (protocol,) = measured[task].values()
    found = protocol["metrics"][metric]
    assert found["failed"] == 0
    assert found["value"] >= FLOORS[task, metric], found


def test_it_is_stored_in_half_precision() -> None:
    for file in ("model.safetensors", "vae/diffusion_pytorch_model.safetensors"):
        with safe_open(FOLDER / file, "pt") as stored:
            assert {stored.get_slice(name).get_dtype() for name in stored.keys()} == {"F16"}  # noqa: SIM118 - no mapping


@pytest.mark.parametrize("option", ["steps=0", "max_answer_tokens=0"])
def test_its_own_defaults_keep_the_familys_bounds(option: str) -> None:
    with pytest.raises(UserError, match="greater than or equal to"):
        contenders([f"nano-janus-flow?{option}"], {})
