"""Motion of face regions: planted displacements come back, head motion does not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microexp.analyze import signals
from microexp.analyze._motion_head import fit_head, head_moves
from microexp.analyze._motion_regions import REGIONS, RIGID, depths
from microexp.analyze.signals import FaceMotion, face_motion
from microexp.clip import Clip
from microexp.errors import DataError
from microexp.faces.alignment import DEFAULT_MARGIN, canonical_landmarks

SIZE = 224
LANDMARKS = canonical_landmarks(SIZE, DEFAULT_MARGIN)
UNIT = float(np.linalg.norm(LANDMARKS[45] - LANDMARKS[36]))
GRID = np.stack(np.meshgrid(np.arange(SIZE), np.arange(SIZE)), axis=-1).astype(np.float32)
NAMES = [place.name for place in REGIONS]


def texture(seed: int = 0) -> np.ndarray:
    """A picture with detail everywhere, ``(SIZE, SIZE, 3) uint8``."""
    rng = np.random.default_rng(seed)
    fine = cv2.GaussianBlur(rng.standard_normal((SIZE, SIZE)).astype(np.float32), (0, 0), 4)
    return np.repeat(np.clip(128 + 40 * fine / fine.std(), 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def moved(picture: np.ndarray, back: np.ndarray) -> np.ndarray:
    """The picture whose point x shows what was at x - back(x)."""
    return cv2.remap(picture, GRID - back.astype(np.float32), None, cv2.INTER_CUBIC, None, cv2.BORDER_REFLECT)


def bump(at: np.ndarray, u: float, v: float, width: float = 0.2 * UNIT) -> np.ndarray:
    """Displacement (u, v) pixels around a point, nothing far from it."""
    near = np.exp(-0.5 * ((GRID - at) ** 2).sum(-1) / width**2)
    return near[..., None] * np.array([u, v])


def video(
    fields: list[np.ndarray], fps: float, seed: int = 0, noise: float = 1.0, **metadata: object
) -> Clip:
    rng = np.random.default_rng(seed + 1)
    still = texture(seed)
    frames = [moved(still, field) + rng.normal(0, noise, still.shape) for field in fields]
    return Clip.from_array(np.clip(np.rint(frames), 0, 255).astype(np.uint8), fps, metadata=metadata)


def test_a_planted_displacement_comes_back_in_its_region_and_unit() -> None:
    level = np.concatenate([np.zeros(20), np.hanning(12), np.zeros(20)])
    corner = LANDMARKS[48]
    motion = face_motion(video([bump(corner, -2 * a, -4 * a) for a in level], 30.0))
    peak = int(level.argmax())
    found = motion.moves[peak, NAMES.index("left mouth corner")]
    expected = 100 * np.array([-2.0, -4.0]) * level[peak] / UNIT
    along = float(found @ expected) / float(expected @ expected)
    across = np.linalg.norm(found - along * expected) / np.linalg.norm(expected)
    assert 0.55 < along < 1.1  # flow is smooth, and the region is as wide as the bump: less than its top
    assert across < 0.1
    far = [NAMES.index(name) for name in ("right mouth corner", "right outer brow", "chin", "right cheek")]
    assert np.abs(motion.moves[:, far]).max() < 0.15 * np.abs(expected).max()
    assert motion.valid.all()
    assert np.abs(motion.moves[:15]).max() < 0.15 * np.abs(expected).max()


def test_head_motion_in_the_plane_is_removed() -> None:
    fields = []
    for t in np.arange(60) / 30:
        angle, scale = np.radians(2) * np.sin(4 * t), 1 + 0.02 * np.sin(3 * t)
        turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) - np.eye(2)
        fields.append((GRID - SIZE / 2) @ turn.T + [2 * np.sin(5 * t), 1.5 * np.sin(2 * t)])
    largest = 100 * max(np.abs(field).max() for field in fields) / UNIT
    motion = face_motion(video(fields, 30.0))
    assert motion.valid.all()
    assert np.percentile(np.abs(motion.moves), 99) < 0.1 * largest


def test_the_head_fit_gives_back_a_rigid_motion_and_ignores_a_stray_point() -> None:
    rng = np.random.default_rng(3)
    points, depth = rng.uniform(-0.5, 0.5, (13, 2)), depths(RIGID)
    pose = rng.normal(0, 3, (4, 6))
    moves = head_moves(points, depth, pose)
    assert np.allclose(fit_head(points, depth, moves), pose, atol=1e-5)
    moves[:, 5] += 5.0
    assert np.abs(fit_head(points, depth, moves) - pose).max() < 2.0
    plain = np.linalg.norm(fit_head(points, depth, moves) - pose)
    assert plain < 0.5 * np.linalg.norm(_least_squares(points, depth, moves) - pose)


def _least_squares(points: np.ndarray, depth: np.ndarray, moves: np.ndarray) -> np.ndarray:
    x, y = points.T
    zero, one = np.zeros_like(x), np.ones_like(x)
    right = np.stack([one, zero, x, -y, depth, zero], 1)
    down = np.stack([zero, one, y, x, zero, depth], 1)
    both = np.concatenate([right, down])
    return np.stack([np.linalg.lstsq(both, np.concatenate([m[:, 0], m[:, 1]]), rcond=None)[0] for m in moves])


def test_a_small_turn_of_the_head_is_told_by_depth() -> None:
    """A point before the eyes moves with yaw by its depth, to first order in the angle."""
    rng = np.random.default_rng(4)
    points, depth, angle = rng.uniform(-0.5, 0.5, (13, 2)), depths(RIGID), 0.05
    turned = np.cos(angle) * points[:, 0] + np.sin(angle) * depth
    moves = 100 * np.stack([turned - points[:, 0], np.zeros(13)], axis=1)[None]
    found = fit_head(points, depth, moves)[0]
    assert found[4] == pytest.approx(100 * angle, rel=0.1)
    assert np.abs(moves - head_moves(points, depth, found[None])).max() < 0.1 * np.abs(moves).max()


@pytest.mark.parametrize(("fps", "rate"), [(30.0, 30.0), (60.0, 60.0), (90.0, 45.0), (200.0, 50.0)])
def test_at_most_sixty_frames_a_second_are_looked_at(fps: float, rate: float) -> None:
    done: list[tuple[int, int]] = []
    motion = face_motion(video([np.zeros((SIZE, SIZE, 2))] * 13, fps), lambda i, n: done.append((i, n)))
    assert motion.rate == rate <= 60
    assert motion.frames.tolist() == list(range(0, 13, round(fps / rate)))
    assert done[-1] == (len(motion.frames), len(motion.frames))
    assert motion.moves.shape == (len(motion.frames), len(motion.regions), 2)
    assert motion.moves.dtype == np.float32
    assert motion.valid.dtype == bool
    assert motion.n_frames == 13


def test_around_a_cut_and_without_a_face_nothing_is_valid() -> None:
    nothing = [np.zeros((SIZE, SIZE, 2))] * 30
    first, second = video(nothing, 30.0, seed=1), video(nothing, 30.0, seed=2)
    both = np.concatenate([first.frames[:], second.frames[:]])
    alignment = SimpleNamespace(
        size=SIZE, landmarks=LANDMARKS, missing=(12,), frames=np.arange(0, 60, 6), looked_at=10
    )
    motion = face_motion(Clip.from_array(both, 30.0, metadata={"alignment": alignment}))
    assert not motion.valid[[12, 30]].any()
    assert motion.valid[[0, 5, 20, 40, 59]].all()
    assert not motion.moves[~motion.valid].any()
    assert sum(run.stop - run.start for run in motion.runs()) == motion.valid.sum()
    assert len(motion.runs()) == 3


@given(st.sets(st.integers(0, 99), min_size=1), st.integers(1, 12))
def test_frames_next_to_one_without_a_face_are_without_one(missing: set[int], every: int) -> None:
    alignment = SimpleNamespace(missing=tuple(sorted(missing)), frames=np.arange(0, 100, every))
    clip = cast(Clip, SimpleNamespace(metadata={"alignment": alignment}))
    frames = np.arange(0, 100, 3)
    wanted = [min(abs(frame - one) for one in missing) > every / 2 for frame in frames.tolist()]
    assert signals._with_face(clip, frames, 3).tolist() == wanted


def test_a_held_expression_is_measured_against_the_rest_before_it() -> None:
    """It takes three quarters of a short video, so the median of all is not the neutral level."""
    level = np.concatenate([np.zeros(15), np.linspace(0, 1, 5), np.ones(45)])
    motion = face_motion(video([bump(LANDMARKS[54], 2 * a, -3 * a) for a in level], 30.0))
    corner = motion.moves[:, NAMES.index("right mouth corner"), 1]
    assert abs(np.median(corner[:12])) < 0.3
    assert np.median(corner[25:]) < -1.0


def test_only_an_aligned_face_is_measured() -> None:
    clip = Clip.from_array(np.zeros((3, 64, 48, 3), np.uint8), 30.0, name="talk")
    with pytest.raises(DataError, match=r"talk: .*48x64.*align"):
        face_motion(clip)


def test_one_frame_is_enough() -> None:
    motion = face_motion(video([np.zeros((SIZE, SIZE, 2))], 30.0))
    assert isinstance(motion, FaceMotion)
    assert not motion.moves.any()
