"""How networks that restore pictures are trained: the recipes of the papers, as data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import accumulate

from microexp.errors import OptionError

_CHOICES = {
    "pixel": ("l1", "mse", "charbonnier", "charbonnier-sum"),
    "gan": ("vanilla", "relativistic"),
    "features": ("vgg19", "vgg16"),
    "feature_loss": ("l1", "mse"),
}


@dataclass(frozen=True)
class RestorationRecipe:
    """How a network that restores pictures is trained.

    Attributes
    ----------
    steps, batch_size : int
        Steps of the optimiser, and samples a step.
    patch : int
        Height and width of a sample's target, pixels.
    frames : int
        Consecutive frames a sample; 1 for pictures.
    lr, betas : float, pair of float
        Of Adam, the discriminator's too.
    halve_at : tuple of int
        Steps after which the learning rate is halved.
    cosine : tuple of int
        Lengths of the periods in which the learning rate falls along a cosine to `lr_min` and starts anew,
        in steps; empty for none.
    lr_min : float
        See `cosine`.
    pixel, pixel_weight : {"l1", "mse", "charbonnier", "charbonnier-sum"}, float
        Loss of the pixels (Charbonnier: ``sqrt(d^2 + 1e-12)``; mean, or sum), and its weight.
    cleaning_weight : float
        Weight of the pixel loss of the small pictures that the network makes on its way (RealBasicVSR's
        cleaned frames), against the target reduced by averaging; 0 for networks that make none.
    feature_weights : mapping of str to float
        Weight of the loss of a VGG network's features at each tap: the index of the layer in torchvision's
        numbering, before the rectifier ("34" is conv5_4 of VGG19). Empty for none.
    features, feature_loss : {"vgg19", "vgg16"}, {"l1", "mse"}
        Which network, and how features are compared.
    gan, gan_weight : {"vanilla", "relativistic"}, float
        Adversarial loss (binary cross-entropy; relativistic average), and its weight; 0 for none.
    ema : float
        Decay of the running mean of the weights, which is what is kept; 0 for none.
    slow : mapping of str to float
        Factor on the learning rate of the parameters whose name begins so.
    frozen : mapping of str to int
        Steps for which the parameters whose name begins so are not trained.
    sharpen : bool
        Compare pixels and features with the unsharp-masked target, as Real-ESRGAN does.
    turn : bool
        Show samples upside down and on their side too, not only mirrored left to right.
    degradation : str
        How the small pictures are made: "bicubic" (MATLAB's, antialiased), "gan-paper" or "real-world".
    start : str
        Name of the method's recipe whose result the training begins from; "" for initial weights.

    Raises
    ------
    OptionError
        If a value is out of range or not one of those named.
    """

    steps: int
    batch_size: int = 16
    patch: int = 128
    frames: int = 1
    lr: float = 2e-4
    betas: tuple[float, float] = (0.9, 0.999)
    halve_at: tuple[int, ...] = ()
    cosine: tuple[int, ...] = ()
    lr_min: float = 1e-7
    pixel: str = "l1"
    pixel_weight: float = 1.0
    cleaning_weight: float = 0.0
    feature_weights: Mapping[str, float] = field(default_factory=dict)
    features: str = "vgg19"
    feature_loss: str = "l1"
    gan: str = "vanilla"
    gan_weight: float = 0.0
    ema: float = 0.0
    slow: Mapping[str, float] = field(default_factory=dict)
    frozen: Mapping[str, int] = field(default_factory=dict)
    sharpen: bool = False
    turn: bool = True
    degradation: str = "bicubic"
    start: str = ""

    def __post_init__(self) -> None:
        if min(self.steps, self.batch_size, self.patch, self.frames) < 1:
            raise OptionError(
                "steps, batch_size, patch and frames must be 1 or more, got "
                f"{self.steps}, {self.batch_size}, {self.patch} and {self.frames}"
            )
        weights = (self.pixel_weight, self.cleaning_weight, self.gan_weight, *self.feature_weights.values())
        if not self.lr > 0 or not 0 <= self.ema < 1 or min(weights) < 0:
            raise OptionError("lr must be positive, ema in [0, 1), and no weight of a loss negative")
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise OptionError(f"{name} '{getattr(self, name)}' is none of {', '.join(choices)}")

    def learning_rate(self, step: int) -> float:
        """Return the learning rate after so many steps.

        Cosine: from `lr` to `lr_min` in every period of `cosine`, and `lr_min` after the last.
        """
        rate = self.lr * 0.5 ** sum(step >= milestone for milestone in self.halve_at)
        if not self.cosine:
            return rate
        for length, end in zip(self.cosine, accumulate(self.cosine), strict=True):
            if step < end:
                done = (step - end + length) / length
                return self.lr_min + (rate - self.lr_min) * (1 + math.cos(math.pi * done)) / 2
        return self.lr_min

    def in_steps(self, steps: int) -> RestorationRecipe:
        """Return this recipe in another number of steps; whatever is counted in steps shrinks alike.

        That is when the learning rate falls, how long parameters are frozen, and how far back the running
        mean of the weights looks.
        """
        other = replace(self, steps=steps)
        share = steps / self.steps

        def scaled(count: int) -> int:
            return max(1, round(count * share))

        return replace(
            other,
            halve_at=tuple(map(scaled, self.halve_at)),
            cosine=tuple(map(scaled, self.cosine)),
            frozen={name: scaled(count) for name, count in self.frozen.items()},
            ema=max(0.0, 1 - (1 - self.ema) / share) if self.ema and steps < self.steps else self.ema,
        )
