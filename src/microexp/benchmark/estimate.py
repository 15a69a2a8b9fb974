"""What a benchmark still costs, from a short probe: time on one thread, time on some workers, disk.

One frame is restored of every variant, one clip described by every recogniser, and a short fit made on what
that gave. All this is multiplied by what is left to do. The probe has a cache of its own, so that what lies
in the user's does not seem to cost nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from statistics import fmean
from time import perf_counter
from typing import Any, TypeVar

from microexp.benchmark._probe import Cost, Reading, measure_cost, measure_reading, own_cache
from microexp.benchmark.plan import Task
from microexp.benchmark.schedule import Schedule, Unit, job_units, simulate
from microexp.errors import MicroexpError
from microexp.evaluate.store import RunStore, canonical_json
from microexp.evaluate.workers import one_thread

PROBE_SECONDS = 20.0
KINDS = ("restoration", "features", "fold")
_Measured = TypeVar("_Measured", Reading, Cost)
_LENGTHS = 16  # clips of a data set whose number of frames is looked at


@dataclass(frozen=True)
class Estimate:
    """What is left to do, in units of work.

    Attributes
    ----------
    units : list of Unit
        In the order of the jobs. What is done is not among them.
    disk : mapping of str to int
        Bytes that will be written: "features" in the folder of the benchmark; "frames" (restored ones) and
        "flow" (and the like) in the cache.
    remarks : list of str
        How it was made, and what could not be measured.
    """

    units: list[Unit]
    disk: Mapping[str, int]
    remarks: list[str]

    def seconds(self, job: str | None = None) -> dict[str, float]:
        """Return the seconds on one thread of every kind of unit, of one job (by its key) or of all."""
        mine = [unit for unit in self.units if job in (None, unit.job)]
        return {kind: math.fsum(u.seconds for u in mine if u.kind == kind) for kind in KINDS}

    def schedule(self, workers: int) -> Schedule:
        """Return how the units go on some workers, see `microexp.benchmark.schedule.simulate`."""
        return simulate(self.units, workers)

    def as_dict(self, workers: int) -> dict[str, Any]:
        """Return everything as JSON values."""
        return {
            "units": self._counts(),
            "seconds": self.seconds(),
            "jobs": {key: self.seconds(key) for key in dict.fromkeys(u.job for u in self.units if u.job)},
            "cpu_hours": sum(self.seconds().values()) / 3600,
            "workers": workers,
            "wall_seconds": self.schedule(workers).makespan,
            "disk": dict(self.disk),
            "remarks": self.remarks,
        }

    def lines(self, workers: int) -> list[str]:
        """Return it in words, with the time on so many workers."""
        if not self.units:
            return ["Nothing is left to run."]
        run, seconds = self.schedule(workers), self.seconds()
        parts = [f"{n} {kind} units {_span(seconds[kind])}" for kind, n in self._counts().items() if n]
        disk = [f"{kind} {_size(n)}" for kind, n in self.disk.items() if n]
        return [
            f"Left to run: {', '.join(parts)}; together {_span(run.work)} of one thread.",
            f"On {workers} worker{'s' * (workers > 1)} about {_span(run.makespan)}.",
            f"On the disk about {_size(sum(self.disk.values()))}"
            + (f": {', '.join(disk)}." if disk else "."),
            *self.remarks,
        ]

    def _counts(self) -> dict[str, int]:
        return {kind: sum(unit.kind == kind for unit in self.units) for kind in KINDS}


def estimate(tasks: Sequence[Task], out: Path, budget: float = PROBE_SECONDS) -> Estimate:
    """Measure a little of what is left to do, and multiply.

    Parameters
    ----------
    tasks : sequence of Task
        As `microexp.benchmark.plan.make_tasks` gives them. Those with a problem are left out, and those of
        one key counted once.
    out : Path
        Folder of the benchmark; finished folds and features in it cost nothing. It need not exist.
    budget : float
        Seconds after which no further measurement is begun; what is not measured is taken to cost the mean
        of its like.

    Returns
    -------
    Estimate
        For the processor (or accelerator) that this runs on, with one thread a worker.
    """
    left = _left(tasks, out)
    if not left:
        return Estimate([], {}, [])
    start = perf_counter()
    with one_thread(), own_cache():
        probe = _Probe(left, start + budget)
        return Estimate(probe.units(), probe.disk(), probe.remarks(perf_counter() - start))


@dataclass(frozen=True, eq=False)
class _Left:
    """What a job lacks: its features or not, and how many folds."""

    task: Task
    lacks_features: bool
    folds: int

    @property
    def data(self) -> str:
        """The prepared data set, which several jobs may share."""
        return str(self.task.job.config["data"])

    @property
    def recognizer(self) -> str:
        return canonical_json([self.task.job.config[key] for key in ("class", "params")])

    @property
    def method(self) -> tuple[Any, ...]:
        """What restores or changes the clips, whatever their resolution."""
        return tuple((k, v) for k, v in self.task.job.factors.items() if k != "resolution")

    @property
    def reads_clips(self) -> bool:
        return self.lacks_features and self.task.dataset.clips is not None


def _left(tasks: Sequence[Task], out: Path) -> list[_Left]:
    found = []
    for task in {task.job.key: task for task in tasks if not task.job.problem}.values():
        job, folder, missing = task.job, task.job.folder(out), task.job.folds
        if (folder / "run.json").is_file():
            missing = len(RunStore(folder, job.config).missing(job.seeds, job.n_folds))
        if missing:
            found.append(_Left(task, not (folder / "features.npy").is_file(), missing))
    return found


class _Probe:
    """The measurements, and what they come to."""

    def __init__(self, left: Sequence[_Left], deadline: float) -> None:
        self._left, self._deadline = left, deadline
        self._readings: dict[str, Reading] = {}
        self._costs: dict[str, Cost] = {}
        self._lengths: dict[str, int] = {}
        self._faults: list[str] = []
        self._data = {one.data: one for one in reversed(left) if one.reads_clips}
        by_recognizer: dict[str, list[_Left]] = {}
        for one in left:
            by_recognizer.setdefault(one.recognizer, []).append(one)
        for one in {one.method: one for one in self._data.values()}.values():
            self._measure(measure_reading, self._readings, one.data, one)
        for name, jobs in by_recognizer.items():
            self._measure(measure_cost, self._costs, name, min(jobs, key=self._effort))
        for data, one in self._data.items():
            if data not in self._readings:
                self._measure(measure_reading, self._readings, data, one)
        self._measured = (
            f"{len(self._readings)} of {len(self._data)} sets of clips, "
            f"{len(self._costs)} of {len(by_recognizer)} recognisers"
        )
        self._fill_in(by_recognizer)

    def units(self) -> list[Unit]:
        """Return what is left to do; the restoration of a data set comes before the features of it."""
        units: dict[str, Unit] = {}
        for one in self._left:
            shared = self._restoration(one) if one.reads_clips else []
            features = self._features(one) if one.lacks_features else None
            needs = [unit.name for unit in shared]
            jobs = job_units(one.task.job.key, features, [self._fold(one)] * one.folds, needs)
            units.update((unit.name, unit) for unit in (*shared, *jobs) if unit.name not in units)
        return list(units.values())

    def disk(self) -> dict[str, int]:
        """Return the bytes that will be written."""
        lacking = [
            (self._costs[one.recognizer], one.task.job.clips) for one in self._left if one.lacks_features
        ]
        frames = sum(self._restored(data) * self._readings[data].cached for data in self._data)
        return {
            "features": round(sum(cost.size * clips for cost, clips in lacking)),
            "frames": round(frames),
            "flow": round(sum(cost.cached * clips for cost, clips in lacking)),
        }

    def remarks(self, seconds: float) -> list[str]:
        """Return how the figures came about."""
        return [
            f"This is an estimate, from a probe of {_span(seconds)}: {self._measured}, on the first clip "
            "of each; the others are taken to cost the mean of their like. Training is counted with all its "
            "epochs, and measures of quality are not counted.",
            *self._faults,
        ]

    def _measure(self, how: Callable[[Task], Any], into: dict[str, Any], name: str, one: _Left) -> None:
        if into and perf_counter() > self._deadline:
            return
        try:
            into[name] = how(one.task)
        except MicroexpError as error:
            self._faults.append(f"{one.task.job.label} {one.task.job.variant}".strip() + f": {error}")

    def _fill_in(self, recognizers: Mapping[str, object]) -> None:
        """Give what was not measured the mean of its like."""
        readings = dict(self._readings)
        for data, one in self._data.items():
            alike = [
                readings[d] for d, other in self._data.items() if d in readings and other.method == one.method
            ]
            self._readings.setdefault(data, _mean(alike or list(readings.values()), Reading(0.0, 0.0, 1, 0)))
        costs = list(self._costs.values())
        for name in recognizers:
            self._costs.setdefault(name, _mean(costs, Cost(0.0, 0, 0, 0, 0, 0, 0.0, 0.0)))

    def _effort(self, one: _Left) -> tuple[float, float]:
        """Order jobs of a recogniser: those on the largest pictures first, of these the quickest restored."""
        if not one.reads_clips or one.data not in self._readings:
            return 0.0, 0.0
        clips = one.task.dataset.clips or ()
        return -float(math.prod(clips[0].size)), self._readings[one.data].restore

    def _stretch(self, one: _Left) -> float:
        """Return how much longer than the clip that was probed clips are, for who looks at all frames."""
        cost = self._costs[one.recognizer]
        return self._length(one) / cost.length if 2 * cost.frames > cost.length > 0 else 1.0

    def _length(self, one: _Left) -> float:
        """Return the mean number of frames of a data set's clips, from some of them."""
        clips = one.task.dataset.clips or ()
        some = clips[:: max(1, len(clips) // _LENGTHS)]
        for clip in some:
            if clip.identity not in self._lengths:  # the same in every variant
                self._lengths[clip.identity] = len(clip)
        return fmean(self._lengths[clip.identity] for clip in some)

    def _restored(self, data: str) -> float:
        """Return how often a data set's frames are restored: for the recogniser that reads the most."""
        reading, numbers = self._readings[data], [0.0]
        for one in (one for one in self._left if one.reads_clips and one.data == data):
            wanted = self._costs[one.recognizer].frames * self._stretch(one)
            at_most = math.ceil(self._length(one) / reading.restored)
            numbers.append(min(wanted, at_most) * one.task.job.clips)
        return max(numbers)

    def _restoration(self, one: _Left) -> list[Unit]:
        seconds = self._restored(one.data) * self._readings[one.data].restore
        name = " ".join(filter(None, ("restoration", one.task.job.database, one.task.job.variant, one.data)))
        return [Unit(name, seconds, (), "restoration")] if seconds else []

    def _features(self, one: _Left) -> float:
        if not one.reads_clips:
            return 0.0
        cost = self._costs[one.recognizer]
        a_clip = cost.features + cost.reads * self._readings[one.data].again
        return one.task.job.clips * self._stretch(one) * a_clip

    def _fold(self, one: _Left) -> float:
        cost, job = self._costs[one.recognizer], one.task.job
        return cost.fit + cost.fit_a_clip * job.clips * (1 - 1 / job.n_folds)


def _mean(known: Sequence[_Measured], nothing: _Measured) -> _Measured:
    """Return the mean of every field."""
    if not known:
        return nothing
    return type(nothing)(*map(fmean, zip(*map(astuple, known), strict=True)))


def _span(seconds: float) -> str:
    """Return a time in words."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _size(n: float) -> str:
    for unit in ("B", "KB", "MB"):
        if n < 1000:
            return f"{n:.0f} {unit}"
        n /= 1000
    return f"{n:.1f} GB"
