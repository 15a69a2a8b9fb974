"""Run what a plan lacks, in units that several processes and several runners share; nothing is lost.

A unit is the features of a job, one of its folds, or what is measured of a variant's pictures. Each is
computed under its lock and looks first whether it is there already, so a unit is computed once whoever asks.

The folder of a benchmark::

    plan.json               the jobs, as they were run last
    runs/<label>-<key>/     one run each, as `microexp.evaluate` keeps it; summary.json once it is complete
    quality/<key>.json      how near the pictures of a variant are to the originals, clip by clip or as sets
    failed/<key>.json       why a job failed, until it succeeds
    locks/                  what is being computed at this moment
"""

from __future__ import annotations

import json
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from microexp.benchmark._units import ELSEWHERE, MADE, FeaturesUnit, FoldUnit, QualityUnit, Work
from microexp.benchmark.plan import FAILED, Job, Plan, Task
from microexp.benchmark.quality import QualityTask
from microexp.errors import MicroexpError
from microexp.evaluate.engines import POLL, Engine, Outcome, make_engine
from microexp.evaluate.folds import PROTOCOLS
from microexp.evaluate.loso import finish, make_experiment
from microexp.evaluate.store import RunStore, StorageError, read_json, write_atomically, writing
from microexp.evaluate.workers import Progress

LOCKS = "locks"
Status = Literal["done", "partial", "failed", "to do"]


