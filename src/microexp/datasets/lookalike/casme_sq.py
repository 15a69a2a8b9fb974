"""CAS(ME)^2: long videos, the expressions cut out of them, and a workbook without headers in three sheets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from microexp.datasets.lookalike._studio import Studio
from microexp.datasets.lookalike._tree import Cell, Expected, Pictures, Tree
from microexp.errors import UnknownNameError

_KINDS, _RELEASES = ("micro", "macro", "both"), ("updated", "first")
_PEOPLE = (23, 15, 16, 19, 20, 21, 22, 24, 25, 26, 27, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 40)
_VIDEOS = {
    "0502": ("happy2", "funnyerrors"),
    "0101": ("disgust1", "disgustingteeth"),
    "0401": ("anger1", "girlcrashing"),
    "0102": ("disgust2", "earworm"),
    "0507": ("happy4", "clumsycat"),
}
_QUIET = ("0508", "happy5", "longspeech")  # in its recordings nobody shows anything
_MISPLACED = (23, "0502")  # a recording that lies in the folder of person 19
_MICRO = {"negative": 21, "others": 19, "surprise": 9, "positive": 8}
_MACRO = {"negative": 140, "positive": 110, "others": 35, "surprise": 15}
_REPORT = {"negative": "disgust", "positive": "happiness", "surprise": "surprise", "others": "sadness"}
_SHOWN = {"negative": "disgust", "positive": "happiness", "surprise": "surprise", "others": "anger"}


@dataclass(frozen=True)
class _Planned:
    number: int
    kind: str
    emotion: str


def write(tree: Tree, studio: Studio, release: str = "updated", kind: str = "micro") -> None:
    """Write the look-alike.

    Parameters
    ----------
    tree, studio
        Where to, and with whom.
    release : {"updated", "first"}
        Which workbook: the first one has another order of sheets and the codes of videos as numbers.
    kind : {"micro", "macro", "both"}
        Which expressions are noted down as those to be found; all are written.
    """
    for name, value, known in (("release", release, _RELEASES), ("kind", kind, _KINDS)):
        if value not in known:
            raise UnknownNameError(f"{name} of CAS(ME)^2", value, known)
    plan = list(_plan(studio))
    rows: list[list[Cell]] = []
    for person, code, planned in tree.each(plan):
        rows += _recording(tree, studio, person, code, planned, kind)
    people = sorted({person for person, _, _ in plan})
    for person in people[::2]:
        still = studio.film(person, "anger")
        code, _, words = _QUIET
        tree.frames(f"rawpic/s{person}/{person}_{code}{words}", "img{:03d}.jpg", still, 1, [1, 2, 3])
    _workbook(tree, rows, release)


def _recording(
    tree: Tree, studio: Studio, person: int, code: str, planned: list[_Planned], wanted: str
) -> list[list[Cell]]:
    """Write a recording and the expressions cut out of it; return their rows of the sheet."""
    clips = [studio.film(person, _SHOWN[one.emotion]) for one in planned]
    onsets = [5]
    for clip in clips:
        onsets.append(onsets[-1] + (clip.offset or 0) - clip.onset + 6)
    stimulus, words = _VIDEOS[code]
    home = 19 if (person, code) == _MISPLACED else person
    place = f"rawpic/s{home}/{person}_{code}{words}"
    whole = tree.recording(place, "img{:03d}.jpg", list(zip(clips, onsets[:-1], strict=True)))
    rows: list[list[Cell]] = []
    for k, (one, clip, onset) in enumerate(zip(planned, clips, onsets[:-1], strict=True), start=1):
        apex, offset = onset + (clip.apex or 0) - clip.onset, onset + (clip.offset or 0) - clip.onset
        unseen = one.number % 13 == 0
        end = apex if unseen else offset
        name, units = f"{stimulus}_{k}", tuple(map(str, clip.action_units))
        raw = Pictures(whole[onset], whole[apex], whole[end], end - onset + 1)
        pictures = {"raw": raw}
        double = ".jpg" if person == 19 else ""  # files named twice over, as img2977.jpg.jpg
        for variant, top, crop in (("selected", "selectedpic/s", 0.0), ("cropped", "cropped/", 0.15)):
            numbers = range(onset, end + 1)
            files = tree.frames(
                f"{top}{person}/{name}", f"img{{:03d}}.jpg{double}", clip, onset, numbers, crop
            )
            pictures[variant] = Pictures(files[onset], files[apex], files[end], len(files))
        if wanted in (one.kind, "both"):
            tree.expect(Expected(str(person), name, one.emotion, units, onset, apex, end, 30.0, pictures))
        text = "+".join(units)
        rows.append(
            [
                *(_PEOPLE.index(person) + 1, name, onset, apex, 0 if unseen else offset),
                int(text) if text.isdigit() else text,
                *(one.emotion, f"{one.kind}-expression", _REPORT[one.emotion], end - onset + 1),
            ]
        )
    return rows


def _workbook(tree: Tree, rows: list[list[Cell]], release: str) -> None:
    people: list[list[Cell]] = [[n, f"s{n}", key] for key, n in enumerate(_PEOPLE, start=1)]
    codes = [*((code, name) for code, (name, _) in _VIDEOS.items()), _QUIET[:2]]
    videos: list[list[Cell]] = [[code if release == "updated" else int(code), name] for code, name in codes]
    if release == "updated":
        sheets = {"CASFEcode_final": rows, "naming rule1": people, "naming rule2": videos}
        tree.xlsx("CAS(ME)^2code_final(Updated).xlsx", sheets)
    else:
        sheets = {"naming rule2": videos, "naming rule1": people, "CASMEcode_final": rows}
        tree.xlsx("CAS(ME)^2code_final.xlsx", sheets)


def _plan(studio: Studio) -> Iterator[tuple[int, str, list[_Planned]]]:
    """Person, code of the video, and what is shown in it."""
    people = _PEOPLE if studio.full else _PEOPLE[: studio.subjects]
    if studio.full:
        deck = [("micro", word) for word, count in _MICRO.items() for _ in range(count)]
        deck += [("macro", word) for word, count in _MACRO.items() for _ in range(count)]
    else:
        kinds = ("micro", "macro")
        deck = [(kinds[n % 2], list(_MICRO)[n % 4]) for n in range(studio.clips) for _ in people]
    shown: dict[tuple[int, str], list[_Planned]] = {}
    for number, (kind, emotion) in enumerate(deck):
        turn, person = divmod(number, len(people))
        code = list(_VIDEOS)[turn % len(_VIDEOS)]
        shown.setdefault((people[person], code), []).append(_Planned(number, kind, emotion))
    for (person, code), planned in sorted(shown.items()):
        yield person, code, planned
