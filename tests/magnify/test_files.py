from __future__ import annotations

import json
import weakref
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from microexp.clip import Clip
from microexp.errors import DataError, MicroexpWarning, OptionError, PathMissingError
from microexp.faces.aligner import FaceAligner
from microexp.faces.geometry import warp
from microexp.flow_colours import colour_flow
from microexp.frames import VideoFrames, read_image
from microexp.frames.write import write_picture, write_video
from microexp.magnify.base import Magnifier
from microexp.magnify.eulerian import Eulerian
from microexp.magnify.files import SMALLEST_FACE, contact_sheet, magnify_path
from microexp.media import LeftOutError
from microexp.motion.dis import DIS

PORTRAIT = Path(__file__).parent.parent / "faces" / "astronaut.jpg"  # 192x192, the face 95 pixels across
SIDE = 64
Run = Callable[..., list[Path]]


class Single(Magnifier):
    """Takes one picture of an aligned face: its negative."""

    needs_onset = False
    aligned = True

    def _magnify(
        self, frames: Iterable[np.ndarray], onset: np.ndarray | None, fps: float | None
    ) -> Iterator[np.ndarray]:
        for frame in frames:
            yield 255 - frame


def quiet(what: str, done: int, total: int) -> None:
    assert 0 <= done <= total


def stop_after(count: int) -> Callable[[str, int, int], None]:
    def progress(what: str, done: int, total: int) -> None:
        if done == count:
            raise KeyboardInterrupt

    return progress


