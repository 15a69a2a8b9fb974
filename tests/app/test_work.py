from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from microexp import magnify, superres
from microexp.app import work
from microexp.app.work import Limits
from microexp.errors import MicroexpError
from microexp.frames import VideoFrames, read_image
from microexp.frames.write import write_picture, write_video
from microexp.weights import locate
from tests.analyze import made

ALL = Limits()


def silent(what: str, done: int, total: int) -> None:
    pass


def waves(count: int, height: int = 32, width: int = 40) -> np.ndarray:
    y, x = np.mgrid[:height, :width].astype(np.float32)
    shown = [127 + 100 * np.sin((x - 0.3 * np.sin(t)) / 4 + y / 5) for t in range(count)]
    return np.rint(np.repeat(np.stack(shown)[..., None], 3, axis=-1)).astype(np.uint8)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    write_video(tmp_path / "waves.mkv", waves(6), 25.0)
    return tmp_path / "waves.mkv"


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    write_picture(tmp_path / "apex.png", waves(3)[2])
    return tmp_path / "apex.png"


def test_a_picture_has_no_motion_to_analyse(picture: Path, tmp_path: Path) -> None:
    with pytest.raises(MicroexpError, match=r"apex\.png is a single picture.*Magnify"):
        work.report(picture, tmp_path, ALL, silent)


def test_two_pictures_are_magnified_as_the_method_does_it(picture: Path, tmp_path: Path) -> None:
    write_picture(tmp_path / "rest.png", waves(1)[0])
    choices = {"method": "phase", "strength": 4, "onset": tmp_path / "rest.png", "align": False}
    made = work.magnified(picture, tmp_path, ALL, silent, **choices)
    wanted = magnify.create("phase", factor=4.0, pyramid="riesz").magnify(waves(3)[2], waves(1)[0])
    assert made.before is not None
    np.testing.assert_array_equal(read_image(made.after), wanted)
    np.testing.assert_array_equal(read_image(made.before), waves(3)[2])


