"""A stage of a training: with which recipe, from which weights, and into which files."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Protocol, Self, TypedDict, TypeVar, Unpack

import torch
from torch import nn

from microexp import __version__
from microexp.clip import Clip
from microexp.errors import OptionError, UnknownNameError, WeightsError
from microexp.networks.vgg import vgg_file
from microexp.networks.weighted import RANDOM, WeightedNetwork
from microexp.train.restoration_data import fingerprint_of
from microexp.train.run_files import RunFiles
from microexp.train.running import Batches, Judge, Progress, Training, go_on
from microexp.weights import load_into, locate, read_metadata, read_weights
from microexp.weights.download import sha256_of


class RunOptions(TypedDict, total=False):
    """How a stage is run; all may be left out. A family's ``train`` takes them as keywords.

    Attributes
    ----------
    seed : int
        Of initial weights and of all drawing; 0 if left out.
    start : path, str or None
        Weights to begin from; None for the method's own `weights` if it has some, else the result of the
        stage that the recipe starts from, in the same folder. Of a file for another architecture (or scale),
        those tensors that fit are taken.
    vgg : path, str or None
        ImageNet weights of a VGG network, where features are compared or moved: see
        `microexp.networks.vgg.vgg_features`. "random" for untrained ones, where the method allows that.
    resume : bool
        Go on from the folder's checkpoint, if there is one.
    save_every, validate_every : int or None
        Steps between checkpoints, and between validations; None for a tenth of all, at most 1000.
    progress : callable or None
        Called after every step with how many are done, of how many, and the figures last computed.
    """

    seed: int
    start: str | Path | None
    vgg: str | Path | None
    resume: bool
    save_every: int | None
    validate_every: int | None
    progress: Progress | None


class Recipe(Protocol):
    """How a network is trained: a dataclass that can be shortened."""

    @property
    def steps(self) -> int:
        """Of the optimiser."""

    @property
    def start(self) -> str:
        """Name of the stage whose result the training begins from; "" for none."""

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


def run_stage(
    method: WeightedNetwork,
    stage: str,
    recipe: Any,
    out: str | Path,
    make: Callable[[], Training],
    samples: Batches,
    clips: Sequence[Clip],
    held_out: Sequence[Clip],
    judge: Callable[[], Judge],
    **options: Unpack[RunOptions],
) -> Path:
    """Train one stage into a folder, or go on with it, and return the file of its weights.

    Parameters
    ----------
    method, stage, recipe, out
        What is trained, and where to.
    make : callable
        Builds the training; random numbers that it draws are those of no one else.
    samples : Batches
        What it is fed with.
    clips, held_out : sequence of Clip
        Where the samples, and the pictures that it is judged by, are from; their fingerprints are noted, and
        a training is gone on with the same only.
    judge : callable
        Makes what judges, if there are held-out clips.
    **options
        See `RunOptions`.
    """
    about = {
        **method.description(),
        "microexp": __version__,
        "stage": stage,
        "recipe": json.dumps(asdict(recipe)),
        "seed": str(options.get("seed", 0)),
        "data": fingerprint_of(clips),
        "validation": fingerprint_of(held_out),
        "vgg": _told(options.get("vgg")),
    }
    run = RunFiles(Path(out), stage, about, recipe.steps)
    run.check(options.get("resume", False))
    with torch.random.fork_rng():
        training = make()
        if run.has_checkpoint:
            run.load(training)
        else:
            begin(method, training.module, options.get("start"), Path(out), recipe.start)
        run.forget_after(training.step)
        go_on(
            training,
            samples,
            run,
            judge() if held_out else None,
            options.get("save_every"),
            options.get("validate_every"),
            options.get("progress"),
        )
    return run.finish(training.result)


def _told(vgg: str | Path | None) -> str:
    """Return what a training says of the VGG weights it used."""
    if vgg is None or vgg == RANDOM:
        return vgg or ""
    return sha256_of(vgg_file(vgg))[:16]
