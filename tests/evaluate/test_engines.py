from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from microexp.errors import DataError, MicroexpError, OptionError
from microexp.evaluate import engines
from microexp.evaluate.engines import DaskEngine, Engine, JoblibEngine, Outcome, attempt, make_engine
from microexp.evaluate.store import StorageError, write_atomically

ENGINES = ["serial", "joblib", "dask"]


@dataclass(frozen=True)
class Note:
    """Writes its number and process into a file; the last word is what it does besides."""

    folder: Path
    number: int
    deed: str = ""
    on_gpu: bool = False

    def __call__(self) -> int:
        marker = self.folder / f"killed-{self.number}"
        if self.deed == "die" or (self.deed == "die once" and not marker.exists()):
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if self.deed == "fail":
            raise DataError("no good")
        if self.deed == "break":
            raise KeyError("x")
        if self.deed == "full":
            write_atomically(self.folder / "no" / "such" / "folder", "text")
        if self.deed == "sleep":
            time.sleep(0.05)
        (self.folder / f"{self.number}.txt").write_text(str(os.getpid()))
        return self.number


class Unreadable:
    """What cannot be read where it is run."""

    on_gpu = False

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return __import__, ("a_package_that_is_not_there",)


def engine_of(name: str) -> Engine:
    """One worker is enough here: starting one takes seconds."""
    if name == "dask":
        pytest.importorskip("distributed")
        return DaskEngine(1)
    return JoblibEngine(1) if name == "joblib" else make_engine(name)


def outcomes(engine: Engine, units: list[Any]) -> list[tuple[Any, Outcome]]:
    """Run units that are all ready from the start."""
    ready = list(units)

    def source(n: int) -> list[Any]:
        return [ready.pop(0) for _ in range(min(n, len(ready)))]

    with closing(engine.run(source)) as stream:
        return list(stream)


@pytest.mark.parametrize("name", ENGINES)
def test_what_goes_wrong_is_the_outcome_of_its_unit_alone(name: str, tmp_path: Path) -> None:
    deeds = ["sleep", "fail", "sleep", "break", "full", "sleep"]
    units: list[Any] = [Note(tmp_path, k, deed) for k, deed in enumerate(deeds)]
    if name != "serial":
        units += [Unreadable(), Note(tmp_path, 6, "die once"), Note(tmp_path, 7)]
    found = {getattr(unit, "number", -1): outcome for unit, outcome in outcomes(engine_of(name), units)}
    assert len(found) == len(units)
    good = {0, 2, 5} if name == "serial" else {0, 2, 5, 6, 7}
    assert {k: outcome.value for k, outcome in found.items() if not outcome.reason} == {k: k for k in good}
    assert all(found[k].seconds >= 0.05 for k in (0, 2, 5))
    assert (found[1].reason, found[1].trace, found[1].storage) == ("no good", "", False)
    assert found[3].reason == "KeyError: 'x'"
    assert "raise KeyError" in found[3].trace
    assert found[4].storage
    assert str(tmp_path / "no" / "such") in found[4].reason
    processes = {int(file.read_text()) for file in tmp_path.glob("?.txt")}
    assert len(processes) == (1 if name == "serial" else 2)  # alive between units, but for the killed one
    assert (os.getpid() in processes) is (name == "serial")
    if name != "serial":
        assert "a_package_that_is_not_there" in found[-1].reason
        ended(processes)


def test_a_unit_that_kills_every_worker_ends_it_with_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "WORKER_DEATHS_FORGIVEN", 0)
    with pytest.raises(MicroexpError, match="workers keep being killed"):
        outcomes(engine_of("joblib"), [Note(tmp_path, 0, "die")])


def test_what_becomes_ready_by_an_outcome_is_run(tmp_path: Path) -> None:
    """Unit 0 makes 1 and 2 ready, and 2 makes 3; no more are asked for than two a worker."""
    follow, ready, asked = {0: [1, 2], 2: [3]}, [0], []

    def source(n: int) -> list[Note]:
        asked.append(n)
        return [Note(tmp_path, ready.pop(0)) for _ in range(min(n, len(ready)))]

    with closing(engine_of("joblib").run(source)) as stream:
        for unit, _ in stream:
            ready.extend(follow.get(unit.number, []))
    assert len(list(tmp_path.glob("?.txt"))) == 4
    assert max(asked) == 2


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")
def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys\nfrom pathlib import Path\n"
        "from microexp.evaluate.engines import JoblibEngine\n"
        "from tests.evaluate.test_engines import Note\n"
        "first = [Note(Path(sys.argv[1]), 0)]\n"
        "for _ in JoblibEngine(1).run(lambda n: [first.pop()] if first else []):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    parent = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert parent.returncode == -signal.SIGKILL
    ended({int((tmp_path / "0.txt").read_text())})


def ended(processes: set[int]) -> None:
    """Wait until they are."""
    deadline = time.monotonic() + 60
    while any(map(is_running, processes)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_a_unit_computes_with_one_thread() -> None:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert attempt(torch.get_num_threads).value == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_ctrl_c_is_no_outcome() -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        attempt(interrupted)


def test_a_gpu_is_a_resource_that_some_worker_must_offer(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    options = {"n_workers": 1, "threads_per_worker": 1, "processes": False, "dashboard_address": None}
    with distributed.LocalCluster(**options) as cluster:
        engine = make_engine("dask", scheduler=cluster.scheduler_address)
        with pytest.raises(MicroexpError, match="--resources GPU=1"):
            outcomes(engine, [Note(tmp_path, 0, on_gpu=True)])
        assert [outcome.value for _, outcome in outcomes(engine, [Note(tmp_path, 1)])] == [1]
    with distributed.LocalCluster(**options, resources={"GPU": 1}) as cluster:
        engine = make_engine("dask", scheduler=cluster.scheduler_address)
        assert [o.value for _, o in outcomes(engine, [Note(tmp_path, 2, on_gpu=True)])] == [2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("jolib",), "'jolib' is none of serial, joblib, dask"),
        (("joblib", 0), "jobs must be 1 or more"),
        (("joblib", None, "tcp://x:1"), "a scheduler is for the engine dask"),
        (("dask", 2, "tcp://x:1"), "leave out jobs"),
    ],
)
def test_wrong_options_are_refused(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        make_engine(*arguments)


def test_without_dask_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed.client", None)
    with pytest.raises(MicroexpError, match=r"pip install microexp\[dask\]"):
        outcomes(make_engine("dask", 1), [])


def test_a_scheduler_that_does_not_answer_is_named() -> None:
    pytest.importorskip("distributed")
    with pytest.raises(MicroexpError, match="no dask scheduler answers at nonsense://x"):
        outcomes(make_engine("dask", scheduler="nonsense://x"), [])


def test_a_file_that_cannot_be_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    write_atomically(tmp_path / "a.txt", "old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left on device"):
        write_atomically(tmp_path / "a.txt", "new")
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("a.txt", "old")]
