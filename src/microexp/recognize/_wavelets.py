"""The two-dimensional wavelet transform of feature maps, one level, periodised, exactly invertible."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pywt
import torch
from torch import Tensor

from microexp.errors import DataError, UnknownNameError

WAVELETS: tuple[str, ...] = tuple(pywt.wavelist(kind="discrete"))
Bands = tuple[Tensor, Tensor, Tensor, Tensor]


def check_wavelet(name: str) -> None:
    """Raise `UnknownNameError` if PyWavelets has no discrete wavelet of that name."""
    if name not in WAVELETS:
        raise UnknownNameError("wavelet", name, WAVELETS)


def dwt2(maps: Tensor, wavelet: str = "haar") -> Bands:
    """Return the bands LL, LH, HL, HH of maps, each of half the height and width.

    The first letter is the horizontal direction, the second the vertical (BOWAM, section 3.2.2): LH is low
    horizontally and high vertically, and shows horizontal edges. Signs and order are those of
    ``pywt.dwt2(mode="periodization")``, whose cA, cH, cV, cD they are.

    Parameters
    ----------
    maps : Tensor
        ``(..., H, W)``, floating; H and W even, and possibly less than the length of the filter.
    wavelet : str
        Any discrete wavelet of PyWavelets.

    Raises
    ------
    UnknownNameError
        If there is no such wavelet.
    DataError
        If the height or the width is odd.
    """
    check_wavelet(wavelet)
    height, width = maps.shape[-2:]
    if height % 2 or width % 2 or 0 in (height, width):
        raise DataError(f"the wavelet transform halves even sides, got maps of {height}x{width}")
    if wavelet == "haar":
        return _haar(maps)
    rows, columns = (_matrix(wavelet, n, False, maps.dtype, maps.device) for n in (height, width))
    top, bottom = (rows @ maps @ columns.T).chunk(2, dim=-2)
    ll, hl = top.chunk(2, dim=-1)
    lh, hh = bottom.chunk(2, dim=-1)
    return ll, lh, hl, hh


def idwt2(bands: Bands, wavelet: str = "haar") -> Tensor:
    """Return the maps ``(..., 2 h, 2 w)`` of four bands ``(..., h, w)``: the inverse of `dwt2`.

    Raises
    ------
    UnknownNameError
        If there is no such wavelet.
    """
    check_wavelet(wavelet)
    ll, lh, hl, hh = bands
    if wavelet == "haar":
        low, high = _interleave(ll + hl, ll - hl, -1), _interleave(lh + hh, lh - hh, -1)
        return _interleave((low + high) / 2, (low - high) / 2, -2)
    height, width = 2 * ll.shape[-2], 2 * ll.shape[-1]
    rows, columns = (_matrix(wavelet, n, True, ll.dtype, ll.device) for n in (height, width))
    top, bottom = torch.cat((ll, hl), dim=-1), torch.cat((lh, hh), dim=-1)
    return rows @ torch.cat((top, bottom), dim=-2) @ columns.T


def _haar(maps: Tensor) -> Bands:
    """The Haar bands by sums and differences of 2x2 pixels, which is much faster than matrices."""
    top, bottom = maps[..., ::2, :], maps[..., 1::2, :]
    low, high = (top + bottom) / 2, (top - bottom) / 2
    ll, hl = low[..., ::2] + low[..., 1::2], low[..., ::2] - low[..., 1::2]
    lh, hh = high[..., ::2] + high[..., 1::2], high[..., ::2] - high[..., 1::2]
    return ll, lh, hl, hh


def _interleave(even: Tensor, odd: Tensor, axis: int) -> Tensor:
    """Return a tensor twice as long along `axis` (-1 or -2), of two that alternate."""
    return torch.stack((even, odd), dim=axis).flatten(axis - 1, axis)


@lru_cache(maxsize=256)
def _matrix(wavelet: str, n: int, inverse: bool, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The ``(n, n)`` matrix of the transform along one axis, low half first, or its inverse."""
    identity = np.eye(n)
    if inverse:
        low, high = identity[: n // 2], identity[n // 2 :]
        matrix = pywt.idwt(low, high, wavelet, "periodization", axis=0)
    else:
        matrix = np.concatenate(pywt.dwt(identity, wavelet, "periodization", axis=0))
    with torch.inference_mode(False):  # kept, so it must also serve a later training step
        return torch.as_tensor(matrix, dtype=dtype, device=device)
