"""How near restored pictures are to the true ones: PSNR, SSIM, MSE, LPIPS.

All take ``uint8 RGB``: one picture ``(H, W, 3)``, or a clip ``(T, H, W, 3)``, whose figure is the mean over
its frames. The restored one stands first.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from microexp.errors import DataError, OptionError, UnknownNameError
from microexp.frames import check_rgb8

CHANNELS = ("rgb", "y")
_PEAK = 255.0
_C1, _C2 = (0.01 * _PEAK) ** 2, (0.03 * _PEAK) ** 2
_LUMA = np.array([65.481, 128.553, 24.966]) / _PEAK


def psnr(restored: np.ndarray, true: np.ndarray, channel: str = "rgb", crop: int = 0) -> float:
    """Return the peak signal-to-noise ratio, dB: ``10 log10(255^2 / MSE)``.

    Published tables differ in `channel` and `crop`: those of pictures mostly crop as many pixels as the
    factor of enlargement, those of video none.

    Parameters
    ----------
    restored, true : numpy.ndarray
        ``(H, W, 3)`` or ``(T, H, W, 3)``, ``uint8 RGB``.
    channel : {"rgb", "y"}
        The error of all three colours together, or of `luma`.
    crop : int
        Pixels left out along each border.

    Returns
    -------
    float
        Infinite for equal pictures. Of a clip, the mean of its frames' ratios, not the ratio of their mean
        error.

    Raises
    ------
    DataError
        If the two are not ``uint8 RGB`` of one shape.
    OptionError
        If `channel` is not one of those named, or `crop` is negative or leaves nothing.
    """
    first, second = _pair(restored, true, channel, crop)
    errors = ((first - second) ** 2).mean(axis=(1, 2, 3))
    with np.errstate(divide="ignore"):
        return float((10 * np.log10(_PEAK**2 / errors)).mean())


def ssim(
    restored: np.ndarray,
    true: np.ndarray,
    channel: str = "rgb",
    crop: int = 0,
    convention: str = "gaussian",
) -> float:
    """Return the structural similarity, at most 1: the mean over positions, then channels, then frames.

    Parameters
    ----------
    restored, true, channel, crop
        As for `psnr`.
    convention : {"gaussian", "scikit-image"}
        "gaussian": a window of 11x11 weighted by a Gaussian of deviation 1.5, as in the paper, MATLAB,
        BasicSR and mmagic. "scikit-image": that library's default, 7x7 with equal weights and variances
        of n - 1. Both at those positions only where the window lies inside the picture.

    Raises
    ------
    DataError
        As `psnr`, or if the picture is smaller than the window.
    OptionError
        As `psnr`, or if `convention` is not one of those named.

    References
    ----------
    Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity", IEEE Transactions
    on Image Processing 13(4), 2004, equation 13 with C3 = C2 / 2, K1 = 0.01, K2 = 0.03.
    """
    if convention not in CONVENTIONS:
        raise UnknownNameError("convention of SSIM", convention, CONVENTIONS)
    window = CONVENTIONS[convention]
    first, second = _pair(restored, true, channel, crop)
    if min(first.shape[1:3]) < window.size:
        raise DataError(
            f"SSIM '{convention}' needs pictures of at least {window.size}x{window.size} pixels, got "
            f"{first.shape[2]}x{first.shape[1]}"
        )
    return float(np.mean([_similarity(a, b, window) for a, b in zip(first, second, strict=True)]))


def mse(restored: np.ndarray, true: np.ndarray) -> float:
    """Return the mean squared error of all values, pictures in [0, 1].

    So do Table 1 of "Micro facial expression recognition using GAN generated super resolution images"
    (0.000865 beside a PSNR of 30.887 dB) and others print it.

    Raises
    ------
    DataError
        If the two are not ``uint8 RGB`` of one shape.
    """
    first, second = _pair(restored, true, "rgb", 0)
    return float(((first - second) ** 2).mean() / _PEAK**2)


def lpips(restored: np.ndarray, true: np.ndarray, weights: str | Path, device: str = "auto") -> float:
    """Return the perceptual distance LPIPS 0.1, 0 for equal pictures; no upper bound.

    Parameters
    ----------
    restored, true : numpy.ndarray
        As for `psnr`; at least 16 pixels wide and high for VGG16 weights, 31 for AlexNet's.
    weights : str or Path
        A weight file of LPIPS, see `microexp.superres._lpips`; it decides the network.
    device : str
        "auto", "cpu", "cuda", ...

    Raises
    ------
    DataError
        If the two are not ``uint8 RGB`` of one shape, or too small.
    WeightsError
        If the weights are missing, damaged or of something else.

    References
    ----------
    Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", CVPR 2018.
    """
    from microexp.superres._lpips import distances, load

    first, second = _frames(restored, true)
    return float(distances(load(weights, device), first, second).mean())


def luma(pictures: np.ndarray) -> np.ndarray:
    """Return the luminance of ITU-R BT.601, ``(...) float64`` in [16, 235], of ``(..., 3) uint8 RGB``.

    ``16 + 65.481 R + 128.553 G + 24.966 B`` with colours in [0, 1], not rounded: MATLAB's "Y", not OpenCV's.
    """
    return 16 + np.asarray(pictures, np.float64) @ _LUMA


@dataclass(frozen=True, eq=False)
class _Window:
    """A square window, the same along both axes: weights that add up to 1, and the factor on variances."""

    weights: np.ndarray
    factor: float = 1.0

    @property
    def size(self) -> int:
        return len(self.weights)

    def means(self, values: np.ndarray) -> np.ndarray:
        """Return the window's mean at each position of it inside ``(H, W, C) float64``."""
        edge = self.size // 2
        filtered = cv2.sepFilter2D(values, -1, self.weights, self.weights).reshape(values.shape)
        return filtered[edge : len(values) - edge, edge : values.shape[1] - edge]


