"""One video to its `Analysis`: the face followed, motion measured, intervals spotted, each one recognised."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from microexp import faces
from microexp.analyze._ahead import ReadAhead
from microexp.analyze.pictures import Picture, magnifier_name, strip
from microexp.analyze.recognition import Recognition, recognise
from microexp.analyze.signals import FaceMotion, face_motion
from microexp.analyze.spotting import Interval, spot
from microexp.clip import Clip
from microexp.errors import DataError, OptionError
from microexp.evaluate.versions import versions
from microexp.faces.alignment import AlignedFrames, Alignment
from microexp.frames import VideoFrames

Progress = Callable[[str, int, int], None]
EXPRESSIONS = ("micro", "macro")
KINDS = (*EXPRESSIONS, "blink")
SHOWN = 60  # intervals that get pictures at most
NOT_SURE = "not sure"
_SHORTEST = 0.5  # seconds
_AT_ONCE = 2  # expressions
_WAITING = 8  # intervals whose frames are held at most
_Frames = tuple[np.ndarray, np.ndarray, np.ndarray]  # onset, apex, offset
_Seen = tuple[_Frames, Future[Recognition]]
_SLOWEST = 25.0  # frames a second; a micro-expression of 0.2 s then has 5 frames
_UNEVEN = 1.5  # of the usual time between frames


@dataclass(frozen=True)
class Video:
    """The facts of a video.

    Attributes
    ----------
    name, file : str
        What it is called, and where it is.
    fps : float
        Frames a second.
    n_frames, width, height : int
        Its frames, and their size in pixels.
    looked_at, missing, several : int
        In how many frames a face was looked for, how many of them have none, and how many more than one.
    """

    name: str
    file: str
    fps: float
    n_frames: int
    width: int
    height: int
    looked_at: int
    missing: int
    several: int

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.n_frames / self.fps


@dataclass(frozen=True)
class Answer:
    """Which emotion an expression looks like.

    Attributes
    ----------
    label : str or None
        The class; None where the probabilities do not say enough ("not sure").
    probabilities : dict of str to float
        Of each class, calibrated on synthetic faces.
    """

    label: str | None
    probabilities: dict[str, float]

    @property
    def in_words(self) -> str:
        """The label, or "not sure"."""
        return self.label or NOT_SURE


@dataclass(frozen=True, eq=False)
class Finding:
    """One interval with what is known of it.

    Attributes
    ----------
    interval : Interval
        Where, and what moved.
    answer : Answer or None
        Which emotion; None for a blink.
    pictures : tuple of Picture
        The strip that shows it; empty for a blink, and for all but the `SHOWN` strongest expressions.
    """

    interval: Interval
    answer: Answer | None = None
    pictures: tuple[Picture, ...] = ()


@dataclass(frozen=True, eq=False)
class Analysis:
    """What was found in one video.

    Attributes
    ----------
    video : Video
        Its facts.
    times : numpy.ndarray
        ``(n_frames,) float64``: when each frame is shown, seconds from the first.
    alignment : Alignment
        Where the face is.
    motion : FaceMotion
        How the regions of the face moved.
    findings : tuple of Finding
        In order of their onsets; blinks are among them.
    remarks : tuple of str
        What one should know before one believes it.
    settings : dict
        What else it depends on.
    made_by : dict of str to str
        Versions of microexp and of the libraries.
    """

    video: Video
    times: np.ndarray
    alignment: Alignment
    motion: FaceMotion
    findings: tuple[Finding, ...]
    remarks: tuple[str, ...]
    settings: dict[str, Any]
    made_by: dict[str, str]

    def count(self, kind: str) -> int:
        """Return how many intervals are of a kind: "micro", "macro" or "blink"."""
        return sum(finding.interval.kind == kind for finding in self.findings)

    def span(self, interval: Interval) -> tuple[float, float]:
        """Return when an interval begins and ends, seconds; its last frame is part of it."""
        return float(self.times[interval.onset]), float(self.times[interval.offset]) + 1 / self.video.fps


def analyze(
    source: str | Path | Clip,
    *,
    name: str | None = None,
    fps: float | None = None,
    magnify: bool = True,
    progress: Progress | None = None,
) -> Analysis:
    """Find the expressions in a video, say which they look like, and make the pictures that show why.

    The frames are read twice, in order: to follow the face, and to measure its motion. Then the key frames of
    each expression are read. Memory does not grow with the video but for some numbers a frame.

    Parameters
    ----------
    source : path or Clip
        A video file, a folder of numbered pictures, or a clip of a face that is not aligned.
    name : str or None
        What to call it; None for the name of the file, the folder or the clip.
    fps : float or None
        Frames a second; a folder needs it, of a video it takes the place of the file's own.
    magnify : bool
        Whether the strips have a magnified apex, too.
    progress : callable or None
        Called with what is going on ("face", "motion", "answers"), how much is done, and of how much.

    Raises
    ------
    PathMissingError
        If there is nothing at the path.
    DataError
        If it cannot be read, is shorter than half a second, or no face is found in any frame looked at.
    OptionError
        If a folder comes without `fps`, or that is not positive.
    """
    tell = progress or _silent
    clip = open_clip(source, name, fps)
    where = clip.identity if isinstance(source, Clip) else str(source)  # for messages
    _check_length(clip, where)
    aligned = _aligned(clip, where, tell)
    with ReadAhead(clip.frames) as decoded:
        moved = aligned.replace(frames=AlignedFrames(decoded, aligned.metadata["alignment"]))
        motion = face_motion(moved, lambda done, all_: tell("motion", done, all_))
    intervals = spot(motion)
    return Analysis(
        video=_facts(clip, source, aligned.metadata["alignment"]),
        times=_times(clip, fps),
        alignment=aligned.metadata["alignment"],
        motion=motion,
        findings=_findings(aligned, intervals, magnify, tell),
        remarks=_remarks(clip, fps, aligned.metadata["alignment"], intervals),
        settings=settings(fps, magnify),
        made_by=versions(),
    )


def open_clip(source: str | Path | Clip, name: str | None, fps: float | None) -> Clip:
    """Return the clip of a video file, a folder of pictures, or a clip; parameters as of `analyze`."""
    if fps is not None and not 0 < fps < np.inf:
        raise OptionError(f"frames a second must be a positive number, got {fps}")
    if isinstance(source, Clip):
        clip = source
    elif Path(source).is_dir():
        if fps is None:
            raise OptionError(f"{source} is a folder of frames: say how many there are a second (--fps)")
        clip = Clip.from_folder(source, fps, name=Path(source).name)
    else:
        clip = Clip.from_video(source, name=Path(source).stem)
    return clip.replace(fps=fps or clip.fps, name=name or clip.name, onset=0, apex=None, offset=None)


def settings(fps: float | None, magnify: bool) -> dict[str, Any]:
    """Return what an analysis depends on but the video and the version."""
    return {"fps": fps, "magnifier": magnifier_name() if magnify else None}


def _check_length(clip: Clip, where: str) -> None:
    if len(clip) / clip.fps < _SHORTEST:
        raise DataError(
            f"{where} is {len(clip) / clip.fps:.2f} s long ({len(clip)} frames): at least {_SHORTEST} s are "
            "needed to tell an expression from the face at rest"
        )


def _aligned(clip: Clip, where: str, tell: Progress) -> Clip:
    aligner = faces.create("aligner", size=224, mode="smooth", missing="hold", rate=5.0)
    with ReadAhead(clip.frames, lambda index: tell("face", index + 1, len(clip))) as frames:
        (aligned,) = aligner.transform([clip.replace(frames=frames, name=where)])
    tell("face", len(clip), len(clip))
    alignment: Alignment = aligned.metadata["alignment"]
    return clip.replace(frames=AlignedFrames(clip.frames, alignment), metadata=aligned.metadata)


def _findings(
    aligned: Clip, intervals: Sequence[Interval], magnify: bool, tell: Progress
) -> tuple[Finding, ...]:
    """Recognise the expressions, in order of time, and keep pictures of the strongest alone."""
    shown = {id(interval) for interval in strongest(intervals)}
    points = aligned.metadata["alignment"].landmarks
    findings = []
    for done, (interval, seen) in enumerate(_recognised(aligned, intervals, points), start=1):
        answer: Answer | None = None
        pictures: tuple[Picture, ...] = ()
        if seen is not None:
            frames, recognition = seen[0], seen[1].result()
            answer = _answer(recognition)
            if id(interval) in shown:
                pictures = strip(*frames, recognition, points, magnify)
        findings.append(Finding(interval, answer, pictures))
        tell("answers", done, len(intervals))
    return tuple(findings)


def _recognised(
    aligned: Clip, intervals: Sequence[Interval], landmarks: np.ndarray
) -> Iterator[tuple[Interval, _Seen | None]]:
    """Yield every interval, an expression with its onset, apex and offset and what they were recognised as.

    Most of the work is flow, which lets go of the interpreter's lock: some are at work at once.
    """
    coming: deque[tuple[Interval, _Seen | None]] = deque()
    with ThreadPoolExecutor(_AT_ONCE, "recognise") as pool:
        for interval in intervals:
            seen: _Seen | None = None
            if interval.kind in EXPRESSIONS:
                onset, apex = aligned.frames[interval.onset], aligned.frames[interval.apex]
                frames = onset, apex, aligned.frames[interval.offset]
                seen = frames, pool.submit(recognise, onset, apex, landmarks)
            coming.append((interval, seen))
            if len(coming) >= _WAITING:
                yield coming.popleft()
        yield from coming


def strongest(intervals: Sequence[Interval]) -> list[Interval]:
    """Return the expressions of the highest scores, at most `SHOWN`."""
    expressions = [interval for interval in intervals if interval.kind in EXPRESSIONS]
    return sorted(expressions, key=lambda interval: -interval.score)[:SHOWN]


def _answer(recognition: Recognition) -> Answer:
    probabilities = zip(recognition.classes, recognition.probabilities, strict=True)
    return Answer(recognition.label, {name: float(p) for name, p in probabilities})


def _facts(clip: Clip, source: str | Path | Clip, alignment: Alignment) -> Video:
    height, width = clip.size
    return Video(
        name=clip.name or clip.identity,
        file="" if isinstance(source, Clip) else str(source),
        fps=float(clip.fps),
        n_frames=len(clip),
        width=width,
        height=height,
        looked_at=alignment.looked_at,
        missing=len(alignment.missing),
        several=len(alignment.several),
    )


def _times(clip: Clip, fps: float | None) -> np.ndarray:
    if fps is None and isinstance(clip.frames, VideoFrames) and clip.fps == clip.frames.fps:
        return clip.frames.times
    return np.arange(len(clip)) / clip.fps


def _remarks(
    clip: Clip, fps: float | None, alignment: Alignment, intervals: Sequence[Interval]
) -> tuple[str, ...]:
    remarks = []
    if clip.fps < _SLOWEST:
        remarks.append(
            f"{clip.fps:g} frames a second: a micro-expression of 0.2 s lasts fewer than five, so that few "
            f"can be told from noise. Record at {_SLOWEST:g} or more, better at 100."
        )
    steps = np.diff(_times(clip, fps))
    if len(steps) and steps.max() > _UNEVEN * np.median(steps):
        remarks.append(
            f"The frames are not equally spaced in time (up to {steps.max():.3f} s apart, usually "
            f"{np.median(steps):.3f} s): durations are less exact there."
        )
    if isinstance(clip.frames, VideoFrames) and clip.frames.damage is not None:
        remarks.append(f"The file is damaged: {clip.frames.damage}.")
    looked = alignment.looked_at
    if alignment.missing:
        remarks.append(f"No face was found in {len(alignment.missing)} of {looked} frames looked at.")
    if alignment.several:
        remarks.append(
            f"There is more than one face in {len(alignment.several)} of {looked} frames looked at: the "
            "largest was taken first, and then followed."
        )
    expressions = sum(interval.kind in EXPRESSIONS for interval in intervals)
    if expressions > SHOWN:
        remarks.append(
            f"{expressions} expressions: the {SHOWN} strongest are shown, all are in the CSV file."
        )
    return tuple(remarks)


def _silent(what: str, done: int, total: int) -> None:
    """Tell nobody."""
