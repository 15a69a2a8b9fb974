import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microexp.errors import DataError, OptionError, UnknownNameError
from microexp.motion.bi_woof import BiWOOF, bi_woof, direction_bin
from microexp.motion.farneback import Farneback
from microexp.motion.strain import optical_strain


def stretch(towards=0.0, size=50):
    """A flow in one direction (degrees), longer to the right: 3 + x / 10 pixels."""
    length = 3 + 0.1 * np.arange(size) * np.ones((size, 1))
    angle = np.radians(towards)
    return np.stack([length * np.cos(angle), length * np.sin(angle)], axis=-1)


def random_flow(shape=(23, 31), seed=0):
    return np.random.default_rng(seed).normal(size=(*shape, 2))


def slow_bi_woof(flow, blocks, bins, weight):
    """One pixel at a time."""
    height, width = flow.shape[:2]
    strain = optical_strain(flow)
    histograms = np.zeros((blocks, blocks, bins))
    strains = [[[] for _ in range(blocks)] for _ in range(blocks)]
    for y in range(height):
        for x in range(width):
            row, column = y * blocks // height, x * blocks // width
            u, v = flow[y, x]
            k = int((np.degrees(np.arctan2(v, u)) + 180) // (360 / bins)) % bins
            histograms[row, column, k] += np.sqrt(u**2 + v**2)
            strains[row][column].append(strain[y, x])
    for row in range(blocks):
        for column in range(blocks):
            histograms[row, column] *= weight(strains[row][column]) / histograms[row, column].sum()
    return histograms.ravel() / np.linalg.norm(histograms)


@pytest.mark.parametrize("weight", ["mean", "sum"])
@pytest.mark.parametrize(("blocks", "bins"), [(5, 8), (3, 5), (1, 8)])
def test_equals_the_slow_loop(blocks, bins, weight):
    flow = random_flow()
    expected = slow_bi_woof(flow, blocks, bins, getattr(np, weight))
    np.testing.assert_allclose(bi_woof(flow, blocks, bins, weight), expected, atol=1e-6)


def test_a_rigid_translation_gives_zeros():
    assert not bi_woof(np.full((50, 40, 2), 3.7)).any()
    assert not bi_woof(np.zeros((50, 40, 2), np.float32)).any()


@pytest.mark.parametrize("strain", ["mean", "sum"])
def test_an_even_stretch_gives_25_equal_entries(strain):
    feature = bi_woof(stretch(), strain=strain)
    assert feature.shape == (200,) and feature.dtype == np.float32
    assert np.count_nonzero(feature) == 25
    np.testing.assert_allclose(feature[feature > 0], 1 / 5, rtol=1e-5)


@pytest.mark.parametrize(
    ("degrees", "k"), [(-180, 0), (-160, 0), (-100, 1), (0, 4), (60, 5), (90, 6), (179, 7)]
)
def test_the_bin_is_that_of_the_direction(degrees, k):
    feature = bi_woof(stretch(degrees)).reshape(25, 8)
    assert (feature.argmax(axis=1) == k).all()


@given(st.integers(0, 99), st.floats(0.01, 100))
@settings(max_examples=25, deadline=None)
def test_of_length_one_whatever_the_strength(seed, strength):
    flow = random_flow(seed=seed)
    feature = bi_woof(flow)
    assert (feature >= 0).all()
    assert np.linalg.norm(feature) == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(bi_woof(strength * flow), feature, atol=1e-5)


def test_mean_and_sum_of_strain_differ_only_where_blocks_do():
    even, odd = random_flow((25, 30)), random_flow((23, 31))
    np.testing.assert_allclose(bi_woof(even, strain="sum"), bi_woof(even, strain="mean"), atol=1e-6)
    assert np.abs(bi_woof(odd, strain="sum") - bi_woof(odd, strain="mean")).max() > 1e-3


def test_sectors_begin_where_they_should():
    angles = np.radians(np.arange(0, 360, 45) + 0.01)
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    assert direction_bin(vectors, 8, start=0.0).tolist() == [0, 1, 2, 3, 4, 5, 6, 7]
    assert direction_bin(vectors, 8).tolist() == [4, 5, 6, 7, 0, 1, 2, 3]
    assert direction_bin(vectors, 1).tolist() == [0] * 8


def test_the_transformer_takes_onset_to_apex(clip_of):
    clips = [clip_of(), clip_of(size=64, seed=1)]
    features = BiWOOF(Farneback()).transform(clips)
    assert features.shape == (2, 200)
    for clip, feature in zip(clips, features, strict=True):
        flow = Farneback().flow(clip.key_frame("onset"), clip.key_frame("apex"))
        assert np.array_equal(feature, bi_woof(flow))
    assert BiWOOF(Farneback(), blocks=2, bins=4).transform(clips).shape == (2, 16)


def test_bad_input_is_named(clip_of):
    with pytest.raises(DataError, match="no clips"):
        BiWOOF().transform([])
    with pytest.raises(DataError, match="s/c0: the apex frame is not annotated"):
        BiWOOF().transform([clip_of(apex=None)])
    with pytest.raises(DataError, match="s/c0: Bi-WOOF of 99x99 blocks"):
        BiWOOF(Farneback(), blocks=99).transform([clip_of()])
    with pytest.raises(DataError, match=r"flow \(H, W, 2\)"):
        bi_woof(np.zeros((20, 20, 4)))
    with pytest.raises(OptionError, match="at least 1, got 0 and 8"):
        bi_woof(stretch(), blocks=0)
    with pytest.raises(UnknownNameError, match="'means'.* Did you mean 'mean'"):
        bi_woof(stretch(), strain="means")
