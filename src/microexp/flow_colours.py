"""Flow as a picture for the eye."""

from __future__ import annotations

import cv2
import numpy as np

from microexp.errors import DataError, OptionError


def colour_flow(flow: np.ndarray, max_magnitude: float | None = None) -> np.ndarray:
    """Return a picture of a flow for the eye: hue says where to, saturation how far; white is no motion.

    Parameters
    ----------
    flow : numpy.ndarray
        ``(H, W, 2)``, dx then dy, pixels. Right is red, down yellow-green, left
        cyan, up violet.
    max_magnitude : float or None
        Pixels that are shown fully saturated, > 0; None for the largest in this flow. Give one value to
        compare pictures.

    Returns
    -------
    numpy.ndarray
        ``(H, W, 3) uint8 RGB``.

    Raises
    ------
    DataError
        If the flow is not ``(H, W, 2)``.
    OptionError
        If `max_magnitude` is not positive.
    """
    flow = np.asarray(flow, np.float32)
    if flow.ndim != 3 or flow.shape[2] != 2 or 0 in flow.shape:
        raise DataError(f"a colour picture is made of flow (H, W, 2), got {flow.shape}")
    if max_magnitude is not None and not max_magnitude > 0:
        raise OptionError(f"max_magnitude must be positive, got {max_magnitude}")
    u, v = flow[..., 0], flow[..., 1]
    magnitude = np.hypot(u, v)
    largest = max_magnitude if max_magnitude is not None else magnitude.max()
    saturation = np.clip(magnitude / largest, 0, 1) if largest > 0 else np.zeros_like(magnitude)
    rgb = hsv_to_rgb(direction_hue(u, v), saturation, np.ones_like(saturation))
    return np.rint(255 * rgb).astype(np.uint8)


def direction_hue(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Return the angle of the motion from the x axis towards the y axis (clockwise on screen), [0, 360)."""
    return np.degrees(np.arctan2(v, u)) % 360


def hsv_to_rgb(hue: np.ndarray, saturation: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Return RGB ``(H, W, 3) float32`` in [0, 1] of hue in degrees, saturation and value in [0, 1]."""
    hsv = np.stack([hue, saturation, value], axis=-1).astype(np.float32)
    return np.clip(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), 0, 1)
