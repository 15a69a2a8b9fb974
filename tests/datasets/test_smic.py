"""SMIC on its look-alikes: three cameras, folders without a sheet, the extended release, damaged copies."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pytest

from microexp import datasets
from microexp.datasets import lookalike
from microexp.datasets.base import Check
from microexp.datasets.lookalike import read_manifest
from microexp.errors import DataError, OptionError, PathMissingError, UnknownNameError
from tests.conftest import copy_tree
from tests.contracts.test_lookalikes import differences

EXTENDED = "SMIC-E_raw image"
SHEET = f"{EXTENDED}/HS_long/SMIC-HS-E_annotation.xlsx"


@pytest.fixture
def copy(tmp_path: Path, look_alike: Callable[..., Path]) -> Path:
    """The cropped clips of HS, in a copy that may be damaged."""
    return copy_tree(look_alike("smic", full=True), tmp_path / "SMIC ü", "SMIC_all_cropped")


@pytest.fixture
def extended(tmp_path: Path, look_alike: Callable[..., Path]) -> Path:
    source = look_alike("smic", full=True, extended=True)
    return copy_tree(source, tmp_path / "SMIC", EXTENDED)


def faults(root: Path, variant: str = "cropped", **options: str) -> dict[str, Check]:
    checks = datasets.create("smic", root=root, variant=variant, **options).check()
    return {check.what: check for check in checks if not check.ok}


def edit(file: Path, row: int, column: int, value: object) -> str:
    """Change a cell, and return the name of its clip."""
    book = openpyxl.load_workbook(file)
    file.unlink()  # it may be a link to the fixture's
    sheet = book["Sheet1"]
    sheet.cell(row, column, value)
    book.save(file)
    return str(sheet.cell(row, 2).value)


def test_the_published_classes_without_an_apex(look_alike: Callable[..., Path]) -> None:
    for variant in ("raw", "cropped"):
        data = datasets.create("smic", root=look_alike("smic", full=True), variant=variant).load()
        assert data.table["label"].value_counts(sort=False).sort_index().to_list() == [70, 51, 43]
        assert data.table["subject"].nunique() == 16
        assert {"07", "10", "16", "17"}.isdisjoint(data.table["subject"])
        assert data.table["apex"].isna().all()
        assert data.table["fps"].eq(100).all()
        assert not any(clip.name.startswith("s0") or "non" in clip.name for clip in data.clips)
        assert max(clip.metadata["onset_number"] for clip in data.clips) > 10_000_000
        assert data.remarks == ("smic: clips without an annotated apex: 164.",)


@pytest.mark.parametrize("camera", ["vis", "nir"])
def test_the_other_cameras(look_alike: Callable[..., Path], camera: str) -> None:
    root = look_alike("smic", full=True, camera=camera)
    data = datasets.create("smic", root=root, camera=camera).load()
    assert (len(data), data.table["subject"].nunique()) == (71, 8)
    assert data.table["fps"].eq(25).all()
    assert faults(root, camera=camera) == {}
    with pytest.raises(PathMissingError, match="no folder SMIC_all_raw/HS"):
        datasets.create("smic", root=root).load()


def test_a_camera_that_does_not_exist_is_refused(copy: Path) -> None:
    with pytest.raises(UnknownNameError, match="unknown camera of smic 'his'. Did you mean 'hs'"):
        datasets.create("smic", root=copy, variant="cropped", camera="his").load()


def test_the_middle_is_taken_for_the_apex_where_that_is_asked_for(copy: Path) -> None:
    clip = datasets.create("smic", root=copy, variant="cropped", missing_apex="middle").load().clips[0]
    assert clip.apex == (clip.onset + clip.offset) // 2
    with pytest.raises(DataError, match="none of 164 rows gives a clip with an annotated apex"):
        datasets.create("smic", root=copy, variant="cropped", missing_apex="drop").load()


def test_the_variant_that_is_there_is_named(copy: Path) -> None:
    with pytest.raises(PathMissingError, match=r"variant 'raw' .* but of cropped.*--data variant=cropped"):
        datasets.create("smic", root=copy).load()


def test_padded_names_are_the_same_clips(copy: Path) -> None:
    top = copy / "SMIC_all_cropped" / "HS"
    before = [(c.subject, c.name) for c in datasets.create("smic", root=copy, variant="cropped").read().clips]
    for clip in sorted(top.glob("s1/micro/*/*")):
        clip.rename(clip.with_name(clip.name.replace("s1_", "s01_")))
    (top / "s1").rename(top / "S01")
    after = [(c.subject, c.name) for c in datasets.create("smic", root=copy, variant="cropped").read().clips]
    assert after == before
    assert faults(copy) == {}


def test_a_missing_clip_is_told_by_the_gap_and_a_misfiled_one_by_its_name(copy: Path) -> None:
    top = copy / "SMIC_all_cropped" / "HS" / "s3" / "micro"
    shutil.rmtree(top / "negative" / "s3_ne_02")
    (top / "positive" / "s3_po_01").rename(top / "surprise" / "s3_po_01")
    (top / "negative" / "s3_ne_01").rename(top / "negative" / "s3_ne_01 (1)")
    found = faults(copy)
    assert (found["rows: negative"].expected, found["rows: negative"].found) == ("70", "69")
    odd, *gaps = found["names of clips"].details
    assert odd == f"{top / 'negative' / 's3_ne_01 (1)'}: no name like s1_ne_01"
    assert gaps == [f"s3_ne_{n:02d} is missing, though later ones are there" for n in (1, 2)]
    (told,) = found["odd rows"].details
    assert "03/s3_po_01: its name says positive, but its class is surprise" in told


def test_half_a_copy_is_told_by_the_people_that_are_missing(copy: Path) -> None:
    for number in (11, 12, 13, 14, 15, 18, 19, 20):
        shutil.rmtree(copy / "SMIC_all_cropped" / "HS" / f"s{number}")
    check = faults(copy)["subjects by number"]
    assert check.found == "8"
    assert check.details[0] == "there is no clip of subject 11"
    assert len(check.details) == 8


def test_gaps_and_empty_folders_are_told(copy: Path) -> None:
    clip = copy / "SMIC_all_cropped" / "HS" / "s2" / "micro" / "negative" / "s2_ne_01"
    for file in clip.iterdir():
        file.unlink()
    first, second, *_ = sorted(clip.with_name("s2_ne_02").iterdir())
    second.unlink()
    check = faults(copy)["clips with all frames"]
    assert (check.expected, check.found) == ("164", "162")
    assert "02/s2_ne_01: its frames are missing" in check.details[0]
    assert "02/s2_ne_02: 1 of its" in check.details[1]
    assert str(int(first.stem[-6:]) + 1) in check.details[1]


@pytest.mark.parametrize("options", [{}, {"apex": True}, {"camera": "vis"}, {"camera": "nir", "apex": True}])
@pytest.mark.parametrize("mode", [{"full": True}, {"subjects": 3, "clips": 4, "size": 48, "nuisance": 0.0}])
def test_the_extended_release_is_found_as_it_was_written(
    look_alike: Callable[..., Path], options: dict[str, object], mode: dict[str, object]
) -> None:
    root = look_alike("smic", extended=True, **mode, **options)
    camera = str(options.get("camera", "hs"))
    reading = datasets.create("smic", root=root, variant="extended", camera=camera).read()
    expected = {(clip.subject, clip.name): clip for clip in read_manifest(root).clips}
    clips = {(clip.subject, clip.name): clip for clip in reading.clips}
    assert list(clips) == list(expected)
    assert [d for key in clips for d in differences(clips[key], expected[key], "extended", root)] == []
    left_out = {"/".join(odd.row.key) for odd in reading.odds if not odd.kept}
    assert left_out == set(read_manifest(root).left_out)
    if "full" in mode:
        assert faults(root, "extended", camera=camera) == {}


def test_three_recordings_are_lost_and_four_hold_two_expressions(extended: Path) -> None:
    database = datasets.create("smic", root=extended, variant="extended")
    reading = database.read()
    assert (len(reading.rows), len(reading.clips)) == (164, 161)
    assert sum(clip.name.endswith("_2") and clip.name.count("_") == 3 for clip in reading.clips) == 4
    lost = [str(odd) for odd in reading.odds]
    assert len(lost) == 3
    assert all("its recording is lost: the sheet says 'not found'; left out" in told for told in lost)
    assert len({clip.frames.folder for clip in reading.clips}) == 157


@pytest.mark.parametrize("place", ["", EXTENDED, f"{EXTENDED}/HS_long", f"{EXTENDED}/HS_long/SMIC-HS-E"])
def test_the_extended_release_is_found_from_any_folder(extended: Path, place: str) -> None:
    assert faults(extended / place, "extended") == {}


def test_the_sheet_may_lie_beside_the_people_and_folders_lack_their_zero(extended: Path) -> None:
    home = extended / EXTENDED / "HS_long" / "SMIC-HS-E"
    (extended / SHEET).rename(home / "SMIC-HS-E_annotation_2019.xlsx")
    (home / "s01").rename(home / "s1")
    assert faults(extended, "extended") == {}


def test_faults_of_the_extended_sheet_are_named(extended: Path) -> None:
    edit(extended / SHEET, 2, 4, "about 300")
    edit(extended / SHEET, 3, 5, 7)
    name = edit(extended / SHEET, 4, 3, "positive")
    edit(extended / SHEET, 5, 1, None)  # told by the clip's name
    shutil.rmtree(extended / EXTENDED / "HS_long" / "SMIC-HS-E" / "s20")
    found = faults(extended, "extended")
    told = "\n".join(found["odd rows"].details)
    assert "row 2, 01/s1_ne_01: the onset 'about 300' is no frame number; left out" in told
    assert "comes after the offset 7; left out" in told
    assert f"row 4, 01/{name}: its name says negative, but its class is positive" in told
    assert "s20 is missing in" in "\n".join(found["clips with all frames"].details)
    assert found["long recordings"].expected == "157"
    assert "row 5" not in told


def test_the_look_alike_refuses_what_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="unknown camera of SMIC 'uv'"):
        lookalike.write("smic", tmp_path / "a", camera="uv")
    with pytest.raises(OptionError, match="only the extended release"):
        lookalike.write("smic", tmp_path / "b", apex=True)
