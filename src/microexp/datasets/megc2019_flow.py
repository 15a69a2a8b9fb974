"""The published motion images of the MEGC2019 composite: 442 clips as 28x28 pictures of u, v, strain.

Layout of the root folder (the one of the public HTNet repository)::

    combined_3_class2_for_optical_flow.csv     dataset, sub, filename_o, label, ...
    STSNet_whole_norm_u_v_os/<sub>_<filename_o> .png     28x28 RGB: R = u, G = v, B = optical strain

Mind the space before ``.png``. Each channel of each image was min-max stretched to 0..255 by its
makers: the pattern of the motion is left, its strength is lost.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from microexp.datasets import labels as label_schemes
from microexp.datasets.base import Check, Database, Dataset, fingerprint, relabel, require_root
from microexp.errors import DataError, MicroexpError, PathMissingError
from microexp.frames import read_image

CARD = {
    "class": "MEGC2019Flow",
    "title": "MEGC2019 composite, published motion images",
    "summary": "442 real clips of CASME II, SAMM and SMIC-HS as 28x28 images of u, v and optical strain.",
    "takes": "the folder with combined_3_class2_for_optical_flow.csv and STSNet_whole_norm_u_v_os/",
    "gives": "flow images (442, 3, 28, 28) float32 in [0, 1]: u, v, strain; 68 subjects",
    "paper": {
        "authors": "See, John and Yap, Moi Hoon and Li, Jingting and Hong, Xiaopeng and Wang, Su-Jing",
        "title": "MEGC 2019 -- The Second Facial Micro-Expressions Grand Challenge",
        "venue": "IEEE International Conference on Automatic Face and Gesture Recognition",
        "year": 2019,
        "doi": "10.1109/FG.2019.8756611",
    },
    "licence": "no licence file; derived from licensed databases: evaluation only, do not redistribute",
    "notes": [
        "Each channel of each image is min-max stretched, so the strength of the motion is lost.",
        "SMIC rows of the sheet name pictures as s01_s1_ne_01.jpg; found by sub, filename_o.",
    ],
}

SHEET = "combined_3_class2_for_optical_flow.csv"
IMAGES = "STSNet_whole_norm_u_v_os"
SIZE = 28
CLASSES = label_schemes.scheme("megc3").classes
# MEGC2019, Table 1: clips per class (negative, positive, surprise) and subjects.
OFFICIAL = {"smic": ((70, 51, 43), 16), "casme2": ((88, 32, 25), 24), "samm": ((92, 26, 15), 28)}
_LAYOUT = f"{SHEET} and the folder {IMAGES}"


class MEGC2019Flow(Database):
    """The motion images of MEGC2019, read from the user's copy.

    Parameters
    ----------
    root : path
        Folder that holds the sheet and the folder of images.
    """

    label_schemes = ("megc3",)

    def __init__(self, root: str | Path | None = None) -> None:
        self.root = root

    def load(self, labels: str | None = None) -> Dataset:
        """Read sheet and images.

        Raises
        ------
        PathMissingError
            If the root, the sheet, the folder of images or one of the images is missing.
        DataError
            If the sheet lacks a column, repeats a clip or has an unknown label, or an image is
            damaged or not 28x28; the message names file and row.
        """
        scheme = self.scheme(labels)
        root = require_root(self.root, "megc2019_flow", _LAYOUT)
        table = relabel(read_sheet(root / SHEET), scheme)
        files = [
            image_file(root / IMAGES, s, c) for s, c in zip(table["subject"], table["clip"], strict=True)
        ]
        images = np.stack([_read_flow_image(file) for file in files])
        return Dataset(
            table,
            scheme.classes,
            flow_images=np.ascontiguousarray(images.transpose(0, 3, 1, 2), dtype=np.float32) / 255.0,
            scheme=scheme.name,
            fingerprint=fingerprint(table.to_csv(index=False, lineterminator="\n"), images.tobytes()),
        )

    def check(self) -> list[Check]:
        root = require_root(self.root, "megc2019_flow", _LAYOUT)
        try:
            table = read_sheet(root / SHEET)
        except MicroexpError as error:
            return [Check(SHEET, "a readable sheet", "damaged", ok=False, details=(str(error),))]
        checks = [Check(SHEET, "a readable sheet", f"{len(table)} rows", ok=True)]
        for database, (counts, subjects) in OFFICIAL.items():
            rows = table[table["database"] == database]
            found = tuple(int((rows["label"] == k).sum()) for k in range(len(CLASSES)))
            people = rows["subject"].nunique()
            checks.append(
                Check(
                    f"{database}: {'/'.join(CLASSES)}, subjects",
                    f"{'/'.join(map(str, counts))}, {subjects}",
                    f"{'/'.join(map(str, found))}, {people}",
                    ok=(found, people) == (counts, subjects),
                )
            )
        return [*checks, *_check_images(root / IMAGES, table)]


def read_sheet(file: Path) -> pd.DataFrame:
    """Read the annotation sheet into the columns of a data set's table."""
    if not file.is_file():
        raise PathMissingError(f"megc2019_flow: {file} does not exist")
    try:
        sheet = pd.read_csv(file, dtype=str, keep_default_na=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise DataError(f"{file} is not a readable CSV file: {error}") from error
    needed = ("dataset", "sub", "filename_o", "label")
    if missing := [c for c in needed if c not in sheet.columns]:
        raise DataError(f"{file} lacks the column(s) {', '.join(missing)}; it has {', '.join(sheet.columns)}")
    if not len(sheet):
        raise DataError(f"{file} has a header but no rows")
    key = sheet[["dataset", "sub", "filename_o"]]
    if key.duplicated().any():
        row = int(np.flatnonzero(key.duplicated())[0])
        clip = "/".join(key.iloc[row])
        raise DataError(f"{file}, row {row + 2}: the clip {clip} is listed twice; remove one of the rows")
    allowed = {str(k) for k in range(len(CLASSES))}
    for row, label in enumerate(sheet["label"]):
        if label not in allowed:
            raise DataError(
                f"{file}, row {row + 2}: label '{label}' is none of 0, 1, 2 ({', '.join(CLASSES)})"
            )
    label = sheet["label"].astype("int64")
    return pd.DataFrame(
        {
            "database": sheet["dataset"],
            "subject": sheet["sub"],
            "clip": sheet["filename_o"],
            "emotion": [CLASSES[k] for k in label],
            "label": label,
        }
    )


def image_file(folder: Path, subject: str, clip: str) -> Path:
    """Return the picture of one clip; raise `PathMissingError` if there is none."""
    if not folder.is_dir():
        raise PathMissingError(f"megc2019_flow: the folder {folder} does not exist")
    names = (f"{subject}_{clip} .png", f"{subject}_{clip}.png")  # published with, tidied copies without
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise PathMissingError(f"megc2019_flow: {folder} holds no '{names[0]}' for the clip {subject}/{clip}")


def _read_flow_image(file: Path) -> np.ndarray:
    image = read_image(file)
    if image.shape != (SIZE, SIZE, 3):
        raise DataError(f"{file} is {image.shape[1]}x{image.shape[0]}; the motion images are {SIZE}x{SIZE}")
    return image


def _check_images(folder: Path, table: pd.DataFrame) -> Iterable[Check]:
    """Check that every clip has a readable picture, and that no picture is left over."""
    if not folder.is_dir():
        return [Check(IMAGES, "a folder", "missing", ok=False)]
    faults, used = [], set()
    for subject, clip in zip(table["subject"], table["clip"], strict=True):
        try:
            file = image_file(folder, subject, clip)
            used.add(file.name)
            _read_flow_image(file)
        except MicroexpError as error:
            faults.append(str(error))
    extra = sorted(p.name for p in folder.glob("*.png") if p.name not in used)
    return [
        Check(
            "images",
            f"{len(table)}, {SIZE}x{SIZE}",
            f"{len(table) - len(faults)} good",
            not faults,
            tuple(faults),
        ),
        Check("images without a row", "0", str(len(extra)), not extra, tuple(extra)),
    ]
