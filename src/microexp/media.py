"""Pictures, folders and videos on disk, made into others. What was done when it was stopped is done.

A family that makes pictures of pictures says how in a `Process`; paths, records and going on are said here.
"""

from __future__ import annotations

import json
import os
import shutil
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, overload

import cv2
import numpy as np

from microexp import __version__
from microexp.errors import DataError, MicroexpWarning, OptionError, PathMissingError
from microexp.frames import IMAGE_SUFFIXES, FolderFrames, Frames, VideoFrames, read_image
from microexp.frames.base import file_identity
from microexp.frames.write import PICTURE_SUFFIXES, VIDEO_SUFFIXES, write_picture, write_video

Progress = Callable[[str, int, int], None]
_TURNED_OUT = {"found", "left_out"}  # keys of the record; the others say how it was made


class LeftOutError(DataError):
    """Nothing can be made of a picture; in a folder it is passed over and counted."""


class PictureFrames(Frames):
    """A picture file as frames of one."""

    def __init__(self, file: Path) -> None:
        self._file = file

    @property
    def shape(self) -> tuple[int, int, int, int]:
        height, width, channels = self.read(0).shape
        return 1, height, width, channels

    def __len__(self) -> int:
        return 1

    def read(self, index: int) -> np.ndarray:
        return read_image(self._file)

    def identity(self, indices: Sequence[int]) -> object:
        return file_identity(self._file)


@dataclass(frozen=True, eq=False)
class Shot:
    """Frames that belong together, and the picture file that each becomes.

    Attributes
    ----------
    frames : Frames
        What is there.
    results : tuple of Path
        One a frame.
    name : str
        For messages and the record.
    fps : float or None
        Frames a second, of a video.
    alone : bool
        Whether it is a picture by itself, and not frames in order.
    """

    frames: Frames
    results: tuple[Path, ...]
    name: str
    fps: float | None = None
    alone: bool = False


class Work(ABC):
    """The making of one shot.

    Attributes
    ----------
    found : mapping
        What the record should say of this shot; plain values.
    """

    found: Mapping[str, Any] = {}

    @abstractmethod
    def make(self, wanted: Sequence[int]) -> Iterator[np.ndarray]:
        """Yield the results ``(H, W, 3) uint8 RGB`` of frames, in rising order, holding few at a time."""

    @abstractmethod
    def comparison(self, results: Sequence[np.ndarray]) -> np.ndarray:
        """Return a picture that shows what was made of the shot, from its finished results."""


class Process(ABC):
    """How a family makes pictures of pictures.

    Attributes
    ----------
    word : str
        Its participle, for messages: "enlarged".
    record : str
        Name of the record in a folder of results.
    shown : str
        What the name of the comparison ends with.
    """

    word: ClassVar[str]
    record: ClassVar[str]
    shown: ClassVar[str]

    @property
    @abstractmethod
    def in_order(self) -> bool:
        """Whether the pictures of a folder are consecutive frames, in order of their number."""

    @abstractmethod
    def description(self) -> dict[str, Any]:
        """Return all that the results depend on but the source; plain values."""

    @abstractmethod
    def begin(self, shot: Shot) -> Work:
        """Return the work on a shot; raise `LeftOutError` if nothing can be made of it."""


class Method(Protocol):
    """What a record tells of a method."""

    def get_params(self, deep: bool = ...) -> dict[str, Any]: ...
    def weights_used(self) -> dict[str, str] | None: ...


def describe(method: Method) -> dict[str, Any]:
    """Return what the record says of a method: its name, settings, and weights with their checksum."""
    return {
        "method": type(method).__name__,
        "settings": {k: v if _is_plain(v) else str(v) for k, v in method.get_params().items()},
        "weights": method.weights_used(),
    }


def process_path(source: str | Path, target: str | Path, process: Process, progress: Progress) -> list[Path]:
    """Make what a process makes of a picture, a folder of pictures (with its sub-folders) or a video.

    Beside the result stands a record of what made it, and a picture that compares before and after. Of a
    folder the pictures that are there already are passed over, of a video the frames, if the record is of the
    same making.

    Parameters
    ----------
    source : path
        A picture, a folder or a video.
    target : path
        A picture, a folder (pictures are written as PNG), a video of `write_video`, for a video also a
        folder.
    process : Process
        What makes it.
    progress : callable
        Called with what is going on, how many frames are done, and of how many.

    Returns
    -------
    list of Path
        The result, the record, and the comparison.

    Warns
    -----
    MicroexpWarning
        For each picture of a folder that is left out, and at the end with their number.

    Raises
    ------
    PathMissingError
        If there is nothing at `source`.
    OptionError
        If `target` is no fit for it, or holds what was made otherwise.
    LeftOutError
        If nothing can be made of the picture or video, or of any picture of the folder.
    """
    source, target = Path(source), Path(target)
    if not source.exists():
        raise PathMissingError(f"{source} does not exist: name a picture, a folder of pictures or a video")
    if target.resolve() == source.resolve():
        raise OptionError(f"{target} is what is to be {process.word}; name another file or folder")
    if source.is_dir():
        return _folder(source, target, process, progress)
    if source.suffix.lower() in IMAGE_SUFFIXES:
        return _picture(source, target, process, progress)
    return _video(source, target, process, progress)


