import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microexp.clip import Clip
from microexp.errors import DataError, OptionError
from microexp.frames import ArrayFrames
from microexp.motion.tim import TIM, interpolate, tim_matrix


def svd_pipeline(X, m):
    """TIM as its authors wrote it: X is (pixels, n); needs linearly independent frames."""
    n = X.shape[1]
    mean = X.mean(axis=1, keepdims=True)
    U, S, Vt = np.linalg.svd(X - mean, full_matrices=False)
    U, Q = U[:, : n - 1], S[: n - 1, None] * Vt[: n - 1]
    path = np.diag(np.ones(n - 1), 1) + np.diag(np.ones(n - 1), -1)
    _, vectors = np.linalg.eigh(np.diag(path.sum(axis=0)) - path)
    W = np.linalg.solve(Q @ Q.T, Q @ vectors[:, 1:])
    k = np.arange(1, n)

    def curve(t):
        return np.sin(np.pi * k * t + np.pi * (n - k) / (2 * n))

    scale = (Q[:, 0] @ W) / curve(1 / n)
    times = np.linspace(1 / n, 1, m)
    return np.stack([U @ np.linalg.solve(W.T, scale * curve(t)) for t in times], axis=1) + mean


@pytest.mark.parametrize("m", [5, 10, 13, 16, 40])
def test_agrees_with_the_svd_pipeline(m):
    X = np.random.default_rng(0).random((300, 13))
    np.testing.assert_allclose(X @ tim_matrix(13, m), svd_pipeline(X, m), atol=1e-12)


@given(st.integers(1, 30), st.integers(1, 30))
def test_columns_sum_to_one_and_ends_are_kept(n, m):
    R = tim_matrix(n, m)
    assert R.shape == (n, m) and R.dtype == np.float64
    np.testing.assert_allclose(R.sum(axis=0), 1, atol=1e-12)
    if m > 1:
        np.testing.assert_allclose(R[:, 0], np.eye(n)[0], atol=1e-12)
        np.testing.assert_allclose(R[:, -1], np.eye(n)[-1], atol=1e-12)
    if m == n:
        np.testing.assert_allclose(R, np.eye(n), atol=1e-12)


def test_check_values():
    np.testing.assert_allclose(
        interpolate(np.array([0.0, 1, 4]), 5), [0, 0.178632795, 1, 2.48803387, 4], atol=1e-8
    )
    np.testing.assert_allclose(
        interpolate(np.array([1.0, 2, 3, 4]), 7), [1, 1.46403509, 2, 2.5, 3, 3.53596491, 4], atol=1e-8
    )


def test_special_cases():
    assert tim_matrix(1, 4).tolist() == [[1, 1, 1, 1]]
    np.testing.assert_allclose(tim_matrix(5, 1)[:, 0], np.eye(5)[2], atol=1e-12)  # the middle frame
    np.testing.assert_allclose(tim_matrix(2, 1)[:, 0], 0.5)


def test_uint8_is_rounded_and_clipped():
    frames = np.array([0, 0, 255, 255, 0], np.uint8).reshape(5, 1, 1)
    out = interpolate(frames, 9)
    exact = tim_matrix(5, 9).T @ frames[:, 0, 0]
    assert out.dtype == np.uint8 and exact.max() > 255  # it overshoots
    assert np.array_equal(out[:, 0, 0], np.clip(np.rint(exact), 0, 255))
    assert interpolate(frames.astype(np.float32), 3).dtype == np.float32


def test_bad_input():
    with pytest.raises(DataError, match="no frames"):
        interpolate(np.zeros((0, 2, 2)), 3)
    with pytest.raises(DataError, match="uint8 or floating"):
        interpolate(np.zeros((3, 2), np.int64), 3)
    with pytest.raises(OptionError, match="at least one frame"):
        tim_matrix(3, 0)


@pytest.fixture
def video():
    return np.random.default_rng(0).integers(0, 256, (12, 6, 7, 3), dtype=np.uint8)


def test_clips_from_onset_to_offset(video):
    clip = Clip.from_array(video, 100.0, onset=1, apex=4, offset=9, name="a", metadata={"truth": 1, "k": 2})
    (new,) = TIM(17).fit_transform([clip])
    assert np.array_equal(new.frames[:], interpolate(video[1:10], 17))
    assert new.frames.shape == (17, 6, 7, 3) and len(new) == 17
    assert (new.onset, new.apex, new.offset) == (0, 6, 16)
    assert new.fps == pytest.approx(200) and new.name == "a"
    assert dict(new.metadata) == {"k": 2}


def test_unknown_offset_goes_to_the_end_and_stays_unknown(video):
    (new,) = TIM(5).transform([Clip.from_array(video, 100.0, onset=2)])
    assert np.array_equal(new.frames[:], interpolate(video[2:], 5))
    assert (new.onset, new.apex, new.offset) == (0, None, None)


@pytest.mark.parametrize(("offset", "n_frames"), [(0, 5), (11, 1)])
def test_a_single_frame_in_or_out_keeps_fps(video, offset, n_frames):
    (new,) = TIM(n_frames).transform([Clip.from_array(video, 100.0, apex=0, offset=offset)])
    assert len(new) == n_frames and new.fps == 100 and new.apex == 0


def test_one_clip_at_a_time_each_frame_once(video):
    read = []

    class Watched(ArrayFrames):
        def read(self, index):
            read.append(index)
            return super().read(index)

    clips = TIM(4).transform([Clip(Watched(video), 100.0), Clip(Watched(video), 100.0)])
    assert read == []  # nothing before it is wanted
    for clip in clips:
        assert len(list(clip.frames)) == 4
    assert read == 2 * list(range(12))
    with pytest.raises(OptionError, match="n_frames"):
        TIM(0).transform(clips)
