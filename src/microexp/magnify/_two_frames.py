"""What the networks that compare a frame with the onset have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from microexp.errors import OptionError
from microexp.magnify._network import NetworkMagnifier
from microexp.networks.tensors import pad_edges, to_frames, to_tensor


@dataclass(eq=False, repr=False)
class TwoFrameMagnifier(NetworkMagnifier):
    """A network that sees the onset and one frame; a subclass gives `_remember` and `_apply`.

    Pictures of other sizes than the network takes are continued by their last row and column, and cut again.
    """

    multiple: ClassVar[int] = 8  # what height and width must be multiples of; both are at least 8

    @abstractmethod
    def _remember(self, module: nn.Module, onset: Tensor) -> Any:
        """Return what is kept of the onset ``(1, 3, H, W)`` for all frames of a stream."""

    @abstractmethod
    def _apply(self, module: nn.Module, remembered: Any, frame: Tensor) -> Tensor:
        """Return the magnified frame, ``(1, 3, H, W)`` like the frame."""

    def _magnify(
        self, frames: Iterable[np.ndarray], onset: np.ndarray | None, fps: float | None
    ) -> Iterator[np.ndarray]:
        module = self.module()
        with torch.inference_mode():
            remembered = self._remember(module, self._padded(module, cast(np.ndarray, onset)))
        for frame in frames:
            height, width = frame.shape[:2]
            with torch.inference_mode():  # not around the yield: the caller's code is not ours
                strong = self._apply(module, remembered, self._padded(module, frame))
            yield to_frames(strong[..., :height, :width])[0]

    def _padded(self, module: nn.Module, picture: np.ndarray) -> Tensor:
        height, width = picture.shape[:2]
        bottom, right = (max(-side % self.multiple, 8 - side) for side in (height, width))
        return pad_edges(to_tensor(picture[None]), bottom, right).to(next(module.parameters()).device)


class ResidualBlock(nn.Module):
    """Convolution, ReLU, convolution, plus the input.

    Parameters
    ----------
    channels : int
        In and out.
    padding : {"reflect", "zeros"}
        What lies beyond the border.
    bias : bool
        Of the convolutions.
    """

    def __init__(
        self, channels: int, padding: Literal["reflect", "zeros"] = "zeros", bias: bool = True
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, padding_mode=padding, bias=bias)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, padding_mode=padding, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, C, H, W)`` of the same."""
        return x + self.conv2(F.relu(self.conv1(x)))


def check_terms(name: str, terms: Collection[str], known: Collection[str]) -> None:
    """Raise `OptionError` if a method's loss has no term of a name."""
    if unknown := sorted(set(terms) - set(known)):
        raise OptionError(f"the loss of {name} has no {', '.join(unknown)}; its terms are {', '.join(known)}")
