from __future__ import annotations

import pickle
import re
import shutil
import warnings
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from microexp.errors import DamageWarning, DataError, PathMissingError
from microexp.frames import VideoFrames
from tests.frames.videos import HEIGHT, WIDTH, decoded, number, write_sound, write_video

# name -> codec, pixel format, options: what is stored out of order, hidden, or refers across key frames
KINDS = {
    "bframes.mp4": ("libx264", "yuv420p", {"g": "12", "bf": "3"}),
    "fragments.mp4": ("libx264", "yuv420p", {"g": "12"}),
    "open_gop.mkv": ("libx264", "yuv420p", {"x264-params": "open-gop=1:keyint=12:bframes=3:scenecut=0"}),
    "refresh.mkv": ("libx264", "yuv420p", {"x264-params": "intra-refresh=1:keyint=12:bframes=0"}),
    "open_gop_hevc.mp4": ("libx265", "yuv420p", {"x265-params": "keyint=12:open-gop=1:log-level=none"}),
    "hidden.webm": ("libvpx", "yuv420p", {"auto-alt-ref": "1", "lag-in-frames": "16", "g": "12"}),
    "intra.avi": ("mjpeg", "yuvj420p", {}),
    "reordered.avi": ("mpeg4", "yuv420p", {"bf": "2", "g": "12"}),
}


def make(folder: Path, name: str, **more: object) -> Path:
    codec, pix_fmt, options = KINDS[name]
    if name.startswith("fragments"):
        more["container_options"] = {"movflags": "frag_keyframe+empty_moov"}
    return write_video(folder / name, codec=codec, pix_fmt=pix_fmt, options=options, **more)


@pytest.mark.parametrize("name", KINDS)
def test_any_order_gives_bit_for_bit_what_a_plain_decoder_gives(tmp_path: Path, name: str) -> None:
    file = make(tmp_path, name, noise=True)
    expected = decoded(file)
    frames = VideoFrames(file)
    assert frames.shape == (len(expected), HEIGHT, WIDTH, 3)
    assert len(expected) == 40
    assert frames.damage is None
    assert np.array_equal(np.stack(list(frames)), expected)
    for i in np.random.default_rng(0).permutation(40):
        assert np.array_equal(frames[int(i)], expected[i]), i
    assert np.array_equal(pickle.loads(pickle.dumps(frames))[17], expected[17])


def test_the_file_is_opened_anew_only_where_that_saves_decoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = VideoFrames(write_video(tmp_path / "a.mp4", n=160, options={"g": "50", "sc_threshold": "0"}))
    begun, starts = frames._decode_from, list[int | None]()

    def counted(start: int | None) -> Iterator[tuple[int, object]]:
        starts.append(start)
        yield from begun(start)

    monkeypatch.setattr(frames, "_decode_from", counted)
    for index, times_opened in [(0, 1), (45, 1), (60, 1), (155, 2), (156, 2), (120, 3), (149, 3), (151, 3)]:
        assert number(frames[index]) == index % 40
        assert len(starts) == times_opened, index


@pytest.mark.parametrize("times", [list(range(0, 480, 40)), [0, 10, 50, 55, 90, 200, 210, 400]])
def test_times_are_those_of_the_file_at_a_variable_rate_too(tmp_path: Path, times: list[int]) -> None:
    frames = VideoFrames(write_video(tmp_path / "a.mkv", times=times))
    assert np.allclose(frames.times * 1000, times)
    assert frames.fps == pytest.approx(1000 * (len(times) - 1) / times[-1])
    assert [number(frame) for frame in frames] == list(range(len(times)))


@pytest.mark.parametrize(("turn", "corner"), [(0, (0, 0)), (90, (1, 0)), (180, (1, 1)), (-90, (0, 1))])
def test_frames_come_out_upright(tmp_path: Path, turn: int, corner: tuple[int, int]) -> None:
    """A turn is counter-clockwise: by 90 degrees the upper left corner comes down on the left."""
    frames = VideoFrames(write_video(tmp_path / "a.mp4", n=5, turn=turn))
    height, width = (WIDTH, HEIGHT) if turn in (90, -90) else (HEIGHT, WIDTH)
    assert frames.shape == (5, height, width, 3)
    bright = frames[3][[2, -3]][:, [2, -3], 0] > 150
    assert bright.sum() == 1
    assert bright[corner]


def test_a_mirrored_display_matrix_is_followed(tmp_path: Path) -> None:
    file = write_video(tmp_path / "a.mp4", n=5, turn=0)
    data = file.read_bytes()
    one = (1 << 16).to_bytes(4, "big")
    matrix = one + bytes(12) + one + bytes(12) + (1 << 30).to_bytes(4, "big")
    start = data.index(matrix, data.index(b"tkhd"))
    mirrored = (-(1 << 16)).to_bytes(4, "big", signed=True)
    file.write_bytes(data[:start] + mirrored + data[start + 4 :])
    assert VideoFrames(file)[0][2, -3, 0] > 150
    assert VideoFrames(file)[0][2, 2, 0] < 150


def test_pixels_come_out_square(tmp_path: Path) -> None:
    frames = VideoFrames(write_video(tmp_path / "a.mp4", n=5, aspect=Fraction(3, 2)))
    assert frames.shape == (5, HEIGHT, 96, 3)
    assert frames[2].shape == (HEIGHT, 96, 3)


