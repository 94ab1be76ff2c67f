"""A recorded step does what a plain one does, on whatever span of the cache, for rows of any lengths."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from janus_eval.models.janus_pro.model import JanusPro
from janus_eval.models.janus_pro.sampling import draw_codes
from janus_eval.models.parts import stepping
from janus_eval.models.parts.picking import picker
from janus_eval.models.parts.rows import forward_rows, left_pad, new_cache
from janus_eval.models.parts.stepping import Advance, GraphRecorder, PlainSteps, RecordedSteps

STEPS = 150
CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


class Again:
    """Records by keeping the function: a replay runs it, and its result is where the first one stood."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self, step: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
        self.made += 1
        result = step()

        def replay() -> None:
            result.copy_(step())

        return replay, result


@pytest.fixture
def model(make_model: Any) -> JanusPro:
    found: JanusPro = make_model()
    return found


def follow(model: JanusPro, rows: list[list[int]], make: Callable[..., Advance], steps: int = STEPS) -> Tensor:
    """Logits of every step ``[steps, B, V]`` after prompts of any lengths; each step is given the same embeddings."""
    device = model.lm_head.weight.device
    ids, attended = left_pad(rows, 0, device)
    prefix = new_cache(model, len(rows), ids.shape[1])
    forward_rows(model, model.embed_text(ids), attended, prefix)
    cache = new_cache(model, len(rows), prefix.length + steps)
    cache.data.fill_(torch.nan)  # what was never written must not be seen
    cache.fill_from(prefix, torch.arange(len(rows)))
    advance = make(cache, attended)
    generator = torch.Generator().manual_seed(0)
    codes = torch.randint(model.config.vq.codebook_size, (steps, len(rows)), generator=generator).to(device)
    return torch.stack([advance(model.embed_codes(step)[:, None]) for step in codes])


@torch.inference_mode()
@pytest.mark.parametrize("rows", [[[5, 6, 7], [8, 9, 10]], [[5, 6, 7, 8, 9], [10], [11, 12]]], ids=["equal", "padded"])
def test_recorded_steps_give_what_plain_ones_give(model: JanusPro, rows: list[list[int]]) -> None:
    record = Again()
    plain = follow(model, rows, lambda cache, real: PlainSteps(model, cache, real, STEPS, model.code_logits))
    recorded = follow(model, rows, lambda cache, real: RecordedSteps(model, cache, real, model.code_logits, record))
    torch.testing.assert_close(recorded, plain, atol=2e-5, rtol=1e-4)
    assert record.made == 2  # up to 128 tokens, and to the cache's end


@torch.inference_mode()
def test_results_of_former_steps_stay(model: JanusPro) -> None:
    """A float32 model's logits are mixed without a copy: the next step must not write over them."""
    ids, attended = left_pad([[5, 6]], 0, torch.device("cpu"))
    prefix = new_cache(model, 1, 2)
    forward_rows(model, model.embed_text(ids), attended, prefix)
    cache = new_cache(model, 1, 12)
    cache.fill_from(prefix, torch.tensor([0]))
    advance = RecordedSteps(model, cache, attended, model.code_logits, Again())
    first = advance(model.embed_codes(torch.tensor([[1]])))
    kept = first.clone()
    advance(model.embed_codes(torch.tensor([[2]])))
    assert torch.equal(first, kept)


def test_a_processor_takes_plain_steps(model: JanusPro, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stepping, "RecordedSteps", None)  # calling it would raise
    pick = picker([1], 70, 1.0, torch.device("cpu"))
    with torch.inference_mode():
        assert draw_codes(model, [[1, 5, 2]], pad_id=0, count=70, guidance=2.0, pick=pick).codes.shape == (1, 70)


@CUDA
@torch.inference_mode()
def test_graphs_give_what_plain_steps_give(model: JanusPro) -> None:
    model, rows = model.cuda(), [[5, 6, 7, 8, 9], [10], [11, 12]]
    plain = follow(model, rows, lambda cache, real: PlainSteps(model, cache, real, STEPS, model.code_logits))
    recorded = follow(
        model,
        rows,
        lambda cache, real: RecordedSteps(model, cache, real, model.code_logits, GraphRecorder(cache.data.device)),
    )
    torch.testing.assert_close(recorded, plain, atol=1e-4, rtol=1e-3)


@CUDA
@torch.inference_mode()
def test_a_gpu_draws_what_the_processor_draws(model: JanusPro) -> None:
    """Greedy codes of a float32 model, through graphs, from prompts of unequal lengths."""
    asked = {"pad_id": 0, "count": 100, "guidance": 2.0, "pick": picker([0, 0], 100, 0.0, torch.device("cpu"))}
    prompts = [[1, 5, 2], [1, 6, 7, 8, 2]]
    here = draw_codes(model, prompts, **asked).codes
    there = draw_codes(model.cuda(), prompts, **asked).codes.cpu()
    assert (here == there).float().mean() > 0.9
