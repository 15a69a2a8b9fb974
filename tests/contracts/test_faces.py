"""What every face method must do. A new one is tested here by existing; run one with ``-k name``."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

from microexp import faces
from microexp.clip import Clip
from microexp.datasets.synthetic import Synthetic
from microexp.errors import DataError, OptionError
from microexp.faces.base import Face, FaceDetector
from tests.faces.conftest import one_thread  # noqa: F401

DETECTORS = [name for name in faces.names() if issubclass(faces.get(name), FaceDetector)]
TRANSFORMERS = [name for name in faces.names() if name not in DETECTORS]


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    return Synthetic(n_subjects=2, clips_per_subject=1).clips()


def detect(name: str, picture: np.ndarray) -> list[Face] | None:
    """The faces; None where the method's extra is not installed: it must say how to install it."""
    try:
        return faces.create(name).detect(picture)
    except OptionError as error:
        assert f"pip install 'microexp[{name.rstrip('0123456789')}]'" in str(error)
        return None


@pytest.mark.parametrize("name", DETECTORS)
def test_a_face_is_found_by_the_array_law_the_same_every_time(name: str, clips: list[Clip]) -> None:
    picture = clips[0].frames[0]
    kept = picture.copy()
    first, again = detect(name, picture), detect(name, picture)
    assert np.array_equal(picture, kept)
    if first is None or again is None:
        return
    assert len(first) == 1
    face = first[0]
    x0, y0, x1, y1 = face.box
    assert all(type(v) is float for v in (*face.box, face.score))
    assert x0 < x1 and y0 < y1
    assert face.landmarks.shape == (68, 2)
    assert face.landmarks.dtype == np.float32
    assert np.array_equal(face.landmarks, again[0].landmarks)
    truth = clips[0].metadata["truth"].landmarks(0)
    assert np.linalg.norm(face.landmarks - truth, axis=1)[17:].mean() < 0.07 * np.linalg.norm(
        truth[45] - truth[36]
    )


@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize("value", [0, 128, 255])
def test_where_there_is_no_face_none_is_found(name: str, value: int) -> None:
    assert not detect(name, np.full((120, 160, 3), value, np.uint8))


@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((64, 64, 3), np.float32),
        np.zeros((64, 64), np.uint8),
        np.zeros((64, 64, 4), np.uint8),
        np.zeros((15, 64, 3), np.uint8),
        np.zeros((0, 0, 3), np.uint8),
    ],
)
def test_bad_pictures_are_named(name: str, picture: np.ndarray) -> None:
    with pytest.raises(DataError, match="uint8 RGB, got|too small"):
        faces.create(name).detect(picture)


@pytest.mark.parametrize("name", faces.names())
def test_clone_and_pickle(name: str) -> None:
    method = faces.create(name)
    assert clone(method).get_params() == method.get_params()
    assert pickle.loads(pickle.dumps(method)).get_params() == method.get_params()


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_one_clip_a_clip_the_same_every_time_and_one_by_one(name: str, clips: list[Clip]) -> None:
    first = faces.create(name).fit_transform(clips)
    again = pickle.loads(pickle.dumps(make_pipeline(faces.create(name)).transform(clips)))
    assert faces.create(name).transform([]) == []
    for i, (a, b, clip) in enumerate(zip(first, again, clips, strict=True)):
        single = faces.create(name).transform(clips[i : i + 1])[0]
        picture = a.frames[a.apex]
        assert picture.dtype == np.uint8
        assert picture.shape == a.frames.shape[1:]
        assert np.array_equal(picture, b.frames[b.apex])
        assert np.array_equal(picture, single.frames[single.apex])
        kept = ("onset", "apex", "offset", "fps", "subject", "database", "name", "emotion", "action_units")
        assert all(getattr(a, key) == getattr(clip, key) for key in kept)
        assert a.metadata["truth"] is clip.metadata["truth"]
