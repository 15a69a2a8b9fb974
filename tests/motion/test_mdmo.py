import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microexp import faces
from microexp.clip import Clip
from microexp.errors import DataError, OptionError
from microexp.faces.alignment import Alignment, canonical_landmarks, landmarks_of
from microexp.faces.regions import mdmo_regions
from microexp.motion.farneback import Farneback
from microexp.motion.mdmo import MDMO, mdmo

HALVES = np.zeros((2, 10, 10), bool)
HALVES[0, :, :5] = HALVES[1, :, 5:] = True


def face_masks(size=96):
    return np.stack([r.mask(size, size) for r in mdmo_regions(canonical_landmarks(size, 0.1))])


def uniform(u, v, n=3, shape=(10, 10)):
    return np.broadcast_to([u, v], (n, *shape, 2)).astype(float)


def slow_mdmo(flows, masks):
    """One vector at a time, directions as multiples of 45 degrees."""
    means = np.zeros((len(flows), len(masks), 2))
    for f, flow in enumerate(flows):
        for r, mask in enumerate(masks):
            sorted_vectors = [[] for _ in range(8)]
            for u, v in flow[mask]:
                sorted_vectors[round(np.degrees(np.arctan2(v, u)) / 45) % 8].append((u, v))
            commonest = max(sorted_vectors, key=len)
            means[f, r] = np.mean(commonest, axis=0)
    u, v = means.mean(axis=0).T
    rho = np.sqrt(u**2 + v**2)
    return np.concatenate([rho / rho.max(), np.arctan2(v, u)])


def test_equals_the_slow_loop():
    flows = np.random.default_rng(0).normal(size=(4, 96, 96, 2))
    feature = mdmo(flows, face_masks())
    assert feature.shape == (72,) and feature.dtype == np.float32
    np.testing.assert_allclose(feature, slow_mdmo(flows, face_masks()), atol=1e-5)


@given(st.floats(-5, 5), st.floats(-5, 5))
def test_a_uniform_translation(u, v):
    if np.hypot(u, v) < 1e-3:
        u = 1.0
    rho, theta = mdmo(uniform(u, v), HALVES).reshape(2, -1)
    np.testing.assert_allclose(rho, 1, atol=1e-6)
    for function in (np.cos, np.sin):  # -pi and pi are one direction
        np.testing.assert_allclose(function(theta), function(np.arctan2(v, u)), atol=1e-5)


def test_no_motion_gives_zeros():
    assert not mdmo(uniform(0, 0), HALVES).any()
    assert not mdmo(uniform(-0.0, 0.0), HALVES).any()


def test_only_the_commonest_direction_counts():
    flow = uniform(2, 0, n=1).copy()
    flow[0, :4, :5] = (0, 9)  # 20 of 50 pixels on the left
    flow[0, :, 5:] = (0, -4)
    rho, theta = mdmo(flow, HALVES).reshape(2, -1)
    np.testing.assert_allclose(rho, [0.5, 1])
    np.testing.assert_allclose(theta, [0, -np.pi / 2], atol=1e-6)


def test_frames_are_averaged_as_vectors():
    flows = np.concatenate([uniform(2, 0, n=1), uniform(0, 2, n=1), uniform(4, 4, n=1)])
    flows[:, :, 5:] = [[[(3, 0)]], [[(-3, 0)]], [[(0, 0)]]]  # cancels
    rho, theta = mdmo(flows, HALVES).reshape(2, -1)
    np.testing.assert_allclose(rho, [1, 0], atol=1e-7)
    np.testing.assert_allclose(theta, [np.pi / 4, 0], atol=1e-6)


@pytest.mark.parametrize("towards", [0, 180, 90, 45])
def test_directions_have_no_seam_at_axes_and_diagonals(towards):
    """Vectors a little to both sides of a multiple of 45 degrees are one direction; their mean is between."""
    degrees = np.where(np.arange(10) % 2, towards + 10, towards - 10) * np.ones((10, 1))
    flow = np.stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], axis=-1)
    theta = mdmo([flow, flow], np.ones((1, 10, 10), bool))[1]
    turned = (np.degrees(theta) - towards + 180) % 360 - 180
    assert turned == pytest.approx(0, abs=1e-3)


