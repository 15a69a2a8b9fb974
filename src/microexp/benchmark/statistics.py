"""What a table of results says: analysis of variance of several factors, correlation of two measures.

Groups of levels are in `microexp.benchmark.grouping`, tests of two methods over subjects in
`microexp.benchmark.paired`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats

from microexp.errors import DataError, OptionError

RESIDUAL = "residual"
_Effect = tuple[str, ...]


def anova(table: pd.DataFrame, value: str, factors: Sequence[str], interactions: int = 1) -> pd.DataFrame:
    """Analyse the variance of a table by several factors, type II.

    The sum of squares of an effect is what it adds to the model of all effects that do not contain it. In a
    balanced design this is the same as types I and III. Least squares, so that cells may be missing or
    occupied several times; an effect has as many degrees of freedom as the cells there are leave it.

    Parameters
    ----------
    table : pandas.DataFrame
        One row an observation.
    value : str
        Column of the numbers.
    factors : sequence of str
        Columns of the levels.
    interactions : int
        Highest order of effects: 1 for main effects alone, 2 for those of two factors as well, and so on.

    Returns
    -------
    pandas.DataFrame
        A row an effect, named by its factors joined by ``:``, and the row ``residual``. Columns: ``sum_sq``,
        ``df``, ``mean_sq``, ``F``, ``p``, ``partial_eta_sq`` = SS / (SS + SS residual) and ``omega_sq`` =
        (SS - df MS residual) / (SS total + MS residual), which is below 0 where F is below 1.

    Raises
    ------
    DataError
        If a column is missing, a value is no finite number or a level is not given, a factor has one level,
        an effect cannot be told from the others, or nothing is left for the residual.
    OptionError
        If the order of interactions is not from 1 to the number of factors.

    References
    ----------
    Montgomery, "Design and Analysis of Experiments", Wiley 2017, chapters 5 and 15; Olejnik, Algina,
    "Generalized eta and omega squared statistics", Psychological Methods 8, 2003.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"size": [1, 1, 2, 2], "method": list("abab"), "score": [1.0, 2.0, 4.0, 4.0]})
    >>> anova(table, "score", ["size", "method"])["sum_sq"].round(6).tolist()
    [6.25, 0.25, 0.25]
    """
    if not 1 <= interactions <= len(factors):
        raise OptionError(f"interactions must be from 1 to the {len(factors)} factors, not {interactions}")
    y = check_table(table, value, factors)
    columns = {(factor,): _contrasts(table[factor]) for factor in factors}
    effects = [e for order in range(1, interactions + 1) for e in combinations(factors, order)]
    designs = {effect: _product([columns[(factor,)] for factor in effect]) for effect in effects}
    full, rank = _residual(y, designs.values())
    df = len(y) - rank
    total = float(((y - y.mean()) ** 2).sum())
    if df < 1:
        raise DataError(
            "nothing is left for the residual: use fewer interactions, or repeat the observations"
        )
    noise = full / df
    rows: list[dict[str, float]] = []
    for effect in effects:
        without = [d for e, d in designs.items() if not set(effect) <= set(e)]
        less, fewer = _residual(y, without)
        more, greater = _residual(y, [*without, designs[effect]])
        rows.append(_row(effect, max(less - more, 0.0), greater - fewer, full, df, total))
    rows.append({"sum_sq": full, "df": df, "mean_sq": noise})
    return pd.DataFrame(rows, index=[":".join(e) for e in effects] + [RESIDUAL])


def _row(
    effect: _Effect, ss: float, df_effect: int, residual: float, df: int, total: float
) -> dict[str, float]:
    if df_effect < 1:
        raise DataError(f"the effect of {':'.join(effect)} cannot be told from those of the other factors")
    noise, mean = residual / df, ss / df_effect
    f = mean / noise if noise > 0 else float("inf")
    return {
        "sum_sq": ss,
        "df": df_effect,
        "mean_sq": mean,
        "F": f,
        "p": float(stats.f.sf(f, df_effect, df)),
        "partial_eta_sq": ss / (ss + residual) if ss + residual > 0 else float("nan"),
        "omega_sq": (ss - df_effect * noise) / (total + noise) if total + noise > 0 else float("nan"),
    }


def check_table(table: pd.DataFrame, value: str, factors: Sequence[str]) -> np.ndarray:
    """Return the numbers of a table, ``(N,) float64``; raise `DataError` as `anova` does."""
    for column in (value, *factors):
        if column not in table.columns:
            raise DataError(f"the table has no column '{column}', only {', '.join(map(str, table.columns))}")
    y = pd.to_numeric(table[value], errors="coerce").to_numpy(np.float64)
    if not np.isfinite(y).all():
        row = int(np.flatnonzero(~np.isfinite(y))[0])
        raise DataError(f"row {row} of the table has no number in '{value}': leave incomplete cells out")
    for factor in factors:
        if table[factor].isna().any():
            row = int(np.flatnonzero(table[factor].isna())[0])
            raise DataError(f"row {row} of the table has no level of '{factor}'")
        if table[factor].nunique() < 2:
            raise DataError(f"the factor '{factor}' has one level, so there is nothing to compare")
    return y


def _contrasts(levels: pd.Series) -> np.ndarray:
    """Return ``(N, levels - 1)``: 1 where the level is, -1 everywhere for the last one."""
    codes = pd.factorize(levels, sort=True)[0]
    ones = np.eye(codes.max() + 1)[codes]
    return ones[:, :-1] - ones[:, -1:]


def _product(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Return the columns of an interaction: each product of one column of every factor."""
    product = parts[0]
    for part in parts[1:]:
        product = (product[:, :, None] * part[:, None, :]).reshape(len(part), -1)
    return product


