"""OFF-ApexNet: two convolutional streams on u and v of onset to apex (Gan et al., 2019)."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from microexp.recognize._flow_network import FlowNetwork
from microexp.recognize._layers import HalfDropout
from microexp.train import Recipe

CARD = {
    "class": "OFFApexNet",
    "title": "OFF-ApexNet",
    "summary": "Two streams of two 5x5 convolutions on u and v, joined by two layers of 1,024.",
    "takes": "clips, or flow images (N, 3, 28, 28) float32 in [0, 1]: u, v, strain (not used)",
    "gives": "labels (N,) int64, probabilities (N, K)",
    "paper": {
        "authors": "Gan, Y. S. and Liong, Sze-Teng and Yau, Wei-Chuen and Huang, Yen-Chang and Tan, Lit-Ken",
        "title": "OFF-ApexNet on Micro-Expression Recognition System",
        "venue": "Signal Processing: Image Communication",
        "year": 2019,
        "doi": "10.1016/j.image.2019.02.005",
    },
    "parameters": 2664475,
    "published": [
        {
            "source": "as printed in the STSTNet paper, Table 2",
            "data": "MEGC2019",
            "UF1": 0.7196,
            "UAR": 0.7096,
            "protocol": "not stated; the CASME II pair fits no confusion matrix (microexp audit)",
        },
        {"source": "STSTNet paper, Table 2", "data": "MEGC2019, SMIC part", "UF1": 0.6817, "UAR": 0.6695},
        {"source": "STSTNet paper, Table 2", "data": "MEGC2019, CASME II part", "UF1": 0.8764, "UAR": 0.8681},
        {"source": "STSTNet paper, Table 2", "data": "MEGC2019, SAMM part", "UF1": 0.5409, "UAR": 0.5392},
        {
            "source": "meb's notebook: its own single stream of 807,909 parameters; last of 3,000 epochs",
            "data": "MEGC2019",
            "UF1": 0.7032,
        },
        {
            "source": "the same, best of 3,000 epochs on the test subject",
            "data": "MEGC2019",
            "UF1": 0.8390,
            "protocol": "leaks",
        },
    ],
    "notes": [
        "Convolutions keep the size ('same'): only so are there the 2.66 million parameters that mini-AORCNN "
        "counts; the STSTNet paper says 2.77 million.",
        "How it was trained is in no source that could be opened. Adam at 1e-4 "
        "is that of meb (which trains 3,000 epochs); 200 epochs in batches of 256, without weight decay, on "
        "flow images in [0, 1], are ours and were set before any evaluation.",
    ],
}


def build_module(n_classes: int = 3) -> OFFApexNetModule:
    """Return the bare network."""
    return OFFApexNetModule(n_classes)


class OFFApexNetModule(nn.Module):
    """The network, ``(N, 2, 28, 28)`` (u, v) to logits ``(N, K)``.

    Each stream: 5x5 convolution to 6 maps, max-pool 2, 5x5 convolution to 16 maps, max-pool 2.

    Parameters
    ----------
    n_classes : int
        Outputs.
    """

    def __init__(self, n_classes: int = 3) -> None:
        super().__init__()
        self.u, self.v = _Stream(), _Stream()
        self.head = nn.Sequential(
            nn.Linear(2 * 16 * 7 * 7, 1024),
            nn.ReLU(),
            HalfDropout(),
            nn.Linear(1024, 1024),
            nn.ReLU(),
            HalfDropout(),
            nn.Linear(1024, n_classes),
        )

    def forward(self, flow: Tensor) -> Tensor:
        if self.training:
            first = _both(self.u.first, self.v.first, flow)
            return self.head(_both(self.u.second, self.v.second, first).flatten(1))
        return self.head(torch.cat([self.u(flow[:, :1]), self.v(flow[:, 1:])], dim=1))


class _Stream(nn.Module):
    """The convolutions of one component."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 6, 5, padding=2)
        self.second = nn.Conv2d(6, 16, 5, padding=2)

    def forward(self, component: Tensor) -> Tensor:
        """``(N, 1, 28, 28)`` to ``(N, 784)``."""
        first = F.relu(F.max_pool2d(self.first(component), 2))
        return F.relu(F.max_pool2d(self.second(first), 2)).flatten(1)


def _both(u: nn.Conv2d, v: nn.Conv2d, maps: Tensor) -> Tensor:
    """Convolve the first half of the maps by `u`, the second by `v`; then max-pool 2 and ReLU.

    One convolution whose weights across the halves are zero trains in less time than two.
    """
    own = u.in_channels
    weight = torch.cat([F.pad(u.weight, (0, 0, 0, 0, 0, own)), F.pad(v.weight, (0, 0, 0, 0, own, 0))])
    bias = torch.cat([cast(Tensor, u.bias), cast(Tensor, v.bias)])
    return F.relu(F.max_pool2d(F.conv2d(maps, weight, bias, padding=2), 2))


class OFFApexNet(FlowNetwork):
    """OFF-ApexNet; parameters as `FlowNetwork`."""

    channels = ("u", "v")
    channels_last = True
    published = Recipe(epochs=200, batch_size=256, lr=1e-4)

    def build(self, n_classes: int) -> nn.Module:
        return build_module(n_classes)