def titled(picture: np.ndarray, title: str) -> np.ndarray:
    """Return a picture ``(H, W, 3) uint8 RGB`` under a white bar of 24 pixels with a title."""
    bar = np.full((24, picture.shape[1], 3), 255, np.uint8)
    font = cv2.FONT_HERSHEY_SIMPLEX
    (width, _), _ = cv2.getTextSize(title, font, 0.5, 1)
    scale = np.clip(0.5 * (picture.shape[1] - 8) / width, 0.3, 0.5)
    cv2.putText(bar, title, (4, 17), font, float(scale), (0, 0, 0), 1, cv2.LINE_AA)
    return np.vstack([bar, picture])


def _picture(source: Path, target: Path, process: Process, progress: Progress) -> list[Path]:
    if target.suffix.lower() not in PICTURE_SUFFIXES:
        raise OptionError(f"{target}: a picture is written as one of {', '.join(PICTURE_SUFFIXES)}")
    progress(source.name, 0, 1)
    work = process.begin(Shot(PictureFrames(source), (target,), source.name, alone=True))
    (picture,) = work.make([0])
    target.parent.mkdir(parents=True, exist_ok=True)
    write_picture(target, picture)
    record = _beside(target)
    _write_record(record, _making(process, source), found=work.found)
    progress(source.name, 1, 1)
    return [target, record, _write_comparison(target, process, work, [picture])]


def _folder(source: Path, target: Path, process: Process, progress: Progress) -> list[Path]:
    if target.suffix.lower() in (*PICTURE_SUFFIXES, *VIDEO_SUFFIXES) or target.is_file():
        raise OptionError(f"{target}: a folder of pictures is {process.word} into a folder")
    if target.resolve().is_relative_to(source.resolve()):
        raise OptionError(f"{target} lies within {source}: name a folder outside it")
    made = _making(process, source)
    _refuse_other(target, process, made)
    folders = [folder for folder in (source, *sorted(source.rglob("*"))) if folder.is_dir()]
    shots = [shot for folder in folders for shot in _shots(folder, source, target, process.in_order)]
    if not shots:
        raise PathMissingError(f"{source} holds no pictures ({', '.join(sorted(IMAGE_SUFFIXES))})")
    _no_two_alike([result for shot in shots for result in shot.results])
    record = target / process.record
    done, total = 0, sum(len(shot.results) for shot in shots)
    progress(source.name, done, total)
    shown: tuple[Work, Shot] | None = None  # the one in the middle, or after it the first that there is
    found: dict[str, Any] = {}
    left_out: dict[str, str] = {}
    for place, shot in enumerate(shots):
        work = _begun(process, shot, left_out)
        for _ in shot.results if work is None else _written(shot, work, record, made):
            done += 1
            progress(source.name, done, total)
        if work is None:
            continue
        found |= {shot.name: dict(work.found)} if work.found else {}
        if shown is None or place <= len(shots) // 2:
            shown = work, shot
    if shown is None:
        first = next(iter(left_out.values()))
        raise LeftOutError(f"{source}: nothing in it could be {process.word}; the first: {first}")
    if left_out:
        what = "folders" if process.in_order else "pictures"
        _tell(f"{len(left_out)} of {len(shots)} {what} were left out; {record} lists them")
    _write_record(record, made, found=found, left_out=left_out)
    return [target, record, _write_comparison(target, process, shown[0], _Written(shown[1].results))]


def _video(source: Path, target: Path, process: Process, progress: Progress) -> list[Path]:
    into_file = target.suffix.lower() in VIDEO_SUFFIXES
    if not into_file and (target.suffix or target.is_file()):
        raise OptionError(
            f"{target}: a video is {process.word} into one of {', '.join(VIDEO_SUFFIXES)}, or into a folder"
        )
    video = VideoFrames(source)
    folder = target.with_name(f"{target.name}.parts") if into_file else target
    made = _making(process, source)
    _refuse_other(folder, process, made)
    digits = max(len(str(len(video))), 6)
    pictures = tuple(folder / f"{i + 1:0{digits}d}.png" for i in range(len(video)))
    shot = Shot(video, pictures, source.name, fps=video.fps)
    progress(source.name, 0, len(video))
    work = process.begin(shot)
    record = folder / process.record
    for i, _ in enumerate(_written(shot, work, record, made)):
        progress(source.name, i + 1, len(video))
    _write_record(record, made, found=work.found)
    comparison = _write_comparison(target, process, work, _Written(pictures))
    if not into_file:
        return [target, record, comparison]
    write_video(target, (read_image(picture) for picture in pictures), video.fps)
    shutil.move(record, _beside(target))
    shutil.rmtree(folder)
    return [target, _beside(target), comparison]


