"""What `datasets check` says of a copy: counts against the published ones, what is missing, what is odd."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from microexp.datasets.annotated._copy import Copy
from microexp.datasets.annotated._rows import Odd, Row, Verdict
from microexp.datasets.base import Check
from microexp.datasets.labels import emotion_word

_LIKE = 0.05  # part of the rows in which a sheet may differ from the release that it is taken for
_HALF = 0.1  # part of the clips that may lack frames before the whole copy is called incomplete


@dataclass(frozen=True)
class Release:
    """Published counts of one release of an annotation.

    Attributes
    ----------
    name : str
        As in the name of its file, if it stands there.
    subjects : int
        Number of people; 0 where it is not published.
    emotions : mapping of str to int
        Lower-case emotion to number of clips; empty where it is not published.
    total : int
        Number of clips, where there is nothing more to say.
    variants : tuple of str
        Variants of the database that this release is of; none for all.
    """

    name: str
    subjects: int
    emotions: Mapping[str, int] = field(default_factory=dict)
    total: int = 0
    variants: tuple[str, ...] = ()

    @property
    def clips(self) -> int:
        """Number of clips."""
        return sum(self.emotions.values()) or self.total

    def distance(self, counts: Mapping[str, int]) -> int:
        """How many clips the given counts are away from this release's."""
        if not self.emotions:
            return abs(self.total - sum(counts.values()))
        return sum(abs(self.emotions.get(e, 0) - counts.get(e, 0)) for e in {*self.emotions, *counts})


def check_counts(rows: Sequence[Row], releases: Sequence[Release]) -> list[Check]:
    """Compare the rows of each annotation file with the nearest release, emotion by emotion."""
    if not releases:
        return [Check("rows", "any", str(len(rows)), bool(rows))]
    files = sorted({row.file for row in rows if row.number})
    if len(files) < 2:
        return _check_counts(rows, releases)
    return [
        replace(check, what=f"{file.stem}: {check.what}")
        for file in files
        for check in _check_counts([row for row in rows if row.file == file], releases)
    ]


def _check_counts(rows: Sequence[Row], releases: Sequence[Release]) -> list[Check]:
    """Compare the rows of one file, or of a file for each clip."""
    counts = Counter(emotion_word(row.emotion) for row in rows)
    file = rows[0].file.name if rows and rows[0].number else ""
    named = next((release for release in releases if release.name in file), None)
    like = min(releases, key=lambda release: release.distance(counts))
    if named and like.distance(counts) > _LIKE * like.clips:
        like = named  # it is far from all of them, so its name says more
    checks = [_check_release(file, counts, like, named or like, releases)]
    if not like.emotions:
        checks.append(Check("rows", str(like.total), str(len(rows)), len(rows) == like.total))
        counts.clear()
    for emotion in [*like.emotions, *sorted(counts.keys() - like.emotions.keys())]:
        expected, found = like.emotions.get(emotion, 0), counts.get(emotion, 0)
        checks.append(Check(f"rows: {emotion or 'no emotion'}", str(expected), str(found), expected == found))
    people = len({row.subject for row in rows})
    if not like.subjects:
        return checks
    return [*checks, Check("subjects", str(like.subjects), str(people), people == like.subjects)]


def _check_release(
    file: str, counts: Mapping[str, int], like: Release, named: Release, releases: Sequence[Release]
) -> Check:
    """Say which release the sheet is; a file that is named after another one is a fault."""
    away = like.distance(counts)
    found = counts if like.emotions else {"rows": sum(counts.values())}
    details = []
    if named is not like:
        details.append(
            f"{file} is named after the release {named.name}, but it holds that of {like.name}; "
            f"rename it, or get the sheet of {named.name}"
        )
    for other in releases:
        both = other is not like and other.emotions and like.emotions
        close = away <= _LIKE * like.clips
        if both and close and (told := _difference(like.emotions, other.emotions)):
            details.append(f"the release {other.name} has {told}")
    return Check(
        "release of the sheet" if file else "release",
        " or ".join(release.name for release in releases),
        like.name + (f", with {_difference(like.emotions or {'rows': like.total}, found)}" if away else ""),
        not away and named is like,
        tuple(details),
    )


def _difference(usual: Mapping[str, int], counts: Mapping[str, int]) -> str:
    """``"sadness 4 in place of 7"`` for each emotion whose count differs."""
    words = dict.fromkeys((*usual, *counts))
    return ", ".join(
        f"{word or 'no emotion'} {counts.get(word, 0)} in place of {usual.get(word, 0)}"
        for word in words
        if counts.get(word, 0) != usual.get(word, 0)
    )


