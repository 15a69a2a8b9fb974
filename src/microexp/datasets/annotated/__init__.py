"""What databases with an annotation and frames on disk share. In: rows of text. Out: clips, and what is odd.

A database is a subclass of `AnnotatedDatabase` that says what its folders and columns are called and gives
the annotation as `Row`s. Nothing is corrected by row number: a row that makes no sense is reported, with its
file and number, and left out, or kept without its apex.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pandas as pd

from microexp.clip import Clip
from microexp.datasets.annotated._check import Release, check_counts, check_frames, check_odds
from microexp.datasets.annotated._copy import Copy
from microexp.datasets.annotated._frames import PictureFrames, Recording, find_recording
from microexp.datasets.annotated._rows import FIRST, LAST, Odd, Row, Rules, Verdict, judge
from microexp.datasets.base import Check, Database, Dataset, fingerprint, relabel
from microexp.datasets.labels import LabelScheme
from microexp.errors import DataError, MicroexpError, OptionError, PathMissingError, UnknownNameError

__all__ = [
    "FIRST",
    "LAST",
    "AnnotatedDatabase",
    "Copy",
    "Odd",
    "PictureFrames",
    "Reading",
    "Release",
    "Row",
    "Rules",
]
MISSING_APEX = ("keep", "middle", "drop")


@dataclass(frozen=True)
class Reading:
    """An annotation as read: each row with what became of it.

    Attributes
    ----------
    copy : Copy
        The user's copy.
    rows, verdicts : tuple
        In the order of the annotation; as many of the one as of the other.
    """

    copy: Copy
    rows: tuple[Row, ...]
    verdicts: tuple[Verdict, ...]

    @property
    def clips(self) -> list[Clip]:
        """The clips of the rows that can be used."""
        return [verdict.clip for verdict in self.verdicts if verdict.clip is not None]

    @property
    def odds(self) -> list[Odd]:
        """Everything odd, in the order of the rows."""
        return [odd for verdict in self.verdicts for odd in verdict.odds]

    def only(self, belongs: Callable[[Row], bool]) -> Reading:
        """Return the part of it whose rows belong."""
        kept = [(r, v) for r, v in zip(self.rows, self.verdicts, strict=True) if belongs(r)]
        return Reading(self.copy, tuple(row for row, _ in kept), tuple(verdict for _, verdict in kept))


class AnnotatedDatabase(Database):
    """A database of frames on disk with an annotation.

    Parameters
    ----------
    root : path
        Folder of the copy, the folder above it, or its folder of frames.
    variant : str, optional
        Which pictures: a key of `variants` (default: the first).
    sheet : path, optional
        The annotation file, where it is not found by its name.
    missing_apex : {"keep", "middle", "drop"}
        What becomes of a clip without a usable apex: it is kept with the apex unknown (to be spotted), the
        middle between onset and offset is taken, or it is left out.

    Attributes
    ----------
    variants : mapping of str to tuple of str
        Variant -> patterns of a clip's folder or video below the copy's folder, tried in this order:
        ``"Cropped/sub{subject}/{name}"``. The words in braces are those that `rows` gives to `Copy.frames`.
    sheets : tuple of str
        Patterns of the annotation's file name, the preferred one first.
    releases : tuple of Release
        Published counts.
    known_odd : collection of (subject, name)
        Rows that are odd in the published annotation itself.
    odd_rows : int
        How many rows are odd in the published annotation where it is not known which.
    rules : Rules
        What the annotation is known to do.
    without_emotion : str
        What a user can do if no clip has an emotion.
    extra_columns : tuple of str
        Keys of the clips' metadata that the table of clips has as columns.
    """

    variants: ClassVar[Mapping[str, tuple[str, ...]]]
    sheets: ClassVar[tuple[str, ...]] = ()
    releases: ClassVar[tuple[Release, ...]] = ()
    known_odd: ClassVar[Collection[tuple[str, str]]] = ()
    odd_rows: ClassVar[int] = 0
    rules: Rules = Rules()
    without_emotion: ClassVar[str] = "read() gives them without a class"
    extra_columns: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        root: str | Path | None = None,
        variant: str | None = None,
        sheet: str | Path | None = None,
        missing_apex: str = "keep",
    ) -> None:
        self.root = root
        self.variant = variant
        self.sheet = sheet
        self.missing_apex = missing_apex

    @abstractmethod
    def rows(self, copy: Copy) -> Iterable[Row]:
        """Give the annotation, row by row, as it is written.

        Parameters
        ----------
        copy : Copy
            The user's copy: `Copy.table` reads the sheet, `Copy.frames` tells where a clip's frames are.
        """

    def counted(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Return the rows as published counts see them: their ``emotion`` is what is counted."""
        return rows

    @property
    def whole_recordings(self) -> bool:
        """Whether a folder holds a whole recording: any number of expressions, or none."""
        return False

    @property
    def name(self) -> str:
        """Name of the database: that of its module."""
        return type(self).__module__.rpartition(".")[2]

    def load(self, labels: str | None = None) -> Dataset:
        """Return the clips under a label scheme; no picture is opened yet.

        Raises
        ------
        OptionError
            If the scheme, the variant or `missing_apex` is not one that this database offers.
        PathMissingError
            If the root, its frames or the annotation is not there; the message says what was looked for.
        DataError
            If the annotation cannot be read, or no clip is left.
        """
        scheme = self.scheme(labels)
        return self.dataset(self.read(), scheme)

    def dataset(self, reading: Reading, scheme: LabelScheme) -> Dataset:
        """Return the clips of a reading, or of a part of one, under a label scheme.

        Raises
        ------
        DataError
            If no clip is left.
        """
        used = [(v.clip, v.print) for v in reading.verdicts if v.clip is not None]
        clips = [clip for clip, _ in used]
        if not clips:
            raise DataError(
                f"{self.name}: none of {len(reading.rows)} rows gives a clip{_first_reason(reading)}"
            )
        if not any(clip.emotion for clip in clips):
            raise DataError(f"{self.name}: none of {len(clips)} clips has an emotion. {self.without_emotion}")
        every = pd.DataFrame([_table_row(clip) for clip in clips], columns=_COLUMNS)
        every = every.assign(**{key: [clip.metadata[key] for clip in clips] for key in self.extra_columns})
        table = relabel(every.assign(at=range(len(clips))), scheme).astype({"apex": "Int64"})
        kept = table.pop("at").to_list()
        rule = (self.name, scheme.name, repr(sorted(scheme.emotions.items())), self.missing_apex)
        return Dataset(
            table,
            scheme.classes,
            clips=[clips[i] for i in kept],
            scheme=scheme.name,
            fingerprint=fingerprint(*rule, *(used[i][1] for i in kept)),
            remarks=tuple(self._remarks(reading)),
        )

    def read(self) -> Reading:
        """Read the annotation and look for the frames of every row, whatever its emotion.

        Raises the errors of `load`.
        """
        if self.missing_apex not in MISSING_APEX:
            raise OptionError(f"missing_apex is one of {', '.join(MISSING_APEX)}, not '{self.missing_apex}'")
        return self._read(self._open())

    def _read(self, copy: Copy) -> Reading:
        rows = tuple(self.rows(copy))
        listed: dict[Path, Recording] = {}

        def find(row: Row) -> Recording:
            if row.frames not in listed:
                listed[row.frames] = find_recording(row.frames, row.first_number)
            return listed[row.frames]

        verdicts = [judge(row, self.name, self.rules, find) for row in rows]
        _drop_repeated(rows, verdicts)
        for verdict in verdicts:
            self._treat_missing_apex(verdict)
        return Reading(copy, rows, tuple(verdicts))

    def check(self) -> list[Check]:
        """Compare the copy with what was published; see `Database.check`."""
        copy = self._open()
        place = Check("frames", copy.pattern, str(copy.home), ok=True)
        try:
            reading = self._read(copy)
        except MicroexpError as error:
            return [place, Check("annotation", "a readable file", "not usable", False, (str(error),))]
        files = sorted({row.file.name for row in reading.rows if row.number})
        found = f"{', '.join(files) or 'a file or folder for each clip'}: {len(reading.rows)} rows"
        return [
            place,
            Check("annotation", "a readable file", found, ok=True),
            *check_counts(self.counted(reading.rows), self._releases()),
            *check_frames(reading.copy, reading.rows, reading.verdicts, self.whole_recordings),
            *check_odds(reading.odds, self.known_odd, self.odd_rows),
        ]

    @property
    def _variant(self) -> str:
        return self.variant or next(iter(self.variants))

    def _releases(self) -> list[Release]:
        """The releases that the variant can be of."""
        return [release for release in self.releases if self._variant in (release.variants or self.variants)]

    def _open(self) -> Copy:
        variant = self._variant
        if variant not in self.variants:
            raise UnknownNameError(f"variant of {self.name}", variant, self.variants)
        try:
            return self._copy(variant)
        except PathMissingError as error:
            others = [other for other in self.variants if other != variant and self._has(other)]
            if not others:
                raise
            raise PathMissingError(
                f"{self.name}: there are no pictures of the variant '{variant}' in {self.root}, but of "
                f"{' and '.join(others)}. Name the one to use: variant={others[0]} "
                f"(--data variant={others[0]})"
            ) from error

    def _copy(self, variant: str) -> Copy:
        return Copy(self.root, self.name, self.variants[variant], self.sheets, self.sheet)

    def _has(self, variant: str) -> bool:
        try:
            self._copy(variant)
        except MicroexpError:
            return False
        return True

    def _treat_missing_apex(self, verdict: Verdict) -> None:
        clip = verdict.clip
        if clip is None or clip.apex is not None or clip.offset is None or self.missing_apex == "keep":
            return
        if self.missing_apex == "drop":
            verdict.clip = None
        else:
            middle = (clip.onset + clip.offset) // 2
            verdict.clip = clip.replace(apex=middle, metadata={**clip.metadata, "apex_assumed": True})

    def _remarks(self, reading: Reading) -> list[str]:
        """What has to be said beside every figure on these clips."""
        left_out = [odd for odd in reading.odds if not odd.kept]
        rows = {odd.row.key for odd in left_out}
        remarks = []
        if rows:
            remarks.append(
                f"{self.name}: {len(rows)} of {len(reading.rows)} rows are left out, first "
                f"{left_out[0]}. All are listed by: microexp datasets check {self.name} ROOT"
            )
        unknown = sum(clip.apex is None for clip in reading.clips)
        assumed = sum("apex_assumed" in clip.metadata for clip in reading.clips)
        if unknown:
            remarks.append(f"{self.name}: clips without an annotated apex: {unknown}.")
        if assumed:
            remarks.append(f"{self.name}: apexes that are the middle of onset and offset: {assumed}.")
        if self.missing_apex == "drop":
            dropped = sum(v.clip is None for v in reading.verdicts) - len(rows)
            remarks.append(f"{self.name}: left out for want of an annotated apex: {dropped}.")
        return remarks


