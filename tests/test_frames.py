from __future__ import annotations

import pickle
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from microexp.errors import DataError, OptionError, PathMissingError
from microexp.frames import ArrayFrames, FolderFrames, VideoFrames, as_rgb8, read_image


def pictures(n: int) -> np.ndarray:
    """Pictures whose brightness tells their number."""
    return np.stack([np.full((16, 24, 3), 20 * i, np.uint8) for i in range(n)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i, picture in enumerate(pictures(12)):
        Image.fromarray(picture).save(tmp_path / f"img{i}.png")  # not padded: img10 sorts before img2
    (tmp_path / "notes.txt").write_text("not a picture")
    return tmp_path


def write_video(file: Path, times: list[int], codec: str = "libx264rgb") -> None:
    """Write frame i at ``times[i]`` in 1/1000 s."""
    with av.open(str(file), "w") as container:
        stream = container.add_stream(codec, rate=1000, options={"crf": "0", "g": "5"})
        stream.width, stream.height, stream.pix_fmt = 24, 16, "rgb24"
        stream.codec_context.time_base = Fraction(1, 1000)
        for picture, time in zip(pictures(len(times)), times, strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def test_a_folder_is_read_in_the_order_of_its_numbers(folder: Path) -> None:
    frames = FolderFrames(folder)
    assert frames.shape == (12, 16, 24, 3)
    assert [int(f[0, 0, 0]) for f in frames] == [20 * i for i in range(12)]
    assert frames[-1][0, 0, 0] == 220
    assert frames[2:5].shape == (3, 16, 24, 3)
    assert frames[[7, 1]][:, 0, 0, 0].tolist() == [140, 20]
    assert frames[3:3].shape == (0, 16, 24, 3)
    with pytest.raises(IndexError):
        frames[12]


def test_a_folder_reads_nothing_before_it_is_indexed(folder: Path) -> None:
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
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(folder / "img5.png")
    with pytest.raises(DataError, match=r"img5\.png is 8x8, but img0\.png is 24x16"):
        FolderFrames(folder)[5]


def test_missing_and_empty_folders(tmp_path: Path) -> None:
    with pytest.raises(PathMissingError, match="not a folder"):
        FolderFrames(tmp_path / "nowhere")
    with pytest.raises(PathMissingError, match="holds no pictures"):
        FolderFrames(tmp_path)


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


@pytest.mark.parametrize("times", [list(range(0, 300, 25)), [0, 10, 50, 55, 90, 200, 210, 400]])
def test_a_video_gives_exact_frames_and_times_in_any_order(tmp_path: Path, times: list[int]) -> None:
    file = tmp_path / "a.mkv"
    write_video(file, times)
    frames = VideoFrames(file)
    assert len(frames) == len(times)
    assert np.allclose(frames.times * 1000, times)
    assert frames.fps == pytest.approx(1000 * (len(times) - 1) / times[-1])
    order = np.random.default_rng(0).permutation(len(times)).tolist()
    for i in [*range(len(times)), *order]:
        assert frames[i][0, 0].tolist() == [20 * i] * 3
    assert pickle.loads(pickle.dumps(frames))[3][0, 0, 0] == 60


@pytest.mark.parametrize(
    ("codec", "options"), [("mpeg4", {"bf": "2", "qscale": "1"}), ("libx264", {"crf": "1"})]
)
def test_a_container_whose_time_stamps_are_no_use(
    tmp_path: Path, codec: str, options: dict[str, str]
) -> None:
    file = tmp_path / "a.avi"
    with av.open(str(file), "w") as container:
        stream = container.add_stream(codec, rate=30, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for i in range(12):
            picture = np.full((48, 64, 3), 20 * i, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    frames = VideoFrames(file)
    assert len(frames) == 12
    assert frames.fps == pytest.approx(30, rel=0.15)
    for i in [*range(12), 7, 2, 11, 0]:
        assert abs(int(frames[i].mean()) - 20 * i) <= 4


def test_a_file_that_is_no_video(tmp_path: Path) -> None:
    file = tmp_path / "a.mp4"
    file.write_bytes(b"no video at all")
    with pytest.raises(DataError, match=r"a\.mp4 cannot be read as a video"):
        VideoFrames(file)
    with pytest.raises(PathMissingError, match="is not a video file"):
        VideoFrames(tmp_path / "b.mp4")


def test_arrays_must_follow_the_array_law() -> None:
    with pytest.raises(DataError, match=r"\(T, H, W, 3\) uint8"):
        ArrayFrames(np.zeros((3, 4, 4), np.uint8))
    with pytest.raises(DataError, match="float64"):
        ArrayFrames(np.zeros((3, 4, 4, 3)))


def test_mapped_frames_are_lazy() -> None:
    calls = []

    def half(picture: np.ndarray) -> np.ndarray:
        calls.append(1)
        return picture[::2, ::2]

    mapped = ArrayFrames(pictures(6)).map(half)
    assert not calls
    assert mapped[2].shape == (8, 12, 3)
    assert mapped.shape == (6, 8, 12, 3)
    assert len(calls) == 2


def test_as_rgb8_rounds_and_clips() -> None:
    assert as_rgb8(np.array([-0.1, 0.0, 0.5, 1.2], np.float32)).tolist() == [0, 0, 128, 255]
    with pytest.raises(OptionError):
        as_rgb8(np.zeros(3, np.int64))
