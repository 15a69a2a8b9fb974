"""Convolution, ReLU, batch norm and max-pool of a shallow network as one compiled operation.

A shallow network on small pictures is bound by memory traffic: each of its element-wise layers writes
and reads back a map that is a hundred times larger than the input. Here one map of one picture is computed,
pooled and forgotten before the next, so that maps never leave a core's cache; the backward pass computes
them again in place of reading them back. Two facts make it short:

* Batch norm is monotone in each channel, so pooling may come first: the maximum of the normalised map is
  the normalised maximum (or minimum, where the scale is negative).
* The gradient of batch norm needs two sums over the pooled map only, as all other positions get none.

Pictures are laid out row by row with their zero padding, so a map is one line of numbers with two columns of
no meaning at the end of each row, and each tap of the filter is the same line, shifted: that is what makes
the loops fit for vector instructions. Results are those of the plain layers up to rounding
(tests/recognize/test_fused_block.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numba
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

SIDE, CHANNELS = 28, 3  # of the pictures; known to the compiler, which makes the loops a third faster
_PAD = 2
WIDTH = SIDE + 2 * _PAD
PLANE = WIDTH * (WIDTH + 1)
MAP = (SIDE + 2) * WIDTH
POOLED = (SIDE + 2) // 3
_LOWEST = float(np.finfo(np.float32).min)


def conv_relu_norm_pool(
    images: Tensor, weight: Tensor, bias: Tensor, scale: Tensor, shift: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the block in training mode.

    Parameters
    ----------
    images : Tensor
        ``(N, 3, 28, 28)`` on the CPU. The convolution is 3x3 with padding 2, the pooling 3x3 with stride 3
        and padding 1.
    weight, bias : Tensor
        Of the convolution, ``(F, 3, 3, 3)`` and ``(F,)``.
    scale, shift : Tensor
        Of batch norm, ``(F,)``.
    eps : float
        Of batch norm.

    Returns
    -------
    tuple of Tensor
        Pooled map ``(N, F, 10, 10)``, mean and unbiased variance ``(F,)``, as running
        statistics keep them.
    """
    pooled, mean, variance = _TrainingBlock.apply(images, weight, bias, scale, shift, eps)  # type: ignore[no-untyped-call]
    count = _positions(images)
    return pooled, mean, variance * (count / (count - 1))


