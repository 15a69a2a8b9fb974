"""The base of the magnification methods that are networks."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from torch import Tensor, nn

from microexp.magnify.base import Magnifier
from microexp.networks.weighted import WeightedNetwork
from microexp.train import pick_device
from microexp.train.magnification import MagnificationRecipe, Triples


@dataclass(eq=False, repr=False)
class NetworkMagnifier(WeightedNetwork, Magnifier):
    """A network that magnifies; a subclass gives `build`, `_magnify`, `recipes` and `losses`.

    Subclasses are dataclasses whose fields are their further settings; those that say what the network
    looks like are named in `architecture`.

    Parameters
    ----------
    weights : str, Path or None
        A weight file (safetensors or PyTorch), a name that ``microexp weights list`` shows, or "random" for
        untrained weights drawn from `random_state`, which only timing and tests have a use for. A file that
        says its architecture, as those trained by microexp do, decides it.
    random_state : int
        Seed of the weights "random".
    device : str
        "auto", "cpu", "cuda", ...
    """

    family: ClassVar[str] = "magnify"

    weights: str | Path | None = None
    random_state: int = 0
    device: str = "auto"

    @abstractmethod
    def recipes(self) -> dict[str, MagnificationRecipe]:
        """Return how the network is trained, by name of the stage, in the order they follow each other."""

    @abstractmethod
    def losses(self, module: nn.Module, batch: Triples, terms: Collection[str]) -> dict[str, Tensor]:
        """Return the terms of the loss of these names, each a scalar, without their weights.

        Raises
        ------
        OptionError
            If there is no term of a name, or the batch does not say what it needs.
        """

    def prepare(self, module: nn.Module, vgg: str | Path | None) -> None:
        """Give a network that is about to be trained what it does not learn: here nothing.

        Parameters
        ----------
        module : torch.nn.Module
            The network, which is changed.
        vgg : path, "random" or None
            ImageNet weights of VGG19, see `microexp.networks.vgg.vgg_features`; "random" for untrained ones.

        Raises
        ------
        OptionError
            If the network needs VGG's weights and none are named.
        """

    def check_parameters(self) -> None:
        super().check_parameters()
        pick_device(self.device)

    def identity(self) -> object:
        base = super().identity()
        return None if base is None else (base, *sorted(self.weights_used().items()))
