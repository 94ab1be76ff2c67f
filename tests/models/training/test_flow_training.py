"""JanusFlow's training: the flow's loss, alignment, the average of weights, and a checkpoint that draws."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from rich.console import Console

from janus_eval.errors import UserError
from janus_eval.models.janus_flow.family import janus_flow
from janus_eval.models.janus_flow.flow import Conditions, noise_of
from janus_eval.models.training import session
from janus_eval.models.training.flow_drawing import FlowDrawing, arrange, draw_times
from janus_eval.models.training.loop import select_trainable
from janus_eval.models.training.recipe import Flow, Recipe, load_recipe
from janus_eval.models.training.session import export, prepare
from janus_eval.models.training.trainer import Trainer
from janus_eval.types import Drawing, RequestKey, Response

QUIET = Console(quiet=True)
DRAWN = ["gen_encoder", "gen_encoder_aligner", "gen_decoder", "gen_decoder_norm", "gen_decoder_aligner", "align"]


def tiny_model() -> dict[str, Any]:
    """The nano recipe's configuration, a few units wide."""
    config: dict[str, Any] = json.loads(json.dumps(load_recipe("nano-janus-flow").model))
    config["vision_und_enc_config"]["params"] |= {"width": 16, "layers": 1, "heads": 2, "patch_size": 16}
    narrow = {"block_out_channels": [8], "layers_in_middle": 1, "hidden_size": 16}
    config["vision_gen_enc_config"]["params"] |= narrow
    config["vision_gen_dec_config"]["params"] |= narrow | {"in_channels": 8}
    config["language_config"] |= {
        "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
        "num_key_value_heads": 2,
    }  # fmt: skip
    return config


def tiny_vae(levels: int = 4) -> dict[str, Any]:
    config: dict[str, Any] = json.loads(json.dumps(load_recipe("nano-janus-flow").vae_stage.config))  # type: ignore[union-attr]
    return config | {
        "block_out_channels": [8] * levels, "norm_num_groups": 4,
        "down_block_types": ["DownEncoderBlock2D"] * levels, "up_block_types": ["UpDecoderBlock2D"] * levels,
    }  # fmt: skip


def tiny_recipe(steps: int = 4, **changes: Any) -> Recipe:
    schedule = {"lr": 1e-3, "warmup_steps": 2, "shape": "cosine"}
    raw = {
        "name": "tiny",
        "note": "for tests",
        "model": tiny_model(),
        "text_drop": 0.5,
        "flow": {"align_layer": 1, "average": 0.5},
        "vae_stage": {"steps": steps, "batch_size": 2, "schedule": schedule, "config": tiny_vae()},
        "stages": [
            {"name": "a", "steps": steps, "batch_size": 4, "schedule": schedule, "ratio": [1, 0, 1],
             "trainable": ["aligner", "begin", *DRAWN]},
            {"name": "b", "steps": steps, "batch_size": 5, "schedule": schedule, "ratio": [14, 6, 80],
             "opening": {"steps": 2, "ratio": [30, 20, 50]},
             "trainable": ["language", "lm_head", "vision", "aligner", "begin", *DRAWN]},
        ],
        "save_dtype": "float32",
    }  # fmt: skip
    return Recipe.model_validate(raw | changes)


def train(recipe: Recipe, folder: Path, **options: Any) -> Trainer:
    folder.mkdir(exist_ok=True)
    trainer = prepare(recipe, [], folder)
    trainer.run(QUIET, **options)
    return trainer


