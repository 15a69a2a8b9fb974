"""Leave-one-subject-out: every subject is predicted by a recogniser that never saw that subject.

Or, as ``protocol``, five-fold by subject or by sample; see `microexp.evaluate.folds`. By sample leaks, warns,
and is marked in every output.

``selection`` says which epoch of a network is used. "last-epoch" (default) and "inner-subjects" never
look at the left-out subject. "test-fold" picks the epoch that predicts that very subject best, as some
published tables do; it is offered to compare with them, warns, and is marked in every output.
"""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from joblib import cpu_count, delayed
from sklearn.base import clone

from microexp.datasets.base import Dataset, fingerprint
from microexp.errors import DataError, OptionError, WeightsError
from microexp.evaluate.evaluation import Evaluation, rules_of
from microexp.evaluate.folds import BY_SAMPLE, PROTOCOLS, Fold, inner_split, make_folds
from microexp.evaluate.metrics import scores
from microexp.evaluate.store import FoldResult, RunStore, class_path
from microexp.evaluate.versions import versions
from microexp.evaluate.workers import Progress, in_workers, leave_ctrl_c_to_the_parent, one_thread
from microexp.recognize.base import Inputs, Monitor, Recognizer

SELECTIONS = ("last-epoch", "inner-subjects", "test-fold")


class LeakageWarning(UserWarning):
    """Who is tested had a say in what is reported."""


