"""Counts of networks against closed forms."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from microexp import magnify, recognize
from microexp.clip import Clip
from microexp.errors import OptionError
from microexp.motion.flow_image import FlowImage
from microexp.recognize.complexity import complexity, count_parameters, magnification_complexity
from microexp.recognize.torch_base import TorchRecognizer
from microexp.train import Recipe


class Given(TorchRecognizer):
    """A recogniser whose network and shape of the input are given."""

    feature_ndim = 4

    def __init__(self, network: Callable[[int], nn.Module], shape: tuple[int, int, int]) -> None:
        self.network, self.shape = network, shape
        self.random_state, self.device, self.verbose = 0, "cpu", False

    def describe(self, clips: Sequence[Clip]) -> np.ndarray:
        return np.zeros((len(clips), *self.shape), np.float32)

    def build(self, n_classes: int) -> nn.Module:
        return self.network(n_classes)

    def recipe(self) -> Recipe:
        return Recipe()


class Attention(nn.Module):
    """Each row of a picture is a token."""

    def __init__(self, tokens: int, width: int, n_classes: int) -> None:
        super().__init__()
        self.qkv, self.head = nn.Linear(width, 3 * width), nn.Linear(tokens * width, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.qkv(x).chunk(3, dim=-1)
        return self.head(F.scaled_dot_product_attention(query, key, value).flatten(1))


def test_off_apexnet_layer_by_layer() -> None:
    found = complexity(recognize.create("off_apexnet", device="cpu"))
    stream = 28**2 * 5**2 * 1 * 6 + 14**2 * 5**2 * 6 * 16
    assert found.multiply_adds == 2 * stream + 2 * 16 * 7**2 * 1024 + 1024**2 + 1024 * 3
    assert found.parameters == count_parameters(recognize.create("off_apexnet", device="cpu")) == 2_664_475
    assert found.input_shape == (2, 28, 28)


@given(
    side=st.integers(3, 12),
    kernel=st.integers(1, 3),
    stride=st.integers(1, 2),
    padding=st.integers(0, 1),
    groups=st.integers(1, 3),
    maps=st.integers(1, 3),
    n_classes=st.integers(2, 5),
)
def test_a_convolution_has_its_closed_form(
    side: int, kernel: int, stride: int, padding: int, groups: int, maps: int, n_classes: int
) -> None:
    taken, given_ = 2 * groups, maps * groups
    reached = (side + 2 * padding - kernel) // stride + 1

    def network(n_classes: int) -> nn.Module:
        conv = nn.Conv2d(taken, given_, kernel, stride, padding, groups=groups)
        rest = (nn.BatchNorm2d(given_), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        return nn.Sequential(conv, *rest, nn.Linear(given_, n_classes))

    found = complexity(Given(network, (taken, side, side)), n_classes)
    assert found.multiply_adds == reached**2 * kernel**2 * 2 * given_ + given_ * n_classes
    assert found.parameters == kernel**2 * 2 * given_ + given_ + 2 * given_ + (given_ + 1) * n_classes


def test_attention_is_two_products_a_token_and_token_though_kernels_fuse_them() -> None:
    heads, tokens, width = 2, 7, 5
    found = complexity(Given(lambda n: Attention(heads * tokens, width, n), (heads, tokens, width)))
    projections = heads * tokens * width * 3 * width
    products = 2 * heads * tokens**2 * width
    assert found.multiply_adds == projections + products + heads * tokens * width * 3


def test_the_input_is_that_of_the_settings() -> None:
    found = complexity(recognize.create("rcn_a", motion=FlowImage(size=60), device="cpu"))
    assert found.input_shape == (3, 60, 60)
    first, pooled = 56**2 * 5**2 * 3 * 32, 28**2 * (32**2 + 2 * 3**2 * 32**2)
    assert found.multiply_adds == first + pooled + 2 * 32 * 5**2 * 3  # the classifier, and its attention


def test_a_magnification_network_is_counted_with_its_onset() -> None:
    found = magnification_complexity(magnify.create("lvmm"))
    assert found.parameters == 918_928
    half, quarter = 56**2, 28**2
    residual = 2 * 9 * 32**2
    encoder = 112**2 * 49 * 3 * 16 + half * (9 * 16 * 32 + 3 * residual)
    shape, texture = half * 2 * residual, quarter * (9 * 32**2 + 2 * residual)
    manipulator = half * (49 * 32**2 + 9 * 32**2 + residual)
    decoder = half * (9 * 32**2 + 9 * 2 * 9 * 64**2) + 112**2 * (9 * 64 * 32 + 49 * 32 * 3)
    least = 2 * (encoder + shape) + texture + manipulator + decoder
    assert found.multiply_adds in (least, least + texture)  # the onset's texture is not needed


def test_counting_draws_no_random_number() -> None:
    before = torch.get_rng_state()
    complexity(recognize.create("ststnet", device="cpu"))
    assert torch.equal(torch.get_rng_state(), before)


def test_what_has_nothing_to_count_is_refused() -> None:
    with pytest.raises(OptionError, match="LinearSVM is no network: there is nothing to count"):
        complexity(recognize.create("linear_svm"))
    with pytest.raises(OptionError, match="2 classes or more apart, not 1"):
        complexity(recognize.create("ststnet", device="cpu"), n_classes=1)