def _first_reason(reading: Reading) -> str:
    """Why the first row is left out; one without a reason of its own has no apex."""
    left_out = [str(odd) for odd in reading.odds if not odd.kept]
    return f": {left_out[0]}" if left_out else " with an annotated apex" if reading.rows else ""


def _drop_repeated(rows: Sequence[Row], verdicts: Sequence[Verdict]) -> None:
    """Leave out a clip that an earlier row has already given."""
    first: dict[tuple[str, str], Row] = {}
    for row, verdict in zip(rows, verdicts, strict=True):
        earlier = first.setdefault(row.key, row)
        if earlier is not row:
            problem = f"the same subject and name as in row {earlier.number}"
            verdict.odds.append(Odd(row, "sheet", problem, "left out", kept=False))
            verdict.clip = None


_COLUMNS = [
    *("database", "subject", "clip", "emotion", "action_units"),
    *("onset", "apex", "offset", "frames", "fps"),
]


def _table_row(clip: Clip) -> dict[str, object]:
    return {
        "database": clip.database,
        "subject": clip.subject,
        "clip": clip.name,
        "emotion": clip.emotion or "",
        "action_units": "+".join(str(unit) for unit in clip.action_units),
        "onset": clip.onset,
        "apex": clip.apex,
        "offset": clip.offset,
        "frames": len(clip),
        "fps": clip.fps,
    }
