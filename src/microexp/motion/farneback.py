"""Farneback's dense optical flow: fast, and the field's commonest choice for flow pictures."""

from __future__ import annotations

from numbers import Integral

import cv2
import numpy as np

from microexp.errors import OptionError
from microexp.motion.base import FlowEstimator

CARD = {
    "class": "Farneback",
    "title": "Farneback optical flow",
    "summary": "Dense flow from quadratic polynomials fitted around each pixel of both pictures, coarse to "
    "fine.",
    "takes": "two frames (H, W, 3) uint8 RGB, or clips (onset to apex)",
    "gives": "flow (H, W, 2) float32, dx then dy, pixels; (N, H, W, 2) of clips",
    "paper": {
        "authors": "Farnebäck, Gunnar",
        "title": "Two-Frame Motion Estimation Based on Polynomial Expansion",
        "venue": "Scandinavian Conference on Image Analysis (SCIA)",
        "year": 2003,
        "doi": "10.1007/3-540-45103-X_50",
    },
    "notes": [
        "OpenCV's implementation. The defaults are those of its tutorial, which public micro-expression code "
        "(EDMDBN, meb) uses; BOWAM publishes no parameters, so for it they are our choice.",
        "The window (winsize) smooths: motion of a region smaller than it is underestimated.",
        "Within 8 pixels of the border OpenCV's result is off by up to 0.2 px, even for two identical "
        "pictures.",
    ],
}


class Farneback(FlowEstimator):
    """OpenCV's ``calcOpticalFlowFarneback`` on grey pictures.

    Parameters
    ----------
    pyr_scale : float
        Size of each pyramid level relative to the one below, in (0, 1).
    levels : int
        Pyramid levels.
    winsize : int
        Side of the averaging window, pixels.
    iterations : int
        Iterations at each level.
    poly_n : int
        Side of the neighbourhood of the polynomial, pixels (5 or 7).
    poly_sigma : float
        Standard deviation of its Gaussian weight, pixels.
    """

    def __init__(
        self,
        pyr_scale: float = 0.5,
        levels: int = 3,
        winsize: int = 15,
        iterations: int = 3,
        poly_n: int = 5,
        poly_sigma: float = 1.2,
    ) -> None:
        self.pyr_scale = pyr_scale
        self.levels = levels
        self.winsize = winsize
        self.iterations = iterations
        self.poly_n = poly_n
        self.poly_sigma = poly_sigma

    def _check_parameters(self) -> None:
        """Refuse what OpenCV takes without a word and answers with NaN or with zeros."""
        counts = {
            "levels": self.levels,
            "winsize": self.winsize,
            "iterations": self.iterations,
            "poly_n": self.poly_n,
        }
        for name, value in counts.items():
            if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
                raise OptionError(f"Farneback: {name} must be a whole number, 1 or more, got {value!r}")
        if not 0 < self.pyr_scale < 1 or not self.poly_sigma > 0:
            raise OptionError("Farneback: pyr_scale must lie between 0 and 1, and poly_sigma be positive")

    def _flow(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        self._check_parameters()
        return cv2.calcOpticalFlowFarneback(
            first,
            second,
            np.zeros((*first.shape, 2), np.float32),
            self.pyr_scale,
            self.levels,
            self.winsize,
            self.iterations,
            self.poly_n,
            self.poly_sigma,
            0,
        )
