"""Features of VGG networks trained on ImageNet, and the loss that compares them.

Weights come from a file that the user names, and never from anywhere else: a loss of random features would
look like the paper's and be another.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from microexp.errors import OptionError, UnknownNameError, WeightsError
from microexp.train.losses import pixel_loss
from microexp.weights import catalogue, load_into, locate, read_weights

_BLOCKS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
_CHANNELS = (64, 128, 256, 512, 512)
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, red, green, blue
_CAFFE_MEAN = (123.68, 116.779, 103.939)  # red, green, blue, of 255
# Features are proportional to the input's scale (but for biases): this brings those of networks that take
# 0 to 255 to the scale of those that take normalised pictures, which the papers' weights of losses are for.
_CAFFE_SCALE = 255 * sum(_STD) / 3
_TORCHVISION_KEY = re.compile(r"(?:(?:module\.)?features|net)\.(\d+)\.(weight|bias)")  # net: of LPIPS
_KERAS_KEY = re.compile(r"(conv[1-5]_[1-4])\.([wb])")


@dataclass(frozen=True)
class Layer:
    """One convolution of a VGG network.

    Attributes
    ----------
    index : int
        In torchvision's numbering, where rectifiers and pools count too.
    name : str
        As in the paper, for instance "conv3_4".
    inputs, outputs : int
        Channels.
    pooled : bool
        Whether its input is max-pooled first.
    """

    index: int
    name: str
    inputs: int
    outputs: int
    pooled: bool


def layers(network: str) -> list[Layer]:
    """Return the convolutions of "vgg16" or "vgg19" in order.

    Raises
    ------
    UnknownNameError
        If it is another network.
    """
    if network not in _BLOCKS:
        raise UnknownNameError("feature network", network, _BLOCKS)
    found, index, inputs = [], 0, 3
    for block, (count, outputs) in enumerate(zip(_BLOCKS[network], _CHANNELS, strict=True)):
        for number in range(count):
            pooled = number == 0 and block > 0
            found.append(Layer(index, f"conv{block + 1}_{number + 1}", inputs, outputs, pooled))
            inputs, index = outputs, index + 2
        index += 1  # the pool
    return found


class VGGFeatures(nn.Module):
    """A VGG network up to some convolution, in evaluation, its parameters fixed.

    Parameters
    ----------
    network : {"vgg16", "vgg19"}
        Which.
    taps : iterable of str
        Indices of the convolutions whose outputs are given, before the rectifier ("34" is conv5_4 of VGG19).
    mean, std : tuple of float
        What the input is normalised by, of [0, 1].
    scale : float
        What features are divided by.

    Raises
    ------
    OptionError
        If a tap is no convolution of the network.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: str,
        taps: Iterable[str],
        mean: tuple[float, ...] = _MEAN,
        std: tuple[float, ...] = _STD,
        scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.taps, self.scale = [str(tap) for tap in taps], scale
        check_taps(network, self.taps)
        last = max(map(int, self.taps))
        self.layers = [layer for layer in layers(network) if layer.index <= last]
        self.features = nn.ModuleDict(
            {str(layer.index): nn.Conv2d(layer.inputs, layer.outputs, 3, padding=1) for layer in self.layers}
        )
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        self.requires_grad_(False).eval()

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        """Return the features of pictures ``(N, 3, H, W)`` in [0, 1], ``(N, C, H', W')`` by tap."""
        x, found = (pictures - self.mean) / self.std, {}
        for layer in self.layers:
            if layer.index:
                x = x.relu()
            if layer.pooled:
                x = nn.functional.max_pool2d(x, 2)
            x = self.features[str(layer.index)](x)
            if str(layer.index) in self.taps:
                found[str(layer.index)] = x / self.scale
        return found


