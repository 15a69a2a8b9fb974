"""Lazy frames: a sequence of ``(H, W, 3) uint8 RGB`` pictures that are read when they are indexed."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import overload

import numpy as np

from microexp.errors import DataError, OptionError, PathMissingError

IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff"})


class Frames(ABC):
    """A sequence of pictures of one size.

    ``frames[i]`` is ``(H, W, 3) uint8 RGB``; ``frames[a:b]`` and ``frames[[i, j]]`` are
    ``(n, H, W, 3)``. Subclasses say `shape` and how to `read` one picture.
    """

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int, int, int]:
        """``(T, H, W, 3)``."""

    @abstractmethod
    def read(self, index: int) -> np.ndarray:
        """Return picture `index`, ``0 <= index < T``, as ``(H, W, 3) uint8 RGB``."""

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
            position = int(index) + (len(self) if index < 0 else 0)
            if not 0 <= position < len(self):
                raise IndexError(f"frame {index} of {len(self)}")
            return self.read(position)
        wanted = range(*index.indices(len(self))) if isinstance(index, slice) else index
        pictures = [self[i] for i in wanted]
        return np.stack(pictures) if pictures else np.empty((0, *self.shape[1:]), np.uint8)

    def map(self, function: Callable[[np.ndarray], np.ndarray]) -> Frames:
        """Return frames that are `function` of these, computed when they are read."""
        return MappedFrames(self, function)


class ArrayFrames(Frames):
    """Frames held in memory.

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


class MappedFrames(Frames):
    """Frames made from other frames by a function of one picture."""

    def __init__(self, source: Frames, function: Callable[[np.ndarray], np.ndarray]) -> None:
        self._source, self._function = source, function
        self._shape: tuple[int, int, int, int] | None = None

    @property
    def shape(self) -> tuple[int, int, int, int]:
        if self._shape is None:
            height, width, channels = self.read(0).shape
            self._shape = (len(self._source), height, width, channels)
        return self._shape

    def read(self, index: int) -> np.ndarray:
        return self._function(self._source[index])


