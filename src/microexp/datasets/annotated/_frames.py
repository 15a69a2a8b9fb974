"""Numbered pictures on disk, and videos: which frame numbers there are, and frames that are read later."""

from __future__ import annotations

import os
import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from microexp.errors import DataError, PathMissingError
from microexp.frames import IMAGE_SUFFIXES, Frames, VideoFrames, read_image
from microexp.frames.base import file_identity

VIDEO_SUFFIXES = frozenset({".avi", ".mkv", ".mov", ".mp4"})
_LAST_NUMBER = re.compile(r"(\d+)\D*$")


class PictureFrames(Frames):
    """Pictures of one folder, named beforehand: nothing is opened before it is read.

    Parameters
    ----------
    folder : path
        Where they are.
    names : sequence of str
        File names in the order of time, at least one.

    Raises
    ------
    DataError
        When a picture that cannot be decoded, or of another size, is read.
    """

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self.folder = folder
        self.names = tuple(names)
        self._size: tuple[int, int] | None = None

    @property
    def shape(self) -> tuple[int, int, int, int]:
        if self._size is None:
            height, width, _ = read_image(self.file(0)).shape
            self._size = height, width
        return len(self.names), *self._size, 3

    def __len__(self) -> int:
        return len(self.names)

    def file(self, index: int) -> Path:
        """Path of one picture."""
        return self.folder / self.names[index]

    def identity(self, indices: Sequence[int]) -> object:
        files = [file_identity(self.file(i)) for i in indices]
        return None if None in files else tuple(files)

    def read(self, index: int) -> np.ndarray:
        picture = read_image(self.file(index))
        if picture.shape != self.shape[1:]:
            height, width = self.shape[1:3]
            raise DataError(
                f"{self.file(index)} is {picture.shape[1]}x{picture.shape[0]}, "
                f"but {self.names[0]} is {width}x{height}: all frames of a clip must have one size"
            )
        return picture


@dataclass(frozen=True)
class Recording:
    """The frames that there are of one recording, in the order of their numbers.

    Attributes
    ----------
    place : Path
        Folder of pictures, or video file.
    numbers : tuple of int
        Frame numbers, ascending, without repetition.
    names, sizes : tuple of str, tuple of int
        File name and bytes of each picture; empty for a video.
    extra, empty : tuple of str
        Pictures whose number another one has, and pictures of 0 bytes: not used.
    video : VideoFrames or None
        The frames of a video.
    """

    place: Path
    numbers: tuple[int, ...]
    names: tuple[str, ...] = ()
    sizes: tuple[int, ...] = ()
    extra: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()
    video: VideoFrames | None = None

    @cached_property
    def counted_from_start(self) -> bool:
        """Whether the numbers are 0, 1, 2, ... or 1, 2, 3, ... without a gap."""
        first = self.numbers[0]
        return first in (0, 1) and self.numbers[-1] - first + 1 == len(self.numbers)

    def index(self, number: int) -> int | None:
        """Index of a frame number, or None if there is no such frame."""
        at = bisect_left(self.numbers, number)
        return at if at < len(self.numbers) and self.numbers[at] == number else None

    def missing(self, first: int, last: int) -> list[int]:
        """Frame numbers from `first` to `last` that are not there."""
        here = set(self.numbers[bisect_left(self.numbers, first) : bisect_left(self.numbers, last + 1)])
        return [number for number in range(first, last + 1) if number not in here]

    def frames(self, start: int, stop: int) -> Frames:
        """Frames of index `start` up to `stop`; a video always comes whole."""
        if self.video is not None:
            return self.video
        return PictureFrames(self.place, self.names[start:stop])

    def print_of(self, start: int, stop: int) -> str:
        """A line that changes when a picture is exchanged; no picture is opened for it."""
        if self.video is not None:
            return f"{self.place.name} {self.place.stat().st_size}"
        return " ".join(map(str, zip(self.names[start:stop], self.sizes[start:stop], strict=True)))


def find_recording(place: Path, first_number: int = 0) -> Recording:
    """List the frames of a folder of pictures, of a video file, or of a picture that stands alone.

    The number of a picture is the last one in its name, whatever its padding.

    Parameters
    ----------
    place : path
        Folder, video or picture.
    first_number : int
        Number of a video's first frame.

    Raises
    ------
    PathMissingError
        If it does not exist or holds no picture.
    DataError
        If it cannot be read.
    """
    if place.suffix.lower() in VIDEO_SUFFIXES:
        video = VideoFrames(place)
        return Recording(place, tuple(range(first_number, first_number + len(video))), video=video)
    alone = place.suffix.lower() in IMAGE_SUFFIXES
    folder = place.parent if alone else place
    found: dict[int, tuple[str, int]] = {}
    extra, empty = [], []
    for name, size in [(place.name, _size(place))] if alone else sorted(_pictures(place)):
        number = _LAST_NUMBER.search(name.rpartition(".")[0])
        if size == 0:
            empty.append(name)
        elif number is None or int(number[1]) in found:
            extra.append(name)
        else:
            found[int(number[1])] = name, size
    if not found:
        raise PathMissingError(f"{place} holds no numbered picture ({', '.join(sorted(IMAGE_SUFFIXES))})")
    numbers = tuple(sorted(found))
    names, sizes = zip(*(found[number] for number in numbers), strict=True)
    return Recording(folder, numbers, names, sizes, tuple(extra), tuple(empty))


def _size(picture: Path) -> int:
    try:
        return picture.stat().st_size
    except (FileNotFoundError, NotADirectoryError) as error:
        raise PathMissingError(f"{picture} does not exist") from error
    except OSError as error:
        raise DataError(f"{picture} cannot be read: {error.strerror}") from error


def _pictures(folder: Path) -> list[tuple[str, int]]:
    """Name and size of the pictures of a folder, hidden files left out."""
    try:
        with os.scandir(folder) as entries:
            return [
                (entry.name, entry.stat().st_size)
                for entry in entries
                if f".{entry.name.rpartition('.')[2].lower()}" in IMAGE_SUFFIXES and entry.name[0] != "."
            ]
    except (FileNotFoundError, NotADirectoryError) as error:
        raise PathMissingError(f"{folder} does not exist") from error
    except OSError as error:  # no permission, a loop of links
        raise DataError(f"{folder} cannot be read: {error.strerror}") from error
