"""EDVR's parts: alignment of frames by deformable convolution, and fusion by attention.

Wang et al., "EDVR: Video Restoration With Enhanced Deformable Convolutional Networks", CVPRW 2019,
https://doi.org/10.1109/CVPRW.2019.00247, sections 3.2 (PCD) and 3.3 (TSA).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from microexp.superres._deform import DeformPack
from microexp.superres._layers import ResidualBlock, conv3, enlarged

# BasicSR has no name level for the convolutions that a rectifier follows. With and without "edvr." before.
EDVR_ALIASES = (
    (r"^((?:edvr\.)?)conv_l([23])_([12])\.(?=weight|bias)", r"\1feat_l\2_conv\3.conv."),
    (r"^((?:edvr\.)?)pcd_align\.", r"\1pcd_alignment."),
    (
        r"(\bpcd_alignment\.(?:offset_conv|feat_conv|cas_offset_conv)[^.]*(?:\.l\d)?)\.(?=weight|bias)",
        r"\1.conv.",
    ),
    (
        r"(\bfusion\.(?:feat_fusion|spatial_attn[1-4]|spatial_attn_l\d|spatial_attn_add1))\.(?=weight|bias)",
        r"\1.conv.",
    ),
)

_SLOPE = 0.1  # of the rectifiers where values are negative


class EDVRFeatures(nn.Module):
    """Features of the middle one of several frames, ``(N, T, 3, H, W)`` in [0, 1] to ``(N, C, H, W)``.

    Height and width must be multiples of 4.

    Parameters
    ----------
    channels, frames : int
        C, and T, which is odd.
    deform_groups : int
        Groups of channels that the deformable convolutions move together.
    blocks : int
        Residual blocks that look at each frame.
    tsa : bool
        Whether frames are fused by attention, or by a 1x1 convolution.
    """

    def __init__(
        self, channels: int = 64, frames: int = 5, deform_groups: int = 8, blocks: int = 5, tsa: bool = True
    ) -> None:
        super().__init__()
        self.conv_first = conv3(3, channels)
        self.feature_extraction = nn.Sequential(*[ResidualBlock(channels) for _ in range(blocks)])
        self.feat_l2_conv1 = Conv(channels, channels, stride=2)
        self.feat_l2_conv2 = Conv(channels, channels)
        self.feat_l3_conv1 = Conv(channels, channels, stride=2)
        self.feat_l3_conv2 = Conv(channels, channels)
        self.pcd_alignment = PCDAlignment(channels, deform_groups)
        self.fusion = TSAFusion(channels, frames) if tsa else PlainFusion(channels * frames, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the features."""
        count, frames = x.shape[:2]
        first = self.feature_extraction(rectified(self.conv_first(x.flatten(0, 1))))
        second = self.feat_l2_conv2(self.feat_l2_conv1(first))
        third = self.feat_l3_conv2(self.feat_l3_conv1(second))
        levels = [level.unflatten(0, (count, frames)) for level in (first, second, third)]
        middle = [level[:, frames // 2] for level in levels]
        aligned = [self.pcd_alignment([level[:, i] for level in levels], middle) for i in range(frames)]
        return self.fusion(torch.stack(aligned, dim=1))


class PCDAlignment(nn.Module):
    """A frame's features moved to where the middle frame has them, from coarse to fine, then once more.

    Parameters
    ----------
    channels, deform_groups : int
        As in `EDVRFeatures`.
    """

    def __init__(self, channels: int, deform_groups: int) -> None:
        super().__init__()
        levels = ("l3", "l2", "l1")
        self.offset_conv1 = nn.ModuleDict({level: Conv(2 * channels, channels) for level in levels})
        self.offset_conv2 = nn.ModuleDict(
            {level: Conv(channels if level == "l3" else 2 * channels, channels) for level in levels}
        )
        self.offset_conv3 = nn.ModuleDict({level: Conv(channels, channels) for level in ("l2", "l1")})
        self.dcn_pack = nn.ModuleDict(
            {level: DeformPack(channels, channels, deform_groups) for level in levels}
        )
        self.feat_conv = nn.ModuleDict(
            {"l2": Conv(2 * channels, channels), "l1": Conv(2 * channels, channels, rectify=False)}
        )
        self.cas_offset_conv1 = Conv(2 * channels, channels)
        self.cas_offset_conv2 = Conv(channels, channels)
        self.cas_dcnpack = DeformPack(channels, channels, deform_groups)

    def forward(self, frame: Sequence[Tensor], middle: Sequence[Tensor]) -> Tensor:
        """Return ``(N, C, H, W)`` of a frame's features and the middle one's.

        Parameters
        ----------
        frame, middle : sequence of torch.Tensor
            ``(N, C, H, W)``, ``(N, C, H / 2, W / 2)`` and ``(N, C, H / 4, W / 4)``.
        """
        offset = self.offset_conv2["l3"](self.offset_conv1["l3"](torch.cat((frame[2], middle[2]), dim=1)))
        aligned = rectified(self.dcn_pack["l3"](frame[2], offset))
        for level, theirs, ours in (("l2", frame[1], middle[1]), ("l1", frame[0], middle[0])):
            pair = self.offset_conv1[level](torch.cat((theirs, ours), dim=1))
            coarse = 2 * enlarged(offset, 2)  # offsets are pixels, which are half as large here
            offset = self.offset_conv3[level](self.offset_conv2[level](torch.cat((pair, coarse), dim=1)))
            moved = self.dcn_pack[level](theirs, offset)
            aligned = self.feat_conv[level](torch.cat((moved, enlarged(aligned, 2)), dim=1))
        offset = self.cas_offset_conv2(self.cas_offset_conv1(torch.cat((aligned, middle[0]), dim=1)))
        return rectified(self.cas_dcnpack(aligned, offset))


class TSAFusion(nn.Module):
    """Aligned frames fused: weighted by likeness to the middle one, then by an attention over positions.

    Parameters
    ----------
    channels, frames : int
        As in `EDVRFeatures`.
    """

    def __init__(self, channels: int, frames: int) -> None:
        super().__init__()
        self.temporal_attn1 = conv3(channels, channels)
        self.temporal_attn2 = conv3(channels, channels)
        self.feat_fusion = Conv(frames * channels, channels, 1)
        self.spatial_attn1 = Conv(frames * channels, channels, 1)
        self.spatial_attn2 = Conv(2 * channels, channels, 1)
        self.spatial_attn3 = Conv(channels, channels)
        self.spatial_attn4 = Conv(channels, channels, 1)
        self.spatial_attn5 = conv3(channels, channels)
        self.spatial_attn_l1 = Conv(channels, channels, 1)
        self.spatial_attn_l2 = Conv(2 * channels, channels)
        self.spatial_attn_l3 = Conv(channels, channels)
        self.spatial_attn_add1 = Conv(channels, channels, 1)
        self.spatial_attn_add2 = nn.Conv2d(channels, channels, 1)

    def forward(self, aligned: Tensor) -> Tensor:
        """Return ``(N, C, H, W)`` of aligned frames ``(N, T, C, H, W)``."""
        weighted = (aligned * self._likeness(aligned)).flatten(1, 2)
        attention = self._attention(weighted)
        added = self.spatial_attn_add2(self.spatial_attn_add1(attention))
        return 2 * attention.sigmoid() * self.feat_fusion(weighted) + added

    def _likeness(self, aligned: Tensor) -> Tensor:
        """Return ``(N, T, 1, H, W)``, in [0, 1]."""
        count, frames = aligned.shape[:2]
        middle = self.temporal_attn1(aligned[:, frames // 2])
        each = self.temporal_attn2(aligned.flatten(0, 1)).unflatten(0, (count, frames))
        return (each * middle[:, None]).sum(dim=2, keepdim=True).sigmoid()

    def _attention(self, weighted: Tensor) -> Tensor:
        """Return ``(N, C, H, W)`` of the weighted frames ``(N, T C, H, W)``, before the sigmoid."""
        half = self.spatial_attn2(pooled(self.spatial_attn1(weighted)))
        quarter = self.spatial_attn_l3(self.spatial_attn_l2(pooled(self.spatial_attn_l1(half))))
        both = self.spatial_attn4(self.spatial_attn3(half) + enlarged(quarter, 2))
        return self.spatial_attn5(enlarged(both, 2))


class PlainFusion(nn.Conv2d):
    """Aligned frames fused by a convolution, ``(N, T, C, H, W)`` to ``(N, C, H, W)``."""

    def forward(self, aligned: Tensor) -> Tensor:
        return super().forward(aligned.flatten(1, 2))


class Conv(nn.Module):
    """A convolution that keeps the size (halves it with stride 2), and a leaky rectifier."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1, rectify: bool = True
    ) -> None:
        super().__init__()
        self.rectify = rectify
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return rectified(x) if self.rectify else x


def rectified(x: Tensor) -> Tensor:
    """Return the leaky rectifier of the video networks."""
    return F.leaky_relu(x, _SLOPE)


def pooled(x: Tensor) -> Tensor:
    """Return maxima and means of 3x3 pixels, ``(N, 2 C, H / 2, W / 2)`` of ``(N, C, H, W)``."""
    return torch.cat((F.max_pool2d(x, 3, 2, 1), F.avg_pool2d(x, 3, 2, 1)), dim=1)
