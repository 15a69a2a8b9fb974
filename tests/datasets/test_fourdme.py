"""4DME on its look-alike: several emotions at once, long videos, and copies that are damaged."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pandas as pd
import pytest

from microexp import datasets
from microexp.clip import Clip
from microexp.datasets.base import Check
from microexp.datasets.lookalike import read_manifest
from tests.conftest import copy_tree

SHEET, LONG_SHEET = "4DME_Labelling_Micro_release v1.xlsx", "Micro and Macro-expression labels.xlsx"
SHORT, LONG = "gray_micro", "long gray video"


@pytest.fixture
def copy(tmp_path: Path, look_alike: Callable[..., Path]) -> Path:
    parts = (SHORT, SHEET, LONG, LONG_SHEET)
    return copy_tree(look_alike("fourdme", full=True), tmp_path / "4DME", *parts)


def faults(root: Path, **options: object) -> dict[str, Check]:
    return {c.what: c for c in datasets.create("fourdme", root=root, **options).check() if not c.ok}


def clips(root: Path, **options: object) -> dict[str, Clip]:
    return {clip.name: clip for clip in datasets.create("fourdme", root=root, **options).read().clips}


def edit(file: Path, row: int, column: str, value: object) -> None:
    book = openpyxl.load_workbook(file)
    file.unlink()  # it may be a link to the fixture's
    sheet = book["Sheet1"]
    sheet.cell(row, [cell.value for cell in sheet[1]].index(column) + 1).value = value
    book.save(file)


def test_a_clip_with_several_emotions_is_in_no_class_unless_a_mapping_names_it(
    look_alike: Callable[..., Path], tmp_path: Path
) -> None:
    root = look_alike("fourdme", full=True)
    written = [clip.emotion for clip in read_manifest(root).clips if "micro" in clip.pictures]
    database = datasets.create("fourdme", root=root)
    data = database.load("mer4")
    assert len(data) == sum("+" not in emotion for emotion in written)
    several = sum("+" in emotion for emotion in written)
    assert several > 0
    assert any(f"unless a mapping names them: {several}." in remark for remark in data.remarks)
    mapping = tmp_path / "mine.csv"
    mapping.write_text("emotion,class\nnegative,n\nnegative+repression,n\npositive,p\n")
    mine = database.load(str(mapping))
    assert sum(mine.table["emotion"] == "negative+repression") == written.count("negative+repression")
    clip = next(clip for clip in mine.clips if clip.emotion == "negative+repression")
    assert clip.metadata["emotions"] == ("negative", "repression")


def test_the_cells_are_as_odd_as_the_real_ones(look_alike: Callable[..., Path]) -> None:
    root = look_alike("fourdme", full=True)
    sheet = pd.read_excel(root / SHEET, dtype={"sub_ID": str}).set_index("fold_name")
    found = clips(root)
    assert len(sheet) == len(found) == 267
    unsaid = sheet[sheet["Emotion"].isna()]
    assert len(unsaid) > 10
    for name, row in unsaid.iterrows():  # the columns count
        assert set(found[name].metadata["emotions"]) == {
            e.lower() for e in ("Positive", "Negative", "Surprise", "Repression", "Others") if row[e]
        }
    uncoded = sheet[sheet["AUs"].isna()]
    assert len(uncoded) > 5
    for name, row in uncoded.iterrows():
        assert {f"AU{unit}" for unit in found[name].action_units} == {
            column for column in sheet.columns if column[:2] == "AU" and column != "AUs" and row[column]
        }
    marked = sheet[sheet["AUs"].str.endswith("(k)", na=False)]
    assert len(marked) > 10
    assert all(len(found[name].action_units) == text.count("+") + 1 for name, text in marked["AUs"].items())
    blinks = {name for name, clip in found.items() if clip.metadata["eye_blink"]}
    assert blinks == set(sheet.index[sheet["eye blink"] == 1])


def test_the_long_videos_hold_both_kinds(look_alike: Callable[..., Path]) -> None:
    root = look_alike("fourdme", full=True)
    sheet = pd.read_excel(root / LONG_SHEET, dtype={"sub_ID": str})
    counts = sheet["Type"].str[:5].str.lower().value_counts().to_dict()
    for kind, count in (("micro", counts["micro"]), ("macro", counts["macro"]), ("both", len(sheet))):
        assert len(clips(root, variant="long", kind=kind)) == count
    recordings = datasets.create("fourdme", root=root, variant="long").recordings()
    assert sum(len(recording.metadata["intervals"]) for recording in recordings) == len(sheet)
    short = datasets.create("fourdme", root=root)
    assert len(short.load()) == len(short.load().table)
    assert faults(root, variant="long") == {}


def test_columns_that_contradict_the_cell_are_named(copy: Path) -> None:
    edit(copy / SHEET, 2, "Emotion", "Positive, Others")
    edit(copy / SHEET, 3, "Apex", 1.0)
    edit(copy / SHEET, 4, "Onset", 1828.5)
    told = faults(copy)["odd rows"].details
    assert len(told) == 3
    assert f"{SHEET} row 2, " in told[0]
    assert "the emotion is 'Positive, Others', but the columns say positive" in told[0]
    assert "the apex 1 comes before the onset" in told[1]
    assert "the onset '1828.5' is no frame number; left out" in told[2]


def test_missing_frames_renamed_folders_and_half_a_copy(copy: Path) -> None:
    clip = sorted((copy / SHORT / "02").iterdir())[0]
    picture = sorted(clip.iterdir())[1]
    picture.unlink()
    (copy / SHORT / "03").rename(copy / SHORT / "S3")
    text = "\n".join(faults(copy)["clips with all frames"].details)
    assert f"{clip.name}: 1 of its" in text
    assert f"({int(picture.stem.split('_')[1])}) in {clip}" in text
    assert "S3 is there: rename it to 03" in text
    for number in range(14, 26):
        shutil.rmtree(copy / SHORT / f"{number:02d}")
    assert "12 of 24 subjects have none" in "\n".join(faults(copy)["clips with all frames"].details)


def test_a_sheet_with_other_rows_and_one_that_is_missing(copy: Path) -> None:
    book = openpyxl.load_workbook(copy / SHEET)
    book["Sheet1"].delete_rows(200, 60)
    (copy / SHEET).unlink()
    book.save(copy / SHEET)
    assert faults(copy)["rows: micro"].found == "207"
    (copy / LONG_SHEET).unlink()
    assert (
        "looked for Micro and Macro-expression labels*"
        in faults(copy, variant="long")["annotation"].details[0]
    )
