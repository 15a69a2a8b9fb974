"""Local binary patterns in space and time (LBP-TOP, LBP-SIP), as pure functions of grey frames.

The four neighbours of the XY, XT and YT plane are six pixels in all, two along each axis. So one code of
six bits a pixel and one histogram of 64 bins a block hold everything; the histograms of 16 bins of the
three planes (LBP-TOP), or of 16 and 4 bins of space and time (LBP-SIP), are its marginals: one small matrix
product.
"""

from __future__ import annotations

import cv2
import numpy as np

from microexp.clip import Clip
from microexp.errors import DataError, OptionError
from microexp.motion.tim import interpolate

# Bits of the six-bit code, in the order in which `neighbour_codes` sets them.
_RIGHT, _LEFT, _BELOW, _ABOVE, _FUTURE, _PAST = range(6)
# The neighbours right, up, left, down in each plane: bits 0 to 3 of its code.
_PLANES = (
    (_RIGHT, _ABOVE, _LEFT, _BELOW),  # XY: x to the right, y downwards
    (_RIGHT, _PAST, _LEFT, _FUTURE),  # XT: x to the right, time downwards
    (_BELOW, _PAST, _ABOVE, _FUTURE),  # YT: y to the right, time downwards
)


def grey_frames(clip: Clip, size: int, n_frames: int | None = None) -> np.ndarray:
    """Return the frames of a clip from onset to offset, ``(T, size, size) uint8`` grey.

    Without an offset they go to the end of the clip. A frame that shrinks is averaged by area, one that grows
    is sampled bilinearly; one that is not square is squeezed. With `n_frames` they are interpolated in time
    to that many.

    Raises
    ------
    OptionError
        If the size is less than 1.
    """
    if size < 1:
        raise OptionError(f"grey frames: size must be at least 1 pixel, got {size}")
    end = clip.offset if clip.offset is not None else len(clip) - 1
    frames = np.stack([_grey(clip.frames[i], size) for i in range(clip.onset, end + 1)])
    return frames if n_frames is None else interpolate(frames, n_frames)


def _grey(picture: np.ndarray, size: int) -> np.ndarray:
    grey = cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY)
    method = cv2.INTER_AREA if size <= min(grey.shape) else cv2.INTER_LINEAR
    return cv2.resize(grey, (size, size), interpolation=method)


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
        raise OptionError(f"LBP: the radii must be at least 1, got {radii}")
    if frames.ndim != 3:
        raise DataError(f"LBP takes grey frames (T, H, W), got {frames.shape}")
    if any(n < 2 * r + 1 for n, r in zip(frames.shape, radius, strict=True)):
        raise DataError(
            f"LBP with radii {radii} needs at least {2 * radius[0] + 1} frames of "
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
    return (_joint_histograms(frames, blocks, radii) @ (_TOP_UNIFORM if uniform else _TOP)).ravel()


def lbp_sip(
    frames: np.ndarray, blocks: int = 5, radii: tuple[int, int] = (1, 3), levels: int = 1
) -> np.ndarray:
    """Return the LBP-SIP histograms of one clip: six intersection points, on a Gaussian pyramid.

    Each block, cut as for `lbp_top`, gives one histogram of the four neighbours in space (bits 0 to 3 of the
    code: right, up, left, down) and one of the two in time (bit 0 the future, bit 1 the past).

    Parameters
    ----------
    frames : numpy.ndarray
        ``(T, H, W)`` grey, of a type that OpenCV filters where there is more than one level.
    blocks : int
        Blocks along each side, the same at all levels.
    radii : tuple of int
        Distance of the neighbours in space and in time.
    levels : int
        Levels of the pyramid: the frames, then each frame smoothed and halved, and so on.

    Returns
    -------
    numpy.ndarray
        ``(levels * blocks * blocks * 20,) float32``: levels from fine to coarse, blocks row by row, 16 bins
        of space and 4 of time in order of the code. Each histogram sums to 1.

    Raises
    ------
    DataError
        If the frames are not ``(T, H, W)``, too few for ``2 R_T + 1``, or at some level too small for the
        blocks.
    OptionError
        If `levels`, `blocks` or a radius is less than 1.
    """
    if levels < 1:
        raise OptionError(f"LBP-SIP: levels must be at least 1, got {levels}")
    space, time = radii
    histograms = []
    for level in range(levels):
        if level:
            frames = np.stack([cv2.pyrDown(frame) for frame in frames])
        histograms.append((_joint_histograms(frames, blocks, (space, space, time)) @ _SIP).ravel())
    return np.concatenate(histograms)


def _joint_histograms(frames: np.ndarray, blocks: int, radii: tuple[int, int, int]) -> np.ndarray:
    """Return the histogram of the six-bit codes of each block, ``(blocks * blocks, 64) float32``, sums 1."""
    if blocks < 1:
        raise OptionError(f"LBP: blocks must be at least 1, got {blocks}")
    codes = neighbour_codes(frames, radii)
    height, width = codes.shape[1:]
    if min(height, width) < blocks:
        raise DataError(
            f"LBP: {blocks}x{blocks} blocks do not fit into the {width}x{height} pixels inside the border"
        )
    rows, columns = np.arange(height) * blocks // height, np.arange(width) * blocks // width
    block = rows[:, np.newaxis] * blocks + columns
    counts = np.bincount((64 * block + codes).ravel(), minlength=64 * blocks**2)
    joint = counts.reshape(-1, 64).astype(np.float32)
    return joint / joint.sum(axis=1, keepdims=True)


def _marginal(neighbours: tuple[int, ...]) -> np.ndarray:
    """Return the matrix ``(64, 2**n)`` that adds the bins of six bits up to those of n of the neighbours."""
    bits = (np.arange(64)[:, np.newaxis] >> np.array(neighbours)) & 1
    return np.eye(1 << len(neighbours), dtype=np.float32)[bits @ (1 << np.arange(len(neighbours)))]


def _uniform() -> np.ndarray:
    """Return the matrix ``(16, 15)`` that merges the patterns that are not uniform into the last bin."""
    bits = (np.arange(16)[:, np.newaxis] >> np.arange(4)) & 1
    is_uniform = (bits != np.roll(bits, 1, axis=1)).sum(axis=1) <= 2
    target = np.where(is_uniform, np.cumsum(is_uniform) - 1, is_uniform.sum())
    return np.eye(is_uniform.sum() + 1, dtype=np.float32)[target]


_TOP = np.concatenate([_marginal(plane) for plane in _PLANES], axis=1)
_TOP_UNIFORM = np.concatenate([_marginal(plane) @ _uniform() for plane in _PLANES], axis=1)
_SIP = np.concatenate([_marginal(_PLANES[0]), _marginal((_FUTURE, _PAST))], axis=1)