class FeatureLoss(nn.Module):
    """The weighted sum, over taps, of the mean distance of features.

    Parameters
    ----------
    features : VGGFeatures
        Gives the features.
    weights : mapping of str to float
        By tap.
    kind : {"l1", "mse"}
        Distance.
    """

    def __init__(self, features: VGGFeatures, weights: Mapping[str, float], kind: str = "l1") -> None:
        super().__init__()
        self.features, self.weights, self.kind = features, dict(weights), kind

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the loss of pictures ``(N, 3, H, W)`` in [0, 1] against others."""
        with torch.no_grad():
            wanted = self.features(target)
        found = self.features(output)
        parts = [w * pixel_loss(self.kind, found[tap], wanted[tap]) for tap, w in self.weights.items()]
        return torch.stack(parts).sum()


def check_taps(network: str, taps: Iterable[str]) -> None:
    """Raise `OptionError` if a tap is no convolution of the network."""
    known = {str(layer.index): layer.name for layer in layers(network)}
    wrong = [tap for tap in taps if str(tap) not in known]
    if wrong:
        listed = ", ".join(f"{index} ({name})" for index, name in known.items())
        raise OptionError(f"{network} has no convolution {', '.join(wrong)}; there is {listed}")


def vgg_file(source: str | Path) -> Path:
    """Return the file that a path or a name of the catalogue stands for.

    Raises
    ------
    WeightsError
        If it does not exist, or is in the catalogue and not downloaded yet.
    """
    path = locate(str(source)) if str(source) in catalogue.names() else Path(source)
    if not path.is_file():
        raise WeightsError(f"the weight file {path} does not exist")
    return path


def vgg_features(network: str, file: str | Path, taps: Iterable[str]) -> VGGFeatures:
    """Return a VGG network with the weights of a file, up to the last of the taps.

    Parameters
    ----------
    network : {"vgg16", "vgg19"}
        Which.
    file : path or str
        torchvision's weights (``.pth``, ``.safetensors``: ``features.N.weight`` and ``.bias``); those in a
        file of LPIPS (``net.N.weight`` and ``.bias``; "lpips-vgg16" is the one that ``microexp weights get``
        puts into the cache folder); or those of the original authors as Caffe and Keras have them (``.npz``
        with ``conv1_1.w``, output channels first, and ``conv1_1.b``; input blue, green, red, 0 to 255, the
        mean subtracted). The last get pictures prepared as they need, and their features are divided by 57.6,
        the scale of their input: so features of all kinds are of one order, though not the same, being from
        different trainings.
    taps : iterable of str
        See `VGGFeatures`.

    Raises
    ------
    WeightsError
        If the file is missing, damaged, of another network, or does not reach to the last tap.
    OptionError
        If a tap is no convolution of the network.
    """
    taps = [str(tap) for tap in taps]
    check_taps(network, taps)
    path = vgg_file(file)
    state, is_caffe = _named(path, network)
    _check_reach(path, network, state, taps)
    if is_caffe:
        mean = tuple(value / 255 for value in _CAFFE_MEAN)
        module = VGGFeatures(network, taps, mean, (1 / 255,) * 3, _CAFFE_SCALE)
        state = {**state, "features.0.weight": state["features.0.weight"].flip(1)}  # from BGR to RGB
    else:
        module = VGGFeatures(network, taps)
    load_into(module, {key: state[key] for key in module.state_dict()}, path)
    return module


def _named(path: Path, network: str) -> tuple[dict[str, Tensor], bool]:
    """Read convolutions under torchvision's names; say whether they are of the Caffe convention."""
    raw = _read_npz(path) if path.suffix == ".npz" else read_weights(path)
    index = {layer.name: layer.index for layer in layers(network)}
    part = {"w": "weight", "b": "bias"}
    keras = [(m, v) for k, v in raw.items() if (m := _KERAS_KEY.fullmatch(k)) and m[1] in index]
    if keras:
        return {f"features.{index[m[1]]}.{part[m[2]]}": v for m, v in keras}, True
    named = [(m, v) for k, v in raw.items() if (m := _TORCHVISION_KEY.fullmatch(k))]
    if not named:
        raise WeightsError(
            f"{path} is no file of {network}: it has neither features.0.weight, as torchvision names it, nor "
            "conv1_1.w, as the original convention does"
        )
    if others := {m[1] for m, _ in named} - {str(layer.index) for layer in layers(network)}:
        raise WeightsError(f"{path} is of another network: {network} has no convolution {', '.join(others)}")
    return {f"features.{m[1]}.{m[2]}": v for m, v in named}, False


def _check_reach(path: Path, network: str, state: Mapping[str, Tensor], taps: list[str]) -> None:
    """Raise `WeightsError` if a convolution is missing that one of the taps needs."""
    names = {layer.index: layer.name for layer in layers(network)}
    whole = [i for i in names if {f"features.{i}.weight", f"features.{i}.bias"} <= state.keys()]
    reached = [i for i, wanted in zip(whole, names, strict=False) if i == wanted]
    lacking = [tap for tap in taps if int(tap) not in reached]
    if not lacking:
        return
    said = ", ".join(f"{tap} ({names[int(tap)]})" for tap in lacking)
    there = f"ends at {reached[-1]} ({names[reached[-1]]})" if reached else "lacks the first convolution"
    raise WeightsError(
        f"{path}, for {network}, {there}, but features are compared at {said}. Name a file of the whole "
        "network, or compare shallower features (--features TAP=WEIGHT, for instance --features 2=0.1 "
        "--features 7=0.1 --features 16=1)"
    )


def _read_npz(path: Path) -> dict[str, Tensor]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise WeightsError(f"{path} is not a readable .npz file of arrays: {error}") from error
