from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from microexp.superres._deform import DeformPack, deform_conv2d
from tests.superres.golden import assert_golden, pattern

CASES = [
    {},
    {"padding": 1, "deform_groups": 2},
    {"stride": 2, "padding": 1, "groups": 2, "deform_groups": 4},
    {"padding": 2, "dilation": 2, "groups": 4},
    {"stride": 2, "padding": 3, "dilation": 2, "groups": 2, "deform_groups": 2},
]


def inputs(
    seed: int = 0,
    count: int = 2,
    size: tuple[int, int] = (5, 6),
    kernel: tuple[int, int] = (3, 3),
    outputs: int = 4,
    **options: int,
) -> list[Tensor]:
    """Return map of 4 channels, offsets, mask, weights and biases for a case, ``float64``."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64) - 0.5

    stride, padding, dilation = (
        options.get(k, d) for k, d in (("stride", 1), ("padding", 0), ("dilation", 1))
    )
    out = [
        (s + 2 * padding - dilation * (k - 1) - 1) // stride + 1 for s, k in zip(size, kernel, strict=True)
    ]
    taps = options.get("deform_groups", 1) * math.prod(kernel)
    return [
        draw(count, 4, *size),
        6 * draw(count, 2 * taps, *out),
        draw(count, taps, *out),
        draw(outputs, 4 // options.get("groups", 1), *kernel),
        draw(outputs),
    ]


def at(plane: Tensor, y: float, x: float) -> float:
    """Return a plane's value between its pixels; pixels outside are 0."""
    total, top, left = 0.0, math.floor(y), math.floor(x)
    for row in (top, top + 1):
        for column in (left, left + 1):
            if 0 <= row < plane.shape[0] and 0 <= column < plane.shape[1]:
                total += float(plane[row, column]) * (1 - abs(y - row)) * (1 - abs(x - column))
    return total


def by_definition(
    x: Tensor,
    offset: Tensor,
    mask: Tensor,
    weight: Tensor,
    bias: Tensor,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    groups: int = 1,
    deform_groups: int = 1,
) -> Tensor:
    """Sum over channels and taps, pixel by pixel."""
    channels, (outputs, per_group, kernel_height, kernel_width) = x.shape[1], weight.shape
    out = torch.empty(len(x), outputs, *offset.shape[2:], dtype=x.dtype)
    for n, o, row, column in np.ndindex(*out.shape):
        total = float(bias[o])
        for i, ky, kx in np.ndindex(per_group, kernel_height, kernel_width):
            c = o // (outputs // groups) * per_group + i
            g = c * deform_groups // channels
            k = g * kernel_height * kernel_width + ky * kernel_width + kx
            y = row * stride - padding + ky * dilation + float(offset[n, 2 * k, row, column])
            z = column * stride - padding + kx * dilation + float(offset[n, 2 * k + 1, row, column])
            total += float(weight[o, i, ky, kx]) * float(mask[n, k, row, column]) * at(x[n, c], y, z)
        out[n, o, row, column] = total
    return out


def test_golden_output() -> None:
    out = deform_conv2d(
        pattern(1, 4, 8, 8),
        (pattern(1, 36, 8, 8) - 0.5) * 4,
        pattern(1, 18, 8, 8).flip(2),
        pattern(6, 4, 3, 3) - 0.5,
        torch.linspace(-1, 1, 6),
        padding=1,
        deform_groups=2,
    )
    std = 0.766366 * math.sqrt(383 / 384)  # this one is written down with N - 1 for the 384 values
    assert_golden(out, 0.04702895, std, -0.7429993, 0.4576557, 0.9409795)


@pytest.mark.parametrize("case", CASES)
def test_it_is_the_sum_over_channels_and_taps(case: dict[str, int]) -> None:
    arguments = inputs(count=1, **case)
    torch.testing.assert_close(deform_conv2d(*arguments, **case), by_definition(*arguments, **case))


@pytest.mark.parametrize("kernel", [(1, 1), (1, 3), (2, 3)])
@pytest.mark.parametrize("size", [(1, 5), (4, 1), (1, 1)])
def test_other_kernels_and_maps_of_one_row(kernel: tuple[int, int], size: tuple[int, int]) -> None:
    arguments = inputs(1, 1, size, kernel, padding=1)
    arguments[1] /= 3
    torch.testing.assert_close(deform_conv2d(*arguments, padding=1), by_definition(*arguments, padding=1))


