import pickle

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from microexp import recognize
from microexp.clip import Clip
from microexp.errors import DataError, OptionError
from microexp.recognize._lbp import lbp_top, neighbour_codes
from microexp.recognize.lbp_top import LBPTOP


def slow_lbp_top(frames, blocks, radii):
    """One pixel and one comparison at a time."""
    T, H, W = frames.shape
    rx, ry, rt = radii
    height, width = H - 2 * ry, W - 2 * rx
    out = np.zeros((blocks, blocks, 3, 16))
    for t in range(rt, T - rt):
        for y in range(ry, H - ry):
            for x in range(rx, W - rx):
                right, left = frames[t, y, x + rx], frames[t, y, x - rx]
                above, below = frames[t, y - ry, x], frames[t, y + ry, x]
                past, future = frames[t - rt, y, x], frames[t + rt, y, x]
                planes = (
                    (right, above, left, below),
                    (right, past, left, future),
                    (below, past, above, future),
                )
                row, column = (y - ry) * blocks // height, (x - rx) * blocks // width
                for plane, neighbours in enumerate(planes):
                    code = sum(int(v >= frames[t, y, x]) << bit for bit, v in enumerate(neighbours))
                    out[row, column, plane, code] += 1
    return (out / out.sum(axis=-1, keepdims=True)).ravel()


def random_frames(shape=(11, 20, 23), seed=0, levels=256):
    return np.random.default_rng(seed).integers(0, levels, shape, dtype=np.uint8)


def by_plane(feature, bins=16):
    return feature.reshape(-1, 3, bins)


@pytest.mark.parametrize("radii", [(1, 1, 4), (2, 1, 3), (3, 3, 3)])
@pytest.mark.parametrize(("blocks", "levels"), [(5, 256), (1, 4), (3, 3)])
def test_equals_the_slow_loop(blocks, levels, radii):
    frames = random_frames(levels=levels)
    np.testing.assert_allclose(lbp_top(frames, blocks, radii), slow_lbp_top(frames, blocks, radii), atol=1e-7)


def test_length_layout_and_sums():
    feature = lbp_top(random_frames((12, 64, 64)))
    assert feature.shape == (1200,) and feature.dtype == np.float32
    np.testing.assert_allclose(by_plane(feature).sum(axis=2), 1, atol=1e-6)
    uniform = lbp_top(random_frames((12, 64, 64)), uniform=True)
    assert uniform.shape == (1125,)
    np.testing.assert_allclose(by_plane(uniform, 15).sum(axis=2), 1, atol=1e-6)
    merged = by_plane(feature)[..., [5, 10]].sum(axis=2)
    np.testing.assert_allclose(by_plane(uniform, 15)[..., 14], merged, atol=1e-6)
    kept = [code for code in range(16) if code not in (5, 10)]
    np.testing.assert_allclose(by_plane(uniform, 15)[..., :14], by_plane(feature)[..., kept], atol=1e-7)


def test_constant_video_fills_bin_15():
    assert (by_plane(lbp_top(np.full((9, 32, 32), 7, np.uint8)))[..., 15] == 1).all()


def test_ramp_in_x():
    frames = np.broadcast_to(np.arange(32, dtype=np.uint8), (9, 32, 32))
    planes = by_plane(lbp_top(frames))
    assert (planes[:, 0, 11] == 1).all() and (planes[:, 1, 11] == 1).all() and (planes[:, 2, 15] == 1).all()


def test_brightening_in_time_is_down_in_xt_and_yt():
    frames = np.broadcast_to(np.arange(9, dtype=np.uint8)[:, None, None], (9, 32, 32))
    planes = by_plane(lbp_top(frames))
    assert (planes[:, 0, 15] == 1).all() and (planes[:, 1:, 0b1101] == 1).all()


def test_static_random_video():
    frames = np.broadcast_to(random_frames((1, 32, 32)), (10, 32, 32))
    temporal = by_plane(lbp_top(frames))[:, 1:]
    np.testing.assert_allclose(temporal[..., [10, 11, 14, 15]].sum(axis=2), 1, atol=1e-6)


