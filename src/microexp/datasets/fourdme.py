"""4DME, its grey videos: 267 micro-expressions at 60 frames per second, with several emotions each at times.

Layout of the copy::

    4DME_Labelling_Micro_release v1.xlsx       for gray_micro and gray_micro_crop
    gray_micro/02/02_03_1/Frame_000001826.jpg          variant "micro": onset to offset
    gray_micro_crop/02/02_03_1/Frame_000001826.jpg     variant "cropped": the face alone
    Micro and Macro-expression labels.xlsx     for the long videos
    long gray video/02/02_03/Frame_000001826.jpg       variant "long": whole recordings

The last number in a picture's name is the sheet's number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

from microexp.datasets.annotated import Copy, Reading, Release, Row, Rules
from microexp.datasets.labels import emotion_word
from microexp.datasets.long_videos import LongVideos

CARD = {
    "class": "FourDME",
    "title": "4DME (grey videos)",
    "summary": "267 spontaneous micro-expressions, 60 fps, grey, with action units and one or more emotions.",
    "takes": "the folder with 4DME_Labelling_Micro_release v1.xlsx and gray_micro; or with Micro and "
    "Macro-expression labels.xlsx and long gray video",
    "gives": "clips (T, H, W, 3) uint8 RGB at 60 fps with onset, apex, offset, emotion, action units",
    "paper": {
        "authors": "Li, Xiaobai and Cheng, Shiyang and Li, Yante and Behzad, Muzammil and Shen, Jie and "
        "Zafeiriou, Stefanos and Pantic, Maja and Zhao, Guoying",
        "title": "4DME: A Spontaneous 4D Micro-Expression Dataset With Multimodalities",
        "venue": "IEEE Transactions on Affective Computing",
        "year": 2023,
        "doi": "10.1109/TAFFC.2022.3182342",
    },
    "licence": "licensed by the authors on request; not redistributed here",
    "notes": [
        "Layout, columns and the number of 267 clips are those of public code; none was seen in a real copy. "
        "Counts by emotion and of people are not checked.",
        "A clip may have several of the emotions positive, negative, surprise, repression and others. Then "
        "it bears all of them, as in negative+repression, and is in no class of the schemes here; a mapping "
        "of your own can name it. The metadata has them one by one (emotions).",
        "Where the cell Emotion is empty the columns Positive, Negative, ... count; where they disagree the "
        "cell counts and the row is reported.",
        "Action units marked (k) are given like the others; other code leaves them out. The metadata has the "
        "cell as written (action_units). Where it is empty the columns AU1, AU2, ... count.",
        "How the long videos lie in their folder, and the columns of their sheet, are not known: they are "
        "taken to lie in <subject>/<video>, the columns to be those of the other sheet with the video's name "
        "for fold_name and a column Type, in which macro stands for macro-expressions.",
        "A clip of a long video is called <video>_<onset>.",
        "The 3-D recordings are not read.",
    ],
}

_EMOTIONS = ("positive", "negative", "surprise", "repression", "others")
_UNITS = tuple(f"AU{number}" for number in range(1, 47))
_LONG_SHEETS = ("Micro and Macro-expression labels*", "*Micro*Macro*label*")


class FourDME(LongVideos):
    """4DME, read from the user's copy; parameters as `LongVideos`."""

    fps = 60.0
    long = ("long",)
    label_schemes = ("megc3", "mer4")
    variants: ClassVar = {
        "micro": ("gray_micro/{subject}/{name}",),
        "cropped": ("gray_micro_crop/{subject}/{name}",),
        "long": ("long gray video/{subject}/{video}",),
    }
    sheets = ("4DME_Labelling_Micro_release*", "*4DME*Micro*")
    releases = (Release("v1", 0, {"micro": 267}, variants=("micro", "cropped")),)
    rules = Rules(margin=0)

    def rows(self, copy: Copy) -> Iterator[Row]:
        table = copy.table(
            {
                "subject": ("sub_ID", "Subject"),
                "video": ("fold_name", "video_name", "Video", "Filename"),
                "onset": ("Onset", "OnsetFrame"),
                "apex": ("Apex", "ApexFrame"),
                "offset": ("Offset", "OffsetFrame"),
            },
            optional={
                "emotion": ("Emotion",),
                "action_units": ("AUs", "AU"),
                "kind": ("Type", "Expression type"),
                "eye_blink": ("eye blink",),
                **{name: (name,) for name in (*_EMOTIONS, *_UNITS)},
            },
            file=self._sheet_of(copy),
        )
        for number, cells in table.records():
            video, emotions = cells["video"], _emotions(cells)
            name = f"{video}_{cells['onset']}" if self.whole_recordings else video
            yield Row(
                file=table.file,
                number=number,
                subject=cells["subject"],
                name=name,
                frames=copy.frames(subject=cells["subject"], name=name, video=video),
                fps=self.fps,
                onset=cells["onset"],
                apex=cells["apex"],
                offset=cells["offset"],
                emotion="+".join(emotions),
                action_units=cells["action_units"] or "+".join(_flagged(cells, _UNITS)),
                remarks=_disagreement(cells),
                extra={
                    "kind": "macro" if "macro" in cells["kind"].lower() else "micro",
                    "video": video,
                    "emotions": emotions,
                    "eye_blink": cells["eye_blink"] not in ("", "0"),
                },
            )

    def _sheet_of(self, copy: Copy) -> Path:
        return copy.find(_LONG_SHEETS) if self.whole_recordings and self.sheet is None else copy.sheet

    def _remarks(self, reading: Reading) -> list[str]:
        several = sum(len(clip.metadata["emotions"]) > 1 for clip in reading.clips)
        told = f"{self.name}: clips with several emotions, which are in no class unless a mapping names them"
        return [*super()._remarks(reading), *([f"{told}: {several}."] if several else [])]


def _emotions(cells: Mapping[str, str]) -> tuple[str, ...]:
    """Emotions of a row, in the order in which they are written."""
    return _written(cells) or _flagged(cells, _EMOTIONS)


def _written(cells: Mapping[str, str]) -> tuple[str, ...]:
    words = re.split(r"[\W\d_]+", cells["emotion"].lower())
    return tuple(dict.fromkeys(emotion_word(word) for word in words if word not in ("", "and")))


def _flagged(cells: Mapping[str, str], names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in names if cells[name] not in ("", "0"))


def _disagreement(cells: Mapping[str, str]) -> tuple[str, ...]:
    """Say that the cell and the columns of the emotions do not agree."""
    written, flagged = _written(cells), _flagged(cells, _EMOTIONS)
    if not written or not flagged or set(written) == set(flagged):
        return ()
    return (f"the emotion is '{cells['emotion']}', but the columns say {' and '.join(flagged)}",)
