"""CASME II: 255 micro-expressions of 26 people at 200 frames per second.

Layout of the copy, with one of the two released sheets::

    CASME2-coding-20140508.xlsx or CASME2-coding-20190701.xlsx
    CASME2_RAW_selected/sub01/EP02_01f/img46.jpg      variant "raw": onset to offset
    CASME2-RAW/sub01/EP02_01f/img1.jpg                variant "long": the frames around as well
    Cropped/sub01/EP02_01f/reg_img46.jpg              variant "cropped": registered, the face alone

The number in a picture's name is the sheet's number. Where both sheets are there, that of 2019 is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from microexp.datasets.annotated import AnnotatedDatabase, Copy, Release, Row

CARD = {
    "class": "CASME2",
    "title": "CASME II",
    "summary": "255 spontaneous micro-expressions of 26 people, 200 fps, with action units.",
    "takes": "the folder with CASME2-coding-*.xlsx and CASME2_RAW_selected, CASME2-RAW or Cropped",
    "gives": "clips (T, H, W, 3) uint8 RGB at 200 fps with onset, apex, offset, emotion, action units",
    "paper": {
        "authors": "Yan, Wen-Jing and Li, Xiaobai and Wang, Su-Jing and Zhao, Guoying and Liu, Yong-Jin and "
        "Chen, Yu-Hsin and Fu, Xiaolan",
        "title": "CASME II: An Improved Spontaneous Micro-Expression Database and the Baseline Evaluation",
        "venue": "PLoS ONE",
        "year": 2014,
        "doi": "10.1371/journal.pone.0086041",
    },
    "licence": "licensed by the Chinese Academy of Sciences on request; not redistributed here",
    "notes": [
        "The sheet of 2019 moves three clips of subject 24 from sadness to surprise; "
        "`microexp datasets check casme2` tells which sheet a copy has.",
        "sub04/EP12_01f has no apex in the sheet of 2019, sub05/EP09_05f an apex equal to its onset.",
        "megc3 here has the sheet's own classes; the composite MEGC2019 leaves those two clips out.",
    ],
}

_COUNTS = {
    "others": 99,
    "disgust": 63,
    "happiness": 32,
    "repression": 27,
    "surprise": 25,
    "sadness": 7,
    "fear": 2,
}


class CASME2(AnnotatedDatabase):
    """CASME II, read from the user's copy; parameters as `AnnotatedDatabase`."""

    label_schemes = ("megc3", "casme2_5", "mer4")
    variants: ClassVar = {
        "raw": ("CASME2_RAW_selected/sub{subject}/{name}",),
        "long": ("CASME2-RAW/sub{subject}/{name}",),
        "cropped": ("Cropped/sub{subject}/{name}",),
    }
    sheets = ("CASME2-coding-20190701.*", "CASME2-coding-20140508.*", "*CASME*2*coding*")
    releases = (
        Release("20140508", 26, _COUNTS),
        Release("20190701", 26, {**_COUNTS, "surprise": 28, "sadness": 4}),
    )
    known_odd = frozenset({("04", "EP12_01f"), ("05", "EP09_05f")})

    def rows(self, copy: Copy) -> Iterator[Row]:
        table = copy.table(
            {
                "subject": ("Subject",),
                "name": ("Filename", "File name"),
                "onset": ("OnsetFrame", "Onset"),
                "apex": ("ApexFrame", "Apex"),
                "offset": ("OffsetFrame", "Offset"),
                "emotion": ("Estimated Emotion", "Emotion"),
            },
            optional={"action_units": ("Action Units", "AU")},
        )
        for number, cells in table.records():
            subject = cells["subject"].zfill(2)  # copies that went through other programs have 1 for 01
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
            )
