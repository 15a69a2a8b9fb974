"""Where an aligned clip came from: the transform of each frame, and frames that are aligned when read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from scipy.ndimage import correlate1d, median_filter

from microexp.cache import source_hash
from microexp.clip import Clip
from microexp.faces.geometry import fit_similarity, warp
from microexp.frames import Frames

STABLE = np.arange(27, 48)  # nose and eyes: brows, mouth and jaw move with expressions
DEFAULT_MARGIN = 0.1  # of the aligner; see `canonical_landmarks`
_MEDIAN = 5  # detections over which a stray one is voted down


@dataclass(frozen=True, eq=False)
class Alignment:
    """How a clip was aligned; every aligned clip carries it as ``metadata["alignment"]``.

    What is known in the pixels of the source (true landmarks, true flow) is brought to the aligned clip by
    `microexp.faces.geometry`: ``transform_points(points, alignment.matrix(i))``, ``warp_flow``.

    Attributes
    ----------
    size : int
        Side of the aligned frames, pixels.
    frames : numpy.ndarray
        ``(P,) int64``: numbers of the frames whose transforms are held, rising. One in mode "onset".
    poses : numpy.ndarray
        ``(P, 4) float64``: logarithm of scale, angle in radians, x and y of the aligned picture's middle in
        the source. Transforms of frames between are linear in these.
    landmarks : numpy.ndarray
        ``(68, 2) float32``: the landmarks in the aligned picture, pixels; of the onset frame, or in mode
        "smooth" the median over all frames looked at.
    looked_at : int
        How many frames were searched for a face.
    missing : tuple of int
        Those in which no face was found; their transform is that of the nearest frame with one.
    several : tuple of int
        Those in which more than one was found.
    """

    size: int
    frames: np.ndarray
    poses: np.ndarray
    landmarks: np.ndarray
    looked_at: int
    missing: tuple[int, ...] = ()
    several: tuple[int, ...] = ()

    def matrix(self, index: int) -> np.ndarray:
        """Return the transform of a frame, ``(2, 3) float64``: source pixels to aligned pixels."""
        return to_matrix(np.array([np.interp(index, self.frames, p) for p in self.poses.T]), self.size)


class AlignedFrames(Frames):
    """Frames moved to the canonical face, each when it is read.

    Parameters
    ----------
    source : Frames
        The frames as they were.
    alignment : Alignment
        Says how.
    """

    def __init__(self, source: Frames, alignment: Alignment) -> None:
        self.source, self.alignment = source, alignment

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return len(self.source), self.alignment.size, self.alignment.size, 3

    def identity(self, indices: Sequence[int]) -> object:
        source = self.source.fingerprint(indices)
        if source is None:
            return None
        matrices = np.stack([self.alignment.matrix(i) for i in indices]) if len(indices) else np.empty(0)
        digest = hashlib.sha256(matrices.tobytes()).hexdigest()
        return source, self.alignment.size, digest, source_hash("microexp.faces.geometry"), cv2.__version__

    def read(self, index: int) -> np.ndarray:
        return warp(self.source[index], self.alignment.matrix(index), self.alignment.size)

    def grey(self, index: int) -> np.ndarray:
        """As of any frames, but one channel is moved in place of three: within two grey levels the same."""
        position = self._position(index)
        return warp(self.source.grey(position), self.alignment.matrix(position), self.alignment.size)


def canonical_landmarks(size: int, margin: float) -> np.ndarray:
    """Return where the 68 landmarks of the canonical face lie, ``(68, 2) float64``, pixels.

    Parameters
    ----------
    size : int
        Side of the square picture, pixels.
    margin : float
        Room around the landmarks on each side, in the larger of their extents.
    """
    return (_unit_face() + margin) * (size / (1 + 2 * margin)) - 0.5


def landmarks_of(clip: Clip) -> np.ndarray:
    """Return where the landmarks of an aligned clip lie, ``(68, 2) float64``, pixels of its frames.

    They are those in ``metadata["alignment"]``, scaled where the clip was resized since; where there are
    none, those of the canonical face, squeezed to the frames as if the aligner had made them at its default
    margin.
    """
    height, width = clip.size
    alignment = clip.metadata.get("alignment")
    side = alignment.size if alignment is not None else max(height, width)
    points = alignment.landmarks if alignment is not None else canonical_landmarks(side, DEFAULT_MARGIN)
    return (points + 0.5) * np.array([width, height]) / side - 0.5


def pose_of(landmarks: np.ndarray, size: int, margin: float) -> np.ndarray:
    """Return the pose ``(4,)`` (see `Alignment`) that brings landmarks nearest to the canonical face.

    Nose and eyes only are used: they move least with expressions.
    """
    matrix = fit_similarity(landmarks[STABLE], canonical_landmarks(size, margin)[STABLE])
    scale, angle = np.hypot(matrix[0, 0], matrix[1, 0]), np.arctan2(matrix[1, 0], matrix[0, 0])
    middle = np.linalg.solve(matrix[:, :2], (size - 1) / 2 - matrix[:, 2])
    return np.array([np.log(scale), angle, *middle])


def to_matrix(pose: np.ndarray, size: int) -> np.ndarray:
    """Return the transform ``(2, 3)`` of a pose."""
    scale, angle = np.exp(pose[0]), pose[1]
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.column_stack([linear, (size - 1) / 2 - linear @ pose[2:]])


def smoothed(poses: np.ndarray, deviation: float) -> np.ndarray:
    """Return poses ``(P, 4)`` without strays (a median of five) and without what is quick (a Gaussian).

    Parameters
    ----------
    poses : numpy.ndarray
        ``(P, 4)``, equally spaced in time.
    deviation : float
        Standard deviation of the Gaussian, in steps. It is cut off, not repeated, at the ends.
    """
    poses = poses.copy()
    poses[:, 1] = np.unwrap(poses[:, 1])
    poses = median_filter(poses, (_MEDIAN, 1), mode="nearest")
    if deviation == 0:
        return poses
    reach = int(np.ceil(4 * deviation))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
    share = correlate1d(np.ones(len(poses)), weights, mode="constant")
    return correlate1d(poses, weights, axis=0, mode="constant") / share[:, None]


@lru_cache(maxsize=1)
def _unit_face() -> np.ndarray:
    return np.array(json.loads(Path(__file__).with_name("canonical.json").read_text(encoding="utf-8")))
