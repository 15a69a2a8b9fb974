"""LPIPS 0.1: how different two pictures look, by the features of a network trained on ImageNet.

No weights come with microexp, and there are no untrained ones: a distance by random features means nothing.
A weight file (safetensors or PyTorch) holds, for AlexNet or VGG16,

    net.<i>.weight, net.<i>.bias   its convolutions (out, in, k, k); i is the layer's index in torchvision's
                                   ``features``: 0, 3, 6, 8, 10 of AlexNet, 0, 2, 5, ... 28 of VGG16
    lin.<k>.weight                 (1, C, 1, 1): the weights of the C channels at tap k, 0 to 4

The catalogue of published weights has both as "lpips-alexnet" and "lpips-vgg16".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from microexp.errors import DataError, UnknownNameError
from microexp.networks.weighted import fixed

_SHIFT = (-0.030, -0.088, -0.188)  # of pictures in [-1, 1]: nearly ImageNet's means and deviations
_SCALE = (0.458, 0.448, 0.450)
_EPSILON = 1e-10


class LPIPS(nn.Module):
    """The distance of pictures ``(N, 3, H, W)`` in [-1, 1], RGB: ``(N,)``.

    Parameters
    ----------
    layers : iterable of nn.Module
        The network up to the last tap.
    taps : sequence of int
        Indices of the layers whose outputs are compared, in order.
    channels : sequence of int
        Of these outputs.
    smallest : int
        Width and height that the network needs.
    """

    shift: Tensor
    scale: Tensor

    def __init__(
        self, layers: Sequence[nn.Module], taps: Sequence[int], channels: Sequence[int], smallest: int
    ) -> None:
        super().__init__()
        self.taps, self.smallest = tuple(taps), smallest
        self.net = nn.Sequential(*layers)
        self.lin = nn.ModuleList([nn.Conv2d(width, 1, 1, bias=False) for width in channels])
        self.register_buffer("shift", torch.tensor(_SHIFT).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor(_SCALE).view(1, 3, 1, 1), persistent=False)

    def features(self, pictures: Tensor) -> list[Tensor]:
        """Return the network's outputs at the taps, ``(N, C, h, w)`` each."""
        x, found = (pictures - self.shift) / self.scale, []
        for index, layer in enumerate(self.net):
            x = layer(x)
            if index in self.taps:
                found.append(x)
        return found

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the sum over the taps of the weighted squared differences, averaged over positions."""
        total = first.new_zeros(len(first))
        for a, b, lin in zip(self.features(first), self.features(second), self.lin, strict=True):
            total = total + lin((_unit(a) - _unit(b)) ** 2).mean(dim=(1, 2, 3))
        return total


def _unit(features: Tensor) -> Tensor:
    """Bring the channels at each position to length 1."""
    return features / (features.square().sum(1, keepdim=True).sqrt() + _EPSILON)


def alexnet() -> LPIPS:
    """Return the distance by AlexNet, compared behind each of its five rectifiers; weights are not set."""
    layers: list[nn.Module] = [nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2)]
    layers += [nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)]
    for inputs, outputs in ((192, 384), (384, 256), (256, 256)):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
    return LPIPS(layers, (1, 4, 7, 9, 11), (64, 192, 384, 256, 256), smallest=31)


def vgg16() -> LPIPS:
    """Return the distance by VGG16, compared at the end of each of its five stages; weights are not set."""
    stages = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
    layers: list[nn.Module] = []
    taps, inputs = [], 3
    for stage in stages:
        if layers:
            layers.append(nn.MaxPool2d(2))
        for outputs in stage:
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
            inputs = outputs
        taps.append(len(layers) - 1)
    return LPIPS(layers, taps, [stage[-1] for stage in stages], smallest=16)


_NETWORKS = {"alexnet": alexnet, "vgg16": vgg16}


@dataclass(frozen=True)
class LPIPSNetwork:
    """What `microexp.weights.convert` must know of LPIPS to make a weight file.

    Parameters
    ----------
    network : {"alexnet", "vgg16"}
        Which.

    Raises
    ------
    UnknownNameError
        If it is another.
    """

    network: str = "alexnet"

    def __post_init__(self) -> None:
        if self.network not in _NETWORKS:
            raise UnknownNameError("network of LPIPS", str(self.network), _NETWORKS)

    def build(self) -> LPIPS:
        """Return the network; its weights are not set."""
        return _NETWORKS[self.network]()

    def canonical(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the tensors under the names of this module, which readers give them already."""
        return dict(state)

    def description(self) -> dict[str, str]:
        """Return what a weight file says of itself."""
        return {"method": "LPIPS", "network": self.network}


def load(weights: str | Path, device: str = "auto") -> LPIPS:
    """Return the distance that a weight file is of, in evaluation mode.

    Raises
    ------
    WeightsError
        If the file is missing, damaged, or of something else.
    """
    return fixed(lambda state: vgg16() if "net.28.weight" in state else alexnet(), weights, device)


def distances(module: LPIPS, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the distance of each pair of frames ``(T, H, W, 3) uint8 RGB``, ``(T,) float64``.

    Raises
    ------
    DataError
        If the frames are smaller than the network needs.
    """
    if min(first.shape[1:3]) < module.smallest:
        raise DataError(
            f"LPIPS by this network needs pictures of at least {module.smallest}x{module.smallest} pixels, "
            f"got {first.shape[2]}x{first.shape[1]}"
        )
    device = next(module.parameters()).device
    with torch.inference_mode():  # one pair at a time, for memory
        pairs = [
            module(_signed(a).to(device), _signed(b).to(device)) for a, b in zip(first, second, strict=True)
        ]
    return torch.cat(pairs).double().cpu().numpy()


def _signed(frame: np.ndarray) -> Tensor:
    """Turn ``(H, W, 3) uint8`` into ``(1, 3, H, W) float32`` in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(frame.transpose(2, 0, 1)))[None].float() / 127.5 - 1
