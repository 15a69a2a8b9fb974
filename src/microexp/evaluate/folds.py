"""The protocols: who is tested in which fold, and which training clips may choose an epoch.

In "loso" every subject is left out once. "subjects-5" and "samples-5" are the split of some papers, 70 % to
train, 20 % to test and 10 % to validate, turned five times so that every clip is tested once: ten parts, of
which two are tested, and one of the others chooses the epoch where one is chosen. "subjects-5" keeps the
clips of a subject in one part. "samples-5" draws clips and is blind to subjects: people stand on both sides,
so its figures leak.

Parts are decided by the table alone, never by a seed, so a fold of a number is the same under every seed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from microexp.errors import DataError, OptionError

BY_SAMPLE = "samples-5"  # the protocol that leaks
PROTOCOLS = {
    "loso": "leave-one-subject-out",
    "subjects-5": "five-fold cross-validation by subject",
    BY_SAMPLE: "five-fold cross-validation by sample",
}
N_PARTS = 10  # one of those that are not tested is held back to choose the epoch: 10 % of all clips
N_FOLDS = 5
INNER_SHARE = 0.2  # of the training subjects of each database, where one subject is left out


@dataclass(frozen=True, eq=False)
class Fold:
    """One fold: the name of what is left out, and the rows of the table to train and to test on.

    The name is that of a subject, ``database/name``, or of one of five folds, as ``fold 3 of 5 (db/s01,
    db/s07)``.
    """

    number: int
    subject: str
    train: np.ndarray
    test: np.ndarray


def make_folds(protocol: str, groups: np.ndarray) -> list[Fold]:
    """Return the folds of a protocol; every row is tested in one of them.

    Parameters
    ----------
    protocol : {"loso", "subjects-5", "samples-5"}
        See the module's text.
    groups : numpy.ndarray
        ``(N,)``, ``database/subject`` of every row.

    Returns
    -------
    list of Fold
        One a subject, in the order of their names, or five.

    Raises
    ------
    OptionError
        If there is no such protocol.
    DataError
        If there are too few subjects or clips for it.
    """
    tested = _parts(protocol, groups)
    if protocol != "loso":
        tested = tested % N_FOLDS
    return [
        Fold(k, _name(protocol, groups, rows := tested == k, k), np.flatnonzero(~rows), np.flatnonzero(rows))
        for k in range(int(tested.max()) + 1)
    ]


def inner_split(
    groups: np.ndarray, train: np.ndarray, seed: int, protocol: str = "loso"
) -> tuple[np.ndarray, np.ndarray]:
    """Split training rows as the protocol splits: some are held back.

    Under "loso" it is about a fifth of each database's training subjects, else one of the ten parts.

    Parameters
    ----------
    groups : numpy.ndarray
        ``(N,)``, ``database/subject`` of every row.
    train : numpy.ndarray
        Rows of the training fold.
    seed : int
        Decides which are held back.
    protocol : {"loso", "subjects-5", "samples-5"}
        What the fold is of.

    Returns
    -------
    tuple of numpy.ndarray
        Rows to train on, rows to choose the epoch by.

    Raises
    ------
    DataError
        If there are too few subjects to hold any back.
    """
    rng = np.random.default_rng(seed)
    if protocol == "loso":
        inner = np.isin(groups[train], _held_subjects(groups[train], rng))
    else:
        parts = _parts(protocol, groups)[train]
        inner = parts == rng.choice(np.unique(parts))
    if inner.all():
        raise DataError("inner-subjects needs at least two training subjects in a database")
    return train[~inner], train[inner]


def _held_subjects(groups: np.ndarray, rng: np.random.Generator) -> list[str]:
    """Draw a fifth of the subjects of each database."""
    subjects = np.unique(groups)
    databases = np.array([s.split("/")[0] for s in subjects])
    held: list[str] = []
    for database in np.unique(databases):
        own = subjects[databases == database]
        held.extend(rng.choice(own, size=max(1, round(INNER_SHARE * len(own))), replace=False))
    return held


def _parts(protocol: str, groups: np.ndarray) -> np.ndarray:
    """Return which part of the table a row belongs to, ``(N,)``: a subject's, or one of ten."""
    if protocol not in PROTOCOLS:
        raise OptionError(f"protocol '{protocol}' is none of {', '.join(PROTOCOLS)}")
    subjects, owner, clips = np.unique(groups, return_inverse=True, return_counts=True)
    if protocol == "loso":
        if len(subjects) < 2:
            raise DataError(f"leave-one-subject-out needs two subjects or more; there is only {subjects[0]}")
        return owner
    units, count = ("clips", len(groups)) if protocol == BY_SAMPLE else ("subjects", len(subjects))
    if count < N_PARTS:
        raise DataError(f"protocol {protocol} needs {N_PARTS} {units} or more; there are {count}: use loso")
    if protocol == BY_SAMPLE:
        return np.random.default_rng(0).permutation(np.arange(count) % N_PARTS)
    return _balanced(clips)[owner]


def _balanced(clips: np.ndarray) -> np.ndarray:
    """Part of each subject: those of most clips first, each to the part that has fewest clips so far."""
    parts = np.zeros(len(clips), dtype=np.int64)
    filled = np.zeros(N_PARTS, dtype=np.int64)
    for subject in np.argsort(-clips, kind="stable"):
        parts[subject] = filled.argmin()
        filled[parts[subject]] += clips[subject]
    return parts


def _name(protocol: str, groups: np.ndarray, rows: np.ndarray, number: int) -> str:
    if protocol == "loso":
        return str(groups[rows][0])
    content = f"{rows.sum()} clips" if protocol == BY_SAMPLE else ", ".join(np.unique(groups[rows]))
    return f"fold {number + 1} of {N_FOLDS} ({content})"
