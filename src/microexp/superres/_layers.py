"""Parts that several networks share, with the parameter names of the widest used code base."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from microexp.errors import OptionError


def conv3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    """Return a 3x3 convolution that keeps the size (halves it with stride 2)."""
    return nn.Conv2d(inputs, outputs, 3, stride, 1)


def small_weights(module: nn.Module, factor: float = 0.1) -> None:
    """Draw the convolutions' weights by Kaiming's normal rule (fan in), times a factor; biases are 0."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
            layer.weight.data *= factor
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


class ResidualBlock(nn.Module):
    """Convolution, ReLU, convolution, times a factor, plus the input; no batch norm.

    Parameters
    ----------
    channels : int
        In and out.
    res_scale : float
        The factor.
    """

    def __init__(self, channels: int = 64, res_scale: float = 1.0) -> None:
        super().__init__()
        self.res_scale = res_scale
        self.conv1 = conv3(channels, channels)
        self.conv2 = conv3(channels, channels)
        if res_scale == 1.0:
            small_weights(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, C, H, W)`` of the same."""
        return x + self.res_scale * self.conv2(F.relu(self.conv1(x)))


class PixelShuffleUp(nn.Module):
    """A convolution to ``factor**2`` times the channels, rearranged to a map `factor` times as large."""

    def __init__(self, inputs: int, outputs: int, factor: int = 2) -> None:
        super().__init__()
        self.factor = factor
        self.upsample_conv = conv3(inputs, outputs * factor**2)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, outputs, f H, f W)`` of ``(N, inputs, H, W)``."""
        return F.pixel_shuffle(self.upsample_conv(x), self.factor)


def shuffle_factors(scale: int) -> list[int]:
    """Return the factors of the pixel shuffles that enlarge by `scale`: one 3, or twos.

    Raises
    ------
    OptionError
        If the scale is neither 3 nor a power of 2 from 2 on.
    """
    if scale == 3:
        return [3]
    if scale < 2 or scale & (scale - 1):
        raise OptionError(f"pixel shuffles enlarge by 3 or a power of 2, not by {scale}")
    return [2] * (scale.bit_length() - 1)


def enlarged(x: Tensor, scale: int, mode: str = "bilinear") -> Tensor:
    """Return pictures `scale` times as large, by PyTorch's interpolation without aligned corners."""
    return F.interpolate(x, scale_factor=scale, mode=mode, align_corners=False)
