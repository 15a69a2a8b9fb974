"""What the table of a benchmark says of one database: grids, analysis of variance, quality and recognition.

Everything comes as a `Table` of text, to be shown as it is. A mean is never taken of an incomplete set: where
a cell is missing the mean says how many there are. What cannot be made has no rows, and says why.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, combinations, product
from typing import Any

import numpy as np
import pandas as pd

from microexp.benchmark.grouping import group
from microexp.benchmark.quality import DISTANCES
from microexp.benchmark.statistics import RESIDUAL, Correlation, anova, correlation
from microexp.errors import DataError
from microexp.evaluate.evaluation import leaks

RECOGNISER = "recogniser"
MEASURED = {"psnr": "PSNR", "ssim": "SSIM"}
_DIGITS = {"psnr": 2, "ssim": 4, "FD-768": 2, "KID-768": 4}


@dataclass(frozen=True)
class Cell:
    """One cell: its text, the folder of the run it is from, whether it is the best of its row or column."""

    text: str
    folder: str = ""
    best: str = ""


@dataclass(frozen=True)
class Table:
    """A table to be shown.

    Attributes
    ----------
    title : str
        What it is.
    head : sequence of str
        Headings.
    rows : sequence of sequence of Cell
        As many cells each as there are headings; empty if the table cannot be made.
    note : str
        How to read it, or why it is not there.
    sources : sequence of str
        Folders and files that the figures are from, below the folder of the benchmark.
    text_columns : int
        How many columns from the left hold text.
    """

    title: str
    head: Sequence[str] = ()
    rows: Sequence[Sequence[Cell]] = ()
    note: str = ""
    sources: Sequence[str] = ()
    text_columns: int = 1


@dataclass(frozen=True, eq=False)
class Results:
    """The rows of one database.

    Attributes
    ----------
    name : str
        What the database is called.
    table : pandas.DataFrame
        One row a job: ``label`` (recogniser), ``variant``, a column for every factor, ``status``, UF1, UAR,
        WAR, their ``_majority``, ``folder``, ``rule``.
    factors : sequence of str
        Names of the variants' factors.
    """

    name: str
    table: pd.DataFrame
    factors: Sequence[str]

    @property
    def variants(self) -> list[str]:
        """Labels of the variants, in the order of the plan."""
        return list(dict.fromkeys(self.table["variant"]))

    @property
    def labels(self) -> list[str]:
        """Labels of the recognisers, in the order of the plan."""
        return list(dict.fromkeys(self.table["label"]))

    @property
    def leak_note(self) -> str:
        """What has to be said if figures leak."""
        leak = any(leaks(rule) for rule in self.table["rule"])
        return "These figures LEAK: people tested on had a say in them. " if leak else ""

    def levels(self, variant: str) -> dict[str, Any]:
        """Return the levels of a variant's factors; those that it has."""
        row = self.table[self.table["variant"] == variant].iloc[0]
        return {factor: row[factor] for factor in self.factors if pd.notna(row[factor])}


def by_database(rows: Sequence[Mapping[str, Any]], factors: Sequence[str]) -> list[Results]:
    """Split the rows of a benchmark's table by database.

    Of a job with several rules of choosing the epoch the last is taken, which leaks least.
    """
    table = pd.DataFrame(rows)
    if table.empty:
        return []
    table = table.drop_duplicates(["database", "data", "label", "variant"], keep="last")
    several = table.groupby("database")["data"].nunique() > 1
    return [
        Results(f"{name} ({data})" if several[str(name)] else str(name), part.reset_index(drop=True), factors)
        for (name, data), part in table.groupby(["database", "data"], sort=False)
    ]


def mean_text(values: Iterable[float], digits: int = 4) -> str:
    """Return the mean of some cells, or how many of them there are if one is missing (nan)."""
    cells = np.asarray(list(values), np.float64)
    there = int((~np.isnan(cells)).sum())
    return f"{cells.mean():.{digits}f}" if there == len(cells) else f"incomplete ({there} of {len(cells)})"


