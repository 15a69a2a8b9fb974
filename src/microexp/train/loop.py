"""One readable training loop for classifiers: data staged once as one tensor, no DataLoader.

For the small networks of this field a DataLoader costs more than the arithmetic; the whole database
fits in memory many times over, so batches are slices of one tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Literal

import torch
from torch import Tensor, nn

from microexp.errors import OptionError

Order = Literal["shuffle", "by-class", "balanced"]
Augmentation = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
Loss = Callable[[nn.Module, Tensor, Tensor, nn.Module], Tensor]

_OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
}


@dataclass(frozen=True)
class Recipe:
    """How a classifier is trained.

    Attributes
    ----------
    epochs, batch_size : int
        Passes over the data, and samples a step.
    lr, weight_decay, momentum : float
        Of the optimiser (momentum for SGD only).
    optimizer : "adam", "adamw" or "sgd"
        PyTorch's, with its defaults otherwise.
    decay : float
        The learning rate is multiplied by this after every epoch; 1 keeps it.
    order : "shuffle", "by-class" or "balanced"
        How an epoch goes through the samples: in random order; sorted by class and never shuffled (as
        some public recipes read class folders); or drawn with replacement, each class equally often.
    class_weight : "balanced" or None
        Weigh each sample's loss by the inverse frequency of its class.
    stop_loss : float
        Training ends after the first epoch whose mean training loss is below this; 0 never.
    precision : "float32" or "bfloat16"
        Of the arithmetic in training; "bfloat16" is PyTorch's autocast (weights stay float32), for
        processors that have it. Predictions are always float32.

    Raises
    ------
    OptionError
        If a value is out of range or not one of those named.
    """

    epochs: int = 100
    batch_size: int = 32
    lr: float = 1e-4
    weight_decay: float = 0.0
    momentum: float = 0.9
    optimizer: str = "adam"
    decay: float = 1.0
    order: Order = "shuffle"
    class_weight: str | None = None
    stop_loss: float = 0.0
    precision: str = "float32"

    def __post_init__(self) -> None:
        counts, numbers = ("epochs", "batch_size"), ("lr", "weight_decay", "momentum", "decay", "stop_loss")
        for name in (*counts, *numbers):
            value, kind = getattr(self, name), Integral if name in counts else Real
            if isinstance(value, bool) or not isinstance(value, kind):
                raise OptionError(
                    f"{name} must be {'a whole' if name in counts else 'a'} number, got {value!r}"
                )
        if self.epochs < 1 or self.batch_size < 1:
            raise OptionError(
                f"epochs and batch_size must be 1 or more, got {self.epochs} and {self.batch_size}"
            )
        if not self.lr > 0 or not 0 < self.decay <= 1 or self.weight_decay < 0:
            raise OptionError("lr must be positive, decay in (0, 1] and weight_decay not negative")
        if self.optimizer not in _OPTIMIZERS:
            raise OptionError(f"optimizer '{self.optimizer}' is none of {', '.join(_OPTIMIZERS)}")
        if self.order not in ("shuffle", "by-class", "balanced"):
            raise OptionError(f"order '{self.order}' is none of shuffle, by-class, balanced")
        if self.class_weight not in (None, "balanced"):
            raise OptionError(f"class_weight '{self.class_weight}' is neither None nor 'balanced'")
        if self.precision not in ("float32", "bfloat16"):
            raise OptionError(f"precision '{self.precision}' is neither float32 nor bfloat16")


def train_epochs(
    module: nn.Module,
    inputs: Tensor,
    labels: Tensor,
    recipe: Recipe,
    loss: Loss | None = None,
    augment: Augmentation | None = None,
) -> Iterator[float]:
    """Train `module` in place; yield the mean loss of each epoch when it is done.

    The caller sets the seed, watches the epochs and may stop between any two of them.

    Parameters
    ----------
    module : torch.nn.Module
        Gives logits ``(B, K)``.
    inputs, labels : Tensor
        ``(N, ...)`` and ``(N,) int64``, on the module's device.
    recipe : Recipe
        Optimiser, schedule and order.
    loss : callable or None
        ``loss(module, inputs, labels, criterion)`` of a batch, with the recipe's cross-entropy as the
        criterion; None is that of the module's output.
    augment : callable or None
        ``augment(inputs, labels)`` of a batch gives the batch to train on.
    """
    if recipe.order == "by-class":  # sorted once, so that every batch is a view
        order = torch.argsort(labels, stable=True)
        inputs, labels = inputs[order], labels[order]
    optimizer = _optimizer(module, recipe)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, recipe.decay)
    criterion = nn.CrossEntropyLoss(weight=_class_weights(labels, recipe))
    for _ in range(recipe.epochs):
        module.train()
        total, seen = torch.zeros((), device=inputs.device), 0
        for batch in _batches(labels, recipe):
            x, y = inputs[batch], labels[batch]
            if augment is not None:
                x, y = augment(x, y)
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast(x.device.type, torch.bfloat16, enabled=recipe.precision == "bfloat16"):
                value = criterion(module(x), y) if loss is None else loss(module, x, y, criterion)
            value.backward()
            optimizer.step()
            total += value.detach() * len(y)
            seen += len(y)
        schedule.step()
        yield float(total) / seen
        if float(total) / seen < recipe.stop_loss:
            return


def pick_device(name: str = "auto") -> torch.device:
    """Return the device of that name; "auto" is the GPU if PyTorch sees one (CUDA, then MPS), else the CPU.

    Raises
    ------
    OptionError
        If the device does not exist here.
    """
    if name == "auto":
        gpus = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
        return torch.device(next((gpu for gpu, there in gpus.items() if there), "cpu"))
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise OptionError(f"device '{name}' cannot be used here; try 'cpu' or 'auto'") from error
    return device


def device_of_fold(name: str, fold: int) -> str:
    """Return the device for one fold of many: where there are several GPUs, folds take them in turn."""
    count = torch.cuda.device_count()
    return f"cuda:{fold % count}" if name in ("auto", "cuda") and count > 1 else name


def _optimizer(module: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    extra: dict[str, Any] = {"momentum": recipe.momentum} if recipe.optimizer == "sgd" else {}
    return _OPTIMIZERS[recipe.optimizer](
        module.parameters(),
        lr=recipe.lr,  # type: ignore[call-arg]
        weight_decay=recipe.weight_decay,
        fused=True,
        **extra,
    )


def _class_weights(labels: Tensor, recipe: Recipe) -> Tensor | None:
    if recipe.class_weight is None:
        return None
    counts = torch.bincount(labels).float()
    return len(labels) / (len(counts) * counts)


def _batches(labels: Tensor, recipe: Recipe) -> Iterator[slice | Tensor]:
    size = recipe.batch_size
    if recipe.order == "by-class":
        yield from (slice(start, start + size) for start in range(0, len(labels), size))
        return
    if recipe.order == "shuffle":
        order = torch.randperm(len(labels))
    else:
        weights = 1.0 / torch.bincount(labels).double()
        order = torch.multinomial(weights[labels].cpu(), len(labels), replacement=True)
    yield from order.to(labels.device).split(size)