@dataclass(frozen=True)
class State:
    """How far a job is.

    Attributes
    ----------
    job : Job
        Which.
    status : {"done", "partial", "failed", "to do"}
        "partial" has some of its folds.
    folds : int
        How many are finished.
    folder : str
        Of the run, below that of the benchmark.
    reason : str
        Why it failed.
    summary : mapping or None
        The figures; only where the job is done.
    """

    job: Job
    status: Status
    folds: int
    folder: str
    reason: str = ""
    summary: Mapping[str, Any] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return what a program wants to know, as JSON values."""
        return {
            "label": self.job.label,
            "method": self.job.method,
            "database": self.job.database,
            "variant": self.job.variant,
            "factors": dict(self.job.factors),
            "key": self.job.key,
            "status": self.status,
            "folds": self.job.folds,
            "folds_done": self.folds,
            "clips": self.job.clips,
            "subjects": self.job.subjects,
            "folder": self.folder,
            "reason": self.reason,
            "published": dict(self.job.published),
            "summary": self.summary,
        }


def states(plan: Plan, out: Path) -> list[State]:
    """Return how far each job is, by what is on the disk."""
    return [_state(job, out) for job in plan.jobs]


def run(
    plan: Plan,
    tasks: Sequence[Task],
    out: Path,
    *,
    qualities: Sequence[QualityTask] = (),
    engine: Engine | None = None,
    retry_failed: bool = False,
    progress: Progress | None = None,
) -> list[State]:
    """Run what is not done yet.

    A job that fails is recorded with its reason and the others go on. Several runners may work on one folder:
    each takes what no other is at, and ends when all is done. Ctrl-C ends the run and keeps what is finished.

    Parameters
    ----------
    plan : Plan
        Written into the folder first.
    tasks : sequence of Task
        Of this plan. Those of the same key are run once.
    out : Path
        Folder of the benchmark.
    qualities : sequence of QualityTask
        Measured after the jobs, as these leave the restored frames in the cache.
    engine : Engine or None
        Where units are computed; None for one process a core.
    retry_failed : bool
        Whether to run jobs again that failed before.
    progress : callable or None
        Called with what is going on, how many are done and of how many: ``"units"``, and ``"seconds of
        work"``, of which those to come are judged by the units of the same kind so far.

    Returns
    -------
    list of State
        Of all jobs.

    Raises
    ------
    StorageError
        If the folder cannot be written.
    MicroexpError
        If the engine cannot go on.
    """
    courses: dict[str, _Course] = {}
    for task in tasks:
        courses.setdefault(task.job.key, _JobCourse(task, out))
    for quality in qualities:
        courses.setdefault(quality.key, _QualityCourse(quality, out))
    with writing(out):
        for folder in (out, out / LOCKS, out / FAILED):
            folder.mkdir(parents=True, exist_ok=True)
        for key in courses if retry_failed else ():
            failure_file(key, out).unlink(missing_ok=True)
    plan.write(out)
    driver = _Driver(list(courses.values()), out, progress or (lambda what, done, total: None))
    with closing((engine or make_engine("joblib")).run(driver.source)) as stream:
        for unit, outcome in stream:
            driver.take(unit, outcome)
    return states(plan, out)


def failures(keys: Iterable[str], out: Path) -> list[tuple[str, str]]:
    """Return label and reason of what failed of these keys (of jobs or quality tasks)."""
    found = [read_json(failure_file(key, out)) for key in dict.fromkeys(keys)]
    return [(str(one["label"]), str(one["reason"])) for one in found if one is not None]


def failure_file(key: str, out: Path) -> Path:
    """Return where the reason of a failure is kept."""
    return out / FAILED / f"{key}.json"


class _JobCourse:
    """The units of a job: its features, then its folds; after them, its figures."""

    def __init__(self, task: Task, out: Path) -> None:
        self.task, self.out = task, out
        self.key, self.label, self.method = task.job.key, task.job.label, task.job.method
        self.left = Counter({"features": 1, "fold": task.job.folds})

    def begin(self) -> list[Any]:
        """Return the units to start with; none if the job is done."""
        job = self.task.job
        if job.problem:
            raise MicroexpError(job.problem)
        if _state(job, self.out).status == "done":
            self.left.clear()
            return []
        self.experiment, self.folds = make_experiment(
            self.task.recognizer,
            self.task.dataset,
            selection=job.config["selection"],
            protocol=next(name for name, words in PROTOCOLS.items() if words == job.config["protocol"]),
            out=job.folder(self.out),
        )
        self.missing = self.experiment.store.missing(job.seeds, len(self.folds))
        self.left = Counter({"fold": len(self.missing)})
        if not self.missing:
            self.end()
            return []
        if self.experiment.store.has_features:
            return self._fold_units()
        self.left["features"] = 1
        return [FeaturesUnit(self.key, self.out / LOCKS, self.experiment, self.task.dataset.inputs)]

    def after(self, kind: str) -> list[Any]:
        """Return what can start once a unit of a kind is done."""
        self.left[kind] -= 1
        if kind == "features":
            return self._fold_units()
        if not self.left.total():
            self.end()
        return []

    def end(self) -> None:
        """Pool the folds; another runner may have done so."""
        job = self.task.job
        if _state(job, self.out).status != "done":
            result = finish(self.experiment, self.folds, job.seeds, self.task.dataset)
            result.save(self.experiment.store.folder)
        failure_file(self.key, self.out).unlink(missing_ok=True)

    def _fold_units(self) -> list[Any]:
        locks, experiment, folds = self.out / LOCKS, self.experiment, self.folds
        return [FoldUnit(self.key, locks, experiment, folds[fold], seed) for seed, fold in self.missing]


class _QualityCourse:
    """The one unit of what is measured of a variant's pictures."""

    method = ""

    def __init__(self, task: QualityTask, out: Path) -> None:
        self.task, self.out = task, out
        self.key, self.label = task.key, f"{task.kind} of {task.variant} on {task.database}"
        self.left = Counter({task.kind: 1})

    def begin(self) -> list[Any]:
        """Return the unit, if it is not done."""
        if self.task.is_done(self.out):
            self.left.clear()
            return []
        return [QualityUnit(self.key, self.out / LOCKS, self.task)]

    def after(self, kind: str) -> list[Any]:
        """Nothing comes after it."""
        self.left.clear()
        return []


