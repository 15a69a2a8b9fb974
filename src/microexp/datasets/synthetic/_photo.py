"""The second mode: a neutral photograph of the user's own, moved by action units.

The photograph is warped by a thin-plate spline through the 68 landmarks. It looks like a photograph at
0.5 to 2 pixels (at 256x256) and like rubber above 5.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from scipy.interpolate import RBFInterpolator

from microexp.clip import ActionUnit, Clip
from microexp.datasets.synthetic._action_units import unit_field
from microexp.datasets.synthetic._assets import assets
from microexp.datasets.synthetic._scene import invert
from microexp.datasets.synthetic._script import Event
from microexp.errors import DataError, OptionError
from microexp.frames import Frames

_GRID = 4  # pixels between the points at which the spline is evaluated


def photo_clip(
    photo: np.ndarray,
    landmarks: np.ndarray,
    action_units: tuple[ActionUnit, ...],
    amplitude: float = 1.3,
    n_frames: int = 60,
    fps: float = 200.0,
    emotion: str | None = None,
) -> Clip:
    """Let a photographed neutral face make a micro-expression.

    Parameters
    ----------
    photo : numpy.ndarray
        ``(H, W, 3) uint8 RGB``.
    landmarks : numpy.ndarray
        ``(68, 2)``: x, y in pixels, iBUG order.
    action_units : tuple of ActionUnit
        What moves; an intensity of None counts as 1. Only their proportions matter.
    amplitude : float
        Largest displacement of a landmark at the apex, pixels of the photograph.
    n_frames : int
        Length, 8 or more.
    fps, emotion
        Annotation of the clip.

    Returns
    -------
    Clip
        Its ``metadata["truth"]`` gives ``flow(i)`` and ``landmarks(i)`` as for synthetic clips.

    Raises
    ------
    DataError
        If the photograph or the landmarks do not have these shapes.
    OptionError
        If a unit is not known, or a number is out of range.
    """
    photo, points = np.asarray(photo), np.asarray(landmarks, np.float64)
    if photo.ndim != 3 or photo.shape[2] != 3 or photo.dtype != np.uint8:
        raise DataError(f"a photograph is (H, W, 3) uint8 RGB, got {photo.shape} {photo.dtype}")
    if points.shape != (68, 2) or not np.isfinite(points).all():
        raise DataError(f"68 landmarks (68, 2) are needed, got {points.shape}")
    if not action_units or not amplitude > 0 or n_frames < 8:
        raise OptionError(
            "a photograph's clip needs an action unit, a positive amplitude and 8 frames or more"
        )
    if np.hypot(*(points[36] - points[45])) < 1:
        raise DataError("the landmarks put both outer eye corners on one place")
    units = tuple((u.unit, u.side, 1.0 if u.intensity is None else u.intensity) for u in action_units)
    event = Event(
        "micro", units, n_frames // 10, round(n_frames * 0.4), n_frames - 1 - n_frames // 20, emotion or ""
    )
    frames = PhotoFrames(photo, points, event, float(amplitude), int(n_frames))
    return Clip(
        frames,
        fps,
        onset=event.onset,
        apex=event.apex,
        offset=event.offset,
        database="photo",
        emotion=emotion,
        action_units=tuple(action_units),
        metadata={"truth": PhotoTruth(frames)},
    )


class PhotoFrames(Frames):
    """A photograph warped along an event; each frame is computed when it is read."""

    def __init__(
        self, photo: np.ndarray, landmarks: np.ndarray, event: Event, amplitude: float, length: int
    ) -> None:
        self.photo, self.marks, self.event = photo, landmarks, event
        self.amplitude, self.length = amplitude, length

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in self.__dict__.items() if name not in ("moves", "apex_flow")}

    @property
    def shape(self) -> tuple[int, int, int, int]:
        height, width, _ = self.photo.shape
        return self.length, height, width, 3

    def read(self, index: int) -> np.ndarray:
        level = self.event.level(index)
        if level == 0:
            return self.photo.copy()
        x, y = invert(self.apex_flow * np.float32(level))
        return cv2.remap(self.photo, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)

    @cached_property
    def moves(self) -> np.ndarray:
        """Displacement of the 68 landmarks at the apex, ``(68, 2) float64``, pixels."""
        moves = sum(
            (weight * landmark_moves(unit, side) for unit, side, weight in self.event.units), np.zeros(())
        )
        along = self.marks[45] - self.marks[36]  # eye line of the photograph
        c, s = along / np.sqrt((along**2).sum())
        turned = moves @ np.array([[c, s], [-s, c]])
        largest = np.sqrt((turned**2).sum(1)).max()
        if not largest > 0:
            raise OptionError("these action units do not move the face")
        return turned * (self.amplitude / largest)

    @cached_property
    def apex_flow(self) -> np.ndarray:
        """Flow from the photograph to the apex, ``(H, W, 2) float32``."""
        height, width, _ = self.photo.shape
        rows, columns = (np.arange(0, n + _GRID, _GRID, dtype=np.float64) for n in (height, width))
        gap = np.sqrt(((self.marks[45] - self.marks[36]) ** 2).sum())
        corners = np.stack(
            np.meshgrid(np.linspace(0, width - 1, 9), np.linspace(0, height - 1, 9)), -1
        ).reshape(-1, 2)
        far = np.sqrt(((corners[:, None] - self.marks) ** 2).sum(2)).min(1) > 0.5 * gap
        knots = np.concatenate([self.marks, corners[far]])
        values = np.concatenate([self.moves, np.zeros((int(far.sum()), 2))])
        spline = RBFInterpolator(knots, values, kernel="thin_plate_spline", smoothing=0.1)
        at = np.stack(np.meshgrid(columns, rows), -1)
        coarse = spline(at.reshape(-1, 2)).reshape(*at.shape).astype(np.float32)
        x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
        return cv2.remap(coarse, x / _GRID, y / _GRID, cv2.INTER_LINEAR)


@dataclass(frozen=True, eq=False)
class PhotoTruth:
    """What is known of a photograph's clip."""

    frames: PhotoFrames

    def flow(self, index: int) -> np.ndarray:
        """Return the flow from the photograph to a frame, ``(H, W, 2) float32``, pixels."""
        return self.frames.apex_flow * np.float32(self.frames.event.level(index))

    def landmarks(self, index: int) -> np.ndarray:
        """Return the 68 landmarks at a frame, ``(68, 2) float32``, pixels."""
        moved = self.frames.marks + self.frames.moves * self.frames.event.level(index)
        return moved.astype(np.float32)


def landmark_moves(unit: int, side: str = "") -> np.ndarray:
    """Displacement of the 68 landmarks by an action unit, ``(68, 2)``: right, down.

    The unit is the distance between the outer corners of the eyes.
    """
    data = assets()
    gap = np.ptp(data.vertices[data.landmarks[[36, 45]], 0])
    moves = unit_field(unit, side)[data.landmarks]
    return np.stack([moves[:, 0], -moves[:, 1]], axis=1) / gap