class FolderFrames(Frames):
    """The pictures of a folder, ordered by the last number in their names, whatever its padding.

    Raises
    ------
    PathMissingError
        If the folder does not exist or holds no picture.
    DataError
        When a picture that cannot be decoded, or of another size, is read.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise PathMissingError(f"{self.folder} is not a folder of frames")
        files = (p for p in self.folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
        self.files = sorted((p for p in files if not p.name.startswith(".")), key=_frame_order)
        if not self.files:
            raise PathMissingError(f"{self.folder} holds no pictures ({', '.join(sorted(IMAGE_SUFFIXES))})")
        self._shape: tuple[int, int, int, int] | None = None

    @property
    def shape(self) -> tuple[int, int, int, int]:
        if self._shape is None:
            height, width, _ = read_image(self.files[0]).shape
            self._shape = (len(self.files), height, width, 3)
        return self._shape

    def __len__(self) -> int:
        return len(self.files)

    def read(self, index: int) -> np.ndarray:
        picture = read_image(self.files[index])
        if picture.shape != self.shape[1:]:
            height, width = self.shape[1:3]
            raise DataError(
                f"{self.files[index]} is {picture.shape[1]}x{picture.shape[0]}, "
                f"but {self.files[0].name} is {width}x{height}: all frames must have one size"
            )
        return picture


class VideoFrames(Frames):
    """The frames of a video file, decoded by PyAV at constant memory.

    All frames are decoded once to index them, so that ``len``, time stamps and random access are exact for
    variable frame rates too; reading forward decodes each again. Where a container has no time stamps (AVI),
    frames are counted from the start and taken to be equally spaced.

    Attributes
    ----------
    fps : float
        Average frames per second.
    times : numpy.ndarray
        ``(T,) float64``, seconds from the first frame.
    """

    def __init__(self, file: str | Path) -> None:
        import av

        self.file = Path(file)
        if not self.file.is_file():
            raise PathMissingError(f"{self.file} is not a video file")
        try:
            with av.open(str(self.file)) as container:
                if not container.streams.video:
                    raise DataError(f"{self.file} has no video stream")
                stream = container.streams.video[0]
                pts = [frame.pts for frame in container.decode(stream)]
                height, width = stream.codec_context.height, stream.codec_context.width
                base = float(stream.time_base or 1)
                rate = float(stream.average_rate or 25)
                stamped = container.format.name != "avi"  # AVI has none: what FFmpeg gives is a guess
        except av.error.FFmpegError as error:
            raise DataError(f"{self.file} cannot be read as a video: {error}") from error
        if not pts or not height:
            raise DataError(f"{self.file} has no frames")
        self._shape = (len(pts), height, width, 3)
        known = [p for p in pts if p is not None]
        exact = stamped and len(known) == len(pts) and known == sorted(set(known))
        self._pts = known if exact else None
        seconds = np.arange(len(pts)) / rate if self._pts is None else np.array(self._pts) * base
        self.times = (seconds - seconds[0]).astype(np.float64)
        self.fps = (len(pts) - 1) / self.times[-1] if len(pts) > 1 else rate
        self._decoder: Iterator[tuple[int, np.ndarray]] | None = None
        self._next = 0

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_decoder": None, "_next": 0}  # an open decoder does not pickle

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return self._shape

    def read(self, index: int) -> np.ndarray:
        if self._decoder is None or not self._next <= index < self._next + 64:
            self._decoder = self._decode_from(index)
        for position, picture in self._decoder:
            self._next = position + 1
            if position == index:
                return picture
            if position > index:
                break
        self._decoder = None
        raise DataError(f"{self.file}: frame {index} cannot be decoded; the file is damaged there")

    def _decode_from(self, index: int) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (index, picture) from the key frame at or before `index` on."""
        import av

        position: dict[int | None, int] = {pts: i for i, pts in enumerate(self._pts or ())}
        try:
            with av.open(str(self.file)) as container:
                stream = container.streams.video[0]
                if self._pts is not None:
                    container.seek(self._pts[index], stream=stream, backward=True)
                for counted, frame in enumerate(container.decode(stream)):
                    here = counted if self._pts is None else position.get(frame.pts, -1)
                    if here >= index:
                        yield here, frame.to_ndarray(format="rgb24")
        except av.error.FFmpegError as error:
            raise DataError(f"{self.file}: damaged at or after frame {index}: {error}") from error


def read_image(file: str | Path) -> np.ndarray:
    """Read a picture file as ``(H, W, 3) uint8 RGB``.

    Grey pictures are repeated in three channels, of 16 bits the upper 8 are kept.

    Raises
    ------
    PathMissingError
        If the file does not exist.
    DataError
        If it is truncated or no picture.
    """
    from PIL import Image

    try:
        with Image.open(file) as image:
            if image.mode.startswith("I;16"):  # Pillow's own conversion cuts 16 bits off at 255
                return np.repeat(
                    (np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8)[..., None], 3, axis=2
                )
            if image.mode in ("I", "F"):
                raise DataError(f"{file} holds {image.mode} pixels of unknown range; save it as 8 or 16 bits")
            return np.asarray(image.convert("RGB"))
    except FileNotFoundError as error:
        raise PathMissingError(f"{file} does not exist") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{file} cannot be read as a picture: {error}") from error


def as_rgb8(picture: np.ndarray) -> np.ndarray:
    """Round a float picture in [0, 1] to ``uint8``."""
    if picture.dtype == np.uint8:
        return picture
    if not np.issubdtype(picture.dtype, np.floating):
        raise OptionError(f"a picture is uint8 or float in [0, 1], not {picture.dtype}")
    return np.clip(np.rint(picture * 255.0), 0, 255).astype(np.uint8)


def _frame_order(path: Path) -> tuple[int, str]:
    numbers = re.findall(r"\d+", path.stem)
    return (int(numbers[-1]) if numbers else -1, path.name)
