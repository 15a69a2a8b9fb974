"""The truth: flow, landmarks, action units and the pictures agree with one another."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from microexp.clip import Clip
from microexp.datasets.synthetic import Synthetic, micro_macro_triple
from microexp.datasets.synthetic._action_units import (
    ACTION_UNITS,
    displacement,
    fold_depths,
    unit_field,
)
from microexp.datasets.synthetic._assets import assets
from microexp.datasets.synthetic._raster import rasterise
from microexp.datasets.synthetic._scene import Scene
from microexp.errors import OptionError

LEFT_OF_IMAGE, RIGHT_OF_IMAGE = slice(0, 56), slice(56, 112)


def at(flow: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Read a flow (H, W, 2) at points (n, 2), bilinearly."""
    x, y = points.astype(np.float32).T
    return cv2.remap(flow, x[None], y[None], cv2.INTER_LINEAR)[0]


def moved(stage: Scene, unit: int, side: str = "") -> np.ndarray:
    """Displacement of the 68 landmarks (right, down) by an action unit at full intensity."""
    ids = assets().landmarks
    return (stage.points({(unit, side): 1.0}) - stage.neutral_points)[ids, :2]


def test_flow_has_the_array_law_and_is_zero_at_the_onset(clips: list[Clip]) -> None:
    truth = clips[0].metadata["truth"]
    flow = truth.flow(clips[0].apex)
    assert flow.shape == (112, 112, 2)
    assert flow.dtype == np.float32
    assert not truth.flow(clips[0].onset).any()
    assert np.abs(flow).max() > 0.1


def test_the_apex_warped_back_by_the_exact_flow_is_the_onset(quiet: list[Clip]) -> None:
    for clip in quiet[:4]:
        truth = clip.metadata["truth"]
        flow = truth.flow(clip.apex)
        y, x = np.mgrid[0:112, 0:112].astype(np.float32)
        onset, apex = (clip.key_frame(which).astype(np.float32) for which in ("onset", "apex"))
        back = cv2.remap(apex, x + flow[..., 0], y + flow[..., 1], cv2.INTER_CUBIC)
        inside = truth.face_mask
        left_over = np.abs(back - onset)[inside].mean()
        assert left_over < 0.35 * np.abs(apex - onset)[inside].mean() + 0.6


@pytest.mark.parametrize("unit", [4, 12, 2])
def test_a_head_drawn_anew_moved_as_the_exact_flow_says(stage: Scene, unit: int) -> None:
    """The z-buffer draws the moved head without using the flow, so this judges the flow by itself."""
    weights = {(unit, ""): 0.8}
    drawn, _ = stage.head.draw(stage.head.neutral + displacement(weights))
    flow = stage.flow(stage.points(weights))
    y, x = np.mgrid[0:112, 0:112].astype(np.float32)
    back = cv2.remap(drawn, x + flow[..., 0], y + flow[..., 1], cv2.INTER_CUBIC)
    moving = stage.face_mask & (np.abs(flow).sum(-1) > 0.5)
    before, after = (np.abs(p - stage.picture)[moving].mean() for p in (drawn, back))
    assert after < 0.5 * before


def test_both_ways_of_drawing_agree(stage: Scene) -> None:
    for weights in ({(12, ""): 0.07}, {(4, ""): 0.15}, {(45, ""): 0.3}, {(25, ""): 0.15}):
        quick = stage.picture_at(weights)
        anew, _ = stage.head.draw(stage.head.neutral + displacement(weights), folds=fold_depths(weights))
        assert np.abs(quick - anew)[stage.face_mask].mean() < 1.0
        changed = np.abs(anew - stage.picture)[stage.face_mask]
        assert np.abs(quick - anew)[stage.face_mask].mean() < 0.75 * changed.mean()


def test_flow_at_a_landmark_is_the_landmarks_displacement(clips: list[Clip]) -> None:
    truth, apex = clips[0].metadata["truth"], clips[0].apex
    start, end = truth.landmarks(clips[0].onset), truth.landmarks(apex)
    visible = [*range(17, 36), 48, 51, 54, 57]
    error = at(truth.flow(apex), start[visible]) - (end - start)[visible]
    assert np.sqrt((error**2).sum(1)).max() < 0.12


