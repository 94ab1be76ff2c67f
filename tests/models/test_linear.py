"""Weights in blocks: the same products, row by row whatever the batch, and the same weights afterwards."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from janus_eval.models.parts.linear import LARGE, Linear, packable, packed_weights


@pytest.fixture
def large() -> Linear:
    layer = Linear(256, LARGE // 256)
    if not packable(layer.weight):
        pytest.skip("this processor's products take weights as they are")
    return layer.requires_grad_(False)


def test_products_in_blocks_agree_whatever_the_batch(large: Linear) -> None:
    x = torch.randn(32, 1, 256, generator=torch.Generator().manual_seed(0))
    plain = large(x)
    with packed_weights(large):
        packed = large(x)
        torch.testing.assert_close(packed, plain, atol=1e-5, rtol=1e-5)
        for rows in (2, 8, 31):
            assert torch.equal(large(x[:rows]), packed[:rows]), f"a product of {rows} rows differs from one of 32"


def test_weights_come_back_bit_for_bit(large: Linear) -> None:
    before, bias = large.weight.clone(), large.bias
    with pytest.raises(KeyboardInterrupt), torch.inference_mode(), packed_weights(nn.ModuleList([large]), large):
        assert large.packed is not None and large.weight.numel() == 0
        raise KeyboardInterrupt
    assert torch.equal(large.weight, before) and large.bias is bias
    large.requires_grad_(True)(torch.ones(1, 256)).sum().backward()  # and can be trained
    assert large.weight.grad is not None


def test_small_weights_and_other_types_stay_as_they_are() -> None:
    for layer in (Linear(16, 16), Linear(256, LARGE // 256, dtype=torch.bfloat16)):
        with packed_weights(layer):
            assert layer.packed is None and layer.weight.numel() > 0
