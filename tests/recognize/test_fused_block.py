"""The fused block against PyTorch's own layers."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from microexp.recognize._fused_block import (
    conv_relu_norm_pool,
    conv_relu_pool_affine,
    half_dropout,
    window_patches,
)

EPS = 1e-5


def plain(images: Tensor, weight: Tensor, bias: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    active = F.relu(F.conv2d(images, weight, bias, padding=2))
    return F.max_pool2d(F.batch_norm(active, None, None, scale, shift, training=True, eps=EPS), 3, 3, 1)


def leaves(seed: int, channels: int, filters: int, negative: bool) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    scale = torch.rand(filters, generator=generator) + 0.5
    if negative:
        scale[::2] *= -1
    values = [
        torch.randn(filters, channels, 3, 3, generator=generator),
        torch.randn(filters, generator=generator),
        scale,
        torch.randn(filters, generator=generator),
    ]
    return [v.double().requires_grad_() for v in values]


@settings(deadline=None, max_examples=20)
@given(
    seed=st.integers(0, 2**16),
    n=st.integers(1, 19),
    side=st.sampled_from([4, 7, 10, 28]),
    channels=st.integers(1, 3),
    negative=st.booleans(),
)
def test_values_and_gradients_are_those_of_the_plain_layers(
    seed: int, n: int, side: int, channels: int, negative: bool
) -> None:
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(n, channels, side, side, generator=generator).double()
    images[:, :, : side // 2] = 0.5  # flat areas: equal maxima, of which max-pool takes the first
    ours, theirs = (leaves(seed, channels, 4, negative) for _ in range(2))
    expected = plain(images, *theirs)
    pooled, mean, variance = conv_relu_norm_pool(window_patches(images), *ours, eps=EPS)
    assert torch.allclose(pooled, expected.flatten(2).transpose(1, 2), atol=1e-9)
    upstream = torch.randn(expected.shape, generator=generator).double()
    expected.backward(upstream)
    pooled.backward(upstream.flatten(2).transpose(1, 2))
    for a, b in zip(ours, theirs, strict=True):
        assert torch.allclose(a.grad, b.grad, atol=1e-8 * max(1.0, float(b.grad.abs().max())))
    active = F.relu(F.conv2d(images, theirs[0], theirs[1], padding=2))
    assert torch.allclose(mean, active.mean((0, 2, 3)))
    assert torch.allclose(variance, active.var((0, 2, 3), unbiased=True))


@pytest.mark.parametrize("negative", [False, True])
def test_with_fixed_statistics(negative: bool) -> None:
    images = torch.rand(11, 3, 28, 28).double()
    weight, bias, scale, shift = leaves(0, 3, 16, negative)
    active = F.relu(F.conv2d(images, weight, bias, padding=2))
    expected = F.max_pool2d(active * scale[:, None, None] + shift[:, None, None], 3, 3, 1)
    ours = conv_relu_pool_affine(window_patches(images), weight, bias, scale, shift)
    assert torch.allclose(ours, expected.flatten(2).transpose(1, 2))


def test_every_position_of_the_map_is_laid_out_once() -> None:
    images = torch.rand(1, 1, 28, 28)
    patches = window_patches(images)
    assert patches.shape == (1, 9, 100, 10)
    direct = F.unfold(images, 3, padding=2)[0].T
    rows = {tuple(r) for r in patches[0, ..., :9].reshape(-1, 9).tolist()}
    assert rows == {tuple(r) for r in direct.tolist()}


def test_half_dropout_drops_half_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    x = torch.ones(333, 1001)
    y = half_dropout(x)
    assert set(y.unique().tolist()) == {0.0, 2.0}
    assert float(y.mean()) == pytest.approx(1.0, abs=0.01)
    flat = y.flatten() - 1  # neighbouring bits of one random word must not go together
    for lag in (1, 2, 15, 16, 17, 31):
        assert abs(float((flat[lag:] * flat[:-lag]).mean())) < 0.01


def test_half_dropout_passes_the_gradient_of_what_it_keeps() -> None:
    x = torch.ones(64, requires_grad=True)
    y = half_dropout(x)
    y.sum().backward()
    assert (x.grad == y.detach()).all()


def test_the_block_is_a_drop_in_for_a_module() -> None:
    norm = nn.BatchNorm2d(4)
    conv = nn.Conv2d(2, 4, 3, padding=2)
    images = torch.rand(5, 2, 10, 10)
    expected = F.max_pool2d(norm(F.relu(conv(images))), 3, 3, 1)
    ours, _, _ = conv_relu_norm_pool(
        window_patches(images), conv.weight, conv.bias, norm.weight, norm.bias, eps=norm.eps
    )
    assert torch.allclose(ours, expected.flatten(2).transpose(1, 2), atol=1e-5)
