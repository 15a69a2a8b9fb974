"""HTNet: a hierarchical transformer on four crops of the flow image (Wang et al., Neurocomputing 2024)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from microexp.errors import OptionError
from microexp.recognize._flow_network import FlowNetwork
from microexp.train import Recipe

CARD = {
    "class": "HTNet",
    "title": "HTNet (hierarchical transformer network)",
    "summary": "Eyes and mouth corners cut from the flow image, and a three-level transformer on patches.",
    "takes": "clips of aligned faces, or flow images (N, 3, 28, 28) float32 in [0, 1]: u, v, strain",
    "gives": "labels (N,) int64, probabilities (N, K)",
    "paper": {
        "authors": "Wang, Zhifeng and Zhang, Kaihao and Luo, Wenhan and Sankaranarayana, Ramesh",
        "title": "HTNet for Micro-Expression Recognition",
        "venue": "Neurocomputing",
        "year": 2024,
        "url": "https://arxiv.org/abs/2307.14637",
    },
    "parameters": 139582982,
    "published": [
        {
            "source": "Table 1 of the BOWAM paper",
            "data": "MEGC2019",
            "UF1": 0.8603,
            "UAR": 0.8475,
            "protocol": "leaks: the public code keeps the epoch that is best on the left-out subject",
        },
        {"source": "Table 1 of the BOWAM paper", "data": "MEGC2019, SMIC part", "UF1": 0.8049, "UAR": 0.7905},
        {
            "source": "Table 1 of the BOWAM paper",
            "data": "MEGC2019, CASME II part",
            "UF1": 0.9532,
            "UAR": 0.9516,
        },
        {"source": "Table 1 of the BOWAM paper", "data": "MEGC2019, SAMM part", "UF1": 0.8131, "UAR": 0.8124},
        {"source": "Table 2 of the BOWAM paper", "data": "CAS(ME)3 3 classes", "UF1": 0.5767, "UAR": 0.5415},
    ],
    "notes": [
        "Every attention layer of the published sizes sees one token: its weights are 1, and the 22,195,200 "
        "parameters of all queries and keys never get a gradient. It is a network of convolutions.",
        "The public code takes a landmark's x for the row and its y for the column of a crop; so does "
        "transposed=True.",
        "The public code finds landmarks by MTCNN on the face shrunk to 28x28 and falls back on five fixed "
        "points; here the fixed points serve all clips, as flow images come without a face.",
        "Flow images are fed as 0..255 in the order strain, v, u, as the public code reads its pictures by "
        "OpenCV. Adam at 5e-5, batches of 256, never shuffled, 800 epochs; its classes come in the order in "
        "which the file system lists their folders, ours in ascending order.",
    ],
}

SIDE, PATCH, LEVELS = 28, 7, 3
# Eyes and mouth corners (x, y) that the public code falls back on, in the 28x28 picture.
POINTS = ((9.528, 11.063), (21.396, 10.920), (10.255, 22.121), (20.584, 22.256))


def build_module(
    n_classes: int = 3, width: int = 256, heads: int = 3, depths: Sequence[int] = (2, 2, 10)
) -> HTNetModule:
    """Return the bare network."""
    return HTNetModule(n_classes, width, heads, depths)


class HTNetModule(nn.Module):
    """The network, ``(N, 3, 28, 28)`` of four crops to logits ``(N, K)``.

    Parameters
    ----------
    n_classes : int
        Outputs.
    width, heads : int
        Of the first level; both double from level to level.
    depths : sequence of int
        Transformer layers of the three levels: 4x4, 2x2 and 1 blocks.
    """

    def __init__(
        self, n_classes: int = 3, width: int = 256, heads: int = 3, depths: Sequence[int] = (2, 2, 10)
    ) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(LEVELS)]
        self.embed = nn.Conv2d(3, width, PATCH, stride=PATCH)
        self.levels = nn.ModuleList(
            _Level(w, heads * 2**level, depth)
            for level, (w, depth) in enumerate(zip(widths, depths, strict=True))
        )
        self.merge = nn.ModuleList(_Aggregate(a, b) for a, b in pairwise(widths))
        self.norm, self.classifier = nn.LayerNorm(widths[-1]), nn.Linear(widths[-1], n_classes)

    def forward(self, images: Tensor) -> Tensor:
        x = self.embed(images)
        for number, level in enumerate(self.levels):
            x = level(x, blocks=2 ** (LEVELS - 1 - number))
            if number < len(self.merge):
                x = self.merge[number](x)
        return self.classifier(self.norm(x.permute(0, 2, 3, 1)).mean((1, 2)))


class _ChannelNorm(nn.Module):
    """Layer normalisation over the channels of ``(N, C, H, W)``."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class _Attention(nn.Module):
    """Multi-head self-attention over the positions of ``(N, C, H, W)``."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads, inner = heads, channels // heads * heads
        self.norm = _ChannelNorm(channels)
        self.qkv = nn.Conv2d(channels, 3 * inner, 1, bias=False)
        self.out = nn.Conv2d(inner, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        n, _, height, width = x.shape
        qkv = self.qkv(self.norm(x)).view(n, 3, self.heads, -1, height * width).transpose(3, 4)
        q, k, v = qkv.unbind(1)
        mixed = nn.functional.scaled_dot_product_attention(q, k, v)
        return self.out(mixed.transpose(2, 3).reshape(n, -1, height, width))


class _Level(nn.Module):
    """Transformer layers inside each block of the map, and a position parameter per token of a block."""

    def __init__(self, channels: int, heads: int, depth: int) -> None:
        super().__init__()
        tokens = (SIDE // PATCH // 2 ** (LEVELS - 1)) ** 2
        self.position = nn.Parameter(torch.randn(tokens))
        self.attention = nn.ModuleList(_Attention(channels, heads) for _ in range(depth))
        self.feed = nn.ModuleList(
            nn.Sequential(
                _ChannelNorm(channels),
                nn.Conv2d(channels, 4 * channels, 1),
                nn.GELU(),
                nn.Conv2d(4 * channels, channels, 1),
            )
            for _ in range(depth)
        )

    def forward(self, x: Tensor, blocks: int) -> Tensor:
        n, channels, height, width = x.shape
        h, w = height // blocks, width // blocks
        x = x.view(n, channels, blocks, h, blocks, w).permute(0, 2, 4, 1, 3, 5).reshape(-1, channels, h, w)
        x = x + self.position.view(1, 1, h, w)
        for attention, feed in zip(self.attention, self.feed, strict=True):
            x = x + attention(x)
            x = x + feed(x)
        x = x.view(n, blocks, blocks, channels, h, w).permute(0, 3, 1, 4, 2, 5)
        return x.reshape(n, channels, height, width)


class _Aggregate(nn.Sequential):
    """Four blocks to one: convolution, norm, max-pool of stride 2."""

    def __init__(self, channels: int, more: int) -> None:
        super().__init__(
            nn.Conv2d(channels, more, 3, padding=1), _ChannelNorm(more), nn.MaxPool2d(3, stride=2, padding=1)
        )


def four_crops(images: np.ndarray, transposed: bool = False) -> np.ndarray:
    """Cut 14x14 crops around eyes and mouth corners and put them together.

    Parameters
    ----------
    images : numpy.ndarray
        ``(N, C, 28, 28)``.
    transposed : bool
        Take x for the row and y for the column, as the public code does.

    Returns
    -------
    numpy.ndarray
        ``(N, C, 28, 28)``: eyes above, mouth corners below.
    """
    half = SIDE // 4
    crops = []
    for x, y in POINTS:
        row, column = (x, y) if transposed else (y, x)
        top, left = (int(np.clip(c, half, SIDE - half)) - half for c in (row, column))
        crops.append(images[..., top : top + 2 * half, left : left + 2 * half])
    rows = [np.concatenate(crops[k : k + 2], axis=-1) for k in (0, 2)]
    return np.concatenate(rows, axis=-2)


@dataclass(eq=False, repr=False)
class HTNet(FlowNetwork):
    """HTNet; parameters as `FlowNetwork`, and those of its size.

    Parameters
    ----------
    width, heads : int
        Of the first level; the published 256 and 3 make 139.6 million parameters.
    depths : sequence of int
        Layers of the three levels.
    transposed : bool
        Cut the crops as the public code does; see the card.
    """

    channels = ("strain", "v", "u")
    scale = 255.0
    published = Recipe(epochs=800, batch_size=256, lr=5e-5, order="by-class")

    width: int = 256
    heads: int = 3
    depths: Sequence[int] = (2, 2, 10)
    transposed: bool = True

    def check_parameters(self) -> None:
        super().check_parameters()
        depths = tuple(self.depths) if isinstance(self.depths, Sequence) else ()
        if len(depths) != LEVELS or min(depths) < 1 or not 1 <= self.heads <= self.width:
            raise OptionError("HTNet: depths must be three numbers of 1 or more, heads from 1 to width")

    def build(self, n_classes: int) -> nn.Module:
        return build_module(n_classes, self.width, self.heads, self.depths)

    def stage(self, features: np.ndarray) -> Tensor:
        """Return the four crops of each image, 0..255."""
        staged = super().stage(features)
        return torch.from_numpy(four_crops(staged.numpy(), self.transposed))
