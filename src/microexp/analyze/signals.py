"""Motion of face regions in one video against the neutral face, head motion removed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.ndimage import binary_dilation

from microexp.analyze._motion_head import fit_head, head_moves
from microexp.analyze._motion_regions import REGIONS, RIGID, depths, middles
from microexp.analyze._motion_tracking import SIDE, Tracker
from microexp.clip import Clip
from microexp.errors import DataError
from microexp.faces.alignment import landmarks_of

LOOKS = 60.0  # frames a second that are looked at, at most
_NEUTRAL = 8.0  # seconds around a frame whose median is the neutral level
_FIRST = 0.3  # seconds at the beginning in which the face is taken to rest
_STEP = 0.25  # seconds between places where the neutral level is computed
_FAST = 100.0  # hundredths of an eye distance a second: a head that moves faster blurs
_AROUND = 0.1  # seconds around what is not valid that are not valid either


@dataclass(frozen=True, eq=False)
class FaceMotion:
    """How the regions of a face move through a video.

    Attributes
    ----------
    fps : float
        Frames per second of the video.
    n_frames : int
        Frames of the video.
    frames : numpy.ndarray
        ``(n,) int64``: the frames that were looked at, rising, equally spaced; at most 60 a second.
    moves : numpy.ndarray
        ``(n, R, 2) float32``: displacement of each region against the neutral face, head motion removed, in
        hundredths of the distance between the outer eye corners; x to the right, y down.
    valid : numpy.ndarray
        ``(n,) bool``: False around frames without a face, cuts, and head motion too fast to measure. Moves
        are 0 there.
    regions : tuple of str
        Names of the R regions; "left" is the picture's left.
    head : numpy.ndarray or None
        ``(n, 2) float32``: what yaw and pitch against the neutral pose move a point that lies an eye distance
        before the eyes, right and down, in hundredths of it: about 100 times the angle in radians. None where
        it was not measured.
    """

    fps: float
    n_frames: int
    frames: np.ndarray
    moves: np.ndarray
    valid: np.ndarray
    regions: tuple[str, ...]
    head: np.ndarray | None = None

    @property
    def rate(self) -> float:
        """Frames per second that were looked at."""
        return self.fps / int(self.frames[1] - self.frames[0]) if len(self.frames) > 1 else self.fps

    def runs(self) -> list[slice]:
        """Return the stretches of `frames` that are valid without a gap."""
        return stretches(self.valid)


def face_motion(clip: Clip, progress: Callable[[int, int], None] | None = None) -> FaceMotion:
    """Measure how the regions of a face move through a video.

    One pass over the frames; what is kept is a few numbers a frame. Of a video of more than 60 frames a
    second every k-th is looked at. Dense optical flow from a reference picture, renewed about every second,
    follows the regions and points that only the head moves; a rigid motion fitted to these is taken off. The
    neutral level is the running median over eight seconds; the face is taken to rest when the video begins.

    Parameters
    ----------
    clip : Clip
        The aligned face: ``faces.create("aligner", mode="smooth", missing="hold")``.
    progress : callable or None
        Called with the number of frames done and of all.

    Returns
    -------
    FaceMotion

    Raises
    ------
    DataError
        If a frame cannot be read, or the frames are not square or smaller than 32 pixels.
    """
    height, width = clip.size
    if height != width or height < 32:
        raise DataError(
            f"{clip.identity}: motion is measured on an aligned face, square and of 32 pixels or more, "
            f"got {width}x{height}; align the clip first (faces 'aligner')"
        )
    step = max(1, math.ceil(clip.fps / LOOKS - 1e-6))
    frames = np.arange(0, len(clip), step)
    landmarks = (landmarks_of(clip) + 0.5) * (SIDE / width) - 0.5
    places, seen = _tracked(clip, frames, landmarks, progress)
    rate = clip.fps / step
    valid = seen & _with_face(clip, frames, step)
    points = middles(REGIONS + RIGID, landmarks)
    unit = float(np.linalg.norm(landmarks[45] - landmarks[36]))
    moves, pose = _without_head(100 * places / unit, (points - points.mean(0)) / unit)
    valid = _steady(valid, pose, rate)
    both = np.concatenate([moves, pose[:, None, 4:]], axis=1)
    for run in stretches(valid):
        both[run] -= _neutral(both[run], rate)
    both[~valid] = 0
    names = tuple(place.name for place in REGIONS)
    moves, head = both[:, :-1].astype(np.float32), both[:, -1].astype(np.float32)
    return FaceMotion(clip.fps, len(clip), frames, moves, valid, names, head)


def _tracked(
    clip: Clip, frames: np.ndarray, landmarks: np.ndarray, progress: Callable[[int, int], None] | None
) -> tuple[np.ndarray, np.ndarray]:
    """Displacement of every place at each frame, ``(n, P, 2)`` in pixels; whether it follows on, ``(n,)``."""
    everything = REGIONS + RIGID
    tracker = Tracker(everything, np.arange(len(everything)) >= len(REGIONS), landmarks)
    places = np.empty((len(frames), len(everything), 2), np.float32)
    seen = np.empty(len(frames), bool)
    for i, frame in enumerate(frames.tolist()):
        small = cv2.resize(clip.frames.grey(frame), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        step = tracker.follow(small, frame / clip.fps)
        places[i], seen[i] = step.places, step.seen
        if progress is not None:
            progress(i + 1, len(frames))
    return places, seen


def _with_face(clip: Clip, frames: np.ndarray, step: int) -> np.ndarray:
    """Whether a face was found in or next to each frame, ``(n,) bool``."""
    alignment = clip.metadata.get("alignment")
    if alignment is None or not alignment.missing:
        return np.ones(len(frames), bool)
    missing = np.array(alignment.missing, np.int64)
    between = float(np.median(np.diff(alignment.frames))) if len(alignment.frames) > 1 else float(step)
    place = np.searchsorted(missing, frames)
    before, after = missing[np.maximum(place - 1, 0)], missing[np.minimum(place, len(missing) - 1)]
    return np.minimum(np.abs(frames - before), np.abs(after - frames)) > between / 2


def _without_head(places: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Moves ``(n, R, 2)`` of the regions, head motion removed; the head's motion, ``(n, 6)``."""
    depth = depths(REGIONS + RIGID)
    n = len(REGIONS)
    pose = fit_head(points[n:], depth[n:], places[:, n:])
    return places[:, :n] - head_moves(points[:n], depth[:n], pose), pose


