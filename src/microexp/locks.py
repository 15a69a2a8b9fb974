"""Locks between processes, threads and computers: a file that is there while something is being done.

    with Lock(folder / "fold-3.lock") as mine:
        if mine:
            ...

A lock names its owner (host, process, a random token) and is renewed every few seconds while it is held. If
its owner is gone it is dead and the next one who asks takes it over. Nothing but creating a file that must
not exist, which is atomic on network file systems too, is relied on.
"""

from __future__ import annotations

import json
import os
import platform
import secrets
import threading
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

RENEWED = 5.0  # seconds between two renewals of a lock that is held
DEAD_AFTER = 60.0  # seconds without one, after which the lock of another host is nobody's


@dataclass(frozen=True)
class _Mark:
    """What a lock file says: who, and when it was renewed last by the clock of the file system."""

    token: str
    host: str
    pid: int
    started: str
    renewed: float


class Lock:
    """A lock of the name of a file.

    Parameters
    ----------
    file : Path
        Stands there while the lock is held, and in no other case but the death of its owner. Its folder must
        exist.

    Notes
    -----
    A lock is dead if its owner was a process of this host that no longer exists, or one of another host and
    the file was not renewed for a minute. Owners that share a host share its process numbers; containers
    count as hosts of their own.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._token = ""
        self._released = threading.Event()

    def acquire(self) -> bool:
        """Take the lock if it is free or dead; return whether it is ours now.

        Raises
        ------
        OSError
            If the file cannot be written.
        """
        if self._create():
            return True
        found = _read(self.file)
        return found is not None and _is_dead(found, self.file.parent) and self._take_over(found)

    def wait(self, poll: float = 0.05, longest: float = 2.0) -> None:
        """Wait until the lock is ours, asking again after `poll` seconds, then less and less often.

        Raises as `acquire`.
        """
        while not self.acquire():
            time.sleep(poll)
            poll = min(1.5 * poll, longest)

    def release(self) -> None:
        """Give the lock back; one that is not ours (any more) is left alone."""
        self._released.set()
        found = _read(self.file)
        if self._token and found is not None and found.token == self._token:
            self.file.unlink(missing_ok=True)
        self._token = ""

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *exception: object) -> None:
        self.release()

    def _create(self) -> bool:
        token = secrets.token_hex(8)
        try:
            handle = os.open(self.file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        except FileExistsError:
            return False
        try:
            host, pid, started = _this_process(os.getpid())
            owner = {"token": token, "host": host, "pid": pid, "started": started}
            os.write(handle, json.dumps(owner).encode())
        except OSError:
            self.file.unlink(missing_ok=True)
            raise
        finally:
            os.close(handle)
        self._token, self._released = token, threading.Event()
        threading.Thread(target=_keep, args=(self.file, token, self._released), daemon=True).start()
        return True

    def _take_over(self, dead: _Mark) -> bool:
        """Put our lock in place of a dead one.

        One taker at a time may do so, the one who holds the lock of that name and the dead one's token:
        otherwise the second of two takers would remove the lock that the first has just made.
        """
        with Lock(self.file.with_name(f"{self.file.stem}.{dead.token}.lock")) as may:
            found = _read(self.file) if may else None
            if found is None or found.token != dead.token:
                return False
            self.file.unlink(missing_ok=True)
            return self._create()


def _keep(file: Path, token: str, released: threading.Event) -> None:
    """Renew a lock until it is released, lost to another (we were taken for dead) or the process ends."""
    while not released.wait(RENEWED):
        try:
            found = _read(file)
            if found is None or found.token != token:
                return
            os.utime(file)
        except OSError:  # a file system that is away for a moment
            continue


def _read(file: Path) -> _Mark | None:
    """Return what a lock says, None if there is none; opening it makes a network file system look anew."""
    try:
        with file.open("rb") as stream:
            text, status = stream.read(), os.fstat(stream.fileno())
    except FileNotFoundError:
        return None
    try:
        owner = json.loads(text)
        return _Mark(owner["token"], owner["host"], owner["pid"], owner["started"], status.st_mtime)
    except (ValueError, KeyError, TypeError):  # its owner is about to write it, or died before
        return _Mark(f"{status.st_ino:x}-{status.st_mtime_ns:x}", "", 0, "", status.st_mtime)


def _is_dead(lock: _Mark, folder: Path) -> bool:
    host, _, _ = _this_process(os.getpid())
    alive = _is_alive(lock.pid, lock.started) if lock.host == host else None
    if alive is not None:
        return not alive
    return _now(folder) - lock.renewed > DEAD_AFTER


def _now(folder: Path) -> float:
    """Return the time by the clock of a file system, which need not be that of this computer."""
    file = folder / f".clock-{secrets.token_hex(8)}.lock"
    try:
        file.touch()
        return file.stat().st_mtime
    finally:
        file.unlink(missing_ok=True)


def _is_alive(pid: int, started: str) -> bool | None:
    """Whether a process of this host still is the one that started then; None if that cannot be known."""
    if Path("/proc/self/stat").exists():
        return bool(started) and _started(pid) == started
    if os.name == "posix":
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return None
    return None


@lru_cache(maxsize=1)
def _this_process(pid: int) -> tuple[str, int, str]:
    """Return host, number and start of this process (of this number: it is another after a fork)."""
    parts = [platform.node()]
    boot, space = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    if boot.exists():
        parts.append(boot.read_text().strip())
    if space.is_symlink():
        parts.append(str(space.readlink()))
    return " ".join(parts), pid, _started(pid)


def _started(pid: int) -> str:
    """Return when a process started, in ticks since boot; empty if there is no (running) one, or no /proc."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    state, ticks = fields[0], fields[19]
    return "" if state in "ZX" else ticks
