"""The generator of StyleGAN2 (configuration F), which GLEAN uses as a bank of what faces look like.

Weights are equalised: stored with unit variance (``weight_orig``) and scaled by one over the root of their
number of inputs when used. Source: Karras et al., "Analyzing and Improving the Image Quality of StyleGAN",
CVPR 2020, section 2 and appendix B.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_TAPS = (1.0, 3.0, 3.0, 1.0)  # the low-pass filter, before and after every change of size
_EPS = 1e-8


def upfirdn(x: Tensor, kernel: Tensor, up: int = 1, down: int = 1, pad: tuple[int, int] = (0, 0)) -> Tensor:
    """Insert zeros, pad, convolve with a filter, keep every n-th pixel: each channel by itself.

    Parameters
    ----------
    x : Tensor
        ``(N, C, H, W)``.
    kernel : Tensor
        ``(K, K)``; a convolution, so the filter is mirrored.
    up, down : int
        Every pixel is followed by ``up - 1`` zeros; one of `down` pixels is kept.
    pad : pair of int
        Zeros before and after, of rows and of columns alike.

    Returns
    -------
    Tensor
        ``(N, C, H', W')`` with ``H' = (H up + sum(pad) - K) // down + 1``.
    """
    count, channels, height, width = x.shape
    spread = F.pad(x.reshape(-1, 1, height, 1, width, 1), (0, up - 1, 0, 0, 0, up - 1))
    planes = F.pad(spread.reshape(-1, 1, height * up, width * up), (*pad, *pad))
    filtered = F.conv2d(planes, kernel.flip(0, 1)[None, None], stride=down)
    return filtered.reshape(count, channels, *filtered.shape[-2:])


class Filter(nn.Module):
    """The low-pass filter, with a gain; other parameters as `upfirdn`."""

    kernel: Tensor

    def __init__(self, gain: float = 1.0, up: int = 1, pad: tuple[int, int] = (0, 0)) -> None:
        super().__init__()
        taps = torch.tensor(_TAPS)
        self.register_buffer("kernel", torch.outer(taps, taps) * gain / taps.sum() ** 2)
        self.up, self.pad = up, pad

    def forward(self, x: Tensor) -> Tensor:
        """Return the filtered maps."""
        return upfirdn(x, self.kernel, self.up, 1, self.pad)


def activated(x: Tensor) -> Tensor:
    """Apply the leaky rectifier (0.2), times the root of 2 that keeps the variance."""
    return math.sqrt(2) * F.leaky_relu(x, 0.2)


class EqualWeight(nn.Module):
    """Equalised weights.

    Parameters
    ----------
    *shape : int
        Outputs, then whatever an output is the sum over.
    lr_mul : float
        Factor on the learning rate: the weights are stored larger by its inverse.
    """

    def __init__(self, *shape: int, lr_mul: float = 1.0) -> None:
        super().__init__()
        self.weight_orig = nn.Parameter(torch.randn(*shape) / lr_mul)
        self.scale = lr_mul / math.sqrt(math.prod(shape[1:]))

    def forward(self) -> Tensor:
        """Return the weights as they are used."""
        return self.weight_orig * self.scale


class EqualLinear(nn.Module):
    """A linear layer with equalised weights.

    Parameters
    ----------
    inputs, outputs : int
        Numbers of values.
    bias : float
        What the bias begins with.
    lr_mul : float
        Factor on the learning rate of weights and bias.
    activate : bool
        Whether `activated` follows.
    """

    def __init__(
        self, inputs: int, outputs: int, bias: float = 0.0, lr_mul: float = 1.0, activate: bool = False
    ) -> None:
        super().__init__()
        self.linear = EqualWeight(outputs, inputs, lr_mul=lr_mul)
        self.bias = nn.Parameter(torch.full((outputs,), bias))
        self.lr_mul, self.activate = lr_mul, activate

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, outputs)`` of ``(N, inputs)``."""
        x = F.linear(x, self.linear(), self.bias * self.lr_mul)
        return activated(x) if self.activate else x


