"""SAMM on its look-alike: the sheet below its text, the codes, and copies that are damaged."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pandas as pd
import pytest

from microexp import datasets
from microexp.datasets.base import Check
from microexp.errors import PathMissingError
from tests.conftest import copy_tree

SHEET = "SAMM_Micro_FACS_Codes_v2.xlsx"
HEADER = 14  # row of the column names, as the spreadsheet program counts


@pytest.fixture
def copy(tmp_path: Path, look_alike: Callable[..., Path]) -> Path:
    """A copy of full size that may be damaged: the raw clips and the sheet."""
    return copy_tree(look_alike("samm", full=True), tmp_path / "copy of SAMM", "SAMM", SHEET)


def faults(root: Path, **options: str) -> dict[str, Check]:
    checks = datasets.create("samm", root=root, **options).check()
    return {check.what: check for check in checks if not check.ok}


def edit(root: Path, row: int, column: str, value: object) -> None:
    book = openpyxl.load_workbook(root / SHEET)
    (root / SHEET).unlink()  # it may be a link to the fixture's
    sheet = book["MICRO_ONLY"]
    names = [cell.value for cell in sheet[HEADER]]
    sheet.cell(row, names.index(column) + 1, value)
    book.save(root / SHEET)


def test_the_look_alike_is_as_the_real_sheet(look_alike: Callable[..., Path]) -> None:
    sheet = pd.read_excel(look_alike("samm", full=True) / SHEET, header=13, dtype={"Subject": str})
    assert list(sheet.columns[:8]) == [
        *("Subject", "Filename", "Inducement Code", "Onset Frame", "Apex Frame", "Offset Frame"),
        *("Duration", "Micro"),
    ]
    assert len(sheet) == 159
    assert sheet["Subject"].nunique() == 29
    assert sheet["Estimated Emotion"].value_counts().to_dict() == {
        **{"Anger": 57, "Other": 26, "Happiness": 26, "Surprise": 15, "Contempt": 12},
        **{"Disgust": 9, "Fear": 8, "Sadness": 6},
    }
    assert (sheet["Duration"] == sheet["Offset Frame"] - sheet["Onset Frame"] + 1).all()
    assert set(sheet["Micro"]) == {"Micro - 1/2"}
    odd = sheet.set_index("Filename").loc[["028_4_1", "032_3_1"]]
    assert odd["Apex Frame"].to_list() == [1143, 1930]
    assert odd["Offset Frame"].iloc[0] == 1134
    assert odd["Onset Frame"].iloc[1] == 4896


def test_the_classes_of_the_composite(look_alike: Callable[..., Path]) -> None:
    database = datasets.create("samm", root=look_alike("samm", full=True))
    data = database.load()
    assert data.table["label"].value_counts(sort=False).sort_index().to_list() == [92, 26, 15]
    assert data.table["subject"].nunique() == 28
    four = database.load("mer4")
    assert four.table["label"].value_counts(sort=False).sort_index().to_list() == [92, 26, 15, 26]
    assert four.table["subject"].nunique() == 29
    assert sorted(database.load("mer4").table["subject"])[0] == "006"


def test_the_two_apexes_out_of_place_are_unknown(look_alike: Callable[..., Path]) -> None:
    reading = datasets.create("samm", root=look_alike("samm", full=True)).read()
    unknown = {clip.name: clip for clip in reading.clips if clip.apex is None}
    assert sorted(unknown) == ["028_4_1", "032_3_1"]
    told = [str(odd) for odd in reading.odds if odd.about == "sheet"]
    assert "028/028_4_1: the apex 1143 comes after the offset 1134; kept with the apex unknown" in told[0]
    assert "032/032_3_1: the apex 1930 comes before the onset 4896; kept with the apex unknown" in told[1]


def test_codes_keep_side_intensity_and_doubt(look_alike: Callable[..., Path]) -> None:
    clips = datasets.create("samm", root=look_alike("samm", full=True)).read().clips
    by_cell = {clip.metadata["action_units"]: clip for clip in clips}
    found = {
        text: [(u.side, u.unit, u.intensity) for u in by_cell[text].action_units]
        for text in ("L12C", "A12B", "10A/B", "ref(7B)", "(R6 or R12) + R15", "4+6+7+9+43E")
    }
    assert found == {
        "L12C": [("L", 12, 0.6)],
        "A12B": [("A", 12, 0.4)],
        "10A/B": [("", 10, 0.3)],
        "ref(7B)": [("", 7, 0.4)],
        "(R6 or R12) + R15": [("R", 6, None), ("R", 12, None), ("R", 15, None)],
        "4+6+7+9+43E": [*(("", unit, None) for unit in (4, 6, 7, 9)), ("", 43, 1.0)],
    }
    assert by_cell["L12 or L14"].metadata["action_units_doubtful"] == ("L12 or L14",)


@pytest.mark.parametrize("place", ["", "SAMM", ".."])
def test_the_root_may_be_the_copy_its_frames_or_the_folder_above(
    tmp_path: Path, look_alike: Callable[..., Path], place: str
) -> None:
    copy = copy_tree(look_alike("samm", full=True), tmp_path / "a" / "mine", "SAMM", SHEET)
    assert faults(copy / place) == {}


def test_a_copy_that_is_called_samm_and_holds_the_people_itself(
    tmp_path: Path, look_alike: Callable[..., Path]
) -> None:
    source = look_alike("samm", full=True)
    root = tmp_path / "samm"
    shutil.copytree(source / "SAMM", root)
    shutil.copy(source / SHEET, root)
    shutil.copytree(source / "SAMM_CROP", root / "SAMM_CROP")
    assert faults(root) == {}
    assert faults(root, variant="cropped") == {}
    for person in root.glob("0*"):
        shutil.rmtree(person)
    with pytest.raises(PathMissingError, match="of the variant 'raw' .* but of cropped.*variant=cropped"):
        datasets.create("samm", root=root).load()


def test_subjects_that_were_read_as_numbers_are_the_same_people(copy: Path) -> None:
    edit(copy, HEADER + 1, "Subject", 6)
    assert faults(copy) == {}


def test_a_duration_that_does_not_fit_tells_of_a_typing_error(copy: Path) -> None:
    edit(copy, HEADER + 1, "Duration", 500)
    told = faults(copy)["odd rows"].details[0]
    assert told.startswith(f"{SHEET} row 15, 006/")
    assert "the duration 500 is not that of onset" in told


def test_an_apex_after_the_offset_is_named_beside_the_published_ones(copy: Path) -> None:
    edit(copy, HEADER + 2, "Apex Frame", 99999)
    check = faults(copy)["odd rows"]
    assert (check.expected, check.found) == ("2 as published", "3")
    (new,) = [told for told in check.details if "as published" not in told]
    assert f"{SHEET} row 16, " in new
    assert "the apex 99999 comes after the offset" in new


def test_missing_frames_and_a_renamed_person_are_named(copy: Path) -> None:
    clip = sorted((copy / "SAMM" / "007").iterdir())[0]
    frames = sorted(clip.iterdir())
    frames[len(frames) // 2].unlink()
    (copy / "SAMM" / "010").rename(copy / "SAMM" / "10")
    check = faults(copy)["clips with all frames"]
    text = "\n".join(check.details)
    assert f"007/{clip.name}: 1 of its" in text
    assert f"010 is missing in {copy / 'SAMM'}" in text
    assert "10 is there: rename it to 010" in text


def test_half_a_copy_is_told_as_such(copy: Path) -> None:
    for person in sorted((copy / "SAMM").iterdir())[14:]:
        shutil.rmtree(person)
    check = faults(copy)["clips with all frames"]
    assert "15 of 29 subjects have none" in check.details[0]


def test_without_its_sheet_the_copy_says_what_to_look_for(copy: Path) -> None:
    (copy / SHEET).rename(copy / "codes.xlsx")
    (told,) = faults(copy)["annotation"].details
    assert "There is codes.xlsx: if that is it, name it: sheet=FILE" in told
    assert faults(copy, sheet="codes.xlsx") == {}
