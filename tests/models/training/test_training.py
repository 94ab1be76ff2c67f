"""Training: what is frozen, what is mixed, what a kill costs (nothing), and what comes out."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from rich.console import Console

from janus_eval.errors import UserError
from janus_eval.models.training.batches import IGNORED, Encoder, similar_lengths, split_batch
from janus_eval.models.training.loop import learning_rate, select_trainable
from janus_eval.models.training.recipe import Recipe, Schedule, VisionStage, builtin_recipes, load_recipe
from janus_eval.models.training.session import export, prepare
from janus_eval.models.training.sources import JsonlSource, ShapesSource
from janus_eval.models.training.trainer import Trainer

REAL_RECIPES = [name for name in builtin_recipes() if name.startswith("janus-")]
QUIET = Console(quiet=True)


def tiny_model() -> dict[str, Any]:
    """The nano recipe's configuration, a few units wide."""
    config: dict[str, Any] = json.loads(json.dumps(load_recipe("nano-janus-pro").model))
    config["vision_config"]["params"] |= {"width": 16, "layers": 1, "heads": 2, "patch_size": 16}
    config["gen_vision_config"]["params"] |= {
        "image_token_size": 32, "ch": 8, "encoder_ch_mult": [1, 1, 1, 1, 1], "decoder_ch_mult": [1, 1, 1, 1, 1],
        "z_channels": 8, "norm_groups": 4,
    }  # fmt: skip
    config["language_config"] |= {
        "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
        "num_key_value_heads": 2,
    }  # fmt: skip
    config["aligner_config"]["params"] |= {"input_dim": 16, "n_embed": 16}
    config["gen_aligner_config"]["params"] |= {"n_embed": 16}
    config["gen_head_config"]["params"] |= {"image_token_embed": 16, "image_token_size": 32, "n_embed": 16}
    return config


def tiny_recipe(steps: int = 6) -> Recipe:
    schedule = {"lr": 1e-3, "warmup_steps": 2, "shape": "cosine"}
    return Recipe.model_validate(
        {
            "name": "tiny",
            "note": "for tests",
            "model": tiny_model(),
            "text_drop": 0.5,
            "tokenizer_stage": {"steps": steps, "batch_size": 2, "schedule": schedule, "revive_every": 2},
            "vision_stage": {"steps": steps, "batch_size": 2, "schedule": schedule},
            "stages": [
                {"name": "a", "steps": steps, "batch_size": 4, "schedule": schedule, "ratio": [1, 0, 3],
                 "trainable": ["aligner", "gen_aligner", "gen_embed", "gen_head"]},
                {"name": "b", "steps": steps, "batch_size": 5, "schedule": schedule, "ratio": [2, 3, 5],
                 "trainable": ["language", "lm_head", "vision", "aligner", "gen_aligner", "gen_embed", "gen_head"]},
            ],
            "save_dtype": "float32",
        }
    )  # fmt: skip


def unseeing(recipe: Recipe) -> Recipe:
    """Without the stage that only the world of shapes can feed."""
    return recipe.model_copy(update={"vision_stage": None})


def train(recipe: Recipe, folder: Path, **options: Any) -> Trainer:
    folder.mkdir(exist_ok=True)
    trainer = prepare(recipe, [], folder)
    trainer.run(QUIET, **options)
    return trainer


def same_weights(a: Trainer, b: Trainer) -> bool:
    ours, theirs = a.model.state_dict(), b.model.state_dict()
    return all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    return train(tiny_recipe(), tmp_path_factory.mktemp("whole"))


def test_a_run_cut_in_each_stage_ends_with_the_same_weights(whole: Trainer, tmp_path: Path) -> None:
    train(tiny_recipe(), tmp_path, stop_after=3)  # every stage to its third step, then from there to its end
    for stage in ("vision", "a", "b"):
        (tmp_path / f"{stage}.state.pt").unlink()  # later stages began from a half-trained tokenizer
    assert same_weights(train(tiny_recipe(), tmp_path), whole)


