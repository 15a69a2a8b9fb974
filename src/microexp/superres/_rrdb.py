"""Residual-in-residual dense blocks, and the networks made of them: ESRGAN's, and idealo's RRDN."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from microexp.networks.tensors import pad_edges
from microexp.superres._layers import conv3, small_weights

_SLOPE = 0.2  # of every leaky rectifier of ESRGAN
_RESIDUAL = 0.2  # factor on every residual


class DenseBlock(nn.Module):
    """Five convolutions, each of all that came before it; the last, times 0.2, is added to the input.

    Parameters
    ----------
    channels : int
        In and out.
    growth : int
        Channels that each of the first four convolutions adds.
    slope : float
        Of the leaky rectifiers; 0 for plain ones.
    """

    def __init__(self, channels: int = 64, growth: int = 32, slope: float = _SLOPE) -> None:
        super().__init__()
        self.slope = slope
        self.conv1 = conv3(channels, growth)
        self.conv2 = conv3(channels + growth, growth)
        self.conv3 = conv3(channels + 2 * growth, growth)
        self.conv4 = conv3(channels + 3 * growth, growth)
        self.conv5 = conv3(channels + 4 * growth, channels)
        small_weights(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, C, H, W)`` of the same."""
        known = x
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            known = torch.cat([known, F.leaky_relu(conv(known), self.slope)], dim=1)
        return x + _RESIDUAL * self.conv5(known)


class RRDB(nn.Module):
    """Three dense blocks, times 0.2, plus the input (ESRGAN, section 3.1); parameters as `DenseBlock`."""

    def __init__(self, channels: int = 64, growth: int = 32, slope: float = _SLOPE) -> None:
        super().__init__()
        self.rdb1 = DenseBlock(channels, growth, slope)
        self.rdb2 = DenseBlock(channels, growth, slope)
        self.rdb3 = DenseBlock(channels, growth, slope)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, C, H, W)`` of the same."""
        return x + _RESIDUAL * self.rdb3(self.rdb2(self.rdb1(x)))


class RRDBFeatures(nn.Module):
    """Features of a picture, ``(N, inputs, H, W)`` to ``(N, channels, H, W)``.

    Parameters
    ----------
    inputs : int
        Channels of the picture.
    channels, blocks, growth : int
        Features, number of `RRDB` and their growth.
    slope : float
        Of the leaky rectifiers in the blocks; 0 for plain ones.
    """

    def __init__(
        self,
        inputs: int = 3,
        channels: int = 64,
        blocks: int = 23,
        growth: int = 32,
        slope: float = _SLOPE,
    ) -> None:
        super().__init__()
        self.conv_first = conv3(inputs, channels)
        self.body = nn.Sequential(*[RRDB(channels, growth, slope) for _ in range(blocks)])
        self.conv_body = conv3(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return the features."""
        x = self.conv_first(x)
        return x + self.conv_body(self.body(x))


class RRDBNetModule(RRDBFeatures):
    """The network, ``(N, 3, H, W)`` in [0, 1] to ``(N, 3, s H, s W)``, of any height and width.

    It always enlarges four times; for smaller scales the picture is first folded into channels, after it was
    continued by its last row and column to a multiple of 2 (scale 2) or 4 (scale 1).

    Parameters
    ----------
    scale : int
        1, 2 or 4.
    channels, blocks, growth : int
        Features, number of `RRDB` and their growth.
    """

    def __init__(self, scale: int = 4, channels: int = 64, blocks: int = 23, growth: int = 32) -> None:
        self.scale, self.fold = scale, 4 // scale
        super().__init__(3 * self.fold**2, channels, blocks, growth)
        self.conv_up1 = conv3(channels, channels)
        self.conv_up2 = conv3(channels, channels)
        self.conv_hr = conv3(channels, channels)
        self.conv_last = conv3(channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Return the enlarged pictures."""
        height, width = x.shape[-2:]
        x = F.pixel_unshuffle(pad_edges(x, -height % self.fold, -width % self.fold), self.fold)
        x = super().forward(x)
        for conv in (self.conv_up1, self.conv_up2):
            x = F.leaky_relu(conv(F.interpolate(x, scale_factor=2, mode="nearest")), _SLOPE)
        x = self.conv_last(F.leaky_relu(self.conv_hr(x), _SLOPE))
        return x[..., : height * self.scale, : width * self.scale]


class RRDNModule(RRDBFeatures):
    """RRDN of idealo's image-super-resolution, ``(N, 3, H, W)`` in [0, 1] to ``(N, 3, s H, s W)``.

    Its blocks have plain rectifiers, and it enlarges at the end by one pixel shuffle, to three channels.

    Parameters
    ----------
    scale : int
        Any.
    channels, blocks, growth : int
        Features, number of `RRDB` and their growth.
    """

    def __init__(self, scale: int = 4, channels: int = 64, blocks: int = 10, growth: int = 32) -> None:
        super().__init__(3, channels, blocks, growth, slope=0.0)
        self.scale = scale
        self.conv_up = conv3(channels, 3 * scale**2)
        self.conv_last = conv3(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Return the enlarged pictures."""
        return self.conv_last(F.pixel_shuffle(self.conv_up(super().forward(x)), self.scale))
