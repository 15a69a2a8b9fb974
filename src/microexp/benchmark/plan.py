"""From a spec to its jobs: everything is created and checked before anything runs.

A job is one recogniser on one database under the seeds of the spec, judged by leave-one-subject-out. Its
key is the key of that run (see `microexp.evaluate.store`); jobs of the same key share one folder, so what two
rows or two specs have in common is computed once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from microexp import datasets, recognize
from microexp.benchmark._document import Place
from microexp.benchmark.spec import (
    DatabaseSpec,
    RecogniserSpec,
    Spec,
    check_one_database,
)
from microexp.datasets.base import Dataset
from microexp.errors import DataError, MicroexpError, OptionError, PathMissingError, UnknownNameError
from microexp.evaluate.folds import loso_folds
from microexp.evaluate.loso import check_protocol, run_config
from microexp.evaluate.prepare import prepare, read_step
from microexp.evaluate.store import canonical_json, run_key, write_atomically
from microexp.evaluate.workers import Progress
from microexp.recognize.base import Recognizer

if TYPE_CHECKING:
    from microexp.recognize.complexity import Complexity

PLAN_FILE, RUNS, FAILED = "plan.json", "runs", "failed"


@dataclass(frozen=True)
class Job:
    """One row of the table on one database, as JSON values.

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
        Of the prepared data; there are as many folds a seed as subjects.
    remarks : list of str
        What has to be said of the data.
    parameters, multiply_adds : int or None
        Of the network, as `microexp.recognize.complexity` counts them; None where there is no network.
    problem : str
        Why it cannot run on these data; empty if it can.
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
    remarks: list[str]
    parameters: int | None = None
    multiply_adds: int | None = None
    problem: str = ""

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
        return len(self.seeds) * self.subjects

    def folder(self, out: Path) -> Path:
        """Return the folder of the run: the one of this key if there is one, else one of this label."""
        there = sorted((out / RUNS).glob(f"*-{self.key}"))
        plain = re.sub(r"[^A-Za-z0-9._]+", "-", self.label).strip("-.") or "row"
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
    jobs : list of Job
        Rows by databases.
    """

    name: str
    title: str
    source: str
    published_data: str
    published_protocol: str
    selection: str
    changes: list[str]
    jobs: list[Job]

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
            raise DataError(f"{file} is damaged; run the benchmark again, finished folds are kept") from error
        if plan.name != name:
            raise OptionError(f"{out} holds the benchmark {plan.name}, not {name}; name its --out")
        return plan


@dataclass(frozen=True, eq=False)
class Task:
    """A job and what it is computed with."""

    job: Job
    recognizer: Recognizer
    dataset: Dataset


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
        Rows by databases, in the order of the spec. One that cannot run on its database says so in
        ``job.problem`` and hinders no other.

    Raises
    ------
    SpecError
        If a method, parameter, database, step or label scheme is unknown or has a value that cannot be used,
        or a database is not where it should be; the message names file, line and key.
    OptionError
        If the options at run time do not say which database is meant.
    """
    check_one_database(spec)
    recognizers = make_recognizers(spec)
    steps = _steps(spec)
    loaded = [_load(spec, i) for i in range(len(spec.databases))]
    ready = [_prepared(spec, dataset, steps, jobs, progress) for dataset in loaded]
    return [
        Task(_job(spec, row, database, recognizer, dataset), recognizer, dataset)
        for database, datasets_of_rows in zip(spec.databases, ready, strict=True)
        for row, recognizer, dataset in zip(spec.recognisers, recognizers, datasets_of_rows, strict=True)
    ]


def make_recognizers(spec: Spec) -> list[Recognizer]:
    """Create the recogniser of every row and check its parameters; raises as `make_tasks`."""
    return [_recognizer(spec, i) for i in range(len(spec.recognisers))]


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
        jobs=[task.job for task in tasks],
    )


def _job(
    spec: Spec, row: RecogniserSpec, database: DatabaseSpec, recognizer: Recognizer, dataset: Dataset
) -> Job:
    problem, subjects, size = "", 0, None
    try:
        size = _complexity(recognizer, len(dataset.classes))
        check_protocol(recognizer, dataset, spec.selection, spec.seeds, None, None)
        subjects = len(loso_folds(dataset.groups))
    except MicroexpError as error:
        problem = str(error)
    return Job(
        label=row.label,
        database=database.name,
        data=json.loads(canonical_json(database.params)),
        published=row.published,
        note=row.note,
        config=json.loads(canonical_json(run_config(recognizer, dataset, spec.selection, None))),
        seeds=spec.seeds,
        clips=len(dataset),
        subjects=subjects,
        remarks=list(dataset.remarks),
        parameters=None if size is None else size.parameters,
        multiply_adds=None if size is None else size.multiply_adds,
        problem=problem,
    )


def _complexity(recognizer: Recognizer, n_classes: int) -> Complexity | None:
    """Count a network; what has no epochs is none, and need not wait for torch."""
    if not recognizer.has_epochs:
        return None
    from microexp.recognize.complexity import complexity
    from microexp.recognize.torch_base import TorchRecognizer

    return complexity(recognizer, n_classes) if isinstance(recognizer, TorchRecognizer) else None


