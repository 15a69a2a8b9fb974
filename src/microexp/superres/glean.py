"""GLEAN: an encoder and a decoder around a generator of faces that is not trained any more."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from microexp.errors import OptionError
from microexp.networks.weighted import unwrapped
from microexp.superres._layers import PixelShuffleUp, conv3
from microexp.superres._network import NetworkUpscaler
from microexp.superres._rrdb import RRDBFeatures
from microexp.superres._stylegan2 import StyleGAN2Generator, channels_at
from microexp.superres._tiles import in_tiles
from microexp.train.restoration import RestorationRecipe
from microexp.weights import load_into, locate, read_weights

CARD = {
    "class": "GLEAN",
    "title": "GLEAN",
    "summary": "An encoder finds styles for a frozen StyleGAN2, a decoder fuses what that recalls.",
    "takes": "clips, or pictures (H, W, 3) uint8 RGB; meant for whole faces of in_size x in_size",
    "gives": "the same, 2, 4, 8 or 16 times as wide and high, at most 1024 for a whole face",
    "paper": {
        "authors": "Chan, Kelvin C. K. and Wang, Xintao and Xu, Xiangyu and Gu, Jinwei and Loy, Chen Change",
        "title": "GLEAN: Generative Latent Bank for Large-Factor Image Super-Resolution",
        "venue": "IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)",
        "year": 2021,
        "url": "https://arxiv.org/abs/2012.00739",
    },
    "parameters": 157774665,
    "presets": {
        "faces_16x": {"in_size": 64, "scale": 16},
        "faces_8x": {"in_size": 128, "scale": 8},
        "cats_8x": {"in_size": 32, "scale": 8},
        "cats_16x": {"in_size": 16, "scale": 16},
    },
    "published": [
        {"source": "mmagic, 64 to 1024 (FFHQ)", "data": "CelebA-HQ, 100 faces, RGB", "PSNR": 26.91},
        {"source": "mmagic, 128 to 1024 (FFHQ)", "data": "CelebA-HQ, 100 faces, RGB", "PSNR": 27.94},
        {"source": "mmagic, 32 to 256 (LSUN cat)", "data": "100 cats, RGB", "PSNR": 23.98},
        {"source": "mmagic, 16 to 256 (LSUN cat)", "data": "100 cats, RGB", "PSNR": 20.88},
    ],
    "notes": [
        "Parameters: counted for 64 to 256, with the 30,034,338 of the bank, which are not trained.",
        "The network takes pictures of in_size x in_size alone. A smaller one is continued by its last row "
        "and column, a larger one cut into overlapping parts of that size, each with styles of its own, so "
        "that what was learned of whole faces does not hold: resize faces to in_size first. "
        "Parameter 'tile' has no effect.",
        "The four presets are the published checkpoints: those that reach 256 know cats, not faces; 64 to "
        "256, the default, has none and must be trained.",
        "To train, name a StyleGAN2 file as 'bank', of pictures scale x in_size wide; without it the bank is "
        "random and the method loses its point. The discriminator starts untrained, in the original from "
        "that of the bank.",
        "Recipe of mmagic: MSE of pictures in [-1, 1] (weighted 4 here, where they are in [0, 1]), 0.01 MSE "
        "of VGG16 features before the rectifier of conv4_3, 0.01 adversarial loss, Adam 1e-4, the first half "
        "of a cosine of 600,000 steps, batches of 16 (two GPUs times 8).",
        "The original also builds the bank's picture size by size (fusion_skip and the bank's to_rgb), but "
        "nothing of it reaches the result. These weights are kept, for checkpoints to fit, and not used.",
        "Details come from the bank, not from the picture: not a measurement of a face.",
    ],
    "weights_licence": "of banks: NVIDIA, non-commercial",
}

_IN_SIZES = (16, 32, 64, 128)
_LARGEST = 1024


class GLEANModule(nn.Module):
    """The network, ``(N, 3, in_size, in_size)`` in [0, 1] to ``(N, 3, s in_size, s in_size)``.

    Parameters
    ----------
    scale, in_size : int
        Powers of 2, from 2 and from 8.
    channels, blocks, growth : int
        Of the encoder's residual-in-residual dense blocks, see `RRDBFeatures`.
    bank_channels : int
        Of styles and of maps up to 64 x 64, see `StyleGAN2Generator`.

    Raises
    ------
    OptionError
        When it is called with pictures of another size.
    """

    def __init__(
        self,
        scale: int = 4,
        in_size: int = 64,
        channels: int = 64,
        blocks: int = 23,
        growth: int = 32,
        bank_channels: int = 512,
    ) -> None:
        super().__init__()
        self.in_size = in_size
        self.generator = StyleGAN2Generator(scale * in_size, bank_channels).requires_grad_(False)
        width = {2**n: channels_at(2**n, bank_channels) for n in range(2, (scale * in_size).bit_length())}
        seen = [size for size in width if size <= in_size]
        drawn = [size for size in width if size > in_size]

        features = RRDBFeatures(3, channels, blocks, growth)
        first = nn.Sequential(features, conv3(channels, width[in_size]), _rectifier())
        halvings = [_halving(width[2 * size], width[size]) for size in reversed(seen[:-1])]
        last = _to_styles(width[4], self.generator.styles * bank_channels)
        self.encoder = nn.ModuleList([first, *halvings, last])

        self.fusion_out = nn.ModuleList([conv3(2 * width[size], width[size]) for size in seen])
        self.fusion_skip = nn.ModuleList([conv3(width[size] + 3, 3) for size in seen])

        self.decoder = nn.ModuleList([PixelShuffleUp(width[in_size], width[drawn[0]])])
        self.decoder.extend(PixelShuffleUp(2 * width[size], width[2 * size]) for size in drawn[:-1])
        self.decoder.append(nn.Sequential(conv3(2 * width[drawn[-1]], 64), _rectifier(), conv3(64, 3)))

    def forward(self, pictures: Tensor) -> Tensor:
        """Return the enlarged pictures."""
        if pictures.shape[-2:] != (self.in_size, self.in_size):
            height, width = pictures.shape[-2:]
            raise OptionError(
                f"GLEAN of in_size {self.in_size} takes pictures of {self.in_size} x {self.in_size}, not of "
                f"{height} x {width}"
            )
        *features, styles = self._encoded(2 * pictures - 1)
        recalled = self._recalled(features[::-1], styles.unflatten(1, (self.generator.styles, -1)))
        x = self.decoder[0](features[0])
        for block, known in zip(self.decoder[1:], recalled, strict=True):
            x = block(torch.cat([x, known], dim=1))
        return (x + 1) / 2

    def _encoded(self, x: Tensor) -> list[Tensor]:
        """Return features from the picture's size down to 4 x 4, and the styles."""
        found = []
        for block in self.encoder:
            x = block(x)
            found.append(x)
        return found

    def _recalled(self, features: list[Tensor], styles: Tensor) -> list[Tensor]:
        """Return the bank's maps larger than the picture, given features from 4 x 4 up."""
        x = self.generator.start(styles)
        recalled = []
        for step in range(len(self.generator.to_rgbs)):
            if step < len(features):
                x = self.fusion_out[step](torch.cat([x, features[step]], dim=1))
            x = self.generator.grow(step, x, styles)
            if step + 1 >= len(features):
                recalled.append(x)
        return recalled


