"""Inception-v3 as Keras builds it, for its features: see `microexp.evaluate.frechet`.

No weights come with microexp. The catalogue of published weights has one set, "inception-nsfwjs": up to
"mixed5" Keras's own, trained on ImageNet, rounded to 8 bits; beyond, and in the head of five classes, tuned
to tell drawings and indecent pictures from others. They take RGB in [0, 1], as they were tuned.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from microexp.errors import DataError, UnknownNameError
from microexp.frames import check_rgb8
from microexp.networks.tensors import to_tensor
from microexp.networks.weighted import fixed

SIZE = 299  # side of the pictures that the network takes, pixels
CLASSES = ("drawing", "hentai", "neutral", "porn", "sexy")
LAYERS: Mapping[str, int] = MappingProxyType({"mixed5": 768, "pool": 2048})  # channels, from first to last
_BLOCKS = {"mixed5": 6, "pool": 11}  # how many mixed blocks come before
_EPSILON = 1e-3
_BATCH = 8
_PARTS = {"weight": "conv.weight", "beta": "bias", "moving_mean": "mean", "moving_variance": "variance"}
_DENSE = {"dense_1": "head.0", "dense_2": "head.2", "dense_3": "head.4"}


class Unit(nn.Module):
    """A convolution without bias, batch normalisation without scale, a rectifier.

    Parameters
    ----------
    n_in, n_out : int
        Channels.
    kernel : int or pair of int
        Height and width, odd.
    stride : int
        1 or 2.
    same : bool
        Whether the picture is padded by zeros so that it keeps its size.
    """

    mean: Tensor
    variance: Tensor

    def __init__(
        self, n_in: int, n_out: int, kernel: int | tuple[int, int], stride: int = 1, same: bool = True
    ) -> None:
        super().__init__()
        height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (height // 2, width // 2) if same else (0, 0)
        self.conv = nn.Conv2d(n_in, n_out, (height, width), stride, padding, bias=False)
        self.bias = nn.Parameter(torch.zeros(n_out))
        self.register_buffer("mean", torch.zeros(n_out))
        self.register_buffer("variance", torch.ones(n_out))

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return F.relu(F.batch_norm(x, self.mean, self.variance, None, self.bias, eps=_EPSILON))


class Branches(nn.ModuleList):
    """Several networks that take the same; their channels are put one after another."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self], dim=1)