def check_frames(
    copy: Copy, rows: Sequence[Row], verdicts: Sequence[Verdict], recordings: bool = False
) -> list[Check]:
    """Say which clips lack frames and why, and which folders no row speaks of: recordings may be such."""
    lacking = [(row, verdict) for row, verdict in zip(rows, verdicts, strict=True) if verdict.missing]
    whole = len(rows) - len(lacking)
    taken = {place for row in rows for place in (row.frames, *row.frames.parents)}
    absent = _absent_folders(copy, [row for row, _ in lacking if not copy.holds(row.frames)], taken)
    odds = [odd for row, verdict in lacking if copy.holds(row.frames) for odd in verdict.odds]
    partly = [str(odd) for odd in odds if odd.about == "frames"]
    details = [*_half_a_copy(copy, rows, lacking, taken), *absent, *partly]
    used = {row.frames for row in rows}
    spare = [str(place) for place in copy.clip_folders() if place not in used]
    checks = [
        Check("clips with all frames", str(len(rows)), str(whole), not lacking, tuple(details)),
        Check("recordings without expression", "any", str(len(spare)), True, tuple(spare))
        if recordings
        else Check("folders without a row", "0", str(len(spare)), not spare, tuple(spare)),
    ]
    if copy.unreadable:
        told = tuple(copy.unreadable)
        checks.append(Check("folders that cannot be read", "0", str(len(told)), False, told))
    return checks


def _absent_folders(copy: Copy, rows: Sequence[Row], taken: Collection[Path]) -> list[str]:
    """One line for each folder that is not there, though many clips may lie in it."""
    clips: dict[Path, list[Row]] = {}
    names: dict[Path, str | None] = {}
    for row in rows:
        place, other = copy.renamed(row.frames, taken)
        clips.setdefault(place, []).append(row)
        names[place] = other
    return [
        f"{place.name} is missing in {place.parent} ({_clips(len(group))})"
        + (f"; {names[place]} is there: rename it to {place.name}" if names[place] else "")
        for place, group in clips.items()
    ]


def _half_a_copy(
    copy: Copy, rows: Sequence[Row], lacking: Sequence[tuple[Row, Verdict]], taken: Collection[Path]
) -> list[str]:
    """Say that the copying itself seems to have stopped, where a good part lacks frames by no new name."""
    lost = [row for row, _ in lacking if copy.holds(row.frames) or not copy.renamed(row.frames, taken)[1]]
    if not rows or len(lost) < max(2, _HALF * len(rows)):
        return []
    people, keys = {row.subject for row in rows}, {row.key for row in lost}
    gone = sorted(people - {row.subject for row in rows if row.key not in keys})
    told = f"; {len(gone)} of {len(people)} subjects have none ({', '.join(gone[:3])}, ...)" if gone else ""
    return [
        f"the copy is incomplete: {_clips(len(rows) - len(lost))} of {len(rows)} have their frames{told}. "
        "Copy or unpack it again"
    ]


def check_odds(odds: Sequence[Odd], known: Collection[tuple[str, str]], count: int = 0) -> list[Check]:
    """Say which rows are odd; those that are so in the published sheet are no fault.

    `known` names them; `count` says how many there are besides, where it is not known which.
    """
    sheet = [odd for odd in odds if odd.about == "sheet"]
    frames = [odd for odd in odds if odd.about == "frames" and odd.kept]
    coding = [odd for odd in odds if odd.about == "coding"]
    new = [odd for odd in sheet if not odd.foreseen and odd.row.key not in known]
    published = f"up to {count} rows" if count else f"{len(sheet) - len(new)} as published"
    told = tuple(str(odd) + (" (as published)" if odd not in new else "") for odd in sheet)
    odd_rows = len({odd.row.key for odd in new})
    found = f"{odd_rows} rows" if count else f"{len(sheet)}"
    checks = [Check("odd rows", published, found, odd_rows <= count, told)]
    if frames:
        checks.append(Check("frames matched with a remark", "any", str(len(frames)), True, _told(frames)))
    if coding:
        checks.append(Check("action units not read", "any", str(len(coding)), True, _told(coding)))
    return checks


def _told(odds: Sequence[Odd]) -> tuple[str, ...]:
    return tuple(str(odd) for odd in odds)


def _clips(count: int) -> str:
    return "1 clip" if count == 1 else f"{count} clips"
