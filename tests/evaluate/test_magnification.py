from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from microexp import faces
from microexp.clip import Clip
from microexp.datasets.synthetic import Synthetic, Triple, micro_macro_triple
from microexp.errors import DataError
from microexp.evaluate.magnification import (
    Magnified,
    direction_error,
    gain,
    identity_distance,
    l1,
    landmark_gain,
    magnification_scores,
    moving_region,
)
from microexp.faces.base import Face, FaceDetector
from microexp.motion.base import FlowEstimator
from microexp.motion.dis import DIS
from microexp.networks.face_descriptor import FaceDescriptor
from microexp.networks.inception import Inception

FACTOR = 3.0
SIZE = 128


def bump(size: int = 40, angle: float = 0.0, height: float = 1.0) -> np.ndarray:
    """A smooth flow to one side that is strongest in the middle."""
    y, x = np.indices((size, size)) - size / 2
    length = height * np.exp(-(x**2 + y**2) / (2 * (size / 6) ** 2))
    return length[..., None] * np.array([np.cos(angle), np.sin(angle)])


def turned(flow: np.ndarray, degrees: float) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return flow @ np.array([[c, s], [-s, c]])


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    return Synthetic(n_subjects=2, clips_per_subject=1, size=SIZE, seed=3, nuisance=0).clips()


@pytest.fixture(scope="module")
def triples(clips: list[Clip]) -> list[Triple]:
    return [micro_macro_triple(clip, FACTOR) for clip in clips]


