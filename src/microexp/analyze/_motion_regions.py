"""Where motion is measured: regions that expressions move, and points that only the head moves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Place:
    """An ellipse on the face.

    Lengths are in *eye distances*: from outer eye corner to outer eye corner.

    Attributes
    ----------
    name : str
        What is there; "left" is the picture's left.
    landmarks : tuple of int
        The 68-point landmarks whose mean is its middle.
    depth : float
        How far it lies before the outer eye corners.
    shift : tuple of float
        From the landmarks' mean to the middle, right and down.
    radii : tuple of float
        Half of its width and of its height.
    """

    name: str
    landmarks: tuple[int, ...]
    depth: float
    shift: tuple[float, float] = (0.0, 0.0)
    radii: tuple[float, float] = (0.09, 0.07)


# Depths are those of the synthetic database's head, rounded: heads differ less than the fit can tell.
REGIONS = (
    Place("left inner brow", (20, 21), 0.14),
    Place("right inner brow", (22, 23), 0.14),
    Place("left outer brow", (17, 18, 19), -0.04, radii=(0.11, 0.07)),
    Place("right outer brow", (24, 25, 26), -0.04, radii=(0.11, 0.07)),
    Place("glabella", (21, 22, 27), 0.16, radii=(0.07, 0.08)),
    Place("left upper lid", (37, 38), 0.06, radii=(0.08, 0.04)),
    Place("right upper lid", (43, 44), 0.06, radii=(0.08, 0.04)),
    Place("left lower lid", (40, 41), 0.04, (0.0, 0.05), (0.1, 0.05)),
    Place("right lower lid", (46, 47), 0.04, (0.0, 0.05), (0.1, 0.05)),
    Place("left cheek", (41, 48), 0.06, (-0.04, 0.0), (0.11, 0.1)),
    Place("right cheek", (46, 54), 0.06, (0.04, 0.0), (0.11, 0.1)),
    Place("left nose wing", (31,), 0.18, (-0.05, -0.03), (0.07, 0.07)),
    Place("right nose wing", (35,), 0.18, (0.05, -0.03), (0.07, 0.07)),
    Place("left mouth corner", (48,), 0.08, (-0.01, 0.0), (0.08, 0.07)),
    Place("right mouth corner", (54,), 0.08, (0.01, 0.0), (0.08, 0.07)),
    Place("upper lip", (50, 51, 52), 0.27, (0.0, -0.02), (0.1, 0.05)),
    Place("lower lip", (56, 57, 58), 0.22, (0.0, -0.02), (0.1, 0.06)),
    Place("chin", (8, 57), 0.17, (0.0, 0.02), (0.12, 0.08)),
)
LIDS = ("left upper lid", "right upper lid")

RIGID = (
    Place("left outer eye corner", (36,), -0.02, (-0.06, 0.0), (0.06, 0.07)),
    Place("right outer eye corner", (45,), -0.02, (0.06, 0.0), (0.06, 0.07)),
    Place("left inner eye corner", (39,), 0.05, (0.05, 0.02), (0.05, 0.06)),
    Place("right inner eye corner", (42,), 0.05, (-0.05, 0.02), (0.05, 0.06)),
    Place("nose root", (27,), 0.17, radii=(0.06, 0.07)),
    Place("nose bridge", (28,), 0.21, radii=(0.06, 0.06)),
    Place("lower nose bridge", (29,), 0.26, radii=(0.07, 0.06)),
    Place("nose tip", (30,), 0.34, radii=(0.08, 0.06)),
    Place("nostril base", (33,), 0.25, (0.0, 0.01), (0.08, 0.04)),
    Place("left temple", (0, 36), -0.3, (0.04, 0.0), (0.07, 0.12)),
    Place("right temple", (16, 45), -0.3, (-0.04, 0.0), (0.07, 0.12)),
    Place("left side of the face", (1, 2), -0.38, (0.1, 0.0), (0.06, 0.12)),
    Place("right side of the face", (14, 15), -0.38, (-0.1, 0.0), (0.06, 0.12)),
)


def middles(places: tuple[Place, ...], landmarks: np.ndarray) -> np.ndarray:
    """Return the middles of places, ``(P, 2) float64``, pixels, for landmarks ``(68, 2)`` in pixels."""
    unit = np.linalg.norm(landmarks[45] - landmarks[36])
    found = [landmarks[list(place.landmarks)].mean(0) + unit * np.array(place.shift) for place in places]
    return np.array(found, np.float64)


def depths(places: tuple[Place, ...]) -> np.ndarray:
    """Return how far places lie before the outer eye corners, ``(P,) float64``, eye distances."""
    return np.array([place.depth for place in places], np.float64)
