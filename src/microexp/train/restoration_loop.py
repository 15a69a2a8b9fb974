"""The loop that fits networks which restore pictures. In: a bare module, a recipe, batches. Out: the module.

Nothing here knows of files, clips or methods. What a training is at after some step is a plain table of
tensors, so that it can be kept and taken up again to the same result.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from microexp.errors import OptionError
from microexp.train.losses import adversarial_loss, discriminator_loss, pixel_loss, sharpened
from microexp.train.restoration import RestorationRecipe
from microexp.train.state import put_state, seed_step, take_state

Output = Callable[[nn.Module, Tensor], Tensor | tuple[Tensor, Tensor]]
FeatureLoss = Callable[[Tensor, Tensor], Tensor]


def plain_output(module: nn.Module, small: Tensor) -> Tensor:
    """Return what a network gives for small pictures."""
    return module(small)


class RestorationTraining:
    """A network in training, with all that the next step depends on but the data.

    Parameters
    ----------
    module : torch.nn.Module
        The network, on its device. Parameters that do not require gradients stay as they are.
    recipe : RestorationRecipe
        Losses, optimiser and schedule.
    output : callable
        ``output(module, small)`` gives the pictures to be compared with the targets, in [0, 1]; or these and
        the cleaned small pictures.
    discriminator : torch.nn.Module or None
        Pictures ``(N, 3, H, W)`` to logits; needed if the recipe is adversarial.
    features : callable or None
        ``features(output, target)``, the weighted loss of features of pictures ``(N, 3, H, W)``; needed if
        the recipe compares features.
    seed : int
        Of whatever the network draws in training.

    Raises
    ------
    OptionError
        If the recipe needs what is not given, or names parameters that the network does not have.
    """

    def __init__(
        self,
        module: nn.Module,
        recipe: RestorationRecipe,
        output: Output = plain_output,
        discriminator: nn.Module | None = None,
        features: FeatureLoss | None = None,
        seed: int = 0,
    ) -> None:
        if recipe.gan_weight and discriminator is None:
            raise OptionError("the recipe is adversarial, but no discriminator is given")
        if recipe.feature_weights and features is None:
            raise OptionError(f"the recipe compares features of {recipe.features}, but none are given")
        self.module, self.recipe, self.seed, self.step = module, recipe, seed, 0
        self._output = output
        self._features = features if recipe.feature_weights else None
        self._discriminator = discriminator if recipe.gan_weight else None
        self._average = copy.deepcopy(module).requires_grad_(False) if recipe.ema else None
        self._frozen = _frozen(module, recipe)
        self._optimizer = torch.optim.Adam(_groups(module, recipe), lr=recipe.lr, betas=recipe.betas)
        self._opponent = (
            None
            if self._discriminator is None
            else torch.optim.Adam(self._discriminator.parameters(), lr=recipe.lr, betas=recipe.betas)
        )

    @property
    def result(self) -> nn.Module:
        """The network that is kept: the running mean of the weights, if the recipe asks for one."""
        return self.module if self._average is None else self._average

    @property
    def learning_rate(self) -> float:
        """Of the step last taken."""
        return self.recipe.learning_rate(self.step - 1)

    def advance(self, small: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Take one step.

        Parameters
        ----------
        small, target : Tensor
            ``(N, 3, h, w)`` and ``(N, 3, s h, s w)``, or ``(N, T, 3, ...)``; in [0, 1], on the network's
            device. Of a network that gives one picture for T frames, the middle one is compared.

        Returns
        -------
        dict of str to Tensor
            The weighted parts of the loss: "pixel", "cleaning", "features", "gan" as the recipe has them, and
            the "discriminator"'s loss.

        Raises
        ------
        OptionError
            If the network gives pictures of another size, or no cleaned ones though the recipe weighs them.
        """
        self._prepare()
        given = self._output(self.module, small)
        output, cleaned = given if isinstance(given, tuple) else (given, None)
        target = _matching(target, output)
        goal = sharpened(target) if self.recipe.sharpen else target
        losses = self._losses(output, target, goal, cleaned)
        self._optimizer.zero_grad(set_to_none=True)
        torch.stack(list(losses.values())).sum().backward()
        self._optimizer.step()
        if self._discriminator is not None:
            losses["discriminator"] = self._advance_opponent(_flat(target), _flat(output).detach())
        if self._average is not None:
            follow(self._average, self.module, self.recipe.ema)
        self.step += 1
        return {name: loss.detach() for name, loss in losses.items()}

    def state(self) -> dict[str, Tensor]:
        """Return all tensors that the next step depends on, by name."""
        return take_state(self._networks(), self._optimizers(), self.step)

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state` gave.

        Raises
        ------
        WeightsError
            If the tensors are not those of this training.
        """
        self.step = put_state(state, self._networks(), self._optimizers())

    def _networks(self) -> dict[str, nn.Module]:
        parts = {"module": self.module, "average": self._average, "discriminator": self._discriminator}
        return {name: network for name, network in parts.items() if network is not None}

    def _optimizers(self) -> dict[str, torch.optim.Adam]:
        parts = {"optimizer": self._optimizer, "opponent": self._opponent}
        return {name: optimizer for name, optimizer in parts.items() if optimizer is not None}

    def _prepare(self) -> None:
        """Set what changes from step to step: learning rates, which parameters are trained, the seed."""
        rate = self.recipe.learning_rate(self.step)
        for optimizer in self._optimizers().values():
            for group in optimizer.param_groups:
                group["lr"] = rate * group.get("factor", 1.0)
        for parameter, steps in self._frozen:
            parameter.requires_grad_(self.step >= steps)
        self.module.train()
        if self._discriminator is not None:
            self._discriminator.train()
        seed_step(self.seed, self.step)

    def _losses(
        self, output: Tensor, target: Tensor, goal: Tensor, cleaned: Tensor | None
    ) -> dict[str, Tensor]:
        recipe = self.recipe
        losses = {"pixel": recipe.pixel_weight * pixel_loss(recipe.pixel, output, goal)}
        if recipe.cleaning_weight:
            if cleaned is None:
                raise OptionError("cleaning_weight is given, but the network gives no cleaned pictures")
            reduced = F.interpolate(_flat(goal), size=cleaned.shape[-2:], mode="area")
            losses["cleaning"] = recipe.cleaning_weight * pixel_loss(recipe.pixel, _flat(cleaned), reduced)
        if self._features is not None:
            losses["features"] = self._features(_flat(output), _flat(goal))
        if self._discriminator is not None:
            losses["gan"] = recipe.gan_weight * self._adversarial(_flat(target), _flat(output))
        return losses

    def _adversarial(self, real: Tensor, fake: Tensor) -> Tensor:
        discriminator = self._discriminator
        if discriminator is None:  # said for the type checker: only an adversarial recipe comes here
            raise OptionError("no discriminator is given")
        with _fixed(discriminator):
            of_fake = discriminator(fake)
            of_real = discriminator(real) if self.recipe.gan == "relativistic" else None
        return adversarial_loss(self.recipe.gan, of_real, of_fake)

    def _advance_opponent(self, real: Tensor, fake: Tensor) -> Tensor:
        if self._discriminator is None or self._opponent is None:  # said for the type checker
            raise OptionError("no discriminator is given")
        loss = discriminator_loss(self.recipe.gan, self._discriminator(real), self._discriminator(fake))
        self._opponent.zero_grad(set_to_none=True)
        loss.backward()
        self._opponent.step()
        return loss


def follow(average: nn.Module, module: nn.Module, decay: float) -> None:
    """Move a running mean of weights: ``decay * average + (1 - decay) * module``; buffers are copied."""
    with torch.no_grad():
        for mean, parameter in zip(average.parameters(), module.parameters(), strict=True):
            mean.lerp_(parameter, 1 - decay)
        for kept, buffer in zip(average.buffers(), module.buffers(), strict=True):
            kept.copy_(buffer)


def _groups(module: nn.Module, recipe: RestorationRecipe) -> list[dict]:
    """Return the parameters to train, those of one factor on the learning rate together."""
    _check_prefixes(module, recipe.slow, "slow")
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            factor = next((f for prefix, f in recipe.slow.items() if name.startswith(prefix)), 1.0)
            groups.setdefault(factor, []).append(parameter)
    return [{"params": parameters, "factor": factor} for factor, parameters in groups.items()]


def _frozen(module: nn.Module, recipe: RestorationRecipe) -> list[tuple[nn.Parameter, int]]:
    """Return the parameters that are trained later, with the step from which on."""
    _check_prefixes(module, recipe.frozen, "frozen")
    return [
        (parameter, steps)
        for prefix, steps in recipe.frozen.items()
        for name, parameter in module.named_parameters()
        if name.startswith(prefix) and parameter.requires_grad
    ]


def _check_prefixes(module: nn.Module, prefixes: Mapping[str, object], option: str) -> None:
    names = [name for name, _ in module.named_parameters()]
    for prefix in prefixes:
        if not any(name.startswith(prefix) for name in names):
            raise OptionError(f"{option}: no parameter of {type(module).__name__} begins with '{prefix}'")


def _matching(target: Tensor, output: Tensor) -> Tensor:
    """Return the target of an output: of consecutive frames all, or the middle one."""
    if target.ndim == 5 and output.ndim == 4:
        target = target[:, target.shape[1] // 2]
    if target.shape != output.shape:
        raise OptionError(
            f"the network gives {tuple(output.shape)} where the targets are {tuple(target.shape)}: do scale "
            "and patch fit it?"
        )
    return target


def _flat(pictures: Tensor) -> Tensor:
    """Return ``(N, 3, H, W)`` of the same or of ``(N, T, 3, H, W)``."""
    return pictures.flatten(0, -4)


@contextmanager
def _fixed(module: nn.Module) -> Iterator[None]:
    """Compute no gradients for a network's own parameters."""
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)
