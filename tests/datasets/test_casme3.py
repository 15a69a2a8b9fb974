"""CAS(ME)^3, parts A and C, on look-alikes: every sheet in use, odd rows, and copies that are damaged."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pytest

from microexp import datasets
from microexp.datasets.base import Check
from microexp.datasets.lookalike import read_manifest
from microexp.errors import DataError, OptionError
from tests.conftest import copy_tree

CLIPS = "Part_A_ME_clip"
SHEET = "annotation/cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx"
PART_C = "CAS(ME)3_part_C_ME.xlsx"


@pytest.fixture
def clips(tmp_path: Path, look_alike: Callable[..., Path]) -> Path:
    return copy_tree(look_alike("casme3", full=True), tmp_path / "CAS(ME)^3 数据", CLIPS, SHEET)


def faults(root: Path, variant: str = "clips", name: str = "casme3") -> dict[str, Check]:
    checks = datasets.create(name, root=root, variant=variant).check()
    return {check.what: check for check in checks if not check.ok}


def edit(file: Path, cell: str, value: object) -> None:
    book = openpyxl.load_workbook(file)
    file.unlink()
    book.worksheets[0][cell] = value
    book.save(file)


@pytest.mark.parametrize("variant", ["raw", "clips"])
def test_the_three_four_and_seven_classes(look_alike: Callable[..., Path], variant: str) -> None:
    database = datasets.create("casme3", root=look_alike("casme3", full=True), variant=variant)
    counts = {
        scheme: database.load(scheme).table["label"].value_counts(sort=False).sort_index().to_list()
        for scheme in database.label_schemes
    }
    assert counts == {
        "megc3": [457, 55, 187],
        "mer4": [457, 55, 187, 161],
        "casme3_7": [161, 55, 187, 57, 250, 86, 64],
    }


def test_odd_rows_are_what_the_description_says(look_alike: Callable[..., Path]) -> None:
    reading = datasets.create("casme3", root=look_alike("casme3", full=True)).read()
    clips = {(clip.subject, clip.name): clip for clip in reading.clips}
    assert len(clips) == 860
    assert sum(name.startswith("b_") for subject, name in clips if subject == "spNO.1") == 17
    assert ("spNO.1", "b_166") in clips
    early = clips["spNO.149", "d_112"]
    assert (early.apex, early.metadata["onset_number"]) == (None, 112)
    unseen = [clip for (subject, name), clip in clips.items() if (subject, name[0]) == ("spNO.40", "e")]
    assert [clip.apex == clip.offset for clip in unseen] == [True, True]
    assert len({clip.frames.folder for (s, n), clip in clips.items() if (s, n[0]) == ("spNO.3", "j")}) == 1
    assert max(map(len, reading.clips)) == 3457
    assert sum(clip.emotion == "Others" for clip in reading.clips) == 3
    assert {clip.metadata["objective_class"] for clip in reading.clips} >= {"I", "IV", "VII"}


def test_dropped_frames_are_said_and_the_clip_is_kept(look_alike: Callable[..., Path]) -> None:
    root = look_alike("casme3", full=True)
    for variant in ("raw", "clips"):
        reading = datasets.create("casme3", root=root, variant=variant).read()
        told = {odd.row.subject: str(odd) for odd in reading.odds if odd.about == "frames"}
        assert "1 of its 10 frames are missing (9)" in told["spNO.7"]
        assert told["spNO.7"].endswith("kept: the camera dropped frames")
        assert told["spNO.8"].endswith("kept with the apex unknown")


def test_depth_is_not_read(look_alike: Callable[..., Path]) -> None:
    root = look_alike("casme3", full=True)
    assert (root / "part_A/spNO.1/b/depth/166.png").is_file()
    for clip in datasets.create("casme3", root=root).recordings():
        assert clip.frames.folder.name == "color"


@pytest.mark.parametrize("sheet", ["v2", "v1", "types"])
def test_every_sheet_in_use_gives_the_same_expressions(look_alike: Callable[..., Path], sheet: str) -> None:
    root = look_alike("casme3", full=True, sheet=sheet, kind="both")
    clips = datasets.create("casme3", root=root, kind="both").read().clips
    keys = [(clip.subject, clip.name, clip.emotion, clip.metadata["kind"]) for clip in clips]
    assert {key[:3] for key in keys} == {(e.subject, e.name, e.emotion) for e in read_manifest(root).clips}
    assert sum(key[3] == "macro" for key in keys) == 94


def test_the_sheet_without_emotions_says_what_to_do(look_alike: Callable[..., Path]) -> None:
    root = look_alike("casme3", full=True, sheet="types", kind="both")
    with pytest.raises(DataError, match=r"none of 860 clips has an emotion.*part_A_ME_label_JpgIndex_v2"):
        datasets.create("casme3", root=root).load()
    assert "rows: no emotion" in faults(root, "raw")


def test_macro_expressions_are_in_the_recordings_only(clips: Path) -> None:
    with pytest.raises(OptionError, match="kind=macro needs variant=raw"):
        datasets.create("casme3", root=clips, variant="clips", kind="macro").read()


def test_faults_of_a_copy_are_named(clips: Path) -> None:
    folder = clips / CLIPS / "frame" / "spNO.1_b_166"
    (folder / "166.jpg").unlink()
    (clips / CLIPS / "frame" / "spNO.2_a_4").rename(clips / CLIPS / "frame" / "spNO.2_a_04")
    edit(clips / SHEET, "D2", 9999)
    found = faults(clips)
    assert sorted(found) == ["clips with all frames", "folders without a row", "odd rows"]
    text = "\n".join(found["clips with all frames"].details)
    assert f"frames are missing (166) in {folder}" in text
    assert "spNO.2_a_4 is missing in" in text
    assert "spNO.2_a_04 is there: rename it to spNO.2_a_4" in text
    (told,) = [t for t in found["odd rows"].details if "as published" not in t]
    assert "row 2, spNO.1/" in told
    assert "the apex 9999 comes after the offset" in told


def test_half_a_copy_is_told_as_such(clips: Path) -> None:
    for place in (clips / CLIPS / "frame").glob("spNO.[4-9]*"):
        shutil.rmtree(place)
    assert faults(clips)["clips with all frames"].details[0].startswith("the copy is incomplete")


def test_part_c_has_neither_apex_nor_emotion(look_alike: Callable[..., Path]) -> None:
    root = look_alike("casme3_c", full=True)
    reading = datasets.create("casme3_c", root=root).read()
    assert reading.odds == []
    assert len(reading.clips) == 166
    assert {(clip.apex, clip.emotion) for clip in reading.clips} == {(None, None)}
    first = reading.clips[0]
    assert "，" in first.metadata["action_units"]
    assert len(first.action_units) == 2
    assert first.metadata["count"] == "1"


def test_part_c_with_folders_that_lost_their_zero_and_a_missing_video(
    tmp_path: Path, look_alike: Callable[..., Path]
) -> None:
    root = copy_tree(look_alike("casme3_c", full=True), tmp_path, "part_C", PART_C)
    (root / "part_C" / "03").rename(root / "part_C" / "3")
    assert faults(root, "raw", "casme3_c") == {}
    assert "03" in {one.subject for one in datasets.create("casme3_c", root=root).recordings()}
    shutil.rmtree(root / "part_C" / "04")
    (told,) = faults(root, "raw", "casme3_c")["clips with all frames"].details
    assert told == f"04 is missing in {root / 'part_C'} (6 clips)"
