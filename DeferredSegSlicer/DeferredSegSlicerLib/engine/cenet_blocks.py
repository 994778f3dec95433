"""The blocks of CENet: step up, edge-boosted skip (DSEB) and context aggregation (CFAM)."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

EDGE_SCALES = (0.8, 0.4)
"""Scales whose detail is compared to find edges."""

_LAMBDA_START = 0.8


class UpBlock(nn.Module):
    """Twice the resolution: nearest, depth-wise 3 x 3, normalization, leaky ReLU, channel shuffle, 1 x 1."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.depthwise = nn.Sequential(
            nn.Upsample(scale_factor=2, mode="nearest"),
            nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
            nn.BatchNorm2d(channels),
            nn.LeakyReLU(inplace=True),
            nn.ChannelShuffle(4 if channels % 4 == 0 else 1),
        )
        self.mix = nn.Conv2d(channels, out, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, channels, h, w) to (B, out, 2h, 2w)."""
        result: torch.Tensor = self.mix(self.depthwise(x))
        return result


class ResidualBlock(nn.Module):
    """Two convolutions and a 1 x 1 shortcut."""

    def __init__(self, channels: int, out: int, kernel: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, out, kernel, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(out),
            nn.LeakyReLU(inplace=True),
            nn.Conv2d(out, out, kernel, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(out),
        )
        self.shortcut = nn.Conv2d(channels, out, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, channels, h, w) to (B, out, h, w)."""
        return functional.leaky_relu(self.body(x) + self.shortcut(x))


