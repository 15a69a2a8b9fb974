"""Pictures, folders and videos on disk, enlarged. What was done when it was stopped is done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np

from microexp.frames import Frames
from microexp.media import Process, Progress, Shot, Work, describe, process_path, titled
from microexp.superres.base import UpscaledFrames, Upscaler

_SHOWN = 480  # pixels each side of the before/after picture is shown in, at most


def upscale_path(
    source: str | Path, target: str | Path, upscaler: Upscaler, progress: Progress
) -> list[Path]:
    """Enlarge a picture, a folder of pictures (with its sub-folders) or a video.

    Beside the result stands a record of what made it (method, settings, weights and their checksum), and a
    picture of before and after. What is there already, of the same making, is passed over.

    Parameters
    ----------
    source, target, progress
        As of `microexp.media.process_path`.
    upscaler : Upscaler
        What enlarges. A video method takes a folder's pictures for consecutive frames, in order of their
        number.

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
    upscaler.check_parameters()
    return process_path(source, target, _Enlarging(upscaler), progress)


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
    return np.hstack([titled(view, title) for title, view in views.items()])


@dataclass(frozen=True)
class _Enlarging(Process):
    """How pictures are enlarged."""

    word: ClassVar[str] = "enlarged"
    record: ClassVar[str] = "upscaled.json"
    shown: ClassVar[str] = "before_after"

    upscaler: Upscaler

    @property
    def in_order(self) -> bool:
        return self.upscaler.window > 1

    def description(self) -> dict[str, Any]:
        return describe(self.upscaler)

    def begin(self, shot: Shot) -> Work:
        return _Enlargement(shot.frames, self.upscaler)


class _Enlargement(Work):
    """The enlarging of one picture, or of frames in order."""

    def __init__(self, frames: Frames, upscaler: Upscaler) -> None:
        self._large = UpscaledFrames(frames, upscaler, cache=False)

    def make(self, wanted: Sequence[int]) -> Iterator[np.ndarray]:
        return (self._large[i] for i in wanted)

    def comparison(self, results: Sequence[np.ndarray]) -> np.ndarray:
        middle = len(results) // 2
        return before_and_after(self._large.source[middle], results[middle])
