"""One row of an annotation and the frames it speaks of: judged, and made a clip."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from microexp.clip import Clip
from microexp.datasets.action_units import parse_action_units
from microexp.datasets.annotated._frames import Recording
from microexp.errors import MicroexpError, PathMissingError

FIRST, LAST = "first", "last"  # in place of a number: the first or last frame that there is


@dataclass(frozen=True)
class Row:
    """One expression as the annotation has it, nothing judged yet.

    Attributes
    ----------
    file : Path
        The annotation it stands in.
    number : int
        Row as the spreadsheet program counts; 0 where the annotation is a file of its own.
    subject, name : str
        Who, and the clip's name, unique within the subject.
    frames : Path
        Folder of numbered pictures, or a video file. It need not exist.
    fps : float
        Frames per second; 0 for a video's own.
    onset, apex, offset : str
        Frame numbers as written (``"46"``, ``"/"``, ``""``), or `FIRST` or `LAST`.
    emotion, action_units : str
        As written.
    first_number : int
        Number that the annotation gives to the first frame of a video.
    remarks : tuple of str
        What is odd about the row and only the loader of its database can tell.
    absent : str
        What the annotation itself says of frames that it lacks: then they are not missing from the copy.
    extra : mapping
        Whatever else the clip's metadata should hold.
    """

    file: Path
    number: int
    subject: str
    name: str
    frames: Path
    fps: float
    onset: str = FIRST
    apex: str = ""
    offset: str = LAST
    emotion: str = ""
    action_units: str = ""
    first_number: int = 0
    remarks: tuple[str, ...] = ()
    absent: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str]:
        """What no other row may have."""
        return self.subject, self.name


@dataclass(frozen=True)
class Odd:
    """Something odd in a row, and what was done about it.

    Attributes
    ----------
    row : Row
        Where.
    about : str
        ``"sheet"``: the row itself; ``"frames"``: its pictures; ``"coding"``: its action units.
    problem, done : str
        In words.
    kept : bool
        Whether the clip is used.
    foreseen : bool
        Whether a rule of the database says what to do about it: then it is no fault of the copy.
    """

    row: Row
    about: str
    problem: str
    done: str
    kept: bool = True
    foreseen: bool = False

    def __str__(self) -> str:
        where = f"{self.row.file.name} row {self.row.number}" if self.row.number else self.row.file.name
        return f"{where}, {self.row.subject}/{self.row.name}: {self.problem}; {self.done}"


@dataclass(frozen=True)
class Rules:
    """What a database's annotation is known to do.

    Attributes
    ----------
    has_apex : bool
        False where the database annotates no apex: then a missing one is not odd.
    zero_offset_is_apex : bool
        An offset of 0 stands for "not seen": the apex is taken as the offset.
    zero_onset_is_unseen : bool
        An onset of 0 stands for "not seen": the row is left out.
    dropped_frames : bool
        The camera dropped frames: gaps between onset and offset are reported and the clip is kept.
    trimmed : bool
        Each folder holds one expression and counts from 1, whatever the row counts from: of a row in numbers
        of the recording the onset is the first file, and an offset that is beyond the last file, or that
        makes no sense, is the last file. Reported.
    margin : int or None
        Frames kept before the onset and after the offset; None for all that there are.
    """

    has_apex: bool = True
    zero_offset_is_apex: bool = False
    zero_onset_is_unseen: bool = False
    dropped_frames: bool = False
    trimmed: bool = False
    margin: int | None = None


@dataclass
class Verdict:
    """What became of a row.

    Attributes
    ----------
    clip : Clip or None
        None if the row cannot be used.
    odds : list of Odd
        What is odd in it.
    missing : bool
        Whether its frames are missing, wholly or in part.
    print : str
        Changes with the row and its pictures.
    """

    clip: Clip | None = None
    odds: list[Odd] = field(default_factory=list)
    missing: bool = False
    print: str = ""


def judge(row: Row, database: str, rules: Rules, find: Callable[[Row], Recording]) -> Verdict:
    """Make the clip of a row, or say why there is none.

    Parameters
    ----------
    row : Row
        The annotation.
    database : str
        Name of the database.
    rules : Rules
        Of the database.
    find : callable
        Lists the frames of a row; raises `MicroexpError` if there are none.
    """
    verdict = Verdict()
    try:
        recording = find(row)
    except MicroexpError as error:
        if row.absent and isinstance(error, PathMissingError):
            verdict.odds.append(Odd(row, "sheet", row.absent, "left out", kept=False, foreseen=True))
            return verdict
        verdict.missing = True
        problem = "its frames are missing" if isinstance(error, PathMissingError) else "its frames"
        verdict.odds.append(Odd(row, "frames", f"{problem}: {error}", "left out", kept=False))
        _span(row, rules, None, verdict)  # what is wrong in the row is said as well
        return verdict
    if recording.video is not None and recording.video.damage is not None:
        verdict.odds.append(Odd(row, "frames", f"the video is {recording.video.damage}", "kept"))
    span = _span(row, rules, recording, verdict)
    if span is not None and (span := _present(row, rules, recording, span, verdict)) is not None:
        verdict.clip = _clip(row, database, rules, recording, span, verdict)
    return verdict


@dataclass(frozen=True)
class _Span:
    """Frame numbers as annotated, and what to add to them to get those of the files."""

    onset: int
    apex: int | None
    offset: int
    shift: int = 0


def _span(row: Row, rules: Rules, recording: Recording | None, verdict: Verdict) -> _Span | None:
    """Read onset, apex and offset; None if onset or offset cannot be used."""

    def odd(problem: str, done: str, kept: bool = True, foreseen: bool = False) -> None:
        verdict.odds.append(Odd(row, "sheet", problem, done, kept, foreseen))

    for remark in row.remarks:
        odd(remark, "kept as it is")
    onset, apex, offset = (_number(text, recording) for text in (row.onset, row.apex, row.offset))
    if rules.zero_offset_is_apex and offset == 0 and apex is not None:
        offset = apex
        odd("the offset is 0", f"the apex {apex} is taken as the offset", foreseen=True)
    if rules.zero_onset_is_unseen and onset == 0:
        odd("the onset is 0: it was not seen", "left out", kept=False, foreseen=True)
        return None
    if rules.trimmed and recording is not None and onset is not None and (offset is None or offset < onset):
        problem = f"the offset '{row.offset}' is no frame number" if row.offset else "it has no offset"
        if offset is not None:
            problem = f"the offset {offset} comes before the onset {onset}"
        offset = _number_of_last(recording, onset)
        odd(problem, f"the last file ({recording.numbers[-1]}) is taken")
    for name, value, text in (("onset", onset, row.onset), ("offset", offset, row.offset)):
        if value is None and text not in (FIRST, LAST):
            odd(f"the {name} '{text}' is no frame number" if text else f"it has no {name}", "left out", False)
    if onset is None or offset is None:
        return None
    if onset > offset:
        odd(f"the onset {onset} comes after the offset {offset}", "left out", False)
        return None
    if apex is None and (row.apex or rules.has_apex) and row.apex not in (FIRST, LAST):
        problem = f"the apex '{row.apex}' is no frame number" if row.apex else "it has no apex"
        odd(problem, "kept with the apex unknown")
    elif apex is not None and not onset <= apex <= offset:
        side = f"before the onset {onset}" if apex < onset else f"after the offset {offset}"
        odd(f"the apex {apex} comes {side}", "kept with the apex unknown")
        apex = None
    elif apex == onset and row.apex not in (FIRST, LAST):
        odd(f"the apex is the onset ({onset}): nothing moves between them", "kept as it is")
    return _Span(onset, apex, offset)


def _number(text: str, recording: Recording | None) -> int | None:
    if text in (FIRST, LAST):
        return None if recording is None else recording.numbers[0 if text == FIRST else -1]
    return int(text) if text.isascii() and text.isdigit() else None


def _number_of_last(recording: Recording, onset: int) -> int:
    """Number of the last file as a row counts that may count in the recording."""
    rebased = recording.index(onset) is None
    return onset + len(recording.numbers) - 1 if rebased else recording.numbers[-1]


def _rebased(row: Row, recording: Recording, span: _Span, verdict: Verdict) -> _Span | None:
    """Match a row in numbers of the recording with a trimmed folder; None if it does not fit."""
    first, last = recording.numbers[0], recording.numbers[-1]
    end = _number_of_last(recording, span.onset)
    if not recording.counted_from_start or recording.index(span.onset) is not None or (span.apex or 0) > end:
        return None
    problem = f"the files count from {first} to {last}, the row from {span.onset} to {span.offset}"
    done = "the onset is taken as the first file"
    if span.offset > end:
        done += f" and the offset as the last, {span.offset - end} frames earlier"
    verdict.odds.append(Odd(row, "frames", problem, done))
    return _Span(span.onset, span.apex, min(span.offset, end), first - span.onset)


def _present(row: Row, rules: Rules, recording: Recording, span: _Span, verdict: Verdict) -> _Span | None:
    """Check that the frames of a span are there; None if they are not."""
    missing = recording.missing(span.onset, span.offset)
    if not missing:
        return span
    count = span.offset - span.onset + 1
    first, last = recording.numbers[0], recording.numbers[-1]
    if len(recording.numbers) == count and recording.counted_from_start:
        problem = f"the files count from {first} to {last}, the row from {span.onset} to {span.offset}"
        verdict.odds.append(Odd(row, "frames", problem, "matched in order: there are equally many"))
        return _Span(span.onset, span.apex, span.offset, first - span.onset)
    if rules.trimmed and (rebased := _rebased(row, recording, span, verdict)) is not None:
        return rebased
    ends = {span.onset, span.offset} & set(missing)
    told = f"{len(missing)} of its {count} frames are missing ({_runs(missing)}) in {recording.place}"
    if recording.empty:
        told += f"; {len(recording.empty)} files there have 0 bytes ({recording.empty[0]}, ...)"
    if rules.dropped_frames and not ends:
        lost = span.apex in missing
        done = "kept with the apex unknown" if lost else "kept: the camera dropped frames"
        verdict.odds.append(Odd(row, "frames", told, done))
        return _Span(span.onset, None if lost else span.apex, span.offset)
    verdict.missing = True
    there = f"; there are {first} to {last}" if len(missing) == count else ""
    verdict.odds.append(Odd(row, "frames", told + there, "left out", kept=False))
    return None


def _clip(row: Row, database: str, rules: Rules, recording: Recording, span: _Span, verdict: Verdict) -> Clip:
    """Build the clip; the span is known to be there."""
    coding = parse_action_units(row.action_units)
    if coding.unread:
        problem = f"'{', '.join(coding.unread)}' in the action units '{row.action_units}' is no code"
        verdict.odds.append(Odd(row, "coding", problem, "the rest is used"))
    start, stop = 0, len(recording.numbers)
    if rules.margin is not None and recording.video is None:
        start = max(_index(recording, span.onset + span.shift) - rules.margin, 0)
        stop = _index(recording, span.offset + span.shift) + 1 + rules.margin
    verdict.print = repr((row.key, span, row.emotion, row.action_units, row.fps))
    verdict.print += recording.print_of(start, stop)
    return Clip(
        recording.frames(start, stop),
        round(recording.video.fps, 6) if recording.video is not None and not row.fps else row.fps,
        onset=_index(recording, span.onset + span.shift) - start,
        apex=None if span.apex is None else _index(recording, span.apex + span.shift) - start,
        offset=_index(recording, span.offset + span.shift) - start,
        subject=row.subject,
        database=database,
        name=row.name,
        emotion=row.emotion or None,
        action_units=coding.units,
        metadata={
            "annotation": str(row.file),
            "row": row.number,
            "first_number": recording.numbers[start] - span.shift,
            "onset_number": span.onset,
            "apex_number": span.apex,
            "offset_number": span.offset,
            "action_units": row.action_units,
            "action_units_doubtful": coding.doubtful,
            **row.extra,
        },
    )


def _index(recording: Recording, number: int) -> int:
    index = recording.index(number)
    if index is None:  # _present saw to it that it is there
        raise LookupError(f"frame {number} of {recording.place}")
    return index


def _runs(numbers: list[int]) -> str:
    """[1, 2, 3, 7] -> "1 to 3, 7"; long lists are cut."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    told = [str(a) if a == b else f"{a} to {b}" for a, b in runs[:4]]
    return ", ".join(told) + (", ..." if len(runs) > 4 else "")
