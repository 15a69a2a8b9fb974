import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microexp import recognize
from microexp.clip import Clip
from microexp.errors import DataError, OptionError
from microexp.recognize._lbp import lbp_sip, lbp_top
from microexp.recognize.lbp_sip import LBPSIP


def random_frames(shape=(9, 20, 23), seed=0, levels=256):
    return np.random.default_rng(seed).integers(0, levels, shape, dtype=np.uint8)


def space_and_time(feature):
    """Histograms of space (blocks, 16) and of time (blocks, 4)."""
    return np.split(feature.reshape(-1, 20), [16], axis=1)


def slow_lbp_sip(frames, blocks, radius, step):
    """One pixel and one comparison at a time."""
    T, H, W = frames.shape
    out = [[(np.zeros(16), np.zeros(4)) for _ in range(blocks)] for _ in range(blocks)]
    for t in range(step, T - step):
        for y in range(radius, H - radius):
            for x in range(radius, W - radius):
                around = (
                    frames[t, y, x + radius],
                    frames[t, y - radius, x],
                    frames[t, y, x - radius],
                    frames[t, y + radius, x],
                )
                beside = (frames[t + step, y, x], frames[t - step, y, x])
                row = (y - radius) * blocks // (H - 2 * radius)
                column = (x - radius) * blocks // (W - 2 * radius)
                for histogram, neighbours in zip(out[row][column], (around, beside), strict=True):
                    histogram[sum(int(v >= frames[t, y, x]) << p for p, v in enumerate(neighbours))] += 1
    return np.concatenate([h / h.sum() for row in out for pair in row for h in pair])


@pytest.mark.parametrize(("blocks", "radii", "levels"), [(5, (1, 3), 256), (3, (2, 1), 4), (1, (1, 2), 2)])
def test_equals_the_slow_loop(blocks, radii, levels):
    frames = random_frames(levels=levels)
    np.testing.assert_allclose(
        lbp_sip(frames, blocks, radii), slow_lbp_sip(frames, blocks, *radii), atol=1e-6
    )


def test_length_layout_and_sums():
    feature = lbp_sip(random_frames((9, 64, 64)))
    assert feature.shape == (500,) and feature.dtype == np.float32
    for histograms in space_and_time(feature):
        np.testing.assert_allclose(histograms.sum(axis=1), 1, atol=1e-6)


def test_space_is_that_of_lbp_top_and_time_a_marginal_of_its_planes():
    frames = random_frames()
    space, time = space_and_time(lbp_sip(frames, radii=(1, 3)))
    top = lbp_top(frames, radii=(1, 1, 3)).reshape(25, 3, 16)
    np.testing.assert_allclose(space, top[:, 0], atol=1e-6)
    code = np.arange(16)
    future_past = (code >> 3 & 1) + 2 * (code >> 1 & 1)  # down and up in XT
    for plane in (1, 2):
        summed = np.stack([top[:, plane, future_past == k].sum(axis=1) for k in range(4)], axis=1)
        np.testing.assert_allclose(time, summed, atol=1e-6)


@pytest.mark.parametrize(
    ("frames", "space_bin", "time_bin"),
    [
        (np.full((7, 32, 32), 7, np.uint8), 15, 3),
        (np.broadcast_to(np.arange(32, dtype=np.uint8), (7, 32, 32)), 0b1011, 3),  # all but left
        (np.broadcast_to(np.arange(7, dtype=np.uint8)[:, None, None], (7, 32, 32)), 15, 1),  # the future only
        (np.broadcast_to(np.arange(7, 0, -1, dtype=np.uint8)[:, None, None], (7, 32, 32)), 15, 2),
    ],
)
def test_videos_with_one_code(frames, space_bin, time_bin):
    for levels in (1, 2):
        space, time = space_and_time(lbp_sip(frames, levels=levels))
        assert len(space) == 25 * levels
        assert (space[:, space_bin] == 1).all()
        assert (time[:, time_bin] == 1).all()


def test_levels_follow_each_other_from_fine_to_coarse():
    """Stripes that the smoothing removes are in the fine level only; a slope stays in both."""
    x = np.arange(64)
    frames = np.broadcast_to((2 * x + 20 * (x % 2)).astype(np.uint8), (7, 64, 64))
    feature = lbp_sip(frames, levels=2)
    assert np.array_equal(feature[:500], lbp_sip(frames))
    fine, coarse = space_and_time(feature)[0].reshape(2, 25, 16)
    assert not (fine[:, 0b1011] > 0.9).any()
    assert (coarse[:, 0b1011] == 1).all()


@given(st.integers(0, 99), st.lists(st.integers(1, 50), min_size=16, max_size=16))
@settings(max_examples=25, deadline=None)
def test_any_monotone_change_of_grey_leaves_it_unchanged(seed, steps):
    frames = random_frames((7, 12, 12), seed, levels=16)
    assert np.array_equal(lbp_sip(frames), lbp_sip(np.cumsum(steps)[frames]))


def flicker_clips():
    """Six still and six flickering noise clips of 14 frames."""
    clips = []
    for seed in range(12):
        frames = np.random.default_rng(seed).integers(0, 200, (1, 40, 40, 3), dtype=np.uint8).repeat(14, 0)
        if seed % 2:
            frames[::2, 8:24] += 30
        clips.append(Clip.from_array(frames, apex=7, offset=13, subject=f"s{seed}", name=f"c{seed}"))
    return clips, np.arange(12) % 2


def test_recogniser_learns_with_its_presets():
    clips, labels = flicker_clips()
    for preset, length in ((None, 500), ("sr_mer", 500), ("paper", 1000)):
        model = recognize.create("lbp_sip", preset)
        features = model.features(clips)
        assert features.shape == (12, length)
        assert np.array_equal(model.fit(features[:8], labels[:8]).predict(features[8:]), labels[8:])


def test_bad_input_is_named():
    clips, _ = flicker_clips()
    with pytest.raises(DataError, match=r"s1/c1: LBP with radii \(1, 1, 3\) needs at least 7 frames"):
        LBPSIP(n_frames=None).features([clips[0], clips[1].replace(apex=5, offset=5)])
    with pytest.raises(DataError, match="s0/c0: LBP: 5x5 blocks do not fit into the 2x2 pixels"):
        LBPSIP(levels=5).features(clips[:1])
    with pytest.raises(DataError, match="no clips"):
        LBPSIP().features([])
    with pytest.raises(OptionError, match="levels"):
        LBPSIP(levels=0).features(clips[:1])
    with pytest.raises(OptionError, match="radii"):
        LBPSIP(radii=(0, 3)).features(clips[:1])
    with pytest.raises(OptionError, match="size"):
        LBPSIP(size=0).features(clips[:1])