def _rectifier() -> nn.LeakyReLU:
    return nn.LeakyReLU(0.2)


def _halving(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        conv3(inputs, outputs, stride=2), _rectifier(), conv3(outputs, outputs), _rectifier()
    )


def _to_styles(inputs: int, values: int) -> nn.Sequential:
    """From maps of 4 x 4 to the styles, one after the other."""
    return nn.Sequential(conv3(inputs, inputs), _rectifier(), nn.Flatten(), nn.Linear(16 * inputs, values))


def build_module(
    scale: int = 4,
    in_size: int = 64,
    channels: int = 64,
    blocks: int = 23,
    growth: int = 32,
    bank_channels: int = 512,
) -> GLEANModule:
    """Return the untrained network; parameters as `GLEANModule`."""
    return GLEANModule(scale, in_size, channels, blocks, growth, bank_channels)


@dataclass(eq=False, repr=False)
class GLEAN(NetworkUpscaler):
    """GLEAN; other parameters as `NetworkUpscaler`, of which `tile` has no effect.

    Parameters
    ----------
    in_size : int
        Height and width of the small face: 16, 32, 64 or 128. That of the large one is `scale` times as
        much and at most 1024.
    channels, blocks, growth : int
        Of the encoder's residual-in-residual dense blocks.
    bank_channels : int
        Of the bank's styles and of its maps up to 64 x 64.
    bank : str, Path or None
        Weights of a StyleGAN2 generator (configuration F) that an untrained network begins with: a file, or
        a name that ``microexp weights list`` shows.
    """

    scales = (2, 4, 8, 16)
    architecture = ("in_size", "channels", "blocks", "growth", "bank_channels")

    in_size: int = 64
    channels: int = 64
    blocks: int = 23
    growth: int = 32
    bank_channels: int = 512
    bank: str | Path | None = None

    def check_parameters(self) -> None:
        super().check_parameters()
        if self.in_size not in _IN_SIZES or self.scale * self.in_size > _LARGEST:
            raise OptionError(
                f"GLEAN: in_size must be one of {', '.join(map(str, _IN_SIZES))}, and scale times in_size at "
                f"most {_LARGEST}, got in_size {self.in_size} and scale {self.scale}"
            )

    def build(self) -> nn.Module:
        module = build_module(
            self.scale, self.in_size, self.channels, self.blocks, self.growth, self.bank_channels
        )
        if self.bank is not None:
            file = locate(self.bank)
            load_into(module.generator, unwrapped(read_weights(file)), file)
        return module

    def discriminator(self, patch: int) -> nn.Module:
        from microexp.superres._stylegan2_discriminator import StyleGAN2Discriminator

        if patch != self.scale * self.in_size:
            raise OptionError(
                f"GLEAN is trained on whole pictures of {self.scale * self.in_size}x"
                f"{self.scale * self.in_size}, not on patches of {patch}"
            )
        return StyleGAN2Discriminator(patch, self.bank_channels)

    def recipes(self) -> dict[str, RestorationRecipe]:
        return {
            "gan": RestorationRecipe(
                steps=300_000,
                patch=self.scale * self.in_size,
                lr=1e-4,
                betas=(0.9, 0.99),
                cosine=(600_000,),
                pixel="mse",
                pixel_weight=4.0,
                feature_weights={"21": 0.01},
                features="vgg16",
                feature_loss="mse",
                gan_weight=0.01,
                turn=False,
            )
        }

    def _upscale(self, frames: np.ndarray) -> np.ndarray:
        size = self._size()
        if max(frames.shape[1:3]) <= size:
            return self._enlarge(frames)
        overlap = min(self.overlap, size // 4)
        return in_tiles(self._enlarge, frames, self.scale, size - 2 * overlap, overlap)

    def _enlarge(self, frames: np.ndarray) -> np.ndarray:
        height, width = frames.shape[1:3]
        size = self._size()
        whole = np.pad(frames, ((0, 0), (0, size - height), (0, size - width), (0, 0)), mode="edge")
        return super()._enlarge(whole)[:, : height * self.scale, : width * self.scale]

    def _size(self) -> int:
        """Return what the network takes: a weight file's architecture goes before the setting."""
        return cast(GLEANModule, self.module()).in_size
