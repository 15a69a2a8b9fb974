from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microexp import superres
from microexp.errors import OptionError, UnknownNameError
from microexp.superres.bicubic import Bicubic


def smooth(height: int, width: int) -> np.ndarray:
    """Return a picture of low frequencies, ``(H, W, 3) uint8``."""
    y, x = np.mgrid[:height, :width] / max(height, width)
    waves = [np.sin(5 * x + 3 * y), np.cos(4 * x - 2 * y), np.sin(3 * x) * np.cos(5 * y)]
    return np.uint8(np.rint(127.5 + 100 * np.stack(waves, axis=-1)))


@settings(max_examples=25, deadline=None)
@given(
    scale=st.integers(2, 16),
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    kernel=st.sampled_from(["matlab", "opencv", "pillow"]),
)
def test_any_whole_factor(scale: int, height: int, width: int, kernel: str) -> None:
    flat = np.full((2, height, width, 3), (10, 100, 250), np.uint8)
    large = Bicubic(scale, kernel).upscale(flat)
    assert large.shape == (2, height * scale, width * scale, 3)
    assert (large == (10, 100, 250)).all()


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_a_line_of_levels_stays_a_line(scale: int) -> None:
    """Cubic convolution reproduces polynomials, to the third order in its error, so lines exactly."""
    ramp = np.broadcast_to(np.uint8(10 + 8 * np.arange(24))[:, np.newaxis, np.newaxis], (24, 6, 3))
    large = Bicubic(scale).upscale(np.ascontiguousarray(ramp))[:, 0, 0].astype(float)
    centres = (np.arange(24 * scale) + 0.5) / scale - 0.5
    inside = slice(2 * scale, -2 * scale)
    assert np.abs(large - (10 + 8 * centres))[inside].max() <= 0.5 + 1e-9


def test_kernel_opencv_is_that_of_opencv() -> None:
    small = smooth(20, 14)
    theirs = cv2.resize(small, (14 * 3, 20 * 3), interpolation=cv2.INTER_CUBIC)
    assert np.array_equal(Bicubic(3, "opencv").upscale(small), theirs)


def test_kernels_differ_little_on_smooth_pictures() -> None:
    small = smooth(20, 20)
    matlab, opencv, pillow = (
        Bicubic(4, kernel).upscale(small)[8:-8, 8:-8].astype(int) for kernel in ("matlab", "opencv", "pillow")
    )
    assert np.abs(matlab - opencv).max() <= 2
    assert np.abs(matlab - pillow).max() <= 1


def test_it_restores_what_it_can_of_a_smooth_picture() -> None:
    large = smooth(64, 64)
    small = cv2.resize(large, (16, 16), interpolation=cv2.INTER_AREA)
    error = np.abs(Bicubic(4).upscale(small).astype(int) - large)
    assert error[8:-8, 8:-8].max() <= 3


@pytest.mark.parametrize("scale", [1, 0, -2, 2.5, "4"])
def test_factors_must_be_whole(scale: object) -> None:
    with pytest.raises(OptionError, match="scale must be a whole number, 2 or more"):
        Bicubic(scale).upscale(smooth(4, 4))  # type: ignore[arg-type]


def test_the_kernel_must_be_bicubic() -> None:
    for kernel in ("area", "lanczos"):
        with pytest.raises(UnknownNameError, match="opencv"):
            superres.create("bicubic", kernel=kernel).upscale(smooth(4, 4))


def test_the_kernel_is_part_of_the_identity() -> None:
    assert Bicubic(kernel="opencv").identity() != Bicubic().identity() is not None
