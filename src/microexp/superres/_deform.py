"""Modulated deformable convolution: each tap looks where an offset says, and counts as a mask says.

Zhu et al., "Deformable ConvNets v2: More Deformable, Better Results", CVPR 2019,
https://doi.org/10.1109/CVPR.2019.00953, equation (1). The layout of offsets and masks is that of mmcv,
torchvision and ONNX's DeformConv.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from microexp.networks.warp import sample


def deform_conv2d(
    x: Tensor,
    offset: Tensor,
    mask: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    groups: int = 1,
    deform_groups: int = 1,
) -> Tensor:
    """Convolve maps with taps that are moved and weighted at every position.

    Parameters
    ----------
    x : torch.Tensor
        ``(N, C, H, W)``; outside of it are zeros.
    offset : torch.Tensor
        ``(N, 2 G K, H', W')``, pixels, for G deformable groups and K taps in rows: channels ``2 (g K + k)``
        and ``2 (g K + k) + 1`` hold dy and dx.
    mask : torch.Tensor
        ``(N, G K, H', W')``, factors.
    weight, bias : torch.Tensor
        ``(O, C / groups, kh, kw)`` and ``(O,)``.
    stride, padding, dilation, groups : int
        As in any convolution.
    deform_groups : int
        G: into how many parts the channels of `x` fall that are moved together.

    Returns
    -------
    torch.Tensor
        ``(N, O, H', W')``.
    """
    count, channels = x.shape[:2]
    outputs, _, kernel_height, kernel_width = weight.shape
    taps, parts = kernel_height * kernel_width, count * deform_groups
    height, width = offset.shape[2:]

    def along(size: int, kernel: int) -> Tensor:
        """Return the unmoved positions ``(kernel, size)`` of the taps along one axis."""
        steps = torch.arange(size, dtype=offset.dtype, device=offset.device) * stride - padding
        return steps + dilation * torch.arange(kernel, device=offset.device)[:, None]

    rows = along(height, kernel_height)[:, None, :, None]
    columns = along(width, kernel_width)[None, :, None, :]
    moves = offset.reshape(parts, kernel_height, kernel_width, 2, height, width)
    positions = torch.stack((moves[:, :, :, 1] + columns, moves[:, :, :, 0] + rows), dim=-1)
    sampled = sample(
        x.reshape(parts, channels // deform_groups, *x.shape[2:]),
        positions.reshape(parts, taps * height, width, 2),
    )
    weighted = sampled.reshape(parts, -1, taps, height, width) * mask.reshape(parts, 1, taps, height, width)
    out = torch.einsum(
        "goi,ngip->ngop",
        weight.reshape(groups, outputs // groups, -1),
        weighted.reshape(count, groups, channels // groups * taps, height * width),
    ).reshape(count, outputs, height, width)
    return out if bias is None else out + bias.view(-1, 1, 1)


class DeformPack(nn.Module):
    """A modulated deformable 3x3 convolution whose offsets and mask a convolution makes of another map.

    Offsets are 0 and masks 1/2 at first.

    Parameters
    ----------
    inputs, outputs : int
        Channels; the other map has as many as the input.
    deform_groups : int
        As in `deform_conv2d`.
    """

    def __init__(self, inputs: int, outputs: int, deform_groups: int = 1) -> None:
        super().__init__()
        self.deform_groups = deform_groups
        self.weight = nn.Parameter(torch.empty(outputs, inputs, 3, 3))
        self.bias = nn.Parameter(torch.zeros(outputs))
        bound = 1 / math.sqrt(inputs * 9)
        nn.init.uniform_(self.weight, -bound, bound)
        self.conv_offset = nn.Conv2d(inputs, deform_groups * 27, 3, padding=1)
        nn.init.zeros_(self.conv_offset.weight)
        nn.init.zeros_(self.conv_offset.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, extra_feat: Tensor) -> Tensor:
        """Return ``(N, outputs, H, W)`` of two maps ``(N, inputs, H, W)``; the second says where to look."""
        taps = 9 * self.deform_groups
        offset, mask = self.conv_offset(extra_feat).split((2 * taps, taps), dim=1)
        return deform_conv2d(
            x, offset, mask.sigmoid(), self.weight, self.bias, padding=1, deform_groups=self.deform_groups
        )
