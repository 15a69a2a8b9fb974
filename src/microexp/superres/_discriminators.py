"""Networks that tell restored pictures from true ones; adversarial recipes train against them."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import spectral_norm

from microexp.errors import DataError, OptionError
from microexp.superres._layers import conv3, enlarged

_SLOPE = 0.2
_STAGES = 5
_HIDDEN = 100


class VGG128Discriminator(nn.Module):
    """The VGG-like discriminator that SRGAN and ESRGAN are trained against in today's code bases.

    Five stages of two convolutions (3x3, then 4x4 that halves the size), of C, 2C, 4C, 8C and 8C channels,
    all but the very first with batch norm, all with LeakyReLU 0.2; then two dense layers. After Ledig et al.
    (2017), Section 2.1.1, which has eight convolutions of 3x3 and a hidden layer of 1024.

    Parameters
    ----------
    channels : int
        Of the first stage, C.
    input_size : int
        Height and width of the pictures it takes, a multiple of 32; published weights are for 128.

    Raises
    ------
    OptionError
        If a parameter cannot be used.
    """

    def __init__(self, channels: int = 64, input_size: int = 128) -> None:
        super().__init__()
        if channels < 1 or input_size < 1 or input_size % 2**_STAGES:
            raise OptionError(
                "the VGG discriminator needs at least 1 channel and an input_size that is a multiple of "
                f"{2**_STAGES}, got {channels} and {input_size}"
            )
        self.input_size = input_size
        width = 3
        for stage in range(_STAGES):
            before, width = width, channels * min(2**stage, 8)
            first = nn.Conv2d(before, width, 3, 1, 1, bias=stage == 0)
            self.add_module(f"conv{stage}_0", first)
            if stage > 0:
                self.add_module(f"bn{stage}_0", nn.BatchNorm2d(width))
            self.add_module(f"conv{stage}_1", nn.Conv2d(width, width, 4, 2, 1, bias=False))
            self.add_module(f"bn{stage}_1", nn.BatchNorm2d(width))
        self.linear1 = nn.Linear(width * (input_size // 2**_STAGES) ** 2, _HIDDEN)
        self.linear2 = nn.Linear(_HIDDEN, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, 1)``, the logit of being true, of pictures ``(N, 3, input_size, input_size)``.

        Raises
        ------
        DataError
            If the pictures have another size.
        """
        if x.shape[-2:] != (self.input_size, self.input_size):
            raise DataError(
                f"this discriminator takes pictures of {self.input_size} x {self.input_size} pixels, got "
                f"{x.shape[-2]} x {x.shape[-1]}; train with patches of that size"
            )
        layers = dict(self.named_children())
        for stage in range(_STAGES):
            for place in (0, 1):
                x = layers[f"conv{stage}_{place}"](x)
                norm = layers.get(f"bn{stage}_{place}")
                x = F.leaky_relu(x if norm is None else norm(x), _SLOPE)
        return self.linear2(F.leaky_relu(self.linear1(x.flatten(1)), _SLOPE))


class UNetDiscriminator(nn.Module):
    """The U-Net with spectral norm that Real-ESRGAN is trained against: a logit for each pixel.

    Three convolutions that halve the size (4x4), three that follow a bilinear enlargement (3x3), each of
    which the map of the same size on the way down is added to, then three more; LeakyReLU 0.2. Wang et al.
    (2021), Section 3.3.

    Parameters
    ----------
    channels : int
        At the full size; 2, 4 and 8 times as many further down.

    Raises
    ------
    OptionError
        If `channels` is less than 1.
    """

    aliases: ClassVar[tuple[tuple[str, str], ...]] = ((r"^conv(?=\d)", "conv_"),)  # BasicSR's key names

    def __init__(self, channels: int = 64) -> None:
        super().__init__()
        if channels < 1:
            raise OptionError(f"the U-Net discriminator needs at least 1 channel, got {channels}")
        self.conv_0 = conv3(3, channels)
        self.conv_1 = _normed(channels, channels * 2, halves=True)
        self.conv_2 = _normed(channels * 2, channels * 4, halves=True)
        self.conv_3 = _normed(channels * 4, channels * 8, halves=True)
        self.conv_4 = _normed(channels * 8, channels * 4)
        self.conv_5 = _normed(channels * 4, channels * 2)
        self.conv_6 = _normed(channels * 2, channels)
        self.conv_7 = _normed(channels, channels)
        self.conv_8 = _normed(channels, channels)
        self.conv_9 = conv3(channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, 1, H, W)``, the logit of being true, of pictures ``(N, 3, H, W)``.

        Raises
        ------
        DataError
            If height or width is no multiple of 8.
        """
        if x.shape[-2] % 8 or x.shape[-1] % 8:
            raise DataError(
                "the U-Net discriminator takes pictures whose height and width are multiples of 8, got "
                f"{x.shape[-2]} x {x.shape[-1]}"
            )
        downward = []
        for layer in (self.conv_0, self.conv_1, self.conv_2):
            x = F.leaky_relu(layer(x), _SLOPE)
            downward.append(x)
        x = F.leaky_relu(self.conv_3(x), _SLOPE)
        for layer in (self.conv_4, self.conv_5, self.conv_6):
            x = F.leaky_relu(layer(enlarged(x, 2)), _SLOPE) + downward.pop()
        for layer in (self.conv_7, self.conv_8):
            x = F.leaky_relu(layer(x), _SLOPE)
        return self.conv_9(x)


def _normed(inputs: int, outputs: int, halves: bool = False) -> nn.Module:
    """Return a convolution with spectral norm and no bias."""
    kernel, stride = (4, 2) if halves else (3, 1)
    # The older function of two in PyTorch: the names of its tensors are those of published weights.
    return spectral_norm(nn.Conv2d(inputs, outputs, kernel, stride, 1, bias=False))
