"""RDN: residual dense blocks, whose outputs are all fused at the end."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from microexp.errors import UnknownNameError
from microexp.superres._layers import conv3, shuffle_factors
from microexp.superres._network import NetworkUpscaler
from microexp.train.restoration import RestorationRecipe

CARD = {
    "class": "RDN",
    "title": "RDN",
    "summary": "Sixteen residual dense blocks of eight layers, all fused, then pixel shuffle.",
    "takes": "clips, or pictures (H, W, 3) uint8 RGB of any size",
    "gives": "the same, 2, 3 or 4 times as wide and high",
    "paper": {
        "authors": "Zhang, Yulun and Tian, Yapeng and Kong, Yu and Zhong, Bineng and Fu, Yun",
        "title": "Residual Dense Network for Image Super-Resolution",
        "venue": "IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)",
        "year": 2018,
        "doi": "10.1109/CVPR.2018.00262",
    },
    "parameters": 22271107,
    "presets": {
        "idealo_small": {"scale": 2, "upsampler": "nearest", "blocks": 10, "layers": 3},
        "upscalerjs_medium": {"upsampler": "nearest", "blocks": 10, "layers": 1},
        "upscalerjs_slim": {"upsampler": "nearest", "blocks": 2, "layers": 1, "growth": 4},
    },
    "published": [
        {
            "source": "mmagic, RDN x2",
            "data": "Set5, RGB, 2 pixels cropped",
            "PSNR": 35.9883,
            "SSIM": 0.9385,
        },
        {
            "source": "mmagic, RDN x3",
            "data": "Set5, RGB, 3 pixels cropped",
            "PSNR": 32.6051,
            "SSIM": 0.8943,
        },
        {
            "source": "mmagic, RDN x4",
            "data": "Set5, RGB, 4 pixels cropped",
            "PSNR": 30.4922,
            "SSIM": 0.8548,
        },
    ],
    "notes": [
        "The network of the paper's tables (16 blocks of 8 layers, growth 64), as in mmagic's checkpoints.",
        "Recipe of mmagic: L1, Adam 1e-4, halved every 200,000 of 1,000,000 steps, patches of 64, 96 and "
        "128: 32 pixels of the small picture.",
        "Larger factors are reached in steps; there is no network for them.",
        "Upsampler 'nearest' is that of idealo's image-super-resolution, not of the paper: convolutions at "
        "the small size (5x5 to 64 channels, 3x3 to 32, 3x3 to three times the square of the factor), every "
        "pixel repeated, one convolution to a picture. The presets are networks with published weights: "
        "'idealo_small' is idealo's 'psnr-small', the other two are what UpscalerJS calls ESRGAN medium and "
        "slim, which are small RDNs.",
    ],
}


class DenseLayer(nn.Module):
    """Convolution and ReLU, whose output stands beside the input: ``C`` channels to ``C + growth``."""

    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.conv = conv3(inputs, growth)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, C + growth, H, W)`` of ``(N, C, H, W)``."""
        return torch.cat([x, F.relu(self.conv(x))], dim=1)


