"""Answers: shared prefixes, padding and company change nothing; ends and likelihoods are those of plain reading."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from janus_eval.models.janus_pro.model import JanusPro
from janus_eval.models.parts.picking import InverseCDF, greedy
from janus_eval.models.parts.understanding import (
    Generated,
    Prompt,
    Tokens,
    continued,
    embed_images,
    embed_rows,
    generate,
    read_prompts,
)

IMAGE = 10
TOKENS = Tokens(image=IMAGE, pad=2, eos=-1)
BLOCK = (11, *[IMAGE] * 16, 12)
PROMPTS = [
    Prompt((0, 20, *BLOCK, 30, 31, 32), ("a",)),
    Prompt((0, 20, *BLOCK, 40), ("a",)),
    Prompt((0, 20, *BLOCK, 30, 31, 32), ("b",)),  # the same text about another image
    Prompt((0, 20, 21, 22, *BLOCK, 50, 51), ("a",)),  # the same image after another text
    Prompt((0, 20, *BLOCK, 13, *BLOCK, 60, 61, 62, 63), ("a", "b")),
    Prompt((0, 20, *BLOCK, 13, *BLOCK, 60, 61, 62, 63), ("b", "a")),
    Prompt((0, 70, 71)),
]


@pytest.fixture(scope="module", params=[4, 1], ids=["full heads", "one key head"])
def model(request: pytest.FixtureRequest, make_model: Any) -> JanusPro:
    found: JanusPro = make_model(num_key_value_heads=request.param)
    return found


@pytest.fixture(scope="module")
def images(model: JanusPro) -> dict[str, torch.Tensor]:
    pixels = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        return embed_images(model, dict(zip("ab", pixels, strict=True)))


def plain(model: JanusPro, prompt: Prompt, images: dict[str, torch.Tensor], count: int) -> list[int]:
    """Greedy decoding without cache, batch or sharing: the whole row again for every token."""
    ids = list(prompt.ids)
    for _ in range(count):
        x = embed_rows(model, torch.tensor([ids]), TOKENS, [images[key] for key in prompt.images])
        ids.append(int(model.text_logits(model.language(x)[0, -1]).argmax()))
    return ids[len(prompt.ids) :]


def answer(model: JanusPro, prompts: list[Prompt], images: dict[str, torch.Tensor], **more: Any) -> list[Generated]:
    settings = {"limits": [6] * len(prompts), "pick": greedy} | more
    return generate(model, prompts, images, TOKENS, **settings)


@torch.inference_mode()
def test_sharing_changes_no_answer(model: JanusPro, images: dict[str, torch.Tensor]) -> None:
    expected = [plain(model, prompt, images, 6) for prompt in PROMPTS]
    assert [new.ids for new in answer(model, PROMPTS, images)] == expected
    assert [answer(model, [prompt], images)[0].ids for prompt in PROMPTS] == expected
    assert [new.ids for new in answer(model, PROMPTS[::-1], images)] == expected[::-1]
    assert [new.ids for new in answer(model, PROMPTS * 3, images)] == expected * 3


@torch.inference_mode()
def test_sharing_changes_no_logits(model: JanusPro, images: dict[str, torch.Tensor]) -> None:
    """Closer than ids: one token of another image, or one place off, moves the logits by far more than rounding."""
    hidden = read_prompts(model, PROMPTS, images, TOKENS, room=0).hidden[:, -1]
    alone = []
    for prompt in PROMPTS:
        x = embed_rows(model, torch.tensor([prompt.ids]), TOKENS, [images[key] for key in prompt.images])
        alone.append(model.language(x)[0, -1])
    torch.testing.assert_close(hidden, torch.stack(alone), atol=2e-5, rtol=0)
    gaps = (hidden[:, None] - hidden).abs().amax(-1) + torch.eye(len(PROMPTS))
    assert gaps.min() > 1e-2, "rows that do not differ would prove nothing"


@torch.inference_mode()
def test_a_prefix_is_read_once(
    model: JanusPro, images: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, ...]] = []
    forward = model.language.forward
    monkeypatch.setattr(model.language, "forward", lambda x, **more: (seen.append(x.shape[:2]), forward(x, **more))[1])
    read_prompts(model, [PROMPTS[0], PROMPTS[1]] * 6, images, TOKENS, room=0)
    assert seen == [(1, 19), (12, 4)], "one row for the image, then only what follows it"


@torch.inference_mode()
def test_ends_and_limits(model: JanusPro, images: dict[str, torch.Tensor]) -> None:
    whole = [new.ids for new in answer(model, PROMPTS, images)]
    eos = whole[1][2]
    limits = [1, 6, 3, 6, 2, 6, 6]
    found = generate(model, PROMPTS, images, Tokens(IMAGE, 2, eos), limits=limits, pick=greedy)
    for ids, limit, new in zip(whole, limits, found, strict=True):
        kept = ids[: ids.index(eos) + 1] if eos in ids[:limit] else ids[:limit]
        assert (new.ids, new.stopped, new.broken) == (kept, eos in kept, -1)


@torch.inference_mode()
def test_a_shrinking_batch_keeps_its_rows_apart(model: JanusPro, images: dict[str, torch.Tensor]) -> None:
    whole = [new.ids for new in answer(model, PROMPTS, images)]
    limits = [6, 1, 5, 1, 2, 1, 3]
    assert [new.ids for new in answer(model, PROMPTS, images, limits=limits)] == [
        ids[:limit] for ids, limit in zip(whole, limits, strict=True)
    ]
    seeds = list(range(7))
    sampled = [new.ids for new in answer(model, PROMPTS, images, pick=InverseCDF(seeds, 6, 1.0, torch.device("cpu")))]
    pick = InverseCDF(seeds, 9, 1.0, torch.device("cpu"))
    cut = answer(model, PROMPTS, images, limits=limits, pick=pick)
    assert [new.ids for new in cut] == [ids[:limit] for ids, limit in zip(sampled, limits, strict=True)]
    alone = InverseCDF([3], 6, 1.0, torch.device("cpu"))
    assert answer(model, [PROMPTS[3]], images, limits=[6], pick=alone)[0].ids == sampled[3]


@torch.inference_mode()
def test_infinite_logits_end_their_row_alone(make_model: Any) -> None:
    model = make_model()
    expected = [new.ids for new in answer(model, [PROMPTS[6], Prompt((0, 80, 81))], {})]
    model.language.embed_tokens.weight[80] = float("inf")
    found = answer(model, [PROMPTS[6], Prompt((0, 80, 81))], {})
    assert (found[0].ids, found[0].broken) == (expected[0], -1)
    assert (len(found[1].ids), found[1].broken) == (1, 0)


@torch.inference_mode()
def test_likelihoods_are_those_of_plain_reading(model: JanusPro, images: dict[str, torch.Tensor]) -> None:
    rows = [(prompt, words) for prompt in PROMPTS for words in ([90], [91, 92, 93])]
    rows += [(PROMPTS[0], answer(model, PROMPTS[:1], images)[0].ids[:2])]
    found = continued(model, [prompt for prompt, _ in rows], [words for _, words in rows], images, TOKENS)
    for (prompt, words), value in zip(rows, found, strict=True):
        ids = torch.tensor([[*prompt.ids, *words]])
        x = embed_rows(model, ids, TOKENS, [images[key] for key in prompt.images])
        logits = model.text_logits(model.language(x))[0, len(prompt.ids) - 1 : -1].log_softmax(-1)
        expected = sum(float(logits[k, word]) for k, word in enumerate(words))
        assert value.likelihood == pytest.approx(expected, abs=1e-4)
        assert value.tokens == len(words)
        assert value.greedy == (logits.argmax(-1).tolist() == words)
    assert found[-1].greedy
    # A distribution: over every continuation of one token, probabilities sum to 1.
    vocabulary = list(range(model.config.language.vocab_size))
    total = continued(model, [PROMPTS[0]] * len(vocabulary), [[token] for token in vocabulary], images, TOKENS)
    assert sum(math.exp(one.likelihood) for one in total) == pytest.approx(1.0, abs=1e-5)
