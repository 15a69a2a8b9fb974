"""EDVR: each frame from five, aligned by deformable convolution and fused by attention."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from microexp.errors import OptionError
from microexp.superres._edvr import EDVR_ALIASES, EDVRFeatures, rectified
from microexp.superres._layers import PixelShuffleUp, ResidualBlock, conv3, enlarged
from microexp.superres._network import VideoUpscaler
from microexp.train.restoration import RestorationRecipe

CARD = {
    "class": "EDVR",
    "title": "EDVR (moderate)",
    "summary": "Five frames, aligned by deformable convolution from coarse to fine and fused by attention.",
    "takes": "clips, or frames (T, H, W, 3) uint8 RGB of any size and number",
    "gives": "the same, 4 times as wide and high",
    "paper": {
        "authors": "Wang, Xintao and Chan, Kelvin C. K. and Yu, Ke and Dong, Chao and Loy, Chen Change",
        "title": "EDVR: Video Restoration With Enhanced Deformable Convolutional Networks",
        "venue": "IEEE Conference on Computer Vision and Pattern Recognition Workshops (CVPRW)",
        "year": 2019,
        "doi": "10.1109/CVPRW.2019.00247",
    },
    "parameters": 3300131,
    "presets": {
        "no_tsa": {"tsa": False},
        "large": {"channels": 128, "reconstruction_blocks": 40},
        "large_no_tsa": {"channels": 128, "reconstruction_blocks": 40, "tsa": False},
    },
    "published": [
        {"source": "mmagic, EDVR-M", "data": "REDS4, RGB", "PSNR": 30.4194, "SSIM": 0.8684},
        {"source": "mmagic, EDVR-M without TSA", "data": "REDS4, RGB", "PSNR": 30.3430, "SSIM": 0.8664},
        {"source": "mmagic, EDVR-L", "data": "REDS4, RGB", "PSNR": 31.0467, "SSIM": 0.8793},
        {"source": "mmagic, EDVR-L without TSA", "data": "REDS4, RGB", "PSNR": 31.0010, "SSIM": 0.8784},
    ],
    "notes": [
        "The moderate network (64 channels, 5 + 10 blocks) of the checkpoints that people have; preset "
        "'large' has 128 channels and 5 + 40 blocks.",
        "Near the ends of a clip, frames that are missing are taken from the other side of the middle one, "
        "beyond those already there (frames 4, 3, 0, 1, 2 for frame 0), as mmagic and BasicSR do in tests on "
        "REDS4; so it takes a margin of 4 frames for a long clip to come out as if it were whole.",
        "Clips of fewer than 5 frames are continued there and back first; no source says what to do with "
        "them.",
        "Without the paper's module for blurred input and its second stage: mmagic has neither.",
        "Recipe of mmagic: first without TSA (stage 'no_tsa' of the preset of that name), then from there "
        "with it (stage 'tsa'), only the fusion trained for 5,000 steps. In the first stage mmagic halves "
        "the learning rate from the second period on, which is left out. For the "
        "large network it takes 2e-4 in both stages, and 64 samples a step.",
    ],
}


_FRAMES = 5
_ALL_BUT_FUSION = (
    "conv_first",
    "feature_extraction",
    "feat_l2",
    "feat_l3",
    "pcd_alignment",
    "reconstruction",
    "upsample",
    "conv_hr",
    "conv_last",
)


class EDVRModule(EDVRFeatures):
    """The network, ``(N, T, 3, H, W)`` in [0, 1] to the middle frame, ``(N, 3, 4 H, 4 W)``.

    Height and width must be multiples of 4.

    Parameters
    ----------
    channels, frames, deform_groups : int
        As in `EDVRFeatures`.
    extraction_blocks, reconstruction_blocks : int
        Residual blocks that look at each frame, and that follow fusion.
    tsa : bool
        As in `EDVRFeatures`.
    """

    def __init__(
        self,
        channels: int = 64,
        frames: int = _FRAMES,
        deform_groups: int = 8,
        extraction_blocks: int = 5,
        reconstruction_blocks: int = 10,
        tsa: bool = True,
    ) -> None:
        super().__init__(channels, frames, deform_groups, extraction_blocks, tsa)
        self.reconstruction = nn.Sequential(*[ResidualBlock(channels) for _ in range(reconstruction_blocks)])
        self.upsample1 = PixelShuffleUp(channels, channels)
        self.upsample2 = PixelShuffleUp(channels, 64)
        self.conv_hr = conv3(64, 64)
        self.conv_last = conv3(64, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Return the enlarged middle frame."""
        features = self.reconstruction(super().forward(x))
        features = rectified(self.upsample2(rectified(self.upsample1(features))))
        added = self.conv_last(rectified(self.conv_hr(features)))
        return added + enlarged(x[:, x.shape[1] // 2], 4)


def build_module(
    channels: int = 64,
    frames: int = _FRAMES,
    deform_groups: int = 8,
    extraction_blocks: int = 5,
    reconstruction_blocks: int = 10,
    tsa: bool = True,
) -> EDVRModule:
    """Return the untrained network; parameters as `EDVRModule`."""
    return EDVRModule(channels, frames, deform_groups, extraction_blocks, reconstruction_blocks, tsa)


@dataclass(eq=False, repr=False)
class EDVR(VideoUpscaler):
    """EDVR; other parameters as `VideoUpscaler`.

    Parameters
    ----------
    channels : int
        Of the features; a multiple of `deform_groups`.
    deform_groups : int
        Groups of channels that the deformable convolutions move together.
    extraction_blocks, reconstruction_blocks : int
        Residual blocks that look at each frame, and that follow fusion.
    tsa : bool
        Whether frames are fused by attention, or by a 1x1 convolution.
    """

    multiple = 4
    architecture = ("channels", "deform_groups", "extraction_blocks", "reconstruction_blocks", "tsa")
    aliases = (*EDVR_ALIASES, (r"^upconv([12])\.(?=weight|bias)", r"upsample\1.upsample_conv."))

    margin: int = _FRAMES - 1  # at either end of a clip, frames are missed and taken from so far away
    channels: int = 64
    deform_groups: int = 8
    extraction_blocks: int = 5
    reconstruction_blocks: int = 10
    tsa: bool = True

    def check_parameters(self) -> None:
        super().check_parameters()
        if self.deform_groups < 1 or self.channels < 1 or self.channels % self.deform_groups:
            raise OptionError(
                "EDVR: channels must be a multiple of deform_groups, both at least 1, got "
                f"{self.channels} and {self.deform_groups}"
            )

    @property
    def fewest(self) -> int:
        return _FRAMES

    def build(self) -> nn.Module:
        return build_module(
            self.channels,
            _FRAMES,
            self.deform_groups,
            self.extraction_blocks,
            self.reconstruction_blocks,
            self.tsa,
        )

    def recipes(self) -> dict[str, RestorationRecipe]:
        plain = RestorationRecipe(
            steps=600_000,
            batch_size=32,
            patch=256,
            frames=_FRAMES,
            lr=4e-4,
            cosine=(150_000,) * 4,
            pixel="charbonnier-sum",
        )
        if not self.tsa:
            return {"no_tsa": plain}
        attentive = replace(
            plain,
            lr=2e-4,
            cosine=(50_000, 100_000, 150_000, 150_000, 150_000),
            frozen=dict.fromkeys(_ALL_BUT_FUSION, 5000),
            start="no_tsa",
        )
        return {"tsa": attentive}

    def _apply(self, module: nn.Module, pictures: Tensor) -> Tensor:
        windows = [neighbours(i, len(pictures)) for i in range(len(pictures))]
        return torch.cat([module(pictures[window][None]) for window in windows])


def neighbours(index: int, count: int) -> list[int]:
    """Return which five frames of `count` a frame is restored from; it is the middle one.

    Those that are missing are taken from its other side, beyond those already there.
    """
    first, last = index - _FRAMES // 2, index + _FRAMES // 2
    window = range(first, last + 1)
    return [last - i if i < 0 else first - (i - count + 1) if i >= count else i for i in window]