@settings(max_examples=30, deadline=None)
@given(
    stride=st.integers(1, 3),
    padding=st.integers(0, 2),
    dilation=st.integers(1, 2),
    groups=st.sampled_from([1, 2, 4]),
    deform_groups=st.sampled_from([1, 2, 4]),
)
def test_without_offsets_it_is_a_convolution(deform_groups: int, **options: int) -> None:
    x, offset, mask, weight, bias = inputs(deform_groups=deform_groups, **options)
    still, whole = torch.zeros_like(offset), torch.ones_like(mask)
    out = deform_conv2d(x, still, whole, weight, bias, deform_groups=deform_groups, **options)
    torch.testing.assert_close(out, F.conv2d(x, weight, bias, **options))
    out = deform_conv2d(x, still, 3 * whole, weight, None, deform_groups=deform_groups, **options)
    torch.testing.assert_close(out, 3 * F.conv2d(x, weight, **options))


@pytest.mark.parametrize("case", CASES)
def test_onnxruntime_gives_the_same(case: dict[str, int]) -> None:
    helper = pytest.importorskip("onnx.helper")
    runtime = pytest.importorskip("onnxruntime")
    x, offset, mask, weight, bias = (a.float() for a in inputs(**case))
    feeds = {"x": x, "weight": weight, "offset": offset, "bias": bias, "mask": mask}
    options: dict[str, Any] = {
        "strides": [case.get("stride", 1)] * 2,
        "pads": [case.get("padding", 0)] * 4,
        "dilations": [case.get("dilation", 1)] * 2,
        "group": case.get("groups", 1),
        "offset_group": case.get("deform_groups", 1),
    }
    real = 1  # TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("DeformConv", list(feeds), ["out"], **options)],
        "deform",
        [helper.make_tensor_value_info(name, real, value.shape) for name, value in feeds.items()],
        [helper.make_tensor_value_info("out", real, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (wanted,) = session.run(None, {name: value.numpy() for name, value in feeds.items()})
    out = deform_conv2d(x, offset, mask, weight, bias, **case)
    torch.testing.assert_close(out, torch.from_numpy(wanted), atol=1e-5, rtol=0)


@pytest.mark.parametrize("case", CASES[1:4:2])
def test_gradients(case: dict[str, int]) -> None:
    arguments = [a.requires_grad_() for a in inputs(2, 1, (3, 4), **case)]
    assert torch.autograd.gradcheck(lambda *a: deform_conv2d(*a, **case), arguments)


def test_a_new_pack_is_half_a_convolution() -> None:
    pack = DeformPack(4, 6, deform_groups=2)
    shapes = {name: tuple(value.shape) for name, value in pack.state_dict().items()}
    assert shapes == {
        "weight": (6, 4, 3, 3),
        "bias": (6,),
        "conv_offset.weight": (54, 4, 3, 3),
        "conv_offset.bias": (54,),
    }
    x, other = torch.rand(2, 1, 4, 7, 5)
    wanted = F.conv2d(x, pack.weight / 2, pack.bias, padding=1)
    torch.testing.assert_close(pack(x, other), wanted)


def test_a_pack_looks_where_the_other_map_says() -> None:
    pack = DeformPack(4, 6, deform_groups=2)
    with torch.no_grad():
        pack.conv_offset.bias[36:] = 100  # masks of 1
        pack.conv_offset.weight[:36:2, 0, 1, 1] = 1  # dy: one channel of the other map
        pack.conv_offset.weight[1:36:2, 1, 1, 1] = 1  # dx: the next one
    x = torch.rand(1, 4, 8, 9)
    other = torch.zeros(1, 4, 8, 9)
    other[:, 0], other[:, 1] = 2, -1
    shifted = F.pad(x, (1, 0, 0, 2))[..., 2:, :9]
    wanted = F.conv2d(shifted, pack.weight, pack.bias, padding=1)
    # At the border a shifted map is not a map with shifted borders.
    torch.testing.assert_close(pack(x, other)[..., 1:-3, 2:-1], wanted[..., 1:-3, 2:-1], atol=1e-5, rtol=0)
