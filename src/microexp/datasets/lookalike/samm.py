"""SAMM: raw and cropped folders, and the sheet below its 13 rows of text, with all its kinds of codes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from microexp.clip import Clip
from microexp.datasets.lookalike._studio import Studio
from microexp.datasets.lookalike._tree import Cell, Expected, Pictures, Tree
from microexp.frames import ArrayFrames

# Clips that the real sheet has and of which something is said: (subject, name) -> emotion.
_LATE, _EARLY = ("028", "028_4_1"), ("032", "032_3_1")
_NOTED = {_LATE: "Anger", _EARLY: "Happiness"}
# The rest of the 133 clips that have a class in MEGC2019, and the 26 that have none.
_REST = {"Anger": 56, "Happiness": 25, "Surprise": 15, "Contempt": 12, "Disgust": 9, "Fear": 8, "Sadness": 6}
_NEVER = {"Other": 26}
_SHOWN = (
    *("006", "007", *(f"{n:03d}" for n in range(9, 25)), "026", "028"),
    *(f"{n:03d}" for n in (*range(30, 34), *range(34, 38))),
)
_WITHOUT_CLASS = "029"  # the 29th of the table; which one it really is, nobody says
# A cell as the coders write it, and its units.
_CODES = (
    ("4", ("4",)),
    ("12A", ("12",)),
    ("L12C", ("L12",)),
    ("A12B", ("A12",)),
    ("4+7", ("4", "7")),
    ("T18", ("T18",)),
    ("B28", ("B28",)),
    ("ref(7B)", ("7",)),
    ("L12 or L14", ("L12", "L14")),
    ("(R6 or R12) + R15", ("R6", "R12", "R15")),
    ("10A/B", ("10",)),
    ("A/L12", ("A12",)),
    ("4+6+7+9+43E", ("4", "6", "7", "9", "43")),
    ("R14+17+soft focus", ("R14", "17")),
    ("1B + 2C ", ("1", "2")),
    ("14", ("14",)),
)
_PREAMBLE = (
    "Codes of the micro-movements",
    None,
    "Subject: number of the participant",
    "Filename: participant, inducement and number of the movement",
    "Onset, Apex and Offset are frames of the whole recording",
    "Duration: in frames",
    "Micro: whether the movement is shorter than half a second",
    None,
    "A to E: intensity; L, R, T, B, A: left, right, top, bottom, asymmetric",
    "Estimated Emotion: from the self-report; Objective Classes: from the codes alone",
    None,
    "All values are invented",
    None,
)
_HEADER = (
    *("Subject", "Filename", "Inducement Code", "Onset Frame", "Apex Frame", "Offset Frame", "Duration"),
    *("Micro", "Action Units", "Estimated Emotion", "Objective Classes", "Notes"),
)
_OBJECTIVE = {"Happiness": 1, "Surprise": 2, "Anger": 3, "Disgust": 4, "Sadness": 5, "Fear": 6}
_GREY = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class _Planned:
    number: int
    subject: str
    name: str
    emotion: str


def write(tree: Tree, studio: Studio) -> None:
    """Write the look-alike.

    Parameters
    ----------
    tree, studio
        Where to, and with whom.
    """
    above: list[list[Cell]] = [[text] for text in _PREAMBLE]
    rows = [_clip(tree, studio, planned) for planned in tree.each(list(_plan(studio)))]
    tree.xlsx("SAMM_Micro_FACS_Codes_v2.xlsx", {"MICRO_ONLY": [*above, list(_HEADER), *rows]})


def _clip(tree: Tree, studio: Studio, planned: _Planned) -> list[Cell]:
    """Write the pictures of one clip, note what a loader should find, and return its row of the sheet."""
    clip = _grey(studio.film(200 + int(planned.subject), planned.emotion))
    length = (clip.offset or 0) - clip.onset
    onset = 151 + planned.number * 419 % 16000
    key = planned.subject, planned.name
    if key == _LATE:
        onset = 1134 - length
    elif key == _EARLY:
        onset = 4896
    apex = {_LATE: 1143, _EARLY: 1930}.get(key, onset + (clip.apex or 0) - clip.onset)
    offset = onset + length
    usable = None if key in _NOTED else apex
    text, units = _CODES[planned.number % len(_CODES)]
    pictures = _pictures(tree, planned, clip, (onset, usable, offset))
    tree.expect(
        Expected(
            *(planned.subject, planned.name, planned.emotion, units, onset, usable, offset, 200.0, pictures)
        )
    )
    return [
        *(planned.subject, planned.name, int(planned.name.split("_")[1])),
        *(onset, apex, offset, offset - onset + 1, "Micro - 1/2"),
        int(text) if text.isdigit() else text,
        planned.emotion,
        _OBJECTIVE.get(planned.emotion, 7),
        "the head turns" if planned.number % 9 == 4 else None,
    ]


def _pictures(
    tree: Tree, planned: _Planned, clip: Clip, numbers: tuple[int, int | None, int]
) -> dict[str, Pictures]:
    onset, apex, offset = numbers
    pictures = {}
    for variant, top, file, around, crop in (
        ("raw", "SAMM", "{:05d}.jpg", 2, 0.0),
        ("cropped", "SAMM_CROP", "{}.jpg", 0, 0.15),  # without the padding
    ):
        folder = f"{top}/{planned.subject}/{planned.name}"
        present = range(onset - around, offset + around + 1)
        files = tree.frames(folder, f"{planned.subject}_{file}", clip, onset, present, crop)
        pictures[variant] = Pictures(
            files[onset], None if apex is None else files[apex], files[offset], len(files)
        )
    return pictures


def _grey(clip: Clip) -> Clip:
    grey = np.rint(np.asarray(clip.frames[:], np.float32) @ np.array(_GREY, np.float32)).astype(np.uint8)
    return clip.replace(frames=ArrayFrames(np.repeat(grey[..., None], 3, axis=3)))


def _plan(studio: Studio) -> Iterator[_Planned]:
    """Who shows what, by subject."""
    clips = _full() if studio.full else _small(studio.subjects, studio.clips)
    number = 0
    for subject in sorted(clips):
        noted = [(name, emotion) for (who, name), emotion in _NOTED.items() if who == subject]
        emotions = [*(emotion for _, emotion in noted), *clips[subject]]
        names = [*(name for name, _ in noted), *(f"{subject}_{n // 3 + 1}_{n % 3 + 2}" for n in range(999))]
        for name, emotion in zip(names, emotions if studio.full else emotions[: studio.clips], strict=False):
            yield _Planned(number, subject, name, emotion)
            number += 1


def _full() -> dict[str, list[str]]:
    """The published numbers: 159 clips of 29 people."""
    people = (*_SHOWN, _WITHOUT_CLASS)
    clips: dict[str, list[str]] = {subject: [] for subject in people}
    for group, counts in ((_SHOWN, _REST), (people[::-1], _NEVER)):
        emotions = [emotion for emotion, count in counts.items() for _ in range(count)]
        for turn, emotion in enumerate(emotions):
            clips[group[turn % len(group)]].append(emotion)
    return clips


def _small(subjects: int, clips: int) -> dict[str, list[str]]:
    """The people with the noted clips first, then others."""
    others = [f"{n:03d}" for n in range(6, subjects + 8) if f"{n:03d}" not in ("028", "032")]
    people = ["028", "032", *others][:subjects]
    cycle = ("Surprise", "Happiness", "Anger", "Contempt", "Other", "Disgust", "Fear", "Sadness")
    return {
        subject: [cycle[(turn + start) % len(cycle)] for turn in range(clips)]
        for start, subject in enumerate(people)
    }