class _Driver:
    """Says what can be started, and takes what was done."""

    def __init__(self, courses: Sequence[_Course], out: Path, progress: Progress) -> None:
        self._out, self._report = out, progress
        self._courses = {course.key: course for course in courses}
        self._waiting = deque(courses)
        self._ready: deque[Any] = deque()
        self._elsewhere: deque[tuple[float, Any]] = deque()  # when to look again, in order
        self._running = 0
        self._size = sum(course.left.total() for course in courses)
        self._work = Work()
        self._tell()

    def source(self, n: int) -> list[Any]:
        """Return at most n units to start; wait if nothing is left but what another runner is at."""
        chosen: list[Any] = []
        while len(chosen) < n and (unit := self._next()) is not None:
            chosen.append(unit)
        while n > 0 and not chosen and not self._running and self._elsewhere:
            time.sleep(max(0.0, self._elsewhere[0][0] - time.monotonic()))
            if (unit := self._next()) is not None:
                chosen.append(unit)
        self._running += len(chosen)
        return chosen

    def take(self, unit: Any, outcome: Outcome) -> None:
        """Note how a unit ended."""
        self._running -= 1
        course = self._courses[unit.key]
        if outcome.storage:
            raise StorageError(outcome.reason)
        if outcome.reason:
            self._fail(course, outcome.reason, outcome.trace)
        elif outcome.value == ELSEWHERE:
            self._elsewhere.append((time.monotonic() + POLL, unit))
            return
        elif course.left:  # has not failed meanwhile
            if outcome.value == MADE:
                self._work.note(unit.kind, course, outcome.seconds)
            self._guarded(course, lambda: course.after(unit.kind))
        self._tell()

    def _next(self) -> Any | None:
        """Return a unit to start: one to look at again, one that is ready, or the first of another job."""
        while True:
            if self._elsewhere and self._elsewhere[0][0] <= time.monotonic():
                unit = self._elsewhere.popleft()[1]
            elif self._ready:
                unit = self._ready.popleft()
            elif self._waiting:
                self._begin(self._waiting.popleft())
                continue
            else:
                return None
            course = self._courses[unit.key]
            if course.left and not failure_file(unit.key, self._out).is_file():
                return unit
            course.left.clear()  # failed, here or with another runner

    def _begin(self, course: _Course) -> None:
        if failure_file(course.key, self._out).is_file():
            course.left.clear()
        else:
            self._guarded(course, course.begin)
        self._tell()

    def _guarded(self, course: _Course, step: Callable[[], list[Any]]) -> None:
        """Take a step of a course; what goes wrong is the failure of this course only."""
        try:
            self._ready.extend(step())
        except StorageError:
            raise
        except MicroexpError as error:
            self._fail(course, str(error), "")
        except Exception as error:  # noqa: BLE001  a defect in one method must not cost the others their run
            self._fail(course, f"{type(error).__name__}: {error}", traceback.format_exc())

    def _fail(self, course: _Course, reason: str, trace: str) -> None:
        course.left.clear()
        content = {"label": course.label, "key": course.key, "reason": reason, "traceback": trace}
        write_atomically(failure_file(course.key, self._out), json.dumps(content, indent=1))

    def _tell(self) -> None:
        courses = self._courses.values()
        left = sum(course.left.total() for course in courses)
        self._report("units", self._size - left, self._size)
        self._report("seconds of work", *self._work.done_and_total(courses))


_Course = _JobCourse | _QualityCourse


def _state(job: Job, out: Path) -> State:
    folder, failure = job.folder(out), read_json(failure_file(job.key, out))
    place, done = folder.relative_to(out).as_posix(), _finished(job, folder)
    summary = read_json(folder / "summary.json") if job.folds and done == job.folds else None
    if summary is not None and summary.get("seeds") == job.seeds:
        return State(job, "done", done, place, summary=summary)
    if failure is not None:
        return State(job, "failed", done, place, reason=str(failure.get("reason")))
    return State(job, "partial" if done else "to do", done, place)


def _finished(job: Job, folder: Path) -> int:
    """Count the finished folds; each is read, so that a damaged one counts as missing."""
    if not (folder / "run.json").is_file():
        return 0
    return job.folds - len(RunStore(folder, job.config).missing(job.seeds, job.n_folds))
