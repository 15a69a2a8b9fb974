"""Which levels of a factor differ: Duncan's multiple range test, Tukey's HSD, and letters for groups.

Two levels share a letter exactly if the test does not tell them apart; "a" belongs to the highest mean.
"""

from __future__ import annotations

import string
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from microexp.benchmark.statistics import RESIDUAL, check_table
from microexp.errors import DataError, OptionError

_ALPHABET = string.ascii_lowercase + string.ascii_uppercase


def group(
    table: pd.DataFrame, value: str, factor: str, analysis: pd.DataFrame, alpha: float = 0.05
) -> pd.DataFrame:
    """Return mean and letters of every level of a factor, the highest mean first.

    Parameters
    ----------
    table : pandas.DataFrame
        One row an observation.
    value, factor : str
        Columns of the numbers and of the levels.
    analysis : pandas.DataFrame
        What `microexp.benchmark.statistics.anova` says of the table; its residual is the noise.
    alpha : float
        Level of the tests.

    Returns
    -------
    pandas.DataFrame
        Index the levels; columns ``mean``, ``n``, ``duncan``, ``tukey``.

    Raises
    ------
    OptionError
        If alpha is not between 0 and 1.
    DataError
        If the table cannot be used, see `microexp.benchmark.statistics.anova`, or nothing of it is noise.
    """
    if not 0 < alpha < 1:
        raise OptionError(f"alpha must be between 0 and 1, not {alpha}")
    check_table(table, value, [factor])
    by_level = table.groupby(factor, sort=True)[value].agg(["mean", "size"])
    by_level = by_level.sort_values("mean", ascending=False, kind="stable")
    means, n = by_level["mean"].to_numpy(np.float64), by_level["size"].to_numpy(np.int64)
    residual = analysis.loc[RESIDUAL, ["mean_sq", "df"]].to_numpy(np.float64)
    noise, df = float(residual[0]), int(residual[1])
    found = pd.DataFrame({"mean": means, "n": n}, index=by_level.index)
    found["duncan"] = letters(means, duncan(means, n, noise, df) < alpha)
    found["tukey"] = letters(means, tukey(means, n, noise, df) < alpha)
    return found


def tukey(
    means: Sequence[float] | np.ndarray, n: Sequence[int] | np.ndarray, mean_sq: float, df: int
) -> np.ndarray:
    """Return Tukey's p-values of all pairs of K means, ``(K, K)``, 1 on the diagonal.

    Parameters
    ----------
    means : sequence of float
        ``(K,)``.
    n : sequence of int
        ``(K,)`` observations behind each mean; where they differ it is the test of Tukey and Kramer.
    mean_sq, df : float, int
        Mean square of the residual and its degrees of freedom.

    Raises
    ------
    DataError
        If there are fewer than two means, or the numbers cannot be used.

    References
    ----------
    Tukey, "The problem of multiple comparisons", 1953; Kramer, Biometrics 12, 1956.
    """
    q, _ = _ranges(means, n, mean_sq, df)
    return _symmetric(np.full(q.shape, len(q)), q, df)


def duncan(
    means: Sequence[float] | np.ndarray, n: Sequence[int] | np.ndarray, mean_sq: float, df: int
) -> np.ndarray:
    """Return p-values of Duncan's multiple range test of all pairs of K means, ``(K, K)``.

    A range of r means differs at level alpha if its studentised range does at 1 - (1 - alpha)^(r - 1), and
    no means differ within a range that does not. So the p-value of a pair is the largest, over all ranges
    that hold the pair, of 1 - (1 - P)^(1 / (r - 1)), P being the upper tail of the studentised range of r
    means: the pair differs at every level above it. The test keeps the level of a single comparison, not
    that of all together: it finds more differences than `tukey`, true and false.

    Takes and raises what `tukey` does; unequal numbers as in Kramer's extension.

    References
    ----------
    Duncan, "Multiple range and multiple F tests", Biometrics 11, 1955; Kramer, Biometrics 12, 1956.
    """
    q, order = _ranges(means, n, mean_sq, df)
    k = len(q)
    place = np.empty(k, np.int64)
    place[order] = np.arange(k)
    r = np.abs(place[:, None] - place) + 1
    tail = _symmetric(r, q, df)
    own = -np.expm1(np.log1p(-tail.clip(max=1 - 1e-16)) / (r - 1).clip(min=1))
    sorted_p = own[np.ix_(order, order)]
    for length in range(k - 1, 0, -1):  # from the widest range inwards, for a range protects what it holds
        for i in range(k - length):
            j = i + length
            wider = [sorted_p[i - 1, j]] if i > 0 else []
            wider += [sorted_p[i, j + 1]] if j + 1 < k else []
            sorted_p[i, j] = sorted_p[j, i] = max([sorted_p[i, j], *wider])
    np.fill_diagonal(sorted_p, 1.0)
    return sorted_p[np.ix_(place, place)]


