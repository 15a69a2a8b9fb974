"""CAS(ME)^2: long videos of 22 people at 30 frames per second, 300 macro- and 57 micro-expressions.

Layout of the copy::

    CAS(ME)^2code_final(Updated).xlsx
    rawpic/s15/15_0101disgustingteeth/img001.jpg      variant "raw": whole recordings
    selectedpic/s15/disgust1_1/img557.jpg             variant "selected": onset to offset
    cropped/15/disgust1_1/img557.jpg                  variant "cropped": the face alone

The workbook has a sheet of expressions without a header, 'naming rule1' (number of a person in that sheet to
that of the folders) and 'naming rule2' (code of a video in the folders to its name in the sheet). The number
in a picture's name is the sheet's number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import ClassVar

from microexp.datasets.annotated import Copy, Release, Row, Rules
from microexp.datasets.long_videos import LongVideos
from microexp.errors import DataError

CARD = {
    "class": "CASMESquared",
    "title": "CAS(ME)^2",
    "summary": "300 macro- and 57 micro-expressions in long videos of 22 people, 30 fps, with action units.",
    "takes": "the folder with CAS(ME)^2code_final*.xlsx and rawpic, selectedpic or cropped",
    "gives": "clips (T, H, W, 3) uint8 RGB at 30 fps of single expressions, or whole recordings with "
    "intervals",
    "paper": {
        "authors": "Qu, Fangbing and Wang, Su-Jing and Yan, Wen-Jing and Li, He and Wu, Shuhang and "
        "Fu, Xiaolan",
        "title": "CAS(ME)^2: A Database for Spontaneous Macro-Expression and Micro-Expression Spotting and "
        "Recognition",
        "venue": "IEEE Transactions on Affective Computing",
        "year": 2018,
        "doi": "10.1109/TAFFC.2017.2654440",
    },
    "licence": "licensed by the Chinese Academy of Sciences on request; not redistributed here",
    "notes": [
        "Layout, order of the columns and sheet names are those of public code; none was seen in a real "
        "copy. An offset of 0 stands for one that was not seen: the apex is taken.",
        "Subjects are called as the folders are, without the s. A recording is looked for by person and code "
        "in all folders of rawpic, as one copy at least has a recording in another person's folder.",
        "The emotion is the sheet's estimate (negative, positive, surprise, others); what people reported is "
        "in the metadata (self_report). How many clips each has is not checked, only micro and macro.",
    ],
}

_COLUMNS = ("person", "name", "onset", "apex", "offset", "action_units", "emotion", "kind", "self_report")
_PEOPLE, _VIDEOS = "naming rule1", "naming rule2"


class CASMESquared(LongVideos):
    """CAS(ME)^2, read from the user's copy; parameters as `LongVideos`."""

    fps = 30.0
    label_schemes = ("megc3", "mer4")
    variants: ClassVar = {
        "raw": ("rawpic/{folder}/{video}",),
        "selected": ("selectedpic/{folder}/{name}",),
        "cropped": ("cropped/{folder}/{name}",),
    }
    sheets = ("CAS(ME)^2code_final(Updated).*", "CAS(ME)^2code_final.*", "*code_final*")
    releases = (Release("code_final", 22, {"macro": 300, "micro": 57}),)
    rules = Rules(zero_offset_is_apex=True, margin=0)

    def recording_of(self, fields: Mapping[str, str]) -> tuple[str, str]:
        return fields["video"].partition("_")[0], fields["video"]

    def rows(self, copy: Copy) -> Iterator[Row]:
        read = partial(copy.headerless_table, others=(_PEOPLE, _VIDEOS))
        table = read(_COLUMNS, sheets=("CASFEcode_final", "CASMEcode_final"))
        people = _lookup(copy, ("", "number", "key"), _PEOPLE)
        codes = _lookup(copy, ("number", "key"), _VIDEOS)
        folders = _Folders(copy)
        for number, cells in table.records():
            stimulus = cells["name"].partition("_")[0]
            where = f"{table.file}, sheet '{table.sheet}', row {number}"
            subject = _number(people, cells["person"], _PEOPLE, where)
            video = f"{subject}_{_number(codes, stimulus, _VIDEOS, where).zfill(4)}"
            yield Row(
                file=table.file,
                number=number,
                subject=subject,
                name=cells["name"],
                frames=folders.of(subject, video, cells["name"]),
                fps=self.fps,
                onset=cells["onset"],
                apex=cells["apex"],
                offset=cells["offset"],
                emotion=cells["emotion"],
                action_units=cells["action_units"],
                extra={
                    "kind": cells["kind"].partition("-")[0].strip().lower(),
                    "video": video,
                    "self_report": cells["self_report"],
                },
            )


def _lookup(copy: Copy, columns: tuple[str, ...], sheet: str) -> dict[str, str]:
    """Key -> number, letters and the zeros in front left out: ``s15`` is ``15``."""
    table = copy.headerless_table(columns, sheets=(sheet,))
    return {cells["key"].lower(): re.sub(r"\D", "", cells["number"]) for _, cells in table.records()}


def _number(numbers: Mapping[str, str], key: str, sheet: str, where: str) -> str:
    if key.lower() not in numbers:
        raise DataError(f"{where} speaks of '{key}', which the sheet '{sheet}' does not have")
    return numbers[key.lower()]


class _Folders:
    """Where the frames are: people with or without an s, videos with any words behind the code."""

    def __init__(self, copy: Copy) -> None:
        self._copy = copy
        top = copy.path(copy.pattern.partition("/")[0])
        self._people = {re.sub(r"\D", "", name): name for name in copy.names(top)}
        self._videos: dict[str, Path] = {}
        if "{video}" in copy.pattern:
            for place in copy.clip_folders():
                self._videos.setdefault(place.name[: len("15_0101")], place)

    def of(self, subject: str, video: str, name: str) -> Path:
        """Return the folder of an expression; it need not exist."""
        folder = self._people.get(subject, f"s{subject}")
        return self._videos.get(video) or self._copy.frames(folder=folder, video=video, name=name)
