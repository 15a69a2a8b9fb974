"""The network behind microexp's own answers: trained on synthetic faces, to be fine-tuned on real ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from microexp.recognize._flow_network import FlowNetwork
from microexp.train import Recipe
from microexp.weights import load_into, locate, read_weights

CARD = {
    "class": "StarterCNN",
    "title": "Starter network of microexp",
    "summary": "Six 3x3 convolutions on u, v and optical strain, 28x28; comes trained on synthetic faces.",
    "takes": "clips of faces cropped tightly, or flow images (N, 3, 28, 28) float32 in [0, 1]: u, v, strain",
    "gives": "labels (N,) int64, probabilities (N, K)",
    "parameters": 74035,
    "notes": [
        "Ours, of no paper: a plain network, so that what it learned can be told from what it is.",
    ],
}

_WIDTHS = (16, 32, 64)


def build_module(n_classes: int = 3) -> StarterModule:
    """Return the bare network."""
    return StarterModule(n_classes)


class StarterModule(nn.Module):
    """The network, ``(N, 3, 28, 28)`` in [0, 1] (u, v, strain) to logits ``(N, K)``.

    Parameters
    ----------
    n_classes : int
        Outputs.
    """

    def __init__(self, n_classes: int = 3) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3
        for width in _WIDTHS:
            layers += [_block(inputs, width), _block(width, width), nn.MaxPool2d(2)]
            inputs = width
        self.body = nn.Sequential(*layers)
        self.dropout = nn.Dropout(0.5)
        self.fc = nn.Linear(3 * 3 * inputs, n_classes)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.body(standardised(images))
        return self.fc(self.dropout(maps.flatten(1)))


def standardised(images: Tensor) -> Tensor:
    """Return pictures with each channel's median at 0 and its deviation 1: what the head did is off."""
    flat = images.flatten(2)
    centred = images - flat.median(2).values[..., None, None]
    return centred / (flat.std(2)[..., None, None] + 1e-4)


def _block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


@dataclass(eq=False, repr=False)
class StarterCNN(FlowNetwork):
    """The starter network; parameters as `FlowNetwork`, and this.

    Parameters
    ----------
    pretrained : str, Path or None
        A name in the catalogue ("starter-recogniser") or a file of this network to start from; None for a
        random start. Its last layer is taken over where it has as many outputs.
    """

    published = Recipe(epochs=60, batch_size=32, lr=1e-3, weight_decay=1e-2, optimizer="adamw", decay=0.95)
    pretrained: str | Path | None = None

    def check_parameters(self) -> None:
        super().check_parameters()
        if self.pretrained is not None:
            locate(self.pretrained)

    def build(self, n_classes: int) -> nn.Module:
        module = build_module(n_classes)
        if self.pretrained is not None:
            file = locate(self.pretrained)
            state = read_weights(file)
            bias = state.get("fc.bias")  # without one, load_into says what the file lacks
            if bias is not None and len(bias) != n_classes:
                state |= {f"fc.{name}": value for name, value in module.fc.state_dict().items()}
            load_into(module, state, file)
        return module

    def augment(self, staged: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Mirror every second picture; what moves to the right in it then moves to the left."""
        mirrored = staged.flip(3)
        mirrored[:, 0] = 1 - mirrored[:, 0]
        chosen = (torch.rand(len(staged), device=staged.device) < 0.5)[:, None, None, None]
        return torch.where(chosen, mirrored, staged), labels
