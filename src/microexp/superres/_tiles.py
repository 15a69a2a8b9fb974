"""Large pictures in parts: memory stays bounded, and the parts see beyond their borders."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def in_tiles(
    enlarge: Callable[[np.ndarray], np.ndarray],
    frames: np.ndarray,
    scale: int,
    tile: int | None,
    overlap: int,
) -> np.ndarray:
    """Enlarge frames part by part.

    Parameters
    ----------
    enlarge : callable
        ``(T, h, w, 3)`` to ``(T, s h, s w, 3)``, for any height and width.
    frames : numpy.ndarray
        ``(T, H, W, 3)``.
    scale : int
        The factor s.
    tile : int or None
        Side of a part, pixels of the small frames; None, or no less than the frames, for no cutting.
    overlap : int
        Pixels that a part sees beyond its borders, where the frames go on there.

    Returns
    -------
    numpy.ndarray
        ``(T, s H, s W, 3)``.
    """
    count, height, width, channels = frames.shape
    if tile is None or max(height, width) <= tile:
        return enlarge(frames)
    whole = np.empty((count, height * scale, width * scale, channels), frames.dtype)
    for top in range(0, height, tile):
        for left in range(0, width, tile):
            bottom, right = min(top + tile, height), min(left + tile, width)
            y, x = max(top - overlap, 0), max(left - overlap, 0)
            part = enlarge(frames[:, y : bottom + overlap, x : right + overlap])
            kept = part[:, (top - y) * scale : (bottom - y) * scale, (left - x) * scale : (right - x) * scale]
            whole[:, top * scale : bottom * scale, left * scale : right * scale] = kept
    return whole