def test_flow_between_two_frames_joins_the_flows_from_the_onset(clips: list[Clip]) -> None:
    clip = clips[0]
    truth = clip.metadata["truth"]
    first, second = (clip.onset + clip.apex) // 2, clip.apex
    marks = truth.landmarks(first)[17:36]
    expected = truth.landmarks(second)[17:36] - marks
    assert np.abs(at(truth.flow_between(first, second), marks) - expected).max() < 0.12
    assert np.array_equal(truth.flow_between(clip.onset, second), truth.flow(second))


def test_head_motion_is_told_apart_from_the_expression(clips: list[Clip]) -> None:
    clip = clips[1]
    truth = clip.metadata["truth"]
    both, alone = truth.flow(clip.apex), truth.flow(clip.apex, head_motion=False)
    assert np.abs(both - alone)[truth.face_mask].max() > 0.01
    pose = truth.head_motion(clip.apex)
    assert any(pose.angles) and any(pose.shift)
    assert not any(truth.head_motion(clip.onset).angles)


def test_the_strongest_displacement_is_the_amplitude(quiet: list[Clip]) -> None:
    clip = quiet[2]
    truth = clip.metadata["truth"]
    length = np.sqrt((truth.flow(clip.apex) ** 2).sum(-1))[truth.face_mask]
    assert 0.7 * truth.amplitude < length.max() <= 1.02 * truth.amplitude


def test_the_masks_hold_the_face(clips: list[Clip]) -> None:
    truth = clips[0].metadata["truth"]
    face, head = truth.face_mask, truth.head_mask
    assert face.dtype == head.dtype == bool
    assert not (face & ~head).any()
    assert 0.15 < face.mean() < head.mean() < 0.9
    inner = np.round(truth.landmarks(clips[0].onset)[[27, 30, 36, 45, 48, 54]]).astype(int)
    assert face[inner[:, 1], inner[:, 0]].all()


def test_landmarks_stand_in_ibug_order(clips: list[Clip]) -> None:
    marks = clips[0].metadata["truth"].landmarks(clips[0].onset)
    assert marks.shape == (68, 2)
    assert marks.dtype == np.float32
    assert (np.diff(marks[:17, 0]) > -1).all()  # jaw, from the left of the picture to the right
    assert (np.diff(marks[4:13, 0]) > 2).all()
    assert marks[8, 1] > marks[:, 1].max() - 2  # chin
    assert marks[36, 0] < marks[39, 0] < marks[42, 0] < marks[45, 0]
    assert marks[19, 1] < marks[37, 1] < marks[33, 1] < marks[51, 1] < marks[57, 1]


def test_a_micro_expression_is_a_small_macro_expression(quiet: list[Clip]) -> None:
    triple = micro_macro_triple(quiet[0], factor=4.0)
    assert triple.neutral.shape == triple.micro.shape == triple.macro.shape == (112, 112, 3)
    small, large = (np.abs(p.astype(int) - triple.neutral).mean() for p in (triple.micro, triple.macro))
    assert 0 < 1.5 * small < large
    face = quiet[0].metadata["truth"].face_mask
    assert np.abs(triple.macro_flow - 4 * triple.micro_flow)[face].max() < 0.1
    with pytest.raises(OptionError, match="positive"):
        micro_macro_triple(quiet[0], factor=0)
    with pytest.raises(OptionError, match="synthetic"):
        micro_macro_triple(quiet[0].replace(metadata={}))


def test_truth_refuses_frames_that_are_not_there(clips: list[Clip]) -> None:
    with pytest.raises(OptionError, match="frames"):
        clips[0].metadata["truth"].flow(len(clips[0]))


