"""Real-ESRGAN: ESRGAN's network for pictures that were blurred, resized, noisy and compressed, twice."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from microexp.superres._layers import conv3
from microexp.superres._network import NetworkUpscaler
from microexp.superres._rrdb import RRDBNetModule
from microexp.superres.esrgan import OLD_NAMES
from microexp.train.restoration import RestorationRecipe

CARD = {
    "class": "RealESRGAN",
    "title": "Real-ESRGAN",
    "summary": "ESRGAN's network, trained on second-order degradations: blur, resizing, noise, JPEG, twice.",
    "takes": "clips, or pictures (H, W, 3) uint8 RGB of any size",
    "gives": "the same, 1 (restored only), 2 or 4 times as wide and high",
    "paper": {
        "authors": "Wang, Xintao and Xie, Liangbin and Dong, Chao and Shan, Ying",
        "title": "Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure Synthetic Data",
        "venue": "IEEE/CVF International Conference on Computer Vision Workshops (ICCVW)",
        "year": 2021,
        "doi": "10.1109/ICCVW54120.2021.00217",
    },
    "parameters": 16697987,
    "presets": {
        "anime_6b": {"blocks": 6},
        "general_x4v3": {"compact": 32},
        "animevideo_v3": {"compact": 16},
    },
    "published": [
        {"source": "mmagic, Real-ESRNet x4", "data": "Set5, RGB", "PSNR": 28.0297, "SSIM": 0.8236},
        {"source": "mmagic, Real-ESRGAN x4", "data": "Set5, RGB", "PSNR": 26.2204, "SSIM": 0.7655},
    ],
    "notes": [
        "Recipes of the paper: 'psnr' is Real-ESRNet (L1, Adam 2e-4), 'gan' goes on from it (L1, VGG19 "
        "features of five taps, 0.1 adversarial loss of a U-Net with spectral norm, Adam 1e-4); both keep a "
        "running mean of the weights. Batches of 48 are the paper's four GPUs times 12.",
        "Pixels and features are compared with the unsharp-masked target; the discriminator sees the plain.",
        "For 1 and 2 the picture is first folded into channels; a height or width that is no multiple of 4 "
        "or 2 is continued by its last row or column.",
        "Setting 'compact' takes the small network of the same authors' later releases instead: so many "
        "convolutions at the small size, and one pixel shuffle (presets 'general_x4v3', 'animevideo_v3'). "
        "The paper does not describe it; it is trained here by the same recipes.",
        "Textures are invented where the small picture does not decide them: not a measurement of a face.",
    ],
    "weights_licence": "BSD-3-Clause (the authors' releases)",
}

_TAPS = {"2": 0.1, "7": 0.1, "16": 1.0, "25": 1.0, "34": 1.0}


class CompactModule(nn.Module):
    """The compact network (SRVGGNetCompact), ``(N, 3, H, W)`` in [0, 1] to ``(N, 3, s H, s W)``.

    Convolutions with parametric rectifiers at the small size, a pixel shuffle, plus the picture enlarged by
    repetition.

    Parameters
    ----------
    scale : int
        Any.
    channels, convolutions : int
        Of the body: features, and convolutions between the first and the last.
    """

    def __init__(self, scale: int = 4, channels: int = 64, convolutions: int = 32) -> None:
        super().__init__()
        self.scale = scale
        layers: list[nn.Module] = []
        for inputs in (3, *[channels] * convolutions):
            layers += [conv3(inputs, channels), nn.PReLU(channels)]
        self.body = nn.Sequential(*layers, conv3(channels, 3 * scale**2))

    def forward(self, x: Tensor) -> Tensor:
        """Return the enlarged pictures."""
        repeated = F.interpolate(x, scale_factor=self.scale, mode="nearest")
        return F.pixel_shuffle(self.body(x), self.scale) + repeated


def build_module(
    scale: int = 4, channels: int = 64, blocks: int = 23, growth: int = 32, compact: int | None = None
) -> nn.Module:
    """Return the untrained network: `RRDBNetModule`, or `CompactModule` of `compact` convolutions."""
    if compact is not None:
        return CompactModule(scale, channels, compact)
    return RRDBNetModule(scale, channels, blocks, growth)


@dataclass(eq=False, repr=False)
class RealESRGAN(NetworkUpscaler):
    """Real-ESRGAN; other parameters as `NetworkUpscaler`.

    Parameters
    ----------
    channels, blocks, growth : int
        Features, number of residual-in-residual dense blocks, and channels that a dense convolution adds.
    compact : int or None
        Convolutions in the body of the compact network, which is then taken instead (`blocks` and `growth`
        mean nothing to it); None for dense blocks.
    """

    scales = (1, 2, 4)
    architecture = ("channels", "blocks", "growth", "compact")
    aliases = OLD_NAMES

    channels: int = 64
    blocks: int = 23
    growth: int = 32
    compact: int | None = None

    def build(self) -> nn.Module:
        return build_module(self.scale, self.channels, self.blocks, self.growth, self.compact)

    def discriminator(self, patch: int) -> nn.Module:
        from microexp.superres._discriminators import UNetDiscriminator

        return UNetDiscriminator(self.channels)

    def recipes(self) -> dict[str, RestorationRecipe]:
        pixels = RestorationRecipe(
            steps=1_000_000,
            batch_size=48,
            patch=256,
            betas=(0.9, 0.99),
            ema=0.999,
            sharpen=True,
            degradation="real-world",
            turn=False,
        )
        adversarial = dataclasses.replace(
            pixels, steps=400_000, lr=1e-4, feature_weights=_TAPS, gan_weight=0.1, start="psnr"
        )
        return {"psnr": pixels, "gan": adversarial}
