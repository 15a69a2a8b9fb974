"""Where units of work are computed: in this process, in several, or on a cluster.

A unit is a callable that can be pickled, keeps its result on the disk itself and may be run again at any
time: it finds then that there is nothing left to do. So a worker may be killed at any moment.
"""

from __future__ import annotations

import logging
import os
import pickle
import signal
import threading
import time
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, Future, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from joblib import cpu_count
from joblib.externals.loky.backend.reduction import dumps
from joblib.externals.loky.process_executor import ProcessPoolExecutor, TerminatedWorkerError

from microexp.errors import MicroexpError, OptionError
from microexp.evaluate.store import StorageError
from microexp.evaluate.workers import (
    WORKER_DEATHS_FORGIVEN,
    WORKERS_KILLED,
    leave_ctrl_c_to_the_parent,
    one_thread,
)

ENGINES = ("serial", "joblib", "dask")
POLL = 0.5  # seconds after which is asked again what can be started
_GPU = "GPU"  # name of the resource that a dask worker offers
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


class Unit(Protocol):
    """A piece of work."""

    @property
    def on_gpu(self) -> bool:
        """Whether it needs a GPU."""

    def __call__(self) -> Any:
        """Do it, keep the result on the disk, and return a word on it."""


@dataclass(frozen=True)
class Outcome:
    """How a unit ended.

    Attributes
    ----------
    value : object
        What it returned.
    seconds : float
        How long it took.
    reason, trace : str
        What went wrong (empty if nothing did), and the traceback where that is a defect.
    storage : bool
        Whether the result could not be written: the next one could not either.
    """

    value: Any = None
    seconds: float = 0.0
    reason: str = ""
    trace: str = ""
    storage: bool = False


Stream = Generator[tuple[Any, Outcome], None, None]
Source = Callable[[int], Sequence[Any]]
"""Gives at most so many units to start now; none if there is none now, or none ever if nothing is running."""


class Engine(Protocol):
    """Runs units; close the iterator (`contextlib.closing`) to stop early."""

    def run(self, source: Source) -> Stream:
        """Yield each unit with its outcome, as they come.

        The source is asked for more whenever a unit has ended, and every `POLL` seconds.

        Raises
        ------
        MicroexpError
            If workers keep being killed, or cannot be reached.
        """
        ...


def make_engine(name: str, jobs: int | None = None, scheduler: str | None = None) -> Engine:
    """Return an engine by its name.

    Parameters
    ----------
    name : {"serial", "joblib", "dask"}
        In this process; in processes of this computer; in those of a dask cluster.
    jobs : int or None
        Worker processes, each of one thread; None for one a core.
    scheduler : str or None
        Address of a dask scheduler, as ``tcp://host:8786``; None for a cluster on this computer.

    Raises
    ------
    OptionError
        If there is no such engine, or an option is not for it.
    """
    if name not in ENGINES:
        raise OptionError(f"engine '{name}' is none of {', '.join(ENGINES)}")
    if jobs is not None and jobs < 1:
        raise OptionError(f"jobs must be 1 or more, got {jobs}")
    if scheduler is not None and name != "dask":
        raise OptionError(f"a scheduler is for the engine dask, not for {name}")
    if scheduler is not None and jobs is not None:
        raise OptionError("the scheduler's workers are what they are: leave out jobs")
    workers = jobs or cpu_count()
    if name == "dask":
        return DaskEngine(workers, scheduler)
    return SerialEngine() if name == "serial" or workers == 1 else JoblibEngine(workers)


class SerialEngine:
    """One unit after the other in this process."""

    def run(self, source: Source) -> Stream:
        """See `Engine.run`."""
        while units := source(1):
            for unit in units:
                yield unit, attempt(unit)


