"""The displacement of FRL-DGT: the network that generates it, its normalisation and its warping loss.

A displacement is ``(B, 2, H, W)``, dx (to the right) then dy (downwards), and follows the law of all flow of
this package: what the onset shows at ``(x, y)`` is at ``(x + dx, y + dy)`` in the apex. So the apex, sampled
there, gives back the onset.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_SLOPE = 0.2
MOMENTUM = 0.2  # twice PyTorch's: running statistics must settle in the few steps that small data give
_LARGEST, _EPSILON = 5, 1e-4


class DisplacementGenerator(nn.Module):
    """The displacement generation module (DGM): onset and apex to a displacement in (-1, 1).

    Both ``(B, 2, H, W)``, H and W multiples of 4. Zhai et al., CVPR 2023, supplement, Table 1.

    Half the filters of the first layer start as differences of the frames, so that motion is seen from the
    first step on and need not be learned against the texture of the face.

    Parameters
    ----------
    width : int
        Filters of the first layer, even; the others have two or four times as many. 32 is the published
        table.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        first, half = nn.Conv2d(2, width, 3, padding=1), width // 2
        with torch.no_grad():
            first.weight[:half, 1] = -first.weight[:half, 0]
        twice, four = 2 * width, 4 * width
        self.conv1, self.conv2 = _activated(first), _block(width, twice, 4, stride=2)
        self.conv3, self.conv4 = _block(twice, twice, 3), _block(twice, four, 4, stride=2)
        self.conv5, self.conv6 = _block(four, four, 3), _block(four, four, 3)
        self.conv7 = _block(four, twice, 1)
        self.conv8, self.conv9 = _block(four, twice, 3), _block(twice, twice, 3)
        self.conv10 = nn.Conv2d(twice, 2, 3, padding=1)

    @property
    def steps(self) -> int:
        """Batches seen in training, as batch normalisation counts them."""
        return int(cast(nn.BatchNorm2d, self.conv1[1]).num_batches_tracked or 0)

    def forward(self, frames: Tensor) -> Tensor:
        half = self.conv3(self.conv2(self.conv1(frames)))
        quarter = self.conv6(self.conv5(self.conv4(half)))
        joined = torch.cat([half, self.conv7(_double(quarter))], dim=1)
        return torch.tanh(self.conv10(_double(self.conv9(self.conv8(joined)))))


def normalised(displacement: Tensor) -> Tensor:
    """Return each displacement of ``(B, ...)`` over the mean of its five largest absolute values.

    The divisor is at least 1e-4; of fewer than five values all are averaged. Supplement, eq. 1.
    """
    sizes = displacement.abs().flatten(1)
    largest = sizes.topk(min(_LARGEST, sizes.shape[1])).values.mean(1)
    return displacement / largest.clamp_min(_EPSILON).view(-1, *[1] * (displacement.ndim - 1))


def warp(pictures: Tensor, flow: Tensor) -> Tensor:
    """Return what pictures ``(B, C, H, W)`` show at ``(x + dx, y + dy)``, for every pixel (x, y).

    Bilinear; outside the picture its edge is repeated. `flow` is ``(B, 2, H, W)``, dx, dy in pixels.
    """
    height, width = pictures.shape[-2:]
    rows = torch.arange(height, device=flow.device, dtype=flow.dtype)
    columns = torch.arange(width, device=flow.device, dtype=flow.dtype)
    x = (2 * (columns + flow[:, 0]) + 1) / width - 1
    y = (2 * (rows[:, None] + flow[:, 1]) + 1) / height - 1
    return F.grid_sample(pictures, torch.stack([x, y], dim=-1), padding_mode="border", align_corners=False)


def warping_loss(onset: Tensor, apex: Tensor, flow: Tensor) -> Tensor:
    """Return the mean absolute difference of onset and apex ``(B, C, H, W)``, the apex warped by the flow."""
    return (warp(apex, flow) - onset).abs().mean()


def _block(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return _activated(nn.Conv2d(inputs, outputs, kernel, stride, padding=(kernel - 1) // 2))


def _activated(conv: nn.Conv2d) -> nn.Sequential:
    norm = nn.BatchNorm2d(conv.out_channels, momentum=MOMENTUM)
    return nn.Sequential(conv, norm, nn.LeakyReLU(_SLOPE, inplace=True))


def _double(maps: Tensor) -> Tensor:
    return F.interpolate(maps, scale_factor=2, mode="bilinear", align_corners=False)