def _recognizer(spec: Spec, i: int) -> Recognizer:
    """Create the recogniser of a row; blame the key that is at fault."""
    row, place = spec.recognisers[i], ("recognisers", i)
    own = {**_preset(spec, i), **row.params}
    given = spec.changes.params
    if clash := sorted(own.keys() & given.keys()):
        raise OptionError(
            f"--param {clash[0]}: the row '{row.label}' sets it itself; change the file for that"
        )
    params = {**spec.defaults, **own, **given}
    for key, value in params.items():
        if key == "random_state":
            raise spec.fault(_origin(spec, i, key), "give the seed as seeds of the spec")
        try:
            recognize.create(row.method, **{key: value})
        except OptionError as error:
            raise spec.fault(_origin(spec, i, key), str(error)) from error
    try:
        return _checked(row.method, params)
    except MicroexpError as error:
        guilty = next((key for key in params if _helps(row.method, params, key)), None)
        raise spec.fault(place if guilty is None else _origin(spec, i, guilty), str(error)) from error


def _preset(spec: Spec, i: int) -> Mapping[str, Any]:
    """Return the settings of a row's preset; refuse a method or preset that there is not."""
    row = spec.recognisers[i]
    try:
        presets = recognize.card(row.method).presets
    except MicroexpError as error:
        raise spec.fault(("recognisers", i, "method"), str(error)) from error
    if row.preset is None:
        return {}
    if row.preset not in presets:
        unknown = UnknownNameError(f"preset of recognize '{row.method}'", row.preset, presets)
        raise spec.fault(("recognisers", i, "preset"), str(unknown))
    return presets[row.preset]


def _checked(method: str, params: Mapping[str, Any]) -> Recognizer:
    recognizer: Recognizer = recognize.create(method, **params)
    recognizer.check_parameters()
    return recognizer


def _helps(method: str, params: Mapping[str, Any], key: str) -> bool:
    """Whether a recogniser can be made once a parameter is left out."""
    try:
        _checked(method, {k: v for k, v in params.items() if k != key})
    except MicroexpError:
        return False
    return True


def _origin(spec: Spec, i: int, key: str) -> Place:
    """Return where a parameter of a row was given."""
    row = spec.recognisers[i]
    if key in row.params or key in spec.changes.params:
        return "recognisers", i, "params", key
    if row.preset is not None and key in recognize.card(row.method).presets[row.preset]:
        return "recognisers", i, "preset"
    return "defaults", key


def _steps(spec: Spec) -> dict[str, Any]:
    """Create the steps of all preparations, by NAME or NAME:OPTION=VALUE:..., as they are written."""
    places: list[tuple[Place, str]] = [(("prepare", i), text) for i, text in enumerate(spec.prepare)]
    for i, row in enumerate(spec.recognisers):
        places += [(("recognisers", i, "prepare", k), text) for k, text in enumerate(row.prepare)]
    steps = {}
    for place, text in places:
        try:
            steps[text] = read_step(text)
        except MicroexpError as error:
            raise spec.fault(place, str(error)) from error
    return steps


def _prepared(
    spec: Spec, dataset: Dataset, steps: Mapping[str, Any], jobs: int | None, progress: Progress | None
) -> list[Dataset]:
    """Return the prepared data of every row; rows that are prepared alike share them."""
    common = _through(dataset, spec.prepare, steps, jobs, progress)
    ready: dict[tuple[str, ...], Dataset] = {}
    for row in spec.recognisers:
        if tuple(row.prepare) not in ready:
            ready[tuple(row.prepare)] = _through(common, row.prepare, steps, jobs, progress)
    return [ready[tuple(row.prepare)] for row in spec.recognisers]


def _through(
    dataset: Dataset,
    names: Sequence[str],
    steps: Mapping[str, Any],
    jobs: int | None,
    progress: Progress | None,
) -> Dataset:
    return prepare(dataset, [steps[name] for name in names], jobs, progress) if names else dataset


def _load(spec: Spec, i: int) -> Dataset:
    database, place = spec.databases[i], ("databases", i)
    params = {**database.params, **({} if database.root is None else {"root": database.root})}
    try:
        datasets.card(database.name)
    except MicroexpError as error:
        raise spec.fault((*place, "name"), str(error)) from error
    for key, value in params.items():
        try:
            datasets.create(database.name, **{key: value})
        except OptionError as error:
            given = (*place, "root") if key == "root" else (*place, "params", key)
            raise spec.fault(given, str(error)) from error
    try:
        source = datasets.create(database.name, **params)
        source.scheme(database.labels)
    except (OptionError, PathMissingError, DataError) as error:
        raise spec.fault((*place, "labels"), str(error)) from error
    try:
        return source.load(database.labels)
    except PathMissingError as error:
        raise spec.fault((*place, "root"), str(error)) from error
    except MicroexpError as error:
        raise spec.fault(place, str(error)) from error
