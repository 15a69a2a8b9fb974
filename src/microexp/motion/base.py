"""The contracts of motion: flow of clips, and flow estimators of two pictures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import cv2
import numpy as np

from microexp.cache import Arrays, cached, identity_of
from microexp.clip import Clip
from microexp.errors import DataError
from microexp.stateless import Stateless


class ClipFlow(Stateless, ABC):
    """Clips to flow; a subclass says which frames it takes (`key_frames`) and what it makes of them
    (`_flow_of`).

    The flow of a clip is kept in the disk cache, kind "motion", under the fingerprint of its frames, the
    estimator's parameters and the source of this package. Clips and estimators of which nothing sure can be
    told are computed each time.
    """

    key_frames: ClassVar[tuple[str, ...]]

    @abstractmethod
    def _flow_of(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """Return the flow ``(H, W, 2 K) float32`` of the key frames ``(H, W, 3) uint8 RGB``, in order."""

    def clip_flow(self, clip: Clip) -> np.ndarray:
        """Return the flow of a clip's key frames, ``(H, W, 2 K) float32``, from the cache if it is there.

        K flows, each dx then dy, pixels.

        Raises
        ------
        DataError
            If the clip lacks the annotation of a frame that is needed.
        """
        indices = [clip.key_index(which) for which in self.key_frames]

        def compute() -> Arrays:
            return {"flow": self._flow_of([clip.frames[i] for i in indices])}

        return cached("motion", self._cache_key(clip, indices), compute)["flow"]

    def _cache_key(self, clip: Clip, indices: Sequence[int]) -> tuple[object, ...] | None:
        parts = (clip.frames.fingerprint(indices), identity_of(self))
        return None if None in parts else ("flow", *parts, np.__version__, cv2.__version__)

    def transform(self, clips: Sequence[Clip]) -> np.ndarray:
        """Return the flow of each clip, ``(N, H, W, 2 K) float32``, dx then dy, pixels.

        Parameters
        ----------
        clips : sequence of Clip
            All of one size.

        Raises
        ------
        DataError
            If there is no clip, a clip lacks a frame that is needed, or one has another size.
        """
        if len(clips) == 0:
            raise DataError("there are no clips to compute flow of")
        return np.stack([self.clip_flow(clip) for clip in _of_one_size(clips)])


class FlowEstimator(ClipFlow):
    """Dense optical flow between two pictures; of a clip, from its onset to its apex frame.

    Subclasses give `_flow`, on grey pictures. OpenCV's objects do not pickle, so they are made when used.
    """

    key_frames = ("onset", "apex")

    @abstractmethod
    def _flow(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return the flow ``(H, W, 2) float32`` between two grey pictures ``(H, W) uint8``."""

    def flow(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return the motion from `first` to `second`.

        Parameters
        ----------
        first, second : numpy.ndarray
            ``(H, W, 3) uint8 RGB``, of one size.

        Returns
        -------
        numpy.ndarray
            ``(H, W, 2) float32``: dx (to the right), dy (downwards), in pixels; what `first` shows at
            ``(x, y)`` is at ``(x + dx, y + dy)`` in `second`.

        Raises
        ------
        DataError
            If the pictures are not RGB of 8 bits, differ in size, or are too small for the method.
        """
        first, second = _grey(first), _grey(second)
        if first.shape != second.shape:
            raise DataError(
                f"optical flow needs two pictures of one size, got {_size(first)} and {_size(second)}"
            )
        try:
            return np.asarray(self._flow(first, second), np.float32)
        except cv2.error as error:
            name = type(self).__name__
            raise DataError(f"{name} cannot be computed at {_size(first)} pixels: {error.err}") from error

    def _flow_of(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        first, second = pictures
        return self.flow(first, second)


def _of_one_size(clips: Sequence[Clip]) -> Sequence[Clip]:
    for clip in clips:
        if clip.size != clips[0].size:
            (height, width), (first_height, first_width) = clip.size, clips[0].size
            raise DataError(
                f"{clip.identity} is {width}x{height}, but {clips[0].identity} is "
                f"{first_width}x{first_height}: resize or align the clips to one size first"
            )
    return clips


def _grey(picture: np.ndarray) -> np.ndarray:
    picture = np.asarray(picture)
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
        raise DataError(
            f"optical flow takes pictures (H, W, 3) uint8 RGB, got {picture.shape} {picture.dtype}"
        )
    return cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY)


def _size(picture: np.ndarray) -> str:
    return f"{picture.shape[1]}x{picture.shape[0]}"
