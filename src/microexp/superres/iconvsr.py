"""IconVSR: BasicVSR with key frames refilled by EDVR's features, and branches that build on each other."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from microexp.errors import OptionError
from microexp.superres._edvr import EDVR_ALIASES, EDVRFeatures
from microexp.superres._layers import conv3
from microexp.superres._network import VideoUpscaler
from microexp.superres._recurrent import RECIPE, RECURRENT_ALIASES, RecurrentModule, ResidualTrunk
from microexp.train.restoration import RestorationRecipe

CARD = {
    "class": "IconVSR",
    "title": "IconVSR",
    "summary": "BasicVSR whose key frames are refilled with EDVR's features and whose branches are coupled.",
    "takes": "clips, or consecutive frames (T, H, W, 3) uint8 RGB of any size",
    "gives": "the same, 4 times as wide and high",
    "paper": {
        "authors": "Chan, Kelvin C.K. and Wang, Xintao and Yu, Ke and Dong, Chao and Loy, Chen Change",
        "title": "BasicVSR: The Search for Essential Components in Video Super-Resolution and Beyond",
        "venue": "IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)",
        "year": 2021,
        "doi": "10.1109/CVPR46437.2021.00491",
    },
    "parameters": 8694991,
    "presets": {"vimeo": {"padding": 3}},
    "published": [
        {"source": "mmagic, IconVSR, REDS", "data": "REDS4 (BIx4), RGB", "PSNR": 31.6926, "SSIM": 0.8951},
        {"source": "mmagic, IconVSR, Vimeo-BI", "data": "Vid4 (BIx4), Y", "PSNR": 27.4238, "SSIM": 0.8297},
        {"source": "mmagic, IconVSR, Vimeo-BD", "data": "Vid4 (BDx4), Y", "PSNR": 28.2464, "SSIM": 0.8612},
    ],
    "notes": [
        "Key frames are every fifth and the last of the frames restored together (30 and 3 more on either "
        "side, settings 'window' and 'margin'); the paper counts from the start of the clip.",
        "A key frame is seen with 2 frames on either side (REDS), or 3 (Vimeo-90K, preset 'vimeo'). Beyond "
        "the ends of the clip the authors' code takes frames from the other side of the first or last "
        "window; so 5 or 7 frames are needed, and shorter clips are played there and back until there are "
        "enough.",
        "Sizes that are no multiples of 4 are continued by the last row and column; the authors' code "
        "mirrors them.",
        "With other than 64 channels EDVR's features have as many (in the authors' code always 64), and with "
        "fewer the layers at the large size, too.",
        "Recipe of the authors' code: as BasicVSR's, with EDVR's features fixed for the first 5000 steps as "
        "well. There they start from an EDVR-M trained before, here from what the network has.",
    ],
    "weights_licence": "Apache-2.0 (the authors' releases); they hold a fine-tuned SPyNet",
}

_DEFORM_GROUPS = 8


class IconVSRModule(RecurrentModule):
    """The network, ``(N, T, 3, H, W)`` in [0, 1] to ``(N, T, 3, 4 H, 4 W)``.

    Height and width must be multiples of 4, and there must be ``2 padding + 1`` frames at least.

    Parameters
    ----------
    channels, blocks : int
        Of each of the two branches; channels must be a multiple of 8.
    keyframe_stride : int
        Frames from one key frame to the next.
    padding : int
        Frames on either side that a key frame is seen with.
    """

    def __init__(
        self, channels: int = 64, blocks: int = 30, keyframe_stride: int = 5, padding: int = 2
    ) -> None:
        super().__init__(channels)
        self.keyframe_stride, self.padding = keyframe_stride, padding
        self.edvr = EDVRFeatures(channels, 2 * padding + 1, _DEFORM_GROUPS)
        self.backward_fusion = conv3(2 * channels, channels)
        self.forward_fusion = conv3(2 * channels, channels)
        self.backward_resblocks = ResidualTrunk(channels + 3, channels, blocks)
        self.forward_resblocks = ResidualTrunk(2 * channels + 3, channels, blocks)

    def forward(self, frames: Tensor) -> Tensor:
        """Return the enlarged frames."""
        pictures = frames.unbind(1)
        last = len(pictures) - 1
        to_previous, to_next = self.flows(frames)
        keys = self.key_features(frames)

        def refill_backward(step: int, state: Tensor) -> Tensor:
            return _refilled(self.backward_fusion, state, keys.get(last - step))

        def refill_forward(step: int, state: Tensor) -> Tensor:
            return _refilled(self.forward_fusion, state, keys.get(step))

        backward = list(self.swept(self.backward_resblocks, pictures[::-1], to_next[::-1], refill_backward))[
            ::-1
        ]
        coupled = (torch.cat(both, dim=1) for both in zip(pictures, backward, strict=True))
        forward = self.swept(self.forward_resblocks, coupled, to_previous, refill_forward)
        large = [
            self.restored(features, picture) for features, picture in zip(forward, pictures, strict=True)
        ]
        return torch.stack(large, dim=1)

    def key_features(self, frames: Tensor) -> dict[int, Tensor]:
        """Return EDVR's features ``(N, channels, H, W)`` of the key frames, by index."""
        count, seen = frames.shape[1], 2 * self.padding + 1
        before = list(range(seen - 1, self.padding, -1))
        after = [count - 1 - i for i in reversed(before)]
        around = frames[:, before + list(range(count)) + after]
        keys = sorted({*range(0, count, self.keyframe_stride), count - 1})
        return {key: self.edvr(around[:, key : key + seen]) for key in keys}


def _refilled(fusion: nn.Module, state: Tensor, key: Tensor | None) -> Tensor:
    return state if key is None else fusion(torch.cat((state, key), dim=1))


def build_module(
    channels: int = 64, blocks: int = 30, keyframe_stride: int = 5, padding: int = 2
) -> IconVSRModule:
    """Return the untrained network; parameters as `IconVSRModule`."""
    return IconVSRModule(channels, blocks, keyframe_stride, padding)


@dataclass(eq=False, repr=False)
class IconVSR(VideoUpscaler):
    """IconVSR; parameters as `VideoUpscaler` and `IconVSRModule`."""

    multiple = 4
    architecture = ("channels", "blocks", "keyframe_stride", "padding")
    aliases = (*RECURRENT_ALIASES, *EDVR_ALIASES)

    channels: int = 64
    blocks: int = 30
    keyframe_stride: int = 5
    padding: int = 2

    @property
    def fewest(self) -> int:
        return 2 * self.padding + 1

    def check_parameters(self) -> None:
        super().check_parameters()
        if self.channels < 1 or self.channels % _DEFORM_GROUPS:
            raise OptionError(
                f"IconVSR: channels must be a multiple of {_DEFORM_GROUPS}, got {self.channels}"
            )
        if self.keyframe_stride < 1 or self.padding < 1:
            raise OptionError(
                "IconVSR: keyframe_stride and padding must be at least 1, got "
                f"{self.keyframe_stride} and {self.padding}"
            )

    def build(self) -> nn.Module:
        return build_module(self.channels, self.blocks, self.keyframe_stride, self.padding)

    def recipes(self) -> dict[str, RestorationRecipe]:
        return {"psnr": replace(RECIPE, frozen={"spynet.": 5000, "edvr.": 5000})}
