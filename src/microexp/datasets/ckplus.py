"""CK+: 593 posed expressions of 123 people from neutral to apex, 327 of them with an emotion.

Layout of the copy; the annotation is a text file or two for each sequence, Emotion's often missing::

    cohn-kanade-images/S011/001/S011_001_00000001.png            neutral first, apex last
    Emotion/S011/001/S011_001_00000016_emotion.txt               one number, 1 to 7
    FACS/S011/001/S011_001_00000016_facs.txt                     action unit and intensity, line by line
    Landmarks/S011/001/S011_001_00000001_landmarks.txt           68 points of each frame

The number in the names of the text files is that of the apex frame, the last one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from microexp.datasets.annotated import FIRST, LAST, AnnotatedDatabase, Copy, Release, Row
from microexp.datasets.base import Check
from microexp.errors import DataError

CARD = {
    "class": "CKPlus",
    "title": "CK+ (extended Cohn-Kanade)",
    "summary": "593 posed expressions of 123 people from neutral to apex; 327 with one of seven emotions.",
    "takes": "the folder with cohn-kanade-images, Emotion and FACS (and Landmarks)",
    "gives": "clips (T, H, W, 3) uint8 RGB with the onset first and the apex last, emotion, action units",
    "paper": {
        "authors": "Lucey, Patrick and Cohn, Jeffrey F. and Kanade, Takeo and Saragih, Jason and "
        "Ambadar, Zara and Matthews, Iain",
        "title": "The Extended Cohn-Kanade Dataset (CK+): A Complete Dataset for Action Unit and "
        "Emotion-Specified Expression",
        "venue": "IEEE Conference on Computer Vision and Pattern Recognition Workshops",
        "year": 2010,
        "doi": "10.1109/CVPRW.2010.5543262",
    },
    "licence": "licensed by the authors on request; not redistributed here",
    "notes": [
        "Macro-expressions: for training before micro-expressions, and for comparison.",
        "Sequences without an emotion are read (read()) and counted, but are in no class.",
        "The first frame is the onset; the apex, which is also the offset, is the frame that the files of "
        "Emotion and FACS name, or the last one where there are neither.",
        "Intensity 1 to 5 of an action unit is A to E; 0 means that none was coded.",
        "No layout here states the frame rate: 30 a second is assumed, that of the recordings by the paper.",
        "Counts by emotion are remembered from the paper, not read in a source here; they add up to the 327. "
        "The layout is known from public code.",
        "Landmarks are not read; the metadata names their folder where it is there.",
    ],
}

_EMOTIONS = ("", "anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise")  # 0: neutral
_COUNTS = {
    "": 266,
    "surprise": 83,
    "happiness": 69,
    "disgust": 59,
    "anger": 45,
    "sadness": 28,
    "fear": 25,
    "contempt": 18,
}
_ANNOTATION = ("Emotion", "FACS")
_GRADES = ("", "A", "B", "C", "D", "E")
_PERSON = re.compile(r"S\d{3}", re.IGNORECASE)
_PICTURE = re.compile(r"^[^.].*_(\d+)\.\w+$")
_APEX = re.compile(r"_(\d+)_(?:emotion|facs)\.txt$", re.IGNORECASE)


class CKPlus(AnnotatedDatabase):
    """CK+, read from the user's copy.

    Parameters
    ----------
    root : path
        Folder of the copy, the folder above it, or its folder of frames.
    variant : {"raw"}, optional
        Which pictures.
    """

    label_schemes = ("emotion7", "megc3", "mer4")
    variants: ClassVar = {"raw": ("cohn-kanade-images/{subject}/{name}",)}
    releases = (Release("CK+", 123, _COUNTS),)
    without_emotion = "They are in the folder Emotion: unpack Emotion_labels.zip beside the pictures"

    def __init__(self, root: str | Path | None = None, variant: str | None = None) -> None:
        super().__init__(root, variant)

    def check(self) -> list[Check]:
        """Compare the copy with what was published, and say which folders of annotation it lacks."""
        copy, checks = self._open(), super().check()
        here = [name for name in _ANNOTATION if copy.holds(copy.path(name))]
        told = tuple(
            f"there is no folder {name} in {copy.home}: unpack {name}_labels.zip there"
            for name in _ANNOTATION
            if name not in here
        )
        check = Check("folders of annotation", ", ".join(_ANNOTATION), ", ".join(here), not told, told)
        return [checks[0], check, *checks[1:]]

    def rows(self, copy: Copy) -> Iterator[Row]:
        if not any(copy.holds(copy.path(folder)) for folder in _ANNOTATION):
            raise DataError(
                f"{self.name}: there is no folder Emotion and no folder FACS beside the pictures, in "
                f"{copy.home}; unpack Emotion_labels.zip and FACS_labels.zip there"
            )
        for subject, name in _sequences(copy):
            yield _row(copy, subject, name)


def _sequences(copy: Copy) -> list[tuple[str, str]]:
    """Person and sequence, from the folders of pictures and of both annotations: none may be lost unseen."""
    tops = [copy.path(folder) for folder in ("cohn-kanade-images", *_ANNOTATION)]
    people = [(top, subject) for top in tops for subject in copy.names(top) if _PERSON.fullmatch(subject)]
    return sorted(
        {
            (who.upper(), name)
            for top, who in people
            for name in copy.names(top / who)
            if (top / who / name).is_dir()
        }
    )


def _row(copy: Copy, subject: str, name: str) -> Row:
    frames = copy.frames(subject=subject, name=name)
    remarks = _late_start(copy.names(frames))
    emotion = _file(copy, remarks, "Emotion", subject, name)
    facs = _file(copy, remarks, "FACS", subject, name)
    landmarks = copy.path("Landmarks", subject, name)
    apex = {
        file.name: int(found[1]) for file in (emotion, facs) if file and (found := _APEX.search(file.name))
    }
    if len(set(apex.values())) > 1:
        remarks.append(f"{' and '.join(apex)} name different frames as the apex: the first counts")
    last = str(next(iter(apex.values()))) if apex else LAST
    return Row(
        file=emotion or facs or frames,
        number=0,
        subject=subject,
        name=name,
        frames=frames,
        fps=30.0,
        onset=FIRST,
        apex=last,
        offset=last,
        emotion=_emotion(emotion, remarks) if emotion else "",
        action_units="+".join(_units(facs, remarks)) if facs else "",
        remarks=tuple(remarks),
        extra={"landmarks": str(landmarks)} if copy.holds(landmarks) else {},
    )


def _late_start(pictures: list[str]) -> list[str]:
    """Say that the neutral face seems to be missing, as every sequence counts from 1."""
    first = next((number for name in pictures if (number := _PICTURE.search(name))), None)
    if first is None or int(first[1]) == 1:
        return []
    return [f"its first picture is number {int(first[1])}: the neutral face before it is missing"]


def _file(copy: Copy, remarks: list[str], *place: str) -> Path | None:
    """The one text file of a sequence; its folder may be empty, or not be there."""
    folder = copy.path(*place)
    names = [name for name in copy.names(folder) if name.lower().endswith(".txt") and name[0] != "."]
    if len(names) > 1:
        remarks.append(f"{len(names)} files in {folder} ({', '.join(names)}): the first counts")
    return folder / names[0] if names else None


def _emotion(file: Path, remarks: list[str]) -> str:
    numbers = [number for line in _numbers(file, remarks) for number in line]
    if len(numbers) == 1 and numbers[0] in range(len(_EMOTIONS)):
        return _EMOTIONS[int(numbers[0])]
    remarks.append(f"{file} holds no number of an emotion, 1 to {len(_EMOTIONS) - 1}: it has none")
    return ""


def _units(file: Path, remarks: list[str]) -> Iterator[str]:
    """Action units as ``12C``."""
    for numbers in _numbers(file, remarks):
        unit, grade = (*numbers, -1.0, -1.0)[:2]
        if unit > 0 and unit.is_integer() and grade in range(len(_GRADES)):
            yield f"{int(unit)}{_GRADES[int(grade)]}"
        else:
            said = " ".join(f"{number:g}" for number in numbers)
            remarks.append(f"'{said}' in {file} is no action unit with an intensity of 0 to 5")


def _numbers(file: Path, remarks: list[str]) -> list[list[float]]:
    """Numbers of each line that has any."""
    try:
        lines = file.read_text(encoding="ascii").splitlines()
        return [[float(word) for word in line.split()] for line in lines if line.strip()]
    except OSError as error:
        remarks.append(f"{file} cannot be read: {error.strerror}")
    except ValueError:  # also that of another encoding
        remarks.append(f"{file} holds something else than numbers")
    return []