def test_a_killed_process_goes_on_to_the_same_weights(whole: Trainer, tmp_path: Path) -> None:
    recipe = tmp_path / "tiny.json"
    recipe.write_text(tiny_recipe().model_dump_json())
    out = tmp_path / "out"
    script = (
        "import sys; from pathlib import Path; import torch\n"
        "from janus_eval.models.training import loop; loop.SAVE_SECONDS = 0.0\n"
        f"torch.set_num_threads({torch.get_num_threads()})\n"
        "from janus_eval.models.training.command import train\n"
        f"train({str(recipe)!r}, out=Path({str(out)!r}))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (out / "a.state.pt").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (out / "tokenizer.state.pt").exists()
    subprocess.run([sys.executable, "-c", script], check=True, stderr=subprocess.DEVNULL, timeout=300)
    finished = prepare(tiny_recipe(), [], out)
    finished.run(QUIET)  # nothing left to do: loads the last states
    assert same_weights(finished, whole)
    steps = [(row["stage"], row["step"]) for row in map(json.loads, (out / "log.jsonl").read_text().splitlines())]
    assert steps == [(stage, step) for stage in ("tokenizer", "vision", "a", "b") for step in range(6)]


def test_only_what_a_stage_names_moves(tmp_path: Path) -> None:
    recipe = tiny_recipe()
    before = prepare(recipe, [], tmp_path).model.state_dict()
    before = {name: tensor.clone() for name, tensor in before.items()}
    trainer = prepare(recipe, [], tmp_path)
    trainer.steppers()[2].run(QUIET)
    moved = {name for name, tensor in trainer.model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert {name.partition(".")[0] for name in moved} == {"aligner", "gen_aligner", "gen_embed", "gen_head"}


def test_micro_batches_leave_the_gradients_of_the_whole_batch(tmp_path: Path) -> None:
    recipe = tiny_recipe()
    gradients = []
    for size in (64, 1):
        trainer = prepare(recipe, [], tmp_path, micro_batch=size)
        select_trainable(trainer.model, ["all"])
        trainer.losses(recipe.stages[1], 0)
        gradients.append(torch.cat([p.grad.flatten() for p in trainer.model.parameters() if p.grad is not None]))
    assert torch.allclose(gradients[0], gradients[1], atol=1e-6)


def test_the_loss_falls_on_one_batch(tmp_path: Path) -> None:
    recipe = tiny_recipe()
    trainer = prepare(recipe, [], tmp_path)
    optimizer = torch.optim.AdamW(select_trainable(trainer.model, ["all"]), lr=3e-3)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        losses.append(sum(trainer.losses(recipe.stages[1], 0).values()))
        optimizer.step()
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize("name", REAL_RECIPES)
def test_one_step_of_every_stage_of_a_real_recipe_at_reduced_width(name: str, tmp_path: Path, whole: Trainer) -> None:
    start = export(whole, tmp_path / "start", command="test")
    real = load_recipe(name)
    stages = tuple(stage.model_copy(update={"batch_size": 10}) for stage in real.stages)
    recipe = real.model_copy(update={"model": tiny_model(), "stages": stages, "start": str(start)})
    trainer = prepare(recipe, [], tmp_path)
    for stepper in trainer.steppers():
        before = {n: t.clone() for n, t in trainer.model.state_dict().items()}
        stepper.run(QUIET, stop_after=1)
        moved = {n for n, t in trainer.model.state_dict().items() if not torch.equal(t, before[n])}
        assert {n.partition(".")[0] for n in moved} <= set(stepper.trainable)
        assert moved


def test_real_recipes_carry_the_published_numbers() -> None:
    stages = load_recipe("janus-pro-7b").stages
    assert [stage.ratio for stage in stages] == [(1, 0, 3), (2, 3, 5), (5, 1, 4)]
    assert [stage.steps for stage in stages] == [20_000, 360_000, 40_000]
    assert [stage.schedule.lr for stage in stages] == [1e-3, 1e-4, 4e-5]
    assert load_recipe("janus-pro-1b").stages[2].steps == 80_000
    assert "vision" in stages[2].trainable
    assert not {"vision", "vq"} & set(stages[1].trainable)


def test_a_recipe_without_a_start_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--start"):
        prepare(load_recipe("janus-pro-1b"), [], tmp_path)


@pytest.mark.parametrize("name", ["nano-janus-por", "missing.json"])
def test_unknown_recipes_are_refused(name: str) -> None:
    with pytest.raises(UserError, match="recipe"):
        load_recipe(name)


def test_misspelt_keys_of_a_recipe_are_named(tmp_path: Path) -> None:
    raw = tiny_recipe().model_dump(mode="json")
    raw["stages"][0]["warmup"] = 3
    (tmp_path / "r.json").write_text(json.dumps(raw))
    with pytest.raises(UserError, match=r"stages\.0\.warmup"):
        load_recipe(str(tmp_path / "r.json"))


def test_every_step_has_the_whole_batch_and_the_ratio_holds_on_average() -> None:
    counts = [split_batch(7, (5, 1, 4), step) for step in range(100)]
    assert all(sum(count) == 7 for count in counts)
    assert [sum(part) for part in zip(*counts, strict=True)] == [350, 70, 280]


def test_rows_of_like_length_go_together() -> None:
    assert similar_lengths([10, 30, 19, 31, 8], most=2) == [[3, 1], [2], [0, 4]]
    assert similar_lengths([5, 5, 5], most=2) == [[0, 1], [2]]
    lengths = [7, 80, 33, 160, 12, 100]
    chunks = similar_lengths(lengths, most=64)
    assert sorted(row for chunk in chunks for row in chunk) == list(range(6))
    assert all(max(lengths[k] for k in chunk) <= 1.6 * min(lengths[k] for k in chunk) for chunk in chunks)


def test_schedules() -> None:
    cosine = Schedule(lr=1.0, warmup_steps=10, shape="cosine", final=0.1)
    assert learning_rate(cosine, 0, 110) == pytest.approx(0.1)
    assert learning_rate(cosine, 10, 110) == pytest.approx(1.0)
    assert learning_rate(cosine, 60, 110) == pytest.approx(0.55)
    assert learning_rate(Schedule(lr=2.0), 99, 100) == 2.0
    assert learning_rate(Schedule(lr=1.0, shape="linear"), 75, 100) == pytest.approx(0.25)


def test_answers_alone_are_learned_and_end(whole: Trainer) -> None:
    processor = whole.processor
    ids, targets = Encoder(processor, ("<|User|>", "<|Assistant|>")).understanding(
        [("What color?", "red"), ("Is it?", "no")]
    )
    learned = [target for target in targets if target != IGNORED]
    assert processor.decode(learned) == "red no"
    assert learned.count(processor.eos_id) == 2
    assert ids.count(processor.image_id) == processor.image_tokens
    asked = processor.turn_ids("What color?", images=1, roles=("<|User|>", "<|Assistant|>"))
    assert ids[: len(asked)] == asked  # the very tokens of a prompt


def test_words_of_the_world_are_single_tokens_and_written_words_are_spelt(whole: Trainer) -> None:
    processor = whole.processor
    assert len(processor.text_ids(" a red circle left of a blue star")) == 8
    assert len(processor.text_ids('"CAT7"')) == 6
    odd = "zyzzyva ✓ ünïcode"
    assert processor.decode(processor.text_ids(odd)) == odd


def test_the_world_repeats_itself_by_index_alone() -> None:
    first, second = ShapesSource(3), ShapesSource(3)
    second.example("generation", 7)
    a, b = first.example("understanding", 5), second.example("understanding", 5)
    assert a.turns == b.turns
    assert a.image is not None and b.image is not None and a.image.tobytes() == b.image.tobytes()
    assert ShapesSource(4).example("generation", 5).prompt != first.example("generation", 5).prompt


def write_jsonl(folder: Path, rows: list[Any]) -> Path:
    Image.new("RGB", (20, 12), "red").save(folder / "x.png")
    file = folder / "data.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in rows))
    return file


def test_training_on_ones_own_files(tmp_path: Path) -> None:
    rows = [
        {"image": "x.png", "turns": [["What is it?", "red"]]},
        {"image": "x.png", "prompt": "a red rectangle"},
        {"text": "red is a color."},
    ]
    file = write_jsonl(tmp_path, rows)
    trainer = prepare(unseeing(tiny_recipe(2)), [file], tmp_path)
    trainer.run(QUIET)
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 6
    source = JsonlSource(file, 0)
    assert source.example("text", 12).text == "red is a color."


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ({"image": "x.png"}, "line 1: expected text"),
        ({"image": "x.png", "turns": ["hello"]}, "line 1: expected text"),
        (["text"], "line 1: an object"),
    ],
)
def test_malformed_lines_are_named(row: Any, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=complaint):
        JsonlSource(write_jsonl(tmp_path, [row]), 0)


