from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from microexp.errors import UnknownNameError
from microexp.magnify._flow_fields import (
    BACKWARD,
    LIMIT,
    backward,
    in_pixels,
    positions,
    resized,
    warp,
    without_folds,
)


def bumps(side: int, pixels: float, seed: int, count: int = 4) -> Tensor:
    """Movements of a face: Gaussian pulls in some directions, the largest so many pixels of 112."""
    generator = torch.Generator().manual_seed(seed)
    places = positions(side)
    flow = torch.zeros(1, 2, side, side)
    for _ in range(count):
        centre = torch.rand(2, 1, 1, generator=generator) - 0.5
        pull = torch.randn(2, 1, 1, generator=generator)
        flow[0] += pull * torch.exp(-((places - centre) ** 2).sum(0) / (2 * 0.2**2))
    return flow * pixels / 55.5 / flow.norm(dim=1).max()


def residual(flow: Tensor, back: Tensor) -> float:
    """Return how far back after forth misses the start, at most, pixels of 112."""
    return float((back + warp(flow, back)).norm(dim=1).max()) * 55.5


@pytest.mark.parametrize("side", [8, 12, 16, 112])
def test_the_identity_flow_leaves_pictures_as_they_are(side: int) -> None:
    picture = torch.rand(2, 3, 112, 90)
    assert torch.allclose(warp(picture, torch.zeros(2, 2, side, side)), picture, atol=1e-4)


def test_a_flow_of_whole_pixels_moves_by_them_whatever_its_grid() -> None:
    picture = torch.rand(1, 3, 31, 41)
    flow = torch.tensor([2 * 2 / 40, -3 * 2 / 30]).view(1, 2, 1, 1).expand(1, 2, 8, 8)
    moved = warp(picture, flow)
    assert torch.allclose(moved[..., 3:, :-2], picture[..., :-3, 2:], atol=1e-4)
    assert torch.allclose(moved[..., :3, :-2], picture[..., :1, 2:].expand(1, 3, 3, 39), atol=1e-4)


def test_warping_is_that_of_opencv() -> None:
    picture, flow = torch.rand(1, 3, 48, 64), bumps(8, 6, seed=1)
    pixels = in_pixels(flow, 48, 64)[0].numpy()
    rows, columns = np.mgrid[:48, :64].astype(np.float32)
    wanted = cv2.remap(
        picture[0].permute(1, 2, 0).numpy(),
        columns + pixels[0],
        rows + pixels[1],
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    # OpenCV rounds positions to a 32nd of a pixel.
    assert np.abs(warp(picture, flow)[0].permute(1, 2, 0).numpy() - wanted).max() < 0.04


def test_a_linear_flow_stays_itself_on_any_grid() -> None:
    flow = 0.1 * positions(8)[None]
    assert torch.allclose(resized(flow, 112, 56)[0, 0, 0], torch.linspace(-0.1, 0.1, 56), atol=1e-6)
    pixels = in_pixels(flow, 112, 57)
    assert torch.allclose(pixels[0, :, -1, -1], torch.tensor([0.1 * 28, 0.1 * 55.5]), atol=1e-5)


@pytest.mark.parametrize("kind", BACKWARD)
def test_back_from_a_constant_flow_is_its_opposite(kind: str) -> None:
    flow = torch.tensor([0.05, -0.02]).view(1, 2, 1, 1).expand(1, 2, 8, 8)
    assert torch.allclose(backward(flow, kind), -flow, atol=1e-7)


def test_back_from_a_small_rotation_is_the_opposite_rotation() -> None:
    places, angle = positions(16)[None], 0.05

    def rotation(by: float) -> Tensor:
        c, s = np.cos(by), np.sin(by)
        x, y = places[:, 0], places[:, 1]
        return torch.stack((c * x - s * y - x, s * x + c * y - y), dim=1)

    inner = (..., slice(2, -2), slice(2, -2))  # beyond its border a flow is not known
    wanted = rotation(-angle)[inner]
    off = {
        kind: float((backward(rotation(angle), kind)[inner] - wanted).norm(dim=1).max()) for kind in BACKWARD
    }
    assert off["fixed_point"] < 1e-5
    assert off["neg"] == pytest.approx(
        angle**2 * 12 / 15 * 2**0.5 * 11 / 12, rel=0.1
    )  # the angle squared, times r
    assert off["paper"] == pytest.approx(2 * off["neg"], rel=0.1)  # its inner sign is the wrong one


@pytest.mark.parametrize("side", [8, 12, 16])
@pytest.mark.parametrize("seed", range(4))
def test_forth_and_back_returns_to_the_start(side: int, seed: int) -> None:
    flow = bumps(side, 3, seed)
    assert residual(flow, backward(flow, "fixed_point")) < 0.1


def test_which_way_back_is_nearest() -> None:
    """The order of section 1.6: on fine grids equation 10 is worse than plain negation."""
    fine = [bumps(112, 3, seed) for seed in range(8)]
    off = {kind: np.mean([residual(f, backward(f, kind)) for f in fine]) for kind in BACKWARD}
    assert off["fixed_point"] < 0.1 < off["neg"] < off["paper"]


def test_an_unknown_way_back_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="fixed_point"):
        backward(torch.zeros(1, 2, 8, 8), "fixed")


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.floats(0.001, 1.0), st.sampled_from([(8, 8), (2, 5), (16, 16)]))
def test_no_flow_folds_a_picture(seed: int, scale: float, sides: tuple[int, int]) -> None:
    flow = scale * torch.randn(2, 2, *sides, generator=torch.Generator().manual_seed(seed))
    kept = without_folds(flow)
    assert float(kept.abs().max()) <= LIMIT
    height, width = (
        8 * (sides[0] - 1) + 1,
        8 * (sides[1] - 1) + 1,
    )  # nodes fall on pixels: cells stay bilinear
    x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    for moved in resized(kept, height, width).double().numpy():
        u, v = x + moved[0], y + moved[1]
        u_x, u_y, v_x, v_y = (np.diff(part, axis=axis) for part in (u, v) for axis in (1, 0))
        area = u_x[:-1] * v_y[:, :-1] - u_y[:, :-1] * v_x[:-1]
        assert area.min() > 0.09 * (2 / (width - 1)) * (2 / (height - 1))


def test_a_flow_that_folds_nothing_stays() -> None:
    flow = bumps(8, 4, seed=0)
    assert torch.equal(without_folds(flow), flow)


def test_a_flow_that_folds_is_scaled_as_little_as_needed() -> None:
    along = torch.zeros(1, 2, 8, 8)
    along[0, 0] = -0.9 * positions(8)[0]  # the determinant is .1 everywhere; past the limit, too
    shrunk = along * LIMIT / 0.9
    assert torch.equal(without_folds(shrunk), shrunk)
    step = torch.zeros(1, 2, 8, 8)
    step[0, 0, :, :4], step[0, 0, :, 4:] = 0.2, -0.2  # in one cell of 2/7: the determinant is 1 - 1.4 s
    assert torch.allclose(without_folds(step), step * 0.9 / 1.4, atol=1e-6)
