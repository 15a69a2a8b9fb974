"""MMEW: clips in folders by emotion, stills of macro-expressions, a sheet that counts in the recording."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice

from microexp.clip import Clip
from microexp.datasets.lookalike._studio import Studio
from microexp.datasets.lookalike._tree import Cell, Expected, Pictures, Tree
from microexp.errors import UnknownNameError

_HEADER: list[Cell] = [
    *("Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Action Units", "Estimated Emotion"),
    "remarks",
]
# In the order of the index in a clip's name.
_EMOTIONS = ("happiness", "surprise", "anger", "disgust", "fear", "sadness", "others")
_COUNTS = (36, 89, 8, 72, 16, 13, 66)
_PEOPLE = 30
_MACRO_TAKES = 5  # of each of six emotions
_OTHERS = ("others", "repression")
_ODD = 16  # rows without an apex or offset that makes sense


@dataclass(frozen=True)
class _Planned:
    number: int
    subject: int
    emotion: str
    take: int

    @property
    def name(self) -> str:
        return f"S{self.subject:02d}-{_EMOTIONS.index(self.emotion) + 1:02d}-{self.take:03d}"


def write(tree: Tree, studio: Studio, others: str = "others") -> None:
    """Write the look-alike.

    Parameters
    ----------
    tree, studio
        Where to, and with whom.
    others : {"others", "repression"}
        Name of that emotion's folder.
    """
    if others not in _OTHERS:
        raise UnknownNameError("name of the folder of others", others, _OTHERS)
    micro, macro = _plan(studio)
    odd = {
        p.number: kind for kind, p in enumerate(micro[len(micro) // 10 :: max(len(micro) // 20, 7)][:_ODD])
    }
    rows = [_HEADER]
    for planned in tree.each([*micro, *macro]):
        clip = studio.film(planned.subject, planned.emotion)
        if planned.number < 0:
            _still(tree, clip, planned)
        else:
            rows.append(_clip(tree, clip, planned, others, odd.get(planned.number)))
    tree.xlsx("MMEW_Micro_Exp.xlsx", {"Sheet1": rows})


def _clip(tree: Tree, clip: Clip, planned: _Planned, others: str, odd: int | None) -> list[Cell]:
    """Write the pictures of one clip, note what a loader should find, and return its row."""
    rise, length = (clip.apex or 0) - clip.onset, (clip.offset or 0) - clip.onset
    style = (
        planned.number % 4
    )  # 0, 1: numbers of the files; 2: of the recording; 3: and they run over the end
    onset = 3 if style == 1 else 1 if style == 0 else 201 + planned.number * 7
    first = onset if style < 2 else 1  # number of the file of the onset
    more = 0 if style > 1 else 2  # files behind the offset
    folder = f"Micro_Expression/{others if planned.emotion == 'others' else planned.emotion}/{planned.name}"
    files = tree.frames(folder, "{}.jpg", clip, first, range(1, first + length + 1 + more))
    cells: list[Cell] = [onset, onset + rise, onset + length + (2 if style == 3 else 0)]
    apex: int | None = onset + rise
    end = onset + length
    if odd is not None:
        cells, apex, end = _spoilt(odd, onset, rise, length, onset + len(files) - first)
    pictures = Pictures(
        files[first], None if apex is None else files[first + rise], files[first + end - onset], len(files)
    )
    units = tuple(map(str, clip.action_units))
    subject = f"S{planned.subject:02d}"
    tree.expect(
        Expected(subject, planned.name, planned.emotion, units, onset, apex, end, 90.0, {"micro": pictures})
    )
    return [subject, planned.name, *cells, "+".join(units), planned.emotion, None if odd is None else "odd"]


def _spoilt(kind: int, onset: int, rise: int, length: int, last: int) -> tuple[list[Cell], int | None, int]:
    """Cells of a row that makes no sense, and the apex and offset that a loader should make of it."""
    apex = onset + rise
    kinds: tuple[tuple[list[Cell], int | None, int], ...] = (
        ([onset, None, onset + length], None, onset + length),
        ([onset, apex, None], apex, last),
        ([onset, onset + length + 9, onset + length], None, onset + length),
        ([onset, apex, max(onset - 1, 0)], apex, last),
        ([onset, "/", "/"], None, last),
    )
    return kinds[kind % len(kinds)]


def _still(tree: Tree, clip: Clip, planned: _Planned) -> None:
    """Write the apex frame alone."""
    subject, index = f"S{planned.subject:02d}", clip.apex or 0
    folder = f"Macro_Expression/{subject}/{planned.emotion}"
    name = planned.name.rpartition("-")[0] + "-{:03d}.jpg"
    file = tree.frames(folder, name, clip, planned.take - index + clip.onset, [planned.take])[planned.take]
    pictures = Pictures(file, file, file, 1)
    take, shown = planned.take, {"macro": pictures}
    tree.expect(Expected(subject, planned.name, planned.emotion, (), take, take, take, 90.0, shown))


def _plan(studio: Studio) -> tuple[list[_Planned], list[_Planned]]:
    """Micro clips, numbered, and macro stills, by subject."""
    if studio.full:
        emotions = [e for e, n in zip(_EMOTIONS, _COUNTS, strict=True) for _ in range(n)]
        people, macro_takes = _PEOPLE, _MACRO_TAKES
    else:
        emotions = list(islice(cycle(_EMOTIONS), studio.subjects * studio.clips))
        people, macro_takes = studio.subjects, 1
    shown = sorted((turn % people + 1, emotion) for turn, emotion in enumerate(emotions))
    micro = list(_numbered(shown))
    poses = _EMOTIONS[:-1] if studio.full else _EMOTIONS[:2]
    macro = [
        _Planned(-1, subject, emotion, take)
        for subject in range(1, people + 1)
        for emotion in sorted(poses)
        for take in range(1, macro_takes + 1)
    ]
    return micro, macro


def _numbered(shown: list[tuple[int, str]]) -> Iterator[_Planned]:
    takes: dict[tuple[int, str], int] = {}
    for number, key in enumerate(shown):
        takes[key] = takes.get(key, 0) + 1
        yield _Planned(number, *key, takes[key])
