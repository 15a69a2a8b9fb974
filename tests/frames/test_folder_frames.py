from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from microexp.errors import DataError, PathMissingError
from microexp.frames import FolderFrames, read_image


def save(file: Path, value: int, size: tuple[int, int] = (24, 16)) -> None:
    Image.new("RGB", size, (value, value, value)).save(file)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i in range(12):
        save(tmp_path / f"img{i}.png", 20 * i)  # not padded: img10 sorts before img2
    (tmp_path / "notes.txt").write_text("not a picture")
    return tmp_path


def test_a_folder_is_read_in_the_order_of_its_numbers(folder: Path) -> None:
    frames = FolderFrames(folder)
    assert frames.shape == (12, 16, 24, 3)
    assert frames.numbers == list(range(12))
    assert [int(f[0, 0, 0]) for f in frames] == [20 * i for i in range(12)]
    assert frames[[7, 1]][:, 0, 0, 0].tolist() == [140, 20]


def test_the_number_is_the_last_integer_of_the_name_whatever_its_padding(tmp_path: Path) -> None:
    for name in ("006_1_2_05562.jpg", "006_1_2_5563.JPG", "006_1_2_5570.jpg"):
        save(tmp_path / name, 0)
    assert FolderFrames(tmp_path).numbers == [5562, 5563, 5570]


def test_two_pictures_of_one_number_are_both_named(folder: Path) -> None:
    save(folder / "img007.png", 0)
    with pytest.raises(DataError, match=r"frame 7 twice, as img007\.png and img7\.png"):
        FolderFrames(folder)


def test_a_picture_without_a_number_is_named_unless_it_is_alone(folder: Path, tmp_path: Path) -> None:
    save(folder / "preview.png", 0)
    with pytest.raises(DataError, match=r"preview\.png has no number"):
        FolderFrames(folder)
    alone = tmp_path / "alone"
    alone.mkdir()
    save(alone / "face.png", 9)
    assert len(FolderFrames(alone)) == 1
    assert FolderFrames(alone).numbers == []


def test_hidden_files_folders_and_others_are_passed_over(folder: Path) -> None:
    for name in (".DS_Store", "._img1.png", ".png", "Thumbs.db", "png", "img.png.part"):
        (folder / name).write_bytes(b"\0")
    (folder / "old3.png").mkdir()
    assert len(FolderFrames(folder)) == 12


def test_links_in_circles_and_into_nothing(folder: Path) -> None:
    (folder / "again").symlink_to(folder)
    (folder / "img12.png").symlink_to(folder / "img12.png")
    (folder / "img13.png").symlink_to(folder / "nowhere.png")
    frames = FolderFrames(folder)
    assert len(frames) == 14
    assert frames[11][0, 0, 0] == 220
    with pytest.raises(DataError, match=r"img12\.png"):
        frames[12]
    with pytest.raises(PathMissingError, match=r"img13\.png"):
        frames[13]
    assert frames.fingerprint([12]) is None
    loop = folder / "loop"
    loop.symlink_to(loop)
    with pytest.raises(PathMissingError, match="not a folder"):
        FolderFrames(loop)


def test_a_folder_that_may_not_be_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refuse)  # root, who runs tests in containers, may read everything
    with pytest.raises(DataError, match="may not be read"):
        FolderFrames(folder)


def test_names_with_spaces_and_other_scripts(tmp_path: Path) -> None:
    place = tmp_path / "кадры 表情 ü"
    place.mkdir()
    save(place / "图 像 3.png", 50)
    assert FolderFrames(place)[0][0, 0, 0] == 50


def test_no_picture_is_opened_before_it_is_indexed(folder: Path) -> None:
    (folder / "img11.png").write_bytes(b"damaged")
    frames = FolderFrames(folder)
    assert frames[3][0, 0, 0] == 60
    with pytest.raises(DataError, match=r"img11\.png cannot be read as a picture"):
        frames[11]


def test_a_truncated_picture_is_named(folder: Path) -> None:
    rng = np.random.default_rng(0)
    file = folder / "img4.png"
    Image.fromarray(rng.integers(0, 256, (16, 24, 3), dtype=np.uint8)).save(file)
    file.write_bytes(file.read_bytes()[:-300])
    with pytest.raises(DataError, match=r"img4\.png"):
        FolderFrames(folder)[4]


def test_a_picture_of_another_size_is_named(folder: Path) -> None:
    save(folder / "img5.png", 0, size=(8, 8))
    with pytest.raises(DataError, match=r"img5\.png is 8x8, but img0\.png is 24x16"):
        FolderFrames(folder)[5]


def test_missing_and_empty_folders(tmp_path: Path) -> None:
    with pytest.raises(PathMissingError, match="not a folder"):
        FolderFrames(tmp_path / "nowhere")
    with pytest.raises(PathMissingError, match="holds no pictures"):
        FolderFrames(tmp_path)


def test_the_fingerprint_is_that_of_the_pictures_asked_for(folder: Path) -> None:
    frames = FolderFrames(folder)
    first, second = frames.fingerprint([0, 1]), frames.fingerprint([0, 2])
    assert first != second
    assert first != frames.fingerprint([1, 0])
    save(folder / "img2.png", 41)
    assert FolderFrames(folder).fingerprint([0, 1]) == first
    assert FolderFrames(folder).fingerprint([0, 2]) != second


def test_of_16_bits_the_upper_8_are_kept(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    for name in ("a.png", "a.tif"):
        Image.fromarray(ramp).save(tmp_path / name)
        assert np.array_equal(read_image(tmp_path / name)[..., 1], (ramp >> 8).astype(np.uint8))
    Image.fromarray(np.zeros((4, 4), np.float32)).save(tmp_path / "b.tif")
    with pytest.raises(DataError, match=r"b\.tif holds F pixels"):
        read_image(tmp_path / "b.tif")


def test_a_grey_picture_becomes_rgb(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 9, np.uint8)).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").tolist() == np.full((4, 4, 3), 9).tolist()


def test_a_picture_beyond_the_limit_of_pixels_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "huge.png"
    Image.new("RGB", (40, 30)).save(file)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(DataError, match=r"huge\.png.*exceeds"):
        read_image(file)
