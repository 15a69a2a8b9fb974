"""EDSR: residual blocks without batch normalisation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from microexp.superres._layers import PixelShuffleUp, ResidualBlock, conv3, shuffle_factors
from microexp.superres._network import NetworkUpscaler
from microexp.train.restoration import RestorationRecipe

CARD = {
    "class": "EDSR",
    "title": "EDSR (baseline)",
    "summary": "Sixteen residual blocks of 64 channels without batch norm, then pixel shuffle.",
    "takes": "clips, or pictures (H, W, 3) uint8 RGB of any size",
    "gives": "the same, 2, 3, 4, 8 or 16 times as wide and high",
    "paper": {
        "authors": "Lim, Bee and Son, Sanghyun and Kim, Heewon and Nah, Seungjun and Lee, Kyoung Mu",
        "title": "Enhanced Deep Residual Networks for Single Image Super-Resolution",
        "venue": "IEEE Conference on Computer Vision and Pattern Recognition Workshops (CVPRW)",
        "year": 2017,
        "doi": "10.1109/CVPRW.2017.151",
    },
    "parameters": 1517571,
    "presets": {"large": {"channels": 256, "blocks": 32, "res_scale": 0.1}},
    "published": [
        {"source": "mmagic, EDSR x2", "data": "Set5, RGB, 2 pixels cropped", "PSNR": 35.7592},
        {"source": "mmagic, EDSR x3", "data": "Set5, RGB, 3 pixels cropped", "PSNR": 32.3301},
        {"source": "mmagic, EDSR x4", "data": "Set5, RGB, 4 pixels cropped", "PSNR": 30.2223},
    ],
    "notes": [
        "The baseline of the paper (16 blocks, 64 channels), as in the checkpoints that people have; preset "
        "'large' is its large network (32 blocks, 256 channels, residuals times 0.1).",
        "Recipe of mmagic: L1, Adam 1e-4, halved at 200,000 of 300,000 steps, patches of 96, 144 and 196.",
        "The network can be built for 8 and 16; no published weights of these factors are known.",
    ],
}

_MEAN = (0.4488, 0.4371, 0.4040)  # of DIV2K, red, green, blue
_PATCH = {2: 96, 3: 144, 4: 196}


class EDSRModule(nn.Module):
    """The network, ``(N, 3, H, W)`` in [0, 1] to ``(N, 3, s H, s W)``.

    Parameters
    ----------
    scale : int
        3 or a power of 2.
    channels, blocks : int
        Of the residual body.
    res_scale : float
        Factor on each block's residual.
    """

    mean: Tensor

    def __init__(self, scale: int = 4, channels: int = 64, blocks: int = 16, res_scale: float = 1.0) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1), persistent=False)
        self.conv_first = conv3(3, channels)
        self.body = nn.Sequential(*[ResidualBlock(channels, res_scale) for _ in range(blocks)])
        self.conv_after_body = conv3(channels, channels)
        self.upsample = nn.Sequential(
            *[PixelShuffleUp(channels, channels, f) for f in shuffle_factors(scale)]
        )
        self.conv_last = conv3(channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Return the enlarged pictures."""
        x = self.conv_first(x - self.mean)
        x = x + self.conv_after_body(self.body(x))
        return self.conv_last(self.upsample(x)) + self.mean


def build_module(scale: int = 4, channels: int = 64, blocks: int = 16, res_scale: float = 1.0) -> EDSRModule:
    """Return the untrained network; parameters as `EDSRModule`."""
    return EDSRModule(scale, channels, blocks, res_scale)


@dataclass(eq=False, repr=False)
class EDSR(NetworkUpscaler):
    """EDSR; other parameters as `NetworkUpscaler`.

    Parameters
    ----------
    channels, blocks : int
        Of the residual body.
    res_scale : float
        Factor on each block's residual.
    """

    scales = (2, 3, 4, 8, 16)
    architecture = ("channels", "blocks", "res_scale")
    aliases = (  # BasicSR puts convolutions and shuffles into one sequence
        (r"^upsample\.0\.(?=weight|bias)", "upsample.0.upsample_conv."),
        (r"^upsample\.2\.(?=weight|bias)", "upsample.1.upsample_conv."),
    )

    channels: int = 64
    blocks: int = 16
    res_scale: float = 1.0

    def build(self) -> nn.Module:
        return build_module(self.scale, self.channels, self.blocks, self.res_scale)

    def recipes(self) -> dict[str, RestorationRecipe]:
        return {
            "psnr": RestorationRecipe(
                steps=300_000, patch=_PATCH.get(self.scale, 192), lr=1e-4, halve_at=(200_000,)
            )
        }
