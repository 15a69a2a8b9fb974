"""SMIC: 164 micro-expressions of 16 people at 100 frames per second (HS), 71 of 8 at 25 (VIS, NIR).

Layout of the copy, here for the camera HS; VIS and NIR likewise::

    SMIC_all_raw/HS/s01/micro/negative/s1_ne_01/image034208.bmp              variant "raw"
    SMIC_all_cropped/HS/s1/micro/negative/s1_ne_01/reg_image034208.bmp       variant "cropped"
    SMIC-E_raw image/HS_long/SMIC-HS-E_annotation.xlsx                       variant "extended": SMIC-E, with
    SMIC-E_raw image/HS_long/SMIC-HS-E/s01/s1_ne_01/image034208.jpg          frames before and after

Raw and cropped clips have no sheet: the folders tell person and class, and the pictures go from onset to
offset. No apex is annotated. A person's folder is s1 or s01; microexp calls the person 01, the clip s1_ne_01.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from microexp.datasets.annotated import AnnotatedDatabase, Copy, Release, Row, Rules
from microexp.datasets.base import Check
from microexp.datasets.labels import emotion_word
from microexp.errors import MicroexpError, UnknownNameError

CARD = {
    "class": "SMIC",
    "title": "SMIC and SMIC-E",
    "summary": "164 spontaneous micro-expressions of 16 people, 100 fps, in three classes; also VIS and NIR.",
    "takes": "the folder with SMIC_all_raw, SMIC_all_cropped or SMIC-E_raw image; camera=hs, vis or nir",
    "gives": "clips (T, H, W, 3) uint8 RGB at 100 or 25 fps with onset, offset, class; no apex",
    "paper": {
        "authors": "Li, Xiaobai and Pfister, Tomas and Huang, Xiaohua and Zhao, Guoying and "
        "Pietikäinen, Matti",
        "title": "A Spontaneous Micro-expression Database: Inducement, Collection and Baseline",
        "venue": "IEEE International Conference and Workshops on Automatic Face and Gesture Recognition",
        "year": 2013,
        "doi": "10.1109/FG.2013.6553717",
    },
    "licence": "licensed by the University of Oulu on request; not redistributed here",
    "notes": [
        "No apex is annotated: clips come with the apex unknown, to be spotted (--prepare apex), or with "
        "missing_apex=middle. Some copies of the extended sheet have a column ApexF that others have "
        "computed; where it is there, it is read.",
        "SMIC-E-HS has 157 long recordings; three clips of SMIC-HS were lost, and a second expression in "
        "further columns of a row becomes a clip of its own, s1_ne_01_2. So extended copies cannot give the "
        "164 clips of MEGC2019. How many rows the sheet has is not checked.",
        "A row of the extended sheet with text where the number of the first frame should be, and no "
        "folder, is taken for a lost recording. All that is said here of the extended sheet is known from "
        "other people's code.",
        "The folders of all releases are known from other people's code. How many clips of each class VIS "
        "and NIR have is not checked, as we found no source to rely on.",
    ],
}

CAMERAS = {"hs": 100.0, "vis": 25.0, "nir": 25.0}
_LONG = {"hs": 157, "vis": 71, "nir": 71}  # recordings of SMIC-E
_SUBJECTS = frozenset(f"{n:02d}" for n in (*range(1, 7), 8, 9, *range(11, 16), *range(18, 21)))  # in HS
_CODES = {"ne": "negative", "po": "positive", "sur": "surprise"}
_NAME = re.compile(r"s0*(\d+)_([a-z]+)_(\d+)", re.IGNORECASE)
_FOLDER = re.compile(r"s?0*(\d+)", re.IGNORECASE)


class SMIC(AnnotatedDatabase):
    """SMIC, read from the user's copy; parameters as `AnnotatedDatabase`, and one more.

    Parameters
    ----------
    camera : {"hs", "vis", "nir"}
        High speed, visible light, near infrared.
    """

    label_schemes = ("megc3",)
    variants: ClassVar = {
        "raw": ("SMIC_all_raw/{camera}/s{subject}/micro/{emotion}/{name}",),
        "cropped": ("SMIC_all_cropped/{camera}/s{subject}/micro/{emotion}/{name}",),
        "extended": (
            "SMIC-E_raw image/{camera}_long/SMIC-{camera}-E/s{subject}/{name}",
            "{camera}_long/SMIC-{camera}-E/s{subject}/{name}",
            "SMIC-{camera}-E/s{subject}/{name}",
        ),
    }
    releases = (
        Release("HS", 16, {"negative": 70, "positive": 51, "surprise": 43}, variants=("raw", "cropped")),
        Release("VIS", 8, total=71, variants=("raw", "cropped")),
        Release("NIR", 8, total=71, variants=("raw", "cropped")),
    )
    rules = Rules(has_apex=False)

    def __init__(
        self,
        root: str | Path | None = None,
        variant: str | None = None,
        sheet: str | Path | None = None,
        missing_apex: str = "keep",
        camera: str = "hs",
    ) -> None:
        super().__init__(root, variant, sheet, missing_apex)
        self.camera = camera

    def rows(self, copy: Copy) -> Iterator[Row]:
        return (_of_sheet if self._variant == "extended" else _of_folders)(copy, self.camera)

    def check(self) -> list[Check]:
        """Compare the copy with what was published, and name the subjects and clips that it lacks."""
        checks = super().check()
        copy = self._open()
        try:
            rows = list(self.rows(copy))
        except MicroexpError:
            return checks  # they say so
        if self.camera == "hs":
            checks.append(_check_subjects(rows))
        if self._variant == "extended":
            found, expected = len({r.frames for r in rows if copy.holds(r.frames)}), _LONG[self.camera]
            return [*checks, Check("long recordings", str(expected), str(found), found == expected)]
        return [*checks, _check_names(rows, self.camera)]

    def _releases(self) -> list[Release]:
        return [release for release in super()._releases() if release.name == self.camera.upper()]

    def _copy(self, variant: str) -> Copy:
        if self.camera not in CAMERAS:
            raise UnknownNameError("camera of smic", self.camera, CAMERAS)
        camera = self.camera.upper()
        patterns = [pattern.replace("{camera}", camera) for pattern in self.variants[variant]]
        sheets = (f"SMIC?{camera}?E?annotation?2019*", f"SMIC?{camera}?E?annotation*")
        return Copy(self.root, self.name, patterns, sheets if variant == "extended" else (), self.sheet)


def _of_folders(copy: Copy, camera: str) -> Iterator[Row]:
    """Give a row for each folder of a clip, by person, class and number."""
    rows = []
    for place in copy.clip_folders():
        fields = copy.fields(place)
        person = _FOLDER.fullmatch(fields["subject"])
        if person is not None:  # else it is told as a folder without a row
            name, emotion = _clip_name(fields["name"]), fields["emotion"]
            row = Row(
                file=place,
                number=0,
                subject=person[1].zfill(2),
                name=name,
                frames=place,
                fps=CAMERAS[camera],
                emotion=emotion,
                remarks=_disagreement(name, emotion, person[1]),
            )
            rows.append(row)
    yield from sorted(rows, key=lambda row: (row.subject, row.emotion, row.name))


def _of_sheet(copy: Copy, camera: str) -> Iterator[Row]:
    """Give the rows of the extended release's sheet, two where a recording holds two expressions."""

    def names(frame: str, *others: str) -> tuple[str, ...]:
        return (f"{frame} {camera}", frame, *others)

    table = copy.table(
        {
            "subject": ("Subject",),
            "name": ("Filename", "File name"),
            "onset": names("OnsetF", "Onset", "OnsetFrame"),
            "offset": names("OffsetF", "Offset", "OffsetFrame"),
            "emotion": ("Emotion",),
        },
        optional={
            "apex": names("ApexF", "Apex", "ApexFrame"),
            "onset_2": names("OnsetF#2", "OnsetF2", "OnsetF.1"),
            "offset_2": names("OffsetF#2", "OffsetF2", "OffsetF.1"),
            "first": names("FirstF", "First frame", "FirstFrame", "StartF"),
        },
    )
    for number, cells in table.records():
        name, first = _clip_name(cells["name"]), cells["first"]
        person = _FOLDER.fullmatch(cells["subject"]) or _NAME.match(name)
        if person is None and not cells["subject"]:
            continue  # totals and remarks below the table
        subject = person[1] if person else cells["subject"]
        row = Row(
            file=table.file,
            number=number,
            subject=subject.zfill(2),
            name=name,
            frames=_folder(copy, subject, name),
            fps=CAMERAS[camera],
            onset=cells["onset"],
            apex=cells["apex"],
            offset=cells["offset"],
            emotion=cells["emotion"],
            remarks=_disagreement(name, cells["emotion"], subject),
            absent=f"its recording is lost: the sheet says '{first}'" if first and not _number(first) else "",
        )
        yield row
        if cells["onset_2"]:
            onset, offset = cells["onset_2"], cells["offset_2"]
            yield replace(row, name=f"{name}_2", onset=onset, apex="", offset=offset)