def _residual(y: np.ndarray, designs: Iterable[np.ndarray]) -> tuple[float, int]:
    """Return the residual sum of squares of a model with these columns and a mean, and the model's rank."""
    X = np.concatenate([np.ones((len(y), 1)), *designs], axis=1)
    solution, _, rank, _ = np.linalg.lstsq(X, y, rcond=None)
    return float(((y - X @ solution) ** 2).sum()), int(rank)


@dataclass(frozen=True)
class Correlation:
    """How two measures go together.

    Attributes
    ----------
    n : int
        Number of pairs.
    pearson, spearman : float
        Coefficients in [-1, 1]: of the values, and of their ranks.
    pearson_p, spearman_p : float
        Probability of one as far from 0 without any relation.
    pearson_interval, spearman_interval : tuple of float
        Percentile intervals of the bootstrap over pairs.
    """

    n: int
    pearson: float
    pearson_p: float
    pearson_interval: tuple[float, float]
    spearman: float
    spearman_p: float
    spearman_interval: tuple[float, float]


def correlation(
    x: Sequence[float] | np.ndarray,
    y: Sequence[float] | np.ndarray,
    resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Correlation:
    """Correlate two measures of the same things, as PSNR and WAR of every restoration.

    Parameters
    ----------
    x, y : sequence of float
        ``(N,)``, three or more pairs.
    resamples : int
        Pairs are drawn with replacement so often. Draws in which a measure does not vary have no
        coefficient and are left out.
    level : float
        Of the intervals, between 0 and 1.
    seed : int
        Of the draws.

    Raises
    ------
    DataError
        If there are fewer than three pairs, the numbers differ, a value is not finite, or a measure does not
        vary.

    References
    ----------
    Efron, Tibshirani, "An Introduction to the Bootstrap", Chapman & Hall 1993, chapter 13.
    """
    a, b = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if a.shape != b.shape or a.ndim != 1 or len(a) < 3:
        raise DataError(
            f"a correlation needs three or more pairs, not {a.shape} values against {b.shape} values"
        )
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise DataError("a correlation needs finite numbers: leave incomplete pairs out")
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        raise DataError("a measure that does not vary has no correlation with another")
    draws = np.random.default_rng(seed).integers(len(a), size=(resamples, len(a)))
    pearson, spearman = stats.pearsonr(a, b), stats.spearmanr(a, b)
    ranks = (stats.rankdata(a[draws], axis=1), stats.rankdata(b[draws], axis=1))
    return Correlation(
        n=len(a),
        pearson=float(pearson.statistic),
        pearson_p=float(pearson.pvalue),
        pearson_interval=_interval(_coefficients(a[draws], b[draws]), level),
        spearman=float(spearman.statistic),
        spearman_p=float(spearman.pvalue),
        spearman_interval=_interval(_coefficients(*ranks), level),
    )


def _coefficients(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return Pearson's coefficient of each row; nan where a row does not vary."""
    varies = (np.ptp(a, axis=1) > 0) & (np.ptp(b, axis=1) > 0)
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    scale = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    return np.divide((a * b).sum(axis=1), scale, out=np.full(len(a), np.nan), where=varies)


def _interval(values: np.ndarray, level: float) -> tuple[float, float]:
    low, high = np.nanquantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
