"""CASME on its look-alike, and copies that are damaged."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pytest

from microexp import datasets
from microexp.datasets.base import Check
from tests.conftest import copy_tree

RAW, SHEET = "CASME_raw_selected", "casme.xlsx"


@pytest.fixture
def copy(tmp_path: Path, look_alike: Callable[..., Path]) -> Path:
    return copy_tree(look_alike("casme", full=True), tmp_path / "CASME", RAW, SHEET)


def faults(root: Path) -> dict[str, Check]:
    return {check.what: check for check in datasets.create("casme", root=root).check() if not check.ok}


def edit(root: Path, *cells: tuple[str, object]) -> None:
    book = openpyxl.load_workbook(root / SHEET)
    (root / SHEET).unlink()  # it may be a link to the fixture's
    for cell, value in cells:
        book["Sheet1"][cell] = value
    book.save(root / SHEET)


def test_the_classes_of_each_scheme(look_alike: Callable[..., Path]) -> None:
    database = datasets.create("casme", root=look_alike("casme", full=True))
    counts = {
        scheme: database.load(scheme).table["label"].value_counts(sort=False).sort_index().to_list()
        for scheme in database.label_schemes
    }
    # The three rows that are left out are tense here, of 69.
    assert counts == {"casme_4": [44, 38, 20, 66], "megc3": [91, 9, 20], "mer4": [53, 9, 20, 38]}
    assert database.load("casme_4").classes == ("disgust", "repression", "surprise", "tense")


def test_the_rows_that_public_code_repairs_are_reported_and_not_repaired(
    look_alike: Callable[..., Path],
) -> None:
    reading = datasets.create("casme", root=look_alike("casme", full=True)).read()
    told = {odd.row.number: (odd.problem, odd.kept) for odd in reading.odds}
    assert sorted(told) == [42, 44, 45, 56, 142]
    assert "comes after the offset" in told[42][0]
    assert told[45] == ("it has no apex", True)
    assert "the apex" in told[56][0]
    assert told[142] == ("it has no offset", False)
    assert len(reading.clips) == 186


def test_both_paddings_and_the_second_apex(look_alike: Callable[..., Path]) -> None:
    clips = datasets.create("casme", root=look_alike("casme", full=True)).read().clips
    names = {len(clip.frames.names[0].rpartition("-")[2]) for clip in clips if clip.metadata["row"] > 93}
    assert names == {len("046.jpg")}
    assert any(clip.frames.names[0].endswith("-8.jpg") for clip in clips if clip.metadata["row"] <= 93)
    second = [clip.metadata["second_apex"] for clip in clips]
    assert 0 < sum(map(bool, second)) < len(second)


def test_missing_frames_and_a_renamed_folder_are_named(copy: Path) -> None:
    clip = sorted((copy / RAW / "sub03").iterdir())[0]
    sorted(clip.iterdir())[2].unlink()
    (copy / RAW / "sub07").rename(copy / RAW / "sub7")
    check = faults(copy)["clips with all frames"]
    text = "\n".join(check.details)
    assert f"03/{clip.name}: 1 of its " in text
    assert "frames are missing (" in text
    assert f"sub07 is missing in {copy / RAW}" in text
    assert "sub7 is there: rename it to sub07" in text


def test_one_more_odd_row_than_published_is_a_fault(copy: Path) -> None:
    edit(copy, ("E2", 9999))
    check = faults(copy)["odd rows"]
    assert any(told.startswith(f"{SHEET} row 2, 01/") and "the apex 9999" in told for told in check.details)


def test_half_a_copy_is_told_as_such(copy: Path) -> None:
    for number in range(10, 20):
        shutil.rmtree(copy / RAW / f"sub{number}")
    check = faults(copy)["clips with all frames"]
    assert check.details[0].startswith("the copy is incomplete")
    assert "10 of 19 subjects have none (10, 11, 12, ...)" in check.details[0]


def test_the_sheet_of_another_database_and_a_renamed_one(copy: Path, look_alike: Callable[..., Path]) -> None:
    (copy / SHEET).rename(copy / "my labels.xlsx")
    (told,) = faults(copy)["annotation"].details
    assert "looked for casme.*" in told
    assert "There is my labels.xlsx" in told
    database = datasets.create("casme", root=copy, sheet="my labels.xlsx")
    assert all(check.ok for check in database.check())
    other = look_alike("casme2", full=True) / "CASME2-coding-20190701.xlsx"
    shutil.copy(other, copy / SHEET)
    assert faults(copy)  # its people and clips are others
