"""The residual discriminator of StyleGAN2 (configuration F), which GLEAN is trained against."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from microexp.superres._stylegan2 import BiasActivation, EqualLinear, EqualWeight, Filter, channels_at

_GROUP = 4  # pictures whose features are compared with one another


class EqualConv(nn.Module):
    """A convolution with equalised weights, without bias.

    Parameters
    ----------
    inputs, outputs, size : int
        Channels, and side of the kernel.
    stride : int
        1, which keeps the size, or 2, which goes without padding.
    """

    def __init__(self, inputs: int, outputs: int, size: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = EqualWeight(outputs, inputs, size, size)
        self.stride, self.padding = stride, size // 2 if stride == 1 else 0

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, outputs, H', W')`` of ``(N, inputs, H, W)``."""
        return F.conv2d(x, self.conv(), stride=self.stride, padding=self.padding)


def _layer(inputs: int, outputs: int, size: int) -> nn.Sequential:
    return nn.Sequential(EqualConv(inputs, outputs, size), BiasActivation(outputs))


class ResidualDown(nn.Module):
    """Two convolutions to half the size, plus one of the input; parameters are channels in and out."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = _layer(inputs, inputs, 3)
        down = EqualConv(inputs, outputs, 3, stride=2)
        self.conv2 = nn.Sequential(Filter(pad=(2, 2)), down, BiasActivation(outputs))
        self.skip = nn.Sequential(Filter(pad=(1, 1)), EqualConv(inputs, outputs, 1, stride=2))

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, outputs, H/2, W/2)``."""
        return (self.conv2(self.conv1(x)) + self.skip(x)) / math.sqrt(2)


def with_deviation(x: Tensor) -> Tensor:
    """Append a map of how much pictures differ: the mean standard deviation within groups of them.

    Groups are of 4, or of 2 or 1 where the number of pictures is no multiple.
    """
    count, channels, height, width = x.shape
    group = math.gcd(count, _GROUP)
    variance = x.reshape(group, -1, channels, height, width).var(dim=0, unbiased=False)
    deviation = (variance + 1e-8).sqrt().mean(dim=(1, 2, 3))
    return torch.cat([x, deviation.repeat(group)[:, None, None, None].expand(-1, 1, height, width)], dim=1)


class StyleGAN2Discriminator(nn.Module):
    """The discriminator, ``(N, 3, size, size)`` in [0, 1] to logits ``(N, 1)``: positive for real pictures.

    Parameters
    ----------
    size : int
        Height and width of the pictures, a power of 2 from 8.
    channels : int
        Of maps up to 64 x 64, see `channels_at`.
    """

    def __init__(self, size: int = 1024, channels: int = 512) -> None:
        super().__init__()
        widths = [channels_at(2**n, channels) for n in range(size.bit_length() - 1, 1, -1)]
        self.convs = nn.Sequential(_layer(3, widths[0], 1), *map(ResidualDown, widths, widths[1:]))
        self.final_conv = _layer(channels + 1, channels, 3)
        self.final_linear = nn.Sequential(
            EqualLinear(16 * channels, channels, activate=True), EqualLinear(channels, 1)
        )

    def forward(self, pictures: Tensor) -> Tensor:
        """Return the logits."""
        x = self.final_conv(with_deviation(self.convs(2 * pictures - 1)))
        return self.final_linear(x.flatten(1))
