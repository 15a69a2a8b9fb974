"""CASME II on its look-alikes: both sheets, and copies that are damaged in every way of issue 3."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pytest

from microexp import datasets
from microexp.datasets.base import Check
from tests.conftest import copy_tree

RAW = "CASME2_RAW_selected"
OLD, NEW = "CASME2-coding-20140508.xlsx", "CASME2-coding-20190701.xlsx"


@pytest.fixture
def copy(tmp_path: Path, look_alike: Callable[..., Path]) -> Path:
    """A copy of full size that may be damaged: the raw clips and the sheet of 2019."""
    return copy_tree(look_alike("casme2", full=True), tmp_path / "CASME II 复制", RAW, NEW)


def faults(root: Path) -> dict[str, Check]:
    return {check.what: check for check in datasets.create("casme2", root=root).check() if not check.ok}


def test_the_sheet_of_2014_gives_the_published_classes(look_alike: Callable[..., Path]) -> None:
    root = look_alike("casme2", full=True, release="20140508")
    database = datasets.create("casme2", root=root)
    counts = {
        scheme: database.load(scheme).table["label"].value_counts(sort=False).sort_index().to_list()
        for scheme in database.label_schemes
    }
    # With the two clips that the composite leaves out: 61 + 2 of disgust, 27 of repression.
    assert counts == {"megc3": [90, 32, 25], "casme2_5": [32, 63, 27, 25, 99], "mer4": [72, 32, 25, 126]}
    data = database.load("megc3")
    assert data.table["subject"].nunique() == 24
    assert {"10", "18"}.isdisjoint(data.table["subject"])
    clip = next(clip for clip in data.clips if (clip.subject, clip.name) == ("04", "EP12_01f"))
    assert clip.metadata["apex_number"] == 300
    assert all(check.ok for check in database.check())


def test_the_sheet_of_2019_moves_three_clips_and_has_no_apex_for_one(look_alike: Callable[..., Path]) -> None:
    data = datasets.create("casme2", root=look_alike("casme2", full=True)).load("megc3")
    assert data.table["label"].value_counts(sort=False).sort_index().to_list() == [90, 32, 28]
    unknown = data.table[data.table["apex"].isna()]
    assert unknown[["subject", "clip"]].to_numpy().tolist() == [["04", "EP12_01f"]]
    moved = data.table[(data.table["subject"] == "24") & (data.table["emotion"] == "surprise")]
    assert {"EP07_01", "EP07_04f", "EP10_03"} <= set(moved["clip"])


def test_both_sheets_side_by_side_give_that_of_2019(copy: Path, look_alike: Callable[..., Path]) -> None:
    copy_tree(look_alike("casme2", full=True, release="20140508"), copy, OLD)
    assert len(datasets.create("casme2", root=copy).load("megc3")) == 150
    assert len(datasets.create("casme2", root=copy, sheet=OLD).load("megc3")) == 147


def test_missing_frames_are_named(copy: Path) -> None:
    clip = sorted((copy / RAW / "sub03").iterdir())[0]
    first, *_, last = sorted(clip.iterdir(), key=lambda file: int(file.stem[3:]))
    last.unlink()
    (copy / RAW / "sub05" / "EP09_05f").rename(copy / RAW / "sub05" / "EP09_05f (1)")
    found = faults(copy)
    assert sorted(found) == ["clips with all frames", "folders without a row"]
    check = found["clips with all frames"]
    assert (check.expected, check.found) == ("255", "253")
    text = "\n".join(check.details)
    assert f"03/{clip.name}: 1 of its" in text
    assert f"frames are missing ({last.stem[3:]}) in {clip}" in text
    assert f"EP09_05f is missing in {copy / RAW / 'sub05'} (1 clip)" in text
    data = datasets.create("casme2", root=copy).load("casme2_5")
    assert "2 of 255 rows are left out" in data.remarks[0]
    assert first.is_file()


def test_pictures_of_zero_bytes_are_missing_frames(copy: Path) -> None:
    file = next((copy / RAW / "sub02" / "EP02_01f").iterdir())
    file.unlink()
    file.touch()
    (told,) = faults(copy)["clips with all frames"].details
    assert "1 of its" in told
    assert f"1 files there have 0 bytes ({file.name}, ...)" in told


def test_the_sheet_of_the_other_release_is_told(copy: Path, look_alike: Callable[..., Path]) -> None:
    (copy / NEW).unlink()
    shutil.copy(look_alike("casme2", full=True, release="20140508") / OLD, copy / NEW)
    found = faults(copy)
    assert list(found) == ["release of the sheet"]
    assert found["release of the sheet"].found == "20140508"
    named, other = found["release of the sheet"].details
    assert "is named after the release 20190701, but it holds that of 20140508" in named
    assert other == "the release 20190701 has surprise 28 in place of 25, sadness 4 in place of 7"


def test_a_renamed_folder_is_found_by_its_number(copy: Path) -> None:
    (copy / RAW / "sub01").rename(copy / RAW / "s01")
    (told,) = faults(copy)["clips with all frames"].details
    assert told.startswith(f"sub01 is missing in {copy / RAW} (")
    assert told.endswith("s01 is there: rename it to sub01")


def edit(file: Path, row: int, column: int, value: object) -> None:
    book = openpyxl.load_workbook(file)
    file.unlink()  # it may be a link to the fixture's
    book["Sheet1"].cell(row, column, value)
    book.save(file)


def test_a_row_with_the_apex_after_the_offset_is_named(copy: Path) -> None:
    edit(copy / NEW, 7, 5, 9999)
    found = faults(copy)
    assert list(found) == ["odd rows"]
    told = next(told for told in found["odd rows"].details if "as published" not in told)
    assert told.startswith(f"{NEW} row 7, ")
    assert "the apex 9999 comes after the offset " in told
    assert told.endswith("kept with the apex unknown")
    reading = datasets.create("casme2", root=copy).read()
    assert len(reading.clips) == 255
    assert sum(clip.apex is None for clip in reading.clips) == 2


def test_half_a_copy_is_told_as_such(copy: Path) -> None:
    for number in range(14, 27):
        shutil.rmtree(copy / RAW / f"sub{number}")
    check = faults(copy)["clips with all frames"]
    assert check.details[0].startswith(
        f"the copy is incomplete: {check.found} clips of 255 have their frames"
    )
    assert "13 of 26 subjects have none (14, 15, 16, ...). Copy or unpack it again" in check.details[0]
    assert len(check.details) == 14  # and one line for each folder, not for each clip


def test_subjects_that_lost_their_zero_are_the_same_people(copy: Path) -> None:
    edit(copy / NEW, 2, 1, 1)
    assert faults(copy) == {}


def test_merged_cells_and_missing_columns_are_told_by_the_check(copy: Path) -> None:
    book = openpyxl.load_workbook(copy / NEW)
    book["Sheet1"].merge_cells("A2:A6")
    (copy / NEW).unlink()
    book.save(copy / NEW)
    assert "the cells A2:A6 are merged" in faults(copy)["annotation"].details[0]
    book["Sheet1"].unmerge_cells("A2:A6")
    book["Sheet1"]["D1"] = "Start"
    book.save(copy / NEW)
    assert "no column 'OnsetFrame'" in faults(copy)["annotation"].details[0]
