"""What every motion transformer must do. A new one is tested here by existing; run one with ``-k name``."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

from microexp import motion
from microexp.clip import Clip
from microexp.errors import MicroexpError
from microexp.motion.base import ClipFlow
from tests.contracts.test_recognize import moving_clip

NAMES = motion.names()


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    return [moving_clip(k % 3, seed=k, size=48) for k in range(4)]


def given(name: str, clips: list[Clip]) -> Any:
    """What the method takes: clips, or flow where its card says that it takes nothing else."""
    takes = motion.card(name).takes
    if name == "apex":  # which leaves an annotated one alone
        return [clip.replace(apex=None) for clip in clips]
    return motion.create("farneback").transform(clips) if takes.startswith("flow") else clips


def as_arrays(result: Any) -> list[np.ndarray]:
    """Each result as one array; of a clip its frames, and its apex in a frame of its own."""
    return [_clip_array(r) if isinstance(r, Clip) else np.asarray(r) for r in result]


def _clip_array(clip: Clip) -> np.ndarray:
    apex = np.zeros_like(clip.frames[:1])
    apex[0, -1, -1] = 255 if clip.apex is None else clip.apex
    return np.concatenate([clip.frames[:], apex])


@pytest.mark.parametrize("name", NAMES)
def test_one_result_a_clip_the_same_every_time_and_one_by_one(name: str, clips: list[Clip]) -> None:
    X = given(name, clips)
    first = as_arrays(motion.create(name).fit_transform(X))
    again = as_arrays(motion.create(name).transform(X))
    single = [as_arrays(motion.create(name).transform(X[i : i + 1]))[0] for i in range(len(X))]
    assert len(first) == len(clips)
    for a, b, c in zip(first, again, single, strict=True):
        assert a.dtype in (np.float32, np.uint8)
        assert np.isfinite(a).all()
        assert np.array_equal(a, b)
        assert np.array_equal(a, c)


@pytest.mark.parametrize("name", NAMES)
def test_clone_pickle_and_pipeline(name: str, clips: list[Clip]) -> None:
    method = motion.create(name)
    assert clone(method).get_params() == method.get_params()
    X = given(name, clips[:2])
    expected = as_arrays(method.transform(X))
    for other in (pickle.loads(pickle.dumps(method)), make_pipeline(method)):
        for a, b in zip(as_arrays(other.transform(X)), expected, strict=True):
            assert np.array_equal(a, b)


@pytest.mark.parametrize("name", NAMES)
def test_no_clips_give_no_clips_and_no_array(name: str) -> None:
    if motion.card(name).gives.startswith("clips"):
        assert motion.create(name).transform([]) == []
        return
    with pytest.raises(MicroexpError):
        motion.create(name).transform([])


@pytest.mark.parametrize("name", [n for n in NAMES if issubclass(motion.get(n), ClipFlow)])
def test_flow_keeps_the_array_law(name: str, clips: list[Clip]) -> None:
    flow = motion.create(name).transform(clips)
    assert flow.shape == (4, 48, 48, 2)
    assert flow.dtype == np.float32
