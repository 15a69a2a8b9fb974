"""Training of networks that magnify: a method, a recipe and clips to a file of weights.

A training is a folder; of each stage it holds::

    <stage>.safetensors             the weights, when it is done; create(name, weights=FILE) takes them
    <stage>.checkpoint.safetensors  all that the next step depends on; written anew every so many steps
    <stage>.jsonl                   losses and validation, a line each
    <stage>-validation/<step>.png   held-out people: onset, middle, magnified, apex, difference

Training goes on from the checkpoint after a kill, to the same weights as if nothing had happened.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Unpack

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from microexp.clip import Clip
from microexp.errors import OptionError
from microexp.magnify._network import NetworkMagnifier
from microexp.magnify._validation import Validation
from microexp.networks.stages import RunOptions, recipe_of, run_stage
from microexp.train import pick_device
from microexp.train.magnification import MagnificationRecipe, Triples
from microexp.train.magnification_data import MagnificationSamples
from microexp.train.state import put_state, seed_step, take_state

Losses = Callable[[nn.Module, Triples, Collection[str]], Mapping[str, Tensor]]


class MagnificationTraining:
    """A network in training, with all that the next step depends on but the data.

    Parameters
    ----------
    module : torch.nn.Module
        The network, on its device. Parameters that do not require gradients stay as they are, and so do
        those that the recipe does not train, which are made not to require any; batch normalisation among
        them keeps its running figures.
    recipe : MagnificationRecipe
        Weights of the losses, optimiser, schedule, and what is trained.
    losses : callable
        ``losses(module, batch, terms)`` gives the terms of the loss, see `NetworkMagnifier.losses`.
    seed : int
        Of whatever the network draws in training.

    Raises
    ------
    OptionError
        If no loss counts, or the recipe trains what the network does not have.
    """

    def __init__(self, module: nn.Module, recipe: MagnificationRecipe, losses: Losses, seed: int = 0) -> None:
        self.module, self.recipe, self.seed, self.step = module, recipe, seed, 0
        self._losses = losses
        self._weights = {name: weight for name, weight in recipe.losses.items() if weight > 0}
        if not self._weights:
            raise OptionError("losses: no term of the loss has a weight above 0")
        self._optimizer = torch.optim.Adam(_trained(module, recipe), lr=recipe.lr, betas=recipe.betas)
        self._still = _still(module, recipe)

    @property
    def result(self) -> nn.Module:
        """The network that is kept."""
        return self.module

    @property
    def learning_rate(self) -> float:
        """Of the step last taken."""
        return self.recipe.learning_rate(self.step - 1)

    def advance(self, *batch: Tensor) -> dict[str, Tensor]:
        """Take one step with the tensors of `Triples`, on the network's device.

        Returns
        -------
        dict of str to Tensor
            The weighted terms of the loss, by name.

        Raises
        ------
        OptionError
            If the method has no such term, or the triples do not say what it needs.
        """
        for group in self._optimizer.param_groups:
            group["lr"] = self.recipe.learning_rate(self.step)
        self.module.train()
        for part in self._still:
            part.eval()
        seed_step(self.seed, self.step)
        terms = self._losses(self.module, Triples(*batch), tuple(self._weights))
        losses = {name: weight * terms[name] for name, weight in self._weights.items()}
        self._optimizer.zero_grad(set_to_none=True)
        torch.stack(list(losses.values())).sum().backward()
        self._optimizer.step()
        self.step += 1
        return {name: loss.detach() for name, loss in losses.items()}

    def state(self) -> dict[str, Tensor]:
        """Return all tensors that the next step depends on, by name."""
        return take_state({"module": self.module}, {"optimizer": self._optimizer}, self.step)

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state` gave.

        Raises
        ------
        WeightsError
            If the tensors are not those of this training.
        """
        self.step = put_state(state, {"module": self.module}, {"optimizer": self._optimizer})


def train(
    method: NetworkMagnifier,
    clips: Sequence[Clip],
    out: str | Path,
    *,
    validation: Sequence[Clip] = (),
    stage: str | None = None,
    recipe: MagnificationRecipe | None = None,
    **options: Unpack[RunOptions],
) -> Path:
    """Train a method's network and write its weights.

    On Ctrl-C the step is finished and the checkpoint written before `KeyboardInterrupt` is raised, so no step
    is lost; after a kill, those since the last checkpoint are taken again.

    Parameters
    ----------
    method : NetworkMagnifier
        Says architecture and device.
    clips : sequence of Clip
        Expressions of square faces to train on, see `microexp.train.magnification_data`: of synthetic clips
        triples are made to order, of others they are chosen as the paper does.
    out : path
        Folder of the training.
    validation : sequence of Clip
        Others, of other people; empty for none. See `microexp.train.restoration_data.split_subjects`.
    stage : str or None
        One of ``method.recipes()``; None for the first. It names the files.
    recipe : MagnificationRecipe or None
        In place of the stage's own, see `recipe_of`.
    **options
        See `microexp.networks.stages.RunOptions`.

    Returns
    -------
    Path
        The weights, ``<stage>.safetensors``.

    Raises
    ------
    OptionError
        If an option cannot be used, `out` holds a training and `resume` is not given, or it holds another.
    WeightsError
        If a file of weights is missing, damaged or of another network.
    DataError
        If pictures cannot be read or are not square, or a clip has too few frames.
    """
    method.check_parameters()
    seed, vgg = options.get("seed", 0), options.get("vgg")
    stage, usual = recipe_of(method, stage)
    recipe = usual if recipe is None else recipe
    samples = MagnificationSamples(clips, recipe, seed)
    return run_stage(
        method,
        stage,
        recipe,
        out,
        lambda: _training(method, recipe, seed, vgg),
        samples,
        clips,
        validation,
        lambda: Validation(method, validation, recipe),
        **options,
    )


def _training(
    method: NetworkMagnifier, recipe: MagnificationRecipe, seed: int, vgg: str | Path | None
) -> MagnificationTraining:
    """Build the network on the device, with initial weights drawn from the seed."""
    torch.manual_seed(seed)
    module = method.build()
    method.prepare(module, vgg)
    return MagnificationTraining(module.to(pick_device(method.device)), recipe, method.losses, seed)


def _trained(module: nn.Module, recipe: MagnificationRecipe) -> list[nn.Parameter]:
    """Return the parameters that the recipe trains; let no other require gradients."""
    named = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
    for prefix in recipe.trained:
        if not any(name.startswith(prefix) for name, _ in named):
            raise OptionError(
                f"trained: no parameter of {type(module).__name__} that can be trained begins with '{prefix}'"
            )
    for name, parameter in named:
        parameter.requires_grad_(name.startswith(recipe.trained) if recipe.trained else True)
    return [parameter for _, parameter in named if parameter.requires_grad]


def _still(module: nn.Module, recipe: MagnificationRecipe) -> list[nn.Module]:
    """Return the batch normalisation that is not trained."""

    def is_trained(name: str, part: nn.Module) -> bool:
        own = [parameter.requires_grad for parameter in part.parameters()]
        return any(own) if own else not recipe.trained or f"{name}.".startswith(recipe.trained)

    norms = [(name, part) for name, part in module.named_modules() if isinstance(part, _BatchNorm)]
    return [part for name, part in norms if not is_trained(name, part)]
