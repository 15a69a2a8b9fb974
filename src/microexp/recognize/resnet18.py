"""ResNet-18 on one picture of the face: what a magnified micro-expression was recognised by."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from microexp.errors import OptionError
from microexp.recognize._picture_network import PictureNetwork
from microexp.recognize._resnet import ResNet
from microexp.train import Recipe
from microexp.weights import load_into, read_weights

CARD = {
    "class": "ResNet18",
    "title": "ResNet-18 on the apex frame",
    "summary": "The 18-layer residual network on the apex frame, magnified beforehand or not.",
    "takes": "clips (aligned faces), or pictures (N, 3, 112, 112) float32 in [0, 1], RGB",
    "gives": "labels (N,) int64, probabilities (N, K)",
    "paper": {
        "authors": "He, Kaiming and Zhang, Xiangyu and Ren, Shaoqing and Sun, Jian",
        "title": "Deep Residual Learning for Image Recognition",
        "venue": "IEEE Conference on Computer Vision and Pattern Recognition (CVPR)",
        "year": 2016,
        "doi": "10.1109/CVPR.2016.90",
    },
    "parameters": 11178051,
    "published": [
        {
            "source": "Microexpression to Macroexpression (Song et al.), Table II, on magnified apex frames",
            "data": "MEGC2019",
            "UF1": 0.8045,
            "UAR": 0.8153,
            "protocol": "composite database evaluation; how an epoch was chosen is not said",
        },
        {"source": "as above", "data": "MEGC2019, SAMM part", "UF1": 0.8221, "UAR": 0.8146},
        {"source": "as above", "data": "MEGC2019, SMIC part", "UF1": 0.7349, "UAR": 0.7447},
        {"source": "as above", "data": "MEGC2019, CASME II part", "UF1": 0.8610, "UAR": 0.8746},
    ],
    "notes": [
        "The magnification paper says that its magnified apex frames, aligned and of 112x112, were fed to "
        "ResNet18, and no more. Whether the network began with ImageNet weights, how it was trained, for "
        "how long and how an epoch was chosen are not said.",
        "Ours, set before any evaluation: no pretraining unless a file is given, Adam at 1e-4, batches of "
        "32, 30 epochs, no augmentation, pixels standardised by ImageNet's mean and deviation.",
        "`pretrained` reads a file with torchvision's names. Its last layer is taken over where it has as "
        "many outputs as there are classes, and drawn anew otherwise.",
        "difference=True (apex minus onset) is ours, for comparison.",
        "A job for a GPU: 0.48 GMAC a picture.",
    ],
}


def build_module(n_classes: int = 3, width: int = 64) -> ResNet:
    """Return the bare network; its state_dict has torchvision's keys (and shapes, at width 64)."""
    return ResNet(2, n_classes, width=width)


@dataclass(eq=False, repr=False)
class ResNet18(PictureNetwork):
    """ResNet-18; parameters as `PictureNetwork`, and these.

    Parameters
    ----------
    width : int
        Maps of the first stage; 64 is the published network, fewer suit a small machine.
    pretrained : path or None
        A ``.safetensors`` or PyTorch file to begin with, of torchvision's names and the same width.
    """

    published = Recipe(epochs=30, batch_size=32, lr=1e-4)

    width: int = 64
    pretrained: str | Path | None = None

    def check_parameters(self) -> None:
        """Raise `OptionError`, or `WeightsError` where the file of weights cannot be read."""
        super().check_parameters()
        if self.width < 1:
            raise OptionError(f"ResNet18: width must be at least 1, got {self.width}")
        if self.pretrained is not None:
            read_weights(self.pretrained)

    def build(self, n_classes: int) -> nn.Module:
        module = build_module(n_classes, self.width)
        if self.pretrained is not None:
            state, own = read_weights(self.pretrained), module.state_dict()
            if "fc.bias" in state and len(state["fc.bias"]) != n_classes:
                state |= {key: own[key] for key in ("fc.weight", "fc.bias")}
            load_into(module, state, self.pretrained)
        return module
