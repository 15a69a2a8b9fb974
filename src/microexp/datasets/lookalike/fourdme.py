"""4DME: grey micro-expressions with one or more emotions, and the long videos they were cut from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from microexp.clip import Clip
from microexp.datasets.lookalike._studio import Studio
from microexp.datasets.lookalike._tree import Cell, Expected, Pictures, Tree

_FLAGS = ("Positive", "Negative", "Surprise", "Repression", "Others")
_SHOWN = {
    "Positive": "happiness",
    "Negative": "disgust",
    "Surprise": "surprise",
    "Repression": "repression",
    "Others": "others",
}
# Emotions of a clip, in turn; two at once are as frequent as one in the real sheet's code is said to allow.
_LABELS = (
    *(("Positive",), ("Negative",), ("Surprise",), ("Repression",), ("Others",)),
    *(("Negative", "Repression"), ("Positive", "Surprise"), ("Negative",), ("Surprise",)),
)
_UNITS = tuple(range(1, 29))
_FILE = "Frame_{:09d}.jpg"
_CLIPS, _PEOPLE = 267, 24
_GAP = 8  # frames between two expressions of a long video


@dataclass(frozen=True)
class _Planned:
    number: int
    subject: int
    take: int

    @property
    def labels(self) -> tuple[str, ...]:
        return _LABELS[self.number % len(_LABELS)]


def write(tree: Tree, studio: Studio) -> None:
    """Write the look-alike; `tree` and `studio` say where to and with whom."""
    short: list[list[Cell]] = []
    long: list[list[Cell]] = []
    ends: dict[int, int] = {}
    for planned in tree.each(list(_plan(studio))):
        clip = studio.film(planned.subject, _SHOWN[planned.labels[0]])
        start = ends.get(planned.subject, 1800 + 13 * planned.subject)
        video = _Video(planned.subject, start)
        short.append(_micro(tree, clip, planned, video))
        long.append(_long(tree, clip, planned, video))
        ends[planned.subject] = start + len(clip) + _GAP
    header: list[Cell] = ["Onset", "Apex", "Offset", "Total", "AUs"]
    flags: list[Cell] = ["eye blink", *_FLAGS]
    units: list[Cell] = [f"AU{unit}" for unit in _UNITS]
    tree.xlsx(
        "4DME_Labelling_Micro_release v1.xlsx",
        {"Sheet1": [["sub_ID", "fold", "fold_name", "Emotion", *flags, *header, *units], *short]},
    )
    tree.xlsx(
        "Micro and Macro-expression labels.xlsx",
        {"Sheet1": [["sub_ID", "video_name", "Type", *header[:3], "AUs", "Emotion"], *long]},
    )


@dataclass(frozen=True)
class _Video:
    """Where in the long video of a person the next expression is."""

    subject: int
    start: int

    @property
    def folder(self) -> str:
        return f"{self.subject:02d}/{self.name}"

    @property
    def name(self) -> str:
        return f"{self.subject:02d}_03"


def _micro(tree: Tree, clip: Clip, planned: _Planned, video: _Video) -> list[Cell]:
    """Write the short clip, whole and cropped; note it, and return its row."""
    onset, apex, offset = _numbers(clip, video)
    name, units = f"{video.name}_{planned.take}", tuple(map(str, clip.action_units))
    pictures = {}
    for variant, top, crop in (("micro", "gray_micro", 0.0), ("cropped", "gray_micro_crop", 0.15)):
        folder = f"{top}/{video.subject:02d}/{name}"
        files = tree.frames(folder, _FILE, clip, onset, range(onset, offset + 1), crop)
        pictures[variant] = Pictures(files[onset], files[apex], files[offset], len(files))
    # Some rows have their emotions, or their action units, in the columns of ones and noughts alone.
    unsaid, plain = planned.number % 7 == 3, all(unit.isdigit() for unit in units)
    uncoded = planned.number % 11 == 4 and plain
    if uncoded:
        units = tuple(sorted(units, key=int))
    emotion = "+".join(label.lower() for label in planned.labels)
    tree.expect(Expected(f"{video.subject:02d}", name, emotion, units, onset, apex, offset, 60.0, pictures))
    coded = {int("".join(filter(str.isdigit, unit))) for unit in units}
    return [
        *(f"{video.subject:02d}", 1, name, None if unsaid else "+".join(planned.labels)),
        *(int(planned.number % 5 == 0), *(int(flag in planned.labels) for flag in _FLAGS)),
        *(onset + 0.0, apex + 0.0, offset + 0.0, offset - onset + 1),
        None if uncoded else _marked(units, planned.number),
        *(int(unit in coded) for unit in _UNITS),
    ]


def _long(tree: Tree, clip: Clip, planned: _Planned, video: _Video) -> list[Cell]:
    """Write the piece of the long video around the expression; note it, and return its row.

    There each third take of a person is a macro-expression.
    """
    onset, apex, offset = _numbers(clip, video)
    numbers = range(video.start, video.start + len(clip) + _GAP)
    files = tree.frames(f"long gray video/{video.folder}", _FILE, clip, onset, numbers)
    units, macro = tuple(map(str, clip.action_units)), planned.take == 3
    if not macro:
        emotion = "+".join(label.lower() for label in planned.labels)
        pictures = Pictures(files[onset], files[apex], files[offset], offset - onset + 1)
        who, name = f"{video.subject:02d}", f"{video.name}_{onset}"
        tree.expect(Expected(who, name, emotion, units, onset, apex, offset, 60.0, {"long": pictures}))
    return [
        *(f"{video.subject:02d}", video.name, "Macro-expression" if macro else "Micro-expression"),
        *(onset, apex, offset, _marked(units, planned.number), ", ".join(planned.labels)),
    ]


def _numbers(clip: Clip, video: _Video) -> tuple[int, int, int]:
    return (
        video.start + clip.onset,
        video.start + (clip.apex or 0),
        video.start + (clip.offset or 0),
    )


def _marked(units: tuple[str, ...], number: int) -> str:
    """``AU4+AU7(k)``: the last unit bears the mark in every third row."""
    texts = [f"AU{unit}" if unit.isdigit() else unit for unit in units]
    return "+".join(texts) + ("(k)" if number % 3 == 0 else "")


def _plan(studio: Studio) -> Iterator[_Planned]:
    people, clips = (_PEOPLE, _CLIPS) if studio.full else (studio.subjects, studio.subjects * studio.clips)
    each = [clips // people + (person < clips % people) for person in range(people)]
    number = 0
    for person, count in enumerate(each):
        for take in range(1, count + 1):
            yield _Planned(number, 2 + person, take)
            number += 1
