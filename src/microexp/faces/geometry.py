"""Similarity transforms: fitting them to points, and applying them to points, pictures and flow.

A transform is a matrix ``(2, 3) float64`` that takes ``(x, y, 1)`` of the source to ``(x, y)`` of the target,
in pixels; pixel centres lie at whole numbers, x to the right, y down.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from microexp.errors import DataError


def fit_similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the similarity that takes points nearest to others, in closed form.

    Parameters
    ----------
    source, target : numpy.ndarray
        ``(K, 2)``, K >= 2: x, y.

    Returns
    -------
    numpy.ndarray
        ``(2, 3) float64``: one scale, a rotation (no reflection) and a shift, least squares over the target's
        points. Umeyama, IEEE TPAMI 13(4), 1991; in the plane it needs no decomposition.

    Raises
    ------
    DataError
        If there are fewer than two points, or all source points are one.
    """
    source, target = np.asarray(source, np.float64), np.asarray(target, np.float64)
    if source.shape != target.shape or source.ndim != 2 or source.shape[1] != 2 or len(source) < 2:
        raise DataError(
            f"a similarity needs two sets of points (K, 2), got {source.shape} and {target.shape}"
        )
    source_mean, target_mean = source.mean(0), target.mean(0)
    a, b = source - source_mean, target - target_mean
    spread = (a**2).sum()
    if spread == 0:
        raise DataError("a similarity cannot be fitted to points that are all one")
    cosine = (a * b).sum() / spread
    sine = (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum() / spread
    linear = np.array([[cosine, -sine], [sine, cosine]])
    return np.column_stack([linear, target_mean - linear @ source_mean])


def transform_points(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Return points ``(..., 2)`` moved by a transform, ``float32``."""
    return np.asarray(points @ matrix[:, :2].T + matrix[:, 2], np.float32)


def invert(matrix: np.ndarray) -> np.ndarray:
    """Return the transform back, ``(2, 3) float64``."""
    linear = np.linalg.inv(matrix[:, :2])
    return np.column_stack([linear, -linear @ matrix[:, 2]])


def scale_of(matrix: np.ndarray) -> float:
    """Return the target's pixels per pixel of the source."""
    return math.sqrt(abs(float(np.linalg.det(matrix[:, :2]))))


def warp(picture: np.ndarray, matrix: np.ndarray, size: int) -> np.ndarray:
    """Return a picture moved by a transform.

    Sampling is bicubic. Where the picture shrinks, it is sampled on a grid finer by a whole number, so that
    no source pixel is passed over, and averaged: bicubic sampling alone would alias, and aliasing looks like
    motion. What lies outside the picture repeats its edge.

    Parameters
    ----------
    picture : numpy.ndarray
        ``(H, W, 3)`` or ``(H, W)``, ``uint8``.
    matrix : numpy.ndarray
        ``(2, 3)``, from the picture's pixels to the result's.
    size : int
        Side of the square result, pixels.

    Returns
    -------
    numpy.ndarray
        ``(size, size, 3)`` or ``(size, size)``, ``uint8``.
    """
    finer = math.ceil(1 / scale_of(matrix) - 0.05)
    if finer <= 1:
        return _sampled(picture, matrix, size)
    fine = matrix * finer
    fine[:, 2] += (finer - 1) / 2  # centres: the first fine pixel lies half a coarse one to the left
    sampled = _sampled(picture, fine, size * finer)
    return cv2.resize(sampled, (size, size), interpolation=cv2.INTER_AREA)


def warp_flow(flow: np.ndarray, matrix: np.ndarray, size: int) -> np.ndarray:
    """Return the flow between two pictures as it is after both were moved by one transform.

    Parameters
    ----------
    flow : numpy.ndarray
        ``(H, W, 2) float32``: dx, dy in pixels of the source.
    matrix, size
        As for `warp`.

    Returns
    -------
    numpy.ndarray
        ``(size, size, 2) float32``: dx, dy in pixels of the result; vectors are turned and scaled too.
    """
    turned = np.asarray(flow @ matrix[:, :2].T, np.float32)
    return _sampled(turned, matrix, size, cv2.INTER_LINEAR)


def _sampled(
    picture: np.ndarray, matrix: np.ndarray, size: int, interpolation: int = cv2.INTER_CUBIC
) -> np.ndarray:
    return cv2.warpAffine(picture, matrix, (size, size), flags=interpolation, borderMode=cv2.BORDER_REPLICATE)
