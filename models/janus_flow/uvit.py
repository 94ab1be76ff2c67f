"""The shallow encoder and decoder between latents and the language model, with ConvNeXt blocks that know the time.

Shapes: B images, C latent channels, H x W latents, h x w tokens, D width, E hidden size of the language model.
Source: JanusFlow (arXiv 2411.07975), section 3.2 and Figure 2; blocks: ConvNeXt V2 (arXiv 2301.00808).
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from janus_eval.models.janus_flow.config import GenDecoderConfig, GenEncoderConfig
from janus_eval.models.parts.llama import RMSNorm


class GenEncoder(nn.Module):
    def __init__(self, config: GenEncoderConfig, hidden_size: int) -> None:
        super().__init__()
        self.config = config
        self.time1 = nn.Linear(config.width, hidden_size, bias=config.bias)
        self.time2 = nn.Linear(hidden_size, hidden_size, bias=config.bias)
        # This convolution has a bias whatever the configuration says.
        self.patch = nn.Conv2d(
            config.latent_channels, config.width, config.kernel_size, stride=config.stride, padding=config.padding
        )
        self.blocks = nn.ModuleList(
            Block(config.width, hidden_size, config.norm_eps, config.bias) for _ in range(config.blocks)
        )

    def forward(self, latents: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
        """Latents ``[B, C, H, W]`` at times ``[B]`` (0 to 1000) -> features ``[B, D, h, w]``, times ``[B, E]``."""
        time = self.time2(F.silu(self.time1(sinusoids(times, self.config.width).to(latents.dtype))))
        x = self.patch(latents)
        for block in self.blocks:
            x = block(x, time)
        return x, time


class GenDecoder(nn.Module):
    def __init__(self, config: GenDecoderConfig, hidden_size: int) -> None:
        super().__init__()
        joined = config.width + config.skip_width
        self.norm = RMSNorm(config.width, config.norm_eps)
        self.blocks = nn.ModuleList(
            Block(joined, hidden_size, config.norm_eps, config.bias) for _ in range(config.blocks)
        )
        widths = [joined] + [config.skip_width] * (config.upsamples - 1) + [config.latent_channels]
        self.ups = nn.ModuleList(
            Unpatch(inner, outer, config.norm_eps, config.bias) for inner, outer in itertools.pairwise(widths)
        )

    def forward(self, x: Tensor, skip: Tensor, time: Tensor) -> Tensor:
        """Features ``[B, D, h, w]``, the encoder's own for the long skip, times ``[B, E]`` -> ``[B, C, H, W]``."""
        x = torch.cat((channels_last(self.norm, x), skip), dim=1)
        for block in self.blocks:
            x = block(x, time)
        for up in self.ups:
            x = up(x)
        return x


class Block(nn.Module):
    """ConvNeXt V2 with a residual, then scaled and shifted by the time."""

    def __init__(self, width: int, hidden_size: int, eps: float, bias: bool) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, 7, padding=3, groups=width, bias=bias)
        self.norm = RMSNorm(width, eps)
        self.fc1 = nn.Linear(width, 4 * width, bias=bias)
        self.response = ResponseNorm(4 * width)
        self.fc2 = nn.Linear(4 * width, width, bias=bias)
        self.time = nn.Linear(hidden_size, 2 * width, bias=bias)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        y = self.norm(self.depthwise(x).movedim(1, -1))
        y = self.fc2(self.response(F.gelu(self.fc1(y))))
        scale, shift = self.time(F.silu(time))[:, :, None, None].chunk(2, dim=1)
        return (x + y.movedim(-1, 1)) * (1 + scale) + shift


class ResponseNorm(nn.Module):
    """Global response normalisation over a picture's places; x is ``[B, h, w, D]``."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, 1, 1, width))
        self.bias = nn.Parameter(torch.zeros(1, 1, 1, width))

    def forward(self, x: Tensor) -> Tensor:
        size = x.norm(p=2, dim=(1, 2), keepdim=True)
        relative = size / (size.mean(dim=-1, keepdim=True) + 1e-6)
        return x * (1 + self.weight * relative) + self.bias


class Unpatch(nn.Module):
    """Twice the size: each place becomes a square of two by two."""

    def __init__(self, inner: int, outer: int, eps: float, bias: bool) -> None:
        super().__init__()
        self.norm = RMSNorm(inner, eps)
        self.conv = nn.Conv2d(inner, 4 * outer, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.conv(channels_last(self.norm, x)), 2)


def channels_last(module: nn.Module, x: Tensor) -> Tensor:
    """Apply a module of ``[..., D]`` to ``[B, D, h, w]``."""
    y: Tensor = module(x.movedim(1, -1)).movedim(-1, 1)
    return y


def sinusoids(times: Tensor, width: int) -> Tensor:
    """Times ``[B]`` -> ``[B, D]`` in float32: cosines, then sines, of frequencies from 1 down to 1/10000."""
    half = width // 2
    exponents = torch.arange(half, dtype=torch.float32, device=times.device) / half
    angles = times.float()[:, None] * torch.exp(-math.log(10000.0) * exponents)
    return F.pad(torch.cat((angles.cos(), angles.sin()), dim=-1), (0, width % 2))