class EdgeBoostedSkip(nn.Module):
    """DSEB in its concatenating mode: what of an encoder's map matters to the decoder, with edges brought out.

    y = [decoder, skip]; result = 1 x 1 (y + edges(y) + attention(y) y) + skip, where edges(y) contains y once more.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.edge_weight = nn.Parameter(torch.ones(1, 2 * channels, 1, 1))
        self.attention = DifferentialAttention(2 * channels, heads)
        self.mix = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, skip: torch.Tensor, decoder: torch.Tensor) -> torch.Tensor:
        """Two maps (B, C, h, w) to one (B, C, h, w)."""
        y = torch.cat([decoder, skip], dim=1)
        details = [(y - _blurred(y, scale)).abs() for scale in EDGE_SCALES]
        pairs = [(a - b).abs() for n, a in enumerate(details) for b in details[n + 1 :]]
        edges = y + self.edge_weight * torch.stack(pairs).mean(dim=0)
        result: torch.Tensor = self.mix(y + edges + self.attention(y) * y) + skip
        return result


class DifferentialAttention(nn.Module):
    """Multi-head attention whose map is the difference of two softmaxes, over all places of a map.

    Source: Ye et al. 2024, Differential Transformer. One learned factor for each head, starting at 0.8.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        if channels % (2 * heads):
            raise ValueError(f"{channels} channels cannot be split over {heads} heads of two halves")
        self.heads = heads
        self.project = nn.Linear(channels, 3 * channels, bias=False)
        self.norm = nn.LayerNorm(channels // heads)
        self.factor = nn.Parameter(torch.full((1, heads, 1, 1), _LAMBDA_START))
        self.out = nn.Linear(channels, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, h, w) to the same."""
        batch, channels, height, width = x.shape
        tokens = self.project(x.flatten(2).transpose(1, 2))
        query, key, value = tokens.reshape(batch, height * width, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        (q1, q2), (k1, k2) = query.chunk(2, dim=-1), key.chunk(2, dim=-1)
        seen = functional.scaled_dot_product_attention(q1, k1, value)
        seen = seen - self.factor * functional.scaled_dot_product_attention(q2, k2, value)
        seen = self.norm(seen) * (1 - _LAMBDA_START)
        result: torch.Tensor = self.out(seen.transpose(1, 2).reshape(batch, height * width, channels))
        return result.transpose(1, 2).reshape(x.shape)


class ContextAggregation(nn.Module):
    """CFAM: x + g1 attention(norm x), then x + g2 MLP(norm x); both factors start at 1e-6."""

    def __init__(self, channels: int, rates: tuple[int, int, int]) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)])
        self.attention = MultiScaleAttention(channels, rates)
        self.mlp = RecalibratedMlp(channels)
        self.factors = nn.ParameterList([nn.Parameter(torch.full((1, channels, 1, 1), 1e-6)) for _ in range(2)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, h, w) to the same."""
        x = x + self.factors[0] * self.attention(self.norms[0](x))
        result: torch.Tensor = x + self.factors[1] * self.mlp(self.norms[1](x))
        return result


class MultiScaleAttention(nn.Module):
    """Gate times value, where the value looks at three dilations and a pooled branch, then a non-local block.

    Channels are split 5 : 5 : 5 : 1. Chosen here: the pooled branch is a 3 x 3 average, the non-local block has half
    the channels and a learned weight that starts at 0.
    """

    def __init__(self, channels: int, rates: tuple[int, int, int]) -> None:
        super().__init__()
        large = channels * 5 // 16
        self.parts = [large, large, large, channels - 3 * large]
        self.recalibrate = nn.Conv1d(channels, channels, 3, groups=channels)
        self.gate = nn.Conv2d(channels, channels, 1)
        self.branches = nn.ModuleList(
            [
                nn.Sequential(
                    nn.Conv2d(large, large, 3, padding=rate, dilation=rate, groups=large), nn.Conv2d(large, large, 1)
                )
                for rate in rates
            ]
        )
        self.pooled = nn.Sequential(nn.AvgPool2d(3, 1, 1), nn.Conv2d(self.parts[3], self.parts[3], 1))
        self.mix = nn.Conv2d(channels, channels, 1)
        inner = max(1, channels // 2)
        self.seek = nn.Conv2d(channels, 3 * inner, 1)
        self.found = nn.Conv2d(inner, channels, 1)
        self.non_local_weight = nn.Parameter(torch.zeros(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, h, w) to the same."""
        flat = x.flatten(2)
        statistics = torch.stack([flat.amax(2), flat.mean(2), flat.std(2, correction=0)], dim=2)
        y = x * torch.sigmoid(self.recalibrate(statistics)).unsqueeze(-1)
        pieces = torch.split(y, self.parts, dim=1)
        value = torch.cat([branch(p) for branch, p in zip([*self.branches, self.pooled], pieces, strict=True)], dim=1)
        y = x + self.mix(functional.silu(self.gate(y)) * functional.silu(value))
        query, key, content = self.seek(y).flatten(2).transpose(1, 2).unsqueeze(1).chunk(3, dim=-1)
        seen = functional.scaled_dot_product_attention(query, key, content)[:, 0].transpose(1, 2)
        result: torch.Tensor = y + self.non_local_weight * self.found(seen.reshape(len(x), -1, *x.shape[2:]))
        return result


class RecalibratedMlp(nn.Module):
    """1 x 1 to four times the channels, depth-wise 3 x 3, GELU, spatial recalibration, 1 x 1.

    Recalibration: sigmoid of a 7 x 7 convolution (chosen here) of the maximum, mean and deviation over channels.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        wide = 4 * channels
        self.widen = nn.Sequential(
            nn.Conv2d(channels, wide, 1), nn.Conv2d(wide, wide, 3, padding=1, groups=wide), nn.GELU()
        )
        self.recalibrate = nn.Conv2d(3, 1, 7, padding=3)
        self.narrow = nn.Conv2d(wide, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, h, w) to the same."""
        y = self.widen(x)
        statistics = torch.stack([y.amax(1), y.mean(1), y.std(1, correction=0)], dim=1)
        result: torch.Tensor = self.narrow(y * torch.sigmoid(self.recalibrate(statistics)))
        return result


def _blurred(x: torch.Tensor, scale: float) -> torch.Tensor:
    """Down to a scale and back, bilinear."""
    size = [max(1, round(side * scale)) for side in x.shape[2:]]
    small = functional.interpolate(x, size=size, mode="bilinear", align_corners=False)
    return functional.interpolate(small, size=x.shape[2:], mode="bilinear", align_corners=False)
