from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from microexp import superres
from microexp.errors import OptionError, PathMissingError
from microexp.frames import FolderFrames, VideoFrames, read_image
from microexp.frames.write import write_picture, write_video
from microexp.superres.base import Upscaler
from microexp.superres.files import upscale_path

SIZE = 16


class Repeat(Upscaler):
    """Each pixel becomes a square; counts its frames, and can be stopped after some."""

    def __init__(
        self, scale: int = 2, window: int = 1, margin: int = 0, stop_after: int | None = None
    ) -> None:
        self.scale, self.window, self.margin, self.stop_after = scale, window, margin, stop_after
        self.restored: list[int] = []

    def _upscale(self, frames: np.ndarray) -> np.ndarray:
        if self.stop_after is not None and len(self.restored) >= self.stop_after:
            raise KeyboardInterrupt
        self.restored.append(len(frames))
        return frames.repeat(self.scale, axis=1).repeat(self.scale, axis=2)


def quiet(what: str, done: int, total: int) -> None:
    assert 0 <= done <= total


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (SIZE, SIZE + 4, 3), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    source = tmp_path / "in"
    (source / "deeper").mkdir(parents=True)
    for i in range(4):
        write_picture(source / f"img{i}.png", picture(i))
    write_picture(source / "deeper" / "portrait1.png", picture(9)[:8])
    (source / "notes.txt").write_text("no picture")
    return source


@pytest.fixture
def video(tmp_path: Path) -> Path:
    write_video(tmp_path / "in.mkv", [picture(i) for i in range(7)], 25.0)
    return tmp_path / "in.mkv"


def test_a_lossless_video_comes_back_as_it_was_written(video: Path) -> None:
    frames = VideoFrames(video)
    assert frames.fps == 25
    assert np.array_equal(frames[:], np.stack([picture(i) for i in range(7)]))


def test_an_mp4_has_all_frames_and_even_sides(tmp_path: Path) -> None:
    smooth = np.full((17, 21, 3), 90, np.uint8)
    write_video(tmp_path / "a.mp4", [smooth] * 3, 30.0)
    frames = VideoFrames(tmp_path / "a.mp4")
    assert frames.shape == (3, 16, 20, 3)
    assert np.abs(frames[:].astype(int) - 90).max() <= 3


def test_a_picture_with_record_and_comparison(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", picture(0))
    result, record, comparison = upscale_path(tmp_path / "a.png", tmp_path / "out" / "b.png", Repeat(), quiet)
    assert np.array_equal(read_image(result), picture(0).repeat(2, axis=0).repeat(2, axis=1))
    made = json.loads(record.read_text())
    assert made["method"] == "Repeat"
    assert made["settings"]["scale"] == 2
    assert read_image(comparison).shape[1] == 3 * 2 * (SIZE + 4)


def test_a_folder_with_pictures_of_several_sizes(folder: Path, tmp_path: Path) -> None:
    result, *_ = upscale_path(folder, tmp_path / "out", Repeat(), quiet)
    assert sorted(p.name for p in result.rglob("*.png")) == [
        *[f"img{i}.png" for i in range(4)],
        "portrait1.png",
    ]
    assert read_image(result / "deeper" / "portrait1.png").shape == (16, 2 * (SIZE + 4), 3)


def test_a_video_method_takes_a_folder_for_consecutive_frames(folder: Path, tmp_path: Path) -> None:
    upscaler = Repeat(window=3, margin=1)
    upscale_path(folder, tmp_path / "out", upscaler, quiet)
    assert upscaler.restored == [4, 2, 1]  # three and one beyond; the last and one before; the other folder's
    assert len(FolderFrames(tmp_path / "out")) == 4


@pytest.mark.parametrize("window", [1, 3])
def test_a_stopped_video_goes_on_where_it_stopped(video: Path, tmp_path: Path, window: int) -> None:
    target = tmp_path / "large.mkv"
    with pytest.raises(KeyboardInterrupt):
        upscale_path(video, target, Same(window, stop_after=2), quiet)
    assert not target.exists()
    second = Same(window)
    result, *_ = upscale_path(video, target, second, quiet)
    assert len(second.restored) == -(-7 // window) - 2
    whole = np.stack([picture(i) for i in range(7)]).repeat(2, axis=1).repeat(2, axis=2)
    assert np.array_equal(VideoFrames(result)[:], whole)
    assert not list(tmp_path.glob("*.parts"))


class Same(Repeat):
    """Has no setting that says when it stops, so that the record is the same."""

    def __init__(self, window: int = 1, stop_after: int | None = None) -> None:
        super().__init__(window=window, stop_after=stop_after)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        return {"window": self.window}


def test_what_was_made_otherwise_is_not_mixed(folder: Path, tmp_path: Path) -> None:
    upscale_path(folder, tmp_path / "out", Repeat(), quiet)
    with pytest.raises(OptionError, match="other settings"):
        upscale_path(folder, tmp_path / "out", Repeat(scale=3), quiet)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("precious")
    with pytest.raises(OptionError, match="not empty"):
        upscale_path(folder, tmp_path / "mine", Repeat(), quiet)


def test_paths_that_do_not_fit_are_refused(folder: Path, video: Path, tmp_path: Path) -> None:
    one = folder / "img0.png"
    for source, target, word in (
        (one, tmp_path / "a.mkv", "a picture is written as"),
        (folder, tmp_path / "a.png", "into a folder"),
        (folder, folder / "deeper" / "out", "lies within"),
        (video, tmp_path / "a.png", "a video is enlarged into"),
        (one, one, "another file"),
    ):
        with pytest.raises(OptionError, match=word):
            upscale_path(source, target, Repeat(), quiet)
    with pytest.raises(PathMissingError, match="does not exist"):
        upscale_path(tmp_path / "none.png", tmp_path / "a.png", Repeat(), quiet)
    (tmp_path / "empty").mkdir()
    with pytest.raises(PathMissingError, match="no pictures"):
        upscale_path(tmp_path / "empty", tmp_path / "out", Repeat(), quiet)


def test_two_pictures_of_one_name_are_refused(folder: Path, tmp_path: Path) -> None:
    write_picture(folder / "img0.jpg", picture(0))
    with pytest.raises(OptionError, match="two pictures"):
        upscale_path(folder, tmp_path / "out", Repeat(), quiet)


def test_the_record_names_the_weights(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", picture(0))
    upscaler = superres.create("edsr", weights="random", channels=8, blocks=1)
    _, record, _ = upscale_path(tmp_path / "a.png", tmp_path / "b.png", upscaler, quiet)
    assert json.loads(record.read_text())["weights"] == {"name": "random"}


def test_the_result_may_be_larger_than_what_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_picture(tmp_path / "small.png", np.zeros((16, 16, 3), np.uint8))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 300)  # twice as many can be read, the result has 1,024
    upscaler = superres.create("bicubic", scale=2)
    found = upscale_path(tmp_path / "small.png", tmp_path / "large.png", upscaler, lambda *_: None)
    assert all(file.is_file() for file in found)
