"""The default detector: the tiny networks of face-api, which ship with the package."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch

from microexp.errors import OptionError
from microexp.faces import _networks as networks
from microexp.faces.base import Face, FaceDetector, overlap
from microexp.faces.geometry import warp

CARD = {
    "class": "FaceApi68",
    "title": "face-api: tiny face detector and 68 landmarks",
    "summary": "Faces and 68 landmarks by three small networks whose weights ship with microexp.",
    "takes": "a picture (H, W, 3) uint8 RGB",
    "gives": "faces: box, score in [0, 1], landmarks (68, 2) float32 in pixels",
    "parameters": 550161,
    "weights_licence": "MIT",
    "notes": [
        "Networks and weights of the npm package @vladmandic/face-api 1.7.15 (V. Mandic; before, face-api.js "
        "by V. Mühler), ported to PyTorch: equal to the original on a test picture to 4 decimals.",
        "Landmarks are found twice, the second time in a box around the first ones, each time in the picture "
        "and in its mirror image; the original does it once.",
        "The detector's input is 320, then 416 and 224 pixels while no face is found: small faces need a "
        "larger input, faces that fill the picture a smaller one.",
        "The picture is shrunk by averaging, the original samples it bilinearly.",
    ],
}

_SAME = 0.4  # overlap above which two boxes are one face
_ROOM = 1.2  # side of the box around landmarks, in their larger extent
_SIZES = (64, 1024)  # of the detector's input


class FaceApi68(FaceDetector):
    """The tiny face detector and the 68-point network of face-api.

    Parameters
    ----------
    tiny : bool
        Use the smaller landmark network: about half the time, landmarks a little less exact.
    min_score : float
        Least score of a face, in [0, 1).
    sizes : sequence of int
        Side of the detector's input, pixels, multiples of 32 from 64 to 1024; each is tried in turn until a
        face is found. The larger, the smaller the faces that are found (and the larger ones that are missed).

    Raises
    ------
    OptionError
        When used, if `min_score` or `sizes` cannot be used.
    """

    def __init__(
        self, tiny: bool = False, min_score: float = 0.4, sizes: Sequence[int] = (320, 416, 224)
    ) -> None:
        self.tiny = tiny
        self.min_score = min_score
        self.sizes = sizes

    def _detect(self, picture: np.ndarray) -> list[Face]:
        self._validate()
        for size in self.sizes:
            found = boxes(picture, size, self.min_score)
            if found:
                rough = landmarks(picture, [box for box, _ in found], self.tiny)
                fine = landmarks(picture, [_around(points) for points in rough], self.tiny)
                return [Face(box, score, points) for (box, score), points in zip(found, fine, strict=True)]
        return []

    def _validate(self) -> None:
        if not 0 <= self.min_score < 1:
            raise OptionError(f"faceapi68: min_score must be in [0, 1), got {self.min_score}")
        low, high = _SIZES
        if not self.sizes or any(s % 32 or not low <= s <= high for s in self.sizes):
            raise OptionError(f"faceapi68: sizes must be multiples of 32, {low} to {high}; got {self.sizes}")


Box = tuple[float, float, float, float]
MIRRORED = np.array(
    [
        *range(16, -1, -1),  # jaw
        *range(26, 16, -1),  # brows
        *(27, 28, 29, 30, 35, 34, 33, 32, 31),  # nose
        *(45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40),  # eyes
        *(54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55),  # outer lips
        *(64, 63, 62, 61, 60, 67, 66, 65),  # inner lips
    ]
)  # number of each landmark in the mirror image


def boxes(picture: np.ndarray, size: int, min_score: float) -> list[tuple[Box, float]]:
    """Return boxes (x0, y0, x1, y1 in pixels) and scores of the faces in a picture, the surest first.

    Parameters
    ----------
    picture : numpy.ndarray
        ``(H, W, 3) uint8 RGB``.
    size : int
        Side that the picture's longer one is brought to, a multiple of 32.
    min_score : float
        Scores at or below it are left out; of boxes that overlap by more than 0.4 the surest stays.
    """
    scale = size / max(picture.shape[:2])
    with torch.inference_mode():
        grid = networks.detector()(_tensor(_letterboxed(picture, size)))[0].numpy()
    scores = 1 / (1 + np.exp(-grid[:, 4]))
    found: list[tuple[Box, float]] = []
    for anchor, row, column in _descending(scores, min_score):
        x, y, width, height = grid[anchor, :4, row, column]
        middle = np.array([column, row]) + 1 / (1 + np.exp(-np.array([x, y])))
        half = np.exp([width, height]) * networks.ANCHORS[anchor] / 2
        corners = np.concatenate([middle - half, middle + half]) * size / grid.shape[-1] / scale - 0.5
        box: Box = (float(corners[0]), float(corners[1]), float(corners[2]), float(corners[3]))
        if all(overlap(box, other) <= _SAME for other, _ in found):
            found.append((box, float(scores[anchor, row, column])))
    return found


def landmarks(picture: np.ndarray, around: Sequence[Box], tiny: bool = False) -> np.ndarray:
    """Return the landmarks of the faces in boxes, ``(N, 68, 2) float32``, x and y in pixels.

    Each is the mean of what the network says of the box and of its mirror image: the network is not
    symmetric.
    """
    low, sides = _squares(around)
    crops = np.stack([_crop(picture, *square) for square in zip(low, sides, strict=True)])
    both = _tensor(np.concatenate([crops, crops[:, :, ::-1]]))
    with torch.inference_mode():
        plain, mirrored = networks.landmark_net(tiny)(both).numpy().reshape(2, -1, 68, 2)
    mirrored = mirrored[:, MIRRORED]
    mirrored[..., 0] = (networks.CROP - 1) / networks.CROP - mirrored[..., 0]
    points = (plain + mirrored) / 2 * sides[:, None, None] + low[:, None]
    return np.asarray(points, np.float32)


def _squares(around: Sequence[Box]) -> tuple[np.ndarray, np.ndarray]:
    """First pixels ``(N, 2)``: x, y, and sides ``(N,)`` of squares as large as the longer sides of boxes."""
    corners = np.array(around, np.float64)
    sides = (corners[:, 2:] - corners[:, :2]).max(1)
    return (corners[:, :2] + corners[:, 2:] - sides[:, None]) / 2, sides


def _crop(picture: np.ndarray, low: np.ndarray, side: float) -> np.ndarray:
    """A square of the picture at the size that the landmark networks take."""
    scale = networks.CROP / side
    shift = (scale - 1) / 2 - scale * low  # the centre of the first pixel is not its corner
    return warp(picture, np.column_stack([scale * np.eye(2), shift]), networks.CROP)


def _around(points: np.ndarray) -> Box:
    """The square box that the landmark network sees its landmarks in."""
    low, high = points.min(0), points.max(0)
    half = float((high - low).max()) * _ROOM / 2
    x, y = (float(value) for value in (low + high) / 2)
    return x - half, y - half, x + half, y + half


def _letterboxed(picture: np.ndarray, size: int) -> np.ndarray:
    """The picture shrunk or enlarged to fit, black to its right or below: ``(1, size, size, 3) uint8``."""
    height, width = picture.shape[:2]
    scale = size / max(height, width)
    shape = max(1, round(width * scale)), max(1, round(height * scale))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    boxed = np.zeros((1, size, size, 3), np.uint8)
    boxed[0, : shape[1], : shape[0]] = cv2.resize(picture, shape, interpolation=way)
    return boxed


def _tensor(pictures: np.ndarray) -> torch.Tensor:
    """``(N, H, W, 3) uint8`` to ``(N, 3, H, W) float32`` in the memory order that is fastest."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).to(torch.float32)


def _descending(scores: np.ndarray, least: float) -> np.ndarray:
    """Indices of the scores above `least`, the largest first, ``(K, 3)``."""
    above = np.argwhere(scores > least)
    return above[np.argsort(-scores[tuple(above.T)], kind="stable")]
