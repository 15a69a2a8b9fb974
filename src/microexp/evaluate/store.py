"""Results on disk: one file a fold, written under a temporary name and renamed, so a kill loses nothing.

A run is a folder::

    run.json          what is run: method, parameters, data, protocol; its hash is the run's key
    folds/<seed>-<n>.json   one finished fold each: truth, prediction, probabilities, seconds, versions
    features.npy      what `features` made of the clips, so that a resumed run does not make it again
    features.json     how long that took

The store knows the folds it expects, and gives results only when all of them are there.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

from microexp.errors import DataError, IncompleteResultError, MicroexpError, OptionError
from microexp.locks import Lock

FOLD_STATUS = "done"


class StorageError(MicroexpError):
    """A result cannot be written: the disk is full, or the folder may only be read."""


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn what goes wrong in writing to a folder into one `StorageError` that names it."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"{folder} cannot be written: {error.strerror or error}. What is finished is kept; free space or "
            "make it writable, and run the same command to go on"
        ) from error


@dataclass(frozen=True)
class FoldResult:
    """The outcome of one fold under one seed.

    Attributes
    ----------
    seed, fold : int
        Which one.
    subject : str
        What was left out: a subject, or the name of one of five folds.
    index : list of int
        Rows of the data set's table that were predicted.
    truth, prediction : list of int
        Labels.
    probabilities : list of list of float
        ``(n, K)`` over all classes of the scheme.
    last_epoch_prediction : list of int or None
        The prediction of the last epoch, where another was chosen.
    best_epoch : int or None
        The epoch that was chosen, counted from 1.
    seconds, cpu_seconds : float
        Training and prediction: by the clock, and of the processor (one thread).
    versions : mapping
        Versions of what computed it.
    """

    seed: int
    fold: int
    subject: str
    index: list[int]
    truth: list[int]
    prediction: list[int]
    probabilities: list[list[float]]
    last_epoch_prediction: list[int] | None = None
    best_epoch: int | None = None
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    versions: Mapping[str, str] = field(default_factory=dict)


class RunStore:
    """The folder of one run.

    Parameters
    ----------
    folder : path
        Where it is, or shall be.
    config : mapping
        Everything that decides the result, as JSON values.

    Raises
    ------
    OptionError
        If the folder holds a run of another configuration; the message says what differs.
    StorageError
        If it cannot be written.
    """

    def __init__(self, folder: str | Path, config: Mapping[str, Any]) -> None:
        self.folder = Path(folder)
        self.config = json.loads(canonical_json(config))
        self.key = run_key(config)
        manifest = self.folder / "run.json"
        if manifest.is_file():
            self._check_same(manifest)
        else:
            self._check_free()
            with writing(self.folder):
                self.folder.mkdir(parents=True, exist_ok=True)
            write_atomically(manifest, json.dumps({"key": self.key, "config": self.config}, indent=1))
        with writing(self.folder):
            (self.folder / "folds").mkdir(exist_ok=True)

    def write(self, result: FoldResult) -> None:
        """Keep one finished fold."""
        text = json.dumps({"key": self.key, "status": FOLD_STATUS, **asdict(result)})
        write_atomically(self._file(result.seed, result.fold), text)

    def read(self, seed: int, fold: int) -> FoldResult | None:
        """Return a finished fold, or None if it is not there (or damaged, or of another run)."""
        content = read_json(self._file(seed, fold))
        if content is None or content.pop("key", None) != self.key:
            return None
        if content.pop("status", None) != FOLD_STATUS:
            return None
        try:
            return FoldResult(**content)
        except TypeError:
            return None

    def missing(self, seeds: Iterable[int], n_folds: int) -> list[tuple[int, int]]:
        """Return (seed, fold) of all that is not finished, in order."""
        return [(s, f) for s in seeds for f in range(n_folds) if self.read(s, f) is None]

    def results(self, seed: int, n_folds: int) -> list[FoldResult]:
        """Return all folds of one seed.

        Raises
        ------
        IncompleteResultError
            If any is missing: an incomplete set is never averaged.
        """
        found = [self.read(seed, fold) for fold in range(n_folds)]
        complete = [result for result in found if result is not None]
        if len(complete) < n_folds:
            raise IncompleteResultError(
                f"{self.folder}: {len(complete)} of {n_folds} folds of seed {seed} are finished; "
                "run the same command again to finish the rest"
            )
        return complete

    @property
    def has_features(self) -> bool:
        """Whether the features of this run are there."""
        return (self.folder / "features.npy").is_file()

    def features(self, make: Callable[[], np.ndarray]) -> np.ndarray:
        """Return the features of this run, memory-mapped; `make` computes them the first time.

        Another process that wants them meanwhile waits.
        """
        if not self.has_features:
            lock = Lock(self.folder / ".features.lock")
            with writing(self.folder):
                lock.wait()
            try:
                if not self.has_features:
                    self._keep_features(make)
            finally:
                lock.release()
        return self.kept_features()

    def kept_features(self) -> np.ndarray:
        """Return the features that are there, memory-mapped.

        Raises
        ------
        DataError
            If they are not there, or damaged.
        """
        file = self.folder / "features.npy"
        try:
            return np.load(file, mmap_mode="r", allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            raise DataError(f"{file} is damaged ({error}); delete it and run again") from error

    def _keep_features(self, make: Callable[[], np.ndarray]) -> None:
        for abandoned in self.folder.glob(".features.*"):
            if abandoned.suffix != ".lock":  # that is ours, so nobody else writes the rest
                abandoned.unlink()
        start, cpu_start = time.perf_counter(), time.process_time()
        features = make()
        took = {"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - cpu_start}
        file = self.folder / "features.npy"
        with _temporary(file) as temporary, temporary.open("wb") as stream:
            np.save(stream, features)
            _flush(stream)
        write_atomically(self.folder / "features.json", json.dumps(took))

    def _file(self, seed: int, fold: int) -> Path:
        return self.folder / "folds" / f"{seed}-{fold:03d}.json"

    def _check_free(self) -> None:
        """Refuse a folder of something else; what a kill at the very start leaves is ours."""
        if not self.folder.exists():
            return
        if not self.folder.is_dir() or any(
            not p.name.startswith(".run.json.") for p in self.folder.iterdir()
        ):
            raise OptionError(f"{self.folder} exists and is no run of microexp; name another --out")

    def _check_same(self, manifest: Path) -> None:
        try:
            before = json.loads(manifest.read_text(encoding="utf-8"))["config"]
        except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
            raise DataError(f"{manifest} is damaged; delete the folder or name another --out") from error
        if before == self.config:
            return
        differs = [k for k in sorted({*before, *self.config}) if before.get(k) != self.config.get(k)]
        details = "; ".join(f"{k} was {before.get(k)!r}, is {self.config.get(k)!r}" for k in differs)
        raise OptionError(f"{self.folder} holds another run ({details}); name another --out")


def features_seconds(folder: Path) -> float | None:
    """Return how long the features of a run took by the clock; None if that is not known."""
    try:
        seconds = json.loads((folder / "features.json").read_text(encoding="utf-8"))["seconds"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return float(seconds)


def canonical_json(value: Any) -> str:
    """Return JSON with sorted keys; objects of ours are described by class and parameters."""
    return json.dumps(value, sort_keys=True, default=_describe)


def class_path(value: object) -> str:
    """Return module and class of an object; microexp's own by their place in it."""
    return f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("microexp.")


