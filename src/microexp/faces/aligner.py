"""Alignment of clips: once a clip, never frame by frame."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from microexp.cache import cached, identity_of, source_hash
from microexp.clip import Clip
from microexp.errors import DataError, OptionError, UnknownNameError
from microexp.faces.alignment import (
    DEFAULT_MARGIN,
    AlignedFrames,
    Alignment,
    pose_of,
    smoothed,
    to_matrix,
)
from microexp.faces.base import Face, FaceDetector, main_face, same_face
from microexp.faces.geometry import transform_points
from microexp.registry import Registry
from microexp.stateless import Stateless

CARD = {
    "class": "FaceAligner",
    "title": "Face alignment",
    "summary": "The face of each clip in a canonical place: one similarity a clip, or one that moves slowly.",
    "takes": "clips",
    "gives": "clips of (T, size, size, 3) uint8 RGB, warped when read; metadata['alignment'] says how",
    "notes": [
        "Landmark noise is as large as a micro-expression: frame-by-frame alignment would add motion that is "
        "not there. So one transform, of the onset frame, serves a clip.",
        "A similarity is fitted to nose and eyes (landmarks 27 to 47), which move least with expressions.",
        "Bicubic sampling, averaged where the face shrinks; outside the picture its edge is repeated.",
        "The canonical face is ours: the mean of what the default detector finds on synthetic faces.",
    ],
}

MODES = ("onset", "smooth")
MISSING = ("raise", "skip", "hold")
_SIZES = (8, 2048)


@dataclass(frozen=True, eq=False)
class Aligned:
    """What became of some clips.

    Attributes
    ----------
    clips : list of Clip
        The aligned ones, in order.
    kept : numpy.ndarray
        ``(len(clips),) int64``: their positions in what was given; ``y[kept]`` are their labels.
    left_out : dict of int to str
        Positions of the others, and why each was left out.
    """

    clips: list[Clip]
    kept: np.ndarray
    left_out: dict[int, str]


class FaceAligner(Stateless):
    """Bring the face of each clip to a canonical place and size.

    Parameters
    ----------
    size : int
        Side of the square result in pixels, 8 to 2048. The methods of the field take 28 (flow networks), 60
        (recurrent networks), 112 (magnification), 224 (FRL-DGT, ConvNeXt), 240 (BOWAM) or 256.
    margin : float
        Room around the 68 landmarks on each side, in their larger extent, 0 to 1.
    mode : {"onset", "smooth"}
        ``"onset"``: the transform of the onset frame serves all frames: what moves in the clip, moves in the
        result, head motion included. ``"smooth"``, for long videos: faces are found `rate` times a second and
        the transform follows them slowly. One pass finds them, reading is the second; memory does not grow
        with the video but for a few numbers a detection.
    missing : {"raise", "skip", "hold"}
        Where no face is found in a frame that is looked at: stop with an error; leave the clip out; or use
        the transform of the nearest frame of the clip that has a face, and count. A clip without any face is
        an error in ``"hold"``, too. With ``"skip"`` there are fewer clips after than before: use `align` to
        know which.
    landmarks : str or FaceDetector
        What finds faces: a name (``"faceapi68"``, ``"dlib68"``), or a detector with settings of its own.
    rate : float
        Detections a second in mode "smooth"; at most one a frame.
    smoothing : float
        Standard deviation in seconds of the Gaussian that smooths the transform in mode "smooth".

    Raises
    ------
    OptionError
        When used, if a parameter has no such value.
    """

    def __init__(
        self,
        size: int = 224,
        margin: float = DEFAULT_MARGIN,
        mode: str = "onset",
        missing: str = "raise",
        landmarks: str | FaceDetector = "faceapi68",
        rate: float = 15.0,
        smoothing: float = 1.0,
    ) -> None:
        self.size = size
        self.margin = margin
        self.mode = mode
        self.missing = missing
        self.landmarks = landmarks
        self.rate = rate
        self.smoothing = smoothing

    def transform(self, clips: Sequence[Clip]) -> list[Clip]:
        """Return the aligned clips; annotation and metadata are kept, ``metadata["alignment"]`` is added.

        Warns
        -----
        UserWarning
            If clips were left out (``missing="skip"`` only).

        Raises
        ------
        DataError
            If no face is found, naming clip and frame (unless such clips are skipped).
        """
        done = self.align(clips)
        if done.left_out:
            reasons = "; ".join(done.left_out.values())
            warnings.warn(
                f"{len(done.left_out)} of {len(clips)} clips were left out: {reasons}", stacklevel=2
            )
        return done.clips

    def align(self, clips: Sequence[Clip]) -> Aligned:
        """Return the aligned clips with their positions among those given, and why others were left out."""
        self._validate()
        detector = self._detector()
        aligned, kept, left_out = [], [], {}
        for position, clip in enumerate(clips):
            try:
                alignment = self._alignment(clip, detector)
            except NoFaceError as error:
                if self.missing != "skip":
                    raise
                left_out[position] = str(error)
                continue
            metadata = {**clip.metadata, "alignment": alignment}
            aligned.append(clip.replace(frames=AlignedFrames(clip.frames, alignment), metadata=metadata))
            kept.append(position)
        return Aligned(aligned, np.array(kept, np.int64), left_out)

    def _alignment(self, clip: Clip, detector: FaceDetector) -> Alignment:
        """How the clip is aligned, from the cache where the same frames were looked at before."""
        key = self._key(clip, detector)
        arrays = cached("aligned", key, lambda: _to_arrays(self._measured(clip, detector)))
        return _from_arrays(self.size, arrays)

    def _key(self, clip: Clip, detector: FaceDetector) -> object:
        """Everything that an alignment depends on; None where the frames cannot be named for good."""
        one = self.mode == "onset" and self.missing != "hold"  # no other frame is looked at
        parts = (
            clip.frames.fingerprint([clip.onset] if one else None),
            identity_of(self),
            identity_of(detector),
        )
        settings = (clip.onset, clip.fps, source_hash("microexp.faces"), torch.__version__)
        return None if None in parts else ("aligned", *parts, *settings)

    def _measured(self, clip: Clip, detector: FaceDetector) -> Alignment:
        looks = _Looks(clip, detector, hold=self.missing == "hold")
        once = self.mode == "onset"
        found = [looks.nearest_to(clip.onset)] if once else looks.all(self._step(clip))
        frames = np.array([index for index, _ in found], np.int64)
        poses = np.stack([pose_of(face.landmarks, self.size, self.margin) for _, face in found])
        if not once:
            frames, poses = self._smoothed(clip, frames, poses)
        moved = [
            transform_points(face.landmarks, to_matrix(poses[np.searchsorted(frames, index)], self.size))
            for index, face in found
        ]
        return Alignment(
            self.size,
            frames,
            poses,
            np.median(moved, 0),
            looks.looked_at,
            tuple(looks.missing),
            tuple(looks.several),
        )

    def _smoothed(self, clip: Clip, frames: np.ndarray, poses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Frames and smoothed poses at equal steps; a frame without a face takes the nearest pose."""
        step = self._step(clip)
        steps = np.arange(0, len(clip), step)
        after = np.clip(np.searchsorted(frames, steps), 0, len(frames) - 1)
        before = np.maximum(after - 1, 0)
        nearest = np.where(np.abs(frames[before] - steps) <= np.abs(frames[after] - steps), before, after)
        return steps, smoothed(poses[nearest], self.smoothing * clip.fps / step)

    def _step(self, clip: Clip) -> int:
        """Frames from one detection to the next."""
        return max(1, round(clip.fps / self.rate))

    def _detector(self) -> FaceDetector:
        if isinstance(self.landmarks, FaceDetector):
            return self.landmarks
        registry = Registry("microexp.faces")
        if self.landmarks == "aligner":
            raise UnknownNameError("landmark detector", "aligner", set(registry.names()) - {"aligner"})
        return registry.create(self.landmarks)

    def _validate(self) -> None:
        low, high = _SIZES
        if not (isinstance(self.size, int | np.integer) and low <= self.size <= high):
            raise OptionError(f"aligner: size must be a whole number, {low} to {high}, got {self.size!r}")
        if not 0 <= self.margin <= 1:
            raise OptionError(f"aligner: margin must be from 0 to 1, got {self.margin}")
        if self.mode not in MODES:
            raise UnknownNameError("mode of alignment", self.mode, MODES)
        if self.missing not in MISSING:
            raise UnknownNameError("way with missing faces", self.missing, MISSING)
        if not 0 < self.rate < np.inf:
            raise OptionError(f"aligner: rate must be more than 0 detections a second, got {self.rate}")
        if not 0 <= self.smoothing < np.inf:
            raise OptionError(f"aligner: smoothing must be 0 s or more, got {self.smoothing}")


