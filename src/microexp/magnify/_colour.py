"""Brightness of pictures, and what is added to them."""

from __future__ import annotations

import cv2
import numpy as np


def luma(picture: np.ndarray) -> np.ndarray:
    """Return Y of YIQ (0.299 R + 0.587 G + 0.114 B), ``(H, W) float32``, of ``(H, W, 3) RGB``."""
    return cv2.cvtColor(picture.astype(np.float32), cv2.COLOR_RGB2GRAY)


def attenuate_chroma(change: np.ndarray, chroma: float) -> np.ndarray:
    """Multiply I and Q of a change in RGB by a factor, and keep Y.

    YIQ is linear in RGB and Y enters all of R, G and B with weight 1, so no conversion there and back is
    needed.

    Parameters
    ----------
    change : numpy.ndarray
        ``(H, W, 3) float32 RGB``.
    chroma : float
        0 leaves grey, 1 changes nothing.
    """
    return chroma * change + (1 - chroma) * luma(change)[..., None]


def added(frame: np.ndarray, change: np.ndarray) -> np.ndarray:
    """Return frame plus change, rounded, cut off at 0 and 255, as ``uint8``."""
    return np.clip(np.rint(frame + change), 0, 255).astype(np.uint8)
