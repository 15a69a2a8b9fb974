"""The face descriptor of face-api: 128 numbers of a face, near each other for pictures of one person.

It is dlib's network (a ResNet of 29 layers trained by metric learning on about 3 million pictures), of which
its authors say that faces nearer than 0.6 are of one person. No weights come with microexp; the catalogue of
published weights has them as "face-descriptor".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from microexp.errors import DataError
from microexp.faces.geometry import fit_similarity, warp
from microexp.networks.tensors import to_tensor
from microexp.networks.weighted import fixed

CHIP = 150  # side of the aligned face that the network takes, pixels
SAME_PERSON = 0.6
_MEAN = (122.782, 117.001, 104.298)  # red, green, blue, of 255
_BLOCKS = ((32, 3), (64, 4), (128, 3), (256, 3))  # channels, and residual blocks of so many
_PADDING = 0.25  # of the template's side, around it
# Corners of the eyes and base of the nose, which expressions move least: numbers of the 68 landmarks, and
# where dlib's chips have them, on a square of side 1.
_POINTS = (45, 42, 36, 39, 33)
_TEMPLATE = (
    (0.8595674595992, 0.2134981538014),
    (0.6460604764104, 0.2289674387677),
    (0.1205750620789, 0.2137274526848),
    (0.3340850613712, 0.2290642403242),
    (0.4901123135679, 0.6277975316475),
)
_RENAMED = {".filters": ".weight", ".scale.weights": ".scale", ".scale.biases": ".shift"}


class Scaled(nn.Module):
    """A convolution, then a factor and a shift of each channel."""

    def __init__(self, n_in: int, n_out: int, kernel: int = 3, stride: int = 1, padding: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(n_in, n_out, kernel, stride, padding)
        self.scale = nn.Parameter(torch.ones(n_out))
        self.shift = nn.Parameter(torch.zeros(n_out))

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) * self.scale[:, None, None] + self.shift[:, None, None]


class Residual(nn.Module):
    """Two convolutions beside an identity; or, where it halves the size, beside the mean of 2x2 pixels.

    Halving, the convolution may lack a last row and column that the mean has, and the mean channels that the
    convolution has: what is lacking is zero.
    """

    def __init__(self, n_in: int, n_out: int, down: bool) -> None:
        super().__init__()
        self.down = down
        self.conv1 = Scaled(n_in, n_out, 3, 2, 0) if down else Scaled(n_in, n_out)
        self.conv2 = Scaled(n_out, n_out)

    def forward(self, x: Tensor) -> Tensor:
        found = self.conv2(F.relu(self.conv1(x)))
        if self.down:
            x = F.avg_pool2d(x, 2)
            found = F.pad(found, (0, x.shape[3] - found.shape[3], 0, x.shape[2] - found.shape[2]))
            x = F.pad(x, (0, 0, 0, 0, 0, found.shape[1] - x.shape[1]))
        return F.relu(found + x)


class FaceDescriptor(nn.Module):
    """Aligned faces ``(N, 3, 150, 150)`` RGB in [0, 1] to descriptors ``(N, 128)``; gradients flow."""

    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.conv32_down = Scaled(3, 32, 7, 2, 0)
        for channels, count in _BLOCKS:  # the names are face-api's
            for i in range(1 if channels == 32 else 0, count + (channels == 32)):
                n_in = channels if i else channels // 2
                self.add_module(f"conv{channels}_{i or 'down'}", Residual(n_in, channels, down=i == 0))
        self.conv256_down_out = Residual(256, 256, down=True)
        self.fc = nn.Linear(256, 128, bias=False)
        self.register_buffer("mean", torch.tensor(_MEAN)[:, None, None] / 255, persistent=False)

    def forward(self, chips: Tensor) -> Tensor:
        first, *blocks, fc = self.children()
        x = F.max_pool2d(F.relu(first(chips - self.mean)), 3, 2)
        for block in blocks:
            x = block(x)
        return fc(x.mean(dim=(2, 3)))


@dataclass(frozen=True)
class FaceDescriptorNetwork:
    """What `microexp.weights.convert` must know of the descriptor to make a weight file."""

    def build(self) -> FaceDescriptor:
        """Return the network; its weights are not set."""
        return FaceDescriptor()

    def canonical(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return face-api's tensors under the names of this network; others keep their names."""
        renamed = {}
        for key, value in state.items():
            ending = next((one for one in _RENAMED if key.endswith(one)), "")
            name = key.removesuffix(ending) + _RENAMED.get(ending, "")
            renamed[name] = value
        if "fc" in renamed:
            renamed["fc.weight"] = renamed.pop("fc").T
        return renamed

    def description(self) -> dict[str, str]:
        """Return what a weight file says of itself."""
        return {"method": "FaceDescriptor"}


def load(weights: str | Path = "face-descriptor", device: str = "auto") -> FaceDescriptor:
    """Return the network with the weights of a file, or of the catalogue, in evaluation mode.

    Raises
    ------
    WeightsError
        If the file is missing, damaged, or of something else.
    """
    return fixed(lambda _: FaceDescriptor(), weights, device)


def face_chip(picture: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """Cut a face out as dlib does by five points: upright, its template padded by a quarter.

    Parameters
    ----------
    picture : numpy.ndarray
        ``(H, W, 3) uint8 RGB``.
    landmarks : numpy.ndarray
        ``(68, 2)``, x and y in pixels, in the iBUG order.

    Returns
    -------
    numpy.ndarray
        ``(150, 150, 3) uint8 RGB``.

    Raises
    ------
    DataError
        If the landmarks are not 68, or the five are all one point.
    """
    landmarks = np.asarray(landmarks)
    if landmarks.shape != (68, 2):
        raise DataError(f"a face is cut out by 68 landmarks (68, 2), got {landmarks.shape}")
    target = (np.array(_TEMPLATE) + _PADDING) / (1 + 2 * _PADDING) * CHIP
    return warp(picture, fit_similarity(landmarks[list(_POINTS)], target), CHIP)


def descriptors(module: FaceDescriptor, chips: np.ndarray) -> np.ndarray:
    """Return the descriptors ``(N, 128) float64`` of faces ``(N, 150, 150, 3)`` cut out by `face_chip`."""
    device = next(module.parameters()).device
    with torch.inference_mode():
        return module(to_tensor(chips).to(device)).double().cpu().numpy()