def _to_arrays(alignment: Alignment) -> dict[str, np.ndarray]:
    return {
        "frames": alignment.frames,
        "poses": alignment.poses,
        "landmarks": alignment.landmarks,
        "looked_at": np.array(alignment.looked_at),
        "missing": np.array(alignment.missing, np.int64),
        "several": np.array(alignment.several, np.int64),
    }


def _from_arrays(size: int, arrays: Mapping[str, np.ndarray]) -> Alignment:
    return Alignment(
        size,
        arrays["frames"],
        arrays["poses"],
        arrays["landmarks"],
        int(arrays["looked_at"]),
        tuple(arrays["missing"].tolist()),
        tuple(arrays["several"].tolist()),
    )


class NoFaceError(DataError):
    """No face was found in a frame that needs one."""


class _Looks:
    """Looking for the face of one clip, and counting."""

    def __init__(self, clip: Clip, detector: FaceDetector, hold: bool) -> None:
        self.clip, self.detector, self.hold = clip, detector, hold
        self.looked_at = 0
        self.missing: list[int] = []
        self.several: list[int] = []

    def nearest_to(self, frame: int) -> tuple[int, Face]:
        """The face of a frame, or of the nearest that has one if it may be held."""
        for index in sorted(range(len(self.clip)), key=lambda i: abs(i - frame)):
            face = self._face(index, None)
            if face is not None:
                return index, face
        raise self._none_at_all()

    def all(self, every: int) -> list[tuple[int, Face]]:
        """The faces of every so many frames; one person is followed from frame to frame."""
        found = list(self._followed(range(0, len(self.clip), every)))
        if not found:
            raise self._none_at_all()
        return found

    def _followed(self, indices: range) -> Iterator[tuple[int, Face]]:
        known = None
        for index in indices:
            face = self._face(index, known)
            if face is not None:
                known = face
                yield index, face

    def _face(self, index: int, known: Face | None) -> Face | None:
        picture = self.clip.frames[index]
        try:
            faces = self.detector.detect(picture)
        except DataError as error:
            raise DataError(f"{self.clip.identity}, frame {index}: {error}") from error
        self.looked_at += 1
        if len(faces) > 1:
            self.several.append(index)
        if faces:
            return (known and same_face(faces, known)) or main_face(faces, picture.shape[:2])
        if not self.hold:
            raise NoFaceError(f"{self.clip.identity}: no face is found in frame {index}")
        self.missing.append(index)
        return None

    def _none_at_all(self) -> NoFaceError:
        return NoFaceError(
            f"{self.clip.identity}: no face is found in any of the {self.looked_at} frames looked at"
        )
