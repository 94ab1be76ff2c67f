"""The family behind the seam: what a run, hostile pictures, prompts and settings meet."""

from __future__ import annotations

import io
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from janus_eval import plugins
from janus_eval.models.janus_pro.adapter import JanusProModel
from janus_eval.models.janus_pro.family import JanusProSettings, janus, janus_pro
from janus_eval.pictures import Picture
from janus_eval.seams import Illustrator, Reconstructor, Understander
from janus_eval.types import Drawing, Failure, Question, RequestKey, Response

KEY = RequestKey("task", "sample")


def ask(text: str, *images: Picture, tokens: int = 6, seed: int = 0) -> Question:
    return Question(KEY, text, images, max_new_tokens=tokens, seed=seed)


def texts(outcomes: list[Response | Failure]) -> list[str | None]:
    assert all(isinstance(outcome, Response) for outcome in outcomes), outcomes
    return [outcome.text for outcome in outcomes if isinstance(outcome, Response)]


def pictures(outcomes: list[Response | Failure]) -> list[Picture | None]:
    assert all(isinstance(outcome, Response) for outcome in outcomes), outcomes
    return [outcome.image for outcome in outcomes if isinstance(outcome, Response)]


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> Picture:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return Picture(buffer.getvalue())


def test_the_models_are_registered_and_cheap_to_name() -> None:
    names = {"janus-pro": janus_pro, "janus": janus}
    for name, family in names.items():
        assert plugins.load("models", name) is family
    assert "nano-janus-pro" in plugins.names("models")
    code = "import sys, janus_eval.models.janus_pro.family, janus_eval.models.nano; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_settings() -> None:
    """Numbers that the published figures hang on: roles by model, guidance 5, temperature 1, no system prompt."""
    settings = janus_pro.Settings().model_dump()
    assert settings == {
        "user_role": "<|User|>", "assistant_role": "<|Assistant|>", "system_prompt": "", "answer_temperature": 0.0,
        "max_answer_tokens": 2048, "guidance": 5.0, "temperature": 1.0,
    }  # fmt: skip
    assert janus.Settings().model_dump() == settings | {"user_role": "User", "assistant_role": "Assistant"}
    for wrong in ({"guidance": math.nan}, {"temperature": -1}, {"roles": "User"}, {"max_answer_tokens": 0}):
        with pytest.raises(ValidationError):
            JanusProSettings.model_validate(wrong)


def test_it_offers_what_it_declares(loaded: JanusProModel) -> None:
    assert janus_pro.capabilities == {"answer", "score", "draw", "reconstruct"}
    assert isinstance(loaded, Understander) and isinstance(loaded, Illustrator) and isinstance(loaded, Reconstructor)
    assert len(loaded.weights) == 64


def test_batch_sizes_and_order_change_no_answer(loaded: JanusProModel, photos: list[Picture]) -> None:
    questions = [ask(f"what colour is the star {'!' * k}", photos[k % 3]) for k in range(9)]
    questions += [ask("a red circle"), ask(""), ask("which", photos[0], photos[1]), ask("which", photos[1], photos[0])]
    together = texts(loaded.answer(questions))
    assert [texts(loaded.answer([question]))[0] for question in questions] == together
    assert texts(loaded.answer(questions[::-1])) == together[::-1]
    assert len(set(together)) > 8


def test_responses_count_tokens(loaded: JanusProModel, photos: list[Picture]) -> None:
    (first, second) = loaded.answer([ask("what", photos[0]), ask("what", tokens=3)])
    assert isinstance(first, Response) and isinstance(second, Response)
    roles = ("<|User|>", "<|Assistant|>")
    counts = [len(loaded.processor.turn_ids("what", images=count, roles=roles)) for count in (1, 0)]
    assert [first.input_tokens, second.input_tokens] == counts
    assert second.output_tokens <= 3 and first.seconds == second.seconds > 0
    assert second.finish == ("length" if second.output_tokens == 3 else "stop")


