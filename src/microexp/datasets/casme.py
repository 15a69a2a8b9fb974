"""CASME: 189 micro-expressions of 19 people at 60 frames per second.

Layout of the copy::

    casme.xlsx
    CASME_raw_selected/sub01/EP01_5/EP01_5-46.jpg     variant "raw": onset to offset
    Cropped/sub01/EP01_5/reg_EP01_5-46.jpg            variant "cropped": registered, the face alone

The number in a picture's name is the sheet's number; some are padded with zeros and some are not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from microexp.datasets.annotated import AnnotatedDatabase, Copy, Release, Row

CARD = {
    "class": "CASME",
    "title": "CASME",
    "summary": "189 spontaneous micro-expressions of 19 people, 60 fps, with action units.",
    "takes": "the folder with casme.xlsx and CASME_raw_selected or Cropped",
    "gives": "clips (T, H, W, 3) uint8 RGB at 60 fps with onset, apex, offset, emotion, action units",
    "paper": {
        "authors": "Yan, Wen-Jing and Wu, Qi and Liu, Yong-Jin and Wang, Su-Jing and Fu, Xiaolan",
        "title": "CASME Database: A Dataset of Spontaneous Micro-Expressions Collected from Neutralized "
        "Faces",
        "venue": "IEEE International Conference and Workshops on Automatic Face and Gesture Recognition",
        "year": 2013,
        "doi": "10.1109/FG.2013.6553799",
    },
    "licence": "licensed by the Chinese Academy of Sciences on request; not redistributed here",
    "notes": [
        "The paper speaks of 195 clips; the sheet that public code reads has 189 rows. Folders, file names "
        "and columns are those of that code; none was seen in a real copy.",
        "The counts of each emotion and of people are those that papers are remembered to quote, not read "
        "in a source here; they add up to the 189. If only they differ, trust your copy.",
        "Public code corrects onset, apex or offset of five rows by their place in the sheet. Here such rows "
        "are reported by `microexp datasets check casme`, which takes up to five for published ones; they "
        "are left out, or kept without their apex.",
        "The sheet has two columns of apexes: ApexF1 is the apex, ApexF2 stays in the metadata as written.",
        "'tense' has a class only in casme_4, the four emotions with enough clips (171 of them).",
    ],
}


class CASME(AnnotatedDatabase):
    """CASME, read from the user's copy; parameters as `AnnotatedDatabase`."""

    label_schemes = ("megc3", "casme_4", "mer4")
    variants: ClassVar = {
        "raw": ("CASME_raw_selected/sub{subject}/{name}",),
        "cropped": ("Cropped/sub{subject}/{name}",),
    }
    sheets = ("casme.*", "casme-coding*", "casme*coding*")
    releases = (
        Release(
            "CASME",
            19,
            {
                "tense": 69,
                "disgust": 44,
                "repression": 38,
                "surprise": 20,
                "happiness": 9,
                "sadness": 6,
                "fear": 2,
                "contempt": 1,
            },
        ),
    )
    odd_rows = 5

    def rows(self, copy: Copy) -> Iterator[Row]:
        table = copy.table(
            {
                "subject": ("Subject",),
                "name": ("Filename", "File name"),
                "onset": ("OnsetF", "OnsetFrame", "Onset"),
                "apex": ("ApexF1", "ApexF", "ApexFrame", "Apex"),
                "offset": ("OffsetF", "OffsetFrame", "Offset"),
                "emotion": ("Emotion", "Estimated Emotion"),
            },
            optional={"action_units": ("AU", "Action Units"), "second_apex": ("ApexF2",)},
        )
        for number, cells in table.records():
            subject = cells["subject"].zfill(2)
            yield Row(
                file=table.file,
                number=number,
                subject=subject,
                name=cells["name"],
                frames=copy.frames(subject=subject, name=cells["name"]),
                fps=60.0,
                onset=cells["onset"],
                apex=cells["apex"],
                offset=cells["offset"],
                emotion=cells["emotion"],
                action_units=cells["action_units"],
                extra={"second_apex": cells["second_apex"]},
            )
