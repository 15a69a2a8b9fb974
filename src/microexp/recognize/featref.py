"""FeatRef: features shared by all expressions, refined for each of them (Zhou et al., PR 2022)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from microexp.errors import OptionError
from microexp.recognize._flow_network import FlowNetwork
from microexp.recognize.dual_inception import shared_features, trunk
from microexp.train import Recipe

CARD = {
    "class": "FeatRef",
    "title": "FeatRef (feature refinement)",
    "summary": "Dual-Inception's features, weighed and refined once for each class, which proposes itself.",
    "takes": "clips, or flow images (N, 3, 28, 28) float32 in [0, 1]: u, v, strain (not used)",
    "gives": "labels (N,) int64, probabilities (N, K)",
    "paper": {
        "authors": "Zhou, Ling and Mao, Qirong and Huang, Xiaohua and Zhang, Feifei and Zhang, Zhihong",
        "title": "Feature Refinement: An Expression-Specific Feature Learning and Fusion Method for "
        "Micro-Expression Recognition",
        "venue": "Pattern Recognition",
        "year": 2022,
        "doi": "10.1016/j.patcog.2021.108275",
    },
    "parameters": 2471339,
    "published": [
        {"source": "as printed in later tables", "data": "MEGC2019", "UF1": 0.7838, "UAR": 0.7832},
        {"source": "as printed in later tables", "data": "MEGC2019, SMIC part", "UF1": 0.7011, "UAR": 0.7083},
        {
            "source": "as printed in later tables",
            "data": "MEGC2019, CASME II part",
            "UF1": 0.8915,
            "UAR": 0.8873,
        },
        {"source": "as printed in later tables", "data": "MEGC2019, SAMM part", "UF1": 0.7372, "UAR": 0.7155},
        {"source": "as printed in later tables", "data": "CAS(ME)3 3 classes", "UF1": 0.3493, "UAR": 0.3413},
        {"source": "as printed in later tables", "data": "DFME", "UF1": 0.2875, "UAR": 0.3228},
        {"source": "SR-MER study, Table II, 256 pixels", "data": "CASME II 4 classes", "WAR": 0.629},
        {"source": "SR-MER study, Table III, 256 pixels", "data": "SAMM 4 classes", "WAR": 0.589},
        {"source": "SR-MER study, Table IV, 256 pixels", "data": "SMIC 3 classes", "WAR": 0.549},
    ],
    "presets": {
        "sr_mer": {"lr": 1e-3, "balance": 0.85},
        "paper": {"lr": 1e-3, "balance": 0.85, "epochs": 40, "batch_size": 32},
    },
    "notes": [
        "No public code, and the paper could not be opened. Known of it: Dual-Inception's modules on "
        "u and v, a branch with attention factors and a proposal loss for each class, their fusion, no "
        "augmentation; from the SR-MER study: learning rate 1e-3, loss weight .85.",
        "Ours, as nothing else says: attention is one weight and one bias a feature, and a sigmoid; "
        "a branch is one layer of 128 with ReLU; fusion is concatenation; the loss weight goes with the "
        "cross-entropy, the rest with the proposals.",
        "Ours, set before any evaluation: Adam, Dual-Inception's 40 epochs, in batches of 32 as the learning "
        "rate is ten times that of Dual-Inception with batches of 3. So is the preset 'paper'.",
        "Strain is not looked at.",
    ],
}


def build_module(n_classes: int = 3, units: int = 128) -> FeatRefModule:
    """Return the bare network."""
    return FeatRefModule(n_classes, units)


class Branch(nn.Module):
    """What one class makes of the shared features ``(N, D)``.

    Parameters
    ----------
    features : int
        Shared features D.
    units : int
        Features F of the class.
    """

    def __init__(self, features: int, units: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.zeros(features)), nn.Parameter(torch.zeros(features))
        self.refine, self.propose = nn.Linear(features, units), nn.Linear(units, 1, bias=False)

    def attention(self, shared: Tensor) -> Tensor:
        """Return the attention factors ``(N, D)`` in (0, 1); 1/2 before any training."""
        return torch.sigmoid(self.weight * shared + self.bias)

    def forward(self, shared: Tensor) -> tuple[Tensor, Tensor]:
        """Return the class's features ``(N, F)`` and its proposal ``(N, 1)``, before the sigmoid."""
        refined = F.relu(self.refine(self.attention(shared) * shared))
        return refined, self.propose(refined)


class FeatRefModule(nn.Module):
    """The network, ``(N, 2, 28, 28)`` (u, v) to logits ``(N, K)``.

    Parameters
    ----------
    n_classes : int
        Outputs, and branches.
    units : int
        Features of a branch.
    """

    def __init__(self, n_classes: int = 3, units: int = 128) -> None:
        super().__init__()
        self.u, self.v = trunk(), trunk()
        self.branches = nn.ModuleList(Branch(2 * 64 * 7 * 7, units) for _ in range(n_classes))
        self.classifier = nn.Linear(n_classes * units, n_classes)

    def forward(self, flow: Tensor) -> Tensor:
        return self.with_proposals(flow)[0]

    def with_proposals(self, flow: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits and, before the sigmoid, each class's proposal of itself; both ``(N, K)``."""
        shared = shared_features(self.u, self.v, flow)
        refined, proposals = zip(*(branch(shared) for branch in self.branches), strict=True)
        return self.classifier(torch.cat(refined, 1)), torch.cat(proposals, 1)


def proposal_loss(proposals: Tensor, labels: Tensor) -> Tensor:
    """Return the binary cross-entropies of the classes' proposals, summed; the mean over the batch.

    Parameters
    ----------
    proposals : Tensor
        ``(N, K)``, before the sigmoid.
    labels : Tensor
        ``(N,) int64``.
    """
    wanted = F.one_hot(labels, proposals.shape[1]).to(proposals.dtype)
    return F.binary_cross_entropy_with_logits(proposals, wanted, reduction="none").sum(1).mean()


@dataclass(eq=False, repr=False)
class FeatRef(FlowNetwork):
    """FeatRef; parameters as `FlowNetwork`, and these.

    Parameters
    ----------
    balance : float
        Lambda in [0, 1]: the loss is lambda times the cross-entropy and 1 - lambda times the proposal loss
        (to which `class_weight` does not apply).
    units : int
        Features of a branch.
    """

    channels = ("u", "v")
    channels_last = True
    published = Recipe(epochs=40, batch_size=32, lr=1e-3)

    balance: float = 0.85
    units: int = 128

    def check_parameters(self) -> None:
        super().check_parameters()
        if not 0 <= self.balance <= 1:
            raise OptionError(f"FeatRef: balance must be in [0, 1], got {self.balance}")
        if self.units < 1:
            raise OptionError(f"FeatRef: units must be at least 1, got {self.units}")

    def build(self, n_classes: int) -> nn.Module:
        return build_module(n_classes, self.units)

    def loss(self, module: nn.Module, staged: Tensor, labels: Tensor, criterion: nn.Module) -> Tensor:
        logits, proposals = cast(FeatRefModule, module).with_proposals(staged)
        return self.balance * criterion(logits, labels) + (1 - self.balance) * proposal_loss(
            proposals, labels
        )
