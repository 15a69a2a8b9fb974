"""What databases of long videos share: expressions as clips, and whole recordings with their intervals."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from copy import copy as shallow_copy
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path
from typing import ClassVar

from microexp.clip import ActionUnit, Clip
from microexp.datasets.annotated import AnnotatedDatabase, Copy, Reading, Row
from microexp.datasets.annotated._frames import Recording, find_recording
from microexp.errors import MicroexpError, MicroexpWarning, OptionError

KINDS = ("micro", "macro", "both")


@dataclass(frozen=True)
class Interval:
    """One expression within a whole recording.

    Attributes
    ----------
    name : str
        That of its clip.
    kind : str
        ``"micro"`` or ``"macro"``.
    onset, apex, offset : int or None
        Indices into the frames of the recording; `apex` is None where unknown.
    emotion : str or None
        In the database's own words.
    action_units : tuple of ActionUnit
        The action units coded.
    """

    name: str
    kind: str
    onset: int
    apex: int | None
    offset: int
    emotion: str | None
    action_units: tuple[ActionUnit, ...]


class LongVideos(AnnotatedDatabase):
    """A database of long videos: a clip is the frames from onset to offset, `recordings` gives the whole.

    Parameters
    ----------
    root, variant, sheet, missing_apex
        As for `AnnotatedDatabase`.
    kind : {"micro", "macro", "both"}
        Which expressions `load` and `read` give; `check` and `recordings` are about all. It is also in the
        metadata of each clip.

    Attributes
    ----------
    fps : float
        Frames per second.
    long : tuple of str
        The variants whose folders are whole recordings.
    """

    fps: ClassVar[float]
    long: ClassVar[tuple[str, ...]] = ("raw",)
    extra_columns: ClassVar[tuple[str, ...]] = ("kind",)

    def __init__(
        self,
        root: str | Path | None = None,
        variant: str | None = None,
        sheet: str | Path | None = None,
        missing_apex: str = "keep",
        kind: str = "micro",
    ) -> None:
        super().__init__(root, variant, sheet, missing_apex)
        self.kind = kind

    def recording_of(self, fields: Mapping[str, str]) -> tuple[str, str]:
        """Return subject and name of the recording in a folder, of which the words in braces are given."""
        return fields["subject"], fields["video"]

    @property
    def whole_recordings(self) -> bool:
        return self._variant in self.long

    def counted(self, rows: Sequence[Row]) -> Sequence[Row]:
        return [replace(row, emotion=row.extra["kind"]) for row in rows]

    def read(self) -> Reading:
        if self.kind not in KINDS:
            raise OptionError(f"kind is one of {', '.join(KINDS)}, not '{self.kind}'")
        reading = super().read()
        if self.kind == "both":
            return reading
        wanted = [row.extra["kind"] == self.kind for row in reading.rows]
        rows, verdicts = compress(reading.rows, wanted), compress(reading.verdicts, wanted)
        return Reading(reading.copy, tuple(rows), tuple(verdicts))

    def recordings(self) -> list[Clip]:
        """Return the whole recordings, those without any expression as well; no picture is opened yet.

        The metadata of each hold ``"intervals"``, a tuple of `Interval` in the order of time whatever their
        kind, and ``"left_out"``, what is annotated in it and cannot be used, in words.

        Raises
        ------
        OptionError
            If the variant has the expressions only.
        PathMissingError, DataError
            As `load`.
        """
        if not self.whole_recordings:
            raise OptionError(
                f"the variant '{self._variant}' of {self.name} has no whole recordings; "
                f"use variant={' or '.join(self.long)}"
            )
        annotator = shallow_copy(self)
        annotator.missing_apex = "keep"  # an interval needs no apex
        copy = self._open()
        reading = annotator._read(copy)
        annotated: dict[Path, list[int]] = defaultdict(list)
        for index, row in enumerate(reading.rows):
            annotated[row.frames].append(index)
        found = []
        for place in copy.clip_folders():
            try:
                recording = find_recording(place)
            except MicroexpError as error:
                warnings.warn(MicroexpWarning(f"{self.name}: left out: {error}"), stacklevel=2)
                continue
            found.append(self._recording(copy, recording, reading, annotated[place]))
        return found

    def _recording(self, copy: Copy, recording: Recording, reading: Reading, rows: Sequence[int]) -> Clip:
        subject, name = self.recording_of(copy.fields(recording.place))
        clips = [clip for i in rows if (clip := reading.verdicts[i].clip) is not None]
        odds = [odd for i in rows for odd in reading.verdicts[i].odds if not odd.kept]
        intervals = sorted((_interval(clip, recording) for clip in clips), key=lambda found: found.onset)
        return Clip(
            recording.frames(0, len(recording.numbers)),
            self.fps,
            subject=subject,
            database=self.name,
            name=name,
            metadata={
                "first_number": recording.numbers[0],
                "intervals": tuple(intervals),
                "left_out": tuple(map(str, odds)),
            },
        )


def _interval(clip: Clip, recording: Recording) -> Interval:
    """Where a clip that was cut out of a recording lies in it."""
    start = recording.index(clip.metadata["first_number"]) or 0  # none: the files were matched in order
    onset, apex, offset = (None if i is None else start + i for i in (clip.onset, clip.apex, clip.offset))
    return Interval(
        clip.name, clip.metadata["kind"], onset or 0, apex, offset or 0, clip.emotion, clip.action_units
    )