class Inception(nn.Module):
    """Inception-v3 with a head of five classes: ``(N, 3, 299, 299)`` RGB in [0, 1] to logits ``(N, 5)``.

    The convolutions are made in Keras's order, by which Keras numbers them. Batch normalisation always uses
    the statistics of training, which are weights like others here.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            Unit(3, 32, 3, 2, same=False),
            Unit(32, 32, 3, same=False),
            Unit(32, 64, 3),
            nn.MaxPool2d(3, 2),
            Unit(64, 80, 1, same=False),
            Unit(80, 192, 3, same=False),
            nn.MaxPool2d(3, 2),
        )
        self.mixed = nn.ModuleList(
            [
                *(_mixed_35(n_in, pooled) for n_in, pooled in ((192, 32), (256, 64), (288, 64))),
                _reduction_35(288),
                *(_mixed_17(768, width) for width in (128, 160, 160, 192)),
                _reduction_17(768),
                *(_mixed_8(n_in) for n_in in (1280, 2048)),
            ]
        )
        self.head = nn.Sequential(
            nn.Linear(2048, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, len(CLASSES))
        )

    def features(self, pictures: Tensor, layers: Sequence[str] = ("mixed5",)) -> dict[str, Tensor]:
        """Return the means over positions at layers, ``(N, 768)`` of "mixed5", ``(N, 2048)`` of "pool".

        Nothing beyond the last layer that is wanted is computed.

        Raises
        ------
        UnknownNameError
            If there is no such layer.
        """
        for layer in layers:
            if layer not in LAYERS:
                raise UnknownNameError("layer of Inception-v3", layer, LAYERS)
        wanted = {_BLOCKS[layer]: layer for layer in layers}
        x, found = self.stem(pictures), {}
        for count, block in enumerate(self.mixed[: max(wanted)], start=1):
            x = block(x)
            if count in wanted:
                found[wanted[count]] = x.mean(dim=(2, 3))
        return {layer: found[layer] for layer in layers}

    def forward(self, pictures: Tensor) -> Tensor:
        return self.head(self.features(pictures, ["pool"])["pool"])


def _mixed_35(n_in: int, pooled: int) -> Branches:
    return Branches(
        [
            Unit(n_in, 64, 1),
            nn.Sequential(Unit(n_in, 48, 1), Unit(48, 64, 5)),
            nn.Sequential(Unit(n_in, 64, 1), Unit(64, 96, 3), Unit(96, 96, 3)),
            _pooled(n_in, pooled),
        ]
    )


def _reduction_35(n_in: int) -> Branches:
    deep = nn.Sequential(Unit(n_in, 64, 1), Unit(64, 96, 3), Unit(96, 96, 3, 2, same=False))
    return Branches([Unit(n_in, 384, 3, 2, same=False), deep, nn.MaxPool2d(3, 2)])


def _mixed_17(n_in: int, width: int) -> Branches:
    row, column = (1, 7), (7, 1)
    return Branches(
        [
            Unit(n_in, 192, 1),
            nn.Sequential(Unit(n_in, width, 1), Unit(width, width, row), Unit(width, 192, column)),
            nn.Sequential(
                Unit(n_in, width, 1),
                Unit(width, width, column),
                Unit(width, width, row),
                Unit(width, width, column),
                Unit(width, 192, row),
            ),
            _pooled(n_in, 192),
        ]
    )


def _reduction_17(n_in: int) -> Branches:
    deep = nn.Sequential(
        Unit(n_in, 192, 1), Unit(192, 192, (1, 7)), Unit(192, 192, (7, 1)), Unit(192, 192, 3, 2, same=False)
    )
    return Branches(
        [nn.Sequential(Unit(n_in, 192, 1), Unit(192, 320, 3, 2, same=False)), deep, nn.MaxPool2d(3, 2)]
    )


def _mixed_8(n_in: int) -> Branches:
    return Branches(
        [
            Unit(n_in, 320, 1),
            nn.Sequential(Unit(n_in, 384, 1), _split()),
            nn.Sequential(Unit(n_in, 448, 1), Unit(448, 384, 3), _split()),
            _pooled(n_in, 192),
        ]
    )


def _split() -> Branches:
    return Branches([Unit(384, 384, (1, 3)), Unit(384, 384, (3, 1))])


def _pooled(n_in: int, n_out: int) -> nn.Sequential:
    return nn.Sequential(nn.AvgPool2d(3, 1, 1, count_include_pad=False), Unit(n_in, n_out, 1))


@dataclass(frozen=True)
class InceptionNetwork:
    """What `microexp.weights.convert` must know of Inception-v3 to make a weight file."""

    def build(self) -> Inception:
        """Return the network; its weights are not set."""
        return Inception()

    def canonical(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return Keras's tensors under the names of this network; others keep their names."""
        with torch.device("meta"):
            module = Inception()
        units = [name for name, part in module.named_modules() if isinstance(part, Unit)]
        layers = {f"conv2d_{i}": name for i, name in enumerate(units, start=1)}
        layers |= {f"batch_normalization_{i}": name for i, name in enumerate(units, start=1)}
        renamed = {}
        for key, value in state.items():
            layer, _, part = key.rpartition(".")
            if layer in layers:
                renamed[f"{layers[layer]}.{_PARTS.get(part, part)}"] = value
            elif layer in _DENSE:
                renamed[f"{_DENSE[layer]}.{part}"] = value.T if value.ndim == 2 else value
            else:
                renamed[key] = value
        return renamed

    def description(self) -> dict[str, str]:
        """Return what a weight file says of itself."""
        return {"method": "Inception"}


def load(weights: str | Path = "inception-nsfwjs", device: str = "auto") -> Inception:
    """Return the network with the weights of a file, or of the catalogue, in evaluation mode.

    Raises
    ------
    WeightsError
        If the file is missing, damaged, or of something else.
    """
    return fixed(lambda _: Inception(), weights, device)


def picture_features(
    module: Inception, pictures: Iterable[np.ndarray], layers: Sequence[str] = ("mixed5",)
) -> dict[str, np.ndarray]:
    """Return the features of pictures, ``(N, d) float64`` of each layer.

    Parameters
    ----------
    module : Inception
        With its weights.
    pictures : iterable of numpy.ndarray
        ``(H, W, 3) uint8 RGB`` of any size; each is brought to 299x299, bilinearly, averaging where it
        shrinks (PIL's way), without rounding.
    layers : sequence of str
        Of `LAYERS`.

    Raises
    ------
    DataError
        If there is no picture, or one is not RGB of 8 bits.
    UnknownNameError
        If there is no such layer.
    """
    device, found = next(module.parameters()).device, []
    waiting: list[Tensor] = []

    def run() -> None:
        with torch.inference_mode():
            found.append(module.features(torch.cat(waiting).to(device), layers))
        waiting.clear()

    for picture in pictures:
        waiting.append(resized(picture))
        if len(waiting) == _BATCH:
            run()
    if waiting:
        run()
    if not found:
        raise DataError("there are no pictures to compute features of")
    return {layer: torch.cat([part[layer] for part in found]).double().cpu().numpy() for layer in layers}


def resized(picture: np.ndarray) -> Tensor:
    """Turn a picture ``(H, W, 3) uint8 RGB`` into the network's input ``(1, 3, 299, 299)`` in [0, 1]."""
    check_rgb8(picture, "Inception-v3")
    if picture.ndim != 3:
        raise DataError(f"Inception-v3 takes pictures (H, W, 3) one by one, got {picture.shape}")
    return F.interpolate(to_tensor(picture[None]), (SIZE, SIZE), mode="bilinear", antialias=True)
