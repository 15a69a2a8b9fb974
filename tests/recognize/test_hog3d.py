import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from microexp import recognize
from microexp.clip import Clip
from microexp.errors import DataError, OptionError
from microexp.faces.alignment import canonical_landmarks
from microexp.faces.regions import hog3d_regions
from microexp.recognize.hog3d import HOG3D, gradient_histograms

WHOLE = np.ones((1, 16, 18), bool)


def ramp(x_step, y_step, t_step=0.0, length=6):
    t, y, x = np.mgrid[:length, :16, :18]
    return x_step * x + y_step * y + t_step * t


def planes(frames, masks=WHOLE, divisions=1):
    return gradient_histograms(frames, masks, divisions).reshape(divisions, len(masks), 3, 8)


@given(st.integers(0, 7), st.floats(1, 44), st.floats(-3, 3))
def test_a_drifting_ramp_has_the_directions_that_algebra_says(octant, within, t_step):
    angle = np.radians(45 * octant + within)
    x_step, y_step = 5 * np.cos(angle), 5 * np.sin(angle)
    first, second = np.array([(x_step, y_step), (x_step, t_step), (y_step, t_step)]).T
    bins, beyond = np.divmod(np.degrees(np.arctan2(second, first)) % 360, 45)
    assume(((beyond > 0.5) & (beyond < 44.5)).all())  # else rounding decides the bin
    length = np.hypot(first, second)
    expected = np.eye(8)[bins.astype(int)] * (length / np.linalg.norm(length))[:, None]
    np.testing.assert_allclose(planes(ramp(x_step, y_step, t_step))[0, 0], expected, atol=1e-4)


@pytest.mark.parametrize("turn", range(8))
def test_a_turn_by_45_degrees_moves_the_bin_by_one(turn):
    angle = np.radians(22.5 + 45 * turn)
    histograms = planes(ramp(np.cos(angle), np.sin(angle)))[0, 0]
    assert np.flatnonzero(histograms[0]).tolist() == [turn]


@pytest.mark.parametrize(("t_step", "xt_bin"), [(-0.2, 7), (0.2, 0), (-20, 6), (20, 1), (0, 0)])
def test_both_senses_of_a_slow_drift_are_told_apart(t_step, xt_bin):
    """A ramp 4 x that moves by d pixels a frame has -4 d in time: an angle of atan(-d) on XT."""
    histograms = planes(ramp(4, 0, t_step))[0, 0]
    assert np.flatnonzero(histograms[1]).tolist() == [xt_bin]
    drift = -t_step / 4
    length = np.array([4, 4 * np.hypot(1, drift), 4 * abs(drift)])
    np.testing.assert_allclose(histograms.sum(axis=1), length / np.linalg.norm(length), atol=1e-6)


def test_a_static_video_has_gradients_of_space_only():
    picture = np.random.default_rng(0).uniform(0, 255, (16, 18)).astype(np.float32)
    histograms = planes(np.broadcast_to(picture, (5, 16, 18)))[0, 0]
    y, x = np.gradient(picture)
    for plane, along in ((1, x), (2, y)):
        assert not histograms[plane][[1, 2, 3, 5, 6, 7]].any()
        ratio = along[along > 0].sum() / -along[along < 0].sum()
        assert histograms[plane, 0] / histograms[plane, 4] == pytest.approx(ratio, rel=1e-4)
    assert np.linalg.norm(histograms) == pytest.approx(1, abs=1e-5)


def test_a_constant_video_gives_zeros():
    assert not gradient_histograms(np.full((4, 16, 18), 90, np.uint8), WHOLE).any()


def test_brightening_in_time_is_in_the_planes_of_time():
    histograms = planes(ramp(0, 0, 3.0))[0, 0]
    assert not histograms[0].any()
    assert np.flatnonzero(histograms[1]).tolist() == [2] == np.flatnonzero(histograms[2]).tolist()


def test_regions_are_apart_and_strength_does_not_count():
    masks = np.zeros((3, 16, 18), bool)
    masks[0, :, :7] = masks[1, :, 11:] = True  # the third is empty
    frames = ramp(2, 1)
    frames[:, :, 10:] = 40 - 0.5 * ramp(2, 1)[:, :, 10:]
    first, second, none = planes(frames, masks)[0]
    assert np.linalg.norm(first) == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(second, np.roll(first, 4, axis=1), atol=1e-6)
    assert not none.any()


def test_divisions_see_their_own_part_of_time():
    frames = np.concatenate([ramp(4, 0, length=6), ramp(4, 0, 6, length=7)[1:]])
    before, after = planes(frames, divisions=2)[:, 0]
    assert np.flatnonzero(before[1]).tolist() == [0]
    assert np.flatnonzero(after[1]).tolist() == [1]
    length = np.array([4, np.hypot(4, 6), 6])
    np.testing.assert_allclose(after.sum(axis=1), length / np.linalg.norm(length), atol=1e-6)


def test_a_clip_has_12_regions_where_its_landmarks_are():
    corner = canonical_landmarks(80, 0.1)[48].round().astype(int)
    frames = np.full((4, 80, 80, 3), 90, np.uint8)
    near = np.s_[:, corner[1] - 3 : corner[1] + 3, corner[0] - 3 : corner[0] + 3]
    frames[near] = np.random.default_rng(0).integers(0, 255, (4, 6, 6, 1))
    feature = HOG3D(size=80).features([Clip.from_array(frames)])
    assert feature.shape == (1, 288)
    assert feature.dtype == np.float32
    seen = feature.reshape(12, 24).any(axis=1)
    x0, y0, x1, y1 = corner[0] - 4, corner[1] - 4, corner[0] + 3, corner[1] + 3  # with its gradients
    regions = hog3d_regions(canonical_landmarks(80, 0.1))
    for region, lit in zip(regions, seen, strict=True):
        left, top, right, bottom = region.box
        assert lit == (left <= x1 and x0 < right and top <= y1 and y0 < bottom), region.name
    assert 0 < seen.sum() < 6
    assert seen[[region.name for region in regions].index("left mouth corner")]


def test_the_preset_of_the_benchmark_and_other_sizes():
    frames = np.random.default_rng(0).integers(0, 255, (5, 40, 50, 3), dtype=np.uint8)
    clip = Clip.from_array(frames)
    assert recognize.create("hog3d", "sr_mer").features([clip]).shape == (1, 288)
    assert HOG3D(divisions=2).features([clip]).shape == (1, 576)
    assert np.array_equal(HOG3D().features([clip.replace(offset=4)]), HOG3D().features([clip]))


def test_bad_input_is_named():
    clip = Clip.from_array(np.zeros((3, 40, 40, 3), np.uint8), subject="s", name="c")
    with pytest.raises(DataError, match="s/c: 3DHOG takes at least 2 grey frames"):
        HOG3D().features([clip.replace(onset=2)])
    with pytest.raises(DataError, match="s/c: 3DHOG: 3 frames cannot be cut into 4 divisions"):
        HOG3D(divisions=4).features([clip])
    with pytest.raises(OptionError, match="divisions must be at least 1"):
        HOG3D(divisions=0).features([clip])
    with pytest.raises(OptionError, match="size"):
        HOG3D(size=0).features([clip])
    with pytest.raises(DataError, match="no clips"):
        HOG3D().features([])
