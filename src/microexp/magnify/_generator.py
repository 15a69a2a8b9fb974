"""From features of VGG19 and a flow to a picture (G_exp, G_mag), and from a flow to a larger one (M_flow)."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from microexp.errors import WeightsError
from microexp.magnify._expression import Residual, convolution, scaled
from microexp.magnify._flow_fields import warp, without_folds
from microexp.networks.vgg import VGGFeatures, vgg_features
from microexp.networks.weighted import RANDOM

FEATURES = ("5", "10")  # conv2_1 and conv3_1 of VGG19, in torchvision's numbering
_CONV3_4, _CONV4_1 = "16", "19"
_FINE, _COARSE = 128, 256  # channels of conv2_1 and conv3_1
_UNTRAINED, _FILE, _RANDOM = range(3)


class FaceFeatures(nn.Module):
    """What VGG19 sees in a picture at some convolutions, after the rectifier, each with a mean of about 1.

    All that this takes is in the state dict, so that a trained network needs no second file.

    Parameters
    ----------
    taps : tuple of str
        The convolutions, see `microexp.networks.vgg.VGGFeatures`.
    """

    scales: Tensor
    source: Tensor

    def __init__(self, taps: tuple[str, ...] = FEATURES) -> None:
        super().__init__()
        self.taps = taps
        self.register_buffer("scales", torch.ones(len(taps)))
        self.register_buffer("source", torch.tensor(_UNTRAINED, dtype=torch.uint8))
        self._take(VGGFeatures("vgg19", taps))

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """Return features ``(N, C, H', W')`` of pictures ``(N, 3, H, W)`` in [0, 1], one a tap."""
        found = self.vgg(pictures)
        return [found[tap].relu() / scale for tap, scale in zip(self.taps, self.scales, strict=True)]

    @property
    def is_random(self) -> bool:
        """Whether the layers are random ones, asked for as such."""
        return int(self.source) == _RANDOM

    def load(self, vgg: VGGFeatures, source: int) -> None:
        """Take the layers of another network, and measure how strong their features are."""
        self._take(vgg.to(self.scales.device))
        self.source.fill_(source)
        self.scales.fill_(1)
        with torch.no_grad():
            means = [features.mean() for features in self(_reference().to(self.scales.device))]
        self.scales.copy_(torch.stack(means).clamp(min=1e-6))

    def _take(self, vgg: VGGFeatures) -> None:
        for name in ("mean", "std"):  # anew, so that they are kept with the weights
            vgg.register_buffer(name, getattr(vgg, name))
        vgg.scale = 1.0  # ours is a buffer
        self.vgg = vgg


class Generator(nn.Module):
    """G_exp and G_mag: features of VGG19, warped, to a picture.

    Parameters
    ----------
    width : float
        Factor on all numbers of channels.
    blocks : int
        Residual blocks at a quarter of the picture's size.
    starts_black : bool
        Whether the last convolution begins as zero.
    """

    def __init__(self, width: float = 1.0, blocks: int = 8, starts_black: bool = False) -> None:
        super().__init__()
        b, c = scaled(_FINE, width), scaled(_COARSE, width)
        self.reduce = nn.Sequential(nn.Conv2d(_COARSE, c, 3, padding=1), nn.ReLU())
        self.body = nn.Sequential(*[Residual(c, slope=0.0) for _ in range(blocks)])
        self.up_coarse = _enlarging(c, b)
        self.fine = nn.Conv2d(_FINE, b, 1) if b != _FINE else nn.Identity()
        self.up_fine = _enlarging(2 * b, b)
        self.rgb = nn.Conv2d(b, 3, 3, padding=1)
        if starts_black:
            _zero(self.rgb)

    def forward(self, fine: Tensor, coarse: Tensor, flow: Tensor) -> Tensor:
        """Return pictures ``(N, 3, S, S)``.

        Parameters
        ----------
        fine, coarse : torch.Tensor
            Features of conv2_1 and conv3_1, ``(N, 128, S/2, S/2)`` and ``(N, 256, S/4, S/4)``.
        flow : torch.Tensor
            What both are warped by, ``(N, 2, k, k)``.
        """
        x = self.up_coarse(self.body(self.reduce(warp(coarse, flow))))
        return self.rgb(self.up_fine(torch.cat([self.fine(warp(fine, flow)), x], dim=1)))


class Blind(nn.Module):
    """In the place of `FaceFeatures` where nothing is rendered: no parameters, no features."""

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """Return nothing."""
        return []


class Black(nn.Module):
    """In the place of `Generator` where nothing is rendered: no parameters, black whatever it is shown."""

    def forward(self, flow: Tensor) -> Tensor:
        """Return a black pixel for each flow ``(N, 2, k, k)``: ``(N, 3, 1, 1)``."""
        return flow.new_zeros(len(flow), 3, 1, 1)


class FlowMagnifier(nn.Module):
    """M_flow: a flow ``(N, 2, k, k)`` to the one that magnifies, of the same shape.

    An encoder and decoder of three scales with skips, whose result is added to the flow times a learned gain;
    it begins as the flow itself, and never folds the picture, see `without_folds`.

    Parameters
    ----------
    channels : int
        At the full size of the flow; 2 and 4 times as many at half and a quarter.
    """

    def __init__(self, channels: int = 64) -> None:
        super().__init__()
        a, b, c = channels, 2 * channels, 4 * channels
        self.down = nn.ModuleList(
            [
                nn.Sequential(convolution(2, a), Residual(a)),
                nn.Sequential(convolution(a, b, 2), Residual(b)),
                nn.Sequential(convolution(b, c, 2), Residual(c), Residual(c)),
            ]
        )
        self.up = nn.ModuleList(
            [
                nn.Sequential(convolution(c + b, b), Residual(b)),
                nn.Sequential(convolution(b + a, a), Residual(a)),
            ]
        )
        self.change = nn.Conv2d(a, 2, 3, padding=1)
        _zero(self.change)
        self.gain = nn.Parameter(torch.ones(1))

    def forward(self, flow: Tensor) -> Tensor:
        """Return the magnified flows."""
        full = self.down[0](flow)
        half = self.down[1](full)
        half = self.up[0](torch.cat([_like(self.down[2](half), half), half], dim=1))
        full = self.up[1](torch.cat([_like(half, full), full], dim=1))
        return without_folds(self.gain * flow + self.change(full))


def _enlarging(inputs: int, outputs: int) -> nn.Module:
    """Return layers to twice the size."""
    return nn.Sequential(
        nn.ConvTranspose2d(inputs, outputs, 4, 2, 1),
        nn.ReLU(),
        nn.Conv2d(outputs, outputs, 3, padding=1),
        nn.ReLU(),
    )


def _zero(layer: nn.Module) -> None:
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


def _like(x: Tensor, other: Tensor) -> Tensor:
    return F.interpolate(x, other.shape[-2:], mode="bilinear", align_corners=True)


def face_features(vgg: str | Path, deepest: bool = False) -> FaceFeatures:
    """Return features with the weights of a file.

    Parameters
    ----------
    vgg : path or "random"
        ImageNet weights of VGG19, see `microexp.networks.vgg.vgg_features`; or random ones, always the same.
    deepest : bool
        Whether to add what the perceptual loss compares beside: conv4_1, as the paper has it, or conv3_4
        where the file ends before.

    Raises
    ------
    WeightsError
        If the file is missing, damaged, of another network, or does not reach as far as that.
    """
    if not deepest:
        return _loaded(vgg, FEATURES)
    try:
        return _loaded(vgg, (*FEATURES, _CONV4_1))
    except WeightsError:
        return _loaded(vgg, (*FEATURES, _CONV3_4))


def _loaded(vgg: str | Path, taps: tuple[str, ...]) -> FaceFeatures:
    features = FaceFeatures(taps)
    features.load(_vgg(vgg, taps), _RANDOM if vgg == RANDOM else _FILE)
    return features


def _vgg(source: str | Path, taps: tuple[str, ...]) -> VGGFeatures:
    """Return VGG19 with the weights of a file, or with random ones that are the same every time."""
    if source != RANDOM:
        return vgg_features("vgg19", source, taps)
    vgg = VGGFeatures("vgg19", taps)
    generator = torch.Generator().manual_seed(0)
    for parameter in vgg.parameters():
        if parameter.ndim == 1:
            nn.init.zeros_(parameter)
        else:
            nn.init.kaiming_normal_(parameter, nonlinearity="relu", generator=generator)
    return vgg


def _reference() -> Tensor:
    """Return pictures ``(8, 3, 112, 112)`` with as much detail of every size, as photographs have."""
    generator = torch.Generator().manual_seed(0)
    octaves = [torch.randn(8, 3, side, side, generator=generator) for side in (7, 14, 28, 56, 112)]
    mixed = torch.stack([F.interpolate(octave, (112, 112), mode="bicubic") for octave in octaves]).sum(0)
    return (0.5 + 0.2 * mixed / mixed.std()).clamp(0, 1)
