"""From a spec to its jobs: everything is created and checked before anything runs.

A job is one recogniser on one variant of one database under the seeds of the spec, judged by its protocol.
Its key is the key of that run (see `microexp.evaluate.store`); jobs of the same key share one folder, so what
two rows or two specs have in common is computed once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from microexp.benchmark._data import Ready, load, make_steps, prepared
from microexp.benchmark._recognisers import make_recognizers
from microexp.benchmark._restoration import missing_weights
from microexp.benchmark.quality import ClipQuality, QualityTask, SetDistances, weights_sha256
from microexp.benchmark.spec import DatabaseSpec, RecogniserSpec, Spec, check_one_database
from microexp.benchmark.variants import NONE, make_variants
from microexp.datasets.base import Dataset
from microexp.errors import DataError, MicroexpError, OptionError, PathMissingError
from microexp.evaluate.folds import make_folds
from microexp.evaluate.loso import check_protocol, run_config
from microexp.evaluate.store import canonical_json, run_key, write_atomically
from microexp.evaluate.workers import Progress
from microexp.recognize.base import Recognizer

if TYPE_CHECKING:
    from microexp.recognize.complexity import Complexity

PLAN_FILE, RUNS, FAILED = "plan.json", "runs", "failed"


@dataclass(frozen=True)
class Job:
    """One recogniser on one variant of one database, as JSON values.

    Attributes
    ----------
    label, database, note : str
        As in the spec.
    data : mapping
        Arguments of the database, without its root.
    published : mapping
        Figures as printed.
    config : mapping
        What decides the result; see `microexp.evaluate.loso.run_config`.
    seeds : list of int
        The whole protocol once under each.
    clips, subjects : int
        Of the prepared data.
    n_folds : int
        Folds of the protocol, a seed; 0 where it cannot run.
    remarks : list of str
        What has to be said of the data.
    parameters, multiply_adds : int or None
        Of the network, as `microexp.recognize.complexity` counts them; None where there is no network.
    problem : str
        Why it cannot run on these data; empty if it can.
    variant : str
        What the clips went through, by its label; empty where the spec has one variant only.
    factors : mapping
        What is varied, and its level here.
    """

    label: str
    database: str
    data: Mapping[str, Any]
    published: Mapping[str, float | str]
    note: str
    config: Mapping[str, Any]
    seeds: list[int]
    clips: int
    subjects: int
    n_folds: int
    remarks: list[str]
    parameters: int | None = None
    multiply_adds: int | None = None
    problem: str = ""
    variant: str = ""
    factors: Mapping[str, str | int] = field(default_factory=dict)

    @cached_property
    def key(self) -> str:
        """Key of the run, 12 hex digits."""
        return run_key(self.config)

    @property
    def method(self) -> str:
        """Name of the recogniser."""
        return str(self.config["method"])

    @property
    def folds(self) -> int:
        """Folds under all seeds."""
        return len(self.seeds) * self.n_folds

    def folder(self, out: Path) -> Path:
        """Return the folder of the run: the one of this key if there is one, else one of these labels."""
        there = sorted((out / RUNS).glob(f"*-{self.key}"))
        plain = re.sub(r"[^A-Za-z0-9._]+", "-", f"{self.label} {self.variant}").strip("-.") or "row"
        return there[0] if there else out / RUNS / f"{plain}-{self.key}"


@dataclass(frozen=True)
class Plan:
    """What a spec comes to on the databases at hand; kept as ``plan.json`` beside the runs.

    Attributes
    ----------
    name, title, source, published_data, published_protocol : str
        Of the spec.
    selection : str
        Which epoch of a network counts.
    changes : list of str
        What was changed at run time.
    factors : list of str
        Names of what is varied between the variants; empty where there is one variant only.
    spec : mapping
        The whole spec with its defaults, and with what was changed at run time, as JSON values.
    jobs : list of Job
        Databases by recognisers by variants.
    qualities : list of str
        Keys of what is measured of the pictures.
    """

    name: str
    title: str
    source: str
    published_data: str
    published_protocol: str
    selection: str
    changes: list[str]
    factors: list[str]
    spec: Mapping[str, Any]
    jobs: list[Job]
    qualities: list[str]

    def write(self, out: Path) -> None:
        """Keep it in the folder of the benchmark."""
        out.mkdir(parents=True, exist_ok=True)
        write_atomically(out / PLAN_FILE, json.dumps(asdict(self), indent=1))

    @classmethod
    def read(cls, out: Path, name: str) -> Plan:
        """Read the plan of a benchmark that was run.

        Raises
        ------
        PathMissingError
            If nothing was run in this folder.
        OptionError
            If what was run there last is another spec.
        DataError
            If the file is damaged.
        """
        file = out / PLAN_FILE
        if not file.is_file():
            raise PathMissingError(f"{out} holds no benchmark; run it first: microexp benchmark run {name}")
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            plan = cls(**{**content, "jobs": [Job(**job) for job in content["jobs"]]})
        except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
            raise DataError(
                f"{file} is damaged or of an earlier version; run the benchmark again: finished folds stay"
            ) from error
        if plan.name != name:
            raise OptionError(f"{out} holds the benchmark {plan.name}, not {name}; name its --out")
        return plan


@dataclass(frozen=True, eq=False)
class Task:
    """A job and what it is computed with.

    Attributes
    ----------
    job : Job
        Which.
    recognizer : Recognizer
        Unfitted.
    dataset : Dataset
        The clips as the recogniser gets them.
    restored, original : Dataset or None
        Where the variant restores clips, these before what the row alone does to them, and what they are
        compared with.
    """

    job: Job
    recognizer: Recognizer
    dataset: Dataset
    restored: Dataset | None = None
    original: Dataset | None = None


def make_tasks(spec: Spec, jobs: int | None = None, progress: Progress | None = None) -> list[Task]:
    """Create all recognisers, load and prepare all databases, and check them against each other.

    Nothing is written but what the preparation leaves in the cache.

    Parameters
    ----------
    spec : Spec
        What to run.
    jobs : int or None
        Worker processes of the preparation; None for one a core.
    progress : callable or None
        Called with what is going on, how many are done and of how many.

    Returns
    -------
    list of Task
        Databases by recognisers by variants, in the order of the spec, so that neighbours work on different
        clips. One that cannot run on its data says so in ``job.problem`` and hinders no other.

    Raises
    ------
    SpecError
        If a method, parameter, database, step, scale, name of weights or label scheme is unknown or has a
        value that cannot be used, or a database is not where it should be; the message names file, line and
        key.
    OptionError
        If the options at run time do not say which database is meant.
    """
    check_one_database(spec)
    _check_set_distance(spec)
    recognizers, variants = make_recognizers(spec), make_variants(spec)
    steps = make_steps(spec)
    loaded = [load(spec, i) for i in range(len(spec.databases))]
    tasks: list[Task] = []
    for database, dataset in zip(spec.databases, loaded, strict=True):
        by_row = prepared(spec, dataset, variants, steps, jobs, progress)
        for row, recognizer, ready in zip(spec.recognisers, recognizers, by_row, strict=True):
            tasks += _row_tasks(spec, row, database, recognizer, ready)
    return tasks


def make_quality_tasks(spec: Spec, tasks: Sequence[Task]) -> list[QualityTask]:
    """Return what measures pictures: of each database, the variants that have something to compare with.

    Restored clips are compared before what a row alone does to them, sets of magnified frames as the first
    recogniser that can run gets them.

    Parameters
    ----------
    spec : Spec
        What is run.
    tasks : sequence of Task
        Of this spec.
    """
    found: dict[str, QualityTask] = {}
    for task in tasks:
        if task.restored is not None and task.original is not None:
            job = task.job
            made = ClipQuality(job.database, job.variant, job.factors, task.restored, task.original)
            found.setdefault(made.key, made)
    return [*found.values(), *_set_distances(spec, tasks)]


def make_plan(spec: Spec, tasks: Sequence[Task]) -> Plan:
    """Return the plan of a spec's tasks."""
    return Plan(
        name=spec.name,
        title=spec.title,
        source=spec.source,
        published_data=spec.published_data,
        published_protocol=spec.published_protocol,
        selection=spec.selection,
        changes=spec.changes.said,
        factors=list(tasks[0].job.factors) if tasks else [],
        spec=json.loads(json.dumps(spec.model_dump(), default=str)),
        jobs=[task.job for task in tasks],
        qualities=[task.key for task in make_quality_tasks(spec, tasks)],
    )


