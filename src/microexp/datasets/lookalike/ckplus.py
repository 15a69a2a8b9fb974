"""CK+: sequences from neutral to apex, with text files that most of the sequences lack."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice

from microexp.clip import Clip
from microexp.datasets.lookalike._studio import Studio
from microexp.datasets.lookalike._tree import Expected, Pictures, Tree

# By the number in the files of emotions, from 1.
_EMOTIONS = ("anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise")
_COUNTS = (45, 18, 59, 25, 69, 28, 83)
_SEQUENCES, _PEOPLE = 593, 123
_POINTS = "".join(f"   {100 + 7.5 * (n % 17):.7e}   {90 + 11.25 * (n // 17):.7e}\n" for n in range(68))


@dataclass(frozen=True)
class _Planned:
    number: int
    subject: int
    take: int
    emotion: str  # empty for none


def write(tree: Tree, studio: Studio) -> None:
    """Write the look-alike; `tree` and `studio` say where to and with whom."""
    for planned in tree.each(list(_plan(studio))):
        _sequence(tree, studio.film(planned.subject, planned.emotion or "others"), planned)
    for folder in ("cohn-kanade-images", "cohn-kanade-images/S010", "Emotion", "Emotion/S010", "FACS"):
        tree.text(f"{folder}/.DS_Store", "Bud1")


def _sequence(tree: Tree, clip: Clip, planned: _Planned) -> None:
    """Write pictures and text files of one sequence and note what a loader should find."""
    subject, take = f"S{planned.subject:03d}", f"{planned.take:03d}"
    stem, last = f"{subject}_{take}_", (clip.apex or 0) - clip.onset + 1
    files = tree.frames(
        f"cohn-kanade-images/{subject}/{take}", stem + "{:08d}.png", clip, 1, range(1, last + 1)
    )
    if planned.number % 50 == 0:
        tree.text(f"cohn-kanade-images/{subject}/{take}/.DS_Store", "Bud1")
    for number in files:
        tree.text(f"Landmarks/{subject}/{take}/{stem}{number:08d}_landmarks.txt", _POINTS)
    units = [unit.unit for unit in clip.action_units]
    lines = "".join(f"   {unit:.7e}   {planned.number % 6:.7e}\n" for unit in units)
    tree.text(f"FACS/{subject}/{take}/{stem}{last:08d}_facs.txt", lines)
    if planned.emotion:
        number = _EMOTIONS.index(planned.emotion) + 1
        tree.text(f"Emotion/{subject}/{take}/{stem}{last:08d}_emotion.txt", f"   {number:.7e}\n")
    elif planned.number % 3:  # of the others some have an empty folder, some none
        (tree.root / "Emotion" / subject / take).mkdir(parents=True)
    pictures = Pictures(files[1], files[last], files[last], last)
    codes = tuple(map(str, dict.fromkeys(units)))
    tree.expect(Expected(subject, take, planned.emotion, codes, 1, last, last, 30.0, {"raw": pictures}))


def _plan(studio: Studio) -> Iterator[_Planned]:
    """Who shows what, by subject."""
    if studio.full:
        emotions = [e for e, n in zip(_EMOTIONS, _COUNTS, strict=True) for _ in range(n)]
        emotions += [""] * (_SEQUENCES - len(emotions))
        people = _PEOPLE
    else:
        emotions = list(islice(cycle((*_EMOTIONS, "")), studio.subjects * studio.clips))
        people = studio.subjects
    shown = sorted((turn % people, turn, emotion) for turn, emotion in enumerate(emotions))
    takes: dict[int, int] = {}
    for number, (person, _, emotion) in enumerate(shown):
        takes[person] = takes.get(person, 0) + 1
        yield _Planned(number, 10 + person, takes[person], emotion)
