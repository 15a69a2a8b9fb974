"""The base of the magnification methods that are networks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from microexp.magnify.base import Magnifier
from microexp.networks.weighted import WeightedNetwork
from microexp.train import pick_device


@dataclass(eq=False, repr=False)
class NetworkMagnifier(WeightedNetwork, Magnifier):
    """A network that magnifies; a subclass gives `build` and `_magnify`.

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

    def check_parameters(self) -> None:
        super().check_parameters()
        pick_device(self.device)

    def identity(self) -> object:
        base = super().identity()
        return None if base is None else (base, *sorted(self.weights_used().items()))
