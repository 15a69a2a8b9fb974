"""CASME: raw and cropped folders of which one half pads its numbers, and a sheet with five rows that fail."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from microexp.clip import Clip
from microexp.datasets.lookalike._studio import Studio
from microexp.datasets.lookalike._tree import Cell, Expected, Pictures, Tree

_PEOPLE = 19
_EMOTIONS = {
    **{"tense": 69, "disgust": 44, "repression": 38, "surprise": 20},
    **{"happiness": 9, "sadness": 6, "fear": 2, "contempt": 1},
}
_NAMES = tuple(f"EP{1 + n // 3:02d}_{n % 3 + 1}" for n in range(40))
# Rows, counted from 0, that public code repairs by hand: what is wrong with them here is invented.
_FAULTS = {40: "offset first", 42: "offset first", 43: "no apex", 54: "late apex", 140: "no offset"}
_FAULTS_OF_SMALL = {1: "no apex"}
_PADDED_FROM = 92  # from this row on the numbers in file names have three digits


@dataclass(frozen=True)
class _Planned:
    row: int
    subject: int
    name: str
    emotion: str
    fault: str


def write(tree: Tree, studio: Studio) -> None:
    """Write the look-alike.

    Parameters
    ----------
    tree, studio
        Where to, and with whom.
    """
    header: list[Cell] = ["Subject", "Filename", None, "OnsetF", "ApexF1", "ApexF2", "OffsetF", None]
    rows = [_row(tree, studio, planned) for planned in tree.each(list(_plan(studio)))]
    tree.xlsx("casme.xlsx", {"Sheet1": [[*header, "AU", "Emotion"], *rows]})


def _row(tree: Tree, studio: Studio, planned: _Planned) -> list[Cell]:
    """Write the pictures of one clip, note what a loader should find, and return its row of the sheet."""
    clip = studio.film(planned.subject, planned.emotion)
    onset = clip.onset + 1 + planned.row * 7 % 90
    apex, offset = onset + (clip.apex or 0) - clip.onset, onset + (clip.offset or 0) - clip.onset
    person = f"{planned.subject:02d}"
    pictures = _pictures(tree, planned, clip, onset, apex, offset)
    known = None if planned.fault in ("no apex", "late apex") else apex
    if planned.fault in ("offset first", "no offset"):
        tree.expect_left_out(person, planned.name)
    else:
        units = tuple(map(str, clip.action_units))
        tree.expect(
            Expected(person, planned.name, planned.emotion, units, onset, known, offset, 60.0, pictures)
        )
    written: dict[str, tuple[Cell, Cell, Cell]] = {
        "": (onset, apex, offset),
        "offset first": (offset, apex, onset),
        "no apex": (onset, None, offset),
        "late apex": (onset, offset + 4, offset),
        "no offset": (onset, apex, None),
    }
    first, middle, last = written[planned.fault]
    second = apex + 1 if planned.row % 9 == 8 else None  # some rise twice
    text = "+".join(map(str, clip.action_units))
    return [
        *(planned.subject, planned.name, None, first, middle, second, last, None),
        int(text) if text.isdigit() else text,
        planned.emotion,
    ]


def _pictures(
    tree: Tree, planned: _Planned, clip: Clip, onset: int, apex: int, offset: int
) -> dict[str, Pictures]:
    digits = "{:03d}" if planned.row >= _PADDED_FROM else "{}"
    pictures = {}
    for variant, top, before, crop in (
        ("raw", "CASME_raw_selected", "", 0.0),
        ("cropped", "Cropped", "reg_", 0.15),
    ):
        folder = f"{top}/sub{planned.subject:02d}/{planned.name}"
        file = f"{before}{planned.name}-{digits}.jpg"
        files = tree.frames(folder, file, clip, onset, range(onset, offset + 1), crop)
        known = None if planned.fault in ("no apex", "late apex") else files[apex]
        pictures[variant] = Pictures(files[onset], known, files[offset], len(files))
    return pictures


def _plan(studio: Studio) -> Iterator[_Planned]:
    """Who shows what, by subject."""
    people = _PEOPLE if studio.full else studio.subjects
    faults = _FAULTS if studio.full else _FAULTS_OF_SMALL
    deck = [word for word, count in _EMOTIONS.items() for _ in range(count)]
    row = 0
    for subject in range(1, people + 1):
        cycle = list(_EMOTIONS)[: max(4, studio.clips)]
        emotions = deck[subject - 1 :: people] if studio.full else (cycle * studio.clips)[: studio.clips]
        for name, emotion in zip(_NAMES, emotions, strict=False):
            yield _Planned(row, subject, name, emotion, faults.get(row, ""))
            row += 1
