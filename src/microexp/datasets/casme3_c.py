"""CAS(ME)^3, part C: micro-expressions in a mock crime, a long video of each person at 30 frames per second.

Layout of the copy::

    CAS(ME)3_part_C_ME.xlsx
    part_C/01/a/color/1.jpg                           variant "raw": whole recordings

The number in a picture's name is the sheet's number. The folders of depth beside those of colour are not
read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from microexp.datasets.annotated import Copy, Row, Rules
from microexp.datasets.long_videos import LongVideos

CARD = {
    "class": "CASME3C",
    "title": "CAS(ME)^3, part C",
    "summary": "Micro-expressions in a mock crime, 30 fps, with action units but no emotions: for spotting.",
    "takes": "the folder with CAS(ME)3_part_C_ME.xlsx and part_C",
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
        "The sheet has neither apex nor emotion, so there are no classes: read() gives the clips and "
        "recordings() the whole videos. A clip is called a_<onset>; the column count is in the metadata.",
        "The folders are those of public code, padded or not; none was seen in a real copy. How many rows "
        "the sheet should have is not checked: the paper's 166 may not all be in it, as in part A.",
        "The sheet of macro-expressions of this part is not read: its columns are not known.",
        "Depth is not read.",
    ],
}


class CASME3C(LongVideos):
    """Part C of CAS(ME)^3, read from the user's copy; parameters as `LongVideos`."""

    fps = 30.0
    label_schemes = ()
    variants: ClassVar = {"raw": ("part_C/{subject}/a/color",)}
    sheets = ("CAS(ME)3_part_C_ME.*", "*part_C_ME*")
    rules = Rules(has_apex=False, dropped_frames=True, margin=0)

    def recording_of(self, fields: Mapping[str, str]) -> tuple[str, str]:
        return fields["subject"].zfill(2), "a"

    def rows(self, copy: Copy) -> Iterator[Row]:
        columns = {"subject": ("sub", "Subject"), "onset": ("onset",), "offset": ("offset",)}
        table = copy.table(columns, optional={"action_units": ("au",), "count": ("count",)})
        folders = {place.parents[1].name.zfill(2): place for place in copy.clip_folders()}
        for number, cells in table.records():
            subject = cells["subject"].zfill(2)
            yield Row(
                file=table.file,
                number=number,
                subject=subject,
                name=f"a_{cells['onset']}",
                frames=folders.get(subject, copy.frames(subject=subject)),
                fps=self.fps,
                onset=cells["onset"],
                offset=cells["offset"],
                action_units=cells["action_units"],
                extra={"kind": "micro", "video": "a", "count": cells["count"]},
            )
