"""transformers' Janus draws: the same pictures as ours from the same checkpoint, each from its own seed alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

import janus_eval
from janus_eval.checkpoint import Checkpoint
from janus_eval.errors import UserError
from janus_eval.models.adapters.hf_family import hf_janus
from janus_eval.models.adapters.hf_janus import HFJanus
from janus_eval.models.janus_pro.loading import load_model
from janus_eval.models.janus_pro.sampling import decode_pixels, draw_codes
from janus_eval.models.parts.picking import picker
from janus_eval.models.parts.processor import to_bytes
from janus_eval.types import Drawing, Failure, RequestKey, Response

DRAWINGS = [
    Drawing(RequestKey("t", text, seed), text, seed)
    for text, seed in (("a red cat", 1), ("a blue dog, far longer than it is high", 2**62 + 5), ("a red cat", 3))
]


@pytest.fixture(scope="module")
def folder(tiny_chats: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(tiny_chats.janus(tmp_path_factory.mktemp("janus")))


def pixels(outcomes: Sequence[Response | Failure]) -> np.ndarray:
    assert all(isinstance(outcome, Response) and outcome.image is not None for outcome in outcomes), outcomes
    return np.stack([np.asarray(outcome.image.load()).astype(int) for outcome in outcomes])  # type: ignore[union-attr]


def loaded(folder: Path, **settings: float) -> HFJanus:
    found = hf_janus.load(str(folder), hf_janus.Settings(**settings))
    assert isinstance(found, HFJanus)
    return found


@pytest.mark.parametrize("settings", [{}, {"guidance": 1.5, "temperature": 0.7}, {"temperature": 0}])
def test_it_draws_what_our_janus_draws(folder: Path, settings: dict[str, float]) -> None:
    theirs = loaded(folder, **settings)
    found = theirs.draw(DRAWINGS)
    ours, _ = load_model(Checkpoint(folder), device="cpu", dtype="float32")
    begin = theirs.tokenizer.convert_tokens_to_ids("<begin_of_image>")
    prompts = [[*theirs.tokenizer(theirs.chat(one.prompt, 0), add_special_tokens=False).input_ids, begin]
               for one in DRAWINGS]  # fmt: skip
    pick = picker([one.seed for one in DRAWINGS], 16, settings.get("temperature", 1.0), torch.device("cpu"))
    with torch.inference_mode():
        codes = draw_codes(ours, prompts, pad_id=1, count=16, guidance=settings.get("guidance", 5.0), pick=pick).codes
        wanted = to_bytes(decode_pixels(ours, codes, (4, 4)))
    assert np.abs(pixels(found) - np.stack(wanted).astype(int)).max() <= 1
    assert [one.input_tokens for one in found if isinstance(one, Response)] == list(map(len, prompts))


def test_a_picture_depends_on_its_prompt_and_seed_alone(folder: Path) -> None:
    model = loaded(folder)
    together = pixels(model.draw(DRAWINGS))
    torch.manual_seed(99)  # from which the library would sample
    alone = np.concatenate([pixels(model.draw([one])) for one in reversed(DRAWINGS)])[::-1]
    assert np.abs(together - alone).max() <= 1
    assert np.abs(together[0] - together[2]).max() > 5, "another seed, another picture"


def test_sizes_and_logits_that_are_none(folder: Path) -> None:
    model = loaded(folder)
    odd, own = model.draw(
        [Drawing(RequestKey("t", "a"), "a", 1, (16, 16)), Drawing(RequestKey("t", "a"), "a", 1, (8, 8))]
    )
    assert odd == Failure("size 16x16: it draws 8x8 pixels only")
    assert pixels([own]).shape == (1, 8, 8, 3)
    torch.nn.init.constant_(model.model.model.generation_head.vision_head.weight, float("nan"))
    assert model.draw(DRAWINGS[:1]) == [Failure("the model's logits are not finite at image token 0")]


def test_it_does_all_three(folder: Path, tiny_chats: ModuleType, tmp_path: Path) -> None:
    run = janus_eval.evaluate(
        f"hf-janus:{folder}?max_answer_tokens=2", ["shapes-geneval", "shapes-mmbench", "shapes-mmbench/likelihood"],
        limit=1, out=tmp_path / "out",
    )  # fmt: skip
    assert set(run.results["tasks"]) == {"shapes-geneval", "shapes-mmbench"}
    with pytest.raises(UserError, match="a LlavaForConditionalGeneration is no Janus; hf:REPO can answer"):
        loaded(tiny_chats.llava(tmp_path / "llava"))
    with pytest.raises(UserError, match="needs a folder or Hugging Face id"):
        hf_janus.load(None, hf_janus.Settings())
