from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from microexp.superres._stylegan2 import (
    EqualLinear,
    Filter,
    ModulatedConv,
    StyleGAN2Generator,
    ToRGB,
    channels_at,
    upfirdn,
)
from microexp.superres._stylegan2_discriminator import StyleGAN2Discriminator, with_deviation


@pytest.mark.parametrize(("size", "count"), [(1024, 30_370_060), (256, 30_034_338)])
def test_counts_of_the_generator_are_the_published_ones(size: int, count: int) -> None:
    with torch.device("meta"):
        module = StyleGAN2Generator(size)
    assert sum(p.numel() for p in module.parameters()) == count


def test_the_count_of_the_discriminator_is_the_published_one() -> None:
    with torch.device("meta"):
        module = StyleGAN2Discriminator(1024)
    assert sum(p.numel() for p in module.parameters()) == 29_012_513


def test_channels_are_those_of_configuration_f() -> None:
    sizes = [2**n for n in range(2, 11)]
    assert [channels_at(size) for size in sizes] == [512, 512, 512, 512, 512, 256, 128, 64, 32]


def upfirdn_by_loops(
    plane: np.ndarray, kernel: np.ndarray, up: int, down: int, pad: tuple[int, int]
) -> np.ndarray:
    height, width = plane.shape
    padded = np.zeros((height * up + sum(pad), width * up + sum(pad)))
    for y in range(height):
        for x in range(width):
            padded[pad[0] + y * up, pad[0] + x * up] = plane[y, x]
    side = len(kernel)
    rows = range(0, padded.shape[0] - side + 1, down)
    columns = range(0, padded.shape[1] - side + 1, down)
    return np.array(
        [
            [
                sum(
                    kernel[side - 1 - i, side - 1 - j] * padded[y + i, x + j]
                    for i in range(side)
                    for j in range(side)
                )
                for x in columns
            ]
            for y in rows
        ]
    )


