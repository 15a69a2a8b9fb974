"""The disk cache, writing frames, long videos and photographs."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from microexp.cache import _warn_once, cache_folder
from microexp.clip import ActionUnit, Clip
from microexp.datasets.synthetic import Synthetic, long_video, photo_clip, write_frames
from microexp.datasets.synthetic._scene import Scene
from microexp.errors import DataError, MicroexpWarning, OptionError
from microexp.frames import read_image


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MICROEXP_CACHE", str(tmp_path / "cache"))
    return cache_folder("synthetic")


@pytest.mark.parametrize("damage", ["cut", "flip", "empty"])
def test_a_damaged_file_of_the_cache_is_rebuilt(cache: Path, damage: str) -> None:
    before = Scene(0, 3, 64).picture
    (file,) = cache.iterdir()
    whole = file.read_bytes()
    flipped = whole[:900] + bytes([whole[900] ^ 255]) + whole[901:]
    file.write_bytes({"cut": whole[: len(whole) // 2], "flip": flipped, "empty": b""}[damage])
    assert np.array_equal(Scene(0, 3, 64).picture, before)
    assert file.read_bytes() == whole


def test_a_cache_that_cannot_be_written_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("MICROEXP_CACHE", str(tmp_path / "file"))
    _warn_once.cache_clear()
    with pytest.warns(MicroexpWarning, match="nothing is cached"):
        assert Scene(0, 3, 64).picture.shape == (64, 64, 3)


def test_frames_are_written_with_their_truth_and_an_interrupted_run_goes_on(tmp_path: Path) -> None:
    data = Synthetic(n_subjects=1, clips_per_subject=2, size=48).load()
    out = tmp_path / "out"
    told: list[tuple[str, int, int]] = []

    def interrupt(what: str, done: int, total: int) -> None:
        told.append((what, done, total))
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_frames(data, out, progress=interrupt)
    assert not (out / "annotation.csv").exists()  # it comes last: it names no clip that is not there
    first = out / "s01" / "s01_01"
    stamp = (first / "img001.png").stat().st_mtime_ns
    (out / ".part-s01_02").mkdir()
    (out / ".part-s01_02" / "half.png").write_bytes(b"half")
    assert write_frames(data, out) == out
    assert told == [("clips", 0, 2), ("clips", 1, 2)]
    assert (first / "img001.png").stat().st_mtime_ns == stamp  # whole clips are not written again
    assert not list(out.glob(".part*"))
    clip = data.clips[1]
    folder = out / clip.subject / clip.name
    assert len(list(folder.glob("img*.png"))) == len(clip)
    assert np.array_equal(read_image(folder / f"img{clip.apex + 1:03d}.png"), clip.key_frame("apex"))
    truth = np.load(folder / "truth.npz")
    assert np.array_equal(truth["flow_apex"], clip.metadata["truth"].flow(clip.apex))
    assert truth["landmarks"].shape == (len(clip), 68, 2)
    assert truth["head_motion"].shape == (len(clip), 5)
    assert not truth["head_motion"][clip.onset].any()
    assert truth["action_units"].tolist() == [str(unit) for unit in clip.action_units]
    assert len(truth["intensities"]) == len(clip.action_units)
    table = pd.read_csv(out / "annotation.csv")
    assert table["clip"].tolist() == ["s01_01", "s01_02"]
    assert table["frames"].tolist() == [len(clip) for clip in data.clips]
    assert "CC0" in (out / "README.txt").read_text()
    assert "prove code, not science" in (out / "README.txt").read_text()


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "annotation.csv").write_text("precious")
    with pytest.raises(DataError, match="holds other files"):
        write_frames(Synthetic(n_subjects=1, clips_per_subject=1, size=48).load(), tmp_path)
    assert (tmp_path / "annotation.csv").read_text() == "precious"


def test_a_folder_of_other_clips_is_left_alone(tmp_path: Path) -> None:
    write_frames(Synthetic(n_subjects=1, clips_per_subject=1, size=48).load(), tmp_path)
    with pytest.raises(DataError, match="other parameters"):
        write_frames(Synthetic(n_subjects=1, clips_per_subject=1, size=48, seed=1).load(), tmp_path)


def test_a_long_video_tells_all_that_happens() -> None:
    video = long_video(seconds=12, fps=50, size=64)
    intervals = video.metadata["truth"].intervals
    kinds = [interval.kind for interval in intervals]
    assert len(video) == 600
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {"micro": 3, "macro": 2, "blink": 4, "turn": 1}
    assert all(0 <= i.onset < i.apex < i.offset < 600 for i in intervals)
    apart = [i for i in intervals if i.kind != "blink"]
    assert all(a.offset < b.onset for a, b in pairwise(apart))
    assert all(i.offset - i.onset <= 26 for i in intervals if i.kind == "micro")
    assert all(i.emotion for i in intervals if i.kind in ("micro", "macro"))
    turn = next(i for i in intervals if i.kind == "turn")
    nose = video.metadata["truth"].landmarks(turn.apex)[30] - video.metadata["truth"].landmarks(0)[30]
    assert np.abs(nose).max() > 1
    assert video.frames[turn.apex].shape == (64, 64, 3)
    with pytest.raises(OptionError, match="at least"):
        long_video(seconds=3)


def test_a_photograph_makes_a_micro_expression(quiet: list[Clip]) -> None:
    truth = quiet[0].metadata["truth"]
    photo, marks = truth.neutral(), truth.landmarks(quiet[0].onset)
    clip = photo_clip(photo, marks, (ActionUnit(12),), amplitude=2.0, n_frames=40, emotion="happiness")
    known = clip.metadata["truth"]
    assert np.array_equal(clip.frames[0], photo)
    flow = known.flow(clip.apex)
    assert flow.shape == (112, 112, 2)
    assert flow.dtype == np.float32
    assert flow[int(marks[54, 1]), int(marks[54, 0]), 1] < -0.5  # the mouth corner rises
    moves = known.landmarks(clip.apex) - known.landmarks(0)
    assert np.sqrt((moves**2).sum(1)).max() == pytest.approx(2.0, abs=1e-3)
    assert np.abs(flow[:5]).max() < 0.2
    assert clip.frames[clip.apex].shape == photo.shape
    one_side = photo_clip(photo, marks, (ActionUnit(12, "L"),), amplitude=2.0).metadata["truth"]
    length = np.abs(one_side.flow(24)).sum(-1)
    assert length[:, 60:].sum() > 2 * length[:, :52].sum()


def test_photographs_that_cannot_be_used_are_refused() -> None:
    photo, marks = np.zeros((64, 64, 3), np.uint8), np.zeros((68, 2))
    with pytest.raises(DataError, match="uint8"):
        photo_clip(photo.astype(float), marks, (ActionUnit(12),))
    with pytest.raises(DataError, match="68"):
        photo_clip(photo, marks[:5], (ActionUnit(12),))
    with pytest.raises(OptionError, match="amplitude"):
        photo_clip(photo, marks, (ActionUnit(12),), amplitude=0)