def _shots(folder: Path, source: Path, target: Path, in_order: bool) -> Iterator[Shot]:
    """Yield what is to be made of one folder: all its pictures as one clip, or each by itself."""
    files = sorted(f for f in folder.iterdir() if f.suffix.lower() in IMAGE_SUFFIXES and f.name[0] != ".")
    place = folder.relative_to(source)
    if in_order and files:
        clip = FolderFrames(folder)
        results = tuple(target / place / f"{file.stem}.png" for file in clip.files)
        yield Shot(clip, results, place.as_posix() if place.parts else source.name)
        return
    for file in files:  # they may differ in size, and need no numbers
        result = target / place / f"{file.stem}.png"
        yield Shot(PictureFrames(file), (result,), (place / file.name).as_posix(), alone=True)


def _begun(process: Process, shot: Shot, left_out: dict[str, str]) -> Work | None:
    """Return the work on a shot; None if nothing can be made of it, which is said and noted."""
    try:
        return process.begin(shot)
    except LeftOutError as error:
        _tell(f"left out: {error}")
        left_out[shot.name] = str(error)
        return None


def _written(shot: Shot, work: Work, record: Path, made: Mapping[str, Any]) -> Iterator[None]:
    """Write the record and the results that are not there yet; yield once for each result, old and new."""
    missing = [i for i, result in enumerate(shot.results) if not result.is_file()]
    yield from (None for _ in range(len(shot.results) - len(missing)))
    for i, picture in zip(missing, work.make(missing), strict=True):
        if not record.is_file():  # not before there is a result: what fails at once leaves nothing behind
            _write_record(record, made)
        shot.results[i].parent.mkdir(parents=True, exist_ok=True)
        write_picture(shot.results[i], picture)
        yield


def _making(process: Process, source: Path) -> dict[str, Any]:
    made = {"microexp": __version__, **process.description(), "source": source.name}
    plain: dict[str, Any] = json.loads(json.dumps(made))  # as it is when it is read again
    return plain


def _refuse_other(folder: Path, process: Process, made: Mapping[str, Any]) -> None:
    """Raise `OptionError` if a folder holds anything but results of the same making."""
    record = folder / process.record
    if record.is_file():
        before = json.loads(record.read_text(encoding="utf-8"))
        keys = {*before, *made} - _TURNED_OUT
        differing = sorted(key for key in keys if before.get(key) != made.get(key))
        if differing:
            raise OptionError(
                f"{folder} holds what was made with other {', '.join(differing)} ({record.name} says so): "
                "name another folder, or delete this one"
            )
    elif folder.is_dir() and any(folder.iterdir()):
        raise OptionError(f"{folder} is not empty, and was not made by microexp: name another folder")


def _write_record(file: Path, made: Mapping[str, Any], **turned_out: Mapping[str, Any]) -> None:
    """Write how results are made, and whatever there is to say of what turned out."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    content = {**made, **{key: dict(value) for key, value in turned_out.items() if value}}
    temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    temporary.replace(file)


def _write_comparison(target: Path, process: Process, work: Work, results: Sequence[np.ndarray]) -> Path:
    file = target.with_name(f"{target.stem}_{process.shown}.png")
    write_picture(file, work.comparison(results))
    return file


class _Written(Sequence[np.ndarray]):
    """Results that stand in files, read when indexed."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = files

    def __len__(self) -> int:
        return len(self._files)

    @overload
    def __getitem__(self, index: int) -> np.ndarray: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[np.ndarray]: ...

    def __getitem__(self, index: int | slice) -> np.ndarray | Sequence[np.ndarray]:
        return _Written(self._files[index]) if isinstance(index, slice) else read_image(self._files[index])


def _beside(target: Path) -> Path:
    return target.with_name(target.name + ".json")


def _no_two_alike(results: list[Path]) -> None:
    seen: set[Path] = set()
    for result in results:
        if result in seen:
            raise OptionError(f"two pictures would be written as {result}: they differ in their suffix alone")
        seen.add(result)


def _tell(message: str) -> None:
    warnings.warn(message, MicroexpWarning, stacklevel=4)


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, str | int | float | bool | list | tuple)
