"""The video with what was found drawn on it: a box around the face, the answer, and a strip of time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from microexp.analyze._ahead import ReadAhead
from microexp.analyze._timeline import COLOURS, clock
from microexp.analyze.analysis import EXPRESSIONS, Analysis, Finding, Progress
from microexp.clip import Clip
from microexp.faces.alignment import Alignment
from microexp.faces.geometry import invert, transform_points
from microexp.frames.write import write_video

_BOX = (170, 178, 186)  # of a face at rest
_PLAIN, _SHADE = (255, 255, 255), 0.35
_STRIP = 8  # pixels, of the time strip


def write_annotated(file: str | Path, clip: Clip, analysis: Analysis, progress: Progress) -> Path:
    """Write a video with what was found in it; one pass over the frames, at constant memory.

    Parameters
    ----------
    file : path
        ``.mp4`` and ``.mov`` play everywhere, ``.mkv`` and ``.avi`` are lossless.
    clip : Clip
        The clip that `analysis` is of, as it was.
    analysis : Analysis
        What was found.
    progress : callable
        Called with "annotated video", how many frames are done, and of how many.

    Returns
    -------
    Path
        `file`.
    """
    with ReadAhead(clip.frames, lambda i: progress("annotated video", i + 1, len(clip))) as frames:
        write_video(file, _drawn(clip.replace(frames=frames), analysis), clip.fps)
    return Path(file)


def _drawn(clip: Clip, analysis: Analysis) -> Iterator[np.ndarray]:
    bar = time_strip(analysis, clip.size[1])
    for index, frame in enumerate(clip.frames):
        yield annotated(frame, index, analysis, bar)


def annotated(frame: np.ndarray, index: int, analysis: Analysis, bar: np.ndarray) -> np.ndarray:
    """Return a frame ``(H, W, 3) uint8 RGB`` with what is going on in it drawn on a copy."""
    picture = frame.copy()
    height, width = picture.shape[:2]
    now = [f for f in analysis.findings if f.interval.onset <= index <= f.interval.offset]
    shown = next((f for f in now if f.interval.kind in EXPRESSIONS), now[0] if now else None)
    colour = _BOX if shown is None else _rgb(COLOURS[shown.interval.kind])
    thick = max(1, round(height / 240)) * (2 if shown else 1)
    cv2.polylines(picture, [_corners(analysis.alignment, index)], True, colour, thick, cv2.LINE_AA)
    picture[-_STRIP:] = bar
    cursor = round((width - 1) * index / max(len(analysis.times) - 1, 1))
    picture[-_STRIP:, max(cursor - 1, 0) : cursor + 1] = _PLAIN
    _write(picture, clock(float(analysis.times[index])), height - _STRIP - 6, _PLAIN)
    if shown is not None:
        _write(picture, _words(shown), None, colour)
    return picture


def _words(finding: Finding) -> str:
    interval, answer = finding.interval, finding.answer
    if answer is None:
        return interval.kind
    sure = "" if answer.label is None else f" {answer.probabilities[answer.label]:.0%}"
    return f"{interval.kind}: {answer.in_words}{sure}"


def _corners(alignment: Alignment, index: int) -> np.ndarray:
    """Corners of the aligned face in the picture, ``(4, 2) int32``."""
    side = alignment.size - 1
    square = np.array([[0, 0], [side, 0], [side, side], [0, side]], np.float64)
    return np.rint(transform_points(square, invert(alignment.matrix(index)))).astype(np.int32)


def time_strip(analysis: Analysis, width: int) -> np.ndarray:
    """Return the whole video as a strip ``(_STRIP, width, 3) uint8``, its intervals in their colours."""
    strip = np.full((_STRIP, width, 3), 40, np.uint8)
    frames = len(analysis.times)
    for finding in sorted(analysis.findings, key=lambda f: f.interval.kind in EXPRESSIONS):
        first = finding.interval.onset * width // frames
        last = max(first + 1, (finding.interval.offset + 1) * width // frames)
        strip[:, first:last] = _rgb(COLOURS[finding.interval.kind])
    return strip


def _write(picture: np.ndarray, text: str, bottom: int | None, colour: tuple[int, int, int]) -> None:
    """Write a line at the left, on a darkened ground so that it is read on any picture; None: at the top."""
    scale = max(picture.shape[0] / 720, 0.4)
    (width, height), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    base = height + 8 if bottom is None else bottom
    ground = picture[max(base - height - 6, 0) : base + below + 2, : width + 14]
    ground[:] = (ground * _SHADE).astype(np.uint8)
    bright = tuple(int(255 - (255 - c) * 0.6) for c in colour)
    cv2.putText(picture, text, (7, base), cv2.FONT_HERSHEY_SIMPLEX, scale, bright, 1, cv2.LINE_AA)


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