def run_key(config: Mapping[str, Any]) -> str:
    """Return 12 hex digits that name a configuration."""
    return hashlib.sha256(canonical_json(config).encode()).hexdigest()[:12]


def read_json(file: Path) -> dict[str, Any] | None:
    """Return the object that a file of ours holds; None if the file is not there, or damaged."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError, UnicodeDecodeError):
        return None
    return content if isinstance(content, dict) else None


def write_atomically(file: Path, text: str) -> None:
    """Write a text file under a temporary name in the same folder, then rename it.

    Raises
    ------
    StorageError
        If it cannot be written; what was there before is there still.
    """
    with _temporary(file) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as stream:
        stream.write(text)
        _flush(stream)


@contextmanager
def _temporary(file: Path) -> Iterator[Path]:
    """Give a name in the same folder that no other process has, and rename it once it is written."""
    temporary = file.with_name(f".{file.name}.{secrets.token_hex(4)}.tmp")
    with writing(file.parent):
        try:
            yield temporary
            temporary.replace(file)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def _flush(stream: IO[Any]) -> None:
    """See it on the disk before the rename, so that a power cut cannot leave a name without content."""
    stream.flush()
    os.fsync(stream.fileno())


def _describe(value: Any) -> Any:
    if hasattr(value, "get_params"):
        return {"class": class_path(value), **value.get_params(deep=False)}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise OptionError(f"a parameter of type {type(value).__name__} cannot be recorded in a result")
