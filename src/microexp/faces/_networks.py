"""The networks of face-api as PyTorch modules, and their weights, which ship with the package.

The weights are those of the npm package ``@vladmandic/face-api`` 1.7.15 (MIT, see ``NOTICE``), 8 bits with a
scale a tensor, converted by ``scripts/convert_faceapi.py``. Nobody trains them here.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from microexp.errors import WeightsError
from microexp.weights import load_into, read_weights

WEIGHTS = Path(__file__).with_name("faceapi.safetensors")
WEIGHTS_SHA256 = "c9d1e049cf67ab9f10d53ae6beb90f0a9fa1eba142af0c110566004f31326af6"
ANCHORS = (
    (1.603231, 2.094468),
    (6.041143, 7.080126),
    (2.882459, 3.518061),
    (4.266906, 5.178857),
    (9.041765, 10.66308),
)  # widths and heights, in cells of the grid
_Net = TypeVar("_Net", bound=nn.Module)
CROP = 112  # side of the picture that the landmark networks take, pixels


class Separable(nn.Module):
    """A depthwise and a pointwise convolution, no activation between; TensorFlow's "same" padding."""

    def __init__(self, n_in: int, n_out: int, stride: int = 1) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(n_in, n_in, 3, stride, groups=n_in, bias=False, padding=2 - stride)
        self.pointwise = nn.Conv2d(n_in, n_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, n_in, H, W)`` to ``(N, n_out, H / stride, W / stride)``."""
        return self.pointwise(self.depthwise(_pad_end(x) if self.depthwise.stride[0] == 2 else x))


class TinyFaceDetector(nn.Module):
    """Five boxes a cell of 32 pixels: ``(N, 3, S, S)`` pictures to ``(N, 5, 5, S/32, S/32)``.

    Pictures are RGB of 0 to 255, S a multiple of 32. The third axis holds the logits of the centre's x and y
    within the cell, the logarithms of width and height relative to `ANCHORS`, and the logit of the score.
    """

    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 16, 32, 64, 128, 256, 512)
        self.conv0 = nn.Conv2d(3, 16, 3)
        for i in range(1, 6):
            self.add_module(f"conv{i}", Separable(widths[i], widths[i + 1]))
        self.conv8 = nn.Conv2d(512, 25, 1)
        self.register_buffer("mean", _column(117.001, 114.697, 97.404), persistent=False)

    def forward(self, pictures: Tensor) -> Tensor:
        x = self.conv0((pictures - self.mean).div_(255))
        # The original pools after the activation. That rises, so the order does not matter; and filling fresh
        # memory takes longer than the convolutions.
        for i in range(1, 6):
            x = F.leaky_relu(F.max_pool2d(x, 2, ceil_mode=True), 0.1, inplace=True)
            x = self.get_submodule(f"conv{i}")(x)
        x = F.leaky_relu(F.max_pool2d(_pad_end(x, -torch.inf), 2, 1), 0.1, inplace=True)
        return self.conv8(x).unflatten(1, (5, 5))


class DenseBlock(nn.Module):
    """Convolutions, the first of stride 2, each after the sum of all before it."""

    def __init__(self, n_in: int, n_out: int, depth: int) -> None:
        super().__init__()
        first = nn.Conv2d(3, n_out, 3, 2) if n_in == 3 else Separable(n_in, n_out, 2)
        self.add_module("conv0", first)
        for i in range(1, depth):
            self.add_module(f"conv{i}", Separable(n_out, n_out))

    def forward(self, x: Tensor) -> Tensor:
        """``(N, n_in, H, W)`` to ``(N, n_out, H / 2, W / 2)``."""
        first, *others = self.children()
        total = F.relu(first(_pad_end(x) if isinstance(first, nn.Conv2d) else x))
        for convolution in others:  # outputs are summed before, not after, their activation
            total = convolution(F.relu(total)).add_(total)
        return F.relu_(total)


class LandmarkNet(nn.Module):
    """``(N, 3, 112, 112)`` RGB of 0 to 255 to 68 landmarks ``(N, 68, 2)``: x, y as fractions of the side.

    Parameters
    ----------
    tiny : bool
        The smaller network of three blocks of three convolutions, in place of four of four.
    """

    mean: Tensor

    def __init__(self, tiny: bool = False) -> None:
        super().__init__()
        widths = (3, 32, 64, 128) if tiny else (3, 32, 64, 128, 256)
        for i, (n_in, n_out) in enumerate(pairwise(widths)):
            self.add_module(f"dense{i}", DenseBlock(n_in, n_out, depth=len(widths) - 1))
        self.fc = nn.Linear(widths[-1], 136)
        self.register_buffer("mean", _column(122.782, 117.001, 104.298), persistent=False)

    def forward(self, crops: Tensor) -> Tensor:
        x = (crops - self.mean).div_(255)
        *blocks, fc = self.children()
        for block in blocks:
            x = block(x)
        return fc(x.mean((2, 3))).unflatten(1, (68, 2))


@lru_cache(maxsize=1)
def detector() -> TinyFaceDetector:
    """The face detector with its weights; one a process, not to be changed."""
    return _filled(TinyFaceDetector(), "detector")


@lru_cache(maxsize=2)
def landmark_net(tiny: bool = False) -> LandmarkNet:
    """The landmark network with its weights; one a process, not to be changed."""
    return _filled(LandmarkNet(tiny), "landmarks_tiny" if tiny else "landmarks")


def shipped_weights(file: Path = WEIGHTS) -> dict[str, Tensor]:
    """Return the shipped tensors as float32, by ``<network>.<key>``.

    Raises
    ------
    WeightsError
        If the file is missing or is not the one that was shipped.
    """
    if not file.is_file():
        raise WeightsError(f"{file} is missing: install microexp anew")
    if hashlib.sha256(file.read_bytes()).hexdigest() != WEIGHTS_SHA256:
        raise WeightsError(f"{file} is not the file that microexp ships: install microexp anew")
    stored = read_weights(file)
    keys = [key for key in stored if not key.endswith(".range")]
    return {key: stored[key] * stored[f"{key}.range"][0] + stored[f"{key}.range"][1] for key in keys}


def _filled(network: _Net, prefix: str) -> _Net:
    weights = {
        k.removeprefix(f"{prefix}."): v for k, v in shipped_weights().items() if k.startswith(f"{prefix}.")
    }
    load_into(network, weights, WEIGHTS)
    network.eval().requires_grad_(False)
    for parameter in network.parameters():
        if parameter.ndim == 4:  # this order of memory is five times as fast on a CPU
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return network


def _pad_end(x: Tensor, value: float = 0.0) -> Tensor:
    """Pad one pixel at the right and at the bottom, as TensorFlow does for even sizes."""
    return F.pad(x, (0, 1, 0, 1), value=value)


def _column(*values: float) -> Tensor:
    return torch.tensor(values)[:, None, None]
