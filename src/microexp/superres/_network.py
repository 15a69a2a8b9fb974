"""The bases of the methods that are networks: of single pictures, and of video."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from microexp.errors import OptionError, WeightsError
from microexp.networks.tensors import pad_edges, to_frames, to_tensor
from microexp.networks.weighted import WeightedNetwork
from microexp.superres._tiles import in_tiles
from microexp.superres.base import Upscaler
from microexp.train import pick_device
from microexp.train.restoration import RestorationRecipe


@dataclass(eq=False, repr=False)
class NetworkUpscaler(WeightedNetwork, Upscaler):
    """A network from small to large pictures; a subclass gives `build` and `recipes`.

    Subclasses are dataclasses whose fields are their further settings; those that say what the network
    looks like are named in `architecture`.

    Parameters
    ----------
    scale : int
        Factor of width and height, one of `scales`.
    weights : str, Path or None
        A weight file (safetensors or PyTorch), a name that ``microexp weights list`` shows, or "random" for
        untrained weights drawn from `random_state`, which only timing and tests have a use for. A file that
        says its architecture, as those trained by microexp do, decides it.
    tile : int or None
        Side of the parts that a large picture is cut into, pixels of the small picture; None for no cutting.
    overlap : int
        Pixels of the small picture that a part sees beyond its borders.
    random_state : int
        Seed of the weights "random".
    device : str
        "auto", "cpu", "cuda", ...
    """

    scales: ClassVar[tuple[int, ...]] = (4,)
    multiple: ClassVar[int] = 1  # what height and width of the small picture must be multiples of
    smallest: ClassVar[int] = 1  # height and width that the network needs at least
    family: ClassVar[str] = "superres"

    scale: int = 4
    weights: str | Path | None = None
    tile: int | None = 192
    overlap: int = 16
    random_state: int = 0
    device: str = "auto"

    @abstractmethod
    def recipes(self) -> dict[str, RestorationRecipe]:
        """Return how the network is trained, by name of the stage: that of the paper for pixels first."""

    def discriminator(self, patch: int) -> nn.Module:
        """Return the network that the adversarial recipe trains against.

        Parameters
        ----------
        patch : int
            Height and width of the pictures it is shown.

        Raises
        ------
        OptionError
            If the method has no adversarial training, or not on such patches.
        """
        raise OptionError(f"{type(self).__name__} has no adversarial training")

    def training_output(self, module: nn.Module, small: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Return what training compares with the true pictures; with it, what a method cleans before."""
        return module(small)

    def check_parameters(self) -> None:
        super().check_parameters()
        if self.scale not in self.scales:
            known = ", ".join(map(str, self.scales))
            raise OptionError(
                f"{type(self).__name__} enlarges by {known}, not by {self.scale}; larger factors are reached "
                "in steps, see microexp.superres.cascade"
            )
        if (self.tile is not None and self.tile < max(self.smallest, 8)) or self.overlap < 0:
            raise OptionError(
                f"{type(self).__name__}: tile must be at least {max(self.smallest, 8)} and overlap at least "
                f"0, got {self.tile} and {self.overlap}"
            )
        pick_device(self.device)

    def identity(self) -> object:
        base = super().identity()
        return None if base is None else (base, *sorted(self.weights_used().items()))

    def _upscale(self, frames: np.ndarray) -> np.ndarray:
        return in_tiles(self._enlarge, frames, self.scale, self.tile, self.overlap)

    def _enlarge(self, frames: np.ndarray) -> np.ndarray:
        """Restore frames ``(T, H, W, 3) uint8`` of any size, uncut: padded to what the network takes."""
        module = self.module()
        height, width = frames.shape[1:3]
        bottom = max(-height % self.multiple, self.smallest - height)
        right = max(-width % self.multiple, self.smallest - width)
        pictures = pad_edges(to_tensor(frames), bottom, right).to(next(module.parameters()).device)
        with torch.inference_mode():
            enlarged = self._apply(module, pictures)
        return to_frames(enlarged[..., : height * self.scale, : width * self.scale])

    def _apply(self, module: nn.Module, pictures: Tensor) -> Tensor:
        """Return ``(T, 3, s H, s W)`` of pictures ``(T, 3, H, W)`` in [0, 1]; one at a time, for memory."""
        return torch.cat([module(picture[None]) for picture in pictures])

    def description(self) -> dict[str, str]:
        return {**super().description(), "scale": str(self.scale)}

    def check_said(self, said: Mapping[str, str], file: Path) -> None:
        name = type(self).__name__
        if said.get("method", name) != name or int(said.get("scale", self.scale)) != self.scale:
            raise WeightsError(
                f"{file} holds {said.get('method')} for scale {said.get('scale')}, not {name} for scale "
                f"{self.scale}"
            )


@dataclass(eq=False, repr=False)
class VideoUpscaler(NetworkUpscaler):
    """A network from consecutive small frames to large ones; other parameters as `NetworkUpscaler`.

    Parameters
    ----------
    window, margin : int
        Frames restored at a time, and seen beyond them on either side.
    """

    tile: int | None = 128
    window: int = 30
    margin: int = 3

    @property
    def fewest(self) -> int:
        """Frames that the network needs at least; shorter clips are mirrored in time."""
        return 1

    def _upscale(self, frames: np.ndarray) -> np.ndarray:
        enough = mirrored(len(frames), self.fewest)
        return super()._upscale(frames[enough])[: len(frames)]

    def _apply(self, module: nn.Module, pictures: Tensor) -> Tensor:
        """Return what the network makes of consecutive frames ``(T, 3, H, W)`` in [0, 1]."""
        return module(pictures[None])[0]


def mirrored(count: int, fewest: int) -> np.ndarray:
    """Return the indices of `count` frames, continued there and back until there are `fewest`."""
    period = [*range(count), *range(count - 2, 0, -1)]
    return np.array([period[i % len(period)] for i in range(max(count, fewest))])
