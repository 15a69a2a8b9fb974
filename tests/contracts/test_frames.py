"""What every kind of frames must do, wherever its pictures come from."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from microexp.clip import Clip
from microexp.datasets.synthetic import Synthetic
from microexp.frames import ArrayFrames, FolderFrames, Frames, VideoFrames
from microexp.motion.tim import TIM
from tests.frames.videos import write_video

KINDS = ("array", "mapped", "folder", "video", "synthetic", "interpolated")
ARRAY = np.random.default_rng(0).integers(0, 256, (14, 16, 24, 3), dtype=np.uint8)


class Flip:
    fingerprint = "flip 1"

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        return picture[:, ::-1]


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("frames")
    for i, picture in enumerate(ARRAY):
        Image.fromarray(picture).save(root / f"img{i + 1}.png")
    write_video(root / "a.mp4", n=14, noise=True)
    return root


def make(kind: str, places: Path) -> Frames:
    if kind == "folder":
        return FolderFrames(places)
    if kind == "video":
        return VideoFrames(places / "a.mp4")
    if kind == "synthetic":
        return Synthetic(n_subjects=1, clips_per_subject=1, size=48).clips()[0].frames
    if kind == "interpolated":
        return TIM(10).transform([Clip.from_array(ARRAY)])[0].frames
    array = ArrayFrames(ARRAY)
    return array.map(Flip()) if kind == "mapped" else array


@pytest.mark.parametrize("kind", KINDS)
def test_indexing_slices_and_ends(kind: str, places: Path) -> None:
    frames = make(kind, places)
    count, height, width, channels = frames.shape
    assert channels == 3
    assert len(frames) == count >= 10
    assert frames[0].shape == (height, width, 3)
    assert frames[0].dtype == np.uint8
    assert np.array_equal(frames[-1], frames[count - 1])
    assert np.array_equal(frames[np.int64(2)], frames[2])
    assert np.array_equal(frames[1:7:2], np.stack([frames[1], frames[3], frames[5]]))
    assert np.array_equal(frames[::-1][0], frames[count - 1])
    assert np.array_equal(frames[[4, -1]], np.stack([frames[4], frames[count - 1]]))
    assert frames[3:3].shape == (0, height, width, 3)
    for outside in (count, -count - 1):
        with pytest.raises(IndexError):
            frames[outside]


@pytest.mark.parametrize("kind", KINDS)
def test_any_order_and_any_process_give_the_same_pictures(kind: str, places: Path) -> None:
    frames = make(kind, places)
    sequential = np.stack(list(frames))
    for i in np.random.default_rng(0).permutation(len(frames)):
        assert np.array_equal(frames[int(i)], sequential[i])
    copy = pickle.loads(pickle.dumps(frames))
    assert np.array_equal(copy[:], sequential)
    assert copy.fingerprint() == frames.fingerprint()


@pytest.mark.parametrize("kind", KINDS)
def test_the_fingerprint_names_the_pictures_and_their_order(kind: str, places: Path) -> None:
    frames = make(kind, places)
    prints = [frames.fingerprint(i) for i in (None, [0], [1], [0, 1], [1, 0])]
    assert all(isinstance(p, str) and len(p) == 32 for p in prints)
    assert len(set(prints)) == len(prints)
    assert frames.fingerprint() == make(kind, places).fingerprint() == frames.fingerprint(range(len(frames)))
