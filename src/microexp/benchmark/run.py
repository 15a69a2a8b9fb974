"""Run the jobs of a plan one after the other; what is finished stays finished.

The folder of a benchmark::

    plan.json               the jobs, as they were run last
    runs/<label>-<key>/     one run each, as `microexp.evaluate` keeps it; summary.json once it is complete
    failed/<key>.json       why a job failed, until it succeeds
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from microexp.benchmark.plan import FAILED, Job, Plan, Task
from microexp.errors import MicroexpError
from microexp.evaluate import loso
from microexp.evaluate.store import RunStore, write_atomically
from microexp.evaluate.workers import Progress

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
    plan: Plan, tasks: Sequence[Task], out: Path, jobs: int | None = None, progress: Progress | None = None
) -> list[State]:
    """Run what is not done yet.

    A job that fails is recorded with its reason and the others go on; it is tried again the next time.
    Ctrl-C ends the run and keeps all finished folds.

    Parameters
    ----------
    plan : Plan
        Written into the folder first.
    tasks : sequence of Task
        Of this plan.
    out : Path
        Folder of the benchmark.
    jobs : int or None
        Worker processes, each of one thread; None for one a core.
    progress : callable or None
        Called with what is going on, how many are done and of how many.

    Returns
    -------
    list of State
        Of all jobs.
    """
    plan.write(out)
    for number, task in enumerate(tasks, start=1):
        if _state(task.job, out).status != "done":
            _run_one(task, out, jobs, _titled(progress, f"{number}/{len(tasks)} {task.job.label}"))
    return states(plan, out)


def _run_one(task: Task, out: Path, jobs: int | None, progress: Progress | None) -> None:
    job, folder = task.job, task.job.folder(out)
    try:
        if job.problem:
            raise MicroexpError(job.problem)
        result = loso(
            task.recognizer,
            task.dataset,
            selection=job.config["selection"],
            seeds=job.seeds,
            jobs=jobs,
            out=folder,
            progress=progress,
        )
        result.save(folder)
    except MicroexpError as error:
        _record(job, out, str(error), "")
    except Exception as error:  # noqa: BLE001  a defect in one method must not cost the others their run
        _record(job, out, f"{type(error).__name__}: {error}", traceback.format_exc())
    else:
        _failure(job, out).unlink(missing_ok=True)


def _record(job: Job, out: Path, reason: str, trace: str) -> None:
    file = _failure(job, out)
    file.parent.mkdir(exist_ok=True)
    content = {"label": job.label, "key": job.key, "reason": reason, "traceback": trace}
    write_atomically(file, json.dumps(content, indent=1))


def _failure(job: Job, out: Path) -> Path:
    return out / FAILED / f"{job.key}.json"


def _state(job: Job, out: Path) -> State:
    folder, failure = job.folder(out), _json(_failure(job, out))
    place, done = folder.relative_to(out).as_posix(), _finished(job, folder)
    summary = _json(folder / "summary.json") if job.folds and done == job.folds else None
    if summary is not None and summary.get("seeds") == job.seeds:
        return State(job, "done", done, place, summary=summary)
    if failure is not None:
        return State(job, "failed", done, place, reason=str(failure.get("reason")))
    return State(job, "partial" if done else "to do", done, place)


def _finished(job: Job, folder: Path) -> int:
    """Count the finished folds; each is read, so that a damaged one counts as missing."""
    if not (folder / "run.json").is_file():
        return 0
    return job.folds - len(RunStore(folder, job.config).missing(job.seeds, job.subjects))


def _json(file: Path) -> dict[str, Any] | None:
    """Return what a file of ours holds; None if it is not there, or damaged."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError, UnicodeDecodeError):
        return None
    return content if isinstance(content, dict) else None


def _titled(progress: Progress | None, title: str) -> Progress | None:
    return None if progress is None else lambda what, done, total: progress(f"{title}: {what}", done, total)