def _steady(seen: np.ndarray, pose: np.ndarray, rate: float) -> np.ndarray:
    """Where the face is seen and the head moves slowly, for some time before and after, ``(n,) bool``."""
    speed = np.abs(np.diff(pose, axis=0, prepend=pose[:1])).max(1) * rate
    around = max(1, round(_AROUND * rate))
    return ~binary_dilation(~seen | (speed > _FAST), np.ones(2 * around + 1, bool))


def _neutral(moves: np.ndarray, rate: float) -> np.ndarray:
    """Level of the resting face at each frame of a run, ``(n, R, 2)``: a running median.

    Before the run the face is taken to be as at its beginning.
    """
    half = max(1, round(_NEUTRAL / 2 * rate))
    first = np.median(moves[: max(1, round(_FIRST * rate))], axis=0)
    padded = np.concatenate([np.repeat(first[None], half, axis=0), moves])
    centres = np.unique(np.append(np.arange(0, len(moves), max(1, round(_STEP * rate))), len(moves) - 1))
    levels = np.stack([np.median(padded[c : c + 2 * half + 1], axis=0) for c in centres])
    flat = levels.reshape(len(centres), -1)
    at = np.arange(len(moves))
    spread = np.stack([np.interp(at, centres, column) for column in flat.T], axis=1)
    return spread.reshape(moves.shape)


def stretches(chosen: np.ndarray) -> list[slice]:
    """Return the stretches of True in ``(n,) bool``."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], chosen, [False]]).astype(np.int8)))
    return [slice(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
