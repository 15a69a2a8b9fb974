"""The base of recognisers that are networks: features staged as one tensor, one training loop."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from rich.progress import Progress
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from microexp.recognize.base import Inputs, Monitor, Recognizer
from microexp.train import Recipe, pick_device, train_epochs
from microexp.weights import load_into, read_weights, write_weights


@dataclass(eq=False, repr=False)
class TorchRecognizer(Recognizer):
    """A recogniser that is a network.

    Subclasses give `describe` (clips to features), `build` (the bare module) and `published` (how to train
    it); they may give `stage` (features to the tensor that is kept in memory), `forward`, `loss`, `expand`
    and `augment`. They are dataclasses whose fields are their further settings.

    Parameters
    ----------
    epochs, batch_size : int or None
        Passes over the training clips, samples a step; None for `published`, as for all up to `precision`.
    lr, weight_decay, decay : float or None
        Of the optimiser, see `microexp.train.Recipe` for these and the next.
    order : {"shuffle", "by-class", "balanced"} or None
        How an epoch goes through the samples.
    class_weight : "balanced" or None
        Weigh each sample's loss by the inverse frequency of its class.
    stop_loss : float or None
        Training ends after the first epoch whose mean loss is below this.
    precision : {"float32", "bfloat16"} or None
        Of the arithmetic in training.
    random_state : int
        Seed of initial weights, order, dropout and augmentation.
    device : str
        "auto", "cpu", "cuda", ...
    verbose : bool
        Show a progress bar over the epochs.

    Attributes
    ----------
    module_ : torch.nn.Module
        The trained network (of the chosen epoch where a monitor chose one), in evaluation mode.
    losses_ : list of float
        Mean training loss of each epoch that was finished.
    best_epoch_ : int or None
        The epoch that the monitor chose, counted from 1; None without a monitor.
    """

    has_epochs = True
    predicted_at_once: ClassVar[int] = 64  # clips; a network with large maps takes fewer
    channels_last: ClassVar[bool] = False  # keep (N, C, H, W) with the channels side by side in memory
    published: ClassVar[Recipe]

    epochs: int | None = None
    batch_size: int | None = None
    lr: float | None = None
    weight_decay: float | None = None
    decay: float | None = None
    order: str | None = None
    class_weight: str | None = None
    stop_loss: float | None = None
    precision: str | None = None
    random_state: int = 0
    device: str = "auto"
    verbose: bool = False

    @abstractmethod
    def build(self, n_classes: int) -> nn.Module:
        """Return the untrained network."""

    def recipe(self) -> Recipe:
        """Return how to train it: as published, but for the settings that are given."""
        given = {field.name: getattr(self, field.name, None) for field in fields(Recipe)}
        return replace(self.published, **{name: v for name, v in given.items() if v is not None})

    def stage(self, features: np.ndarray) -> Tensor:
        """Return the tensor that training and prediction cut their batches from."""
        return torch.from_numpy(features)

    def forward(self, module: nn.Module, staged: Tensor) -> Tensor:
        """Return the logits ``(B, K)`` of a staged batch."""
        return module(staged)

    def expand(self, staged: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the training set to go through in every epoch, made of the training clips once."""
        return staged, labels

    def augment(self, staged: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the batch to train on in place of this one."""
        return staged, labels

    def loss(self, module: nn.Module, staged: Tensor, labels: Tensor, criterion: nn.Module) -> Tensor:
        """Return the loss of a batch; `criterion` is the cross-entropy that the recipe asks for."""
        return criterion(self.forward(module, staged), labels)

    def check_parameters(self) -> None:
        super().check_parameters()
        self.recipe()
        pick_device(self.device)

    def fit(self, X: Inputs, y: np.ndarray, monitor: Monitor | None = None) -> Self:
        """Train on clips (or features) and labels.

        Ctrl-C stops the training and is passed on; the network stays as it was at that moment and can
        be used.

        Parameters
        ----------
        X : list of Clip or array
            Training clips, or their features.
        y : numpy.ndarray
            Labels, ``(N,)`` integers.
        monitor : Monitor or None
            If given, the network of the epoch with the best score is kept, and that of the last epoch
            beside it (see `at_last_epoch`).
        """
        self.check_parameters()
        features = self.features(X)
        labels = self._check_labels(features, y)
        self.classes_, targets = np.unique(labels, return_inverse=True)
        recipe, device = self.recipe(), pick_device(self.device)
        watched = None if monitor is None else self.stage(self.features(monitor.X)).to(device)
        self.losses_, self.best_epoch_, self._last_module = [], None, None
        best_score, best_state = -np.inf, None
        with torch.random.fork_rng(), self._progress(recipe.epochs) as advance:
            torch.manual_seed(self.random_state)
            layout = torch.channels_last if self.channels_last else torch.contiguous_format
            self.module_ = self.build(len(self.classes_)).to(device)
            self.module_.to(memory_format=layout)  # type: ignore[call-overload]
            staged, answers = self.expand(self.stage(features), torch.from_numpy(targets))
            staged, answers = staged.to(device), answers.to(device)
            if staged.ndim == 4:
                staged = staged.contiguous(memory_format=layout)
            epochs = train_epochs(self.module_, staged, answers, recipe, self.loss, self.augment)
            try:
                for loss in epochs:
                    self.losses_.append(loss)
                    advance(loss)
                    if monitor is not None and watched is not None:
                        score = monitor.score(self.classes_[self._logits(watched).argmax(1).cpu().numpy()])
                        if score > best_score:
                            best_score, self.best_epoch_ = score, len(self.losses_)
                            best_state = copy.deepcopy(self.module_.state_dict())
            finally:
                self.module_.eval()
        if best_state is not None:
            self._last_module = copy.deepcopy(self.module_)
            self.module_.load_state_dict(best_state)
        return self

    def at_last_epoch(self) -> Self:
        """Return this recogniser with the network of the last epoch in place of the chosen one."""
        check_is_fitted(self)
        twin = copy.copy(self)
        twin.module_ = getattr(self, "_last_module", None) or self.module_
        return twin

    def predict_proba(self, X: Inputs) -> np.ndarray:
        check_is_fitted(self)
        staged = self.stage(self.features(X)).to(next(self.module_.parameters()).device)
        return torch.softmax(self._logits(staged).cpu().double(), dim=1).numpy()

    def load_weights(self, file: str | Path, classes: np.ndarray) -> Self:
        """Use a published weight file in place of training.

        Parameters
        ----------
        file : path
            A ``.safetensors`` or PyTorch file of tensors.
        classes : numpy.ndarray
            ``(K,) int64``: the label of each output.

        Raises
        ------
        WeightsError
            If the file is missing, damaged, holds code, or is of another network.
        """
        self.classes_ = np.asarray(classes, dtype=np.int64)
        self.module_ = self.build(len(self.classes_))
        load_into(self.module_, read_weights(file), file)
        self.module_.to(pick_device(self.device)).eval()
        return self

    def save_weights(self, file: str | Path) -> None:
        """Write the trained network as safetensors, with the classes of its outputs."""
        check_is_fitted(self)
        classes = " ".join(map(str, self.classes_))
        write_weights(file, self.module_.state_dict(), {"method": type(self).__name__, "classes": classes})

    def _logits(self, staged: Tensor) -> Tensor:
        self.module_.eval()
        with torch.inference_mode():
            batches = staged.split(self.predicted_at_once)
            return torch.cat([self.forward(self.module_, batch) for batch in batches])

    def _progress(self, epochs: int) -> Any:
        return _EpochBar(epochs, type(self).__name__) if self.verbose else nullcontext(lambda loss: None)


class _EpochBar:
    """A progress bar over epochs that shows the loss; a context that gives its advance function."""

    def __init__(self, epochs: int, title: str) -> None:
        self._bar = Progress(transient=True)
        self._task = self._bar.add_task(title, total=epochs)
        self._title = title

    def __enter__(self) -> Callable[[float], None]:
        self._bar.start()
        return lambda loss: self._bar.update(
            self._task, advance=1, description=f"{self._title} loss {loss:.4f}"
        )

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()