def loso(
    recognizer: Recognizer,
    dataset: Dataset,
    *,
    selection: str = "last-epoch",
    protocol: str = "loso",
    seeds: Sequence[int] | None = None,
    jobs: int | None = None,
    out: str | Path | None = None,
    weights: str | Path | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Judge a recogniser by leave-one-subject-out, or in five folds.

    Finished folds are kept in `out` as they come, so a run that was stopped, at any moment and by
    anything, goes on where it was when called again with the same arguments.

    Parameters
    ----------
    recognizer : Recognizer
        Unfitted; it is cloned for every fold.
    dataset : Dataset
        Clips or flow images with their table.
    selection : {"last-epoch", "inner-subjects", "test-fold"}
        Which epoch of a network counts; see the module's text.
    protocol : {"loso", "subjects-5", "samples-5"}
        How clips are split; see `microexp.evaluate.folds`.
    seeds : sequence of int or None
        The whole protocol is run once under each, as ``random_state`` of the recogniser; None for the one
        that it has.
    jobs : int or None
        Worker processes, each of one thread; None for one a core.
    out : path or None
        Folder of the run; None for a temporary one.
    weights : path or None
        Folder of published weights, one file a left-out subject (``<subject>.pth`` or
        ``.safetensors``), to be used in place of training; only under "loso".
    progress : callable or None
        Called with what is going on, how many are done and of how many.

    Returns
    -------
    Evaluation
        Pooled predictions and all figures.

    Raises
    ------
    OptionError, DataError, WeightsError
        If an argument cannot be used with this recogniser or data, before any training starts.
    """
    if seeds is None:
        seeds = (getattr(recognizer, "random_state", 0),)
    check_protocol(recognizer, dataset, selection, seeds, jobs, weights, protocol)
    report = progress or (lambda what, done, total: None)
    workers = jobs or cpu_count()
    with tempfile.TemporaryDirectory(prefix="microexp-") if out is None else nullcontext(out) as folder:
        experiment, folds = make_experiment(
            recognizer, dataset, selection=selection, protocol=protocol, out=Path(folder), weights=weights
        )
        make = partial(_all_features, recognizer, dataset.inputs, workers, report)
        run_missing(experiment, experiment.store.features(make), folds, seeds, workers, report)
        return finish(experiment, folds, seeds, dataset)


def make_experiment(
    recognizer: Recognizer,
    dataset: Dataset,
    *,
    selection: str,
    protocol: str = "loso",
    out: Path,
    weights: str | Path | None = None,
) -> tuple[Experiment, list[Fold]]:
    """Create the folder of a run (or find it) and its folds, so that they can be run one by one.

    The features come from ``experiment.store.features``, a fold from ``experiment.run``, and once all are
    there the figures from `finish`. `loso` does all of it. The arguments are as there, and must have passed
    `check_protocol`.

    Returns
    -------
    tuple of Experiment and list of Fold
        What the folds share, and the folds in the order of their numbers.

    Raises
    ------
    OptionError, DataError
        If `out` holds another run, something else or a damaged run.
    """
    store = RunStore(out, run_config(recognizer, dataset, selection, weights, protocol))
    files, n_classes = None if weights is None else Path(weights), len(dataset.classes)
    experiment = Experiment(
        recognizer, dataset.y, dataset.groups, n_classes, selection, protocol, files, store, versions()
    )
    return experiment, make_folds(protocol, dataset.groups)


def finish(
    experiment: Experiment, folds: Sequence[Fold], seeds: Sequence[int], dataset: Dataset
) -> Evaluation:
    """Pool the finished folds of all seeds.

    Parameters
    ----------
    experiment, folds, dataset
        As given to and by `make_experiment`.
    seeds : sequence of int
        Those that were run.

    Raises
    ------
    IncompleteResultError, DataError
        If a fold is missing, or is of other labels than the data.
    """
    store = experiment.store
    results = {seed: store.results(seed, len(folds)) for seed in seeds}
    rules = rules_of(store.config, experiment.recognizer.has_epochs)
    return Evaluation.from_folds(store, dataset, rules, results)


def run_config(
    recognizer: Recognizer,
    dataset: Dataset,
    selection: str,
    weights: str | Path | None,
    protocol: str = "loso",
) -> dict[str, Any]:
    """Return what decides a result, as JSON values; seeds and number of workers are not part of it.

    The commit is part of it where microexp runs from a checkout, so that folds of different code are never
    pooled.
    """
    aside = {"random_state", "verbose"}  # the seed has a place of its own, a progress bar changes nothing
    params = {k: v for k, v in recognizer.get_params(deep=False).items() if k not in aside}
    recipe = getattr(recognizer, "recipe", None)  # what parameters left at None come to
    return {
        "protocol": PROTOCOLS[protocol],
        "method": type(recognizer).__module__.rsplit(".", 1)[-1],
        "class": class_path(recognizer),
        "params": params,
        "recipe": None if recipe is None else asdict(recipe()),
        "selection": selection,
        "weights": None if weights is None else _weights_fingerprint(Path(weights), dataset.groups),
        "databases": sorted(set(dataset.table["database"])),
        "labels": dataset.scheme,
        "data": dataset.fingerprint,
        "microexp": versions()["microexp"],
    }


@dataclass(frozen=True, eq=False)
class Experiment:
    """What all folds of a run share; small, as it is sent to the workers (the features are mapped)."""

    recognizer: Recognizer
    y: np.ndarray
    groups: np.ndarray
    n_classes: int
    selection: str
    protocol: str
    weights: Path | None
    store: RunStore
    versions: Mapping[str, str]

    def run(self, features: np.ndarray, fold: Fold, seed: int) -> None:
        """Train and test one fold in this process, and keep its result."""
        leave_ctrl_c_to_the_parent()
        with one_thread():
            self.store.write(self.fold_result(features, fold, seed))

    def fold_result(self, features: np.ndarray, fold: Fold, seed: int) -> FoldResult:
        """Return the outcome of one fold."""
        start, cpu_start = time.perf_counter(), time.process_time()
        fitted = self._fitted(features, fold, seed)
        test = np.asarray(features[fold.test])
        chosen = getattr(fitted, "best_epoch_", None)
        last = None if chosen is None else fitted.at_last_epoch().predict(test).tolist()
        return FoldResult(
            seed=seed,
            fold=fold.number,
            subject=fold.subject,
            index=fold.test.tolist(),
            truth=self.y[fold.test].tolist(),
            prediction=fitted.predict(test).tolist(),
            probabilities=self._all_classes(fitted, test).tolist(),
            last_epoch_prediction=last,
            best_epoch=chosen,
            seconds=time.perf_counter() - start,
            cpu_seconds=time.process_time() - cpu_start,
            versions=self.versions,
        )

    def _fitted(self, features: np.ndarray, fold: Fold, seed: int) -> Any:
        recognizer: Any = clone(self.recognizer)
        if self.weights is not None:
            return recognizer.load_weights(weight_file(self.weights, fold.subject), np.arange(self.n_classes))
        if "random_state" in recognizer.get_params(deep=False):
            recognizer.set_params(random_state=seed)
        if "device" in recognizer.get_params(deep=False):
            from microexp.train import device_of_fold  # here, as recognisers without a network need no torch

            recognizer.set_params(device=device_of_fold(recognizer.device, fold.number))
        train = fold.train
        if self.selection == "last-epoch":
            return recognizer.fit(np.asarray(features[train]), self.y[train])
        if self.selection == "inner-subjects":
            train, watched = inner_split(self.groups, train, seed, self.protocol)
        else:
            watched = fold.test
        monitor = Monitor(
            np.asarray(features[watched]), lambda p: scores(self.y[watched], p, self.n_classes).uf1
        )
        return recognizer.fit(np.asarray(features[train]), self.y[train], monitor=monitor)

    def _all_classes(self, fitted: Recognizer, test: np.ndarray) -> np.ndarray:
        """Probabilities ``(n, K)``; a class that the training fold lacks gets 0."""
        full = np.zeros((len(test), self.n_classes))
        full[:, fitted.classes_] = fitted.predict_proba(test)
        return full


def _weights_fingerprint(folder: Path, groups: np.ndarray) -> str:
    return fingerprint(*(weight_file(folder, subject).read_bytes() for subject in np.unique(groups)))


def weight_file(folder: Path, subject: str) -> Path:
    """Return the published weights for a left-out subject ``database/name``.

    They may be named ``database/name.pth`` or, where names are unique, ``name.pth``.
    """
    database, _, name = subject.rpartition("/")
    for stem in (folder / database / name, folder / name):
        for suffix in (".safetensors", ".pth", ".pt"):
            if (file := stem.with_name(stem.name + suffix)).is_file():
                return file
    raise WeightsError(f"{folder} holds no {name}.pth or {name}.safetensors for the left-out subject {name}")


def check_protocol(
    recognizer: Recognizer,
    dataset: Dataset,
    selection: str,
    seeds: Sequence[int],
    jobs: int | None,
    weights: str | Path | None,
    protocol: str = "loso",
) -> None:
    """Find everything that would fail later, before hours are spent.

    Raises
    ------
    OptionError, DataError, WeightsError
        See `loso`, whose arguments these are.
    """
    name = type(recognizer).__name__
    if selection not in SELECTIONS:
        raise OptionError(f"selection '{selection}' is none of {', '.join(SELECTIONS)}")
    if selection != "last-epoch" and (not recognizer.has_epochs or weights is not None):
        raise OptionError(f"{name} trains no epochs to choose from here; use selection last-epoch")
    if jobs is not None and jobs < 1:
        raise OptionError(f"jobs must be 1 or more, got {jobs}")
    if not seeds or len(set(seeds)) != len(seeds) or min(seeds) < 0:
        raise OptionError(f"seeds must be one or more different numbers, 0 or more, got {list(seeds)}")
    if dataset.clips is None and recognizer.feature_ndim != dataset.inputs.ndim:  # type: ignore[union-attr]
        raise OptionError(f"{name} needs the frames of the clips, but this database holds flow images only")
    recognizer.check_parameters()
    _check_apexes(recognizer, dataset)
    folds = make_folds(protocol, dataset.groups)
    if selection == "inner-subjects":
        for fold in folds:
            inner_split(dataset.groups, fold.train, seeds[0], protocol)
    if weights is not None:
        if protocol != "loso":
            raise OptionError(f"weights are one file a left-out subject; use protocol loso, not {protocol}")
        _check_weights(recognizer, Path(weights), folds, len(dataset.classes))
    leak = "its figures LEAK and are for comparison with tables made that way only"
    if protocol == BY_SAMPLE:
        said = f"protocol='{BY_SAMPLE}' trains and tests on clips of the same people; {leak}"
        warnings.warn(said, LeakageWarning, stacklevel=3)
    if selection == "test-fold":
        said = f"selection='test-fold' picks the epoch on the subject it reports on; {leak}"
        warnings.warn(said, LeakageWarning, stacklevel=3)


def _check_apexes(recognizer: Recognizer, dataset: Dataset) -> None:
    """Describe one clip without an apex, if there is one: who needs it fails here, not hours later."""
    lacking = [clip for clip in dataset.clips or () if clip.apex is None]
    if not lacking:
        return
    try:
        recognizer.features(lacking[:1])
    except DataError as error:
        raise DataError(f"{len(lacking)} of {len(dataset)} clips have no apex: {error}") from error


def _check_weights(recognizer: Any, folder: Path, folds: Sequence[Fold], n_classes: int) -> None:
    """Load every file once; refuse one file for two subjects, as it may have been trained on one of them."""
    if not hasattr(recognizer, "load_weights"):
        raise OptionError(f"{type(recognizer).__name__} is no network; it has no weights to load")
    if not folder.is_dir():
        raise WeightsError(f"--weights {folder} is not a folder")
    owners: dict[Path, str] = {}
    for fold in folds:
        file = weight_file(folder, fold.subject)
        if file in owners:
            raise WeightsError(
                f"{file} would serve both {owners[file]} and {fold.subject}; put the files into one folder a "
                f"database, {folder}/<database>/<subject>.pth"
            )
        owners[file] = fold.subject
        clone(recognizer).load_weights(file, np.arange(n_classes))


def _all_features(recognizer: Recognizer, inputs: Inputs, workers: int, report: Progress) -> np.ndarray:
    """Compute the features of all clips, a few clips a task."""
    if isinstance(inputs, np.ndarray):
        return recognizer.features(inputs)
    size = max(1, min(8, -(-len(inputs) // workers)))
    parts: dict[int, np.ndarray] = {}

    def tasks() -> list[Any]:
        starts = [start for start in range(0, len(inputs), size) if start not in parts]
        return [delayed(_chunk_features)(recognizer, inputs[s : s + size], s) for s in starts]

    for start, part in in_workers(tasks, workers):
        parts[start] = part
        report("features", sum(map(len, parts.values())), len(inputs))
    return np.concatenate([parts[start] for start in sorted(parts)])


def _chunk_features(recognizer: Recognizer, clips: Inputs, start: int) -> tuple[int, np.ndarray]:
    leave_ctrl_c_to_the_parent()
    with one_thread():
        return start, recognizer.features(clips)


def run_missing(
    experiment: Experiment,
    features: np.ndarray,
    folds: Sequence[Fold],
    seeds: Sequence[int],
    workers: int,
    report: Progress,
) -> None:
    """Run the folds that are not finished yet."""
    total = len(seeds) * len(folds)

    def tasks() -> list[Any]:
        todo = experiment.store.missing(seeds, len(folds))
        report("folds", total - len(todo), total)
        return [delayed(experiment.run)(features, folds[fold], seed) for seed, fold in todo]

    done = total - len(experiment.store.missing(seeds, len(folds)))
    for _ in in_workers(tasks, workers):
        done += 1
        report("folds", min(done, total), total)
