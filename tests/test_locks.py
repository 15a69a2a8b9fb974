from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from microexp import locks
from microexp.locks import Lock

HOLD = """\
import sys, time
from pathlib import Path
from microexp.locks import Lock
assert Lock(Path(sys.argv[1])).acquire()
print("held", flush=True)
time.sleep(60)
"""
COUNT = """\
import sys, time
from pathlib import Path
from microexp.locks import Lock
file, log = Path(sys.argv[1]), Path(sys.argv[2])
for _ in range(int(sys.argv[3])):
    lock = Lock(file)
    lock.wait(poll=0.001, longest=0.005)
    n = int(log.read_text())
    time.sleep(0.001)
    log.write_text(str(n + 1))
    lock.release()
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "one.lock"


def foreign(file: Path, age: float, **changes: object) -> None:
    """Write a lock of another host that was renewed some seconds ago."""
    file.write_text(json.dumps({"token": "0123", "host": "elsewhere", "pid": 1, "started": "1", **changes}))
    os.utime(file, (time.time() - age,) * 2)


def test_one_holds_it_until_it_is_released(file: Path) -> None:
    first, second = Lock(file), Lock(file)
    assert first.acquire()
    assert not second.acquire()
    assert not first.acquire()
    second.release()  # not its own
    assert file.exists()
    first.release()
    assert not file.exists()
    with second as mine:
        assert mine
        with Lock(file) as other:
            assert not other
        assert file.exists()
    assert not list(file.parent.iterdir())


def test_an_exception_releases_it(file: Path) -> None:
    with pytest.raises(KeyboardInterrupt), Lock(file):
        raise KeyboardInterrupt
    assert not file.exists()


def test_a_lock_of_a_living_process_is_left_and_of_a_killed_one_taken_over(file: Path) -> None:
    owner = subprocess.Popen([sys.executable, "-c", HOLD, str(file)], stdout=subprocess.PIPE)
    try:
        owner.stdout.readline()
        os.utime(file, (1, 1))  # of this host: how long it was not renewed does not matter
        assert not Lock(file).acquire()
        owner.send_signal(signal.SIGKILL)
        deadline = time.monotonic() + 30
        lock = Lock(file)
        while not lock.acquire():  # not waited for: a process that nobody has waited for is dead as well
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        owner.kill()
        owner.wait()
        owner.stdout.close()
    assert not Lock(file).acquire()
    lock.release()
    assert not list(file.parent.iterdir())


def test_the_number_of_a_process_may_be_used_again(file: Path) -> None:
    host, pid, started = locks._this_process(os.getpid())
    foreign(file, 0, host=host, pid=pid, started=started)
    assert not Lock(file).acquire()
    foreign(file, 0, host=host, pid=pid, started=str(int(started or 0) + 1))
    assert Lock(file).acquire()


@pytest.mark.parametrize(("age", "taken"), [(0, False), (50, False), (70, True)])
def test_a_lock_of_another_host_is_dead_after_a_minute_without_renewal(
    file: Path, age: float, taken: bool
) -> None:
    foreign(file, age)
    assert Lock(file).acquire() is taken


@pytest.mark.parametrize("text", ["", "{", "[1]", "{}", "null"])
def test_a_lock_without_an_owner_is_dead_after_a_minute(file: Path, text: str) -> None:
    file.write_text(text)
    assert not Lock(file).acquire()
    os.utime(file, (time.time() - 70,) * 2)
    assert Lock(file).acquire()


def test_the_minute_is_one_of_the_clock_of_the_file_system(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign(file, 0)
    late = time.time() + 3600
    monkeypatch.setattr(time, "time", lambda: late)
    assert not Lock(file).acquire()


def test_it_is_renewed_while_it_is_held(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "RENEWED", 0.02)
    with Lock(file):
        os.utime(file, (1, 1))
        deadline = time.monotonic() + 30
        while file.stat().st_mtime == 1:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_who_was_taken_for_dead_does_not_renew_the_lock_of_the_next(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "RENEWED", 0.01)
    with Lock(file):
        foreign(file, 70)
        time.sleep(0.2)
        assert Lock(file).acquire()


def test_who_was_taken_for_dead_does_not_release_the_lock_of_the_next(file: Path) -> None:
    first = Lock(file)
    assert first.acquire()
    foreign(file, 70)  # as if another had taken it over
    second = Lock(file)
    assert second.acquire()
    first.release()
    assert file.exists()
    second.release()
    assert not file.exists()


def test_of_many_takers_of_a_dead_lock_one_gets_it(file: Path) -> None:
    for _ in range(40):
        foreign(file, 70)
        takers = [Lock(file) for _ in range(8)]
        start, won = threading.Barrier(8), []

        def take(lock: Lock, start: threading.Barrier = start, won: list[Lock] = won) -> None:
            start.wait()
            if lock.acquire():
                won.append(lock)

        threads = [threading.Thread(target=take, args=(lock,)) for lock in takers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) <= 1  # none, if the one who may had seen that another was about to
        assert won or Lock(file).acquire()
        for lock in won:
            lock.release()
        file.unlink(missing_ok=True)
        assert not list(file.parent.iterdir())


def test_a_slow_taker_does_not_remove_the_lock_of_a_fast_one(file: Path) -> None:
    foreign(file, 70)
    seen = locks._read(file)
    fast, slow = Lock(file), Lock(file)
    assert fast.acquire()
    assert not slow._take_over(seen)  # it had read the file before
    assert not Lock(file).acquire()
    fast.release()
    assert not list(file.parent.iterdir())


def test_a_taker_that_died_meanwhile_is_no_obstacle(file: Path) -> None:
    foreign(file, 70)
    foreign(file.with_name("one.0123.lock"), 70, token="4567")
    lock = Lock(file)
    assert lock.acquire()
    lock.release()
    assert not list(file.parent.iterdir())


def test_processes_exclude_each_other(file: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("0")
    command = [sys.executable, "-c", COUNT, str(file), str(log), "40"]
    processes = [subprocess.Popen(command) for _ in range(3)]
    assert [process.wait(timeout=120) for process in processes] == [0] * 3
    assert log.read_text() == "120"


def test_a_folder_that_is_not_there_is_an_error_and_no_lock(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Lock(tmp_path / "no" / "such.lock").acquire()
