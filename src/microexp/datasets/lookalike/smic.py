"""SMIC: raw and cropped folders of one camera, or the extended release with its sheet and its oddities."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from microexp.datasets.lookalike._studio import Studio
from microexp.datasets.lookalike._tree import Cell, Expected, Pictures, Tree
from microexp.errors import OptionError, UnknownNameError

_RATES = {"hs": 100, "vis": 25, "nir": 25}
_COUNTS = {
    "hs": {"negative": 70, "positive": 51, "surprise": 43},
    "vis": {"negative": 23, "positive": 28, "surprise": 20},  # the sum is known, the parts are invented
    "nir": {"negative": 23, "positive": 28, "surprise": 20},
}
_EARLIER, _LATER = (1, 2, 3, 4, 5, 6, 8, 9), (11, 12, 13, 14, 15, 18, 19, 20)  # VIS, NIR: the later
_SHORT = {"negative": "ne", "positive": "po", "surprise": "sur"}
_LARGE = 17581031  # a frame number of eight digits
_LOST, _TWICE = 3, 4  # of HS: clips without a long recording, recordings that hold two of the 164 clips
_AROUND = 3  # frames before and after, in the extended release


@dataclass(frozen=True)
class _Planned:
    number: int
    subject: int
    name: str
    emotion: str

    @property
    def onset(self) -> int:
        return _LARGE if self.number == 1 else 208 + self.number * 7019 % 60000


def write(tree: Tree, studio: Studio, camera: str = "hs", extended: bool = False, apex: bool = False) -> None:
    """Write the look-alike.

    Parameters
    ----------
    tree, studio
        Where to, and with whom.
    camera : {"hs", "vis", "nir"}
        Which part.
    extended : bool
        The release with long recordings and a sheet, in place of the raw and cropped clips.
    apex : bool
        With `extended`: the edited sheet that is named after 2019 and has a column of apexes.
    """
    if camera not in _RATES:
        raise UnknownNameError("camera of SMIC", str(camera), _RATES)
    if apex and not extended:
        raise OptionError("only the extended release of SMIC has a sheet, in which the apex could stand")
    plan = list(_plan(studio, camera))
    if extended:
        _write_extended(tree, studio, plan, camera, apex)
        return
    for planned in tree.each(sorted(plan, key=lambda p: (p.subject, p.emotion, p.name))):
        _write_clip(tree, studio, planned, camera)
    quiet = studio.film(100 + plan[0].subject, plan[0].emotion)
    folder = f"SMIC_all_raw/{camera.upper()}/s{plan[0].subject:02d}/non_micro/s{plan[0].subject}_non_01"
    tree.frames(folder, "image{:06d}.bmp", quiet, 500, range(500, 503))


def _write_clip(tree: Tree, studio: Studio, planned: _Planned, camera: str) -> None:
    clip = studio.film(100 + planned.subject, planned.emotion)
    onset, offset = planned.onset, planned.onset + (clip.offset or 0) - clip.onset
    pictures = {}
    for variant, top, person, file, crop in (
        ("raw", "SMIC_all_raw", f"s{planned.subject:02d}", "image{:06d}.bmp", 0.0),
        ("cropped", "SMIC_all_cropped", f"s{planned.subject}", "reg_image{:06d}.bmp", 0.15),
    ):
        folder = f"{top}/{camera.upper()}/{person}/micro/{planned.emotion}/{planned.name}"
        files = tree.frames(folder, file, clip, onset, range(onset, offset + 1), crop)
        pictures[variant] = Pictures(files[onset], None, files[offset], len(files))
    _expect(tree, planned, (onset, None, offset), camera, pictures)


def _write_extended(tree: Tree, studio: Studio, plan: list[_Planned], camera: str, apex: bool) -> None:
    twice, lost = _special(plan, camera, studio.full)
    absorbed = {plan[plan.index(p) + 1].name for p in twice}
    plan = [p for p in plan if p.name not in absorbed]
    place = f"SMIC-E_raw image/{camera.upper()}_long"
    at = f" {camera.upper()}" if camera == "nir" else ""
    header: list[Cell] = ["Subject", "Filename", "Emotion", f"OnsetF{at}", f"OffsetF{at}"]
    header += [f"ApexF{at}"] if apex else []
    header += [f"OnsetF{at}", f"OffsetF{at}"] if camera == "hs" else ["OnsetF2", "OffsetF2"]
    header += [None, "FirstF", "LastF", "TotalF"]
    rows: list[list[Cell]] = []
    for planned in tree.each(plan):
        if planned in lost:
            rows.append(_lost_row(planned, apex))
            tree.expect_left_out(f"{planned.subject:02d}", planned.name)
        else:
            rows.append(_long_row(tree, studio, planned, camera, apex, planned in twice))
    width = len(header)
    rows += [[None] * width, [*[None] * (width - 1), len(plan)], ["", *[None] * (width - 1)]]
    file = f"SMIC-{camera.upper()}-E_annotation{'_2019' if apex else ''}.xlsx"
    tree.xlsx(f"{place}/{file}", {"Sheet1": [header, *rows]})


def _long_row(
    tree: Tree, studio: Studio, planned: _Planned, camera: str, apex: bool, twice: bool
) -> list[Cell]:
    """Write a recording with one or two expressions, and return its row of the sheet."""
    clips = [studio.film(100 + planned.subject, planned.emotion) for _ in range(2 if twice else 1)]
    spans, start = [], planned.onset
    for clip in clips:
        end = start + (clip.offset or 0) - clip.onset
        spans.append((start, start + (clip.apex or 0) - clip.onset, end))
        start = end + 2 * _AROUND
    first, last = spans[0][0] - _AROUND, spans[-1][2] + _AROUND
    upper = camera.upper()
    folder = f"SMIC-E_raw image/{upper}_long/SMIC-{upper}-E/s{planned.subject:02d}/{planned.name}"
    files: dict[int, str] = {}
    for clip, (onset, _, offset) in zip(clips, spans, strict=True):
        numbers = range(len(files) + first, offset + _AROUND + 1)
        files |= tree.frames(folder, "image{:06d}.jpg", clip, onset, numbers)
    for turn, (onset, top, offset) in enumerate(spans):
        known = top if apex and turn == 0 else None
        name = planned.name if turn == 0 else f"{planned.name}_2"
        picture = None if known is None else files[known]
        pictures = {"extended": Pictures(files[onset], picture, files[offset], len(files))}
        _expect(tree, replace(planned, name=name), (onset, known, offset), camera, pictures)
    onset, top, offset = spans[0]
    row: list[Cell] = [planned.subject, planned.name, planned.emotion, onset, offset]
    row += [top] if apex else []
    row += [spans[1][0], spans[1][2]] if twice else [None, None]
    return [*row, None, first, last, last - first + 1]


def _lost_row(planned: _Planned, apex: bool) -> list[Cell]:
    row: list[Cell] = [planned.subject, planned.name, planned.emotion, planned.onset, planned.onset + 30]
    row += [planned.onset + 12] if apex else []
    return [*row, None, None, None, "not found", None, None]


def _expect(
    tree: Tree,
    planned: _Planned,
    numbers: tuple[int, int | None, int],
    camera: str,
    pictures: dict[str, Pictures],
) -> None:
    person, rate = f"{planned.subject:02d}", float(_RATES[camera])
    tree.expect(Expected(person, planned.name, planned.emotion, (), *numbers, rate, pictures))


def _special(plan: list[_Planned], camera: str, full: bool) -> tuple[list[_Planned], list[_Planned]]:
    """Which recordings hold the next clip's expression as well, and which clips have no recording."""
    if camera != "hs":
        return [], []
    alike = [p for p, q in pairwise(plan) if (p.subject, p.emotion) == (q.subject, q.emotion)]
    first = {p.subject: p for p in reversed(alike)}
    twice = sorted(first.values(), key=lambda p: p.number)[: _TWICE if full else 1]
    others = [p for p in plan[1:] if p.subject not in {q.subject for q in twice}]
    return twice, others[: _LOST if full else 1]


def _plan(studio: Studio, camera: str) -> Iterator[_Planned]:
    """Who shows what, by subject; the clips of a person and class are numbered from 1."""
    people = [*_EARLIER, *_LATER] if camera == "hs" else [*_LATER]
    clips: dict[int, list[str]] = {}
    if studio.full:
        every = [emotion for emotion, count in _COUNTS[camera].items() for _ in range(count)]
        for turn, emotion in enumerate(every):
            clips.setdefault(people[turn % len(people)], []).append(emotion)
    else:
        cycle = [*_SHORT]
        spare = (*people, *range(21, 21 + studio.subjects))
        for start, person in enumerate(spare[: studio.subjects]):
            clips[person] = [cycle[(start + turn) % 3] for turn in range(studio.clips)]
    number = 0
    for person in sorted(clips):
        shown: dict[str, int] = {}
        for emotion in sorted(clips[person]):
            shown[emotion] = shown.get(emotion, 0) + 1
            yield _Planned(number, person, f"s{person}_{_SHORT[emotion]}_{shown[emotion]:02d}", emotion)
            number += 1
