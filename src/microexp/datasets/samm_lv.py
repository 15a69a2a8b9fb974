"""SAMM Long Videos: 147 recordings at 200 frames per second with 343 macro- and 159 micro-expressions.

Layout of the copy::

    SAMM_LongVideos_V3_Release.xlsx (or V2, V1)
    SAMM_longvideos/006_1/006_1_0001.jpg              variant "raw": whole recordings
    SAMM_Micro_FACS_Codes_v2.xlsx                     of SAMM: the emotions of the micro-expressions

The number in a picture's name is the sheet's number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

from microexp.datasets.annotated import Copy, Release, Row, Rules
from microexp.datasets.base import Check
from microexp.datasets.long_videos import LongVideos
from microexp.errors import MicroexpError

CARD = {
    "class": "SAMMLongVideos",
    "title": "SAMM Long Videos",
    "summary": "147 recordings of 200 fps with 343 macro- and 159 micro-expressions, with action units.",
    "takes": "the folder with SAMM_LongVideos_V*_Release.xlsx and SAMM_longvideos; for emotions SAMM's sheet",
    "gives": "clips (T, H, W, 3) uint8 RGB at 200 fps of single expressions, or whole recordings with "
    "intervals",
    "paper": {
        "authors": "Yap, Chuin Hong and Kendrick, Connah and Yap, Moi Hoon",
        "title": "SAMM Long Videos: A Spontaneous Facial Micro- and Macro-Expressions Dataset",
        "venue": "IEEE International Conference on Automatic Face and Gesture Recognition",
        "year": 2020,
        "url": "https://arxiv.org/abs/1911.01519",
    },
    "licence": "licensed by Manchester Metropolitan University on request; not redistributed here",
    "notes": [
        "Layout, columns and the two rules that follow are those of public code for spotting; none was "
        "seen in a real copy. An offset of 0 stands for one that was not seen: the apex is taken. A row "
        "whose onset is 0 was not seen to begin: it is left out.",
        "The sheet has no emotions. Those of the micro-expressions come from SAMM's own sheet, where it lies "
        "beside or is named (--data micro_codes=FILE), by file name and type; macro-expressions have none, "
        "so they are in no class.",
        "A micro-expression is called as in SAMM (006_1_2), a macro-expression 006_1_2_macro: their file "
        "names in the sheet need not differ.",
        "How many people the sheets of V1, V2 and V3 have is not published, so it is not checked.",
    ],
}

_MICRO_CODES = ("SAMM_Micro_FACS_Codes_v2.*", "SAMM_Micro_FACS_Codes*")


class SAMMLongVideos(LongVideos):
    """SAMM Long Videos, read from the user's copy.

    Parameters
    ----------
    root, variant, sheet, missing_apex, kind
        As for `LongVideos`.
    micro_codes : path, optional
        SAMM's own sheet, from which the micro-expressions have their emotions, where it does not lie beside.
    """

    fps = 200.0
    label_schemes = ("megc3", "mer4")
    variants: ClassVar = {"raw": ("SAMM_longvideos/{video}",)}
    sheets = (*(f"SAMM_LongVideos_V{n}_Release.*" for n in (3, 2, 1)), "SAMM_LongVideos*")
    releases = (Release("SAMM_LongVideos", 0, {"micro": 159, "macro": 343}),)
    rules = Rules(zero_offset_is_apex=True, zero_onset_is_unseen=True, margin=0)
    without_emotion = (
        "Those of the micro-expressions are in SAMM's own sheet: put SAMM_Micro_FACS_Codes_v2.xlsx beside "
        "the other sheet, or name it (--data micro_codes=FILE)"
    )

    def __init__(
        self,
        root: str | Path | None = None,
        variant: str | None = None,
        sheet: str | Path | None = None,
        missing_apex: str = "keep",
        kind: str = "micro",
        micro_codes: str | Path | None = None,
    ) -> None:
        super().__init__(root, variant, sheet, missing_apex, kind)
        self.micro_codes = micro_codes

    def recording_of(self, fields: Mapping[str, str]) -> tuple[str, str]:
        return fields["video"].partition("_")[0], fields["video"]

    def rows(self, copy: Copy) -> Iterator[Row]:
        table = copy.table(
            {
                "name": ("Filename", "File name"),
                "onset": ("Onset", "Onset Frame"),
                "apex": ("Apex", "Apex Frame"),
                "offset": ("Offset", "Offset Frame"),
                "kind": ("Type",),
            },
            optional={"action_units": ("Action Units", "AU"), "notes": ("Notes",)},
        )
        emotions = self._emotions(copy)
        for number, cells in table.records():
            filename, kind = cells["name"], _kind(cells["kind"])
            subject, video, *_ = (*filename.split("_"), "")
            yield Row(
                file=table.file,
                number=number,
                subject=subject,
                name=filename if kind == "micro" else f"{filename}_{kind}",
                frames=copy.frames(video=f"{subject}_{video}"),
                fps=self.fps,
                onset=cells["onset"],
                apex=cells["apex"],
                offset=cells["offset"],
                emotion=emotions.get((filename, kind), ""),
                action_units=cells["action_units"],
                extra={"kind": kind, "video": f"{subject}_{video}", "notes": cells["notes"]},
            )

    def check(self) -> list[Check]:
        checks = super().check()
        try:
            codes = self._micro_codes(self._open())
        except MicroexpError as error:
            return [*checks, Check("emotions", "SAMM's own sheet", "not usable", False, (str(error),))]
        told = () if codes else (f"not needed for spotting. {self.without_emotion}",)
        return [*checks, Check("emotions", "SAMM's own sheet", codes.name if codes else "none", True, told)]

    def _emotions(self, copy: Copy) -> dict[tuple[str, str], str]:
        """(file name, kind) -> emotion, as SAMM's own sheet has it; none without that sheet."""
        if (file := self._micro_codes(copy)) is None:
            return {}
        columns = {
            "name": ("Filename",),
            "kind": ("Micro", "Type"),
            "emotion": ("Estimated Emotion", "Emotion"),
        }
        table = copy.table(columns, file=file)
        return {(cells["name"], _kind(cells["kind"])): cells["emotion"] for _, cells in table.records()}

    def _micro_codes(self, copy: Copy) -> Path | None:
        if self.micro_codes is not None:
            return copy.named(self.micro_codes)
        return copy.find_any(_MICRO_CODES)


def _kind(text: str) -> str:
    """``"Micro - 1/2"`` and ``"Macro"`` to one word; another word stays as it is."""
    word = text.partition("-")[0].strip().lower()
    return word or "unknown"
