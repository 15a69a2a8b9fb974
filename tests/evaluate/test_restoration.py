from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microexp import motion
from microexp.clip import Clip
from microexp.datasets.synthetic import Synthetic
from microexp.errors import DataError
from microexp.evaluate.restoration import (
    figure,
    motion_fidelity,
    restoration_scores,
    temporal_consistency,
    visible,
)
from microexp.frames import ArrayFrames
from microexp.motion.base import FlowEstimator
from microexp.superres.quality import psnr, ssim

few = settings(max_examples=30, deadline=None)


class Given(FlowEstimator):
    """An estimator that always finds the flow it was given."""

    def __init__(self, answer: np.ndarray) -> None:
        self.answer = answer

    def _flow(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return self.answer


def stepping(clip: Clip) -> Clip:
    """The clip with few pictures, as drawing takes long: it stays as it is until the onset, then the apex."""
    drawn = [0, clip.onset, clip.key_index("apex")]
    shown = np.searchsorted(drawn, np.arange(len(clip)), side="right") - 1
    return changed(clip, np.stack([clip.frames[i] for i in drawn])[shown])


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    """Two subjects, two clips each, with head motion and noise."""
    return [stepping(clip) for clip in Synthetic(n_subjects=2, clips_per_subject=2, size=64).clips()]


def changed(clip: Clip, frames: np.ndarray) -> Clip:
    return clip.replace(frames=ArrayFrames(frames))


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def everywhere(dx: float, dy: float, size: int = 24) -> np.ndarray:
    return np.full((size, size, 2), (dx, dy), np.float32)


@few
@given(st.integers(-4, 4), st.integers(-4, 4))
def test_whole_pixels_of_known_motion_leave_nothing(dx: int, dy: int) -> None:
    scene, count = noise(48, 48, 3), 4
    starts = [(12 - t * dy, 12 - t * dx) for t in range(-1, count - 1)]  # the scene moves by (dx, dy)
    frames = np.stack([scene[y : y + 24, x : x + 24] for y, x in starts if min(y, x) >= 0])
    flows = [everywhere(dx, dy)] * (len(frames) - 1)
    assert temporal_consistency(frames, flows) == 0
    if (dx, dy) != (0, 0):
        assert temporal_consistency(frames, [-flow for flow in flows]) > 10


def test_parts_of_a_pixel_are_interpolated() -> None:
    x = np.arange(24)
    first = np.broadcast_to((100 + 4 * x)[None, :, None], (24, 24, 3)).astype(np.uint8)
    second = np.broadcast_to((100 + 4 * (x - 0.25))[None, :, None], (24, 24, 3)).astype(np.uint8)
    frames = np.stack([first, second])
    assert temporal_consistency(frames, [everywhere(0.25, 0.0)]) == pytest.approx(0, abs=1e-6)
    assert temporal_consistency(frames, [everywhere(0.0, 0.0)]) == pytest.approx(1)
    assert temporal_consistency(frames, [everywhere(-0.25, 0.0)]) == pytest.approx(2, abs=1e-6)


def test_flicker_counts_in_grey_levels() -> None:
    frames = np.stack([np.full((8, 8, 3), level, np.uint8) for level in (10, 13, 12)])
    assert temporal_consistency(frames, [everywhere(0, 0, 8)] * 2) == 2  # mean of 3 and 1


@pytest.mark.parametrize(("dx", "dy"), [(3, 0), (-2, 1), (0, 1), (1, -3)])
def test_what_is_covered_is_left_out(dx: int, dy: int) -> None:
    """A square slides over a background that stays."""
    ground, square = noise(32, 32, 3), noise(10, 10, 3, seed=1)
    first, second, flow = ground.copy(), ground.copy(), everywhere(0, 0, 32)
    first[10:20, 10:20] = square
    second[10 + dy : 20 + dy, 10 + dx : 20 + dx] = square
    flow[10:20, 10:20] = dx, dy
    seen = visible(flow)
    assert temporal_consistency(np.stack([first, second]), [flow]) == 0
    assert seen[12:18, 12:18].any()
    assert seen[:6].all()


def test_what_leaves_the_picture_is_left_out() -> None:
    assert np.array_equal(visible(everywhere(2, 0, 8)), np.arange(8) * np.ones((8, 1)) < 6)
    assert np.array_equal(visible(everywhere(0, -0.5, 8)), np.arange(8)[:, None] * np.ones(8) > 0)


def test_only_the_mask_counts() -> None:
    frames = np.zeros((2, 8, 8, 3), np.uint8)
    frames[1, :4] = 9
    mask = np.zeros((8, 8), bool)
    mask[2:5] = True
    assert temporal_consistency(frames, [everywhere(0, 0, 8)], mask) == pytest.approx(6)


def test_frames_and_flows_must_fit() -> None:
    frames, flow = np.zeros((3, 8, 8, 3), np.uint8), everywhere(0, 0, 8)
    with pytest.raises(DataError, match="2 flows between them, got 1"):
        temporal_consistency(frames, [flow])
    with pytest.raises(DataError, match="8x8"):
        temporal_consistency(frames, [flow, flow[:4]])
    with pytest.raises(DataError, match="8x8"):
        temporal_consistency(frames, [flow, flow], np.ones((4, 8), bool))
    with pytest.raises(DataError, match="uint8 RGB"):
        temporal_consistency(frames / 255, [flow, flow])
    with pytest.raises(DataError, match="frames 0 and 1"):
        temporal_consistency(frames, [everywhere(8, 0, 8), flow])


def test_the_true_clip_has_the_error_of_the_estimator(clips: list[Clip]) -> None:
    clip, estimator = clips[0], motion.create("farneback")
    truth = clip.metadata["truth"]
    estimate = estimator.flow(clip.key_frame("onset"), clip.key_frame("apex"))
    error = np.linalg.norm(estimate - truth.flow(clip.apex), axis=-1)[truth.face_mask].mean()
    fidelity = motion_fidelity(clip, clip, estimator)
    assert fidelity.error == fidelity.error_of_true == pytest.approx(error)
    assert fidelity.relative == 1


def test_motion_that_is_found_exactly_or_not_at_all(clips: list[Clip]) -> None:
    clip = clips[0]
    truth = clip.metadata["truth"]
    exact = truth.flow(clip.apex)
    fidelity = motion_fidelity(clip, clip, Given(exact))
    assert fidelity.error == 0
    assert fidelity.relative == math.inf
    still = motion_fidelity(clip, clip, Given(np.zeros_like(exact)))
    assert still.error == pytest.approx(still.displacement)
    assert still.displacement > 0.1
    off = motion_fidelity(clip, clip, Given(exact + np.float32([0.3, -0.4])))
    assert off.error == pytest.approx(0.5, abs=1e-6)


def test_a_clip_that_lost_its_motion_is_worse_than_the_true_one(clips: list[Clip]) -> None:
    clip = clips[0]
    frozen = changed(clip, np.repeat(clip.frames[clip.onset][None], len(clip), axis=0))
    fidelity = motion_fidelity(frozen, clip, motion.create("farneback"))
    assert fidelity.error == pytest.approx(fidelity.displacement, rel=1e-3)
    assert fidelity.relative > 1


def test_the_true_annotation_counts(clips: list[Clip]) -> None:
    clip, estimator = clips[0], motion.create("farneback")
    spotted = clip.replace(apex=clip.apex - 3, offset=None)
    assert motion_fidelity(spotted, clip, estimator).relative == 1


def test_scores_of_the_true_clips(clips: list[Clip]) -> None:
    two = clips[1:3]  # of one subject each
    scores = restoration_scores(two, two, motion.create("farneback"))
    assert scores["PSNR"] == (math.inf, math.inf, math.inf)
    assert scores["SSIM"].mean == pytest.approx(1)
    assert scores["MSE"] == (0, 0, 0)
    assert scores["motion"] == scores["motion_true"]
    assert scores["motion_relative"] == (1, 1, 1)
    assert scores["temporal"] == scores["temporal_true"]
    assert 0 < scores["temporal"].low <= scores["temporal"].mean <= scores["temporal"].high


def test_scores_are_means_over_clips(clips: list[Clip]) -> None:
    true = clips[1:3]
    restored = [changed(clip, clip.frames[:] // 2) for clip in true]
    scores = restoration_scores(restored, true)
    pairs = [(a.frames[:], b.frames[:]) for a, b in zip(restored, true, strict=True)]
    assert scores["PSNR"].mean == pytest.approx(np.mean([psnr(*pair) for pair in pairs]))
    assert scores["SSIM"].mean == pytest.approx(np.mean([ssim(*pair) for pair in pairs]))
    assert scores["temporal"].mean < 0.6 * scores["temporal_true"].mean  # half of every difference
    assert "motion" not in scores
    json.dumps(scores)


def test_known_motion_explains_most_of_what_changes() -> None:
    (clip,) = Synthetic(n_subjects=1, clips_per_subject=1, size=96, nuisance=0, amplitude_scale=4).clips()
    truth = clip.metadata["truth"]
    frames, flow = np.stack([clip.key_frame("onset"), clip.key_frame("apex")]), truth.flow(clip.apex)
    explained = temporal_consistency(frames, [flow], truth.face_mask)
    assert explained < 0.5 * temporal_consistency(frames, [np.zeros_like(flow)], truth.face_mask)
    assert explained < temporal_consistency(frames, [-flow], truth.face_mask)


def test_recorded_clips_are_scored_without_truth(clips: list[Clip]) -> None:
    recorded = clips[0].replace(metadata={})
    scores = restoration_scores([recorded], [recorded], motion.create("farneback"))
    assert set(scores) == {"PSNR", "SSIM", "MSE"}
    assert scores["SSIM"][1:] == (None, None)  # one subject says nothing of others
    with pytest.raises(DataError, match="no clip of the synthetic database"):
        motion_fidelity(recorded, recorded, motion.create("farneback"))


def test_clips_that_do_not_fit_are_refused(clips: list[Clip]) -> None:
    with pytest.raises(DataError, match="0 restored clips"):
        restoration_scores([], [])
    with pytest.raises(DataError, match="1 restored clips"):
        restoration_scores(clips[:1], clips)
    smaller = changed(clips[0], clips[0].frames[:][:, ::2, ::2])
    with pytest.raises(DataError, match=clips[0].identity):
        restoration_scores([smaller], clips[:1])
    swapped = changed(clips[0].replace(name="other"), clips[0].frames[:])
    with pytest.raises(DataError, match="stands beside"):
        restoration_scores([swapped], clips[:1])
    with pytest.raises(DataError, match="as it was drawn"):
        motion_fidelity(smaller, smaller, motion.create("farneback"))


def test_the_interval_is_over_subjects() -> None:
    # Two subjects: both means are drawn with a chance of 1/4 each, whatever the number of clips.
    assert figure([0.0, 0.0, 0.0, 1.0], ["a", "a", "a", "b"]) == (0.25, 0.0, 1.0)
    assert figure([2.0, 2.0, 2.0], ["a", "b", "c"]) == (2, 2, 2)


@few
@given(st.lists(st.floats(-5, 5), min_size=2, max_size=12))
def test_the_interval_lies_between_the_subjects(values: list[float]) -> None:
    found = figure(values, [str(i // 2) for i in range(len(values))])
    assert found.mean == pytest.approx(np.mean(values))
    if len(values) > 2:
        assert min(values) - 1e-9 <= found.low <= found.high <= max(values) + 1e-9
