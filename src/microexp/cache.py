"""The disk cache: arrays under a name made of everything that they depend on.

    flow = cached("motion", key, lambda: {"flow": compute()})["flow"]

The key says what the arrays are made from: content, parameters, code. A file is written under a temporary
name and then renamed, and carries a checksum of its contents; one that is damaged counts as absent. So
several processes may share a cache, and one that cannot be written costs time, never the result. Who wants
what another is just computing waits for it.

Layout: ``<root>/<kind>/<32 hex digits>.npz``, the root being ``$MICROEXP_CACHE`` if set, else the user's
cache folder. Reading a file renews its time stamp, so the oldest files are those longest unused.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import os
import re
import shutil
import tempfile
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from microexp.errors import MicroexpWarning, OptionError
from microexp.locks import Lock

Arrays = dict[str, np.ndarray]
KEEP_FREE = 1 << 30  # bytes of the disk that are left to others
_SUM = 32  # bytes of the checksum that a file starts with
_KIND = re.compile(r"[a-z][a-z0-9_]*")
_OURS = re.compile(r"[0-9a-f]{32}\.npz|[\w.-]+\.(safetensors|part|lock)")  # only these are counted, deleted
_ABANDONED = 3600  # seconds after which a half-written file or a lock is nobody's


@dataclass(frozen=True)
class Usage:
    """What one kind of content takes up.

    Attributes
    ----------
    kind : str
        Name of the sub-folder.
    folder : str
        Where it is.
    files, bytes : int
        How many, and how large together.
    oldest, newest : float or None
        When the file longest unused, and the one last used, were read or written: seconds since 1970.
    """

    kind: str
    folder: str
    files: int
    bytes: int
    oldest: float | None
    newest: float | None


def cache_folder(kind: str | None = None) -> Path:
    """Where arrays of a kind are kept (the root of all if None); the folder need not exist yet.

    Raises
    ------
    OptionError
        If the kind is no plain lower-case word.
    """
    import platformdirs

    root = Path(os.environ.get("MICROEXP_CACHE") or platformdirs.user_cache_dir("microexp"))
    if kind is None:
        return root
    if not _KIND.fullmatch(kind):
        raise OptionError(f"a kind of cached content is one lower-case word, not '{kind}'")
    return root / kind


def cached(kind: str, key: object, make: Callable[[], Arrays]) -> Arrays:
    """Return the arrays of this key from the disk, or make and keep them.

    Parameters
    ----------
    kind : str
        Sub-folder: "synthetic", "aligned", "motion", ... It is not part of the key.
    key : object
        Everything that the arrays depend on; its ``repr`` names the file, so it is built of text, numbers,
        tuples and None. None, where that is not known: nothing is kept then.
    make : callable
        Computes the arrays, a dictionary of name to `numpy.ndarray` (no objects).

    Returns
    -------
    dict
        The arrays, the caller's own to change.

    Raises
    ------
    OptionError
        If the kind is no plain lower-case word. Whatever `make` raises passes through.
    """
    if key is None:
        return make()
    file = cache_folder(kind) / f"{hashlib.sha256(repr(key).encode()).hexdigest()[:32]}.npz"
    known = _read(file)
    if known is not None:
        return known
    lock = Lock(file.with_suffix(".lock"))
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock.wait()
    except OSError as error:
        _cannot_keep(file.parent, error)
        return make()
    try:
        return _read(file) or _made(file, make)
    finally:
        lock.release()


def _made(file: Path, make: Callable[[], Arrays]) -> Arrays:
    arrays = make()
    _write(file, arrays)
    return arrays


@lru_cache(maxsize=64)
def source_hash(*modules: str) -> str:
    """Return 16 hex digits that change with the source text of modules (whole packages) or with the version.

    It belongs into a key: what other code computed is then never taken for what this code would.

    Parameters
    ----------
    *modules : str
        Dotted names, for instance ``"microexp.motion"``. Of a package every file counts. What has no source
        file (built in, or typed at a prompt) adds its name alone.
    """
    from microexp import __version__

    digest = hashlib.sha256(repr((__version__, modules)).encode())
    for module in modules:
        for file in _sources(module):
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def identity_of(value: object) -> object:
    """Return what names a value for good, for use in a key; None if nothing surely does.

    Parameters
    ----------
    value : object
        Text, a number, None, an array; a scikit-learn estimator (its class, the source of that, its
        parameters); whatever has an attribute ``fingerprint`` of text; lists, tuples and dictionaries of
        these.

    Returns
    -------
    object
        Text, numbers and tuples. None for anything else, such as a function, a path (its file may change) or
        a class typed at a prompt (its source is not known).
    """
    try:
        return _identity(value)
    except _NoIdentityError:
        return None


class _NoIdentityError(Exception):
    """Nothing surely names a value."""


def _identity(value: Any) -> object:
    if value is None or isinstance(value, str | int | float | bool | bytes | np.generic):
        return type(value).__name__, repr(value)
    if isinstance(value, np.ndarray) and value.dtype != object:
        return str(value.dtype), value.shape, hashlib.sha256(np.ascontiguousarray(value).data).hexdigest()
    if isinstance(value, list | tuple):
        return type(value).__name__, tuple(_identity(one) for one in value)
    if isinstance(value, dict):
        return "dict", tuple((_identity(k), _identity(v)) for k, v in sorted(value.items()))
    if hasattr(value, "get_params") and not isinstance(value, type):
        return *_class_identity(type(value)), _identity(value.get_params(deep=False))
    fingerprint = getattr(value, "fingerprint", None)
    if isinstance(fingerprint, str):
        return *_class_identity(type(value)), fingerprint
    raise _NoIdentityError


def _class_identity(cls: type) -> tuple[str, str]:
    """Name of a class, and the hash of all source that it rests on; of microexp the whole family."""
    modules = {base.__module__ for base in cls.__mro__} - {"builtins", "abc"}
    ours = {".".join(m.split(".")[:2]) if m.startswith("microexp.") else m for m in modules}
    known = sorted(m for m in ours if not m.startswith("sklearn."))
    if not all(_sources(module) for module in known):
        raise _NoIdentityError
    return f"{cls.__module__}.{cls.__qualname__}", source_hash(*known)


def usage() -> list[Usage]:
    """Return what is kept, one entry a kind, in alphabetical order."""
    return [_usage(kind) for kind in kinds()]


def kinds() -> list[str]:
    """Return the kinds of which anything is kept, sorted."""
    root = cache_folder()
    if not root.is_dir():
        return []
    return sorted(p.name for p in root.iterdir() if _KIND.fullmatch(p.name) and any(_files(p)))


def clear(kind: str | None = None, older_than: float = 0.0) -> tuple[int, int]:
    """Delete what is kept; only files that this module wrote.

    Parameters
    ----------
    kind : str or None
        One kind; None for all but "weights", which cannot be computed again.
    older_than : float
        Only what has been unused for that many days, >= 0.

    Returns
    -------
    tuple of int
        Files deleted, and bytes freed.

    Raises
    ------
    OptionError
        If `older_than` is negative or no number, or the kind no plain lower-case word.
    """
    if not older_than >= 0:
        raise OptionError(f"older_than is a number of days, 0 or more, not {older_than}")
    latest = time.time() - older_than * 86_400
    files = freed = 0
    chosen = [kind] if kind else [one for one in kinds() if one != "weights"]
    for folder in map(cache_folder, chosen):
        for file, status in _files(folder):
            # What another process is writing at this moment, or its lock.
            if status.st_mtime <= (min(latest, time.time() - _ABANDONED) if _is_part(file) else latest):
                file.unlink(missing_ok=True)
                files, freed = files + 1, freed + status.st_size
    return files, freed


def _usage(kind: str) -> Usage:
    found = [status for file, status in _files(cache_folder(kind)) if not _is_part(file)]
    times = [status.st_mtime for status in found]
    return Usage(
        kind=kind,
        folder=str(cache_folder(kind)),
        files=len(found),
        bytes=sum(status.st_size for status in found),
        oldest=min(times, default=None),
        newest=max(times, default=None),
    )


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield our files in a folder; links are not followed, and what vanishes meanwhile is passed over."""
    if not folder.is_dir() or folder.is_symlink():
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                if _OURS.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                    yield Path(entry.path), entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue


def _is_part(file: Path) -> bool:
    return file.suffix in (".part", ".lock")


@lru_cache(maxsize=64)
def _sources(module: str) -> tuple[Path, ...]:
    """Return the source files of a module, or of all modules of a package; none where there is no source."""
    if module == "__main__":  # another program each time
        return ()
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return ()
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return ()
    origin = Path(spec.origin)
    return tuple(sorted(origin.parent.rglob("*.py"))) if spec.submodule_search_locations else (origin,)


def _read(file: Path) -> Arrays | None:
    try:
        data = file.read_bytes()
    except OSError:
        return None
    if hashlib.sha256(data[_SUM:]).digest() != data[:_SUM]:
        return None
    try:
        with np.load(io.BytesIO(data[_SUM:]), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile):
        return None
    _renew(file)
    return arrays


def _renew(file: Path) -> None:
    """Note that a file was used; in a cache that may only be read its old time stays, and does no harm."""
    try:
        os.utime(file)
    except OSError:
        return


def _write(file: Path, arrays: Arrays) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    data = buffer.getvalue()
    temporary: Path | None = None
    try:
        if shutil.disk_usage(file.parent).free - len(data) < KEEP_FREE:
            _warn_once(f"less than {KEEP_FREE >> 30} GB is free on the disk of {file.parent}")
            return
        handle, name = tempfile.mkstemp(dir=file.parent, suffix=".part")
        temporary = Path(name)
        with os.fdopen(handle, "wb") as stream:
            stream.write(hashlib.sha256(data).digest() + data)
        temporary.replace(file)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        _cannot_keep(file.parent, error)


def _cannot_keep(folder: Path, error: OSError) -> None:
    _warn_once(f"{folder}: {error.strerror or error}")


@lru_cache(maxsize=16)  # once a process and cause
def _warn_once(cause: str) -> None:
    warnings.warn(
        f"nothing is cached ({cause}); results are the same, but are computed anew each time. Free space, "
        "for instance with 'microexp cache clear', or set MICROEXP_CACHE to another folder",
        MicroexpWarning,
        stacklevel=5,
    )
