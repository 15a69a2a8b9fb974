"""How networks that magnify motion are trained: the recipes of the papers, as data; and what they are fed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Self

from torch import Tensor

from microexp.errors import OptionError


class Triples(NamedTuple):
    """A batch: resting faces, the same faces with a weak and with a strong movement.

    Attributes
    ----------
    onset, middle, apex : torch.Tensor
        ``(N, 3, S, S) float32 RGB`` in [0, 1].
    factor : torch.Tensor
        ``(N,)``, how many times as large the movement at the apex is as that in the middle; NaN where that
        is not known, as in real sequences.
    flow : torch.Tensor
        ``(N, 2, S, S)``, the exact flow from onset to middle: dx, dy, pixels; NaN where not known.
    """

    onset: Tensor
    middle: Tensor
    apex: Tensor
    factor: Tensor
    flow: Tensor


@dataclass(frozen=True)
class MagnificationRecipe:
    """How a network that magnifies is trained.

    Attributes
    ----------
    steps, batch_size : int
        Steps of the optimiser, and triples a step.
    losses : mapping of str to float
        Weight of every term of the loss that counts, by the names the method gives them.
    size : int
        Side of the pictures, pixels.
    lr, betas : float, pair of float
        Of Adam.
    cosine : bool
        Whether the learning rate falls along a cosine to a hundredth; else it stays.
    trained : tuple of str
        Parameters that are trained: those whose name begins so; empty for all.
    augment : bool
        Whether triples are shown cropped (.95 to 1.05), with changed colours (.05, hue .01, in 8 of 10) and
        mirrored, all three pictures alike.
    factors : pair of float
        Between which the factor of magnification is drawn, where triples can be made to order.
    strong : float
        Share of the triples, 0 to 1, in which the apex stands in the middle's place, too: so that strong
        expressions are known as well, which cascades go through.
    start : str
        Name of the method's recipe whose result the training begins from; "" for initial weights.

    Raises
    ------
    OptionError
        If a value is out of range.
    """

    steps: int
    losses: Mapping[str, float]
    batch_size: int = 16
    size: int = 112
    lr: float = 1e-5
    betas: tuple[float, float] = (0.5, 0.999)
    cosine: bool = False
    trained: tuple[str, ...] = field(default=())
    augment: bool = True
    factors: tuple[float, float] = (1.67, 3.33)
    strong: float = 0.0
    start: str = ""

    def __post_init__(self) -> None:
        if min(self.steps, self.batch_size, self.size) < 1:
            raise OptionError(
                f"steps, batch_size and size must be 1 or more, got {self.steps}, {self.batch_size} and "
                f"{self.size}"
            )
        if not self.lr > 0 or not self.losses or min(self.losses.values()) < 0:
            raise OptionError("lr must be positive, and losses must have terms with weights of 0 or more")
        if not 1 < self.factors[0] <= self.factors[1]:
            raise OptionError(f"factors must be above 1 and in order, got {self.factors}")
        if not 0 <= self.strong <= 1:
            raise OptionError(f"strong must be from 0 to 1, got {self.strong}")

    def learning_rate(self, step: int) -> float:
        """Return the learning rate after so many steps."""
        if not self.cosine:
            return self.lr
        share = (1 + math.cos(math.pi * min(step / self.steps, 1))) / 2
        return self.lr * (0.01 + 0.99 * share)

    def in_steps(self, steps: int) -> Self:
        """Return this recipe in another number of steps."""
        return replace(self, steps=steps)