def test_sampled_answers_follow_their_seeds(loaded: JanusProModel, photos: list[Picture]) -> None:
    settings = JanusProSettings(answer_temperature=1.0)
    sampling = JanusProModel(loaded.model, loaded.processor, settings, loaded.weights)
    questions = [ask("what", photos[0], seed=seed) for seed in (1, 2, 1)]
    first, second, again = texts(sampling.answer(questions))
    assert first == again != second
    assert texts(sampling.answer(questions[1:2])) == [second]


def test_scores_share_the_image_and_change_nothing(loaded: JanusProModel, photos: list[Picture]) -> None:
    questions = [ask("what", photos[0]), ask("which", photos[0]), ask("what", photos[1]), ask("text only")]
    words = [["red", "blue circle", ""], ["red"], [], ["a", "b"]]
    together = loaded.score(questions, words)
    assert [len(row) for row in together if isinstance(row, list)] == [3, 1, 0, 2]
    for question, some, row in zip(questions, words, together, strict=True):
        (alone,) = loaded.score([question], [some])
        assert alone == pytest.approx(row, abs=1e-4)
    first = together[0]
    assert isinstance(first, list) and first[0] < 0 and first[0] != first[1]


def test_drawings_depend_on_prompt_and_seed_alone(loaded: JanusProModel) -> None:
    drawings = [Drawing(KEY, prompt, seed) for prompt in ("a red circle", "a star and a circle") for seed in (1, 2)]
    together = pictures(loaded.draw(drawings))
    assert len(set(together)) == 4
    assert [pictures(loaded.draw([drawing]))[0] for drawing in drawings] == together, "to the last byte"
    assert pictures(loaded.draw(drawings[::-1] * 4)) == together[::-1] * 4
    assert together[0] is not None and together[0].load().size == (64, 64)


def test_sizes_of_drawings(loaded: JanusProModel) -> None:
    sizes = [None, (32, 64), (64, 64), (64, 60), (0, 64), (16, 16)]
    outcomes = loaded.draw([Drawing(KEY, "a star", 3, size) for size in sizes])
    found = [o.image.load().size if isinstance(o, Response) and o.image else None for o in outcomes]
    assert found == [(64, 64), (64, 32), (64, 64), None, None, (16, 16)]
    assert pictures(outcomes[:1]) == pictures(outcomes[2:3])
    assert isinstance(outcomes[3], Failure) and "multiples of 16" in outcomes[3].reason


@pytest.mark.parametrize("prompt", ["", "\0\x07\x1b[2J", "word " * 60, "<begin_of_image><image_placeholder>" * 3])
def test_odd_prompts_are_drawn_and_asked(loaded: JanusProModel, photos: list[Picture], prompt: str) -> None:
    assert isinstance(loaded.draw([Drawing(KEY, prompt)])[0], Response)
    assert isinstance(loaded.answer([ask(prompt, photos[0])])[0], Response)
    assert isinstance(loaded.score([ask(prompt)], [[prompt[:200]]])[0], list)


def test_beyond_the_context_is_a_failure_with_the_counts(loaded: JanusProModel, photos: list[Picture]) -> None:
    long = "word " * 10_000
    drawn, fine = loaded.draw([Drawing(KEY, long), Drawing(KEY, "a star")])
    assert isinstance(drawn, Failure) and isinstance(fine, Response)
    assert "the picture 16; the model's context holds 512" in drawn.reason
    asked, other = loaded.answer([ask(long, photos[0]), ask("what", photos[0])])
    assert isinstance(asked, Failure) and isinstance(other, Response)
    assert "tokens; the model's context holds 512" in asked.reason
    scored, kept = loaded.score([ask("what"), ask("what")], [[long], ["a"]])
    assert isinstance(scored, Failure) and "the context 512" in scored.reason and isinstance(kept, list)
    # What fits with less room than was asked for is answered within it.
    (tight,) = loaded.answer([ask("a" + " a" * 490, tokens=100)])
    assert isinstance(tight, Response) and tight.input_tokens + tight.output_tokens <= 512