def _number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _folder(copy: Copy, subject: str, name: str) -> Path:
    """Return the folder of a long recording, whether its names have zeros or not."""
    padded = subject.zfill(2)
    names = (name, name.replace(f"s{subject}_", f"s{padded}_", 1))
    places = [copy.frames(subject=person, name=n) for person in (padded, subject) for n in names]
    there = [place for place in places if copy.holds(place)]
    above = [place for place in places if copy.holds(place.parent)]
    return [*there, *above, *places][0]


def _clip_name(text: str) -> str:
    """s01_ne_01 -> s1_ne_01: some have padded the names like the folders."""
    return re.sub(r"^s0+(?=\d)", "s", text)


def _disagreement(name: str, emotion: str, subject: str) -> tuple[str, ...]:
    """Say that a clip's name and its place or row do not agree; the place or row counts."""
    parts = _NAME.fullmatch(name)
    if parts is None:
        return ()
    said = _CODES.get(parts[2].lower(), parts[2])
    remarks = []
    if said != emotion_word(emotion):
        remarks.append(f"its name says {said}, but its class is {emotion}")
    if parts[1] != subject:
        remarks.append(f"its name says subject {parts[1]}, but it is listed with {subject}")
    return tuple(remarks)


def _check_subjects(rows: Sequence[Row]) -> Check:
    """Name the subjects of SMIC-HS of whom there is nothing, and those that are unknown."""
    found = {row.subject for row in rows}
    told = [f"there is no clip of subject {who}" for who in sorted(_SUBJECTS - found)]
    told += [f"there is no subject {who} in SMIC-HS" for who in sorted(found - _SUBJECTS)]
    return Check("subjects by number", f"{len(_SUBJECTS)} known", f"{len(found)}", not told, tuple(told))


def _check_names(rows: Sequence[Row], camera: str) -> Check:
    """Name the clips whose names are odd; in HS, where they count from 1, also the gaps between them."""
    told = [f"{row.frames}: no name like s1_ne_01" for row in rows if _NAME.fullmatch(row.name) is None]
    numbers: dict[tuple[str, str], set[int]] = {}
    for row in rows:
        if parts := _NAME.fullmatch(row.name):
            numbers.setdefault((row.subject, parts[2]), set()).add(int(parts[3]))
    for (subject, code), found in numbers.items() if camera == "hs" else ():
        gaps = sorted({*range(1, max(found))} - found)
        told += [f"s{int(subject)}_{code}_{gap:02d} is missing, though later ones are there" for gap in gaps]
    return Check("names of clips", "no gap, no odd name", f"{len(told)} odd", not told, tuple(told))