class Exact(FlowEstimator):
    """Knows the flows of pictures by their mean."""

    def __init__(self, flows: dict[float, np.ndarray]) -> None:
        self.flows = flows

    def _flow(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return self.flows[float(second.mean())]


class Fixed(FaceDetector):
    """A face in every picture that is not black, whose landmarks move by the picture's mean in tens."""

    def _detect(self, picture: np.ndarray) -> list[Face]:
        level = float(picture.mean())
        points = np.random.default_rng(0).uniform(10, 30, (68, 2)) + [level / 10, 0]
        return [Face((5, 5, 35, 35), 1.0, points.astype(np.float32))] if level else []


@given(st.floats(0.1, 9), st.floats(-180, 180), st.floats(-80, 80))
@settings(max_examples=30, deadline=None)
def test_gain_is_the_share_along_the_true_direction(factor: float, angle: float, turn: float) -> None:
    true = bump(angle=math.radians(angle), height=2.0)
    after = factor * turned(true, turn)
    wanted = factor * math.cos(math.radians(turn))
    assert gain(true, after, true) == pytest.approx(wanted, rel=1e-6)
    assert gain(true, after) == pytest.approx(wanted, rel=1e-6)  # what was measured is true here
    assert gain(true, -after, true) == pytest.approx(-wanted, rel=1e-6)
    assert direction_error(after, true) == pytest.approx(abs(turn), abs=1e-5)


def test_only_the_moving_region_counts() -> None:
    true = bump()
    region = moving_region(true)
    assert np.array_equal(region, np.linalg.norm(true, axis=-1) > 0.5 * np.linalg.norm(true, axis=-1).max())
    after = np.where(region[..., None], 2 * true, 50.0)
    assert gain(true, after, true) == pytest.approx(2)
    assert direction_error(after, true) == pytest.approx(0, abs=1e-9)


def test_angles_are_weighted_by_the_true_length() -> None:
    true = np.zeros((1, 3, 2))
    true[0, :, 0] = 4, 3, 1  # the last is too short to count
    flow = np.array([[[0.0, 1.0], [7.0, 0.0], [-1.0, 0.0]]])
    assert direction_error(flow, true) == pytest.approx((4 * 90 + 3 * 0) / 7)
    flow[0, 1] = 0  # no direction: as a random one
    assert direction_error(flow, true) == pytest.approx(90)


def test_without_motion_there_is_no_gain() -> None:
    still, true = np.zeros((9, 9, 2)), np.ones((9, 9, 2))
    assert math.isnan(gain(still, true, true))
    assert math.isnan(gain(still, true))
    for measure in (lambda: gain(true, true, still), lambda: direction_error(true, still)):
        with pytest.raises(DataError, match="0 everywhere"):
            measure()
    with pytest.raises(DataError, match="one size"):
        gain(true, np.ones((8, 9, 2)), true)


def test_landmarks_below_the_floor_say_nothing() -> None:
    onset = np.random.default_rng(0).uniform(0, 99, (68, 2))
    move = np.array([0.3, 0.4])
    assert landmark_gain(onset, onset + move, onset + 3 * move) == pytest.approx(3)
    assert landmark_gain(onset, onset + 0.9 * move, onset + 3 * move) is None
    assert landmark_gain(onset, onset + 0.9 * move, onset, floor=0.1) == pytest.approx(0)
    assert landmark_gain(onset, onset, onset + move, floor=0) is None


def test_dis_finds_the_factor_of_an_exact_warp() -> None:
    rng = np.random.default_rng(0)
    texture = cv2.GaussianBlur(rng.uniform(0, 255, (96, 96, 3)).astype(np.float32), (0, 0), 2)
    texture = np.clip((texture - 127) * 6 + 127, 0, 255).astype(np.float32)
    flow = bump(96, 0.7, height=1.2).astype(np.float32)
    y, x = np.indices((96, 96), dtype=np.float32)

    def moved(factor: float) -> np.ndarray:
        at = x - factor * flow[..., 0], y - factor * flow[..., 1]
        return np.rint(cv2.remap(texture, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)).astype(
            np.uint8
        )

    found = [DIS().flow(moved(0), moved(factor)) for factor in (1, FACTOR)]
    assert gain(*found, flow) == pytest.approx(FACTOR, rel=0.1)
    assert gain(*found) == pytest.approx(FACTOR, rel=0.1)
    assert direction_error(found[1], flow) < 10


def test_a_perfect_magnifier_against_one_that_does_nothing(triples: list[Triple]) -> None:
    perfect = [Magnified.of_triple(one, one.macro, str(i)) for i, one in enumerate(triples)]
    nothing = [Magnified.of_triple(one, one.micro, str(i)) for i, one in enumerate(triples)]
    found, still = magnification_scores(perfect).figures, magnification_scores(nothing).figures
    assert found["gain"] == found["gain_exact"] == still["gain_exact"]
    assert found["gain"].mean == pytest.approx(FACTOR, rel=0.4)  # DIS sees less of what moves less
    assert still["gain"].mean == 1
    assert found["direction"].mean < 20
    assert (found["SSIM"].mean, found["L1"].mean) == (1, 0)
    for name in ("SSIM", "L1"):
        assert still[name] == still[f"{name}_input"] == found[f"{name}_input"]
    assert found["SSIM_input"].mean < 1
    assert found["gain"].low is not None
    assert found["gain"].low <= found["gain"].mean


def test_clips_are_compared_at_the_apex_with_the_flow_that_is_known(clips: list[Clip]) -> None:
    clip = clips[0]
    one = Magnified.of_clip(clip, clip)
    assert np.array_equal(one.strong, clip.frames[clip.apex])
    assert one.flow is not None
    assert np.array_equal(one.flow, clip.metadata["truth"].flow_between(clip.onset, clip.apex))
    assert Magnified.of_clip(clip.replace(metadata={}), clip).flow is None
    assert set(magnification_scores([one]).figures) == {"gain", "direction"}
    assert set(magnification_scores([Magnified.of_clip(clip.replace(metadata={}), clip)]).figures) == {"gain"}
    with pytest.raises(DataError, match="another clip"):
        Magnified.of_clip(clip, clips[1])


def plain(level: int) -> np.ndarray:
    return np.full((40, 40, 3), level, np.uint8)


def test_pictures_without_a_figure_are_left_out_and_counted() -> None:
    torch.manual_seed(0)
    flow = bump()
    estimator = Exact({10.0: flow, 30.0: 3 * flow, 0.0: 2 * flow, 11.0: 0 * flow})
    results = [
        Magnified(plain(2), plain(10), plain(30), subject="a"),
        Magnified(plain(2), plain(10), plain(0), subject="b"),  # in which no face is left
        Magnified(plain(2), plain(11), plain(30), subject="b"),  # whose motion is not found
    ]
    scores = magnification_scores(results, estimator, Fixed(), FaceDescriptor().eval())
    assert scores.figures["gain"].mean == pytest.approx(2.5)
    assert scores.figures["faces"].mean == pytest.approx(2 / 3)
    assert scores.figures["landmarks"].mean == pytest.approx((28 / 8 + 28 / 9) / 2, rel=1e-5)
    assert scores.counts == {"gain": 2, "landmarks": 2, "identity": 2, "faces": 3}
    assert scores.sets == {}


def test_what_is_the_same_face_is_at_distance_0_and_what_is_none_is_refused() -> None:
    torch.manual_seed(0)
    module, detector = FaceDescriptor().eval(), Fixed()
    picture = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    assert identity_distance(picture, picture, module, detector) == 0
    assert identity_distance(picture, 255 - picture, module, detector) > 0
    with pytest.raises(DataError, match="second picture"):
        identity_distance(picture, plain(0), module, detector)
    with pytest.raises(DataError, match="first and the second picture"):
        identity_distance(plain(0), plain(0), module, detector)


def test_sets_are_compared_with_the_exact_pictures_or_a_reference() -> None:
    torch.manual_seed(0)
    module, rng = Inception().eval(), np.random.default_rng(0)
    onset, weak, exact = rng.integers(0, 256, (3, 2, 40, 40, 3), np.uint8)
    results = [Magnified(*pictures) for pictures in zip(onset, weak, exact, exact, strict=True)]
    sets = magnification_scores(results, inception=module).sets
    assert list(sets) == ["FD-768", "KID-768", "FD-768_input", "KID-768_input"]
    assert sets["FD-768"].value == pytest.approx(0, abs=1e-9)
    assert sets["FD-768_input"].value > sets["FD-768"].value
    unknown = [Magnified(one.onset, one.weak, one.strong) for one in results]
    with pytest.raises(DataError, match="neither"):
        magnification_scores(unknown, inception=module)
    given_ones = magnification_scores(unknown, inception=module, reference=list(exact)).sets
    assert given_ones["FD-768"].value == pytest.approx(0, abs=1e-9)


def test_real_landmarks_of_a_synthetic_face(triples: list[Triple]) -> None:
    one = Magnified.of_triple(triples[0], triples[0].macro)
    scores = magnification_scores([one], detector=faces.create("faceapi68"))
    assert scores.figures["faces"].mean == 1
    assert "identity" not in scores.figures


def test_l1_is_of_the_unit_range() -> None:
    assert l1(plain(0), plain(255)) == 1
    assert l1(plain(51), plain(0)) == pytest.approx(0.2)


def test_results_that_do_not_fit_are_refused() -> None:
    with pytest.raises(DataError, match="no magnified pictures"):
        magnification_scores([])
    with pytest.raises(DataError, match="magnified picture is"):
        Magnified(plain(1), plain(1), plain(1)[:30])
    with pytest.raises(DataError, match="a flow of"):
        Magnified(plain(1), plain(1), plain(1), flow=np.zeros((3, 3, 2)))
    with pytest.raises(DataError, match="of all magnified pictures or of none"):
        known = Magnified(plain(1), plain(1), plain(1), exact=plain(1))
        magnification_scores([known, Magnified(plain(1), plain(1), plain(1))])
    with pytest.raises(DataError, match="before magnification"):
        estimator = Exact({0.0: bump(), 1.0: bump()})
        magnification_scores([Magnified(plain(1), plain(0), plain(1))], estimator, Fixed())
