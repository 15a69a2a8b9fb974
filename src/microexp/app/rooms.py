"""The files of each visitor, apart from those of the others, and gone when they are no longer needed."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from microexp.errors import MicroexpError

_GONE = "the connection to this page broke, and its files were deleted: load it anew"
_ABANDONED = 600  # seconds after which an upload that nobody has taken is nobody's


class LeftError(MicroexpError):
    """The visitor has left, so nobody waits for the answer."""


@dataclass
class _Room:
    """What belongs to one visitor: uploads by the place on the page they were dropped at, and results."""

    folder: Path
    uploads: dict[str, Path] = field(default_factory=dict)


class Rooms:
    """A temporary folder, readable by its owner alone, with a room for each visitor.

    Uploads stand anywhere in the folder. Those of equal name and content may be one file, so each is deleted
    when the last visitor who has it lets it go. What was sent, in part or whole, and then never taken by
    anybody is deleted after ten minutes, when next something happens.

    Parameters
    ----------
    keep : bool
        Delete nothing.

    Attributes
    ----------
    root : Path
        The folder.
    """

    def __init__(self, keep: bool = False) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="microexp-app-")).resolve()
        self._keep = keep
        self._lock = threading.RLock()
        self._rooms: dict[str, _Room] = {}
        self._left: set[str] = set()
        self._known: dict[Path, int] = {}  # the inode of each upload; an equal one may take its place

    def hold(self, visitor: str, place: str, upload: str) -> Path:
        """Note that an upload is the visitor's; let go of what was at that place of the page before.

        Raises
        ------
        LeftError
            If the visitor has left; nothing is held then.
        MicroexpError
            If there is no such upload.
        """
        with self._lock:
            self._sweep()
            file = self._uploaded(upload)
            if visitor in self._left:
                self._forget(file)
                raise LeftError(_GONE)
            uploads = self._room(visitor).uploads
            before, uploads[place] = uploads.get(place), file
            if before is not None:
                self._forget(before)
            return file

    def let_go(self, visitor: str, place: str) -> None:
        """Delete the upload at a place of the page, once nobody has it and no work is done on it."""
        with self._lock:
            room = self._rooms.get(visitor)
            before = None if room is None else room.uploads.pop(place, None)
            if before is not None:
                self._forget(before)

    def let_go_unless_replaced(self, visitor: str, place: str, upload: str) -> bool:
        """Let go of an upload at a place of the page; do nothing and return False if another is there."""
        with self._lock:
            room = self._rooms.get(visitor)
            there = None if room is None else room.uploads.get(place)
            if there not in (None, Path(upload).resolve()):
                return False
            self.let_go(visitor, place)
            return True

    @contextmanager
    def work(self, visitor: str, place: str, *uploads: str) -> Iterator[tuple[Path, list[Path]]]:
        """Give an empty folder for the results of some work, and the uploads that it needs.

        Results that were there before are deleted. The uploads stay until the end, whatever the visitor
        replaces or clears meanwhile.

        Raises
        ------
        LeftError
            If the visitor has left, or leaves meanwhile.
        MicroexpError
            If there is no such upload.
        """
        folder = self._emptied(visitor, place)
        held = {f"{place}, at work: {i}": upload for i, upload in enumerate(uploads)}
        try:
            yield folder, [self.hold(visitor, at, upload) for at, upload in held.items()]
        except Exception as error:
            self.stay(visitor, error)
            raise
        finally:
            for at in held:
                self.let_go(visitor, at)
            if not self.is_open(visitor):  # who left meanwhile did not take along what was being written
                self._delete(folder.parent)

    def is_open(self, visitor: str) -> bool:
        """Whether a visitor is there."""
        return visitor in self._rooms

    def stay(self, visitor: str, error: Exception | None = None) -> None:
        """Raise `LeftError`, caused by an error if there is one, if a visitor has left."""
        if not self.is_open(visitor):
            raise LeftError(_GONE) from error

    def leave(self, visitor: str) -> None:
        """Delete what belongs to a visitor."""
        with self._lock:
            self._sweep()
            self._left.add(visitor)
            room = self._rooms.pop(visitor, None)
            if room is not None:
                for file in room.uploads.values():
                    self._forget(file)
                self._delete(room.folder)

    def close(self) -> None:
        """Delete everything; work that goes on ends when it next looks."""
        with self._lock:
            self._rooms.clear()
            self._delete(self.root)

    def _emptied(self, visitor: str, place: str) -> Path:
        """Return a folder for the results of some work; delete those that were there before."""
        with self._lock:
            if visitor in self._left:
                raise LeftError(_GONE)
            room = self._room(visitor).folder
            if not self._keep:
                for old in room.glob(f"{place}-*"):
                    shutil.rmtree(old)
            return Path(tempfile.mkdtemp(prefix=f"{place}-", dir=room))

    def _room(self, visitor: str) -> _Room:
        if visitor not in self._rooms:
            self._rooms[visitor] = _Room(Path(tempfile.mkdtemp(prefix="room-", dir=self.root)))
        return self._rooms[visitor]

    def _uploaded(self, upload: str) -> Path:
        file = Path(upload).resolve()
        if not (file.is_relative_to(self.root) and file.is_file()):
            raise MicroexpError(f"{file.name} is not here any more: drop it again")
        self._known[file] = file.stat().st_ino
        return file

    def _held(self) -> set[Path]:
        return {file for room in self._rooms.values() for file in room.uploads.values()}

    def _forget(self, file: Path) -> None:
        """Delete an upload that nobody has; one that came in its place meanwhile is somebody's."""
        if file in self._held():
            return
        known = self._known.pop(file, None)
        if file.is_file() and file.stat().st_ino == known:
            self._unlink(file)

    def _sweep(self) -> None:
        """Delete uploads that were given up on the way."""
        rooms, held = [room.folder for room in self._rooms.values()], self._held()
        for folder, _, names in os.walk(self.root):
            for file in (Path(folder, name) for name in names):
                if file in held or any(file.is_relative_to(room) for room in rooms):
                    continue
                with suppress(FileNotFoundError):  # renamed meanwhile: it is an upload that has arrived
                    if file.stat().st_mtime < time.time() - _ABANDONED:
                        self._unlink(file)

    def _unlink(self, file: Path) -> None:
        if self._keep:
            return
        file.unlink()
        if file.parent != self.root and not any(file.parent.iterdir()):
            file.parent.rmdir()

    def _delete(self, folder: Path) -> None:
        if not self._keep:
            shutil.rmtree(folder, ignore_errors=True)