@pytest.mark.parametrize(
    ("unit", "points", "axis", "sign"),
    [
        (1, (21, 22), 1, -1),  # inner brows up
        (2, (18, 25), 1, -1),  # outer brows up
        (4, (20, 23), 1, 1),  # brows down
        (5, (37, 44), 1, -1),  # upper lids up
        (7, (40, 47), 1, -1),  # lower lids up
        (10, (50, 52), 1, -1),  # upper lip up
        (12, (48, 54), 1, -1),  # mouth corners up
        (15, (48, 54), 1, 1),  # mouth corners down
        (16, (57,), 1, 1),  # lower lip down
        (17, (57,), 1, -1),  # lower lip up
        (26, (8, 57), 1, 1),  # chin down
        (45, (37, 38, 43, 44), 1, 1),  # upper lids down
    ],
)
def test_action_units_move_their_landmarks(
    stage: Scene, unit: int, points: tuple[int, ...], axis: int, sign: int
) -> None:
    assert (sign * moved(stage, unit)[list(points), axis] > 0.2).all()


@pytest.mark.parametrize(("unit", "wider"), [(12, True), (14, True), (20, True), (18, False)])
def test_action_units_widen_or_narrow_the_mouth(stage: Scene, unit: int, wider: bool) -> None:
    moves = moved(stage, unit)
    assert (moves[54, 0] - moves[48, 0] > 0) == wider


def test_au45_closes_the_eyes_and_au6_raises_the_cheeks(stage: Scene) -> None:
    rest = stage.neutral_points[assets().landmarks, :2]
    closed = rest + moved(stage, 45)
    for upper, lower in ((37, 41), (38, 40), (43, 47), (44, 46)):
        assert closed[lower, 1] - closed[upper, 1] < 0.45 * (rest[lower, 1] - rest[upper, 1])
    lift = stage.points({(6, ""): 1.0}) - stage.neutral_points
    assert lift[stage.measured, 1].min() < -0.5


@pytest.mark.parametrize("unit", [2, 4, 12, 14, 45])
def test_the_subjects_left_is_on_the_right_of_the_picture(stage: Scene, unit: int) -> None:
    for side, here, there in (
        ("L", RIGHT_OF_IMAGE, LEFT_OF_IMAGE),
        ("R", LEFT_OF_IMAGE, RIGHT_OF_IMAGE),
    ):
        length = np.abs(stage.flow(stage.points({(unit, side): 1.0}))).sum(-1)
        assert length[:, here].sum() > 5 * length[:, there].sum()


def test_both_sides_together_are_the_whole_unit() -> None:
    for unit in ACTION_UNITS:
        assert np.allclose(unit_field(unit, "L") + unit_field(unit, "R"), unit_field(unit), atol=1e-9)
    with pytest.raises(OptionError, match="not drawn"):
        unit_field(99)
    with pytest.raises(OptionError, match="side"):
        unit_field(12, "left")


def test_pictures_change_smoothly_from_frame_to_frame() -> None:
    clip = Synthetic(n_subjects=1, clips_per_subject=3, size=112, nuisance=0.0, amplitude_scale=4).clips()[2]
    frames = clip.frames[clip.onset : clip.offset + 1].astype(int)
    steps = np.abs(np.diff(frames, axis=0)).mean((1, 2, 3))
    assert steps.max() < 6 * np.median(steps) + 0.3  # no jump where the way of drawing changes


def test_the_z_buffer_keeps_the_nearer_triangle() -> None:
    square = np.array([[0, 0], [8, 0], [8, 8], [0, 8]], float)
    points = np.concatenate([np.c_[square, np.zeros(4)], np.c_[square / 2, np.ones(4)]])
    triangles = np.array([[0, 2, 1], [0, 3, 2], [4, 6, 5], [4, 7, 6]])
    seen = rasterise(points, triangles, (8, 8))
    nearest = np.zeros((8, 8), int)
    nearest.reshape(-1)[seen.pixels] = seen.triangles
    assert len(seen.pixels) == 64
    assert (nearest[:4, :4] >= 2).all()
    assert (nearest[4:] < 2).all()
    assert np.allclose(seen.weights.sum(1), 1, atol=1e-5)
    xy = seen.interpolate(triangles, points[:, :2].astype(np.float32))
    assert np.allclose(xy[:, 0], seen.pixels % 8 + 0.5, atol=1e-4)