def _set_distances(spec: Spec, tasks: Sequence[Task]) -> list[QualityTask]:
    """Return a task a magnified variant of a database, with the unmagnified clips of the same row."""
    if spec.set_distance is None:
        return []
    weights = spec.set_distance.weights
    sha256 = weights_sha256(weights)
    ready = [task for task in tasks if not task.job.problem]
    plain = {_row_of(task): task.dataset for task in ready if task.job.factors["magnification"] == NONE}
    found: dict[tuple[str, str], QualityTask] = {}
    for task in ready:
        job, original = task.job, plain.get(_row_of(task))
        if original is not None and job.factors["magnification"] != NONE:
            made = SetDistances(
                job.database, job.variant, job.factors, task.dataset, original, weights, sha256
            )
            found.setdefault((job.database, job.variant), made)
    return list(found.values())


def _row_of(task: Task) -> tuple[str, str, str]:
    return task.job.database, canonical_json(task.job.data), task.job.label


def _check_set_distance(spec: Spec) -> None:
    """Refuse weights of a name that there is not, or that is another network's."""
    if spec.set_distance is None:
        return
    from microexp.weights import catalogue  # here, as it brings torch, which others need not

    weights, place = spec.set_distance.weights, ("set_distance", "weights")
    try:
        missing_weights(weights)
    except MicroexpError as error:
        raise spec.fault(place, str(error)) from error
    if weights in catalogue.names() and (method := catalogue.entry(weights).method) != "inception":
        raise spec.fault(place, f"'{weights}' is {method}, not inception")