@pytest.mark.parametrize(
    ("name", "complaint"), [("../x.png", "outside"), ("y.png", "y.png"), ("data.jsonl", "not an image")]
)
def test_images_that_are_none_are_named(name: str, complaint: str, tmp_path: Path) -> None:
    source = JsonlSource(write_jsonl(tmp_path, [{"image": name, "prompt": "x"}]), 0)
    with pytest.raises(UserError, match=complaint):
        source.example("generation", 0)


def test_a_missing_kind_is_said_before_anything_runs(tmp_path: Path) -> None:
    file = write_jsonl(tmp_path, [{"text": "red"}])
    with pytest.raises(UserError, match="understanding and generation"):
        prepare(unseeing(tiny_recipe()), [file], tmp_path).run(QUIET)


def test_the_encoders_own_stage_takes_no_other_data(tmp_path: Path) -> None:
    file = write_jsonl(tmp_path, [{"text": "red"}])
    with pytest.raises(UserError, match="vision_stage learns from the world of shapes alone"):
        prepare(tiny_recipe(), [file], tmp_path).run(QUIET)


def test_an_encoder_learns_what_patches_show(tmp_path: Path) -> None:
    quick = VisionStage(steps=120, batch_size=8, schedule=Schedule(lr=1e-2, warmup_steps=10))
    recipe = tiny_recipe().model_copy(update={"vision_stage": quick})
    trainer = prepare(recipe, [], tmp_path)
    before = {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}
    trainer.steppers()[1].run(QUIET)
    moved = {name for name, tensor in trainer.model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert {name.partition(".")[0] for name in moved} == {"vision"}
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    early, late = (sum(row["colour"] for row in part) for part in (rows[:20], rows[-20:]))
    assert late < 0.75 * early