class JoblibEngine:
    """Processes of this computer, which stay alive between units.

    A worker that is killed takes its pool with it: a new one goes on with what was lost. They are killed in
    vain at most three times in a row.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def run(self, source: Source) -> Stream:
        """See `Engine.run`."""
        lost: list[Any] = []
        deaths = 0
        while True:
            pool = ProcessPoolExecutor(
                self.workers,
                initializer=_begin_worker,
                initargs=(os.getpid(),),
                env=dict.fromkeys(_THREADS, "1"),
            )
            try:
                for unit, outcome in _completed(lambda unit: pool, 2 * self.workers, source, lost):  # noqa: B023
                    deaths = 0
                    yield unit, outcome
                return
            except TerminatedWorkerError as error:
                deaths += 1
                if deaths > WORKER_DEATHS_FORGIVEN:
                    raise MicroexpError(WORKERS_KILLED) from error
            finally:
                pool.shutdown(wait=True, kill_workers=True)


class DaskEngine:
    """Workers of a dask cluster, each of one process and one thread.

    What a killed worker had is given to another one by dask. A unit on a GPU goes to workers that offer the
    resource GPU (``dask worker --resources GPU=1``).
    """

    def __init__(self, workers: int, scheduler: str | None = None) -> None:
        self.workers, self.scheduler = workers, scheduler

    def run(self, source: Source) -> Stream:
        """See `Engine.run`."""
        try:
            from distributed.client import Client
            from distributed.scheduler import KilledWorker
        except ImportError as error:
            raise MicroexpError("the engine dask needs dask: pip install microexp[dask]") from error
        with ExitStack() as stack:
            place = self.scheduler or stack.enter_context(_local_cluster(self.workers))
            try:
                client = stack.enter_context(Client(place, set_as_default=False))
            except (OSError, ValueError) as error:
                raise MicroexpError(f"no dask scheduler answers at {self.scheduler}: {error}") from error
            plain = client.get_executor(pure=False)
            with_gpu = client.get_executor(pure=False, resources={_GPU: 1})
            stack.callback(plain.shutdown, wait=False)
            stack.callback(with_gpu.shutdown, wait=False)

            def executor(unit: Unit) -> Executor:
                if not unit.on_gpu:
                    return plain
                _check_gpu(client.scheduler_info(n_workers=-1)["workers"])
                return with_gpu

            slots = 2 * max(self.workers if self.scheduler is None else sum(client.nthreads().values()), 1)
            try:
                yield from _completed(executor, slots, source, [])
            except KilledWorker as error:
                raise MicroexpError(WORKERS_KILLED) from error
            except (CancelledError, OSError) as error:
                raise MicroexpError(
                    f"the dask scheduler is gone ({error}); what is finished is kept"
                ) from error


def attempt(unit: Unit) -> Outcome:
    """Run a unit in this process; whatever goes wrong with it is its outcome."""
    start = time.perf_counter()
    try:
        with one_thread():
            value = unit()
    except StorageError as error:
        return Outcome(reason=str(error), storage=True)
    except MicroexpError as error:
        return Outcome(reason=str(error))
    except Exception as error:  # noqa: BLE001  a defect in one unit must not cost the others their run
        return Outcome(reason=f"{type(error).__name__}: {error}", trace=traceback.format_exc())
    return Outcome(value, time.perf_counter() - start)


def _completed(executor: Callable[[Any], Executor], slots: int, source: Source, lost: list[Any]) -> Stream:
    """Keep so many units running and yield them as they end; what does not end stands in `lost`.

    What stands there at first is started first.
    """
    running: dict[Future, Any] = {}
    try:
        while True:
            lost.extend(source(slots - len(running) - len(lost)))
            while lost:
                future = executor(lost[0]).submit(_attempt_pickled, bytes(dumps(lost[0])))
                running[future] = lost.pop(0)
            if not running:
                return
            ended, _ = wait(running, timeout=POLL, return_when=FIRST_COMPLETED)
            for future in ended:
                outcome = future.result()
                yield running.pop(future), outcome
    finally:
        lost.extend(running.values())


def _attempt_pickled(unit: bytes) -> Outcome:
    """Run a unit in a worker; that one cannot be read there, as its class is not installed, is its fault."""
    try:
        read: Unit = pickle.loads(unit)  # noqa: S301  written by our own parent
    except Exception as error:  # noqa: BLE001
        return Outcome(reason=f"{type(error).__name__}: {error}", trace=traceback.format_exc())
    return attempt(read)


def _begin_worker(parent: int) -> None:
    leave_ctrl_c_to_the_parent()
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """End this worker when its parent is killed, so that it does not stay behind for ever."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


@contextmanager
def _local_cluster(workers: int) -> Iterator[Any]:
    from distributed.deploy.local import LocalCluster

    with _ctrl_c_ignored():  # workers inherit it: the parent ends them, and says what is kept
        cluster = LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            memory_limit=0,
            dashboard_address=None,
            resources={_GPU: 1},
            silence_logs=logging.CRITICAL,
        )
    with cluster:
        yield cluster


@contextmanager
def _ctrl_c_ignored() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _check_gpu(workers: dict[str, Any]) -> None:
    """Refuse to wait for ever for a worker with a GPU where there are workers, and none has one."""
    if workers and not any(_GPU in (worker.get("resources") or {}) for worker in workers.values()):
        raise MicroexpError(
            "no worker of the cluster offers a GPU, which device=cuda asks for; start those that have one "
            "with 'dask worker --resources GPU=1'"
        )
