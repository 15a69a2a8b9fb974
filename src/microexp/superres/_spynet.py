"""SPyNet, optical flow from coarse to fine, as the recurrent video networks use it.

Ranjan and Black, "Optical Flow Estimation using a Spatial Pyramid Network", CVPR 2017,
https://doi.org/10.1109/CVPR.2017.291. Six levels; between resizing to multiples of 32 and the flow, frames
are normalised by the mean and deviation of ImageNet.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from microexp.networks.warp import flow_warp

# BasicSR counts the rectifiers between the convolutions, too.
SPYNET_ALIASES = tuple(
    (rf"^((?:spynet\.)?basic_module\.\d+\.basic_module)\.{2 * i}\.(?=weight|bias)", rf"\1.{i}.conv.")
    for i in range(5)
)

_CHANNELS = (8, 32, 64, 32, 16, 2)
_LEVELS = 6
_MEAN = (0.485, 0.456, 0.406)  # of ImageNet, red, green, blue
_STD = (0.229, 0.224, 0.225)


class SPyNet(nn.Module):
    """Optical flow from one batch of frames to another; 1,440,300 parameters."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.basic_module = nn.ModuleList([_Level() for _ in range(_LEVELS)])
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(_STD).view(1, 3, 1, 1))

    def forward(self, ref: Tensor, supp: Tensor) -> Tensor:
        """Return the flow ``(N, 2, H, W)``, dx then dy in pixels: `ref` at p is `supp` at p + flow(p).

        Parameters
        ----------
        ref, supp : torch.Tensor
            ``(N, 3, H, W)`` in [0, 1], of any size.
        """
        height, width = ref.shape[2:]
        multiple = 2 ** (_LEVELS - 1)
        size = (height + -height % multiple, width + -width % multiple)
        flow = _resized(self._flow(_resized(ref, size), _resized(supp, size)), (height, width))
        return flow * flow.new_tensor([width / size[1], height / size[0]]).view(1, 2, 1, 1)

    def _flow(self, ref: Tensor, supp: Tensor) -> Tensor:
        """Return the flow between frames whose sides are multiples of 32."""
        pyramid = [((ref - self.mean) / self.std, (supp - self.mean) / self.std)]
        while len(pyramid) < _LEVELS:
            finer = pyramid[-1]
            pyramid.append((F.avg_pool2d(finer[0], 2), F.avg_pool2d(finer[1], 2)))
        coarsest = pyramid[-1][0]
        flow = coarsest.new_zeros(len(coarsest), 2, *coarsest.shape[2:])
        for level, (first, second) in zip(self.basic_module, reversed(pyramid), strict=True):
            if flow.shape[2:] != first.shape[2:]:
                flow = 2 * F.interpolate(flow, scale_factor=2, mode="bilinear", align_corners=True)
            warped = flow_warp(second, flow, padding="border")
            flow = flow + level(torch.cat((first, warped, flow), dim=1))
        return flow


class _Level(nn.Module):
    """Five 7x7 convolutions from two frames and a flow, 8 channels, to what the flow lacks, 2."""

    def __init__(self) -> None:
        super().__init__()
        self.basic_module = nn.Sequential(*[_Layer(*sizes) for sizes in pairwise(_CHANNELS)])

    def forward(self, x: Tensor) -> Tensor:
        *hidden, last = self.basic_module
        for layer in hidden:
            x = F.relu(layer(x))
        return last(x)


class _Layer(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 7, padding=3)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


def _resized(x: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)