class ResidualDenseBlock(nn.Module):
    """Dense layers, fused to the channels of the input, which is added."""

    def __init__(self, channels: int, layers: int, growth: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*[DenseLayer(channels + i * growth, growth) for i in range(layers)])
        self.lff = nn.Conv2d(channels + layers * growth, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, C, H, W)`` of the same."""
        return x + self.lff(self.layers(x))


class RDNModule(nn.Module):
    """The network, ``(N, 3, H, W)`` in [0, 1] to ``(N, 3, s H, s W)``.

    Parameters
    ----------
    scale : int
        2, 3 or 4.
    channels : int
        Between the blocks (G0 in the paper).
    blocks, layers, growth : int
        Number of blocks, of dense layers in each, and of channels that a layer adds (D, C and G).
    upsampler : str
        "shuffle" or "nearest", see `RDN`.

    Raises
    ------
    UnknownNameError
        If there is no such upsampler.
    """

    def __init__(
        self,
        scale: int = 4,
        channels: int = 64,
        blocks: int = 16,
        layers: int = 8,
        growth: int = 64,
        upsampler: str = "shuffle",
    ) -> None:
        _check_upsampler(upsampler)
        super().__init__()
        self.sfe1 = conv3(3, channels)
        self.sfe2 = conv3(channels, channels)
        self.rdbs = nn.ModuleList(ResidualDenseBlock(channels, layers, growth) for _ in range(blocks))
        self.gff = nn.Sequential(nn.Conv2d(blocks * channels, channels, 1), conv3(channels, channels))
        self.upscale, channels = _UPSAMPLERS[upsampler](scale, channels)
        self.output = conv3(channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Return the enlarged pictures."""
        shallow = self.sfe1(x)
        x = self.sfe2(shallow)
        of_blocks = []
        for block in self.rdbs:
            x = block(x)
            of_blocks.append(x)
        x = self.gff(torch.cat(of_blocks, dim=1)) + shallow
        return self.output(self.upscale(x))


def _shuffle(scale: int, channels: int) -> tuple[nn.Sequential, int]:
    """Return the paper's upsampler, and the channels that it gives."""
    layers = nn.Sequential()
    for factor in shuffle_factors(scale):
        layers.extend([conv3(channels, channels * factor**2), nn.PixelShuffle(factor)])
    return layers, channels


def _nearest(scale: int, channels: int) -> tuple[nn.Sequential, int]:
    """Return idealo's upsampler, and the channels that it gives."""
    last = 3 * scale**2
    layers = nn.Sequential(
        nn.Conv2d(channels, 64, 5, padding=2),
        nn.ReLU(),
        conv3(64, 32),
        nn.ReLU(),
        conv3(32, last),
        nn.Upsample(scale_factor=scale, mode="nearest"),
    )
    return layers, last


_UPSAMPLERS = {"shuffle": _shuffle, "nearest": _nearest}


def _check_upsampler(name: str) -> None:
    if name not in _UPSAMPLERS:
        raise UnknownNameError("upsampler of RDN", name, _UPSAMPLERS)


def build_module(
    scale: int = 4,
    channels: int = 64,
    blocks: int = 16,
    layers: int = 8,
    growth: int = 64,
    upsampler: str = "shuffle",
) -> RDNModule:
    """Return the untrained network; parameters as `RDNModule`."""
    return RDNModule(scale, channels, blocks, layers, growth, upsampler)


@dataclass(eq=False, repr=False)
class RDN(NetworkUpscaler):
    """RDN; other parameters as `NetworkUpscaler`.

    Parameters
    ----------
    channels : int
        Between the blocks (G0 in the paper).
    blocks, layers, growth : int
        Number of blocks, of dense layers in each, and of channels that a layer adds (D, C and G).
    upsampler : str
        "shuffle", the paper's (convolution and pixel shuffle); "nearest", that of idealo's
        image-super-resolution (convolutions, then every pixel repeated).
    """

    scales = (2, 3, 4)
    architecture = ("channels", "blocks", "layers", "growth", "upsampler")

    channels: int = 64
    blocks: int = 16
    layers: int = 8
    growth: int = 64
    upsampler: str = "shuffle"

    def check_parameters(self) -> None:
        super().check_parameters()
        _check_upsampler(self.upsampler)

    def build(self) -> nn.Module:
        return build_module(self.scale, self.channels, self.blocks, self.layers, self.growth, self.upsampler)

    def recipes(self) -> dict[str, RestorationRecipe]:
        return {
            "psnr": RestorationRecipe(
                steps=1_000_000,
                patch=32 * self.scale,
                lr=1e-4,
                halve_at=(200_000, 400_000, 600_000, 800_000),
            )
        }
