"""The contract of a database: `load` gives a `Dataset`, `check` says whether the user's copy is complete."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from microexp.clip import Clip
from microexp.datasets.labels import LabelScheme, is_file_name, scheme
from microexp.errors import DataError, OptionError, PathMissingError

TABLE_COLUMNS = ("database", "subject", "clip", "emotion", "label")


@dataclass(frozen=True, eq=False)
class Dataset:
    """Clips (or published motion images) with one row of annotation each.

    Attributes
    ----------
    table : pandas.DataFrame
        One row a clip: ``database``, ``subject``, ``clip`` (text), ``emotion`` (text), ``label`` (int64).
        ``subject`` is the group of leave-one-subject-out.
    classes : tuple of str
        Class names; ``label`` indexes it.
    clips : sequence of Clip or None
        In table order; None where the database publishes motion images only.
    flow_images : numpy.ndarray or None
        ``(N, 3, H, W) float32`` in [0, 1], channels u, v, strain; None where there are clips.
    scheme : str
        Name of the label scheme.
    fingerprint : str
        Hash of the annotation and of what the features are made from; two data sets with the same
        fingerprint give the same results. Made from the content if not given.
    remarks : tuple of str
        What has to be said wherever a figure on this data is shown.
    """

    table: pd.DataFrame
    classes: tuple[str, ...]
    clips: Sequence[Clip] | None = None
    flow_images: np.ndarray | None = None
    scheme: str = ""
    fingerprint: str = ""
    remarks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        missing = [c for c in TABLE_COLUMNS if c not in self.table.columns]
        if missing:
            raise DataError(f"the table of clips lacks the columns {', '.join(missing)}")
        if (self.clips is None) == (self.flow_images is None):
            raise DataError("a data set has either clips or flow images")
        if len(self.table) == 0:
            raise DataError(f"no clip is left under the label scheme '{self.scheme}'")
        if len(self.table) != len(self.inputs):
            raise DataError(f"{len(self.table)} rows of annotation for {len(self.inputs)} clips")
        if not self.fingerprint:
            object.__setattr__(self, "fingerprint", self._content_fingerprint())

    @property
    def inputs(self) -> Sequence[Clip] | np.ndarray:
        """What a recogniser is given: the clips, or the published motion images."""
        inputs = self.clips if self.clips is not None else self.flow_images
        if inputs is None:  # __post_init__ forbids it; said for the type checker
            raise DataError("a data set has either clips or flow images")
        return inputs

    def _content_fingerprint(self) -> str:
        """Hash the annotation and the pictures themselves; slow for clips, so databases give their own."""
        table = self.table.to_csv(index=False, lineterminator="\n")
        pictures = (x.frames[:] if isinstance(x, Clip) else x for x in self.inputs)
        return fingerprint(table, *(np.ascontiguousarray(p).tobytes() for p in pictures))

    @property
    def y(self) -> np.ndarray:
        """Labels, ``(N,) int64``."""
        return self.table["label"].to_numpy(np.int64)

    @property
    def groups(self) -> np.ndarray:
        """Subjects, ``(N,)`` text; a subject is unique within its database."""
        return (self.table["database"] + "/" + self.table["subject"]).to_numpy(str)

    def __len__(self) -> int:
        return len(self.table)


@dataclass(frozen=True)
class Check:
    """One thing that `Database.check` looked at."""

    what: str
    expected: str
    found: str
    ok: bool
    details: tuple[str, ...] = ()


class Database(ABC):
    """One database, read from a root folder (or made, where ``root`` is None).

    Subclasses are one file each with a ``CARD``; constructor arguments are stored untouched.
    """

    label_schemes: tuple[str, ...] = ("megc3",)

    @abstractmethod
    def load(self, labels: str | None = None) -> Dataset:
        """Return the clips under a label scheme (the first of `label_schemes` if None).

        Besides their names, the path of a mapping file is taken; see `microexp.datasets.labels`.
        """

    @abstractmethod
    def check(self) -> list[Check]:
        """Compare the copy at hand with what was published.

        Faults of single files are reported, not raised; only a root that is missing or empty is.
        """

    def scheme(self, labels: str | None) -> LabelScheme:
        """Return the scheme to use: one that this database offers, or the user's own from a file.

        Raises
        ------
        OptionError
            If this database does not offer it.
        PathMissingError, DataError
            If a file is named that does not exist or is no mapping; see `microexp.datasets.labels`.
        """
        if not self.label_schemes:
            raise OptionError(f"{type(self).__name__} has no emotions, so no classes; read() gives its clips")
        name = str(labels) if labels else self.label_schemes[0]
        if name not in self.label_schemes and not is_file_name(name):
            raise OptionError(
                f"{type(self).__name__} has no label scheme '{name}'; it offers "
                f"{', '.join(self.label_schemes)}, or your own: a .csv file with the columns emotion, class"
            )
        return scheme(name)


def require_root(root: str | Path | None, name: str, layout: str) -> Path:
    """Return the root folder of a database; say where it was looked for if it is not there.

    Parameters
    ----------
    root : path or None
        What the user named.
    name, layout : str
        The database, and one line on what its root should hold.

    Raises
    ------
    PathMissingError
        If no root was named, or it is missing or empty.
    DataError
        If it cannot be read.
    """
    if root is None:
        raise PathMissingError(f"{name} needs the folder of your copy: --root DIR. It holds {layout}")
    path = Path(root)
    try:
        if not path.is_dir():
            raise PathMissingError(f"{name}: the folder {path} does not exist. It should hold {layout}")
        if not any(path.iterdir()):
            raise PathMissingError(f"{name}: the folder {path} is empty. It should hold {layout}")
    except OSError as error:
        raise DataError(f"{name}: the folder {path} cannot be read: {error.strerror}") from error
    return path


def relabel(table: pd.DataFrame, scheme: LabelScheme) -> pd.DataFrame:
    """Return the rows that a scheme keeps, with their ``label`` (int64) in it.

    Parameters
    ----------
    table : pandas.DataFrame
        With the columns ``database`` and ``emotion``.
    scheme : LabelScheme
        Decides.

    Raises
    ------
    DataError
        If no row is left.
    """
    found = [scheme.label(e, d) for e, d in zip(table["emotion"], table["database"], strict=True)]
    kept = [i for i, label in enumerate(found) if label is not None]
    if not kept:
        words = ", ".join(sorted({str(word) for word in table["emotion"]}))
        raise DataError(f"no clip is left under the label scheme '{scheme.name}'; the emotions are: {words}")
    labels = np.array([found[i] for i in kept], np.int64)
    return table.iloc[kept].reset_index(drop=True).assign(label=labels)


def fingerprint(*parts: str | bytes) -> str:
    """Return 16 hex digits that change when any part does."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()[:16]
