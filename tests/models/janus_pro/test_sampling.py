"""Drawing: the published formula and rows, one random stream an image, the same codes in every company."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from janus_eval.models.janus_pro.model import JanusPro
from janus_eval.models.janus_pro.sampling import Guided, decode_pixels, draw_codes, unconditional
from janus_eval.models.parts.picking import InverseCDF, greedy, picker
from janus_eval.models.parts.processor import to_bytes
from janus_eval.models.parts.rows import forward_rows, left_pad

CPU = torch.device("cpu")
PROMPTS = [[0, 30, 31, 32, 33, 11], [0, 40, 11], [0, 30, 31, 32, 33, 11], [0, 50, 51, 52, 11]]
SEEDS = [5, 6, 7, 8]


@pytest.fixture(scope="module", params=[4, 2], ids=["full heads", "grouped heads"])
def model(request: pytest.FixtureRequest, make_model: Any) -> JanusPro:
    found: JanusPro = make_model(num_key_value_heads=request.param)
    return found


def draw(model: JanusPro, rows: list[int], count: int = 16, guidance: float = 3.0, **more: Any) -> torch.Tensor:
    pick = InverseCDF([SEEDS[row] for row in rows], count, 1.0, CPU)
    prompts = [PROMPTS[row] for row in rows]
    return draw_codes(model, prompts, pad_id=2, count=count, guidance=guidance, pick=pick, **more).codes


@torch.inference_mode()
def test_company_does_not_change_the_codes(model: JanusPro) -> None:
    together = draw(model, [0, 1, 2, 3])
    assert len({tuple(row) for row in together.tolist()}) == 4, "one prompt twice, two seeds: two pictures"
    for row in range(4):
        assert torch.equal(draw(model, [row])[0], together[row])
    assert torch.equal(draw(model, [3, 1, 0, 2]), together[[3, 1, 0, 2]])
    assert torch.equal(draw(model, [0, 1, 2, 3] * 4), together.repeat(4, 1))
    fewer = draw(model, [0, 1, 2, 3], count=9)
    assert torch.equal(fewer, together[:, :9]), "the stream of an image does not depend on its length"


@torch.inference_mode()
def test_logits_are_those_of_whole_rows(model: JanusPro) -> None:
    """Against the plain way: both rows of each prompt read whole, alone, without a cache and without sharing."""
    seen: list[Guided] = []
    codes = draw(model, [0, 1, 3], watch=lambda _, guided: seen.append(guided))
    for place, row in enumerate([0, 1, 3]):
        prompt = PROMPTS[row]
        rows = torch.tensor([prompt, [prompt[0], *[2] * (len(prompt) - 2), prompt[-1]]])
        fed = model.embed_codes(codes[place, :-1]).expand(2, -1, -1)
        hidden = model.language(torch.cat((model.embed_text(rows), fed), dim=1))
        conditional, free = model.code_logits(hidden[:, len(prompt) - 1 :])
        ours = [torch.stack([getattr(step, part)[place] for step in seen]) for part in Guided._fields]
        torch.testing.assert_close(ours[0], conditional, atol=1e-4, rtol=1e-5)
        torch.testing.assert_close(ours[1], free, atol=1e-4, rtol=1e-5)
        torch.testing.assert_close(ours[2], free + 3.0 * (conditional - free), atol=5e-4, rtol=1e-5)


def test_the_unconditional_row() -> None:
    assert unconditional([0, 30, 31, 32, 11], 2) == [0, 2, 2, 2, 11]
    assert unconditional([0, 11], 2) == [0, 11]


def test_inverse_cdf_by_hand() -> None:
    probabilities = torch.tensor([[0.1, 0.2, 0.0, 0.7]]).repeat(6, 1)
    pick = InverseCDF(range(6), 1, 1.0, CPU)
    pick.uniforms[:, 0] = torch.tensor([0.0, 0.0999999, 0.1000001, 0.2999999, 0.3000001, 1 - 2**-53])
    chosen = pick(0, torch.arange(6), probabilities.log())
    assert chosen.tolist() == [0, 0, 1, 1, 3, 3], "an id of probability 0 is never drawn"
    assert pick(0, torch.tensor([4, 0]), probabilities[:2].log()).tolist() == [3, 0], "rows keep their own streams"


def test_inverse_cdf_follows_the_probabilities() -> None:
    logits = torch.randn(12, generator=torch.Generator().manual_seed(3))
    for temperature in (0.5, 1.0, 2.0):
        count = 5_000
        pick = InverseCDF([1], count, temperature, CPU)
        rows = torch.zeros(1, dtype=torch.long)
        drawn = torch.stack([pick(step, rows, logits[None])[0] for step in range(count)])
        shares = torch.bincount(drawn, minlength=12) / count
        expected = (logits / temperature).softmax(-1)
        # Five standard deviations of a share: a wrong temperature is off by far more.
        assert ((shares - expected).abs() < 5 * (expected * (1 - expected) / count).sqrt()).all()


def test_temperature_zero_is_greedy() -> None:
    assert picker([1], 4, 0.0, CPU) is greedy
    assert greedy(0, torch.arange(2), torch.tensor([[1.0, 3.0, 2.0], [5.0, 5.0, 1.0]])).tolist() == [1, 0]


@torch.inference_mode()
def test_a_step_with_infinite_logits_is_named(model: JanusPro, make_model: Any) -> None:
    seen = 0

    def poison(step: int, rows: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        nonlocal seen
        seen = step
        return torch.full((len(rows),), 3 if step == 4 else 1)

    spoilt = make_model()
    spoilt.gen_embed.weight[3] = float("inf")
    drawn = draw_codes(spoilt, PROMPTS[:2], pad_id=2, count=8, guidance=3.0, pick=poison)
    assert drawn.broken.tolist() == [5, 5] and seen == 7


@torch.inference_mode()
def test_one_spoilt_row_takes_no_other_with_it(make_model: Any) -> None:
    spoilt = make_model()
    spoilt.language.embed_tokens.weight[40] = float("nan")
    drawn = draw_codes(spoilt, PROMPTS, pad_id=2, count=16, guidance=3.0, pick=InverseCDF(SEEDS, 16, 1.0, CPU))
    assert drawn.broken.tolist() == [-1, 0, -1, -1]
    assert torch.equal(drawn.codes[[0, 2, 3]], draw(make_model(), [0, 2, 3]))


@torch.inference_mode()
def test_pixels_are_the_same_in_every_batch(model: JanusPro) -> None:
    codes = torch.randint(64, (5, 24), generator=torch.Generator().manual_seed(4))
    together = decode_pixels(model, codes, (4, 6))
    assert together.shape == (5, 3, 16, 24)
    for row in range(5):
        assert torch.equal(decode_pixels(model, codes[row : row + 1], (4, 6))[0], together[row])


def test_bytes_are_truncated_and_clipped() -> None:
    values = torch.tensor([-2.0, -1.0, -0.5, 0.0, 0.999, 1.0, 3.0])
    pixels = values[None, None, None].expand(1, 3, 1, -1)
    assert to_bytes(pixels)[0, 0, :, 1].tolist() == [0, 0, 63, 127, 254, 255, 255]


def test_padding_on_the_left() -> None:
    ids, real = left_pad([[1, 2, 3], [4]], 9, CPU)
    assert ids.tolist() == [[1, 2, 3], [9, 9, 4]]
    assert real.tolist() == [[True, True, True], [False, False, True]]


@torch.inference_mode()
def test_padding_anywhere_is_not_seen(model: JanusPro) -> None:
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(1, 5, 32, generator=generator)
    alone = model.language(x)
    gap = torch.randn(1, 3, 32, generator=generator)
    spread = torch.cat((gap[:, :1], x[:, :2], gap[:, 1:], x[:, 2:]), dim=1)
    real = torch.tensor([[False, True, True, False, False, True, True, True]])
    torch.testing.assert_close(forward_rows(model, spread, real)[real][None], alone, atol=1e-5, rtol=1e-5)
