"""DFME: 2,629 micro-expressions of 259 people at 500, 300 and 200 frames per second, in three splits.

Layout of the copy; each split has its sheet and its folder, and any of them may be missing::

    training_full_with_AU.xlsx   train/sub0003_01/00109.png   (or DFME_train/...)
    testA_full_with_AU.xlsx      testA/sub0004_01/00012.png
    testB_full_with_AU.xlsx      testB/sub0007_02/00250.png

The number in a picture's name is the sheet's number; the frame rate is that of the sheet's column Fps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from microexp.datasets.annotated import AnnotatedDatabase, Copy, Release, Row
from microexp.datasets.base import Check
from microexp.datasets.labels import SCHEMES, emotion_word
from microexp.errors import OptionError, PathMissingError, UnknownNameError

CARD = {
    "class": "DFME",
    "title": "DFME (splits of CCAC 2024)",
    "summary": "2,629 micro-expressions of 259 people in the splits train, testA and testB; 200 to 500 fps.",
    "takes": "the folder with training*.xlsx, testA*.xlsx, testB*.xlsx and the folders train, testA, testB",
    "gives": "clips (T, H, W, 3) uint8 RGB at the rate of each row, with onset, apex, offset, emotion, "
    "action units; the table has the column split",
    "paper": {
        "authors": "Zhao, Sirui and Tang, Huaying and Mao, Xinglong and Liu, Shifeng and Zhang, Yiming and "
        "Wang, Hao and Xu, Tong and Chen, Enhong",
        "title": "DFME: A New Benchmark for Dynamic Facial Micro-Expression Recognition",
        "venue": "IEEE Transactions on Affective Computing",
        "year": 2024,
        "doi": "10.1109/TAFFC.2023.3341918",
    },
    "licence": "licensed by the authors on request; not redistributed here",
    "notes": [
        "The database of the paper has 7,526 clips; what is distributed for the challenge, and read here, is "
        "a part of it: train 1,856 clips of 176 people, testA 474 of 42, testB 299 of 41.",
        "Counts by emotion are published for train only, so testA and testB are checked by their totals.",
        "The folders DFME_train, DFME_testA, DFME_testB are known from other people's code only; a copy has "
        "either these or the plain names.",
        "A challenge result is trained on train and tested on testA or testB; leave-one-subject-out over all "
        "three splits is another protocol.",
    ],
}

SPLITS = ("train", "testA", "testB")
_SHEETS = {
    "train": ("training*", "train*", "*DFME*train*"),
    "testA": ("testA*", "*DFME*testA*"),
    "testB": ("testB*", "*DFME*testB*"),
}
_PREFIXES = ("", "DFME_")
_TRAIN = {
    "disgust": 548,
    "surprise": 298,
    "sadness": 278,
    "fear": 265,
    "happiness": 206,
    "anger": 161,
    "contempt": 100,
}


class DFME(AnnotatedDatabase):
    """DFME, read from the user's copy; parameters as `AnnotatedDatabase`, and one more.

    Parameters
    ----------
    split : {"train", "testA", "testB"}, optional
        The only split to read; all that are there if None. With `sheet`, the split that it is of.
    """

    label_schemes = ("dfme7", "emotion7", "megc3", "mer4")
    variants: ClassVar = {"raw": tuple(f"{p}{s}/{{name}}" for p in _PREFIXES for s in SPLITS)}
    releases = (
        Release("train", 176, _TRAIN),
        Release("testA", 42, total=474),
        Release("testB", 41, total=299),
    )
    extra_columns = ("split",)

    def __init__(
        self,
        root: str | Path | None = None,
        variant: str | None = None,
        sheet: str | Path | None = None,
        missing_apex: str = "keep",
        split: str | None = None,
    ) -> None:
        super().__init__(root, variant, sheet, missing_apex)
        self.split = split

    def rows(self, copy: Copy) -> Iterator[Row]:
        for split, sheet in self._sheets_of(copy).items():
            yield from _rows(copy, split, sheet)

    def check(self) -> list[Check]:
        """Compare the copy with what was published, and say which splits it has."""
        checks = super().check()
        try:
            found = self._sheets_of(self._open())
        except PathMissingError:
            return checks  # they say so
        missing = tuple(
            f"there is no sheet {_SHEETS[split][0]}.xlsx; if you have no copy of {split}, name the split "
            "that is to be read: split=train (--data split=train)"
            for split in self._wanted
            if split not in found
        )
        check = Check("splits", ", ".join(self._wanted), ", ".join(found), not missing, missing)
        return [checks[0], check, *checks[1:]]

    @property
    def _wanted(self) -> tuple[str, ...]:
        return (self.split,) if self.split else SPLITS

    def _sheets_of(self, copy: Copy) -> dict[str, Path]:
        """The sheet of each split that is wanted and there; all are looked for before any is missed."""
        if self.sheet is not None:
            return {self._wanted[0]: copy.sheet}
        found: dict[str, Path] = {}
        missed: PathMissingError | None = None
        for split in self._wanted:
            try:
                found[split] = copy.find(_SHEETS[split])
            except PathMissingError as error:
                missed = missed or error
        if missed and not found:
            raise missed
        return found

    def _open(self) -> Copy:
        if self.split not in (None, *SPLITS):
            raise UnknownNameError("split of dfme", str(self.split), SPLITS)
        if self.sheet is not None and self.split is None:
            raise OptionError(
                f"dfme: say which split the sheet {self.sheet} is of: split=train, testA or testB"
            )
        return super()._open()

    def _copy(self, variant: str) -> Copy:
        return _Splits(self._wanted, self.root, self.name, self.variants[variant], (), self.sheet)


class _Splits(Copy):
    """A copy whose clips lie in a folder for each split, of which some are wanted."""

    def __init__(self, wanted: Sequence[str], *place: Any) -> None:
        super().__init__(*place)
        self._wanted = wanted

    def frames(self, **fields: str) -> Path:
        return self.path(self._folder(fields["split"]), fields["name"])

    def clip_folders(self) -> list[Path]:
        tops = [self.path(self._folder(split)) for split in self._wanted]
        return [top / name for top in tops for name in self.names(top) if (top / name).is_dir()]

    def _folder(self, split: str) -> str:
        return next(prefix for prefix in reversed(_PREFIXES) if self.pattern.startswith(prefix)) + split


def _rows(copy: Copy, split: str, sheet: Path) -> Iterator[Row]:
    table = copy.table(
        {
            "subject": ("Subject",),
            "name": ("Filename",),
            "onset": ("OnsetFrame", "Onset"),
            "apex": ("ApexFrame", "Apex"),
            "offset": ("OffsetFrame", "Offset"),
            "emotion": ("Emotion",),
            "fps": ("Fps", "Frame rate"),
        },
        optional={"action_units": ("AU", "AUs", "Action Units"), "id": ("EmotionId",)},
        file=sheet,
    )
    for number, cells in table.records():
        fps, remarks = _rate(cells["fps"])
        yield Row(
            file=table.file,
            number=number,
            subject=cells["subject"],
            name=cells["name"],
            frames=copy.frames(split=split, name=cells["name"]),
            fps=fps,
            onset=cells["onset"],
            apex=cells["apex"],
            offset=cells["offset"],
            emotion=cells["emotion"],
            action_units=cells["action_units"],
            remarks=(*remarks, *_disagreement(cells["emotion"], cells["id"])),
            extra={"split": split},
        )


def _rate(text: str) -> tuple[float, tuple[str, ...]]:
    """Frames per second, and what is odd about it."""
    if text.isascii() and text.isdigit() and int(text):
        return float(text), ()
    return 200.0, (f"the frame rate '{text}' is no number: 200 is assumed",)


def _disagreement(emotion: str, number: str) -> tuple[str, ...]:
    """Say that the two columns of the emotion do not agree; the word counts."""
    classes = SCHEMES["dfme7"].classes
    known = number.isascii() and number.isdigit() and int(number) < len(classes)
    said = classes[int(number)] if known else "no emotion"
    if not number or said == emotion_word(emotion):
        return ()
    return (f"the emotion is '{emotion}', but the EmotionId {number} is {said}",)
