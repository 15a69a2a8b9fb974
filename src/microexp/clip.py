"""`Clip`, the one value that flows through microexp.

Array law: frames are ``(T, H, W, 3) uint8 RGB``. Onset, apex and offset are indices into the frames
of the clip (not numbers of a recording), with ``0 <= onset <= apex <= offset < T``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from microexp.errors import DataError
from microexp.frames import ArrayFrames, FolderFrames, Frames, VideoFrames


@dataclass(frozen=True)
class ActionUnit:
    """One facial action unit as a coder writes it.

    Attributes
    ----------
    unit : int
        FACS number.
    side : str
        ``"L"`` or ``"R"`` for one side of the face (the subject's own), ``"T"`` or ``"B"`` for top or
        bottom (of the lips), ``"A"`` for both sides with unequal strength, ``""`` for the whole.
    intensity : float or None
        In [0, 1]; None where the database gives none.
    """

    unit: int
    side: str = ""
    intensity: float | None = None

    def __str__(self) -> str:
        return f"{self.side}{self.unit}"


@dataclass(frozen=True, eq=False)
class Clip:
    """A face video with its annotation. Immutable: a stage returns a new one.

    Attributes
    ----------
    frames : Frames
        ``(T, H, W, 3) uint8 RGB``, read when indexed.
    fps : float
        Frames per second.
    onset : int
        Index of the first frame of the expression.
    apex, offset : int or None
        Indices of its strongest and last frame; None where unknown.
    subject, database, name : str
        Who, from where, and the clip's name (unique together).
    emotion : str or None
        The emotion in the database's own words.
    action_units : tuple of ActionUnit
        The action units coded.
    metadata : mapping
        Whatever else is known (read-only). Synthetic clips carry their ground truth under ``"truth"``.

    Raises
    ------
    DataError
        If onset, apex and offset are out of order or out of range, or fps is not positive.
    """

    frames: Frames
    fps: float
    onset: int = 0
    apex: int | None = None
    offset: int | None = None
    subject: str = ""
    database: str = ""
    name: str = ""
    emotion: str | None = None
    action_units: tuple[ActionUnit, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "metadata", MappingProxyType(dict(self.metadata)))
        if not self.fps > 0:
            raise DataError(f"{self.identity}: fps must be positive, got {self.fps}")
        order = [i for i in (self.onset, self.apex, self.offset) if i is not None]
        if order != sorted(order) or order[0] < 0 or order[-1] >= len(self.frames):
            raise DataError(
                f"{self.identity}: onset {self.onset}, apex {self.apex}, offset {self.offset} must be "
                f"in this order and within the {len(self.frames)} frames (0 to {len(self.frames) - 1})"
            )

    def __reduce__(self) -> tuple[Any, ...]:
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        values["metadata"] = dict(self.metadata)  # a mappingproxy does not pickle
        return _rebuild, (type(self), values)

    @classmethod
    def from_array(cls, frames: np.ndarray, fps: float = 200.0, **annotation: Any) -> Clip:
        """Make a clip of an array ``(T, H, W, 3) uint8 RGB`` held in memory."""
        return cls(ArrayFrames(frames), fps, **annotation)

    @classmethod
    def from_folder(cls, folder: str | Path, fps: float, **annotation: Any) -> Clip:
        """Make a clip of a folder of numbered pictures; they are read when indexed."""
        return cls(FolderFrames(folder), fps, **annotation)

    @classmethod
    def from_video(cls, file: str | Path, **annotation: Any) -> Clip:
        """Make a clip of a video file; fps is the file's own."""
        frames = VideoFrames(file)
        return cls(frames, frames.fps, **annotation)

    @property
    def identity(self) -> str:
        """``database/subject/name``, for messages and tables."""
        return "/".join(part for part in (self.database, self.subject, self.name) if part) or "clip"

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the frames, in pixels."""
        return self.frames.shape[1], self.frames.shape[2]

    def __len__(self) -> int:
        return len(self.frames)

    def key_index(self, which: str) -> int:
        """Return where the onset, apex or offset frame is.

        Raises
        ------
        DataError
            If the annotation does not say.
        """
        index: int | None = getattr(self, which)
        if index is None:
            raise DataError(
                f"{self.identity}: the {which} frame is not annotated; spot it first "
                "(motion 'apex'; --prepare apex on the command line)"
            )
        return index

    def key_frame(self, which: str) -> np.ndarray:
        """Return the onset, apex or offset frame, ``(H, W, 3) uint8 RGB``.

        Raises
        ------
        DataError
            If the annotation does not say where that frame is.
        """
        return self.frames[self.key_index(which)]

    def replace(self, **changes: Any) -> Clip:
        """Return a new clip with the given attributes changed."""
        return dataclasses.replace(self, **changes)


def _rebuild(cls: type[Clip], values: dict[str, Any]) -> Clip:
    return cls(**values)