@pytest.mark.parametrize("name", ["fast.mp4", "cluster.mkv", "intra.avi", "reordered.avi"])
def test_of_a_file_that_breaks_off_the_whole_frames_are_used_and_it_is_said(
    tmp_path: Path, name: str
) -> None:
    if name in KINDS:
        file = make(tmp_path, name, noise=True)
    else:
        file = write_video(tmp_path / name, noise=True, container_options={"movflags": "faststart"})
    expected = decoded(file)
    data = file.read_bytes()
    file.write_bytes(data[: int(0.6 * len(data))])
    with pytest.warns(DamageWarning, match=re.escape(str(file))) as caught:
        frames = VideoFrames(file)
    assert len(caught) == 1
    assert "used" in str(frames.damage)
    assert 5 <= len(frames) < 35
    assert np.array_equal(frames[:], expected[: len(frames)])


def test_an_end_overwritten_with_zeros_is_found_on_opening(tmp_path: Path) -> None:
    file = write_video(tmp_path / "a.mp4", noise=True, container_options={"movflags": "faststart"})
    expected, data = decoded(file), file.read_bytes()
    keep = int(0.7 * len(data))
    file.write_bytes(data[:keep] + bytes(len(data) - keep))
    with pytest.warns(DamageWarning, match="the first"):
        frames = VideoFrames(file)
    assert 10 <= len(frames) < 35
    assert np.array_equal(frames[:], expected[: len(frames)])


def test_damage_in_the_middle_is_an_error_when_it_is_read_and_other_groups_are_whole(tmp_path: Path) -> None:
    file = write_video(tmp_path / "a.mp4", noise=True, container_options={"movflags": "faststart"})
    expected, data = decoded(file), bytearray(file.read_bytes())
    half = len(data) // 2
    data[half : half + 3000] = bytes(3000)  # several packets; bits flipped within one may pass for a picture
    file.write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frames = VideoFrames(file)
    assert len(frames) == 40
    assert frames.damage is None
    bad = []
    for i in range(40):
        try:
            whole = np.array_equal(frames[i], expected[i])
        except DataError as error:
            assert f"frame {i} of 40" in str(error)
            whole = False
        if not whole:
            bad.append(i)
    assert len(bad) >= 1
    assert {i // 10 for i in bad} <= {1, 2}  # a key frame every 10: the damage is about frame 20
    with pytest.raises(DataError, match="damaged"):
        frames[bad[-1]]


def test_a_header_that_lies_about_the_number_of_frames_is_not_believed(tmp_path: Path) -> None:
    file = make(tmp_path, "reordered.avi")
    data = bytearray(file.read_bytes())
    for mark, offset in ((b"avih", 24), (b"strh", 40)):  # dwTotalFrames, dwLength
        at = data.index(mark) + offset
        assert int.from_bytes(data[at : at + 4], "little") == 40
        data[at : at + 4] = (1000).to_bytes(4, "little")
    file.write_bytes(data)
    assert len(VideoFrames(file)) == 40


def test_what_is_no_video_gets_one_clear_sentence(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video at all")
    (tmp_path / "zero.mp4").touch()
    (tmp_path / "notes.txt").write_text("a text that FFmpeg would show as a video " * 50)
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "picture.png")
    whole = write_video(tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "no_index.mp4").write_bytes(whole[: len(whole) // 2])
    write_sound(tmp_path / "sound.wav")
    for name, words in {
        "text.mp4": "cannot be read as a video",
        "zero.mp4": r"is empty \(0 bytes\)",
        "notes.txt": "is no video|cannot be read as a video",
        "picture.png": "is no video, but a picture",
        "no_index.mp4": r"without its index \(moov\)",
        "sound.wav": "has no video stream",
    }.items():
        with pytest.raises(DataError, match=words) as raised:
            VideoFrames(tmp_path / name)
        assert name in str(raised.value)
    for path in (tmp_path / "nowhere.mp4", tmp_path):
        with pytest.raises(PathMissingError, match="is not a video file"):
            VideoFrames(path)


def test_a_list_of_other_files_is_no_video(tmp_path: Path) -> None:
    write_video(tmp_path / "private.ts")
    (tmp_path / "list.m3u8").write_text(
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:1.6,\nprivate.ts\n#EXT-X-ENDLIST\n"
    )
    with pytest.raises(DataError, match=r"list\.m3u8 .*(a list of files|cannot be read)"):
        VideoFrames(tmp_path / "list.m3u8")


def test_a_file_that_goes_away_is_said_when_it_is_read(tmp_path: Path) -> None:
    frames = VideoFrames(write_video(tmp_path / "a.mp4"))
    frames.file.unlink()
    with pytest.raises(DataError, match=r"a\.mp4 cannot be read"):
        frames[0]


def test_names_with_spaces_colons_and_other_scripts(tmp_path: Path) -> None:
    file = write_video(tmp_path / "a.mp4", n=6)
    for name in ("виде о 影片.mp4", "concat:a.mp4", "img%03d.mp4", "-i.mp4"):
        shutil.copy(file, tmp_path / name)
        assert len(VideoFrames(tmp_path / name)) == 6


def test_the_fingerprint_is_that_of_the_file(tmp_path: Path) -> None:
    file = write_video(tmp_path / "a.mp4", n=6)
    before = VideoFrames(file)
    assert before.fingerprint() == VideoFrames(file).fingerprint()
    assert before.fingerprint([0]) != before.fingerprint([1])
    print_before = before.fingerprint()
    write_video(file, n=7)
    assert VideoFrames(file).fingerprint(range(6)) != print_before
