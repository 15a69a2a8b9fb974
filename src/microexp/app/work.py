"""What the page can do: a file and some choices to files that it shows. Nothing here knows of the web."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from microexp import magnify, superres
from microexp.analyze import analyze, to_csv, to_json
from microexp.analyze.page import write_page
from microexp.clip import Clip
from microexp.errors import DataError, OptionError
from microexp.evaluate.store import write_atomically
from microexp.faces.aligner import FaceAligner, NoFaceError
from microexp.faces.alignment import Alignment
from microexp.frames import IMAGE_SUFFIXES, ArrayFrames, VideoFrames, read_image
from microexp.frames.write import write_picture, write_video
from microexp.magnify.base import Magnifier
from microexp.magnify.files import FACE_SIZE
from microexp.media import Progress, titled
from microexp.superres.base import Upscaler
from microexp.weights import catalogue

MOST_PIXELS = 2_000_000_000  # of all frames of a result together
MOST_IN_A_PICTURE = 40_000_000  # pixels
_PANEL = 640  # pixels each side of a panel of the side-by-side video is shown in, at most


@dataclass(frozen=True)
class Limits:
    """How much the page takes.

    Attributes
    ----------
    megabytes : float
        Size of a file, in units of 10^6 bytes.
    seconds : float
        Length of a video.
    """

    megabytes: float = 500.0
    seconds: float = 300.0

    @property
    def in_words(self) -> str:
        """Both, for the page."""
        return f"{self.megabytes:g} MB and {_duration(self.seconds)}"


@dataclass(frozen=True)
class Report:
    """What an analysis is shown as: files in one folder."""

    page: Path
    csv: Path
    json: Path


@dataclass(frozen=True)
class BeforeAfter:
    """What was made of a picture or a video.

    Attributes
    ----------
    after : Path
        The result, a picture (PNG) or a video (MP4).
    before : Path or None
        Of a picture, that which was changed, in the size of the result.
    both : Path or None
        Of a video, one that shows before and after side by side.
    remarks : tuple of str
        What one should know of it.
    """

    after: Path
    before: Path | None = None
    both: Path | None = None
    remarks: tuple[str, ...] = ()


class _Nameless:
    """Frames of an upload, without identity: nothing that is measured on a face is kept in the disk cache."""

    def identity(self, indices: Sequence[int]) -> object:
        return None


class _UploadedVideo(_Nameless, VideoFrames):
    """A video that was dropped."""


class _UploadedPictures(_Nameless, ArrayFrames):
    """Pictures that were dropped."""


def magnifiers() -> dict[str, str]:
    """Return the methods that need no download: what the page calls them, and their names."""
    named = {"Phase": "phase", "Eulerian": "eulerian"}
    if _starters(magnify.names()):
        named["Single image (starter)"] = "single_image"
    return named


def upscalers() -> dict[str, str]:
    """Return the methods that need no download: what the page calls them, and their names."""
    starters = _starters(superres.names())
    return {f"{method.upper()} (starter)": method for method in starters} | {"Bicubic": "bicubic"}


def scales(method: str) -> tuple[int, ...]:
    """Return the factors that a method of `upscalers` enlarges by."""
    starter = _starters(superres.names()).get(method)
    return (2, 3, 4) if starter is None else (catalogue.entry(starter).scale,)


def needs_one_picture(method: str) -> bool:
    """Whether a method of `magnifiers` magnifies what it sees in one picture, in a number of cascades."""
    return method == "single_image"


def report(file: Path, folder: Path, limits: Limits, progress: Progress) -> Report:
    """Analyse a video and write its page, CSV and JSON.

    Raises
    ------
    MicroexpError
        If it is a picture, over the limits, or nothing that `microexp.analyze.analyze` takes.
    """
    if _is_picture(file):
        raise OptionError(
            f"{file.name} is a single picture, which has no motion to analyse: drop a video here, or take "
            "the picture to the tab Magnify"
        )
    found = analyze(_video(file, limits), progress=progress)
    found = replace(found, video=replace(found.video, file=file.name))
    made = Report(*(folder / f"{file.stem}.{suffix}" for suffix in ("html", "csv", "json")))
    write_page(made.page, found)
    write_atomically(made.csv, to_csv(found))
    write_atomically(made.json, to_json(found))
    return made


def magnified(
    file: Path,
    folder: Path,
    limits: Limits,
    progress: Progress,
    *,
    method: str,
    strength: float,
    onset: Path | None = None,
    align: bool = True,
) -> BeforeAfter:
    """Magnify the motion in a picture, between two pictures, or in a video.

    Parameters
    ----------
    file, folder, limits, progress
        What is magnified, an empty folder for the result, what is taken, and whom to tell.
    method : str
        One of the values of `magnifiers`.
    strength : float
        The factor; of a method that needs one picture the number of cascades.
    onset : path or None
        For a picture: the face at rest, from the same recording.
    align : bool
        Find the face and magnify the aligned face alone; methods that need an aligned face do it anyway.

    Raises
    ------
    MicroexpError
        If a file cannot be used, or no face is found.
    """
    magnifier = _magnifier(method, strength)
    clip = _with_onset(file, onset, limits, magnifier)
    remarks: tuple[str, ...] = ()
    if align or magnifier.aligned:
        clip, remarks = _aligned(clip, progress)
    _check_size(clip, 1, file.name)
    start = clip.frames[0] if magnifier.needs_onset else None
    if _is_picture(file):
        weak = clip.frames[len(clip) - 1]
        return replace(_pictures(folder, weak, magnifier.magnify(weak, start)), remarks=remarks)
    made = magnifier.stream(clip.frames, start, clip.fps)
    return replace(_videos(folder, clip, made, _beside, progress), remarks=remarks)


def upscaled(
    file: Path, folder: Path, limits: Limits, progress: Progress, *, method: str, scale: int
) -> BeforeAfter:
    """Enlarge a picture or a video.

    Parameters
    ----------
    file, folder, limits, progress
        As of `magnified`.
    method : str
        One of the values of `upscalers`.
    scale : int
        One of `scales`.

    Raises
    ------
    MicroexpError
        If the file cannot be used.
    """
    upscaler = _upscaler(method, scale)
    clip = _picture(file, limits) if _is_picture(file) else _video(file, limits)
    _check_size(clip, scale, file.name)
    if _is_picture(file):
        small = clip.frames[0]
        large = upscaler.upscale(small)
        shown = cv2.resize(small, large.shape[1::-1], interpolation=cv2.INTER_NEAREST)
        return _pictures(folder, shown, large)
    return _videos(folder, clip, upscaler.stream(clip.frames), _details, progress)


def _starters(methods: Iterable[str]) -> dict[str, str]:
    """Return those of some methods whose weights come with microexp, and what the weights are called."""
    known = set(methods)
    entries = (catalogue.entry(name) for name in catalogue.names())
    return {e.method: e.name for e in entries if e.source == catalogue.OWN and e.method in known}


def _magnifier(method: str, strength: float) -> Magnifier:
    if not needs_one_picture(method):
        fast = {"pyramid": "riesz"} if method == "phase" else {}
        between: Magnifier = magnify.create(method, factor=float(strength), **fast)
        return between
    weights = _starters(magnify.names())[method]
    settings = catalogue.entry(weights).settings
    network: Magnifier = magnify.create(method, weights=weights, cascade=int(strength), **settings)
    return network


def _upscaler(method: str, scale: int) -> Upscaler:
    weights = _starters(superres.names()).get(method)
    given = {} if weights is None else {"weights": weights, **catalogue.entry(weights).settings}
    upscaler: Upscaler = superres.create(method, scale=int(scale), **given)
    return upscaler


def _is_picture(file: Path) -> bool:
    return file.suffix.lower() in IMAGE_SUFFIXES


def _picture(file: Path, limits: Limits) -> Clip:
    _check_bytes(file, limits)
    return Clip(_UploadedPictures(read_image(file)[np.newaxis]), 1.0, name=file.name)


def _video(file: Path, limits: Limits) -> Clip:
    _check_bytes(file, limits)
    frames = _UploadedVideo(file)
    clip = Clip(frames, frames.fps, name=file.stem)
    if len(clip) / clip.fps > limits.seconds:
        raise DataError(
            f"{file.name} is {_duration(len(clip) / clip.fps)} long, and this page takes videos of up to "
            f"{_duration(limits.seconds)}: cut it, or use microexp on the command line, which has no limit"
        )
    return clip


def _check_bytes(file: Path, limits: Limits) -> None:
    megabytes = file.stat().st_size / 1e6
    if megabytes > limits.megabytes:
        raise DataError(
            f"{file.name} is {megabytes:.1f} MB large, and this page takes files of up to "
            f"{limits.megabytes:g} MB: cut it, or use microexp on the command line, which has no limit"
        )


def _check_size(clip: Clip, scale: int, name: str) -> None:
    height, width = (side * scale for side in clip.size)
    if height * width > MOST_IN_A_PICTURE or len(clip) * height * width > MOST_PIXELS:
        raise DataError(
            f"{name} would become {len(clip)} x {width}x{height} pixels, more than this page makes: take a "
            "smaller part of it, or use microexp on the command line, which has no limit"
        )


def _with_onset(file: Path, onset: Path | None, limits: Limits, magnifier: Magnifier) -> Clip:
    """Return what is magnified as a clip; of two pictures the onset is the first frame."""
    if not _is_picture(file):
        return _video(file, limits)
    apex = _picture(file, limits)
    if not magnifier.needs_onset:
        return apex
    if onset is None:
        raise OptionError(
            f"{file.name} is one picture, and this method magnifies the motion between two: drop the face at "
            "rest, too, or a video, or choose the method for a single image"
        )
    if not _is_picture(onset):
        raise OptionError(f"{onset.name} is no picture: the face at rest is one, of the same recording")
    rest = _picture(onset, limits)
    if rest.size != apex.size:
        (high, wide), (height, width) = rest.size, apex.size
        raise DataError(
            f"{onset.name} is {wide}x{high} pixels and {file.name} {width}x{height}: both must be pictures "
            "of the same recording"
        )
    return Clip(_UploadedPictures(np.stack([rest.frames[0], apex.frames[0]])), 1.0, name=file.name)


def _aligned(clip: Clip, progress: Progress) -> tuple[Clip, tuple[str, ...]]:
    """Follow the face slowly in a video; in pictures, the first says where the face is."""
    follow = isinstance(clip.frames, VideoFrames)
    mode, missing = ("smooth", "hold") if follow else ("onset", "raise")
    progress("looking for the face", 0, 1)
    try:
        (aligned,) = FaceAligner(FACE_SIZE, mode=mode, missing=missing, rate=5.0).transform([clip])
    except NoFaceError as error:
        raise DataError(f"{clip.name}: no face was found in it") from error
    alignment: Alignment = aligned.metadata["alignment"]
    looked, remarks = alignment.looked_at, []
    if alignment.several:
        several = f"{len(alignment.several)} of {looked} frames looked at"
        remarks.append(f"More than one face in {several}: the largest is taken.")
    if alignment.missing:
        remarks.append(f"No face in {len(alignment.missing)} of {looked} frames looked at.")
    return aligned, tuple(remarks)


def _pictures(folder: Path, before: np.ndarray, after: np.ndarray) -> BeforeAfter:
    made = BeforeAfter(before=folder / "before.png", after=folder / "after.png")
    for file, picture in ((folder / "before.png", before), (folder / "after.png", after)):
        write_picture(file, picture)
    return made


def _videos(
    folder: Path,
    clip: Clip,
    made: Iterable[np.ndarray],
    pair: Callable[[np.ndarray, np.ndarray], np.ndarray],
    progress: Progress,
) -> BeforeAfter:
    """Write the result as it comes, then the side-by-side video from what was written."""
    after, both = folder / "after.mp4", folder / "before_after.mp4"
    write_video(after, _counted(made, len(clip), "working", progress), clip.fps)
    pairs = (pair(before, new) for before, new in zip(clip.frames, VideoFrames(after), strict=True))
    write_video(both, _counted(pairs, len(clip), "side by side", progress), clip.fps)
    return BeforeAfter(after=after, both=both)


def _counted(frames: Iterable[np.ndarray], total: int, what: str, progress: Progress) -> Iterator[np.ndarray]:
    for done, frame in enumerate(frames, start=1):
        progress(what, done, total)
        yield frame


def _beside(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    height, width = after.shape[:2]  # an odd row or column is lost in a video
    scale = min(_PANEL / max(height, width), 1.0)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    panels = (cv2.resize(p, size, interpolation=cv2.INTER_AREA) for p in (before[:height, :width], after))
    return np.hstack([titled(p, title) for p, title in zip(panels, ("before", "after"), strict=True)])


def _details(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Show the small frame with its pixels as squares beside the large one; of large frames, the middle."""
    scale = round(after.shape[0] / before.shape[0])
    side = max(_PANEL // scale, 1)
    top, left = (max((length - side) // 2, 0) for length in before.shape[:2])
    small = before[top : top + side, left : left + side]
    large = after[top * scale : (top + side) * scale, left * scale : (left + side) * scale]
    squares = cv2.resize(small, large.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    return np.hstack([titled(squares, "before"), titled(large, "after")])


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.3g} s"
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d} minutes"
