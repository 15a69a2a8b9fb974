"""Follow places of an aligned face from picture to picture; drift is taken off against the first picture.

Flow is computed from a reference picture that is renewed about every second, so that pictures compared are
alike. Where a place of the new reference still looks as it did in the first one ("home"), its displacement is
measured from there at once; elsewhere displacements are chained.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from microexp.analyze._motion_regions import Place, middles

SIDE = 112  # pixels of the pictures that flow is computed on
_AGE = 1.0  # seconds after which the reference is renewed
_FAR = 4.0  # pixels of motion after which it is renewed, too
_ALIKE = 0.85  # correlation by which a place of the reference is taken for the same as at home
_SEEN = 0.6  # correlation below which the face is not seen, or is another
_NOISE = 4.0  # grey levels that a camera's noise may make


@dataclass(frozen=True)
class Step:
    """Where places are in one picture.

    Attributes
    ----------
    places : numpy.ndarray
        ``(P, 2) float32``: displacement from the first picture of the shot, pixels.
    seen : bool
        Whether the face of the reference was found again.
    """

    places: np.ndarray
    seen: bool


class Tracker:
    """Follows places through the pictures of one face.

    Parameters
    ----------
    places : tuple of Place
        What to follow.
    rigid : numpy.ndarray
        ``(P,) bool``: those that tell whether the face is seen.
    landmarks : numpy.ndarray
        ``(68, 2)``, pixels of pictures of `SIDE`.
    """

    def __init__(self, places: tuple[Place, ...], rigid: np.ndarray, landmarks: np.ndarray) -> None:
        unit = float(np.linalg.norm(landmarks[45] - landmarks[36]))
        radii = unit * np.array([place.radii for place in places])
        self._start = middles(places, landmarks)
        self._spread = np.maximum(radii, 1.5)[:, None] * _DISC
        self._rigid = rigid
        self._estimator = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self._home: _Reference | None = None
        self._reference: _Reference | None = None

    def follow(self, picture: np.ndarray, seconds: float) -> Step:
        """Follow the places into the next picture.

        Parameters
        ----------
        picture : numpy.ndarray
            ``(SIDE, SIDE) uint8``, grey.
        seconds : float
            Time of the picture.
        """
        if self._home is None or self._reference is None:
            return self._begin(picture, seconds, seen=True)
        places, alike = self._compare(self._reference, picture)
        if np.median(alike[self._rigid]) < _SEEN:
            return self._begin(picture, seconds, seen=False)
        moved = np.median((places - self._reference.places)[self._rigid], axis=0)
        if seconds - self._reference.seconds >= _AGE or np.abs(moved).max() > _FAR:
            direct, alike = self._compare(self._home, picture)
            same = alike > _ALIKE
            places = np.where(same[:, None], direct, places)
            self._reference = _Reference(picture, places, seconds)
            if same[self._rigid].mean() < 0.5:
                self._home = self._reference
        return Step(places, True)

    def _begin(self, picture: np.ndarray, seconds: float, seen: bool) -> Step:
        nowhere = np.zeros((len(self._start), 2), np.float32)
        self._home = self._reference = _Reference(picture, nowhere, seconds)
        return Step(nowhere, seen)

    def _compare(self, first: _Reference, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Displacement of each place in the second picture, ``(P, 2)``; how alike it looks, ``(P,)`` to 1."""
        flow = self._estimator.calc(first.picture, second, _NO_START)
        at = _GRID + flow
        back = cv2.remap(second, at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        points = self._spread + (self._start + first.places)[:, None]
        columns, rows = np.clip(np.rint(points).astype(np.int64), 0, SIDE - 1).transpose(2, 0, 1)
        moved = np.median(flow[rows, columns], axis=1)
        return first.places + moved, _correlations(first.picture[rows, columns], back[rows, columns])


@dataclass(frozen=True)
class _Reference:
    """A picture that others are compared with, where the places are in it, and its time in seconds."""

    picture: np.ndarray
    places: np.ndarray
    seconds: float


def _disc(count: int) -> np.ndarray:
    """``(count, 2)``: points spread evenly over the unit disc (a sunflower's seeds)."""
    turn = np.arange(count) * np.pi * (3 - np.sqrt(5))
    radius = np.sqrt((np.arange(count) + 0.5) / count)
    return np.stack([radius * np.cos(turn), radius * np.sin(turn)], axis=1)


def _correlations(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Correlation of grey values ``(P, N)``; on plain skin, where there is but noise, it is near 1."""
    a = first - first.mean(1, keepdims=True)
    b = second - second.mean(1, keepdims=True)
    noise = _NOISE**2 * a.shape[1]
    return ((a * b).sum(1) + noise) / (np.sqrt((a**2).sum(1) * (b**2).sum(1)) + noise)


_NO_START = np.zeros((0, 0), np.float32)  # flow that DIS is not given to start from
_GRID = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE)), axis=-1).astype(np.float32)
_DISC = _disc(48)
