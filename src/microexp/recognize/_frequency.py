"""Units that attend to the frequency bands of feature maps: by wavelets (BOWAM), by Fourier, by energy."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from microexp.errors import UnknownNameError
from microexp.recognize._wavelets import check_wavelet, dwt2, idwt2

FREQUENCIES = ("wavelet", "fourier", "stfa", "none")
KERNEL = 7  # of the depthwise convolution


class ChannelAttention(nn.Module):
    """Weights in (0, 1) of the channels, of their means and maxima (BOWAM, eq. 5).

    Parameters
    ----------
    channels : int
        Channels C.
    ratio : int
        The perceptron has ``max(1, C // ratio)`` hidden units and no bias.
    shared : bool
        One perceptron for means and maxima, or one each.
    """

    def __init__(self, channels: int, ratio: int = 16, shared: bool = True) -> None:
        super().__init__()
        self.of_mean = _perceptron(channels, ratio)
        self.of_max = self.of_mean if shared else _perceptron(channels, ratio)

    def forward(self, maps: Tensor) -> Tensor:
        """``(N, C, H, W)`` to the same, weighted."""
        weight = self.of_mean(maps.mean((2, 3))) + self.of_max(maps.amax((2, 3)))
        return maps * torch.sigmoid(weight)[:, :, None, None]


class SpatialAttention(nn.Module):
    """Weights in (0, 1) of the places, of the mean and the maximum over the channels (BOWAM, eq. 3).

    Parameters
    ----------
    kernel : int
        Side of the convolution, odd.
    """

    def __init__(self, kernel: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, kernel, padding=kernel // 2, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        """``(N, C, H, W)`` to the same, weighted."""
        summary = torch.cat((maps.mean(1, keepdim=True), maps.amax(1, keepdim=True)), dim=1)
        return maps * torch.sigmoid(self.conv(summary))


class WaveletAttention(nn.Module):
    """Spatial attention on LL, channel attention on LH, HL, HH together, and back (BOWAM, eq. 2-6).

    Maps with an odd side are resized (bilinear) to one pixel less and back; a side of 1 to 2 and back.

    Parameters
    ----------
    wavelet : str
        Any discrete wavelet of PyWavelets.
    spatial, channel : nn.Module
        Attention to the low band (C channels) and to the three high bands (3 C channels).
    """

    def __init__(self, wavelet: str, spatial: nn.Module, channel: nn.Module) -> None:
        super().__init__()
        check_wavelet(wavelet)
        self.wavelet, self.spatial, self.channel = wavelet, spatial, channel

    def forward(self, maps: Tensor) -> Tensor:
        """``(N, C, H, W)`` to the same shape."""
        size = list(maps.shape[-2:])
        even = [max(2, side - side % 2) for side in size]
        if even != size:
            maps = F.interpolate(maps, even, mode="bilinear", align_corners=False)
        low, *high = dwt2(maps, self.wavelet)
        lh, hl, hh = self.channel(torch.cat(high, dim=1)).chunk(3, dim=1)
        maps = idwt2((self.spatial(low), lh, hl, hh), self.wavelet)
        return maps if even == size else F.interpolate(maps, size, mode="bilinear", align_corners=False)


class FourierAttention(nn.Module):
    """The same attention with the two halves of the Fourier band in place of wavelets.

    Parameters
    ----------
    spatial, channel : nn.Module
        Attention to the low and to the high part (C channels each).
    """

    def __init__(self, spatial: nn.Module, channel: nn.Module) -> None:
        super().__init__()
        self.spatial, self.channel = spatial, channel

    def forward(self, maps: Tensor) -> Tensor:
        """``(N, C, H, W)`` to the same shape."""
        low = low_pass(maps)
        return self.spatial(low) + self.channel(maps - low)


class EnergyGate(nn.Module):
    """Channels weighted by their share of energy in the upper half of the Fourier band ("STFA-style").

    Parameters
    ----------
    channels, ratio : int
        As of `ChannelAttention`.
    """

    def __init__(self, channels: int, ratio: int = 16) -> None:
        super().__init__()
        self.gate = _perceptron(channels, ratio)

    def forward(self, maps: Tensor) -> Tensor:
        """``(N, C, H, W)`` to the same, weighted."""
        # By Parseval's theorem the energy of the amplitudes in a band is that of the band's own map.
        high = (maps - low_pass(maps)).square().sum((2, 3))
        share = high / maps.square().sum((2, 3)).clamp_min(torch.finfo(maps.dtype).tiny)
        return maps * torch.sigmoid(self.gate(share))[:, :, None, None]


def low_pass(maps: Tensor) -> Tensor:
    """Return maps ``(..., H, W)`` without the frequencies above 1/4 cycle a pixel, half the band."""
    height, width = maps.shape[-2:]
    spectrum = torch.fft.rfft2(maps) * _low_band(height, width, maps.dtype, maps.device)
    return torch.fft.irfft2(spectrum, s=(height, width))


def frequency_unit(
    channels: int,
    frequency: str = "wavelet",
    wavelet: str = "haar",
    ratio: int = 16,
    shared_mlp: bool = True,
    spatial_kernel: int = 3,
    channel_attention: bool = True,
    spatial_attention: bool = True,
) -> nn.Module:
    """Return what stands at the place of ConvNeXt's depthwise convolution; the maps keep their size.

    Parameters
    ----------
    channels : int
        Channels C.
    frequency : {"wavelet", "fourier", "stfa", "none"}
        The attention before the 7x7 depthwise convolution, batch norm and ReLU; "none" is the plain
        convolution of ConvNeXt, without the latter two.
    wavelet, ratio, shared_mlp, spatial_kernel, channel_attention, spatial_attention
        See `microexp.recognize.bowam.BOWAM`.

    Raises
    ------
    UnknownNameError
        If there is no such unit or wavelet.
    """
    conv = nn.Conv2d(channels, channels, KERNEL, padding=KERNEL // 2, groups=channels)
    if frequency == "none":
        return conv
    attention: nn.Module
    if frequency == "stfa":
        attention = EnergyGate(channels, ratio)
    elif frequency in FREQUENCIES:
        high = channels if frequency == "fourier" else 3 * channels
        spatial = SpatialAttention(spatial_kernel) if spatial_attention else nn.Identity()
        channel = ChannelAttention(high, ratio, shared_mlp) if channel_attention else nn.Identity()
        attention = (
            FourierAttention(spatial, channel)
            if frequency == "fourier"
            else WaveletAttention(wavelet, spatial, channel)
        )
    else:
        raise UnknownNameError("frequency unit", frequency, FREQUENCIES)
    return nn.Sequential(attention, conv, nn.BatchNorm2d(channels), nn.ReLU())


def _perceptron(channels: int, ratio: int) -> nn.Sequential:
    hidden = max(1, channels // ratio)
    return nn.Sequential(
        nn.Linear(channels, hidden, bias=False), nn.ReLU(), nn.Linear(hidden, channels, bias=False)
    )


@lru_cache(maxsize=64)
def _low_band(height: int, width: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """1 where ``rfft2`` holds a frequency of at most 1/4 cycle a pixel, else 0."""
    with torch.inference_mode(False):  # kept, so it must also serve a later training step
        rows = torch.fft.fftfreq(height, dtype=torch.float64)[:, None]
        columns = torch.fft.rfftfreq(width, dtype=torch.float64)[None]
        return (torch.hypot(rows, columns) <= 0.25).to(device, dtype)
