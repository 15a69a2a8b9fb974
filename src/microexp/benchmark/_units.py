"""The units of a benchmark, and the time that they take. What starts them is in `microexp.benchmark.run`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from microexp.benchmark.quality import QualityTask
from microexp.evaluate.folds import Fold
from microexp.evaluate.loso import Experiment
from microexp.evaluate.store import writing
from microexp.locks import Lock
from microexp.recognize.base import Inputs

MADE, THERE, ELSEWHERE = "made", "there", "elsewhere"  # what becomes of a unit: by us, before us, by another


@dataclass(frozen=True, eq=False)
class _Unit(ABC):
    """Work that is done once, whoever asks for it: under a lock, unless its result is there."""

    key: str
    locks: Path

    @property
    def on_gpu(self) -> bool:
        """Whether it is told to use a GPU."""
        return False

    @property
    @abstractmethod
    def part(self) -> str:
        """Which of the units of its key it is."""

    @abstractmethod
    def is_done(self) -> bool:
        """Whether the result is on the disk."""

    @abstractmethod
    def compute(self) -> None:
        """Put the result on the disk."""

    def __call__(self) -> str:
        """Do it, unless it is done already or another is at it; say which."""
        if self.is_done():
            return THERE
        lock = Lock(self.locks / f"{self.key}-{self.part}.lock")
        with writing(self.locks):
            mine = lock.acquire()
        if not mine:
            return ELSEWHERE
        try:
            if self.is_done():
                return THERE
            self.compute()
        finally:
            lock.release()
        return MADE


@dataclass(frozen=True, eq=False)
class _JobUnit(_Unit):
    """A piece of a job's work."""

    experiment: Experiment

    @property
    def on_gpu(self) -> bool:
        device = self.experiment.recognizer.get_params(deep=False).get("device")
        return str(device).startswith("cuda")


@dataclass(frozen=True, eq=False)
class FeaturesUnit(_JobUnit):
    """The features of all clips of a job."""

    inputs: Inputs
    kind = part = "features"

    def is_done(self) -> bool:
        return self.experiment.store.has_features

    def compute(self) -> None:
        self.experiment.store.features(lambda: self.experiment.recognizer.features(self.inputs))


@dataclass(frozen=True, eq=False)
class FoldUnit(_JobUnit):
    """One fold of a job; its features must be there."""

    fold: Fold
    seed: int
    kind = "fold"

    @property
    def part(self) -> str:
        return f"{self.seed}-{self.fold.number}"

    def is_done(self) -> bool:
        return self.experiment.store.read(self.seed, self.fold.number) is not None

    def compute(self) -> None:
        self.experiment.run(self.experiment.store.kept_features(), self.fold, self.seed)


@dataclass(frozen=True, eq=False)
class QualityUnit(_Unit):
    """What is measured of a variant's pictures; the locks lie in the folder of the benchmark."""

    task: QualityTask

    @property
    def kind(self) -> str:
        return self.task.kind

    @property
    def part(self) -> str:
        return self.task.kind.replace(" ", "-")

    def is_done(self) -> bool:
        return self.task.is_done(self.locks.parent)

    def compute(self) -> None:
        self.task.run(self.locks.parent)


class Counted(Protocol):
    """A job whose units of each kind are counted."""

    key: str
    method: str
    left: Counter[str]


class Work:
    """Seconds of the units so far, and of those to come by what is most like them."""

    def __init__(self) -> None:
        self._seconds: dict[tuple[str, ...], list[float]] = {}
        self._done = 0.0

    def note(self, kind: str, course: Counted, seconds: float) -> None:
        """Note how long a unit took."""
        self._done += seconds
        for group in self._groups(kind, course):
            total = self._seconds.setdefault(group, [0.0, 0.0])
            total[0] += seconds
            total[1] += 1

    def done_and_total(self, courses: Iterable[Counted]) -> tuple[int, int]:
        """Return the seconds of the work that is done, and of all."""
        ahead = sum(
            n * self._expected(kind, course) for course in courses for kind, n in course.left.items() if n
        )
        return round(self._done), round(self._done + ahead)

    def _expected(self, kind: str, course: Counted) -> float:
        known = next((self._seconds[g] for g in self._groups(kind, course) if g in self._seconds), None)
        return 1.0 if known is None else known[0] / known[1]

    @staticmethod
    def _groups(kind: str, course: Counted) -> list[tuple[str, ...]]:
        return [(kind, course.method, course.key), (kind, course.method), (kind,)]
