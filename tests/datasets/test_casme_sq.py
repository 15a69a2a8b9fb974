"""CAS(ME)^2 on its look-alikes: both workbooks, all kinds, and copies that are damaged."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pytest

from microexp import datasets
from microexp.datasets.base import Check
from microexp.datasets.lookalike import read_manifest
from tests.conftest import copy_tree

SHEET, FIRST = "CAS(ME)^2code_final(Updated).xlsx", "CAS(ME)^2code_final.xlsx"


@pytest.fixture
def copy(tmp_path: Path, look_alike: Callable[..., Path]) -> Path:
    return copy_tree(look_alike("casme_sq", full=True), tmp_path / "CAS(ME)^2", "rawpic", SHEET)


def faults(root: Path, **options: object) -> dict[str, Check]:
    checks = datasets.create("casme_sq", root=root, **options).check()
    return {check.what: check for check in checks if not check.ok}


def edit(file: Path, sheet: str, row: int, column: int, value: object) -> None:
    book = openpyxl.load_workbook(file)
    file.unlink()
    book[sheet].cell(row, column, value)
    book.save(file)


@pytest.mark.parametrize("release", ["updated", "first"])
@pytest.mark.parametrize("variant", ["raw", "selected", "cropped"])
def test_macro_expressions_are_found_as_written(
    look_alike: Callable[..., Path], release: str, variant: str
) -> None:
    root = look_alike("casme_sq", full=True, release=release, kind="both")
    clips = datasets.create("casme_sq", root=root, variant=variant, kind="both").read().clips
    found = {(c.subject, c.name, c.emotion, *map(str, c.action_units)): len(c) for c in clips}
    expected = {
        (e.subject, e.name, e.emotion, *e.action_units): e.pictures[variant].frames
        for e in read_manifest(root).clips
    }
    assert found == expected
    assert len(found) == 357
    assert faults(root, variant=variant) == {}


def test_an_offset_of_zero_is_the_apex(look_alike: Callable[..., Path]) -> None:
    reading = datasets.create("casme_sq", root=look_alike("casme_sq", full=True)).read()
    seen = [odd for odd in reading.odds if "the offset is 0" in odd.problem]
    assert len(seen) == 5
    unseen = {odd.row.key for odd in seen}
    for clip in reading.clips:
        assert (clip.apex == clip.offset) == ((clip.subject, clip.name) in unseen)


def test_what_the_sheet_says_besides_is_kept(look_alike: Callable[..., Path]) -> None:
    data = datasets.create("casme_sq", root=look_alike("casme_sq", full=True)).load("mer4")
    assert data.table["label"].value_counts(sort=False).sort_index().to_list() == [21, 8, 9, 19]
    clip = data.clips[0]
    assert clip.metadata["self_report"] in ("disgust", "happiness", "surprise", "sadness")
    assert clip.metadata["video"].startswith(f"{clip.subject}_0")


def test_a_recording_in_the_folder_of_another_person_is_found(copy: Path) -> None:
    place = copy / "rawpic" / "s19" / "23_0502funnyerrors"
    assert place.is_dir()
    recordings = datasets.create("casme_sq", root=copy).recordings()
    (one,) = [one for one in recordings if one.name == place.name]
    assert (one.subject, len(one.metadata["intervals"])) == ("23", 4)


def test_frames_and_recordings_that_are_missing_are_named(copy: Path) -> None:
    video = copy / "rawpic" / "s15" / "15_0101disgustingteeth"
    (video / "img006.jpg").unlink()
    shutil.rmtree(copy / "rawpic" / "s16" / "16_0401girlcrashing")
    check = faults(copy)["clips with all frames"]
    text = "\n".join(check.details)
    assert "15/disgust1_1: 1 of its" in text
    assert f"frames are missing (6) in {video}" in text
    assert f"16_0401 is missing in {copy / 'rawpic' / 's16'} (" in text


def test_a_renamed_folder_of_a_person_does_no_harm_and_a_lost_one_is_named(copy: Path) -> None:
    (copy / "rawpic" / "s15").rename(copy / "rawpic" / "15")
    assert faults(copy) == {}
    (copy / "rawpic" / "15").rename(copy / "rawpic" / "old")
    assert faults(copy) == {}  # the videos' own names say whose they are
    shutil.rmtree(copy / "rawpic" / "old")
    (told,) = faults(copy)["clips with all frames"].details
    assert told.startswith(f"s15 is missing in {copy / 'rawpic'} (")


def test_half_a_copy_is_told_as_such(copy: Path) -> None:
    for number in range(25, 41):
        shutil.rmtree(copy / "rawpic" / f"s{number}", ignore_errors=True)
    check = faults(copy)["clips with all frames"]
    assert check.details[0].startswith("the copy is incomplete")
    assert "14 of 22 subjects have none (25, 26, 27, ...)" in check.details[0]


def test_a_row_with_the_apex_after_the_offset_is_named(copy: Path) -> None:
    edit(copy / SHEET, "CASFEcode_final", 3, 4, 9999)
    (told,) = [t for t in faults(copy)["odd rows"].details if "as published" not in t]
    assert told.startswith(f"{SHEET} row 3, ")
    assert "the apex 9999 comes after the offset" in told


def test_names_that_the_rules_do_not_have_are_told_with_sheet_and_row(copy: Path) -> None:
    edit(copy / SHEET, "CASFEcode_final", 3, 2, "anger9_1")
    (told,) = faults(copy)["annotation"].details
    assert "sheet 'CASFEcode_final', row 3 speaks of 'anger9'" in told
    assert "which the sheet 'naming rule2' does not have" in told


def test_sheets_are_found_by_name_and_the_expressions_by_what_is_left(copy: Path) -> None:
    book = openpyxl.load_workbook(copy / SHEET)
    (copy / SHEET).unlink()
    book.move_sheet("naming rule1", -1)
    book["CASFEcode_final"].title = "codes"
    book.save(copy / SHEET)
    assert faults(copy) == {}
    book["naming rule1"].title = "rule one"
    book.save(copy / SHEET)
    (told,) = faults(copy)["annotation"].details
    assert "its sheets are 'rule one', 'codes', 'naming rule2'" in told


def test_the_updated_workbook_is_preferred(copy: Path, look_alike: Callable[..., Path]) -> None:
    copy_tree(look_alike("casme_sq", full=True, release="first"), copy, FIRST)
    reading = datasets.create("casme_sq", root=copy).read()
    assert {row.file.name for row in reading.rows} == {SHEET}
