"""The fused block against PyTorch's own layers."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from microexp.recognize._fused_block import conv_relu_norm_pool

EPS = 1e-5


def plain(images: Tensor, weight: Tensor, bias: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    active = F.relu(F.conv2d(images, weight, bias, padding=2))
    return F.max_pool2d(F.batch_norm(active, None, None, scale, shift, training=True, eps=EPS), 3, 3, 1)


def leaves(seed: int, filters: int, negative: bool, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    scale = torch.rand(filters, generator=generator) + 0.5
    if negative:
        scale[::2] *= -1
    values = [
        torch.randn(filters, 3, 3, 3, generator=generator),
        torch.randn(filters, generator=generator),
        scale,
        torch.randn(filters, generator=generator),
    ]
    return [v.to(dtype).requires_grad_() for v in values]


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**16), n=st.integers(1, 9), filters=st.integers(1, 16), negative=st.booleans())
def test_values_and_gradients_are_those_of_the_plain_layers(
    seed: int, n: int, filters: int, negative: bool
) -> None:
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(n, 3, 28, 28, generator=generator).double()
    images[:, :, :14] = 0.5  # flat areas: equal maxima, of which max-pool takes one
    ours, theirs = (leaves(seed, filters, negative) for _ in range(2))
    expected = plain(images, *theirs)
    pooled, mean, variance = conv_relu_norm_pool(images, *ours, eps=EPS)
    assert torch.allclose(pooled, expected, atol=1e-9)
    upstream = torch.randn(expected.shape, generator=generator).double()
    expected.backward(upstream)
    pooled.backward(upstream)
    for a, b in zip(ours, theirs, strict=True):
        assert torch.allclose(a.grad, b.grad, atol=1e-8 * max(1.0, float(b.grad.abs().max())))
    active = F.relu(F.conv2d(images, theirs[0], theirs[1], padding=2))
    assert torch.allclose(mean, active.mean((0, 2, 3)))
    assert torch.allclose(variance, active.var((0, 2, 3), unbiased=True))


def test_single_precision_agrees_to_its_own_rounding() -> None:
    images = torch.rand(40, 3, 28, 28, generator=torch.Generator().manual_seed(1)) * 255
    ours, theirs = (leaves(1, 16, True, torch.float32) for _ in range(2))
    pooled, expected = conv_relu_norm_pool(images, *ours, eps=EPS)[0], plain(images, *theirs)
    assert torch.allclose(pooled, expected, atol=1e-4)
    upstream = torch.randn(expected.shape, generator=torch.Generator().manual_seed(2))
    for result in (pooled, expected):
        result.backward(upstream)
    for a, b in zip(ours, theirs, strict=True):
        assert torch.allclose(a.grad, b.grad, rtol=1e-3, atol=1e-3 * float(b.grad.abs().max()))
