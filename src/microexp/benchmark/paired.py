"""Is one method better than another? Tests over subjects, on whom both predicted the same clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from microexp.errors import DataError, OptionError
from microexp.evaluate.metrics import METRICS, bootstrap_draws, confusion_matrix, intervals, scores

_EXACT = 14  # subjects on whom the methods differ, up to which every exchange is gone through
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Comparison:
    """Two methods on the same clips.

    Attributes
    ----------
    subjects : int
        Number of subjects.
    difference : float
        UF1 of the first method less that of the second, each of all clips pooled.
    interval : tuple of float
        95% percentile interval of the difference, by the bootstrap over subjects.
    permutation_p : float
        Probability of a difference as far from 0, were the methods exchangeable on every subject.
    exact : bool
        Whether `permutation_p` is of all exchanges, or else of random ones.
    wilcoxon_p : float
        Two-sided p of the signed-rank test of the subjects' accuracies, from the exact distribution.
    better, worse : int
        Subjects on whom the first method recognised more clips, and fewer, than the second.
    """

    subjects: int
    difference: float
    interval: tuple[float, float]
    permutation_p: float
    exact: bool
    wilcoxon_p: float
    better: int
    worse: int


def compare(
    y_true: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    groups: np.ndarray,
    n_classes: int,
    resamples: int = 10_000,
    seed: int = 0,
) -> Comparison:
    """Compare two methods over subjects.

    Clips of one subject are not independent, so subjects are what is exchanged, drawn and ranked. The two
    tests ask different questions: of UF1 over all clips, where rare classes weigh much, and of accuracy
    subject by subject, where every subject weighs the same.

    Parameters
    ----------
    y_true : numpy.ndarray
        ``(N,)`` integer labels.
    first, second : numpy.ndarray
        ``(N,)`` what each method predicted of the same clips.
    groups : numpy.ndarray
        ``(N,)`` the subject of each clip.
    n_classes : int
        Number of classes of the scheme, whether they occur or not.
    resamples : int
        Draws of the bootstrap, and of the exchanges where there are too many to go through.
    seed : int
        Of the draws.

    Raises
    ------
    DataError
        If the arrays differ in length, are empty, or hold a label outside the classes.
    OptionError
        If there are no resamples.

    References
    ----------
    Wilcoxon, Biometrics Bulletin 1, 1945; Good, "Permutation, Parametric, and Bootstrap Tests of Hypotheses",
    Springer 2005, chapter 3.
    """
    if resamples < 1:
        raise OptionError(f"resamples must be 1 or more, not {resamples}")
    truth, subject = np.asarray(y_true), np.unique(np.asarray(groups), return_inverse=True)[1]
    a, b = np.asarray(first), np.asarray(second)
    figures = [scores(truth, predicted, n_classes) for predicted in (a, b)]
    if subject.shape != truth.shape:
        raise DataError(f"{len(truth)} clips have {len(subject)} subjects: one is needed for each clip")
    of_a, of_b = (_by_subject(truth, predicted, subject, n_classes) for predicted in (a, b))
    p, exact = _exchange(of_a, of_b, resamples, seed)
    # The same seed draws the same subjects for both.
    draws = [bootstrap_draws(truth, predicted, subject, n_classes, resamples, seed) for predicted in (a, b)]
    gain = np.trace(of_a - of_b, axis1=1, axis2=2)
    return Comparison(
        subjects=len(of_a),
        difference=figures[0].uf1 - figures[1].uf1,
        interval=intervals(draws[0] - draws[1])[METRICS[0]],
        permutation_p=p,
        exact=exact,
        wilcoxon_p=signed_rank(gain / of_a.sum(axis=(1, 2))),
        better=int((gain > 0).sum()),
        worse=int((gain < 0).sum()),
    )


def _by_subject(truth: np.ndarray, predicted: np.ndarray, subject: np.ndarray, k: int) -> np.ndarray:
    """Count ``(S, K, K)``: the confusion matrix of each subject."""
    return np.stack(
        [confusion_matrix(truth[subject == s], predicted[subject == s], k) for s in np.unique(subject)]
    )


def _exchange(a: np.ndarray, b: np.ndarray, resamples: int, seed: int) -> tuple[float, bool]:
    """Return the two-sided p of exchanging the methods on some subjects, and whether all were tried."""
    apart = (a != b).any(axis=(1, 2))
    change = (b - a)[apart].reshape(int(apart.sum()), a[0].size)
    exact = len(change) <= _EXACT
    if exact:
        swaps = np.arange(2 ** len(change))[:, None] >> np.arange(len(change)) & 1
    else:
        swaps = np.random.default_rng(seed).integers(2, size=(resamples, len(change)))
    moved = (swaps @ change).reshape(-1, *a.shape[1:])
    whole_a, whole_b = a.sum(axis=0), b.sum(axis=0)
    differences = np.abs(_uf1(whole_a + moved) - _uf1(whole_b - moved))
    extreme = int((differences >= abs(_uf1(whole_a) - _uf1(whole_b)) - _ROUNDING).sum())
    return (extreme / len(swaps) if exact else (extreme + 1) / (len(swaps) + 1)), exact


def _uf1(confusion: np.ndarray) -> np.ndarray:
    """Return UF1 of confusion matrices ``(..., K, K)``; a class that never occurs counts as 0."""
    hits = np.diagonal(confusion, axis1=-2, axis2=-1).astype(np.float64)
    whole = confusion.sum(axis=-1) + confusion.sum(axis=-2)
    return np.divide(2 * hits, whole, out=np.zeros_like(hits), where=whole > 0).mean(axis=-1)


def signed_rank(differences: Sequence[float] | np.ndarray) -> float:
    """Return the exact two-sided p of Wilcoxon's signed-rank test; 1 if no difference is left.

    Differences of 0 are left out, as Wilcoxon did, and ties share their mean rank. The distribution is that
    of all signs, counted by adding one rank after the other, so it is exact with ties as well.

    Parameters
    ----------
    differences : sequence of float
        ``(N,)``, one a pair.

    Raises
    ------
    DataError
        If a difference is not finite.
    """
    d = np.asarray(differences, np.float64)
    if not np.isfinite(d).all():
        raise DataError("a signed-rank test needs finite differences")
    d = d[d != 0]
    doubled = np.rint(2 * stats.rankdata(np.abs(d))).astype(np.int64)  # whole numbers, mean ranks too
    chances = np.ones(1)
    for rank in doubled:
        chances = (np.pad(chances, (0, rank)) + np.pad(chances, (rank, 0))) / 2
    positive = int(doubled[d > 0].sum())
    tails = chances[: positive + 1].sum(), chances[positive:].sum()
    return float(min(1.0, 2 * min(tails)))


def holm(p: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return p-values corrected for their number by Holm's method, in the order given.

    Those below alpha are the hypotheses that Holm's procedure rejects; the chance of even one false rejection
    is at most alpha.

    Parameters
    ----------
    p : sequence of float
        ``(M,)`` from 0 to 1.

    Raises
    ------
    DataError
        If a number is not from 0 to 1.

    References
    ----------
    Holm, Scandinavian Journal of Statistics 6, 1979.
    """
    values = np.asarray(p, np.float64)
    if values.ndim != 1 or not ((values >= 0) & (values <= 1)).all():
        raise DataError(f"p-values must be a list of numbers from 0 to 1, not {values.tolist()}")
    order = np.argsort(values, kind="stable")
    raised = values[order] * np.arange(len(values), 0, -1)
    corrected = np.empty_like(values)
    corrected[order] = np.maximum.accumulate(raised).clip(max=1.0)
    return corrected
