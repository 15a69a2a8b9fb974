"""The tight crop of the face that the published 28x28 motion images show: its flow, and pictures of that.

Where the crop lies was read off the mean strain of the 442 published images, without their labels: it is
about dlib's face rectangle, its sides 1.6 to 2.3 times the distance between the eyes' centres.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from microexp.faces.geometry import warp
from microexp.motion.flow_image import FlowImage
from microexp.motion.tvl1 import TVL1

SIDE = 192  # pixels of the picture that flow is computed on
ROOM = 1.4  # sides of the crop on a side of that picture


@dataclass(frozen=True)
class Crop:
    """Where a crop lies, in sides of it.

    Attributes
    ----------
    eye_distance : float
        Between the eyes' centres.
    eye_row : float
        From the top to the eyes' centres.
    shift : float
        To the right, of the point between the eyes.
    height : float
        Of the crop, in widths.
    """

    eye_distance: float = 0.52
    eye_row: float = 0.23
    shift: float = 0.0
    height: float = 1.0


USUAL = Crop()


def crop_matrix(landmarks: np.ndarray, size: int = SIDE) -> np.ndarray:
    """Return the map from a picture to the square around the usual crop, ``(2, 3) float64``.

    Parameters
    ----------
    landmarks : numpy.ndarray
        ``(68, 2)``, x and y in pixels.
    size : int
        Side of the square, pixels: `ROOM` sides of the crop, which is in its middle.
    """
    left, right = landmarks[36:42].mean(0), landmarks[42:48].mean(0)
    side = float(np.linalg.norm(right - left)) / USUAL.eye_distance
    centre = (left + right) / 2 + np.array([0.0, (0.5 - USUAL.eye_row) * side])
    scale = size / (ROOM * side)
    return np.column_stack([scale * np.eye(2), (size - 1) / 2 - scale * centre])


def crop_flow(onset: np.ndarray, apex: np.ndarray, landmarks: np.ndarray, size: int = SIDE) -> np.ndarray:
    """Return the TV-L1 flow from onset to apex around the crop, ``(size, size, 2) float32``, in its pixels.

    Parameters
    ----------
    onset, apex : numpy.ndarray
        ``(H, W, 3) uint8 RGB``.
    landmarks : numpy.ndarray
        ``(68, 2)``, of the onset.
    size : int
        As for `crop_matrix`.
    """
    matrix = crop_matrix(landmarks, size)
    return TVL1().flow(warp(onset, matrix, size), warp(apex, matrix, size))


def crop_image(flow: np.ndarray, crop: Crop = USUAL) -> np.ndarray:
    """Return u, v and strain of a crop as the published images have them, ``(3, 28, 28) float32`` in [0, 1].

    Parameters
    ----------
    flow : numpy.ndarray
        ``(S, S, 2)``, as `crop_flow` gives it.
    crop : Crop
        Which part of it; beyond its edge the edge is repeated.
    """
    box = crop_box(len(flow), crop)
    width, height = (max(28, round(float(side))) for side in box[2:])
    scale = np.array([width, height]) / box[2:]
    matrix = np.column_stack([np.diag(scale), -scale * box[:2]])
    part = cv2.warpAffine(
        np.asarray(flow, np.float32),
        matrix,
        (width, height),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return FlowImage().images(part[np.newaxis])[0]


def crop_box(size: int, crop: Crop = USUAL) -> np.ndarray:
    """Return left, top, width and height of a crop in the square around the usual one, pixels."""
    usual = size / ROOM
    eyes = (size - 1) / 2 - np.array([0.0, (0.5 - USUAL.eye_row) * usual])
    width = usual * USUAL.eye_distance / crop.eye_distance
    height = width * crop.height
    return np.array([eyes[0] - (0.5 + crop.shift) * width, eyes[1] - crop.eye_row * height, width, height])
