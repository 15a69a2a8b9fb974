"""The disk cache: arrays under a name made of everything that they depend on.

A file is written under a temporary name and then renamed, and carries a checksum of its contents; one that
is damaged counts as absent. A cache that cannot be written costs time, never the result.
"""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import platformdirs

Arrays = dict[str, np.ndarray]
_SUM = 32  # bytes of the checksum that a file starts with


def cache_folder() -> Path:
    """Where pictures are kept: under ``$MICROEXP_CACHE`` if set, else the user's cache folder."""
    root = os.environ.get("MICROEXP_CACHE") or platformdirs.user_cache_dir("microexp")
    return Path(root) / "synthetic"


def cached(parameters: tuple[object, ...], make: Callable[[], Arrays]) -> Arrays:
    """Return the arrays for these parameters from the disk, or make and keep them.

    Parameters
    ----------
    parameters : tuple
        Everything that the arrays depend on; its ``repr`` names the file.
    make : callable
        Computes the arrays.
    """
    file = cache_folder() / f"{hashlib.sha256(repr(parameters).encode()).hexdigest()[:32]}.npz"
    known = _read(file)
    if known is not None:
        return known
    arrays = make()
    _write(file, arrays)
    return arrays


def _read(file: Path) -> Arrays | None:
    try:
        data = file.read_bytes()
    except OSError:
        return None
    if hashlib.sha256(data[_SUM:]).digest() != data[:_SUM]:
        return None
    try:
        with np.load(io.BytesIO(data[_SUM:]), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile):
        return None


def _write(file: Path, arrays: Arrays) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    data = buffer.getvalue()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=file.parent, suffix=".part")
    except OSError:
        return
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(hashlib.sha256(data).digest() + data)
        temporary.replace(file)
    except OSError:
        temporary.unlink(missing_ok=True)
