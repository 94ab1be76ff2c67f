"""The VQ image tokenizer that Janus-Pro draws with (LlamaGen's, arXiv 2406.06525, section 3.1).

Shapes: B images, S image side, G = S / downsampling latent side, Z latent channels, D code dimension, V codebook size.
An image ``[B, 3, S, S]`` in [-1, 1] becomes G x G codes, each the index of the nearest of V unit vectors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class VQConfig:
    """Sizes of the tokenizer; the defaults are VQ-16's, which DeepSeek's configurations name and do not spell out."""

    codebook_size: int = 16384
    codebook_dim: int = 8
    channels: int = 128
    encoder_multipliers: tuple[int, ...] = (1, 1, 2, 2, 4)
    decoder_multipliers: tuple[int, ...] = (1, 1, 2, 2, 4)
    latent_channels: int = 256
    res_blocks: int = 2
    norm_groups: int = 32

    @property
    def downsampling(self) -> int:
        return int(2 ** (len(self.encoder_multipliers) - 1))


class Quantized(NamedTuple):
    """Latents ``[B, D, G, G]`` of unit length before and after rounding to the codebook, and code ids ``[B, G, G]``."""

    before: Tensor
    after: Tensor
    codes: Tensor


class VQTokenizer(nn.Module):
    def __init__(self, config: VQConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.quant_conv = nn.Conv2d(config.latent_channels, config.codebook_dim, 1)
        self.codebook = nn.Embedding(config.codebook_size, config.codebook_dim)
        self.post_quant_conv = nn.Conv2d(config.codebook_dim, config.latent_channels, 1)
        self.decoder = Decoder(config)

    def latents(self, images: Tensor) -> Tensor:
        """Images ``[B, 3, S, S]`` in [-1, 1] -> latents before normalisation and rounding ``[B, D, G, G]``."""
        latents: Tensor = self.quant_conv(self.encoder(images))
        return latents

    def quantize(self, latents: Tensor) -> Quantized:
        """Round latents ``[B, D, G, G]`` to the nearest codes."""
        before = F.normalize(latents.movedim(1, -1), dim=-1)
        book = self.unit_codebook()
        # The distance between unit vectors falls as their product rises. The terms of |a - b|^2 are kept all the same:
        # a code that float rounding leaves a little short of unit length would otherwise win other ties than published.
        distances = (before**2).sum(-1, keepdim=True) + (book**2).sum(-1) - 2 * before @ book.T
        codes = distances.argmin(-1)
        return Quantized(before.movedim(-1, 1), F.embedding(codes, book).movedim(-1, 1), codes)

    def encode(self, images: Tensor) -> Tensor:
        """Images ``[B, 3, S, S]`` in [-1, 1] -> code ids ``[B, G, G]``."""
        return self.quantize(self.latents(images)).codes

    def decode(self, quantized: Tensor) -> Tensor:
        """Quantized latents ``[B, D, G, G]`` -> images ``[B, 3, S, S]``, about [-1, 1], not clipped."""
        images: Tensor = self.decoder(self.post_quant_conv(quantized))
        return images

    def decode_codes(self, codes: Tensor) -> Tensor:
        """Code ids ``[B, G, G]`` -> images ``[B, 3, S, S]``, about [-1, 1], not clipped."""
        return self.decode(F.embedding(codes, self.unit_codebook()).movedim(-1, 1))

    def unit_codebook(self) -> Tensor:
        """The codebook ``[V, D]`` on the unit sphere. Stored rows need not be: they are normalised at every use."""
        return F.normalize(self.codebook.weight, dim=-1)


class Encoder(nn.Module):
    def __init__(self, config: VQConfig) -> None:
        super().__init__()
        widths = [config.channels * multiplier for multiplier in config.encoder_multipliers]
        self.conv_in = nn.Conv2d(3, config.channels, 3, padding=1)
        self.levels = nn.ModuleList()
        width = config.channels
        for depth, out in enumerate(widths):
            last = depth == len(widths) - 1
            resample = None if last else Downsample(out)
            self.levels.append(Level(width, out, config.res_blocks, config.norm_groups, last, resample))
            width = out
        self.mid = middle(width, config.norm_groups)
        self.norm_out = nn.GroupNorm(config.norm_groups, width, eps=1e-6)
        self.conv_out = nn.Conv2d(width, config.latent_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_in(x)
        for level in self.levels:
            x = level(x)
        return self.conv_out(F.silu(self.norm_out(self.mid(x))))


class Decoder(nn.Module):
    def __init__(self, config: VQConfig) -> None:
        super().__init__()
        widths = [config.channels * multiplier for multiplier in reversed(config.decoder_multipliers)]
        width = widths[0]
        self.conv_in = nn.Conv2d(config.latent_channels, width, 3, padding=1)
        self.mid = middle(width, config.norm_groups)
        self.levels = nn.ModuleList()
        for depth, out in enumerate(widths):
            resample = None if depth == len(widths) - 1 else Upsample(out)
            # One block a level more than the encoder has.
            self.levels.append(Level(width, out, config.res_blocks + 1, config.norm_groups, depth == 0, resample))
            width = out
        self.norm_out = nn.GroupNorm(config.norm_groups, width, eps=1e-6)
        self.conv_out = nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.mid(self.conv_in(x))
        for level in self.levels:
            x = level(x)
        return self.conv_out(F.silu(self.norm_out(x)))


class Level(nn.Module):
    """Residual blocks at one resolution, with attention after each at the smallest; then a change of resolution."""

    def __init__(
        self, width: int, out: int, blocks: int, groups: int, attention: bool, resample: nn.Module | None
    ) -> None:
        super().__init__()
        self.res = nn.ModuleList(ResBlock(width if k == 0 else out, out, groups) for k in range(blocks))
        self.attn = nn.ModuleList(SpatialAttention(out, groups) for _ in range(blocks if attention else 0))
        self.resample = resample

    def forward(self, x: Tensor) -> Tensor:
        for k, block in enumerate(self.res):
            x = block(x)
            if self.attn:
                x = self.attn[k](x)
        return x if self.resample is None else self.resample(x)


def middle(width: int, groups: int) -> nn.Sequential:
    return nn.Sequential(
        ResBlock(width, width, groups), SpatialAttention(width, groups), ResBlock(width, width, groups)
    )


class ResBlock(nn.Module):
    def __init__(self, width: int, out: int, groups: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, width, eps=1e-6)
        self.conv1 = nn.Conv2d(width, out, 3, padding=1)
        self.norm2 = nn.GroupNorm(groups, out, eps=1e-6)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1)
        self.shortcut = nn.Identity() if width == out else nn.Conv2d(width, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        return self.shortcut(x) + self.conv2(F.silu(self.norm2(h)))


class SpatialAttention(nn.Module):
    """One head over all positions of a ``[B, C, G, G]`` map."""

    def __init__(self, width: int, groups: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, width, eps=1e-6)
        self.qkv = nn.Conv2d(width, 3 * width, 1)
        self.proj_out = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        queries, keys, values = self.qkv(self.norm(x)).flatten(2).transpose(1, 2).chunk(3, dim=-1)
        attended = F.scaled_dot_product_attention(queries, keys, values)
        return x + self.proj_out(attended.transpose(1, 2).reshape(x.shape))


class Downsample(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        # Padded at the right and the bottom only: what the published weights were trained with.
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Upsample(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
