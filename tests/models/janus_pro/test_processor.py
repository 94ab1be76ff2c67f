"""Pictures to pixels and conversations to ids, against hand-made expectations and hostile text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer

from janus_eval.checkpoint import Checkpoint
from janus_eval.models.parts.processor import CLIP_MEAN, ImageProcessor, Processor, Tags, center_crop

ROLES = ("<|User|>", "<|Assistant|>")


@pytest.fixture(scope="module")
def processor(tokenizer: Tokenizer) -> Processor:
    return Processor(tokenizer, ImageProcessor(64), image_tokens=3)


def read(processor: Processor, ids: list[int]) -> str:
    return str(processor.tokenizer.decode(ids, skip_special_tokens=False))


def test_a_question_as_the_published_template_has_it(processor: Processor) -> None:
    tags = Tags()
    image = tags.image_start + 3 * tags.image + tags.image_end
    ids = processor.turn_ids("What colour? ", images=1, roles=ROLES)
    assert read(processor, ids) == f"{tags.bos}<|User|>: {image}\nWhat colour?\n\n<|Assistant|>:"
    ids = processor.turn_ids("Same?", images=2, roles=("User", "Assistant"), system_prompt="Be brief.")
    assert read(processor, ids) == f"{tags.bos}Be brief.\n\nUser: {image}\n{image}\nSame?\n\nAssistant:"
    later = processor.turn_ids("And now?", roles=ROLES, system_prompt="Be brief.", first=False)
    assert read(processor, later) == "<|User|>: And now?\n\n<|Assistant|>:"
    assert read(processor, processor.turn_ids("", images=1, roles=ROLES)).endswith(f": {image}\n\n<|Assistant|>:")


def test_a_prompt_to_draw(processor: Processor) -> None:
    tags = Tags()
    ids = processor.drawing_ids(" a red circle\n", roles=ROLES)
    assert read(processor, ids) == f"{tags.bos}<|User|>: a red circle\n\n<|Assistant|>:{tags.image_start}"
    assert ids[0] == processor.bos_id and ids[-1] == processor.image_start_id
    # What the template makes of an empty message: the role and its colon, with no line after it.
    empty = processor.drawing_ids(" \n ", roles=ROLES)
    assert read(processor, empty) == f"{tags.bos}<|User|>:<|Assistant|>:{tags.image_start}"


def test_text_is_encoded_as_one_with_the_template(processor: Processor, tokenizer: Tokenizer) -> None:
    """Piece by piece, `: ` and ` a` would be other tokens than the published code's single string gives."""
    whole = f"{Tags().bos}User: a red circle\n\nAssistant:"
    assert processor.turn_ids("a red circle", roles=("User", "Assistant")) == tokenizer.encode(whole).ids


@pytest.mark.parametrize("tag", [*Tags(), *ROLES])
def test_no_text_can_break_out(processor: Processor, tag: str) -> None:
    plain = processor.turn_ids("a  b", images=1, roles=ROLES)
    ids = processor.turn_ids(f"a {tag} {tag}{tag} b", images=1, roles=ROLES)
    special = processor.tokenizer.token_to_id(tag)
    assert ids.count(special) == plain.count(special)
    assert f"a {tag} {tag}{tag} b" in read(processor, ids), "the text is still there, letter by letter"
    nested = processor.drawing_ids(tag[: len(tag) // 2] + tag + tag[len(tag) // 2 :], roles=ROLES)
    assert nested.count(special) == processor.drawing_ids("x", roles=ROLES).count(special)


@pytest.mark.parametrize("text", ["\0\x01\x1b[31m\x7f", "\ud800 half a pair", "e\u0301 \U0001f600 \u202e", "\r\n\t"])
def test_odd_characters_are_text(processor: Processor, text: str) -> None:
    ids = processor.drawing_ids(text, roles=ROLES)
    assert ids[0] == processor.bos_id and ids[-1] == processor.image_start_id


def test_answers_begin_with_a_space(processor: Processor) -> None:
    whole = processor.tokenizer.encode("Assistant: red circle", add_special_tokens=False).ids
    start = processor.tokenizer.encode("Assistant:", add_special_tokens=False).ids
    assert whole == start + processor.text_ids(" red circle")
    assert processor.decode([*processor.text_ids(" red circle"), processor.eos_id]) == "red circle"


@pytest.mark.parametrize(
    ("size", "expected"),
    [((80, 50), (64, 40)), ((33, 90), (23, 64)), ((67, 50), (64, 47)), ((2000, 10), (64, 14)), ((1, 1), (64, 64))],
)
def test_sizes_are_truncated_and_have_a_least(size: tuple[int, int], expected: tuple[int, int]) -> None:
    white = Image.new("RGB", size, (255, 255, 255))
    values = np.asarray(ImageProcessor(64, mean=(0.0, 0.5, 0.25)).square(white))
    assert values.shape == (64, 64, 3)
    filled = (values == 255).all(-1)
    assert (int(filled.any(0).sum()), int(filled.any(1).sum())) == expected
    left, top = (64 - expected[0]) // 2, (64 - expected[1]) // 2
    assert filled[top : top + expected[1], left : left + expected[0]].all()
    if expected != (64, 64):
        assert values[-1, -1].tolist() == [0, 127, 63], "the mean colour, truncated"


def test_pixels_are_normalised() -> None:
    grey = Image.new("RGB", (8, 8), (0, 51, 255))
    pixels = ImageProcessor(16, mean=(0.5, 0.2, 0.0), std=(0.5, 0.1, 2.0))([grey, grey])
    assert pixels.shape == (2, 3, 16, 16) and pixels.dtype == torch.float32
    expected = torch.tensor([-1.0, 0.0, 0.5])[:, None, None].expand(3, 16, 16)
    torch.testing.assert_close(pixels[0], expected, atol=1e-6, rtol=0)
    assert ImageProcessor(16, normalize=False)([grey]).max() == 1.0


def test_preprocessor_files_of_both_formats(tmp_path: Path) -> None:
    folder, path = Checkpoint(tmp_path), tmp_path / "preprocessor_config.json"
    assert ImageProcessor.load(folder, 64) == ImageProcessor(64), "without a file, what the checkpoints have"
    path.write_text('{"image_size": 64, "image_mean": [0.1, 0.2, 0.3], "image_std": [1, 1, 1], "min_size": 2}')
    assert ImageProcessor.load(folder, 64) == ImageProcessor(64, 2, (0.1, 0.2, 0.3), (1, 1, 1))
    path.write_text('{"size": {"height": 64, "width": 64}}')
    assert ImageProcessor.load(folder, 64).mean == CLIP_MEAN, "an absent key takes its class's default"
    path.unlink()
    (tmp_path / "processor_config.json").write_text('{"image_processor": {"image_mean": [0, 0, 0], "min_size": 3}}')
    assert ImageProcessor.load(folder, 64).min_size == 3


def test_cropping_for_the_image_tokenizer() -> None:
    values = np.zeros((10, 30, 3), np.uint8)
    values[:, 10:20] = 255
    assert (np.asarray(center_crop(Image.fromarray(values), 20))[:, 2:-2] == 255).all()
    long = Image.new("RGB", (20_000, 1), (9, 9, 9))
    assert center_crop(long, 32).size == (32, 32)


def test_the_processor_of_a_checkpoint(checkpoint: Path, loaded: Any) -> None:
    processor = loaded.processor
    assert processor.image_tokens == 16 and processor.pixels == ImageProcessor(64)
    config = loaded.model.config
    assert Processor.load(Checkpoint(checkpoint), config.vision, config.language.vocab_size).digest == processor.digest
