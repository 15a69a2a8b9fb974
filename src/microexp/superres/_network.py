"""The bases of the methods that are networks: of single pictures, and of video."""

from __future__ import annotations

import json
import re
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.base import clone
from torch import Tensor, nn

from microexp.errors import OptionError, WeightsError
from microexp.superres._tiles import in_tiles
from microexp.superres.base import Upscaler
from microexp.train import pick_device
from microexp.train.restoration import RestorationRecipe
from microexp.weights import load_into, locate, read_metadata, read_weights
from microexp.weights.download import sha256_of

RANDOM = "random"


@dataclass(eq=False, repr=False)
class NetworkUpscaler(Upscaler):
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
    architecture: ClassVar[tuple[str, ...]] = ()
    aliases: ClassVar[tuple[tuple[str, str], ...]] = ()  # (pattern, replacement): other code bases' key names

    scale: int = 4
    weights: str | Path | None = None
    tile: int | None = 192
    overlap: int = 16
    random_state: int = 0
    device: str = "auto"

    @abstractmethod
    def build(self) -> nn.Module:
        """Return the untrained network."""

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

    def using(self, module: nn.Module) -> Self:
        """Return a method like this one that restores with the given network."""
        twin = clone(self)
        twin._made = twin._wanted(), module
        return twin

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

    def module(self) -> nn.Module:
        """Return the network with its weights, in evaluation mode, on the device; it is made once.

        Raises
        ------
        WeightsError
            If no weights are given, or they are missing, damaged or of another network or scale.
        """
        if getattr(self, "_made", (None, None))[0] != self._wanted():
            module = self._random() if self.weights == RANDOM else self._loaded()
            self._made = self._wanted(), module.to(pick_device(self.device)).eval()
        return self._made[1]

    def canonical(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the tensors of a published checkpoint under the names of this network.

        The names are those of the widest used code base; `aliases` translate others.
        """
        renamed = unwrapped(state)
        for pattern, replacement in self.aliases:
            renamed = {re.sub(pattern, replacement, key): value for key, value in renamed.items()}
        return renamed

    def identity(self) -> object:
        base = super().identity()
        return None if base is None else (base, *sorted(self.weights_used().items()))

    def weights_used(self) -> dict[str, str]:
        if self.weights in (None, RANDOM):
            return {"name": str(self.weights)}
        file = locate(str(self.weights))
        return {**read_metadata(file), "name": str(self.weights), "file_sha256": sha256_of(file)}

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

    def _wanted(self) -> tuple[tuple[str, str], ...]:
        """Return the settings that the network was made for."""
        return tuple(sorted((name, str(value)) for name, value in self.get_params().items()))

    def _random(self) -> nn.Module:
        with torch.random.fork_rng():
            torch.manual_seed(self.random_state)
            return self.build()

    def _loaded(self) -> nn.Module:
        name = type(self).__name__
        if self.weights is None:
            raise WeightsError(
                f"{name} needs weights: name a file, or one that 'microexp weights list' shows, or train it "
                "('microexp train superres'); weights='random' gives untrained ones, for tests"
            )
        file = locate(str(self.weights))
        said = read_metadata(file)
        if said.get("method", name) != name or int(said.get("scale", self.scale)) != self.scale:
            raise WeightsError(
                f"{file} holds {said.get('method')} for scale {said.get('scale')}, not {name} for scale "
                f"{self.scale}"
            )
        twin = type(self)(**{**self.get_params(), **json.loads(said.get("architecture", "{}"))})
        module = twin.build()
        load_into(module, self.canonical(read_weights(file)), file)
        return module

    def description(self) -> dict[str, str]:
        """Return what a weight file of this network says of itself."""
        architecture = {name: getattr(self, name) for name in self.architecture}
        return {
            "method": type(self).__name__,
            "scale": str(self.scale),
            "architecture": json.dumps(architecture),
        }


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


def pad_edges(pictures: Tensor, bottom: int, right: int) -> Tensor:
    """Continue pictures ``(N, 3, H, W)`` by their last row and column."""
    return F.pad(pictures, (0, right, 0, bottom), mode="replicate") if bottom or right else pictures


def to_tensor(frames: np.ndarray) -> Tensor:
    """Turn ``(T, H, W, 3) uint8`` into ``(T, 3, H, W) float32`` in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(frames.transpose(0, 3, 1, 2))).float() / 255


def to_frames(pictures: Tensor) -> np.ndarray:
    """Turn ``(T, 3, H, W)`` in [0, 1] into ``(T, H, W, 3) uint8``: clipped, rounded."""
    levels = pictures.float().clamp(0, 1).mul(255).round().byte()
    return levels.permute(0, 2, 3, 1).cpu().numpy()


def unwrapped(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the generator's tensors of a training checkpoint: the running mean where there is one.

    Published checkpoints prefix them with ``generator_ema.`` or ``generator.``, beside a discriminator's and
    counters.
    """
    kept = {k: v for k, v in state.items() if not k.startswith("discriminator.") and k != "step_counter"}
    if any(key.startswith("generator_ema.") for key in kept):
        kept = {k: v for k, v in kept.items() if k.startswith("generator_ema.")}
    for prefix in ("generator_ema.", "generator.", "module."):
        if kept and all(key.startswith(prefix) for key in kept):
            kept = {k.removeprefix(prefix): v for k, v in kept.items() if k != f"{prefix}step_counter"}
    return kept
