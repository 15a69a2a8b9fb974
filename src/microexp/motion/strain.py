"""Optical strain: how much a flow stretches and shears the skin, whatever the head does as a rigid body."""

from __future__ import annotations

import numpy as np

from microexp.errors import DataError
from microexp.stateless import Stateless

CARD = {
    "class": "Strain",
    "title": "Optical strain",
    "summary": "Magnitude of the strain tensor of a flow; zero for translation and (small) rotation.",
    "takes": "flow (N, H, W, 2) float32, dx then dy, pixels",
    "gives": "strain magnitude (N, H, W) float32, pixels per pixel, >= 0",
    "paper": {
        "authors": "Shreve, Matthew and Godavarthy, Sridhar and Goldgof, Dmitry and Sarkar, Sudeep",
        "title": "Macro- and Micro-Expression Spotting in Long Videos Using Spatio-Temporal Strain",
        "venue": "IEEE International Conference on Automatic Face and Gesture Recognition (FG)",
        "year": 2011,
        "doi": "10.1109/FG.2011.5771451",
    },
    "notes": [
        "sqrt(u_x^2 + v_y^2 + (u_y + v_x)^2 / 2). STSTNet's printed formula (eq. 7) repeats du/dx in the "
        "last term, a misprint; some public code leaves that term out, and then a rotation is not zero.",
        "Derivatives are central differences, one-sided at the border; no smoothing.",
    ],
}


def optical_strain(flow: np.ndarray) -> np.ndarray:
    """Return the magnitude of the strain of a flow, ``sqrt(u_x^2 + v_y^2 + (u_y + v_x)^2 / 2)``.

    Parameters
    ----------
    flow : numpy.ndarray
        ``(..., H, W, 2)``, dx then dy, pixels; H and W at least 2.

    Returns
    -------
    numpy.ndarray
        ``(..., H, W) float32``, pixels per pixel, >= 0. A linear field u = ax + by, v = cx + dy gives
        ``sqrt(a^2 + d^2 + (b + c)^2 / 2)`` everywhere.

    Raises
    ------
    DataError
        If the last axis is not (dx, dy), or the field is less than two pixels high or wide.
    """
    flow = np.asarray(flow)
    if flow.ndim < 3 or flow.shape[-1] != 2 or min(flow.shape[-3:-1]) < 2:
        raise DataError(f"strain takes flow (..., H, W, 2) with H and W at least 2, got {flow.shape}")
    u_y, u_x = np.gradient(flow[..., 0], axis=(-2, -1))
    v_y, v_x = np.gradient(flow[..., 1], axis=(-2, -1))
    return np.sqrt(u_x**2 + v_y**2 + (u_y + v_x) ** 2 / 2).astype(np.float32)


class Strain(Stateless):
    """`optical_strain` as a step of a pipeline, after a flow estimator."""

    def transform(self, flow: np.ndarray) -> np.ndarray:
        """Return the strain ``(N, H, W) float32`` of flows ``(N, H, W, 2)``; see `optical_strain`."""
        return optical_strain(flow)
