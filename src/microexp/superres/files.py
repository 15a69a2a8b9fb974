"""Pictures, folders and videos on disk, enlarged. What was done when it was stopped is done."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from microexp import __version__
from microexp.errors import OptionError, PathMissingError
from microexp.frames import IMAGE_SUFFIXES, FolderFrames, Frames, VideoFrames, read_image
from microexp.frames.write import PICTURE_SUFFIXES, VIDEO_SUFFIXES, write_picture, write_video
from microexp.superres.base import UpscaledFrames, Upscaler

Progress = Callable[[str, int, int], None]
_RECORD = "upscaled.json"  # in a folder; beside a file "<name>.json"
_SHOWN = 480  # pixels each side of the before/after picture is shown in, at most


def upscale_path(
    source: str | Path, target: str | Path, upscaler: Upscaler, progress: Progress
) -> list[Path]:
    """Enlarge a picture, a folder of pictures (with its sub-folders) or a video.

    Beside the result stands a record of what made it (method, settings, weights and their checksum), and a
    picture of before and after. Of a folder the pictures that are there already are passed over, of a video
    the frames, if the record is of the same making.

    Parameters
    ----------
    source : path
        A picture, a folder or a video.
    target : path
        A picture, a folder (pictures are written as PNG), a video of `write_video`, for a video also a
        folder.
    upscaler : Upscaler
        What enlarges. A video method takes a folder's pictures for consecutive frames, in order of their
        number.
    progress : callable
        Called with what is going on, how many frames are done, and of how many.

    Returns
    -------
    list of Path
        The result, the record, and the picture of before and after.

    Raises
    ------
    PathMissingError
        If there is nothing at `source`.
    OptionError
        If `target` is no fit for it, or holds what was made otherwise.
    """
    source, target = Path(source), Path(target)
    upscaler.check_parameters()
    if not source.exists():
        raise PathMissingError(f"{source} does not exist: name a picture, a folder of pictures or a video")
    if target.resolve() == source.resolve():
        raise OptionError(f"{target} is what is to be enlarged; name another file or folder for the result")
    if source.is_dir():
        return _folder(source, target, upscaler, progress)
    if source.suffix.lower() in IMAGE_SUFFIXES:
        return _picture(source, target, upscaler, progress)
    return _video(source, target, upscaler, progress)


def making(upscaler: Upscaler, source: Path) -> dict[str, Any]:
    """Return the record of what makes a result: method, settings, weights, source, version."""
    return {
        "microexp": __version__,
        "method": type(upscaler).__name__,
        "settings": {k: v if _is_plain(v) else str(v) for k, v in upscaler.get_params().items()},
        "weights": upscaler.weights_used(),
        "source": source.name,
    }


def before_and_after(small: np.ndarray, large: np.ndarray) -> np.ndarray:
    """Return one picture: the small one repeated pixel by pixel, its bicubic enlargement, the restored one.

    Of large pictures the middle is shown.
    """
    scale = large.shape[0] // small.shape[0]
    side = max(_SHOWN // scale, 1)
    top, left = max((small.shape[0] - side) // 2, 0), max((small.shape[1] - side) // 2, 0)
    small = small[top : top + side, left : left + side]
    large = large[top * scale : (top + side) * scale, left * scale : (left + side) * scale]
    size = large.shape[1::-1]
    views = {
        "small": cv2.resize(small, size, interpolation=cv2.INTER_NEAREST),
        "bicubic": cv2.resize(small, size, interpolation=cv2.INTER_CUBIC),
        "restored": large,
    }
    return np.hstack([_titled(view, title) for title, view in views.items()])


def _picture(source: Path, target: Path, upscaler: Upscaler, progress: Progress) -> list[Path]:
    if target.suffix.lower() not in PICTURE_SUFFIXES:
        raise OptionError(f"{target}: a picture is written as one of {', '.join(PICTURE_SUFFIXES)}")
    progress(source.name, 0, 1)
    small = read_image(source)
    large = upscaler.upscale(small)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_picture(target, large)
    record = target.with_name(target.name + ".json")
    _write_record(record, making(upscaler, source))
    progress(source.name, 1, 1)
    return [target, record, _write_comparison(target, small, large)]


def _folder(source: Path, target: Path, upscaler: Upscaler, progress: Progress) -> list[Path]:
    if target.suffix.lower() in (*PICTURE_SUFFIXES, *VIDEO_SUFFIXES) or target.is_file():
        raise OptionError(f"{target}: a folder of pictures is enlarged into a folder")
    if target.resolve().is_relative_to(source.resolve()):
        raise OptionError(f"{target} lies within {source}: name a folder outside it")
    record = _begin(target, making(upscaler, source))
    folders = [folder for folder in (source, *sorted(source.rglob("*"))) if folder.is_dir()]
    jobs = [job for folder in folders for job in _jobs(folder, target / folder.relative_to(source), upscaler)]
    if not jobs:
        raise PathMissingError(f"{source} holds no pictures ({', '.join(sorted(IMAGE_SUFFIXES))})")
    _no_two_alike([result for _, _, result in jobs])
    small = large = None
    for done, (frames, index, result) in enumerate(jobs):
        progress(source.name, done, len(jobs))
        if not result.is_file():
            result.parent.mkdir(parents=True, exist_ok=True)
            write_picture(result, frames[index])
    progress(source.name, len(jobs), len(jobs))
    middle = jobs[len(jobs) // 2]
    small, large = middle[0].source[middle[1]], read_image(middle[2])
    return [target, record, _write_comparison(target, small, large)]


def _jobs(folder: Path, target: Path, upscaler: Upscaler) -> Iterator[tuple[UpscaledFrames, int, Path]]:
    """Yield enlarged frames, which of them, and where it goes, for the pictures of one folder."""
    files = sorted(f for f in folder.iterdir() if f.suffix.lower() in IMAGE_SUFFIXES and f.name[0] != ".")
    if upscaler.window > 1 and files:
        clip = FolderFrames(folder)
        enlarged = UpscaledFrames(clip, upscaler, cache=False)
        yield from ((enlarged, i, target / f"{f.stem}.png") for i, f in enumerate(clip.files))
        return
    for file in files:  # they may differ in size, and need no numbers
        yield UpscaledFrames(_OnePicture(file), upscaler, cache=False), 0, target / f"{file.stem}.png"


class _OnePicture(Frames):
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


def _video(source: Path, target: Path, upscaler: Upscaler, progress: Progress) -> list[Path]:
    into_file = target.suffix.lower() in VIDEO_SUFFIXES
    if not into_file and (target.suffix or target.is_file()):
        raise OptionError(
            f"{target}: a video is enlarged into one of {', '.join(VIDEO_SUFFIXES)}, or into a folder"
        )
    video = VideoFrames(source)
    frames = UpscaledFrames(video, upscaler, cache=False)
    folder = target.with_name(f"{target.name}.parts") if into_file else target
    record = _begin(folder, making(upscaler, source))
    digits = max(len(str(len(frames))), 6)
    pictures = [folder / f"{i + 1:0{digits}d}.png" for i in range(len(frames))]
    for i, picture in enumerate(pictures):
        progress(source.name, i, len(frames))
        if not picture.is_file():
            write_picture(picture, frames[i])
    progress(source.name, len(frames), len(frames))
    middle = len(frames) // 2
    comparison = _write_comparison(target, video[middle], read_image(pictures[middle]))
    if not into_file:
        return [target, record, comparison]
    write_video(target, (read_image(picture) for picture in pictures), video.fps)
    kept = target.with_name(target.name + ".json")
    shutil.move(record, kept)
    shutil.rmtree(folder)
    return [target, kept, comparison]


def _begin(folder: Path, made: Mapping[str, Any]) -> Path:
    """Make the folder with its record; refuse one that holds what was made otherwise."""
    record = folder / _RECORD
    if record.is_file():
        before = json.loads(record.read_text(encoding="utf-8"))
        differing = sorted(key for key in {*before, *made} if before.get(key) != made.get(key))
        if differing:
            raise OptionError(
                f"{folder} holds what was made with other {', '.join(differing)} ({_RECORD} says so): "
                "name another folder, or delete this one"
            )
        return record
    if folder.is_dir() and any(folder.iterdir()):
        raise OptionError(f"{folder} is not empty, and was not made by microexp: name another folder")
    folder.mkdir(parents=True, exist_ok=True)
    _write_record(record, made)
    return record


def _write_record(file: Path, made: Mapping[str, Any]) -> None:
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    temporary.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
    temporary.replace(file)


def _write_comparison(target: Path, small: np.ndarray, large: np.ndarray) -> Path:
    file = target.with_name(f"{target.stem}_before_after.png")
    write_picture(file, before_and_after(small, large))
    return file


def _no_two_alike(results: list[Path]) -> None:
    seen: set[Path] = set()
    for result in results:
        if result in seen:
            raise OptionError(f"two pictures would be written as {result}: they differ in their suffix alone")
        seen.add(result)


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, str | int | float | bool | list | tuple)


def _titled(picture: np.ndarray, title: str) -> np.ndarray:
    bar = np.full((24, picture.shape[1], 3), 255, np.uint8)
    cv2.putText(bar, title, (4, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    return np.vstack([bar, picture])
