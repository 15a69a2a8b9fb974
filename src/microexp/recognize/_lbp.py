"""Local binary patterns on three orthogonal planes, as pure functions of grey frames."""

from __future__ import annotations

import numpy as np

from microexp.errors import DataError, OptionError

PLANES = ("XY", "XT", "YT")
_NEIGHBOURS = 4  # right, up, left, down: bits 0 to 3
_AXES = ((2, 1), (2, 0), (1, 0))  # of (T, H, W), the horizontal and the vertical one of each plane


def lbp_top_codes(frames: np.ndarray, radii: tuple[int, int, int] = (1, 1, 4)) -> np.ndarray:
    """Return the binary pattern of every pixel that has all its neighbours, on each plane.

    Bit p is set where neighbour p is at least as bright as the centre. The neighbours are right, up,
    left, down in the plane: XY has x to the right and y downwards; XT has x to the right and time
    downwards (up is the past); YT has y to the right and time downwards.

    Parameters
    ----------
    frames : numpy.ndarray
        ``(T, H, W)`` grey, any real type.
    radii : tuple of int
        Distance of the neighbours along x, y and time, >= 1.

    Returns
    -------
    numpy.ndarray
        ``(3, T - 2 R_T, H - 2 R_Y, W - 2 R_X) uint8``, 0 to 15, planes XY, XT, YT.

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
    if any(length < 2 * r + 1 for length, r in zip(frames.shape, radius, strict=True)):
        raise DataError(
            f"LBP-TOP with radii {radii} needs at least {2 * radius[0] + 1} frames of "
            f"{2 * radius[2] + 1}x{2 * radius[1] + 1} pixels, got {frames.shape[0]} of "
            f"{frames.shape[2]}x{frames.shape[1]}"
        )
    ahead, behind = zip(*(_brighter(frames, radius, axis) for axis in range(3)), strict=True)
    return np.stack(
        [ahead[across] | behind[down] << 1 | behind[across] << 2 | ahead[down] << 3 for across, down in _AXES]
    )


def lbp_top(
    frames: np.ndarray,
    blocks: int = 5,
    radii: tuple[int, int, int] = (1, 1, 4),
    uniform: bool = False,
) -> np.ndarray:
    """Return the LBP-TOP histograms of one clip.

    The area of the pixels that have all their neighbours is cut into ``blocks x blocks`` blocks, whose
    sides differ by at most one pixel; each gives one histogram a plane, over all its frames.

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
    codes = lbp_top_codes(frames, radii)
    height, width = codes.shape[2:]
    if min(height, width) < blocks:
        raise DataError(
            f"LBP-TOP: {blocks}x{blocks} blocks do not fit into the {width}x{height} pixels inside the border"
        )
    rows, columns = np.arange(height) * blocks // height, np.arange(width) * blocks // width
    block = rows[:, np.newaxis] * blocks + columns
    plane = np.arange(len(PLANES)).reshape(-1, 1, 1, 1)
    bins = 2**_NEIGHBOURS
    index = (block * len(PLANES) + plane) * bins + codes
    counts = np.bincount(index.ravel(), minlength=blocks**2 * len(PLANES) * bins)
    histograms = counts.reshape(-1, bins).astype(np.float32)
    histograms /= histograms.sum(axis=1, keepdims=True)
    return (histograms @ _UNIFORM if uniform else histograms).ravel()


def _brighter(frames: np.ndarray, radius: tuple[int, ...], axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Return whether the neighbours ahead and behind along an axis reach the centre, as uint8 0 or 1."""
    centre = [slice(r, -r) for r in radius]
    ahead, behind = list(centre), list(centre)
    ahead[axis], behind[axis] = slice(2 * radius[axis], None), slice(None, -2 * radius[axis])
    middle = frames[tuple(centre)]
    return (
        (frames[tuple(ahead)] >= middle).view(np.uint8),
        (frames[tuple(behind)] >= middle).view(np.uint8),
    )


def _uniform_mapping() -> np.ndarray:
    """Return the matrix ``(16, 15)`` that merges the patterns that are not uniform into the last bin."""
    bits = (np.arange(2**_NEIGHBOURS)[:, np.newaxis] >> np.arange(_NEIGHBOURS)) & 1
    is_uniform = (bits != np.roll(bits, 1, axis=1)).sum(axis=1) <= 2
    target = np.where(is_uniform, np.cumsum(is_uniform) - 1, is_uniform.sum())
    return np.eye(is_uniform.sum() + 1, dtype=np.float32)[target]


_UNIFORM = _uniform_mapping()
