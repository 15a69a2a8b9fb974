"""RCN-A: a recurrent convolution with parameter-free attention on flow pictures (Xia et al., TIP 2020)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from microexp.errors import DataError, OptionError
from microexp.recognize._flow_network import FlowNetwork
from microexp.recognize._layers import HalfDropout
from microexp.train import Recipe

CARD = {
    "class": "RCNA",
    "title": "RCN-A (recurrent convolutional network with attention)",
    "summary": "One convolution, one recurrent convolution, and attention by the classifier's own weights.",
    "takes": "clips, or flow images (N, 3, S, S) float32 in [0, 1]: u, v, strain",
    "gives": "labels (N,) int64, probabilities (N, K)",
    "paper": {
        "authors": "Xia, Zhaoqiang and Peng, Wei and Khor, Huai-Qian and Feng, Xiaoyi and Zhao, Guoying",
        "title": "Revealing the Invisible with Model and Data Shrinking for Composite-Database "
        "Micro-Expression Recognition",
        "venue": "IEEE Transactions on Image Processing",
        "year": 2020,
        "doi": "10.1109/TIP.2020.3018222",
    },
    "parameters": 15331,
    "published": [
        {
            "source": "SR-MER study, Table II, 256 pixels",
            "data": "CASME II 4 classes",
            "WAR": 0.626,
        },
        {"source": "SR-MER study, Table III, 256 pixels", "data": "SAMM 4 classes", "WAR": 0.596},
        {"source": "SR-MER study, Table IV, 256 pixels", "data": "SMIC 3 classes", "WAR": 0.565},
    ],
    "presets": {
        "sr_mer": {"epochs": 500, "lr": 1e-4, "weight_decay": 5e-4, "stop_loss": 0.5},
        "paper": {"maps": 32, "pool": 5, "epochs": 20, "batch_size": 64, "lr": 5e-4},
    },
    "notes": [
        "Layers, SGD with momentum .9 at 5e-4, batches of 64 and 20 epochs are those of the authors' public "
        "code (command of its README); its script's own defaults are 100 epochs, 64 maps, 7x7 pooling.",
        "The public code says no size of the pictures; here 28x28 unless `motion` says otherwise.",
        "The SR-MER study stops at a loss of .5 or after 500 iterations; its preset takes epochs for those, "
        "and their mean loss. It says no batch size and no size of the picture: those are the defaults.",
        "The preset 'paper' is the command of the public code's README.",
        "Convolutions start as in the public code (He's normal, by outputs), the classifier at a deviation "
        "of .01 with zero bias.",
        "An attention map that is constant over the picture cannot be scaled to [0, 1]; it is 0 here.",
    ],
}

SMALLEST = 8  # pixels a side that leave one position after the convolution and both poolings
_LEAST_SPREAD = 1e-8  # of an attention map, below which it counts as constant


def build_module(n_classes: int = 3, maps: int = 32, pool: int = 5, attention: bool = True) -> RCNAModule:
    """Return the bare network."""
    return RCNAModule(n_classes, maps, pool, attention)


class RCNAModule(nn.Module):
    """The network, ``(N, 3, H, W)`` to logits ``(N, K)``.

    Parameters
    ----------
    n_classes : int
        Outputs.
    maps : int
        Feature maps F.
    pool : int
        Side P of the last map.
    attention : bool
        Without it the network is RCN alone; the parameters are the same.
    """

    def __init__(self, n_classes: int = 3, maps: int = 32, pool: int = 5, attention: bool = True) -> None:
        super().__init__()
        self.maps, self.pool, self.attention = maps, pool, attention
        self.conv, self.norm = nn.Conv2d(3, maps, 5), nn.BatchNorm2d(maps)
        self.enter, self.enter_norm = nn.Conv2d(maps, maps, 1), nn.BatchNorm2d(maps)
        self.again, self.again_norm = nn.Conv2d(maps, maps, 3, padding=1), nn.BatchNorm2d(maps)
        self.drop = HalfDropout()
        self.classifier = nn.Linear(maps * pool * pool, n_classes)
        for module in (self.conv, self.enter, self.again):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.normal_(self.classifier.weight, std=0.01)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, images: Tensor) -> Tensor:
        first = self.drop(F.max_pool2d(F.relu(self.norm(self.conv(images))), 2))
        state = F.relu(self.enter_norm(self.enter(first)))
        for _ in range(2):  # the same weights twice: that is the recurrence
            state = F.relu(self.again_norm(self.again(first + state)))
        last = self.drop(F.max_pool2d(state, 2))
        last = F.adaptive_avg_pool2d(last, self.pool)
        if self.attention:
            last = last * self.attention_map(first)
        return self.classifier(last.flatten(1))

    def attention_map(self, first: Tensor) -> Tensor:
        """Return ``(N, 1, P, P)`` in [0, 1]: where the classifier's weights find the first maps active."""
        small = F.adaptive_avg_pool2d(first, self.pool)
        weights = self.classifier.weight.view(-1, self.maps, self.pool, self.pool)
        by_class = torch.einsum("nfyx,kfyx->nkyx", small, weights) / self.maps
        low = by_class.amin((2, 3), keepdim=True)
        spread = by_class.amax((2, 3), keepdim=True) - low
        return ((by_class - low) / spread.clamp_min(_LEAST_SPREAD)).mean(1, keepdim=True)


@dataclass(eq=False, repr=False)
class RCNA(FlowNetwork):
    """RCN-A; parameters as `FlowNetwork`, and those of its size.

    Parameters
    ----------
    maps, pool : int
        Feature maps, and side of the last map.
    attention : bool
        False for RCN alone.
    """

    size = None
    channels_last = True
    published = Recipe(epochs=20, batch_size=64, lr=5e-4, optimizer="sgd")

    maps: int = 32
    pool: int = 5
    attention: bool = True

    def check_parameters(self) -> None:
        super().check_parameters()
        if self.maps < 1 or self.pool < 1:
            raise OptionError(f"RCNA: maps and pool must be 1 or more, got {self.maps} and {self.pool}")

    def stage(self, features: np.ndarray) -> Tensor:
        """Return the pictures, of at least 8x8 pixels."""
        if min(features.shape[2:]) < SMALLEST:
            raise DataError(f"RCNA takes pictures of at least {SMALLEST}x{SMALLEST}, got {features.shape}")
        return super().stage(features)

    def build(self, n_classes: int) -> nn.Module:
        return build_module(n_classes, self.maps, self.pool, self.attention)