@given(st.integers(0, 99), st.lists(st.integers(1, 50), min_size=16, max_size=16))
@settings(max_examples=25, deadline=None)
def test_any_monotone_change_of_grey_leaves_it_unchanged(seed, steps):
    frames = random_frames((9, 12, 12), seed, levels=16)
    curve = np.cumsum(steps)
    assert np.array_equal(lbp_top(frames), lbp_top(curve[frames]))
    assert np.array_equal(lbp_top(frames), lbp_top(np.exp(frames / 16)))


def test_bad_input():
    with pytest.raises(DataError, match="at least 9 frames of 3x3 pixels, got 8 of 20x20"):
        lbp_top(np.zeros((8, 20, 20)))
    with pytest.raises(DataError, match="do not fit"):
        lbp_top(np.zeros((9, 6, 20)))
    with pytest.raises(DataError, match="grey frames"):
        neighbour_codes(np.zeros((9, 20, 20, 3)))
    with pytest.raises(OptionError, match="radii"):
        lbp_top(np.zeros((9, 20, 20)), radii=(1, 1, 0))
    with pytest.raises(OptionError, match="blocks"):
        lbp_top(np.zeros((9, 20, 20)), blocks=0)


def flicker_clips():
    """Six still and six flickering noise clips."""
    clips = []
    for seed in range(12):
        frames = np.repeat(
            np.random.default_rng(seed).integers(0, 200, (1, 40, 40, 3), dtype=np.uint8), 14, 0
        )
        if seed % 2:
            frames[::2, 8:24] += 30
        clips.append(Clip.from_array(frames, apex=7, offset=13, subject=f"s{seed}", name=f"c{seed}"))
    return clips, np.arange(12) % 2


def test_recogniser_learns_and_keeps_the_habits():
    clips, labels = flicker_clips()
    model = LBPTOP(size=40)
    features = model.features(clips)
    assert features.shape == (12, 1200) and features.dtype == np.float32
    assert np.array_equal(features, np.concatenate([model.features([clip]) for clip in clips]))
    assert model.features(features) is features or np.array_equal(model.features(features), features)
    model.fit(clips[:8], labels[:8])
    assert np.array_equal(model.predict(clips[8:]), labels[8:])
    assert np.array_equal(model.predict(features[8:]), labels[8:])
    np.testing.assert_allclose(model.predict_proba(features).sum(axis=1), 1)
    restored = pickle.loads(pickle.dumps(model))
    assert np.array_equal(restored.predict_proba(clips), model.predict_proba(clips))
    again = clone(model).fit(features[:8], labels[:8])
    assert np.array_equal(again.predict_proba(features), model.predict_proba(features))


def test_recogniser_without_interpolation_and_without_offset():
    clips, _ = flicker_clips()
    own = LBPTOP(n_frames=None, size=40, uniform=True).features(clips[:2])
    assert own.shape == (2, 1125)
    no_offset = [clip.replace(offset=None) for clip in clips[:2]]
    assert np.array_equal(LBPTOP(n_frames=None, size=40, uniform=True).features(no_offset), own)


def test_the_preset_of_the_benchmark_takes_every_frame_at_256_pixels():
    clips, _ = flicker_clips()
    model = recognize.create("lbp_top", "sr_mer")
    frames = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in clips[1].frames[:]]
    enlarged = np.stack([cv2.resize(frame, (256, 256)) for frame in frames])
    assert np.array_equal(model.features(clips[1:2])[0], lbp_top(enlarged, 5, (1, 1, 4)))


def test_recogniser_errors_name_the_clip():
    clips, _ = flicker_clips()
    with pytest.raises(DataError, match=r"s1/c1: LBP with radii .* at least 9 frames"):
        LBPTOP(n_frames=None).features([clips[0], clips[1].replace(offset=7)])
    with pytest.raises(DataError, match="no clips"):
        LBPTOP().features([])
    with pytest.raises(OptionError, match="size"):
        LBPTOP(size=0).features(clips)
