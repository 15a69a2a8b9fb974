"""A training as it runs: steps, checkpoints, log, validation, Ctrl-C. What it trains is not its business."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event, current_thread, main_thread
from typing import Protocol

import numpy as np
from torch import Tensor, nn

from microexp.errors import OptionError
from microexp.train.run_files import RunFiles

Progress = Callable[[int, int, Mapping[str, float]], None]
Judge = Callable[[nn.Module, Path], dict[str, float]]


class Training(Protocol):
    """A network in training, with all that the next step depends on but the data."""

    module: nn.Module
    step: int

    @property
    def result(self) -> nn.Module:
        """The network that is kept."""

    @property
    def learning_rate(self) -> float:
        """Of the step last taken."""

    @property
    def advance(self) -> Callable[..., dict[str, Tensor]]:
        """Takes one step with a batch's tensors; gives the weighted parts of the loss.

        A discriminator's own loss, if there is one, is called "discriminator".
        """

    def state(self) -> dict[str, Tensor]:
        """Return all tensors that the next step depends on, by name."""

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state` gave; raise `WeightsError` if it is of another training."""


class Batches(Protocol):
    """What a training is fed with."""

    def batch(self, step: int) -> tuple[Tensor, ...]:
        """Return the samples of a step, the same every time."""


def go_on(
    training: Training,
    samples: Batches,
    run: RunFiles,
    judge: Judge | None = None,
    save_every: int | None = None,
    validate_every: int | None = None,
    progress: Progress | None = None,
) -> None:
    """Take the steps that are left; the next batch is drawn while one is computed.

    On Ctrl-C the step is finished and the checkpoint written before `KeyboardInterrupt` is raised.

    Parameters
    ----------
    training, samples : Training, Batches
        What is trained, and with what.
    run : RunFiles
        Where checkpoint and log go, and how many steps there are in all.
    judge : callable or None
        Gives figures of the network on held-out data, and writes a picture into the file it is given.
    save_every, validate_every : int or None
        Steps between checkpoints, and between validations; None for a tenth of all, at most 1000.
    progress : callable or None
        Called after every step with how many are done, of how many, and the figures last computed.

    Raises
    ------
    OptionError
        If the loss is not finite.
    """
    usual = max(1, min(1000, run.steps // 10))
    save_every, validate_every = save_every or usual, validate_every or usual
    note_every = max(1, min(100, save_every))
    device = next(training.module.parameters()).device
    shown: dict[str, float] = {}
    with ThreadPoolExecutor(1) as pool, _interrupts() as interrupted:
        coming = pool.submit(samples.batch, training.step)
        while training.step < run.steps:
            batch = coming.result()
            coming = pool.submit(samples.batch, training.step + 1)
            losses = training.advance(*(tensor.to(device) for tensor in batch))
            step, stop = training.step, interrupted.is_set()
            is_last = step == run.steps
            saves = is_last or stop or step % save_every == 0
            if saves or step % note_every == 0:
                shown |= _noted(training, run, losses)
            if judge is not None and (is_last or step % validate_every == 0):
                shown |= _judged(training, run, judge)
            if saves:
                run.save(training)
            if progress is not None:
                progress(step, run.steps, shown)
            if stop and not is_last:
                raise KeyboardInterrupt


@contextmanager
def _interrupts() -> Iterator[Event]:
    """Let Ctrl-C set an event instead, so that a step is never left half done; a second one ends at once."""
    asked = Event()

    def ask(number: int, frame: object) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    if current_thread() is not main_thread():  # only there can signals be handled, and only there they come
        yield asked
        return
    before = signal.signal(signal.SIGINT, ask)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)


def _noted(training: Training, run: RunFiles, losses: Mapping[str, Tensor]) -> dict[str, float]:
    """Write the losses of a step into the log."""
    figures = {name: float(loss) for name, loss in losses.items()}
    if not all(np.isfinite(value) for value in figures.values()):
        raise OptionError(
            f"the loss at step {training.step} is not finite ({figures}): take a lower learning rate (--lr)"
        )
    run.note({"step": training.step, "lr": training.learning_rate, **figures})
    own = sum(value for name, value in figures.items() if name != "discriminator")
    return {"loss": own}


def _judged(training: Training, run: RunFiles, judge: Judge) -> dict[str, float]:
    """Write how near held-out pictures come into the log, and some of them into a picture."""
    figures = judge(training.result, run.sheets / f"{training.step:07d}.png")
    run.note({"step": training.step, **figures})
    return figures
