"""The sampler against the long way round: every step reads the whole prompt again, pads masked, one prompt alone."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from janus_eval.models.janus_flow.adapter import JanusFlowModel
from janus_eval.models.janus_flow.flow import Conditions, Velocities, draw_latents, noise_of
from janus_eval.models.janus_flow.model import JanusFlow
from janus_eval.models.parts.llama import padded_causal_mask

PAD = 2
PROMPTS = [[0, 40, 41, 42, 11], [0, 50, 11], [0, 11], [0, 60, 61, 62, 63, 64, 65, 66, 11]]


@pytest.fixture(scope="module")
def model(flow: JanusFlowModel) -> JanusFlow:
    return flow.model


def long_way(model: JanusFlow, prompt: list[int], noise: Tensor, guidance: float, steps: int) -> Tensor:
    """As the published demo goes about it: pads stand in the unconditional row and are masked; nothing is kept."""
    z = noise[None]
    ids = torch.tensor([prompt, [prompt[0], *[PAD] * (len(prompt) - 1)]])[:, :-1]
    texts = model.embed_text(ids)
    for step in range(steps):
        noised = model.embed_latents(z.repeat(2, 1, 1, 1), torch.full((2,), 1000 * step / steps))
        x = torch.cat((texts, noised.tokens), dim=1)
        seen = torch.ones(x.shape[:2], dtype=torch.bool)
        seen[1, 1 : ids.shape[1]] = False
        hidden = model.language(x, mask=padded_causal_mask(seen, x.shape[1]))[:, -16:]
        conditional, free = model.velocity(hidden, noised.skip, noised.time).chunk(2)
        z = z + (guidance * conditional + (1 - guidance) * free) / steps
    return z[0]


@torch.inference_mode()
@pytest.mark.parametrize(("guidance", "steps"), [(2.0, 4), (1.0, 1), (5.0, 7), (0.0, 2)])
def test_prompts_side_by_side_are_drawn_as_each_alone(model: JanusFlow, guidance: float, steps: int) -> None:
    noise = noise_of([1, 2, 3, 4], (4, 8, 8))
    drawn = draw_latents(model, PROMPTS, noise, pad_id=PAD, guidance=guidance, steps=steps)
    for prompt, image, found in zip(PROMPTS, noise, drawn.latents, strict=True):
        torch.testing.assert_close(found, long_way(model, prompt, image, guidance, steps), atol=1e-4, rtol=0)
    assert drawn.broken.tolist() == [-1] * 4
    if guidance:
        assert len({tuple(latents.flatten().tolist()) for latents in drawn.latents}) == 4


@torch.inference_mode()
def test_the_prompt_moves_the_picture_only_through_guidance(model: JanusFlow) -> None:
    noise = noise_of([1, 1], (4, 8, 8))
    same_length = [[0, 40, 41, 11], [0, 50, 51, 11]]
    free = draw_latents(model, same_length, noise, pad_id=PAD, guidance=0.0, steps=2).latents
    torch.testing.assert_close(free[0], free[1], atol=1e-5, rtol=0)
    guided = draw_latents(model, same_length, noise, pad_id=PAD, guidance=2.0, steps=2).latents
    assert (guided[0] - guided[1]).abs().max() > 1e-2


@torch.inference_mode()
def test_a_prompt_is_read_once_for_all_its_images_and_steps(model: JanusFlow, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[tuple[int, int]] = []
    forward = type(model.language).forward

    def spy(self: object, x: Tensor, **more: object) -> Tensor:
        read.append(tuple(x.shape[:2]))
        return forward(self, x, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(type(model.language), "forward", spy)
    draw_latents(model, [PROMPTS[0]] * 3, noise_of([1, 2, 3], (4, 8, 8)), pad_id=PAD, guidance=2.0, steps=4)
    assert read == [(2, 4), *[(6, 17)] * 4], "one conditional and one unconditional prompt, then latents alone"


@torch.inference_mode()
def test_every_step_is_shown_and_a_thousand_run(model: JanusFlow) -> None:
    seen: list[tuple[int, Velocities]] = []
    noise = noise_of([5], (4, 8, 8))
    drawn = draw_latents(
        model, [PROMPTS[1]], noise, pad_id=PAD, guidance=2.0, steps=1000, watch=lambda *step: seen.append(step)
    )
    assert [step for step, _ in seen] == list(range(1000))
    assert torch.equal(seen[-1][1].latents, drawn.latents) and drawn.latents.isfinite().all()
    torch.testing.assert_close(seen[0][1].latents, noise + seen[0][1].mixed / 1000)


@torch.inference_mode()
def test_a_broken_image_names_its_step_and_spares_the_others(model: JanusFlow, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Conditions.velocities

    def spoilt(self: Conditions, latents: Tensor, time: float) -> tuple[Tensor, Tensor]:
        conditional, free = asked(self, latents, time)
        if time >= 500:
            conditional[1, 0, 0, 0] = math.nan
        return conditional, free

    noise = noise_of([1, 2], (4, 8, 8))
    whole = draw_latents(model, PROMPTS[:2], noise, pad_id=PAD, guidance=2.0, steps=4)
    monkeypatch.setattr(Conditions, "velocities", spoilt)
    drawn = draw_latents(model, PROMPTS[:2], noise, pad_id=PAD, guidance=2.0, steps=4)
    assert drawn.broken.tolist() == [-1, 2]
    torch.testing.assert_close(drawn.latents[0], whole.latents[0])


def test_noise_is_an_images_own() -> None:
    together = noise_of([7, 8, 7], (4, 8, 8))
    assert torch.equal(together[0], together[2]) and not torch.equal(together[0], together[1])
    assert torch.equal(noise_of([8], (4, 8, 8))[0], together[1])
    assert abs(float(noise_of(range(50), (4, 8, 8)).std()) - 1) < 0.02
