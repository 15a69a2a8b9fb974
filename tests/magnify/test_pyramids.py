from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microexp.errors import OptionError
from microexp.magnify._pyramids import (
    PhasePyramid,
    RieszPyramid,
    SteerablePyramid,
    check_count,
    collapse,
    laplacian,
    octave_filter,
    riesz_filter,
    steerable_filters,
    usable_levels,
)

SIDES = st.integers(1, 50)


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def both(height: int, width: int, levels: int) -> list[PhasePyramid]:
    return [SteerablePyramid(height, width, levels, 4), RieszPyramid(height, width, levels)]


def octaves(shape: tuple[int, int]) -> np.ndarray:
    """Of each frequency of an FFT: its distance from the highest, 0 for pi and -1 for its half."""
    y, x = np.meshgrid(*[2 * np.pi * np.fft.fftfreq(side) for side in shape], indexing="ij")
    with np.errstate(divide="ignore"):
        return np.log2(np.hypot(x, y) / np.pi)


def whole(part: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The frequency response of a level that is sampled coarser, at all frequencies of the picture."""
    full = np.zeros(shape)
    middle = tuple(slice((n - k) // 2, (n - k) // 2 + k) for n, k in zip(shape, part.shape, strict=True))
    full[middle] = np.fft.fftshift(part)
    return np.fft.ifftshift(full)


@settings(deadline=None, max_examples=20)
@given(height=SIDES, width=SIDES, levels=st.integers(1, 4))
def test_a_laplacian_pyramid_gives_its_picture_back(height: int, width: int, levels: int) -> None:
    for picture in (noise(height, width), noise(height, width, 3)):
        bands = laplacian(picture, levels)
        assert len(bands) == levels + 1
        assert np.allclose(collapse(bands).reshape(picture.shape), picture, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("side", "levels"), [(1, 1), (7, 1), (8, 2), (32, 4), (63, 4), (64, 5), (224, 5)])
def test_the_coarsest_level_has_four_pixels(side: int, levels: int) -> None:
    assert usable_levels((side, 300), 5) == usable_levels((300, side), 5) == levels


@pytest.mark.parametrize("shape", [(64, 64), (96, 160), (80, 48)])
def test_octaves_and_residuals_are_a_partition_of_unity(shape: tuple[int, int]) -> None:
    total = sum(whole(octave_filter(shape, level), shape) ** 2 for level in range(4))
    above = np.cos(np.pi / 2 * np.clip(octaves(shape), -1, 0)) ** 2
    below = np.cos(np.pi / 2 * np.clip(octaves(shape) + 5, 0, 1)) ** 2
    assert np.abs(total + above + below - 1).max() < 1e-12


@pytest.mark.parametrize("orientations", [2, 3, 4, 8, 9])
def test_the_steerable_pyramid_is_a_tight_frame(orientations: int) -> None:
    shape = (96, 64)
    for level in range(4):
        squares = (steerable_filters(shape, level, orientations) ** 2).sum(axis=0)
        opposite = np.roll(squares[::-1, ::-1], 1, axis=(0, 1))
        assert np.abs(squares + opposite - octave_filter(shape, level) ** 2).max() < 1e-12


def test_filters_are_those_of_horizontal_motion_first() -> None:
    first, second = (np.unravel_index(f.argmax(), f.shape) for f in steerable_filters((64, 64), 0, 2))
    assert first == (0, 16)  # a wave of 4 pixels
    assert second == (16, 0)


@pytest.mark.parametrize("level", [0, 1])
def test_coefficients_are_those_of_a_brute_force_transform(level: int) -> None:
    pyramid = SteerablePyramid(9, 8, 2, 3)
    picture = noise(9, 8).astype(np.float64)
    rows, columns = pyramid.shape
    top, left = (rows - 9) // 2, (columns - 8) // 2
    padded = np.pad(picture, ((top, rows - 9 - top), (left, columns - 8 - left)), "symmetric")
    forth = [np.exp(-2j * np.pi * np.outer(np.arange(n), np.arange(n)) / n) for n in (rows, columns)]
    spectrum = forth[0] @ padded @ forth[1].T
    step = 2**level
    for number, found in enumerate(pyramid.decompose(picture.astype(np.float32))[level]):
        response = whole(steerable_filters(pyramid.shape, level, 3)[number], (rows, columns))
        band = forth[0].conj() @ (spectrum * response) @ forth[1].conj().T / (rows * columns)
        assert np.allclose(found / step**2, band[::step, ::step], rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", [0, 1])
def test_levels_compose_to_what_is_between_the_residuals(kind: int) -> None:
    pyramid = both(40, 52, 3)[kind]
    picture = noise(40, 52)
    rows, columns = pyramid.shape
    top, left = (rows - 40) // 2, (columns - 52) // 2
    padded = np.pad(picture, ((top, rows - 40 - top), (left, columns - 52 - left)), "symmetric")
    distance = octaves((rows, columns))
    kept = np.sin(np.pi / 2 * np.clip(-distance, 0, 1)) ** 2
    kept -= np.cos(np.pi / 2 * np.clip(distance + 4, 0, 1)) ** 2
    expected = np.fft.ifft2(np.fft.fft2(padded) * kept).real[top : top + 40, left : left + 52]
    assert np.allclose(pyramid.compose(pyramid.decompose(picture)), expected, rtol=0, atol=1e-5)


def test_riesz_transforms_of_a_wave_are_its_sine_along_its_direction() -> None:
    y, x = np.mgrid[:32, :32]
    angle = 2 * np.pi * (3 * x - 5 * y) / 32
    found = np.fft.ifft2(np.fft.fft2(np.cos(angle)) * riesz_filter((32, 32), 0))
    expected = np.sin(angle) * (3 - 5j) / np.hypot(3, 5)
    assert np.allclose(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("wavelength", "level"), [(4, 0), (8, 1), (16, 2)])
def test_the_phase_of_a_moved_wave_changes_by_its_share_of_the_wavelength(
    wavelength: int, level: int
) -> None:
    x = np.arange(192)[None].repeat(192, axis=0)
    pixels = 0.3
    before, now = (np.cos(2 * np.pi * (x - d) / wavelength).astype(np.float32) for d in (0.0, pixels))
    steerable, riesz = both(192, 192, 4)
    middle = (..., slice(80 >> level, 112 >> level), slice(80 >> level, 112 >> level))
    expected = -2 * np.pi * pixels / wavelength
    phase = steerable.phase(steerable.decompose(now)[level], steerable.decompose(before)[level])
    assert np.allclose(phase[middle][0], expected, rtol=0.02)
    vector = riesz.phase(riesz.decompose(now)[level], riesz.decompose(before)[level])
    assert np.allclose(vector[middle][0], expected, rtol=0.02)
    assert np.allclose(vector[middle][1], 0, atol=0.02 * abs(expected))


@pytest.mark.parametrize("kind", [0, 1])
def test_a_shift_of_the_phase_moves_a_wave(kind: int) -> None:
    y, x = np.mgrid[:96, :96]
    wave = [np.cos(2 * np.pi * (0.8 * (x - d) + 0.6 * y) / 8).astype(np.float32) for d in (0.0, 0.2, 1.0)]
    pyramid = both(96, 96, 4)[kind]
    levels = [pyramid.decompose(one) for one in wave[:2]]
    phases = [4 * pyramid.phase(now, then) for then, now in zip(*levels, strict=True)]
    magnified = wave[1] + pyramid.change(levels[1], phases)
    assert np.abs(magnified - wave[2])[32:64, 32:64].max() < 0.03
    assert np.abs(wave[1] - wave[2])[32:64, 32:64].max() > 0.4


@pytest.mark.parametrize("kind", [0, 1])
def test_one_side_of_a_picture_does_not_reach_the_other(kind: int) -> None:
    picture = np.zeros((64, 64), np.float32)
    picture[32, 0] = 1
    pyramid = both(64, 64, 4)[kind]
    found = np.abs(pyramid.compose(pyramid.decompose(picture)))
    assert found[:, 48:].max() < 0.01 * found.max()


@settings(deadline=None, max_examples=20)
@given(height=SIDES, width=SIDES)
def test_any_size_of_a_picture(height: int, width: int) -> None:
    for pyramid in both(height, width, 5):
        levels = pyramid.decompose(noise(height, width))
        phases = [pyramid.phase(level, level) for level in levels]
        assert all(np.abs(phase).max() < 1e-3 for phase in phases)
        change = pyramid.change(levels, phases)
        assert change.shape == (height, width)
        assert change.dtype == np.float32
        assert np.abs(change).max() < 1e-3


def test_where_there_is_nothing_there_is_no_phase() -> None:
    for pyramid in both(32, 32, 3):
        levels = pyramid.decompose(np.zeros((32, 32), np.float32))
        assert all(not pyramid.phase(level, level).any() for level in levels)


@pytest.mark.parametrize("count", [0, 1.5, True, "3", None])
def test_what_is_no_count_is_refused(count: object) -> None:
    with pytest.raises(OptionError, match="Test: levels must be a whole number, 1 or more"):
        check_count("Test", "levels", count, 1)
