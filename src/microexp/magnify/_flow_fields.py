"""Flow fields of a face: coarse grids in units of half a picture, so that one serves every size.

A flow is ``(N, 2, k, k)``, dx then dy; 1 is half the distance between the centres of the first and the last
pixel. Warping looks back: the result at p is the picture at ``p + flow(p)``.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from microexp.errors import UnknownNameError
from microexp.networks.warp import flow_warp

BACKWARD = ("paper", "neg", "fixed_point")
LIMIT = 0.25  # of half a picture: 14 pixels of 112
_ITERATIONS = 5
_LEAST_AREA = 0.1  # of what a warp makes of a piece of the picture


def resized(flow: Tensor, height: int, width: int) -> Tensor:
    """Return a flow on a grid of another size, interpolated between the same corners; values stay."""
    return F.interpolate(flow, (height, width), mode="bilinear", align_corners=True)


def in_pixels(flow: Tensor, height: int, width: int) -> Tensor:
    """Return a flow ``(N, 2, H, W)`` in pixels of a picture of that size."""
    half = flow.new_tensor([(width - 1) / 2, (height - 1) / 2]).view(1, 2, 1, 1)
    return resized(flow, height, width) * half


def warp(x: Tensor, flow: Tensor) -> Tensor:
    """Return maps ``(N, C, H, W)`` warped by a flow of any grid; outside, the nearest pixel goes on."""
    return flow_warp(x, in_pixels(flow, *x.shape[-2:]), padding="border")


def positions(side: int) -> Tensor:
    """Return where the nodes of a square grid lie, ``(2, side, side)``, x then y, -1 to 1."""
    along = torch.linspace(-1, 1, side)
    return torch.stack((along.expand(side, side), along[:, None].expand(side, side)))


def backward(flow: Tensor, kind: str) -> Tensor:
    """Return the flow that leads back.

    Parameters
    ----------
    flow : torch.Tensor
        ``(N, 2, k, k)``.
    kind : {"paper", "neg", "fixed_point"}
        ``-f(p + f(p))``, equation 10 of Song et al.; ``-f(p)``; or five steps of ``b <- -f(p + b(p))`` from
        ``-f``, whose fixed point is the inverse.

    Raises
    ------
    UnknownNameError
        If it is none of these.
    """
    if kind not in BACKWARD:
        raise UnknownNameError("backward flow", kind, BACKWARD)
    if kind == "paper":
        return -warp(flow, flow)
    back = -flow
    for _ in range(_ITERATIONS if kind == "fixed_point" else 0):
        back = -warp(flow, back)
    return back


def without_folds(flow: Tensor) -> Tensor:
    """Return a flow within `LIMIT` that folds the picture nowhere.

    Of every flow the components are cut at the limit; then it is scaled as a whole by the largest factor of
    at most 1 with which no piece of the picture shrinks to less than a tenth of its area. Within a cell of
    the grid the determinant of ``I + grad flow`` is affine, so its corners decide, and at each of them it is
    a quadratic in the factor. No gradient passes through the factor.
    """
    cut = flow.clamp(-LIMIT, LIMIT)
    return cut * _factor(cut.detach()).view(-1, 1, 1, 1)


def _factor(flow: Tensor) -> Tensor:
    """Return the factor of every flow ``(N, 2, k, l)``, ``(N,)``."""
    trace, determinant = _gradients(flow)
    spare = 1 - _LEAST_AREA
    # The least positive root s of spare + trace s + determinant s^2; where there is none, nothing folds.
    root = (trace**2 - 4 * determinant * spare).clamp(min=0).sqrt()
    meets = (trace**2 >= 4 * determinant * spare) & (root > trace)
    factor = torch.where(meets, 2 * spare / (root - trace).clamp(min=1e-12), torch.inf)
    return factor.flatten(1).amin(1).clamp(max=1)


def _gradients(flow: Tensor) -> tuple[Tensor, Tensor]:
    """Return trace and determinant of a flow's gradient at the four corners of every cell."""
    height, width = flow.shape[-2:]
    along_x = flow.diff(dim=3) * (width - 1) / 2  # (N, 2, k, l - 1): one on the upper and lower edge of cells
    along_y = flow.diff(dim=2) * (height - 1) / 2
    corners = [
        (along_x[:, :, i : height - 1 + i], along_y[:, :, :, j : width - 1 + j])
        for i in range(2)
        for j in range(2)
    ]
    traces = [x[:, 0] + y[:, 1] for x, y in corners]
    determinants = [x[:, 0] * y[:, 1] - x[:, 1] * y[:, 0] for x, y in corners]
    return torch.stack(traces, 1), torch.stack(determinants, 1)
