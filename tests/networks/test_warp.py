from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from microexp.networks.warp import flow_warp

SCIPY_MODE = {"zeros": "grid-constant", "border": "nearest"}


def maps(height: int, width: int, seed: int, reach: float = 3.0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(2, 3, height, width, generator=generator, dtype=torch.float64)
    flow = (torch.rand(2, 2, height, width, generator=generator, dtype=torch.float64) - 0.5) * 2 * reach
    return x, flow


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(1, 6),
    width=st.integers(1, 6),
    padding=st.sampled_from(["zeros", "border"]),
    seed=st.integers(0, 1000),
)
def test_it_is_what_scipy_interpolates(height: int, width: int, padding: str, seed: int) -> None:
    x, flow = maps(height, width, seed)
    warped = flow_warp(x, flow, padding).numpy()
    rows, columns = np.mgrid[:height, :width]
    for n in range(2):
        positions = (rows + flow[n, 1].numpy(), columns + flow[n, 0].numpy())
        for c in range(3):
            wanted = map_coordinates(x[n, c].numpy(), positions, order=1, mode=SCIPY_MODE[padding])
            np.testing.assert_allclose(warped[n, c], wanted, atol=1e-12)


def test_it_is_the_grid_of_aligned_corners() -> None:
    x, flow = maps(5, 7, 0)
    rows, columns = torch.meshgrid(torch.arange(5), torch.arange(7), indexing="ij")
    grid = torch.stack(
        (2 * (columns + flow[:, 0]) / 6 - 1, 2 * (rows + flow[:, 1]) / 4 - 1),
        dim=-1,
    )
    for padding in ("zeros", "border"):
        wanted = F.grid_sample(x, grid, padding_mode=padding, align_corners=True)
        torch.testing.assert_close(flow_warp(x, flow, padding), wanted)


@pytest.mark.parametrize(("dx", "dy"), [(0, 0), (2, 0), (0, -1)])
def test_whole_pixels_shift_the_map(dx: int, dy: int) -> None:
    x = torch.rand(1, 2, 5, 6)
    flow = torch.tensor([dx, dy]).view(1, 2, 1, 1).expand(1, 2, 5, 6).float()
    wanted = torch.zeros_like(x)
    wanted[..., max(-dy, 0) : 5 - max(dy, 0), max(-dx, 0) : 6 - max(dx, 0)] = x[
        ..., max(dy, 0) : 5 + min(dy, 0), max(dx, 0) : 6 + min(dx, 0)
    ]
    torch.testing.assert_close(flow_warp(x, flow), wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize("padding", ["zeros", "border"])
def test_gradients(padding: str) -> None:
    x, flow = maps(3, 4, 1, reach=1.5)
    assert torch.autograd.gradcheck(
        lambda a, b: flow_warp(a, b, padding), (x.requires_grad_(), flow.requires_grad_())
    )