def test_a_video_stands_beside_its_magnification(video: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    made = work.magnified(
        *(video, tmp_path, ALL, lambda what, done, total: told.append((done, total))),
        **{"method": "eulerian", "strength": 3, "align": False},
    )
    assert made.both is not None
    both, after = VideoFrames(made.both), VideoFrames(made.after)
    assert (len(both), both.fps) == (len(after), after.fps) == (6, 25.0)
    assert told[-1] == (6, 6)
    left, right = both[3][-32:, :40].astype(int), both[3][-32:, 40:].astype(int)
    wanted = magnify.create("eulerian", factor=3.0).magnify(waves(6))[3].astype(int)
    assert abs(left - waves(6)[3]).mean() < abs(right - waves(6)[3]).mean()  # H.264 loses a little
    assert abs(right - wanted).mean() < abs(left - wanted).mean()


@pytest.mark.parametrize(
    ("onset", "says"), [(None, "face at rest"), ("small.png", "16x16.*40x32"), ("waves.mkv", "no picture")]
)
def test_an_onset_must_fit(picture: Path, video: Path, tmp_path: Path, onset: str | None, says: str) -> None:
    write_picture(tmp_path / "small.png", waves(1, 16, 16)[0])
    rest = onset and tmp_path / onset
    with pytest.raises(MicroexpError, match=says):
        work.magnified(picture, tmp_path, ALL, silent, method="phase", strength=2, onset=rest)


def test_nothing_measured_on_a_face_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICROEXP_CACHE", str(tmp_path / "cache"))
    write_video(tmp_path / "face.mkv", made.frames(20), 25.0)
    write_picture(tmp_path / "face.png", made.face())
    (tmp_path / "out").mkdir()
    work.report(tmp_path / "face.mkv", tmp_path / "out", ALL, silent)
    choices = {"method": "phase", "strength": 4, "onset": tmp_path / "face.png"}
    for name in ("face.mkv", "face.png"):
        made_of = work.magnified(tmp_path / name, tmp_path / "out", ALL, silent, **choices)
        assert made_of.after.is_file()
    assert not any(file.is_file() for file in (tmp_path / "cache").rglob("*"))


def test_a_video_is_as_large_as_what_is_made_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_video(tmp_path / "face.mkv", made.frames(20), 25.0)
    monkeypatch.setattr(work, "MOST_IN_A_PICTURE", made.face()[..., 0].size - 1)
    monkeypatch.setattr(work, "FACE_SIZE", 112)
    choices = {"method": "eulerian", "strength": 4}
    work.magnified(tmp_path / "face.mkv", tmp_path, ALL, silent, **choices)
    with pytest.raises(MicroexpError, match=r"would become 20 x 192x192"):
        work.magnified(tmp_path / "face.mkv", tmp_path, ALL, silent, align=False, **choices)


def test_no_face_is_said(picture: Path, tmp_path: Path) -> None:
    write_picture(tmp_path / "large.png", waves(1, 96, 96)[0])
    with pytest.raises(MicroexpError, match=r"large\.png: no face"):
        work.magnified(tmp_path / "large.png", tmp_path, ALL, silent, method="single_image", strength=1)


@pytest.mark.parametrize("method", ["bicubic", "edsr"])
def test_upscaling_a_picture(picture: Path, tmp_path: Path, method: str) -> None:
    scale = work.scales(method)[-1]
    made = work.upscaled(picture, tmp_path, ALL, silent, method=method, scale=scale)
    assert made.before is not None
    before, after = read_image(made.before), read_image(made.after)
    np.testing.assert_array_equal(before[::scale, ::scale], waves(3)[2])
    assert after.shape == before.shape
    if method == "bicubic":
        np.testing.assert_array_equal(after, superres.create("bicubic", scale=scale).upscale(waves(3)[2]))


def test_upscaling_a_video(video: Path, tmp_path: Path) -> None:
    made = work.upscaled(video, tmp_path, ALL, silent, method="bicubic", scale=2)
    assert VideoFrames(made.after).shape == (6, 64, 80, 3)
    assert made.both is not None
    assert VideoFrames(made.both).shape == (6, 64 + 24, 160, 3)


def test_every_method_of_the_page_exists_and_needs_no_download() -> None:
    assert {*work.magnifiers().values()} == {"phase", "eulerian", "single_image"}
    assert {*work.upscalers().values()} == {"edsr", "esrgan", "bicubic"}
    starters = work._starters([*magnify.names(), *superres.names()])
    assert set(starters) == {"single_image", "edsr", "esrgan"}
    assert all(locate(name).is_file() for name in starters.values())


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        (Limits(megabytes=0.001), r"waves\.mkv is 0\.\d MB large.* 0\.001 MB"),
        (Limits(seconds=0.1), r"waves\.mkv is 0\.24 s long.* 0\.1 s"),
    ],
)
def test_limits(video: Path, tmp_path: Path, limits: Limits, says: str) -> None:
    with pytest.raises(MicroexpError, match=says):
        work.upscaled(video, tmp_path, limits, silent, method="bicubic", scale=2)
    with pytest.raises(MicroexpError, match=says):
        work.report(video, tmp_path, limits, silent)


def test_what_would_fill_the_disk_is_refused(tmp_path: Path) -> None:
    write_picture(tmp_path / "wide.png", np.zeros((1700, 1700, 3), np.uint8))
    with pytest.raises(MicroexpError, match=r"wide\.png would become 1 x 6800x6800"):
        work.upscaled(tmp_path / "wide.png", tmp_path, ALL, silent, method="bicubic", scale=4)


@pytest.mark.parametrize("name", ["notes.mp4", "notes.png"])
def test_a_text_is_neither_video_nor_picture(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("not a video\n" * 50)
    with pytest.raises(MicroexpError, match=name):
        work.upscaled(tmp_path / name, tmp_path, ALL, silent, method="bicubic", scale=2)
