from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from microexp.errors import DataError, OptionError, UnknownNameError
from microexp.superres.quality import CHANNELS, CONVENTIONS, luma, mse, psnr, ssim
from microexp.superres.resize import resize

few = settings(max_examples=30, deadline=None)
pictures = hnp.arrays(np.uint8, (13, 12, 3))


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def noisy(picture: np.ndarray, seed: int = 1) -> np.ndarray:
    change = np.random.default_rng(seed).integers(-20, 21, picture.shape)
    return np.clip(picture.astype(int) + change, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("difference", [1, 7, 255])
def test_psnr_and_mse_of_a_constant_difference(difference: int) -> None:
    true = np.zeros((5, 4, 3), np.uint8)
    restored = true + np.uint8(difference)
    assert psnr(restored, true) == pytest.approx(20 * math.log10(255 / difference))
    assert mse(restored, true) == pytest.approx((difference / 255) ** 2)
    # A grey level is 219/255 of a level of luma.
    assert psnr(restored, true, "y") == pytest.approx(20 * math.log10(255 / (difference * 219 / 255)))


def test_equal_pictures() -> None:
    picture = noise(12, 14, 3)
    assert psnr(picture, picture) == math.inf
    assert mse(picture, picture) == 0
    for convention in CONVENTIONS:
        for channel in CHANNELS:
            assert ssim(picture, picture, channel, convention=convention) == pytest.approx(1, abs=1e-12)


@few
@given(pictures, pictures, st.sampled_from(CHANNELS), st.sampled_from(sorted(CONVENTIONS)))
def test_figures_are_symmetric_and_within_bounds(
    first: np.ndarray, second: np.ndarray, channel: str, convention: str
) -> None:
    assert psnr(first, second, channel) == psnr(second, first, channel)
    similarity = ssim(first, second, channel, convention=convention)
    assert similarity == pytest.approx(ssim(second, first, channel, convention=convention))
    assert -1 <= similarity <= 1 + 1e-12


@few
@given(hnp.arrays(np.uint8, (3, 4, 4, 3)), hnp.arrays(np.uint8, (3, 4, 4, 3)))
def test_the_mean_psnr_is_no_less_than_that_of_the_mean_error(first: np.ndarray, second: np.ndarray) -> None:
    error = mse(first, second)  # Jensen's inequality
    assert psnr(first, second) >= (-10 * math.log10(error) if error else math.inf) - 1e-9


def by_loops(x: np.ndarray, y: np.ndarray, weights: np.ndarray, factor: float) -> float:
    """The definition of SSIM, one window after the other, of ``(H, W)`` values."""
    size = len(weights)
    similarities = []
    for row in range(x.shape[0] - size + 1):
        for column in range(x.shape[1] - size + 1):
            a = x[row : row + size, column : column + size]
            b = y[row : row + size, column : column + size]
            mean_a, mean_b = (weights * a).sum(), (weights * b).sum()
            variance_a = factor * (weights * (a - mean_a) ** 2).sum()
            variance_b = factor * (weights * (b - mean_b) ** 2).sum()
            covariance = factor * (weights * (a - mean_a) * (b - mean_b)).sum()
            similarities.append(
                (2 * mean_a * mean_b + 6.5025)
                * (2 * covariance + 58.5225)
                / ((mean_a**2 + mean_b**2 + 6.5025) * (variance_a + variance_b + 58.5225))
            )
    return float(np.mean(similarities))


def gaussian_window() -> np.ndarray:
    y, x = np.mgrid[-5:6, -5:6]
    weights = np.exp(-(x**2 + y**2) / (2 * 1.5**2))
    return weights / weights.sum()


@pytest.mark.parametrize(
    ("convention", "weights", "factor"),
    [("gaussian", gaussian_window(), 1.0), ("scikit-image", np.full((7, 7), 1 / 49), 49 / 48)],
)
def test_ssim_is_that_of_its_definition(convention: str, weights: np.ndarray, factor: float) -> None:
    true = noise(14, 13, 3)
    restored = noisy(true)
    colours = [by_loops(restored[..., c] / 1.0, true[..., c] / 1.0, weights, factor) for c in range(3)]
    assert ssim(restored, true, convention=convention) == pytest.approx(np.mean(colours), abs=1e-10)
    of_luma = by_loops(luma(restored), luma(true), weights, factor)
    assert ssim(restored, true, "y", convention=convention) == pytest.approx(of_luma, abs=1e-10)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_ssim_of_constants(convention: str) -> None:
    first, second = np.full((11, 11, 3), 30, np.uint8), np.full((11, 11, 3), 90, np.uint8)
    wanted = (2 * 30 * 90 + 6.5025) / (30**2 + 90**2 + 6.5025)
    assert ssim(first, second, convention=convention) == pytest.approx(wanted)


def test_luma_of_the_corners_of_the_colour_cube() -> None:
    corners = np.array([[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)
    assert luma(corners) == pytest.approx([16, 235, 81.481, 144.553, 40.966], abs=2e-3)


def test_cropping_leaves_out_each_border() -> None:
    true = noise(20, 17, 3)
    restored = noisy(true)
    inner = np.s_[3:-3, 3:-3]
    for channel in CHANNELS:
        assert psnr(restored, true, channel, 3) == psnr(restored[inner], true[inner], channel)
        assert ssim(restored, true, channel, 3) == ssim(restored[inner], true[inner], channel)


def test_the_figure_of_a_clip_is_the_mean_of_its_frames() -> None:
    true = noise(3, 12, 12, 3)
    restored = noisy(true)
    for measure in (psnr, ssim, mse):
        frames = [measure(a, b) for a, b in zip(restored, true, strict=True)]
        assert measure(restored, true) == pytest.approx(np.mean(frames))


def test_the_other_library_agrees() -> None:
    metrics = pytest.importorskip("skimage.metrics")
    color = pytest.importorskip("skimage.color")
    true = noise(24, 31, 3)
    restored = noisy(true)
    gaussian = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    similarity = metrics.structural_similarity
    assert ssim(restored, true) == pytest.approx(similarity(restored, true, channel_axis=-1, **gaussian))
    assert ssim(restored, true, convention="scikit-image") == pytest.approx(
        similarity(restored, true, channel_axis=-1)
    )
    assert ssim(restored, true, "y") == pytest.approx(similarity(luma(restored), luma(true), **gaussian))
    assert psnr(restored, true) == pytest.approx(metrics.peak_signal_noise_ratio(true, restored))
    assert luma(true) == pytest.approx(color.rgb2ycbcr(true)[..., 0])


@pytest.mark.parametrize(
    ("channel", "crop", "ratio", "similarity"),
    [
        ("rgb", 0, 25.6676, 0.8022),
        ("rgb", 4, 25.5895, 0.7981),
        ("y", 0, 27.1794, 0.8331),
        ("y", 4, 27.0944, 0.8288),
    ],
)
def test_the_figures_of_other_code_bases_on_a_known_face(
    channel: str, crop: int, ratio: float, similarity: float
) -> None:
    data = pytest.importorskip("skimage.data")
    face = data.astronaut()[:256, 96:352]
    restored = resize(resize(face, 0.25), 4.0)
    assert psnr(restored, face, channel, crop) == pytest.approx(ratio, abs=6e-5)
    assert ssim(restored, face, channel, crop) == pytest.approx(similarity, abs=6e-5)


def test_what_does_not_fit_is_refused() -> None:
    picture = noise(12, 12, 3)
    with pytest.raises(DataError, match="one shape"):
        psnr(picture, picture[:-1])
    with pytest.raises(DataError, match="uint8 RGB"):
        mse(picture / 255, picture / 255)
    with pytest.raises(DataError, match="11x11"):
        ssim(picture[:10], picture[:10])
    with pytest.raises(OptionError, match="crop"):
        psnr(picture, picture, crop=6)
    with pytest.raises(OptionError, match="crop"):
        psnr(picture, picture, crop=-1)
    with pytest.raises(UnknownNameError, match="'rgb'"):
        psnr(picture, picture, "rgba")
    with pytest.raises(UnknownNameError, match="'gaussian'"):
        ssim(picture, picture, convention="gausian")
