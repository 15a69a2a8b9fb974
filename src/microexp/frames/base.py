"""Lazy frames: a sequence of ``(H, W, 3) uint8 RGB`` pictures that are read when they are indexed."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import overload

import cv2
import numpy as np

from microexp.cache import source_hash
from microexp.errors import DataError, OptionError


class Frames(ABC):
    """A sequence of pictures of one size.

    ``frames[i]`` is ``(H, W, 3) uint8 RGB``; ``frames[a:b]`` and ``frames[[i, j]]`` are
    ``(n, H, W, 3)``. Subclasses say `shape`, how to `read` one picture and, where they can, what `identity`
    the pictures have.
    """

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int, int, int]:
        """``(T, H, W, 3)``."""

    @abstractmethod
    def read(self, index: int) -> np.ndarray:
        """Return picture `index`, ``0 <= index < T``, as ``(H, W, 3) uint8 RGB``."""

    def grey(self, index: int) -> np.ndarray:
        """Return picture `index` in grey, ``(H, W) uint8``: .299 red, .587 green, .114 blue (BT.601)."""
        return cv2.cvtColor(np.ascontiguousarray(self[index]), cv2.COLOR_RGB2GRAY)

    def identity(self, indices: Sequence[int]) -> object:
        """What the pictures at these indices depend on: text, numbers and tuples; None if it is not known.

        Two frames of equal identity must be equal, now and in any later process. It is cheap: no picture is
        decoded. Code that decodes or draws is part of it by `microexp.cache.source_hash`.
        """
        return None

    def fingerprint(self, indices: Iterable[int] | None = None) -> str | None:
        """Return 32 hex digits that change when any of the pictures does, for the key of a cache.

        Parameters
        ----------
        indices : iterable of int or None
            The pictures that matter, in the order of their use; None for all.

        Returns
        -------
        str or None
            None where the identity of the pictures is not known: what is made of them cannot be cached.

        Raises
        ------
        IndexError
            If there is no such picture.
        """
        wanted = range(len(self)) if indices is None else [self._position(i) for i in indices]
        identity = self.identity(wanted)
        if identity is None:
            return None
        parts = (type(self).__qualname__, source_hash("microexp.frames"), tuple(wanted), identity)
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self.read(i) for i in range(len(self)))

    @overload
    def __getitem__(self, index: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, index: slice | Sequence[int]) -> np.ndarray: ...
    def __getitem__(self, index: int | slice | Sequence[int]) -> np.ndarray:
        if isinstance(index, int | np.integer):
            return self.read(self._position(index))
        wanted = range(*index.indices(len(self))) if isinstance(index, slice) else index
        pictures = [self[i] for i in wanted]
        return np.stack(pictures) if pictures else np.empty((0, *self.shape[1:]), np.uint8)

    def map(
        self, function: Callable[[np.ndarray], np.ndarray], size: tuple[int, int] | None = None
    ) -> Frames:
        """Return frames that are `function` of these, computed when they are read.

        `size` is the height and width of what it gives; if None, a frame is computed to find out.
        """
        return MappedFrames(self, function, size)

    def _position(self, index: int) -> int:
        position = int(index) + (len(self) if index < 0 else 0)
        if not 0 <= position < len(self):
            raise IndexError(f"frame {index} of {len(self)}")
        return position


class ArrayFrames(Frames):
    """Frames held in memory. Their identity is a hash of their bytes.

    Raises
    ------
    DataError
        If the array is not ``(T >= 1, H, W, 3) uint8``.
    """

    def __init__(self, array: np.ndarray) -> None:
        array = np.asarray(array)
        if array.ndim != 4 or array.shape[3] != 3 or array.dtype != np.uint8 or 0 in array.shape:
            raise DataError(
                f"frames must be (T, H, W, 3) uint8 RGB with T >= 1, got {array.shape} {array.dtype}"
            )
        self._array = array

    @property
    def shape(self) -> tuple[int, int, int, int]:
        t, h, w, c = self._array.shape
        return t, h, w, c

    def read(self, index: int) -> np.ndarray:
        return self._array[index]

    def identity(self, indices: Sequence[int]) -> object:
        digest = hashlib.sha256()
        for index in indices:
            digest.update(np.ascontiguousarray(self._array[index]).data)
        return self.shape[1:], digest.hexdigest()


class MappedFrames(Frames):
    """Frames made from other frames by a function of one picture.

    They have an identity if the source has one and the function says its own in an attribute ``fingerprint``
    (text that names it with all its parameters and the version of its code). Of any other function nothing
    sure can be told: a lambda, a closure or a global that it reads may change from one run to the next.
    """

    def __init__(
        self,
        source: Frames,
        function: Callable[[np.ndarray], np.ndarray],
        size: tuple[int, int] | None = None,
    ) -> None:
        self._source, self._function, self._size = source, function, size

    @property
    def shape(self) -> tuple[int, int, int, int]:
        if self._size is None:
            self._size = self.read(0).shape[:2]
        return len(self._source), *self._size, 3

    def __len__(self) -> int:
        return len(self._source)

    def read(self, index: int) -> np.ndarray:
        return self._function(self._source[index])

    def identity(self, indices: Sequence[int]) -> object:
        function = getattr(self._function, "fingerprint", None)
        source = self._source.fingerprint(indices) if isinstance(function, str) else None
        return None if source is None else (source, function)


def check_rgb8(frames: np.ndarray, what: str) -> None:
    """Raise `DataError` unless an array is a picture ``(H, W, 3)`` or frames ``(T, H, W, 3)``, uint8."""
    fits = frames.ndim in (3, 4) and frames.shape[-1] == 3 and 0 not in frames.shape
    if not fits or frames.dtype != np.uint8:
        raise DataError(
            f"{what} takes a picture (H, W, 3) or frames (T, H, W, 3), uint8 RGB, got {frames.shape} "
            f"{frames.dtype}"
        )


def as_rgb8(picture: np.ndarray) -> np.ndarray:
    """Round a float picture in [0, 1] to ``uint8``."""
    if picture.dtype == np.uint8:
        return picture
    if not np.issubdtype(picture.dtype, np.floating):
        raise OptionError(f"a picture is uint8 or float in [0, 1], not {picture.dtype}")
    return np.clip(np.rint(picture * 255.0), 0, 255).astype(np.uint8)


def file_identity(file: Path) -> tuple[str, int, int, int] | None:
    """Path, size and time stamps of a file: cheap, and different after any change of its content.

    The path is among them because pictures of two clips may agree in name, size and the time stamp that an
    archive restored; the time of the inode's change (ctime) because no program can set it back. A tree that
    was moved or copied therefore counts as another. None if the file cannot be looked at.
    """
    try:
        status = file.stat()
        return str(file.resolve()), status.st_size, status.st_mtime_ns, status.st_ctime_ns
    except (OSError, RuntimeError):  # RuntimeError: a loop of symbolic links
        return None
