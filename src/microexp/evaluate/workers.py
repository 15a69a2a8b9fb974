"""Work in several processes: what is finished comes as it is finished, and survives a killed worker."""

from __future__ import annotations

import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import current_process
from typing import Any

from joblib import Parallel, parallel_config
from joblib.externals.loky.process_executor import TerminatedWorkerError

from microexp.errors import MicroexpError

Progress = Callable[[str, int, int], None]
WORKER_DEATHS_FORGIVEN = 3
WORKERS_KILLED = "workers keep being killed (out of memory?); try fewer --jobs. What is finished is kept"

# loky replaces a worker that has grown between two tasks. Nothing is lost, and nobody needs to know.
warnings.filterwarnings("ignore", "A worker stopped while some jobs were given", UserWarning)


def in_workers(tasks: Callable[[], list[Any]], workers: int) -> Iterator[Any]:
    """Yield the outcomes of tasks as they come; a worker that is killed costs its own task only.

    `tasks` says what is still to be done, and is asked again after a worker was killed.
    """
    for attempt in range(WORKER_DEATHS_FORGIVEN + 1):
        todo = tasks()
        if not todo:
            return
        try:
            with parallel_config("loky", n_jobs=min(workers, len(todo)), inner_max_num_threads=1):
                yield from Parallel(return_as="generator_unordered")(todo)
            return
        except TerminatedWorkerError as error:
            if attempt == WORKER_DEATHS_FORGIVEN:
                raise MicroexpError(WORKERS_KILLED) from error


def leave_ctrl_c_to_the_parent() -> None:
    """In a worker of joblib, ignore Ctrl-C: the parent keeps what is finished, and says so."""
    in_worker = current_process().name.startswith("LokyProcess")
    if in_worker and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one thread: two processes of one are faster than one of two, and results repeat."""
    setters = []
    if torch := sys.modules.get("torch"):  # not imported for its own sake: that takes seconds
        setters.append((torch.set_num_threads, torch.get_num_threads()))
    if cv2 := sys.modules.get("cv2"):
        setters.append((cv2.setNumThreads, cv2.getNumThreads()))
    for set_threads, _ in setters:
        set_threads(1)
    try:
        yield
    finally:
        for set_threads, before in setters:
            set_threads(before)
