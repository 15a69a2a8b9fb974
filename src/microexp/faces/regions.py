"""Regions of the face that the methods of the field measure in, from 68 landmarks or a picture's size.

Pure functions. Landmarks are ``(68, 2)``, x and y in pixels, in the iBUG order; "left" is the picture's left.
Sizes that a paper gives in pixels of its own pictures, or not at all, are given here in *eye distances*: from
outer eye corner to outer eye corner, landmarks 36 and 45.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import cv2
import numpy as np

from microexp.errors import DataError, OptionError


@dataclass(frozen=True, eq=False)
class Region:
    """A polygon in a picture.

    Attributes
    ----------
    name : str
        What it is of.
    polygon : numpy.ndarray
        ``(K, 2) float32``: its corners, x and y in pixels; pixel centres lie at whole numbers.
    """

    name: str
    polygon: np.ndarray

    @property
    def box(self) -> tuple[float, float, float, float]:
        """The box around it: x0, y0, x1, y1 in pixels."""
        (x0, y0), (x1, y1) = self.polygon.min(0), self.polygon.max(0)
        return float(x0), float(y0), float(x1), float(y1)

    def mask(self, height: int, width: int) -> np.ndarray:
        """Return which pixel centres lie inside, ``(height, width) bool``; regions that touch share none."""
        inside = np.zeros((height, width), bool)
        columns, rows = np.meshgrid(np.arange(width), np.arange(height))
        for (x0, y0), (x1, y1) in zip(self.polygon, np.roll(self.polygon, -1, 0), strict=True):
            if y0 != y1:  # does the ray to the right of the pixel cross this edge?
                crosses = (rows < y0) != (rows < y1)
                inside ^= crosses & (columns < x0 + (rows - y0) * ((x1 - x0) / (y1 - y0)))
        return inside


def blocks(height: int, width: int, rows: int = 5, columns: int = 5) -> list[Region]:
    """Return a picture cut into equal blocks, row by row: 5x5 for LBP-TOP, LBP-SIP and Bi-WOOF.

    Block edges lie between pixels, so that each pixel is in exactly one block; where the size is no multiple,
    blocks differ by one pixel.

    Raises
    ------
    OptionError
        If there are more rows or columns than pixels.
    """
    if not (1 <= rows <= height and 1 <= columns <= width):
        raise OptionError(f"{rows}x{columns} blocks do not fit a picture of {width}x{height}")
    y = np.arange(rows + 1) * height // rows - 0.5
    x = np.arange(columns + 1) * width // columns - 0.5
    return [
        _rectangle(f"block {r},{c}", x[c], y[r], x[c + 1], y[r + 1])
        for r in range(rows)
        for c in range(columns)
    ]


# name -> (landmarks whose mean is the centre, width, height in eye distances)
_Boxes = Mapping[str, tuple[tuple[int, ...], float, float]]
_HOG3D: _Boxes = MappingProxyType(
    {
        "left brow": ((17, 18, 19, 20, 21), 0.44, 0.30),
        "between the brows": ((21, 22, 27), 0.24, 0.40),
        "right brow": ((22, 23, 24, 25, 26), 0.44, 0.30),
        "left eye": ((36, 37, 38, 39, 40, 41), 0.44, 0.26),
        "right eye": ((42, 43, 44, 45, 46, 47), 0.44, 0.26),
        "nose": ((28, 29, 30), 0.28, 0.44),
        "left of the nose": ((31, 31, 2, 48), 0.32, 0.36),
        "right of the nose": ((35, 35, 14, 54), 0.32, 0.36),
        "left mouth corner": ((48,), 0.30, 0.30),
        "mouth": ((51, 57, 62, 66), 0.34, 0.40),
        "right mouth corner": ((54,), 0.30, 0.30),
        "chin": ((8, 57), 0.50, 0.30),
    }
)
_FRL_DGT: _Boxes = MappingProxyType(
    {
        "1 brows and lids": ((*range(17, 27), *range(36, 48)), 1.40, 0.60),
        "2 between the brows": ((20, 21, 22, 23, 27), 0.75, 0.55),
        "3 eye corners and cheeks": ((36, 45, 31, 35, 2, 14), 1.65, 0.75),
        "4 nose": ((28, 29, 30, 31, 35), 0.70, 0.60),
        "5 mouth corners": (tuple(range(48, 60)), 1.00, 0.50),
        "6 chin": ((7, 8, 9, 57), 0.80, 0.60),
    }
)


def hog3d_regions(landmarks: np.ndarray) -> list[Region]:
    """Return the 12 rectangles of the 3-D gradient histograms (Polikovsky et al., ICDP 2009).

    The paper centres them on points marked by hand and its sources that can be opened give neither points nor
    sizes: these twelve are ours, about the places where action units show.
    """
    points = checked(landmarks)
    return _centred(points, _HOG3D, eye_distance(points))


def frl_dgt_regions(landmarks: np.ndarray) -> list[Region]:
    """Return the six action-unit regions of FRL-DGT (Zhai et al., CVPR 2023), fixed for a whole data set.

    The paper puts fixed boxes at the data set's mean of landmark-derived centres. What each is about follows
    its wording; which landmarks, and the boxes' sizes, it does not say: those are ours.

    Parameters
    ----------
    landmarks : numpy.ndarray
        ``(N, 68, 2)``: of all aligned faces of the (training) data; or ``(68, 2)`` of one.
    """
    points = np.asarray(landmarks, np.float64)
    points = checked(points.mean(0) if points.ndim == 3 and len(points) else points)
    return _centred(points, _FRL_DGT, eye_distance(points))


# Points 68 to 74 lie above landmarks 17, 19, 21, between, 22, 24, 26; 75 on are the middles of these pairs.
_RAISED = (17, 19, 21, 22, 24, 26)
_RAISED_BY = 0.125  # eye distances
_MIDDLES = (
    *((3, 29), (13, 29)),  # 75, 76: cheeks
    *((4, 33), (12, 33)),  # 77, 78: lower cheeks
    *((5, 59), (11, 55)),  # 79, 80: beside the mouth
    *((2, 41), (14, 46)),  # 81, 82: below the eyes
    *((6, 58), (8, 57), (10, 56)),  # 83, 84, 85: chin
)
_MDMO = (
    *((17, 68, 69, 19), (19, 69, 70, 21), (21, 70, 71, 27)),
    *((27, 71, 72, 22), (22, 72, 73, 24), (24, 73, 74, 26)),
    *((1, 0, 17, 36), (36, 17, 19, 38), (38, 19, 21, 39), (39, 21, 27, 28)),
    *((28, 27, 22, 42), (42, 22, 24, 43), (43, 24, 26, 45), (45, 26, 16, 15)),
    *((3, 2, 81, 75), (75, 81, 41, 39), (75, 39, 28, 29)),
    *((29, 28, 42, 76), (76, 42, 46, 82), (76, 82, 14, 13)),
    *((77, 75, 29, 33), (33, 29, 76, 78), (79, 77, 33, 59), (55, 33, 78, 80)),
    *((83, 79, 59, 58), (84, 83, 58, 57), (85, 84, 57, 56), (80, 85, 56, 55)),
    *((4, 3, 75, 77), (78, 76, 13, 12), (5, 4, 77, 79), (80, 78, 12, 11)),
    *((6, 5, 79, 83), (8, 6, 83, 84), (10, 8, 84, 85), (11, 10, 85, 80)),
)


def mdmo_regions(landmarks: np.ndarray) -> list[Region]:
    """Return the 36 quadrilaterals of MDMO (Liu et al., IEEE TAFFC 7(4), 2016), in its port's order.

    The paper's 66 points are another detector's; corners are those of the port to 68 landmarks in the public
    library meb. The port raises the brow row by 20 pixels of its crops; here it is an eighth of the eye
    distance, so that the regions scale with the face.
    """
    points = checked(landmarks)
    raised = points[list(_RAISED)] - (0, _RAISED_BY * eye_distance(points))
    raised = np.insert(raised, 3, (raised[2] + raised[3]) / 2, 0)
    every = np.concatenate([points, raised, points[np.array(_MIDDLES)].mean(1)])
    return [Region(f"ROI {i}", every[list(corners)].astype(np.float32)) for i, corners in enumerate(_MDMO, 1)]


def draw(picture: np.ndarray, regions: Sequence[Region], enlarged: int = 1) -> np.ndarray:
    """Return a picture with the outlines of regions, and their numbers from 1.

    Parameters
    ----------
    picture : numpy.ndarray
        ``(H, W, 3) uint8 RGB``; not changed.
    regions : sequence of Region
        In the picture's pixels.
    enlarged : int
        Factor on the result's size, so that outlines stay fine.
    """
    height, width = picture.shape[:2]
    drawn = cv2.resize(picture, (width * enlarged, height * enlarged), interpolation=cv2.INTER_CUBIC)
    for number, region in enumerate(regions, 1):
        hue = np.array([[[(number * 47) % 180, 200, 255]]], np.uint8)
        colour = tuple(int(c) for c in cv2.cvtColor(hue, cv2.COLOR_HSV2RGB)[0, 0])
        corners = (region.polygon + 0.5) * enlarged - 0.5
        cv2.polylines(drawn, [np.rint(corners * 16).astype(np.int32)], True, colour, 1, cv2.LINE_AA, 4)
        text, font = str(number), cv2.FONT_HERSHEY_SIMPLEX
        (wide, high), _ = cv2.getTextSize(text, font, 0.4, 1)
        x, y = corners.mean(0)
        at = round(x - wide / 2), round(y + high / 2)
        for ink, thickness in (((20, 20, 20), 3), (colour, 1)):
            cv2.putText(drawn, text, at, font, 0.4, ink, thickness, cv2.LINE_AA)
    return drawn


def eye_distance(landmarks: np.ndarray) -> float:
    """Return the distance between the outer eye corners, pixels."""
    return float(np.linalg.norm(landmarks[45] - landmarks[36]))


def checked(landmarks: np.ndarray) -> np.ndarray:
    """Return landmarks as ``(68, 2) float64``.

    Raises
    ------
    DataError
        If they are not 68 finite points, or both outer eye corners are one.
    """
    points = np.asarray(landmarks, np.float64)
    if points.shape != (68, 2) or not np.isfinite(points).all():
        raise DataError(f"68 finite landmarks (68, 2) are needed, got {points.shape}")
    if eye_distance(points) == 0:
        raise DataError("the landmarks put both outer eye corners on one place")
    return points


def _centred(points: np.ndarray, boxes: _Boxes, unit: float) -> list[Region]:
    regions = []
    for name, (ids, width, height) in boxes.items():
        x, y = points[list(ids)].mean(0)
        half_width, half_height = unit * width / 2, unit * height / 2
        regions.append(_rectangle(name, x - half_width, y - half_height, x + half_width, y + half_height))
    return regions


def _rectangle(name: str, x0: float, y0: float, x1: float, y1: float) -> Region:
    return Region(name, np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], np.float32))
