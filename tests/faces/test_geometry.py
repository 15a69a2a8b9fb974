"""Similarities against closed forms, and pictures against functions known everywhere."""

from __future__ import annotations

import numpy as np
import pytest

from microexp.errors import DataError
from microexp.faces import geometry


def similarity(scale: float, angle: float, x: float, y: float) -> np.ndarray:
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    return np.array([[c, -s, x], [s, c, y]])


def waves(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A smooth picture that is known between its pixels, too."""
    value = 128 + 60 * np.sin(0.11 * x + 0.3) * np.cos(0.09 * y) + 40 * np.sin(0.05 * (x + y))
    return np.repeat(value[..., None], 3, axis=-1)


def test_an_exact_similarity_is_found_again_and_undone() -> None:
    matrix = similarity(1.7, 0.4, -12.0, 31.0)
    points = np.random.default_rng(0).uniform(0, 200, (68, 2))
    moved = points @ matrix[:, :2].T + matrix[:, 2]
    assert np.allclose(geometry.fit_similarity(points, moved), matrix)
    assert np.allclose(geometry.transform_points(moved, geometry.invert(matrix)), points, atol=1e-3)
    assert geometry.scale_of(matrix) == pytest.approx(1.7)


def test_the_fit_is_the_least_squares_one() -> None:
    rng = np.random.default_rng(1)
    source, target = rng.uniform(0, 100, (20, 2)), rng.uniform(0, 100, (20, 2))
    x, y = source.T
    one, zero = np.ones(20), np.zeros(20)
    rows = np.concatenate([np.stack([x, -y, one, zero], 1), np.stack([y, x, zero, one], 1)])
    a, b, c, d = np.linalg.lstsq(rows, target.T.ravel(), rcond=None)[0]
    assert np.allclose(geometry.fit_similarity(source, target), [[a, -b, c], [b, a, d]])


def test_points_that_fix_nothing_are_refused() -> None:
    with pytest.raises(DataError, match="all one"):
        geometry.fit_similarity(np.ones((5, 2)), np.ones((5, 2)))
    with pytest.raises(DataError, match="two sets of points"):
        geometry.fit_similarity(np.ones((1, 2)), np.ones((1, 2)))


@pytest.mark.parametrize("scale", [0.13, 0.4, 0.9, 1.0, 2.3])
def test_a_warped_picture_shows_what_lies_there(scale: float) -> None:
    y, x = np.mgrid[:300, :300].astype(float)
    matrix = similarity(scale, 0.2, 30 * scale, 5 * scale)
    size = round(150 * scale)
    result = geometry.warp(np.rint(waves(x, y)).astype(np.uint8), matrix, size).astype(float)
    grid = np.stack(np.meshgrid(np.arange(size), np.arange(size)), -1)
    back = (grid - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T
    inside = ((back > 8) & (back < 291)).all(-1)
    error = np.abs(result - waves(back[..., 0], back[..., 1]))[inside]
    assert inside.sum() > 50
    assert error.mean() < (0.5 if scale > 0.5 else 2.0)  # averaging over several pixels flattens the waves


def test_shrinking_averages_and_does_not_alias() -> None:
    fine = np.zeros((256, 256, 3), np.uint8)
    fine[::2, ::2] = fine[1::2, 1::2] = 255
    small = geometry.warp(fine, similarity(0.11, 0.05, 3.0, 3.0), 24).astype(float)
    assert np.abs(small[4:-4, 4:-4] - 127.5).max() < 12


def test_flow_turns_and_scales_with_the_picture() -> None:
    matrix = similarity(2.0, np.pi / 2, 99.0, 0.0)
    flow = np.zeros((50, 50, 2), np.float32)
    flow[10:30, 20:40] = 1, 0
    moved = geometry.warp_flow(flow, matrix, 100)
    x, y = geometry.transform_points(np.array([30, 20]), matrix).astype(int)
    assert np.allclose(moved[y, x], (0, 2), atol=1e-6)
    assert np.allclose(moved[2, 2], 0)
