"""Dual-Inception: two streams of inception modules on u and v (Zhou et al., FG 2019)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from microexp.recognize._flow_network import FlowNetwork
from microexp.train import Recipe

CARD = {
    "class": "DualInception",
    "title": "Dual-Inception",
    "summary": "Two streams of two inception modules on u and v, joined by one layer of 1,024.",
    "takes": "clips, or flow images (N, 3, 28, 28) float32 in [0, 1]: u, v, strain (not used)",
    "gives": "labels (N,) int64, probabilities (N, K)",
    "paper": {
        "authors": "Zhou, Ling and Mao, Qirong and Xue, Luoyang",
        "title": "Dual-Inception Network for Cross-Database Micro-Expression Recognition",
        "venue": "IEEE International Conference on Automatic Face and Gesture Recognition",
        "year": 2019,
        "doi": "10.1109/FG.2019.8756579",
    },
    "parameters": 6449963,
    "published": [
        {
            "source": "Table 1 of the BOWAM paper",
            "data": "MEGC2019",
            "UF1": 0.7322,
            "UAR": 0.7278,
            "protocol": "the public code trains on two databases, keeps the epoch of lowest loss on other "
            "subjects of the third, and repeats all 100 times; which repeat was printed is not said",
        },
        {"source": "Table 1 of the BOWAM paper", "data": "MEGC2019, SMIC part", "UF1": 0.6645, "UAR": 0.6726},
        {
            "source": "Table 1 of the BOWAM paper",
            "data": "MEGC2019, CASME II part",
            "UF1": 0.8621,
            "UAR": 0.8560,
        },
        {"source": "Table 1 of the BOWAM paper", "data": "MEGC2019, SAMM part", "UF1": 0.5868, "UAR": 0.5663},
    ],
    "notes": [
        "Layers, Adam at 1e-4, batches of 3 and 40 epochs are the authors' public code's; the epoch is "
        "the last one here, as choosing it would take other subjects away from training.",
        "Their pictures hold one component in three equal channels; so do ours in the network, which keeps "
        "the published parameter count.",
        "Weights start as Keras starts them: Glorot's uniform, biases at zero. Its class_weight='auto' had "
        "no effect and is left out; min-max scaling of each flow image is ours.",
        "The paper takes the middle frame for the apex; here it is the clip's apex.",
    ],
}


def build_module(n_classes: int = 3) -> DualInceptionModule:
    """Return the bare network."""
    return DualInceptionModule(n_classes)


class Inception(nn.Module):
    """Four branches side by side, ``(N, C, H, W)`` to ``(N, 4 F, H, W)``.

    1x1; 1x1 then 3x3; 1x1 then 5x5; 3x3 max-pool then 1x1; each of F maps, each convolution with ReLU.
    """

    def __init__(self, channels: int, filters: int) -> None:
        super().__init__()
        self.one = _conv(channels, filters, 1)
        self.three = nn.Sequential(_conv(channels, filters, 1), _conv(filters, filters, 3))
        self.five = nn.Sequential(_conv(channels, filters, 1), _conv(filters, filters, 5))
        self.pool = nn.Sequential(nn.MaxPool2d(3, 1, 1), _conv(channels, filters, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.one(x), self.three(x), self.five(x), self.pool(x)], dim=1)


class DualInceptionModule(nn.Module):
    """The network, ``(N, 2, 28, 28)`` (u, v) to logits ``(N, K)``.

    Parameters
    ----------
    n_classes : int
        Outputs.
    """

    def __init__(self, n_classes: int = 3) -> None:
        super().__init__()
        self.u, self.v = trunk(), trunk()
        self.head = nn.Sequential(nn.Linear(2 * 64 * 7 * 7, 1024), nn.ReLU(), nn.Linear(1024, n_classes))
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    def forward(self, flow: Tensor) -> Tensor:
        return self.head(shared_features(self.u, self.v, flow))


def trunk() -> nn.Sequential:
    """Return one stream, ``(N, 3, 28, 28)`` to ``(N, 3136)``."""
    return nn.Sequential(Inception(3, 6), nn.MaxPool2d(2), Inception(24, 16), nn.MaxPool2d(2), nn.Flatten())


def shared_features(u: nn.Module, v: nn.Module, flow: Tensor) -> Tensor:
    """Send each component of ``(N, 2, 28, 28)``, three times over, through its stream: ``(N, 6272)``."""
    return torch.cat([u(flow[:, :1].expand(-1, 3, -1, -1)), v(flow[:, 1:].expand(-1, 3, -1, -1))], dim=1)


def _conv(channels: int, filters: int, size: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, filters, size, padding=size // 2), nn.ReLU())


class DualInception(FlowNetwork):
    """Dual-Inception; parameters as `FlowNetwork`."""

    channels = ("u", "v")
    channels_last = True
    published = Recipe(epochs=40, batch_size=3, lr=1e-4)

    def build(self, n_classes: int) -> nn.Module:
        return build_module(n_classes)
