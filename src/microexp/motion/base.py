"""The contracts of motion: stateless transformers, and flow estimators of two pictures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Self

import cv2
import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from microexp.clip import Clip
from microexp.errors import DataError


class Stateless(TransformerMixin, BaseEstimator):
    """A transformer that learns nothing: what it makes of one clip depends on no other clip."""

    def fit(self, X: Any = None, y: Any = None) -> Self:
        """Return self."""
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.no_validation = True
        return tags


class ClipFlow(Stateless, ABC):
    """Clips to flow; a subclass says what the flow of one clip is, in `clip_flow`."""

    @abstractmethod
    def clip_flow(self, clip: Clip) -> np.ndarray:
        """Return the flow of one clip, ``(H, W, 2 K) float32``: K flows, each dx then dy, pixels.

        Raises
        ------
        DataError
            If the clip lacks the annotation of a frame that is needed.
        """

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

    def clip_flow(self, clip: Clip) -> np.ndarray:
        """Return the flow from the onset to the apex frame, ``(H, W, 2) float32``."""
        return self.flow(clip.key_frame("onset"), clip.key_frame("apex"))


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
