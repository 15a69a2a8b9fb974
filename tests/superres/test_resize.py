from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from microexp.errors import DataError, OptionError, UnknownNameError
from microexp.superres.resize import KERNELS, cubic, matlab_resize, resize, resize_matrix


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def keys(x: float) -> float:
    """Keys' kernel, written as in the paper, with a = -1/2."""
    x = abs(x)
    if x < 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0


def resized_row(row: list[float], count: int, factor: float) -> list[float]:
    """MATLAB's way with one row, pixel by pixel, over more neighbours than can matter."""
    width = min(factor, 1.0)
    result = []
    for k in range(1, count + 1):
        centre = k / factor + 0.5 * (1 - 1 / factor)  # counted from 1, as in MATLAB
        total = weights = 0.0
        for j in range(math.floor(centre - 2 / width) - 2, math.ceil(centre + 2 / width) + 3):
            i = j
            while not 1 <= i <= len(row):  # mirrored, the last pixel twice
                i = 1 - i if i < 1 else 2 * len(row) + 1 - i
            weight = width * keys(width * (centre - j))
            total, weights = total + weight * row[i - 1], weights + weight
        result.append(total / weights)
    return result


@settings(max_examples=60, deadline=None)
@given(
    row=st.lists(st.floats(0, 1), min_size=1, max_size=12),
    factor=st.sampled_from([1 / 16, 1 / 4, 0.3, 1 / 3, 0.5, 0.9, 1.0, 1.7, 2.0, 3.0, 4.0]),
)
def test_matlab_is_the_definition_pixel_by_pixel(row: list[float], factor: float) -> None:
    array = np.array(row)[np.newaxis].repeat(2, axis=0)
    wanted = resized_row(row, math.ceil(len(row) * factor), factor)
    assert np.allclose(matlab_resize(array, factor)[0], wanted, atol=1e-12)
    assert np.allclose(matlab_resize(array.T, factor)[:, 0], wanted, atol=1e-12)


def test_known_weights() -> None:
    # Twice as many pixels; one a quarter right of the fourth: Keys' kernel at 5/4, 1/4, 3/4 and 7/4.
    double = resize_matrix(8, 16, 2.0).toarray()
    assert np.allclose(double[7, 2:6], np.array([-9, 111, 29, -3]) / 128)
    # Half as many: the kernel is twice as wide and half as high, at the same places on either side.
    half = resize_matrix(16, 8, 0.5).toarray()
    assert np.allclose(half[4, 5:13], np.array([-3, -9, 29, 111, 111, 29, -9, -3]) / 256)
    # The first pixel, with what lies beyond the border folded back.
    assert np.allclose(half[0, :5], np.array([111 + 29, 111 - 9, 29 - 3, -9, -3]) / 256)


def test_the_kernel_is_keys() -> None:
    x = np.linspace(-2.5, 2.5, 101)
    assert np.allclose(cubic(x), [keys(float(v)) for v in x])
    assert cubic(np.array([0.0, 1.0, 2.0])).tolist() == [1, 0, 0]
    # OpenCV's constant is another.
    row = np.zeros((1, 9))
    row[0, 4] = 1
    doubled = cv2.resize(row, (18, 1), interpolation=cv2.INTER_CUBIC)[0]
    assert np.allclose(cubic((np.arange(18) + 0.5) / 2 - 4.5, a=-0.75), doubled, atol=1e-6)


