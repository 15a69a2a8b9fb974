"""SAMM: 159 micro-expressions of 29 people at 200 frames per second, grey.

Layout of the copy::

    SAMM_Micro_FACS_Codes_v2.xlsx               sheet MICRO_ONLY, below 13 rows of text
    SAMM/006/006_1_2/006_05562.jpg              variant "raw"
    SAMM_CROP/006/006_1_2/006_05562.jpg         variant "cropped": the face alone

The last number in a picture's name is the sheet's number, which is that of the long recording; its padding
differs from copy to copy.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from microexp.datasets.annotated import AnnotatedDatabase, Copy, Release, Row
from microexp.errors import PathMissingError

CARD = {
    "class": "SAMM",
    "title": "SAMM",
    "summary": "159 spontaneous micro-expressions of 29 people, 200 fps, grey, with detailed action units.",
    "takes": "the folder with SAMM_Micro_FACS_Codes_v2.xlsx and SAMM or SAMM_CROP",
    "gives": "clips (T, H, W, 3) uint8 RGB at 200 fps with onset, apex, offset, emotion, action units",
    "paper": {
        "authors": "Davison, Adrian K. and Lansley, Cliff and Costen, Nicholas and Tan, Kevin and "
        "Yap, Moi Hoon",
        "title": "SAMM: A Spontaneous Micro-Facial Movement Dataset",
        "venue": "IEEE Transactions on Affective Computing",
        "year": 2018,
        "doi": "10.1109/TAFFC.2016.2573832",
    },
    "licence": "licensed by the Manchester Metropolitan University on request; not redistributed here",
    "notes": [
        "In the published sheet 028_4_1 has its apex after the offset and 032_3_1 before the onset: both are "
        "kept with the apex unknown. What the coder meant is not guessed.",
        "Some cells of action units hold a choice ('L12 or L14', '10A/B'): all units are given, and the "
        "metadata of the clip lists what was left open.",
        "The frame rate, the size of 2040x1088 and the name of the sheet's file are known from other "
        "people's code.",
        "A row whose Duration is not offset - onset + 1 is reported: in the published sheet there is none.",
    ],
}


class SAMM(AnnotatedDatabase):
    """SAMM, read from the user's copy; parameters as `AnnotatedDatabase`."""

    label_schemes = ("megc3", "mer4", "emotion7")
    variants: ClassVar = {
        "raw": ("SAMM/{subject}/{name}",),
        "cropped": ("SAMM_CROP/{subject}/{name}",),
    }
    sheets = ("*SAMM*Micro*FACS*", "*SAMM*Micro*", "*MICRO_ONLY*")
    releases = (
        Release(
            "v2",
            29,
            {
                "anger": 57,
                "others": 26,
                "happiness": 26,
                "surprise": 15,
                "contempt": 12,
                "disgust": 9,
                "fear": 8,
                "sadness": 6,
            },
        ),
    )
    known_odd = frozenset({("028", "028_4_1"), ("032", "032_3_1")})

    def rows(self, copy: Copy) -> Iterator[Row]:
        table = copy.table(
            {
                "subject": ("Subject",),
                "name": ("Filename", "File name"),
                "onset": ("Onset Frame", "Onset"),
                "apex": ("Apex Frame", "Apex"),
                "offset": ("Offset Frame", "Offset"),
                "emotion": ("Estimated Emotion", "Emotion"),
            },
            optional={
                "action_units": ("Action Units", "AU"),
                "duration": ("Duration",),
                "inducement": ("Inducement Code",),
                "objective_class": ("Objective Classes", "Objective Class"),
                "notes": ("Notes",),
            },
            sheets=("MICRO_ONLY",),
        )
        for number, cells in table.records():
            subject = cells["subject"].zfill(3)  # copies that went through other programs have 6 for 006
            yield Row(
                file=table.file,
                number=number,
                subject=subject,
                name=cells["name"],
                frames=copy.frames(subject=subject, name=cells["name"]),
                fps=200.0,
                onset=cells["onset"],
                apex=cells["apex"],
                offset=cells["offset"],
                emotion=cells["emotion"],
                action_units=cells["action_units"],
                remarks=_wrong_duration(cells["onset"], cells["offset"], cells["duration"]),
                extra={key: cells[key] for key in ("inducement", "objective_class", "notes") if cells[key]},
            )

    def _copy(self, variant: str) -> Copy:
        copy = _Copy(self.root, self.name, self.variants[variant], self.sheets, self.sheet)
        if not copy.clip_folders():  # the whole database is often called SAMM as well
            place = copy.pattern.format(subject="006", name="006_1_2")
            raise PathMissingError(f"{self.name}: no folder of a clip in {copy.home}, such as {place}")
        return copy


class _Copy(Copy):
    """A copy in which the folder SAMM may hold other things than people."""

    def clip_folders(self) -> list[Path]:
        return [place for place in super().clip_folders() if place.parent.name.isdecimal()]


def _wrong_duration(onset: str, offset: str, duration: str) -> tuple[str, ...]:
    """Say that one of three numbers must be wrong, where all are given."""
    if not (onset.isdecimal() and offset.isdecimal() and duration.isdecimal()):
        return ()
    frames = int(offset) - int(onset) + 1
    if frames == int(duration):
        return ()
    return (f"the duration {duration} is not that of onset {onset} to offset {offset}, {frames} frames",)
