"""CAS(ME)^3, part A: 860 micro-expressions of 94 people in long videos at 30 frames per second.

Layout of the copy::

    cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx             or an earlier one
    cas(me)3_part_A_MaE_label_JpgIndex_v2_emotion.xlsx    macro-expressions, or CAS(ME)3_part_A_v2.xls
    part_A/spNO.1/a/color/166.jpg                         variant "raw": whole recordings
    Part_A_ME_clip/frame/spNO.1_b_166/166.jpg             variant "clips": micro-expressions alone

The number in a picture's name is the sheet's number. The folders of depth beside those of colour are not
read. Part C is a database of its own here, `casme3_c`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from microexp.datasets.annotated import Copy, Reading, Release, Row, Rules
from microexp.datasets.long_videos import LongVideos
from microexp.errors import OptionError

CARD = {
    "class": "CASME3",
    "title": "CAS(ME)^3",
    "summary": "860 micro-expressions of 94 people in long videos, 30 fps, with action units.",
    "takes": "the folder with cas(me)3_part_A_ME_label*.xlsx and part_A or Part_A_ME_clip",
    "gives": "clips (T, H, W, 3) uint8 RGB at 30 fps of single expressions, or whole recordings with "
    "intervals",
    "paper": {
        "authors": "Li, Jingting and Dong, Zizhao and Lu, Shaoyuan and Wang, Su-Jing and Yan, Wen-Jing and "
        "Ma, Yinhuan and Liu, Ye and Huang, Changbing and Fu, Xiaolan",
        "title": "CAS(ME)^3: A Third Generation Facial Spontaneous Micro-Expression Database With Depth "
        "Information and High Ecological Validity",
        "venue": "IEEE Transactions on Pattern Analysis and Machine Intelligence",
        "year": 2023,
        "doi": "10.1109/TPAMI.2022.3174895",
    },
    "licence": "licensed by the Chinese Academy of Sciences on request; not redistributed here",
    "notes": [
        "The paper speaks of 943 micro-expressions in part A; the sheet that is given out has 860. Papers "
        "use different parts of it (854, 687, ...), so figures across papers are not comparable.",
        "A clip is called <video>_<onset> (b_166), as one video of a person holds up to 17 of them. Videos "
        "are called by small letters: the sheet has a 'J' beside the 'j'.",
        "An offset of 0 (twice in spNO.40/e) is taken for one that was not seen, as in CAS(ME)^2: the apex "
        "is the offset. The apex of spNO.149/d comes before its onset: it is unknown. One expression lasts "
        "3,457 frames; it is kept.",
        "The camera dropped frames: where some between onset and offset are missing the clip is kept, and "
        "said.",
        "Macro-expressions are in the folders of part A only: kind=macro needs variant=raw, and their own "
        "sheet, whose columns (sub, seq, onset, ...) are those of public code, or CAS(ME)3_part_A_v2.xls, "
        "which has no emotions. How many there should be is not checked.",
        "Depth is not read. Part B has no annotation; part C is casme3_c.",
    ],
}

_COLUMNS = {
    "subject": ("Subject", "sub"),
    "video": ("Filename", "seq"),
    "onset": ("Onset",),
    "apex": ("Apex",),
    "offset": ("Offset",),
}
_OPTIONAL = {
    "action_units": ("AU", "Action Units"),
    "objective_class": ("Objective class",),
    "emotion": ("emotion",),
    "kind": ("Expression type",),
}
_MICRO = ("cas(me)3_part_A_ME_label*v2.*", "cas(me)3_part_A_ME_label*", "CAS(ME)3_part_A_v*")
_MACRO = ("cas(me)3_part_A_MaE_label*", "CAS(ME)3_part_A_v2.*", "CAS(ME)3_part_A_v*")


class CASME3(LongVideos):
    """CAS(ME)^3, read from the user's copy; parameters as `LongVideos`."""

    fps = 30.0
    label_schemes = ("megc3", "mer4", "casme3_7")
    variants: ClassVar = {
        "raw": ("part_A/{subject}/{video}/color",),
        "clips": ("Part_A_ME_clip/frame/{subject}_{video}_{onset}",),
    }
    sheets = _MICRO
    releases = (
        Release(
            "part_A_ME_label",
            94,
            {
                "disgust": 250,
                "surprise": 187,
                "others": 161,
                "fear": 86,
                "anger": 64,
                "sadness": 57,
                "happiness": 55,
            },
        ),
    )
    known_odd = frozenset({("spNO.149", "d_112")})
    rules = Rules(zero_offset_is_apex=True, dropped_frames=True, margin=0)
    without_emotion = (
        "They are in cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx, those of macro-expressions in "
        "cas(me)3_part_A_MaE_label_JpgIndex_v2_emotion.xlsx: put that sheet there"
    )

    def read(self) -> Reading:
        if self.kind != "micro" and not self.whole_recordings:
            raise OptionError(
                f"{self.name}: the clips are micro-expressions; kind={self.kind} needs variant=raw"
            )
        return super().read()

    def counted(self, rows: Sequence[Row]) -> Sequence[Row]:
        return [row for row in rows if row.extra["kind"] == "micro"]

    def rows(self, copy: Copy) -> Iterator[Row]:
        rows = list(self._rows(copy, copy.sheet, "micro"))
        yield from (row for row in rows if row.extra["kind"] == "micro")
        if not self.whole_recordings:
            return
        if all(row.extra["kind"] == "micro" for row in rows) and (file := copy.find_any(_MACRO)):
            rows = list(self._rows(copy, file, "macro"))
        yield from (row for row in rows if row.extra["kind"] == "macro")

    def _rows(self, copy: Copy, file: Path, kind: str) -> Iterator[Row]:
        """Read one sheet; `kind` is what it holds if it does not say."""
        table = copy.table(_COLUMNS, _OPTIONAL, file=file)
        for number, cells in table.records():
            subject, video, onset = cells["subject"], cells["video"].lower(), cells["onset"]
            yield Row(
                file=table.file,
                number=number,
                subject=subject,
                name=f"{video}_{onset}",
                frames=copy.frames(subject=subject, video=video, onset=onset),
                fps=self.fps,
                onset=onset,
                apex=cells["apex"],
                offset=cells["offset"],
                emotion=cells["emotion"],
                action_units=cells["action_units"],
                extra={
                    "kind": cells["kind"].partition("-")[0].strip().lower() or kind,
                    "video": video,
                    "objective_class": cells["objective_class"],
                },
            )