def drawing(trainer: Trainer) -> FlowDrawing:
    assert isinstance(trainer.drawing, FlowDrawing)
    return trainer.drawing


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    return train(tiny_recipe(), tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def exported(whole: Trainer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(whole, tmp_path_factory.mktemp("out") / "checkpoint", command="test")


def test_a_run_cut_in_each_stage_ends_with_the_same_weights_and_averages(whole: Trainer, tmp_path: Path) -> None:
    train(tiny_recipe(), tmp_path, stop_after=2)
    for stage in ("a", "b"):
        (tmp_path / f"{stage}.state.pt").unlink()  # these began from a half-trained autoencoder
    again = train(tiny_recipe(), tmp_path)
    for ours, theirs in (
        (again.model.state_dict(), whole.model.state_dict()),
        (drawing(again).average, drawing(whole).average),
        (drawing(again).vae.module.state_dict(), drawing(whole).vae.module.state_dict()),
    ):
        assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
    finished = prepare(tiny_recipe(), [], tmp_path)
    finished.run(QUIET)  # nothing left to do: loads the last states
    average = drawing(finished).average
    assert all(torch.equal(average[name], tensor) for name, tensor in drawing(whole).average.items())


def test_the_checkpoint_holds_the_averages_and_draws(whole: Trainer, exported: Path) -> None:
    settings = janus_flow.Settings(user_role="<|User|>", assistant_role="<|Assistant|>", steps=3)
    model = janus_flow.load(str(exported), settings)
    average = drawing(whole).average
    assert average.keys() == dict(model.model.named_parameters()).keys(), "and no projector"
    for name, parameter in model.model.named_parameters():
        assert torch.equal(parameter, average[name]), name
    moved = [name for name, tensor in average.items() if not torch.equal(tensor, whole.model.state_dict()[name])]
    assert {name.partition(".")[0] for name in moved} >= {"language", "gen_encoder", "gen_decoder", "vision", "begin"}
    assert model.vae.weights and abs(model.vae._scale - drawing(whole).vae._scale) < 1e-9
    (drawn,) = model.draw([Drawing(RequestKey("t", "s"), "a red circle")])
    assert isinstance(drawn, Response) and drawn.image is not None and drawn.image.load().size == (64, 64)


def test_latents_have_variance_one(whole: Trainer) -> None:
    flow = drawing(whole)
    examples = [whole.source.example("generation", index) for index in range(64)]
    with torch.no_grad():
        latents = flow.vae.encode(flow._pixels(examples))
    assert 0.8 < float(latents.std()) < 1.25


def test_training_rows_are_samplings_rows(whole: Trainer) -> None:
    """A row of training gives the very velocity that sampling asks for, with its text and without."""
    flow, model = drawing(whole), drawing(whole).model
    prompts = [whole.processor.drawing_ids(text, roles=("a", "b")) for text in ("a star", "a red circle and a star")]
    latents = noise_of([1, 2], (4, flow.side, flow.side))
    with torch.no_grad():
        conditions = Conditions(model, prompts, 16, pad_id=whole.processor.pad_id)
        expected = conditions.velocities(latents, 250.0)
        for lost, wanted in zip((False, True), expected, strict=True):
            noised = model.embed_latents(latents, torch.full((2,), 250.0))
            rows = arrange(model, prompts, [lost] * 2, noised, whole.processor.pad_id)
            hidden = model.language(rows.x, positions=rows.positions)[rows.drawn].unflatten(0, (2, 16))
            found = model.velocity(hidden, noised.skip, noised.time)
            torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


def test_times_are_logit_normal() -> None:
    rng = torch.Generator().manual_seed(0)
    times, noise = draw_times(20_000, Flow(time_mean=0.5, time_std=2.0), (1, 1, 1), rng)
    logits = torch.logit(times)
    assert abs(float(logits.mean()) - 0.5) < 0.05 and abs(float(logits.std()) - 2.0) < 0.05
    assert noise.shape == (20_000, 1, 1, 1) and 0 < float(times.min()) < float(times.max()) < 1


def test_micro_batches_leave_the_gradients_of_the_whole_batch(tmp_path: Path) -> None:
    recipe = tiny_recipe()
    gradients, losses = [], []
    for size in (64, 1):
        trainer = prepare(recipe, [], tmp_path, micro_batch=size)
        select_trainable(trainer.model, ["all"])
        losses.append(trainer.losses(recipe.stages[1], 3))
        gradients.append(torch.cat([p.grad.flatten() for p in trainer.model.parameters() if p.grad is not None]))
    assert torch.allclose(gradients[0], gradients[1], atol=1e-4)
    assert losses[0].keys() >= {"generation", "alignment"}
    assert all(losses[1][name] == pytest.approx(value, abs=1e-5) for name, value in losses[0].items())


def test_the_losses_fall_on_one_batch(tmp_path: Path) -> None:
    recipe = tiny_recipe()
    trainer = prepare(recipe, [], tmp_path)
    optimizer = torch.optim.AdamW(select_trainable(trainer.model, ["all"]), lr=3e-3)
    rows = []
    for _ in range(60):
        optimizer.zero_grad()
        rows.append(trainer.losses(recipe.stages[0], 0))
        optimizer.step()
    for name in ("generation", "alignment", "understanding"):
        assert rows[-1][name] < 0.8 * rows[0][name], name


def test_alignment_reaches_the_features_it_may_move_alone(tmp_path: Path) -> None:
    """The encoder's features are a fixed target: no gradient of drawing reaches it."""
    recipe = tiny_recipe()
    trainer = prepare(recipe, [], tmp_path)
    select_trainable(trainer.model, ["all"])
    examples = [trainer.source.example("generation", index) for index in range(3)]
    prompts = [[0, 40, 41, 11]] * 3
    drawing(trainer).losses(recipe.stages[0], examples, prompts, 1.0, "x", 64)
    reached = {name.partition(".")[0] for name, p in trainer.model.named_parameters() if p.grad is not None}
    assert "align" in reached and not reached & {"vision", "aligner", "begin", "lm_head"}


def test_a_stage_has_times_and_loss_weights_of_its_own(tmp_path: Path) -> None:
    recipe = tiny_recipe()
    stage = recipe.stages[1]
    late = stage.model_copy(update={"flow": {"time_mean": 3.0}})
    early = stage.model_copy(update={"flow": {"time_mean": -3.0}, "loss_weights": (1.0, 1.0, 10.0)})
    assert recipe.flow_in(early) == recipe.flow.model_copy(update={"time_mean": -3.0})
    trainer = prepare(recipe, [], tmp_path)
    select_trainable(trainer.model, ["all"])
    gradients = []
    for chosen in (early, early.model_copy(update={"loss_weights": None}), late):
        trainer.model.zero_grad(set_to_none=True)
        losses = trainer.losses(chosen, 0)
        reached = [
            p.grad.clone() for p in drawing(trainer).model.gen_decoder_aligner.parameters() if p.grad is not None
        ]
        gradients.append((losses["generation"], reached))
    assert gradients[0][1], "drawing reaches it, and drawing alone"
    for strong, plain in zip(gradients[0][1], gradients[1][1], strict=True):
        torch.testing.assert_close(strong, 10 * plain, rtol=1e-3, atol=1e-6)
    # An untrained velocity errs by clean - noise whatever the time; what differs is what it was given.
    assert gradients[0][0] == gradients[1][0] != gradients[2][0]


def test_an_unknown_part_of_the_flow_is_refused() -> None:
    raw = tiny_recipe().model_dump(mode="json")
    raw["stages"][0]["flow"] = {"time_meen": 1.0}
    with pytest.raises(ValidationError, match="time_meen"):
        Recipe.model_validate(raw)
    raw["stages"][0]["flow"] = {"time_std": 0.0}
    with pytest.raises(ValidationError, match="greater than 0"):
        Recipe.model_validate(raw)


def test_a_stage_opens_with_another_mixture() -> None:
    stage = tiny_recipe().stages[1]
    assert [stage.ratio_at(step) for step in (0, 1, 2)] == [(30, 20, 50), (30, 20, 50), (14, 6, 80)]


def test_the_real_recipe_carries_the_published_numbers(exported: Path, tmp_path: Path) -> None:
    real = load_recipe("janusflow-1.3b")
    stages = real.stages
    # The paper orders understanding : generation : text-only.
    assert [(s.ratio[0], s.ratio[2], s.ratio[1]) for s in stages] == [(50, 50, 0), (14, 80, 6), (21, 70, 9)]
    assert [s.steps for s in stages] == [10_000, 390_000, 26_000] and [s.batch_size for s in stages] == [512, 512, 256]
    assert [s.schedule.lr for s in stages] == [1e-4, 1e-4, 2e-5] and real.flow.average == 0.99
    assert stages[1].opening is not None and stages[1].opening.steps == 10_000
    assert "vision" in stages[2].trainable and "vision" not in stages[1].trainable
    with pytest.raises(UserError, match="--start"):
        prepare(real, [], tmp_path)
    # One step of each at reduced width.
    small = tuple(stage.model_copy(update={"batch_size": 10}) for stage in stages)
    flow = real.flow.model_copy(update={"align_layer": 2})
    recipe = real.model_copy(update={"stages": small, "start": str(exported), "vae": None, "flow": flow})
    trainer = prepare(recipe, [], tmp_path)
    for stepper in trainer.steppers():
        before = {n: t.clone() for n, t in trainer.model.state_dict().items()}
        stepper.run(QUIET, stop_after=1)
        moved = {n for n, t in trainer.model.state_dict().items() if not torch.equal(t, before[n])}
        assert moved and {n.partition(".")[0] for n in moved} <= set(stepper.trainable)


def test_the_nano_recipe_begins_with_the_embedded_janus_pros_parts(tmp_path: Path) -> None:
    from janus_eval.checkpoint import Checkpoint
    from janus_eval.models.janus_pro.loading import load_model

    trainer = prepare(load_recipe("nano-janus-flow"), [], tmp_path)
    theirs = load_model(Checkpoint(session.EMBEDDED["nano-janus-pro"])).model
    ours = trainer.model.state_dict()
    for part in ("language", "lm_head", "vision"):
        for name, tensor in theirs.get_submodule(part).state_dict().items():
            assert torch.equal(ours[f"{part}.{name}"], tensor), f"{part}.{name}"
    assert all(parameter.requires_grad for parameter in trainer.model.parameters())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"flow": {"align_layer": 9}}, "align_layer is 9; the decoder has 2 blocks"),
        ({"vae_stage": {"steps": 1, "batch_size": 1, "schedule": {"lr": 1}, "config": tiny_vae(3)}}, "read as 4 x 4"),
        ({"parts": "nano-janus-pro"}, "must have the sizes of parts nano-janus-pro"),
    ],
)
def test_what_cannot_be_trained_is_said_at_once(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        prepare(tiny_recipe(**changes), [], tmp_path)
    assert message in str(error.value)


@pytest.mark.parametrize("change", [lambda raw: raw.update(flow={"aligned": 1}), lambda raw: raw.update(parts=3)])
def test_misspelt_keys_are_named(change: Callable[[dict[str, Any]], None], tmp_path: Path) -> None:
    raw = tiny_recipe().model_dump(mode="json")
    change(raw)
    (tmp_path / "r.json").write_text(json.dumps(raw))
    with pytest.raises(UserError, match="recipe"):
        load_recipe(str(tmp_path / "r.json"))
