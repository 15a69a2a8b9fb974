"""MMEW: 300 micro-expressions of 30 people at 90 frames per second, and 900 stills of macro-expressions.

Layout of the copy::

    MMEW_Micro_Exp.xlsx
    Micro_Expression/anger/S01-01-001/1.jpg          variant "micro": frames from 1 on
    Macro_Expression/S01/anger/S01-01-001.jpg        variant "macro": one picture each, no sheet

The folder of the emotion "others" is called others or repression. The folders hold one expression each and
count from 1, while the sheet may count in the recording.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from microexp.datasets.annotated import FIRST, LAST, AnnotatedDatabase, Copy, Release, Row, Rules
from microexp.frames import IMAGE_SUFFIXES

CARD = {
    "class": "MMEW",
    "title": "MMEW",
    "summary": "300 micro-expressions (90 fps) and 900 stills of posed macro-expressions of 30 people.",
    "takes": "the folder with MMEW_Micro_Exp.xlsx and Micro_Expression, or with Macro_Expression",
    "gives": "clips (T, H, W, 3) uint8 RGB at 90 fps with onset, apex, offset, emotion, action units; macro: "
    "clips of one picture",
    "paper": {
        "authors": "Ben, Xianye and Ren, Yi and Zhang, Junping and Wang, Su-Jing and Kpalma, Kidiyo and "
        "Meng, Weixiao and Liu, Yong-Jin",
        "title": "Video-Based Facial Micro-Expression Analysis: A Survey of Datasets, Features and "
        "Algorithms",
        "venue": "IEEE Transactions on Pattern Analysis and Machine Intelligence",
        "year": 2022,
        "doi": "10.1109/TPAMI.2021.3067464",
    },
    "licence": "licensed by the authors on request; not redistributed here",
    "notes": [
        "The layout is known from other people's code only; the counts by emotion and of stills "
        "are remembered from the paper, not read in a source here. If only they differ, trust your copy.",
        "If the onset is no file of the clip, the row is taken to count in the recording: the onset is the "
        "first file, and an offset beyond the last file is the last. Each such row is reported. A row whose "
        "onset is a file is taken to count as the files do.",
        "Some 16 rows of the sheet have no apex or offset that makes sense: such an offset is taken as the "
        "last file, such an apex is unknown. Other code writes numbers of its own into these rows; here is "
        "none invented.",
        "A macro-expression is a single picture: a clip of one frame, in which nothing moves.",
    ],
}

_MICRO = {
    "surprise": 89,
    "disgust": 72,
    "others": 66,
    "happiness": 36,
    "fear": 16,
    "sadness": 13,
    "anger": 8,
}
_OTHER_FOLDERS = ("others", "repression", "other")


class MMEW(AnnotatedDatabase):
    """MMEW, read from the user's copy; parameters as `AnnotatedDatabase`."""

    label_schemes = ("megc3", "mer4", "emotion7")
    variants: ClassVar = {
        "micro": ("Micro_Expression/{emotion}/{name}",),
        "macro": ("Macro_Expression/{subject}/{emotion}/{name}.jpg",),
    }
    sheets = ("MMEW_Micro_Exp.*", "*MMEW*Micro*")
    releases = (
        Release("micro", 30, _MICRO, variants=("micro",)),
        Release("macro", 30, total=900, variants=("macro",)),
    )
    odd_rows = 16
    rules = Rules(trimmed=True)

    def rows(self, copy: Copy) -> Iterator[Row]:
        return _stills(copy) if self._variant == "macro" else _clips(copy)


def _clips(copy: Copy) -> Iterator[Row]:
    table = copy.table(
        {
            "subject": ("Subject",),
            "name": ("Filename", "File name"),
            "onset": ("OnsetFrame", "Onset"),
            "apex": ("ApexFrame", "Apex"),
            "offset": ("OffsetFrame", "Offset"),
            "emotion": ("Estimated Emotion", "Emotion"),
        },
        optional={"action_units": ("Action Units", "AU"), "remarks": ("remarks",)},
    )
    for number, cells in table.records():
        yield Row(
            file=table.file,
            number=number,
            subject=_subject(cells["subject"]),
            name=cells["name"],
            frames=_folder(copy, cells["emotion"].lower(), cells["name"]),
            fps=90.0,
            onset=cells["onset"],
            apex=cells["apex"],
            offset=cells["offset"],
            emotion=cells["emotion"],
            action_units=cells["action_units"],
            extra={"remarks": cells["remarks"]} if cells["remarks"] else {},
        )


def _folder(copy: Copy, emotion: str, name: str) -> Path:
    """Folder of a clip; that of the others goes by several names."""
    wanted = copy.frames(emotion=emotion, name=name)
    if emotion not in _OTHER_FOLDERS:
        return wanted
    places = (copy.frames(emotion=other, name=name) for other in _OTHER_FOLDERS)
    return next((place for place in places if copy.holds(place.parent)), wanted)


def _stills(copy: Copy) -> Iterator[Row]:
    """A row for each picture: what it is of stands in its path."""
    top = copy.path("Macro_Expression")
    for subject in copy.names(top):
        for emotion in copy.names(top / subject):
            for name in copy.names(top / subject / emotion):
                picture = top / subject / emotion / name
                if picture.suffix.lower() in IMAGE_SUFFIXES and name[0] != ".":
                    yield Row(
                        *(picture, 0, _subject(subject), picture.stem, picture, 90.0),
                        *(FIRST, LAST, LAST, emotion.lower()),
                    )


def _subject(text: str) -> str:
    """S01, however the sheet or the folder writes it."""
    digits = text.lower().removeprefix("sub").removeprefix("s")
    return f"S{int(digits):02d}" if digits.isascii() and digits.isdigit() else text