def grid(results: Results, metric: str) -> Table:
    """Return variants by recognisers with the means beside and below, as the study's tables II to IV.

    The best recogniser of each variant, and the best mean of all variants, are marked.
    """
    jobs = {(job["variant"], job["label"]): job for job in results.table.to_dict("records")}
    cells = results.table.astype({metric: np.float64}).pivot(index="variant", columns="label", values=metric)
    values = cells.loc[results.variants, results.labels]
    means = values.mean(axis=1, skipna=False)
    rows = []
    for variant in results.variants:
        line = values.loc[variant].to_dict()
        highest = max((value for value in line.values() if not np.isnan(value)), default=np.nan)
        row = [Cell(variant), *(_level(results.levels(variant).get(f)) for f in results.factors)]
        for label in results.labels:
            job, value = jobs[variant, label], line[label]
            text = job["status"] if np.isnan(value) else f"{value:.4f}"
            row.append(Cell(str(text), job["folder"], "row" if value == highest else ""))
        best = "column" if means[variant] == means.max() else ""
        rows.append([*row, Cell(mean_text(line.values()), best=best)])
    below = [Cell("mean"), *[Cell("")] * len(results.factors)]
    rows.append([*below, *(Cell(mean_text(values[c])) for c in values), Cell(mean_text(np.ravel(values)))])
    nothing = sorted({f"{v:.4f}" for v in results.table[f"{metric}_majority"].dropna()})
    majority = f"Always saying the most frequent class gives {' to '.join(nothing)}. " if nothing else ""
    return Table(
        f"{metric} on {results.name}",
        ["variant", *results.factors, *results.labels, "mean"],
        rows,
        f"{results.leak_note}{majority}Underlined: the best recogniser of a variant; bold: the best mean.",
        text_columns=1 + len(results.factors),
    )


def _level(value: Any) -> Cell:
    if value is None:
        return Cell("")
    return Cell(str(int(value)) if isinstance(value, float) and value.is_integer() else str(value))


def quality_table(every: Sequence[Results], quality: pd.DataFrame) -> Table:
    """Return PSNR and SSIM of every variant by database, as the study's table V.

    The best of each column among the variants that share the first factor's level is marked.
    """
    title, factors = "Quality of the restored clips", list(every[0].factors) if every else []
    if quality.empty:
        return Table(
            title, note="No quality was measured: no variant gives clips of the originals' size yet."
        )
    means = quality.groupby(["variant", "database"])[list(MEASURED)].mean()
    levels = _levels_of(every, quality)
    databases = list(dict.fromkeys(results.table["database"].iloc[0] for results in every))
    columns = list(product(databases, MEASURED))
    rows = []
    for variant in levels:
        row = [Cell(variant), *(_level(levels[variant].get(factor)) for factor in factors)]
        beside = [v for v in levels if not factors or _same(levels[v], levels[variant], factors[:1])]
        for database, measure in columns:
            value = means[measure].get((variant, database), np.nan)
            best = max(means[measure].get((v, database), -np.inf) for v in beside)
            text = "to do" if np.isnan(value) else f"{value:.{_DIGITS[measure]}f}"
            row.append(Cell(text, best="column" if value == best and len(beside) > 1 else ""))
        rows.append(row)
    return Table(
        title,
        ["variant", *factors, *(f"{MEASURED[m]}, {database}" for database, m in columns)],
        rows,
        "Means over clips, each of its onset and apex frames against the original; all three colours, no "
        f"border left out. Bold: the best{f' of each {factors[0]}' if factors else ''}.",
        sorted(set(quality["file"])),
        1 + len(factors),
    )


def distance_table(every: Sequence[Results], distances: pd.DataFrame, failed: Iterable[str]) -> Table:
    """Return how far the apex frames of variants are from the unmagnified ones, and why some `failed`."""
    title = "Frechet distance and KID to the unmagnified apex frames"
    reasons = "".join(f" Not measured: {reason}." for reason in dict.fromkeys(failed))
    if distances.empty:
        return Table(title, note=reasons.strip() or "Not measured yet.")
    factors, cells = every[0].factors, distances.set_index(["variant", "database", "part"])
    sets = {(one["database"], one["part"]): one for one in distances.to_dict("records")}
    rows = []
    for variant, levels in _levels_of(every, distances).items():
        row = [Cell(variant), *(_level(levels.get(factor)) for factor in factors)]
        for place, measure in product(sets, DISTANCES):
            value = cells[measure].get((variant, *place), np.nan)
            row.append(Cell("to do" if np.isnan(value) else f"{value:.{_DIGITS[measure]}f}"))
        rows.append(row)
    names = {(whole, part): part if part == whole else f"{whole}: {part}" for whole, part in sets}
    counts = (f"{names[k]} {n['pictures']}{', singular' * n['singular']}" for k, n in sets.items())
    return Table(
        title,
        ["variant", *factors, *(f"{m}, {names[place]}" for place, m in product(sets, DISTANCES))],
        rows,
        "Apex frames as the recogniser gets them, as sets, by Inception-v3 up to its layer mixed5; FID in "
        f"papers is by another training. Pictures in each of the two sets: {'; '.join(counts)} (singular: no "
        f"more than there are features). FD of sets of different size do not compare, KID do.{reasons}",
        list(dict.fromkeys(distances["file"])),
        1 + len(factors),
    )


