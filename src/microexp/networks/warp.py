"""Sampling of feature maps at positions between pixels, and warping by a flow."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def sample(x: Tensor, positions: Tensor, padding: str = "zeros") -> Tensor:
    """Interpolate maps bilinearly at positions in pixels.

    Parameters
    ----------
    x : torch.Tensor
        ``(N, C, H, W)``.
    positions : torch.Tensor
        ``(N, h, w, 2)``, x then y; (0, 0) is the centre of the first pixel.
    padding : {"zeros", "border"}
        What lies outside of the map: each neighbour outside counts 0, or the nearest pixel goes on.

    Returns
    -------
    torch.Tensor
        ``(N, C, h, w)``.
    """
    size = positions.new_tensor([x.shape[-1], x.shape[-2]])
    # Without aligned corners the map of positions is one to one for maps of a single row or column, too.
    grid = (2 * positions + 1) / size - 1
    return F.grid_sample(x, grid, mode="bilinear", padding_mode=padding, align_corners=False)


def flow_warp(x: Tensor, flow: Tensor, padding: str = "zeros") -> Tensor:
    """Return what stands at ``p + flow(p)`` in a map, for every pixel p.

    Parameters
    ----------
    x : torch.Tensor
        ``(N, C, H, W)``.
    flow : torch.Tensor
        ``(N, 2, H, W)``, dx then dy, pixels.
    padding : {"zeros", "border"}
        As in `sample`.

    Returns
    -------
    torch.Tensor
        ``(N, C, H, W)``.
    """
    columns = torch.arange(flow.shape[3], dtype=flow.dtype, device=flow.device)
    rows = torch.arange(flow.shape[2], dtype=flow.dtype, device=flow.device)
    positions = torch.stack((flow[:, 0] + columns, flow[:, 1] + rows[:, None]), dim=-1)
    return sample(x, positions, padding)
