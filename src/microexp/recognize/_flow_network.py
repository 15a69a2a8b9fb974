"""What the small networks on flow images share: u, v, strain in; one recipe; channels picked from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from sklearn.base import TransformerMixin
from torch import Tensor

from microexp.clip import Clip
from microexp.errors import DataError
from microexp.motion.flow_image import FlowImage
from microexp.recognize.torch_base import TorchRecognizer

CHANNELS = ("u", "v", "strain")


@dataclass(eq=False, repr=False)
class FlowNetwork(TorchRecognizer):
    """A network on flow images of u, v and optical strain; parameters as `TorchRecognizer`, and this.

    Subclasses give `build`, the recipe that was published, the channels they take and their range.

    Parameters
    ----------
    motion : transformer or None
        Clips to flow images ``(N, 3, size, size)`` of u, v, strain in [0, 1]; None for `FlowImage` at the
        network's size.
    """

    feature_ndim = 4
    channels: ClassVar[tuple[str, ...]] = CHANNELS
    scale: ClassVar[float] = 1.0  # what the range [0, 1] of a flow image is multiplied by
    size: ClassVar[int | None] = 28  # side of the pictures; None where the network takes any

    motion: TransformerMixin | None = None

    def describe(self, clips: Sequence[Clip]) -> np.ndarray:
        motion = self.motion or FlowImage(size=self.size or 28)
        return motion.fit_transform(clips)

    def stage(self, features: np.ndarray) -> Tensor:
        """Return the channels in the network's order and range."""
        side = self.size or features.shape[-1]
        if features.shape[1:] != (len(CHANNELS), side, side):
            raise DataError(
                f"{type(self).__name__} takes flow images (N, 3, {side}, {side}) of u, v, strain; "
                f"got {features.shape}"
            )
        picked = features[:, [CHANNELS.index(channel) for channel in self.channels]]
        return torch.from_numpy(np.ascontiguousarray(picked)) * self.scale