def textured(shift: float = 0.0, height: int = 40, width: int = 48) -> np.ndarray:
    """A smooth pattern, moved to the right by some pixels."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    waves = [np.sin((x - shift) / p + y / q) for p, q in ((3, 5), (4, -6), (6, 4))]
    return np.rint(127 + 100 * np.stack(waves, -1)).astype(np.uint8)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def weak() -> np.ndarray:
    """Nine frames ``(9, 40, 48, 3)`` of a motion to and fro, the strongest the seventh."""
    return np.stack([textured(0.6 * np.sin(i / 4)) for i in range(9)])


@pytest.fixture
def video(tmp_path: Path, weak: np.ndarray) -> Path:
    write_video(tmp_path / "in.mkv", weak, 25.0)
    return tmp_path / "in.mkv"


@pytest.fixture
def folder(tmp_path: Path, weak: np.ndarray) -> Path:
    (tmp_path / "in" / "deeper").mkdir(parents=True)
    for i, frame in enumerate(weak):
        write_picture(tmp_path / "in" / f"img{i + 8}.png", frame)  # img10 comes after img9
        write_picture(tmp_path / "in" / "deeper" / f"{i}.png", frame[::-1])
    return tmp_path / "in"


@pytest.fixture
def portrait() -> np.ndarray:
    return read_image(PORTRAIT)


def aligned(picture: np.ndarray) -> np.ndarray:
    clip = Clip.from_array(picture[None], 1.0)
    return np.asarray(FaceAligner(SIDE).transform([clip])[0].frames[0])


def magnify(source: Path, target: Path, magnifier: Magnifier, **options: Any) -> list[Path]:
    return magnify_path(source, target, magnifier, quiet, **{"size": SIDE, **options})


def record_of(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(file.read_text())
    return content


# Paths ------------------------------------------------------------------------------------------------


def test_a_picture_and_its_onset(tmp_path: Path, weak: np.ndarray) -> None:
    write_picture(tmp_path / "apex.png", weak[6])
    write_picture(tmp_path / "rest.png", weak[0])
    result, record, sheet = magnify(
        tmp_path / "apex.png", tmp_path / "deep" / "b.png", Eulerian(4.0), onset=tmp_path / "rest.png"
    )
    assert np.array_equal(read_image(result), Eulerian(4.0).magnify(weak[6], weak[0]))
    made = record_of(record)
    assert made["method"] == "Eulerian"
    assert made["settings"]["factor"] == 4
    assert (made["source"], made["onset"], made["alignment"]) == ("apex.png", "rest.png", None)
    assert read_image(sheet).shape == (40 + 24, 4 * 48, 3)
    assert np.array_equal(read_image(sheet)[24:, :48], weak[6])


def test_a_folder_is_a_clip_for_methods_that_need_the_onset(
    folder: Path, tmp_path: Path, weak: np.ndarray
) -> None:
    result, *_ = magnify(folder, tmp_path / "out", Eulerian(4.0))
    strong = Eulerian(4.0).magnify(weak)
    for i in range(len(weak)):
        assert np.array_equal(read_image(result / f"img{i + 8}.png"), strong[i])
    turned = Eulerian(4.0).magnify(np.ascontiguousarray(weak[:, ::-1]))
    assert np.array_equal(read_image(result / "deeper" / "6.png"), turned[6])


def test_the_onset_may_be_a_number_or_a_file(video: Path, tmp_path: Path, weak: np.ndarray) -> None:
    wanted = Eulerian(4.0).magnify(weak, weak[2])
    (by_number, *_) = magnify(video, tmp_path / "a.mkv", Eulerian(4.0), onset=2)
    assert np.array_equal(VideoFrames(by_number)[:], wanted)
    write_picture(tmp_path / "rest.png", weak[2])
    (by_file, *_) = magnify(video, tmp_path / "b.mkv", Eulerian(4.0), onset=str(tmp_path / "rest.png"))
    assert np.array_equal(VideoFrames(by_file)[:], wanted)


def test_a_video_has_a_sheet_of_its_onset_its_strongest_and_its_last_frame(
    video: Path, tmp_path: Path, weak: np.ndarray
) -> None:
    result, record, sheet = magnify(video, tmp_path / "out.mkv", Eulerian(4.0))
    assert VideoFrames(result).fps == 25
    assert record_of(record)["source"] == "in.mkv"
    rows = read_image(sheet).reshape(3, 24 + 40, 4 * 48, 3)[:, 24:, :48]
    assert np.array_equal(rows, weak[[0, 6, 8]])
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "in.mkv",
        "out.mkv",
        "out.mkv.json",
        "out_contact_sheet.png",
    ]


def test_pictures_of_a_folder_are_taken_one_by_one_where_no_onset_is_needed(tmp_path: Path) -> None:
    (tmp_path / "in" / "more").mkdir(parents=True)
    write_picture(tmp_path / "in" / "ann.png", textured())
    write_picture(tmp_path / "in" / "more" / "bob.png", textured(height=50))
    result, *_ = magnify(tmp_path / "in", tmp_path / "out", Single(), align=False)
    assert np.array_equal(read_image(result / "ann.png"), 255 - textured())
    assert np.array_equal(read_image(result / "more" / "bob.png"), 255 - textured(height=50))


def test_options_that_do_not_fit_are_refused(folder: Path, video: Path, tmp_path: Path) -> None:
    one, out = folder / "img8.png", tmp_path / "out.png"
    write_picture(tmp_path / "wide.png", textured(width=60))
    for source, target, magnifier, options, word in (
        (one, out, Eulerian(), {}, "--onset FILE"),
        (one, out, Eulerian(), {"onset": 0}, "its onset is a file"),
        (one, out, Eulerian(band=(1, 2)), {"onset": one}, "frames in order"),
        (video, tmp_path / "out", Eulerian(), {"onset": 9}, "0 to 8"),
        (video, tmp_path / "out", Eulerian(), {"fps": 0.0}, "fps"),
        (folder, tmp_path / "out", Eulerian(band=(1, 2)), {}, "needs fps"),
        (one, out, Eulerian(), {"onset": tmp_path / "wide.png"}, "60x40 pixels, img8.png 48x40"),
        (one, tmp_path / "a.mkv", Eulerian(), {"onset": one}, "a picture is written as"),
        (folder, folder / "out", Eulerian(), {}, "lies within"),
        (one, one, Eulerian(), {}, "to be magnified"),
        (one, out, Eulerian(factor=0.5), {"onset": one}, "factor"),
    ):
        with pytest.raises((OptionError, DataError), match=word):
            magnify(source, target, magnifier, **options)
    with pytest.raises(PathMissingError, match="none.png"):
        magnify(one, out, Eulerian(), onset=tmp_path / "none.png")
    assert not (tmp_path / "out").exists()


# Going on ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("band", [None, (0.5, 5.0)])
@pytest.mark.parametrize("into", ["out", "out.mkv"])
def test_what_was_done_when_it_was_stopped_is_done(
    video: Path, tmp_path: Path, weak: np.ndarray, band: tuple[float, float] | None, into: str
) -> None:
    target = tmp_path / into
    with pytest.raises(KeyboardInterrupt):
        magnify_path(video, target, Eulerian(4.0, band=band), stop_after(4))
    parts = target if into == "out" else tmp_path / "out.mkv.parts"
    kept = sorted(parts.glob("*.png"))
    assert len(kept) == 4
    marked = kept[0]
    write_picture(marked, read_image(marked) // 2)  # to see that it is not made again
    half = read_image(marked)
    result, *_ = magnify(video, target, Eulerian(4.0, band=band))
    wanted = Eulerian(4.0, band=band).magnify(weak, fps=25.0)
    got = (
        VideoFrames(result)[:]
        if into == "out.mkv"
        else np.stack([read_image(p) for p in sorted(result.glob("*.png"))])
    )
    assert np.array_equal(got[0], half)
    assert np.array_equal(got[1:], wanted[1:])


def test_a_frame_by_frame_method_reads_only_what_is_missing(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(KeyboardInterrupt):
        magnify_path(video, tmp_path / "out", Single(), stop_after(6), align=False)
    seen: list[int] = []
    plain = VideoFrames.read

    def noted(video: VideoFrames, index: int) -> np.ndarray:
        seen.append(index)
        return plain(video, index)

    monkeypatch.setattr(VideoFrames, "read", noted)
    work = magnify(video, tmp_path / "out", Single(), align=False)
    assert len(list(work[0].glob("*.png"))) == 9
    assert set(range(1, 6)).isdisjoint(seen)  # frames 0 (the onset of the sheet) and 6 to 8 are read


def test_what_was_made_otherwise_is_not_mixed(video: Path, tmp_path: Path) -> None:
    magnify(video, tmp_path / "out", Eulerian(4.0))
    magnify(video, tmp_path / "out", Eulerian(4.0))
    for magnifier, options, word in (
        (Eulerian(5.0), {}, "other settings"),
        (Eulerian(4.0), {"onset": 1}, "other onset"),
        (Single(), {"align": False}, "other method"),
    ):
        with pytest.raises(OptionError, match=word):
            magnify(video, tmp_path / "out", magnifier, **options)


def test_a_start_that_failed_is_not_in_the_way(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="needs fps"):
        magnify(folder, tmp_path / "out", Eulerian(band=(1, 5)))
    result, *_ = magnify(folder, tmp_path / "out", Eulerian(band=(1, 5)), fps=30.0)
    assert len(list(result.rglob("*.png"))) == 18


@pytest.mark.parametrize("band", [None, (0.5, 5.0)])
def test_memory_does_not_grow_with_the_video(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, band: tuple[float, float] | None
) -> None:
    write_video(tmp_path / "long.mkv", (textured(i / 20) for i in range(40)), 25.0)
    alive = most = 0

    def gone() -> None:
        nonlocal alive
        alive -= 1

    def counted(picture: np.ndarray) -> np.ndarray:
        nonlocal alive, most
        alive, most = alive + 1, max(most, alive + 1)
        weakref.finalize(picture, gone)
        return picture

    plain = VideoFrames.read
    monkeypatch.setattr(VideoFrames, "read", lambda self, i: counted(plain(self, i)))

    class Watched(Eulerian):
        def _magnify(self, *given: Any) -> Iterator[np.ndarray]:
            return map(counted, super()._magnify(*given))

    magnify(tmp_path / "long.mkv", tmp_path / "out.mkv", Watched(4.0, band=band))
    assert most <= 10  # of 40 frames and 40 results


# Faces ------------------------------------------------------------------------------------------------


def test_the_face_is_aligned_where_a_method_needs_it(tmp_path: Path, portrait: np.ndarray) -> None:
    result, record, _ = magnify(PORTRAIT, tmp_path / "a.png", Single())
    assert np.array_equal(read_image(result), 255 - aligned(portrait))
    made = record_of(record)
    assert made["alignment"] == {"size": SIDE, "landmarks": "faceapi68"}
    assert made["found"]["face_pixels"] == pytest.approx(95, abs=3)
    moved = warp(portrait, np.array(made["found"]["onset_matrix"]), SIDE)
    assert np.abs(moved.astype(int) - aligned(portrait)).max() <= 1
    plain, *_ = magnify(PORTRAIT, tmp_path / "b.png", Single(), align=False)
    assert np.array_equal(read_image(plain), 255 - portrait)


def test_the_onset_and_its_picture_are_moved_alike(tmp_path: Path, portrait: np.ndarray) -> None:
    moved = np.roll(portrait, 5, 1)  # 5 pixels to the right: motion, not to be aligned away
    write_picture(tmp_path / "apex.png", moved)
    result, *_ = magnify(
        tmp_path / "apex.png", tmp_path / "a.png", Eulerian(1.0), onset=PORTRAIT, align=True, size=192
    )
    clip = Clip.from_array(np.stack([portrait, moved]), 1.0)
    assert np.array_equal(read_image(result), FaceAligner(192).transform([clip])[0].frames[1])


@pytest.mark.parametrize("kind", ["noise", "flat"])
def test_a_picture_of_no_face_is_refused(tmp_path: Path, kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    write_picture(tmp_path / "a.png", noise if kind == "noise" else np.full_like(noise, 90))
    with pytest.raises(LeftOutError, match=r"a\.png: no face is found.*--no-align"):
        magnify(tmp_path / "a.png", tmp_path / "b.png", Single())
    assert not (tmp_path / "b.png").exists()


def test_of_two_faces_the_larger_is_taken_and_said(tmp_path: Path, portrait: np.ndarray) -> None:
    canvas = np.full((192, 320, 3), 60, np.uint8)
    canvas[:, :192] = portrait
    alone = canvas.copy()
    canvas[40:168, 192:] = cv2.resize(portrait, (128, 128), interpolation=cv2.INTER_AREA)
    write_picture(tmp_path / "two.png", canvas)
    with pytest.warns(
        MicroexpWarning, match=r"two\.png: more than one face; taken is the largest.* x 9\d, y"
    ):
        result, record, _ = magnify(tmp_path / "two.png", tmp_path / "b.png", Single())
    assert record_of(record)["found"]["several_faces"] == 1
    wanted = 255 - aligned(alone).astype(int)
    assert np.abs(read_image(result) - wanted).mean() < 3  # the boxes found differ by a little


@pytest.mark.parametrize("across", [12, 20, 28])
def test_a_face_too_small_is_refused_with_the_size_it_needs(
    tmp_path: Path, portrait: np.ndarray, across: int
) -> None:
    side = round(192 * across / 95)
    small = cv2.resize(portrait, (side, side), interpolation=cv2.INTER_AREA)
    write_picture(tmp_path / "a.png", small)
    with pytest.raises(LeftOutError, match=f"too small to be magnified.*{SMALLEST_FACE} pixels.*upscale"):
        magnify(tmp_path / "a.png", tmp_path / "b.png", Single())


def test_a_face_just_large_enough_is_magnified(tmp_path: Path, portrait: np.ndarray) -> None:
    small = cv2.resize(portrait, (76, 76), interpolation=cv2.INTER_AREA)  # its face is 38 pixels across
    write_picture(tmp_path / "a.png", small)
    result, *_ = magnify(tmp_path / "a.png", tmp_path / "b.png", Single())
    assert read_image(result).shape == (SIDE, SIDE, 3)


def test_grey_pictures_of_8_and_16_bits(tmp_path: Path, portrait: np.ndarray) -> None:
    grey = cv2.cvtColor(portrait, cv2.COLOR_RGB2GRAY)
    wanted = 255 - aligned(np.repeat(grey[..., None], 3, axis=2))
    Image.fromarray(grey).save(tmp_path / "grey8.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "grey16.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "grey16.tif")
    for name in ("grey8.png", "grey16.png", "grey16.tif"):
        result, *_ = magnify(tmp_path / name, tmp_path / f"{name}.out.png", Single())
        assert np.array_equal(read_image(result), wanted)


def test_colour_pictures_of_16_bits(tmp_path: Path, portrait: np.ndarray) -> None:
    deep = cv2.cvtColor(portrait, cv2.COLOR_RGB2BGR).astype(np.uint16) * 257
    cv2.imwrite(str(tmp_path / "deep.png"), deep)
    result, *_ = magnify(tmp_path / "deep.png", tmp_path / "out.png", Single())
    assert np.array_equal(read_image(result), 255 - aligned(portrait))


@pytest.mark.parametrize(("orientation", "turns"), [(3, 2), (6, 1), (8, 3)])
def test_a_picture_that_the_camera_turned_is_taken_upright(
    tmp_path: Path, portrait: np.ndarray, orientation: int, turns: int
) -> None:
    note = Image.Exif()
    note[0x0112] = orientation  # 6: to be turned by a quarter clockwise, when it is shown
    Image.fromarray(np.rot90(portrait, turns)).save(tmp_path / "turned.png", exif=note)
    result, *_ = magnify(tmp_path / "turned.png", tmp_path / "out.png", Single())
    assert np.array_equal(read_image(result), 255 - aligned(portrait))


def test_a_folder_goes_on_without_pictures_that_show_no_face(tmp_path: Path, portrait: np.ndarray) -> None:
    (tmp_path / "in").mkdir()
    write_picture(tmp_path / "in" / "ann.png", portrait)
    write_picture(tmp_path / "in" / "table.png", np.full((96, 96, 3), 90, np.uint8))
    write_picture(tmp_path / "in" / "dot.png", np.full((8, 8, 3), 90, np.uint8))
    for _ in range(2):  # and once more: what is done is passed over, and the count is the same
        with pytest.warns(MicroexpWarning) as told:
            result, record, _ = magnify(tmp_path / "in", tmp_path / "out", Single())
        messages = [str(one.message) for one in told]
        assert any("left out: table.png: no face" in message for message in messages)
        assert messages[-1].startswith("2 of 3 pictures were left out")
        assert [p.name for p in result.glob("*.png")] == ["ann.png"]
        assert set(record_of(record)["left_out"]) == {"dot.png", "table.png"}
    (tmp_path / "in" / "ann.png").unlink()
    with (
        pytest.warns(MicroexpWarning),
        pytest.raises(LeftOutError, match="nothing in it could be magnified"),
    ):
        magnify(tmp_path / "in", tmp_path / "other", Single())


def test_a_video_is_followed_and_frames_without_a_face_are_counted(
    tmp_path: Path, portrait: np.ndarray
) -> None:
    frames = [np.roll(portrait, i, 1) for i in range(6)]
    frames[4] = np.full_like(portrait, 90)
    write_video(tmp_path / "a.mkv", frames, 12.5)
    with pytest.warns(MicroexpWarning, match="no face in 1 of 6 frames"):
        result, record, sheet = magnify(tmp_path / "a.mkv", tmp_path / "out.mkv", Single())
    clip = Clip.from_array(np.stack(frames), 12.5)
    wanted = FaceAligner(SIDE, mode="smooth", missing="hold").transform([clip])[0].frames[:]
    assert np.array_equal(VideoFrames(result)[:], 255 - wanted)
    assert record_of(record)["found"]["without_face"] == 1
    assert read_image(sheet).shape[1] == 4 * SIDE


# The contact sheet ------------------------------------------------------------------------------------


def test_the_sheet_shows_flow_in_the_colours_of_the_project() -> None:
    start, strong = textured(), textured(2.0)
    sheet = contact_sheet([("input", textured(0.5), strong, start)])
    panels = sheet[24:].reshape(40, 4, 48, 3).swapaxes(0, 1)
    assert np.array_equal(panels[0], textured(0.5))
    assert np.array_equal(panels[1], strong)
    assert np.array_equal(panels[2], colour_flow(DIS().flow(start, strong)))
    difference = np.abs(strong.astype(int) - textured(0.5))
    assert np.array_equal(panels[3][difference < 60], 4 * difference[difference < 60])
    assert (panels[3][difference >= 64] >= 252).all()


@pytest.mark.parametrize(("height", "width"), [(3, 5), (8, 700), (500, 900)])
def test_a_sheet_of_any_size(height: int, width: int) -> None:
    picture = textured(height=height, width=width)
    sheet = contact_sheet([("input", picture, picture, picture)] * 2)
    assert sheet.shape[1] == 4 * min(width, 320)
    assert sheet.dtype == np.uint8