class PixelNorm(nn.Module):
    """Divide vectors ``(N, C)`` by the root of the mean of their squares."""

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, C)``."""
        return x / (x.square().mean(dim=1, keepdim=True).sqrt() + 1e-6)


class ModulatedConv(nn.Module):
    """A convolution whose weights a style multiplies by input channel, and normalises by output channel.

    The weights of a sample are ``w[o, i] s[i] / sqrt(sum over i and pixels of (w[o, i] s[i])^2)``. Input and
    output maps are multiplied in their place, which is the same and needs no weights per sample.

    Parameters
    ----------
    inputs, outputs, size : int
        Channels, and side of the kernel.
    style_channels : int
        Of the style vector.
    demodulate : bool
        Whether to normalise.
    up : bool
        Whether to double the size: transposed convolution, then the low-pass filter.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: int,
        style_channels: int,
        demodulate: bool = True,
        up: bool = False,
    ) -> None:
        super().__init__()
        self.style_modulation = EqualLinear(style_channels, inputs, bias=1.0)
        self.weight_orig = nn.Parameter(torch.randn(1, outputs, inputs, size, size))
        self.scale = 1 / math.sqrt(inputs * size**2)
        self.demodulate = demodulate
        self.blur = Filter(gain=4, pad=(1, 1)) if up else None

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """Return ``(N, outputs, H, W)``, or twice the size, of maps and styles ``(N, style_channels)``."""
        weight = self.weight_orig[0] * self.scale
        factors = self.style_modulation(style)
        x = x * factors[:, :, None, None]
        if self.blur is None:
            x = F.conv2d(x, weight, padding=weight.shape[-1] // 2)
        else:
            x = self.blur(F.conv_transpose2d(x, weight.transpose(0, 1), stride=2))
        if self.demodulate:
            energy = F.linear(factors.square(), weight.square().sum(dim=(2, 3)))
            x = x * torch.rsqrt(energy + _EPS)[:, :, None, None]
        return x


class Noise(nn.Module):
    """Adds a fixed map of noise ``(1, 1, H, W)`` with a learned strength."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        """Return ``(N, C, H, W)``."""
        return x + self.weight * noise


class BiasActivation(nn.Module):
    """A bias per channel, then `activated`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, C, H, W)``."""
        return activated(x + self.bias[:, None, None])


class StyleConv(nn.Module):
    """Modulated 3x3 convolution, noise, bias and rectifier; parameters as `ModulatedConv`."""

    def __init__(self, inputs: int, outputs: int, style_channels: int, up: bool = False) -> None:
        super().__init__()
        self.conv = ModulatedConv(inputs, outputs, 3, style_channels, up=up)
        self.noise_injector = Noise()
        self.activate = BiasActivation(outputs)

    def forward(self, x: Tensor, style: Tensor, noise: Tensor) -> Tensor:
        """Return ``(N, outputs, H, W)``, or twice the size."""
        return self.activate(self.noise_injector(self.conv(x, style), noise))


class ToRGB(nn.Module):
    """The share of one size in the picture, added to that of the smaller sizes.

    Parameters
    ----------
    inputs, style_channels : int
        Channels of the maps and of the style.
    up : bool
        Whether there is a smaller picture, to be doubled.
    """

    def __init__(self, inputs: int, style_channels: int, up: bool = True) -> None:
        super().__init__()
        self.upsample = Filter(gain=4, up=2, pad=(2, 1)) if up else None
        self.conv = ModulatedConv(inputs, 3, 1, style_channels, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))

    def forward(self, x: Tensor, style: Tensor, smaller: Tensor | None = None) -> Tensor:
        """Return ``(N, 3, H, W)`` of maps, style and the picture of half the size."""
        picture = self.conv(x, style) + self.bias
        if self.upsample is not None and smaller is not None:
            picture = picture + self.upsample(smaller)
        return picture


class Constant(nn.Module):
    """The learned maps ``(1, C, 4, 4)`` that every picture begins from."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.input = nn.Parameter(torch.randn(1, channels, 4, 4))

    def forward(self, count: int) -> Tensor:
        """Return them `count` times."""
        return self.input.expand(count, -1, -1, -1)


def channels_at(size: int, channels: int = 512) -> int:
    """Return the channels of maps of a size: as many as given up to 64, then half at each doubling."""
    return channels * 64 // max(size, 64)


class StyleGAN2Generator(nn.Module):
    """The generator, with its noise fixed in buffers.

    Parameters
    ----------
    size : int
        Height and width of its pictures, a power of 2 from 8.
    channels : int
        Of styles and of maps up to 64 x 64, see `channels_at`.

    Attributes
    ----------
    styles : int
        Number of styles of a picture: two a size, and one more for the smallest.
    """

    def __init__(self, size: int = 1024, channels: int = 512) -> None:
        super().__init__()
        sizes = [2**n for n in range(3, size.bit_length())]
        self.channels, self.styles = channels, 2 * len(sizes) + 2
        mapping = [EqualLinear(channels, channels, lr_mul=0.01, activate=True) for _ in range(8)]
        self.style_mapping = nn.Sequential(PixelNorm(), *mapping)
        self.constant_input = Constant(channels)
        self.conv1 = StyleConv(channels, channels, channels)
        self.to_rgb1 = ToRGB(channels, channels, up=False)
        self.convs, self.to_rgbs = nn.ModuleList(), nn.ModuleList()
        for larger in sizes:
            inputs, outputs = channels_at(larger // 2, channels), channels_at(larger, channels)
            self.convs.append(StyleConv(inputs, outputs, channels, up=True))
            self.convs.append(StyleConv(outputs, outputs, channels))
            self.to_rgbs.append(ToRGB(outputs, channels))
        for index in range(self.styles - 1):
            side = 2 ** ((index + 5) // 2)
            self.register_buffer(f"injected_noise_{index}", torch.randn(1, 1, side, side))

    def noise(self, index: int) -> Tensor:
        """Return the fixed noise of one convolution, ``(1, 1, H, W)``."""
        return self.get_buffer(f"injected_noise_{index}")

    def start(self, styles: Tensor) -> Tensor:
        """Return the maps of 4 x 4, of styles ``(N, styles, C)``."""
        return self.conv1(self.constant_input(len(styles)), styles[:, 0], self.noise(0))

    def grow(self, step: int, x: Tensor, styles: Tensor) -> Tensor:
        """Return maps of twice the size; step 0 begins from 4 x 4."""
        for index in (2 * step + 1, 2 * step + 2):
            x = self.convs[index - 1](x, styles[:, index], self.noise(index))
        return x

    def picture(self, styles: Tensor) -> Tensor:
        """Return pictures ``(N, 3, size, size)``, about [-1, 1], of styles ``(N, styles, C)``."""
        x = self.start(styles)
        picture = self.to_rgb1(x, styles[:, 1])
        for step, to_rgb in enumerate(self.to_rgbs):
            x = self.grow(step, x, styles)
            picture = to_rgb(x, styles[:, 2 * step + 3], picture)
        return picture

    def forward(self, latent: Tensor) -> Tensor:
        """Return pictures ``(N, 3, size, size)``, about [-1, 1], of normal random vectors ``(N, C)``."""
        return self.picture(self.style_mapping(latent)[:, None].expand(-1, self.styles, -1))