@pytest.mark.parametrize("factor", [1 / 2, 1 / 3, 1 / 4, 2, 3])
def test_pillow_agrees_with_matlab_away_from_borders(factor: float) -> None:
    array = np.random.default_rng(0).random((48, 60)).astype(np.float32)
    size = round(48 * factor), round(60 * factor)
    theirs = np.asarray(Image.fromarray(array).resize(size[::-1], Image.Resampling.BICUBIC))
    inside = (slice(8, -8),) * 2 if factor > 1 else (slice(3, -3),) * 2
    assert np.allclose(matlab_resize(array, size)[inside], theirs[inside], atol=1e-5)
    assert np.array_equal(resize(array, size, "pillow"), theirs)


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(1, 30),
    width=st.integers(1, 30),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    level=st.integers(0, 255),
    kernel=st.sampled_from(KERNELS),
)
def test_a_constant_stays(height: int, width: int, size: tuple[int, int], level: int, kernel: str) -> None:
    constant = np.full((height, width, 3), level, np.uint8)
    resized = resize(constant, size, kernel)
    assert resized.shape == (*size, 3)
    assert resized.dtype == np.uint8
    assert (resized == level).all()
    assert np.allclose(resize(constant / 255, size, kernel), level / 255, atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(
    size=st.tuples(st.integers(2, 20), st.integers(2, 20)),
    target=st.tuples(st.integers(1, 30), st.integers(1, 30)),
    seed=st.integers(0, 99),
)
def test_algebra(size: tuple[int, int], target: tuple[int, int], seed: int) -> None:
    one, other = np.random.default_rng(seed).random((2, *size, 3))
    resized = matlab_resize(one, target)
    assert np.allclose(matlab_resize(2 * one - other, target), 2 * resized - matlab_resize(other, target))
    by_axis = matlab_resize(matlab_resize(one, (target[0], size[1])), target)
    assert np.allclose(by_axis, resized)
    assert np.allclose(matlab_resize(one[::-1, ::-1], target), resized[::-1, ::-1])
    assert np.allclose(matlab_resize(one.swapaxes(0, 1), target[::-1]), resized.swapaxes(0, 1))


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_same_size_is_the_same_picture(kernel: str) -> None:
    assert np.array_equal(resize(picture(17, 12), (17, 12), kernel), picture(17, 12))
    assert np.array_equal(resize(picture(17, 12), 1, kernel), picture(17, 12))


@pytest.mark.parametrize("kernel", KERNELS)
def test_kinds_and_sequences(kernel: str) -> None:
    levels = picture(16, 12)
    assert resize(levels[..., 0], (4, 3), kernel).shape == (4, 3)
    assert np.array_equal(resize(levels[..., 0], (4, 3), kernel), resize(levels, (4, 3), kernel)[..., 0])
    sequence = np.stack([levels, picture(16, 12, 1)])
    small = resize(sequence, 0.25, kernel)
    assert small.shape == (2, 4, 3, 3)
    assert np.array_equal(small[1], resize(sequence[1], 0.25, kernel))
    for dtype in (np.float32, np.float64):
        floating = resize((levels / 255).astype(dtype), 0.25, kernel)
        assert floating.dtype == dtype
        assert np.abs(floating * 255 - small[0].astype(float)).max() < 2  # the others round more than once


def test_whole_numbers_are_rounded_and_clipped_floats_are_not() -> None:
    edge = np.zeros((8, 8), np.uint8)
    edge[:, 4:] = 255
    exact = matlab_resize(edge / 255, 2)
    assert exact.min() < 0
    assert exact.max() > 1
    assert np.array_equal(matlab_resize(edge, 2), np.clip(np.rint(255 * exact), 0, 255).astype(np.uint8))


def test_only_antialiasing_kernels_forget_a_checkerboard() -> None:
    board = (np.indices((60, 60)).sum(0) % 2).astype(float)
    spread = {kernel: resize(board, 0.2, kernel)[3:-3, 3:-3].std() for kernel in KERNELS}
    assert spread["opencv"] > 0.3
    assert max(spread["matlab"], spread["pillow"], spread["area"]) < 0.05


def test_a_factor_makes_no_fewer_pixels_than_it_says() -> None:
    assert matlab_resize(np.zeros((10, 7)), 0.25).shape == (3, 2)
    assert matlab_resize(np.zeros((10, 7)), 1.5).shape == (15, 11)


def test_weights_are_made_once() -> None:
    assert resize_matrix(40, 10, 0.25) is resize_matrix(40, 10, 0.25)


@pytest.mark.parametrize("size", [0, -1.0, math.inf, math.nan, (0, 4), (4, 4, 3), (4.5, 4), (4,)])
def test_what_is_no_size_is_refused(size: object) -> None:
    with pytest.raises(OptionError, match="resizing|resize"):
        resize(picture(8, 8), size)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "bad", [np.zeros(4), np.zeros((2, 2, 2, 2, 3)), np.zeros((4, 4), int), np.zeros((0, 4, 3))]
)
def test_what_is_no_picture_is_refused(bad: np.ndarray) -> None:
    with pytest.raises(DataError, match="a picture is"):
        resize(bad, (2, 2))


def test_unknown_kernels_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="matlab"):
        resize(picture(4, 4), 2, "mathlab")