def test_what_does_not_move_and_where_nothing_is():
    flow = np.zeros((1, 10, 10, 2))
    flow[0, 0, 0] = (0, 3)  # one pixel of 50; the others have no direction
    masks = np.concatenate([HALVES, np.zeros((1, 10, 10), bool)])
    rho, theta = mdmo(flow, masks).reshape(2, -1)
    np.testing.assert_allclose(rho, [1, 0, 0])
    np.testing.assert_allclose(theta, [np.pi / 2, 0, 0], atol=1e-6)


def test_regions_that_overlap_do_not_disturb_each_other():
    flows = np.random.default_rng(1).normal(size=(2, 10, 10, 2))
    masks = np.concatenate([np.ones((1, 10, 10), bool), HALVES])
    np.testing.assert_allclose(mdmo(flows, masks), slow_mdmo(flows, masks), atol=1e-5)


def test_a_drifting_texture(moving):
    clip = Clip.from_array(moving([(0, 0), (0.5, -0.5), (1, -1)]), offset=2)
    rho, theta = MDMO().transform([clip]).reshape(2, 36)
    assert (rho > 0.7).all()
    np.testing.assert_allclose(np.degrees(theta), -45, atol=10)


def test_frames_from_onset_to_offset_are_taken(clip_of):
    clip = clip_of(size=64)
    masks = face_masks(64)
    feature = MDMO().transform([clip])[0]
    assert np.array_equal(MDMO().transform([clip.replace(offset=None)])[0], feature)
    assert np.array_equal(MDMO(n_frames=4).transform([clip])[0], feature)
    for n, taken in ((1, [4]), (2, [2, 4]), (9, [1, 2, 3, 4])):
        flows = [Farneback().flow(clip.frames[0], clip.frames[i]) for i in taken]
        assert np.array_equal(MDMO(n_frames=n).transform([clip])[0], mdmo(flows, masks))
    later = MDMO().transform([clip.replace(onset=1, offset=3)])[0]
    flows = [Farneback().flow(clip.frames[1], clip.frames[i]) for i in (2, 3)]
    assert np.array_equal(later, mdmo(flows, masks))


def test_a_clip_is_computed_once(clip_of, tmp_path, monkeypatch):
    monkeypatch.setenv("MICROEXP_CACHE", str(tmp_path))
    calls, compute = [], Farneback._flow
    monkeypatch.setattr(Farneback, "_flow", lambda *given: calls.append(1) or compute(*given))
    first, second = (MDMO().transform([clip_of(size=64)]) for _ in range(2))
    assert np.array_equal(first, second)
    assert len(calls) == 4
    MDMO(n_frames=2).transform([clip_of(size=64)])
    MDMO().transform([clip_of(size=64, seed=1)])
    assert len(calls) == 4 + 2 + 4


def aligned(clip, landmarks, size):
    alignment = Alignment(size, np.array([0]), np.zeros((1, 4)), landmarks, 1)
    return clip.replace(metadata={"alignment": alignment})


def test_landmarks_are_those_of_the_alignment_else_canonical(clip_of):
    clip = clip_of(size=64)
    np.testing.assert_allclose(landmarks_of(clip), canonical_landmarks(64, faces.create("aligner").margin))
    found = canonical_landmarks(64, 0.3)
    np.testing.assert_allclose(landmarks_of(aligned(clip, found, 64)), found)
    resized = landmarks_of(aligned(clip, canonical_landmarks(32, 0.3), 32))
    np.testing.assert_allclose(resized, found, atol=1e-9)
    wide = Clip.from_array(np.zeros((1, 40, 80, 3), np.uint8))
    expected = (canonical_landmarks(80, 0.1) + 0.5) * (1, 0.5) - 0.5
    np.testing.assert_allclose(landmarks_of(wide), expected)
    features = MDMO().transform([clip, aligned(clip, found, 64)])
    assert not np.array_equal(*features)


def test_bad_input_is_named(clip_of):
    with pytest.raises(DataError, match="no clips"):
        MDMO().transform([])
    with pytest.raises(DataError, match="s/c0: MDMO needs at least one frame after the onset"):
        MDMO().transform([clip_of(onset=4, apex=4)])
    with pytest.raises(OptionError, match="n_frames must be at least 1"):
        MDMO(n_frames=0).transform([clip_of()])
    with pytest.raises(DataError, match="at least one region"):
        mdmo(uniform(1, 0), np.zeros((0, 10, 10), bool))
    with pytest.raises(DataError, match="of the size of the masks"):
        mdmo(uniform(1, 0, shape=(9, 10)), HALVES)
    with pytest.raises(DataError, match="at least one flow"):
        mdmo([], HALVES)
