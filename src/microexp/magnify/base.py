"""The contract of magnification: frames, and the onset they are compared with, to stronger frames."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar

import numpy as np

from microexp.cache import Arrays, cached, identity_of
from microexp.clip import Clip
from microexp.errors import DataError, OptionError
from microexp.frames import Frames, check_rgb8
from microexp.stateless import Stateless


class Magnifier(Stateless, ABC):
    """Frames to frames of the same size in which the motion is stronger.

    Subclasses give `_magnify`, and set what follows where it differs.

    Attributes
    ----------
    needs_onset : bool
        Whether motion is that between two frames, the onset and another; else one picture is enough.
    aligned : bool
        Whether pictures must be aligned faces, as `microexp.faces.FaceAligner` makes them.
    """

    needs_onset: ClassVar[bool] = True
    aligned: ClassVar[bool] = False

    @property
    def by_frame(self) -> bool:
        """Whether a magnified frame depends on no other frame than itself and the onset."""
        return True

    @abstractmethod
    def _magnify(
        self, frames: Iterable[np.ndarray], onset: np.ndarray | None, fps: float | None
    ) -> Iterator[np.ndarray]:
        """Yield the magnified frame, ``(H, W, 3) uint8``, of every frame; hold few of them at a time."""

    def check_parameters(self) -> None:
        """Raise `OptionError` if a constructor argument has a value that cannot be used."""

    def magnify(
        self, frames: np.ndarray, onset: np.ndarray | None = None, fps: float | None = None
    ) -> np.ndarray:
        """Magnify one picture, or a sequence of consecutive ones.

        Parameters
        ----------
        frames : numpy.ndarray
            ``(H, W, 3)`` or ``(T, H, W, 3)``, ``uint8 RGB``.
        onset : numpy.ndarray or None
            ``(H, W, 3) uint8 RGB``, what motion is measured from; None for the first frame of a sequence.
            Methods that take a single picture have no use for it.
        fps : float or None
            Frames a second; methods that look at temporal frequencies need it.

        Returns
        -------
        numpy.ndarray
            The same form, ``uint8``.

        Raises
        ------
        DataError
            If an array has another form, the onset another size, or there is none for a single picture.
        OptionError
            If a parameter cannot be used, or `fps` is missing where it is needed.
        """
        frames = np.asarray(frames)
        check_rgb8(frames, "magnification")
        if frames.ndim == 4:
            return np.stack(list(self.stream(frames, onset, fps)))
        if onset is None and self.needs_onset:
            raise DataError(
                f"{type(self).__name__} magnifies the motion between two frames: with a single picture give "
                "the onset, too"
            )
        return next(self.stream([frames], onset, fps))

    def stream(
        self, frames: Iterable[np.ndarray], onset: np.ndarray | None = None, fps: float | None = None
    ) -> Iterator[np.ndarray]:
        """Magnify frames as they come; memory does not grow with their number.

        Parameters
        ----------
        frames : iterable of numpy.ndarray
            ``(H, W, 3) uint8 RGB``, of one size.
        onset, fps
            As in `magnify`.

        Yields
        ------
        numpy.ndarray
            ``(H, W, 3) uint8 RGB``, one a frame.
        """
        self.check_parameters()
        coming = iter(frames)
        first = next(coming, None)
        if first is None:
            return
        start = first if onset is None and self.needs_onset else onset
        yield from self._magnify(_checked(first, coming, start), start, fps)

    def transform(self, clips: Sequence[Clip]) -> list[Clip]:
        """Return the magnified clips; motion is that from each clip's onset frame.

        Frames are magnified when they are read, and kept in the disk cache. Annotation and metadata stay: a
        synthetic clip's truth speaks of the original motion.

        Raises
        ------
        OptionError
            If a parameter cannot be used.
        """
        self.check_parameters()
        return [clip.replace(frames=MagnifiedFrames(clip, self)) for clip in clips]

    def identity(self) -> object:
        """Return what names this method with all that its results depend on; None if nothing surely does."""
        return identity_of(self)

    def weights_used(self) -> dict[str, str] | None:
        """Return what is known of the weights, with the file's SHA-256; None for a method that has none."""
        return None


class MagnifiedFrames(Frames):
    """Frames of a clip, magnified when they are read: one by one, or all if they depend on each other.

    Parameters
    ----------
    clip : Clip
        The weak motion; its onset frame is what it is measured from.
    magnifier : Magnifier
        What magnifies.
    cache : bool
        Keep what was magnified on the disk, too.
    """

    def __init__(self, clip: Clip, magnifier: Magnifier, cache: bool = True) -> None:
        self.source, self._onset, self._fps = clip.frames, clip.onset, clip.fps
        self._magnifier, self._cache = magnifier, cache
        self._held: tuple[range, np.ndarray] | None = None

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return self.source.shape

    def read(self, index: int) -> np.ndarray:
        if self._held is None or index not in self._held[0]:
            wanted = self._together(index)
            self._held = wanted, self._magnified(wanted)
        return self._held[1][self._held[0].index(index)]

    def identity(self, indices: Sequence[int]) -> object:
        parts = (*(self._fingerprint(self._together(i)) for i in indices), self._magnifier.identity())
        return None if None in parts else parts

    def _together(self, index: int) -> range:
        """Return the frames that are magnified at once with one of them."""
        return range(index, index + 1) if self._magnifier.by_frame else range(len(self.source))

    def _fingerprint(self, wanted: range) -> object:
        seen = [*wanted, self._onset] if self._magnifier.needs_onset else wanted
        return self.source.fingerprint(seen)

    def _magnified(self, wanted: range) -> np.ndarray:
        def compute() -> Arrays:
            onset = self.source[self._onset] if self._magnifier.needs_onset else None
            stream = self._magnifier.stream((self.source[i] for i in wanted), onset, self._fps)
            return {"frames": np.stack(list(stream))}

        parts = (self._fingerprint(wanted), self._magnifier.identity())
        key = ("magnify", self._fps, *parts) if self._cache and None not in parts else None
        return cached("magnify", key, compute)["frames"]


def check_factor(name: str, factor: float) -> None:
    """Raise `OptionError` unless a factor of magnification is 1 (nothing changes) or more."""
    if not 1 <= factor < np.inf:
        raise OptionError(f"{name}: factor must be 1 (no magnification) or more, got {factor}")


def _checked(
    first: np.ndarray, others: Iterator[np.ndarray], onset: np.ndarray | None
) -> Iterator[np.ndarray]:
    """Yield frames once they are seen to be pictures of one size."""
    if onset is not None:
        _check_picture(onset)
        _check_same(first, onset, "onset")
    frame: np.ndarray | None = first
    while frame is not None:
        _check_picture(frame)
        _check_same(frame, first, "first frame")
        yield frame
        frame = next(others, None)


def _check_picture(frame: np.ndarray) -> None:
    check_rgb8(frame, "magnification")
    if frame.ndim != 3:
        raise DataError(f"magnification takes frames (H, W, 3) one after the other, got {frame.shape}")


def _check_same(frame: np.ndarray, other: np.ndarray, what: str) -> None:
    if frame.shape != other.shape:
        raise DataError(
            f"frames of one size are magnified: one is {frame.shape[1]}x{frame.shape[0]} pixels, the {what} "
            f"{other.shape[1]}x{other.shape[0]}"
        )