CONVENTIONS = {
    "gaussian": _Window(cv2.getGaussianKernel(11, 1.5)[:, 0]),
    "scikit-image": _Window(np.full(7, 1 / 7), factor=49 / 48),
}


def _similarity(x: np.ndarray, y: np.ndarray, window: _Window) -> float:
    """Return the mean similarity of two frames ``(H, W, C) float64``."""
    mean_x, mean_y = window.means(x), window.means(y)
    variances = window.factor * (window.means(x * x + y * y) - mean_x**2 - mean_y**2)
    covariance = window.factor * (window.means(x * y) - mean_x * mean_y)
    luminance = (2 * mean_x * mean_y + _C1) / (mean_x**2 + mean_y**2 + _C1)
    return float((luminance * (2 * covariance + _C2) / (variances + _C2)).mean())


def _pair(restored: np.ndarray, true: np.ndarray, channel: str, crop: int) -> tuple[np.ndarray, np.ndarray]:
    """Return both as ``(T, H, W, C) float64`` in grey levels, C 3 or 1, without their borders."""
    if channel not in CHANNELS:
        raise UnknownNameError("channel", channel, CHANNELS)
    first, second = _frames(restored, true)
    height, width = first.shape[1:3]
    if crop < 0 or 2 * crop >= min(height, width):
        raise OptionError(f"crop must be at least 0 and leave some of {width}x{height} pixels, got {crop}")
    inside = np.s_[:, crop : height - crop, crop : width - crop]
    first, second = first[inside], second[inside]
    if channel == "y":
        return luma(first)[..., np.newaxis], luma(second)[..., np.newaxis]
    return first.astype(np.float64), second.astype(np.float64)


def _frames(restored: np.ndarray, true: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return both as ``(T, H, W, 3) uint8``."""
    first, second = np.asarray(restored), np.asarray(true)
    for frames in (first, second):
        check_rgb8(frames, "a measure of quality")
    if first.shape != second.shape:
        raise DataError(f"restored and true must have one shape, got {first.shape} and {second.shape}")
    return first.reshape(-1, *first.shape[-3:]), second.reshape(-1, *second.shape[-3:])