@settings(max_examples=25, deadline=None)
@given(
    height=st.integers(2, 5),
    width=st.integers(2, 5),
    side=st.integers(1, 4),
    up=st.integers(1, 3),
    down=st.integers(1, 3),
    before=st.integers(1, 3),
    after=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_upfirdn_is_what_loops_give(
    height: int, width: int, side: int, up: int, down: int, before: int, after: int, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    maps, kernel = generator.normal(size=(2, 2, height, width)), generator.normal(size=(side, side))
    found = upfirdn(torch.from_numpy(maps), torch.from_numpy(kernel), up, down, (before, after))
    for n in range(2):
        for c in range(2):
            wanted = upfirdn_by_loops(maps[n, c], kernel, up, down, (before, after))
            np.testing.assert_allclose(found[n, c].numpy(), wanted, atol=1e-12)


def test_the_filter_keeps_the_mean_when_it_doubles() -> None:
    flat = torch.full((1, 1, 6, 6), 0.7)
    doubled = Filter(gain=4, up=2, pad=(2, 1))(flat)
    assert doubled.shape == (1, 1, 12, 12)
    assert torch.allclose(doubled[..., 2:-2, 2:-2], torch.tensor(0.7))


def sample_weights(conv: ModulatedConv, style: Tensor) -> Tensor:
    """Return the weights of one sample as section 2.2 of the paper writes them (equations 1 and 3)."""
    outputs, inputs, side, _ = conv.weight_orig[0].shape
    linear = conv.style_modulation
    weights = torch.empty(outputs, inputs, side, side, dtype=style.dtype)
    factors = [
        linear.bias[i] + (linear.linear.weight_orig[i] * style).sum() / math.sqrt(len(style))
        for i in range(inputs)
    ]
    for o in range(outputs):
        for i in range(inputs):
            weights[o, i] = conv.weight_orig[0, o, i] / math.sqrt(inputs * side**2) * factors[i]
        if conv.demodulate:
            weights[o] = weights[o] / torch.sqrt((weights[o] ** 2).sum() + 1e-8)
    return weights


def conv_by_loops(x: Tensor, weights: Tensor) -> Tensor:
    outputs, _, side, _ = weights.shape
    _, height, width = x.shape
    edge = side // 2
    result = torch.zeros(outputs, height, width, dtype=x.dtype)
    for y in range(height):
        for z in range(width):
            for i in range(side):
                for j in range(side):
                    row, column = y + i - edge, z + j - edge
                    if 0 <= row < height and 0 <= column < width:
                        result[:, y, z] += weights[:, :, i, j] @ x[:, row, column]
    return result


def scattered_by_loops(x: Tensor, weights: Tensor) -> Tensor:
    """Every pixel puts its kernel into a map of twice the size: a transposed convolution."""
    outputs, _, side, _ = weights.shape
    _, height, width = x.shape
    result = torch.zeros(outputs, 2 * height + side - 2, 2 * width + side - 2, dtype=x.dtype)
    for y in range(height):
        for z in range(width):
            for i in range(side):
                for j in range(side):
                    result[:, 2 * y + i, 2 * z + j] += weights[:, :, i, j] @ x[:, y, z]
    return result


@pytest.mark.parametrize(("side", "demodulate"), [(3, True), (1, False)])
def test_modulated_convolution_is_what_loops_give(side: int, demodulate: bool) -> None:
    conv = ModulatedConv(3, 4, side, 5, demodulate).double()
    x, style = torch.randn(2, 3, 4, 3).double(), torch.randn(2, 5).double()
    with torch.no_grad():
        found = conv(x, style)
        for n in range(2):
            assert torch.allclose(found[n], conv_by_loops(x[n], sample_weights(conv, style[n])))


def test_modulated_convolution_to_twice_the_size_is_what_loops_give() -> None:
    conv = ModulatedConv(3, 2, 3, 5, up=True).double()
    x, style = torch.randn(2, 3, 4, 3).double(), torch.randn(2, 5).double()
    taps = np.array([1, 3, 3, 1]) / 8
    with torch.no_grad():
        found = conv(x, style)
        assert found.shape == (2, 2, 8, 6)
        for n in range(2):
            spread = scattered_by_loops(x[n], sample_weights(conv, style[n])).numpy()
            for o in range(2):
                wanted = upfirdn_by_loops(spread[o], 4 * np.outer(taps, taps), 1, 1, (1, 1))
                np.testing.assert_allclose(found[n, o].numpy(), wanted, atol=1e-7)


def test_demodulated_output_does_not_depend_on_the_strength_of_the_style() -> None:
    conv = ModulatedConv(8, 4, 3, 6).double()
    torch.nn.init.zeros_(conv.style_modulation.bias)
    x, style = torch.randn(1, 8, 5, 5).double(), torch.randn(1, 6).double()
    assert torch.allclose(conv(x, style), conv(x, 50 * style), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("up", [False, True])
def test_gradients_of_the_modulated_convolution(up: bool) -> None:
    conv = ModulatedConv(2, 2, 3, 3, up=up).double()
    x = torch.randn(2, 2, 3, 2, dtype=torch.double, requires_grad=True)
    style = torch.randn(2, 3, dtype=torch.double, requires_grad=True)

    def output(x: Tensor, style: Tensor, weight: Tensor) -> Tensor:
        return torch.func.functional_call(conv, {"weight_orig": weight}, (x, style))

    assert torch.autograd.gradcheck(output, (x, style, conv.weight_orig))


def test_gradients_of_upfirdn() -> None:
    x = torch.randn(1, 2, 3, 2, dtype=torch.double, requires_grad=True)
    kernel = torch.randn(3, 3, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, k: upfirdn(x, k, 2, 1, (2, 1)), (x, kernel))


def test_equalised_weights_keep_the_variance() -> None:
    layer = EqualLinear(400, 2000, lr_mul=0.01)
    with torch.inference_mode():
        output = layer(torch.randn(20, 400))
    assert 0.9 < float(output.var()) < 1.1
    assert abs(float(layer.linear.weight_orig.detach().std()) - 100) < 1


def test_the_picture_is_the_sum_of_the_sizes() -> None:
    layer = ToRGB(4, 6)
    x, style, smaller = torch.randn(2, 4, 8, 8), torch.randn(2, 6), torch.randn(2, 3, 4, 4)
    with torch.no_grad():
        doubled = layer(x, style, smaller) - layer(x, style)
        assert torch.allclose(doubled, Filter(gain=4, up=2, pad=(2, 1))(smaller), atol=1e-5)


def test_pictures_are_the_same_for_the_same_vector_and_differ_for_others() -> None:
    generator = StyleGAN2Generator(16, channels=16)
    vectors = torch.randn(2, 16)
    with torch.inference_mode():
        pictures = generator(vectors)
        again = generator(vectors[:1])
    assert pictures.shape == (2, 3, 16, 16)
    assert torch.allclose(pictures[:1], again, atol=1e-5)
    assert not torch.allclose(pictures[0], pictures[1], atol=1e-2)


def test_each_size_has_its_styles() -> None:
    generator = StyleGAN2Generator(16, channels=8)
    assert generator.styles == 6
    styles = torch.randn(1, 6, 8, requires_grad=True)
    (gradient,) = torch.autograd.grad(generator.picture(styles).square().sum(), styles)
    assert bool((gradient.abs().sum(dim=(0, 2)) > 0).all())
    sides = [generator.noise(i).shape[-1] for i in range(5)]
    assert sides == [4, 8, 8, 16, 16]


def test_equal_pictures_have_no_deviation() -> None:
    features = torch.randn(1, 3, 4, 4).expand(4, -1, -1, -1)
    assert torch.allclose(with_deviation(features)[:, 3], torch.tensor(1e-4))


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_the_deviation_is_that_of_each_group(count: int) -> None:
    features = torch.randn(count, 3, 2, 2)
    group = {1: 1, 2: 2, 3: 1, 8: 4}[count]
    found = with_deviation(features)
    for n in range(count):
        members = features[n % (count // group) :: count // group]
        wanted = members.numpy().std(axis=0).mean()
        np.testing.assert_allclose(found[n, 3].numpy(), wanted, atol=2e-4)


def test_the_discriminator_learns_to_tell_bright_from_dark() -> None:
    torch.manual_seed(0)
    discriminator = StyleGAN2Discriminator(16, channels=16)
    optimiser = torch.optim.Adam(discriminator.parameters(), 1e-2)
    bright, dark = 0.5 + 0.5 * torch.rand(4, 3, 16, 16), 0.5 * torch.rand(4, 3, 16, 16)
    for _ in range(20):
        logits = torch.cat([discriminator(bright), -discriminator(dark)])
        loss = torch.nn.functional.softplus(-logits).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.inference_mode():
        assert float(discriminator(bright).min()) > 0 > float(discriminator(dark).max())
