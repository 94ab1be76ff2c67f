"""JanusFlow behind the seam: what a run, hostile prompts and settings meet. What it reads by is tested in janus_pro."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from janus_eval import plugins
from janus_eval.checkpoint import Checkpoint
from janus_eval.errors import UserError
from janus_eval.models.janus_flow.adapter import SDXL_VAE, JanusFlowModel, vae_source
from janus_eval.models.janus_flow.family import JanusFlowSettings, janus_flow
from janus_eval.pictures import Picture
from janus_eval.seams import Illustrator, Reconstructor, Understander
from janus_eval.types import Drawing, Failure, Question, RequestKey, Response

KEY = RequestKey("task", "sample")


def ask(text: str, *images: Picture, tokens: int = 6) -> Question:
    return Question(KEY, text, images, max_new_tokens=tokens)


def pixels(outcome: Response | Failure) -> np.ndarray:
    assert isinstance(outcome, Response) and outcome.image is not None, outcome
    return np.asarray(outcome.image.load()).astype(int)


def test_it_is_registered_and_cheap_to_name() -> None:
    assert plugins.load("models", "janus-flow") is janus_flow
    code = "import sys, janus_eval.models.janus_flow.family; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_settings() -> None:
    """Guidance 2 and 30 steps: the published call's, and the paper's for its FID."""
    assert janus_flow.Settings().model_dump() == {
        "user_role": "User", "assistant_role": "Assistant", "system_prompt": "", "answer_temperature": 0.0,
        "max_answer_tokens": 2048, "guidance": 2.0, "steps": 30, "vae": None,
    }  # fmt: skip
    for wrong in ({"guidance": math.nan}, {"steps": 0}, {"steps": -3}, {"steps": 1.5}, {"temperature": 1.0}):
        with pytest.raises(ValidationError):
            JanusFlowSettings.model_validate(wrong)


def test_it_offers_what_it_declares(flow: JanusFlowModel) -> None:
    assert janus_flow.capabilities == {"answer", "score", "draw", "reconstruct"}
    assert isinstance(flow, Understander) and isinstance(flow, Illustrator) and isinstance(flow, Reconstructor)


def test_batch_sizes_and_order_change_no_answer(flow: JanusFlowModel, photos: list[Picture]) -> None:
    questions = [ask(f"what colour is the star {'!' * k}", photos[k % 3]) for k in range(5)]
    questions += [ask("a red circle"), ask(""), ask("which", photos[0], photos[1]), ask("which", photos[1], photos[0])]
    together = [outcome.text for outcome in flow.answer(questions) if isinstance(outcome, Response)]
    alone = [outcome.text for question in questions for outcome in flow.answer([question])]  # type: ignore[union-attr]
    assert together == alone and len(set(together)) > 5
    scores = flow.score(questions[:2], [["red", "blue circle"], ["red"]])
    assert scores[0] == pytest.approx(flow.score(questions[:1], [["red", "blue circle"]])[0], abs=1e-4)


def test_the_learned_begin_of_an_image_is_read(flow: JanusFlowModel, photos: list[Picture]) -> None:
    before = flow.score([ask("what", photos[0]), ask("what")], [["red"], ["red"]])
    begin = flow.model.begin.data.clone()
    try:
        flow.model.begin.data += 1.0
        after = flow.score([ask("what", photos[0]), ask("what")], [["red"], ["red"]])
    finally:
        flow.model.begin.data.copy_(begin)
    assert before[0] != after[0] and before[1] == after[1]


def test_drawings_depend_on_prompt_and_seed_alone(flow: JanusFlowModel) -> None:
    drawings = [Drawing(KEY, prompt, seed) for prompt in ("a red circle", "a star and a circle") for seed in (1, 2)]
    together = [pixels(outcome) for outcome in flow.draw(drawings)]
    assert len({image.tobytes() for image in together}) == 4
    for drawing, expected in zip(drawings, together, strict=True):
        (alone,) = flow.draw([drawing])
        assert np.abs(pixels(alone) - expected).max() <= 1
    backwards = [pixels(outcome) for outcome in flow.draw(drawings[::-1])][::-1]
    assert max(np.abs(a - b).max() for a, b in zip(backwards, together, strict=True)) <= 1


def test_sizes_of_drawings(flow: JanusFlowModel) -> None:
    sizes = [None, (32, 64), (64, 64), (64, 60), (0, 64), (16, 16), (24, 64)]
    outcomes = flow.draw([Drawing(KEY, "a star", 3, size) for size in sizes])
    found = [pixels(outcome).shape[:2] if isinstance(outcome, Response) else None for outcome in outcomes]
    assert found == [(64, 64), (32, 64), (64, 64), None, None, (16, 16), None]
    assert isinstance(outcomes[3], Failure) and "multiples of 16" in outcomes[3].reason
    (first,) = [o for o in outcomes[:1] if isinstance(o, Response)]
    assert first.output_tokens == 16 and first.input_tokens == len(
        flow.processor.drawing_ids("a star", roles=("User", "Assistant"))
    )


@pytest.mark.parametrize("prompt", ["", "\0\x07\x1b[2J", "word " * 60, "<begin_of_image><image_placeholder>" * 3])
def test_odd_prompts_are_drawn_and_asked(flow: JanusFlowModel, photos: list[Picture], prompt: str) -> None:
    assert isinstance(flow.draw([Drawing(KEY, prompt)])[0], Response)
    assert isinstance(flow.answer([ask(prompt, photos[0])])[0], Response)


def test_beyond_the_context_is_a_failure_with_the_counts(flow: JanusFlowModel) -> None:
    drawn, fine = flow.draw([Drawing(KEY, "word " * 10_000), Drawing(KEY, "a star")])
    assert isinstance(drawn, Failure) and isinstance(fine, Response)
    assert "the picture 16; the model's context holds 512" in drawn.reason


def test_reconstruction_is_the_autoencoders(flow: JanusFlowModel, photos: list[Picture]) -> None:
    bad = Picture(b"hello")
    outcomes = flow.reconstruct([*photos, bad])
    assert [type(outcome) for outcome in outcomes] == [Picture] * 3 + [Failure]
    assert outcomes[:3] == [flow.reconstruct([photo])[0] for photo in photos]


def test_a_velocity_that_is_not_finite_is_a_failure_that_names_the_step(flow_checkpoint: Path) -> None:
    broken = janus_flow.load(str(flow_checkpoint), janus_flow.Settings(steps=3))
    broken.model.gen_decoder_aligner.weight[0, 0] = math.nan
    (drawn,) = broken.draw([Drawing(KEY, "a star")])
    assert drawn == Failure("the model's velocity is not finite at step 1 of 3")


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_runs(flow_checkpoint: Path, photos: list[Picture], dtype: str) -> None:
    model = janus_flow.load(str(flow_checkpoint), janus_flow.Settings(steps=2), dtype=dtype)
    assert isinstance(model.answer([ask("what", photos[0]), ask("what colour", photos[0])])[1], Response)
    assert isinstance(model.draw([Drawing(KEY, "a star"), Drawing(KEY, "two stars")])[0], Response)
    assert isinstance(model.reconstruct(photos)[0], Picture)


def test_where_the_autoencoder_comes_from(flow_checkpoint: Path, flow_reference: Path, tmp_path: Path) -> None:
    assert vae_source(None, Checkpoint(flow_checkpoint)) == str(flow_checkpoint / "vae")
    assert vae_source(None, Checkpoint(flow_reference)) == SDXL_VAE
    assert vae_source("mine", Checkpoint(flow_checkpoint)) == "mine"
    with pytest.raises(UserError, match="no folder nowhere"):
        janus_flow.load(str(flow_checkpoint), janus_flow.Settings(vae="nowhere"))
