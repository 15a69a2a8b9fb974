"""Super-resolution and recognition trained together: one objective over two networks.

The SR-MER study asks for this in its outlook: restoration that serves recognition rather than the eye.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from microexp.clip import Clip
from microexp.errors import DataError, OptionError
from microexp.recognize._picture_network import PictureNetwork, picture
from microexp.recognize.torch_base import TorchRecognizer
from microexp.superres._network import NetworkUpscaler
from microexp.superres.resize import resize_matrix
from microexp.train import Recipe


class JointModule(nn.Module):
    """The pair: what restores, and what recognises."""

    def __init__(self, restorer: nn.Module, recognizer: nn.Module) -> None:
        super().__init__()
        self.restorer, self.recognizer = restorer, recognizer


@dataclass(eq=False, repr=False)
class Joint(TorchRecognizer):
    """A recogniser that sees small faces through a super-resolution network, and trains both.

    Clips are given at their full size; the pictures that the recogniser looks at are made small by MATLAB's
    antialiased bicubic kernel and restored, in training and prediction alike. The loss of a batch is
    ``recognition + restoration_weight * L1``, the second between restored and true pictures. The recipe is
    the recogniser's, but for the settings given here (parameters as `TorchRecognizer`, and these).

    Parameters
    ----------
    restorer : NetworkUpscaler
        The super-resolution method; its `scale` says how small the pictures are. Its weights, "random" or
        trained, are where the training begins.
    recognizer : PictureNetwork
        The recogniser of one picture a clip, or of the difference of two, whose `size` is a multiple of the
        scale.
    restoration_weight : float
        Weight of the restoration; 0 lets recognition alone train both.
    freeze : bool
        Leave the super-resolution network as it is: recognition of restored faces, as in the SR-MER study.
    """

    feature_ndim = 4

    restorer: NetworkUpscaler | None = None
    recognizer: PictureNetwork | None = None
    restoration_weight: float = 1.0
    freeze: bool = False

    def check_parameters(self) -> None:
        super().check_parameters()
        restorer, recognizer = self._pair()
        restorer.check_parameters()
        recognizer.check_parameters()
        if self.restoration_weight < 0:
            raise OptionError(f"restoration_weight must not be negative, got {self.restoration_weight}")
        if recognizer.feature_shape() != (3, recognizer.size, recognizer.size):
            raise OptionError(
                f"a joint training takes recognisers of one picture a clip, not {type(recognizer).__name__}"
            )
        if recognizer.size % restorer.scale:
            raise OptionError(
                f"the recogniser's size must be a multiple of the scale {restorer.scale}, not "
                f"{recognizer.size}"
            )

    @property
    def published(self) -> Recipe:  # type: ignore[override]
        """The recipe of the recogniser."""
        return self._pair()[1].recipe()

    def describe(self, clips: Sequence[Clip]) -> np.ndarray:
        """Return the apex pictures at full size, ``(N, 3, S, S) float32`` in [0, 1].

        ``(N, 6, S, S)``, apex and onset, where the recogniser takes their difference.

        Raises
        ------
        DataError
            If there is no clip, or one lacks the annotation of a frame that is needed.
        """
        recognizer = self._pair()[1]
        if len(clips) == 0:
            raise DataError("there are no clips to describe")
        which = ("apex", "onset") if recognizer.difference else ("apex",)
        return np.stack(
            [np.concatenate([picture(c.key_frame(w), recognizer.size) for w in which]) for c in clips]
        )

    def build(self, n_classes: int) -> nn.Module:
        restorer, recognizer = self._pair()
        module = JointModule(copy.deepcopy(restorer.module()), recognizer.build(n_classes))
        module.restorer.requires_grad_(not self.freeze)
        return module

    def forward(self, module: nn.Module, staged: Tensor) -> Tensor:
        return self._logits_of(module, self.restored(module, staged))

    def loss(self, module: nn.Module, staged: Tensor, labels: Tensor, criterion: nn.Module) -> Tensor:
        restored = self.restored(module, staged)
        recognition = criterion(self._logits_of(module, restored), labels)
        return recognition + self.restoration_weight * F.l1_loss(restored, staged)

    def restored(self, module: nn.Module, staged: Tensor) -> Tensor:
        """Return pictures ``(B, 3 k, S, S)`` made small and restored."""
        restorer, side = self._pair()[0], staged.shape[-1]
        matrix = torch.from_numpy(resize_matrix(side, side // restorer.scale, 1 / restorer.scale).toarray())
        matrix = matrix.to(staged)
        small = matrix @ staged.reshape(-1, 3, side, side) @ matrix.T
        return restorer._apply(cast(JointModule, module).restorer, small).reshape(staged.shape)

    def _logits_of(self, module: nn.Module, restored: Tensor) -> Tensor:
        recognizer = self._pair()[1]
        seen = restored[:, :3] - restored[:, 3:] if recognizer.difference else restored
        return recognizer.forward(cast(JointModule, module).recognizer, seen)

    def _pair(self) -> tuple[NetworkUpscaler, PictureNetwork]:
        if self.restorer is None or self.recognizer is None:
            raise OptionError("a joint training needs a restorer and a recognizer")
        return self.restorer, self.recognizer