def _symmetric(r: np.ndarray, q: np.ndarray, df: int) -> np.ndarray:
    """Return the upper tails ``(K, K)`` of studentised ranges q of r means, 1 on the diagonal."""
    tails = np.ones(q.shape)
    above = np.triu_indices(len(q), 1)
    tails[above] = stats.studentized_range.sf(q[above], r[above], df).clip(0, 1)
    return np.minimum(tails, tails.T)


def _ranges(
    means: Sequence[float] | np.ndarray, n: Sequence[int] | np.ndarray, mean_sq: float, df: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the studentised differences ``(K, K)`` and the order of the means from high to low."""
    m, counts = np.asarray(means, np.float64), np.asarray(n, np.float64)
    if m.ndim != 1 or m.shape != counts.shape or len(m) < 2:
        raise DataError(f"two or more means and as many counts are needed, not {m.shape} and {counts.shape}")
    if not np.isfinite(m).all() or (counts < 1).any() or not mean_sq > 0 or df < 1:
        raise DataError(
            "means must be finite, counts 1 or more, the residual's mean square above 0 and its degrees of "
            f"freedom 1 or more; they are {m.tolist()}, {counts.tolist()}, {mean_sq}, {df}"
        )
    error = np.sqrt(mean_sq * (1 / counts[:, None] + 1 / counts) / 2)
    return np.abs(m[:, None] - m) / error, np.argsort(-m, kind="stable")


def letters(means: Sequence[float] | np.ndarray, different: np.ndarray) -> list[str]:
    """Return the letters of levels: a compact letter display.

    Parameters
    ----------
    means : sequence of float
        ``(K,)``; they only order the letters.
    different : numpy.ndarray
        ``(K, K) bool``, symmetric, False on the diagonal: which pairs differ.

    Returns
    -------
    list of str
        For each level its letters. Two levels share one exactly if they do not differ, and each letter stands
        for a largest possible group of such levels.

    Raises
    ------
    DataError
        If the matrix is not as said, or there are more groups than the 52 letters.

    References
    ----------
    Piepho, "An algorithm for a letter-based representation of all-pairwise comparisons", Journal of
    Computational and Graphical Statistics 13, 2004: insert and absorb.

    Examples
    --------
    >>> letters([3.0, 2.0, 1.0], np.array([[0, 0, 1], [0, 0, 0], [1, 0, 0]], bool))
    ['a', 'ab', 'b']
    """
    m, differs = np.asarray(means, np.float64), np.asarray(different)
    if differs.shape != (len(m), len(m)) or differs.dtype != bool or (differs != differs.T).any():
        raise DataError(f"differences of {len(m)} levels must be a symmetric matrix of booleans")
    if differs.diagonal().any():
        raise DataError("no level differs from itself: the diagonal must be False")
    order = np.argsort(-m, kind="stable").tolist()
    groups = [frozenset(range(len(m)))]
    for i, j in zip(*np.nonzero(np.triu(differs)), strict=True):
        both = [g for g in groups if i in g and j in g]
        halves = {g - {one} for g in both for one in (int(i), int(j))}
        candidates = {*groups, *halves} - set(both)
        groups = [g for g in candidates if not any(g < other for other in candidates)]
    if len(groups) > len(_ALPHABET):
        raise DataError(f"{len(groups)} groups are more than there are letters")
    ranked = sorted(groups, key=lambda g: [order.index(i) for i in order if i in g])
    return ["".join(a for a, g in zip(_ALPHABET, ranked, strict=False) if i in g) for i in range(len(m))]
