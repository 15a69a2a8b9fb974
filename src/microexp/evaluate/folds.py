"""The folds of leave-one-subject-out, and the split of training subjects that may choose an epoch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from microexp.errors import DataError

INNER_SHARE = 0.2  # of the training subjects of each database, held back to choose the epoch


@dataclass(frozen=True, eq=False)
class Fold:
    """One fold: the subject left out, and the rows of the table to train and to test on."""

    number: int
    subject: str
    train: np.ndarray
    test: np.ndarray


def loso_folds(groups: np.ndarray) -> list[Fold]:
    """Return one fold a subject, in the order of their names.

    Raises
    ------
    DataError
        If there is only one subject.
    """
    subjects = np.unique(groups)
    if len(subjects) < 2:
        raise DataError(f"leave-one-subject-out needs two subjects or more; there is only {subjects[0]}")
    return [
        Fold(k, str(s), np.flatnonzero(groups != s), np.flatnonzero(groups == s))
        for k, s in enumerate(subjects)
    ]


def inner_split(groups: np.ndarray, train: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Split training rows by subject: about a fifth of each database's subjects are held back.

    Parameters
    ----------
    groups : numpy.ndarray
        ``(N,)``, ``database/subject`` of every row.
    train : numpy.ndarray
        Rows of the training fold.
    seed : int
        Decides which subjects.

    Returns
    -------
    tuple of numpy.ndarray
        Rows to train on, rows to choose the epoch by.
    """
    rng = np.random.default_rng(seed)
    subjects = np.unique(groups[train])
    databases = np.array([s.split("/")[0] for s in subjects])
    held: list[str] = []
    for database in np.unique(databases):
        own = subjects[databases == database]
        held.extend(rng.choice(own, size=max(1, round(INNER_SHARE * len(own))), replace=False))
    inner = np.isin(groups[train], held)
    if inner.all():
        raise DataError("inner-subjects needs at least two training subjects in a database")
    return train[~inner], train[inner]
