"""The field's figures from pooled predictions: UF1, UAR, WAR, confusion matrix, bootstrap intervals.

Everything is computed from one confusion matrix over a fixed list of classes, pooled over all folds
first; never averaged over folds, never over "the classes that occur".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from microexp.errors import DataError

METRICS = ("UF1", "UAR", "WAR")


@dataclass(frozen=True, eq=False)
class Scores:
    """Figures of one set of predictions.

    Attributes
    ----------
    confusion : numpy.ndarray
        ``(K, K) int64``, rows the truth, columns the prediction.
    uf1 : float
        Unweighted F1: mean over the K classes of ``2 TP / (2 TP + FP + FN)``, 0 where that is 0/0.
    uar : float
        Unweighted average recall: mean over the K classes of ``TP / n``, 0 for a class without clips.
    war : float
        Weighted average recall, which is accuracy.
    f1, recall, precision : numpy.ndarray
        ``(K,) float64``, the same by class.
    """

    confusion: np.ndarray
    uf1: float
    uar: float
    war: float
    f1: np.ndarray
    recall: np.ndarray
    precision: np.ndarray

    @property
    def n(self) -> int:
        """Number of clips."""
        return int(self.confusion.sum())

    def as_dict(self) -> dict[str, float]:
        """Return UF1, UAR and WAR by name."""
        return {"UF1": self.uf1, "UAR": self.uar, "WAR": self.war}


def scores(y_true: np.ndarray, y_pred: np.ndarray, n_classes: int) -> Scores:
    """Score predictions over the fixed classes ``0 .. n_classes - 1``.

    Parameters
    ----------
    y_true, y_pred : numpy.ndarray
        ``(N,)`` integer labels, pooled over all folds.
    n_classes : int
        Number of classes of the scheme, whether they occur or not.

    Raises
    ------
    DataError
        If the arrays differ in length, are empty, or hold a label outside the classes.

    References
    ----------
    See et al., "MEGC 2019", FG 2019, section on performance metrics.

    Examples
    --------
    >>> scores([0, 0, 1], [0, 1, 1], n_classes=3).uf1  # the third class counts as 0
    0.4444444444444444
    """
    return from_confusion(confusion_matrix(y_true, y_pred, n_classes))


def confusion_matrix(y_true: np.ndarray, y_pred: np.ndarray, n_classes: int) -> np.ndarray:
    """Count ``(K, K) int64``: rows the truth, columns the prediction. Raises as `scores` does."""
    truth, prediction = np.asarray(y_true), np.asarray(y_pred)
    if truth.shape != prediction.shape or truth.ndim != 1 or not len(truth):
        raise DataError(f"{truth.shape} labels cannot be scored against {prediction.shape} predictions")
    both = np.concatenate([truth, prediction])
    if not np.issubdtype(both.dtype, np.integer) or both.min() < 0 or both.max() >= n_classes:
        raise DataError(f"labels must be integers from 0 to {n_classes - 1}")
    cells = np.bincount(truth * n_classes + prediction, minlength=n_classes**2)
    return cells.reshape(n_classes, n_classes)


def from_confusion(confusion: np.ndarray) -> Scores:
    """Return the figures of a confusion matrix ``(K, K)``, rows the truth."""
    confusion = np.asarray(confusion)
    f1, recall, precision = _by_class(confusion)
    hits = np.trace(confusion)
    return Scores(
        confusion,
        uf1=float(f1.mean()),
        uar=float(recall.mean()),
        war=float(hits / confusion.sum()),
        f1=f1,
        recall=recall,
        precision=precision,
    )


def majority(y_true: np.ndarray, n_classes: int) -> Scores:
    """Score the constant prediction of the most frequent class: what knowing nothing gives."""
    truth = np.asarray(y_true)
    most = int(np.bincount(truth, minlength=n_classes).argmax())
    return scores(truth, np.full_like(truth, most), n_classes)


def bootstrap_draws(
    y_true: np.ndarray,
    y_pred: np.ndarray,
    groups: np.ndarray,
    n_classes: int,
    resamples: int = 2000,
    seed: int = 0,
) -> np.ndarray:
    """Return UF1, UAR and WAR, ``(3, resamples)``, of subjects drawn with replacement.

    Clips of one subject are not independent, so whole subjects are drawn. Takes what `scores` takes,
    and the subject of each clip, ``(N,)``.
    """
    names, subject = np.unique(groups, return_inverse=True)
    cells = (subject * n_classes + np.asarray(y_true)) * n_classes + np.asarray(y_pred)
    by_subject = np.bincount(cells, minlength=len(names) * n_classes**2).reshape(len(names), -1)
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    confusion = (draws @ by_subject).reshape(resamples, n_classes, n_classes)
    f1, recall, _ = _by_class(confusion)
    hits = np.trace(confusion, axis1=1, axis2=2) / confusion.sum(axis=(1, 2))
    return np.stack([f1.mean(axis=1), recall.mean(axis=1), hits])


def intervals(draws: np.ndarray, level: float = 0.95) -> dict[str, tuple[float, float]]:
    """Return the percentile interval of each metric from `bootstrap_draws`.

    It says how far the figure would move with other subjects, not with another training seed.
    """
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=1)
    return {name: (float(low[i]), float(high[i])) for i, name in enumerate(METRICS)}


def _by_class(confusion: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """F1, recall and precision ``(..., K)`` of confusion matrices ``(..., K, K)``; 0/0 counts as 0."""
    hits = np.diagonal(confusion, axis1=-2, axis2=-1).astype(np.float64)
    actual, predicted = confusion.sum(axis=-1), confusion.sum(axis=-2)
    return _ratio(2 * hits, actual + predicted), _ratio(hits, actual), _ratio(hits, predicted)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
