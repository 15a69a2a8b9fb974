"""CK+ on its look-alike: text files that are missing, empty or damaged, and damaged copies."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from microexp import datasets
from microexp.clip import Clip
from microexp.datasets.base import Check
from microexp.errors import DataError
from tests.conftest import copy_tree

IMAGES = "cohn-kanade-images"


@pytest.fixture
def copy(tmp_path: Path, look_alike: Callable[..., Path]) -> Path:
    return copy_tree(look_alike("ckplus", full=True), tmp_path / "CK+ 数据", IMAGES, "Emotion", "FACS")


def faults(root: Path) -> dict[str, Check]:
    return {c.what: c for c in datasets.create("ckplus", root=root).check() if not c.ok}


def clips(root: Path) -> dict[tuple[str, str], Clip]:
    return {(c.subject, c.name): c for c in datasets.create("ckplus", root=root).read().clips}


def rewrite(root: Path, folder: str, content: str, place: str = "S010/001") -> Path:
    """Put other content into the one text file of a sequence."""
    (file,) = (root / folder / place).glob("*.txt")
    file.unlink()  # it may be a link to the fixture's
    file.write_text(content)
    return file


def odd(root: Path) -> list[str]:
    return list(faults(root)["odd rows"].details)


def test_327_of_593_have_a_class(look_alike: Callable[..., Path]) -> None:
    root = look_alike("ckplus", full=True)
    database = datasets.create("ckplus", root=root)
    assert len(database.read().clips) == 593
    data = database.load()
    assert data.table["label"].value_counts(sort=False).sort_index().to_list() == [69, 83, 59, 45, 25, 28, 18]
    assert len(database.load("megc3")) == 327
    empty = [place for place in (root / "Emotion").glob("*/*") if place.is_dir() and not any(place.iterdir())]
    assert len(empty) > 100
    assert len(list((root / "Emotion").glob("*/*"))) < 593 + 2  # and some have no folder


def test_a_sequence_goes_from_neutral_to_apex(look_alike: Callable[..., Path]) -> None:
    root = look_alike("ckplus", full=True)
    for (subject, name), clip in clips(root).items():
        assert (clip.onset, clip.apex, clip.offset) == (0, len(clip) - 1, len(clip) - 1)
        assert Path(clip.metadata["landmarks"]) == root / "Landmarks" / subject / name


def test_intensities_are_those_of_the_file(copy: Path) -> None:
    rewrite(copy, "FACS", "   1.2000000e+01   3.0000000e+00\r\n   4.0000000e+00   0.0000000e+00\n\n")
    clip = clips(copy)["S010", "001"]
    assert [(unit.unit, unit.intensity) for unit in clip.action_units] == [(12, 0.6), (4, None)]
    assert "landmarks" not in clip.metadata


def test_text_files_that_are_damaged_are_named(copy: Path) -> None:
    whole = clips(copy)["S010", "001"]
    for content in ("", "   9.0000000e+00\n", "   1.5\n", "1 2\n", "anger\n"):
        file = rewrite(copy, "Emotion", content)
        told = odd(copy)
        assert f"{file} holds no number of an emotion, 1 to 7: it has none; kept as it is" in told[-1]
        assert clips(copy)["S010", "001"].emotion is None
    assert f"{file} holds something else than numbers" in told[0]
    rewrite(copy, "Emotion", "   1.0000000e+00\n")
    file = rewrite(copy, "FACS", "   1.2000000e+01   9.0\n   4.0\n   7.0 2.0\n")
    first, second = odd(copy)
    assert f"'12 9' in {file} is no action unit with an intensity of 0 to 5" in first
    assert f"'4' in {file} is no" in second
    assert [str(unit) for unit in clips(copy)["S010", "001"].action_units] == ["7"]
    assert clips(copy)["S010", "001"].emotion == whole.emotion == "anger"


def test_two_files_or_two_apexes_are_named(copy: Path) -> None:
    (file,) = (copy / "Emotion" / "S010" / "001").glob("*.txt")
    shutil.copy(file, file.with_name("S010_001_99999999_emotion.txt"))
    (told,) = odd(copy)
    assert f"2 files in {file.parent} ({file.name}, S010_001_99999999_emotion.txt): the first counts" in told
    file.unlink()
    assert "name different frames as the apex: the first counts" in "\n".join(odd(copy))


def test_lost_pictures_at_either_end_are_named(copy: Path) -> None:
    *_, last = sorted((copy / IMAGES / "S010" / "001").iterdir())
    last.unlink()
    first = min((copy / IMAGES / "S011" / "001").glob("*.png"))
    first.unlink()
    found = faults(copy)
    assert sorted(found) == ["clips with all frames", "odd rows"]
    (told,) = found["clips with all frames"].details
    assert "S010/001: 1 of its" in told
    assert f"({int(last.stem[-8:])}) in {last.parent}" in told
    assert "S011/001: its first picture is number 2: the neutral face before it is missing" in odd(copy)[0]


def test_renamed_lost_and_half_copied_folders(copy: Path) -> None:
    (copy / IMAGES / "S012").rename(copy / IMAGES / "s12")
    (told,) = faults(copy)["clips with all frames"].details
    assert "s12 is there: rename it to S012" in told
    for number in range(60, 133):
        shutil.rmtree(copy / IMAGES / f"S{number:03d}")
    assert "the copy is incomplete" in faults(copy)["clips with all frames"].details[0]


def test_pictures_without_a_text_file_are_sequences_as_well(copy: Path) -> None:
    for folder in ("Emotion", "FACS"):
        shutil.rmtree(copy / folder / "S010" / "001")
    clip = clips(copy)["S010", "001"]
    assert (clip.emotion, clip.action_units, clip.apex) == (None, (), len(clip) - 1)
    found = faults(copy)
    assert (found["rows: anger"].found, found["rows: no emotion"].found) == ("44", "267")


def test_annotation_that_was_not_unpacked_is_told(copy: Path) -> None:
    shutil.rmtree(copy / "Emotion")
    with pytest.raises(DataError, match=r"none of 593 clips has an emotion\. .*unpack Emotion_labels\.zip"):
        datasets.create("ckplus", root=copy).load()
    (told,) = faults(copy)["folders of annotation"].details
    assert told == f"there is no folder Emotion in {copy}: unpack Emotion_labels.zip there"
    shutil.rmtree(copy / "FACS")
    (told,) = faults(copy)["annotation"].details
    assert "there is no folder Emotion and no folder FACS beside the pictures" in told
    with pytest.raises(TypeError, match="sheet"):
        datasets.get("ckplus")(root=copy, sheet="x.xlsx")
