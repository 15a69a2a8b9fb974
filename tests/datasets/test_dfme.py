"""DFME on its look-alike: three splits, each with its sheet, and copies that are damaged."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pytest

from microexp import datasets
from microexp.datasets.base import Check
from microexp.errors import OptionError, PathMissingError
from tests.conftest import copy_tree

TRAIN, TEST_A, TEST_B = (f"{s}_full_with_AU.xlsx" for s in ("training", "testA", "testB"))


@pytest.fixture
def copy(tmp_path: Path, look_alike: Callable[..., Path]) -> Path:
    """The two test splits, which may be damaged."""
    parts = ("testA", "testB", TEST_A, TEST_B)
    return copy_tree(look_alike("dfme", full=True), tmp_path / "DFME 数据", *parts)


def faults(root: Path, **options: object) -> dict[str, Check]:
    return {c.what: c for c in datasets.create("dfme", root=root, **options).check() if not c.ok}


def edit(file: Path, row: int, column: int, value: object) -> None:
    book = openpyxl.load_workbook(file)
    file.unlink()  # it may be a link to the fixture's
    book["Sheet1"].cell(row, column, value)
    book.save(file)


def test_the_splits_are_told_apart(look_alike: Callable[..., Path]) -> None:
    root = look_alike("dfme", full=True)
    data = datasets.create("dfme", root=root).load()
    assert data.scheme == "dfme7"
    assert data.table["split"].value_counts().to_dict() == {"train": 1856, "testA": 474, "testB": 299}
    assert data.table.groupby("split")["subject"].nunique().to_dict() == {
        "train": 176,
        "testA": 42,
        "testB": 41,
    }
    train = datasets.create("dfme", root=root, split="train").load()
    assert train.table["label"].value_counts(sort=False).sort_index().to_list() == [
        *(161, 100, 548, 265, 206, 278, 298)
    ]
    assert {clip.metadata["split"] for clip in train.clips} == {"train"}
    assert len({data.fingerprint, train.fingerprint}) == 2


def test_the_frame_rate_and_the_descriptors_are_those_of_the_row(look_alike: Callable[..., Path]) -> None:
    reading = datasets.create("dfme", root=look_alike("dfme", full=True), split="testB").read()
    assert {clip.fps for clip in reading.clips} == {500.0, 300.0, 200.0}
    written = [clip for clip in reading.clips if "AD31" in clip.metadata["action_units"]]
    assert written
    assert all("31" in map(str, clip.action_units) for clip in written)


def test_one_split_is_read_alone_and_says_nothing_of_the_others(copy: Path) -> None:
    assert faults(copy, split="testB") == {}
    assert len(datasets.create("dfme", root=copy, split="testB").load()) == 299
    assert len(datasets.create("dfme", root=copy).load()) == 773


def test_a_split_that_is_missing_is_named(copy: Path) -> None:
    found = faults(copy)
    assert list(found) == ["splits"]
    assert (found["splits"].expected, found["splits"].found) == ("train, testA, testB", "testA, testB")
    (told,) = found["splits"].details
    assert told.startswith("there is no sheet training*.xlsx; if you have no copy of train, name the split")
    with pytest.raises(PathMissingError, match=r"no annotation in .*looked for training\*"):
        datasets.create("dfme", root=copy, split="train").load()


def test_options_that_cannot_be(copy: Path) -> None:
    with pytest.raises(OptionError, match="Did you mean 'train'"):
        datasets.create("dfme", root=copy, split="trian").load()
    with pytest.raises(OptionError, match="say which split the sheet"):
        datasets.create("dfme", root=copy, sheet=TEST_A).load()
    (copy / TEST_A).rename(copy / "mine.xlsx")
    assert len(datasets.create("dfme", root=copy, sheet="mine.xlsx", split="testA").load()) == 474


def test_the_folders_may_bear_the_name_of_the_database(copy: Path) -> None:
    for split in ("testA", "testB"):
        (copy / split).rename(copy / f"DFME_{split}")
    (copy / "annotation").mkdir()
    (copy / TEST_A).rename(copy / "annotation" / TEST_A)
    assert list(faults(copy)) == ["splits"]


def test_missing_frames_a_renamed_folder_and_a_spare_one_are_named(copy: Path) -> None:
    first, second, *_ = sorted((copy / "testB").iterdir())
    picture = sorted(first.iterdir())[3]
    picture.unlink()
    second.rename(second.with_name(second.name + " copy"))
    found = faults(copy, split="testB")
    assert sorted(found) == ["clips with all frames", "folders without a row"]
    text = "\n".join(found["clips with all frames"].details)
    assert f"{first.name}: 1 of its" in text
    assert f"({int(picture.stem)}) in {first}" in text
    assert f"{second.name} is missing in {copy / 'testB'} (1 clip)" in text
    assert found["folders without a row"].details == (f"{second} copy",)


def test_rows_that_contradict_themselves_are_named(copy: Path) -> None:
    edit(copy / TEST_A, 5, 4, 99_999)
    edit(copy / TEST_A, 6, 7, 9)
    edit(copy / TEST_A, 7, 8, "fast")
    told = faults(copy, split="testA")["odd rows"].details
    assert len(told) == 3
    assert told[0].startswith(f"{TEST_A} row 5, ")
    assert "the apex 99999 comes after the offset" in told[0]
    assert "but the EmotionId 9 is no emotion" in told[1]
    assert "the frame rate 'fast' is no number: 200 is assumed" in told[2]
    assert len(datasets.create("dfme", root=copy, split="testA").read().clips) == 474


def test_the_sheet_of_another_split_is_told(copy: Path) -> None:
    (copy / TEST_A).unlink()
    shutil.copy(copy / TEST_B, copy / TEST_A)
    found = faults(copy, split="testA")
    told = found["release of the sheet"].details
    assert f"{TEST_A} is named after the release testA, but it holds that of testB" in told[0]
    assert "the copy is incomplete" in found["clips with all frames"].details[0]


def test_a_folder_in_use_is_not_taken_for_one_that_is_missing(copy: Path) -> None:
    shutil.rmtree(copy / "testB")
    half, told = faults(copy)["clips with all frames"].details
    assert half.startswith(
        "the copy is incomplete: 474 clips of 773 have their frames; 41 of 83 subjects have"
    )
    assert told == f"testB is missing in {copy} (299 clips)"


def test_half_a_copy_is_told_as_such(copy: Path) -> None:
    for clip in sorted((copy / "testA").iterdir())[200:]:
        shutil.rmtree(clip)
    check = faults(copy, split="testA")["clips with all frames"]
    assert check.details[0].startswith("the copy is incomplete: 200 clips of 474 have their frames")
