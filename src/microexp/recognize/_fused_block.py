"""Convolution, ReLU, batch norm and max-pool of a shallow network as one cache-sized operation.

A shallow network on small pictures is bound by memory traffic: each of its element-wise layers writes
and reads back a map that is a hundred times larger than the input. Here the first block is computed a
few pictures at a time, so that the maps never leave the cache, and the backward pass computes the
convolution again in place of storing it. Three facts make it short:

* The input never changes, so its 3x3 patches are laid out once, ordered by pooling window.
* Batch norm is monotone in each channel, so pooling may come first: the maximum of the normalised map is
  the normalised maximum (or minimum, where the scale is negative).
* The gradient of batch norm needs two sums over the pooled map only, as all other positions get none.

Results are those of the plain layers up to rounding (tests/recognize/test_fused_block.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

POOL = 3
SLOTS = POOL * POOL
_PICTURES_A_STEP = 8  # 8 pictures of 30x30 positions and 16 channels are 0.46 MB: inside a core's cache
_SMALLEST = -torch.finfo(torch.float32).tiny
_OUTSIDE = -torch.finfo(torch.float32).max


def window_patches(images: Tensor) -> Tensor:
    """Lay out the 3x3 patches of zero-padded images by pooling window.

    Parameters
    ----------
    images : Tensor
        ``(N, C, H, H) float32`` with ``H + 2`` divisible by 3. The convolution is 3x3 with padding 2
        (map of side ``H + 2``), the pooling 3x3 with stride 3 and padding 1 (map of side ``(H + 2) / 3``).

    Returns
    -------
    Tensor
        ``(N, 9, P, 9 C + 1)``: slot in the window, window, patch and a one (for the bias). The slots that
        fall on the pooling's padding hold the patches of the last row and column, which no window covers
        but batch norm counts; so each position of the map is there exactly once.
    """
    n, channels, side, _ = images.shape
    map_side, windows = side + 2, (side + 2) // POOL
    patches = F.unfold(images, 3, padding=2).view(n, channels * 9, map_side, map_side)
    position = POOL * torch.arange(windows)[:, None] + torch.arange(POOL) - 1
    position[position < 0] = map_side - 1
    by_window = patches[:, :, position][:, :, :, :, position]  # n, patch, row, slot row, column, slot column
    ordered = by_window.permute(0, 3, 5, 2, 4, 1).reshape(n, SLOTS, windows**2, channels * 9)
    return torch.cat([ordered, ordered.new_ones(n, SLOTS, windows**2, 1)], dim=3).contiguous()


def conv_relu_norm_pool(
    patches: Tensor, weight: Tensor, bias: Tensor, scale: Tensor, shift: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the block in training mode: pooled map ``(N, P, F)``, mean and variance ``(F,)``.

    The variance is the unbiased one, as running statistics keep it.
    """
    pooled, mean, variance = _TrainingBlock.apply(  # type: ignore[no-untyped-call]
        patches, _matrix(weight, bias), scale, shift, eps
    )
    count = patches.shape[0] * SLOTS * patches.shape[2]
    return pooled, mean, variance * (count / (count - 1))


def conv_relu_pool_affine(
    patches: Tensor, weight: Tensor, bias: Tensor, scale: Tensor, shift: Tensor
) -> Tensor:
    """Return ``max(scale * relu(conv) + shift)``, ``(N, P, F)``: the block with fixed statistics."""
    matrix, sign = _matrix(weight, bias), _sign(scale)
    maps = (torch.relu(part @ matrix) for (part,) in _pieces(patches))
    extreme = torch.cat([_extreme(active, sign) for active in maps])
    return extreme * scale + shift


