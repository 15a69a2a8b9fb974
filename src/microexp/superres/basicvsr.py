"""BasicVSR: features propagated along optical flow, backwards and forwards through a clip."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from microexp.superres._network import VideoUpscaler
from microexp.superres._recurrent import RECIPE, RECURRENT_ALIASES, SLOPE, RecurrentModule, ResidualTrunk
from microexp.train.restoration import RestorationRecipe

CARD = {
    "class": "BasicVSR",
    "title": "BasicVSR",
    "summary": "Features carried along SPyNet's flow through the whole clip, backwards and then forwards.",
    "takes": "clips, or consecutive frames (T, H, W, 3) uint8 RGB of any size; one picture is a clip of one",
    "gives": "the same, 4 times as wide and high",
    "paper": {
        "authors": "Chan, Kelvin C.K. and Wang, Xintao and Yu, Ke and Dong, Chao and Loy, Chen Change",
        "title": "BasicVSR: The Search for Essential Components in Video Super-Resolution and Beyond",
        "venue": "IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)",
        "year": 2021,
        "doi": "10.1109/CVPR46437.2021.00491",
    },
    "parameters": 6291311,
    "published": [
        {"source": "mmagic, BasicVSR, REDS", "data": "REDS4 (BIx4), RGB", "PSNR": 31.4170, "SSIM": 0.8909},
        {"source": "mmagic, BasicVSR, Vimeo-BI", "data": "Vid4 (BIx4), Y", "PSNR": 27.2755, "SSIM": 0.8248},
        {"source": "mmagic, BasicVSR, Vimeo-BD", "data": "Vid4 (BDx4), Y", "PSNR": 27.9791, "SSIM": 0.8556},
    ],
    "notes": [
        "The paper restores whole clips; here 30 frames at a time with 3 more on either side (settings "
        "'window' and 'margin'), so that memory is bounded. A window as long as the clip gives the paper's.",
        "The authors' code warns of frames below 64x64, where the coarsest level of the flow is a pixel or "
        "two; small faces are taken as they are, which came out better than continuing them to 64.",
        "With fewer than 64 channels the layers at the large size have as many; in the authors' code they "
        "always have 64.",
        "Recipe of the authors' code for REDS: SPyNet learns at an eighth of the rate and not at all for the "
        "first 5000 steps; it starts there from weights trained on Sintel, here from what the network has. "
        "For Vimeo-90K they mirror 7 frames in time to 14 instead of taking 15.",
        "Published checkpoints hold a fine-tuned SPyNet, whose original weights are for non-commercial "
        "research only.",
    ],
    "weights_licence": "Apache-2.0 (the authors' releases); see the note on SPyNet",
}


class BasicVSRModule(RecurrentModule):
    """The network, ``(N, T, 3, H, W)`` in [0, 1] to ``(N, T, 3, 4 H, 4 W)``.

    Parameters
    ----------
    channels, blocks : int
        Of each of the two branches.
    """

    def __init__(self, channels: int = 64, blocks: int = 30) -> None:
        super().__init__(channels)
        self.backward_resblocks = ResidualTrunk(channels + 3, channels, blocks)
        self.forward_resblocks = ResidualTrunk(channels + 3, channels, blocks)
        self.fusion = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, frames: Tensor) -> Tensor:
        """Return the enlarged frames."""
        pictures = frames.unbind(1)
        to_previous, to_next = self.flows(frames)
        backward = list(self.swept(self.backward_resblocks, pictures[::-1], to_next[::-1]))[::-1]
        forward = self.swept(self.forward_resblocks, pictures, to_previous)
        large = []
        for picture, *both in zip(pictures, backward, forward, strict=True):
            features = F.leaky_relu(self.fusion(torch.cat(both, dim=1)), SLOPE)
            large.append(self.restored(features, picture))
        return torch.stack(large, dim=1)


def build_module(channels: int = 64, blocks: int = 30) -> BasicVSRModule:
    """Return the untrained network; parameters as `BasicVSRModule`."""
    return BasicVSRModule(channels, blocks)


@dataclass(eq=False, repr=False)
class BasicVSR(VideoUpscaler):
    """BasicVSR; parameters as `VideoUpscaler` and `BasicVSRModule`."""

    architecture = ("channels", "blocks")
    aliases = RECURRENT_ALIASES

    channels: int = 64
    blocks: int = 30

    def build(self) -> nn.Module:
        return build_module(self.channels, self.blocks)

    def recipes(self) -> dict[str, RestorationRecipe]:
        return {"psnr": RECIPE}
