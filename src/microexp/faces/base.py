"""The contract of face detectors: a picture in, faces with 68 landmarks out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.base import BaseEstimator

from microexp.errors import DataError

SMALLEST_PICTURE = 16  # pixels; in less there is no face to speak of
_AS_LARGE = 0.7  # a box of this share of the largest's area counts as large, too


@dataclass(frozen=True, eq=False)
class Face:
    """One face in a picture; pixel centres lie at whole numbers.

    Attributes
    ----------
    box : tuple of float
        x0, y0, x1, y1 in pixels. It may reach beyond the picture.
    score : float
        How sure the detector is; the scale is the detector's own, larger is surer.
    landmarks : numpy.ndarray
        ``(68, 2) float32``: x, y in pixels, in the iBUG order (0-16 jaw, 17-26 brows, 27-35 nose, 36-47 eyes,
        48-67 mouth; the picture's left first). Of a face half outside the picture, some lie outside.
    """

    box: tuple[float, float, float, float]
    score: float
    landmarks: np.ndarray

    @property
    def area(self) -> float:
        """Area of the box, square pixels."""
        return (self.box[2] - self.box[0]) * (self.box[3] - self.box[1])

    @property
    def centre(self) -> np.ndarray:
        """Centre of the box, ``(2,)``."""
        return np.array([self.box[0] + self.box[2], self.box[1] + self.box[3]]) / 2


class FaceDetector(BaseEstimator, ABC):
    """Finds faces and their 68 landmarks in one picture; subclasses give `_detect`."""

    @abstractmethod
    def _detect(self, picture: np.ndarray) -> list[Face]:
        """Return the faces of a picture that was checked."""

    def detect(self, picture: np.ndarray) -> list[Face]:
        """Return the faces of a picture, the surest first; an empty list where there is none.

        Parameters
        ----------
        picture : numpy.ndarray
            ``(H, W, 3) uint8 RGB``, at least 16 pixels wide and high.

        Raises
        ------
        DataError
            If the picture is not RGB of 8 bits, or too small.
        """
        picture = np.asarray(picture)
        if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
            raise DataError(
                f"faces are found in pictures (H, W, 3) uint8 RGB, got {picture.shape} {picture.dtype}"
            )
        if min(picture.shape[:2]) < SMALLEST_PICTURE:
            raise DataError(
                f"a picture of {picture.shape[1]}x{picture.shape[0]} is too small to find a face in: "
                f"it must be at least {SMALLEST_PICTURE} pixels wide and high"
            )
        faces = self._detect(np.ascontiguousarray(picture))
        return sorted(faces, key=lambda face: -face.score)


def main_face(faces: Sequence[Face], size: tuple[int, int]) -> Face:
    """Return the face that a picture is of: the largest, and of several as large the most central.

    Parameters
    ----------
    faces : sequence of Face
        At least one.
    size : tuple of int
        Height and width of the picture. A box of at least 0.7 of the largest one's area is as large.
    """
    largest = max(face.area for face in faces)
    middle = (np.array(size[::-1]) - 1) / 2
    large = [face for face in faces if face.area >= _AS_LARGE * largest]
    return min(large, key=lambda face: float(np.linalg.norm(face.centre - middle)))


def same_face(faces: Sequence[Face], known: Face) -> Face | None:
    """Return the face whose box overlaps a known one most; None if no box overlaps by a fifth of both."""
    best = max(faces, key=lambda face: overlap(face.box, known.box), default=None)
    return best if best is not None and overlap(best.box, known.box) > 0.2 else None


def overlap(a: Sequence[float], b: Sequence[float]) -> float:
    """Return the intersection of two boxes x0, y0, x1, y1 over their union, 0 to 1."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0.0) * max(height, 0.0)
    areas = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return shared / (areas - shared)