def _levels_of(every: Iterable[Results], measured: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Return the levels of the variants that were measured, in the order of the plan."""
    there = set(measured["variant"])
    return {v: results.levels(v) for results in every for v in results.variants if v in there}


def _same(first: Mapping[str, Any], second: Mapping[str, Any], factors: Iterable[str]) -> bool:
    return all(first.get(factor) == second.get(factor) for factor in factors)


def balanced(results: Results) -> tuple[pd.DataFrame, list[str]]:
    """Return the rows of the largest complete grid of levels, and the factors that vary in it.

    Of the study it is four resolutions by the five methods that occur at all of them. Grids in which more
    factors vary go first, then larger ones; whether a job is done plays no part.
    """
    table = results.table.dropna(subset=list(results.factors))
    there = set(table[list(results.factors)].itertuples(index=False, name=None))
    levels = [list(dict.fromkeys(table[factor])) for factor in results.factors]
    if not there or not levels:
        return table.iloc[:0], []
    richest = max(range(len(levels)), key=lambda i: len(levels[i]))
    choices = [[own] if i == richest else list(_subsets(own)) for i, own in enumerate(levels)]
    score, chosen = (-1, -1), levels
    for parts in product(*choices):
        grid_levels = [list(part) for part in parts]
        grid_levels[richest] = [x for x in levels[richest] if _complete(grid_levels, richest, x, there)]
        varying = sum(len(part) > 1 for part in grid_levels)
        size = int(np.prod([len(part) for part in grid_levels]))
        if size and (varying, size) > score:
            score, chosen = (varying, size), grid_levels
    kept = table
    for factor, part in zip(results.factors, chosen, strict=True):
        kept = kept[kept[factor].isin(part)]
    return kept, [f for f, part in zip(results.factors, chosen, strict=True) if len(part) > 1]


def _subsets(levels: Sequence[Any]) -> Iterable[tuple[Any, ...]]:
    return chain.from_iterable(combinations(levels, n) for n in range(1, len(levels) + 1))


def _complete(parts: Sequence[Sequence[Any]], place: int, level: Any, there: set[tuple[Any, ...]]) -> bool:
    return all(
        cell in there for cell in product(*([level] if i == place else p for i, p in enumerate(parts)))
    )


def variance(results: Results, metric: str = "WAR") -> list[Table]:
    """Return the analysis of variance by the varying factors and the recogniser, and the groups of levels.

    Main effects, type II, on the rows of `balanced`, as the study's table VI.
    """
    title = f"Analysis of variance of {metric} on {results.name}"
    part, varying = balanced(results)
    part = part.rename(columns={"label": RECOGNISER})
    factors = [*varying, *([RECOGNISER] if part[RECOGNISER].nunique() > 1 else [])]
    if len(factors) < 2:
        return [
            Table(title, note="Not made: fewer than two factors have several levels that all occur together.")
        ]
    if lacking := int(part[metric].isna().sum()):
        return [Table(title, note=f"Not made: {lacking} of its {len(part)} cells are not complete.")]
    try:
        found = anova(part, metric, factors)
        groups = {factor: group(part, metric, factor, found) for factor in factors}
    except DataError as error:
        return [Table(title, note=f"Not made: {error}.")]
    sources = list(dict.fromkeys(part["folder"]))
    levels = "; ".join(f"{f}: {', '.join(_level(x).text for x in dict.fromkeys(part[f]))}" for f in factors)
    return [
        Table(
            title,
            ["factor", "df", "sum of squares", "F", "p", "partial η²", "ω²"],
            [_effect(str(name), row) for name, row in found.iterrows()],
            f"{results.leak_note}Main effects, type II, over {len(part)} cells ({levels}). The cells are of "
            "the same clips and not independent, so p describes and proves nothing.",
            sources,
        ),
        Table(
            f"Groups of levels by {metric} on {results.name}",
            ["factor", "level", f"mean {metric}", "cells", "Duncan", "Tukey"],
            [
                [Cell(factor), _level(level), Cell(f"{row['mean']:.4f}"), Cell(str(int(row["n"]))),
                 Cell(row["duncan"]), Cell(row["tukey"])]
                for factor, levels_of in groups.items()
                for level, row in levels_of.iterrows()
            ],
            "Levels that share a letter were not told apart at level .05; a belongs to the highest mean.",
            sources,
            2,
        ),
    ]  # fmt: skip


def _effect(name: str, row: pd.Series) -> list[Cell]:
    cells = [name, f"{row['df']:.0f}", f"{row['sum_sq']:.5f}"]
    if name == RESIDUAL:
        cells += [""] * 4
    else:
        sizes = (f"{row[size]:.3f}" for size in ("partial_eta_sq", "omega_sq"))
        cells += [f"{row['F']:.3f}", p_text(row["p"]), *sizes]
    return [Cell(cell) for cell in cells]


def p_text(p: float) -> str:
    """Return a p-value with four decimals, small ones as powers of ten."""
    return f"{p:.4f}" if p >= 0.001 else f"{p:.1e}"


def correlations(results: Results, quality: pd.DataFrame, metric: str = "WAR") -> Table:
    """Return how quality and recognition go together over the variants: all, and those of each resolution.

    A variant counts with its mean quality over clips and its mean `metric` over the recognisers.
    """
    title = f"Quality and {metric} on {results.name}"
    own = quality[quality["database"] == results.table["database"].iloc[0]]
    if own.empty:
        return Table(title, note="Not made: no quality was measured.")
    joined = own.groupby("variant", sort=False)[list(MEASURED)].mean()
    cells = results.table.pivot(index="variant", columns="label", values=metric)
    joined[metric] = cells.mean(axis=1, skipna=False).round(12)  # equal means shall tie in rank
    if lacking := int(joined[metric].isna().sum()):
        return Table(
            title, note=f"Not made: recognition is not complete on {lacking} of {len(joined)} variants."
        )
    if len(joined) < 3:
        return Table(title, note=f"Not made: it needs three or more variants, measured are {len(joined)}.")
    parts = {"all variants": list(joined.index)}
    for factor in results.factors[:1]:
        for variant in joined.index:
            if factor in (levels := results.levels(variant)):
                parts.setdefault(f"{factor} {_level(levels[factor]).text}", []).append(variant)
    parts = {name: variants for name, variants in parts.items() if len(variants) > 2}
    rows, without = [], []
    for (name, variants), (measure, shown) in product(parts.items(), MEASURED.items()):
        part = joined.loc[variants]
        try:
            found = correlation(part[measure].to_numpy(float), part[metric].to_numpy(float))
        except DataError as error:
            without.append(f"{name}, {shown}: {error}")
            continue
        rows.append([Cell(x) for x in (name, shown, str(found.n), *_coefficients(found))])
    reasons = f" Without a coefficient: {'; '.join(without)}." if without else ""
    if not rows:
        return Table(title, note=f"Not made.{reasons}")
    used = results.table[results.table["variant"].isin(joined.index)]
    return Table(
        title,
        ["variants", "quality", "n", "Pearson", "p", "Spearman", "p"],
        rows,
        f"Mean quality against the mean {metric} of the recognisers; in brackets 95 % intervals by the "
        f"bootstrap over variants.{reasons}",
        [*dict.fromkeys(own["file"]), *dict.fromkeys(used["folder"])],
        2,
    )


def _coefficients(found: Correlation) -> list[str]:
    def shown(value: float, interval: tuple[float, float]) -> str:
        return f"{value:.2f} ({interval[0]:.2f} to {interval[1]:.2f})"

    return [
        shown(found.pearson, found.pearson_interval),
        p_text(found.pearson_p),
        shown(found.spearman, found.spearman_interval),
        p_text(found.spearman_p),
    ]
