"""How a training begins: with which recipe, and from which weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

from torch import nn

from microexp.errors import OptionError, UnknownNameError, WeightsError
from microexp.networks.weighted import RANDOM, WeightedNetwork
from microexp.weights import load_into, locate, read_metadata, read_weights


class Recipe(Protocol):
    """How a network is trained: a dataclass that can be shortened."""

    def in_steps(self, steps: int) -> Self:
        """Return the recipe in another number of steps."""


R_co = TypeVar("R_co", bound=Recipe, covariant=True)


class Trainable(Protocol[R_co]):
    """A method that says how it is trained."""

    def recipes(self) -> Mapping[str, R_co]:
        """Return its recipes by name of the stage."""


def recipe_of(
    method: Trainable[R_co], stage: str | None = None, steps: int | None = None, **changes: Any
) -> tuple[str, R_co]:
    """Return the name of a stage and its recipe, shortened or changed.

    Parameters
    ----------
    method : Trainable
        Whose recipe.
    stage : str or None
        One of the method's ``recipes()``; None for the first.
    steps : int or None
        Another number of steps; all that the recipe counts in steps shrinks alike.
    **changes
        Other fields of the recipe; those that are None stay.

    Raises
    ------
    UnknownNameError
        If the method has no such stage.
    OptionError
        If a value cannot be used.
    """
    recipes = method.recipes()
    stage = next(iter(recipes)) if stage is None else stage
    if stage not in recipes:
        raise UnknownNameError(f"stage of training {type(method).__name__}", stage, recipes)
    recipe = recipes[stage] if steps is None else recipes[stage].in_steps(steps)
    return stage, replace(recipe, **{k: v for k, v in changes.items() if v is not None})  # type: ignore[type-var]


def begin(
    method: WeightedNetwork, module: nn.Module, start: str | Path | None, out: Path, stage: str
) -> None:
    """Put the weights in that a training begins from, if it begins from any.

    Parameters
    ----------
    method : WeightedNetwork
        What is trained; its own `weights` are taken if `start` is None and it has some.
    module : torch.nn.Module
        The method's network, which is changed.
    start : path, str or None
        A file, or published weights by name. Of a file for another architecture, those tensors that fit are
        taken.
    out : Path
        Folder of the training.
    stage : str
        Whose result in that folder is taken if nothing else is named; "" for none.

    Raises
    ------
    OptionError
        If the result of that stage is not there.
    WeightsError
        If the file is of another method, or nothing in it fits.
    """
    if start is None and method.weights not in (None, RANDOM):
        start = method.weights
    if start is None and stage:
        start = out / f"{stage}.safetensors"
        if not start.is_file():
            raise OptionError(
                f"this stage begins from the result of the stage '{stage}': train that into {out} first, or "
                "name its weights (--start FILE)"
            )
    if start is None:
        return
    file, name = locate(start), type(method).__name__
    said, state = read_metadata(file), method.canonical(read_weights(file))
    if said.get("method", name) != name:
        raise WeightsError(f"{file} holds {said['method']}, not {name}")
    if all(said.get(key, value) == value for key, value in method.description().items()):
        load_into(module, state, file)
        return
    wanted = module.state_dict()
    fitting = {k: v for k, v in state.items() if k in wanted and v.shape == wanted[k].shape}
    if not fitting:
        raise WeightsError(f"{file} has no tensor that fits {name} as it is trained here")
    module.load_state_dict(fitting, strict=False)