HOSTILE: dict[str, Picture] = {
    "empty": Picture(b""),
    "not one": Picture(b"hello"),
    "cut": Picture(encoded(Image.effect_noise((64, 64), 50).convert("RGB")).data[:900]),
    "0x0": Picture(b"GIF89a\0\0\0\0\0\0\0;"),
}
ODD: dict[str, Picture] = {
    "grey": encoded(Image.new("L", (30, 20), 99)),
    "RGBA": encoded(Image.new("RGBA", (30, 20), (9, 9, 9, 0))),
    "palette": encoded(Image.new("P", (30, 20), 3)),
    "16-bit": encoded(Image.fromarray(np.arange(600, dtype=np.uint16).reshape(20, 30) * 100)),
    "animated": encoded(Image.new("L", (30, 20), 1), "GIF", save_all=True, append_images=[Image.new("L", (30, 20), 9)]),
    "20,000 px wide": encoded(Image.new("RGB", (20_000, 3), (200, 0, 0))),
    "one pixel": encoded(Image.new("RGB", (1, 1))),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_picture_fails_alone(loaded: JanusProModel, photos: list[Picture], name: str) -> None:
    bad = HOSTILE[name]
    answers = loaded.answer([ask("what", bad), ask("what", photos[0]), ask("what", photos[0], bad)])
    assert [type(outcome) for outcome in answers] == [Failure, Response, Failure]
    assert isinstance(answers[0], Failure) and "image" in answers[0].reason
    assert texts(answers[1:2]) == texts(loaded.answer([ask("what", photos[0])]))
    scores = loaded.score([ask("what", photos[0]), ask("what", bad)], [["a"], ["a"]])
    assert [type(outcome) for outcome in scores] == [list, Failure]
    assert [type(outcome) for outcome in loaded.reconstruct([bad, photos[0]])] == [Failure, Picture]


@pytest.mark.parametrize("name", ODD)
def test_odd_pictures_are_read(loaded: JanusProModel, name: str) -> None:
    assert isinstance(loaded.answer([ask("what", ODD[name])])[0], Response)
    (again,) = loaded.reconstruct([ODD[name]])
    assert isinstance(again, Picture) and again.load().size == (64, 64)


def test_reconstruction_is_the_tokenizers(loaded: JanusProModel, photos: list[Picture]) -> None:
    together = loaded.reconstruct(photos)
    assert together == [loaded.reconstruct([photo])[0] for photo in photos]
    (square,) = (photo for photo in photos if photo.load().size == (64, 64))
    values = np.asarray(square.load()).transpose(2, 0, 1).astype(np.float32) / 127.5 - 1
    with torch.inference_mode():
        vq = loaded.model.vq
        pixels = vq.decode_codes(vq.encode(torch.from_numpy(values)[None]))[0]
    expected = ((pixels + 1) / 2 * 255).clamp(0, 255).numpy().astype(np.uint8).transpose(1, 2, 0)
    found = together[1]
    assert isinstance(found, Picture) and np.array_equal(np.asarray(found.load()), expected)


def test_infinite_weights_are_a_failure_that_names_the_step(checkpoint: Path, photos: list[Picture]) -> None:
    broken = janus_pro.load(str(checkpoint), janus_pro.Settings())
    broken.model.gen_head.out.bias[5] = math.nan
    broken.model.lm_head.weight[7] = math.inf
    (drawn,) = broken.draw([Drawing(KEY, "a star")])
    assert drawn == Failure("the model's logits are not finite at image token 0")
    (asked,) = broken.answer([ask("what", photos[0])])
    assert asked == Failure("the model's logits are not finite at answer token 0")
    assert isinstance(broken.score([ask("what")], [["a"]])[0], Failure)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_runs(checkpoint: Path, photos: list[Picture], dtype: str) -> None:
    model = janus_pro.load(str(checkpoint), janus_pro.Settings(), dtype=dtype)
    assert isinstance(model.answer([ask("what", photos[0]), ask("what colour", photos[0])])[1], Response)
    assert isinstance(model.draw([Drawing(KEY, "a star"), Drawing(KEY, "two stars")])[0], Response)
    assert isinstance(model.score([ask("what", photos[0])], [["a"]])[0], list)
    assert isinstance(model.reconstruct(photos)[0], Picture)
