"""A folder of numbered pictures."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from microexp.errors import DataError, PathMissingError
from microexp.frames.base import Frames, file_identity

IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff"})
_NUMBER = re.compile(r"\d+")


class FolderFrames(Frames):
    """The pictures of a folder, ordered by the last number in their names, whatever its padding.

    Opening lists the folder and looks into no picture. Hidden files (``.DS_Store``, the ``._img1.jpg`` that a
    Mac leaves), sub-folders and files that are no pictures are passed over. A link that leads nowhere counts
    as a picture, so that reading it says so and no frame goes missing unseen.

    Attributes
    ----------
    files : list of Path
        The pictures in order.
    numbers : list of int
        The last integer in each name, strictly ascending; empty where there is one picture without a number.

    Raises
    ------
    PathMissingError
        If the folder does not exist or holds no picture.
    DataError
        If it may not be read, two pictures have one number, or some have none; and when a picture that cannot
        be decoded, or of another size, is read.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise PathMissingError(f"{self.folder} is not a folder of frames")
        names = _picture_names(self.folder)
        if not names:
            raise PathMissingError(f"{self.folder} holds no pictures ({', '.join(sorted(IMAGE_SUFFIXES))})")
        self.files, self.numbers = _in_order(self.folder, names)
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

    def identity(self, indices: Sequence[int]) -> object:
        files = [file_identity(self.files[i]) for i in indices]
        return None if None in files else tuple(files)


def read_image(file: str | Path) -> np.ndarray:
    """Read a picture file as ``(H, W, 3) uint8 RGB``.

    Grey pictures are repeated in three channels, of 16 bits the upper 8 are kept. Pictures are
    upright, as their EXIF orientation says.

    Raises
    ------
    PathMissingError
        If the file does not exist.
    DataError
        If it is truncated or no picture.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(file) as image:
            ImageOps.exif_transpose(image, in_place=True)
            if image.mode.startswith("I;16"):  # Pillow's own conversion cuts 16 bits off at 255
                return np.repeat(
                    (np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8)[..., None], 3, axis=2
                )
            if image.mode in ("I", "F"):
                raise DataError(f"{file} holds {image.mode} pixels of unknown range; save it as 8 or 16 bits")
            return np.asarray(image.convert("RGB"))
    except FileNotFoundError as error:
        raise PathMissingError(f"{file} does not exist") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{file} cannot be read as a picture: {error}") from error


def _picture_names(folder: Path) -> list[str]:
    """Names of the pictures, in no order; of no file more than the name is looked at."""
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if _is_picture(entry)]
    except PermissionError as error:
        raise DataError(f"{folder} may not be read: ask its owner for permission, or copy it") from error


def _is_picture(entry: os.DirEntry[str]) -> bool:
    stem, dot, suffix = entry.name.rpartition(".")
    hidden = not stem or stem.startswith(".")
    return not hidden and dot + suffix.lower() in IMAGE_SUFFIXES and not _is_folder(entry)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a loop of links; reading it will say so
        return False


def _in_order(folder: Path, names: list[str]) -> tuple[list[Path], list[int]]:
    numbered: dict[int, str] = {}
    unnumbered = []
    for name in names:
        found = _NUMBER.findall(name.rpartition(".")[0])
        if not found:
            unnumbered.append(name)
            continue
        number = int(found[-1])
        if number in numbered:
            first, second = sorted((numbered[number], name))
            raise DataError(f"{folder} holds frame {number} twice, as {first} and {second}: remove one")
        numbered[number] = name
    if unnumbered and len(names) > 1:
        raise DataError(
            f"{folder / min(unnumbered)} has no number in its name, so its place among the {len(names)} "
            "pictures is not known: number it, or move it elsewhere"
        )
    order = sorted(numbered)
    return [folder / numbered[number] for number in order] or [folder / unnumbered[0]], order
