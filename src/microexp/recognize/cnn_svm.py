"""Features of a small convolutional network, and a linear SVM on them (Mariyathas et al., 2025)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self, cast

import numpy as np
import torch
from sklearn.svm import LinearSVC
from torch import Tensor, nn

from microexp.errors import OptionError
from microexp.recognize._picture_network import PictureNetwork
from microexp.recognize.base import Inputs, Monitor
from microexp.train import Recipe

CARD = {
    "class": "CNNSVM",
    "title": "CNN features with a linear SVM",
    "summary": "Three convolutions and two hidden layers on the apex frame; a linear SVM on the last layer.",
    "takes": "clips (aligned faces), or pictures (N, 3, 128, 128) float32 in [0, 1], RGB",
    "gives": "labels (N,) int64, uncalibrated scores (N, K)",
    "paper": {
        "authors": "Mariyathas, Janotheepan and Mehendran, Yanusha and Muath, Mohamed and Lasna, Fathima and "
        "Jathukulan, Sangaralingam and Ekanayake, Jayalath",
        "title": "Micro Facial Expression Recognition Using Generative Adversarial Network Generated Super "
        "Resolution Images",
        "venue": "Journal of Multidisciplinary and Translational Research",
        "year": 2025,
        "url": "https://journals.kln.ac.lk/jmtr/",
    },
    "parameters": 2129315,
    "notes": [
        "The paper says: three convolutions, two hidden layers, pooling, pictures of 128x128, recognition "
        "judged by a support vector machine (abstract). It prints no accuracy of recognition.",
        "Ours, set before any evaluation: 16, 32 and 64 maps of 3x3 with ReLU, each max-pooled by 2; hidden "
        "layers of 128 and 64 with ReLU; Adam at 1e-3, 50 epochs in batches of 32 under a softmax "
        "layer; then a linear SVM (scikit-learn's LinearSVC, one against the rest, C = 1) on the last "
        "hidden layer; the apex frame.",
        "The SVM is a linear map, so it takes the place of the softmax layer in the network: what is saved "
        "and loaded is the SVM. Scores are the softmax of its margins and are not calibrated.",
        "Where a monitor chooses the epoch, the softmax layer of that epoch is what it judges; the SVM is "
        "fitted on that network afterwards, and another one on that of the last epoch. A training that "
        "was interrupted ends without an SVM and predicts by the softmax layer.",
        "The paper splits its pictures 70/20/10 per cent, which mixes subjects; evaluations here do not.",
    ],
}

_POOLINGS = 3


def build_module(n_classes: int = 3, size: int = 128) -> CNNModule:
    """Return the bare network."""
    return CNNModule(n_classes, size)


class CNNModule(nn.Module):
    """The network, ``(N, 3, S, S)`` to logits (of the SVM: margins) ``(N, K)``.

    Parameters
    ----------
    n_classes : int
        Outputs.
    size : int
        Height and width S of the pictures, pixels, >= 8.
    """

    def __init__(self, n_classes: int = 3, size: int = 128) -> None:
        super().__init__()
        self.maps = nn.Sequential(_conv(3, 16), _conv(16, 32), _conv(32, 64), nn.Flatten())
        side = size // 2**_POOLINGS
        self.hidden = nn.Sequential(
            nn.Linear(64 * side * side, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU()
        )
        self.fc = nn.Linear(64, n_classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.features(images))

    def features(self, images: Tensor) -> Tensor:
        """Return the last hidden layer, ``(N, 64)``."""
        return self.hidden(self.maps(images))


def _conv(channels: int, maps: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, maps, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))


@dataclass(eq=False, repr=False)
class CNNSVM(PictureNetwork):
    """A small CNN whose last layer is a linear SVM; parameters as `PictureNetwork`, and C.

    Parameters
    ----------
    C : float
        Inverse strength of the SVM's penalty, > 0. `class_weight` holds for network and SVM.
    """

    published = Recipe(epochs=50, batch_size=32, lr=1e-3)

    C: float = 1.0
    size: int = 128

    def check_parameters(self) -> None:
        super().check_parameters()
        if not self.C > 0:
            raise OptionError(f"CNNSVM: C must be positive, got {self.C}")

    def _check_pictures(self) -> None:
        super()._check_pictures()
        if self.size < 2**_POOLINGS:
            raise OptionError(f"CNNSVM: size must be at least {2**_POOLINGS} pixels, got {self.size}")

    def build(self, n_classes: int) -> nn.Module:
        return build_module(n_classes, self.size)

    def fit(self, X: Inputs, y: np.ndarray, monitor: Monitor | None = None) -> Self:
        """Train the network on clips (or features) and labels, then the SVM on its last hidden layer.

        Parameters as `TorchRecognizer.fit`; the monitor sees the softmax layer, see the card.
        """
        self.check_parameters()
        pictures = self.features(X)
        super().fit(pictures, y, monitor)
        for fitted in [self] if monitor is None else [self, self.at_last_epoch()]:
            self._put_svm(cast(CNNModule, fitted.module_), pictures, y)
        return self

    def _put_svm(self, module: CNNModule, pictures: np.ndarray, labels: np.ndarray) -> None:
        """Fit the SVM on the last hidden layer and let it take the place of the softmax layer."""
        svm = LinearSVC(
            C=self.C, class_weight=self.class_weight, random_state=self.random_state, max_iter=10_000
        ).fit(self._hidden(module, pictures), np.asarray(labels))
        weight, bias = svm.coef_, svm.intercept_
        if len(weight) == 1:  # two classes: one signed margin, of the second
            weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
        with torch.no_grad():
            module.fc.weight.copy_(torch.from_numpy(weight))
            module.fc.bias.copy_(torch.from_numpy(bias))

    @torch.inference_mode()
    def _hidden(self, module: CNNModule, pictures: np.ndarray) -> np.ndarray:
        """The last hidden layer, ``(N, 64) float64``, computed as prediction does."""
        device = next(module.parameters()).device
        batches = self.stage(pictures).split(64)
        hidden = [module.features(self.standardised(batch.to(device))) for batch in batches]
        return torch.cat(hidden).cpu().double().numpy()
