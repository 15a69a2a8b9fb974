"""SAMM Long Videos: long recordings, their sheet below some lines of text, and SAMM's own sheet beside it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from microexp.clip import Clip
from microexp.datasets.lookalike._studio import Studio
from microexp.datasets.lookalike._tree import Cell, Expected, Pictures, Tree
from microexp.errors import UnknownNameError

_CHOICES = {"release": ("V3", "V2", "V1"), "codes": ("beside", "none"), "kind": ("micro", "macro", "both")}
_PEOPLE = tuple(f"{n:03d}" for n in (*range(6, 38),))
_RECORDINGS, _MACRO = 147, 343
_EMOTIONS = {
    **{"Anger": 57, "Other": 26, "Happiness": 26, "Surprise": 15},
    **{"Contempt": 12, "Disgust": 9, "Fear": 8, "Sadness": 6},
}
_TYPES = {"micro": "Micro - 1/2", "macro": "Macro"}
_QUIET = 12  # recordings in which nobody shows anything
_ENDLESS = 3  # macro-expressions of which nobody saw the onset


@dataclass(frozen=True)
class _Planned:
    number: int
    kind: str
    emotion: str
    odd: str = ""


def write(
    tree: Tree, studio: Studio, release: str = "V3", codes: str = "beside", kind: str = "micro"
) -> None:
    """Write the look-alike.

    Parameters
    ----------
    tree, studio
        Where to, and with whom.
    release : {"V3", "V2", "V1"}
        In the name of the sheet.
    codes : {"beside", "none"}
        Whether SAMM's own sheet, which has the emotions, lies beside.
    kind : {"micro", "macro", "both"}
        Which expressions are noted down as those to be found; all are written.
    """
    for name, value in (("release", release), ("codes", codes), ("kind", kind)):
        if value not in _CHOICES[name]:
            raise UnknownNameError(f"{name} of SAMM Long Videos", value, _CHOICES[name])
    rows: list[list[Cell]] = []
    emotions: list[list[Cell]] = []
    for subject, video, planned in tree.each(list(_plan(studio))):
        clips = [studio.film(int(subject), one.emotion) for one in planned]
        files, onsets = _recording(tree, studio, subject, video, clips)
        for k, (one, clip, onset) in enumerate(zip(planned, clips, onsets, strict=True), start=1):
            # One file name stands for two expressions of different types.
            filename = f"{subject}_{video}_{k - 1 if one.odd == 'same name' else k}"
            row = _row(subject, video, filename, one, clip, onset, last=max(files))
            rows.append(row)
            if one.kind == "micro":
                emotions.append([*row[:9], one.emotion, 1 + one.number % 7, None])
            if kind in (one.kind, "both"):
                _expect(tree, row, one, clip, files, known=codes == "beside")
    _write_sheets(tree, rows, emotions if codes == "beside" else [], release)


def _recording(
    tree: Tree, studio: Studio, subject: str, video: int, clips: list[Clip]
) -> tuple[dict[int, str], list[int]]:
    """Write one recording; return its files and where each expression begins."""
    place, name = f"SAMM_longvideos/{subject}_{video}", f"{subject}_{video}_{{:04d}}.jpg"
    if not clips:
        return tree.frames(place, name, studio.film(int(subject), "Anger"), 1, [1, 2, 3]), []
    onsets = [4]
    for clip in clips:
        onsets.append(onsets[-1] + (clip.offset or 0) - clip.onset + 6)
    return tree.recording(place, name, list(zip(clips, onsets[:-1], strict=True))), onsets[:-1]


def _row(
    subject: str, video: int, filename: str, one: _Planned, clip: Clip, onset: int, last: int
) -> list[Cell]:
    apex, offset = onset + (clip.apex or 0) - clip.onset, onset + (clip.offset or 0) - clip.onset
    first = onset
    if one.odd == "endless":
        first, offset = 0, last
    elif one.odd == "no offset":
        offset = 0
    grades = "ABCDE"
    units = "+".join(f"{unit}{grades[(one.number + n) % 5]}" for n, unit in enumerate(clip.action_units))
    length = offset - first + 1
    return [subject, filename, video, first, apex, offset, length, _TYPES[one.kind], units, None]


def _expect(
    tree: Tree, row: list[Cell], one: _Planned, clip: Clip, files: dict[int, str], known: bool
) -> None:
    subject, filename, onset, apex, offset = row[0], row[1], row[3], row[4], row[5]
    name = str(filename) if one.kind == "micro" else f"{filename}_macro"
    if one.odd == "endless":
        tree.expect_left_out(str(subject), name)
        return
    begin, middle = int(onset or 0), int(apex or 0)
    end = int(offset or 0) or middle
    emotion = one.emotion if known and one.kind == "micro" else None
    pictures = {"raw": Pictures(files[begin], files[middle], files[end], end - begin + 1)}
    units = tuple(map(str, clip.action_units))
    tree.expect(Expected(str(subject), name, emotion, units, begin, middle, end, 200.0, pictures))


def _write_sheets(tree: Tree, rows: list[list[Cell]], emotions: list[list[Cell]], release: str) -> None:
    header: list[Cell] = ["Subject", "Filename", "Inducement Code", "Onset", "Apex", "Offset", "Duration"]
    about: list[list[Cell]] = [[f"About this sheet, line {n}"] for n in range(1, 10)]
    table = [*about, [*header, "Type", "Action Units", "Notes"], *rows]
    tree.xlsx(f"SAMM_LongVideos_{release}_Release.xlsx", {"Sheet1": table})
    if emotions:
        about = [[f"About the codes, line {n}"] for n in range(1, 14)]
        header[3:6] = ["Onset Frame", "Apex Frame", "Offset Frame"]
        header += ["Micro", "Action Units", "Estimated Emotion", "Objective Classes", "Notes"]
        tree.xlsx("SAMM_Micro_FACS_Codes_v2.xlsx", {"MICRO_ONLY": [*about, header, *emotions]})


def _plan(studio: Studio) -> Iterator[tuple[str, int, list[_Planned]]]:
    """Subject, number of the recording, and what is shown in it."""
    people = _PEOPLE if studio.full else _PEOPLE[: studio.subjects]
    words = list(_EMOTIONS)
    if studio.full:
        deck = [
            _Planned(n, "micro", word) for n, word in enumerate(w for w in words for _ in range(_EMOTIONS[w]))
        ]
        odd = ["same name"] + ["endless"] * _ENDLESS + ["no offset"] * 4
        for n in range(_MACRO):
            told = odd[n] if n < len(odd) else ""
            deck.append(_Planned(n, "macro", words[n % 7] if words[n % 7] != "Other" else "Anger", told))
        takes = [(people[n % len(people)], n // len(people) + 1) for n in range(_RECORDINGS)]
    else:
        deck = [
            _Planned(n, ("micro", "macro")[n % 2], words[n % len(words)], "no offset" if n == 2 else "")
            for n in range(studio.clips * len(people))
        ]
        takes = [(person, 1) for person in people]
    busy = takes[: len(takes) - _QUIET] if studio.full else takes
    shown: dict[tuple[str, int], list[_Planned]] = {take: [] for take in takes}
    for n, one in enumerate(deck):
        shown[busy[n % len(busy)]].append(one)
    for (subject, video), planned in sorted(shown.items()):
        yield subject, video, planned
