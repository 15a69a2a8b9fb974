from __future__ import annotations

import numpy as np
import pytest
import pywt
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from microexp.errors import DataError, UnknownNameError
from microexp.recognize._wavelets import dwt2, idwt2

NAMES = ("haar", "db4", "sym5", "bior2.2", "coif5")
ORTHOGONAL = ("haar", "db4", "sym5", "coif5")
even = st.integers(1, 30).map(lambda n: 2 * n)
wavelets = st.sampled_from(NAMES)


def random_maps(height: int, width: int, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(100 * height + width)
    return torch.randn(2, 3, height, width, generator=generator, dtype=dtype)


@pytest.mark.parametrize("wavelet", NAMES)
def test_bands_are_those_of_pywavelets(wavelet: str) -> None:
    for side in range(2, 58, 2):
        maps = random_maps(side, 58 - side)
        a, (h, v, d) = pywt.dwt2(maps.numpy(), wavelet, mode="periodization")
        for ours, theirs in zip(dwt2(maps, wavelet), (a, h, v, d), strict=True):
            assert np.allclose(ours.numpy(), theirs, rtol=0, atol=1e-12)


@given(wavelets, even, even)
@settings(deadline=None)
def test_the_inverse_is_exact(wavelet: str, height: int, width: int) -> None:
    maps = random_maps(height, width)
    assert (idwt2(dwt2(maps, wavelet), wavelet) - maps).abs().max() < 1e-10


@pytest.mark.parametrize("wavelet", NAMES)
@pytest.mark.parametrize(
    "side", [56, 28, 14, 6, 60, 30, 4, 2]
)  # of the stages at 224 and 240 pixels, and less
def test_the_inverse_is_exact_in_single_precision(wavelet: str, side: int) -> None:
    maps = random_maps(side, side, torch.float32)
    assert (idwt2(dwt2(maps, wavelet), wavelet) - maps).abs().max() < 1e-6 * maps.abs().max()


@given(st.sampled_from(ORTHOGONAL), even, even)
@settings(deadline=None)
def test_orthogonal_wavelets_keep_the_energy(wavelet: str, height: int, width: int) -> None:
    maps = random_maps(height, width)
    energy = sum(band.square().sum() for band in dwt2(maps, wavelet))
    assert torch.isclose(energy, maps.square().sum(), rtol=1e-10)


@given(wavelets, even, even)
@settings(deadline=None)
def test_a_constant_is_all_in_ll(wavelet: str, height: int, width: int) -> None:
    ll, *high = dwt2(torch.full((height, width), 3.0, dtype=torch.float64), wavelet)
    assert torch.allclose(ll, torch.full_like(ll, 6.0))
    assert all(band.abs().max() < 1e-9 for band in high)


@given(wavelets, even, even)
@settings(deadline=None)
def test_moving_the_maps_by_two_pixels_moves_the_bands_by_one(wavelet: str, height: int, width: int) -> None:
    maps = random_maps(height, width)
    moved = dwt2(maps.roll((2, -2), (-2, -1)), wavelet)
    for band, expected in zip(moved, dwt2(maps, wavelet), strict=True):
        assert torch.allclose(band, expected.roll((1, -1), (-2, -1)), atol=1e-10)


def test_bands_are_named_horizontal_first() -> None:
    """LH shows horizontal edges: what changes from row to row."""
    stripes = torch.tensor([1.0, -1.0]).repeat(4)
    rows = stripes[:, None].expand(8, 8)
    ll, lh, hl, hh = dwt2(rows)
    assert lh.abs().min() == 2
    assert ll.abs().max() == hl.abs().max() == hh.abs().max() == 0
    assert torch.equal(dwt2(rows.T)[2].T, lh)


@pytest.mark.parametrize("wavelet", ["haar", "coif5"])
def test_gradients_pass_after_a_use_without_gradients(wavelet: str) -> None:
    """What is kept of a transform made for prediction must serve in training."""
    with torch.inference_mode():
        dwt2(torch.ones(10, 22), wavelet)
    maps = random_maps(10, 22).float().requires_grad_()
    dwt2(maps, wavelet)[0].sum().backward()
    assert maps.grad is not None
    assert torch.allclose(maps.grad, torch.full_like(maps, 0.5), atol=1e-5)  # LL sums to half of all


def test_what_cannot_be_transformed_is_refused() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown wavelet 'harr'. Did you mean 'haar'"):
        dwt2(torch.zeros(4, 4), "harr")
    with pytest.raises(UnknownNameError, match="unknown wavelet 'morl'"):
        idwt2(dwt2(torch.zeros(4, 4)), "morl")
    with pytest.raises(DataError, match="maps of 4x7"):
        dwt2(torch.zeros(4, 7))
