"""The files of a training: checkpoint, log, final weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from microexp.errors import OptionError, WeightsError
from microexp.weights import read_metadata, read_weights, write_weights

if TYPE_CHECKING:
    from microexp.train.running import Training

_VERSION = "microexp"  # noted, but a training may be gone on by another


class RunFiles:
    """The files of one stage of a training.

    Parameters
    ----------
    folder : Path
        Where they are.
    stage : str
        Begins their names.
    about : mapping of str to str
        All that decides the result; written into checkpoint and weights, and compared when it is gone on.
    steps : int
        Of the whole stage.
    """

    def __init__(self, folder: Path, stage: str, about: Mapping[str, str], steps: int) -> None:
        self.about, self.steps = dict(about), steps
        self.weights = folder / f"{stage}.safetensors"
        self.checkpoint = folder / f"{stage}.checkpoint.safetensors"
        self.log = folder / f"{stage}.jsonl"
        self.sheets = folder / f"{stage}-validation"

    @property
    def has_checkpoint(self) -> bool:
        """Whether there is a training to go on with."""
        return self.checkpoint.is_file()

    def check(self, resume: bool) -> None:
        """Make sure that nothing is overwritten, and that what is there is this training.

        Raises
        ------
        OptionError
            If there is another training, or this one though it should not be resumed.
        WeightsError
            If the checkpoint is none, or damaged.
        """
        self.log.parent.mkdir(parents=True, exist_ok=True)
        for leftover in self.log.parent.glob(f".{self.checkpoint.name}.*.tmp"):  # of a kill while writing
            leftover.unlink()
        if not self.has_checkpoint:
            if self.weights.is_file():
                raise OptionError(f"{self.weights} is there already: name another folder, or move it")
            return
        said = read_metadata(self.checkpoint)
        if "stage" not in said:
            raise WeightsError(f"{self.checkpoint} is no checkpoint of a training: move it elsewhere")
        other = [key for key, value in self.about.items() if key != _VERSION and said.get(key) != value]
        if other:
            told = "; ".join(f"{key} {said.get(key, 'unknown')}, not {self.about[key]}" for key in other)
            raise OptionError(
                f"{self.checkpoint} is of another training ({told}): name another folder, or give the same "
                "options"
            )
        if not resume:
            raise OptionError(
                f"{self.log.parent} holds this training already: say to resume it (--resume), or name another"
                " folder"
            )

    def save(self, training: Training) -> None:
        """Write the checkpoint, the old one being there until the new one is whole."""
        write_weights(self.checkpoint, training.state(), self.about)

    def load(self, training: Training) -> None:
        """Set a training to where the checkpoint is; raise `WeightsError` if it is damaged."""
        try:
            training.load_state(read_weights(self.checkpoint))
        except WeightsError as error:
            raise WeightsError(f"{self.checkpoint} cannot be gone on from: {error}") from error

    def forget_after(self, step: int) -> None:
        """Drop what was noted beyond the checkpoint: those steps are taken again."""
        if self.log.is_file():
            lines = self.log.read_text().splitlines()
            kept = [line for line in lines if _is_until(line, step)]
            self.log.write_text("".join(f"{line}\n" for line in kept))

    def note(self, figures: Mapping[str, float]) -> None:
        """Add a line to the log."""
        with self.log.open("a") as stream:
            stream.write(json.dumps(figures) + "\n")

    def finish(self, module: nn.Module) -> Path:
        """Write the weights and return their file."""
        write_weights(self.weights, module.state_dict(), self.about)
        return self.weights


def _is_until(line: str, step: int) -> bool:
    """Whether a line of the log is whole, and of a step that still counts."""
    try:
        return bool(json.loads(line)["step"] <= step)
    except json.JSONDecodeError:  # the kill came while it was written
        return False
