"""CASME II: raw, long and cropped folders, and the sheet of 2014 or of 2019 with its oddities."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from microexp.clip import Clip
from microexp.datasets.lookalike._studio import Studio
from microexp.datasets.lookalike._tree import Cell, Expected, Pictures, Tree
from microexp.errors import UnknownNameError

_RELEASES = ("20140508", "20190701")
# Clips that the real sheets have and of which something is said: (subject, name) -> emotion in 2014.
_NOTED = {
    ("04", "EP12_01f"): "disgust",
    ("05", "EP09_05f"): "disgust",
    ("24", "EP07_01"): "sadness",
    ("24", "EP07_04f"): "sadness",
    ("24", "EP10_03"): "sadness",
}
_MOVED = {key for key in _NOTED if key[0] == "24"}  # to surprise, in 2019
_REST = {"disgust": 61, "happiness": 32, "repression": 27, "surprise": 25}  # spread over 24 people
_NEVER = {"others": 99, "sadness": 4, "fear": 2}  # in no class of MEGC2019: spread over all 26
_WITHOUT_CLASS = ("10", "18")
_NAMES = (
    *("EP02_01f", "EP01_2", "EP08_1", "EP09f", "EP06_02_01", "EP06_02_02", "EP03_05", "EP11_04f", "EP13_02"),
    *(f"EP{15 + n // 4:02d}_{n % 4 + 1:02d}" for n in range(40)),
)
_OBJECTIVE = {"happiness": 1, "surprise": 2, "disgust": 4, "sadness": 5, "fear": 6, "repression": 7}
_UNKNOWN, _CHANGED = 5, 58  # cells of 2014 with a question mark; cells with other action units than in 2019


@dataclass(frozen=True)
class _Planned:
    number: int
    subject: str
    name: str
    emotion: str  # in 2014


def write(tree: Tree, studio: Studio, release: str = "20190701") -> None:
    """Write the look-alike.

    Parameters
    ----------
    tree, studio
        Where to, and with whom.
    release : {"20140508", "20190701"}
        Which sheet.
    """
    release = str(release)
    if release not in _RELEASES:
        raise UnknownNameError("release of CASME II's sheet", release, _RELEASES)
    header: list[Cell] = ["Subject", "Filename", None, "OnsetFrame", "ApexFrame", "OffsetFrame", None]
    header += ["Action Units", "Estimated Emotion"]
    header += ["Objective Classes"] if release == "20190701" else []
    plan = list(_plan(studio))
    codes = _Codes(plan, release)
    rows = [_clip(tree, studio, codes, planned, release) for planned in tree.each(plan)]
    tree.xlsx(f"CASME2-coding-{release}.xlsx", {"Sheet1": [header, *rows], "Sheet2": [], "Sheet3": []})


def _clip(tree: Tree, studio: Studio, codes: _Codes, planned: _Planned, release: str) -> list[Cell]:
    """Write the pictures of one clip, note what a loader should find, and return its row of the sheet."""
    clip = studio.film(int(planned.subject), planned.emotion)
    moved = release == "20190701" and (planned.subject, planned.name) in _MOVED
    emotion = "surprise" if moved else planned.emotion
    rise, length = (clip.apex or 0) - clip.onset, (clip.offset or 0) - clip.onset
    onset = 300 - rise if planned.name == "EP12_01f" else clip.onset + 1 + planned.number * 7 % 40
    apex: int | None = onset + rise
    if planned.name == "EP12_01f" and release == "20190701":
        apex = None
    elif planned.name == "EP09_05f":
        apex = onset
    units = codes.of(planned, clip)
    pictures = _pictures(tree, planned, clip, (onset, apex, onset + length))
    tree.expect(
        Expected(planned.subject, planned.name, emotion, units, onset, apex, onset + length, 200.0, pictures)
    )
    text = "+".join(units) or "?"
    return [
        *(planned.subject, planned.name, None),
        *(onset, "/" if apex is None else apex, onset + length, None),
        int(text) if text.isdigit() else text,
        emotion,
        *([_OBJECTIVE.get(emotion, 7)] if release == "20190701" else []),
    ]


def _pictures(
    tree: Tree, planned: _Planned, clip: Clip, numbers: tuple[int, int | None, int]
) -> dict[str, Pictures]:
    onset, apex, offset = numbers
    pictures = {}
    for variant, top, file, first, last, crop in (
        ("raw", "CASME2_RAW_selected", "img{}.jpg", onset, offset, 0.0),
        ("long", "CASME2-RAW", "img{}.jpg", 1, offset + 3, 0.0),
        ("cropped", "Cropped", "reg_img{}.jpg", onset, offset, 0.15),
    ):
        folder = f"{top}/sub{planned.subject}/{planned.name}"
        files = tree.frames(folder, file, clip, onset, range(first, last + 1), crop)
        pictures[variant] = Pictures(
            files[onset], None if apex is None else files[apex], files[offset], len(files)
        )
    return pictures


class _Codes:
    """Action units as a release has them: 2014 does not know some and differs in others."""

    def __init__(self, plan: Sequence[_Planned], release: str) -> None:
        unknown = [p.number for p in plan if p.emotion == "others"][:_UNKNOWN]
        changed = [p.number for p in plan if p.number % 4 == 3 and p.number not in unknown][:_CHANGED]
        old = release == "20140508"
        self._unknown, self._changed = (unknown, changed) if old else ([], [])

    def of(self, planned: _Planned, clip: Clip) -> tuple[str, ...]:
        """Codes of a clip; none where they are not known."""
        if planned.number in self._unknown:
            return ()
        more = ["17"] if planned.number in self._changed else []
        return tuple(dict.fromkeys([*(str(unit) for unit in clip.action_units), *more]))


def _plan(studio: Studio) -> Iterator[_Planned]:
    """Who shows what, by subject, with the emotions of 2014."""
    clips = _full() if studio.full else _small(studio.subjects, studio.clips)
    number = 0
    for subject in sorted(clips):
        noted = [(name, emotion) for (who, name), emotion in _NOTED.items() if who == subject]
        emotions = [*(e for _, e in noted), *clips[subject]]
        names = [*(name for name, _ in noted), *_NAMES]
        for name, emotion in zip(names, emotions if studio.full else emotions[: studio.clips], strict=False):
            yield _Planned(number, subject, name, emotion)
            number += 1


def _full() -> dict[str, list[str]]:
    """The published numbers: 255 clips of 26 people."""
    people = [f"{n:02d}" for n in range(1, 27)]
    clips: dict[str, list[str]] = {subject: [] for subject in people}
    shown = [subject for subject in people if subject not in _WITHOUT_CLASS]
    for group, counts in ((shown, _REST), (people, _NEVER)):
        emotions = [emotion for emotion, count in counts.items() for _ in range(count)]
        for turn, emotion in enumerate(emotions):
            clips[group[turn % len(group)]].append(emotion)
    return clips


def _small(subjects: int, clips: int) -> dict[str, list[str]]:
    """The people with the noted clips first, then others."""
    others = [f"{n:02d}" for n in range(1, subjects + 4) if f"{n:02d}" not in ("04", "05", "24")]
    people = ["04", "05", "24", *others][:subjects]
    cycle = ("happiness", "surprise", "disgust", "repression", "others", "sadness", "fear")
    return {
        subject: [cycle[(turn + start) % len(cycle)] for turn in range(clips)]
        for start, subject in enumerate(people)
    }
