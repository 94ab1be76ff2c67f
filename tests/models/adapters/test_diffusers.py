"""Pipelines of diffusers: what they draw by seed, size and setting, what is a failure, and what is never loaded."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import janus_eval
from janus_eval.errors import UserError
from janus_eval.models.adapters.diffusers_adapter import Pipeline
from janus_eval.models.adapters.diffusers_family import diffusers
from janus_eval.types import Drawing, Failure, RequestKey, Response

KINDS = ("sd", "sdxl", "sd3")


@pytest.fixture(scope="module")
def folders(tiny_pipelines: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One saved pipeline of each kind. Copy before changing anything."""
    return {kind: tiny_pipelines.saved(tiny_pipelines.MAKERS[kind], tmp_path_factory.mktemp(kind)) for kind in KINDS}


@pytest.fixture
def copied(folders: dict[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(folders["sd"], tmp_path / "copy"))


def loaded(folder: Path, **settings: Any) -> Pipeline:
    return diffusers.load(str(folder), diffusers.Settings(**{"steps": 2, **settings}))


def drawing(prompt: str = "a red cat", seed: int = 1, size: tuple[int, int] | None = None) -> Drawing:
    return Drawing(RequestKey("t", prompt, seed), prompt, seed, size)


def pixels(outcome: Response | Failure) -> np.ndarray:
    assert isinstance(outcome, Response) and outcome.image is not None, outcome
    return np.asarray(outcome.image.load()).astype(int)


def drawn(model: Pipeline, *drawings: Drawing) -> np.ndarray:
    return np.stack([pixels(outcome) for outcome in model.draw(drawings or [drawing()])])


# An ancestral scheduler draws noise at every step: also that comes from the picture's own generator.
@pytest.mark.parametrize(
    ("kind", "scheduler"), [*((kind, None) for kind in KINDS), ("sdxl", "EulerAncestralDiscreteScheduler")]
)
def test_a_picture_depends_on_its_prompt_and_seed_alone(
    folders: dict[str, Path], kind: str, scheduler: str | None
) -> None:
    model = loaded(folders[kind], scheduler=scheduler)
    wanted = [drawing(seed=1), drawing("a blue dog", seed=2**62 + 5), drawing(seed=3)]
    together = drawn(model, *wanted)
    alone = np.concatenate([drawn(model, one) for one in reversed(wanted)])[::-1]
    assert np.abs(together - alone).max() <= 1
    assert together.shape == (3, 16, 16, 3)
    assert np.abs(together[0] - together[2]).mean() > 5, "another seed, another picture"
    other = drawn(model, drawing("a blue dog", seed=1))
    assert np.abs(together[0] - other[0]).max() > 1, "another prompt, another picture"


def test_it_is_the_pipelines_own_picture(folders: dict[str, Path], tiny_pipelines: ModuleType) -> None:
    pipe = tiny_pipelines.StableDiffusionXLPipeline.from_pretrained(folders["sdxl"])
    image = pipe("a red cat", num_inference_steps=3, guidance_scale=4, generator=torch.Generator().manual_seed(7))
    found = drawn(loaded(folders["sdxl"], steps=3, guidance=4.0), drawing(seed=7))
    assert (found[0] == np.asarray(image.images[0])).all()


@pytest.mark.parametrize(
    "change",
    [{"guidance": 2.0}, {"steps": 3}, {"negative_prompt": "a dog"}, {"scheduler": "EulerAncestralDiscreteScheduler"},
     {"call": {"guidance_rescale": 0.7}}],
)  # fmt: skip
def test_a_setting_moves_the_picture(folders: dict[str, Path], change: dict[str, Any]) -> None:
    plain, moved = (drawn(loaded(folders["sd"], **{"steps": 4, **settings})) for settings in ({}, change))
    assert (plain != moved).any()


def test_no_negative_prompt_is_not_an_empty_one_to_sdxl(folders: dict[str, Path]) -> None:
    index = json.loads((folders["sdxl"] / "model_index.json").read_text())
    assert index["force_zeros_for_empty_prompt"] is True
    assert np.abs(drawn(loaded(folders["sdxl"])) - drawn(loaded(folders["sdxl"], negative_prompt=""))).max() > 1


def test_sizes(folders: dict[str, Path]) -> None:
    model = loaded(folders["sdxl"], size="32x24")
    mixed = model.draw([drawing(), drawing(size=(16, 8)), drawing(seed=2)])
    assert [pixels(one).shape[:2] for one in mixed] == [(24, 32), (16, 8), (24, 32)]
    assert np.abs(pixels(mixed[1]) - drawn(loaded(folders["sdxl"]), drawing(size=(16, 8)))[0]).max() <= 1
    with pytest.raises(ValueError, match="divisible"):  # the core makes failures of what a model raises
        model.draw([drawing(size=(15, 15))])


def test_what_the_safety_checker_refuses_is_a_failure(tiny_pipelines: ModuleType, tmp_path: Path) -> None:
    def strict(folder: Path) -> Any:
        pipe = tiny_pipelines.sd(folder, checker=True)
        torch.nn.init.constant_(pipe.safety_checker.concept_embeds_weights, threshold)
        torch.nn.init.constant_(pipe.safety_checker.special_care_embeds_weights, 2.0)
        return pipe

    threshold = -2.0  # every picture is above it
    folder = tiny_pipelines.saved(strict, tmp_path / "strict")
    (refused,) = loaded(folder).draw([drawing()])
    assert refused == Failure("refused: the pipeline's safety checker blacked the picture out", final=True)
    assert drawn(loaded(folder, safety_checker=False)).std() > 5
    threshold = 2.0
    assert drawn(loaded(tiny_pipelines.saved(strict, tmp_path / "lax"))).std() > 5


def test_a_picture_of_no_numbers_is_a_failure(folders: dict[str, Path]) -> None:
    model = loaded(folders["sd"])
    torch.nn.init.constant_(model.pipe.vae.decoder.conv_out.weight, float("nan"))
    assert model.draw([drawing()]) == [Failure("the decoded pixels are not finite; try another --dtype")]


def test_a_prompt_that_is_cut_says_so(folders: dict[str, Path]) -> None:
    model = loaded(folders["sd"])
    with pytest.warns(UserWarning, match="StableDiffusionPipeline reads 77 tokens of a prompt"):
        long, short = model.draw([drawing("abc " * 40), drawing("abc")])
    assert isinstance(long, Response) and isinstance(short, Response)
    assert (long.input_tokens, long.details) == (77, {"prompt_tokens": 122})
    assert (short.input_tokens, short.details) == (5, {})


def test_the_fingerprint_is_the_content(copied: Path, folders: dict[str, Path]) -> None:
    original = loaded(folders["sd"])
    assert loaded(copied).weights == original.weights == loaded(copied, steps=5).weights
    assert original.source == {
        "pipeline": "StableDiffusionPipeline",
        "defaults": {"guidance_scale": 7.5, "num_inference_steps": 50, "negative_prompt": None},
    }
    (copied / "README.md").write_text("read by nobody")
    assert loaded(copied).weights == original.weights
    found = {original.weights}
    for name in ("vae/diffusion_pytorch_model.safetensors", "text_encoder/model.safetensors"):
        tensors = load_file(copied / name)
        next(iter(tensors.values())).view(-1)[0] += 1
        save_file(tensors, copied / name, metadata={"format": "pt"})
        found.add(loaded(copied).weights)
    (copied / "tokenizer" / "merges.txt").write_text("#version: 0.2\na b\n")
    found.add(loaded(copied).weights)
    assert len(found) == 4


def test_variants(tiny_pipelines: ModuleType, tmp_path: Path) -> None:
    folder = tiny_pipelines.saved(tiny_pipelines.sd, tmp_path, variant="fp16")
    with pytest.raises(UserError, match=r"(vae|unet|text_encoder) has no weights in safetensors"):
        loaded(folder)
    special = loaded(folder, variant="fp16")
    tiny_pipelines.saved(tiny_pipelines.sd, tmp_path)
    assert loaded(folder).weights != special.weights == loaded(folder, variant="fp16").weights
    assert np.abs(drawn(loaded(folder)) - drawn(special)).max() <= 1
    with pytest.raises(UserError, match="no weights of variant 'int8'"):
        loaded(folder, variant="int8")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scheduler": "EulerDiscretScheduler"}, "did you mean 'EulerDiscreteScheduler'"),
        ({"call": {"guidance_scal": 1}}, "takes no 'guidance_scal' there"),
        ({"call": {"guidance_scale": 1}}, "takes no 'guidance_scale' there"),
        ({"call": {"num_images_per_prompt": 2}}, "takes no 'num_images_per_prompt' there"),
    ],
)
def test_settings_that_the_pipeline_has_not(folders: dict[str, Path], settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        loaded(folders["sd"], **settings)


def without_a_tensor(folder: Path) -> None:
    tensors = load_file(folder / "unet" / "diffusion_pytorch_model.safetensors")
    del tensors["conv_in.weight"]
    save_file(tensors, folder / "unet" / "diffusion_pytorch_model.safetensors", metadata={"format": "pt"})


def with_a_pickle(folder: Path) -> None:
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    torch.save(load_file(weights), weights.with_suffix(".bin"))
    weights.unlink()


def with_a_pointer(folder: Path) -> None:
    (folder / "vae" / "diffusion_pytorch_model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n")


def with_code(folder: Path) -> None:
    (folder / "unet" / "mine.py").write_text("raise SystemExit('code from a repository was run')")
    reindexed(folder, unet=["mine", "Unet"])


def reindexed(folder: Path, **change: Any) -> None:
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps({**index, **change}))


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (without_a_tensor, "unet: 1 tensors are missing or of another shape, as conv_in.weight"),
        (with_a_pickle, "unet has no weights in safetensors; other formats can hold code"),
        (with_a_pointer, "is a Git LFS pointer"),
        (with_code, r"its unet is \['mine', 'Unet'\], neither diffusers' nor transformers'"),
        (lambda folder: reindexed(folder, unet=["os", "system"]), "neither diffusers' nor transformers'"),
        (lambda folder: reindexed(folder, _class_name=["mine", "Pipeline"]), "code from repositories is not run"),
        (lambda folder: reindexed(folder, _class_name="Nothing"), "'Nothing' is none of diffusers'"),
        (lambda folder: reindexed(folder, _class_name="StableDiffusionImg2ImgPipeline"), "does not draw a picture"),
        (lambda folder: reindexed(folder, _class_name="KandinskyCombinedPipeline"), "from several repositories"),
        (lambda folder: (folder / "model_index.json").unlink(), "has no model_index.json"),
        (lambda folder: (folder / "unet" / "config.json").write_text("{"), "diffusers cannot load .*config.json"),
    ],
)  # fmt: skip
def test_what_is_never_loaded(copied: Path, harm: Any, message: str) -> None:
    harm(copied)
    with pytest.raises(UserError, match=message):
        loaded(copied)


def test_a_run_draws_and_says_what_is_left_out(folders: dict[str, Path], tmp_path: Path) -> None:
    run = janus_eval.evaluate(
        f"diffusers:{folders['sd']}?steps=1", ["shapes-geneval", "shapes-mmbench"], limit=1, out=tmp_path / "out"
    )
    found = run.results
    assert found["model"]["name"] == "pipeline" and found["model"]["source"]["pipeline"] == "StableDiffusionPipeline"
    assert list(found["tasks"]) == ["shapes-geneval"]
    assert json.loads((run.folder / "run.json").read_text())["skipped"] == {"shapes-mmbench": ["answer"]}
    assert found["tasks"]["shapes-geneval"]["official"]["metrics"]["overall"]["failed"] == 0


def test_a_task_that_it_cannot_do_is_told_before_anything_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text("no JSON: it would not load")
    shown = subprocess.run(
        [sys.executable, "-m", "janus_eval", "run", "--task", "shapes-mmbench", "--model", "blank",
         "--model", f"diffusers:{tmp_path}", "--out", str(tmp_path / "out")],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert shown.returncode == 2
    assert "can do none of these tasks (it can draw)" in shown.stderr
    assert not (tmp_path / "out").exists(), "nothing is computed for the models before it either"