def half_dropout(x: Tensor) -> Tensor:
    """Drop each value with probability 1/2 and double the rest, on one random bit a value.

    PyTorch's dropout draws a whole random number for each value, which takes a quarter of the training
    time of a network this small.
    """
    words = torch.empty(-(-x.numel() // 16), 1, dtype=torch.int32, device=x.device).random_(0, 1 << 16)
    bits = (words >> torch.arange(16, dtype=torch.int32, device=x.device)).bitwise_and_(1)
    return x * bits.view(-1)[: x.numel()].to(x.dtype).mul_(2).view(x.shape)


class _TrainingBlock(torch.autograd.Function):
    """Forward and backward pass of the block over pieces of the batch."""

    @staticmethod
    def forward(
        ctx: Any, patches: Tensor, matrix: Tensor, scale: Tensor, shift: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        sign = _sign(scale)
        total = patches.new_zeros(2, matrix.shape[1])
        extreme = patches.new_empty(patches.shape[0], patches.shape[2], matrix.shape[1])
        room, squares = _room(patches, matrix), _room(patches, matrix)
        for part, pooled in _pieces(patches, extreme):
            active = _activations(part, matrix, room)
            total[0] += active.sum((0, 1, 2))
            total[1] += torch.square(active, out=squares[: len(part)]).sum((0, 1, 2))
            pooled.copy_(_extreme(active, sign))
        count = patches.shape[0] * SLOTS * patches.shape[2]
        mean = total[0] / count
        variance = (total[1] / count - mean.square()).clamp_(min=0)
        inverse = torch.rsqrt(variance + eps)
        ctx.save_for_backward(patches, matrix, scale, mean, inverse, extreme)
        ctx.mark_non_differentiable(mean, variance)
        return (extreme - mean) * (inverse * scale) + shift, mean, variance

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        patches, matrix, scale, mean, inverse, extreme = ctx.saved_tensors
        upstream = gradients[0].contiguous()
        count = patches.shape[0] * SLOTS * patches.shape[2]
        d_shift = upstream.sum((0, 1))
        d_scale = (upstream * (extreme - mean)).sum((0, 1)) * inverse
        # d/dx of batch norm: a * (upstream at the pooled positions - d_shift/n - normalised(x) * d_scale/n)
        factor = scale * inverse
        slope = factor * d_scale * inverse / count
        offset = factor * d_shift / count - slope * mean
        routed, sign = upstream * factor, _sign(scale)
        d_matrix = torch.zeros_like(matrix)
        room, d_room = _room(patches, matrix), _room(patches, matrix)
        for part, best, given in _pieces(patches, extreme, routed):
            active = _activations(part, matrix, room)
            d_map = torch.mul(active, slope, out=d_room[: len(part)]).add_(offset)
            _subtract_routed(d_map, active, best, given, sign)
            _keep_where_positive(d_map, active)
            d_matrix.addmm_(part.flatten(0, 2).t(), d_map.flatten(0, 2), alpha=-1)
        return None, d_matrix, d_scale, d_shift, None


def _matrix(weight: Tensor, bias: Tensor) -> Tensor:
    """Filters ``(F, C, 3, 3)`` and bias as one matrix ``(9 C + 1, F)``."""
    return torch.cat([weight.flatten(1), bias[:, None]], dim=1).t().contiguous()


def _sign(scale: Tensor) -> Tensor | None:
    """None where pooling takes maxima in all channels, else +1 and -1 (minima)."""
    return None if bool((scale >= 0).all()) else torch.where(scale < 0, -1.0, 1.0)


def _pieces(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Go through tensors side by side, a few pictures at a time."""
    return zip(*(tensor.split(_PICTURES_A_STEP) for tensor in tensors), strict=True)


def _room(patches: Tensor, matrix: Tensor) -> Tensor:
    """Memory for the map of one piece, used again for each: it stays in the cache."""
    return patches.new_empty(min(_PICTURES_A_STEP, len(patches)), *patches.shape[1:3], matrix.shape[1])


def _activations(part: Tensor, matrix: Tensor, room: Tensor) -> Tensor:
    """ReLU of the convolution of one piece, ``(B, 9, P, F)``, in `room`."""
    active = room[: len(part)]
    torch.mm(part.flatten(0, 2), matrix, out=active.flatten(0, 2)).clamp_(min=0)
    return active


def _extreme(active: Tensor, sign: Tensor | None) -> Tensor:
    """Pool each window: its maximum, or the minimum where `sign` is negative. Overwrites `active`."""
    side = round(active.shape[2] ** 0.5)
    signed = active if sign is None else active.mul_(sign)
    signed[:, :POOL, :side] = _OUTSIDE  # top slots of the first row of windows
    signed[:, ::POOL, ::side] = _OUTSIDE  # left slots of the first column
    pooled = signed.amax(dim=1)
    return pooled if sign is None else pooled * sign


def _subtract_routed(d_map: Tensor, active: Tensor, best: Tensor, given: Tensor, sign: Tensor | None) -> None:
    """Subtract each window's gradient at its extreme; of equal extremes the first one takes it."""
    side = round(active.shape[2] ** 0.5)
    left = given.clone()
    for slot in range(SLOTS):
        below = active[:, slot] - best
        if sign is not None:
            below.mul_(sign)
        if slot < POOL:
            below[:, :side] = -1
        if slot % POOL == 0:
            below[:, ::side] = -1
        taken = torch.ops.aten.threshold_backward(left, below, _SMALLEST)  # left where below == 0
        d_map[:, slot] -= taken
        left -= taken


def _keep_where_positive(d_map: Tensor, active: Tensor) -> None:
    torch.ops.aten.threshold_backward.grad_input(d_map, active, 0, grad_input=d_map)
