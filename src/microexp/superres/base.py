"""The contract of super-resolution: clips, or frames one after the other, to larger ones."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from microexp.cache import Arrays, cached, identity_of
from microexp.clip import Clip
from microexp.errors import OptionError
from microexp.frames import Frames, check_rgb8
from microexp.stateless import Stateless


class Upscaler(Stateless, ABC):
    """Frames to frames `scale` times as wide and high.

    Subclasses give `_upscale`. A method that looks at one picture at a time has a `window` of 1. A video
    method restores `window` frames at a time and sees up to `margin` more on either side, which are not kept:
    so memory is bounded, and long clips come out as if they were whole but for what lies further away.

    Attributes
    ----------
    scale : int
        Factor of width and height.
    window, margin : int
        Frames restored at a time, and seen beyond them on either side.
    """

    scale: int
    window: int = 1
    margin: int = 0

    @abstractmethod
    def _upscale(self, frames: np.ndarray) -> np.ndarray:
        """Return ``(T, s H, s W, 3) uint8`` of consecutive frames ``(T, H, W, 3) uint8``, at once."""

    def check_parameters(self) -> None:
        """Raise `OptionError` if a constructor argument has a value that cannot be used."""
        if self.scale < 1 or self.window < 1 or self.margin < 0:
            raise OptionError(
                f"{type(self).__name__}: scale and window must be at least 1 and margin at least 0, got "
                f"{self.scale}, {self.window} and {self.margin}"
            )

    def upscale(self, frames: np.ndarray) -> np.ndarray:
        """Restore one picture or a sequence of consecutive ones.

        Parameters
        ----------
        frames : numpy.ndarray
            ``(H, W, 3)`` or ``(T, H, W, 3)``, ``uint8 RGB``.

        Returns
        -------
        numpy.ndarray
            The same, `scale` times as wide and high.

        Raises
        ------
        DataError
            If the array has another form.
        OptionError
            If a parameter cannot be used.
        """
        frames = np.asarray(frames)
        check_rgb8(frames, "super-resolution")
        if frames.ndim == 3:
            return self.upscale(frames[np.newaxis])[0]
        return np.stack(list(self.stream(frames)))

    def stream(self, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Restore frames as they come; no more than ``window + 2 margin`` of them are held.

        Parameters
        ----------
        frames : iterable of numpy.ndarray
            ``(H, W, 3) uint8 RGB``, of one size.

        Yields
        ------
        numpy.ndarray
            ``(s H, s W, 3) uint8 RGB``, one a frame.
        """
        self.check_parameters()
        held: deque[np.ndarray] = deque()
        before = 0  # how many of those held are restored already
        for frame in frames:
            held.append(frame)
            if len(held) == before + self.window + self.margin:
                yield from self._part(held, before)
                before = self._forget(held, before + self.window)
        while len(held) > before:
            yield from self._part(held, before)
            before = self._forget(held, before + self.window)

    def transform(self, clips: Sequence[Clip]) -> list[Clip]:
        """Return the larger clips; frames are restored when they are read, and kept in the disk cache.

        The annotation stays, and so does the metadata: a synthetic clip's truth speaks of the original
        frames, with their size.

        Raises
        ------
        OptionError
            If a parameter cannot be used.
        """
        self.check_parameters()
        return [clip.replace(frames=UpscaledFrames(clip.frames, self)) for clip in clips]

    def identity(self) -> object:
        """Return what names this method with all that its results depend on; None if nothing surely does."""
        return identity_of(self)

    def weights_used(self) -> dict[str, str] | None:
        """Return what is known of the weights, with the file's SHA-256; None for a method that has none."""
        return None

    def _part(self, held: deque[np.ndarray], first: int) -> np.ndarray:
        return self._upscale(np.stack(held))[first : first + self.window]

    def _forget(self, held: deque[np.ndarray], restored: int) -> int:
        """Drop restored frames that are no longer seen; return how many restored ones stay."""
        for _ in range(min(restored, len(held)) - self.margin):
            held.popleft()
        return min(restored, self.margin)


class UpscaledFrames(Frames):
    """Frames restored when they are read, a window at a time; the last window is held.

    Parameters
    ----------
    source : Frames
        The small frames.
    upscaler : Upscaler
        What restores them.
    cache : bool
        Keep what was restored on the disk, too.
    """

    def __init__(self, source: Frames, upscaler: Upscaler, cache: bool = True) -> None:
        self.source, self._upscaler, self._cache = source, upscaler, cache
        self._held: tuple[int, np.ndarray] | None = None

    def __len__(self) -> int:  # the source's may be known without a look at a frame
        return len(self.source)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        length, height, width, channels = self.source.shape
        return length, height * self._upscaler.scale, width * self._upscaler.scale, channels

    def read(self, index: int) -> np.ndarray:
        number, position = divmod(index, self._upscaler.window)
        if self._held is None or self._held[0] != number:
            self._held = number, self._restored(number)
        return self._held[1][position]

    def identity(self, indices: Sequence[int]) -> object:
        numbers = sorted({i // self._upscaler.window for i in indices})
        parts = (*(self.source.fingerprint(self._seen(n)) for n in numbers), self._upscaler.identity())
        return None if None in parts else parts

    def _seen(self, number: int) -> range:
        """Return the frames that a window depends on."""
        upscaler = self._upscaler
        start, stop = number * upscaler.window, (number + 1) * upscaler.window
        return range(max(start - upscaler.margin, 0), min(stop + upscaler.margin, len(self.source)))

    def _restored(self, number: int) -> np.ndarray:
        seen = self._seen(number)
        start = number * self._upscaler.window - seen.start

        def compute() -> Arrays:
            frames = self.source[seen.start : seen.stop]
            return {"frames": self._upscaler._upscale(frames)[start : start + self._upscaler.window]}

        parts = (self.source.fingerprint(seen), self._upscaler.identity())
        key = ("superres", start, *parts) if self._cache and None not in parts else None
        return cached("superres", key, compute)["frames"]
