"""What networks on faces themselves share: pictures of one size in [0, 1], their range, one recipe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from microexp.clip import Clip
from microexp.errors import DataError, OptionError
from microexp.recognize.torch_base import TorchRecognizer

# Mean and standard deviation of R, G, B in [0, 1] that networks trained on ImageNet are fed with.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(eq=False, repr=False)
class PictureNetwork(TorchRecognizer):
    """A network on RGB pictures of the face; parameters as `TorchRecognizer`, and these.

    Subclasses give `build` and the recipe at None; those that look at more than one picture a clip give
    `_shape` and `_describe` (a clip to its features) as well. Pixels are standardised by the mean
    and deviation of ImageNet on their way into the network.

    Parameters
    ----------
    size : int
        Height and width of the pictures, pixels; frames are resized to it by area, or bilinearly where
        that enlarges.
    difference : bool
        Take the onset frame off, so that what moved is left and little of who moved it.
    flip : bool
        Mirror each training picture with probability 1/2 whenever it is used.
    """

    feature_ndim = 4

    size: int = 112
    difference: bool = False
    flip: bool = False

    def check_parameters(self) -> None:
        super().check_parameters()
        self._check_pictures()

    def describe(self, clips: Sequence[Clip]) -> np.ndarray:
        """Return the pictures, ``(N, 3, size, size) float32`` in [0, 1]; a difference in [-1, 1].

        Raises
        ------
        DataError
            If there is no clip, or one lacks the annotation of a frame that is needed.
        """
        if len(clips) == 0:
            raise DataError("there are no clips to describe")
        self._check_pictures()
        return np.stack([self._describe(clip) for clip in clips])

    def stage(self, features: np.ndarray) -> Tensor:
        """Return the pictures as they are, of the size that the network takes."""
        wanted = self.feature_shape()
        if features.shape[1:] != wanted:
            shape = ", ".join(map(str, wanted))
            raise DataError(f"{type(self).__name__} takes pictures (N, {shape}); got {features.shape}")
        return super().stage(features)

    def augment(self, staged: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Mirror each picture (or all of a clip) with probability 1/2, if `flip`."""
        if not self.flip:
            return staged, labels
        mirrored = (torch.rand(len(staged)) < 0.5).to(staged.device)
        return torch.where(mirrored.view(-1, *[1] * (staged.ndim - 1)), staged.flip(-1), staged), labels

    def forward(self, module: nn.Module, staged: Tensor) -> Tensor:
        return module(self.standardised(staged))

    def standardised(self, staged: Tensor) -> Tensor:
        """Return pixels ``(B, 3, ...)`` less the mean (of a difference: as they are), over the deviation."""
        colour = (1, 3, *[1] * (staged.ndim - 2))
        mean, std = (torch.tensor(value, device=staged.device).view(colour) for value in (MEAN, STD))
        return (staged if self.difference else staged - mean) / std

    def _check_pictures(self) -> None:
        if self.size < 1:
            raise OptionError(f"{type(self).__name__}: size must be at least 1 pixel, got {self.size}")

    def feature_shape(self) -> tuple[int, ...]:
        """The shape of one clip's features."""
        return (3, self.size, self.size)

    def _describe(self, clip: Clip) -> np.ndarray:
        """The features of one clip, of that shape."""
        apex = picture(clip.key_frame("apex"), self.size)
        return apex - picture(clip.key_frame("onset"), self.size) if self.difference else apex


def picture(frame: np.ndarray, size: int) -> np.ndarray:
    """Resize a frame ``(H, W, 3) uint8 RGB`` to ``(3, size, size) float32`` in [0, 1], without rounding.

    Averaged by area, or bilinearly where that enlarges.
    """
    method = cv2.INTER_AREA if size <= min(frame.shape[:2]) else cv2.INTER_LINEAR
    pixels = np.asarray(frame, dtype=np.float32) / 255
    return cv2.resize(pixels, (size, size), interpolation=method).transpose(2, 0, 1)
