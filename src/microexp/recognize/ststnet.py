"""STSTNet: three shallow streams on u, v and optical strain (Liong et al., FG 2019)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from microexp.recognize._flow_network import FlowNetwork
from microexp.recognize._fused_block import conv_relu_norm_pool
from microexp.recognize._layers import half_dropout
from microexp.train import Recipe

CARD = {
    "class": "STSTNet",
    "title": "STSTNet (Shallow Triple Stream Three-dimensional CNN)",
    "summary": "Three parallel one-layer streams of 3, 5 and 8 filters on u, v and optical strain, 28x28.",
    "takes": "clips, or flow images (N, 3, 28, 28) float32 in [0, 1]: u, v, strain",
    "gives": "labels (N,) int64, probabilities (N, K)",
    "paper": {
        "authors": "Liong, Sze-Teng and Gan, Y. S. and See, John and Khor, Huai-Qian and Huang, Yen-Chang",
        "title": "Shallow Triple Stream Three-dimensional CNN (STSTNet) for Micro-expression Recognition",
        "venue": "IEEE International Conference on Automatic Face and Gesture Recognition",
        "year": 2019,
        "doi": "10.1109/FG.2019.8756567",
    },
    "parameters": 1683,
    "weights_licence": "68 published files (one a held-out subject), repository without a licence file",
    "published": [
        {"source": "paper, Table 2", "data": "MEGC2019", "UF1": 0.7353, "UAR": 0.7605},
        {"source": "authors' prediction log of the paper", "data": "MEGC2019", "UF1": 0.7353, "UAR": 0.7186},
        {"source": "authors' PyTorch log and weights", "data": "MEGC2019", "UF1": 0.7209, "UAR": 0.7250},
    ],
    "presets": {
        "sr_mer": {"epochs": 500, "lr": 5e-5},
        "paper": {"epochs": 500, "batch_size": 256, "lr": 5e-5, "order": "shuffle"},
    },
    "notes": [
        "The paper's UAR of .7605 is mean precision; its own log gives a recall of .7186.",
        "The paper counts 1,670 parameters; no combination of its layers gives that. The weights hold 1,683.",
        "Follows the authors' PyTorch code: padding 2, 800 epochs, sorted by class and never shuffled, "
        "input raw 0..255 in the order strain, v, u. The MATLAB code of the paper pads 1, subtracts the mean "
        "image and trains 500 epochs.",
        "The preset 'paper' has the epochs of the paper's MATLAB code, not its padding nor mean image; it "
        "shuffles once, the preset every epoch. The SR-MER study says rate and epochs only.",
        "Dropout follows the concatenation in place of standing in each stream, which is the same.",
    ],
}


def build_module(n_classes: int = 3) -> STSTNetModule:
    """Return the bare network; its state_dict has the keys and shapes of the published weights."""
    return STSTNetModule(n_classes)


class STSTNetModule(nn.Module):
    """The network, ``(N, 3, 28, 28)`` in 0..255 (strain, v, u) to logits ``(N, K)``.

    Each stream is convolution 3x3, ReLU, batch norm, max-pool 3x3. As all see the same input they are
    computed as one block of 16 filters; the parameters stay apart, as published.

    Parameters
    ----------
    n_classes : int
        Outputs.
    """

    def __init__(self, n_classes: int = 3) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 3, 3, padding=2), nn.BatchNorm2d(3)
        self.conv2, self.bn2 = nn.Conv2d(3, 5, 3, padding=2), nn.BatchNorm2d(5)
        self.conv3, self.bn3 = nn.Conv2d(3, 8, 3, padding=2), nn.BatchNorm2d(8)
        self.fc = nn.Linear(5 * 5 * 16, n_classes)

    def forward(self, images: Tensor) -> Tensor:
        convs, norms = (self.conv1, self.conv2, self.conv3), (self.bn1, self.bn2, self.bn3)
        if self.training and images.device.type == "cpu":
            weight, bias = _merge(convs, "weight"), _merge(convs, "bias")
            scale, shift = _merge(norms, "weight"), _merge(norms, "bias")
            pooled, mean, variance = conv_relu_norm_pool(images, weight, bias, scale, shift, self.bn1.eps)
            self._update_running(mean, variance)
        else:
            maps = (norm(F.relu(conv(images))) for conv, norm in zip(convs, norms, strict=True))
            pooled = F.max_pool2d(torch.cat(list(maps), dim=1), 3, 3, 1)
        if self.training:
            pooled = half_dropout(pooled)
        return self.fc(_average_pool(pooled).flatten(1))

    @torch.no_grad()
    def _update_running(self, mean: Tensor, variance: Tensor) -> None:
        """Update the running statistics as `torch.nn.BatchNorm2d` does with its default momentum."""
        start = 0
        for norm in (self.bn1, self.bn2, self.bn3):
            part = slice(start, start + norm.num_features)
            norm.get_buffer("running_mean").lerp_(mean[part], 0.1)
            norm.get_buffer("running_var").lerp_(variance[part], 0.1)
            norm.get_buffer("num_batches_tracked").add_(1)
            start = part.stop


def _merge(streams: Sequence[nn.Module], name: str) -> Tensor:
    """The parameter or buffer of that name of the three streams, one after the other."""
    return torch.cat([getattr(stream, name) for stream in streams])


def _average_pool(maps: Tensor) -> Tensor:
    """2x2 average pooling as two sums: rows, then columns; many times faster than the layer on small maps."""
    n, channels, side, _ = maps.shape
    rows = maps.view(n, channels, side // 2, 2, side)
    columns = (rows[:, :, :, 0] + rows[:, :, :, 1]).view(n, channels, side // 2, side // 2, 2)
    return (columns[..., 0] + columns[..., 1]) / 4


class STSTNet(FlowNetwork):
    """STSTNet with the recipe of the authors' PyTorch code; parameters as `FlowNetwork`."""

    channels = ("strain", "v", "u")
    scale = 255.0
    published = Recipe(epochs=800, batch_size=256, lr=5e-5, order="by-class")

    def build(self, n_classes: int) -> nn.Module:
        return build_module(n_classes)
