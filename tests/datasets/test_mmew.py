"""MMEW on its look-alike: rows that count elsewhere, rows that make no sense, stills, and damaged copies."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pytest

from microexp import datasets
from microexp.clip import Clip
from microexp.datasets.base import Check
from microexp.errors import PathMissingError, UnknownNameError
from microexp.frames import read_image
from tests.conftest import copy_tree

SHEET, MICRO, MACRO = "MMEW_Micro_Exp.xlsx", "Micro_Expression", "Macro_Expression"
ONSET, APEX, OFFSET = 3, 4, 5  # columns of the sheet


@pytest.fixture
def copy(tmp_path: Path, look_alike: Callable[..., Path]) -> Path:
    return copy_tree(look_alike("mmew", full=True), tmp_path / "MMEW", MICRO, SHEET)


def faults(root: Path, **options: object) -> dict[str, Check]:
    return {c.what: c for c in datasets.create("mmew", root=root, **options).check() if not c.ok}


def clips(root: Path, **options: object) -> dict[str, Clip]:
    return {clip.name: clip for clip in datasets.create("mmew", root=root, **options).read().clips}


def written(root: Path) -> pd.DataFrame:
    return pd.read_excel(root / SHEET).set_index("Filename")


def edit(root: Path, cells: dict[tuple[int, int], object]) -> None:
    book = openpyxl.load_workbook(root / SHEET)
    (root / SHEET).unlink()  # it may be a link to the fixture's
    for (row, column), value in cells.items():
        book["Sheet1"].cell(row, column).value = value
    book.save(root / SHEET)


def test_the_published_classes(look_alike: Callable[..., Path]) -> None:
    database = datasets.create("mmew", root=look_alike("mmew", full=True))
    counts = {
        scheme: database.load(scheme).table["label"].value_counts(sort=False).sort_index().to_list()
        for scheme in database.label_schemes
    }
    assert counts["megc3"] == [8 + 72 + 16 + 13, 36, 89]
    assert counts["mer4"] == [8 + 72 + 16 + 13, 36, 89, 66]
    assert counts["emotion7"] == [36, 89, 72, 8, 16, 13]
    assert database.load().table["subject"].nunique() == 30


def test_rows_in_numbers_of_the_recording_are_matched_from_the_first_file(copy: Path) -> None:
    sheet, found = written(copy), clips(copy)
    moved = sheet[(sheet["OnsetFrame"] > 200) & sheet["remarks"].isna()]
    assert len(moved) > 100
    for name, row in moved.iterrows():
        clip = found[name]
        assert (clip.onset, clip.offset) == (0, len(clip) - 1)
        assert clip.apex == row["ApexFrame"] - row["OnsetFrame"]
        assert clip.metadata["apex_number"] == row["ApexFrame"]
        picture = clip.frames.folder / f"{clip.apex + 1}.jpg"
        assert np.array_equal(clip.frames[clip.apex], read_image(picture))
    details = {c.what: c for c in datasets.create("mmew", root=copy).check()}
    told = "\n".join(details["frames matched with a remark"].details)
    assert "the onset is taken as the first file and the offset as the last, 2 frames earlier" in told


def test_sixteen_rows_without_sense_are_kept_and_said(copy: Path) -> None:
    sheet, found = written(copy), clips(copy)
    odd = sheet[sheet["remarks"] == "odd"]
    assert len(odd) == 16
    assert len(found) == 300
    for name in odd.index:
        assert found[name].apex is None or found[name].offset == len(found[name]) - 1
    check = next(c for c in datasets.create("mmew", root=copy).check() if c.what == "odd rows")
    assert check.ok
    told = "\n".join(check.details)
    for words in (
        "it has no apex; kept with the apex unknown",
        "it has no offset; the last file",
        "comes after the offset",
        "comes before the onset",
        "the offset '/' is no frame number; the last file",
    ):
        assert words in told


def test_a_seventeenth_is_a_fault(copy: Path) -> None:
    sound = written(copy)["remarks"].isna().to_list().index(True)
    edit(copy, {(2 + sound, APEX): None})
    check = faults(copy)["odd rows"]
    assert check.expected == "up to 16 rows"
    assert any(f"row {2 + sound}, " in told for told in check.details)


def test_the_folder_of_the_others_may_be_called_repression(look_alike: Callable[..., Path]) -> None:
    root = look_alike("mmew", full=True, others="repression")
    assert not (root / MICRO / "others").exists()
    assert faults(root) == {}
    assert sum(clip.emotion == "others" for clip in clips(root).values()) == 66


def test_stills_are_clips_of_one_frame(look_alike: Callable[..., Path]) -> None:
    root = look_alike("mmew", full=True)
    found = clips(root, variant="macro")
    assert len(found) == 900
    clip = found["S07-03-002"]
    assert (len(clip), clip.onset, clip.apex, clip.offset) == (1, 0, 0, 0)
    assert (clip.subject, clip.emotion) == ("S07", "anger")
    assert np.array_equal(clip.frames[0], read_image(root / MACRO / "S07" / "anger" / "S07-03-002.jpg"))
    micro = datasets.create("mmew", root=root).load()
    assert set(micro.table["subject"]) == {clip.subject for clip in found.values()}


def test_lost_stills_are_counted(tmp_path: Path, look_alike: Callable[..., Path]) -> None:
    root = copy_tree(look_alike("mmew", full=True), tmp_path / "MMEW", MACRO)
    (root / MACRO / "S01" / "anger" / "Thumbs.db").write_text("x")
    (root / MACRO / "S01" / "anger" / ".DS_Store").write_text("x")
    assert faults(root, variant="macro") == {}
    shutil.rmtree(root / MACRO / "S09")
    (root / MACRO / "S01" / "anger" / "S01-03-001.jpg").unlink()
    empty = root / MACRO / "S01" / "anger" / "S01-03-002.jpg"
    empty.unlink()
    empty.touch()
    found = faults(root, variant="macro")
    assert (found["rows"].expected, found["rows"].found) == ("900", "869")
    assert (found["subjects"].expected, found["subjects"].found) == ("30", "29")
    assert "S01-03-002" in found["clips with all frames"].details[0]


def test_the_other_half_of_the_database_is_offered(tmp_path: Path, look_alike: Callable[..., Path]) -> None:
    root = copy_tree(look_alike("mmew", full=True), tmp_path / "MMEW", MACRO)
    with pytest.raises(PathMissingError, match="variant=macro"):
        datasets.create("mmew", root=root).load()
    with pytest.raises(UnknownNameError, match="Did you mean 'macro'"):
        datasets.create("mmew", root=root, variant="marco").load()


def test_missing_frames_are_named(copy: Path) -> None:
    sheet = written(copy)
    name = sheet.index[(sheet["OnsetFrame"] == 1) & sheet["remarks"].isna()][0]
    row = sheet.loc[name]
    folder = copy / MICRO / row["Estimated Emotion"] / name
    (folder / f"{row['ApexFrame']}.jpg").unlink()
    (copy / MICRO / "anger").rename(copy / MICRO / "angre")
    check = faults(copy)["clips with all frames"]
    text = "\n".join(check.details)
    assert f"{name}: 1 of its" in text
    assert f"({row['ApexFrame']}) in {folder}" in text
    assert f"anger is missing in {copy / MICRO} (8 clips); angre is there: rename it to anger" in text


def test_a_trimmed_clip_that_lost_its_apex_is_no_clip(copy: Path) -> None:
    sheet = written(copy)
    name = sheet.index[(sheet["OnsetFrame"] > 200) & sheet["remarks"].isna()][0]
    folder = copy / MICRO / sheet.loc[name, "Estimated Emotion"] / name
    for picture in folder.iterdir():
        if int(picture.stem) > 2:
            picture.unlink()
    assert f"/{name}: " in faults(copy)["clips with all frames"].details[0]
    assert name not in clips(copy)


def test_half_a_copy_is_told_as_such(copy: Path) -> None:
    for emotion in ("surprise", "sadness", "others"):
        shutil.rmtree(copy / MICRO / emotion)
    told = faults(copy)["clips with all frames"].details[0]
    assert told.startswith("the copy is incomplete: 132 clips of 300 have their frames")


def test_another_sheet_is_told(copy: Path) -> None:
    edit(copy, {(row, 7): "disgust" for row in range(2, 12)})
    found = faults(copy)
    assert "disgust" in found["release of the sheet"].found
    (copy / SHEET).rename(copy / "labels.xlsx")
    assert "There is labels.xlsx: if that is it, name it: sheet=FILE" in faults(copy)["annotation"].details[0]
