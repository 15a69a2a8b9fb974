from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm

from microexp.errors import DataError
from microexp.evaluate.frechet import (
    SetDistance,
    feature_distances,
    frechet_distance,
    kernel_distance,
    set_distances,
)
from microexp.networks.inception import Inception


def drawn(seed: int, count: int, dimensions: int = 6) -> np.ndarray:
    """Correlated normal values."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, dimensions)) @ rng.normal(size=(dimensions, dimensions)) + rng.normal()


def by_roots(first: np.ndarray, second: np.ndarray) -> float:
    """The formula of Heusel et al. as it is written."""
    between = ((first.mean(0) - second.mean(0)) ** 2).sum()
    covariances = np.cov(first.T), np.cov(second.T)
    root = sqrtm(covariances[0] @ covariances[1])
    return float(between + np.trace(covariances[0] + covariances[1] - 2 * np.real(root)))


@pytest.mark.parametrize(("n", "m"), [(50, 80), (7, 7), (30, 300)])
def test_the_trace_is_that_of_the_matrix_root(n: int, m: int) -> None:
    first, second = drawn(1, n), drawn(2, m)
    assert frechet_distance(first, second).value == pytest.approx(by_roots(first, second), rel=1e-6)


@pytest.mark.parametrize("n", [4, 40])  # with a covariance of full rank, and not
def test_sets_that_differ_by_a_shift_are_its_square_apart(n: int) -> None:
    first, shift = drawn(3, n), np.array([3.0, 0, 0, 4, 0, 0])
    assert frechet_distance(first, first + shift).value == pytest.approx(25, rel=1e-9)
    assert frechet_distance(first, first[::-1]).value == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("n", [4, 40])
def test_a_set_twice_as_wide_is_its_variance_apart(n: int) -> None:
    first = drawn(4, n)
    mean = first.mean(0)  # covariances C and 4 C: tr(C + 4 C - 2 * 2 C)
    wider = mean + 2 * (first - mean)
    assert frechet_distance(first, wider).value == pytest.approx(first.var(0, ddof=1).sum(), rel=1e-9)


@given(st.integers(2, 12), st.integers(2, 12), st.integers(0, 100))
@settings(max_examples=25, deadline=None)
def test_the_distance_is_symmetric_and_has_no_axes(n: int, m: int, seed: int) -> None:
    first, second = drawn(seed, n), drawn(seed + 1, m)
    value = frechet_distance(first, second).value
    rotation = np.linalg.qr(np.random.default_rng(seed).normal(size=(6, 6)))[0]
    assert value >= 0
    assert frechet_distance(second, first).value == pytest.approx(value, rel=1e-6, abs=1e-7)
    assert frechet_distance(first @ rotation, second @ rotation).value == pytest.approx(value, 1e-6, 1e-7)


def test_the_kernel_distance_is_the_sum_over_pairs() -> None:
    first, second = drawn(5, 5), drawn(6, 7)

    def kernel(x: np.ndarray, y: np.ndarray) -> float:
        return float((np.dot(x, y) / 6 + 1) ** 3)

    within = np.mean([kernel(x, y) for i, x in enumerate(first) for j, y in enumerate(first) if i != j])
    within += np.mean([kernel(x, y) for i, x in enumerate(second) for j, y in enumerate(second) if i != j])
    across = np.mean([kernel(x, y) for x in first for y in second])
    assert kernel_distance(first, second).value == pytest.approx(within - 2 * across, rel=1e-9)


def test_the_kernel_distance_is_unbiased_where_the_frechet_distance_is_not() -> None:
    rng = np.random.default_rng(0)
    pairs = [(rng.normal(size=(5, 3)), rng.normal(size=(5, 3))) for _ in range(2000)]
    kernels = np.array([kernel_distance(*pair).value for pair in pairs])
    assert abs(kernels.mean()) < 4 * kernels.std() / np.sqrt(len(pairs))
    assert (kernels < 0).any()
    assert np.mean([frechet_distance(*pair).value for pair in pairs[:100]]) > 0.5


def test_a_distance_says_how_many_pictures_it_is_of() -> None:
    one = frechet_distance(drawn(7, 20), drawn(8, 6))
    assert (one.pictures, one.dimensions, one.singular) == ((20, 6), 6, True)
    assert "20 and 6 pictures" in str(one)
    assert not kernel_distance(drawn(7, 20), drawn(8, 7)).singular


@pytest.mark.parametrize("distance", [frechet_distance, kernel_distance])
@pytest.mark.parametrize(
    ("first", "second", "match"),
    [
        (np.zeros((1, 3)), np.zeros((5, 3)), "sets of 1 and 5 pictures .* 2 or more"),
        (np.zeros((5, 3)), np.zeros((5, 4)), "one d"),
        (np.zeros(5), np.zeros(5), "one d"),
        (np.full((5, 3), np.nan), np.zeros((5, 3)), "finite"),
    ],
)
def test_what_has_no_distance_is_refused(
    distance: type, first: np.ndarray, second: np.ndarray, match: str
) -> None:
    with pytest.raises(DataError, match=match):
        distance(first, second)


def test_distances_of_pictures_are_named_by_their_features() -> None:
    torch.manual_seed(0)
    module = Inception().eval()
    pictures = np.random.default_rng(0).integers(0, 255, (2, 24, 20, 3), np.uint8)
    found = set_distances(module, pictures, pictures[::-1], ["mixed5"])
    assert list(found) == ["FD-768", "KID-768"]
    assert found["FD-768"] == SetDistance(pytest.approx(0, abs=1e-9), (2, 2), 768)
    named = feature_distances({"pool": np.eye(3, 2048)}, {"pool": np.eye(3, 2048)})
    assert list(named) == ["FD-2048", "KID-2048"]
