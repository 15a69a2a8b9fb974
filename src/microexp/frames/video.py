"""A video file."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from microexp.errors import DamageWarning, DataError, PathMissingError
from microexp.frames._decode import BrokenStreamError, go_to, opened, whole_frames
from microexp.frames._video_index import index_video
from microexp.frames.base import Frames, file_identity

_PREDICTED = (2, 3, 4, 6)  # FFmpeg's numbers for pictures that are made from others: P, B, S, SP
_MOST_WASTED = 16  # frames that are decoded for nothing rather than that the file is opened anew


class VideoFrames(Frames):
    """The frames of a video file, upright and with square pixels, decoded when they are read.

    Opening lists the packets and decodes the first picture and the last group of pictures alone: exact, and
    many times faster than decoding all. Where packets are not frames, do not say when they are shown, or the
    end is damaged, everything is decoded once instead. Reading forward decodes each frame once, at constant
    memory; any other order gives the same pictures bit for bit.

    Of a file with a damaged end the whole frames before it are used: `damage` says so, and a `DamageWarning`
    is given. Damage amid a file that ends whole shows when it is read, as a `DataError`, and what a decoder
    makes up from there to the next key frame is not given out. All this as far as the decoder notices: a few
    wrong bits may pass for a picture. A recording that changes its size is scaled to its first.

    Parameters
    ----------
    file : path
        Anything that FFmpeg reads. Of several video streams the first is taken.

    Attributes
    ----------
    fps : float
        Average frames per second.
    times : numpy.ndarray
        ``(T,) float64``, seconds from the first frame; of a variable frame rate the true ones. Where a
        container does not say (AVI), frames are taken to be equally spaced.
    damage : str or None
        What is damaged and how much is used; None where nothing is known to be.

    Raises
    ------
    PathMissingError
        If there is no such file.
    DataError
        If it is no video, has no video stream or not one whole frame; or when a frame is read that is
        damaged.
    """

    def __init__(self, file: str | Path) -> None:
        self.file = Path(file)
        if not self.file.is_file():
            raise PathMissingError(f"{self.file} is not a video file")
        if self.file.stat().st_size == 0:
            raise DataError(f"{self.file} is empty (0 bytes): the recording, or the copy of it, failed")
        index = index_video(self.file)
        self.times, self.fps, self.damage = index.times, index.fps, index.damage
        self._pts, self._keys, self._view = index.pts, index.keys, index.view
        self._decoder: Iterator[tuple[int, Any]] | None = None
        self._converter: Any = None
        self._next = 0
        if self.damage is not None:
            warnings.warn(f"{self.file}: {self.damage}", DamageWarning, stacklevel=2)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_decoder": None, "_converter": None, "_next": 0}  # these do not pickle

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return (len(self.times), *self._view.size, 3)

    def __len__(self) -> int:
        return len(self.times)

    def identity(self, indices: Sequence[int]) -> object:
        import av

        status = file_identity(self.file)
        return None if status is None else (status, sorted(av.library_versions.items()))

    def read(self, index: int) -> np.ndarray:
        for decoder in self._ways_to(index):
            self._decoder = decoder
            picture = self._read_on(index)
            if picture is not None:
                return picture
        raise DataError(
            f"{self.file}: frame {index} of {len(self)} cannot be decoded; the file is damaged there"
        )

    def _ways_to(self, index: int) -> list[Iterator[tuple[int, Any]]]:
        """Decoders that may come to a frame, the quickest first; those that are new have not begun."""
        starts = self._starts(index)
        ways = [self._decode_from(start) for start in starts]
        if self._decoder is not None and self._next <= index:
            near = self._begins(starts[0]) - self._next <= _MOST_WASTED
            ways.insert(0 if near else 1, self._decoder)  # 1: the key frame may turn out to be none
        return ways

    def _read_on(self, index: int) -> np.ndarray | None:
        """Decode up to a frame; None, and no decoder any more, if it does not come out whole."""
        for position, frame in self._decoder or ():
            self._next = position + 1
            if position == index:
                return self._picture(frame)
            if position > index:
                break
        self._decoder = None
        return None

    def _picture(self, frame: Any) -> np.ndarray:
        from av.video.reformatter import VideoReformatter

        self._converter = self._converter or VideoReformatter()
        return self._view.picture(frame, self._converter)

    def _begins(self, start: int | None) -> int:
        """Index of the frame that decoding from there gives first."""
        return 0 if start is None or self._pts is None else int(np.searchsorted(self._pts, start))

    def _starts(self, index: int) -> list[int | None]:
        """Key frames to decode from: the one before, the one before that, the beginning (None)."""
        if self._pts is None:
            return [None]
        # By the time of showing: what is shown before a key frame may be stored after it and need more.
        end = int(np.searchsorted(self._keys, self._pts[index], side="right"))
        return [*self._keys[max(0, end - 2) : end][::-1].tolist(), None]

    def _decode_from(self, start: int | None) -> Iterator[tuple[int, Any]]:
        """Yield (index, frame) from a key frame on, up to the first damage."""
        with opened(self.file) as (container, stream), suppress(BrokenStreamError):
            go_to(container, stream, start)
            for counted, frame in enumerate(whole_frames(container, stream)):
                if start is not None and counted == 0 and int(frame.pict_type) in _PREDICTED:
                    return  # the container calls it a key frame, but it needs frames before it
                index = counted if self._pts is None else _place(self._pts, frame.pts)
                if index is not None and index < len(self):
                    yield index, frame


def _place(shown: np.ndarray, pts: int | None) -> int | None:
    """Index of the frame that is shown at a time; None if none is, as before the start of an edit list."""
    if pts is None:
        return None
    place = int(np.searchsorted(shown, pts))
    return place if place < len(shown) and shown[place] == pts else None
