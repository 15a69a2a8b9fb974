"""Look-alikes: synthetic clips laid out as a real database has them. In: a name. Out: a folder and its truth.

One file a database, found by being here: a function ``write(tree, studio, ...)`` that lays out folders, sheet
and the odd cases that the real annotation is known to have, all values invented. It is written from the
description of the database by itself and shares no name or pattern with the loader: the two test each other.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from microexp.datasets.lookalike._studio import Studio
from microexp.datasets.lookalike._tree import Expected, Manifest, Pictures, Tree, read_manifest
from microexp.errors import DataError, OptionError, UnknownNameError, suggestion

__all__ = ["Expected", "Manifest", "Pictures", "Studio", "Tree", "names", "read_manifest", "write"]

Progress = Callable[[str, int, int], None]


def names() -> list[str]:
    """Return the databases that can be laid out, sorted."""
    return sorted(file.stem for file in Path(__file__).parent.glob("*.py") if file.stem[0] != "_")


def write(
    name: str,
    directory: str | Path,
    *,
    full: bool = False,
    subjects: int = 4,
    clips: int = 6,
    size: int = 96,
    nuisance: float = 1.0,
    seed: int = 0,
    progress: Progress | None = None,
    **options: Any,
) -> Manifest:
    """Lay synthetic clips out as a database, sheet and odd cases included.

    Parameters
    ----------
    name : str
        One of `names`.
    directory : path
        Where to write; made if it is not there, and must be empty.
    full : bool
        True for as many clips, people and emotions as the real database has, but with pictures of a few
        pixels; the next four parameters then count for nothing.
    subjects, clips : int
        Number of people, and clips of each.
    size, nuisance
        As in `microexp.datasets.synthetic.Synthetic`.
    seed : int
        As there.
    progress : callable, optional
        Called as ``progress("clips", done, total)``.
    **options
        What the layout itself takes, as ``release="20140508"``.

    Returns
    -------
    Manifest
        The clips that a loader should find; also written into the folder as ``lookalike.json``.

    Raises
    ------
    UnknownNameError
        If there is no such layout.
    OptionError
        If the layout does not take one of the options, or not that value.
    DataError
        If the folder holds something.
    """
    if name not in names():
        raise UnknownNameError("layout", name, names())
    writer = importlib.import_module(f"{__name__}.{name}").write
    taken = list(inspect.signature(writer).parameters)[2:]
    for key in options:
        if key not in taken:
            raise OptionError(f"the layout '{name}' takes no option '{key}'.{suggestion(key, taken)}")
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise DataError(f"{folder} holds other files; choose an empty folder for the look-alike")
    tree = Tree(folder, progress)
    writer(tree, Studio(full, subjects, clips, size, nuisance, seed), **options)
    return tree.finish(name, options)
