"""How long a benchmark takes on some workers: list scheduling of its units, simulated.

Workers of one thread take units from a list. Whenever one is free it gets the first unit in the list that
was not taken and whose own needs are done, as the engines do it. Nothing is computed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from heapq import heappop, heappush

from microexp.errors import DataError, OptionError


@dataclass(frozen=True)
class Unit:
    """A piece of work that one worker does at a stretch.

    Attributes
    ----------
    name : str
        No other unit has it.
    seconds : float
        On one thread, 0 or more.
    needs : tuple of str
        Names of the units that must be done before.
    kind : str
        "restoration", "features" or "fold".
    job : str
        Key of the job that it belongs to; empty for what several jobs share.
    """

    name: str
    seconds: float
    needs: tuple[str, ...] = ()
    kind: str = ""
    job: str = ""


@dataclass(frozen=True)
class Schedule:
    """What a simulation came to.

    Attributes
    ----------
    workers : int
        How many there were.
    makespan : float
        Seconds from the start to the end of the last unit.
    work : float
        Seconds of all units together.
    longest_chain : float
        Seconds of the longest chain of units that need each other: no number of workers is faster.
    """

    workers: int
    makespan: float
    work: float
    longest_chain: float

    @property
    def efficiency(self) -> float:
        """Work over the workers' time, in [0, 1]; 1 where there is nothing to do."""
        return self.work / (self.workers * self.makespan) if self.makespan else 1.0


def simulate(units: Sequence[Unit], workers: int) -> Schedule:
    """Let workers do units, first come first served.

    Parameters
    ----------
    units : sequence of Unit
        In the order in which they are offered.
    workers : int
        1 or more.

    Returns
    -------
    Schedule
        Its makespan is at least ``max(work / workers, longest_chain)`` and at most
        ``work / workers + (1 - 1 / workers) longest_chain``.

    Raises
    ------
    OptionError
        If there is no worker.
    DataError
        If two units have one name, one needs what is not there, some need each other in a circle, or one
        takes no finite time.

    References
    ----------
    Graham, "Bounds on multiprocessing timing anomalies", SIAM Journal on Applied Mathematics 17, 1969.
    """
    if workers < 1:
        raise OptionError(f"a schedule needs 1 worker or more, not {workers}")
    chain = _longest_chain(units)
    lacking = [len(set(unit.needs)) for unit in units]
    heirs: dict[str, list[int]] = {}
    for i, unit in enumerate(units):
        for need in set(unit.needs):
            heirs.setdefault(need, []).append(i)
    ready = [i for i, n in enumerate(lacking) if n == 0]  # in order, and so a heap
    busy: list[tuple[float, int]] = []
    now = 0.0
    while ready or busy:
        while ready and len(busy) < workers:
            i = heappop(ready)
            heappush(busy, (now + units[i].seconds, i))
        now = busy[0][0]
        while busy and busy[0][0] == now:  # all that end together, before the next are given out
            _, done = heappop(busy)
            for i in heirs.get(units[done].name, ()):
                lacking[i] -= 1
                if lacking[i] == 0:
                    heappush(ready, i)
    return Schedule(workers, now, math.fsum(unit.seconds for unit in units), chain)


def _longest_chain(units: Sequence[Unit]) -> float:
    """Return the seconds of the longest chain; refuse units that cannot be scheduled."""
    by_name = {unit.name: unit for unit in units}
    if len(by_name) < len(units):
        raise DataError("two units have one name")
    for unit in units:
        if not (math.isfinite(unit.seconds) and unit.seconds >= 0):
            raise DataError(f"{unit.name}: seconds must be 0 or more, not {unit.seconds}")
        if unknown := set(unit.needs) - by_name.keys():
            raise DataError(f"{unit.name} needs {', '.join(sorted(unknown))}, which is no unit")
    ends: dict[str, float] = {}
    try:
        for name in TopologicalSorter({unit.name: unit.needs for unit in units}).static_order():
            unit = by_name[name]
            ends[name] = unit.seconds + max((ends[need] for need in unit.needs), default=0.0)
    except CycleError as error:
        raise DataError(f"units need each other in a circle: {', '.join(error.args[1])}") from error
    return max(ends.values(), default=0.0)


def job_units(
    job: str, features: float | None, folds: Sequence[float], needs: Sequence[str] = ()
) -> list[Unit]:
    """Return the units of one job: its features, and its folds, which need them.

    Parameters
    ----------
    job : str
        Its key.
    features : float or None
        Seconds; None where they are there already.
    folds : sequence of float
        Seconds of each fold to run.
    needs : sequence of str
        Units that the features need.
    """
    if features is None:
        return [Unit(f"{job}/fold {i}", s, (), "fold", job) for i, s in enumerate(folds)]
    first = Unit(f"{job}/features", features, tuple(needs), "features", job)
    return [first, *(Unit(f"{job}/fold {i}", s, (first.name,), "fold", job) for i, s in enumerate(folds))]
