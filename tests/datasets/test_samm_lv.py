"""SAMM Long Videos on its look-alikes: with and without SAMM's own sheet, and copies that are damaged."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pytest

from microexp import datasets
from microexp.datasets.base import Check
from microexp.datasets.lookalike import read_manifest
from microexp.errors import DataError, PathMissingError
from tests.conftest import copy_tree

VIDEOS, SHEET, CODES = (
    "SAMM_longvideos",
    "SAMM_LongVideos_V3_Release.xlsx",
    "SAMM_Micro_FACS_Codes_v2.xlsx",
)


@pytest.fixture
def copy(tmp_path: Path, look_alike: Callable[..., Path]) -> Path:
    return copy_tree(look_alike("samm_lv", full=True), tmp_path / "SAMM LV", VIDEOS, SHEET)


def checks(root: Path) -> dict[str, Check]:
    return {check.what: check for check in datasets.create("samm_lv", root=root).check()}


def faults(root: Path) -> dict[str, Check]:
    return {what: check for what, check in checks(root).items() if not check.ok}


def test_emotions_come_from_samms_own_sheet(look_alike: Callable[..., Path]) -> None:
    database = datasets.create("samm_lv", root=look_alike("samm_lv", full=True))
    data = database.load("megc3")
    assert data.table["label"].value_counts(sort=False).sort_index().to_list() == [92, 26, 15]
    assert len(database.load("mer4")) == 159
    both = datasets.create("samm_lv", root=database.root, kind="both")
    assert len(both.load("mer4")) == 159  # macro-expressions have none


def test_without_that_sheet_there_are_clips_but_no_classes(
    copy: Path, look_alike: Callable[..., Path]
) -> None:
    database = datasets.create("samm_lv", root=copy)
    assert {clip.emotion for clip in database.read().clips} == {None}
    with pytest.raises(DataError, match=r"none of 159 clips has an emotion.*put SAMM_Micro_FACS_Codes_v2"):
        database.load()
    assert checks(copy)["emotions"].ok
    assert "not needed for spotting" in checks(copy)["emotions"].details[0]
    named = look_alike("samm_lv", full=True) / CODES
    assert len(datasets.create("samm_lv", root=copy, micro_codes=named).load()) == 133
    with pytest.raises(PathMissingError, match="there is no annotation codes.xlsx"):
        datasets.create("samm_lv", root=copy, micro_codes="codes.xlsx").load()


@pytest.mark.parametrize("release", ["V1", "V2", "V3"])
def test_every_release_and_both_kinds(look_alike: Callable[..., Path], release: str) -> None:
    root = look_alike("samm_lv", full=True, release=release, codes="none", kind="both")
    manifest = read_manifest(root)
    reading = datasets.create("samm_lv", root=root, kind="both").read()
    found = {(c.subject, c.name): (len(c), *map(str, c.action_units)) for c in reading.clips}
    assert found == {(e.subject, e.name): (e.pictures["raw"].frames, *e.action_units) for e in manifest.clips}
    assert {"/".join(odd.row.key) for odd in reading.odds if not odd.kept} == set(manifest.left_out)
    assert len(manifest.left_out) == 3
    assert faults(root) == {}


def test_one_file_name_may_stand_for_a_micro_and_a_macro_expression(look_alike: Callable[..., Path]) -> None:
    root = look_alike("samm_lv", full=True)
    names = {
        (clip.subject, clip.name) for clip in datasets.create("samm_lv", root=root, kind="both").read().clips
    }
    twice = [(s, n) for s, n in names if (s, f"{n}_macro") in names]
    assert len(twice) == 1


def test_macro_with_onset_zero_and_offset_zero(look_alike: Callable[..., Path]) -> None:
    root = look_alike("samm_lv", full=True)
    reading = datasets.create("samm_lv", root=root, kind="macro").read()
    left = [odd for odd in reading.odds if not odd.kept]
    assert {odd.problem for odd in left} == {"the onset is 0: it was not seen"}
    assert len(left) == 3
    taken = {odd.row.key for odd in reading.odds if "the offset is 0" in odd.problem}
    assert len(taken) == 4
    assert all(c.apex == c.offset for c in reading.clips if (c.subject, c.name) in taken)


def test_faults_of_a_copy_are_named(copy: Path) -> None:
    folder = copy / VIDEOS / "006_1"
    sorted(folder.iterdir())[4].unlink()
    (copy / VIDEOS / "007_1").rename(copy / VIDEOS / "7_1")
    book = openpyxl.load_workbook(copy / SHEET)
    (copy / SHEET).unlink()
    book["Sheet1"]["E12"] = 9999
    book.save(copy / SHEET)
    found = faults(copy)
    assert sorted(found) == ["clips with all frames", "odd rows"]
    text = "\n".join(found["clips with all frames"].details)
    assert f"in {folder}" in text
    assert f"007_1 is missing in {copy / VIDEOS} (" in text
    assert "7_1 is there: rename it to 007_1" in text
    (told,) = [t for t in found["odd rows"].details if "as published" not in t]
    assert told.startswith(f"{SHEET} row 12, ")


def test_half_a_copy_and_a_sheet_of_another_name(copy: Path) -> None:
    for place in (copy / VIDEOS).glob("02*"):
        shutil.rmtree(place)
    assert faults(copy)["clips with all frames"].details[0].startswith("the copy is incomplete")
    (copy / SHEET).rename(copy / "labels.xlsx")
    (told,) = faults(copy)["annotation"].details
    assert "looked for SAMM_LongVideos_V3_Release.*" in told
    assert "There is labels.xlsx" in told