def _row_tasks(
    spec: Spec,
    row: RecogniserSpec,
    database: DatabaseSpec,
    recognizer: Recognizer,
    ready: Sequence[Ready],
) -> list[Task]:
    """Return the tasks of a row on all variants of a database."""
    size, problem = None, ""
    try:
        size = _complexity(recognizer, len(ready[0].dataset.classes))
    except MicroexpError as error:
        problem = str(error)
    tasks = []
    for one in ready:
        job = _job(spec, row, database, recognizer, one, problem)
        if size is not None:
            job = replace(job, parameters=size.parameters, multiply_adds=size.multiply_adds)
        tasks.append(Task(job, recognizer, one.dataset, one.restored, one.original))
    return tasks


def _job(
    spec: Spec,
    row: RecogniserSpec,
    database: DatabaseSpec,
    recognizer: Recognizer,
    ready: Ready,
    problem: str,
) -> Job:
    dataset, n_folds = ready.dataset, 0
    problem = ready.problem or problem
    try:
        if not problem:
            check_protocol(recognizer, ready.checked, spec.selection, spec.seeds, None, None, spec.protocol)
            n_folds = len(make_folds(spec.protocol, dataset.groups))
    except MicroexpError as error:
        problem = str(error)
    config = run_config(recognizer, dataset, spec.selection, None, spec.protocol)
    return Job(
        label=row.label,
        database=database.name,
        data=json.loads(canonical_json(database.params)),
        published=row.published,
        note=row.note,
        config=json.loads(canonical_json(config)),
        seeds=spec.seeds,
        clips=len(dataset),
        subjects=len(np.unique(dataset.groups)),
        n_folds=n_folds,
        remarks=list(dataset.remarks),
        problem=problem,
        variant=ready.variant.label,
        factors=ready.variant.factors,
    )


def _complexity(recognizer: Recognizer, n_classes: int) -> Complexity | None:
    """Count a network; what has no epochs is none, and need not wait for torch."""
    if not recognizer.has_epochs:
        return None
    from microexp.recognize.complexity import complexity
    from microexp.recognize.torch_base import TorchRecognizer

    return complexity(recognizer, n_classes) if isinstance(recognizer, TorchRecognizer) else None