class _TrainingBlock(torch.autograd.Function):
    """Forward and backward pass of the block."""

    @staticmethod
    def forward(
        ctx: Any, images: Tensor, weight: Tensor, bias: Tensor, scale: Tensor, shift: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        n, filters = len(images), len(weight)
        rows = F.pad(images, (_PAD, _PAD, _PAD, _PAD + 1))  # the last row is read by columns without meaning
        pictures = rows.flatten(1)
        extreme = images.new_empty(n, filters, POOLED**2)
        position = torch.empty(extreme.shape, dtype=torch.int32)
        sums = np.zeros((2, filters))
        sign = torch.where(scale < 0, -1.0, 1.0).to(images.dtype)
        _pool_maps(*_arrays(pictures, weight, bias, sign, extreme, position), sums)
        mean, square = torch.from_numpy(sums / _positions(images)).to(images.dtype)
        variance = (square - mean.square()).clamp_(min=0)
        inverse = torch.rsqrt(variance + eps)
        ctx.save_for_backward(pictures, weight, bias, scale, mean, inverse, extreme, position)
        ctx.mark_non_differentiable(mean, variance)
        factor = inverse * scale
        normalised = extreme * factor[:, None] + (shift - mean * factor)[:, None]
        return normalised.view(n, filters, POOLED, POOLED), mean, variance

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        pictures, weight, bias, scale, mean, inverse, extreme, position = ctx.saved_tensors
        upstream = gradients[0].reshape(extreme.shape)
        count = _positions(pictures)
        d_shift = upstream.sum((0, 2))
        d_scale = (upstream * (extreme - mean[:, None])).sum((0, 2)) * inverse
        # d/dx of batch norm: a * (upstream at the pooled positions - d_shift/n - normalised(x) * d_scale/n)
        factor = scale * inverse
        slope = factor * d_scale * inverse / count
        offset = factor * d_shift / count - slope * mean
        d_weight, d_bias = np.zeros(weight.shape), np.zeros(bias.shape)
        routed = upstream * factor[:, None]
        _filter_gradient(*_arrays(pictures, weight, bias, routed, position, slope, offset), d_weight, d_bias)
        grads = (torch.from_numpy(d).to(weight.dtype) for d in (d_weight, d_bias))
        return None, *grads, d_scale, d_shift, None


def _positions(images: Tensor) -> int:
    """How many positions the maps of a batch have: what batch norm averages over."""
    return len(images) * (SIDE + 2) ** 2


def _arrays(*tensors: Tensor) -> tuple[np.ndarray, ...]:
    return tuple(tensor.detach().contiguous().numpy() for tensor in tensors)


def _compiled(function: Callable[..., None]) -> Callable[..., None]:
    """Compile when first called, and keep the machine code on the disk for the next process."""
    return cast(
        "Callable[..., None]", numba.njit(fastmath={"contract", "reassoc", "nsz"}, cache=True)(function)
    )


@_compiled
def _active_map(picture: np.ndarray, taps: np.ndarray, bias: float, active: np.ndarray) -> None:
    """ReLU of the convolution of one picture with one filter, row by row; columns without meaning are 0.

    `picture` is ``(CHANNELS * PLANE,)``, `taps` ``(CHANNELS, 3, 3)``, `active` ``(MAP,)``.
    """
    for p in range(MAP):
        value = bias
        for channel in range(CHANNELS):
            for row in range(3):
                start = channel * PLANE + row * WIDTH + p
                value += (
                    taps[channel, row, 0] * picture[start]
                    + taps[channel, row, 1] * picture[start + 1]
                    + taps[channel, row, 2] * picture[start + 2]
                )
        active[p] = max(value, 0)
    for end in range(WIDTH, MAP + 1, WIDTH):
        active[end - 2] = 0
        active[end - 1] = 0


@_compiled
def _pool_maps(
    pictures: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    sign: np.ndarray,
    extreme: np.ndarray,
    position: np.ndarray,
    sums: np.ndarray,
) -> None:
    """Extreme and its position in each window of each map; sum and sum of squares of each channel's maps."""
    room = np.full(WIDTH + MAP, _LOWEST, pictures.dtype)  # one row above the map: the pooling's padding
    active = room[WIDTH:]
    for n in range(len(pictures)):
        for f in range(len(weight)):
            _active_map(pictures[n], weight[f], bias[f], active)
            total, squares = active[0] * 0, active[0] * 0
            for p in range(MAP):
                total += active[p]
                squares += active[p] * active[p]
            sums[0, f] += total
            sums[1, f] += squares
            if sign[f] < 0:
                active *= -1
            _pool(room, extreme[n, f], position[n, f])
            if sign[f] < 0:
                extreme[n, f] *= -1


@_compiled
def _pool(room: np.ndarray, best: np.ndarray, position: np.ndarray) -> None:
    """Maximum of each 3x3 window and where it is in the map: first down the columns, then along the row.

    Written without branches, which a processor would guess wrong at every third value.
    """
    column = np.full(WIDTH + 1, _LOWEST, room.dtype)  # starts with the pooling's padding
    at = np.zeros(WIDTH + 1, np.int32)
    for row in range(POOLED):
        start = 3 * row * WIDTH
        for x in range(WIDTH):
            here = np.int32(start + x)
            a, b, c = room[here], room[here + WIDTH], room[here + 2 * WIDTH]
            most = max(max(a, b), c)
            place = here if b == most else here + WIDTH  # the map starts a row later than the room
            column[x + 1] = most
            at[x + 1] = here - WIDTH if a == most else place
        for window in range(POOLED):
            a, b, c = column[3 * window], column[3 * window + 1], column[3 * window + 2]
            most = max(max(a, b), c)
            place = at[3 * window + 2]
            place = at[3 * window + 1] if b == most else place
            place = at[3 * window] if a == most else place
            best[row * POOLED + window] = most
            position[row * POOLED + window] = place


@_compiled
def _filter_gradient(
    pictures: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    routed: np.ndarray,
    position: np.ndarray,
    slope: np.ndarray,
    offset: np.ndarray,
    d_weight: np.ndarray,
    d_bias: np.ndarray,
) -> None:
    """Add up the gradient of filters and biases.

    A position of a map gets ``-(slope * active + offset)``, and what is routed to it, where it is active.
    """
    active = np.empty(MAP, pictures.dtype)
    d_map = np.empty_like(active)
    for n in range(len(pictures)):
        picture = pictures[n]
        for f in range(len(weight)):
            _active_map(picture, weight[f], bias[f], active)
            a, b = slope[f], offset[f]
            for p in range(MAP):
                d_map[p] = -(a * active[p] + b)
            for window in range(position.shape[2]):
                d_map[position[n, f, window]] += routed[n, f, window]
            total = active[0] * 0
            for p in range(MAP):
                d_map[p] = d_map[p] if active[p] > 0 else 0
                total += d_map[p]
            d_bias[f] += total
            for channel in range(CHANNELS):
                for row in range(3):
                    start = channel * PLANE + row * WIDTH
                    left, middle, right = total * 0, total * 0, total * 0
                    for p in range(MAP):
                        left += d_map[p] * picture[start + p]
                        middle += d_map[p] * picture[start + p + 1]
                        right += d_map[p] * picture[start + p + 2]
                    d_weight[f, channel, row, 0] += left
                    d_weight[f, channel, row, 1] += middle
                    d_weight[f, channel, row, 2] += right
