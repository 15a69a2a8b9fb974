"""3D ResNet: residual networks with kernels in space and time, on the whole clip (Hara et al., 2017)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import nn

from microexp.clip import Clip
from microexp.errors import OptionError
from microexp.motion.tim import interpolate
from microexp.recognize._picture_network import PictureNetwork, picture
from microexp.recognize._resnet import DEPTHS, ResNet
from microexp.train import Recipe

CARD = {
    "class": "ResNet3D",
    "title": "3D ResNet",
    "summary": "A residual network of 3x3x3 convolutions on 16 frames from onset to offset.",
    "takes": "clips (aligned faces), or frames (N, 3, 16, 112, 112) float32 in [0, 1], RGB",
    "gives": "labels (N,) int64, probabilities (N, K)",
    "paper": {
        "authors": "Hara, Kensho and Kataoka, Hirokatsu and Satoh, Yutaka",
        "title": "Learning Spatio-Temporal Features with 3D Residual Networks for Action Recognition",
        "venue": "IEEE International Conference on Computer Vision Workshops",
        "year": 2017,
        "doi": "10.1109/ICCVW.2017.373",
    },
    "parameters": 33031619,
    "published": [
        {
            "source": "SR-MER study, Table II, 256 pixels",
            "data": "CASME II 4 classes",
            "WAR": 0.408,
            "protocol": "LOSO; always the largest class gives .494",
        },
        {
            "source": "SR-MER study, Table III, 256 pixels",
            "data": "SAMM 4 classes",
            "WAR": 0.512,
            "protocol": "LOSO; always the largest class gives .579",
        },
        {
            "source": "SR-MER study, Table IV, 256 pixels",
            "data": "SMIC 3 classes",
            "WAR": 0.424,
            "protocol": "LOSO; always the largest class gives .427",
        },
    ],
    "presets": {
        "sr_mer": {"n_frames": 16, "lr": 1e-4},
        "paper": {"depth": 34, "shortcut": "A", "n_frames": 16, "size": 112},
    },
    "notes": [
        "The SR-MER study says TIM to 16 frames and a learning rate of 1e-4. Depth, shortcut, input size, "
        "optimiser, epochs and pretraining are not said. Ours, set before any evaluation: 18 layers with "
        "shortcut A on 112x112 pixels, Adam, 30 epochs in batches of 8, no pretraining, no augmentation.",
        "The preset 'paper' is the network that the authors trained on Kinetics (34 layers, shortcut A); its "
        "SGD for 400 classes of action is not taken over.",
        "Frames are resized first and interpolated in time after that, without rounding; where the curve "
        "overshoots it is clipped to [0, 1]. Where the offset is unknown the clip's end stands for it.",
        "difference=True (each frame minus the onset) is ours, for comparison.",
        "Pixels are standardised by ImageNet's mean and deviation, not the mean of Kinetics.",
        "A job for a GPU: 8.3 GMAC a clip. width=16 is a network of a sixteenth of the parameters.",
    ],
}


def build_module(n_classes: int = 3, depth: int = 18, shortcut: str = "A", width: int = 64) -> ResNet:
    """Return the bare network."""
    return ResNet(3, n_classes, DEPTHS[depth], width, shortcut)


@dataclass(eq=False, repr=False)
class ResNet3D(PictureNetwork):
    """3D ResNet on frames from onset to offset; parameters as `PictureNetwork`, and these.

    Parameters
    ----------
    depth : {18, 34}
        Layers.
    shortcut : {"A", "B"}
        Past a change of size: every second position and zeros, or a convolution; see `ResNet`.
    n_frames : int
        Frames after temporal interpolation (TIM), >= 1.
    width : int
        Maps of the first stage; 64 is the published network, fewer suit a small machine.
    """

    feature_ndim = 5
    predicted_at_once = 8  # at 64 the first layer alone would fill gigabytes
    published = Recipe(epochs=30, batch_size=8, lr=1e-4)

    depth: int = 18
    shortcut: str = "A"
    n_frames: int = 16
    width: int = 64

    def check_parameters(self) -> None:
        super().check_parameters()
        if self.depth not in DEPTHS:
            raise OptionError(f"ResNet3D: depth is 18 or 34, got {self.depth}")
        if self.shortcut not in ("A", "B"):
            raise OptionError(f"ResNet3D: shortcut '{self.shortcut}' is neither A nor B")
        if self.width < 1:
            raise OptionError(f"ResNet3D: width must be at least 1, got {self.width}")

    def build(self, n_classes: int) -> nn.Module:
        return build_module(n_classes, self.depth, self.shortcut, self.width)

    def _check_pictures(self) -> None:
        super()._check_pictures()
        if self.n_frames < 1:
            raise OptionError(f"ResNet3D: n_frames must be at least 1, got {self.n_frames}")

    def feature_shape(self) -> tuple[int, ...]:
        return (3, self.n_frames, self.size, self.size)

    def _describe(self, clip: Clip) -> np.ndarray:
        end = clip.offset if clip.offset is not None else len(clip) - 1
        frames = np.stack([picture(clip.frames[i], self.size) for i in range(clip.onset, end + 1)])
        resampled = interpolate(frames, self.n_frames).clip(0, 1)
        return (resampled - frames[0] if self.difference else resampled).transpose(1, 0, 2, 3)
