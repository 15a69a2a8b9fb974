"""DFME: a sheet and a folder for each of three splits, three frame rates, action descriptors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice

from microexp.clip import Clip
from microexp.datasets.lookalike._studio import Studio
from microexp.datasets.lookalike._tree import Cell, Expected, Pictures, Tree

_HEADER: list[Cell] = [
    *("Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Emotion", "EmotionId", "Fps", "AU")
]
_EMOTIONS = ("anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise")  # by EmotionId
_FILES = {"train": "training_full_with_AU", "testA": "testA_full_with_AU", "testB": "testB_full_with_AU"}
_PEOPLE = {"train": 176, "testA": 42, "testB": 41}
# Clips of each emotion, by EmotionId. For the test splits only the sum is known: the rest is invented.
_COUNTS = {
    "train": (161, 100, 548, 265, 206, 278, 298),
    "testA": (40, 26, 140, 68, 53, 71, 76),
    "testB": (26, 16, 88, 43, 33, 45, 48),
}
_RATES = (500, 300, 200)
_MORE = ("", "AD31", "M58", "L12", "R4")  # beside the units that are shown, in turn


@dataclass(frozen=True)
class _Planned:
    number: int
    split: str
    subject: int
    take: int
    emotion: str

    @property
    def name(self) -> str:
        return f"sub{self.subject:04d}_{self.take:02d}"


def write(tree: Tree, studio: Studio) -> None:
    """Write the look-alike; `tree` and `studio` say where to and with whom."""
    rows: dict[str, list[list[Cell]]] = {split: [_HEADER] for split in _FILES}
    for planned in tree.each(list(_plan(studio))):
        rows[planned.split].append(_clip(tree, studio.film(planned.subject, planned.emotion), planned))
    for split, file in _FILES.items():
        if len(rows[split]) > 1:
            tree.xlsx(f"{file}.xlsx", {"Sheet1": rows[split]})


def _clip(tree: Tree, clip: Clip, planned: _Planned) -> list[Cell]:
    """Write the pictures of one clip, note what a loader should find, and return its row."""
    onset = 1 + planned.number * 37 % 300
    apex, offset = (onset + (index or 0) - clip.onset for index in (clip.apex, clip.offset))
    fps, more = _RATES[planned.subject % 3], _MORE[planned.number % len(_MORE)]
    texts = [*map(str, clip.action_units), *([more] if more else [])]
    codes = [text.removeprefix("AD").removeprefix("M") for text in texts]
    folder = f"{planned.split}/{planned.name}"
    files = tree.frames(folder, "{:05d}.png", clip, onset, range(onset, offset + 1))
    pictures = Pictures(files[onset], files[apex], files[offset], len(files))
    subject = f"sub{planned.subject:04d}"
    units = tuple(dict.fromkeys(codes))
    tree.expect(
        Expected(
            *(subject, planned.name, planned.emotion, units, onset, apex, offset, float(fps)),
            {"raw": pictures},
        )
    )
    return [
        *(subject, planned.name, onset, apex, offset),
        *(planned.emotion, _EMOTIONS.index(planned.emotion), fps),
        int(texts[0]) if len(texts) == 1 and texts[0].isdigit() else "+".join(texts),
    ]


def _plan(studio: Studio) -> Iterator[_Planned]:
    """Who shows what, by split and subject; numbers of people have gaps, as the real ones do."""
    number, first = 0, 0
    for split, (people, emotions) in (
        _full() if studio.full else _small(studio.subjects, studio.clips)
    ).items():
        takes: dict[int, list[str]] = {}
        for turn, emotion in enumerate(emotions):
            takes.setdefault(3 + 2 * (first + turn % people), []).append(emotion)
        for subject, shown in sorted(takes.items()):
            for take, emotion in enumerate(shown, start=1):
                yield _Planned(number, split, subject, take, emotion)
                number += 1
        first += people


def _full() -> dict[str, tuple[int, list[str]]]:
    """The published numbers: people, and an emotion for each clip."""
    return {
        split: (_PEOPLE[split], [e for e, n in zip(_EMOTIONS, _COUNTS[split], strict=True) for _ in range(n)])
        for split in _FILES
    }


def _small(subjects: int, clips: int) -> dict[str, tuple[int, list[str]]]:
    """One person in each test split, the others in train."""
    emotions = list(islice(cycle(_EMOTIONS[::2] + _EMOTIONS[1::2]), subjects * clips))
    people = {"train": max(subjects - 2, 1), "testA": int(subjects > 1), "testB": int(subjects > 2)}
    return {split: (n, [emotions.pop() for _ in range(n * clips)]) for split, n in people.items() if n}
