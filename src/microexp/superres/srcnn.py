"""SRCNN: three convolutions over the bicubically enlarged picture."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from microexp.superres._layers import enlarged
from microexp.superres._network import NetworkUpscaler
from microexp.train.restoration import RestorationRecipe

CARD = {
    "class": "SRCNN",
    "title": "SRCNN (9-1-5)",
    "summary": "Three convolutions (9x9, 1x1, 5x5) over the bicubically enlarged picture.",
    "takes": "clips, or pictures (H, W, 3) uint8 RGB of any size",
    "gives": "the same, 2, 3, 4, 8 or 16 times as wide and high",
    "paper": {
        "authors": "Dong, Chao and Loy, Chen Change and He, Kaiming and Tang, Xiaoou",
        "title": "Image Super-Resolution Using Deep Convolutional Networks",
        "venue": "IEEE Transactions on Pattern Analysis and Machine Intelligence 38(2):295-307",
        "year": 2016,
        "doi": "10.1109/TPAMI.2015.2439281",
    },
    "parameters": 20099,
    "published": [
        {
            "source": "mmagic, SRCNN x4",
            "data": "Set5, RGB, 4 pixels cropped",
            "PSNR": 28.4316,
            "SSIM": 0.8099,
        },
    ],
    "notes": [
        "Network and recipe of mmagic: red, green and blue at once, borders padded so that the size stays, "
        "L1, Adam 2e-4. The paper's network has the luminance alone, no padding and a squared error.",
        "The enlargement before the network is PyTorch's bicubic (a = -0.75), which differs from MATLAB's.",
        "Weights start as PyTorch draws them; the paper draws them from a normal law of deviation 0.001.",
        "The one published file is for 4. A network of any other factor has the same tensors, and is no "
        "good with weights that were trained for 4.",
        "Patches are 128 pixels wide, and 126 for 3, of which 128 is no multiple: our choice.",
    ],
}


class SRCNNModule(nn.Module):
    """The network, ``(N, 3, H, W)`` in [0, 1] to ``(N, 3, s H, s W)``.

    Parameters
    ----------
    scale : int
        Any factor, 1 or more.
    """

    def __init__(self, scale: int = 4) -> None:
        super().__init__()
        self.scale = scale
        self.conv1 = nn.Conv2d(3, 64, 9, padding=4)
        self.conv2 = nn.Conv2d(64, 32, 1)
        self.conv3 = nn.Conv2d(32, 3, 5, padding=2)

    def forward(self, x: Tensor) -> Tensor:
        """Return the enlarged pictures."""
        x = F.relu(self.conv1(enlarged(x, self.scale, "bicubic")))
        return self.conv3(F.relu(self.conv2(x)))


def build_module(scale: int = 4) -> SRCNNModule:
    """Return the untrained network; parameters as `SRCNNModule`."""
    return SRCNNModule(scale)


@dataclass(eq=False, repr=False)
class SRCNN(NetworkUpscaler):
    """SRCNN; parameters as `NetworkUpscaler`."""

    scales = (2, 3, 4, 8, 16)

    def build(self) -> nn.Module:
        return build_module(self.scale)

    def recipes(self) -> dict[str, RestorationRecipe]:
        patch = 126 if self.scale == 3 else 128
        return {"psnr": RestorationRecipe(steps=1_000_000, patch=patch, lr=2e-4, cosine=(250_000,) * 4)}
