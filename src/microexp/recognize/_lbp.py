"""Local binary patterns on three orthogonal planes, as pure functions of grey frames.

The four neighbours of the XY, XT and YT plane are six pixels in all, two along each axis. So one code of
six bits a pixel and one histogram of 64 bins a block hold everything; the histograms of 16 bins of the
three planes are its marginals, one small matrix product.
"""

from __future__ import annotations

import numpy as np

from microexp.errors import DataError, OptionError

# Bits of the six-bit code, in the order in which `neighbour_codes` sets them.
_RIGHT, _LEFT, _BELOW, _ABOVE, _FUTURE, _PAST = range(6)
# The neighbours right, up, left, down in each plane: bits 0 to 3 of its code.
_PLANES = (
    (_RIGHT, _ABOVE, _LEFT, _BELOW),  # XY: x to the right, y downwards
    (_RIGHT, _PAST, _LEFT, _FUTURE),  # XT: x to the right, time downwards
    (_BELOW, _PAST, _ABOVE, _FUTURE),  # YT: y to the right, time downwards
)


def neighbour_codes(frames: np.ndarray, radii: tuple[int, int, int] = (1, 1, 4)) -> np.ndarray:
    """Compare every pixel that has all its neighbours with the two along each axis.

    Parameters
    ----------
    frames : numpy.ndarray
        ``(T, H, W)`` grey, any real type.
    radii : tuple of int
        Distance of the neighbours along x, y and time, >= 1.

    Returns
    -------
    numpy.ndarray
        ``(T - 2 R_T, H - 2 R_Y, W - 2 R_X) uint8``, 0 to 63: bit 0 is set where the neighbour to the right
        is at least as bright as the pixel; then left, below, above, future, past.

    Raises
    ------
    DataError
        If the frames are not ``(T, H, W)``, or too few or too small for the radii.
    OptionError
        If a radius is less than 1.
    """
    frames = np.asarray(frames)
    radius = radii[::-1]  # in the order of the axes: t, y, x
    if min(radius) < 1:
        raise OptionError(f"LBP-TOP: the radii must be at least 1, got {radii}")
    if frames.ndim != 3:
        raise DataError(f"LBP-TOP takes grey frames (T, H, W), got {frames.shape}")
    if any(n < 2 * r + 1 for n, r in zip(frames.shape, radius, strict=True)):
        raise DataError(
            f"LBP-TOP with radii {radii} needs at least {2 * radius[0] + 1} frames of "
            f"{2 * radius[2] + 1}x{2 * radius[1] + 1} pixels, got {frames.shape[0]} of "
            f"{frames.shape[2]}x{frames.shape[1]}"
        )
    # In the flat array a neighbour is a constant step away; what wraps around an edge is cut off below.
    length, height, width = frames.shape
    flat, picture = frames.ravel(), height * width
    start, stop = radius[0] * picture, (length - radius[0]) * picture
    centre = flat[start:stop]
    codes = np.zeros(centre.shape, np.uint8)
    x, y, t = radii[0], radii[1] * width, radii[2] * picture
    for step in (-t, t, -y, y, -x, x):  # bits 5 to 0
        codes += codes
        codes |= (flat[start + step : stop + step] >= centre).view(np.uint8)
    inside = np.s_[:, radius[1] : height - radius[1], radius[2] : width - radius[2]]
    return codes.reshape(-1, height, width)[inside]


def lbp_top(
    frames: np.ndarray,
    blocks: int = 5,
    radii: tuple[int, int, int] = (1, 1, 4),
    uniform: bool = False,
) -> np.ndarray:
    """Return the LBP-TOP histograms of one clip.

    Four neighbours a plane, at exact pixels; bit p of a code is set where neighbour p of right, up, left,
    down is at least as bright as the centre. In XY x is to the right and y downwards; in XT x is to the
    right, in YT y, and time runs downwards (up is the past). The area of the pixels that have all their
    neighbours is cut into ``blocks x blocks`` blocks whose sides differ by at most one pixel; each gives
    one histogram a plane, over all its frames.

    Parameters
    ----------
    frames : numpy.ndarray
        ``(T, H, W)`` grey, any real type; only the order of brightness counts.
    blocks : int
        Blocks along each side.
    radii : tuple of int
        Distance of the neighbours along x, y and time.
    uniform : bool
        Merge the two patterns with more than two changes (0101 and 1010) into one last bin.

    Returns
    -------
    numpy.ndarray
        ``(blocks * blocks * 3 * bins,) float32``, bins 16 (15 if `uniform`). Blocks row by row, in each
        the planes XY, XT, YT, in each the bins in order of the code. Each histogram sums to 1.

    Raises
    ------
    DataError
        If the frames are not ``(T, H, W)``, too few for ``2 R_T + 1``, or too small for the blocks.
    OptionError
        If `blocks` or a radius is less than 1.
    """
    if blocks < 1:
        raise OptionError(f"LBP-TOP: blocks must be at least 1, got {blocks}")
    codes = neighbour_codes(frames, radii)
    height, width = codes.shape[1:]
    if min(height, width) < blocks:
        raise DataError(
            f"LBP-TOP: {blocks}x{blocks} blocks do not fit into the {width}x{height} pixels inside the border"
        )
    rows, columns = np.arange(height) * blocks // height, np.arange(width) * blocks // width
    block = rows[:, np.newaxis] * blocks + columns
    counts = np.bincount((64 * block + codes).ravel(), minlength=64 * blocks**2)
    joint = counts.reshape(-1, 64).astype(np.float32)
    joint /= joint.sum(axis=1, keepdims=True)
    return (joint @ (_MARGINALS_UNIFORM if uniform else _MARGINALS)).ravel()


def _marginals() -> np.ndarray:
    """Return the matrix ``(64, 3, 16)`` that adds the bins of six bits up to those of each plane."""
    bits = (np.arange(64)[:, np.newaxis] >> np.arange(6)) & 1
    codes = np.stack([bits[:, plane] @ (1 << np.arange(4)) for plane in _PLANES], axis=1)
    return np.eye(16, dtype=np.float32)[codes]


def _uniform() -> np.ndarray:
    """Return the matrix ``(16, 15)`` that merges the patterns that are not uniform into the last bin."""
    bits = (np.arange(16)[:, np.newaxis] >> np.arange(4)) & 1
    is_uniform = (bits != np.roll(bits, 1, axis=1)).sum(axis=1) <= 2
    target = np.where(is_uniform, np.cumsum(is_uniform) - 1, is_uniform.sum())
    return np.eye(is_uniform.sum() + 1, dtype=np.float32)[target]


_MARGINALS = _marginals().reshape(64, -1)
_MARGINALS_UNIFORM = (_marginals() @ _uniform()).reshape(64, -1)
