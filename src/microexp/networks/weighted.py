"""What every stage that is a network with weights has in common."""

from __future__ import annotations

import json
import re
from abc import abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar, Self, TypeVar

import torch
from sklearn.base import clone
from torch import Tensor, nn

from microexp.errors import WeightsError
from microexp.stateless import Stateless
from microexp.train import pick_device
from microexp.weights import load_into, locate, read_metadata, read_weights
from microexp.weights.download import sha256_of

RANDOM = "random"
Module = TypeVar("Module", bound=nn.Module)


class WeightedNetwork(Stateless):
    """A stage that is a network; a subclass gives `build`, and the parameters named below.

    Attributes
    ----------
    architecture : tuple of str
        Those of the parameters that say what the network looks like. A file of weights that names them, as
        those trained by microexp do, decides them.
    aliases : tuple of (str, str)
        Pattern and replacement: key names of other code bases.
    family : str
        The folder the method stands in, for messages.
    weights : str, Path or None
        A weight file (safetensors or PyTorch), a name that ``microexp weights list`` shows, or "random" for
        untrained weights drawn from `random_state`, which only timing and tests have a use for.
    random_state : int
        Seed of the weights "random".
    device : str
        "auto", "cpu", "cuda", ...
    """

    architecture: ClassVar[tuple[str, ...]] = ()
    aliases: ClassVar[tuple[tuple[str, str], ...]] = ()
    family: ClassVar[str]

    weights: str | Path | None
    random_state: int
    device: str

    @abstractmethod
    def build(self) -> nn.Module:
        """Return the untrained network."""

    def using(self, module: nn.Module) -> Self:
        """Return a method like this one that works with the given network."""
        twin = clone(self)
        twin._made = twin._wanted(), module
        return twin

    def module(self) -> nn.Module:
        """Return the network with its weights, in evaluation mode, on the device; it is made once.

        Raises
        ------
        WeightsError
            If no weights are given, or they are missing, damaged or of another network.
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

    def weights_used(self) -> dict[str, str]:
        """Return what is known of the weights, with the file's SHA-256."""
        if self.weights in (None, RANDOM):
            return {"name": str(self.weights)}
        file = locate(str(self.weights))
        return {**read_metadata(file), "name": str(self.weights), "file_sha256": sha256_of(file)}

    def description(self) -> dict[str, str]:
        """Return what a weight file of this network says of itself."""
        architecture = {name: getattr(self, name) for name in self.architecture}
        return {"method": type(self).__name__, "architecture": json.dumps(architecture)}

    def check_said(self, said: Mapping[str, str], file: Path) -> None:
        """Raise `WeightsError` if a file says that it holds another network."""
        name = type(self).__name__
        if said.get("method", name) != name:
            raise WeightsError(f"{file} holds {said['method']}, not {name}")

    def _wanted(self) -> tuple[tuple[str, str], ...]:
        """Return the settings that the network was made for."""
        return tuple(sorted((name, str(value)) for name, value in self.get_params().items()))

    def _random(self) -> nn.Module:
        with torch.random.fork_rng():
            torch.manual_seed(self.random_state)
            return self.build()

    def _loaded(self) -> nn.Module:
        if self.weights is None:
            raise WeightsError(
                f"{type(self).__name__} needs weights: name a file, or one that 'microexp weights list' "
                f"shows, or train it ('microexp train {self.family}'); weights='random' gives untrained "
                "ones, for tests"
            )
        file = locate(str(self.weights))
        said = read_metadata(file)
        self.check_said(said, file)
        twin = type(self)(**{**self.get_params(), **json.loads(said.get("architecture", "{}"))})
        module = twin.build()
        load_into(module, self.canonical(read_weights(file)), file)
        return module


def fixed(
    build: Callable[[Mapping[str, Tensor]], Module], weights: str | Path, device: str = "auto"
) -> Module:
    """Return a network that is used and not trained, with the weights of a file or of the catalogue.

    `build` is given the file's tensors, which may say what network it must be.

    Raises
    ------
    WeightsError
        If the file is missing, damaged, or of something else.
    """
    file = locate(weights)
    state = read_weights(file)
    with torch.random.fork_rng():  # what a network draws at first is replaced by the file
        module = build(state)
    load_into(module, state, file)
    return module.to(pick_device(device)).eval().requires_grad_(False)


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
